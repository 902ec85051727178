"""Which image a container gets at the target release: the ladder, best rung first.

``ledger``, then ``manifest`` and ``release-tag``, first the one that explains what runs (`core.images.confirmation`);
``history``, ``revision``, ``reference``. Why a ladder: in the application that the plan was written for, all release
tags with manifests say ``repository:prod``, which each deploy overwrites, so the manifest alone brings nothing back.
A registry that says "absent" and one that cannot tell are told apart everywhere. What the ledger recorded for a
container is what ran: where the registry has lost it, another rung may only stand in with the same digest set.

Use: look up what `to_ask` names, add the answers, repeat until it names nothing, then `choose`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images.candidates import candidates
from rollback_lib.core.images.confirmation import Confirmation, same_name
from rollback_lib.core.images.nodes import ASSUMED
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import (
    Choice,
    ContainerImage,
    ImageSettings,
    Running,
    TriedRung,
    Wanted,
    is_own,
    is_placeholder,
    ladder_settings,
    same_image,
    unproven,
)
from rollback_lib.core.images.weighing import (
    IMAGE_FROM,
    Found,
    accepts,
    decided,
    look,
    one_image,
    other_bits,
    rivals,
    with_accepted,
)
from rollback_lib.core.reasons import Reason
from rollback_lib.core.wording import some

__all__ = [
    "Choice",
    "ContainerImage",
    "ImageSettings",
    "Running",
    "Wanted",
    "candidates",
    "choose",
    "is_own",
    "is_placeholder",
    "ladder_settings",
    "plain",
    "same_image",
    "to_ask",
    "unproven",
]

UNKNOWN: Final = "registry-unknown"
ON_NODES: Final = "image-on-nodes-only"
REFERENCE: Final = "reference-image"
MOVED: Final = "moved-tag"
ASSUMED_FOR: Final = (
    f"The nodes may not be listed (`list` on nodes, a ClusterRole), so they are taken for {', '.join(ASSUMED)}."
)


def to_ask(
    wanted: Wanted,
    release: str,
    settings: ImageSettings,
    answers: Mapping[str, Answer],
    running: Sequence[Running] = (),
) -> tuple[str, ...]:
    """The next reference worth asking about; empty when what is known decides.

    A rung is asked only when no better one is present: looking spends the registry's quota.
    """
    answers = _for_pods(wanted, answers)
    ladder = candidates(wanted, release, settings, running)
    names = rivals(ladder, wanted)
    for candidate in ladder:
        if candidate.reference and candidate.reference not in answers:
            return (candidate.reference,)
        answer = answers.get(candidate.reference)
        if candidate.against or not answer or answer.state != "present" or other_bits(wanted, candidate, answer):
            continue
        if candidate.reference not in names:
            return ()
        if missing := [n for n in names if n not in answers]:
            return (missing[0],)
        if one_image(answers[n] for n in names):
            return ()
        return tuple(tag for tag in wanted.evidence.tags.values() if tag not in answers)
    return ()


def choose(
    wanted: Wanted,
    release: str,
    settings: ImageSettings,
    answers: Mapping[str, Answer],
    running: Sequence[Running] = (),
    accepted: frozenset[str] = frozenset(),
) -> tuple[Choice | None, tuple[Refusal, ...]]:
    """The image for this container, or why there is none: exactly one of both.

    What is not in ``answers`` counts as "cannot tell". The refusal names the service, the container and everything that
    was tried, and carries the code that would let it through, if one would.
    """
    take = _weighed(wanted, release, settings, answers, running, accepted)
    may_unknown, may_nodes, may_reference = (accepts(accepted, c, wanted) for c in (UNKNOWN, ON_NODES, REFERENCE))
    choice = take.proven(may_reference) or take.held_though_unknown()
    if choice is None and may_unknown:
        choice = take.unproven(may_reference)
    if choice is None and may_nodes:
        choice = take.only_on_nodes(may_unknown)
    if choice is not None:
        return choice, ()
    return None, (take.refusal(may_unknown, may_nodes, may_reference),)


def plain(
    wanted: Wanted,
    release: str,
    settings: ImageSettings,
    answers: Mapping[str, Answer],
    running: Sequence[Running] = (),
    accepted: frozenset[str] = frozenset(),
) -> str:
    """The reference that would be taken, where nobody knows yet for which platform its image is; else empty.

    An index says so; what a node has, it can run.
    """
    if not (wanted.nodes.known and wanted.nodes.platforms):
        return ""
    taken = _weighed(wanted, release, settings, answers, running, accepted).first(accepts(accepted, REFERENCE, wanted))
    if taken is None or taken.held or not taken.answer or taken.answer.platforms:
        return ""
    return taken.candidate.reference


def _for_pods(wanted: Wanted, answers: Mapping[str, Answer]) -> Mapping[str, Answer]:
    return {reference: answer.on(wanted.nodes.platforms) for reference, answer in answers.items()}


def _weighed(
    wanted: Wanted, release: str, settings: ImageSettings, answers: Mapping[str, Answer], running: Sequence[Running],
    accepted: frozenset[str],
) -> _Taking:  # fmt: skip
    answers = _for_pods(wanted, answers)
    own = is_own(wanted, settings, running)
    found = [look(c, answers, running, wanted.nodes) for c in candidates(wanted, release, settings, running)]
    if own and f"{MOVED}:{release}" not in accepted:
        found = [msgspec.structs.replace(f, other=other_bits(wanted, f.candidate, f.answer)) for f in found]
    return _Taking(wanted, release, own, with_accepted(decided(found, wanted, answers), wanted, accepted))


class _Taking:
    """The ways to take a rung, each a method; None where it does not lead to an image."""

    def __init__(self, wanted: Wanted, release: str, own: bool, found: Sequence[Found]) -> None:
        self.wanted, self.release, self.own, self.found = wanted, release, own, found
        self.usable = [f for f in found if not f.other and not f.candidate.against]
        # What we write for an own image is pinned, and for a digest the API server's default is IfNotPresent.
        latest = not own and found[0].candidate.tag in ("", "latest") and not digest_of(wanted.image)
        self.from_nodes = (wanted.pull_policy or ("Always" if latest else "IfNotPresent")) != "Always"

    def first(self, may_reference: bool) -> Found | None:
        """The best rung that the registry has."""
        for f in self.usable:
            if f.state == "present" and self._may_stand_in(f) and (may_reference or f.candidate.rung != "reference"):
                return f
        return None

    def proven(self, may_reference: bool) -> Choice | None:
        found = self.first(may_reference)
        return self._choice(found) if found else None

    def held_though_unknown(self) -> Choice | None:
        """The registry cannot tell, but the nodes have that digest and would start it: a warning is enough."""
        if not self.from_nodes:
            return None
        for f in self.usable:
            if f.state == "unknown" and f.held and f.candidate.rung != "reference" and self._may_stand_in(f):
                where = f" ({some(f.nodes)})" if f.nodes else ""
                return self._choice(f, f"the registry cannot tell, but nodes have this digest{where}")
        return None

    def unproven(self, may_reference: bool) -> Choice | None:
        """Accepted: the registry cannot tell. A known digest before a tag; never a tag that moves."""
        warning = "the registry could not tell whether this image exists (accepted)"
        for f in self.usable:
            if f.candidate.rung == "reference":
                continue
            if f.state == "present":
                return self._choice(f)
            if f.state == "unknown" and (f.digest or f.candidate.rung == "as-is"):
                return self._choice(f, warning)
        for f in self.usable:
            if f.state == "unknown" and f.candidate.tag:
                return self._choice(f, warning + "; the text has no digest, so nothing proves what will run")
        last = [f for f in self.usable if f.state == "present" and may_reference]
        return self._choice(last[0]) if last else None

    def only_on_nodes(self, may_unknown: bool) -> Choice | None:
        """Accepted: gone from the registry, and nodes still have it."""
        for f in self._on_nodes():
            if may_unknown or self._may_stand_in(f):
                where = f", {some(f.nodes)}" if f.nodes else ""
                text = f"gone from the registry: it starts only on nodes that still have it{where} (accepted)"
                return self._choice(f, text)
        return None

    def _on_nodes(self) -> list[Found]:
        if not self.from_nodes:
            return []
        gone = [f for f in self.usable if f.held and f.answer and f.state == "absent"]
        return [f for f in gone if f.answer and (not f.answer.missing or f.answer.lost)]

    def _may_stand_in(self, found: Found) -> bool:
        """History and reference may only stand in for the release once every rung that names it was looked at."""
        if found.candidate.rung not in ("history", "revision", "reference"):
            return True
        return not any(f.state == "unknown" for f in self.found[: self.found.index(found)])

    def _choice(self, found: Found, *warnings: str) -> Choice:
        w, candidate, digest = self.wanted, found.candidate, found.digest
        resolves = found.answer is not None and found.answer.digest != "" and found.state != "absent"
        if not self.own:
            image = w.image
        elif not digest:
            image = f"{candidate.repository}:{candidate.tag}"
        elif candidate.rung == "release-tag" and resolves:
            image = f"{candidate.repository}:{candidate.tag}@{digest}"
        else:
            image = f"{candidate.repository}@{digest}"
        digests = found.answer.digests if found.answer and found.answer.digest == digest else ()
        digests = (*digests, *candidate.digests)
        by_name = candidate.rung == "manifest" and not digest_of(w.image)
        chosen = msgspec.structs.replace(
            unproven(w, own=self.own), to=image, digest=digest, rung=candidate.rung, tried=self._tried(found),
            same_elsewhere=by_name and w.evidence.manifests is Confirmation.SAME,
            digests=tuple(dict.fromkeys(digests or (digest,))) if digest else (),
        )  # fmt: skip
        said = tuple(f"{w.place}: {image}: {text}" for text in warnings)
        missed = tuple(
            f"{w.place}: a better rung could not be looked at: {f.tried}"
            for f in self.found[: self.found.index(found)]
            if f.state == "unknown"
        )
        silent = (*said, *missed) if found.state == "unknown" else missed
        return Choice(chosen, (*said, *self._warnings(found, digests), *missed), silent)

    def _tried(self, last: Found) -> tuple[TriedRung, ...]:
        end = self.found.index(last)
        return tuple(f.tried for i, f in enumerate(self.found) if i <= end or f.asked)

    def _warnings(self, found: Found, digests: Sequence[str]) -> tuple[str, ...]:
        place, rung = self.wanted.place, found.candidate.rung
        said = []
        if rung == "history" and not found.candidate.restored:
            said.append(f"the digest is that of pods of an older revision; nothing proves that it is {self.release}")
        if rung == "revision":
            older = self.wanted.evidence.proposed
            began = f" (it began {older.created})" if older else ""
            said.append(f"an older revision names {found.candidate.reference}{began}; nothing proves that it is "
                        f"{self.release}")  # fmt: skip
        if rung == "manifest" and self._untold():
            said.append(
                f"nothing here shows that the files of releases name what runs ({self.wanted.evidence.past.live})"
            )
        if rung == "reference":
            said.append(f"{found.candidate.reference} is the last resort; nothing proves that it is {self.release}")
        if rung == "as-is" and found.candidate.tag in ("", "latest") and not digest_of(self.wanted.image):
            said.append(
                f"{self.wanted.image} is not the team's and its tag moves: what it was at {self.release} is not known"
            )
        named = digest_of(self.wanted.image)
        if rung == "release-tag" and named and digests and named not in digests:
            said.append(f"the release's manifest names {named}, its release tag is {found.digest}")
        if found.answer and found.state == "present":
            said += [
                f"{found.candidate.reference}: {why}; nodes that its pods can use are of that platform, and there they "
                f"would not start"
                for why in found.answer.missing.values()
            ]
            said += [f"whether nodes of {p} can run it is not known: {why}" for p, why in found.answer.untold.items()]
        for f in self.found[: self.found.index(found)]:
            if f.answer and f.state == "absent" and f.answer.missing:
                said.append(f"a better rung cannot run on the nodes: {f.tried}")
        return tuple(f"{place}: {text}" for text in said)

    def _untold(self) -> bool:
        evidence = self.wanted.evidence
        live = evidence.past.live
        return evidence.manifests is Confirmation.UNTOLD and bool(live) and not same_name(live, self.wanted.image)

    def refusal(self, may_unknown: bool, may_nodes: bool, may_reference: bool) -> Refusal:
        code, fix = self._way_out(may_unknown, may_nodes, may_reference)
        text = f"{self.wanted.place}: no image for {self.wanted.image or '(empty)'} at {self.release}."
        w = self.wanted
        return Refusal(
            text, code, fix, "; ".join(str(f.tried) for f in self.found),
            reason=Reason.NO_IMAGE, subject=str(w.ref.workload),
            facts=(w.ref.field, w.ref.name, w.image, self.release),
        )  # fmt: skip

    def _way_out(self, may_unknown: bool, may_nodes: bool, may_reference: bool) -> tuple[str, str]:
        """(what ``--accept`` takes, what to do)."""
        unknown = any(
            f.state == "unknown" and not f.other and (f.candidate.rung != "reference" or may_reference)
            for f in self.found
        )
        if unknown and not may_unknown and self.unproven(may_reference):
            return UNKNOWN, "The registry could not tell: mend that, or go on without its proof."
        if self._on_nodes() and not may_nodes:
            return ON_NODES, "The registry lost it, but nodes have it: push it again, or rely on them."
        if by_choice := [f.candidate.rung for f in self.found if f.candidate.against and f.state == "present"]:
            ways = " or ".join(f"`--accept {IMAGE_FROM}:{rung}`" for rung in dict.fromkeys(by_choice))
            return f"{IMAGE_FROM}:{by_choice[-1]}", f"Nothing here shows what ran: look, and say it with {ways}."
        if not may_reference and self.found[-1].candidate.rung == "reference" and self.found[-1].state == "present":
            return REFERENCE, "The reference tag exists, but nothing proves which release it is."
        if any(f.other and f.state == "present" for f in self.found):
            fix = "What ran is gone from the registry: push it again, choose another release, or take what is there."
            return f"{MOVED}:{self.release}", fix
        if any(f.answer and f.answer.missing for f in self.found):
            assumed = "" if self.wanted.nodes.known else f" {ASSUMED_FOR}"
            return "", f"Push the image for the platform of the nodes.{assumed}"
        return "", "Push the image of that release, or choose another release."
