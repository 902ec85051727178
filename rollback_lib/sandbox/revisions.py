"""ControllerRevisions: the templates that a StatefulSet or a DaemonSet has had."""

from __future__ import annotations

from rollback_lib.sandbox.owning import MANAGER, controlled, reference_to, template_hash
from rollback_lib.sandbox.schema import Object, by_kind
from rollback_lib.sandbox.store import Store
from rollback_lib.sandbox.writing import Writer


def revision_of(store: Store, writer: Writer, workload: Object, notes: dict[str, str] | None = None) -> Object:
    """The revision of the workload's template: made, or an old one that becomes the newest again."""
    metadata = workload["metadata"]
    data = {"spec": {"template": {**workload["spec"]["template"], "$patch": "replace"}}}
    known = controlled(store, "ControllerRevision", workload)
    highest = max((r["revision"] for r in known), default=0)
    resource = by_kind("ControllerRevision")
    same = next((r for r in known if r["data"] == data), None)
    if same is not None:
        if same["revision"] == highest:
            return same
        return writer.change(
            resource, metadata["namespace"], same["metadata"]["name"], lambda o: {**o, "revision": highest + 1},
            manager=MANAGER,
        )  # fmt: skip
    mark = template_hash(data)
    called = f"{metadata['name']}-{mark}"
    return writer.create(
        resource, metadata["namespace"],
        {
            "metadata": {
                "name": called,
                "labels": {
                    **(workload["spec"]["template"].get("metadata", {}).get("labels") or {}),
                    "controller-revision-hash": called if workload["kind"] == "StatefulSet" else mark,
                    **({"controller.kubernetes.io/hash": mark} if workload["kind"] == "StatefulSet" else {}),
                },
                "annotations": notes or {},
                "ownerReferences": [reference_to(workload)],
            },
            "data": data, "revision": highest + 1,
        },
        manager=MANAGER,
    )  # fmt: skip


def forget_old(store: Store, workload: Object, used: set[str]) -> None:
    """Delete the revisions beyond the limit that no pod has."""
    limit = workload["spec"].get("revisionHistoryLimit", 10)
    idle = [r for r in controlled(store, "ControllerRevision", workload) if r["metadata"]["name"] not in used]
    idle.sort(key=lambda r: r["revision"])
    for one in idle[: max(0, len(idle) - limit)]:
        store.delete(by_kind("ControllerRevision"), one["metadata"]["namespace"], one["metadata"]["name"])
