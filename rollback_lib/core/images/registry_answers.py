"""What a registry's reply proves. Present, absent, or cannot tell: the last two must never be mistaken for each other.

The table is `read_reply`: status × method × headers × body. Sources: HEAD that says 404 where GET says 200
(crazy-max/diun#1614), redirects to storage whose signature is for GET (another method is 403 there), replies without a
digest header (deitch/docker_registry2#83), 401 and 403 for what does not exist (google/go-containerregistry#1691),
quotas that are spent by looking (goharbor/harbor#20632).
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.images.reference import is_digest

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT: Final = ", ".join(INDEX_TYPES + MANIFEST_TYPES)
"""Every type must be named: without the index types a registry answers 404 to HEAD for an index that it has."""


class Answer(msgspec.Struct, frozen=True):
    """What a registry said about one reference.

    ``digest`` may be known although ``state`` is not ``present``: the reference names it, or HEAD told it before GET
    was refused. ``digests`` is the set to compare an ``imageID`` with. ``platforms`` are the node platforms that were
    proven; ``missing`` and ``untold`` say of the others why nodes of them could not run it, or why that is not known.
    All three are empty where nothing was asked about platforms. ``lost``: those of the missing ones that it names, and
    that a node may have pulled before. ``status`` is that of the reply which made it ``unknown``; 0 where none came.
    """

    reference: str
    state: Literal["present", "absent", "unknown"]
    digest: str = ""
    digests: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    missing: Mapping[str, str] = {}
    untold: Mapping[str, str] = {}
    lost: tuple[str, ...] = ()
    text: str = ""
    status: int = 0

    def on(self, platforms: Sequence[str]) -> Answer:
        """The answer for pods that can be on nodes of these platforms, and of no others.

        One platform that is served is enough. Where there is no such node, the image is there as far as anybody knows.
        """
        if not (self.platforms or self.missing or self.untold):
            return self
        missing, untold = ({p: said[p] for p in platforms if p in said} for said in (self.missing, self.untold))
        served = tuple(p for p in platforms if p in self.platforms)
        said = dict.fromkeys((*missing.values(), *untold.values()))
        return msgspec.structs.replace(
            self, state="present" if served or not platforms else "unknown" if untold else "absent",
            platforms=served, missing=missing, untold=untold, lost=tuple(p for p in self.lost if p in missing),
            text=f"{self.reference}: " + "; ".join(said) if said else f"{self.reference} is {self.digest}",
        )  # fmt: skip


class Reply(msgspec.Struct, frozen=True):
    """One reply as it came, or why none did (``failure``; then ``status`` is 0).

    ``headers`` have lower-case names. ``target`` is the tag or digest asked for. ``who`` is whom we asked as.
    ``at`` is when, in seconds since 1970; it is used only to say when a quota is free again. ``hung``: no reply
    came in time. ``sent``: how many bytes a PUT had.
    """

    method: Literal["HEAD", "GET", "PUT"]
    url: str
    target: str
    status: int = 0
    headers: Mapping[str, str] = {}
    body: bytes = b""
    who: str = "anonymously"
    failure: str = ""
    at: float = 0.0
    hung: bool = False
    sent: int = 0


class Present(msgspec.Struct, frozen=True):
    """It is there. ``body`` is empty where HEAD was enough."""

    digest: str
    media_type: str
    body: bytes = b""

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEX_TYPES


class Absent(msgspec.Struct, frozen=True):
    """It is not there: the registry said so to GET, not only to HEAD."""

    text: str


class CannotTell(msgspec.Struct, frozen=True):
    """Nothing is proven. ``limited`` is set where asking this registry more would only cost quota or time.

    ``status`` is that of the reply; 0 where none came.
    """

    text: str
    limited: bool = False
    status: int = 0


class AskBody(msgspec.Struct, frozen=True):
    """HEAD does not decide this; GET does."""


Verdict = Present | Absent | CannotTell | AskBody


def read_tags(reply: Reply) -> list[str] | None:
    """The tags of a page of a repository's list; None where it is none."""
    try:
        said: _Tags | None = encoding.from_json(reply.body, _Tags) if reply.status == 200 else None
    except encoding.NotJsonError:
        return None
    return (said.tags or []) if said is not None else None


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


