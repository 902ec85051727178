"""Whole runs on the sandbox, and of each what was decided and written: no word of it. As JSON, for `test_words`.

``python -m tests.unreadable_runs [unreadable]``: in a process of its own, since with ``unreadable`` the product is
imported without its sentences (`tests.unreadable`).
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests import unreadable

if TYPE_CHECKING:
    from tests.cli.desk import Desk
    from tests.command_line import Ended

# What differs from run to run: run ids, uids, digests and fingerprints, times, and where the sandbox listens.
_OWN = re.compile(
    r"\d{8}-\d{6}-[a-z]+-[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{40,}|(?<=:)\d{4,5}\b"
    r"|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)"
)


class Runs:
    """The scenarios. Each is a list of commands; what it gives is by command."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._file = desk.playground.repository / "rollback.yaml"

    def one(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """One command: its code, what it decided by its run directory, and the decisions of its JSON."""
        before = self.desk.runs()
        ended = self.desk.rollback(*arguments, **environ)
        there = self.desk.runs()
        found = there[-1] if there and (there != before or arguments[0] in ("stage", "resume")) else None
        given = {"command": _neutral(" ".join(arguments[:2])), "code": ended.code}
        return given | (_decided(found) if found else {}) | (_said(ended) if "json" in arguments else {})

    def ends_well(self) -> Iterator[dict[str, Any]]:
        from tests.cli.desk import WORKER

        yield self.one("run", "--to", "v1.1.0", "--yes", "--accept", WORKER)
        yield self.one("status", "--output", "json")
        yield self.one("run", "--yes", "--output", "json")  # nothing to do
        yield self.one("run", "--to", "v1.2.0", "--yes", "--output", "json")  # in quarantine
        yield self.one("record-release", "--release", "v1.1.0", "--output", "json")
        yield self.one("history", "--output", "json")
        yield self.one("guard", "--release", "v1.2.0", "--output", "json")
        yield self.one("undo", self.desk.runs()[0].name, "--yes", "--output", "json")
        yield self.one("history", "--output", "json")
        yield self.one("status", "--output", "json")

    def unproven(self) -> Iterator[dict[str, Any]]:
        yield self.one("run", "--yes", "--output", "json")
        yield self.one("run", "--dry-run", "--output", "json")
        yield self.one("retag", "--yes")
        yield self.one("run", "--yes", "--accept", "unproven-target", "--output", "json")

    def image_missing(self) -> Iterator[dict[str, Any]]:
        shop = self.desk.playground.shop
        self.desk.playground.registry.delete("sanjodb/user-service", shop.digests["v1.1.0"]["user-service"])
        yield self.one("run", "--to", "v1.1.0", "--yes", "--output", "json")
        yield self.one("status", "--output", "json")
        yield self.one("doctor", "--output", "json")
        yield self.one("run", "--to", "v1.1.0", "--yes", "--accept", "image-on-nodes-only", "--output", "json")

    def registry_gone(self) -> Iterator[dict[str, Any]]:
        self._file.write_text(self._file.read_text().replace("http://127.0.0.1", "http://127.0.0.9"))
        yield self.one("status", "--output", "json")
        yield self.one("doctor", "--output", "json")
        yield self.one("run", "--to", "v1.1.0", "--yes", "--output", "json")
        yield self.one("run", "--to", "v1.1.0", "--yes", "--accept", "registry-unknown", "--output", "json")

    def reference_missing(self) -> Iterator[dict[str, Any]]:
        path = "k8s/user-service/worker.yaml"
        text = self.desk.file("v1.2.0", path).replace(
            "name: user-worker, image", "envFrom: [{configMapRef: {name: nowhere}}], name: user-worker, image"
        )
        self.desk.rewrite("v1.1.0", {path: text})
        yield self.one("run", "--to", "v1.1.0", "--yes", "--output", "json")
        skip = "skip:Deployment/user-worker"
        yield self.one("run", "--to", "v1.1.0", "--yes", "--accept", skip, "--output", "json")

    def refused_for_much(self) -> Iterator[dict[str, Any]]:
        must = self.desk.playground.must
        must("annotate", "deployment", "user-service", "meta.helm.sh/release-name=shop")
        must("rollout", "pause", "deployment/cloud-config")
        must("patch", "configmap", "user-settings", "--patch", '{"immutable": true}')
        must("patch", "service", "service-discovery", "--patch", '{"metadata": {"finalizers": ["shop.example/held"]}}')
        must("delete", "service", "service-discovery", "--wait=false")
        self.desk.rewrite("v1.2.0", {"user-service/db/migration/V2__more.sql": "SELECT 1;"})
        closing = "isolation: {mode: service, targets: [user-service, nowhere]}"
        text = self._file.read_text()
        self._file.write_text(text.replace("    namespace: ", f"    {closing}\n    namespace: "))
        yield self.one("run", "--to", "v1.1.0", "--yes", "--isolate", "--output", "json")
        must("patch", "service", "service-discovery", "--patch", '{"metadata": {"finalizers": null}}')

    def fails(self) -> Iterator[dict[str, Any]]:
        self.desk.settings("verify: {smoke: [{service: user-service, path: /nowhere, status: 201, patience: 1s}]}\n")
        yield self.one("run", "--to", "v1.1.0", "--yes", "--output", "json")
        yield self.one("status", "--output", "json")
        yield self.one("resume")
        self.desk.settings()
        yield self.one("undo", self.desk.runs()[-1].name, "--yes", "--output", "json")

    def fails_closed(self) -> Iterator[dict[str, Any]]:
        self.desk.settings("verify: {smoke: [{service: user-service, path: /nowhere, status: 201, patience: 1s}]}\n")
        closing = "isolation: {mode: service, targets: [user-service], drain: 100ms}"
        text = self._file.read_text()
        self._file.write_text(text.replace("    namespace: ", f"    {closing}\n    namespace: "))
        yield self.one("run", "--to", "v1.1.0", "--yes", "--isolate", "--output", "json")
        yield self.one("status", "--output", "json")
        yield self.one("reopen", "--yes")
        yield self.one("resume")
        yield self.one("unlock", "--force", "--yes")

    def rights_missing(self) -> Iterator[dict[str, Any]]:
        from rollback_lib.sandbox.access import User
        from rollback_lib.sandbox.cluster import ADMIN

        cluster = self.desk.playground.cluster
        for verbs, resources in ((["get", "list"], ["*"]), (["*"], ["deployments", "services", "configmaps", "pods"])):
            rule = {"apiGroups": ["*"], "resources": resources, "verbs": verbs}
            cluster.set_users((dataclasses.replace(ADMIN, rules=(rule,)), User("other", "other", ())))
            try:
                yield self.one("doctor", "--output", "json")
                yield self.one("status", "--output", "json")
                yield self.one("run", "--to", "v1.1.0", "--yes", "--output", "json")
                yield self.one("reopen", "--yes")
            finally:
                cluster.set_users((ADMIN,))
        yield self.one("doctor", "--output", "json")

    def stage_by_stage(self) -> Iterator[dict[str, Any]]:
        from rollback_lib.operations.run import STAGES

        approved: dict[str, str] = {}
        for stage in STAGES:
            yield self.one("stage", stage, "--to", "v1.1.0", **approved)
            if stage == "preflight":
                plan = json.loads((self.desk.runs()[-1] / "plan.json").read_text())
                approved = {"ROLLBACK_APPROVED_HASH": plan["hash"], "ROLLBACK_APPROVED_BY": "ana"}
        for stage in STAGES:  # a dry run enters none that writes
            yield self.one("stage", stage, "--to", "v1.0.0", "--dry-run", "--run-dir", ".rollback/looked")


SCENARIOS: dict[str, Callable[[Runs], Iterator[dict[str, Any]]]] = {
    name: made for name, made in vars(Runs).items() if not name.startswith("_") and name != "one"
}


def _decided(run: Path) -> dict[str, Any]:
    """What a run wrote, and what its plan says is to be done: codes and names only."""
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    told: dict[str, list[Any]] = {}  # by stage, since some go on beside others
    for event in events:
        if not event["mark"].endswith("told"):
            told.setdefault(event["stage"], []).append([event["mark"], event.get("key", ""), event.get("code", 0)])
    found: dict[str, Any] = {"journal": {stage: sorted(what) for stage, what in told.items()}}  # some go side by side
    if (run / "plan.json").exists():
        plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
        found["plan"] = _plan(plan) | _hashed(plan)
    for name in ("detect", "verify"):
        if (step := run / f"steps/{name}.json").exists():
            record = json.loads(step.read_text(encoding="utf-8"))
            found[name] = {k: record[k] for k in ("verdict", "healthy") if k in record}
    if (page := run / "report/report.json").exists():
        report = json.loads(page.read_text(encoding="utf-8"))
        found["report"] = {k: report.get(k) for k in ("exit_code", "failed_in", "traffic", "restored", "affected")}
        found["report"] |= {
            "follow_ups": [f["code"] for f in report.get("follow_ups", ())],
            "timeline": sorted((m["what"], m.get("stage", "")) for m in report.get("timeline", ())
                               if not m["what"].endswith("told")),
            "changed": len(report.get("changed", ())),
        }  # fmt: skip
    return _neutral(found)


def _plan(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "current": plan["current"]["release"], "target": plan["target"]["release"],
        "services": [
            [s["name"], s["wave"], [[o["kind"], o["name"], o["change"]] for o in s["objects"]],
             [[c["workload"], c["name"], c["to"], c.get("rung")] for c in s.get("containers", ())]]
            for s in plan["services"]
        ],
        "orphans": [[o["kind"], o["name"], o["change"]] for o in plan.get("orphans", ())],
        "accepted": plan.get("accepted"), "refusals": [
            {key: r.get(key) for key in ("reason", "code", "subject", "facts")} for r in plan.get("refusals", ())
        ],
        "tags": [t["reference"] for t in plan.get("mutable_tags", ())], "stuck": plan.get("stuck"),
        "isolation": plan["isolation"].get("mode") if plan.get("isolation") else None,
    }  # fmt: skip


def _hashed(plan: dict[str, Any]) -> dict[str, Any]:
    """What the plan's hash is made of, and that it is made of that."""
    from rollback_lib.core.plan.model import Plan, decisions, freeze

    read = msgspec.convert(plan, Plan)
    return {"hash": freeze(read).hash == read.hash, "decisions": msgspec.to_builtins(decisions(read))}


# Keys of JSON whose values are codes, names or numbers.
_CODES = (
    "code", "exit_code", "release", "state", "traffic", "locked", "finished", "kind", "name", "health", "ready",
    "desired", "go", "older", "container", "change", "what", "stage", "opened", "removed",
)  # fmt: skip


def _said(ended: Ended) -> dict[str, Any]:
    def codes(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: got for k, v in value.items() if (got := codes(v, k)) not in (None, {}, [])}
        if isinstance(value, list):
            return [got for v in value if (got := codes(v, key)) is not None]  # of words, equal ones are said once
        return value if key in _CODES or isinstance(value, bool) else None

    return {"json": _neutral(codes(ended.json) if ended.out.strip() else None)}


def _neutral(value: Any) -> Any:
    return json.loads(_OWN.sub("~", json.dumps(value)))


def main() -> None:
    if "unreadable" in sys.argv[1:]:
        unreadable.install()
    from rollback_lib.sandbox.playground import Playground
    from tests.cli.desk import MORE, SERVICES, SPEED, Desk
    from tests.watched import WatchedSandbox

    wanted = [name for name in sys.argv[1:] if name in SCENARIOS] or list(SCENARIOS)
    found: dict[str, Any] = {}
    with Playground(services=SERVICES, more=MORE, speed=SPEED, sandbox=WatchedSandbox) as playground:
        desk = Desk(playground)
        for name in wanted:
            desk.put_back()
            found[name] = list(SCENARIOS[name](Runs(desk)))
    json.dump(found | {"marks": unreadable.marks()}, sys.stdout)


if __name__ == "__main__":
    main()
