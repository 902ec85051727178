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


@pytest.mark.parametrize("more", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}], ids=str)
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


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp437", "ascii"])
def test_a_pipe_of_any_code_page(desk: Desk, encoding: str) -> None:
    more = environ(desk, PYTHONIOENCODING=encoding)
    done = subprocess.run(RUN, cwd=desk.playground.repository, env=more, capture_output=True, timeout=60, check=False)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 0, err
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out + err)
    assert "\\u" not in out + err, "our own signs are replaced by plain ones, not escaped"
    assert len(out.splitlines()) == 1, "in a log the last line is one line"
