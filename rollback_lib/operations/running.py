"""Which release runs: asked here by all that say it, so that `status`, `history` and `verify` agree."""

from __future__ import annotations

from typing import NamedTuple

from rollback_lib.core.errors import RollbackError, code_and_text
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.current import UNKNOWN, MutableTag
from rollback_lib.core.releases.matching import MIXED
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.records import Resolution
from rollback_lib.operations import run as operation
from rollback_lib.ports import Session
from rollback_lib.releases import proving, resolving, what_runs
from rollback_lib.releases.what_runs import Now


class Found(NamedTuple):
    """What runs, the manifests that say so, and why it is not known."""

    current: ReleaseRef
    why: str = ""
    resolution: Resolution | None = None
    mutable_tags: tuple[MutableTag, ...] = ()


def named(session: Session) -> tuple[str, str]:
    """(the release that runs, why it cannot be named). Both are empty where git or the cluster cannot be asked: the
    run that is begun then says why."""
    try:
        found = find(session, strict=True)
    except Exception:
        return "", ""
    if found.current.release in (UNKNOWN.release, MIXED):
        return "", found.why or found.current.chosen_by
    return found.current.release, ""


def find(session: Session, *, strict: bool = False) -> Found:
    """The release that runs. The manifests of the newest that reads tell which workloads are the team's.

    ``strict``: raise where git or the cluster cannot be asked, instead of saying so.
    """
    settings, ports = session.settings, session.ports
    try:
        tags = ports.git.tags()
        names = [t.name for t in release.releases(tags, settings.releases.tag)]
        if not names:
            return Found(UNKNOWN, str(release.no_releases(tags, settings.releases.tag)))
    except RollbackError as error:
        if strict:
            raise
        return Found(UNKNOWN, str(error))
    try:
        now = what_runs.look(operation.new_request(session, {}, dry_run=True), ports)
    except Exception as error:
        if strict:
            raise
        return Found(UNKNOWN, first_lines(redact(code_and_text(error)[1])))
    asked: dict[str, Answer] = {}
    first: Found | None = None
    for name in names:
        found = _towards(session, name, now, asked)
        first = first or found
        if found.current.release != UNKNOWN.release:
            # mutable tags are judged beside what runs, and its own manifests name its workloads
            same = found.current.release in (name, MIXED)
            return found if same else _beside(found, _towards(session, found.current.release, now, asked))
        if found.resolution:
            why = found.why or "what runs is, as a whole, none of the releases that its images or manifests could name."
            return found._replace(why=first_lines(why), mutable_tags=())
    assert first is not None
    return first._replace(why=first_lines(first.why))


def _beside(found: Found, own: Found) -> Found:
    if own.current == found.current or own.current.release == found.current.release:
        return own
    return found._replace(mutable_tags=())


def _towards(session: Session, name: str, now: Now, asked: dict[str, Answer]) -> Found:
    """What runs, as a rollback to this release would find it. ``asked``: what the registry has said so far."""
    request, resolution = operation.new_request(session, {"to": name}, dry_run=True), None
    runs = UNKNOWN
    try:
        resolution, _ = resolving.resolve(request, session.ports, lambda: now)
        runs = proving.tell(request, resolution, now.live, session.ports, asked)
        found = proving.prove(request, resolution, now.live, session.ports, asked)
    except Exception as error:  # what runs is told although an image of the release is gone
        return Found(runs, redact(code_and_text(error)[1]) or "nothing was found", resolution)
    return Found(runs, "", resolution, found.mutable_tags)


def first_lines(text: str) -> str:
    """The first line of a text, and how many more there are."""
    lines = text.splitlines()
    return lines[0] + (f" (and {len(lines) - 1} more like it)" if len(lines) > 1 else "")
