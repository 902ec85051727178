"""What images do when they run, and the nodes that pull and keep them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

GOOD: Final = "good"
CRASH: Final = "crash"  # prints its log and exits
NEVER_READY: Final = "never-ready"  # runs, and listens to nobody
SICK: Final = "sick"  # answers, and says of itself that it is down
STUBBORN: Final = "stubborn"  # takes its whole grace period to end


@dataclass(frozen=True)
class Image:
    """What an image does. `digest` is that of the manifest or index that its name leads to."""

    digest: str
    version: str = ""
    behaviour: str = GOOD
    crashes: int | None = None  # with CRASH: how many times, and then it is good; None: always
    exit_code: int = 3
    ready_after: float = 0.4  # seconds from its start until it answers
    stop_after: float = 0.1
    port: int = 8080
    log: str = ""
    # Another behaviour because of the container's variables, such as a wrong setting in a ConfigMap; None: no change.
    by_environment: Callable[[Mapping[str, str]], Image | None] | None = None
    pages: Mapping[str, str] = field(default_factory=dict)

    def serve(self, path: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
        """(status, body, content type) of a GET."""
        plain = path.split("?", 1)[0]
        context = environment.get("SERVER_SERVLET_CONTEXT_PATH", "").rstrip("/")
        if context and plain.startswith(context):
            plain = plain.removeprefix(context) or "/"
        if plain in self.pages:
            return 200, self.pages[plain], "application/json"
        if plain in ("/", "/index.html"):
            return 200, f"{self.version}\n", "text/html"
        if plain == "/actuator/health":
            told = "DOWN" if self.behaviour == SICK else "UP"
            return 200, f'{{"status":"{told}","version":"{self.version}"}}\n', "application/octet-stream"
        return 404, "404 Not Found\n", "text/html"

    def output(self, environment: Mapping[str, str]) -> str:
        """What it prints when it starts."""
        if self.log:
            return self.log if self.log.endswith("\n") else self.log + "\n"
        if self.behaviour == CRASH:
            return f"FATAL: {self.version} cannot start: no bean named 'paymentGateway'\n"
        if self.behaviour == NEVER_READY:
            return f"{self.version} waits for something that never comes\n"
        name = environment.get("SPRING_APPLICATION_NAME", "the service")
        return f"Started {name} {self.version} on port {environment.get('SERVER_PORT', self.port)}\n"


# The registry as nodes see it: what a full name (`docker.io/shop/user-service:prod`, or `…@sha256:…`) leads to.
Resolver = Callable[[str], Image | None]


class PullError(Exception):
    """A pull that failed, as the kubelet tells of it."""


def full_name(reference: str) -> str:
    """`docker.io/library/nginx:latest` for `nginx`. A digest wins over a tag beside it."""
    name, _, digest = reference.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, "latest"
    return f"{repository}@{digest}" if digest else f"{repository}:{tag}"


def repository_of(name: str) -> str:
    """The repository of a full name."""
    return name.partition("@")[0] if "@" in name else name.rpartition(":")[0]


@dataclass
class Node:
    """One node and the images on it."""

    name: str
    address: str
    number: int
    images: dict[str, Image] = field(default_factory=dict)  # by full name, tags and digests

    def ensure(self, reference: str, policy: str, resolve: Resolver) -> Image:
        """The image of a container that is to be started, pulled where the policy asks for it."""
        name = full_name(reference)
        if policy != "Always" and name in self.images:
            return self.images[name]
        if policy == "Never":
            raise PullError(f'Container image "{reference}" is not present with pull policy of Never')
        return self.pull(reference, resolve)

    def pull(self, reference: str, resolve: Resolver) -> Image:
        """Ask the registry, whatever is here already."""
        name = full_name(reference)
        try:
            found = resolve(name)
        except OSError as error:
            raise PullError(
                f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": failed to do '
                f"request: {error}"
            ) from None
        if found is None:
            raise PullError(
                f"rpc error: code = NotFound desc = failed to pull and unpack image "
                f'"{name}": failed to resolve reference "{name}": {name}: not found'
            )
        self.images[name] = found
        self.images[f"{repository_of(name)}@{found.digest}"] = found
        return found

    def status_images(self) -> list[dict[str, Any]]:
        """As `node.status.images` lists them: at most 50 images, 5 names each."""
        by_digest: dict[str, list[str]] = {}
        for name, image in self.images.items():
            by_digest.setdefault(image.digest, []).append(name)
        listed = [
            {"names": sorted(names, key=lambda n: "@" not in n)[:5], "sizeBytes": 4_000_000 + n}
            for n, names in enumerate(by_digest.values())
        ]
        return listed[-50:]

    def shown_name(self, reference: str, image: Image) -> str:
        """`status.image` of a container: a tag that the node knows for the image, where there is one."""
        name = full_name(reference)
        if "@" not in name:
            return name
        repository = repository_of(name)
        tags = [n for n, i in self.images.items() if i.digest == image.digest and "@" not in n]
        return next((t for t in tags if repository_of(t) == repository), next(iter(tags), name))

    def image_id(self, reference: str, image: Image) -> str:
        """`status.imageID`: the repository's name for the image."""
        return f"{repository_of(full_name(reference))}@{image.digest}"
