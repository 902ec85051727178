"""The last line of every ending: what was changed, and whether traffic is open."""

from __future__ import annotations

from typing import Final

from rollback_lib.core import errors
from rollback_lib.core.manifests import bots
from rollback_lib.core.plan import orphans
from rollback_lib.core.plan.model import DELETE, Plan
from rollback_lib.core.plan.text import left_tag, mutable_warning, undone
from rollback_lib.core.report import observation
from rollback_lib.core.run import ways
from rollback_lib.core.run.journal import CLOSED, Ending
from rollback_lib.core.run.records import Verification
from rollback_lib.core.run.ways import Left, Way
from rollback_lib.core.wording import counted, some

_BEGINS: Final = {
    errors.EXIT_REFUSED: "Refused (3).",
    errors.EXIT_LOCKED: "Locked (6).",
    errors.EXIT_NOT_APPROVED: "Not approved (7).",
    errors.EXIT_INTERRUPTED: "Interrupted (130).",
    errors.EXIT_BUG: "This is a bug of rollback (70); the traceback is in the run directory.",
    errors.EXIT_USAGE: "The request is wrong (2).",
}  # how the line begins where the code alone says it


def last_line(ending: Ending, plan: Plan | None, verification: Verification | None, seconds: float) -> str:
    """One line, for terminals, logs and pagers alike. ``seconds``: since the run began."""
    return " ".join(_sentences(ending, plan, verification, seconds))


def _sentences(ending: Ending, plan: Plan | None, verification: Verification | None, seconds: float) -> list[str]:
    changed = _changed(ending)
    if ending.unclear:
        changed += f", and it is not certain whether this was done: {', '.join(ending.unclear[:3])}"
    if ending.missing:
        changed += f". MISSING: {', '.join(ending.missing)}, deleted to be made again and not made again"
    took = f" in {seconds:.0f} s" if seconds >= 0 else ""  # the clocks of two machines may differ
    traffic = observation.of_traffic(ending, plan.environment if plan else "")
    only_tags = ending.stage in ("reopen", "retag") and ending.code != errors.EXIT_BUG
    only_tags = only_tags and not ending.locked and bool(plan and plan.retag)
    if plan and verification and verification.healthy and only_tags:
        # the rollback is what people wait for, so that comes first; the code says that not all was done
        said = f"{_runs(plan, verification)} But tags were to be moved, and not all were ({ending.code}): "
        said += f"{first_line(ending.error)} {changed}; {traffic}. `rollback retag` moves them."
    elif ending.code == errors.EXIT_DONE and plan is not None and verification is not None:
        if not ending.changed:
            said = f"Nothing to do: {_runs(plan, verification)} {changed}; {traffic}."
        elif plan.undoes:
            said = f"Undone{took}: {_runs(plan, verification, ' again')} {changed}; {traffic}."
        else:
            said = f"Done{took}: {_runs(plan, verification, ' again')} {changed}; {traffic}."
    elif ending.code == errors.EXIT_DONE:
        said = f"{'So far done' if ending.touched else 'Only looked'}. {changed}; {traffic}."
    elif ending.code in _BEGINS:
        said = f"{_BEGINS[ending.code]} {changed}; {traffic}."
    elif ending.code == errors.EXIT_NO:
        said = f"No (1): {first_line(ending.error)} {changed}; {traffic}."
    else:
        said = f"FAILED in {ending.stage} ({ending.code}). {changed}; {traffic}."
    if ending.locked_by and ending.code != errors.EXIT_LOCKED:
        said += f" LOCKED by {ending.locked_by}."
    if plan is not None and plan.ends and ending.code == errors.EXIT_DONE and not ending.touched:
        said += f" Run {plan.undoes} is over, and has no lock any more."
    if ending.locked:
        said += " The lock stays:"
    elif ending.lock_lost:
        said += " The lock was taken away from this run:"
    if on := ways.text(ways_on(ending, plan)):
        said += f" {on}."
    if plan is None or ending.code not in (errors.EXIT_DONE, errors.EXIT_FAILED_OPEN, errors.EXIT_FAILED_CLOSED):
        return [said]
    warning = mutable_warning(plan, ending.other_tags)
    by_bots = bots.warning(plan.bots)
    unknown = orphans.not_known(plan.current, plan.target) if ending.changed else ()
    return [
        said,
        *filter(None, (_stays(plan), *unknown, _kept(plan, verification), warning, by_bots)),
        *undone(plan),
        *map(left_tag, ending.left_tags),
    ]


