"""Which references could give a container its image, best rung first, and whose image it is.

Images that are not the team's own have one rung, ``as-is``: release tags and the reference tag are never tried for
them, since a vendor's repository may hold a tag of that name by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from rollback_lib.core.images.reference import ImageReference, digest_of, is_registry_tag, parse
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef

Rung = Literal["ledger", "release-tag", "manifest", "history", "reference", "as-is"]

_MARKS = re.compile(r"[${}<>%]|@[A-Za-z_]+@|__[A-Za-z_]+__")
_WORD = re.compile(r"[A-Z]+(_[A-Z]+)+|TAG|VERSION|IMAGE|(?:replace|change)(?:Image)?(?:Tag|Version)")
_SERVICE: Final = "{service}"


class RecordedContainer(msgspec.Struct, frozen=True, kw_only=True):
    """One container in the ledger: how its template named the image, and which image its pods ran.

    ``digest`` is what a registry is asked for (the index, where there is one); ``digests`` is the set that an
    ``imageID`` is compared with.
    """

    name: str
    init: bool = False
    own: bool = True
    image: str = ""
    digest: str = ""
    digests: tuple[str, ...] = ()

    @property
    def digest_set(self) -> tuple[str, ...]:
        return self.digests or (self.digest,)


class Wanted(msgspec.Struct, frozen=True):
    """One container of one workload, as the target release's manifest has it (placeholders too).

    ``pull_policy`` is empty where the manifest leaves it out. ``recorded`` is what really ran for it at this release,
    where the ledger knows.
    """

    service: str
    ref: ContainerRef
    image: str
    pull_policy: str = ""
    recorded: RecordedContainer | None = None

    @property
    def place(self) -> str:
        return f"{self.service}: {self.ref}"


class Running(msgspec.Struct, frozen=True):
    """What one pod reports for that container. ``newest``: it belongs to the workload's newest template.

    ``restored``: a run of ours put that template there for the target release, and it has not changed since.
    For an image that is not the team's, pods of other workloads may be given too: the node holds it all the same.
    """

    image_id: str
    image: str = ""
    ready: bool = False
    newest: bool = False
    node: str = ""
    restored: bool = False


class TriedRung(msgspec.Struct, frozen=True):
    """One rung and what came of it. ``state`` is present, absent, unknown, or ``skipped``: there was nothing to ask."""

    rung: str
    reference: str
    state: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.rung}: {self.text}"


class ContainerImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image that one container gets (``to``), and the proof for it: how sure it is says the ``rung``.

    ``digest`` is empty only where the registry could not tell and that was accepted; ``digests`` is the set to compare
    running pods with.
    """

    service: str
    kind: str
    name: str
    container: str
    init: bool = False
    own: bool
    manifest: str  # as the release's manifest has it
    live: str = ""  # as the live template has it
    to: str
    digest: str = ""
    digests: tuple[str, ...] = ()
    rung: str
    tried: tuple[TriedRung, ...] = ()
    ran: str = ""  # the digest that the newest pods report, where they agree
    group: str = ""  # of the kind, where it is not the usual one
    live_is_target: bool = False  # the live reference still names this image, in the registry and in the pods

    @property
    def ref(self) -> ContainerRef:
        return ContainerRef(ObjectRef(self.kind, self.name, self.group), self.container, self.init)


def unproven(wanted: Wanted, *, own: bool) -> ContainerImage:
    """The manifest's own image, of which nobody was asked."""
    workload = wanted.ref.workload
    return ContainerImage(
        service=wanted.service, kind=workload.kind, name=workload.name, group=workload.group, container=wanted.ref.name,
        init=wanted.ref.init, own=own, manifest=wanted.image, to=wanted.image, rung="unproven",
    )  # fmt: skip


