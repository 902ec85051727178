"""Smoke tests and flows: real requests to a Ready pod through the API server, to a URL, or a command in a pod.

Through the API server they work with traffic closed as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from rollback_lib.collectors.credentials import headers
from rollback_lib.core import health
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.evidence import smoke
from rollback_lib.core.evidence.findings import finding, stamp
from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.health import View
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import containers, name_of, template
from rollback_lib.core.run.records import CheckResult, Finding, Try
from rollback_lib.core.settings.checks import Ask, Flow
from rollback_lib.core.settings.model import Smoke
from rollback_lib.core.settings.types import seconds
from rollback_lib.ports import Cluster, Ports

SMOKE: Final = "smoke"
_TRIES: Final = 3  # that detect makes: one bad answer is no evidence
_PAUSE: Final = 0.5
_LONG: Final = 2.0  # seconds after which two of them are enough
_TRIES_KEPT: Final = 20


def ask(test: Smoke, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View], ports: Ports) -> tuple[str, bool]:
    """(a sentence, whether it is good). ``workloads``: those of the service."""
    found = check(test, list(workloads), views, ports)
    return found.text, found.good


def check(test: Smoke, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View], ports: Ports) -> CheckResult:
    """Ask until it is good or the test's patience is over. Each try is kept, with its time."""
    keys = list(workloads)
    began = ports.clock.now()
    tries: list[Try] = []
    while True:
        text, good = smoke.judge(test, _once(test, keys, views, ports, ports.cluster))
        tries.append(Try(at=stamp(ports.clock.now()), good=good, text=text))
        took = (ports.clock.now() - began).total_seconds()
        if good or took + seconds(test.every) > seconds(test.patience):
            break
        ports.clock.sleep(seconds(test.every))
    again = f" ({len(tries)} tries in {took:.0f} s)" if len(tries) > 1 else ""
    return CheckResult(
        service=test.service, kind="smoke", name=test.where, good=good, text=f"{text.removesuffix('.')}{again}.",
        seconds=round(took, 3), tries=tuple(tries[-_TRIES_KEPT:]),
    )  # fmt: skip


def once(test: Smoke, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View], ports: Ports) -> CheckResult:
    """One try, for who only looks.

    ``kind`` is `smoke.NOT_ASKED` where the API server does not let us, and where asking could change something (another
    method, a command): that says nothing of the service.
    """
    if test.command or test.method not in ("GET", "HEAD"):
        said = f"{test.where}: not asked, since it may change something."
        return CheckResult(service=test.service, kind=smoke.NOT_ASKED, name=test.where, good=True, text=said)
    got = _once(test, workloads, views, ports, ports.cluster)
    text, good = smoke.judge(test, got)
    kind = smoke.NOT_ASKED if got.forbidden else SMOKE
    return CheckResult(service=test.service, kind=kind, name=test.where, good=good or got.forbidden, text=text)


def flow(
    asked: Flow, workloads: Mapping[str, list[ObjectRef]], views: Mapping[ObjectRef, View], ports: Ports
) -> CheckResult:
    """The steps in their order, each with what those before captured; it ends with the first that is not good."""
    began = ports.clock.now()
    values: dict[str, str] = {}
    tries: list[Try] = []
    good, text = True, ""
    for number, step in enumerate(asked.steps, start=1):
        ready = smoke.filled(step, values)
        got = _once(ready, workloads.get(step.service, []), views, ports, ports.cluster)
        # what is said names the step as the file has it: a captured value may be a token
        text, good = smoke.judge(step, got)
        if good:
            found = smoke.captured(step, got)
            if isinstance(found, str):
                text, good = f"{step.where}: {found}.", False
            else:
                values |= found
        tries.append(Try(at=stamp(ports.clock.now()), good=good, text=text))
        if not good:
            text = f"flow {asked.name} stops at step {number} of {len(asked.steps)}: {text}"
            break
    else:
        text = f"flow {asked.name}: all {len(asked.steps)} steps as expected."
    took = (ports.clock.now() - began).total_seconds()
    return CheckResult(
        service=asked.steps[-1].service if good else step.service, kind="flow", name=asked.name, good=good, text=text,
        seconds=round(took, 3), tries=tuple(tries),
    )  # fmt: skip


