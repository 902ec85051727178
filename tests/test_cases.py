"""Every test that `tests/CASES.md` names is one that pytest collects: a case whose test was renamed is held by nobody.

The files are parsed, not imported: it costs no time, and the tests on the real cluster are looked up too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = (TESTS / "CASES.md").read_text(encoding="utf-8")
_QUOTED = re.compile(r"`([^`]+)`")
_FILE = re.compile(r"(?:[\w-]+/)*test_\w+\.py")
_NAME = re.compile(r"(?P<file>[\w/-]+\.py)::(?P<test>\w+(?:::\w+)?)(?:\[(?P<id>.+)\])?")


@cache
def collected(file: Path) -> frozenset[str]:
    """What pytest collects from a test file: functions, classes, and their methods, inherited ones too."""
    if not file.is_file() or not file.name.startswith("test_"):
        return frozenset()
    return frozenset(_tests(ast.parse(file.read_text(encoding="utf-8"))))


def _tests(tree: ast.Module) -> Iterator[str]:
    bases: dict[str, Path] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
            source = TESTS.parent / Path(*str(node.module).split(".")).with_suffix(".py")
            bases |= {alias.asname or alias.name: source for alias in node.names}
        elif _is_test(node):
            yield node.name
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node.name
            yield from (f"{node.name}::{name}" for name in _methods(node, bases))


def _methods(node: ast.ClassDef, bases: dict[str, Path]) -> Iterator[str]:
    yield from (each.name for each in node.body if _is_test(each))
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in bases:
            for above in ast.parse(bases[base.id].read_text(encoding="utf-8")).body:
                if isinstance(above, ast.ClassDef) and above.name == base.id:
                    yield from _methods(above, {})


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def wrong(table: str, tests: Path = TESTS) -> list[str]:
    """What the table's rows name and nobody collects, and the rows that name nothing."""
    found = []
    for row in table.splitlines():
        if not row.startswith("| ") or row.startswith(("| Case ", "| What ")):
            continue
        quoted = _QUOTED.findall(row)
        meant = [q for q in quoted if "::" in q or _FILE.fullmatch(q) or ("…" in q and "test" in q)]
        if not meant:
            found.append(f"names no test: {row[:60]}")
        found += [why for name in meant if (why := _why_not(name, tests))]
    return found


def _why_not(name: str, tests: Path) -> str:
    """Why a name leads to no test; empty where it does."""
    named = _NAME.fullmatch(name)
    if named is None and not _FILE.fullmatch(name):
        return f"is not whole: {name}"
    file = tests / (named["file"] if named else name)
    there = collected(file)
    if not there:
        return f"is no file with tests: {name}"
    if named is None:
        return ""
    if named["test"] not in there:
        return f"is not collected: {name}"
    if named["id"] and named["id"] not in file.read_text(encoding="utf-8"):
        return f"has no such parameter: {name}"
    return ""


def test_every_test_that_a_case_names_is_collected() -> None:
    assert wrong(TABLE) == []


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("`test_cases.py::test_every_test_that_a_case_names_is_collected`", []),
        ("`test_cases.py`", []),
        ("`adapters/test_git.py::TestTags`, and with CRLF", []),
        ("`sandbox/test_contract.py::TestSandbox`", []),
        ("`test_cases.py::test_gone`", ["is not collected: test_cases.py::test_gone"]),
        ("`test_cases.py::collected`", ["is not collected: test_cases.py::collected"]),
        ("`test_gone.py::test_a`", ["is no file with tests: test_gone.py::test_a"]),
        ("`fakes.py`", ["names no test: | D0 | x | `fakes.py` |"]),
        ("`fakes.py::FakeClock`", ["is no file with tests: fakes.py::FakeClock"]),
        ("`test_cases.py::test_every_…`", ["is not whole: test_cases.py::test_every_…"]),
        ("`…test_every`", ["is not whole: …test_every"]),
        ("`a.b`, and nothing else", ["names no test: | D0 | x | `a.b`, and nothing else |"]),
    ],
)
def test_what_a_row_names_and_is_not_there_is_said(cell: str, said: list[str]) -> None:
    assert wrong(f"| Case | What |\n|---|---|\n| D0 | x | {cell} |\n") == said


def test_a_parameter_is_one_of_its_file() -> None:
    (why,) = wrong("| D0 | x | `test_cases.py::test_a_parameter_is_one_of_its_file[" + "in" + "vented]` |")
    assert why.startswith("has no such parameter")


def test_what_a_test_class_inherits_is_collected() -> None:
    assert "TestSandbox" in collected(TESTS / "sandbox/test_contract.py")
    assert [n for n in collected(TESTS / "sandbox/test_contract.py") if n.startswith("TestSandbox::test_")]
