"""What can be known before a write: who may, what is missing, what the server would store. Freezes the plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec

from rollback_lib.collectors.migrations import Schema
from rollback_lib.core import (
    before,
    decide,
    health,
    isolation,
    lock,
    maintenance,
    migrations,
    overlay,
    permissions,
    planning,
    retag,
    run_copy,
    services,
    splice,
    target,
    traffic,
)
from rollback_lib.core.contents import Contents, contents
from rollback_lib.core.decide import Draft
from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.owners import owner
from rollback_lib.core.plan import (
    CREATE,
    DELETE,
    LEFT,
    NONE,
    RESTART,
    UPDATE,
    Orphan,
    Plan,
    PlannedTag,
    freeze,
)
from rollback_lib.core.references import references
from rollback_lib.core.resources import (
    KINDS,
    WRITTEN,
    kind_of,
    label,
    name_of,
    template,
)
from rollback_lib.core.run import Images, Request, Resolution
from rollback_lib.core.snapshot import DryRun, Snapshot
from rollback_lib.core.three_way import last_applied
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
    now = ports.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    failed = _failed_release(request, images, ports)
    wanted = {kind_of(body): body["apiVersion"] for _, body in targets if kind_of(body) in KINDS}
    read = isolation.kinds(request.target_environment.isolation) if request.isolate else ()
    kinds = [
        k
        for k in {
            **dict.fromkeys((*_ALWAYS, *read)),
            **wanted,
            **{k: "" for k, _ in (*failed.objects, *_created(request))},
        }
        if k in (*WRITTEN, *_ALWAYS, *read)
    ]
    snapshot = ports.cluster.snapshot(kinds, wanted)
    accepted = frozenset(request.accept)
    refused: list[Refusal] = []
    warnings = [*resolution.warnings, *images.warnings]

    drafts = planning.drafts(request, targets, isolation.as_open(snapshot), failed, images, resolution, refused)
    drafts = planning.with_reasons_to_restart(drafts)
    same = {(label(i.kind, i.name), i.container, i.init) for i in images.images if i.live_is_target}
    stamp = partial(decide.stamps, release=resolution.target.release, run=request.run)
    drafts = _dry_runs(drafts, snapshot, ports, same, stamp, now, refused, warnings)
    warnings += planning.shared_changes(request, drafts)
    refused += _missing_references(drafts, snapshot, ports, warnings)
    found = _orphans(request, resolution, failed, snapshot, ports)
    isolating = _isolation(request, snapshot, ports, now, refused)
    warnings += isolating.warnings
    refused += _permissions(request, drafts, found, isolating.plan, ports)
    refused += _schema(request, resolution, images, ports, warnings)
    if problem := ports.acts.problem():
        refused.append(Refusal(problem))
    stuck = planning.stuck(drafts, snapshot)
    refused += resolution.refusals
    if resolution.target.chosen_by == target.PROPOSED and not request.dry_run:
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
    used = tuple(
        sorted({r.code for r in refused if r.code in accepted} | set(images.accepted) | planning.skipped(drafts))
    )
    plan = freeze(
        Plan(
            run=request.run, application=request.application, environment=request.environment,
            namespace=identity.namespace, cluster=identity, current=images.current, target=resolution.target,
            services=planning.services(resolution, drafts, images), leftovers=planning.leftovers(drafts),
            orphans=found, stuck=stuck,
            accepted=used, isolation=isolating.plan, mutable_tags=images.mutable_tags, retag=tags,
            refusals=open_refusals,
            warnings=tuple(dict.fromkeys([*warnings, *(f"accepted: {r}" for r in refused if r.code in accepted)])),
            made_at=now, healthy_pods=planning.ready_pods(snapshot),
        )
    )  # fmt: skip
    run.put(plan)
    if open_refusals:
        raise RefusedError(*open_refusals)
    _keep(run, drafts)
    for orphan in found:
        if orphan.change == DELETE:
            run.write(
                before.file_of(orphan.kind, orphan.name), msgspec.json.encode(snapshot.get(orphan.kind, orphan.name))
            )
    files = {name: run.read(name) for name in run.files()}
    if sum(map(len, files.values())) > run_copy.LIMIT and len(run_copy.pack(files)) > run_copy.LIMIT:
        said = "This run is too large for its copy in the cluster: if it dies, only its run directory can finish it."
        plan = msgspec.structs.replace(plan, warnings=(*plan.warnings, said))
    return plan


def _failed_release(request: Request, images: Images, ports: Ports) -> Contents:
    """What the release that runs now holds; empty where that is not known."""
    return _contents(request, images.current.commit, ports) if images.current.commit else Contents()


def _contents(request: Request, commit: str, ports: Ports, *, ignored: bool = False) -> Contents:
    paths = request.settings.manifests
    return contents(
        ports.git.files(commit, services.roots(paths.path, paths.shared)), request.settings, ignored=ignored
    )


def _orphans(
    request: Request, resolution: Resolution, failed: Contents, snapshot: Snapshot, ports: Ports
) -> tuple[Orphan, ...]:
    """What only the failed release had. Kinds that are never written are only asked for by name, never read."""
    if request.undo:  # what that run created, whatever runs now
        gone = {key: live for key in _created(request) if (live := snapshot.get(*key))}
    else:
        kept = _contents(request, resolution.target.commit, ports, ignored=True).objects if failed.objects else {}
        gone = {key: body for key, body in failed.bodies(request.services).items() if key not in kept}
    unread = [key for key in sorted(gone) if key[0] in KINDS and key[0] not in snapshot.objects]
    there = dict(zip(unread, _parallel(lambda key: ports.cluster.exists(*key), unread), strict=True))
    return tuple(
        msgspec.structs.replace(o, ran=before.ran(live, snapshot))
        if o.change == DELETE and (live := snapshot.get(o.kind, o.name)) and template(live)
        else o
        for o in planning.orphans_of(snapshot, gone, there, request.target_environment.namespace)
    )


def _created(request: Request) -> list[tuple[str, str]]:
    return [(kind, name) for kind, _, name in (c.partition("/") for c in request.undo_created)]


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


def _dry_runs(
    drafts: Sequence[Draft], snapshot: Snapshot, ports: Ports, same: set[tuple[str, str, bool]],
    stamp: Callable[[Mapping[str, Any]], Mapping[str, str]], now: str, refused: list[Refusal], warnings: list[str],
) -> list[Draft]:  # fmt: skip
    def ask(draft: Draft) -> DryRun:
        if draft.live is None:
            return ports.cluster.dry_run_create(draft.target)
        kind, name = kind_of(draft.target), name_of(draft.target)
        there = snapshot.get(kind, name)
        closed = traffic.while_closed(there, draft.operations, "") if there else None
        if there is None or closed is None:
            return ports.cluster.dry_run_patch(kind, draft.live["apiVersion"], name, draft.operations)
        patch = traffic.operations(there, closed)
        answer = ports.cluster.dry_run_patch(kind, draft.live["apiVersion"], name, patch)
        return msgspec.structs.replace(answer, object=traffic.as_open(answer.object))

    def judge(draft: Draft, answer: DryRun) -> Draft:
        if answer.object is None:
            refused.append(decide.refused_by_server(draft, answer.status, answer.refused))
            return draft
        for warning in answer.warnings:
            if "PodSecurity" in warning:
                refused.append(Refusal(f"{draft.label}: {warning}", code=f"policy:{name_of(draft.target)}"))
            else:
                warnings.append(f"{draft.label}: {warning}")
        refused.extend(decide.not_taken(draft, answer.object))
        draft = msgspec.structs.replace(decide.marked(draft, answer.object), after=answer.object)
        if draft.live is not None and decide.already(draft, answer.object, same):
            return decide.left_alone(draft, same)
        who = owner(draft.live) if draft.live else ""
        if who:
            refused.append(Refusal(f"{draft.label} is owned by {who}.", code=f"owner:{name_of(draft.target)}"))
        if draft.live is not None and (paused := health.refusable(draft.target) or health.refusable(draft.live)):
            refused.append(Refusal(f"{draft.label}: {paused}", code=f"skip:{draft.label}"))
        return draft

    def round_of(asked: Sequence[Draft]) -> list[Draft]:
        writing = [d for d in asked if d.change in (CREATE, UPDATE)]
        answers = dict(zip(map(id, writing), _parallel(ask, writing), strict=True))
        return [judge(d, answers[id(d)]) if id(d) in answers else d for d in asked]

    first = round_of(drafts)
    restarting = []
    for planned, draft in zip(drafts, first, strict=True):
        if draft.change == NONE and draft.why and draft.live is not None:
            again = msgspec.structs.replace(draft, target=decide.restarted(planned.target, now), merged=True)
            again = decide.put_back(
                again,
                last_applied(draft.live),
                namespace=str(draft.live["metadata"].get("namespace", "")),
                autoscaled=True,
                stamp=stamp(draft.target),
            )
            restarting.append(again)
    twice = dict(zip([(kind_of(d.target), name_of(d.target)) for d in restarting], round_of(restarting), strict=True))
    result = []
    for draft in first:
        second = twice.get((kind_of(draft.target), name_of(draft.target)))
        if second is not None and second.change == UPDATE:
            result.append(msgspec.structs.replace(second, change=RESTART))
        else:
            result.append(draft)
    return result


def _parallel(ask: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    if not items:
        return []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(ask, items))


def _missing_references(
    drafts: Sequence[Draft], snapshot: Snapshot, ports: Ports, warnings: list[str]
) -> Iterable[Refusal]:
    needed: dict[tuple[str, str], list[str]] = {}
    for draft in drafts:
        if draft.change in (CREATE, UPDATE, RESTART):
            for reference in sorted(references(template(draft.target))):
                needed.setdefault((reference.kind, reference.name), []).append(draft.label)
    made = {(kind_of(d.target), name_of(d.target)) for d in drafts if d.change == CREATE}
    unknown = [r for r in needed if r not in made and snapshot.get(*r) is None]
    for (kind, name), there in zip(unknown, _parallel(lambda r: ports.cluster.exists(*r), unknown), strict=True):
        who = ", ".join(needed[kind, name][:3])
        if there is False:
            yield Refusal(f"{kind} {name} is missing; {who} cannot start without it.", code=f"missing-reference:{name}")
        elif there is None:
            warnings.append(f"We may not see {kind} {name}, which {who} needs: nothing says that it is there.")


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
        elif not traffic.holds(answer.object):
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
    needed += [("create", kind_of(d.target), "") for d in drafts if d.change == CREATE]
    needed += [("delete", o.kind, o.name) for o in found if o.change == DELETE]
    needed += [("patch", t.kind, t.name) for t in closing.targets]
    if closing.ours:
        page = maintenance.name(request.run)
        needed += [(v, k, n) for k in maintenance.KINDS for v, n in (("create", ""), ("get", page), ("delete", page))]
    if not needed:
        return
    needed += [(n.verb, n.kind, n.name) for n in permissions.of_lock(lock.name(request.application))]
    rules, _ = ports.cluster.rules()
    doubtful = [n for n in needed if not permissions.allows(rules, n[0], KINDS[n[1]].group, KINDS[n[1]].plural, n[2])]
    for (verb, kind, name), allowed in zip(doubtful, _parallel(lambda n: ports.cluster.may(*n), doubtful), strict=True):
        if not allowed:
            what = f"{KINDS[kind].plural}/{name}" if name else KINDS[kind].plural
            yield Refusal(
                f"we may not {verb} {what}.", code=f"permission:{name or kind}", fix=f"Allow `{verb}` in the Role."
            )


def _keep(run: RunStore, drafts: Sequence[Draft]) -> None:
    """The exact objects as they are, the exact patches, and in ``manifests/`` only what is applied or already right."""
    for draft in drafts:
        name = f"before/{kind_of(draft.target).lower()}-{name_of(draft.target)}"
        if draft.change in (UPDATE, RESTART):
            run.write(f"{name}.json", msgspec.json.encode(draft.live))
            run.write(f"{name}.patch.json", msgspec.json.encode(draft.operations))
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
