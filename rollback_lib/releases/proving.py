"""Proves that every image of the target exists, and which digest it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.images import ladder, mentioned, silence
from rollback_lib.core.images.ladder import ImageSettings, Running, Wanted, ladder_settings
from rollback_lib.core.images.nodes import UNSEEN, Nodes
from rollback_lib.core.images.reference import tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage
from rollback_lib.core.kube.identity import ContainerRef
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import current, ledger, live, target
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import ReleaseRef
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.ports import Ports
from rollback_lib.releases import naming, reading, running, what_runs

_NEWEST: Final = 3  # releases that are asked whether they are what a mutable tag names


def prove(
    request: Request, resolution: Resolution, now: Live, ports: Ports, known: dict[str, Answer] | None = None
) -> Images:
    """The images of the release, each proven, and which release runs. ``now``: what runs.

    ``known``: what the registry said to whoever asked before; what it says here is added. Raises RefusedError where an
    image is not proven, or pods cannot be seen.
    """
    nodes = UNSEEN if request.offline else what_runs.nodes(ports)
    wanted = reading.containers_of(request, ports, resolution, nodes)
    if request.offline:
        settings = ladder_settings(request.settings, [name for name, _ in resolution.services])
        unproven = tuple(ladder.unproven(w, own=ladder.is_own(w, settings)) for w in wanted)
        return Images(current=current.UNKNOWN, images=unproven, proven=False)
    if now.no_pods:
        said = f"{now.no_pods}: our Role lacks it, or the namespace does not exist."
        raise RefusedError(
            Refusal(
                said, fix="Check the namespace in rollback.yaml; allow `list` on pods in the Role.",
                reason=Reason.PODS_UNSEEN, subject=request.target_environment.namespace,
            )
        )  # fmt: skip
    looked = _look(request, resolution, now, ports, {} if known is None else known, wanted, nodes)
    wanted, settings, pods, asker = looked.wanted, looked.settings, looked.pods, looked.asker
    release = resolution.target.release
    accepted = frozenset(request.accept)
    while True:
        if missing := {r for w in wanted for r in ladder.to_ask(w, release, settings, asker.answers, pods[w.ref])}:
            asker.ask(missing)
        elif not asker.ask_closely(
            ladder.plain(w, release, settings, asker.answers, pods[w.ref], accepted) for w in wanted
        ):
            break
    choices: list[ladder.Choice] = []
    refused: list[silence.Refused] = []
    used: set[str] = set()
    for w in wanted:
        choice, refusals = ladder.choose(w, release, settings, asker.answers, pods[w.ref], accepted)
        asked = [c.reference for c in ladder.candidates(w, release, settings, pods[w.ref])]
        refused += [silence.Refused(w, refusal, silence.of(asked, asker.answers)) for refusal in refusals]
        if choice is not None:
            choices.append(choice)
            if accepted and not ladder.choose(w, release, settings, asker.answers, pods[w.ref])[0]:
                used |= {
                    c
                    for c in accepted
                    if not ladder.choose(w, release, settings, asker.answers, pods[w.ref], accepted - {c})[0]
                }
    if refused:
        raise RefusedError(*silence.refusals(refused, release))
    images = [c.image for c in choices]
    there = now.by_ref
    own = [i for i in images if i.own]
    named = {i.manifest for i in own} | {c.image for i in own if (c := there.get(i.ref)) and c.image}
    mutable = {r for r in named if tag_of(r) in settings.mutable_tags}
    asker.ask(mutable)
    for image in images:
        if image.rung == "release-tag" and image.digest:
            tag = image.to.partition("@")[0]
            asker.answers.setdefault(tag, Answer(tag, "present", image.digest, image.digests))
    seen = running.seen(looked.team, now, settings)
    others = [r for r in resolution.releases if r.release != release][:_NEWEST]
    for other in others:
        asker.ask(t for one in seen[:1] for t in current.tags(one, other.release, settings))
        if seen and current.tells(seen[0], other.release, settings, asker.answers, mutable):
            asker.ask(t for one in seen for t in current.tags(one, other.release, settings))
            break
    runs = looked.current()
    releases = [runs.release, *(r.release for r in others)]
    held = [] if request.undo else _held(images, resolution)
    return Images(
        current=runs,
        images=tuple(live.beside(i, there.get(i.ref), asker.answers, settings.mutable_tags) for i in images),
        mutable_tags=current.still_failed(images, mutable, releases, settings, asker.answers),
        accepted=tuple(sorted(used)),
        refusals=tuple(held),
        warnings=(
            *_of_nodes(wanted, nodes, asker.answers),
            *_told(request, resolution, ports, settings),
            *silence.warnings(choices, asker.answers),
        ),
    )


def _platforms(wanted: Sequence[Wanted], nodes: Nodes) -> tuple[str, ...]:
    return tuple(sorted({p for w in wanted for p in w.nodes.platforms})) or nodes.platforms


def _of_nodes(wanted: Sequence[Wanted], nodes: Nodes, answers: Mapping[str, Answer]) -> Iterator[str]:
    """What could not be seen of the nodes, where that leaves an image less than proven."""
    if nodes.all is None:
        if any(a.platforms or a.missing for a in answers.values()):
            yield ladder.ASSUMED_FOR
        return
    for workload in dict.fromkeys(w.ref.workload for w in wanted if not w.nodes.platforms):
        yield (
            f"{workload}: no Ready node takes its pods now (nodeSelector, affinity, taints, cordons), so whether its "
            f"images are for the nodes to come is not known"
        )


def _told(request: Request, resolution: Resolution, ports: Ports, settings: ImageSettings) -> Iterator[str]:
    """The team's images that a program is only told of: nothing proves or pins those."""
    variables = request.target_environment.overlay.env
    texts = [(str(ref_of(body)), text) for _, body in reading.objects_of(request, ports, resolution)
             for text in mentioned.texts(body)]  # fmt: skip
    texts += [("rollback.yaml, overlay", mentioned.Told(name, value)) for name, value in variables.items()]
    for place, told in texts:
        if mentioned.moves(told.text, settings):
            yield (
                f"{place}: {told.name} names {told.text}, a tag that moves: what is started from it is neither proven "
                f"nor brought back"
            )


