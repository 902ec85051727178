"""Whether an object provably began with the failed release: the only ones that a rollback deletes.

What stands in the failed release's manifests may be older than it: made by hand and then put into git, or moved there
from another file. So three witnesses are asked: when the object was made and by whom (the API server), when the failed
release was deployed (its first own revision), and every text of the releases before it (git).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from rollback_lib.core import health
from rollback_lib.core.health.pods.newest import last_revision, newest_replica_set
from rollback_lib.core.health.pods.pods import revision_of
from rollback_lib.core.health.pods.reading import owned_by, part, parts, text, when
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import LAST_APPLIED, Object, kind_of, template
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import UPDATE

ONE_APPLY: Final = timedelta(seconds=60)
"""How long one ``kubectl apply`` of a shop takes at most: ConfigMaps come before the first workload's revision."""
_BY_HAND: Final = ("kubectl-create", "kubectl-edit", "kubectl-run", "kubectl-expose")


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the failed release. ``unknown``: why nothing of it is proof; then the rest is empty.

    ``since``: its first own revision. ``after``: what was true before it began, in words, and when. ``named``: where
    the releases before it name an object, by the object's name.
    """

    release: str = ""
    unknown: str = ""
    since: datetime | None = None
    after: tuple[tuple[str, datetime], ...] = ()
    named: Mapping[str, str] = {}


def first_own(drafts: Iterable[Draft], replica_sets: Sequence[Object], revisions: Sequence[Object],
              committed: datetime | None) -> datetime | None:  # fmt: skip
    """When the failed release's first own revision was made: of those workloads that the target has too, otherwise.

    A workload that both have alike (or that is only restarted) tells nothing, and a revision that is older than the
    release's commit is another's.
    """
    found = (
        _made(d.live, replica_sets, revisions)
        for d in drafts
        if d.change == UPDATE and d.live and d.after and kind_of(d.live) in AWAITED
        if template(d.live) != template(d.after)
    )
    return min((at for at in found if at and committed and at >= committed), default=None)


def _made(live: Object, replica_sets: Sequence[Object], revisions: Sequence[Object]) -> datetime | None:
    view = health.View(live, replica_sets=tuple(replica_sets), revisions=tuple(revisions))
    if kind_of(live) == "Deployment":
        return when(newest_replica_set(view), "metadata", "creationTimestamp")
    wanted, uid = text(live, "status", "updateRevision") or last_revision(view), text(live, "metadata", "uid")
    mine = [r for r in revisions if owned_by(r, uid) and wanted in (text(r, "metadata", "name"), revision_of(r))]
    return next((when(r, "metadata", "creationTimestamp") for r in mine), None)


def doubt(live: Object, failed: Failed) -> str:
    """Why it is not proven that the object began with the failed release; empty where it is."""
    if failed.unknown:
        return failed.unknown
    name, release = text(live, "metadata", "name"), failed.release
    if file := failed.named.get(name):
        return f"{file} names it"
    made = when(live, "metadata", "creationTimestamp")
    if made is None:
        return "nothing tells when it was made"
    for what, at in failed.after:
        if made < at:
            return f"it is older than {release}: {_at(made)}, and {what} {_at(at)}"
    if failed.since is None:
        return f"no workload has a revision that only {release} made, so nothing tells when that was deployed"
    if made < failed.since - ONE_APPLY:
        return f"it is older than {release}: {_at(made)}, and {release} was deployed {_at(failed.since)}"
    return _by_hand(live, made)


def _by_hand(live: Object, made: datetime) -> str:
    entries = [e for e in parts(live, "metadata", "managedFields") if text(e, "subresource") != "status"]
    times = [(at, e) for e in entries if (at := when(e, "time"))]
    if not times:
        return "nothing tells who made it"
    first = min(at for at, _ in times)
    # all of those of that second: which of them came first is not written down
    if others := [e for at, e in times if at == first and not _applies(e)]:
        return f"{text(others[0], 'manager') or 'somebody'} made it, not `kubectl apply`"
    if abs(first - made) > ONE_APPLY:
        return f"it was made {_at(made)}, and its first apply that is known is of {_at(first)}"
    return ""


def _applies(entry: Mapping[str, object]) -> bool:
    """Whether an entry of managedFields is an apply: server-side, or the one that keeps what was applied."""
    if text(entry, "manager") in _BY_HAND:
        return False
    notes = part(entry, "fieldsV1", "f:metadata", "f:annotations")
    return text(entry, "operation") == "Apply" or f"f:{LAST_APPLIED}" in notes


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
