"""From a release that runs to its ledger entry: which bits, and what differs from the tag's own manifests. Pure."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from rollback_lib.core.harmless import is_harmless
from rollback_lib.core.images.ladder import ImageSettings, Wanted, is_own, is_placeholder, same_image
from rollback_lib.core.images.reference import digest_of, repository_of, tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.json_patch import covers
from rollback_lib.core.kube.kinds import AWAITED, WORKLOADS
from rollback_lib.core.kube.objects import (
    Object,
    named_containers,
    named_images,
    ref_of,
    template,
)
from rollback_lib.core.manifests import overlay
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import current
from rollback_lib.core.releases.ledger import Entry, RecordedWorkload
from rollback_lib.core.releases.live import LiveContainer, LiveWorkload
from rollback_lib.core.settings.model import Settings


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What `record-release` did. ``removed``: records that made room; ``how``: how the release was told.

    ``tagged``: registry tags that keep the images; ``untagged``: why one was not made; ``freed``: the deploy that held
    the lock has given it back.
    """

    entry: Entry
    how: str = ""
    tagged: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    freed: bool = False


def own(service: str, ref: ContainerRef, container: LiveContainer, settings: ImageSettings) -> bool:
    """Whether a container that runs is the team's."""
    return is_own(Wanted(service, ref, container.image), settings, container.running)


def references(container: LiveContainer) -> tuple[str, ...]:
    """What the registry is asked to learn which names mean the same bits: the template's image, then each digest."""
    repository = repository_of(container.image)
    ids = dict.fromkeys(d for i in container.newest if (d := digest_of(i)))
    return (*([container.image] if container.image else []), *(f"{repository}@{d}" for d in ids))


def recorded(
    place: str, container: LiveContainer, mine: bool, answers: Mapping[str, Answer]
) -> tuple[RecordedContainer, str, str]:
    """(the record, why it cannot be one, a warning). Pods of one container may name one image differently: by its
    index, by a platform's manifest, by its configuration. Only bits that really differ are a problem."""
    ids = tuple(dict.fromkeys(d for i in container.newest if (d := digest_of(i))))
    made = RecordedContainer(
        name=container.name, init=container.init, volume=container.volume, own=mine, image=container.image
    )
    if container.volume and not ids:
        if not (named := digest_of(container.image)):
            return made, "", f"{place}: no pod says which image the volume is, so nothing of it is recorded."
        ids = (named,)  # a digest is never another image
    if not ids:
        return made, "", f"{place}: no pod runs it, so nothing of it is recorded." if mine else ""
    known = [a for r in references(container) if (a := answers.get(r)) and a.digest]
    whole = next((a for a in known if all(same_image((a.digest, *a.digests), i) for i in ids)), None)
    if whole is not None:
        digests = tuple(dict.fromkeys((whole.digest, *whole.digests, *ids)))
        return msgspec.structs.replace(made, digest=whole.digest, digests=digests), "", ""
    if len(ids) > 1:
        unsure = [a for r in references(container) if (a := answers.get(r)) and a.state == "unknown"]
        why = f" The registry does not tell whether they are one image: {unsure[0].text}." if unsure else ""
        return made, f"{place}: its pods run different images: {', '.join(ids)}.{why}", ""
    said = f"{place}: the registry does not have {ids[0]} by that name; only what the pods report is recorded."
    return msgspec.structs.replace(made, digest=ids[0], digests=ids), "", said if mine else ""


def workload(service: str, live: LiveWorkload, made: Iterable[RecordedContainer]) -> RecordedWorkload:
    return RecordedWorkload(
        service=service, kind=live.kind, name=live.name, template=live.template, containers=tuple(made)
    )


def contradicted(
    service: str, release: str, container: LiveContainer, settings: ImageSettings, answers: Mapping[str, Answer]
) -> str:
    """Why this cannot be the release: its own registry tag names other bits than the pods run. Empty where not so."""
    one = current.TeamContainer(service, repository_of(container.image), container.newest)
    tags = [a for t in current.tags(one, release, settings) if (a := answers.get(t)) and a.digest]
    if not tags or not container.newest or current.runs(one, release, settings, answers):
        return ""
    return f"{service}: its pods run {digest_of(container.newest[0])}, and {tags[0].reference} is {tags[0].digest}."


def release_tags(
    service: str, release: str, container: LiveContainer, settings: ImageSettings
) -> tuple[str, ...]:  # fmt: skip
    """The registry tags that would be this container at the release."""
    return current.tags(current.TeamContainer(service, repository_of(container.image)), release, settings)


