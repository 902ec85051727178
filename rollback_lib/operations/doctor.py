"""Everything that the plan's section 3 takes for granted, looked at; no check keeps another from being made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rollback_lib import pipeline
from rollback_lib.core import examination, permissions, release
from rollback_lib.core.errors import RefusedError, RollbackError
from rollback_lib.core.examination import Finding
from rollback_lib.core.resources import KINDS, WRITTEN
from rollback_lib.core.run import Images, Request, Resolution
from rollback_lib.ports import Ports, RunStore
from rollback_lib.stages import resolve

# (verb, kind, subresource): without these no run gets to its end.
NEWEST: Final = resolve.NEWEST
_ALWAYS: Final = (
    ("list", "Pod", ""),
    ("list", "Deployment", ""),
    ("list", "StatefulSet", ""),
    ("list", "DaemonSet", ""),
    ("list", "ReplicaSet", ""),
    ("list", "ConfigMap", ""),
)
# Without these a run says less, or cannot do one thing.
_BETTER: Final = (
    ("list", "ControllerRevision", "", "DaemonSets are judged by their numbers only"),
    ("list", "HorizontalPodAutoscaler", "", "replicas under an autoscaler are not recognised"),
    ("get", "Pod", "log", "a failure is reported without its last log lines"),
    ("list", "Event", "", "a failure is reported without its events"),
    ("get", "Secret", "", "a missing Secret is only noticed when a pod does not start"),
    ("delete", "Pod", "", "a stuck pod of a StatefulSet cannot be freed"),
)


def examine(run: RunStore, ports: Ports) -> Iterator[Finding]:
    """The findings, in the order of the plan. Never raises for what it looks at."""
    request = run.get(Request)
    yield Finding("ok", "settings", f"{request.application}, environment {request.environment}")
    yield from _safe("git tags", lambda: _tags(request, ports))
    yield from _safe("kubectl", lambda: _kubectl(ports))
    reachable = list(_safe("cluster", lambda: _cluster(ports)))
    yield from reachable
    connected = all(f.state == "ok" for f in reachable)
    ending = pipeline.advance(run, ports, until="images" if connected else "resolve")
    resolution, images = run.find(Resolution), run.find(Images)
    if resolution is None:
        yield Finding("fail", "manifests", ending.error or "no release could be read")
        return
    count = len(resolution.objects)
    names = {name for name, wave in resolution.services if wave}
    said = f"{resolution.target.release}: {len(names)} services, {count} objects in {len(resolution.files)} files"
    yield Finding("ok", "manifests", said)
    if not connected:
        return
    if images is None:
        yield Finding("fail", "images", ending.error)
    else:
        own = [(i.container, i.rung) for i in images.images if i.own]
        yield examination.images(own, resolution.target.release)
    yield from _safe("permissions", lambda: _permissions(resolution, ports))


def _safe(what: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except RollbackError as error:
        refusal = error.refusals[0] if isinstance(error, RefusedError) else None
        yield Finding("fail", what, refusal.text if refusal else str(error), refusal.fix if refusal else "")


def _tags(request: Request, ports: Ports) -> Iterator[Finding]:
    tags = ports.git.tags()
    found = release.releases(tags, request.settings.releases.tag)
    if not found:
        raise RefusedError(release.no_releases(tags, request.settings.releases.tag))
    yield Finding("ok", "git tags", f"{len(found)} releases, newest {', '.join(t.name for t in found[:3])}")


def _kubectl(ports: Ports) -> Iterator[Finding]:
    client = ports.acts.version()
    try:
        server = ports.cluster.version()
    except RollbackError:
        yield Finding("ok", "kubectl", f"kubectl {client}")
        return
    yield examination.skew(client, server)


def _cluster(ports: Ports) -> Iterator[Finding]:
    found = ports.cluster.identity()
    yield Finding(
        "ok", "cluster", f"{found.context} {found.server}, namespace {found.namespace} ({found.namespace_uid})"
    )


def _permissions(resolution: Resolution, ports: Ports) -> Iterator[Finding]:
    rules, _ = ports.cluster.rules()

    def may(verb: str, kind: str, name: str, subresource: str = "") -> bool:
        plural = KINDS[kind].plural + (f"/{subresource}" if subresource else "")
        return permissions.allows(rules, verb, KINDS[kind].group, plural, name) or ports.cluster.may(
            verb, kind, name, subresource
        )

    missing = [f"{verb} {KINDS[kind].plural}" for verb, kind, sub in _ALWAYS if not may(verb, kind, "", sub)]
    asked = len(_ALWAYS)
    for one in dict.fromkeys((o.kind, o.name) for o in resolution.objects if o.kind in WRITTEN):
        for verb in ("get", "patch"):
            asked += 1
            if not may(verb, *one):
                missing.append(f"{verb} {KINDS[one[0]].plural}/{one[1]}")
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        yield Finding("fail", "permissions", f"{len(missing)} of {asked} are missing", f"Allow in the Role: {shown}.")
    else:
        yield Finding("ok", "permissions", f"all {asked} that a rollback needs")
    for verb, kind, sub, without in _BETTER:
        if not may(verb, kind, "", sub):
            plural = KINDS[kind].plural + (f"/{sub}" if sub else "")
            yield Finding("warn", "permissions", f"may not {verb} {plural}: {without}", "Allow it in the Role.")