def read_reply(reply: Reply) -> Verdict:
    """What this reply proves."""
    if reply.failure:
        return CannotTell(f"{_asked(reply)}: {reply.failure}", limited=reply.hung)
    status = reply.status
    if status == 429:
        return CannotTell(f"{_asked(reply)}: 429, the quota is spent{_free_again(reply)}", limited=True, status=status)
    if reply.method == "HEAD":  # its no proves nothing: an address that is signed for GET answers HEAD with 403
        return _read_head(reply) if status == 200 else AskBody()
    if status == 200:
        return _read_body(reply)
    if status == 404:
        return Absent(f"{_asked(reply)}: 404, not there")
    if status in (401, 403):
        return CannotTell(
            f"{_asked(reply)}: {status}; there is no such repository, or no right to see it"
            + (" (no credentials are set for this registry)" if reply.who == "anonymously" else ""),
            status=status,
        )
    if 300 <= status < 400:
        return CannotTell(f"{_asked(reply)}: {status}, a redirect that leads nowhere we may follow", status=status)
    if status >= 500:
        return CannotTell(f"{_asked(reply)}: {status}, the registry or a proxy before it is in trouble", status=status)
    return CannotTell(f"{_asked(reply)}: {status}, which says nothing about the image", status=status)


def read_put(reply: Reply) -> str:
    """Why a registry did not take a manifest under a tag; empty where it did.

    Immutable tags are refused with 405, 409 or 412, and with 400 and a code of its own (ECR).
    """
    if reply.failure:
        return f"{_asked(reply)}: {reply.failure}"
    status, codes = reply.status, _codes(reply.body)
    said = f"{status} {', '.join(codes)}".strip()
    if 200 <= status < 300:
        return ""
    if any("immutable" in c.lower() or "alreadyexists" in c.lower() for c in codes) or status in (405, 409, 412):
        return f"{_asked(reply)}: {said}; the repository's tags are immutable, or it takes no writes"
    if status in (401, 403):
        none = " (no credentials are set for this registry)" if reply.who == "anonymously" else ""
        return f"{_asked(reply)}: {said}; this user may not push here, and reading is not enough{none}"
    if status == 404:
        return f"{_asked(reply)}: {said}; there is no such repository, or no right to push to it"
    if status == 413:
        return f"{_asked(reply)}: 413; the registry, or a proxy before it, takes no manifest of {reply.sent} bytes"
    if status == 429:
        return f"{_asked(reply)}: 429, the quota is spent{_free_again(reply)}"
    if 300 <= status < 400:
        return f"{_asked(reply)}: {status}, a redirect; a write is never sent on to another place"
    if status >= 500:
        return f"{_asked(reply)}: {said}, the registry or a proxy before it is in trouble"
    return f"{_asked(reply)}: {said}; the registry did not take the manifest"