class ImageSettings(msgspec.Struct, frozen=True):
    """The part of ``images:`` in rollback.yaml that the ladder needs.

    ``repository`` is a pattern (``sanjodb/{service}``) or empty: then a repository whose last part is the service's
    name is the team's. ``services``, where given, are the only values that ``{service}`` stands for.
    """

    repository: str = ""
    release_tags: tuple[str, ...] = ("{release}",)
    mutable_tags: tuple[str, ...] = ("latest",)
    reference_tag: str = ""
    services: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """What one rung would give. ``reference`` is empty where it cannot be asked; ``why`` says so.

    ``repository`` and ``tag`` are what would be written; ``running`` is a digest that pods prove for it; ``moves``
    says that the tag is no name for one image, ``restored`` that pods run it since a rollback to this very release.
    ``digests`` is the set that is known without asking.
    """

    rung: Rung
    reference: str = ""
    why: str = ""
    repository: str = ""
    tag: str = ""
    running: str = ""
    moves: bool = False
    restored: bool = False
    digests: tuple[str, ...] = ()


def same_image(digests: Iterable[str], image_id: str) -> bool:
    """Whether a container's ``imageID`` is one of these digests. Its repository is ignored: a node that has one image
    under two names reports either (seen on a real cluster)."""
    digest = digest_of(image_id)
    return bool(digest) and digest in set(digests)


def is_placeholder(image: str) -> bool:
    """Whether the image, or its tag, still has to be filled in: ``${TAG}``, ``BUILD_TAG``, ``x:IMAGE_TAG``.

    The API server accepts a bare word as an image; this does not.
    """
    if _MARKS.search(image) or (re.fullmatch(r"[A-Z0-9_]+", image) and re.search(r"[A-Z]", image)):
        return True
    return _WORD.fullmatch(image.rpartition("/")[2].partition(":")[2]) is not None


def is_own(wanted: Wanted, settings: ImageSettings, running: Sequence[Running] = ()) -> bool:
    """Whether the image is the team's: release tags and the reference tag are tried for those only.

    A placeholder for the whole image is taken for the team's, unless the pods of that container run another repository
    (a sidecar must not become the service).
    """
    reference = _repository_of(wanted.image)
    if reference is None:
        seen = [r for r in map(_parsed, (r.image for r in running)) if r]
        return is_placeholder(wanted.image) and (not seen or any(_is_ours(r, wanted, settings) for r in seen))
    return _is_ours(reference, wanted, settings)


