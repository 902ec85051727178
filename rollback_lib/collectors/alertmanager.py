"""Alerts that fire now."""

from __future__ import annotations

from collections.abc import Iterable

from rollback_lib.collectors.credentials import headers
from rollback_lib.core.evidence import monitoring
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Alertmanager
from rollback_lib.ports import Ports


def findings(server: Alertmanager, ports: Ports, timeout: float) -> Iterable[Finding]:
    """Each firing alert, or why nobody knows."""
    url, query = monitoring.alerts_question(server)
    sent = headers(server.credentials, ports.environ)
    answer = ports.evidence.web.ask("GET", url, query=query, headers=sent, timeout=timeout)
    if answer.status != 200:
        return (monitoring.unread(monitoring.ALERTMANAGER, answer.problem or f"it answered {answer.status}"),)
    return tuple(monitoring.alerts(server, answer.body))
