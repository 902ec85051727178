"""What can be known before a write: who may, what is missing, what the server would store. Freezes the plan."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from rollback_lib.collectors import needs, orphans
from rollback_lib.collectors.dry_runs import DryRuns, in_parallel
from rollback_lib.collectors.migrations import Schema
from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.kube.kinds import AWAITED, KINDS, WRITTEN, told_by
from rollback_lib.core.kube.objects import kind_of, label, name_of
from rollback_lib.core.kube.snapshot import Presence, Snapshot
from rollback_lib.core.manifests import bots, manifest_objects, overlay, placeholders, splice
from rollback_lib.core.manifests.bots import Bot
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.plan import decide, leaving, retag, undo
from rollback_lib.core.plan import drafts as planning
from rollback_lib.core.plan import orphans as core_orphans
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import (
    CREATE,
    DELETE,
    LEFT,
    NONE,
    RESTART,
    UPDATE,
    Orphan,
    Plan,
    PlannedTag,
    StuckPod,
    freeze,
)
from rollback_lib.core.releases import migrations
from rollback_lib.core.rights import permissions
from rollback_lib.core.run import cluster_copy, lock
from rollback_lib.core.run.records import Images, Request, Resolution, Rewritten
from rollback_lib.core.traffic import isolation, maintenance, slots
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.stages import detect, rewrite

ID = "preflight"
WRITES = False
_PARALLEL: Final = 8
_ALWAYS: Final = (
    "Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "ConfigMap", "HorizontalPodAutoscaler",
)  # fmt: skip


def run(run: RunStore, ports: Ports, write: Writer) -> Plan:
    request, resolution, images = run.get(Request), run.get(Resolution), run.get(Images)
    targets = rewrite.planned(run, resolution)
    if request.offline:
        plan = freeze(planning.offline(request, resolution, images, targets))
        run.put(plan)
        return plan
    identity = ports.cluster.identity()
    if ports.cluster.presence("Namespace", identity.namespace) is Presence.LEAVING:
        raise RefusedError(leaving.of_namespace(identity.namespace))
    now = ports.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    # what runs now, as far as that is known
    failed = orphans.held(request, images.current.commit, ports) if images.current.commit else Contents()
    wanted = {label(s.kind, s.name): s.api_version for s, _ in targets if s.kind in KINDS}
    read = isolation.kinds(request.target_environment.isolation) if request.isolate else ()
    named = (*(s.kind for s, _ in targets), *(k for k, _ in (*failed.objects, *orphans.created(request))))
    kinds = [k for k in dict.fromkeys([*_ALWAYS, *read, *named]) if k in (*WRITTEN, *_ALWAYS, *read)]
    snapshot = ports.cluster.snapshot(kinds, wanted)
    accepted = frozenset(request.accept)
    refused: list[Refusal] = []
    warnings = [*ports.cluster.doubts(), *resolution.warnings, *images.warnings]

    drafts = planning.drafts(request, targets, isolation.as_open(snapshot), failed, images, resolution, refused)
    drafts = planning.with_reasons_to_restart(drafts)
    same = {(label(i.kind, i.name), i.container, i.init) for i in images.images if i.live_is_target}
    stamp = partial(decide.stamps, release=resolution.target.release, run=request.run)
    trials = DryRuns(ports.cluster, snapshot, same, accepted, stamp, now, partial(_line, request, resolution, ports))
    drafts = trials.of(drafts)
    refused += trials.refused
    warnings += trials.warnings
    warnings += planning.shared_changes(request, drafts)
    found = orphans.look(request, resolution, images.current, failed, drafts, snapshot, ports)
    stuck = planning.stuck(drafts, snapshot)
    needed = _needs(drafts, stuck, found, snapshot, ports)
    refused += needed.refusals
    warnings += needed.warnings
    isolating = _isolation(request, snapshot, ports, now, refused)
    warnings += isolating.warnings
    closing = {(t.kind, t.name) for t in isolating.plan.targets}
    refused += [
        Refusal(f"{d.label} would be made again, and traffic is closed at it: it would open with that.",
                code=f"skip:{d.label}", fix="Or go without --isolate.")
        for d in drafts
        if d.anew and (kind_of(d.target), name_of(d.target)) in closing
    ]  # fmt: skip
    refused += _permissions(request, drafts, found, isolating.plan, ports)
    refused += _schema(request, resolution, images, ports, warnings)
    if problem := ports.acts.problem():
        refused.append(Refusal(problem))
    refused += resolution.refusals
    if resolution.target.is_proposal and not request.dry_run:
        refused.append(
            Refusal(
                f"{resolution.target.release} is only a proposal by date: nothing proves that it ever ran well.",
                code="unproven-target", fix="Name the release with --to.",
            )
        )  # fmt: skip
    if stuck or any(d.change not in (NONE, LEFT) for d in drafts) or any(o.change == DELETE for o in found):
        mine = {name for d in drafts for name in (d.service, name_of(d.target))}
        refused += detect.binding(run, request, ports, mine, warnings)
    tags: tuple[PlannedTag, ...] = ()
    if request.retag:
        tags, left = retag.planned([(i.to, i.digest) for i in images.images if i.own], images.mutable_tags)
        warnings += left
    open_refusals = tuple(r for r in refused if not r.code or r.code not in accepted)
    used = {r.code for r in refused if r.code in accepted} | set(images.accepted) | planning.skipped(drafts)
    used |= {core_orphans.code(o.kind, o.name) for o in found if o.change == DELETE} & accepted
    plan = freeze(
        Plan(
            run=request.run, application=request.application, environment=request.environment,
            namespace=identity.namespace, cluster=identity, current=images.current, target=resolution.target,
            services=planning.services(resolution, drafts, images), leftovers=planning.leftovers(drafts),
            orphans=found, stuck=stuck,
            accepted=tuple(sorted(used)), isolation=isolating.plan, mutable_tags=images.mutable_tags, retag=tags,
            refusals=open_refusals, bots=_bots(run, drafts),
            warnings=tuple(dict.fromkeys([*warnings, *(f"accepted: {r}" for r in refused if r.code in accepted)])),
            made_at=now, healthy_pods=planning.ready_pods(snapshot), needs=needed.there,
        )
    )  # fmt: skip
    run.put(plan)
    if open_refusals:
        raise RefusedError(*open_refusals)
    _keep(run, drafts)
    for orphan in found:
        if orphan.change == DELETE:
            run.write(
                undo.file_of(orphan.kind, orphan.name), msgspec.json.encode(snapshot.get(orphan.kind, orphan.name))
            )
    files = {name: run.read(name) for name in run.files()}
    if sum(map(len, files.values())) > cluster_copy.LIMIT and len(cluster_copy.pack(files)) > cluster_copy.LIMIT:
        said = "This run is too large for its copy in the cluster: if it dies, only its run directory can finish it."
        plan = msgspec.structs.replace(plan, warnings=(*plan.warnings, said))
    return plan


def _line(
    request: Request, resolution: Resolution, ports: Ports, file: str, kind: str, name: str, path: Sequence[str | int]
) -> int:
    """The line of a value in a file of the target as git has it; 0 where it is not there."""
    with contextlib.suppress(KeyError, RefusedError):
        text = ports.git.files(resolution.target.commit, [file])[file]
        text = placeholders.substitute(text, file, request.settings.manifests.substitute)
        return manifest_objects.line_of(text, file, kind, name, path)
    return 0


def _bots(run: RunStore, drafts: Sequence[Draft]) -> tuple[Bot, ...]:
    """Who writes images by itself: by the files, and by what stands on the objects, old and new."""
    on_objects = (b for d in drafts for obj in (d.target, d.live) if obj is not None for b in bots.on_object(obj))
    return tuple(dict.fromkeys((*run.get(Rewritten).bots, *on_objects)))


def _schema(
    request: Request, resolution: Resolution, images: Images, ports: Ports, warnings: list[str]
) -> Iterable[Refusal]:
    """Migrations that the target does not know. Where nobody knows what runs, a warning: a guess refuses nothing."""
    schema = Schema(ports.git, request.settings, resolution.releases)
    target, current = resolution.target, images.current
    going = {name for name, _ in resolution.services}
    if current.commit:
        for found in schema.between(current, target, going):
            yield migrations.refusal(found, current.release, target.release)
        return
    newest = resolution.releases[0] if resolution.releases else target
    if schema.any_at(newest) or schema.any_at(target):
        found_all = schema.between(newest, target, going)
        warnings.append(migrations.unknown_warning(found_all, target.release, newest.release))


def _needs(
    drafts: Sequence[Draft], stuck: Sequence[StuckPod], found: Sequence[Orphan], snapshot: Snapshot, ports: Ports
) -> needs.Found:
    """Whether what pods need is there and stays; of what this run makes itself, it says so itself."""
    made = {d.label for d in drafts if d.change == CREATE or d.anew}
    gone = [live for o in found if o.change == DELETE and (live := snapshot.get(o.kind, o.name))]
    ends = {label("StatefulSet", s.workload) for s in stuck}
    needed = leaving.needs(drafts, ends, gone, snapshot)
    return needs.look(ports.cluster, snapshot, [n for n in needed if n.label not in made])


def _isolation(
    request: Request, snapshot: Snapshot, ports: Ports, now: str, refused: list[Refusal]
) -> isolation.Isolating:
    """What is closed and by whom, if it is asked for; each patch is tried without writing."""
    refused += isolation.closed_by_others(snapshot, request.runs)
    if not request.isolate:
        return isolation.Isolating()
    found = isolation.decide(request.target_environment.isolation, snapshot, request.runs)
    refused += [r for r in found.refusals if r not in refused]
    for live in found.live:
        change = isolation.closing_change(live, found.page, run=request.run, since=now, key="")
        answer = ports.cluster.dry_run_patch(change.kind, change.api_version, change.name, change.operations)
        what = label(change.kind, change.name)
        if answer.object is None:
            refused.append(Refusal(f"{what} cannot be closed: the server answered {answer.status}: {answer.refused}"))
        elif not slots.holds(answer.object):
            refused.append(Refusal(f"{what} cannot be closed: the server says yes and keeps it open."))
    return found


def _permissions(
    request: Request,
    drafts: Sequence[Draft],
    found: Sequence[Orphan],
    closing: isolation.PlannedIsolation,
    ports: Ports,
) -> Iterable[Refusal]:
    needed = [
        (verb, kind_of(d.target), name_of(d.target))
        for d in drafts
        if d.change in (UPDATE, RESTART)
        for verb in ("get", "patch")
    ]
    needed += [("create", kind_of(d.target), "") for d in drafts if d.change == CREATE or d.anew]
    needed += [("delete", kind_of(d.target), name_of(d.target)) for d in drafts if d.anew]
    needed += [("delete", o.kind, o.name) for o in found if o.change == DELETE]
    needed += [("patch", t.kind, t.name) for t in closing.targets]
    if closing.ours:
        page = maintenance.name(request.run)
        needed += [(v, k, n) for k in maintenance.KINDS for v, n in (("create", ""), ("get", page), ("delete", page))]
    if not needed:
        return
    awaited = dict.fromkeys(kind_of(d.target) for d in drafts if kind_of(d.target) in AWAITED)
    needed += [("list", kind, "") for kind in (*awaited, *told_by(awaited))]  # to see whether one has come back
    needed += [(n.verb, n.kind, n.name) for n in permissions.of_lock(lock.name(request.application))]
    rules, _ = ports.cluster.rules()
    doubtful = [n for n in needed if not permissions.allows(rules, n[0], KINDS[n[1]].group, KINDS[n[1]].plural, n[2])]
    for (verb, kind, name), allowed in zip(
        doubtful, in_parallel(lambda n: ports.cluster.may(*n), doubtful), strict=True
    ):
        if not allowed:
            what = f"{KINDS[kind].plural}/{name}" if name else KINDS[kind].plural
            code = "" if verb == "list" else f"permission:{name or kind}"  # blind, nobody goes on
            yield Refusal(f"we may not {verb} {what}.", code=code, fix=f"Allow `{verb}` in the Role.")


def _keep(run: RunStore, drafts: Sequence[Draft]) -> None:
    """The exact objects as they are, the exact patches, and in ``manifests/`` only what is applied or already right."""
    for draft in drafts:
        name = f"before/{kind_of(draft.target).lower()}-{name_of(draft.target)}"
        if draft.change in (UPDATE, RESTART):
            run.write(f"{name}.json", msgspec.json.encode(draft.live))
            run.write(f"{name}.patch.json", msgspec.json.encode(draft.operations))
        if draft.anew is not None:
            run.write(f"{name}.anew.json", msgspec.json.encode(draft.anew))
    for file in dict.fromkeys(d.file for d in drafts):
        mine = [d for d in drafts if d.file == file]
        left = {(kind_of(d.target), name_of(d.target)) for d in mine if d.change == LEFT}
        if len(left) == len(mine):
            run.remove(rewrite.FOLDER + file)
        elif any(d.merged and d.change != LEFT for d in mine):
            run.write(rewrite.FOLDER + file, overlay.replaced([d.target for d in mine if d.change != LEFT]))
        elif left:
            run.write(rewrite.FOLDER + file, _without(run.read(rewrite.FOLDER + file), file, left))


def _without(text: bytes, file: str, left: Collection[tuple[str, str]]) -> bytes:
    return splice.keep_documents(text, file, lambda d: (kind_of(d.object), name_of(d.object)) not in left)
