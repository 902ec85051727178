"""What is known of each rung of one container, and which of them may be taken by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.images.confirmation import Confirmation, of_tags
from rollback_lib.core.images.nodes import PodNodes
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import Candidate, Running, TriedRung, Wanted, same_image

IMAGE_FROM: Final = "image-from"  # :RUNG


def rivals(ladder: Sequence[Candidate], wanted: Wanted) -> tuple[str, ...]:
    """The references of a manifest and a release tag of which the names alone do not tell which one to believe."""
    named = [c for c in ladder if c.rung in ("manifest", "release-tag") and c.reference and not c.against]
    speaks = wanted.evidence.manifests is Confirmation.CONFIRMED or any(
        of_tags(wanted.evidence.past, [*wanted.evidence.tags.values(), c.reference]) is Confirmation.CONFIRMED
        for c in named
        if c.rung == "release-tag"
    )
    return () if speaks or len({c.rung for c in named}) < 2 else tuple(c.reference for c in named)


def one_image(answers: Iterable[Answer]) -> bool:
    """Whether those that are there are all the same image."""
    sets = [{a.digest, *a.digests} for a in answers if a.state == "present"]
    return len(sets) < 2 or bool(set.intersection(*sets))


def other_bits(wanted: Wanted, candidate: Candidate, answer: Answer | None) -> bool:
    """Whether the rung is known to be another image than the recorded one, or nothing tells which it is."""
    if wanted.recorded is None or candidate.rung in ("ledger", "reference") or not candidate.reference:
        return False
    known = {answer.digest, *answer.digests} if answer else set()
    return not (known | {digest_of(candidate.reference)}) & set(wanted.recorded.digest_set)


def decided(found: Sequence[Found], wanted: Wanted, answers: Mapping[str, Answer]) -> list[Found]:
    """Between a manifest and a release tag that are two images, and of which neither is confirmed, none is taken."""
    names = rivals([f.candidate for f in found], wanted)
    there = [f for f in found if f.candidate.reference in names and f.state == "present"]
    if len(there) < 2 or one_image(f.answer for f in there if f.answer):
        return list(found)
    evidence = wanted.evidence
    tags = [answers[tag] for tag in evidence.tags.values() if tag in answers]
    tags += [f.answer for f in there if f.answer and f.candidate.rung == "release-tag"]
    if of_tags(evidence.past, (), [(a.digest, *a.digests) for a in tags if a.digest]) is Confirmation.CONFIRMED:
        return list(found)
    if evidence.manifests is Confirmation.SAME:
        return sorted(found, key=lambda f: f.candidate.rung == "release-tag" and f.candidate.reference in names)
    why = "the manifest and the release tag are two images, and nothing here shows which of them ran"
    return [f.not_taken(why) if f in there else f for f in found]


def with_accepted(found: Sequence[Found], wanted: Wanted, accepted: frozenset[str]) -> list[Found]:
    """With the rungs first that a person chose (``image-from:RUNG``), behind what really ran."""

    def chosen(one: Found) -> bool:
        return accepts(accepted, f"{IMAGE_FROM}:{one.candidate.rung}", wanted)

    taken = [f.not_taken("") if chosen(f) else f for f in found]
    return sorted(taken, key=lambda f: f.candidate.rung != "ledger" and not chosen(f))


def accepts(accepted: frozenset[str], code: str, wanted: Wanted) -> bool:
    return code in accepted or f"{code}:{wanted.service}" in accepted


class Found(msgspec.Struct, frozen=True):
    """A rung with what is known of it. ``held`` is its digest where nodes have it: pods run it, or they say so.

    ``other``: it is not, or not for certain, the image that the ledger has for the release.
    """

    candidate: Candidate
    answer: Answer | None
    digest: str = ""
    held: str = ""
    asked: bool = False
    other: bool = False
    nodes: tuple[str, ...] = ()  # which nodes have it, as far as they are known by name

    def not_taken(self, why: str) -> Found:
        """The same, not to be taken for this reason; to be taken where there is none."""
        return msgspec.structs.replace(self, candidate=msgspec.structs.replace(self.candidate, against=why))

    @property
    def state(self) -> str:
        return self.answer.state if self.answer else "skipped"

    @property
    def tried(self) -> TriedRung:
        text = (self.answer.text or self.state) if self.answer else self.candidate.why
        if self.candidate.reference and self.candidate.reference not in text:
            text = f"{self.candidate.reference}: {text}"
        if self.other and self.state == "present":
            text = f"{text} ({self.digest}), which is not what the ledger has for the release"
        if self.candidate.against:
            text = f"{text}; {self.candidate.against}"
        return TriedRung(self.candidate.rung, self.candidate.reference, self.state, text)


def look(candidate: Candidate, answers: Mapping[str, Answer], running: Sequence[Running], nodes: PodNodes) -> Found:
    if not candidate.reference:
        return Found(candidate, None)
    not_asked = Answer(candidate.reference, "unknown", text=f"{candidate.reference}: the registry was not asked")
    answer = answers.get(candidate.reference, not_asked)
    digest = answer.digest or digest_of(candidate.reference)
    same = {digest or candidate.running, *answer.digests, *candidate.digests}
    runs = [r.node for r in running if same_image(same, r.image_id)]
    holding = nodes.holding(same)
    held = (digest if runs or holding else "") if digest else candidate.running
    return Found(
        candidate, answer, digest or candidate.running, held, candidate.reference in answers,
        nodes=tuple(sorted({*runs, *holding} - {""})),
    )  # fmt: skip
