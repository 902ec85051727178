"""One namespace of one cluster: looking, our own records, and the only way to change it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from rollback_lib.core.evidence.smoke import Answered
from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.json_patch import Operation
from rollback_lib.core.kube.objects import Object
from rollback_lib.core.kube.snapshot import ClusterIdentity, DryRun, Events, LogEnd, Presence, Snapshot, Versions
from rollback_lib.core.run.changes import Change
from rollback_lib.ports.store import RunStore


class Cluster(Protocol):
    """One namespace of one cluster, read only. Raises RefusedError with the reason where it cannot answer."""

    def identity(self) -> ClusterIdentity: ...

    def snapshot(self, kinds: Sequence[str], versions: Versions = ...) -> Snapshot:
        """All objects of these kinds. ``versions``: the apiVersion for a kind, or for one object, where it is not the
        usual one. What cannot be read stands in ``refused`` under the same names."""
        ...

    def exists(self, ref: ObjectRef) -> bool | None:
        """Whether the object is there; None: we may not know. Never reads a Secret's content."""
        ...

    def presence(self, ref: ObjectRef) -> Presence:
        """Whether the object is there and stays. Never reads a Secret's content."""
        ...

    def keys(self, ref: ObjectRef) -> Collection[str] | None:
        """The keys of a ConfigMap or a Secret, never a value; None where we may not read it, or it is not there."""
        ...

    def nodes(self) -> Mapping[str, Object] | None:
        """The nodes by name, or None where we may not list them."""
        ...

    def dry_run_patch(self, kind: str, api_version: str, name: str, operations: Sequence[Operation]) -> DryRun: ...

    def dry_run_create(self, manifest: Object) -> DryRun: ...

    def version(self) -> str:
        """The API server's version, such as ``v1.36.3``."""
        ...

    def may(self, verb: str, kind: str, name: str, subresource: str = "") -> bool: ...

    def events(self) -> Events:
        """The namespace's events, as many as a few seconds bring; none where we may not read them."""
        ...

    def contexts(self) -> Sequence[str]:
        """The contexts that the kubeconfig offers; empty where there is only one answer."""
        ...

    def doubts(self) -> Sequence[str]:
        """What makes it less than sure that it is this cluster which answers, as sentences."""
        ...

    def rules(self) -> tuple[list[dict[str, Any]], bool]:
        """The rules of a SelfSubjectRulesReview, and whether they are all there is."""
        ...

    def logs(
        self, pod: str, container: str, *, previous: bool = False, lines: int = 20, timestamps: bool = False
    ) -> LogEnd:
        """The last lines, of these the last 64 kB.

        ``timestamps``: each line begins with its time and a blank.
        """
        ...

    def pod_ask(
        self, pod: str, port: int, path: str, *, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Answered:
        """A request through the API server's pod proxy. Never raises: what went wrong stands in the answer."""
        ...


class ClusterRecords(Protocol):
    """Our own records in the cluster (ConfigMaps, a Lease), in one namespace. Raises RefusedError as `Cluster` does."""

    def list(self, kind: str, labels: Mapping[str, str]) -> Sequence[Object]:
        """All objects of the kind that have these labels, in one request."""
        ...

    def get(self, kind: str, name: str) -> Object | None: ...

    def put(self, record: Object) -> Object | None:
        """Create it, or replace exactly the version that ``metadata.resourceVersion`` names; what is stored then.

        None where somebody was faster: it exists already, is gone, or is another version by now. Read it again.
        """
        ...

    def delete(self, record: Object) -> bool:
        """Delete exactly this version (uid and resourceVersion). False where it is another by now, or gone."""
        ...


class Acts(Protocol):
    """The only way to change a cluster. Only the journalled writer calls it."""

    def problem(self) -> str:
        """Why nothing could be written at all; empty where it could."""
        ...

    def version(self) -> str:
        """The version of the program that writes, such as ``v1.36.3``. Raises RefusedError where it does not run."""
        ...

    def act(self, change: Change, scratch: RunStore) -> Object | None:
        """Make the change; the object as it is afterwards.

        Raises StaleError where the object is no longer what the change was made for, FailedError otherwise.
        """
        ...
