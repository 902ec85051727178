"""Who may press what: the table of rights in jenkins/README.md, on a played Jenkins that enforces it."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_lib import cli
from rollback_lib.core.settings.parameters import BY_NAME
from tests.fake_jenkins import FakeJenkins

FOLDER = Path(__file__).parents[1] / "jenkins"
SEEN = {"Overall/Read", "Job/Read"}
# Every button of operador.md: the request that it sends, and the rights without any one of which that is refused.
BUTTONS: dict[str, tuple[str, str, set[str]]] = {
    "Build with Parameters": ("GET", "job/rollback/build?delay=0sec", SEEN | {"Job/Build"}),
    "Build": ("POST", "job/rollback/buildWithParameters", SEEN | {"Job/Build"}),
    "Roll back": ("POST", "job/rollback/3/input/Approve/proceedEmpty", SEEN | {"Job/Build"}),
    "Yes": ("POST", "job/rollback/3/input/Approve/proceed", SEEN | {"Job/Build"}),
    "Abort": ("POST", "job/rollback/3/input/Approve/abort", SEEN),  # Build or Cancel, either will do
    "Stop": ("POST", "job/rollback/3/stop", SEEN | {"Job/Cancel"}),
    "Console Output": ("GET", "job/rollback/3/consoleText", SEEN),
    "Build Artifacts": ("GET", "job/rollback/3/artifact/report/plan.txt", SEEN),
}


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def rights(who: str) -> frozenset[str]:
    """What the table gives: a row's second column is Overall, its third Job."""
    (row,) = re.findall(rf"(?m)^\| {re.escape(who)}[^|]*\|([^|]*)\|([^|]*)\|", text_of("README.md"))
    overall, job = (re.findall(r"Read|ExtendedRead|Build|Cancel|Create|Configure", column) for column in row)
    return frozenset([*(f"Overall/{r}" for r in overall), *(f"Job/{r}" for r in job)])


@pytest.fixture
def fake() -> Iterator[FakeJenkins]:
    with FakeJenkins() as server:
        server.jobs["rollback"] = "<flow-definition/>"
        server.declared = ["RELEASE", "REQUEST_ID"]
        server.builds[3] = {"number": 3, "url": f"{server.url}job/rollback/3/", "building": False, "result": "SUCCESS"}
        server.queue[5] = [{"executable": {"number": 3}}]
        server.artifacts["report/plan.txt"] = b"a plan"
        yield server


def pressed(fake: FakeJenkins, button: str, who: frozenset[str]) -> int:
    """The status of what a browser gets."""
    fake.rights = who
    method, path, _ = BUTTONS[button]
    request = urllib.request.Request(fake.url + path, method=method, headers={"Jenkins-Crumb": fake.crumb})
    try:
        with urllib.request.urlopen(request, b"" if method == "POST" else None, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_j9_every_button_of_the_operator_s_page_is_tried() -> None:
    assert set(re.findall(r"<kbd>([^<]+)</kbd>", text_of("operador.md"))) == set(BUTTONS)


@pytest.mark.parametrize("button", BUTTONS)
def test_j9_a_button_works_with_the_operator_s_rights_and_with_no_right_less(fake: FakeJenkins, button: str) -> None:
    given = rights("operator")
    assert pressed(fake, button, given) < 300
    refused = {right: status for right in given if (status := pressed(fake, button, given - {right})) >= 400}
    assert set(refused) == BUTTONS[button][2]
    assert {status for right, status in refused.items() if right != "Job/Read"} <= {403}
    assert refused["Job/Read"] == 404  # who may not see a job is told that there is none


def test_j9_the_operator_has_no_right_that_no_button_needs() -> None:
    assert set.union(*(needed for _, _, needed in BUTTONS.values())) == rights("operator")


@pytest.mark.parametrize("button", ["Roll back", "Yes", "Abort"])
def test_who_approves_can_answer(fake: FakeJenkins, button: str) -> None:
    assert pressed(fake, button, rights("who approves")) == 200


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("who runs `jenkins provision`", ("provision", "--job", "shop/rollback", "--repository", "/nowhere")),
        ("who runs `jenkins provision`", ("provision", "--repository", "/nowhere")),
        ("who runs `jenkins trigger --follow`", ("trigger", "--to", "v1", "--follow")),
    ],
)
def test_j9_a_command_works_with_the_rights_of_its_row_and_says_which_it_lacks(
    fake: FakeJenkins, who: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in [n for n in os.environ if n.startswith("ROLLBACK_")]:
        monkeypatch.delenv(name)
    for name, value in {"JENKINS_URL": fake.url, "ROLLBACK_JENKINS_USER": "ada", "ROLLBACK_JENKINS_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    fake.folders, before = {"shop"}, dict(fake.jobs)
    lacks = set()
    for right in sorted(rights(who)):
        fake.jobs, fake.rights = dict(before), rights(who) - {right}
        if cli.main(("jenkins", *words)) != 0:
            lacks.add(right)
            said = capsys.readouterr().err
            assert (
                right == "Job/Read" or f"ada lacks hudson.model.{'Hudson' if 'Overall' in right else 'Item'}." in said
            )
    new = {"Job/Create"} if "shop/rollback" in words else {"Job/Configure"}  # makes one, or writes one that is there
    needed = SEEN | ({"Job/ExtendedRead"} | new if words[0] == "provision" else {"Job/Build"})
    assert lacks - {"Job/ExtendedRead"} == needed - {"Job/ExtendedRead"}
    fake.jobs, fake.rights = dict(before), rights(who)
    assert cli.main(("jenkins", *words)) == 0, capsys.readouterr().err


def test_the_operator_s_page_names_each_action_by_its_word() -> None:
    assert set(re.findall(r"ACTION `([^`]+)`", text_of("operador.md"))) == set(BY_NAME["action"].choices)
