"""What a run looks like on the terminals, pipes and code pages that people have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import terminal
from tests.cli.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
RUN = (sys.executable, "-m", "rollback_lib", "run", "--to", "v1.1.0", "--yes")


def environ(desk: Desk, **more: str) -> dict[str, str]:
    kept = desk.playground.environment()
    kept.pop("CI", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm-256color", **more}


@pytest.mark.parametrize(
    "more",
    [{}, *(pytest.param(m, marks=pytest.mark.long) for m in ({"TERM": "dumb"}, {"NO_COLOR": "1"}, {"CI": "true"}))],
    ids=str,
)
def test_a_terminal_of_80_columns(desk: Desk, more: dict[str, str]) -> None:
    code, text = terminal.written(RUN, desk.playground.repository, environ(desk, **more))
    assert code == 0, text
    assert "\x1b" not in text, "escapes are for terminals that know them; a line that changes needs none"
    assert "\r" not in text or not {"TERM", "CI"} & more.keys(), "a line that changes is for people who watch"
    left = re.sub(r"[^\n]*\r(?=[^\n])", "", text)
    assert [line for line in left.splitlines() if len(line.rstrip()) > 80] == []
    assert "Done in" in left.splitlines()[-3], "the end is the last thing to see, in whole words"


@pytest.mark.parametrize(("more", "changes"), [({}, True), ({"TERM": "dumb"}, False), ({"CI": "true"}, False)])
def test_a_wait_is_one_line_that_changes_and_goes(tmp_path: Path, more: dict[str, str], changes: bool) -> None:
    waits = "from rollback_lib.cli.console import Console; c = Console(); "
    waits += "c.waiting('for ' + 'a' * 90); c.waiting('for b'); c.say('done')"
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}
    code, text = terminal.written((sys.executable, "-c", waits), tmp_path, kept)
    assert code == 0, text
    if changes:
        first, second, wiped, left = text.removeprefix("\r").split("\r")
        assert len(first) == 79, "what does not fit the line would stay"
        assert second.rstrip() == "  for b"
        assert len(second) == len(first)
        assert (wiped.strip(), left) == ("", "done\n")
    else:
        assert text == "done\n"


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(e, marks=pytest.mark.long) for e in ("cp1252", "utf-8", "cp437"))]
)
def test_a_pipe_of_any_code_page(desk: Desk, encoding: str) -> None:
    more = environ(desk, PYTHONIOENCODING=encoding)
    done = subprocess.run(RUN, cwd=desk.playground.repository, env=more, capture_output=True, timeout=60, check=False)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 0, err
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out + err)
    assert "\\u" not in out + err, "our own signs are replaced by plain ones, not escaped"
    assert len(out.splitlines()) == 1, "in a log the last line is one line"


@pytest.mark.parametrize("where", ["closed pipe", pytest.param("full disk", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("run", "--to", "v1.1.0", "--yes"), 0),
        pytest.param(("run", "--to", "v1.1.0", "--yes", "--output", "json"), 0, marks=pytest.mark.long),
        (("run", "--to", "v9.9.9", "--yes"), 3),
        (("verify", "--to", "v1.1.0"), 1),
        (("--help",), 0),
    ],
    ids=["run", "json", "refused", "verify", "help"],
)
def test_an_output_that_nobody_takes_changes_neither_the_run_nor_its_code(
    desk: Desk, where: str, command: tuple[str, ...], code: int
) -> None:
    if where == "full disk" and not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    if where == "full disk":
        to = os.open("/dev/full", os.O_WRONLY)
    else:
        gone, to = os.pipe()
        os.close(gone)
    try:
        done = subprocess.run(
            (sys.executable, "-m", "rollback_lib", *command), cwd=desk.playground.repository, env=environ(desk),
            stdin=subprocess.DEVNULL, stdout=to, stderr=subprocess.PIPE if code == 3 else to, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(to)
    assert done.returncode == code, done.stderr
    if command[0] == "run" and code == 0:
        assert all(s.is_release("v1.1.0") for s in desk.playground.services())
        assert desk.events()[-1]["mark"] == "stage-done"
        assert (desk.runs()[-1] / "report" / "incident.md").read_text(encoding="utf-8")
