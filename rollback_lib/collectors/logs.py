"""Signs of failure in the logs of the newest pods, compared with those of the pods from before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from rollback_lib.collectors.threads import each
from rollback_lib.collectors.workloads import Look
from rollback_lib.core import health
from rollback_lib.core.evidence import workloads
from rollback_lib.core.evidence.logs import signs
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.objects import name_of
from rollback_lib.core.run.records import Finding
from rollback_lib.core.settings.checks import Logs
from rollback_lib.ports import Cluster

PODS: Final = 2  # of one workload, the sick ones first
MOST: Final = 80  # logs in all


class Log(NamedTuple):
    """One log that is to be read. ``new``: of a pod of the newest template."""

    key: ObjectRef
    pod: str
    container: str
    previous: bool
    new: bool


def chosen(looked: Look) -> list[Log]:
    """Which logs are worth reading, those of workloads that are not well first."""
    found: list[Log] = []
    for key in sorted(looked.views, key=looked.healthy):
        view = looked.views[key]
        newest = health.newest_pods(view)
        names = {name_of(dict(p)) for p in newest}
        old = [p for p in health.owned(view) if name_of(dict(p)) not in names]
        for new, pods in ((True, newest), (False, old)):
            for pod in sorted(pods, key=health.is_ready)[:PODS]:
                found += _of_pod(key, dict(pod), new=new)
    return found[:MOST]


def _of_pod(key: ObjectRef, pod: dict[str, Any], *, new: bool) -> Iterator[Log]:
    status = pod.get("status") or {}
    for kind in ("containerStatuses", "initContainerStatuses"):
        for one in status.get(kind) or []:
            name, state = str(one.get("name") or ""), one.get("state") or {}
            if kind == "initContainerStatuses" and one.get("ready"):
                continue
            again = int(one.get("restartCount") or 0) > 0
            if "running" in state or "terminated" in state or again:
                if again and not one.get("ready"):
                    yield Log(key, name_of(pod), name, True, new)
                yield Log(key, name_of(pod), name, False, new)


def findings(looked: Look, cluster: Cluster, settings: Logs, *, compared: bool = True) -> Iterator[Finding]:
    """What the logs say, workload by workload. ``compared``: with the pods from before, whose signs then count less."""
    logs = [log for log in chosen(looked) if compared or log.new]

    def read(log: Log) -> str:
        said = cluster.logs(log.pod, log.container, previous=log.previous, lines=settings.lines, timestamps=True)
        return said.text

    texts = list(zip(logs, each(read, logs), strict=True))
    known = signs(settings)
    for key in looked.views:
        mine = [(log, text) for log, text in texts if log.key == key and not text.startswith("unable to retrieve")]
        yield from workloads.of_logs(
            key.name, [t for log, t in mine if log.new], [t for log, t in mine if not log.new], known,
            settings, healthy=looked.healthy(key),
        )  # fmt: skip
