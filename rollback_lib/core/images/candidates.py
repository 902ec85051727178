"""Which references could give a container its image, best rung first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rollback_lib.core.images.confirmation import Confirmation, Names, Revision, same_name
from rollback_lib.core.images.reference import digest_of, is_registry_tag, parsed
from rollback_lib.core.images.rungs import (
    SERVICE,
    Candidate,
    ImageSettings,
    RecordedContainer,
    Running,
    Wanted,
    is_own,
    is_placeholder,
    repository_named,
    same_image,
)
from rollback_lib.core.wording import some


def candidates(
    wanted: Wanted, release: str, settings: ImageSettings, running: Sequence[Running] = ()
) -> tuple[Candidate, ...]:
    """What could be tried, best rung first, also what cannot be asked."""
    if not is_own(wanted, settings, running):
        return (_as_is(wanted, settings, running),)
    found = repository_named(wanted.image) or parsed(settings.repository.replace(SERVICE, wanted.service))
    if found is None and wanted.recorded:
        found = parsed(wanted.recorded.image)
    older = wanted.evidence.proposed
    if found is None and older:
        found = parsed(older.image)
    if found is None:
        return (
            Candidate(
                "manifest", why=f"{wanted.image or 'an empty text'} is no image, and images.repository is not set"
            ),
        )
    repository = found.repository
    ladder = [_ledger(repository, wanted.recorded, running)] if wanted.recorded else []
    ladder += _by_name(repository, wanted, release, settings, running)
    ladder.append(_history(repository, running))
    ladder += [_revision(older, wanted, running)] if older else []
    if settings.reference_tag:
        ladder.append(Candidate("reference", f"{repository}:{settings.reference_tag}", repository=repository))
    return tuple(ladder)


def _by_name(
    repository: str, wanted: Wanted, release: str, settings: ImageSettings, running: Sequence[Running]
) -> list[Candidate]:
    """What the release's names say, first what explains what runs; one name that both give once."""
    manifest = _manifest(repository, wanted, settings, running)
    tags = [_release(repository, t, wanted, release, settings, running) for t in settings.release_tags]
    speaks = wanted.evidence.manifests
    if speaks is Confirmation.CONTRADICTED:
        past = wanted.evidence.past
        older = [f"{r.image} (since {r.created})" for r in past.served(Names([wanted.image]))]
        what = f"{past.live} runs, and before it {some(older)} did" if older else f"{past.live} runs"
        why = f"that is not what ran: {what}, which no release's files name"
        against = [t.reference for t in (manifest, *tags) if t.reference and same_name(t.reference, manifest.reference)]
        manifest, *tags = (
            msgspec.structs.replace(c, against=why if c.reference in against else "") for c in (manifest, *tags)
        )
    if manifest.reference in [t.reference for t in tags if t.reference]:
        return tags
    if speaks is not Confirmation.CONFIRMED:
        return [*tags, manifest]
    if manifest.reference:
        why = "the releases' files name what runs, and they name another image for this one"
        tags = [msgspec.structs.replace(c, against=why) for c in tags]
    return [manifest, *tags]


def _ledger(repository: str, recorded: RecordedContainer, running: Sequence[Running]) -> Candidate:
    """The recorded digest, in the repository that it ran from."""
    named = parsed(recorded.image)
    where = named.repository if named else repository
    held = recorded.digest if any(same_image(recorded.digest_set, r.image_id) for r in running) else ""
    reference = f"{where}@{recorded.digest}"
    return Candidate("ledger", reference, repository=where, running=held, digests=recorded.digest_set)


def _release(
    repository: str, template: str, wanted: Wanted, release: str, settings: ImageSettings, running: Sequence[Running]
) -> Candidate:
    tag = template.replace("{release}", release).replace(SERVICE, wanted.service)
    if not is_registry_tag(tag):
        return Candidate("release-tag", why=f"{tag} cannot be a registry tag")
    if tag in settings.mutable_tags:
        return Candidate("release-tag", why=f"{tag} is a tag that moves (images.mutable_tags)")
    text = f"{repository}:{tag}"
    return Candidate("release-tag", text, repository=repository, tag=tag, running=_held_as(text, wanted, running))


def _manifest(repository: str, wanted: Wanted, settings: ImageSettings, running: Sequence[Running]) -> Candidate:
    named = parsed(wanted.image)
    if is_placeholder(wanted.image) or named is None:
        return Candidate("manifest", why=f"{wanted.image or 'an empty text'} is a placeholder or no image")
    if named.digest:
        held = named.digest if any(same_image((named.digest,), r.image_id) for r in running) else ""
        return Candidate("manifest", f"{repository}@{named.digest}", repository=repository, running=held)
    if not named.tag or named.tag in settings.mutable_tags:
        return Candidate("manifest", why=f"{wanted.image} names a tag that moves")
    return Candidate(
        "manifest", wanted.image, repository=repository, tag=named.tag, running=_held_as(wanted.image, wanted, running)
    )


def _history(repository: str, running: Sequence[Running]) -> Candidate:
    restored = {d for r in running if r.ready and r.newest and r.restored and (d := digest_of(r.image_id))}
    older = restored or {d for r in running if r.ready and not r.newest and (d := digest_of(r.image_id))}
    if not older:
        return Candidate("history", why="no pod of an older revision is Ready")
    if len(older) > 1:
        return Candidate(
            "history", why="the Ready pods of older revisions run different images: " + ", ".join(sorted(older))
        )
    digest = older.pop()
    return Candidate(
        "history", f"{repository}@{digest}", repository=repository, running=digest, restored=bool(restored)
    )


def _revision(older: Revision, wanted: Wanted, running: Sequence[Running]) -> Candidate:
    """What an older ReplicaSet or ControllerRevision names; which release that was, only times tell."""
    said = f"{older.name} of {older.created} names it; only its time says that it is this release"
    named = parsed(older.image)
    if named is None:
        return Candidate("revision", why=f"{older.name} names {older.image}, which is no image")
    return Candidate(
        "revision", older.image, repository=named.repository, tag=named.tag,
        running=_held_as(older.image, wanted, running), against=said,
    )  # fmt: skip


def _as_is(wanted: Wanted, settings: ImageSettings, running: Sequence[Running]) -> Candidate:
    named = parsed(wanted.image)
    if named is None or is_placeholder(wanted.image):
        return Candidate(
            "as-is", why=f"{wanted.image or 'an empty text'} is a placeholder or no image, and not the team's"
        )
    held = _held_as(wanted.image, wanted, running)
    if named.digest and any(same_image((named.digest,), r.image_id) for r in running):
        held = named.digest
    moves = not named.digest and named.tag in ("", "latest", *settings.mutable_tags)
    return Candidate("as-is", wanted.image, repository=named.repository, tag=named.tag, running=held, moves=moves)


def _held_as(text: str, wanted: Wanted, running: Sequence[Running]) -> str:
    """The digest that nodes have under exactly this name: what pods run tells before what a node says it holds."""
    return _pulled_as(text, running) or wanted.nodes.digest_of(text)


def _pulled_as(text: str, running: Sequence[Running]) -> str:
    """The digest that pods run under exactly this name; empty where none does, or where nodes hold different bits."""
    wanted = parsed(text)
    digests = {
        digest_of(r.image_id)
        for r in running
        if wanted and (seen := parsed(r.image)) and (seen.name, seen.tag) == (wanted.name, wanted.tag)
        if not seen.digest or same_image((seen.digest,), r.image_id)
    } - {""}
    return digests.pop() if len(digests) == 1 else ""
