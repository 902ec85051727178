"""What stages and operations need from the world, as Protocols. Only `wiring` knows who answers."""

from rollback_lib.ports.cluster import Acts, Cluster, ClusterRecords
from rollback_lib.ports.evidence import Evidence, Files, Inside, Web
from rollback_lib.ports.jenkins import Jenkins
from rollback_lib.ports.once import Once
from rollback_lib.ports.people import Approved, Approver, Notifier, Progress
from rollback_lib.ports.registry import Registry, RegistryWriter
from rollback_lib.ports.repository import Checkout, GitHistory
from rollback_lib.ports.session import Runs, Session
from rollback_lib.ports.stage import Clock, Ports, Stage, StoppableClock, Writer
from rollback_lib.ports.store import R, RunStore

__all__ = [
    "Acts",
    "Approved",
    "Approver",
    "Checkout",
    "Clock",
    "Cluster",
    "ClusterRecords",
    "Evidence",
    "Files",
    "GitHistory",
    "Inside",
    "Jenkins",
    "Notifier",
    "Once",
    "Ports",
    "Progress",
    "R",
    "Registry",
    "RegistryWriter",
    "RunStore",
    "Runs",
    "Session",
    "Stage",
    "StoppableClock",
    "Web",
    "Writer",
]