def _is_ours(reference: ImageReference, wanted: Wanted, settings: ImageSettings) -> bool:
    if not settings.repository:
        return reference.path.rpartition("/")[2] == wanted.service
    names = settings.services or ((wanted.service,) if settings.repository == _SERVICE else ())
    if names:
        patterns = (_parsed(settings.repository.replace(_SERVICE, name)) for name in (*names, wanted.service))
        return any(p is not None and p.name == reference.name for p in patterns)
    stand_in = _parsed(settings.repository.replace(_SERVICE, "zz0service0zz"))
    if stand_in is None:
        return False
    pattern = re.escape(stand_in.name).replace("zz0service0zz", r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
    return re.fullmatch(pattern, reference.name) is not None


def _parsed(text: str) -> ImageReference | None:
    try:
        return parse(text)
    except ValueError:
        return None


def _repository_of(image: str) -> ImageReference | None:
    """The repository that the manifest names, also where its tag is a placeholder."""
    before, colon, tag = image.partition("@")[0].rpartition(":")
    return _parsed(before if colon and "/" not in tag else image.partition("@")[0])


def candidates(
    wanted: Wanted, release: str, settings: ImageSettings, running: Sequence[Running] = ()
) -> tuple[Candidate, ...]:
    """What could be tried, best rung first, also what cannot be asked."""
    if not is_own(wanted, settings, running):
        return (_as_is(wanted, settings, running),)
    found = _repository_of(wanted.image) or _parsed(settings.repository.replace(_SERVICE, wanted.service))
    if found is None and wanted.recorded:
        found = _parsed(wanted.recorded.image)
    if found is None:
        return (
            Candidate(
                "manifest", why=f"{wanted.image or 'an empty text'} is no image, and images.repository is not set"
            ),
        )
    repository = found.repository
    ladder = [_ledger(repository, wanted.recorded, running)] if wanted.recorded else []
    ladder += [_release(repository, t, wanted, release, settings, running) for t in settings.release_tags]
    asked = {candidate.reference for candidate in ladder}
    manifest = _manifest(repository, wanted, settings, running)
    ladder += [] if manifest.reference and manifest.reference in asked else [manifest]
    ladder.append(_history(repository, running))
    if settings.reference_tag:
        ladder.append(Candidate("reference", f"{repository}:{settings.reference_tag}", repository=repository))
    return tuple(ladder)


def _ledger(repository: str, recorded: RecordedContainer, running: Sequence[Running]) -> Candidate:
    """The recorded digest, in the repository that it ran from."""
    named = _parsed(recorded.image)
    where = named.repository if named else repository
    held = recorded.digest if any(same_image(recorded.digest_set, r.image_id) for r in running) else ""
    reference = f"{where}@{recorded.digest}"
    return Candidate("ledger", reference, repository=where, running=held, digests=recorded.digest_set)


def _release(
    repository: str, template: str, wanted: Wanted, release: str, settings: ImageSettings, running: Sequence[Running]
) -> Candidate:
    tag = template.replace("{release}", release).replace(_SERVICE, wanted.service)
    if not is_registry_tag(tag):
        return Candidate("release-tag", why=f"{tag} cannot be a registry tag")
    if tag in settings.mutable_tags:
        return Candidate("release-tag", why=f"{tag} is a tag that moves (images.mutable_tags)")
    text = f"{repository}:{tag}"
    return Candidate("release-tag", text, repository=repository, tag=tag, running=_pulled_as(text, running))


def _manifest(repository: str, wanted: Wanted, settings: ImageSettings, running: Sequence[Running]) -> Candidate:
    named = _parsed(wanted.image)
    if is_placeholder(wanted.image) or named is None:
        return Candidate("manifest", why=f"{wanted.image or 'an empty text'} is a placeholder or no image")
    if named.digest:
        held = named.digest if any(same_image((named.digest,), r.image_id) for r in running) else ""
        return Candidate("manifest", f"{repository}@{named.digest}", repository=repository, running=held)
    if not named.tag or named.tag in settings.mutable_tags:
        return Candidate("manifest", why=f"{wanted.image} names a tag that moves")
    return Candidate(
        "manifest", wanted.image, repository=repository, tag=named.tag, running=_pulled_as(wanted.image, running)
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


def _as_is(wanted: Wanted, settings: ImageSettings, running: Sequence[Running]) -> Candidate:
    named = _parsed(wanted.image)
    if named is None or is_placeholder(wanted.image):
        return Candidate(
            "as-is", why=f"{wanted.image or 'an empty text'} is a placeholder or no image, and not the team's"
        )
    held = _pulled_as(wanted.image, running)
    if named.digest and any(same_image((named.digest,), r.image_id) for r in running):
        held = named.digest
    moves = not named.digest and named.tag in ("", "latest", *settings.mutable_tags)
    return Candidate("as-is", wanted.image, repository=named.repository, tag=named.tag, running=held, moves=moves)


def _pulled_as(text: str, running: Sequence[Running]) -> str:
    """The digest that pods run under exactly this name; empty where none does, or where nodes hold different bits."""
    wanted = _parsed(text)
    digests = {
        digest_of(r.image_id)
        for r in running
        if wanted and (seen := _parsed(r.image)) and (seen.name, seen.tag) == (wanted.name, wanted.tag)
        if not seen.digest or same_image((seen.digest,), r.image_id)
    } - {""}
    return digests.pop() if len(digests) == 1 else ""
