"""Proves that every image of the target exists, and which digest it is.

Tells which release runs where the ledger does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.images import ladder, mentioned, silence
from rollback_lib.core.images.ladder import ImageSettings, Running, Wanted, ladder_settings
from rollback_lib.core.images.nodes import UNSEEN, Nodes
from rollback_lib.core.images.reference import repository_of, tag_of
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import ContainerImage
from rollback_lib.core.kube.objects import ref_of
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import current, live
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.tags import MARKS, ReleaseRef
from rollback_lib.core.run.records import Images, Request, Resolution
from rollback_lib.ports import Ports
from rollback_lib.releases import naming, reading, what_runs

_ASKED: Final = 3  # releases that are asked whether they are the one that runs


def prove(
    request: Request, resolution: Resolution, now: Live, ports: Ports, known: dict[str, Answer] | None = None
) -> Images:
    """The images of the release, each proven, and which release runs. ``now``: what runs.

    ``known``: what the registry said to whoever asked before; what it says here is added. Raises RefusedError where an
    image is not proven, or pods cannot be seen.
    """
    nodes = UNSEEN if request.offline else what_runs.nodes(ports)
    wanted = reading.containers_of(request, ports, resolution, nodes)
    settings = ladder_settings(request.settings, [name for name, _ in resolution.services])
    if request.offline:
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
    release = resolution.target.release
    running = live.running(now, release)
    # A node that was given an image by other means than a pull names it by its config's digest.
    bare = any(r.image_id and "@" not in r.image_id for found in running.values() for r in found)
    team = [w for w in wanted if ladder.is_own(w, settings, running.get(w.ref, ()))]
    files = naming.look(request, resolution, now, ports, team, settings)
    wanted = [msgspec.structs.replace(w, evidence=files.evidence.get(w.ref, w.evidence)) for w in wanted]
    asker = _Asker(ports, _platforms(wanted, nodes), {} if known is None else known, configs=bare)
    pods = {w.ref: _pods_of(w, running, ladder.is_own(w, settings)) for w in wanted}
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
    seen = [
        current.TeamContainer(i.service, repository_of(i.to), c.newest)
        for i in own
        if (c := there.get(i.ref)) and c.newest
    ]
    for image in images:
        if image.rung == "release-tag" and image.digest:
            tag = image.to.partition("@")[0]
            asker.answers.setdefault(tag, Answer(tag, "present", image.digest, image.digests))
    others = [r for r in resolution.releases if r.release != release][:_ASKED]
    for other in others:
        asker.ask(t for one in seen[:1] for t in current.tags(one, other.release, settings))
        if seen and current.tells(seen[0], other.release, settings, asker.answers, mutable):
            asker.ask(t for one in seen for t in current.tags(one, other.release, settings))
            break
    # what the ledger has of a release did not match: a registry tag that says otherwise has moved
    told = [r for r in (resolution.target, *others) if r.release not in resolution.in_ledger]
    running_release = files.current
    if running_release == current.UNKNOWN:
        running_release = current.release_of(seen, told, settings, asker.answers)
    if running_release == current.UNKNOWN:
        running_release = _by_mark(now, own, resolution.releases)
    if resolution.current.commit or running_release == current.UNKNOWN:
        running_release = resolution.current  # the ledger knows what really ran; a registry's tags only what they name
    releases = [running_release.release, *(r.release for r in others)]
    return Images(
        current=running_release,
        images=tuple(live.beside(i, there.get(i.ref), asker.answers, settings.mutable_tags) for i in images),
        mutable_tags=current.still_failed(images, mutable, releases, settings, asker.answers),
        accepted=tuple(sorted(used)),
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


def _pods_of(wanted: Wanted, running: live.Pods, own: bool) -> tuple[Running, ...]:
    if own:
        return running.get(wanted.ref, ())
    return tuple(r for values in running.values() for r in values)  # the node holds a vendor's image for all alike


def _by_mark(now: Live, own: Sequence[ContainerImage], releases: Sequence[ReleaseRef]) -> ReleaseRef:
    """The release that our own marks name, where every workload of the team has one that still holds."""
    workloads = {i.ref.workload for i in own}
    marks = {w.mark for w in now.workloads if w.ref in workloads}
    found = next((r for r in releases if marks == {r.release}), None)
    if found is None:
        return current.UNKNOWN
    return msgspec.structs.replace(found, chosen_by="a rollback to it, unchanged since", chosen_how=MARKS)


class _Asker:
    """Asks the registry about each reference once."""

    def __init__(self, ports: Ports, platforms: Sequence[str], answers: dict[str, Answer], *, configs: bool) -> None:
        self._ports, self._platforms, self._configs = ports, platforms, configs
        self.answers = answers
        self._closely: set[str] = set()

    def ask(self, references: Iterable[str]) -> None:
        new = sorted(set(references) - set(self.answers))
        if new:
            self.answers |= self._ports.registry.look_up(new, platforms=self._platforms, configs=self._configs)

    def ask_closely(self, references: Iterable[str]) -> bool:
        """Ask again for which platform these plain images are; False where there is none that was not asked so."""
        new = sorted(set(references) - self._closely - {""})
        self._closely |= set(new)
        if new and not self._configs:
            self.answers |= self._ports.registry.look_up(new, platforms=self._platforms, configs=True)
        return bool(new)
