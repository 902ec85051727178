"""Kubernetes kinds as a rollback sees them: where they live in the API, and which are never written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Final

from rollback_lib.core.kube.identity import ContainerRef, ObjectRef
from rollback_lib.core.kube.kinds import template_path
from rollback_lib.core.record import canonical

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
CHANGE_CAUSE: Final = "kubernetes.io/change-cause"


# Of the whole cluster; only looked at.
# What the server fills in for a Service that does not ask for it (beside the ports' nodePort).
ASSIGNED: Final = ("clusterIP", "clusterIPs", "healthCheckNodePort")
HEADLESS: Final = "None"
Object = dict[str, Any]


def kind_of(obj: Mapping[str, Any]) -> str:
    """The object's kind as `core.kube.kinds` has it, or an empty text.

    One of another group that has the name of one of those is none of them: ``Service.serving.knative.dev``.
    """
    return ObjectRef.of(str(obj.get("apiVersion") or ""), str(obj.get("kind") or ""), "").type


def name_of(obj: Mapping[str, Any]) -> str:
    """The object's name, or an empty text."""
    return str((obj.get("metadata") or {}).get("name") or "")


def ref_of(obj: Mapping[str, Any], home: str = "") -> ObjectRef:
    """What the object is called. ``home``: the environment's namespace, where the object may be of another one."""
    own = str((obj.get("metadata") or {}).get("namespace") or "") if home else ""
    kind, version = str(obj.get("kind") or ""), str(obj.get("apiVersion") or "")
    return ObjectRef.of(version, kind, name_of(obj), own if own != home else "")


def named(by: Mapping[str, Any]) -> ObjectRef:
    """The object that an ownerReference or a scaleTargetRef names."""
    return ObjectRef.of(str(by.get("apiVersion") or ""), str(by.get("kind") or ""), str(by.get("name") or ""))


def notes_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """The object's annotations, never None."""
    return (obj.get("metadata") or {}).get("annotations") or {}


def is_leaving(obj: Mapping[str, Any]) -> bool:
    """Whether somebody has deleted it, and something still holds it: it goes, whatever is written to it."""
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def template(obj: Mapping[str, Any]) -> Object | None:
    """The pod template of a workload (a CronJob's stands deeper), or None."""
    found: Any = obj
    for key in template_path(kind_of(obj)):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else None


def containers(pod_template: Mapping[str, Any] | None) -> list[tuple[bool, Object]]:
    """(is init, container) of a pod template, in order."""
    spec = (pod_template or {}).get("spec") or {}
    init = [(True, c) for c in spec.get("initContainers") or [] if isinstance(c, dict)]
    return init + [(False, c) for c in spec.get("containers") or [] if isinstance(c, dict)]


def named_containers(workload: Mapping[str, Any]) -> list[tuple[ContainerRef, Object]]:
    """(which one it is, container) of a workload's pod template, in order."""
    ref = ref_of(workload)
    return [(ContainerRef(ref, str(c.get("name") or ""), init), c) for init, c in containers(template(workload))]


class Image:
    """One image reference of a pod template, where it stands: ``text`` may be set."""

    def __init__(self, holder: Object, key: str = "image", policy: str = "imagePullPolicy") -> None:
        self._holder, self._key, self._policy = holder, key, policy

    @property
    def text(self) -> str:
        return str(self._holder.get(self._key) or "")

    @text.setter
    def text(self, image: str) -> None:
        self._holder[self._key] = image

    @property
    def pull_policy(self) -> str:
        return str(self._holder.get(self._policy) or "")

    def take_out(self) -> None:
        """Leave the place without an image, and without the policy, whose default depends on its tag."""
        for key in (self._key, self._policy):
            self._holder.pop(key, None)


