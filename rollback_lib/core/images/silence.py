"""A registry that cannot tell is told of once, however many images it has: by registry, and by how it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images.ladder import Choice, Wanted
from rollback_lib.core.images.reference import parse
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage
from rollback_lib.core.wording import counted

Silence = frozenset[tuple[str, int]]
"""Registries (as in references) that could not tell, each with the status of its reply; 0: it did not reply."""


class Refused(NamedTuple):
    """A container without an image, and who could not tell about it."""

    wanted: Wanted
    refusal: Refusal
    silence: Silence


def of(references: Iterable[str], answers: Mapping[str, Answer]) -> Silence:
    """Who could not tell about these references."""
    unknown = [a for r in references if (a := answers.get(r)) is not None and a.state == "unknown"]
    return frozenset((parse(a.reference).host, a.status) for a in unknown)


def refusals(refused: Sequence[Refused], release: str) -> list[Refusal]:
    """One for all containers that the same silence is the reason for; the others as they are."""
    groups: dict[object, list[Refused]] = {}
    for one in refused:
        alike = (one.silence, one.refusal.code, one.refusal.reason) if one.silence else one.refusal.decision
        groups.setdefault(alike, []).append(one)
    return [_together(group, release) for group in groups.values()]


def _together(group: Sequence[Refused], release: str) -> Refusal:
    first = group[0].refusal
    if len({one.refusal.decision for one in group}) == 1:
        return first
    text = f"{_who(group[0].silence)}: no image for {_whose([one.wanted for one in group])} at {release}."
    return Refusal(
        text, first.code, first.fix, f"for {group[0].wanted.place}: {first.tried}",
        reason=first.reason, subject=", ".join(host for host, _ in sorted(group[0].silence)),
        facts=tuple(one.refusal.subject for one in group),
    )  # fmt: skip


def warnings(choices: Sequence[Choice], answers: Mapping[str, Answer]) -> tuple[str, ...]:
    """The warnings of these choices; what the same silence is the reason for is one for all."""
    groups: dict[Silence, list[Choice]] = {}
    for choice in choices:
        if choice.silent:
            groups.setdefault(_of(choice, answers), []).append(choice)
    said: list[str] = []
    for choice in choices:
        alike = groups.get(_of(choice, answers), []) if choice.silent else []
        if len(alike) < 2:
            said += choice.warnings
            continue
        said += [text for text in choice.warnings if text not in choice.silent]
        if choice is alike[-1]:
            who, whose = _who(_of(choice, answers)), _whose([one.image for one in alike])
            first = " ".join(text.removesuffix(".") + "." for text in alike[0].silent)
            said.append(f"{who} about {whose}. The first of them: {first}")
    return tuple(dict.fromkeys(said))


def _of(choice: Choice, answers: Mapping[str, Answer]) -> Silence:
    return of((t.reference for t in choice.image.tried), answers)


def _who(silence: Silence) -> str:
    said = (f"{host} " + (f"answers {status}" if status else "does not answer") for host, status in sorted(silence))
    return f"{' and '.join(said)}, and could not tell"


def _whose(things: Sequence[Wanted] | Sequence[ContainerImage]) -> str:
    services = ", ".join(dict.fromkeys(t.service for t in things))
    return f"{counted(len(things), 'container', 'containers')} of {services}"
