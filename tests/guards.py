"""`make test-guards`: each guarantee of GUARANTEES.md has a test that fails without the line that gives it.

In copies of the tree: the named tests are green; then, a row at a time, the line is replaced by its mutation, and the
row's tests have to fail by an assertion of their own. Exit code 1 where a mutant survives.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
TABLE: Final = Path(__file__).with_name("GUARANTEES.md")
LIMIT: Final = 8.0  # seconds of work a row, by the processors' clock: a busy machine fails no row
PATIENCE: Final = 60.0  # seconds by the wall's, after which a mutant waits for what never comes
WORKERS: Final = 2
# What may not prove a guarantee: comparing lists says that something moved, not what is lost; the others run elsewhere.
BARRED: Final = ("inventory", "long", "alone", "cluster")
_HEADING: Final = "### "
_CODE: Final = re.compile(r"`([^`]+)`")
_SEEN: Final = "ROLLBACK_GUARDS_SEEN"  # the variable that names the file for what `Witness` saw
_QUIET: Final = ("-q", "-p", "no:cacheprovider", "-p", "tests.guards")
_INTERRUPTED: Final = 2  # pytest's code where a file could not be imported or collected
_FAILED: Final = 1


class Row(NamedTuple):
    """A guarantee. ``old`` and ``new`` are whole lines, without indentation; one line differs."""

    name: str
    file: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    tests: tuple[str, ...]


def rows(text: str) -> list[Row]:
    """The rows of GUARANTEES.md. Raises ValueError where one does not read.

    A row is a heading, a line of code spans (the file, then the tests), and a fenced diff of one line.
    """
    found = []
    for section in re.split(rf"^{_HEADING}", text, flags=re.M)[1:]:
        name, _, rest = section.partition("\n")
        said, fence, diff = rest.partition("```diff\n")
        diff, end, after = diff.partition("\n```")
        if not (fence and end) or "```" in after:
            raise ValueError(f"{name}: one fenced diff is needed")
        spans = _CODE.findall(said)
        lines = [(line[:1], line[1:].strip()) for line in diff.splitlines()]
        if sorted(sign for sign, _ in lines if sign != " ") != ["+", "-"]:
            raise ValueError(f"{name}: the diff must replace one line by one")
        if len(spans) < 2 or not all("::" in test for test in spans[1:]) or len(spans) > 4:
            raise ValueError(f"{name}: a file and one to three tests are needed")
        old, new = (tuple(line for sign, line in lines if sign in (" ", kept)) for kept in "-+")
        found.append(Row(name.strip(), spans[0], old, new, tuple(spans[1:])))
    return found


def places(row: Row, source: str) -> list[int]:
    """The lines, from 0, at which the row's text begins. It holds wherever the text is found once."""
    lines = [line.strip() for line in source.splitlines()]
    return [i for i in range(len(lines)) if tuple(lines[i : i + len(row.old)]) == row.old]


def mutated(row: Row, source: str) -> str:
    """The source with the row's mutation, indented as the line is. Raises ValueError unless its text is found once."""
    at = places(row, source)
    if len(at) != 1:
        raise ValueError(f"{row.file} has the text {len(at)} times")
    lines = source.splitlines(keepends=True)
    for i, (old, new) in enumerate(zip(row.old, row.new, strict=True), at[0]):
        if old != new:
            lines[i] = lines[i].replace(old, new)
    return "".join(lines)


# -- within pytest