def ways_on(ending: Ending, plan: Plan | None) -> tuple[Way, ...]:
    """What leads on from how a run ended, first what is best; none where nothing is to be ended."""
    if ending.locked and plan is not None:
        shut = Left.SHUT if ending.traffic == CLOSED and not ending.gone else Left.DEAD
        return ways.ways(Left.UNDOING if plan.undoes else shut, plan.run)
    if ending.lock_lost and plan is not None:
        left = Left.CLOSED if ending.traffic == CLOSED else Left.ABANDONED if ending.touched else Left.UNTOUCHED
        return ways.ways(left, plan.run)
    if ending.left is not Left.FREE:
        return ways.ways(ending.left, ending.holder)
    if ending.code == errors.EXIT_LOCKED:  # somebody took it after it was looked at, and the error says who
        return ways.ways(Left.FOREIGN)
    return ways.ways(Left.CLOSED) if ending.traffic == CLOSED and ending.closed_by else ()


def _stays(plan: Plan) -> str:
    """What of the failed release is still there, first what may hold up what was restored; empty where nothing is."""
    left = sorted((o for o in plan.orphans if o.change != DELETE), key=orphans.told_first)
    verb = "stays" if len(left) == 1 else "stay"
    return f"Of the failed release {some([str(o.ref) for o in left])} {verb}." if left else ""


# What a rollback keeps as somebody else set it, and that decides whether requests and pods get through.
_MATTERS: Final = ("Service", "Ingress", "HTTPRoute", "NetworkPolicy", "ResourceQuota", "LimitRange")


def _kept(plan: Plan, verification: Verification | None) -> str:
    """What of these is not as the release has it, and what leads to the shop besides what was closed."""
    lost = [c.text for c in verification.checks if c.kind == "traffic" and not c.good] if verification else []
    kept = [f"{o.ref} {o.kept[0]}" for s in plan.services for o in s.objects if o.kept and o.ref.type in _MATTERS]
    said = " ".join(lost[:2]) or (f"Kept as somebody set it: {some(kept)}." if kept else "")
    gone = [str(o.ref) for s in plan.services for o in s.objects if o.absent and o.ref.type in _MATTERS]
    missing = f"Not in the cluster, and not made by a rollback: {some(gone)}." if gone else ""
    besides = some(plan.isolation.besides) if plan.closes else ""
    return " ".join(filter(None, (said, missing, f"It stayed open at {besides}." if besides else "")))


def _runs(plan: Plan, verification: Verification, again: str = "") -> str:
    what = f"{plan.target.release}{again}"
    if plan.undoes:
        was = f"{plan.undone_to}{again}, the release that was rolled back from" if plan.undone_to else ""
        what = was or f"what ran before run {plan.undoes}{again}"
    said = f"{plan.environment} runs {what}, {observation.counted(plan, verification)}."
    sick = f" Not well, as before: {first_line(verification.as_before[0])}" if verification.as_before else ""
    return said + sick


def _changed(ending: Ending) -> str:
    tags = len(ending.moved_tags)
    said = []
    # one object that was closed and opened is one object
    if objects := len(ending.objects):
        said.append(f"{counted(objects, 'object was', 'objects were')} changed")
    if tags:
        said.append(f"{counted(tags, 'tag was', 'tags were')} moved")
    return " and ".join(said) or "Nothing was changed"


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.splitlines()[0] if text else ""
