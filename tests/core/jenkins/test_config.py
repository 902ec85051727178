from __future__ import annotations

import pytest

from rollback_lib.core.jenkins import job
from rollback_lib.core.jenkins.config import differences
from rollback_lib.core.jenkins.job import Source

OURS = job.config_xml(job.parameters(), Source("https://git.example.com/shop.git"))


def test_what_jenkins_adds_on_saving_is_no_difference() -> None:
    theirs = OURS.replace("<flow-definition>", '<flow-definition plugin="workflow-job@1559">').replace(
        "<triggers/>", "<triggers/><authToken>x</authToken>"
    )
    assert differences(OURS, theirs) == ()


def test_a_parameter_that_somebody_added_by_hand_is_named() -> None:
    more = "<hudson.model.StringParameterDefinition><name>SHELL</name></hudson.model.StringParameterDefinition>"
    found = differences(OURS, OURS.replace("</parameterDefinitions>", more + "</parameterDefinitions>"))
    assert any("'SHELL', wanted nothing" in line for line in found)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<trim>true</trim>", "<trim>false</trim>", "'false', wanted 'true'"),
        ("*/main", "*/old", "'*/old', wanted '*/main'"),
        ("<noTags>false</noTags>", "<noTags>true</noTags>", "noTags: 'true', wanted 'false'"),
        ("cps.CpsScmFlowDefinition", "cps.CpsFlowDefinition", "CpsFlowDefinition', wanted"),
        ("<disabled>false</disabled>", "", "disabled: '', wanted 'false'"),
    ],
)
def test_what_differs_is_named_with_its_place(old: str, new: str, said: str) -> None:
    assert said in "\n".join(differences(OURS, OURS.replace(old, new)))


@pytest.mark.parametrize("bad", ["", "<a>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<html>" + "x" * (1 << 20)])
def test_what_is_no_configuration_is_said(bad: str) -> None:
    with pytest.raises(ValueError, match="it is no"):
        differences(OURS, bad)
