"""The last line of every ending: what was changed, and whether traffic is open."""

from __future__ import annotations

from rollback_lib.core import errors
from rollback_lib.core.journal import CLOSED, Ending
from rollback_lib.core.plan import Plan
from rollback_lib.core.plan_text import counted, mutable_warning
from rollback_lib.core.run import Verification


def last_line(ending: Ending, plan: Plan | None, verification: Verification | None, seconds: float) -> str:
    """One line, for terminals, logs and pagers alike. ``seconds``: since the run began."""
    return " ".join(_sentences(ending, plan, verification, seconds))


def _sentences(ending: Ending, plan: Plan | None, verification: Verification | None, seconds: float) -> list[str]:
    objects = {change.split(" ")[0] for change in ending.changed}  # one that was closed and opened is one object
    many = counted(len(objects), "object was", "objects were")
    changed = f"{many} changed" if ending.changed else "Nothing was changed"
    if ending.unclear:
        changed += f", and it is not certain whether this was done: {', '.join(ending.unclear[:3])}"
    traffic = f"traffic is {ending.traffic}"
    if ending.traffic == CLOSED:
        where = f" -e {plan.environment}" if plan else ""
        traffic = f"TRAFFIC IS CLOSED, and `rollback reopen{where}` opens it as it was"
    target = plan.target.release if plan else ""
    if ending.code == errors.EXIT_DONE and plan is not None and verification is not None:
        ready = sum(w.ready == w.desired and w.health == "healthy" for w in verification.workloads)
        of = len(verification.workloads)
        if not ending.changed:
            said = f"Nothing to do: {plan.environment} runs {target}, {ready} of {of} ready. {changed}; {traffic}."
        else:
            said = f"Done in {seconds:.0f} s: {plan.environment} runs {target} again, {ready} of {of} ready. "
            said += f"{changed}; {traffic}."
    elif ending.code == errors.EXIT_DONE:
        said = f"{'So far done' if ending.touched else 'Only looked'}. {changed}; {traffic}."
    elif ending.code == errors.EXIT_REFUSED:
        said = f"Refused (3). {changed}; {traffic}."
    elif ending.code == errors.EXIT_LOCKED:
        said = f"Locked (6). {changed}; {traffic}."
    elif ending.code == errors.EXIT_NOT_APPROVED:
        said = f"Not approved (7). {changed}; {traffic}."
    elif ending.code == errors.EXIT_INTERRUPTED:
        said = f"Interrupted (130). {changed}; {traffic}."
    elif ending.code == errors.EXIT_BUG:
        said = f"This is a bug of rollback (70); the traceback is in the run directory. {changed}; {traffic}."
    elif ending.code == errors.EXIT_USAGE:
        said = f"The request is wrong (2). {changed}; {traffic}."
    elif ending.code == errors.EXIT_NO:
        said = f"No (1): {first_line(ending.error)} {changed}; {traffic}."
    else:
        said = f"FAILED in {ending.stage} ({ending.code}). {changed}; {traffic}."
    if ending.locked and plan is not None:
        said += (
            f" The lock stays: `rollback resume {plan.run}` goes on from here, `rollback undo {plan.run}` goes back."
        )
    warning = mutable_warning(plan) if plan is not None and ending.code in (0, 4, 5) else ""
    return [said, *([warning] if warning else [])]


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.splitlines()[0] if text else ""
