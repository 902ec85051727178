"""What the state of one workload says about a release: broken, suspect, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from rollback_lib.core import health
from rollback_lib.core.evidence.findings import Severity, finding, plain
from rollback_lib.core.evidence.logs import Occurrences, Sign, new_signs, scan
from rollback_lib.core.health import Cause, Health, Report, View
from rollback_lib.core.health.pods.events import about, flat
from rollback_lib.core.health.pods.reading import condition, number, part, parts, text, when
from rollback_lib.core.images.reference import digest_of
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import Object, containers, name_of, template
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Logs
from rollback_lib.core.traffic import maintenance

WORKLOADS: Final = "workloads"
EVENTS: Final = "events"
LOGS: Final = "logs"
VERSIONS: Final = "versions"
CRASHES: Final = 2  # a service that waits for another one dies once; (T) seen twice, and it recovers
_STARTING: Final = ("NotReady", "SchedulingGated", "Crashed", "Unschedulable")
_RECENT: Final = timedelta(minutes=10)
_FIRST_STARTS: Final = timedelta(minutes=5)  # crashes while everything starts are waits for one another
_EVENTS_TOLD: Final = 10


def of_workload(view: View, report: Report, now: datetime) -> Iterator[Finding]:
    """The named causes of a workload that is not healthy; restarts of one that is."""
    service = report.name
    if report.health in (Health.HEALTHY, Health.UNPROVEN):
        yield from _restarts(view, service, now)
        return
    causes = [c for c in report.causes if c.name != "ProgressDeadline"] or list(report.causes)
    for cause in causes[:4]:
        since = _since(view, cause)
        severity, name = _weight(view, cause, since, now)
        yield finding(
            severity, WORKLOADS, f"{report.kind}/{service}: {cause.text}", service=service, since=since, cause=name
        )
    if not causes:
        said = f"{report.kind}/{report.message}"
        yield finding("suspect", WORKLOADS, said, service=service, since=_since(view, None), cause="NotReady")


def _weight(view: View, cause: Cause, since: datetime | None, now: datetime) -> tuple[Severity, str]:
    if cause.name == "NotSteady":  # it works, only not for long yet
        return "note", cause.name
    if cause.final or cause.name not in _STARTING:
        return "broken", cause.name
    late = since is not None and (now - since).total_seconds() > health.limit(view.workload, 0.0)
    if late:
        return "broken", "NeverReady" if cause.name == "NotReady" else cause.name
    return "suspect", cause.name


def _since(view: View, cause: Cause | None) -> datetime | None:
    """Since when a pod is not ready, by its own condition; of a workload without pods, by its own."""
    pods = [p for p in health.newest_pods(view) if cause is None or not cause.pod or name_of(dict(p)) == cause.pod]
    times = []
    for pod in pods:
        ready = condition(pod, "Ready")
        times.append(when(ready, "lastTransitionTime") or when(pod, "metadata", "creationTimestamp"))
    if not times:
        times = [when(condition(view.workload, "Available"), "lastTransitionTime")]
    return min((t for t in times if t), default=None)


def _restarts(view: View, service: str, now: datetime) -> Iterator[Finding]:
    for pod in health.newest_pods(view):
        made = when(pod, "metadata", "creationTimestamp")
        for status in parts(pod, "status", "containerStatuses"):
            ended = part(status, "lastState", "terminated")
            at = when(ended, "finishedAt")
            if not at or now - at > _RECENT or not number(ended, "exitCode"):
                continue
            if made and at - made < _FIRST_STARTS and text(ended, "reason") != "OOMKilled":
                continue
            reason = text(ended, "reason") or "Error"
            said = (
                f"container {text(status, 'name')} of {name_of(dict(pod))} was restarted, "
                f"{number(status, 'restartCount')} times in all; it last ended with {reason}, "
                f"exit code {number(ended, 'exitCode')}"
            )
            yield finding("suspect", WORKLOADS, said, service=service, since=at, cause=reason)


def of_events(view: View, service: str, now: datetime, *, healthy: bool) -> Iterator[Finding]:
    """Warnings about a workload that is not healthy. They explain; what they are about is judged by its state."""
    if healthy:
        return
    told: dict[tuple[str, str], None] = {}
    warnings = [e for e in view.events if text(e, "type") == "Warning"]
    for thing in (view.workload, *health.newest_pods(view)):
        for said in about(warnings, thing):
            if now - said.at <= _RECENT and (said.reason, said.message) not in told and len(told) < _EVENTS_TOLD:
                told[said.reason, said.message] = None
                words = f"{said.reason}: {flat(said.message)}"
                yield finding("note", EVENTS, words, service=service, since=said.at, cause=said.reason)


def of_logs(
    service: str, new: Iterable[str], old: Iterable[str], known: tuple[Sign, ...], settings: Logs, *, healthy: bool
) -> Iterator[Finding]:
    """Signs in the new pods' logs that the old ones' have not; without any, a sick service's last line."""
    texts = list(new)
    now = scan("\n".join(texts), service, known, settings.ignore)
    before = scan("\n".join(old), service, known, settings.ignore)
    seen: tuple[Occurrences, ...] = new_signs(now, before)
    for sign in seen:
        often = f" ({sign.times} lines)" if sign.times > 1 else ""
        yield finding(
            sign.severity,
            LOGS,
            f"its log says{often}: {sign.line}",
            service=service,
            since=sign.since,
            cause=sign.cause,
        )
    if not seen and not healthy and (last := _last_line(texts)):
        yield finding("note", LOGS, f"its log ends with: {last}", service=service)


