"""Whether a deploy is still at work while a rollback is planned. It is said, and never a reason to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError
from typing import Final

from rollback_lib.collectors import threads
from rollback_lib.core import health
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.evidence.workloads import CRASHES
from rollback_lib.core.health import Health, Patience, View
from rollback_lib.core.jenkins.answers import Build
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import Object, kind_of, ref_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.releases.deploying import Deploying, is_rolling
from rollback_lib.core.run.records import Request
from rollback_lib.ports import Ports

PATIENCE: Final = 5.0  # seconds for Jenkins, from when it is asked: a rollback does not wait for who only may know
_NAMED: Final = 3


def ask(request: Request, ports: Ports) -> Callable[[], Iterator[Deploying]]:
    """Ask `releases.job` in a thread of its own; call what is given back for the builds of it that run."""
    job, server = request.settings.releases.job, ports.evidence.jenkins
    if not job:
        return lambda: iter(())
    if server is None:
        return lambda: iter((Deploying(kind="unseen", what=job, why="no Jenkins is known"),))
    asked = threads.begin(lambda: tuple(server().recent(job)))

    def answer() -> Iterator[Deploying]:
        try:
            running = [b for b in asked.result(PATIENCE) if b.running and not _is_of(request, job, b)]
        except TimeoutError:
            yield Deploying(kind="unseen", what=job, why=f"Jenkins did not answer within {PATIENCE:g} s")
        except Exception as error:
            said = str(error) if isinstance(error, RollbackError) else type(error).__name__
            yield Deploying(kind="unseen", what=job, why=(said.splitlines() or [""])[0].rstrip("."))
        else:
            yield from (Deploying(kind="build", what=f"{job} #{b.number}", url=b.url) for b in running[:_NAMED])

    return answer


def rollouts(lives: Iterable[Object | None], snapshot: Snapshot, ports: Ports) -> Iterator[Deploying]:
    """The workloads whose rollout goes on, may still become well, and was begun by somebody else."""
    patience = Patience(now=ports.clock.now(), crash_restarts=CRASHES)
    for live in lives:
        if live is None or kind_of(live) not in AWAITED or not is_rolling(live):
            continue
        view = View(live, replica_sets=snapshot.all("ReplicaSet"), pods=snapshot.all("Pod"))
        if health.assess(view, patience).health is not Health.FAILED:
            yield Deploying(kind="rollout", what=str(ref_of(live)))


def _is_of(request: Request, job: str, build: Build) -> bool:
    """Whether it is this build itself, or the deploy that failed and waits for what it has asked for."""
    asked_for_this = (job, str(build.number)) == (request.upstream_job, request.upstream_build)
    return asked_for_this or (bool(build.url) and build.url == request.origin)
