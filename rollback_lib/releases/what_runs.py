"""What runs: asked of the cluster once, by whoever needs it, and judged by the ledger."""

from __future__ import annotations

from typing import NamedTuple

from rollback_lib.collectors import ledger as collector
from rollback_lib.core.images.nodes import Nodes
from rollback_lib.core.releases import matching
from rollback_lib.core.releases.ledger import Ledger
from rollback_lib.core.releases.live import Live
from rollback_lib.core.releases.matching import Matched
from rollback_lib.core.run.records import Request
from rollback_lib.core.settings.parameters import LAST_GOOD
from rollback_lib.ports import Ports


class Now(NamedTuple):
    """The ledger beside the workloads. Nothing is in it offline."""

    ledger: Ledger = Ledger()
    live: Live = Live()


def look(request: Request, ports: Ports) -> Now:
    """What runs now. Raises RefusedError where the cluster cannot be asked."""
    return Now() if request.offline else Now(*collector.look(ports, request.application, request.environment))


def matched(request: Request, now: Now, ports: Ports) -> Matched:
    """Which recorded release that is, for the services that are asked about."""
    if request.offline:
        return Matched()
    found = matching.match(now.ledger, now.live, request.settings, request.services)
    return collector.with_configuration(found, now.ledger, ports) if request.to == LAST_GOOD else found


def nodes(ports: Ports) -> Nodes:
    """The nodes of the cluster, as far as we may list them."""
    found = ports.cluster.nodes()
    return Nodes(None if found is None else tuple(found.values()))


def node_platforms(ports: Ports) -> tuple[str, ...]:
    """The platforms that any new pod may meet; linux/amd64 where we may not list nodes."""
    return nodes(ports).platforms
