"""What the ladder is about: a container as the release wants it, what it runs, what a rung would give, whose it is.

Images that are not the team's own have one rung, ``as-is``: release tags and the reference tag are never tried for
them, since a vendor's repository may hold a tag of that name by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from rollback_lib.core.images.confirmation import Evidence
from rollback_lib.core.images.nodes import PodNodes
from rollback_lib.core.images.reference import ImageReference, digest_of, parsed
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.settings.model import Settings

Rung = Literal["ledger", "manifest", "release-tag", "history", "revision", "reference", "as-is"]

_MARKS = re.compile(r"[${}<>%]|@[A-Za-z_]+@|__[A-Za-z_]+__")
_WORD = re.compile(r"[A-Z]+(_[A-Z]+)+|TAG|VERSION|IMAGE|(?:replace|change)(?:Image)?(?:Tag|Version)")
SERVICE: Final = "{service}"


class RecordedContainer(msgspec.Struct, frozen=True, kw_only=True):
    """One container in the ledger: how its template named the image, and which image its pods ran.

    ``digest`` is what a registry is asked for (the index, where there is one); ``digests`` is the set that an
    ``imageID`` is compared with.
    """

    name: str
    init: bool = False
    volume: bool = False
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
    where the ledger knows. ``evidence``: what the cluster shows of its past; ``nodes``: those that its pods can use.
    """

    service: str
    ref: ContainerRef
    image: str
    pull_policy: str = ""
    recorded: RecordedContainer | None = None
    evidence: Evidence = Evidence()
    nodes: PodNodes = PodNodes()

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
    volume: bool = False  # ``container`` is the name of a volume that is an image
    own: bool
    manifest: str  # as the release's manifest has it
    live: str = ""  # as the live template has it
    to: str
    digest: str = ""
    digests: tuple[str, ...] = ()
    rung: str
    tried: tuple[TriedRung, ...] = ()
    ran: str = ""  # the digest that the newest pods report, where they agree
    same_elsewhere: bool = False  # its manifest names it as the other release's does, so that proves nothing
    group: str = ""  # of the kind, where it is not the usual one
    live_is_target: bool = False  # the live reference still names this image, in the registry and in the pods

    @property
    def ref(self) -> ContainerRef:
        return ContainerRef(ObjectRef(self.kind, self.name, self.group), self.container, self.init, self.volume)


def unproven(wanted: Wanted, *, own: bool) -> ContainerImage:
    """The manifest's own image, of which nobody was asked."""
    workload = wanted.ref.workload
    return ContainerImage(
        service=wanted.service, kind=workload.kind, name=workload.name, group=workload.group, container=wanted.ref.name,
        init=wanted.ref.init, volume=wanted.ref.volume, own=own, manifest=wanted.image, to=wanted.image,
        rung="unproven",
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


def ladder_settings(settings: Settings, services: Iterable[str]) -> ImageSettings:
    """What the ladder needs of rollback.yaml; ``services`` tell the team's own images from others."""
    images = settings.images
    return ImageSettings(
        repository=images.repository or "", release_tags=images.release_tags, mutable_tags=images.mutable_tags,
        reference_tag=images.reference_tag, services=tuple(services),
    )  # fmt: skip


class Choice(NamedTuple):
    """What a container gets, and what is to be known of that.

    ``silent``: the warnings that only a registry which could not tell is the reason for.
    """

    image: ContainerImage
    warnings: tuple[str, ...]
    silent: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """What one rung would give. ``reference`` is empty where it cannot be asked; ``why`` says so.

    ``repository`` and ``tag`` are what would be written; ``running`` is a digest that pods prove for it; ``moves``
    says that the tag is no name for one image, ``restored`` that pods run it since a rollback to this very release.
    ``digests`` is the set that is known without asking. ``against`` says why it is not taken unless accepted.
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
    against: str = ""


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
    reference = repository_named(wanted.image)
    if reference is None:
        seen = [r for r in map(parsed, (r.image for r in running)) if r]
        return is_placeholder(wanted.image) and (not seen or any(_is_ours(r, wanted, settings) for r in seen))
    return _is_ours(reference, wanted, settings)


def _is_ours(reference: ImageReference, wanted: Wanted, settings: ImageSettings) -> bool:
    if not settings.repository:
        return reference.path.rpartition("/")[2] == wanted.service
    names = settings.services or ((wanted.service,) if settings.repository == SERVICE else ())
    if names:
        patterns = (parsed(settings.repository.replace(SERVICE, name)) for name in (*names, wanted.service))
        return any(p is not None and p.name == reference.name for p in patterns)
    stand_in = parsed(settings.repository.replace(SERVICE, "zz0service0zz"))
    if stand_in is None:
        return False
    pattern = re.escape(stand_in.name).replace("zz0service0zz", r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*")
    return re.fullmatch(pattern, reference.name) is not None


def repository_named(image: str) -> ImageReference | None:
    """The repository that the manifest names, also where its tag is a placeholder."""
    before, colon, tag = image.partition("@")[0].rpartition(":")
    return parsed(before if colon and "/" not in tag else image.partition("@")[0])
