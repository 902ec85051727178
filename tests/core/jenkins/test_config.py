from __future__ import annotations

import pytest

from rollback_lib.core.jenkins import config, job
from rollback_lib.core.jenkins.config import differences
from rollback_lib.core.jenkins.job import JobParameter, Source
from tests.fake_jenkins import as_saved

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


@pytest.mark.parametrize("inside", ["<abortPrevious>false</abortPrevious>", ""])
def test_a_job_whose_builds_wait_for_each_other_is_put_right(inside: str) -> None:  # J16
    name = "org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"
    (found,) = differences(OURS, OURS.replace("<properties>", f"<properties><{name}>{inside}</{name}>"))
    assert "wanted nothing" in found


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


KINDS = (
    JobParameter("choice", "WHERE", "Where.", choices=("", "año & <más>", "true")),
    JobParameter("string", "TO", 'It\'s "to".', "last-good"),
    JobParameter("text", "WHY", "Why.", "one\ntwo"),
    JobParameter("booleanParam", "LOOK", "Only look.", "true"),
)


@pytest.mark.parametrize("found", [job.parameters(), job.parameters(("prod",)), job.parameters(("a", "b")), KINDS])
def test_j5_what_a_build_has_saved_is_no_difference(found: tuple[JobParameter, ...]) -> None:
    ours = job.config_xml(found, Source("https://git.example.com/shop.git"))
    assert differences(ours, as_saved(ours)) == ()


@pytest.mark.parametrize(
    "written",
    [
        '<choices class="java.util.Arrays$ArrayList"><a class="string-array">{}</a></choices>',
        '<choices class="java.util.ImmutableCollections$ListN" resolves-to="x"><l><n>3</n></l>{}</choices>',
        '<choices class="java.util.ArrayList">{}</choices>',
    ],
)
def test_j5_a_list_of_choices_is_the_same_whatever_java_calls_it(written: str) -> None:
    inside = "<string></string><string>true</string><string>false</string>"
    assert OURS.count(f"<choices>{inside}</choices>") == 1
    theirs = OURS.replace(f"<choices>{inside}</choices>", written.format(inside))
    assert differences(OURS, theirs) == ()
    fewer = differences(OURS, theirs.replace("<string>false</string>", ""))
    assert fewer == ("parameters/ISOLATE/choices: ['', 'true'], wanted ['', 'true', 'false']",)


def without(name: str) -> str:
    """Ours, where the job does not have this parameter."""
    lines = OURS.splitlines(keepends=True)
    return "".join(line for line in lines if f"<name>{name}</name>" not in line)


@pytest.mark.parametrize("name", [p.name for p in job.parameters()])
def test_j18_a_parameter_that_is_not_there_is_one_line_that_names_it(name: str) -> None:
    assert differences(OURS, without(name)) == (f"parameter: nothing, wanted {name!r}",)
    assert differences(without(name), OURS) == (f"parameter: {name!r}, wanted nothing",)


def test_j18_another_default_type_or_order_is_said_of_this_parameter_alone() -> None:
    line = next(line for line in OURS.splitlines(keepends=True) if "<name>RELEASE</name>" in line)
    other = OURS.replace("<defaultValue>last-good<", "<defaultValue>v1<")
    assert differences(OURS, other) == ("parameters/RELEASE/defaultValue: 'v1', wanted 'last-good'",)
    text = OURS.replace(line, line.replace("StringParameter", "TextParameter"))
    said = "parameters/RELEASE/type: TextParameterDefinition, wanted StringParameterDefinition"
    assert differences(OURS, text) == (said,)
    moved = OURS.replace(line, "").replace("      </parameterDefinitions>", line + "      </parameterDefinitions>")
    (order,) = differences(OURS, moved)
    assert order.startswith("parameters: ENVIRONMENT, ACTION, RUN, SERVICES, ")


def test_the_same_name_twice_is_a_parameter_too_many() -> None:
    line = next(line for line in OURS.splitlines(keepends=True) if "<name>RELEASE</name>" in line)
    assert differences(OURS, OURS.replace(line, line + line)) == ("parameter: 'RELEASE[2]', wanted nothing",)


def test_what_a_job_would_get_is_a_line_for_each_parameter() -> None:
    lines = [line for line in config.content(OURS) if line.startswith("parameter ")]
    assert [line.split("'")[1] for line in lines] == [p.name for p in job.parameters()]
    assert "defaultValue 'last-good', trim 'true'" in next(line for line in lines if "'RELEASE'" in line)
    assert any(line.endswith("BranchSpec/name: '*/main'") for line in config.content(OURS))