def _last_line(texts: Iterable[str]) -> str:
    for said in texts:
        lines = [line for line in said[-4000:].splitlines() if line.strip()]
        if lines:
            return plain(re.sub(r"^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) ", "", lines[-1]), 200)
    return ""


def wrong_images(
    views: Mapping[ObjectRef, View], bodies: Mapping[ObjectRef, Object], release: str
) -> Iterator[Finding]:
    """Containers that run another image than the release names, whatever its tag and wherever it was pulled from."""
    for key, view in views.items():
        said = _images(bodies.get(key, {}))
        for container, image in _images(dict(view.workload)).items():
            wanted, runs = _base(said.get(container, "")), _base(image)
            if wanted and runs and wanted != runs:
                words = f"container {container} runs {_short(image)}, and {release} says {said[container]}"
                yield finding("suspect", VERSIONS, words, service=key.name, cause="WrongImage")


def _images(workload: Object) -> dict[str, str]:
    return {str(c.get("name")): str(c.get("image") or "") for _, c in containers(template(workload))}


def _base(image: str) -> str:
    """The last word of an image's repository; empty where a placeholder stands in it."""
    base = _repository(image).rpartition("/")[2]
    return base if re.fullmatch(r"[a-z0-9._-]+", base) else ""


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _short(image: str) -> str:
    digest = digest_of(image)
    return image.replace(digest, digest[:19] + "…") if digest else image


def wrong_settings(
    views: Mapping[ObjectRef, View], bodies: Mapping[ObjectRef, Object], release: str, set_by_deploy: Collection[str]
) -> Iterator[Finding]:
    """Variables that live pods have otherwise than the release says. Names only: a value may be a secret."""
    for key, view in views.items():
        body = bodies.get(key)
        if body is None:
            continue
        said, live = _variables(body), _variables(dict(view.workload))
        differ = sorted(
            f"{container}: {variable}"
            for container, variables in said.items()
            if container in live
            for variable in {*variables, *live[container]}
            if variables.get(variable) != live[container].get(variable) and variable not in set_by_deploy
        )
        if differ:
            names = ", ".join(differ[:6]) + (" …" if len(differ) > 6 else "")
            words = f"variables are not what {release} says ({names})"
            yield finding("note", VERSIONS, words, service=key.name, cause="ConfigurationDiffers")


def _variables(workload: Object) -> dict[str, dict[str, Any]]:
    return {
        str(c.get("name")): {str(e.get("name")): e.get("value") or e.get("valueFrom") for e in c.get("env") or []}
        for _, c in containers(template(workload))
    }


def own_services(
    views: Mapping[ObjectRef, View], ignore: Collection[str], asked: Collection[str]
) -> dict[ObjectRef, View]:
    """The workloads that are looked at: not those of services that settings leave out; only those asked for, if any.

    Our own maintenance page, of whichever run, says nothing about a release.
    """
    return {
        key: view
        for key, view in views.items()
        if key.name not in ignore and (not asked or key.name in asked) and not maintenance.run_of(view.workload)
    }
