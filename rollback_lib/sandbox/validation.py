"""What a rollback relies on being refused: names, what is required, what is immutable, references inside a template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollback_lib.sandbox.schema import Object, Resource
from rollback_lib.sandbox.status import ApiError, invalid

Cause = tuple[str, str, str]

_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_1035: Final = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_SAYS: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_SAYS: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_1035_SAYS: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    f"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_1035}')"
)
_STATEFUL_FREE: Final = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_STATEFUL_SAYS: Final = (
    "updates to statefulset spec for fields other than "
    + ", ".join(f"'{f}'" for f in _STATEFUL_FREE[:-1])
    + f" and '{_STATEFUL_FREE[-1]}' are forbidden"
)
_SELECTED: Final = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")


def validate(resource: Resource, found: Object, before: Object | None = None) -> None:
    """Raise Invalid with all that is wrong. `before`: the object that this one replaces."""
    causes = [*_metadata(resource, found), *_spec(resource, found, before), *_fixed(resource, found, before)]
    if causes:
        raise invalid(resource, str(found["metadata"].get("name", "")), causes)


def _wrong(field: str, value: Any, why: str) -> Cause:
    return "FieldValueInvalid", field, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {why}"


def _required(field: str, why: str = "") -> Cause:
    return "FieldValueRequired", field, "Required value" + (f": {why}" if why else "")


def _forbidden(field: str, why: str) -> Cause:
    return "FieldValueForbidden", field, f"Forbidden: {why}"


def _metadata(resource: Resource, found: Object) -> Iterator[Cause]:
    name = found["metadata"].get("name")
    if not name:
        yield _required("metadata.name", "name or generateName is required")
        return
    if resource.kind == "Service":
        rule, says, longest = _1035, _1035_SAYS, 63
    elif resource.kind == "Namespace":
        rule, says, longest = _LABEL, _LABEL_SAYS, 63
    elif resource.group == "rbac.authorization.k8s.io":
        return
    else:
        rule, says, longest = _SUBDOMAIN, _SUBDOMAIN_SAYS, 253
    if not re.fullmatch(rule, name):
        yield _wrong("metadata.name", name, says)
    if len(name) > longest:
        yield _wrong("metadata.name", name, f"must be no more than {longest} bytes")


def _spec(resource: Resource, found: Object, before: Object | None) -> Iterator[Cause]:
    spec = found.get("spec") or {}
    kind = resource.kind
    if kind in _SELECTED:
        if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
            yield _wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
        selector = spec.get("selector")
        if not selector:
            yield _required("spec.selector")
        elif kind in ("Deployment", "ReplicaSet", "DaemonSet") and selector == {}:
            yield _wrong("spec.selector", selector, f"empty selector is invalid for {kind.lower()}")
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
        if not selector or not matches(selector, labels or {}):
            yield _wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        yield from _template(spec.get("template") or {}, "spec.template", ("Always",))
        yield from _strategy(kind, spec)
    elif kind == "Job":
        yield from _template(spec.get("template") or {}, "spec.template", ("OnFailure", "Never"))
    elif kind == "CronJob":
        if not spec.get("schedule"):
            yield _required("spec.schedule")
        inner = (spec.get("jobTemplate") or {}).get("spec") or {}
        yield from _template(inner.get("template") or {}, "spec.jobTemplate.spec.template", ("OnFailure", "Never"))
    elif kind == "Pod" and before is None:
        yield from _pod(spec, "spec")
    elif kind == "Service" and spec.get("type") != "ExternalName":
        if not spec.get("ports") and spec.get("clusterIP") != "None":
            yield _required("spec.ports")
        yield from _service_ports(spec.get("ports") or [])


def _strategy(kind: str, spec: Mapping[str, Any]) -> Iterator[Cause]:
    """What only a rolling update may have. (A DaemonSet's is taken with any other type.)"""
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    strategy = spec.get(field) or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate" or strategy.get("rollingUpdate") is None:
        return
    if kind == "Deployment":
        told = f"may not be specified when strategy `type` is '{strategy['type']}'"
        yield _forbidden(f"spec.{field}.rollingUpdate", told)
    elif kind == "StatefulSet":
        told = "only allowed for updateStrategy 'RollingUpdate'"
        yield _wrong(f"spec.{field}.rollingUpdate", strategy["rollingUpdate"], told)


def _service_ports(ports: list[Mapping[str, Any]]) -> Iterator[Cause]:
    for at, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            yield _required(f"spec.ports[{at}].name")
        if not 1 <= int(port.get("port") or 0) <= 65535:
            yield _wrong(f"spec.ports[{at}].port", port.get("port"), "must be between 1 and 65535, inclusive")


def _template(template: Mapping[str, Any], where: str, policies: tuple[str, ...]) -> Iterator[Cause]:
    spec = template.get("spec") or {}
    yield from _pod(spec, f"{where}.spec")
    policy = spec.get("restartPolicy", "Always")
    if policy not in policies:
        supported = ", ".join(f'"{p}"' for p in policies)
        yield (
            "FieldValueNotSupported",
            f"{where}.spec.restartPolicy",
            f'Unsupported value: "{policy}": supported values: {supported}',
        )


def _pod(spec: Mapping[str, Any], where: str) -> Iterator[Cause]:
    volumes = {v.get("name") for v in spec.get("volumes") or []}
    seen: set[str] = set()
    if not spec.get("containers"):
        yield _required(f"{where}.containers")
    for group in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(group) or []):
            here = f"{where}.{group}[{at}]"
            name = container.get("name")
            if not name:
                yield _required(f"{here}.name")
            elif not re.fullmatch(_LABEL, name):
                yield _wrong(f"{here}.name", name, _LABEL_SAYS)
            elif name in seen:
                yield "FieldValueDuplicate", f"{here}.name", f'Duplicate value: "{name}"'
            seen.add(name or "")
            image = container.get("image")
            if not image:
                yield _required(f"{here}.image")
            elif image != image.strip():
                yield _wrong(f"{here}.image", image, "must not have leading or trailing whitespace")
            yield from _container(container, here, volumes)


