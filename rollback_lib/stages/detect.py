"""The evidence that the release is bad. Never fails a run: what cannot be asked is a finding of its own.

The pipeline runs it beside `resolve` and `images`; `preflight` waits for it, so its deadline is the most that it costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from rollback_lib.collectors import (
    alertmanager,
    logs,
    prometheus,
    reports,
    smoke,
    threads,
    upstream,
    versions,
    workloads,
)
from rollback_lib.core.evidence.findings import finding, judge
from rollback_lib.core.evidence.monitoring import ALERTMANAGER, NOT_ASKED, PROMETHEUS
from rollback_lib.core.evidence.workloads import LOGS, VERSIONS, WORKLOADS
from rollback_lib.core.run.records import Detection, Finding, Measure, Request
from rollback_lib.core.settings.model import Smoke, seconds
from rollback_lib.ports import Ports, RunStore, Writer
from rollback_lib.releases import reading

ID = "detect"
WRITES = False
MONITORING_TIMEOUT = 3.0  # seconds for a monitoring system: what hangs costs a run no more than this


def run(run: RunStore, ports: Ports, write: Writer) -> Detection | None:
    request = run.get(Request)
    if request.offline:
        return None
    began, measures = time.monotonic(), list[Measure]()
    try:
        found = _gathered(request, ports, measures)
    except Exception as error:  # a mistake of ours must not cost anybody their rollback
        found = {ID: (finding("note", ID, f"looking for evidence failed: {type(error).__name__}: {error}"),)}
    known = WORKLOADS in found and not any(f.cause == NOT_ASKED for f in found[WORKLOADS])
    return judge(
        (f for each in found.values() for f in each), at=ports.clock.now(), seconds=time.monotonic() - began,
        health_known=known, measures=tuple(measures),
    )  # fmt: skip


def _gathered(request: Request, ports: Ports, measures: list[Measure]) -> dict[str, tuple[Finding, ...]]:
    """What each source found; what was measured goes to ``measures``."""
    settings = request.settings
    ask = settings.detect
    deadline = seconds(ask.deadline)
    timeout = min(MONITORING_TIMEOUT, deadline)
    held = partial(reading.contents, ports, settings, request.target_environment.namespace)
    look = threads.begin(lambda: workloads.look(ports, settings.services.ignore, request.services))

    def smoked(test: Smoke) -> Callable[[], Iterable[Finding]]:
        def ask_it() -> Iterable[Finding]:
            looked = look.result()
            keys = [k for k in looked.views if k.name == test.service and looked.healthy(k)]
            # of a workload that is not healthy its own state says more
            return smoke.findings(test, keys, looked.views, ports) if keys or test.url else ()

        return ask_it

    questions: dict[str, Callable[[], Iterable[Finding]]] = {
        WORKLOADS: lambda: workloads.findings(look.result(), ports),
        LOGS: lambda: logs.findings(look.result(), ports.evidence.cluster, ask.logs),
        VERSIONS: lambda: versions.findings(look.result(), request, ports, held),
        "person": lambda: _told(request),
    }
    for number, test in enumerate(settings.verify.smoke):
        if not request.services or test.service in request.services:
            questions[f"{smoke.SMOKE} {number + 1}"] = smoked(test)
    if ask.alertmanager:
        alerts = ask.alertmanager
        questions[ALERTMANAGER] = lambda: alertmanager.findings(alerts, ports, timeout)
    if ask.prometheus:
        metrics = ask.prometheus

        def measured() -> Iterable[Finding]:
            answers = prometheus.measure(metrics, ports, timeout)
            measures.extend(one for _, values in answers if not isinstance(values, str) for one in values)
            return prometheus.findings(metrics, answers)

        questions[PROMETHEUS] = measured
    if ask.reports.junit or ask.reports.locust:
        questions["reports"] = lambda: reports.findings(
            ask.reports, ports.evidence.files, [k.name for k in look.result().views]
        )
    server, job, build = ports.evidence.jenkins, request.upstream_job, request.upstream_build
    if server is not None and job and build.isdecimal():
        questions[upstream.JENKINS] = lambda: upstream.findings(server(), job, int(build))
    return threads.gather(questions, deadline)


def _told(request: Request) -> Iterable[Finding]:
    """What a person says. It is kept with the evidence; the verdict is made of what can be seen."""
    if request.reason:
        yield finding("note", "person", f"{request.by or 'somebody'} says: {request.reason}", since=request.started)
