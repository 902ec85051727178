"""What shows that a service works again, beyond its pods being Ready: requests, logs, measured values, and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rollback_lib.collectors import logs, prometheus, smoke
from rollback_lib.collectors.rollout import Rollouts
from rollback_lib.collectors.threads import each
from rollback_lib.collectors.workloads import Look
from rollback_lib.core.errors import InterruptedRunError, RefusedError, RollbackError
from rollback_lib.core.evidence import monitoring
from rollback_lib.core.evidence.findings import plain, sentence
from rollback_lib.core.health import Health, Report, View
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.run.records import CheckResult, Finding, Measure
from rollback_lib.core.settings.model import Settings, Smoke, seconds
from rollback_lib.ports import Ports

Whose = Callable[[str], list[ObjectRef]]  # a service's workloads
ROUND: Final = 5.0  # seconds between two looks while it soaks
_TIMEOUT: Final = 3.0


def requests(settings: Settings, whose: Whose, views: Mapping[ObjectRef, View], ports: Ports) -> list[CheckResult]:
    """Every smoke test, side by side; then every flow. A flow is not begun while a smoke test fails."""

    def ask(test: Smoke) -> CheckResult:
        return smoke.check(test, whose(test.service), views, ports)

    found = each(ask, settings.verify.smoke)
    if all(c.good for c in found):
        for flow in settings.verify.flows:
            mine = {step.service: whose(step.service) for step in flow.steps}
            found.append(smoke.flow(flow, mine, views, ports))
    return found


def log_signs(
    settings: Settings, views: Mapping[ObjectRef, View], reports: Mapping[ObjectRef, Report], ports: Ports
) -> list[CheckResult]:
    """Signs of failure in the new pods' logs, a result for each service. Good where they are only to be told."""
    if settings.verify.logs == "off":
        return []
    looked = Look(views, reports, Snapshot({}))
    try:
        found = [
            f for f in logs.findings(looked, ports.evidence.cluster, settings.detect.logs, compared=False) if f.cause
        ]
    except InterruptedRunError:
        raise
    except Exception as error:  # not to have read a log is no reason to call a rollback failed, unless settings say so
        told = str(error) if isinstance(error, RollbackError) else f"{type(error).__name__}: {error}"
        text = f"the logs could not be read: {plain(told, 200)}"
        return [CheckResult(service="", kind="logs", name="logs", good=settings.verify.logs != "fail", text=text)]
    return [_of_logs(key.name, found, settings.verify.logs == "fail") for key in sorted(views)]


def _of_logs(service: str, found: Sequence[Finding], strict: bool) -> CheckResult:
    mine = [f for f in found if f.service == service and f.severity != "note"]
    text = "; ".join(sentence(f) for f in mine[:3]) or f"{service}: no sign of failure in its log."
    return CheckResult(service=service, kind="logs", name="logs", good=not (mine and strict), text=text)


def metrics(settings: Settings, ports: Ports, before: Sequence[Measure], *, binding: bool) -> list[CheckResult]:
    """Each query against its threshold, and beside what it gave before the rollback.

    ``binding``: what is beyond its threshold fails. Only after a soak: before that, queries look back at the failed
    release.
    """
    server = settings.detect.prometheus
    if server is None:
        return []
    try:
        answers = prometheus.measure(server, ports, _TIMEOUT)
    except RefusedError as error:  # a credential that is not set
        return [CheckResult(service="", kind="metric", name=monitoring.PROMETHEUS, good=True, text=str(error))]
    checks = []
    for query, values in answers:
        if not isinstance(values, str):
            for service, text, within in monitoring.compared(query, values, before):
                text += "." if within or binding else "; it may look back at the failed release."
                good = within or not binding
                checks.append(CheckResult(service=service, kind="metric", name=query.name, good=good, text=text))
    for why in dict.fromkeys(values for _, values in answers if isinstance(values, str)):
        text = monitoring.unread(monitoring.PROMETHEUS, why).text
        checks.append(CheckResult(service="", kind="metric", name=monitoring.PROMETHEUS, good=True, text=text))
    return checks


def soak(settings: Settings, rollouts: Rollouts, whose: Whose, ports: Ports) -> list[CheckResult]:
    """Whether everything stays good for that long, asked again and again; ends with the first that does not."""
    length = seconds(settings.verify.soak) if settings.verify.soak else 0.0
    if not length:
        return []
    began, rounds = ports.clock.now(), 0
    while (passed := (ports.clock.now() - began).total_seconds()) < length:
        ports.progress.waiting(f"Soaking: {passed:.0f} of {length:.0f} s")
        ports.clock.sleep(min(ROUND, length - passed))
        rounds += 1
        reports = rollouts.look()
        sick = [r for r in reports.values() if r.health in (Health.FAILED, Health.PROGRESSING)]
        bad = [c for c in requests(settings, whose, rollouts.views, ports) if not c.good]
        if sick or bad:
            after = (ports.clock.now() - began).total_seconds()
            service = sick[0].name if sick else bad[0].service
            said = sick[0].message if sick else bad[0].text
            text = f"after {after:.0f} s of its soak: {said}"
            return [
                CheckResult(service=service, kind="soak", name="soak", good=False, text=text, seconds=round(after, 3))
            ]
    text = f"everything stayed good for {length:.0f} s, {rounds} looks."
    return [CheckResult(service="", kind="soak", name="soak", good=True, text=text, seconds=length)]
