"""`make test-old`: what a test does on an older checkout's code, told apart, in a small repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import older
from tests.older import Result

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")

TESTS = """\
import sys
from pathlib import Path
import pytest
import rollback_lib

def test_asserts(): assert rollback_lib.answer() == 2
def test_does_not_raise():
    with pytest.raises(ValueError): rollback_lib.answer()
def test_raises(): 1 / (rollback_lib.answer() - 1)
def test_lacks(): rollback_lib.newer()
def test_passes(): assert Path(rollback_lib.__file__).parents[1] == Path(__file__).parents[1]
class TestGroup:
    @pytest.mark.parametrize("number", [1, 2])
    def test_one(self, number): assert rollback_lib.answer() == number
@pytest.fixture
def broken(): raise OSError("no room")
def test_fixture(broken): pass
@pytest.mark.skip
def test_skipped(): pass
"""


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Shop Team", "-c", "user.email=team@shop.example")
    return subprocess.run(
        ("git", *who, *arguments), cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Its first commit answers 1, and what is checked out answers 2 and has tests for that."""
    root = tmp_path / "here"
    files = {
        "rollback_lib/__init__.py": "def answer(): return 1\n", "tests/test_old.py": "def test_old(): pass\n",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\n",
    }  # fmt: skip
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=old")
    (root / "rollback_lib/__init__.py").write_text("def answer(): return 2\ndef newer(): pass\n")
    (root / "tests/test_old.py").unlink()
    (root / "tests/test_new.py").write_text(TESTS)
    (root / "tests/test_import.py").write_text("from rollback_lib import newer\n")
    return root


def test_each_way_in_which_a_test_ends_on_the_older_code_is_told_apart(root: Path, tmp_path: Path) -> None:
    older.older(root, "HEAD", tmp_path)
    assert not (tmp_path / "tests/test_old.py").exists(), "the tests are this checkout's"
    found = older.run(tmp_path, ["tests/test_new.py", "tests/test_import.py"])
    assert {r.test.removeprefix("tests/test_new.py::"): r.verdict for r in found} == {
        "test_asserts": "fails", "test_does_not_raise": "fails", "test_raises": "raises", "test_lacks": "lacks",
        "test_passes": "passes", "TestGroup::test_one[1]": "passes", "TestGroup::test_one[2]": "fails",
        "test_fixture": "error", "test_skipped": "skipped", "tests/test_import.py": "error",
    }  # fmt: skip
    why = {r.test: r.why for r in found}
    assert "cannot import name 'newer'" in why["tests/test_import.py"]
    assert "no room" in why["tests/test_new.py::test_fixture"]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (["tests/a.py"], []),
        (["tests/a.py::test_a"], []),
        (["tests/a.py::test_a[x]", "tests/a.py::test_b"], ["tests/a.py::test_b"]),
        (["tests/a.py::test"], ["tests/a.py::test"]),
        (["tests/b.py"], ["tests/b.py"]),
        (["tests"], ["tests/b.py"]),
        (["tests/c.py"], ["tests/b.py", "tests/c.py"]),
    ],
)
def test_a_word_is_proven_by_a_test_of_it_that_fails(named: list[str], left: list[str]) -> None:
    results = [
        Result("tests/a.py::test_a[x]", "fails"), Result("tests/a.py::test_b", "lacks"),
        Result("tests/a.py::test_c", "passes"), Result("tests/b.py", "error"),
    ]  # fmt: skip
    if "tests/a.py" in named[0]:
        results.pop()
    assert older.unproven(named, results) == left


@pytest.mark.parametrize("ref", ["v9.9.9", "0" * 40, "", "--all"])
def test_a_commit_that_git_does_not_have_is_said(root: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(older.NotThereError, match="has only the newest"):
        older.older(root, ref, tmp_path)


def test_the_command_says_which_words_nothing_fails_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    assert older.main(["HEAD", "tests/test_new.py::test_asserts", "tests/test_new.py::test_passes"]) == 1
    said = capsys.readouterr().out
    assert "fails   tests/test_new.py::test_asserts  (assert 1 == 2" in said
    assert "tests/test_new.py::test_passes: 1 passes - NOTHING THAT FAILS" in said
    assert older.main(["v9", "tests/test_new.py"]) == 2
    assert older.main([""]) == 2
    assert older.main(["HEAD"]) == 2
