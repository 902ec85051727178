"""Our own records in the cluster: each write names the version that it replaces, so that nobody's is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollback_lib.adapters.kubernetes import KubernetesCluster
from rollback_lib.core.errors import RefusedError, UnreachableError
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.kube.objects import Object, kind_of, name_of

_CONFLICT = 409


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
        replace = bool(record["metadata"].get("resourceVersion"))
        if replace:
            status, found = self._cluster.ask("PUT", kind, name, body=record)
        else:
            status, found = self._cluster.ask("POST", kind, body=record)
        if status == _CONFLICT or (replace and status == 404):
            return None
        _good(status, found, "write", f"{KINDS[kind].plural}/{name}")
        return found

    def delete(self, record: Object) -> bool:
        kind, name = kind_of(record), name_of(record)
        known = {key: record["metadata"][key] for key in ("uid", "resourceVersion")}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known}
        status, found = self._cluster.ask("DELETE", kind, name, body=body)
        if status in (404, _CONFLICT):
            return False
        _good(status, found, "delete", f"{KINDS[kind].plural}/{name}")
        return True


def _good(status: int, found: Object, verb: str, what: str) -> None:
    if status == 403:
        said = found.get("message")
        raise RefusedError(f"cannot {verb} {what} (forbidden){f': {said}' if said else ''}")
    if status >= 400:
        error = UnreachableError if status >= 500 or status == 429 else RefusedError
        raise error(f"the API server answered {status} when we wanted to {verb} {what}: {found.get('message') or ''}")
