"""`rollback reopen`: open everything that is closed in a namespace, from what is kept on the objects alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from rollback_lib.collectors import lock_reader
from rollback_lib.core.errors import (
    EXIT_DONE,
    EXIT_FAILED_CLOSED,
    NotApprovedError,
    RollbackError,
    UsageError,
)
from rollback_lib.core.kube.objects import Object, ref_of
from rollback_lib.core.kube.snapshot import ClusterIdentity, Snapshot
from rollback_lib.core.report.observation import Closed, closed
from rollback_lib.core.run.changes import not_given_back
from rollback_lib.core.run.journal import CLOSED, OPEN, UNKNOWN
from rollback_lib.core.traffic import isolation, maintenance, slots
from rollback_lib.operations import run as operation
from rollback_lib.ports import Ports, RunStore, Session
from rollback_lib.writes import traffic


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """What was opened; ``kept``: what somebody else changed meanwhile, which stays; ``closed``: what still is."""

    cluster: ClusterIdentity
    opened: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def traffic(self) -> str:
        """open, closed, or unknown where not all could be seen."""
        return CLOSED if self.closed else UNKNOWN if self.unread else OPEN

    @property
    def code(self) -> int:
        return EXIT_FAILED_CLOSED if self.closed else EXIT_DONE


def reopen(session: Session, *, yes: bool) -> Reopened:
    """Open all of it. Raises NotApprovedError where nobody says yes, UsageError where the cluster would have to be
    guessed."""
    ports, context = session.ports, session.where.context or ""
    scratch = session.runs.trial(operation.new_request(session, {}))
    identity = ports.cluster.identity()
    snapshot = ports.cluster.snapshot((*slots.CLOSABLE, *maintenance.KINDS))
    unread = tuple(f"{why}: nothing says whether one is closed." for kind, why in snapshot.refused.items()
                   if kind in slots.CLOSABLE and kind not in snapshot.unserved)  # fmt: skip
    found = closed(snapshot)
    if not found:
        is_sure = context or len(ports.cluster.contexts()) < 2
        removed = take_away(_pages(set(), snapshot, ports), ports, scratch) if is_sure else ()
        return Reopened(cluster=identity, unread=unread, removed=removed)
    _sure(found, identity, ports, yes=yes, context=context)
    opened: list[str] = []
    kept: list[str] = []
    failed = [c.problem for c in found if c.problem]
    runs: set[str] = set()
    for one in found:
        if one.problem:
            continue
        try:
            kept += traffic.until_current(partial(_open, one, ports, scratch))
        except RollbackError as error:
            failed.append(f"{one.ref} is still closed: {error}")
        else:
            opened.append(str(one.ref))
            runs.add(one.run)
            ports.progress.say(f"  {opened[-1]} opened")
    pages = _pages(runs, snapshot, ports) if not failed else []
    if pages:
        ports.clock.sleep(traffic.SETTLED)
    removed = take_away(pages, ports, scratch)
    return Reopened(
        cluster=identity, opened=tuple(opened), kept=tuple(kept), closed=tuple(failed), unread=unread, removed=removed
    )


def _sure(found: Sequence[Closed], identity: ClusterIdentity, ports: Ports, *, yes: bool, context: str) -> None:
    contexts = ports.cluster.contexts()
    if yes and not context and len(contexts) > 1:
        raise UsageError(
            f"the kubeconfig has several contexts ({', '.join(sorted(contexts)[:6])}) and none is named: use --context"
        )
    if yes:
        return
    names = "; ".join(map(str, found))
    answer = ports.approver.ask(f"{names}. Open in namespace {identity.namespace} at {identity.server}?")
    if answer is None:
        raise NotApprovedError(f"{names}: opening needs a yes and there is no terminal: use --yes.")
    if not answer:
        raise NotApprovedError("not opened.")


def _open(one: Closed, ports: Ports, scratch: RunStore) -> tuple[str, ...]:
    live = ports.cluster.snapshot([one.kind]).get(one.ref)
    if live is None or slots.closing(live) is None:
        return ()  # opened by somebody else a moment ago
    change, kept = isolation.opening_change(live, key=f"reopen/{one.kind.lower()}/{one.name}")
    if said := not_given_back(change, ports.acts.act(change, scratch)):
        ports.progress.say(f"  ! {said}")
    return kept


def take_away(pages: Sequence[Object], ports: Ports, scratch: RunStore) -> tuple[str, ...]:
    """Delete objects of maintenance pages. One that stays does no harm, and is said."""
    removed = []
    for page in pages:
        ref = ref_of(page)
        try:
            ports.acts.act(maintenance.deletion(ref.kind, str(page["metadata"]["uid"]), ref.name), scratch)
            removed.append(str(ref))
        except RollbackError as error:
            ports.progress.say(f"  {ref} stays: {error}")
    return tuple(removed)


def _pages(opened: set[str], snapshot: Snapshot, ports: Ports) -> list[Object]:
    """The maintenance pages that nobody is sent to any more: of the runs whose traffic is ``opened`` now, and of dead
    ones. A page whose run has the lock may be about to be used."""
    every = [o for kind in maintenance.KINDS for o in snapshot.all(kind)]
    mine = [o for o in every if maintenance.run_of(o) in opened]
    dead = maintenance.left(snapshot, opened)
    try:
        holders = {_holder(ports, a) for a in {o["metadata"]["labels"].get(maintenance.APPLICATION) for o in dead}}
    except RollbackError:
        return mine
    return mine + [o for o in dead if maintenance.run_of(o) not in holders]


def _holder(ports: Ports, application: str | None) -> str:
    held = lock_reader.find(ports.records, application) if application else None
    return held.claim.holder if held is not None and held.claim is not None else ""


def text(found: Reopened) -> str:
    """What was done, the last line last."""
    lines = [f"  {kept}; it stays" for kept in found.kept]
    lines += [f"  {page}, of a maintenance page, was taken away" for page in found.removed]
    lines += [f"  ! {said}" for said in (*found.closed, *found.unread)]
    where = f"namespace {found.cluster.namespace} at {found.cluster.server}"
    if found.closed:
        opened = f"{', '.join(found.opened)} opened. " if found.opened else ""
        lines.append(f"{opened}TRAFFIC IS STILL CLOSED in {where}, see above.")
    elif found.opened:
        lines.append(f"{', '.join(found.opened)} opened; traffic is open in {where}.")
    elif found.unread:
        lines.append(f"Nothing that could be seen was closed by a run in {where}; how traffic is there is unknown.")
    else:
        lines.append(f"Nothing was closed by a run in {where}; traffic is open.")
    return "\n".join(lines)