def images_in(pod_template: Mapping[str, Any] | None, workload: ObjectRef) -> list[tuple[ContainerRef, Image]]:
    """Every image reference of a pod template: of its containers, and of volumes that are images."""
    found = [(ContainerRef(workload, str(c.get("name") or ""), init), Image(c)) for init, c in containers(pod_template)]
    for volume in ((pod_template or {}).get("spec") or {}).get("volumes") or []:
        if isinstance(volume, dict) and isinstance(held := volume.get("image"), dict):
            ref = ContainerRef(workload, str(volume.get("name") or ""), volume=True)
            found.append((ref, Image(held, "reference", "pullPolicy")))
    return found


def named_images(workload: Mapping[str, Any]) -> list[tuple[ContainerRef, Image]]:
    """(which one it is, its image) of a workload's pod template, in order."""
    return images_in(template(workload), ref_of(workload))


def image_ids(workload: Mapping[str, Any], pod: Mapping[str, Any]) -> list[tuple[ContainerRef, str]]:
    """(which one of the workload, the image that this pod of it reports for it), init containers first.

    Of a volume a pod reports it only where the server has ImageVolumeWithDigest (off by default in 1.35).
    """
    ref, status = ref_of(workload), pod.get("status") or {}
    found: dict[ContainerRef, str] = {}
    for field, init in (("initContainerStatuses", True), ("containerStatuses", False)):
        for one in status.get(field) or []:
            found[ContainerRef(ref, str(one.get("name") or ""), init)] = str(one.get("imageID") or "")
            for mount in one.get("volumeMounts") or []:
                said = ((mount.get("volumeStatus") or {}).get("image") or {}).get("imageRef")
                if said:
                    found[ContainerRef(ref, str(mount.get("name") or ""), volume=True)] = str(said)
    return list(found.items())


def decided(obj: Mapping[str, Any]) -> Object:
    """What makes a plan stale when it changes: everything but status, metadata (labels aside) and replicas.

    (Design §6: an untouched crash-looping Deployment changes its resourceVersion 8 times a minute.)
    """
    kept = {k: v for k, v in obj.items() if k not in ("status", "metadata", "apiVersion")}
    kept["name"] = name_of(obj)
    kept["labels"] = (obj.get("metadata") or {}).get("labels") or {}
    if isinstance(spec := kept.get("spec"), dict):
        kept["spec"] = {k: v for k, v in spec.items() if k != "replicas"}
    return kept


def replicas_of(obj: Mapping[str, Any] | None) -> int | None:
    """How many pods the object asks for; None where it does not say."""
    found = ((obj or {}).get("spec") or {}).get("replicas")
    return found if isinstance(found, int) else None


def template_hash(obj: Mapping[str, Any]) -> str:
    """A hash of the pod template as the server stores it."""
    return hashlib.sha256(canonical(template(obj))).hexdigest()


def fingerprint(obj: Mapping[str, Any] | None) -> str:
    """A hash of what is decided about an object; empty for one that does not exist.

    What the server chooses by itself does not count: a Service that is created gets another address than its dry run.
    """
    return hashlib.sha256(canonical(_chosen(decided(obj)))).hexdigest() if obj else ""


def without_labels(obj: Mapping[str, Any] | None, beyond: Collection[str]) -> Object | None:
    """The object without the labels that are not among these: those that somebody has put on it meanwhile."""
    labels = ((obj or {}).get("metadata") or {}).get("labels") or {}
    if obj is None or not labels.keys() - set(beyond):
        return None if obj is None else dict(obj)
    return {**obj, "metadata": {**obj["metadata"], "labels": {k: v for k, v in labels.items() if k in beyond}}}


def _chosen(obj: Object) -> Object:
    """``obj`` without a Service's addresses and node ports; that it is headless stays."""
    spec = obj.get("spec")
    if kind_of(obj) != "Service" or not isinstance(spec, dict):
        return obj
    kept = {k: v for k, v in spec.items() if k not in ASSIGNED or v == HEADLESS}
    ports = kept.get("ports")
    if isinstance(ports, list):
        kept["ports"] = [
            {k: v for k, v in p.items() if k != "nodePort"} if isinstance(p, Mapping) else p for p in ports
        ]
    return {**obj, "spec": kept}
