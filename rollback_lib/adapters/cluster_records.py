"""Our own records in the cluster: each write names the version that it replaces, so that nobody's is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.core.errors import RefusedError, UnreachableError
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, kind_of, name_of

_CONFLICT: Final = 409
_UNSURE: Final = (500, 502, 504)  # a proxy, or a server that ended in the middle: it may have been taken
_Answer = tuple[int, Object]


class ClusterRecords:
    """`ports.ClusterRecords` by plain requests through one cluster's connection."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self._cluster = cluster

    def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
        selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        status, found = self._cluster.ask("GET", kind, query={"labelSelector": selector})
        _good(status, found, "list", KINDS[kind].plural)
        return tuple({"apiVersion": KINDS[kind].api, "kind": kind, **item} for item in found.get("items") or [])

    def get(self, kind: str, name: str) -> Object | None:
        status, found = self._cluster.ask("GET", kind, name)
        if status == 404:
            return None
        _good(status, found, "get", f"{KINDS[kind].plural}/{name}")
        return found

    def put(self, record: Object) -> Object | None:
        kind, name = kind_of(record), name_of(record)
        known = record["metadata"].get("resourceVersion")

        def look() -> _Answer | None:
            now = self.get(kind, name)
            if now is not None and _holds(now, record):
                return 200, now
            return None if (now or {}).get("metadata", {}).get("resourceVersion") == known else (_CONFLICT, {})

        method, at = ("PUT", name) if known else ("POST", "")
        status, found = _sure(lambda: self._cluster.ask(method, kind, at, body=record), look)
        if status == _CONFLICT or (known and status == 404):
            return None
        _good(status, found, "write", f"{KINDS[kind].plural}/{name}")
        return found

    def delete(self, record: Object) -> bool:
        kind, name = kind_of(record), name_of(record)
        known = {key: record["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known}

        def look() -> _Answer | None:
            now = (self.get(kind, name) or {}).get("metadata", {})
            if now.get("uid") != known["uid"]:
                return 200, {}
            return None if now.get("resourceVersion") == known["resourceVersion"] else (_CONFLICT, {})

        status, found = _sure(lambda: self._cluster.ask("DELETE", kind, name, body=body), look)
        if status in (404, _CONFLICT):
            return False
        _good(status, found, "delete", f"{KINDS[kind].plural}/{name}")
        return True


def _sure(ask: Callable[[], _Answer], look: Callable[[], _Answer | None]) -> _Answer:
    """The answer to a write. Where it got lost it is what ``look`` finds, and the write is made once more where that is
    None: nothing was taken."""
    lost = False
    for last in (False, True):
        try:
            status, found = ask()
        except UnreachableError:
            if (seen := look()) is not None:
                return seen
            if last:
                raise
            lost = True
            continue
        unsure = status in _UNSURE or (lost and status in (404, _CONFLICT))  # the first one may have come in late
        if not unsure:
            break
        if (seen := look()) is not None:
            return seen
        lost = True
    return status, found


def _holds(now: Object, record: Object) -> bool:
    """Whether what is there is what we wrote: what the server adds to it, and times in a Lease, aside."""
    marks = ("labels", "annotations")
    same = all((now["metadata"].get(m) or {}) == (record["metadata"].get(m) or {}) for m in marks)
    return same and all((now.get(part) or {}) == (record.get(part) or {}) for part in ("data", "binaryData"))


def _good(status: int, found: Object, verb: str, what: str) -> None:
    if status == 403:
        said = found.get("message")
        raise RefusedError(f"cannot {verb} {what} (forbidden){f': {said}' if said else ''}")
    if status >= 400:
        error = UnreachableError if status >= 500 or status == 429 else RefusedError
        raise error(f"the API server answered {status} when we wanted to {verb} {what}: {found.get('message') or ''}")
