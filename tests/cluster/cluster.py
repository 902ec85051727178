"""What a test may ask of the cluster: kubectl as some user, a namespace, the audit log, an image on the node."""

import json
import os
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from tests.cluster import images
from tests.cluster.state import USER_AGENT, ClusterState

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# Questions that are asked with POST. They change nothing.
REVIEWS = frozenset(
    {
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "selfsubjectreviews",
        "subjectaccessreviews",
        "tokenreviews",
    }
)


def _is_own_record(ref: Mapping[str, str]) -> bool:
    return ref.get("resource") in ("leases", "configmaps") and ref.get("name", "").startswith("rollback-")


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Without `state` it is somebody else's: no registry, users, node or audit log of ours."""

    kubectl_path: str
    kubeconfigs: Mapping[str, str]
    state: ClusterState | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: kubectl_environment())

    @classmethod
    def ours(cls, state: ClusterState) -> Self:
        return cls(state.kubectl, state.kubeconfigs, state)

    def kubeconfig(self, user: str = "admin") -> str:
        """The path of a user's kubeconfig; its one context is `test`. All users but `admin` start with no rights."""
        if user not in self.kubeconfigs:
            pytest.skip(f"this cluster has no user {user}: it is not the tests' own")
        return self.kubeconfigs[user]

    @property
    def registry_url(self) -> str:
        """The registry that the node takes docker.io's images from, such as `http://127.0.0.1:40001`."""
        return self._own("a registry").registry_url

    @property
    def work(self) -> Path:
        """The cluster's folder, with a log of each of its processes."""
        return Path(self._own("a folder").work)

    def kubectl(
        self,
        *arguments: str,
        namespace: str | None = None,
        user: str = "admin",
        input: str | None = None,
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        scope = () if namespace is None else (f"--namespace={namespace}",)
        command = (self.kubectl_path, f"--kubeconfig={self.kubeconfig(user)}", *scope, *arguments)
        done = subprocess.run(
            command,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=dict(self.environment),
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"kubectl {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def get(self, *what: str, namespace: str | None = None) -> Any:
        """`kubectl get … --output=json`, read."""
        return json.loads(self.kubectl("get", *what, "--output=json", namespace=namespace).stdout)

    def apply(self, manifests: str, *, namespace: str) -> str:
        return self.kubectl("apply", "--filename=-", namespace=namespace, input=manifests).stdout

    @contextmanager
    def namespace(self, prefix: str = "shop") -> Iterator[str]:
        """A scratch namespace in which pods can start. It is deleted afterwards, which nobody waits for."""
        name = f"{prefix}-{uuid.uuid4().hex[:6]}"
        self.kubectl("create", "namespace", name)
        try:
            # A bare pod is refused until the namespace's own controllers have made these.
            self.kubectl("wait", "--for=create", "--timeout=30s", "serviceaccount/default", namespace=name)
            self.kubectl("wait", "--for=create", "--timeout=30s", "configmap/kube-root-ca.crt", namespace=name)
            yield name
        finally:
            if not os.environ.get("ROLLBACK_TEST_KEEP_NAMESPACES"):
                self.kubectl("delete", "namespace", name, "--wait=false", check=False)

    def grant(self, user: str, namespace: str, rules: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """Give a user exactly these rules in a namespace; RBAC itself decides, as on every cluster."""
        self._own("users")
        meta = {"name": f"test-{user}", "namespace": namespace}
        api = "rbac.authorization.k8s.io"
        role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)}
        binding = {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": meta["name"]},
            "subjects": [{"kind": "User", "name": user, "apiGroup": api}],
        }
        self.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]}), namespace=namespace)

    def audit_mark(self) -> int:
        """A place in the audit log, for `audit(since=…)`: all that was asked before it is left out."""
        return self._audit_barrier()

    def audit(
        self,
        since: int,
        *,
        user: str | None = None,
        namespace: str | None = None,
        verbs: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """One entry a request that was answered since the mark, as the API server wrote it, oldest first.

        A watch counts once. Reads by the cluster's own components are not in the log; their writes are.
        """
        self._audit_barrier()
        requests = dict[str, dict[str, Any]]()
        with Path(self._own("an audit log").audit_log).open("rb") as log:
            log.seek(since)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                entry = json.loads(line)
                requests[entry["auditID"]] = entry
        return [
            entry
            for entry in requests.values()
            if entry["userAgent"] != USER_AGENT
            and (user is None or entry["user"]["username"] == user)
            and (namespace is None or entry.get("objectRef", {}).get("namespace") == namespace)
            and (verbs is None or entry["verb"] in verbs)
        ]

    def writes(self, since: int, *, user: str | None = None, namespace: str | None = None) -> list[dict[str, Any]]:
        """What was really written since the mark: no dry runs, no access reviews, nothing that was refused.

        The lock and the copy of a run are the product's own, and not the shop's.
        """
        return [
            entry
            for entry in self.audit(since, user=user, namespace=namespace, verbs=sorted(WRITES))
            if "dryRun=" not in entry["requestURI"]
            and entry.get("objectRef", {}).get("resource") not in REVIEWS
            and entry.get("responseStatus", {}).get("code", 0) < 400
            and not _is_own_record(entry.get("objectRef", {}))
        ]

    def _audit_barrier(self) -> int:
        """Wait until the log has what was answered so far, and return its size."""
        state = self._own("an audit log")
        mark = f"barrier-{uuid.uuid4().hex}"
        state.get(f"/version?{mark}")
        file = Path(state.audit_log)
        deadline = time.monotonic() + 5
        while True:
            size = file.stat().st_size
            with file.open("rb") as log:
                log.seek(max(0, size - 1_000_000))
                if mark.encode() in log.read():
                    # Entries of answers that were given at the same moment may come a little later than ours.
                    time.sleep(0.02)
                    return file.stat().st_size
            if time.monotonic() > deadline:
                raise AssertionError("the API server did not write its audit log within 5 s")
            time.sleep(0.01)

    def pull(self, *names: str) -> None:
        """Have the node pull images again, as it does for another pod of the same image. `name:tag` is of docker.io.

        A node with `IfNotPresent` does not ask the registry about a tag that it has; so this is how a tag that was
        pushed again comes to be another image on the node as well, under the same name.
        """
        work = self.work
        command = ("ctr", f"--address={work}/containerd.sock", "--namespace=k8s.io", "images", "pull")
        started = [
            subprocess.Popen(
                (*command, f"--hosts-dir={work}/hosts", f"docker.io/{name}"),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for name in names
        ]
        for name, process in zip(names, started, strict=True):
            output, _ = process.communicate(timeout=60)
            if process.returncode != 0:
                raise AssertionError(f"the node cannot pull {name}:\n{output.decode(errors='replace')}")
        self._name_by_digest(names)

    def _name_by_digest(self, names: Sequence[str]) -> None:
        """Give pulled images the name that the kubelet's own pull gives them too, so that pods report it as imageID."""
        command = ("ctr", f"--address={self.work}/containerd.sock", "--namespace=k8s.io", "images", "tag", "--force")
        for name in names:
            repository, _, tag = name.rpartition(":")
            digest = images.resolve(self.registry_url, repository, tag)
            twin = f"docker.io/{repository}@{digest}"
            subprocess.run((*command, f"docker.io/{name}", twin), check=True, capture_output=True)

    def forget(self, *names: str) -> None:
        """Take images off the node, so that it must ask the registry again."""
        command = ("ctr", f"--address={self.work}/containerd.sock", "--namespace=k8s.io", "images", "remove", "--sync")
        subprocess.run((*command, *(f"docker.io/{name}" for name in names)), check=True, capture_output=True)

    def _own(self, what: str) -> ClusterState:
        if self.state is None:
            pytest.skip(f"needs {what} of the tests' own cluster")
        return self.state


def kubectl_environment() -> dict[str, str]:
    """Nothing of the caller's settings: a KUBECONFIG in the shell must not lead a test to another cluster."""
    return {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}


def http_get(url: str, *, timeout: float = 3.0) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        text: str = answer.read().decode()
    return text
