"""A shop of ten services in a git repository with three releases, and the deploy job of the team that owns it.

It has what makes the written rollback plan fail: one image tag, `:prod`, that every release overwrites, named by the
manifests of all releases.
"""

import json
import os
import subprocess
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.cluster import images
from tests.cluster.cluster import Cluster, http_get

SERVICES = (
    "service-discovery",
    "cloud-config",
    "api-gateway",
    "proxy-client",
    "order-service",
    "payment-service",
    "product-service",
    "favourite-service",
    "user-service",
    "shipping-service",
)
RELEASES = {
    "v1.0.0": "2026-01-12T09:00:00+00:00",
    "v1.1.0": "2026-02-02T09:00:00+00:00",
    "v1.2.0": "2026-02-23T09:00:00+00:00",
}
PORT = 8080
SHARED = "k8s/common-config.yaml"

# (the shop, a release) -> the manifests at that release, path -> text
Manifests = Callable[["Shop", str], Mapping[str, str]]

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: common-config
data:
  # shared by every service
  EUREKA_CLIENT_SERVICEURL_DEFAULTZONE: http://service-discovery:8761/eureka/
  CIRCUIT_BREAKER_THRESHOLD: "{threshold}"
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}
  labels:
    app: {service}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: {service}
  template:
    metadata:
      labels:
        app: {service}
      annotations:
        prometheus.io/scrape: "true"
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: {service}
        image: {organization}/{service}:prod  # the tag that every release overwrites
        ports:
        - containerPort: {port}
        env:
        - name: SPRING_PROFILES_ACTIVE
          value: "dev"
        - name: SPRING_APPLICATION_NAME
          value: "{upper}"
{variables}        envFrom:
        - configMapRef:
            name: common-config
        readinessProbe:
          httpGet:
            path: /
            port: {port}
          periodSeconds: 1
        volumeMounts:
        - name: tmp
          mountPath: /tmp
      volumes:
      - name: tmp
        emptyDir: {{}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {service}
  labels:
    app: {service}
spec:
  type: ClusterIP
  ports:
  - port: 80
    targetPort: {port}
    protocol: TCP
    name: http
  selector:
    app: {service}
"""
# What tells the releases apart. Every release has something of its own, or deploying it would start no rollout.
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "v1.0.0": {"LEGACY_CHECKOUT": "on"},
    "v1.1.0": {"LOG_LEVEL": "info"},
    "v1.2.0": {"LOG_LEVEL": "info", "NEW_FLAG": "on"},
}


def deployment(shop: "Shop", release: str, service: str, *, replicas: int = 1) -> str:
    variables = "".join(
        f'        - name: {name}\n          value: "{value}"\n' for name, value in VARIABLES[release].items()
    )
    return DEPLOYMENT.format(
        service=service,
        upper=service.upper(),
        organization=shop.organization,
        variables=variables,
        port=PORT,
        replicas=replicas,
    )


def shop_manifests(shop: "Shop", release: str) -> dict[str, str]:
    """The manifests of a release. Tests that need other ones start from these."""
    files = {SHARED: CONFIG.format(threshold=50)}
    for service in shop.services:
        files[f"k8s/{service}/deployment.yaml"] = deployment(shop, release, service)
        files[f"k8s/{service}/service.yaml"] = SERVICE.format(service=service, port=PORT)
    return files


class Shop:
    """The shop in one namespace. Its images are in an organization of its own, so that tests can run side by side."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        folder: Path,
        *,
        services: Sequence[str] = SERVICES,
        organization: str | None = None,
        manifests: Manifests = shop_manifests,
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.repo = folder / "ecommerce"
        self.services = tuple(services)
        self.organization = organization or f"sanjodb-{namespace}"
        self.digests: dict[str, dict[str, str]] = {}  # release -> service -> digest, of what was deployed last
        self._manifests = manifests

    def write_repo(self) -> Path:
        """The repository, with a commit and an annotated tag for each release, dated in their order."""
        self.repo.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=master")
        for release, date in RELEASES.items():
            files = {"CHANGELOG.md": f"# {release}\n", **self._manifests(self, release)}
            self.commit(files, f"Release {release}", date=date, tag=release)
        return self.repo

    def commit(self, files: Mapping[str, str | None], message: str, *, date: str, tag: str | None = None) -> str:
        """Commit files (None: removed) on top of the branch, and return the commit."""
        for path, text in files.items():
            file = self.repo / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git("add", "--all", "--", *files)
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}", date=date)
        if tag is not None:
            self.git("tag", "--annotate", f"--message={message}", tag, date=date)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str, date: str = "2026-03-01T09:00:00+00:00") -> str:
        who = {"NAME": "Shop Team", "EMAIL": "team@shop.example", "DATE": date}
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.repo),
            "GIT_CONFIG_GLOBAL": os.devnull,  # the developer's hooks, signing and names stay out
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in who.items()},
        }
        done = subprocess.run(
            ("git", *arguments), cwd=self.repo, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"git {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def image(self, service: str, tag: str = "prod") -> str:
        return f"{self.organization}/{service}:{tag}"

    def manifests_at(self, release: str, services: Sequence[str] | None = None) -> str:
        """The manifests at a tag as one stream, shared configuration first: `git show TAG:…` for each file."""
        names = self.git("ls-tree", "-r", "--name-only", release, "--", "k8s").split()
        wanted = tuple(f"k8s/{service}/" for service in (services or self.services))
        chosen = [SHARED, *(name for name in names if name.startswith(wanted))]
        return "---\n".join(
            self.git("show", f"{release}:{name}").rstrip("\n") + "\n" for name in chosen if name in names
        )

    def deploy(
        self,
        release: str,
        behaviour: str = "good",
        *,
        services: Sequence[str] | None = None,
        release_tags: bool = True,
        version: str | None = None,
        set_env: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """What the team's deploy job does: build over `:prod`, apply the release's manifests. Does not wait.

        `release_tags` also pushes `:<release>`. `version` is what the images answer (default: the release).
        `set_env` is set with `kubectl set env` afterwards. Returns the digest of each service.
        """
        names = tuple(services or self.services)
        registry = self.cluster.registry_url

        def build(service: str) -> str:
            repository = f"{self.organization}/{service}"
            digest = images.push(registry, repository, "prod", behaviour, version or release)
            if release_tags:
                images.tag_as(registry, repository, digest, release)
            return digest

        with ThreadPoolExecutor(max_workers=4) as pool:
            digests = dict(zip(names, pool.map(build, names), strict=True))
        self.digests.setdefault(release, {}).update(digests)
        self.cluster.pull(*(self.image(service) for service in names))
        self.cluster.apply(self.manifests_at(release, names), namespace=self.namespace)
        if set_env:
            self.set_env(set_env, services=names)
        return digests

    def set_env(self, variables: Mapping[str, str], services: Sequence[str] | None = None) -> None:
        targets = (f"deployment/{service}" for service in (services or self.services))
        values = (f"{name}={value}" for name, value in variables.items())
        self.cluster.kubectl("set", "env", *targets, *values, namespace=self.namespace)

    def wait_ready(self, services: Sequence[str] | None = None, *, timeout: float = 60.0) -> None:
        """Wait until every rollout is complete and no pod is on its way out."""
        names = tuple(services or self.services)
        targets = (f"deployment/{service}" for service in names)
        self.cluster.kubectl("rollout", "status", f"--timeout={timeout:.0f}s", *targets, namespace=self.namespace)
        deadline = time.monotonic() + 30
        while any("deletionTimestamp" in pod["metadata"] for service in names for pod in self.pods(service)):
            if time.monotonic() > deadline:
                raise AssertionError("pods are still Terminating after 30 s")
            time.sleep(0.1)

    def wait_waiting(self, service: str, *, timeout: float = 30.0) -> str:
        """Wait until a container of the service that has failed before waits for another try; return the reason."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for pod in self.pods(service):
                for status in pod["status"].get("containerStatuses", []):
                    reason = str(status["state"].get("waiting", {}).get("reason", ""))
                    if reason.endswith(("BackOff", "Error", "ErrImagePull", "InvalidImageName")):
                        return reason
            time.sleep(0.1)
        raise AssertionError(f"no container of {service} got into trouble within {timeout:.0f} s")

    def pods(self, service: str | None = None) -> list[dict[str, Any]]:
        selector = () if service is None else (f"--selector=app={service}",)
        return list(self.cluster.get("pods", *selector, namespace=self.namespace)["items"])

    def served(self, service: str, *, path: str = "/") -> str:
        """What the service itself answers, asked through its ClusterIP; `/` answers the version that runs."""
        if self.cluster.state is None:
            raw = f"/api/v1/namespaces/{self.namespace}/services/http:{service}:80/proxy{path}"
            return self.cluster.kubectl("get", f"--raw={raw}").stdout.strip()
        address = self.cluster.get("service", service, namespace=self.namespace)["spec"]["clusterIP"]
        return answer(f"http://{address}{path}")

    def served_all(self, *, path: str = "/") -> dict[str, str]:
        """What each service answers, or the reason why it does not, in angle brackets."""
        if self.cluster.state is None:
            return {service: self.served(service, path=path) for service in self.services}
        found = self.cluster.get("services", namespace=self.namespace)["items"]
        addresses = {each["metadata"]["name"]: each["spec"]["clusterIP"] for each in found}
        return {service: answer(f"http://{addresses[service]}{path}") for service in self.services}

    def running_digests(self) -> dict[str, set[str]]:
        """The digests that each service's pods run, as the node reports them."""
        running: dict[str, set[str]] = {service: set() for service in self.services}
        for pod in self.pods():
            for status in pod["status"].get("containerStatuses", []):
                service = pod["metadata"]["labels"].get("app", "")
                if "deletionTimestamp" not in pod["metadata"] and service == status["name"]:
                    running[service].add(status["imageID"].rpartition("@")[2])
        return running

    def replica_sets(self, service: str) -> list[dict[str, Any]]:
        """Oldest first."""
        found = self.cluster.get("replicasets", f"--selector=app={service}", namespace=self.namespace)["items"]
        return sorted(found, key=lambda each: int(each["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))

    def rollback_yaml(self, extra: Mapping[str, Any] | None = None) -> Path:
        """Write the settings of the tool beside the manifests. `extra` replaces or adds top-level keys."""
        settings: dict[str, Any] = {
            "application": "ecommerce",
            "releases": {"tag": "v*"},
            "manifests": {"path": "k8s/{service}", "shared": [SHARED]},
            "images": {
                "repository": f"{self.organization}/{{service}}",
                "registries": {"docker.io": {"url": self.cluster.registry_url}},
            },
            "environments": {"prod": {"context": "test", "namespace": self.namespace}},
            **(extra or {}),
        }
        file = self.repo / "rollback.yaml"
        file.write_text(json.dumps(settings, indent=2) + "\n")  # JSON is YAML, and needs no library
        return file


def answer(url: str, *, patience: float = 3.0) -> str:
    """The text at a URL, or `<reason>` when there is none after some tries: a new endpoint needs a moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return http_get(url, timeout=2).strip()
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                return f"<{getattr(error, 'reason', error)}>"
            time.sleep(0.1)