def findings(
    test: Smoke, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View], ports: Ports
) -> Iterator[Finding]:
    """For detect: what several tries say. Only what fails each time is a suspicion, and each try stands in it.

    What could change something (another method, a command) is not asked: detect only looks.
    """
    if test.command or test.method not in ("GET", "HEAD"):
        return
    keys, tries, began = list(workloads), list[tuple[str, str, bool]](), ports.clock.now()
    if test.within:  # what takes much longer than it may need not be waited for
        longest = min(seconds(test.timeout), seconds(test.within) + 0.5)
        test = msgspec.structs.replace(test, timeout=f"{longest * 1000:.0f}ms")
    for number in range(_TRIES):
        if number > 1 and (ports.clock.now() - began).total_seconds() > _LONG:
            break
        if number:
            ports.clock.sleep(_PAUSE)
        at = stamp(ports.clock.now())
        text, good = smoke.judge(test, _once(test, keys, views, ports, ports.evidence.cluster))
        tries.append((at, text, good))
        if good:
            break
    bad = [(at, text) for at, text, good in tries if not good]
    if not bad:
        return
    steady = not tries[-1][2]
    alike: dict[str, list[str]] = {}
    for at, text in bad:
        alike.setdefault(text.rstrip("."), []).append(at[11:19])
    told = "; ".join(f"{text} (at {', '.join(times)})" for text, times in alike.items())
    yield finding(
        "suspect" if steady else "note", SMOKE, told if steady else f"{told}; then it was as expected",
        service=test.service, since=bad[0][0], cause="SmokeFailed" if steady else "SmokeFlaked",
    )  # fmt: skip


def _once(
    asked: Ask, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View], ports: Ports, cluster: Cluster
) -> Answered:
    try:
        secret = headers(asked.credentials, ports.environ)
    except RefusedError as error:
        return Answered(problem=str(error))
    body = b"" if asked.send is None else msgspec.json.encode(asked.send)
    sent = {**({"Content-Type": "application/json"} if body else {}), **asked.headers, **secret}
    timeout = seconds(asked.timeout)
    if asked.url:
        return ports.evidence.web.ask(asked.method, asked.url, headers=sent, body=body, timeout=timeout)
    found = _pod(asked, workloads, views)
    if found is None:
        return Answered(problem="no Ready pod with a known port to ask")
    pod, container, port = found
    if asked.command:
        code, printed = ports.evidence.inside.run(pod, container, asked.command, timeout)
        return Answered(body=printed.encode(), problem="" if code == 0 else f"ended with {code}: {printed[-300:]}")
    return cluster.pod_ask(pod, port, asked.path, method=asked.method, headers=sent, body=body, timeout=timeout)


def _pod(asked: Ask, workloads: Iterable[ObjectRef], views: Mapping[ObjectRef, View]) -> tuple[str, str, int] | None:
    for key in workloads:
        view = views.get(key)
        for pod in health.newest_pods(view) if view else ():
            container, port = _first_port(dict(view.workload) if view else {})
            if health.is_ready(pod) and (asked.port or port or asked.command):
                return name_of(dict(pod)), container, asked.port or port
    return None


def _first_port(workload: dict[str, Any]) -> tuple[str, int]:
    """(the container, its port) of the first that names one; else the first container and 0."""
    found = [c for init, c in containers(template(workload)) if not init]
    for container in found:
        for port in container.get("ports") or []:
            return str(container.get("name") or ""), int(port.get("containerPort") or 0)
    return (str(found[0].get("name") or "") if found else ""), 0
