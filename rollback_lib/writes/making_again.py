"""One object deleted and made again, for `apply`: tried before, and the old one put back where the new one is refused.

Between the two changes the object is gone. The journal says so (`core.run.journal.Ending.missing`), and every way in,
also after a death, looks first at what is there: the old one, one that was put back, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from rollback_lib.collectors.dry_runs import as_new
from rollback_lib.core.errors import FailedError, RefusedError, UnreachableError
from rollback_lib.core.kube.field_owners import appliers
from rollback_lib.core.kube.objects import Object, fingerprint, is_leaving
from rollback_lib.core.plan import recreate, undo
from rollback_lib.core.plan.model import PlannedObject
from rollback_lib.core.run import journal
from rollback_lib.core.run.changes import CreateObject, DeleteObject
from rollback_lib.core.run.journal import Event
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.model import seconds
from rollback_lib.ports import Ports, RunStore, Writer


def make_again(run: RunStore, ports: Ports, write: Writer, planned: PlannedObject, key: str) -> None:
    """Delete the live object and create the new one. ``key`` begins the keys of all changes that this takes.

    Raises RefusedError, with nothing deleted, where the server would not take the new one; FailedError where it did
    not, and the message says whether the old one is there again.
    """
    if journal.result_of(run.events(), journal.made_key(key)) is not None:
        return
    kept = undo.kept(planned.ref)
    old: Object = msgspec.json.decode(run.read(f"{kept}.json"))
    wanted: Object = msgspec.json.decode(run.read(f"{kept}.anew.json"))
    live = _live(ports, planned)
    first = str(old["metadata"]["uid"])
    uid = _meant(run.events(), key, planned, first, live)
    if live is not None and live["metadata"]["uid"] == uid and not is_leaving(live):
        _must_be_taken(run, ports, planned, wanted, live)
    write.do(
        DeleteObject(
            key=journal.gone_key(key, "" if uid == first else uid), kind=planned.kind, name=planned.name,
            api_version=planned.api_version, before=planned.before, after="", uid=uid,
            keep_pods=recreate.keeps_pods(old, wanted), pods_first=recreate.pods_first(old, wanted),
        )
    )  # fmt: skip
    _until_gone(run, ports, planned, uid)
    try:
        write.do(_creation(planned, journal.made_key(key), planned.after, wanted, old))
    except UnreachableError:
        raise
    except RefusedError as error:
        _put_back(run, write, planned, key, old, error)


def _creation(planned: PlannedObject, key: str, after: str, manifest: Object, old: Object) -> CreateObject:
    return CreateObject(
        key=key, kind=planned.kind, name=planned.name, api_version=planned.api_version, before="", after=after,
        manifest=manifest, recorded=True, appliers=appliers(old, anew=True),
    )  # fmt: skip


def _live(ports: Ports, planned: PlannedObject) -> Object | None:
    return ports.cluster.snapshot([planned.kind]).get(planned.ref)


def _meant(events: Sequence[Event], key: str, planned: PlannedObject, first: str, live: Object | None) -> str:
    """The uid of what is to be deleted: the object of the plan, or the same one put back since, by us or by hand."""
    uid = str(live["metadata"].get("uid")) if live is not None else ""
    ours = uid in journal.put_back_uids(events, key)
    by_hand = fingerprint(live) == planned.before != planned.after
    return uid if uid and (ours or by_hand) else first


def _must_be_taken(run: RunStore, ports: Ports, planned: PlannedObject, wanted: Object, live: Object) -> None:
    """Where the server would not take the new one, the old one is not deleted for it."""
    services = ports.cluster.snapshot(["Service"]).all("Service") if planned.kind == "Service" else ()
    said = as_new(ports.cluster, wanted, live, services)
    if said.object is None:
        held = "".join(f" {text[0].upper()}{text[1:]}." for text in recreate.holders(wanted, services))
        raise RefusedError(
            f"{planned.ref} is not deleted, since the server would not take the new one: "
            f"{said.refused}.{held} Mend that, and `rollback resume {run.get(Request).run}` goes on; or go without it: "
            f"`rollback undo`, and a run with --accept skip:{planned.ref}."
        )


def _until_gone(run: RunStore, ports: Ports, planned: PlannedObject, uid: str) -> None:
    what = planned.ref
    ends = ports.clock.now() + timedelta(seconds=seconds(run.get(Request).settings.verify.rollout_timeout))
    while True:
        live = _live(ports, planned)
        if live is None or live["metadata"].get("uid") != uid:
            return
        if ports.clock.now() > ends:
            raise FailedError(
                f"{what} was deleted and does not go: something holds it (its finalizers). See `kubectl get "
                f"{planned.kind.lower()} {planned.name} -o yaml`."
            )
        ports.progress.waiting(f"Waiting for {what} to be gone, to make it again")
        ports.clock.sleep(0.2)


def _put_back(run: RunStore, write: Writer, planned: PlannedObject, key: str, old: Object, error: RefusedError) -> None:
    """Create the old object again, with its own addresses or, where they are gone, with others; then fail."""
    what, name = planned.ref, run.get(Request).run
    last: RefusedError = error
    for number, manifest in enumerate(recreate.as_it_was(old)):
        try:
            write.do(_creation(planned, journal.put_back_key(run.events(), key, number), planned.before, manifest, old))
        except UnreachableError:
            raise
        except RefusedError as again:
            last = again
            continue
        how = "with other addresses, since its own are gone" if number else "as it was"
        raise FailedError(
            f"{what} could not be made again, and the old one was put back, {how}. {error} Mend that, and `rollback "
            f"resume {name}` tries again; `rollback undo {name}` goes back."
        )
    raise FailedError(
        f"{what} IS GONE: it was deleted to be made again. The new one: {error} The old one: {last} Mend that, and "
        f"`rollback resume {name}` makes it again; as it was, it is in {undo.file_of(planned.ref)}."
    )