class Witness:
    """What a run of named tests showed: barred tests, and each failure with whether an assertion of a test made it."""

    def __init__(self, file: Path) -> None:
        self._file, self._barred = file, set[str]()
        self._failures: list[dict[str, Any]] = []

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        self._barred = {i.nodeid for i in items if any(i.get_closest_marker(name) for name in BARRED)}

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: Any) -> None:
        assert call.excinfo is not None
        of_a_test = call.when == "call" and _asserted(call.excinfo.value)
        self._failures.append({"when": call.when, "asserted": of_a_test, "said": call.excinfo.exconly()[:200]})

    def pytest_sessionfinish(self) -> None:
        seen = {"barred": sorted(self._barred), "failures": self._failures, "work": sum(os.times()[:4])}
        text = json.dumps(seen)
        self._file.write_text(text, encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """This module is the plugin of the runs that it starts."""
    if (file := os.environ.get(_SEEN)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Witness(Path(file)))


def _asserted(error: BaseException) -> bool:
    """Whether a test said so: an assertion of ours, not of the product; ``pytest.fail``, and what was not raised."""
    if isinstance(error, BaseExceptionGroup):  # hypothesis found several
        return any(_asserted(one) for one in error.exceptions)
    if isinstance(error, pytest.fail.Exception):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    file = Path(last.tb_frame.f_code.co_filename) if last is not None else Path()
    return isinstance(error, AssertionError) and "tests" in file.parts


# -- around it


class Ran(NamedTuple):
    """How a run of tests ended. ``code`` None: not within its time. ``seen``: by `Witness`, if it came to its end."""

    code: int | None
    said: str
    seen: Mapping[str, Any]

    @property
    def work(self) -> float:
        """Seconds of work, its child processes' with it."""
        return float(self.seen.get("work", 0.0))


class Copy:
    """A copy of the tree as it is now, of what git knows; nothing in it is imported from elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        for name in _tracked():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)

    def write(self, name: str, text: str) -> None:
        """Replace a file. Two writes within a second are one to Python's cache, so it forgets the file."""
        path = self.root / name
        path.write_text(text, encoding="utf-8", newline="")
        for old in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            old.unlink()

    def pytest(self, tests: Sequence[str], *more: str, limit: float) -> Ran:
        """Run these tests in the copy."""
        file = self.root / "guards-seen.json"
        file.unlink(missing_ok=True)
        environ = {**os.environ, "PYTHONPATH": str(self.root), _SEEN: str(file)}
        command = (sys.executable, "-m", "pytest", *_QUIET, *more, *tests)
        with subprocess.Popen(
            command, cwd=self.root, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=limit)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with the kubectls that it started
                said, code = process.communicate()[0], None
        seen = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return Ran(code, said, seen)


def _tracked() -> list[str]:
    done = subprocess.run(
        ("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def verdict(ran: Ran) -> str:
    """Why the mutant is not known to have died of a test's assertion; empty where it has."""
    failures = ran.seen.get("failures", [])
    if ran.code is None:
        return f"its tests did not end within {PATIENCE:.0f} s"
    if ran.work > LIMIT:
        return f"its tests take {ran.work:.0f} s of work, of {LIMIT:.0f}"
    if ran.code == 0:
        return "it SURVIVES"
    if ran.code == _INTERRUPTED or any(f["when"] == "collect" for f in failures):
        return "it dies at import or collection, so nothing is shown"
    if ran.code != _FAILED:
        return f"pytest ended with {ran.code}"
    if not any(f["asserted"] for f in failures):
        return "no test's own assertion failed: " + "; ".join(f["said"] for f in failures)
    return ""


def _green(copy: Copy, found: Sequence[Row]) -> str:
    """Why the tests prove nothing as they are; empty where they pass."""
    tests = sorted({test for row in found for test in row.tests})
    barred = copy.pytest(tests, "--collect-only", limit=PATIENCE)
    if barred.code != 0:
        return f"not all tests are found:\n{barred.said}"
    if names := barred.seen["barred"]:
        return f"these may not be named here ({', '.join(BARRED)}): {', '.join(names)}"
    ran = copy.pytest(tests, "-n", str(WORKERS), limit=5 * PATIENCE)
    return "" if ran.code == 0 else f"the tests are not green without any mutation:\n{ran.said}"


def _mutants(found: Sequence[Row], copies: Sequence[Copy]) -> Iterator[tuple[Row, str, float]]:
    """Each row, why it is not guarded, and how much work its tests were."""
    free: SimpleQueue[Copy] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(row: Row) -> tuple[Row, str, float]:
        copy = free.get()
        source = (copy.root / row.file).read_text(encoding="utf-8")
        try:
            copy.write(row.file, mutated(row, source))
            ran = copy.pytest(row.tests, "-x", limit=PATIENCE)
            return row, verdict(ran), ran.work
        except ValueError as error:
            return row, str(error), 0.0
        finally:
            copy.write(row.file, source)
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(one, found)


def main(wanted: Sequence[str]) -> int:
    """Try the rows whose names hold one of the words, or all; 1 where one is not guarded."""
    began = time.monotonic()
    found = [r for r in rows(TABLE.read_text(encoding="utf-8")) if not wanted or any(w in r.name for w in wanted)]
    with tempfile.TemporaryDirectory(prefix="rollback-guards-") as folder:
        copies = [Copy(Path(folder) / str(number)) for number in range(WORKERS)]
        if why := _green(copies[0], found):
            print(why)
            return 1
        bad = 0
        for row, why, seconds in _mutants(found, copies):
            bad += bool(why)
            said = f"NOT GUARDED: {why}" if why else "guarded"
            print(f"{seconds:4.1f} s  {row.name}: {said}", flush=True)
    print(f"{len(found) - bad} of {len(found)} guarantees are guarded; {time.monotonic() - began:.0f} s.")
    return 1 if bad or not found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
