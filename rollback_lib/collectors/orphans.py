"""What only the failed release had, and the proof that it began with it: asked for only where something would go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from rollback_lib.collectors import threads
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, kind_of, template
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.manifests import naming
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.plan import beginnings, undo
from rollback_lib.core.plan import drafts as planning
from rollback_lib.core.plan.beginnings import Failed
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import DELETE, Orphan
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.report.last_line import first_line
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.ports import Ports


def created(request: Request) -> list[ObjectRef]:
    """What the run that is undone created, whatever runs now."""
    return [ObjectRef.parse(text) for text in request.undo_created]


def look(
    request: Request, resolution: Resolution, current: ReleaseRef, failed: Contents, kept: Contents,
    drafts: Sequence[Draft], snapshot: Snapshot, ports: Ports,
) -> tuple[Orphan, ...]:  # fmt: skip
    """What becomes of each: of ``failed`` what is not ``kept``, with the services that are ignored, too.

    Kinds that are never written are only asked for by name, never read.
    """
    if request.undo:
        gone = {key: live for key in created(request) if (live := snapshot.get(key))}
    else:
        gone = {key: body for key, body in failed.bodies(request.services).items() if key not in kept.objects}
    ours = [key for key in sorted(gone) if key.type in KINDS and not key.namespace]
    unread = [key for key in ours if key.type not in snapshot.objects]
    there = dict(zip(unread, threads.each(ports.cluster.exists, unread), strict=True))
    namespace = request.target_environment.namespace
    found = planning.orphans_of(snapshot, gone, there, namespace, drafts=drafts)
    if not request.undo and any(o.change == DELETE for o in found):
        names = {o.name for o in found if o.change == DELETE}
        proof = _proof(resolution, current, failed, drafts, snapshot, ports, names)
        found = planning.orphans_of(snapshot, gone, there, namespace, proof, request.accept, drafts)
    return tuple(
        msgspec.structs.replace(o, ran=undo.ran(live, snapshot))
        if o.change == DELETE and (live := snapshot.get(o.ref)) and template(live)
        else o
        for o in found
    )


def _proof(
    resolution: Resolution, current: ReleaseRef, failed: Contents, drafts: Sequence[Draft], snapshot: Snapshot,
    ports: Ports, names: set[str],
) -> Failed:  # fmt: skip
    """What is known of how the failed release began. One that no tag stands for, or that is not all here, proves
    nothing."""
    commits = [r.commit for r in resolution.releases]
    if current.commit not in commits:
        return Failed(unknown="no release tag stands for what runs")
    place = commits.index(current.commit)
    tagged = resolution.releases[place]
    if failed.beyond:
        return Failed(unknown=f"in {tagged.release} {failed.beyond[0]}")
    if (committed := _time(tagged.date)) is None:
        return Failed(unknown=f"nothing tells when {tagged.release} was committed")
    # what the release before it has is older, too, where the rollback skips that one
    earlier = {r.commit: r for r in (resolution.target, *resolution.releases[place + 1 : place + 2])}
    named: dict[str, str] = {}
    for commit, release in earlier.items():
        try:
            files = ports.git.whole(commit)
        except RefusedError as error:
            return Failed(unknown=f"what {release.release} names cannot be read: {first_line(str(error)).rstrip('.')}")
        if files.unread:
            return Failed(unknown=f"in {release.release} {files.unread[0].path} {files.unread[0].why}")
        named |= {n: f"{file} of {release.release}" for n, file in naming.named(names - {*named}, files.texts).items()}
    after = [(f"{tagged.release} was committed", committed)]
    if resolution.recorded and (recorded := _time(resolution.recorded.recorded_at)):
        after.append((f"{resolution.target.release} was recorded", recorded))
    return Failed(
        release=tagged.release, after=tuple(after), named=named,
        since=beginnings.first_own(drafts, snapshot.all("ReplicaSet"), _revisions(drafts, ports), committed),
    )  # fmt: skip


def _revisions(drafts: Sequence[Draft], ports: Ports) -> Sequence[Object]:
    """Of StatefulSets and DaemonSets, where such are put back. Where we may not list them they tell nothing."""
    if not any(kind_of(d.target) in ("StatefulSet", "DaemonSet") and d.live and d.after for d in drafts):
        return ()
    return ports.cluster.snapshot(["ControllerRevision"]).all("ControllerRevision")


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
