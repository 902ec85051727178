"""Where the program comes from: our name is resolved nowhere, locks name no index, and silence is no good news."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from supply import lock
from supply.audit import KNOWN, NONE_KNOWN, NOT_ASKED, verdict

ROOT = Path(__file__).parents[1]


def tracked() -> list[str]:
    out = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout
    return [name for name in out.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_that_we_write_has_our_name_looked_up() -> None:
    by_name = re.compile(
        r"(?:pipx?3?|uv(?: tool| pip)?) (?:install|run|download|wheel)\b[^\n#`]*\brollback[-_]lib\b(?!\.lock)"
    )
    texts = {
        name: (ROOT / name).read_text(encoding="utf-8", errors="replace")
        for name in tracked()
        if name != "tests/test_supply.py"
    }
    assert by_name.search("pip install --quiet 'rollback-lib[notify]'")
    assert by_name.search("pipx install rollback-lib ")
    assert {name: found[0] for name, text in texts.items() if (found := by_name.search(text))} == {}


def test_every_install_of_the_pipeline_and_of_the_agent_is_offline_and_by_hash() -> None:
    wanted = {"--isolated", "--no-index", "--find-links", "--require-hashes", "-r"}
    for name, steps in (("Jenkinsfile.rollback", 2), ("jenkins/Dockerfile", 1)):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\\\n", "").replace("\\\n", "")
        installs = [line for line in text.splitlines() if re.search(r"\bpip\b.*\binstall\b", line)]
        assert len(installs) == steps, name
        assert [wanted - set(line.split()) for line in installs] == [set()] * steps, name


@pytest.mark.parametrize("name", ["build", "run", "dev"])
def test_a_lock_names_no_address_and_pins_all_that_it_names(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    assert "/" not in text
    assert {line.split(" ")[0] for line in text.splitlines()} - {""} == set(
        re.findall(r"^[a-z0-9-]+==\S+(?=.* \\\n +--hash=sha256:)", text, re.MULTILINE)
    )


@pytest.mark.parametrize(
    "line",
    [
        "click==8.5.1\n",
        "click>=8\n",
        "--index-url https://index.example/simple\n",
        "git+https://git.example/x@main\n",
        "-r more.txt\n",
    ],
)
def test_a_lock_with_anything_else_is_not_read(line: str) -> None:
    pinned = f"a==1 \\\n    --hash=sha256:{'0' * 64}\n"
    assert [pin.name for pin in lock.read(pinned)] == ["a"]
    with pytest.raises(ValueError, match="not a lock"):
        lock.read(pinned + line)


FINE = {"name": "click", "version": "8.5.1", "vulns": []}
BAD = {"name": "idna", "version": "3.1", "vulns": [{"id": "X-1", "fix_versions": ["3.7"]}]}
UNMENDED = {"name": "idna", "version": "3.1", "vulns": [{"id": "X-2", "fix_versions": []}]}
SILENT = {"name": "pbr", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ([FINE], NONE_KNOWN, "1 of 1 were asked about, 0 advisories."),
        ([FINE, BAD], KNOWN, "idna 3.1: X-1, mended in 3.7"),
        ([UNMENDED], KNOWN, "idna 3.1: X-2, mended in no version yet"),
        ([FINE, SILENT], NOT_ASKED, "Not audited, since the index of advisories does not answer for them: pbr."),
        ([BAD, SILENT], KNOWN, "Not audited, since the index of advisories does not answer for them: pbr."),
        ([], NOT_ASKED, "0 of 0 were asked about, 0 advisories."),
    ],
)
def test_an_audit_is_clean_only_where_everything_was_asked_about(found: list[object], code: int, said: str) -> None:
    told = verdict(json.dumps({"dependencies": found, "fixes": []}), "")
    assert told.code == code
    assert said in told.lines


@pytest.mark.parametrize("out", ["", "<html>", "[]", "{}"])
def test_an_index_of_advisories_that_cannot_be_asked_is_said(out: str) -> None:
    told = verdict(out, "Traceback\nConnectionError: no route\n")
    assert told == (NOT_ASKED, ("Not audited: no index of advisories could be asked.", "ConnectionError: no route"))


def made_with(version: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """`make` with a Python that says it is this one."""
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -c ] && exec "{sys.executable}" -c "import sys; sys.version_info = ({version}); $2"\n'
        'echo "asked for $*"; exit 9\n'
    )
    fake.chmod(0o755)
    command = ("make", "--silent", f"PYTHON={fake}", f"VENV={tmp_path / 'venv'}", f"{tmp_path / 'venv'}/.done")
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("version", ["2, 7, 18", "3, 6, 15", "3, 10, 13"])
def test_a_python_that_is_too_old_is_told_so_by_make(version: str, tmp_path: Path) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    done = made_with(version, tmp_path)
    own = ".".join(version.split(", ")[:2])
    assert done.returncode != 0
    assert done.stdout == ""
    assert f"needs Python {wanted.removeprefix('>=')} or newer, and {tmp_path}/python is {own}: " in done.stderr


@pytest.mark.parametrize("version", ["3, 11, 0", "3, 14, 1", "4, 0, 0"])
def test_a_python_that_is_new_enough_is_used(version: str, tmp_path: Path) -> None:
    assert made_with(version, tmp_path).stdout == f"asked for -m venv {tmp_path}/venv\n"
