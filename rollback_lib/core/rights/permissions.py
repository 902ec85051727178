"""What a rollback has to be allowed to do: of any release, before there is a plan, and what each plan needs besides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, ORPHANS, WRITTEN, told_by
from rollback_lib.core.rights import table
from rollback_lib.core.rights.table import Need
from rollback_lib.core.settings.checks import Ask


def of_each_run(lease: str, watched: Sequence[str]) -> tuple[Need, ...]:
    """What every run needs that writes, and what it would go without. ``lease``: the lock's name; ``watched``: the
    kinds of the workloads that it waits for."""
    found = [need for kind in (*watched, *told_by(watched)) for need in table.needs(table.WATCH, kind)]
    found += table.needs(table.LOCK, "Lease", lease)
    without = [table.LOGS, table.EVENTS, table.AUTOSCALERS, table.TRAFFIC, table.LEDGER, table.COPY, table.TIDY]
    without += [table.REVISIONS] if {"StatefulSet", "DaemonSet"} & set(watched) else []
    return (*found, *chain.from_iterable(map(table.needs, without)))


def of_requests(asks: Iterable[Ask]) -> tuple[Need, ...]:
    """What smoke tests and flows need: the API server takes a request to a pod by its method, and a command as exec."""
    found: list[Need] = []
    for ask in asks:
        if ask.command:
            found += table.needs(table.COMMAND)
        elif not ask.url:
            found += table.proxied(ask.method)
    return tuple(dict.fromkeys(found))


def needs(
    objects: Iterable[ObjectRef], namespace: str, *, lease: str, asks: Iterable[Ask] = (),
    closed: Iterable[ObjectRef] = (), page: Iterable[str] = (), always_closed: bool = False,
) -> tuple[Need, ...]:  # fmt: skip
    """What rollbacks of these objects need. ``lease``: the lock's name; ``asks``: smoke tests and flows; ``closed``:
    where traffic would be closed, with ``always_closed`` by every run; ``page``: the kinds of our maintenance page,
    where there would be one."""
    named = [ref for ref in dict.fromkeys(objects) if ref.type in WRITTEN and not ref.namespace]
    kinds = sorted({ref.kind for ref in named}, key=WRITTEN.index)
    found = [*table.needs(table.CLUSTER, "Namespace", namespace)]
    for kind in kinds:
        found += table.needs(table.PUT_BACK, kind, *(ref.name for ref in named if ref.kind == kind))
    found += of_each_run(lease, [kind for kind in kinds if kind in AWAITED])
    found += of_requests(asks)
    for ref in closed:
        found += table.needs(table.CLOSE, ref.kind, ref.name, ahead=not always_closed)
    for kind in page:
        found += table.needs(table.PAGE, kind, ahead=not always_closed)
    if "StatefulSet" in kinds:
        found += table.needs(table.STUCK, ahead=True)
    for kind in kinds:
        found += table.needs(table.CREATE, kind, ahead=True)
        if kind in ORPHANS:
            found += table.needs(table.DELETE, kind, ahead=True)
    return table.each_once(found)
