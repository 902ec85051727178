"""The names that modules had before the core was put into packages, for `make test-old` (a plugin of pytest there).

Tests of today import `rollback_lib.core.run.lock`; the code of before has `rollback_lib.core.lock`. Where the older
checkout has not the module of today, the older one stands in for it: the very module where it was one, and one that
looks in each where definitions of several came together.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

# package of today → module of today → where that stood before: below `core` for the packages of the core
BEFORE: Final = {
    "adapters": {
        "git_program": "adapters.git",
        "jenkins_http": "adapters.jenkins",
        "kubernetes_http": "adapters.kubernetes",
    },
    "collectors": {"threads": "collectors.asking"},
    "releases": {"proving": "stages.images", "resolving": "stages.resolve"},
    "core.evidence": {
        "findings": "findings",
        "logs": "log_scan",
        "monitoring": "monitoring",
        "saved": "evidence",
        "smoke": "smoke",
        "test_reports": "results",
        "workloads": "detect",
    },
    "core.health.pods": {
        "causes": "health.pod_causes",
        "containers": "health.containers",
        "events": "health.events",
        "newest": "health.newest",
        "pods": "health.pods",
        "reading": "health.reading",
        "report": "health.report",
        "rounds": "health.rounds",
        "troubles": "health.troubles",
    },
    "core.images": {
        "ladder": "image_ladder",
        "reference": "image_reference",
        "registry_answers": "registry_answers",
        "rungs": "image_rungs",
    },
    "core.jenkins": {
        "answers": "jenkins_answers",
        "config": "jenkins_config",
        "news": "following",
        "job": "jenkins_job",
        "loop_guard": "loop_guard",
        "page": "jenkins_page",
        "upstream": "upstream",
    },
    "core.kube": {
        "go_json": "go_json",
        "json_patch": "json_patch three_way",
        "kinds": "resources",
        "kubeconfig": "kubeconfig",
        "marks": "three_way decide resources",
        "objects": "resources",
        "owners": "owners",
        "references": "references",
        "server_answers": "server_answers",
        "snapshot": "snapshot plan",
    },
    "core.manifests": {
        "bots": "bots run",
        "documents": "documents",
        "grouping": "grouping run",
        "inventory": "contents",
        "manifest_objects": "manifests",
        "naming": "naming",
        "overlay": "overlay",
        "placeholders": "placeholders",
        "scalars": "scalars",
        "services": "services",
        "shapes": "shapes",
        "splice": "splice",
        "tree": "tree",
    },
    "core.plan": {
        "aftermath": "aftermath",
        "beginnings": "beginnings",
        "decide": "decide",
        "differences": "differences",
        "drafts": "planning",
        "dry_run": "dry_run",
        "leaving": "leaving",
        "model": "plan",
        "orphans": "orphans",
        "recreate": "recreate",
        "retag": "retag",
        "text": "plan_text",
        "three_way": "three_way",
        "undo": "before",
    },
    "core.readouts": {
        "demo": "demo_text",
        "history": "history",
        "init": "proposal",
        "layout": "layout",
        "prerequisites": "prerequisites",
        "status": "status",
    },
    "core": {"record": "run"},
    "core.releases": {
        "current": "current run",
        "ledger": "ledger",
        "live": "live",
        "matching": "matching",
        "migrations": "migrations",
        "recording": "recording",
        "tags": "release run matching",
        "target": "target",
    },
    "core.report": {
        "followups": "followups",
        "junit": "junit",
        "last_line": "ending_text",
        "model": "report",
        "notices": "notices",
        "page": "page",
        "pages": "incident",
        "story": "reporting",
        "words": "report_words",
    },
    "core.rights": {"permissions": "permissions"},
    "core.run": {
        "changes": "changes",
        "cluster_copy": "run_copy",
        "journal": "journal",
        "lock": "lock",
        "records": "run",
        "states": "standing",
    },
    "core.settings": {
        "checks": "checks",
        "local_time": "local_time",
        "model": "settings",
        "notify": "notify_settings",
        "parameters": "parameters",
        "reading": "strict",
        "types": "sections",
        "yaml_nodes": "yaml_nodes",
    },
    "core.traffic": {"isolation": "isolation", "maintenance": "maintenance", "slots": "traffic"},
    "pipeline": {
        "background": "beside",
        "holding": "holding",
        "loop": "pipeline",
        "notifications": "telling",
        "run_copy": "run_copy",
    },
}
# name of before → what stood under another name in it, as it is called today
RENAMED: Final = {
    "core.health": {"EarlierRounds": "Seen"},
    "core.standing": {"Circumstances": "Seen"},
    "pipeline": {"IN_BACKGROUND": "BESIDE"},
    "telling": {"Notifications": "Telling"},
}
_ROOT: Final = "rollback_lib."


def _before(name: str) -> Sequence[str]:
    package, _, module = name.removeprefix(_ROOT).rpartition(".")
    start = f"{_ROOT}core." if package.startswith("core") else _ROOT
    return [start + old for old in BEFORE.get(package, {}).get(module, "").split()]


def _is_package(name: str) -> bool:
    short = name.removeprefix(_ROOT)
    return any(package == short or package.startswith(f"{short}.") for package in BEFORE)


class _Several(ModuleType):
    """What stood in several modules."""

    modules: Sequence[ModuleType] = ()

    def __getattr__(self, name: str) -> Any:
        for module in self.modules:
            if name in vars(module):
                return vars(module)[name]
        raise AttributeError(f"no module of before has {name}")


class _Older(MetaPathFinder, Loader):
    """Asked last: only for what the older checkout has not under the name of today."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if not fullname.startswith(_ROOT) or not (_before(fullname) or _is_package(fullname)):
            return None
        return ModuleSpec(fullname, self, is_package=_is_package(fullname))

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found = []
        for name in _before(spec.name):
            try:
                found.append(importlib.import_module(name))
            except ModuleNotFoundError:
                continue
        if len(found) == 1:
            return found[0]
        several = _Several(spec.name)
        several.modules = found
        return several

    def exec_module(self, module: ModuleType) -> None:
        """It is loaded already."""


def stand_in() -> None:
    """Let the names of today be found in the code of before."""
    sys.meta_path.append(_Older())
    for package in BEFORE:
        name = _ROOT + package
        found = importlib.util.find_spec(name)
        if found is not None and found.submodule_search_locations is None:  # a module then, and a package by now
            importlib.import_module(name).__path__ = []  # type: ignore[attr-defined]
    for module, names in RENAMED.items():
        if importlib.util.find_spec(_ROOT + module) is not None:
            found_there = importlib.import_module(_ROOT + module)
            for today, before in names.items():
                if hasattr(found_there, before):
                    setattr(found_there, today, getattr(found_there, before))


stand_in()
