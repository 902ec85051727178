"""The house: where imports may go, how deep and how large a room is. `make check` holds the contracts themselves."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rollback_lib.core.reasons import Reason

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rollback_lib"
DEEP, MANY, LONG, LONG_STAGE = 7, 15, 350, 160


def modules() -> Mapping[str, Path]:
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = modules()


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The modules of ours that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {m if (m := f"{node.module}.{a.name}") in MODULES else node.module for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return frozenset(found & set(MODULES) - {module})


def called(module: str) -> frozenset[str]:
    """The names of functions that a module calls, wherever in it."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    return frozenset(ast.unparse(n.func).rpartition(".")[2] for n in nodes if isinstance(n, ast.Call))


def rooms() -> Mapping[str, frozenset[str]]:
    """The packages of the core, each with its own modules."""
    found: dict[str, set[str]] = {}
    for module, file in MODULES.items():
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        if package.startswith("rollback_lib.core"):
            found.setdefault(package, set()).add(module)
    return {package: frozenset(m) for package, m in found.items()}


@pytest.mark.parametrize("package", sorted(rooms()))
def test_a_package_of_the_core_is_no_maze(package: str) -> None:
    mine = rooms()[package]

    @functools.cache
    def depth(module: str) -> int:
        return 1 + max((depth(m) for m in imports(module) & mine - {package}), default=0)

    assert max(map(depth, mine)) <= DEEP
    assert len(mine - {package}) <= MANY


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    def lines(file: Path) -> int:
        return len(file.read_text(encoding="utf-8").splitlines())

    assert {m: n for m, file in MODULES.items() if (n := lines(file)) > LONG} == {}
    stages = {m: file for m, file in MODULES.items() if m.startswith("rollback_lib.stages.")}
    assert {m: n for m, file in stages.items() if (n := lines(file)) > LONG_STAGE} == {}


def test_no_stage_imports_a_stage_and_no_operation_either() -> None:
    asking = [m for m in MODULES if m.startswith(("rollback_lib.stages.", "rollback_lib.operations."))]
    found = {(m, i) for m in asking for i in imports(m) if i.startswith("rollback_lib.stages.")}
    assert found == set()


def test_what_make_writes_from_the_models_is_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    programs = re.findall(r' -c "(.+)" > (\S+)', text)
    assert len(programs) == text.count(' -c "')
    for program, file in programs:
        exec(program, {})
        shipped = (ROOT / file.removesuffix(".new")).read_text(encoding="utf-8")
        assert capsys.readouterr().out == shipped, "run `make schema jenkins`"


# Those who ask, whose refusals stand in no plan: a plan is made of what they could tell.
ASKING = ("core.errors", "core.kube.kubeconfig", "core.jenkins.", "adapters.", "operations.")


def test_every_refusal_that_may_stand_in_a_plan_has_a_reason_and_a_subject() -> None:
    made, wordy, used = 0, [], set()
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
                used.add(Reason[node.attr])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                made += 1
                if not {"reason", "subject"} <= {k.arg for k in node.keywords}:
                    wordy.append(f"{module.removeprefix('rollback_lib.')}:{node.lineno}")
    assert made > 40, "they are found"
    assert [m for m in wordy if not m.startswith(ASKING)] == []
    assert set(Reason) - used == set(), "nothing is refused for these"
    assert [r for r in Reason if r.name.lower() != r.value.replace("-", "_")] == []


def test_only_a_plan_that_is_made_gets_a_hash() -> None:
    """One that was stored is believed: what an earlier version made its hash of may be something else."""
    assert {m for m in MODULES if "freeze" in called(m)} == {"rollback_lib.stages.preflight"}


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("core/errors.py", "from rollback_lib.core.plan import model", "core.errors -> rollback_lib.core.plan"),
        ("core/kube/objects.py", "from rollback_lib.core.settings.model import Settings", "core.kube.objects"),
        ("core/run/journal.py", "import requests", "rollback_lib.core.run.journal imports requests"),
        ("core/report/page.py", "import jinja2", "rollback_lib.core.report.page imports jinja2"),
        ("core/names.py", "import subprocess", "rollback_lib.core.names -> subprocess"),
    ],
    ids=["upward", "from a package to a higher one", "a foreign library", "another one", "the world"],
)  # fmt: skip
def test_what_the_contracts_forbid_is_refused(file: str, line: str, said: str, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "rollback_lib", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for name in (".importlinter", "tests/import_contracts.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    broken = tmp_path / "rollback_lib" / file
    text = broken.read_text(encoding="utf-8")
    broken.write_text(f"{text}\n\ndef _late() -> None:\n    {line}\n", encoding="utf-8")
    lint = str(Path(sys.executable).with_name("lint-imports"))
    linted = subprocess.run((lint, "--no-cache"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert linted.returncode == 1
    assert said in " ".join(linted.stdout.split())
