"""What `rollback init` guessed, for the person who has to go through it: what it is, what is open, what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from rollback_lib.core.redact import visible
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.wording import wrapped

NO_FILE: Final = "There is no rollback.yaml here"
ADVICE: Final = "Run `rollback init`, read the file and commit it."


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A rollback.yaml and how much of the repository it fits.

    ``no_tags`` is git's own reason and advice where the clone has no tags; ``open`` are the lines that a person has to
    complete. ``services`` are names, or files where the path names no service.
    """

    text: str
    settings: Settings
    releases: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    no_tags: str = ""
    open: tuple[str, ...] = ()


def summary(proposal: Proposal) -> str:
    """What was guessed, one line a guess."""
    return visible("\n".join(_lines(proposal))) + "\n"


def guessed(settings: Settings, environment: str) -> str:
    """What a command goes by where there is no rollback.yaml, as far as it decides what is looked at."""
    where = settings.environments[environment]
    context = f"context {where.context}" if where.context else "the kubeconfig's current context"
    return (
        f"application {settings.application}, manifests in {settings.manifests.path}, {context}, "
        f"namespace {where.namespace}, environment {environment}"
    )


def _lines(proposal: Proposal) -> Iterator[str]:
    settings = proposal.settings
    yield from _row("application", settings.application)
    tags = f'tags that match "{settings.releases.tag}"'
    if proposal.releases:
        newest = ", ".join(proposal.releases[:3])
        yield from _row("releases", f"{tags}: {len(proposal.releases)}; newest: {newest}")
    else:
        yield from _row("releases", f"{tags}; none does now. {proposal.no_tags}".rstrip())
    services = proposal.services
    what = "service" if "{service}" in settings.manifests.path else "file"
    count = f"{len(services)} {what}{'s' if len(services) > 1 else ''}"
    found = count if services else "HEAD has no manifests there. Commit them, or mend the path."
    yield from _row("manifests", f"{settings.manifests.path}: {found}")
    yield from _row("images", settings.images.repository or "as each manifest names them")
    for name, where in settings.environments.items():
        overlay = f", with {', '.join(where.overlay.env)} set" if where.overlay.env else ""
        yield from _row("environment", f"{name}: namespace {where.namespace}{overlay}")
    for said in proposal.open:
        yield from _row("TO DO", said)


def _row(name: str, said: str) -> list[str]:
    return wrapped(said, f"  {name:<12} ", " " * 15)
