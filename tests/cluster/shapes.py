"""Manifests of other shapes than the shop's own, as data: a test takes what it needs and says what differs."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.cluster.shop import PORT, Shop

Object = dict[str, Any]


def file(*objects: Object) -> str:
    """One manifest file with these objects."""
    return yaml.safe_dump_all(objects, sort_keys=False)


def container(shop: Shop, service: str, *, name: str | None = None, **more: Any) -> Object:
    """A container that runs the service's own image by the tag that every release overwrites."""
    return {
        "name": name or service,
        "image": shop.image(service),
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
        **more,
    }


def template(service: str, *containers: Object, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"labels": {"app": service, **(labels or {})}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
    }


def workload(kind: str, name: str, pods: Object, **spec: Any) -> Object:
    """A Deployment, StatefulSet or DaemonSet. `replicas` and the like go into its spec."""
    if kind == "StatefulSet":
        spec = {"serviceName": name, **spec}
    selector = {"matchLabels": {"app": name}}
    meta = {"name": name, "labels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": meta,
        "spec": {**spec, "selector": selector, "template": pods},
    }


def service(name: str, *, selector: Mapping[str, str] | None = None, **spec: Any) -> Object:
    port = {"name": "http", "port": 80, "targetPort": PORT}
    spec = {"ports": [port], "selector": dict(selector or {"app": name}), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def job_spec(shop: Shop, service: str, command: Sequence[str]) -> Object:
    one = {"name": service, "image": shop.image(service), "command": list(command)}
    return {"template": {"spec": {"restartPolicy": "Never", "containers": [one]}}}


def variable(name: str, value: str) -> list[Object]:
    """The `env` of a container with one variable: what tells two releases apart."""
    return [{"name": name, "value": value}]
