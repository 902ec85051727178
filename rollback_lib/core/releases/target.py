"""Which release to go back to: the one that is named, or the last that proved good.

Nothing toggles: a rollback that is asked for again stays where it is, and going further back needs a name. Dates of
tags do not tell which release ran well, so without a ledger a release is only proposed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.ledger import Entry, Held, Ledger
from rollback_lib.core.releases.matching import Matched
from rollback_lib.core.releases.tags import AGAIN, BY_LEDGER, NAMED, PROPOSED, UNDONE, ReleaseRef, Tag
from rollback_lib.core.settings.parameters import LAST_GOOD

_WORDS: Final = {
    NAMED: "--to",
    BY_LEDGER: "the newest release that proved good, by the ledger",
    AGAIN: "the last rollback went there, and it is what runs",
    PROPOSED: "proposal by commit date",
}
MOVED: Final = "moved-tag"
QUARANTINED: Final = "quarantined"


class TargetChoice(msgspec.Struct, frozen=True):
    """The target, what stands against it, and what the ledger has of it."""

    target: ReleaseRef
    entry: Entry | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()


def choose(
    to: str, tags: Sequence[Tag], pattern: str, ledger: Ledger, matched: Matched, accepted: Collection[str] = (), *,
    undo: str = "",
) -> TargetChoice:  # fmt: skip
    """The release to go back to; ``undo``: the run whose beginning it is.

    Raises RefusedError where there is none of that name, or nothing to propose.
    """
    warnings = [*ledger.problems]
    if ledger.unread:
        warnings.append(f"The ledger could not be read, so it is gone on without it: {ledger.unread}")
    if undo:
        chosen, how = release.find(tags, to), UNDONE
    elif to != LAST_GOOD:
        chosen, how = release.find(tags, to), NAMED
        if not release.matches(pattern, chosen.name):
            warnings.append(f"{chosen.name} does not match the release pattern {pattern!r}.")
    elif name := again(ledger, matched):
        chosen, how = release.find(tags, name), AGAIN
    elif good := last_good(ledger, matched):
        chosen, how = release.find(tags, good.release), BY_LEDGER
    else:
        chosen, said = _proposal(tags, pattern, ledger, matched)
        warnings.append(said)
        how = PROPOSED
    entry = ledger.entry(chosen.name)
    refusals = [*_moved(chosen, ledger), *quarantined(chosen.name, ledger.held(chosen.name, chosen.commit))]
    if entry is not None and entry.commit != chosen.commit and f"{MOVED}:{chosen.name}" in accepted:
        warnings.append(f"Tag {chosen.name} has moved, so what the ledger has of it does not count.")
        entry = None
    target = ReleaseRef(release=chosen.name, commit=chosen.commit, date=chosen.date,
                        chosen_by=_WORDS.get(how) or f"undo of run {undo}", chosen_how=how)  # fmt: skip
    return TargetChoice(target, entry, tuple(refusals), tuple(warnings))


def again(ledger: Ledger, matched: Matched) -> str:
    """The target of the last run where that is what runs still; empty where it is not, or is quarantined by now."""
    last = ledger.last_run
    if last is None or not matched.last_run or ledger.quarantine(last.release, last.commit):
        return ""
    return last.release


def last_good(ledger: Ledger, matched: Matched) -> Entry | None:
    """The newest release that proved good, is not quarantined and is not what runs."""
    return next((e for e in ledger.good if e.release not in matched.same), None)


def _moved(tag: Tag, ledger: Ledger) -> list[Refusal]:
    last = ledger.last_run
    known = {e.release: e.commit for e in ledger.entries}
    if last is not None and last.release not in known:
        known[last.release] = last.commit
    was = known.get(tag.name, "")
    if not was or was == tag.commit:
        return []
    return [
        Refusal(
            f"Tag {tag.name} is on commit {tag.commit[:12]}, and when the release ran it was on {was[:12]}: the tag "
            f"has moved.",
            f"{MOVED}:{tag.name}",
            "Put it back, or take the release as it is tagged now.",
            reason=Reason.TAG_MOVED,
            subject=tag.name,
            facts=(tag.commit, was),
        )
    ]


def quarantined(release: str, held: Held | None) -> list[Refusal]:
    """The refusal of a release that is held, whoever asks; none where nothing holds it."""
    if held is None:
        return []
    digest, mark = held
    has = f"has an image ({digest[:19]}...) that" if digest else "is quarantined"
    if digest:
        has += " is quarantined" + (f" (with {mark.release})" if mark.release else "")
    elif mark.release != release:
        has += f" (as {mark.release or 'its commit'})"
    why = f": {mark.reason}" if mark.reason else ""
    since = f"since {mark.at[:16].replace('T', ' ')} by {mark.by or 'unknown'}"
    return [
        Refusal(
            f"{release} {has} {since}{why}.", QUARANTINED,
            f"`rollback quarantine {mark.release or mark.run} --lift` frees it.",
            reason=Reason.QUARANTINED, subject=release, facts=(mark.at, mark.by, *([digest] if digest else [])),
        )
    ]  # fmt: skip


def proposed(target: ReleaseRef) -> Refusal:
    """Why a release that was only proposed is not gone back to by itself."""
    return Refusal(
        f"{target.release} is only a proposal by date: nothing proves that it ever ran well.",
        code="unproven-target", fix="Name the release with --to.", reason=Reason.ONLY_PROPOSED, subject=target.release,
    )  # fmt: skip


def _proposal(tags: Sequence[Tag], pattern: str, ledger: Ledger, matched: Matched) -> tuple[Tag, str]:
    """(the release before by date, why it is only a proposal). Never a quarantined one."""
    ordered = release.releases(tags, pattern)
    running = matched.current.commit or (ordered[0].commit if ordered else "")
    free = [t for t in tags if t.commit == running or not ledger.quarantine(t.name, t.commit)]
    proposal = release.propose_previous(free, pattern, matched.current.commit or None)
    tie = f"; on the same commit: {', '.join(proposal.tie)}" if proposal.tie else ""
    return proposal.tag, (
        f"{proposal.tag.name} is only a proposal: the release before {proposal.after} by {proposal.by}{tie}. "
        f"Name the release with --to."
    )
