"""Measured values, and those that are beyond their thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.collectors.credentials import headers
from rollback_lib.collectors.threads import each
from rollback_lib.core.evidence import monitoring
from rollback_lib.core.run.records import Finding, Measure
from rollback_lib.core.settings.checks import Prometheus, Query
from rollback_lib.ports import Ports

Answers = Sequence[tuple[Query, tuple[Measure, ...] | str]]


def measure(server: Prometheus, ports: Ports, timeout: float) -> Answers:
    """What each query gives, or why nobody knows. Raises `RefusedError` for a credential that is not set."""

    def ask(query: Query) -> tuple[Query, tuple[Measure, ...] | str]:
        url, asked = monitoring.query_question(server, query)
        sent = headers(server.credentials, ports.environ)
        answer = ports.evidence.web.ask("GET", url, query=asked, headers=sent, timeout=timeout)
        return query, answer.problem if answer.status == 0 else monitoring.measured(query, answer.body)

    return each(ask, server.queries)


def findings(server: Prometheus, answers: Answers) -> tuple[Finding, ...]:
    """What is beyond its threshold, and what could not be asked; the same reason once."""
    return tuple(dict.fromkeys(f for query, values in answers for f in monitoring.metrics(server, query, values)))
