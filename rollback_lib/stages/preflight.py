"""What can be known before a write: who may, what is missing, what the server would store. Freezes the plan."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from rollback_lib.collectors import approval, closing, deploying, migrations, needs, orphans, permissions, remote_tags
from rollback_lib.collectors.dry_runs import DryRuns
from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.evidence import findings
from rollback_lib.core.images import unproven
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS, WRITTEN
from rollback_lib.core.kube.objects import name_of
from rollback_lib.core.kube.snapshot import Presence
from rollback_lib.core.manifests import bots
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.plan import decide, leaving, retag, rights, undo
from rollback_lib.core.plan import drafts as planning
from rollback_lib.core.plan import orphans as core_orphans
from rollback_lib.core.plan.decide import Draft
from rollback_lib.core.plan.model import DELETE, LEFT, NONE, Plan, PlannedTag, freeze
from rollback_lib.core.reasons import Reason
from rollback_lib.core.releases import target
from rollback_lib.core.report.observation import Looked, looked
from rollback_lib.core.run import cluster_copy
from rollback_lib.core.run.records import Detection, Images, Request, Resolution, Rewritten
from rollback_lib.core.traffic import isolation
from rollback_lib.core.traffic.slots import CLOSABLE
from rollback_lib.core.wording import wrapped
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import reading, rewritten

ID = "preflight"
WRITES = False
_PARALLEL: Final = 8
_ALWAYS: Final = (
    "Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "CronJob", "ConfigMap", "HorizontalPodAutoscaler",
    *CLOSABLE,
)  # fmt: skip


def run(run: RunStore, ports: Ports, write: Writer) -> Plan:
    request, resolution, images = run.get(Request), run.get(Resolution), run.get(Images)
    targets = rewritten.planned(run, ports.once, resolution)
    repository = ports.git.identity()
    if request.offline:
        newest = [r.commit for r in resolution.releases[:1] if r.commit != resolution.target.commit]
        there = [reading.contents(ports, request.settings, request.target_environment.namespace, c) for c in newest]
        bodies = there[0].bodies() if there else {}
        plan = freeze(planning.offline(request, resolution, images, targets, repository, bodies))
        run.put(plan)
        return plan
    differ = remote_tags.ask(repository, resolution, images.current, ports)
    building = deploying.ask(request, ports)
    identity = ports.cluster.identity()
    if ports.cluster.presence(ObjectRef("Namespace", identity.namespace)) is Presence.LEAVING:
        raise RefusedError(leaving.of_namespace(identity.namespace))
    now = ports.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    home = request.target_environment.namespace
    # what runs now, as far as that is known
    failed = reading.contents(ports, request.settings, home, images.current.commit)
    wanted = {s.ref: s.api_version for s, _ in targets if s.ref.type in KINDS and not s.namespace}
    read = isolation.kinds(request.target_environment.isolation) if request.isolate else ()
    named = (*(s.ref.type for s, _ in targets), *(r.type for r in (*failed.objects, *orphans.created(request))))
    kinds = [k for k in dict.fromkeys([*_ALWAYS, *read, *named]) if k in (*WRITTEN, *_ALWAYS, *read)]
    snapshot, known = ports.cluster.snapshot(kinds, wanted), run.find(Looked) or Looked()
    place = request.target_environment.isolation
    run.put(looked(snapshot, place, at=now, seq=len(run.events()), before=known))
    accepted = frozenset(request.accept)
    refused: list[Refusal] = []
    warnings = [*ports.cluster.doubts(), *resolution.warnings, *images.warnings]

    line_of, as_open = partial(reading.line_of, request, resolution, ports), isolation.as_open(snapshot)
    of_later = partial(reading.of_later, request, resolution, images.current, ports)
    drafts = planning.drafts(request, targets, as_open, failed, images, resolution, refused, line_of, of_later)
    same = {i.ref for i in images.images if i.live_is_target}
    stamp = partial(decide.stamps, release=resolution.target.release, run=request.run)
    trials = DryRuns(ports.cluster, snapshot, same, accepted, stamp, now, line_of,
                     by_policy=request.target_environment.approval == "auto")  # fmt: skip
    drafts = trials.of(drafts)
    ports.once.of((Draft, request.run), lambda: tuple(drafts))  # for who asks for values: in this process only
    refused += trials.refused
    warnings += trials.warnings
    warnings += planning.shared_changes(request, drafts)
    warnings += planning.not_known(request, images.current, drafts)
    kept = Contents()
    if failed.objects and not request.undo:
        kept = reading.contents(ports, request.settings, home, resolution.target.commit, ignored=True)
    beside = planning.beside(request, drafts, snapshot, images, refused)
    found = orphans.look(request, resolution, images.current, failed, kept, drafts, snapshot, ports)
    stuck = planning.stuck(drafts, snapshot)
    needed = needs.of_plan(drafts, stuck, found, snapshot, ports.cluster)
    refused += needed.refusals
    warnings += needed.warnings
    isolating = closing.look(request, snapshot, ports, now, refused)
    warnings += isolating.warnings
    refused += isolation.opened_with(isolating.plan, [d.ref for d in drafts if d.anew])
    lacking = permissions.lacking(rights.needed(request, drafts, found, stuck, isolating.plan), ports.cluster)
    may_not = rights.refused(lacking)
    refused = [r for r in refused if r.decision not in {m.decision for m in may_not}] + may_not
    warnings += rights.lost(lacking)
    refused += migrations.unknown_to_target(request, resolution, images, ports, warnings)
    warnings += differ()
    if problem := ports.acts.problem():
        refused.append(Refusal(problem, reason=Reason.NO_KUBECTL, subject="kubectl"))
    refused += [*resolution.refusals, *images.refusals]
    if resolution.target.is_proposal and not request.dry_run:
        refused.append(target.proposed(resolution.target))
    changes = bool(stuck) or any(d.change not in (NONE, LEFT) for d in drafts) or any(o.change == DELETE for o in found)
    refused += unproven.of_images(images.images, resolution.target.release, changes=changes, warnings=warnings)
    if changes:
        warnings += core_orphans.not_known(images.current, resolution.target)
        mine = {name for d in drafts for name in (d.service, name_of(d.target))}
        if detection := run.find(Detection):
            weighed = findings.weighed(detection, request, mine, approved=bool(approval.given(ports)))
            ports.progress.say("\n".join(part for line in weighed.said for part in wrapped(line, "  ")))
            refused += weighed.refusals
            warnings += weighed.warnings
    tags: tuple[PlannedTag, ...] = ()
    if request.retag:
        tags, left = retag.planned([(i.to, i.digest) for i in images.images if i.own], images.mutable_tags)
        warnings += left
    open_refusals = tuple(r for r in refused if not r.code or r.code not in accepted)
    used = {r.code for r in refused if r.code in accepted} | set(images.accepted) | planning.skipped(drafts)
    used |= {core_orphans.code(o.ref) for o in found if o.change == DELETE} & accepted
    plan = freeze(
        Plan(
            run=request.run, application=request.application, environment=request.environment,
            namespace=identity.namespace, cluster=identity, current=images.current, target=resolution.target,
            services=planning.services(resolution, drafts, images, request.settings.show_values),
            leftovers=planning.leftovers(drafts), orphans=found, stuck=stuck,
            accepted=tuple(sorted(used)), isolation=isolating.plan, mutable_tags=images.mutable_tags, retag=tags,
            refusals=open_refusals,
            bots=bots.every(run.get(Rewritten).bots, (obj for d in drafts for obj in (d.target, d.live))),
            warnings=tuple(dict.fromkeys([*warnings, *(f"accepted: {r}" for r in refused if r.code in accepted)])),
            made_at=now, repository=repository, healthy_pods=planning.ready_pods(snapshot), needs=needed.there,
            locked_by="" if request.take_over else known.lock, undoes=request.undo, undone_to=request.undo_release,
            beside=beside, ends=known.ends,
            deploying=(*building(), *deploying.rollouts([d.live for d in drafts], snapshot, ports)),
        )
    )  # fmt: skip
    run.put(plan)
    if open_refusals:
        raise RefusedError(*open_refusals)
    rewritten.keep(run, ports.once, drafts)
    for orphan in found:
        if orphan.change == DELETE:
            run.write(undo.file_of(orphan.ref), msgspec.json.encode(snapshot.get(orphan.ref)))
    files = {name: run.read(name) for name in run.files()}
    if sum(map(len, files.values())) > cluster_copy.LIMIT and len(cluster_copy.pack(files)) > cluster_copy.LIMIT:
        said = "This run is too large for its copy in the cluster: if it dies, only its run directory can finish it."
        plan = msgspec.structs.replace(plan, warnings=(*plan.warnings, said))
    return plan
