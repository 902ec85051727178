"""Proof that a namespace is as it was: what the API server stores, and what its audit log says of us."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.cluster import REVIEWS, WRITES, Cluster

KINDS = (
    "configmaps,secrets,services,serviceaccounts,deployments,statefulsets,daemonsets,cronjobs,jobs,"
    "poddisruptionbudgets,horizontalpodautoscalers,ingresses,networkpolicies,roles,rolebindings,leases"
)
# What controllers, and not people, keep up to date on the objects that people wrote.
BY_CONTROLLERS = ("deployment.kubernetes.io/revision",)


def decided(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Spec, data, labels and annotations of every object in the namespace, by kind and name."""
    found = cluster.get(KINDS, namespace=namespace)["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": {
            **{key: value for key, value in each.items() if key not in ("metadata", "status", "apiVersion", "kind")},
            "labels": each["metadata"].get("labels"),
            "annotations": {
                key: value
                for key, value in each["metadata"].get("annotations", {}).items()
                if key not in BY_CONTROLLERS
            },
            "uid": each["metadata"]["uid"],
        }
        for each in found
    }


def attempts(cluster: Cluster, since: int, *, user: str, namespace: str | None) -> list[str]:
    """Every write that the user asked for since the mark, also those that the server refused; no dry runs."""
    return [
        f"{entry['verb']} {entry['requestURI']} → {entry.get('responseStatus', {}).get('code')}"
        for entry in cluster.audit(since, user=user, namespace=namespace, verbs=sorted(WRITES))
        if "dryRun=All" not in entry["requestURI"] and entry.get("objectRef", {}).get("resource") not in REVIEWS
    ]


@contextmanager
def untouched(cluster: Cluster, namespace: str, *, user: str = "operator") -> Iterator[None]:
    """Fails when what is done within has changed anything in the namespace, or has tried to."""
    before, mark = decided(cluster, namespace), cluster.audit_mark()
    yield
    assert attempts(cluster, mark, user=user, namespace=namespace) == []
    after = decided(cluster, namespace)
    changed = sorted(
        name
        for name in before.keys() | after.keys()
        if json.dumps(before.get(name), sort_keys=True) != json.dumps(after.get(name), sort_keys=True)
    )
    assert changed == [], changed
