"""`rollback record-release`: a release that proved good is written into the ledger, with the bits that really ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from rollback_lib.collectors import ledger as collector
from rollback_lib.collectors import smoke
from rollback_lib.collectors.rollout import Rollouts, Watched
from rollback_lib.core.errors import CheckError, FailedError, Problem, Refusal, RefusedError, StaleError, UsageError
from rollback_lib.core.health import Health
from rollback_lib.core.images.ladder import ladder_settings
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED, WORKLOADS, WRITTEN
from rollback_lib.core.kube.objects import Object, fingerprint, ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.releases import beyond, ledger, live, matching, recording
from rollback_lib.core.releases import tags as release
from rollback_lib.core.releases.ledger import AnyKept, Entry, Ledger, RecordedObject, RecordedWorkload
from rollback_lib.core.releases.recording import Result
from rollback_lib.core.releases.tags import Tag
from rollback_lib.core.run.lock import DEPLOY
from rollback_lib.core.settings.model import Settings, seconds
from rollback_lib.pipeline import holding
from rollback_lib.ports import Ports
from rollback_lib.releases import reading
from rollback_lib.releases.what_runs import node_platforms

_COMPARED: Final = 30  # releases that `--from-live` compares


class Options(NamedTuple):
    """What is to be recorded. ``release`` is empty with ``--from-live``: then what runs tells it.

    ``keep_tag``: the pattern of the registry tags to make; empty: none.
    """

    settings: Settings
    environment: str
    release: str = ""
    pin: bool = False
    from_live: bool = False
    keep_tag: str = ""


def record(asked: Options, ports: Ports) -> Result:
    """Prove that the release runs and is healthy, then keep what runs.

    Raises CheckError where it is sick, is not what runs or is quarantined; RefusedError where that cannot be told or
    the ledger may not be written. Then nothing was recorded.
    """
    if bool(asked.release) == asked.from_live:
        raise UsageError(Problem("one of --release and --from-live is needed", fix="name the tag that was deployed"))
    tags = ports.git.tags()
    named = release.find(tags, asked.release) if asked.release else None
    known = collector.read(ports.records, asked.settings.application, asked.environment)
    if known.unread:
        raise RefusedError(Refusal(known.unread, fix="record-release needs get, list, create and update of configmaps"))
    tag, how = (named, "") if named else _identify(asked, tags, ports)
    if mark := known.quarantine(tag.name, tag.commit):
        raise CheckError(
            f"{tag.name} is quarantined since {mark.at} by {mark.by}: {mark.reason}. Nothing was recorded. "
            f"`rollback quarantine {mark.release} --lift` frees it."
        )
    held = _contents(asked.settings, asked.environment, tag, ports)
    if not held.objects:
        raise RefusedError(f"{tag.name} has no manifests at {asked.settings.manifests.where}.")
    rollouts, smoked, warnings = _proven(asked, tag, held, ports)
    entry, more = _entry(asked, tag, held, rollouts, ports)
    entry = msgspec.structs.replace(entry, smoke=smoked)
    kept = _keep(entry, ports)
    tagged, untagged = _tag(kept, asked.keep_tag, ports) if asked.keep_tag else ((), ())
    removed, failed = _make_room(asked, ports, kept.release)
    freed, stays = _free(asked, ports, kept.release)
    return Result(
        entry=kept, how=how, warnings=(*known.problems, *warnings, *more, *failed, *stays), removed=removed,
        tagged=tagged, untagged=untagged, freed=freed,
    )  # fmt: skip


def _free(asked: Options, ports: Ports, name: str) -> tuple[bool, tuple[str, ...]]:
    """(whether the deploy's lock was given back, why not): a deploy that held it by `guard --hold` is over now."""
    try:
        return holding.remove(ports.records, asked.settings.application, lambda held: held.is_of(DEPLOY, name)), ()
    except RefusedError as error:
        return False, (f"Whether the deploy of {name} still holds the lock cannot be told: {error}",)


def _tag(entry: Entry, pattern: str, ports: Ports) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(tags that keep the images, why others were not made). A tag that names something else is never moved."""
    tagged, failed = [], []
    for repository, digest, tag in recording.keep_tags(entry, pattern):
        try:
            ports.tags.put_tag(repository, digest, tag, was="")
            tagged.append(f"{repository}:{tag}")
        except (RefusedError, FailedError, StaleError) as error:
            failed.append(str(error))
    return tuple(tagged), tuple(failed)


def _contents(settings: Settings, environment: str, tag: Tag, ports: Ports) -> Contents:
    held = reading.contents(ports, settings, settings.environments[environment].namespace, tag.commit)
    if held.beyond:
        raise RefusedError(f"At {tag.name} {held.beyond[0]}. Nothing was recorded: a record is of a whole release.")
    return held


def _proven(asked: Options, tag: Tag, held: Contents, ports: Ports) -> tuple[Rollouts, tuple[str, ...], list[str]]:
    """The rollouts, all healthy by verify's rules; what the smoke tests said; what is not proven."""
    verify = asked.settings.verify
    wanted = [r for r in held.objects if r.type in AWAITED and not r.namespace]
    there = ports.cluster.snapshot(sorted({r.kind for r in wanted})) if wanted else Snapshot({})
    running = [r for r in wanted if there.get(r)]
    warnings = [f"{r} of {tag.name} is not in the cluster: not recorded." for r in wanted if r not in running]
    if not running:
        raise CheckError(f"No workload of {tag.name} runs in {asked.environment}. Nothing was recorded.")
    rollouts = Rollouts(
        ports, [Watched(ref, patched=False) for ref in running],
        rollout_timeout=seconds(verify.rollout_timeout), crash_restarts=verify.crash_restarts,
    )  # fmt: skip
    reports = rollouts.until_over()
    sick = [f"{r} is gone." for r in running if r not in reports]
    sick += [r.message for r in reports.values() if r.health is not Health.HEALTHY and r.desired]
    if not sick and not any(r.health is Health.HEALTHY for r in reports.values()):
        sick.append("every workload is at 0 replicas, so nothing is proven.")
    smoked: list[str] = []
    for test in verify.smoke if not sick else ():
        mine = [r for r in running if held.objects[r][0] == test.service]
        said, good = smoke.ask(test, mine, rollouts.views, ports)
        smoked.append(said)
        sick += [] if good else [said]
    if sick:
        raise CheckError("\n".join([f"{tag.name} is not healthy, so it is not recorded as good:", *sick]))
    warnings += [f"{r.ref} is at 0 replicas: unproven." for r in reports.values() if not r.desired]
    return rollouts, tuple(smoked), warnings


def _entry(asked: Options, tag: Tag, held: Contents, rollouts: Rollouts, ports: Ports) -> tuple[Entry, list[str]]:
    """The entry of what runs. Raises CheckError where pods of one workload run different bits, or another release."""
    kinds = [k for k in WRITTEN if any(r.type == k for r in held.objects)]
    snapshot = ports.cluster.snapshot(list(dict.fromkeys([*live.KINDS_READ, *kinds])))
    if "Pod" in snapshot.refused:
        raise RefusedError(snapshot.refused["Pod"])
    for view in rollouts.views.values():
        ref = ref_of(view.workload)
        if fingerprint(snapshot.get(ref)) != fingerprint(view.workload):
            raise CheckError(f"{ref} was changed while it was looked at. Nothing was recorded; try again.")
    now = live.live(snapshot)
    workloads, problems, warnings = _workloads(asked.settings, tag, held, now, ports)
    if problems:
        raise CheckError("\n".join([f"{tag.name} is not recorded:", *problems]))
    known = {str(w.ref) for w in workloads}
    not_put_back = tuple(map(str, beyond.running(snapshot, asked.settings)))
    warnings += [f"{what} runs an image of the team's, and a rollback cannot put it back." for what in not_put_back]
    objects = [(ref, found) for ref in sorted(held.objects) if (found := snapshot.get(ref)) and ref.type in WRITTEN]
    return Entry(
        application=asked.settings.application, environment=asked.environment, release=tag.name, commit=tag.commit,
        recorded_at=ports.clock.now().isoformat(timespec="milliseconds"), by=ports.user,
        build=ports.environ.get("BUILD_URL", ""), workloads=workloads, pinned=asked.pin, verified=True,
        objects=tuple(RecordedObject(kind=r.kind, name=r.name, hash=live.object_hash(found)) for r, found in objects),
        beyond=not_put_back,
        others=tuple(w for w in matching.own_workloads(now, asked.settings) if w not in known),
        overlay=tuple(
            line
            for ref, found in objects
            if ref.type in WORKLOADS
            for line in recording.found_overlay(held.objects[ref][1], found)
        ),
    ), warnings  # fmt: skip


def _workloads(
    settings: Settings, tag: Tag, held: Contents, now: live.Live, ports: Ports
) -> tuple[tuple[RecordedWorkload, ...], list[str], list[str]]:
    """(the workloads with their digests, what is wrong, what is not proven); the registry is asked once."""
    mine = [(held.objects[w.ref][0], w) for w in now.workloads if w.ref in held.objects]
    ladder = ladder_settings(settings, [s for s, _ in mine])
    each = [(s, w, c, recording.own(s, ref, c, ladder)) for s, w in mine for ref, c in w.by_ref.items() if c.image]
    asked = {r for _, _, c, own in each if own for r in recording.references(c)}
    asked |= {t for s, _, c, own in each if own for t in recording.release_tags(s, tag.name, c, ladder)}
    bare = any("@" not in i for _, _, c, _ in each for i in c.newest)
    answers = ports.registry.look_up(sorted(asked), platforms=node_platforms(ports), configs=bare) if asked else {}
    problems, warnings = [], []
    found = []
    for service, w in mine:
        made = []
        for _, _, c, own in (e for e in each if e[1] is w):
            place = f"{w.label} {c.name}"
            one, problem, warning = recording.recorded(place, c, own, answers)
            other = recording.contradicted(service, tag.name, c, ladder, answers) if own and not problem else ""
            problems += [said for said in (problem if own else "", other) if said]
            warnings += [warning] if warning else []
            made.append(one)
        found.append(recording.workload(service, w, made))
    return tuple(found), problems, warnings


def _keep(entry: Entry, ports: Ports) -> Entry:
    def made(before: AnyKept | None) -> AnyKept:
        pinned = entry.pinned or (isinstance(before, Entry) and before.pinned)
        return msgspec.structs.replace(entry, pinned=pinned)

    stored = ledger.decode(collector.write(ports.records, made, ledger.name(entry)))
    if not isinstance(stored, Entry):
        raise RefusedError(f"what was stored is not what was recorded: {stored}")
    return stored


def _make_room(asked: Options, ports: Ports, written: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(records that are gone, what went wrong): the ledger stays bounded; failing to do so fails nothing."""
    now: Ledger = collector.read(ports.records, asked.settings.application, asked.environment)
    removed, failed = [], []
    for name in ledger.surplus(now, asked.settings.ledger.keep, (written,)):
        try:
            removed += [name] if collector.remove(ports.records, name) else []
        except RefusedError as error:
            failed.append(f"{name} was to make room: {error}")
            break
    return tuple(removed), tuple(failed)


def _identify(asked: Options, tags: Sequence[Tag], ports: Ports) -> tuple[Tag, str]:
    """(the release whose manifests are what runs, how sure that is). Raises CheckError where not exactly one is."""
    newest = release.releases(tags, asked.settings.releases.tag)[:_COMPARED]
    if not newest:
        raise RefusedError(release.no_releases(tags, asked.settings.releases.tag))
    snapshot = ports.cluster.snapshot([*WORKLOADS, "ConfigMap"])
    now: Mapping[ObjectRef, Object] = {
        ObjectRef(k, n): o for k, found in snapshot.objects.items() for n, o in found.items()
    }
    compared: list[tuple[Tag, tuple[str, ...], int]] = []
    for tag in newest:
        held = _contents(asked.settings, asked.environment, tag, ports).bodies()
        bodies = {r: b for r, b in held.items() if r.type in snapshot.objects and not r.namespace}
        if bodies:
            compared.append((tag, recording.unlike(bodies, now, asked.settings, asked.environment), len(bodies)))
    same = [tag for tag, differing, _ in compared if not differing]
    if len(same) == 1:
        others = len(compared) - 1
        return same[0], f"Sure: all its objects are what runs, and of {others} other releases none is that."
    if same:
        raise CheckError(
            f"{', '.join(t.name for t in same)} all look like what runs: their manifests do not tell them apart. "
            f"Name the one that was deployed with --release. Nothing was recorded."
        )
    nearest = sorted(compared, key=lambda c: len(c[1]) / c[2])[:3]
    lines = [f"{t.name}: {n - len(d)} of {n} objects are as it has them; not {', '.join(d[:3])}" for t, d, n in nearest]
    raise CheckError(
        "\n".join(
            ["No release is wholly what runs, so none is sure. Name it with --release. Nothing was recorded.", *lines]
        )
    )
