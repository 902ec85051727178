"""What pods need from the namespace and hold in it: a dry run accepts a missing Secret, ConfigMap or ServiceAccount."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from rollback_lib.collectors import threads
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.snapshot import Presence, Snapshot
from rollback_lib.core.plan import leaving
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.leaving import Need
from rollback_lib.core.plan.model import CREATE, DELETE, LEFT, UPDATE, Orphan, StuckPod
from rollback_lib.ports import Cluster


class Found(msgspec.Struct, frozen=True):
    """What speaks against it. ``there``: what was seen to be there and to stay, as ``Kind/name``."""

    there: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()


def look(cluster: Cluster, snapshot: Snapshot, needs: Sequence[Need]) -> Found:
    """Whether what is needed is there, and not on its way out. The snapshot's own word counts; the rest is asked."""
    known = {n.ref: p for n in needs if (p := leaving.of_snapshot(n, snapshot))}
    presence = known | _ask(cluster, [n.ref for n in needs if n.ref not in known])
    refusals = [r for n in needs if (r := leaving.missing(n, presence[n.ref]))]
    warnings = [
        f"We may not see {n.kind} {n.name}, which {', '.join(n.who[:3])} needs: nothing says that it is there."
        for n in needs
        if presence[n.ref] is Presence.UNKNOWN
    ]
    there = tuple(sorted(str(n.ref) for n in needs if presence[n.ref] is Presence.THERE))
    return Found(there, tuple(refusals), tuple(warnings))


def of_plan(
    drafts: Sequence[Draft], stuck: Sequence[StuckPod], found: Sequence[Orphan], snapshot: Snapshot, cluster: Cluster
) -> Found:
    """Whether what pods need is there and stays; of what this run makes itself, it says so itself."""
    made = {d.ref for d in drafts if d.change == CREATE or d.anew}
    gone = [live for o in found if o.change == DELETE and (live := snapshot.get(o.ref))]
    ends = {ObjectRef("StatefulSet", s.workload) for s in stuck}
    needed = leaving.needs(drafts, ends, gone, snapshot)
    left = {d.ref: d.file for d in drafts if d.change == LEFT}
    placed = [msgspec.structs.replace(n, file=left.get(n.ref, "")) for n in needed if n.ref not in made]
    looked = look(cluster, snapshot, placed)
    absent = {r.code for r in looked.refusals}
    keyed = _keys(cluster, snapshot, drafts, [n for n in needed if n.keys and n.code not in absent])
    return Found(looked.there, (*looked.refusals, *keyed.refusals), (*looked.warnings, *keyed.warnings))


def _keys(cluster: Cluster, snapshot: Snapshot, drafts: Sequence[Draft], needs: Sequence[Need]) -> Found:
    """Whether what is there has the keys that pods need: a ConfigMap as it will be, a Secret where we may read it."""
    planned = {d.ref: d.after for d in drafts if d.change in (CREATE, UPDATE) and d.after is not None}
    refusals, warnings = [], []
    for need in needs:
        obj = planned.get(need.ref) or snapshot.get(need.ref)
        has = leaving.keys_of(obj) if obj is not None else cluster.keys(need.ref)
        if has is None:
            who = ", ".join(f"{key} for {whose}" for key, whose in need.keys[:3])
            warnings.append(f"The keys of {need.kind} {need.name} were not looked at, which we may not read: {who}.")
        elif refusal := leaving.lacks(need, has):
            refusals.append(refusal)
    return Found((), tuple(refusals), tuple(warnings))


def lost(cluster: Cluster, there: Iterable[str]) -> list[str]:
    """What was there when the plan was made (`Found.there`) and is not any more, or is on its way out."""
    now = _ask(cluster, [ObjectRef.parse(text) for text in there])
    return [str(what) for what, presence in now.items() if presence in (Presence.ABSENT, Presence.LEAVING)]


def _ask(cluster: Cluster, refs: Sequence[ObjectRef]) -> dict[ObjectRef, Presence]:
    found = threads.each(lambda ref: cluster.presence(ref) if ref.type in KINDS else Presence.UNKNOWN, refs)
    return dict(zip(refs, found, strict=True))
