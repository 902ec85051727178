"""Runs tests of this checkout against an older one's code, to see that they fail there.

    make test-old REF=64a6d43 TESTS="tests/test_new.py tests/cli/test_other.py::test_one"

In a temporary folder stands the older checkout as git has it, with this one's `tests/`, `pyproject.toml` and sandbox (a
double: it knows nothing of the product) in place of its own. Of each test it is said what it does there:

    fails   an assertion fails: the older code does not do what the test asks
    raises  something else is raised, by its name: look whether that is the fault that is meant
    lacks   the older code has not what the test uses (ImportError, AttributeError, …): that proves nothing
    error   it does not come to the test itself: a fixture, or the collection
    passes, skipped

All but what passes is listed, and each word of TESTS counted. Exit code 0: each word has a test that fails or raises,
and all that is named was collected. 1: not so. 2: git does not have REF, or nothing is named.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

FOLDERS: Final = ("tests", "rollback_lib/sandbox")
FAILS, RAISES, LACKS, ERROR, PASSES, SKIPPED = "fails", "raises", "lacks", "error", "passes", "skipped"
_LACKS: Final = ("ImportError", "ModuleNotFoundError", "AttributeError", "NameError")
_ASSERTED: Final = ("AssertionError", "assert ", "Failed:")


class Result(NamedTuple):
    """What one test does on the older code. ``test`` is ``file::name``, with its class and its parameters."""

    test: str
    verdict: str
    why: str = ""


class NotThereError(Exception):
    """git does not have what is asked for."""


def older(root: Path, ref: str, into: Path) -> str:
    """Put the older checkout into a folder, with our tests; its commit. Raises NotThereError."""
    named = subprocess.run(
        ("git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"), cwd=root, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    commit = named.stdout.strip()
    if not ref or ref.startswith("-") or not commit:
        raise NotThereError(
            f"git has no commit {ref!r} here: a shallow clone has only the newest (git fetch --unshallow)"
        )
    packed = subprocess.run(("git", "archive", "--format=tar", commit), cwd=root, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(into, filter="data")
    for folder in FOLDERS:
        shutil.rmtree(into / folder, ignore_errors=True)
        if (root / folder).is_dir():
            left_out = shutil.ignore_patterns("__pycache__", ".*_cache")
            shutil.copytree(root / folder, into / folder, ignore=left_out)
    shutil.copyfile(root / "pyproject.toml", into / "pyproject.toml")
    return commit


def run(folder: Path, tests: Sequence[str]) -> list[Result]:
    """What each of the tests does in the folder."""
    report = folder / "junit.xml"
    command = (
        sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", *_names(folder),
        "-o", "junit_family=xunit1",
        "--continue-on-collection-errors", f"--junitxml={report}", *tests,
    )  # fmt: skip
    # The folder first: the package that is installed is this checkout's.
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if not report.exists():
        return [Result(test, ERROR, (done.stderr or done.stdout).strip().splitlines()[-1]) for test in tests]
    return list(_results(ElementTree.parse(report).getroot()))


def _names(folder: Path) -> Sequence[str]:
    """The plugin that finds modules of today under the names that they had (`tests.older_names`)."""
    return ("-p", "tests.older_names") if (folder / "tests" / "older_names.py").exists() else ()


def _results(report: ElementTree.Element) -> Iterator[Result]:
    for case in report.iter("testcase"):
        file, name = case.get("file", ""), case.get("name", "")
        module = file.removesuffix(".py").replace("/", ".")
        classes = case.get("classname", "").removeprefix(module).strip(".").replace(".", "::")
        if not case.get("classname"):  # what was not collected: its name is the module's
            file, name = name.replace(".", "/") + ".py", ""
        yield Result("::".join(part for part in (file, classes, name) if part), *_verdict(case))


def _verdict(case: ElementTree.Element) -> tuple[str, str]:
    problem = next((one for kind in ("failure", "error") if (one := case.find(kind)) is not None), None)
    if problem is None:
        return (SKIPPED, "") if case.find("skipped") is not None else (PASSES, "")
    why = (problem.get("message") or "").strip().partition("\n")[0]
    if problem.tag == "error":
        said = [line for line in (problem.text or "").splitlines() if line.startswith("E ")]
        return ERROR, (said[-1][1:].strip() if said else why)
    if why.startswith(_ASSERTED):
        return FAILS, why
    return (LACKS if why.startswith(_LACKS) else RAISES), why


def unproven(named: Sequence[str], results: Sequence[Result]) -> list[str]:
    """The words that have no test that fails, and what was not collected."""
    lost = [r.test for r in results if r.verdict == ERROR and "::" not in r.test]
    failing = [r.test for r in results if r.verdict in (FAILS, RAISES)]
    return [*lost, *(n for n in named if n not in lost and not any(_of(test, n) for test in failing))]


def _of(test: str, named: str) -> bool:
    return test == named or test.startswith((f"{named}::", f"{named}[", f"{named.rstrip('/')}/"))


def main(arguments: Sequence[str]) -> int:
    ref, *tests = arguments or ("",)
    if not ref or not tests:
        print('Say which commit and which tests: make test-old REF=64a6d43 TESTS="tests/test_new.py"')
        return 2
    with tempfile.TemporaryDirectory(prefix="older-") as temporary:
        folder = Path(temporary).resolve()
        try:
            commit = older(Path.cwd(), ref, folder)
        except NotThereError as error:
            print(error)
            return 2
        results = run(folder, tests)
    for result in results:
        if result.verdict != PASSES:
            print(f"{result.verdict:8}{result.test}" + (f"  ({result.why[:150]})" if result.why else ""))
    left = unproven(tests, results)
    print(f"On {commit[:12]}:")
    for name in dict.fromkeys([*tests, *left]):
        counts = ", ".join(_counts([r for r in results if _of(r.test, name)])) or "nothing of it is known there"
        print(f"  {name}: {counts}" + (" - NOTHING THAT FAILS" if name in left else ""))
    return 1 if left else 0


def _counts(results: Sequence[Result]) -> Iterator[str]:
    for verdict in (FAILS, RAISES, LACKS, ERROR, PASSES, SKIPPED):
        if number := sum(r.verdict == verdict for r in results):
            yield f"{number} {verdict}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
