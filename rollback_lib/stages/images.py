"""Proves that every image of the target exists, and which digest it is.

Tells which release runs where the ledger does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.images import ladder
from rollback_lib.core.images.ladder import Choice, ImageSettings, Running, Wanted, ladder_settings
from rollback_lib.core.images.reference import digest_of, repository_of, tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.objects import containers, kind_of, label, name_of, template
from rollback_lib.core.manifests import placeholders
from rollback_lib.core.manifests.manifest_objects import read
from rollback_lib.core.releases import current
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import MARKS, ReleaseRef
from rollback_lib.core.run.records import ContainerImage, Images, Request, Resolution, Tried
from rollback_lib.ports import Ports, RunStore, Writer

ID = "images"
WRITES = False
_ASKED: Final = 3  # releases that are asked whether they are the one that runs
_Pods = Mapping[tuple[str, str, bool], tuple[Running, ...]]  # (workload, container, init)


def run(run: RunStore, ports: Ports, write: Writer) -> Images:
    request, resolution = run.get(Request), run.get(Resolution)
    wanted = containers_of(request, ports, resolution)
    settings = ladder_settings(request.settings, [name for name, _ in resolution.services])
    if request.offline:
        return Images(current=current.UNKNOWN, images=_unproven(wanted, settings), proven=False)
    now = run.get(Live)
    if now.no_pods:
        said = f"{now.no_pods}: our Role lacks it, or the namespace does not exist."
        raise RefusedError(Refusal(said, fix="Check the namespace in rollback.yaml; allow `list` on pods in the Role."))
    release = resolution.target.release
    running = seen_running(now, release)
    platforms = node_platforms(ports)
    # A node that was given an image by other means than a pull names it by its config's digest.
    bare = any(r.image_id and "@" not in r.image_id for found in running.values() for r in found)
    asker = _Asker(ports, platforms, configs=bare)
    pods = {w: _pods_of(w, running, ladder.is_own(w, settings)) for w in wanted}
    while missing := {r for w in wanted for r in ladder.to_ask(w, release, settings, asker.answers, pods[w])}:
        asker.ask(missing)
    accepted = frozenset(request.accept)
    choices: list[Choice] = []
    refused: list[Refusal] = []
    used: set[str] = set()
    for w in wanted:
        choice, refusals = ladder.choose(w, release, settings, asker.answers, pods[w], accepted)
        refused += refusals
        if choice is not None:
            choices.append(choice)
            if accepted and not ladder.choose(w, release, settings, asker.answers, pods[w])[0]:
                used |= {
                    c
                    for c in accepted
                    if not ladder.choose(w, release, settings, asker.answers, pods[w], accepted - {c})[0]
                }
    if refused:
        raise RefusedError(*_gathered(refused))
    live = live_images(now)
    own_live = {live[key] for c in choices if c.own and (key := (c.workload, c.container, c.init)) in live}
    mutable = {r for r in own_live if tag_of(r) in settings.mutable_tags}
    mutable |= {c.before for c in choices if c.own and tag_of(c.before) in settings.mutable_tags}
    asker.ask(mutable)
    seen = [
        current.Seen(c.service, repository_of(c.image), ids)
        for c in choices
        if c.own and (ids := _newest_ids(running.get((c.workload, c.container, c.init), ())))
    ]
    for choice in choices:
        if choice.rung == "release-tag" and choice.digest:
            tag = choice.image.partition("@")[0]
            asker.answers.setdefault(tag, Answer(tag, "present", choice.digest, choice.digests))
    others = [r for r in resolution.releases if r.release != release][:_ASKED]
    for other in others:
        asker.ask(t for one in seen[:1] for t in current.tags(one, other.release, settings))
        if seen and current.tells(seen[0], other.release, settings, asker.answers, mutable):
            asker.ask(t for one in seen for t in current.tags(one, other.release, settings))
            break
    # what the ledger has of a release did not match: a registry tag that says otherwise has moved
    told = [r for r in (resolution.target, *others) if r.release not in resolution.in_ledger]
    running_release = current.release_of(seen, told, settings, asker.answers)
    if running_release == current.UNKNOWN:
        running_release = _by_mark(now, choices, resolution.releases)
    if resolution.current.commit or running_release == current.UNKNOWN:
        running_release = resolution.current  # the ledger knows what really ran; a registry's tags only what they name
    named = [running_release.release, *(r.release for r in others)]
    return Images(
        current=running_release,
        images=tuple(_image(c, live, running, asker.answers) for c in choices),
        mutable_tags=current.still_failed(choices, mutable, named, settings, asker.answers),
        accepted=tuple(sorted(used)),
        warnings=tuple(dict.fromkeys(text for c in choices for text in c.warnings)),
    )


class _Asker:
    """Asks the registry about each reference once."""

    def __init__(self, ports: Ports, platforms: Sequence[str], *, configs: bool) -> None:
        self._ports, self._platforms, self._configs = ports, platforms, configs
        self.answers: dict[str, Answer] = {}

    def ask(self, references: Iterable[str]) -> None:
        new = sorted(set(references) - set(self.answers))
        if new:
            self.answers |= self._ports.registry.look_up(new, platforms=self._platforms, configs=self._configs)


def containers_of(request: Request, ports: Ports, resolution: Resolution) -> list[Wanted]:
    """Every container of the target, as the release's manifests have it once its placeholders are filled in."""
    values = request.settings.manifests.substitute
    texts = ports.git.files(resolution.target.commit, resolution.files)
    services = {(o.file, o.document, o.part): o.service for o in resolution.objects}
    found: dict[tuple[str, str, bool], Wanted] = {}
    for file in resolution.files:
        for document in read(placeholders.substitute(texts[file], file, values), file):
            service = services.get((file, document.index, document.part))
            if service is None or kind_of(document.object) == "Job":
                continue
            workload = label(kind_of(document.object), name_of(document.object))
            for init, container in containers(template(document.object)):
                name = str(container.get("name") or "")
                w = Wanted(
                    service=service, workload=workload, container=name, init=init,
                    image=str(container.get("image") or ""), pull_policy=str(container.get("imagePullPolicy") or ""),
                    recorded=resolution.recorded.image(workload, name, init) if resolution.recorded else None,
                )  # fmt: skip
                found[workload, w.container, init] = w
    return list(found.values())


