"""`rollback doctor`: is everything there that a rollback needs? Each question stands alone; none ends the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rollback_lib.collectors import lock_reader
from rollback_lib.collectors import permissions as collector
from rollback_lib.core.errors import RefusedError, RollbackError, code_and_text
from rollback_lib.core.health.pods.newest import desired_pods
from rollback_lib.core.images import ladder
from rollback_lib.core.images.ladder import ladder_settings
from rollback_lib.core.images.reference import parse, repository_of
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.manifests import grouping
from rollback_lib.core.readouts import prerequisites
from rollback_lib.core.readouts.prerequisites import Check
from rollback_lib.core.redact import redact
from rollback_lib.core.releases import tags as release
from rollback_lib.core.report import observation
from rollback_lib.core.rights import permissions
from rollback_lib.core.run import lock
from rollback_lib.core.run.records import Request, Resolution
from rollback_lib.core.settings.model import Releases
from rollback_lib.core.traffic import maintenance
from rollback_lib.core.traffic.slots import CLOSABLE, KINDS_OF
from rollback_lib.operations import run as operation
from rollback_lib.ports import Acts, GitHistory, Session
from rollback_lib.releases import reading, resolving, what_runs


def without_settings(error: Exception, git: GitHistory, acts: Acts) -> tuple[Check, ...]:
    """What can be looked at where the settings are wrong: git and kubectl."""
    found = [prerequisites.failed("settings", error), *_try("git tags", lambda: _releases(git, Releases(), []))]
    found += _try("kubectl", lambda: [prerequisites.kubectl(acts.version(), "")])
    return (*found, prerequisites.not_checked("the rest", "rollback.yaml has to be right first"))


def examine(known: Session) -> tuple[Check, ...]:
    """Every prerequisite, in the order in which a person mends them. Never raises."""
    names: list[str] = []
    git, acts = known.ports.git, known.ports.acts
    found = [prerequisites.settings(known.config, known.settings, known.environment)]
    found += _try("git tags", lambda: _releases(git, known.settings.releases, names))
    reached = _try("cluster", lambda: _cluster(known))
    there = reached[0].state != "FAIL"
    resolution: list[Resolution] = []
    if names:
        found += _try("manifests", lambda: _manifests(known, names[0], resolution))
    else:
        found.append(prerequisites.not_checked("manifests", "no release is known"))
    if resolution:
        found += _try("images", lambda: _images(known, resolution[0], nodes=there))
    else:
        found.append(prerequisites.not_checked("images", "the manifests of a release come first"))
    found += reached
    found += _try("kubectl", lambda: [prerequisites.kubectl(acts.version(), _server(known) if there else "")])
    if not there and reached[0].code != prerequisites.FORBIDDEN:
        found.append(prerequisites.not_checked("permission", "the cluster comes first"))
    elif not resolution:
        found.append(prerequisites.not_checked("permission", "which objects there are is not known"))
    else:
        found += _try("workloads", lambda: _workloads(known, resolution[0]))
        found += _try("permission", lambda: _permissions(known, resolution[0]))
    if there:
        found += _try("traffic", lambda: _standing(known))
    if notifier := known.ports.notifier:
        found += _try("notify", lambda: prerequisites.notices(notifier.lacking()))
    return tuple(found)


def _try(name: str, ask: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return list(ask())
    except Exception as error:
        return [prerequisites.failed(name, error)]


def _releases(git: GitHistory, wanted: Releases, names: list[str]) -> list[Check]:
    tags = git.tags()
    names += [t.name for t in release.releases(tags, wanted.tag)]
    said = release.no_releases(tags, wanted.tag)
    return [prerequisites.releases(wanted.tag, names, f"{said.text} {said.fix}")]


def _manifests(known: Session, newest: str, resolution: list[Resolution]) -> list[Check]:
    # offline: whether the cluster is there is asked elsewhere
    request = operation.new_request(known, {"to": newest, "offline": True}, dry_run=True)
    try:
        found, _ = resolving.resolve(request, known.ports)
    except Exception as error:
        raise RefusedError(*redact(code_and_text(error)[1]).splitlines()) from error
    resolution.append(found)
    services = len([name for name, _ in found.services if not grouping.is_shared(name)])
    text = f"{newest}: {services} services, {len(found.objects)} objects."
    warned = " ".join(found.warnings)
    return [Check(name="manifests", state="warn" if warned else "ok", text=f"{text} {warned}".strip())]


def _images(known: Session, resolution: Resolution, *, nodes: bool) -> Iterable[Check]:
    newest = resolution.target.release
    request = Request(run="", application="", environment=known.environment, to=newest, settings=known.settings)
    settings = ladder_settings(request.settings, [name for name, _ in resolution.services])
    asked: dict[str, list[str]] = {}
    impossible: dict[str, str] = {}
    for wanted in reading.containers_of(request, known.ports, resolution):
        if not ladder.is_own(wanted, settings):
            continue
        names = [c for c in ladder.candidates(wanted, newest, settings) if c.rung in ("release-tag", "manifest")]
        references = [c.reference for c in names if c.reference]
        if references:
            asked.setdefault(repository_of(references[0]), []).extend(references)
        else:
            impossible[wanted.image or wanted.place] = f"{wanted.place}: no name of it tells releases apart"
    platforms = what_runs.node_platforms(known.ports) if nodes else ("linux/amd64",)
    every = sorted({r for references in asked.values() for r in references})
    answers = known.ports.registry.look_up(every, platforms=platforms) if every else {}
    yield from prerequisites.registries([(_host(r), answers[r]) for r in every])
    found = {image: [answers[r] for r in references] for image, references in asked.items()}
    yield prerequisites.images(newest, found, impossible)


def _host(reference: str) -> str:
    try:
        return parse(reference).host
    except ValueError:
        return reference


def _cluster(known: Session) -> list[Check]:
    named = known.settings.environments[known.environment].context is not None
    cluster = known.ports.cluster
    found = prerequisites.cluster(cluster.identity(), () if named else cluster.contexts(), named)
    return [found, *prerequisites.doubts(cluster.doubts())]


def _workloads(known: Session, resolution: Resolution) -> list[Check]:
    mine = [o.ref for o in resolution.objects if o.ref.type in AWAITED and not o.namespace]
    if not mine:
        return []
    live = known.ports.cluster.snapshot(list(dict.fromkeys(ref.type for ref in mine)))
    read = [ref for ref in mine if ref.type not in live.refused]
    gone = [str(ref) for ref in read if live.get(ref) is None]
    zero = [str(ref) for ref in read if (w := live.get(ref)) is not None and not desired_pods(w)]
    return [prerequisites.workloads(resolution.target.release, [str(ref) for ref in read], gone, zero)]


def _standing(known: Session) -> Iterable[Check]:
    ports, now = known.ports, known.ports.clock.now()
    place = known.settings.environments[known.environment].isolation
    seen = observation.looked(ports.cluster.snapshot(CLOSABLE), place, at="", seq=0)
    held = lock_reader.find(ports.records, known.settings.application)
    locked = lock.who(held, now) if held is not None and not held.is_over(now) else ""
    return prerequisites.standing([str(c) for c in seen.closed], seen.why, locked)


def _server(known: Session) -> str:
    try:
        return known.ports.cluster.version()
    except RollbackError:
        return ""


def _permissions(known: Session, resolution: Resolution) -> Iterable[Check]:
    where, verify = known.settings.environments[known.environment], known.settings.verify
    refs, closing = [o.ref for o in resolution.objects], where.isolation
    usual, *others = KINDS_OF.get(closing.mode, ("",))
    needed = permissions.needs(
        refs, where.namespace, lease=lock.name(known.settings.application),
        asks=[*verify.smoke, *(step for flow in verify.flows for step in flow.steps)],
        closed=[r for t in closing.targets for r in (ObjectRef(usual, t), *(ObjectRef(k, t) for k in others))
                if r.kind == usual or r in refs],
        page=maintenance.KINDS if closing.maintenance and not closing.maintenance.service else (),
        always_closed=closing.default,
    )  # fmt: skip
    lacking = set(collector.lacking(needed, known.ports.cluster))
    return prerequisites.permissions([(need, need not in lacking) for need in needed])
