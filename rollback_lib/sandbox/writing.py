"""Create, replace, patch and delete, with what a real server does around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from rollback_lib.sandbox import admission
from rollback_lib.sandbox.decoding import WrongTypeError, decoded, refuse_patch, refuse_unknown
from rollback_lib.sandbox.defaults import defaulted, first_status
from rollback_lib.sandbox.ownership import applied, updated
from rollback_lib.sandbox.owning import PODS_FIRST
from rollback_lib.sandbox.patches import json_patch, merge_patch
from rollback_lib.sandbox.requests import Answer, Request, Target
from rollback_lib.sandbox.schema import Object, Resource, shape_of
from rollback_lib.sandbox.status import ApiError, already_exists, conflict, not_found
from rollback_lib.sandbox.store import Store, advanced, fresh, own
from rollback_lib.sandbox.strategic import strategic_merge
from rollback_lib.sandbox.validation import validate

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_STATUS_KINDS: Final = frozenset(
    {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod", "Service", "Namespace", "Node",
     "Ingress", "HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "ResourceQuota"}
)  # fmt: skip


class Writer:
    """Writes into a store. The controllers write through it as clients do, so that they are told the same."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- as a client

    def create(self, resource: Resource, namespace: str, given: Any, *, manager: str, dry_run: bool = False,
               strict: str = "Ignore", warn: Callable[[str], None] = lambda _: None) -> Object:  # fmt: skip
        found = self._decode(resource, given, strict, warn)
        metadata = found.setdefault("metadata", {})
        self._place(resource, namespace, found)
        if metadata.get("resourceVersion"):
            raise ApiError(400, "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + admission.suffix()
        if resource.kind in _STATUS_KINDS:
            found.pop("status", None)
            if (status := first_status(resource.kind)) is not None:
                found["status"] = status
        with self._store.lock:
            found = defaulted(resource.kind, found)
            metadata.pop("managedFields", None)
            admission.admit(self._store, resource, found, None)
            validate(resource, found)
            if (there := self._store.find(resource, namespace, metadata["name"])) is not None:
                raise already_exists(resource, metadata["name"], leaving="deletionTimestamp" in there["metadata"])
            if not dry_run:
                admission.take_address(self._store, resource, found)
            found = updated(resource, None, found, manager, self._store.stamp())
            return fresh(resource, found, self._store.stamp()) if dry_run else self._store.create(resource, found)

    def replace(self, resource: Resource, namespace: str, name: str, given: Any, *, manager: str,
                subresource: str = "", dry_run: bool = False, strict: str = "Ignore",
                warn: Callable[[str], None] = lambda _: None) -> Object:  # fmt: skip
        found = self._decode(resource, given, strict, warn)
        self._place(resource, namespace, found)
        if found["metadata"].get("name", name) != name:
            raise ApiError(
                400,
                f"the name of the object ({found['metadata'].get('name')}) does not match the name on the URL ({name})",
            )
        with self._store.lock:
            before = self._store.get(resource, namespace, name)
            return self._store_update(resource, before, found, manager, subresource, dry_run)

    def change(self, resource: Resource, namespace: str, name: str, how: Callable[[Object], Object], *, manager: str,
               subresource: str = "") -> Object:  # fmt: skip
        """For the controllers: the object as `how` makes it from a copy of it as it is now."""
        with self._store.lock:
            before = self._store.get(resource, namespace, name)
            return self._store_update(resource, before, how(own(before)), manager, subresource, False)

    def patch(self, resource: Resource, namespace: str, name: str, patch: Any, content: str, *, manager: str,
              subresource: str = "", dry_run: bool = False, strict: str = "Ignore", force: bool = False,
              warn: Callable[[str], None] = lambda _: None) -> tuple[Object, bool]:  # fmt: skip
        """The object after the patch, and whether it was made by it."""
        with self._store.lock:
            before = self._store.find(resource, namespace, name)
            if content == APPLY:
                return self._apply(resource, namespace, name, before, patch, manager, dry_run, strict, force, warn)
            if before is None:
                raise not_found(resource, name)
            if content == JSON_PATCH:
                made = json_patch(before, patch)
            elif content == MERGE_PATCH:
                made = merge_patch(before, patch)
            elif content == STRATEGIC:
                made = strategic_merge(before, patch, shape_of(resource.type))
            else:
                raise ApiError(415, "415: Unsupported Media Type", details={})
            whole = content in (JSON_PATCH, MERGE_PATCH)  # then the object is quoted as it would be, else the patch
            shown = json.dumps(made, separators=(",", ":"), ensure_ascii=False) if whole else patch
            try:
                found, unknown = decoded(resource, made)
            except WrongTypeError as error:
                raise refuse_patch(shown, error.why if whole else f"unrecognized type: {error.go}") from None
            if unknown and strict == "Strict":
                told = ", ".join(f'unknown field "{u}"' for u in unknown)
                raise refuse_patch(shown, f"strict decoding error: {told}")
            if strict == "Warn":
                for path in unknown:
                    warn(f'unknown field "{path}"')
            if found.get("metadata", {}).get("name") != name:
                raise ApiError(422, "the name of the object may not be changed by a patch")
            return self._store_update(resource, before, found, manager, subresource, dry_run), False

    def delete(self, resource: Resource, namespace: str, name: str, options: Any, *, dry_run: bool = False) -> Object:
        """Delete an object, or begin to."""
        options = options if isinstance(options, dict) else {}
        with self._store.lock:
            found = self._store.get(resource, namespace, name)
            self._preconditions(resource, found, options.get("preconditions") or {})
            if dry_run:
                return found
            if options.get("propagationPolicy") == "Orphan" or options.get("orphanDependents"):
                self._orphan(found["metadata"]["uid"])
            if options.get("propagationPolicy") == "Foreground" and resource.kind != "Pod":
                found = own(found)  # what it owns goes first
                found["metadata"]["finalizers"] = [*(found["metadata"].get("finalizers") or ()), PODS_FIRST]
            if resource.kind in ("Pod", "Namespace") or found["metadata"].get("finalizers"):
                return self._begin_delete(resource, found, options.get("gracePeriodSeconds"))
            return self._store.delete(resource, namespace, name)

    # -- parts

    def _decode(self, resource: Resource, given: Any, strict: str, warn: Callable[[str], None]) -> Object:
        if isinstance(given, dict):
            told = (given.get("apiVersion", resource.api_version), given.get("kind", resource.kind))
            if told != (resource.api_version, resource.kind):
                raise ApiError(
                    400,
                    f"the API version in the data ({told[0]}) does not match the expected API version "
                    f"({resource.api_version})"
                    if told[0] != resource.api_version
                    else f"{told[1]} in version {json.dumps(resource.version)} cannot be handled as a {resource.kind}",
                )
        found, unknown = decoded(resource, given)
        if unknown and strict == "Strict":
            raise refuse_unknown(resource, unknown)
        if strict == "Warn":
            for path in unknown:
                warn(f'unknown field "{path}"')
        return found

    @staticmethod
    def _place(resource: Resource, namespace: str, found: Object) -> None:
        metadata = found.setdefault("metadata", {})
        if resource.namespaced:
            if metadata.setdefault("namespace", namespace) != namespace:
                raise ApiError(
                    400, "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            metadata.pop("namespace", None)

    def _store_update(
        self, resource: Resource, before: Object, found: Object, manager: str, subresource: str, dry_run: bool
    ) -> Object:
        metadata = found["metadata"]
        if metadata.get("uid") not in (None, before["metadata"]["uid"]):
            raise ApiError(
                409,
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
                f"{before['metadata']['uid']}",
            )
        if metadata.get("resourceVersion") not in (None, before["metadata"]["resourceVersion"]):
            raise conflict(resource, before["metadata"]["name"])
        if subresource == "status":
            kept = {**before, "metadata": {**before["metadata"]}}
            kept["metadata"]["managedFields"] = metadata.get("managedFields")
            if resource.kind == "Deployment":  # whose annotations a real one takes with the status as well
                kept["metadata"]["annotations"] = metadata.get("annotations") or {}
            found = {**kept, "status": found.get("status", {})}
        elif resource.kind in _STATUS_KINDS:
            found.pop("status", None)
            if "status" in before:
                found["status"] = before["status"]
        if subresource != "status":
            found = defaulted(resource.kind, found)
            admission.admit(self._store, resource, found, before)
            for name in ("uid", "creationTimestamp"):
                metadata[name] = before["metadata"][name]
            validate(resource, found, before)
        found = updated(resource, before, found, manager, self._store.stamp(), subresource)
        if dry_run:
            return advanced(resource, before, found, counted=subresource != "status")
        return self._store.update(resource, found, counted=subresource != "status")

    def _apply(
        self, resource: Resource, namespace: str, name: str, before: Object | None, config: Any, manager: str,
        dry_run: bool, strict: str, force: bool, warn: Callable[[str], None],
    ) -> tuple[Object, bool]:  # fmt: skip
        found = self._decode(resource, config, strict, warn)
        self._place(resource, namespace, found)
        metadata = found["metadata"]
        metadata.setdefault("name", name)
        if metadata.get("managedFields"):
            raise ApiError(400, "metadata.managedFields must be nil")
        if before is not None and metadata.get("resourceVersion") not in (None, before["metadata"]["resourceVersion"]):
            raise conflict(resource, name)
        stamp = self._store.stamp()
        merged = own(applied(resource, before, found, manager, stamp, force=force))
        # The applied object is stored with its own managedFields; defaults belong to nobody.
        if before is None and (status := first_status(resource.kind)) is not None:
            merged["status"] = status
        merged = defaulted(resource.kind, merged)
        if before is None:
            admission.admit(self._store, resource, merged, None)
            validate(resource, merged)
            return (fresh(resource, merged, stamp) if dry_run else self._store.create(resource, merged)), True
        if resource.kind in _STATUS_KINDS and "status" in before:
            merged["status"] = before["status"]
        admission.admit(self._store, resource, merged, before)
        validate(resource, merged, before)
        done = advanced(resource, before, merged) if dry_run else self._store.update(resource, merged)
        return done, False

    @staticmethod
    def _preconditions(resource: Resource, found: Object, wanted: dict[str, Any]) -> None:
        metadata = found["metadata"]
        if wanted.get("uid") and wanted["uid"] != metadata["uid"]:
            raise ApiError(
                409,
                f'Operation cannot be fulfilled on {resource.kind} "{metadata["name"]}": the UID in the precondition '
                f"({wanted['uid']}) does not match the UID in record ({metadata['uid']}). The object might have been "
                f"deleted and then recreated",
                details={"name": metadata["name"], "kind": resource.kind},
            )
        version = wanted.get("resourceVersion")
        if version and version != metadata["resourceVersion"]:
            raise ApiError(
                409,
                f'Operation cannot be fulfilled on {resource.kind} "{metadata["name"]}": the ResourceVersion in the '
                f"precondition ({version}) does not match the ResourceVersion in record "
                f"({metadata['resourceVersion']}). The object might have been modified",
                details={"name": metadata["name"], "kind": resource.kind},
            )

    def _begin_delete(self, resource: Resource, found: Object, grace: Any) -> Object:
        metadata = found["metadata"]
        space, name = metadata.get("namespace", ""), metadata["name"]
        if resource.kind == "Pod":
            seconds = found["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else int(grace)
            if seconds == 0 or not found["spec"].get("nodeName"):
                return self._store.delete(resource, space, name)
            already = metadata.get("deletionGracePeriodSeconds")
            if already is not None and seconds >= already:
                return found
            marks = {"deletionTimestamp": self._store.stamp(), "deletionGracePeriodSeconds": seconds}
            return self._store.update(resource, {**found, "metadata": {**metadata, **marks}})
        if "deletionTimestamp" in metadata:
            return found
        marked = {**found, "metadata": {**metadata, "deletionTimestamp": self._store.stamp()}}
        if resource.kind == "Namespace":
            marked["status"] = {**found.get("status", {}), "phase": "Terminating"}
            marked["metadata"]["deletionGracePeriodSeconds"] = 0
            marked["metadata"]["finalizers"] = metadata.get("finalizers") or ["kubernetes"]
        return self._store.update(resource, marked)

    def _orphan(self, uid: str) -> None:
        from rollback_lib.sandbox.schema import resource as by_path

        for (group, plural, _, _), found in self._store.everything():
            owners: Sequence[Any] = found["metadata"].get("ownerReferences") or ()
            if any(o.get("uid") == uid for o in owners):
                version = found["apiVersion"].rpartition("/")[2]
                resource = by_path(group, version, plural)
                assert resource is not None
                kept = [o for o in owners if o.get("uid") != uid]
                metadata = {k: v for k, v in found["metadata"].items() if k != "ownerReferences"}
                if kept:
                    metadata["ownerReferences"] = kept
                self._store.update(resource, {**found, "metadata": metadata})


def _content(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip()


def is_apply(request: Request) -> bool:
    """Whether a patch is an apply, which makes the object where it is not there."""
    return _content(request) == APPLY


def answer_to(request: Request, target: Target, writer: Writer, verb: str, warnings: list[str]) -> tuple[Object, int]:
    """The object after a write, and the code to answer with."""
    resource, options = target.resource, dict[str, Any](
        manager=request.manager, dry_run=request.dry_run,
        strict=request.query.get("fieldValidation") or "Warn", warn=warnings.append,
    )  # fmt: skip
    if verb == "create":
        return writer.create(resource, target.namespace, request.json(), **options), 201
    if verb == "update":
        options["subresource"] = target.subresource
        return writer.replace(resource, target.namespace, target.name, request.json(), **options), 200
    content = _content(request)
    if content not in (JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY):
        raise ApiError(415, "415: Unsupported Media Type", details={})
    if content == APPLY and not request.query.get("fieldManager"):
        cause = {"reason": "FieldValueRequired", "message": "Required value: is required for apply patch",
                 "field": "fieldManager"}  # fmt: skip
        raise ApiError(
            422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
            details={"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [cause]},
        )  # fmt: skip
    options["subresource"] = target.subresource
    patch = request.body if content == JSON_PATCH else request.json()
    found, made = writer.patch(
        resource, target.namespace, target.name, patch, content, force=request.flag("force"), **options
    )
    return found, 201 if made else 200


__all__ = ["Answer", "Writer", "answer_to"]
