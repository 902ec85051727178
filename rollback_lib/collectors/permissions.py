"""Whether we may do what is needed."""

from __future__ import annotations

from collections.abc import Sequence

from rollback_lib.collectors import threads
from rollback_lib.core.rights.table import Need
from rollback_lib.ports import Cluster


def lacking(needed: Sequence[Need], cluster: Cluster) -> list[Need]:
    """What of it we may not do: by the rules that the cluster tells, then, since a webhook may allow more, by its own
    word."""
    if not needed:
        return []
    rules, _ = cluster.rules()
    doubtful = [need for need in needed if not need.is_met(rules)]
    asked = threads.each(lambda n: cluster.may(n.verb, n.kind, n.name, n.subresource), doubtful)
    return [need for need, allowed in zip(doubtful, asked, strict=True) if not allowed]
