"""One smoke test: a Ready pod of the service is asked through the API server, so that it works with traffic closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rollback_lib.core import health, smoke
from rollback_lib.core.health import View
from rollback_lib.core.resources import containers, name_of, template
from rollback_lib.core.settings import Smoke
from rollback_lib.ports import Ports


def ask(test: Smoke, workloads: Iterable[str], views: Mapping[str, View], ports: Ports) -> tuple[str, bool]:
    """(a sentence, whether it is good). ``workloads``: those of the service, as ``Deployment/cart``."""
    for key in workloads:
        view = views.get(key)
        for pod in health.newest_pods(view) if view else ():
            port = test.port or _first_port(view.workload if view else {})
            if health.is_ready(pod) and port:
                status, body = ports.cluster.pod_get(name_of(pod), port, test.path, 10.0)
                return smoke.judge(test.service, test.path, test.status, test.json, status, body)
    return f"{test.service}{test.path}: no Ready pod with a known port to ask.", False


def _first_port(workload: Mapping[str, Any]) -> int:
    for _, container in containers(template(workload)):
        for port in container.get("ports") or []:
            return int(port.get("containerPort") or 0)
    return 0
