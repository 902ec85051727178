"""GUARANTEES.md cannot rot: its lines are there once, its tests exist. `make test-guards` tries each of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests import guards
from tests.guards import BARRED, ROOT, TABLE, Ran, Row

ROWS = guards.rows(TABLE.read_text(encoding="utf-8"))


@lru_cache
def defined(file: str) -> dict[str, frozenset[str]]:
    """The tests of a file, as pytest names them, each with its marks and those of its file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    of_file = [n for n in tree.body if isinstance(n, ast.Assign) and "pytestmark" in ast.unparse(n.targets[0])]
    shared = marks(of_file)

    def within(body: list[ast.stmt], before: str, more: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from within(node.body, f"{before}{node.name}::", more | marks(node.decorator_list))
            elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{before}{node.name}", more | marks(node.decorator_list)

    return dict(within(tree.body, "", shared))


def marks(nodes: list[ast.Assign] | list[ast.expr]) -> frozenset[str]:
    return frozenset(re.findall(r"pytest\.mark\.(\w+)", " ".join(map(ast.unparse, nodes))))


def test_there_are_as_many_guarantees_as_the_readme_makes() -> None:
    assert len(ROWS) >= 40
    assert len({r.name for r in ROWS}) == len(ROWS)
    assert len({(r.file, r.old, r.new) for r in ROWS}) == len(ROWS), "no mutation counts twice"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_line_of_a_guarantee_is_there_once_and_its_mutation_reads(row: Row) -> None:
    source = (ROOT / row.file).read_text(encoding="utf-8")
    changed = guards.mutated(row, source)
    assert sum(a != b for a, b in zip(source.splitlines(), changed.splitlines(), strict=True)) == 1
    ast.parse(changed)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_tests_of_a_guarantee_are_there_and_count(row: Row) -> None:
    for test in row.tests:
        file, _, name = test.partition("::")
        assert name in defined(file), f"{test} is not there"
        assert not defined(file)[name] & set(BARRED), f"{test} may not be named here"
        assert not file.startswith(("tests/cluster/", "tests/jenkins/")), f"{test} is not in `make test`"


GOOD = "### It holds\n`a.py`: `tests/test_a.py::test_a`\n```diff\n before\n-if x:\n+if False:\n```\n"


def test_a_row_reads_with_the_lines_around() -> None:
    assert guards.rows(f"# Head\n\nWords.\n\n## Part\n\n{GOOD}") == [
        Row("It holds", "a.py", ("before", "if x:"), ("before", "if False:"), ("tests/test_a.py::test_a",))
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("```diff", "```python"), ("\n```\n", "\n"), ("-if x:", " if x:"), ("+if False:", "+if False:\n+pass"),
        ("`a.py`: `tests/test_a.py::test_a`", "`a.py`"), ("tests/test_a.py::test_a", "tests/test_a.py"),
        ("::test_a`", "::test_a`, `t::b`, `t::c`, `t::d`"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_whole_is_refused_by_name(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="It holds"):
        guards.rows(GOOD.replace(old, new, 1))


SOURCE = "def f(x):\r\n    before\r\n    if x:\r\n        pass  # | `\r\n    if x:\r\n"


def test_the_one_line_is_replaced_and_everything_else_stays() -> None:
    row = guards.rows(GOOD)[0]
    assert guards.mutated(row, SOURCE) == SOURCE.replace("if x:", "if False:", 1)


@pytest.mark.parametrize("times", [0, 2])
def test_a_text_that_is_not_there_once_is_refused(times: int) -> None:
    row = guards.rows(GOOD)[0]
    with pytest.raises(ValueError, match=f"{times} times"):
        guards.mutated(row, "    before\n    if x:\n" * times)


ASSERTED = {"when": "call", "asserted": True, "said": "AssertionError: no"}
RAISED = {"when": "call", "asserted": False, "said": "KeyError: 'a'"}
BROKEN = {"when": "collect", "asserted": False, "said": "ImportError: b"}


@pytest.mark.parametrize(
    ("code", "failures", "said"),
    [
        (1, [ASSERTED], ""),
        (1, [RAISED, ASSERTED], ""),
        (0, [], "SURVIVES"),
        (1, [RAISED], "no test's own assertion failed: KeyError: 'a'"),
        (1, [{**ASSERTED, "when": "setup", "asserted": False}], "no test's own assertion failed"),
        (1, [BROKEN, ASSERTED], "dies at import or collection"),
        (2, [BROKEN], "dies at import or collection"),
        (4, [], "pytest ended with 4"),
        (None, [], "did not end"),
    ],
)
def test_only_an_assertion_of_a_test_is_a_death(code: int | None, failures: list[dict[str, object]], said: str) -> None:
    found = guards.verdict(Ran(code, "", {"failures": failures, "work": 7.9}))
    assert said in found
    assert bool(said) == bool(found)


def test_a_row_has_its_time() -> None:
    assert guards.verdict(Ran(1, "", {"failures": [ASSERTED], "work": 8.1})) == "its tests take 8 s of work, of 8"


def test_an_assertion_of_the_product_is_none_of_a_test(tmp_path: Path) -> None:
    ours = compile("assert 1 == 2", str(ROOT / "rollback_lib" / "x.py"), "exec")
    mine = compile("assert 1 == 2", str(ROOT / "tests" / "x.py"), "exec")

    def raised(code: object) -> BaseException:
        try:
            exec(code)  # type: ignore[arg-type]
        except AssertionError as error:
            return error
        raise LookupError

    assert guards._asserted(raised(mine))
    assert not guards._asserted(raised(ours))
    assert guards._asserted(ExceptionGroup("several", [KeyError(), raised(mine)]))
    with pytest.raises(pytest.fail.Exception) as failed, pytest.raises(KeyError):
        pass
    assert guards._asserted(failed.value), "what was not raised"