def found_overlay(manifest: Object, live: Object) -> tuple[str, ...]:
    """What was set on a workload after its manifest was applied: images and variables, one line each, redacted."""
    where = ref_of(manifest)
    now, images = dict(named_containers(live)), dict(named_images(live))
    said = [
        f"{where} {ref.name}: image {live_image.text}"
        for ref, image in named_images(manifest)
        if (live_image := images.get(ref)) and live_image.text != image.text
    ]
    for ref, wanted in named_containers(manifest):
        there = now.get(ref)
        if there is None:
            continue
        place = f"{where} {wanted.get('name')}"
        asked, has = _env(wanted), _env(there)
        said += [f"{place}: env {_shown(n, e)}" for n, e in has.items() if n not in asked or not covers(e, asked[n])]
        said += [f"{place}: env {n} taken out" for n in asked if n not in has]
    return tuple(redact(line) for line in said)


def _env(container: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(e.get("name")): e for e in container.get("env") or [] if isinstance(e, Mapping)}


def _shown(name: str, entry: Mapping[str, Any]) -> str:
    if "valueFrom" in entry:
        return f"{name} from elsewhere"
    value = str(entry.get("value", ""))
    return f"{name}={value}" if is_harmless(value, name) else f"{name} set"


def unlike(
    bodies: Mapping[ObjectRef, Object], live: Mapping[ObjectRef, Object], settings: Settings, environment: str
) -> tuple[str, ...]:
    """The objects of a release that are not as its manifests have them, images that a deploy fills in aside."""
    variables = settings.environments[environment].overlay.env
    differing = []
    for ref, body in bodies.items():
        if ref.type not in (*WORKLOADS, "ConfigMap"):
            continue
        now = live.get(ref)
        every = dict(named_containers(body))
        variants = [body, overlay.set_env(body, variables, every)] if ref.type in AWAITED and variables else [body]
        if now is None or not any(_alike(v, now, settings) for v in variants):
            differing.append(str(ref))
    return tuple(differing)


def _alike(body: Object, now: Object, settings: Settings) -> bool:
    if template(body) is None:
        return covers(now.get("data") or {}, body.get("data") or {}) and len(now.get("data") or {}) == len(
            body.get("data") or {}
        )
    asked, there = copy.deepcopy(body), {ref: found.text for ref, found in named_images(now)}
    for ref, found in named_images(asked):
        image, live = found.text, there.get(ref, "")
        found.text = live
        fixed = image and not is_placeholder(image) and tag_of(image) not in ("", *settings.images.mutable_tags)
        if fixed and tag_of(live) and tag_of(live) != tag_of(image):
            return False
    return covers(template(now), template(asked))


class KeepTag(NamedTuple):
    """A registry tag that keeps one recorded image from being pruned."""

    repository: str
    digest: str
    tag: str


def keep_tags(entry: Entry, pattern: str) -> tuple[KeepTag, ...]:
    """The tags of a release's own images. What no tag can hold becomes ``-``, with a hash so that no two are alike."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", entry.release)[:100]
    if safe != entry.release:
        safe += "-" + hashlib.sha256(entry.release.encode()).hexdigest()[:10]
    found = dict.fromkeys(
        (repository_of(c.image), c.digest) for w in entry.workloads for c in w.containers if c.own and c.digest
    )
    several = {r for r, _ in found if sum(other == r for other, _ in found) > 1}
    tag = pattern.replace("{release}", safe)
    return tuple(KeepTag(r, d, tag + (f"-{d[-10:]}" if r in several else "")) for r, d in found)


def text(result: Result) -> str:
    """For a person: one line that says it, then what is to be known."""
    entry = result.entry
    own_ones = [c for w in entry.workloads for c in w.containers if c.own and c.digest]
    lines = [
        f"Recorded: {entry.environment} runs {entry.release} ({entry.commit[:12]}), {len(entry.workloads)} workloads, "
        f"{len(own_ones)} images by digest" + ("; pinned." if entry.pinned else ".")
    ]
    lines += [result.how] if result.how else []
    lines += [f"  - {said}" for said in entry.overlay]
    lines += [f"  - kept as {name}" for name in result.tagged]
    lines += [f"  ! {said}" for said in (*result.warnings, *result.untagged)]
    lines += [f"  - made room: {name} is gone" for name in result.removed]
    lines += ["  - the deploy's lock is given back"] if result.freed else []
    return "\n".join(lines) + "\n"