def _codes(body: bytes) -> tuple[str, ...]:
    """The error codes of a refusal, as far as it has any that can be shown."""
    try:
        errors = _document(body).get("errors")
    except ValueError:
        return ()
    found = [str(e.get("code", "")) for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    return tuple(c for c in found[:3] if c and len(c) < 60 and c.isascii() and c.isprintable())


def _asked(reply: Reply) -> str:
    return f"asked {reply.method} {reply.url} {reply.who}"


def _read_head(reply: Reply) -> Verdict:
    media_type, digest = _media_type(reply), reply.headers.get("docker-content-digest", "").strip()
    if media_type not in INDEX_TYPES + MANIFEST_TYPES or not is_digest(digest):
        return AskBody()  # a login page says 200 too
    if is_digest(reply.target) and digest != reply.target:
        return AskBody()
    return Present(digest, media_type)


def _read_body(reply: Reply) -> Verdict:
    said = reply.headers.get("docker-content-digest", "").strip()
    algorithm = "sha512" if said.startswith("sha512:") or reply.target.startswith("sha512:") else "sha256"
    digest = f"{algorithm}:{hashlib.new(algorithm, reply.body).hexdigest()}"
    try:
        kind = kind_of(reply.body, _media_type(reply))
    except ValueError as e:
        return CannotTell(f"{_asked(reply)}: 200, but {e}", status=200)
    if said and said != digest:
        return CannotTell(f"{_asked(reply)}: the header says {said}, the body has {digest}", status=200)
    if is_digest(reply.target) and reply.target != digest:
        return CannotTell(f"{_asked(reply)}: the body has {digest}, which is not what was asked for", status=200)
    return Present(digest, kind, reply.body)


def _media_type(reply: Reply) -> str:
    return reply.headers.get("content-type", "").partition(";")[0].strip().lower()


def _free_again(reply: Reply) -> str:
    seconds = retry_after(reply.headers, reply.at)
    if seconds is None:
        return ""
    if not reply.at:
        return f"; free again in {seconds:.0f} s"
    try:
        moment = datetime.datetime.fromtimestamp(reply.at + seconds, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return f"; free again at {moment:%Y-%m-%d %H:%M:%S} UTC (in {seconds:.0f} s)"


def retry_after(headers: Mapping[str, str], at: float) -> float | None:
    """Seconds until the registry wants to be asked again; None where it does not say. ``at`` is now, since 1970."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    if value:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - at)
        except (ValueError, TypeError, OverflowError):
            return None
    reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", "")).strip()
    if reset.isascii() and reset.isdigit():  # a moment, or seconds from now: registries differ
        number = float(reset[:12])
        return max(0.0, number - at) if number > 1e9 else number
    return None


class Part(msgspec.Struct, frozen=True):
    """One entry of an index. ``platform`` is ``os/architecture[/variant]``, empty for attestations."""

    digest: str
    platform: str


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = encoding.from_json(body)
    except encoding.NotJsonError:
        raise ValueError("the answer is no manifest (a login page, or a proxy?)") from None
    if not isinstance(found, dict):
        raise ValueError("the answer is no manifest")
    return found


def kind_of(body: bytes, content_type: str = "") -> str:
    """The media type of a manifest or index; ``mediaType`` is optional in OCI, so the shape decides where it is not
    there. ValueError for anything else, which is also what schema 1 is: current nodes cannot pull it."""
    found = _document(body)
    for said in (found.get("mediaType"), content_type):
        index = said in INDEX_TYPES and isinstance(found.get("manifests"), list)
        if index or (said in MANIFEST_TYPES and isinstance(found.get("config"), dict)):
            return str(said)
    if isinstance(found.get("manifests"), list):
        return INDEX_TYPES[0]
    if isinstance(found.get("config"), dict) and isinstance(found.get("layers"), list):
        return MANIFEST_TYPES[0]
    if found.get("schemaVersion") == 1:
        raise ValueError("it is a manifest of schema 1, which current nodes cannot pull")
    raise ValueError("the answer is no manifest")


def read_index(body: bytes) -> tuple[Part, ...]:
    """The entries of an index, those without a usable digest left out. ValueError where it is none."""
    entries = _document(body).get("manifests")
    if not isinstance(entries, list):
        raise ValueError("the answer is no index")
    parts = []
    for entry in entries:
        if isinstance(entry, dict) and is_digest(str(entry.get("digest", ""))):
            platform = entry.get("platform")
            parts.append(Part(str(entry["digest"]), _platform(platform if isinstance(platform, dict) else {})))
    return tuple(parts)


def _platform(said: Mapping[str, Any]) -> str:
    named = [str(said.get(key) or "") for key in ("os", "architecture", "variant")]
    if not named[0] or not named[1] or "unknown" in named[:2]:
        return ""
    return "/".join(part for part in named if part)


def config_digest(body: bytes) -> str:
    """The digest of the image's configuration, which some runtimes report as imageID; empty where there is none."""
    try:
        config = _document(body).get("config")
    except ValueError:
        return ""
    digest = str(config.get("digest", "")) if isinstance(config, dict) else ""
    return digest if is_digest(digest) else ""


def config_platform(body: bytes, digest: str) -> str:
    """The platform in an image's configuration; empty where it names none, or the bytes are not of this digest."""
    if digest != f"sha256:{hashlib.sha256(body).hexdigest()}":
        return ""
    try:
        return _platform({**_document(body), "variant": ""})  # nodes report none
    except ValueError:
        return ""


def for_platform(parts: Iterable[Part], platform: str) -> tuple[Part, ...]:
    """The entries that a node of this platform may take. Nodes report no variant, so each variant counts."""
    return tuple(p for p in parts if p.platform == platform or p.platform.startswith(f"{platform}/"))
