"""What a contract test may ask, of the sandbox and of a real cluster alike."""

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True)
class Answered:
    code: int
    headers: Mapping[str, str]
    body: Any

    @property
    def message(self) -> str:
        return str(self.body["message"])


@dataclass
class World:
    """One namespace of one API server. `push(name, behaviour, version)` gives an image a behaviour."""

    server: str
    token: str
    namespace: str
    kubectl_path: str
    kubeconfig: str
    push: Callable[[str, str, str], str]
    speed: float = 1.0
    used: list[str] = field(default_factory=list)
    acting: str = ""  # as whom, where it is somebody else

    def kubectl(self, *arguments: str, input: str | None = None, code: int | None = 0) -> str:
        """What kubectl said, both outputs; fails if it ended with another code (None: any)."""
        command = (self.kubectl_path, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments)
        environ = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/")}
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, input=input, check=False, timeout=90
        )
        said = done.stdout + done.stderr
        assert code is None or done.returncode == code, f"kubectl {' '.join(arguments)} [{done.returncode}]:\n{said}"
        return said

    def ask(
        self, method: str, path: str, body: Any = None, content: str = "application/json",
        accept: str = "application/json",
    ) -> Answered:  # fmt: skip
        """One request. `path` is below the namespace: `apps/v1 deployments/a?dryRun=All`, or whole where it has a /.

        A body of bytes is sent as it is.
        """
        if not path.startswith("/"):
            version, _, rest = path.partition(" ")
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            path = f"{root}/namespaces/{self.namespace}/{rest}"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        if self.acting:
            headers["Impersonate-User"] = self.acting
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content
        request = urllib.request.Request(self.server + path, method=method, data=data, headers=headers)
        context = ssl._create_unverified_context() if self.server.startswith("https") else None
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:
                return Answered(answer.status, dict(answer.headers), _read(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answered(error.code, dict(error.headers), _read(error.read()))

    def get(self, path: str) -> Any:
        found = self.ask("GET", path)
        assert found.code == 200, found
        return found.body

    def patch(self, path: str, kind: str, body: Any) -> Answered:
        return self.ask("PATCH", path, body, PATCHES[kind])

    def create(self, path: str, body: Any) -> Any:
        found = self.ask("POST", path, body)
        assert found.code == 201, found
        return found.body

    def pods(self, app: str) -> list[Any]:
        return list(self.get(f"v1 pods?labelSelector=app={app}")["items"])

    def until(self, path: str, good: Callable[[Any], bool], *, timeout: float = 40.0) -> Any:
        """Look at an object until it is as wanted."""
        deadline = time.monotonic() + timeout
        while True:
            answered = self.ask("GET", path)
            if answered.code == 200 and good(answered.body):
                return answered.body
            assert time.monotonic() < deadline, f"not within {timeout} s: {answered}"
            time.sleep(0.05)


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def workload(
    name: str, image: str, *, kind: str = "Deployment", pod: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None, **spec: Any,
) -> dict[str, Any]:  # fmt: skip
    """A workload of one container that is asked whether it is ready."""
    main = {
        "name": "main", "image": image, "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}, **(container or {}),
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": name}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [main], **(pod or {})}}  # fmt: skip
    more = {"serviceName": name} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **more, **spec},
    }  # fmt: skip


def complete(deployment: Any) -> bool:
    """Whether a Deployment's rollout is over and well."""
    status, wanted = deployment.get("status") or {}, deployment["spec"]["replicas"]
    return (
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )


def condition(found: Any, kind: str) -> Any:
    """(status, reason) of a condition."""
    one = next((c for c in (found.get("status") or {}).get("conditions") or [] if c["type"] == kind), None)
    return None if one is None else (one["status"], one.get("reason"))