def seen_running(now: Live, release: str) -> _Pods:
    """What pods report for each container of each workload; ``restored`` where a rollback to this release stands."""
    return {
        (w.label, c.name, c.init): tuple(msgspec.structs.replace(r, restored=w.mark == release) for r in c.running)
        for w in now.workloads
        for c in w.containers
        if c.running
    }


def _pods_of(wanted: Wanted, running: _Pods, own: bool) -> tuple[Running, ...]:
    if own:
        return running.get((wanted.workload, wanted.container, wanted.init), ())
    return tuple(r for values in running.values() for r in values)  # the node holds a vendor's image for all alike


def _by_mark(now: Live, choices: Sequence[Choice], releases: Sequence[ReleaseRef]) -> ReleaseRef:
    """The release that our own marks name, where every workload of the team has one that still holds."""
    workloads = {c.workload for c in choices if c.own}
    marks = {w.mark for w in now.workloads if w.label in workloads}
    found = next((r for r in releases if marks == {r.release}), None)
    if found is None:
        return current.UNKNOWN
    return msgspec.structs.replace(found, chosen_by="a rollback to it, unchanged since", chosen_how=MARKS)


def _newest_ids(pods: Sequence[Running]) -> tuple[str, ...]:
    return tuple(r.image_id for r in pods if r.newest and r.image_id)


def node_platforms(ports: Ports) -> tuple[str, ...]:
    """The platforms of the nodes; linux/amd64 where we may not list them."""
    nodes = ports.cluster.nodes() or {}
    found = {
        f"{info.get('operatingSystem')}/{info.get('architecture')}"
        for n in nodes.values()
        if (info := (n.get("status") or {}).get("nodeInfo") or {}).get("architecture")
    }
    return tuple(sorted(found)) or ("linux/amd64",)


def live_images(now: Live) -> dict[tuple[str, str, bool], str]:
    """The image of each container of each workload, as the live template names it."""
    return {(w.label, c.name, c.init): c.image for w in now.workloads for c in w.containers if c.image}


def _image(
    choice: Choice, live: Mapping[tuple[str, str, bool], str], running: _Pods, answers: Mapping[str, Answer]
) -> ContainerImage:
    kind, _, name = choice.workload.partition("/")
    key = (choice.workload, choice.container, choice.init)
    is_live = live.get(key, "")
    newest = [r for r in running.get(key, ()) if r.newest]
    answer = answers.get(is_live)
    ran = {digest_of(r.image_id) for r in newest}
    still = bool(
        newest
        and all(ladder.same_image(choice.digests, r.image_id) for r in newest)
        and (digest_of(is_live) in choice.digests or (answer and answer.digest and answer.digest in choice.digests))
    )
    return ContainerImage(
        service=choice.service, kind=kind, name=name, container=choice.container, init=choice.init, own=choice.own,
        manifest=choice.before, live=is_live, to=choice.image, digest=choice.digest, digests=choice.digests,
        rung=choice.rung, live_is_target=still, ran=ran.pop() if len(ran) == 1 else "",
        tried=tuple(Tried(rung=t.rung, reference=t.reference, state=t.state, text=t.text) for t in choice.tried),
    )  # fmt: skip


def _unproven(wanted: Sequence[Wanted], settings: ImageSettings) -> tuple[ContainerImage, ...]:
    found = []
    for w in wanted:
        kind, _, name = w.workload.partition("/")
        found.append(
            ContainerImage(
                service=w.service, kind=kind, name=name, container=w.container, init=w.init,
                own=ladder.is_own(w, settings), manifest=w.image, to=w.image, rung="unproven",
            )
        )  # fmt: skip
    return tuple(found)


def _gathered(refused: Sequence[Refusal]) -> list[Refusal]:
    return list(dict.fromkeys(refused))
