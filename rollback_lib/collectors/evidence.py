"""What vanishes with the pods: logs of current and previous containers, events, the objects as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from rollback_lib.collectors import logs
from rollback_lib.collectors.threads import each
from rollback_lib.collectors.workloads import Look
from rollback_lib.core.errors import RollbackError
from rollback_lib.core.evidence import saved
from rollback_lib.core.health import owned
from rollback_lib.core.kube.kinds import AWAITED
from rollback_lib.core.kube.objects import kind_of, name_of
from rollback_lib.core.kube.snapshot import LogEnd
from rollback_lib.ports import Cluster

LINES: Final = 500
MOST_OBJECTS: Final = 150
LARGEST: Final = 8 << 20  # characters of all evidence together
_OBJECTS: Final = ("Service", "ConfigMap", "HorizontalPodAutoscaler", "Ingress")  # never a Secret


def save(
    looked: Look, cluster: Cluster, write: Callable[[str, bytes], None], in_time: Callable[[], bool]
) -> Collection[str]:
    """Save it, the logs of what is not well first; what could not be saved, and why. ``in_time``: whether to go on."""
    missing: list[str] = []
    left = LARGEST

    def keep(name: str, said: str) -> None:
        nonlocal left
        if not in_time() or left < len(said):
            missing.append(
                f"{name}: " + ("there was no more time" if not in_time() else "the evidence is large enough")
            )
            return
        left -= len(said)
        write(f"evidence/{name}", said.encode(errors="replace"))

    def read(log: logs.Log) -> LogEnd:
        if not in_time():
            return LogEnd()
        return cluster.logs(log.pod, log.container, previous=log.previous, lines=LINES, timestamps=True)

    chosen = logs.chosen(looked)
    ends = 0
    for log, said in zip(chosen, each(read, chosen), strict=True):
        if said.text and not said.text.startswith("unable to retrieve"):
            name = saved.file_name(log.pod, log.container, "previous" if log.previous else "")
            kept = saved.log_text(said)
            keep(f"logs/{name}.log", kept.text)
            ends += kept.cut
    if ends:
        missing.append(f"logs: of {ends} only the end is kept ({LINES} lines, {saved.LONGEST_LOG >> 10} kB at most)")
    events, lacking = saved.event_text(cluster.events())
    keep("events.txt", events)
    if lacking:
        missing.append(f"events: {lacking}")
    for obj in _objects(looked, cluster, missing):
        keep(f"objects/{saved.file_name(kind_of(obj), name_of(obj))}.json", saved.object_text(obj))
    return missing


def _objects(looked: Look, cluster: Cluster, missing: list[str]) -> list[dict[str, object]]:
    found = [dict(view.workload) for view in looked.views.values()]
    found += [{"kind": "Pod", **pod} for view in looked.views.values() for pod in owned(view)]
    try:
        others = cluster.snapshot(_OBJECTS)
        missing += [f"{kind}: {why}" for kind, why in others.refused.items()]
        found += [{**o, "kind": kind} for kind in _OBJECTS for o in others.all(kind)]
    except RollbackError as error:
        missing.append(f"objects: {error}")
    found.sort(key=lambda o: kind_of(o) not in AWAITED)
    if len(found) > MOST_OBJECTS:
        missing.append(f"{len(found) - MOST_OBJECTS} more objects: {MOST_OBJECTS} are kept at most")
    return found[:MOST_OBJECTS]