def tell(request: Request, resolution: Resolution, now: Live, ports: Ports, known: dict[str, Answer]) -> ReleaseRef:
    """The release that runs, whether or not its images, or any other's, are proven. ``known`` as for `prove`."""
    nodes = what_runs.nodes(ports)
    wanted = reading.containers_of(request, ports, resolution, nodes)
    return _look(request, resolution, now, ports, known, wanted, nodes).current()


class _Looked(NamedTuple):
    """What is known of the target's containers before any is proven, and how what runs is told."""

    wanted: list[Wanted]
    team: list[Wanted]
    settings: ImageSettings
    pods: Mapping[ContainerRef, tuple[Running, ...]]
    asker: running.Asker
    current: Callable[[], ReleaseRef]


def _look(
    request: Request, resolution: Resolution, now: Live, ports: Ports, answers: dict[str, Answer],
    wanted: list[Wanted], nodes: Nodes,
) -> _Looked:  # fmt: skip
    settings = ladder_settings(request.settings, [name for name, _ in resolution.services])
    pods = live.running(now, resolution.target.release)
    # A node that was given an image by other means than a pull names it by its config's digest.
    bare = any(r.image_id and "@" not in r.image_id for found in pods.values() for r in found)
    team = [w for w in wanted if ladder.is_own(w, settings, pods.get(w.ref, ()))]
    files = naming.look(request, resolution, now, ports, team, settings)
    wanted = [msgspec.structs.replace(w, evidence=files.evidence.get(w.ref, w.evidence)) for w in wanted]
    asker = running.Asker(ports, _platforms(wanted, nodes), answers, configs=bare)

    def current_release() -> ReleaseRef:
        """The ledger knows what really ran; files and a registry's tags only what they name."""
        if resolution.current.commit:
            return resolution.current
        found = files.current
        if found == current.UNKNOWN:
            found = running.tell(request, resolution, now, ports, team, settings, asker)
        return resolution.current if found == current.UNKNOWN else found

    mine = {w.ref: _pods_of(w, pods, ladder.is_own(w, settings)) for w in wanted}
    return _Looked(wanted, team, settings, mine, asker, current_release)


def _held(images: Sequence[ContainerImage], resolution: Resolution) -> list[Refusal]:
    """Why these images must not come back, where the release's own name does not say so already."""
    if any(r.reason is Reason.QUARANTINED for r in resolution.refusals):
        return []
    digests = (d for i in images if i.own for d in (i.digest, *i.digests))
    return target.quarantined(resolution.target.release, ledger.first_held(resolution.held, digests))


def _pods_of(wanted: Wanted, running: live.Pods, own: bool) -> tuple[Running, ...]:
    if own:
        return running.get(wanted.ref, ())
    return tuple(r for values in running.values() for r in values)  # the node holds a vendor's image for all alike
