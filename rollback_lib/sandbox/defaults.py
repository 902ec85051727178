"""What the API server adds to an object that leaves it out, as Kubernetes 1.36 does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollback_lib.sandbox.schema import Object

Map = dict[str, Any]


def first_status(kind: str) -> Object | None:
    """The status of an object that was just made, before any controller has seen it."""
    if kind in ("Service", "Ingress"):
        return {"loadBalancer": {}}
    if kind == "HorizontalPodAutoscaler":
        return {"currentMetrics": None, "desiredReplicas": 0}
    if kind in ("Deployment", "CronJob", "Job", "PersistentVolumeClaim", "Namespace", "Pod"):
        return {}
    if kind in ("ReplicaSet", "StatefulSet"):
        return {"replicas": 0, **({"availableReplicas": 0} if kind == "StatefulSet" else {})}
    if kind == "DaemonSet":
        return dict.fromkeys(
            ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"), 0
        )
    return None


def defaulted(kind: str, found: Object) -> Object:
    """The object with its defaults. `found` is changed and returned."""
    rule = _RULES.get(kind)
    if rule is not None:
        spec = found.setdefault("spec", {})
        if isinstance(spec, dict):
            rule(spec, found)
    if kind == "Secret":
        _secret(found)
    if kind == "RoleBinding":
        for subject in found.get("subjects") or []:
            if subject.get("kind") in ("User", "Group"):
                subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
        found.get("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
    return found


def _fill(target: Map, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value.copy() if isinstance(value, dict) else value


def _deployment(spec: Map, _: Object) -> None:
    _fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {}})
    strategy = spec["strategy"]
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, {"rollingUpdate": {}})
        _fill(strategy["rollingUpdate"], {"maxUnavailable": "25%", "maxSurge": "25%"})
    _template(spec)


def _replica_set(spec: Map, _: Object) -> None:
    _fill(spec, {"replicas": 1})
    _template(spec)


def _stateful_set(spec: Map, _: Object) -> None:
    _fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady",
                 "updateStrategy": {}, "persistentVolumeClaimRetentionPolicy": {}})  # fmt: skip
    _fill(spec["persistentVolumeClaimRetentionPolicy"], {"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = spec["updateStrategy"]
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, {"rollingUpdate": {}})
        _fill(strategy["rollingUpdate"], {"partition": 0})
    for claim in spec.get("volumeClaimTemplates") or []:
        _fill(claim, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}})
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    _template(spec)


def _daemon_set(spec: Map, _: Object) -> None:
    _fill(spec, {"revisionHistoryLimit": 10, "updateStrategy": {}})
    strategy = spec["updateStrategy"]
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy, {"rollingUpdate": {}})
        _fill(strategy["rollingUpdate"], {"maxUnavailable": 1, "maxSurge": 0})
    _template(spec)


def _job(spec: Map, _: Object) -> None:
    _fill(spec, {"backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False, "podReplacementPolicy":
                 "TerminatingOrFailed", "manualSelector": False})  # fmt: skip
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _fill(spec, {"parallelism": 1})
    if spec["manualSelector"] is False:
        del spec["manualSelector"]
    _template(spec)


def _cron_job(spec: Map, _: Object) -> None:
    _fill(spec, {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3,
                 "failedJobsHistoryLimit": 1})  # fmt: skip
    template = spec.get("jobTemplate")
    inner = template.get("spec") if isinstance(template, dict) else None
    if isinstance(template, dict):
        template.setdefault("metadata", {})
    if isinstance(inner, dict) and isinstance(inner.get("template"), dict):
        inner["template"].setdefault("metadata", {})
        _template(inner)


def _template(spec: Map) -> None:
    template = spec.get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        pod_spec(template["spec"])


def _pod(spec: Map, found: Object) -> None:
    pod_spec(spec)
    _fill(spec, {"enableServiceLinks": True, "priority": 0, "preemptionPolicy": "PreemptLowerPriority"})
    for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or [])):
        resources = container["resources"]
        for name, value in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, value)
    _fill(found.setdefault("status", {}), {"phase": "Pending"})


def pod_spec(spec: Map) -> None:
    """The defaults of a pod template."""
    _fill(spec, {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
                 "terminationGracePeriodSeconds": 30, "securityContext": {}})  # fmt: skip
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in (*(spec.get("initContainers") or []), *(spec.get("containers") or [])):
        if isinstance(container, dict):
            _container(container)
    for volume in spec.get("volumes") or []:
        if isinstance(volume, dict):
            _volume(volume)


def _container(container: Map) -> None:
    _fill(container, {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                      "resources": {}})  # fmt: skip
    if not container.get("imagePullPolicy"):
        image = str(container.get("image") or "")
        container["imagePullPolicy"] = "Always" if _is_latest(image) else "IfNotPresent"
    for port in container.get("ports") or []:
        _fill(port, {"protocol": "TCP"})
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            _fill(reference, {"apiVersion": "v1"})
        resource = (variable.get("valueFrom") or {}).get("resourceFieldRef")
        if resource is not None:
            _fill(resource, {"divisor": "0"})
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            probe = container[name]
            _fill(probe, {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
            _http(probe.get("httpGet"))
            if isinstance(probe.get("grpc"), dict):
                probe["grpc"].setdefault("service", "")
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _http(hook.get("httpGet"))


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    name = image.rsplit("/", 1)[-1]
    return ":" not in name or name.endswith(":latest")


def _http(action: Any) -> None:
    if isinstance(action, dict):
        if not action.get("path"):
            action["path"] = "/"
        _fill(action, {"scheme": "HTTP"})


def _volume(volume: Map) -> None:
    for name, mode in (("configMap", 420), ("secret", 420), ("projected", 420), ("downwardAPI", 420)):
        if isinstance(volume.get(name), dict):
            _fill(volume[name], {"defaultMode": mode})
    for source in (volume.get("projected") or {}).get("sources") or []:
        if isinstance(source.get("serviceAccountToken"), dict):
            _fill(source["serviceAccountToken"], {"expirationSeconds": 3600})
        for item in (source.get("downwardAPI") or {}).get("items") or []:
            if isinstance(item.get("fieldRef"), dict):
                _fill(item["fieldRef"], {"apiVersion": "v1"})
    if isinstance(volume.get("hostPath"), dict):
        _fill(volume["hostPath"], {"type": ""})
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}


def _service(spec: Map, _: Object) -> None:
    _fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    for port in spec.get("ports") or []:
        _fill(port, {"protocol": "TCP"})
        if port.get("targetPort") is None:
            port["targetPort"] = port.get("port")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _fill(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["type"] == "LoadBalancer":
        _fill(spec, {"allocateLoadBalancerNodePorts": True})
    if spec["type"] != "ExternalName":
        _fill(spec, {"internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})


def _claim(spec: Map, found: Object) -> None:
    _fill(spec, {"volumeMode": "Filesystem"})
    _fill(found.setdefault("status", {}), {"phase": "Pending"})


def _autoscaler(spec: Map, _: Object) -> None:
    _fill(spec, {"minReplicas": 1})
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _namespace(spec: Map, found: Object) -> None:
    _fill(spec, {"finalizers": ["kubernetes"]})
    _fill(found.setdefault("status", {}), {"phase": "Active"})
    name = found["metadata"].get("name", "")
    found["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def _secret(found: Object) -> None:
    import base64

    for name, value in (found.pop("stringData", None) or {}).items():
        found.setdefault("data", {})[name] = base64.b64encode(str(value).encode()).decode()
    found.setdefault("type", "Opaque")


def _network_policy(spec: Map, _: Object) -> None:
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


_RULES: dict[str, Callable[[Map, Object], None]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Pod": _pod,
    "Service": _service,
    "PersistentVolumeClaim": _claim,
    "HorizontalPodAutoscaler": _autoscaler,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
}
