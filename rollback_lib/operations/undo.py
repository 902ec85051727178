"""`rollback undo RUN`: a run of its own, back to the state before another one, with the same checks and approval."""

from __future__ import annotations

import msgspec

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.plan import undo as before
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.releases.tags import UNKNOWN
from rollback_lib.core.run.journal import CLOSED, ending
from rollback_lib.core.run.records import Request
from rollback_lib.operations import resume, state_before
from rollback_lib.operations.run import Outcome
from rollback_lib.ports import Ports, RunStore, Session


def find(session: Session, wanted: str) -> RunStore:
    """The run that is to be undone, here or in the cluster. Raises RefusedError where it is in neither place."""
    found = resume.find(session, wanted)
    assert found is not None, "a run that is wanted is found or refused"
    return found


def request(new: Request, of: RunStore) -> Request:
    """The request that puts back what the run ``of`` has changed. Raises RefusedError where it has changed nothing."""
    plan, run = of.find(Plan), of.get(Request).run
    stands = ending(of.events())
    # the journal of a copy may end where the lock was taken: what was done after that, the objects say
    if plan is None or not (stands.touched or stands.locked):
        raise RefusedError(
            f"run {run} has changed nothing: there is nothing to undo. `rollback status` names what leads on."
        )
    return msgspec.structs.replace(
        new,
        to=before.release(run),
        undo=run,
        undo_created=before.created(plan),
        undo_release=plan.current.release if plan.current.release != UNKNOWN.release else "",
        undo_sick=tuple(
            str(ref)
            for _, ref in before.changed(plan)
            if ref.type in AWAITED and not before.was_well(msgspec.json.decode(of.read(before.file_of(ref))))
        ),
        undo_missing=tuple(dict.fromkeys((*stands.missing, *(_made_again(plan) if stands.locked else ())))),
        services=(),
        # what that run has closed, or was about to, stays so until it is undone
        isolate=new.isolate or stands.traffic == CLOSED or (plan.closes and stands.locked),
    )


def _made_again(plan: Plan) -> tuple[str, ...]:
    """What the run deletes and makes again: where it died in between, the object is not there."""
    return tuple(str(o.ref) for s in plan.services for o in s.objects if o.recreate)


def undo(run: RunStore, of: RunStore, ports: Ports) -> Outcome:
    """Go back to the state before the run ``of``. That run is over when this one ends well."""
    return state_before.execute(run, of, ports)
