"""Server-side dry runs of a whole plan: what the server would store, and what speaks against it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rollback_lib.collectors import threads
from rollback_lib.core import health
from rollback_lib.core.errors import Refusal
from rollback_lib.core.kube import owners, server_answers
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.marks import last_applied
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import DryRun, Presence, Snapshot
from rollback_lib.core.plan import decide, dry_run, recreate
from rollback_lib.core.plan import drafts as planning
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.dry_run import Reading
from rollback_lib.core.plan.model import CREATE, NONE, RESTART, UPDATE
from rollback_lib.core.reasons import Reason
from rollback_lib.core.traffic import slots
from rollback_lib.ports import Cluster


def as_new(cluster: Cluster, wanted: Object, live: Object, services: Collection[Object]) -> DryRun:
    """What the server would store as a new object beside the live one.

    In a dry run it does not look whether an address is free (seen on 1.36.3), so that is asked apart, as far as we may.
    """
    address = recreate.address(wanted, live)
    others = recreate.holders({"kind": "Service", "spec": {"clusterIP": address}}, services) if address else ()
    if address and (others or cluster.presence(ObjectRef("IPAddress", address)) is Presence.THERE):
        return DryRun(None, (), f"spec.clusterIP: {address} is already allocated", 422, taken=True)
    return cluster.dry_run_create(recreate.to_try(wanted, live))


Stamp = Callable[[Mapping[str, Any]], Mapping[str, str]]
LineOf = Callable[[str, ObjectRef, Sequence[str | int]], int]


class DryRuns:
    """The dry runs of one plan. ``refused`` and ``warnings`` fill as drafts are tried.

    ``same``: the containers whose live image is the target's already. ``stamp``: the marks of a
    workload that is written; ``now``: the plan's one time; ``line_of``: the line of a value, by file, object, path;
    ``by_policy``: nobody is asked (``approval: auto``).
    """

    def __init__(
        self, cluster: Cluster, snapshot: Snapshot, same: set[ContainerRef], accepted: Collection[str],
        stamp: Stamp, now: str, line_of: LineOf = lambda *_: 0, *, by_policy: bool = False,
    ) -> None:  # fmt: skip
        self._cluster, self._snapshot, self._same, self._accepted = cluster, snapshot, same, accepted
        self._stamp, self._now, self._line_of, self._by_policy = stamp, now, line_of, by_policy
        self.refused: list[Refusal] = []
        self.warnings: list[str] = []

    def of(self, drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts as the server would store them.

        What is right already and has a reason to restart is tried once more, with the restart in its template.
        """
        first = planning.with_reasons_to_restart(self._round(drafts))
        again = [
            self._restarted(planned, draft)
            for planned, draft in zip(drafts, first, strict=True)
            if draft.change == NONE and draft.why and draft.live is not None
        ]
        twice = {d.ref: d for d in self._round(again)}
        restarts = {key: msgspec.structs.replace(d, change=RESTART) for key, d in twice.items() if d.change == UPDATE}
        return [restarts.get(draft.ref, draft) for draft in first]

    def _round(self, asked: Sequence[Draft]) -> list[Draft]:
        writing = [d for d in asked if d.change in (CREATE, UPDATE)]
        answers = dict(zip(map(id, writing), threads.each(self._ask, writing), strict=True))
        return [self._judge(answers[id(d)]) if id(d) in answers else d for d in asked]

    def _restarted(self, planned: Draft, draft: Draft) -> Draft:
        assert draft.live is not None
        again = msgspec.structs.replace(draft, target=decide.restarted(planned.target, self._now), merged=True)
        return decide.put_back(
            again, last_applied(draft.live), namespace=str(draft.live["metadata"].get("namespace", "")),
            autoscaled=True, stamp=self._stamp(draft.target),
        )  # fmt: skip

    def _ask(self, draft: Draft) -> Reading:
        services = self._snapshot.all("Service")
        if draft.live is None:
            return dry_run.read(draft, self._cluster.dry_run_create(draft.target), None, None, self._accepted, services)
        said = self._as_patched(draft)
        wanted = dry_run.ask_anew(draft, said)
        anew = as_new(self._cluster, wanted, draft.live, services) if wanted else None
        return dry_run.read(draft, said, wanted, anew, self._accepted, services)

    def _wrong(self, draft: Draft) -> Iterator[tuple[str, str, str]]:
        """What stands without quotes in the manifest where only text is taken, with its place."""
        for path, what in server_answers.not_text(draft.target):
            line = self._line_of(draft.file, draft.ref, path)
            yield f"{draft.file}:{line}" if line else draft.file, server_answers.dotted(path), what

    def _as_patched(self, draft: Draft) -> DryRun:
        """What the server would make of the live object; one that is closed is asked about as it will be, closed."""
        assert draft.live is not None
        kind, name, version = draft.ref.kind, draft.ref.name, draft.live["apiVersion"]
        there = self._snapshot.get(draft.ref)
        closed = slots.while_closed(there, draft.operations, "") if there else None
        if there is None or closed is None:
            return self._cluster.dry_run_patch(kind, version, name, draft.operations)
        answer = self._cluster.dry_run_patch(kind, version, name, slots.operations(there, closed))
        return msgspec.structs.replace(answer, object=slots.as_open(answer.object))

    def _judge(self, reading: Reading) -> Draft:
        draft = reading.draft
        if draft.after is None:
            wrong = tuple(self._wrong(draft))
            self.refused += (dry_run.placed(r, wrong) for r in reading.refusals)
            return draft
        if draft.live is not None and draft.anew is None and decide.already(draft, draft.after, self._same):
            return decide.left_alone(draft, self._same)
        if draft.live is not None and draft.anew is not None:
            draft = msgspec.structs.replace(draft, leaves=recreate.left_behind(draft.live, self._snapshot))
        self.refused += reading.refusals
        self.warnings += reading.warnings
        who = owners.owner(draft.live) if draft.live else None
        if who:
            draft = msgspec.structs.replace(draft, owner=who)
            self.refused.append(decide.owned(draft, by_policy=self._by_policy))
        if draft.live is not None and (paused := health.refusable(draft.target) or health.refusable(draft.live)):
            self.refused.append(
                Refusal(
                    f"{draft.ref}: {paused}", code=f"skip:{draft.ref}",
                    reason=Reason.NO_ROLLOUT, subject=str(draft.ref),
                )
            )  # fmt: skip
        return draft
