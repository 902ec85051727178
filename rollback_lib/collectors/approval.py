"""What a person has said already, and what has to be asked of one before a cluster is written to."""

from __future__ import annotations

from typing import Final

from rollback_lib.core.errors import NotApprovedError, UsageError
from rollback_lib.core.kube.snapshot import ClusterIdentity
from rollback_lib.core.run.records import Request
from rollback_lib.ports import Ports

_LONGEST: Final = 200  # characters of somebody's words


def given(ports: Ports) -> str:
    """The hash of the plan that somebody approved elsewhere, such as in Jenkins; empty where nobody did."""
    return ports.environ.get("ROLLBACK_APPROVED_HASH", "").strip()


def by(ports: Ports) -> str:
    """Who that was; empty where nobody is named."""
    return ports.environ.get("ROLLBACK_APPROVED_BY", "").strip()


def denied(ports: Ports) -> str:
    """Who said no elsewhere, or why nobody said yes; empty where there was no such question."""
    return ports.environ.get("ROLLBACK_DENIED", "").strip()[:_LONGEST]


def sure_of_cluster(request: Request, cluster: ClusterIdentity, ports: Ports) -> None:
    """A run that writes must not guess the cluster that someone used last (design §6, "Which cluster")."""
    contexts = ports.cluster.contexts()
    if request.target_environment.context or len(contexts) <= 1:
        return
    answer = ports.approver.ask(
        f"rollback.yaml names no context and the kubeconfig has {len(contexts)}. Is {cluster.context} "
        f"({cluster.server}) the cluster that is meant?"
    )
    if answer is None:
        raise UsageError(
            f"the kubeconfig has several contexts ({', '.join(sorted(contexts)[:6])}) and rollback.yaml names none: "
            f"set environments.{request.environment}.context"
        )
    if not answer:
        raise NotApprovedError("not the cluster that is meant.")
