"""Measured values that are beyond their thresholds."""

from __future__ import annotations

from collections.abc import Iterable

from rollback_lib.collectors.asking import each
from rollback_lib.collectors.credentials import headers
from rollback_lib.core import monitoring
from rollback_lib.core.checks import Prometheus, Query
from rollback_lib.core.run import Finding
from rollback_lib.ports import Ports


def findings(server: Prometheus, ports: Ports, timeout: float) -> Iterable[Finding]:
    """What each query says, or why nobody knows; the same reason once."""

    def ask(query: Query) -> tuple[Finding, ...]:
        url, asked = monitoring.query_question(server, query)
        sent = headers(server.credentials, ports.environ)
        answer = ports.evidence.web.ask("GET", url, query=asked, headers=sent, timeout=timeout)
        if answer.status == 0:
            return (monitoring.unread(monitoring.PROMETHEUS, answer.problem),)
        return tuple(monitoring.metrics(server, query, answer.body))

    return tuple(dict.fromkeys(f for found in each(ask, server.queries) for f in found))
