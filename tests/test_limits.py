"""What `conftest.py` holds tests to: how long one may take, how many wait for later, and one seed for all workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest

TESTS = """\
import os
import pytest

def test_takes_its_time(): print("seed", os.environ["ROLLBACK_TEST_SEED"])

@pytest.mark.long
def test_long(): pass

@pytest.mark.alone
def test_alone(): pass
"""


def run(folder: Path, *arguments: str, limit: float = 0.0, **environ: str) -> tuple[int, str]:
    """pytest's code and words for these tests, where a test may take no more than the limit."""
    text = Path(conftest.__file__).read_text(encoding="utf-8")
    assert "LIMIT: Final = 2.0 " in text
    (folder / "conftest.py").write_text(
        text.replace("LIMIT: Final = 2.0 ", f"LIMIT: Final = {limit} "), encoding="utf-8"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    long\n    alone\n", encoding="utf-8")
    for name in ("test_here.py", "cluster/test_there.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(TESTS, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(("PYTEST_", "ROLLBACK_TEST_"))}
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", *arguments), cwd=folder,
        env=kept | environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


SLOW = re.compile(r"s \(allowed 0\.0 s\)  (\S+)")


@pytest.mark.parametrize(("ci", "code"), [({}, 0), ({"CI": "true"}, 1)], ids=["here", "in the gate"])
def test_what_takes_too_long_is_named_and_fails_in_the_gate(tmp_path: Path, ci: dict[str, str], code: int) -> None:
    ended, said = run(tmp_path, **ci)
    assert ended == code, said
    assert "6 passed" in said
    assert SLOW.findall(said) == ["test_here.py::test_takes_its_time"]


def test_what_takes_no_longer_is_not_named(tmp_path: Path) -> None:
    ended, said = run(tmp_path, limit=60.0, CI="true")
    assert (ended, "longer than" in said) == (0, False), said


@pytest.mark.long
@pytest.mark.parametrize("faults", ["", "pairs"])
def test_workers_share_the_seed_and_what_is_long_or_slow_is_told_once(tmp_path: Path, faults: str) -> None:
    ended, said = run(tmp_path, "-n", "2", "-m", "not long", "-rP", CI="true", ROLLBACK_TEST_FAULTS=faults)
    slow = [] if faults else ["test_here.py::test_takes_its_time"]  # whole runs take their time
    assert (ended, SLOW.findall(said)) == (len(slow), slow), said
    assert "2 tests are long: make test-faults runs them." in said
    seeds = set(re.findall(r"^seed (\d+)$", said, re.M))
    assert len(seeds) == 1
    drawn = re.findall(r"Drawn with ROLLBACK_TEST_SEED=(\d+): set it to draw the same again", said)
    assert drawn == (list(seeds) if faults else [])


def test_a_machine_that_is_busy_gives_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    for load, times in ((0.3, 1.0), (1.9, 1.0), (5.0, 2.5)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 9.0, 9.0), raising=False)
        assert conftest.busy() == times
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 9.0, 9.0), raising=False)
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    assert conftest.busy() == 1.5