def _container(container: Mapping[str, Any], here: str, volumes: set[Any]) -> Iterator[Cause]:
    for at, port in enumerate(container.get("ports") or []):
        if not 1 <= int(port.get("containerPort") or 0) <= 65535:
            told = "must be between 1 and 65535, inclusive"
            yield _wrong(f"{here}.ports[{at}].containerPort", port.get("containerPort"), told)
    for at, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            yield _required(f"{here}.env[{at}].name")
        if variable.get("value") and variable.get("valueFrom"):
            told = "may not be specified when `value` is not empty"
            yield _wrong(f"{here}.env[{at}].valueFrom", "", told)
    for at, mount in enumerate(container.get("volumeMounts") or []):
        if not mount.get("name"):
            yield _required(f"{here}.volumeMounts[{at}].name")
        elif mount["name"] not in volumes:
            yield "FieldValueNotFound", f"{here}.volumeMounts[{at}].name", f'Not found: "{mount["name"]}"'
        if not mount.get("mountPath"):
            yield _required(f"{here}.volumeMounts[{at}].mountPath")


def _fixed(resource: Resource, found: Object, before: Object | None) -> Iterator[Cause]:
    """What must stay as it was."""
    if before is None:
        return
    kind, new, old = resource.kind, found.get("spec") or {}, before.get("spec") or {}
    if kind in ("Deployment", "ReplicaSet", "DaemonSet") and new.get("selector") != old.get("selector"):
        yield _wrong("spec.selector", new.get("selector"), "field is immutable")
    if kind == "StatefulSet" and _without(new, _STATEFUL_FREE) != _without(old, _STATEFUL_FREE):
        yield _forbidden("spec", _STATEFUL_SAYS)
    if kind == "Job":
        for name in ("selector", "template", "completionMode"):
            if new.get(name) != old.get(name):
                yield _wrong(f"spec.{name}", new.get(name), "field is immutable")
    if kind == "Service" and old.get("clusterIP") and new.get("type") == old.get("type") != "ExternalName":
        ips, address = new.get("clusterIPs") or [], new.get("clusterIP")
        if address and address != old["clusterIP"]:
            ips = [address, *ips[1:]]
        if ips and ips != old.get("clusterIPs"):
            yield _wrong("spec.clusterIPs[0]", ips, "may not change once set")
    if kind in ("ConfigMap", "Secret") and before.get("immutable"):
        if not found.get("immutable"):
            yield _forbidden("immutable", "field is immutable when `immutable` is set")
        for name in ("data", "binaryData"):
            if (found.get(name) or {}) != (before.get(name) or {}):
                yield _forbidden(name, "field is immutable when `immutable` is set")
    if kind == "Secret" and found.get("type") != before.get("type"):
        yield _wrong("type", found.get("type"), "field is immutable")
    if kind == "RoleBinding" and found.get("roleRef") != before.get("roleRef"):
        yield _wrong("roleRef", found.get("roleRef"), "cannot change roleRef")
    if kind == "Pod" and _pod_core(new) != _pod_core(old):
        yield _forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _without(spec: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in spec.items() if k not in names}


def _pod_core(spec: Mapping[str, Any]) -> dict[str, Any]:
    core = _without(spec, ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName"))
    for group in ("containers", "initContainers"):
        core[group] = [_without(c, ("image",)) for c in spec.get(group) or []]
    return core


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels fit a LabelSelector."""
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        present, values = rule["key"] in labels, rule.get("values") or []
        here = labels.get(rule["key"])
        good = {
            "In": present and here in values,
            "NotIn": not present or here not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }.get(rule.get("operator", ""), False)
        if not good:
            return False
    return True


def query_matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels fit a selector as a query says it: `a=b,c!=d,e in (f,g),!h`."""
    for part in re.findall(r"(?:[^,(]|\([^)]*\))+", selector):
        text = part.strip()
        if found := re.fullmatch(r"(\S+)\s+(in|notin)\s*\(([^)]*)\)", text):
            values = {v.strip() for v in found[3].split(",")}
            if (labels.get(found[1]) in values) != (found[2] == "in"):
                return False
        elif found := re.fullmatch(r"([^=!\s]+)\s*(==|=|!=)\s*(\S*)", text):
            if (labels.get(found[1]) == found[3]) != (found[2] != "!="):
                return False
        elif re.fullmatch(r"!?[A-Za-z0-9._/-]+", text):
            if (text.lstrip("!") in labels) == text.startswith("!"):
                return False
        elif text:
            raise ApiError(400, f"unable to parse requirement: found {text!r}")
    return True
