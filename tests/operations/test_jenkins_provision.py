"""The job as it is written to a Jenkins over HTTP, that keeps it in its own words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollback_lib.adapters.jenkins import JenkinsServer
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.jenkins import job as jenkins_job
from rollback_lib.operations import jenkins_provision
from tests.fake_jenkins import FakeJenkins

SOURCE = jenkins_job.Source("https://git.example.com/shop.git")
XML = jenkins_job.config_xml(jenkins_job.parameters(("prod", "stage")), SOURCE)


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        yield server


@pytest.fixture
def server(fake: FakeJenkins) -> Iterator[JenkinsServer]:
    made = JenkinsServer(fake.url, "ada", "token", sleep=lambda s: None)
    yield made
    made.close()


def test_j5_after_a_build_there_is_nothing_to_write(fake: FakeJenkins, server: JenkinsServer) -> None:
    jenkins_provision.provision(server, "rollback", XML, write=True)
    fake.saved("rollback")
    kept = fake.jobs["rollback"]
    for write in (False, True, True):
        done = jenkins_provision.provision(server, "rollback", XML, write=write)
        assert (done.exists, done.differs, done.written) == (True, (), False)
    assert fake.jobs["rollback"] == kept
    fake.jobs["rollback"] = kept.replace("last-good", "v1")
    changed = jenkins_provision.provision(server, "rollback", XML, write=True).differs
    assert [line.partition(":")[0] for line in changed] == [
        "parameters/RELEASE/description", "parameters/RELEASE/defaultValue",
    ]  # fmt: skip
    fake.saved("rollback")
    assert jenkins_provision.provision(server, "rollback", XML, write=False).differs == ()


@pytest.mark.parametrize(
    ("there", "job", "lacks"),
    [
        (set(), "shop/rollback", "shop"),
        ({"shop"}, "shop/prod/rollback", "shop/prod"),
        (set(), "shop/prod/rollback", "shop"),
    ],
)
def test_j12_the_folder_that_is_not_there_is_named(
    fake: FakeJenkins, server: JenkinsServer, there: set[str], job: str, lacks: str
) -> None:
    fake.folders = there
    shown = jenkins_provision.provision(server, job, XML, write=False)
    assert (shown.exists, shown.no_folder) == (False, lacks)
    with pytest.raises(RefusedError, match=f"has no folder {lacks}, .* make it there first") as caught:
        jenkins_provision.provision(server, job, XML, write=True)
    assert "404" not in str(caught.value)
    assert fake.paths() == []


def test_j12_in_folders_that_are_there_it_is_made(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.folders = {"shop", "shop/prod"}
    assert jenkins_provision.provision(server, "shop/prod/rollback", XML, write=True).written
    assert list(fake.jobs) == ["shop/prod/rollback"]


def test_j12_a_job_is_no_folder(fake: FakeJenkins, server: JenkinsServer) -> None:
    fake.jobs["shop"] = XML
    with pytest.raises(RefusedError, match="shop is a job of Jenkins and no folder"):
        jenkins_provision.provision(server, "shop/rollback", XML, write=True)


def test_j12_what_a_new_job_would_get_is_shown(fake: FakeJenkins, server: JenkinsServer) -> None:
    said = "\n".join(jenkins_provision.provision(server, "rollback", XML, write=False).differs)
    for name in ("'ENVIRONMENT'", "['prod', 'stage']", "'https://git.example.com/shop.git'", "'*/main'"):
        assert name in said
    assert fake.paths() == []
