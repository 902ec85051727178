"""Container images made by hand and put into a registry by plain HTTP, so that no Docker is needed.

An image here is one layer (a static busybox and a start script a behaviour), a config and a manifest. What is pushed is
byte for byte what was made, so a digest is known before the registry has seen it, and indexes are simple.
"""

import hashlib
import io
import json
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ACCEPTED = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
HERE_PLATFORM = f"linux/{ARCHITECTURE}"

# The first process of a container has no default signal handlers: without a trap, every pod would take its whole grace
# period to end. When it exits, the kernel ends the rest of the container.
LEAVE_AT_ONCE = "trap 'exit 0' TERM INT\n"
SERVE = """\
mkdir -p /www/actuator
echo "$VERSION" >/www/index.html
printf '{"status":"%s","version":"%s"}\\n' "${HEALTH:-UP}" "$VERSION" >/www/actuator/health
if [ -n "$SERVER_SERVLET_CONTEXT_PATH" ]; then ln -sfn /www "/www$SERVER_SERVLET_CONTEXT_PATH"; fi
echo "Started ${SPRING_APPLICATION_NAME:-the service} $VERSION on port ${SERVER_PORT:-8080}"
busybox httpd -f -p "${SERVER_PORT:-8080}" -h /www &
"""
# /tmp must be an emptyDir for this one: it is what outlives a restart of the container, but not the pod.
CRASH_TWICE = """\
starts=$(( $(cat /tmp/starts 2>/dev/null || echo 0) + 1 ))
echo "$starts" >/tmp/starts
if [ "$starts" -le 2 ]; then echo "FATAL: the config server does not answer (attempt $starts)"; exit 1; fi
"""
CGI = """\
mkdir -p /www/cgi-bin
cat >/www/cgi-bin/orders <<'END'
#!/bin/sh
{answer}
END
busybox chmod +x /www/cgi-bin/orders
"""
ERROR = "printf 'Status: 500 Internal Server Error\\r\\n\\r\\n'"
AT_LAST = "sleep 2; printf 'Status: 200 OK\\r\\n\\r\\nat last'"
DRIPS = "printf 'Status: 200 OK\\r\\n\\r\\n'; while :; do printf x; sleep 1; done"
ENDLESS = "printf 'Status: 200 OK\\r\\n\\r\\n'; busybox yes"
ALONE = """\
for attempt in 1 2 3 4 5; do
  echo "java.net.ConnectException: Connection refused: zipkin/10.0.0.9:9411 (attempt $attempt)"
done
"""
# Stands in for nginx: reads as much of its configuration as our maintenance page has.
PAGE = """\
for port in $(busybox sed -n 's/^ *listen \\([0-9]*\\);/\\1/p' /etc/nginx/conf.d/default.conf); do
  busybox nc -ll -p "$port" -e /bin/sh /bin/page-answer &
done
wait
"""
PAGE_ANSWER = """\
conf=/etc/nginx/conf.d/default.conf
read -r method path rest
while read -r line && [ "${#line}" -gt 1 ]; do :; done
if [ "$path" = "$(busybox sed -n 's/.*location = \\([^ ]*\\) .*/\\1/p' $conf)" ]; then
  printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n'
  exit
fi
after=$(busybox sed -n 's/.*Retry-After \\([0-9]*\\) .*/\\1/p' $conf)
printf 'HTTP/1.1 503 Service Unavailable\\r\\nRetry-After: %s\\r\\nConnection: close\\r\\n\\r\\n' "$after"
busybox sed -n 's/.*return 503 "\\(.*\\)"; }$/\\1/p' $conf
"""
BEHAVIOURS: Mapping[str, str] = {
    "good": LEAVE_AT_ONCE + SERVE + "wait\n",
    "crash": "echo \"FATAL: $VERSION cannot start: no bean named 'paymentGateway'\"\nexit 3\n",
    "crash-twice": LEAVE_AT_ONCE + CRASH_TWICE + SERVE + "wait\n",
    "never-ready": LEAVE_AT_ONCE + 'echo "$VERSION waits for something that never comes"\nsleep 1000000 &\nwait\n',
    "stubborn": "trap '' TERM\n" + SERVE + "while :; do wait; sleep 1; done\n",
    # Ready by its index page, and broken or slow where users come in
    "errors": LEAVE_AT_ONCE + CGI.format(answer=ERROR) + SERVE + "wait\n",
    "slow": LEAVE_AT_ONCE + CGI.format(answer=AT_LAST) + SERVE + "wait\n",
    "drips": LEAVE_AT_ONCE + CGI.format(answer=DRIPS) + SERVE + "wait\n",
    "endless": LEAVE_AT_ONCE + CGI.format(answer=ENDLESS) + SERVE + "wait\n",
    "hungry": "text=0123456789abcdef\nwhile :; do text=$text$text; done\n",
    "alone": LEAVE_AT_ONCE + ALONE + SERVE + "wait\n",
    "page": LEAVE_AT_ONCE + PAGE,
    "page-answer": PAGE_ANSWER,
    "sick": LEAVE_AT_ONCE + "HEALTH=DOWN\n" + SERVE + "wait\n",
}
APPLETS = ("sh", "cat", "echo", "env", "httpd", "ln", "ls", "mkdir", "printf", "sleep", "true", "wget")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push(
    registry_url: str,
    repository: str,
    tag: str,
    behaviour: str,
    version: str,
    *,
    image_platform: str = HERE_PLATFORM,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Push one image and return its digest, which differs for every repository, behaviour, version and platform.

    `tag` may be empty: the image is then known by its digest only.
    """
    return _push(
        registry_url,
        repository,
        tag,
        layer=_shop_layer(),
        image_platform=image_platform,
        process={
            "Entrypoint": ["/bin/sh", f"/bin/{behaviour}"],
            "Env": ["PATH=/bin", f"VERSION={version}"],
            "ExposedPorts": {"8080/tcp": {}},
            # No layer knows its repository; with this, two repositories do not share a digest unless a test wants it.
            "Labels": {"org.opencontainers.image.title": repository, **(labels or {})},
        },
    )


def push_pause(registry_url: str, repository: str, tag: str, program: Path) -> str:
    """Push the image that the node runs first in every pod."""
    layer = _tar({"pause": program.read_bytes()}, links={})
    process = {"Entrypoint": ["/pause"]}
    return _push(registry_url, repository, tag, layer=layer, image_platform=HERE_PLATFORM, process=process)


def push_index(registry_url: str, repository: str, tag: str, images: Sequence[tuple[str, str]]) -> str:
    """Push an index of (platform, digest) pairs, such as ("linux/arm64", "sha256:…"), that are in the repository."""
    entries: list[dict[str, Any]] = []
    for image_platform, digest in images:
        system, architecture = image_platform.split("/")
        media_type, size = _describe(registry_url, repository, digest)
        entry = {"mediaType": media_type, "digest": digest, "size": size}
        entries.append({**entry, "platform": {"os": system, "architecture": architecture}})
    body = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return _put_manifest(registry_url, repository, tag, body, INDEX)


def tag_as(registry_url: str, repository: str, digest: str, tag: str) -> None:
    """Give what the registry has by digest one more tag."""
    request = _request(registry_url, repository, f"manifests/{digest}", headers={"Accept": ", ".join(ACCEPTED)})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body, media_type = answer.read(), answer.headers["Content-Type"]
    _put_manifest(registry_url, repository, tag, body, media_type)


def resolve(registry_url: str, repository: str, reference: str) -> str | None:
    """The digest behind a tag, or None if the registry does not have it."""
    headers = {"Accept": ", ".join(ACCEPTED)}
    request = _request(registry_url, repository, f"manifests/{reference}", method="HEAD", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["Docker-Content-Digest"])
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def delete(registry_url: str, repository: str, digest: str) -> None:
    """Delete a manifest with all its tags. Nodes that have pulled it keep it."""
    request = _request(registry_url, repository, f"manifests/{digest}", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()


def _push(
    registry_url: str, repository: str, tag: str, *, layer: bytes, image_platform: str, process: Mapping[str, Any]
) -> str:
    system, architecture = image_platform.split("/")
    config = _json(
        {
            "os": system,
            "architecture": architecture,
            "config": process,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    for blob in (layer, config):
        _put_blob(registry_url, repository, blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}],
    }
    return _put_manifest(registry_url, repository, tag, _json(manifest), MANIFEST)


@cache
def _shop_layer() -> bytes:
    busybox = shutil.which("busybox")
    if busybox is None:
        raise FileNotFoundError("busybox is not installed; `make cluster` says what is needed")
    files = {"bin/busybox": Path(busybox).read_bytes()}
    files |= {f"bin/{behaviour}": script.encode() for behaviour, script in BEHAVIOURS.items()}
    return _tar(files, links={f"bin/{name}": "busybox" for name in APPLETS})


def _tar(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    """A layer. Every field that could differ between two runs is fixed, and so is its digest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _request(
    registry_url: str,
    repository: str,
    rest: str,
    *,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> urllib.request.Request:
    url = f"{registry_url}/v2/{repository}/{rest}"
    return urllib.request.Request(url, method=method, data=data, headers=dict(headers or {}))


def _put_blob(registry_url: str, repository: str, blob: bytes) -> None:
    digest = digest_of(blob)
    try:
        request = _request(registry_url, repository, f"blobs/{digest}", method="HEAD")
        urllib.request.urlopen(request, timeout=10).close()
        return
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
    start = _request(registry_url, repository, "blobs/uploads/", method="POST", data=b"")
    with urllib.request.urlopen(start, timeout=10) as answer:
        location = urlsplit(urljoin(registry_url, answer.headers["Location"]))
    query = "&".join(part for part in (location.query, urlencode({"digest": digest})) if part)
    headers = {"Content-Type": "application/octet-stream"}
    url = urlunsplit(location._replace(query=query))
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=blob, headers=headers), timeout=30).close()


def _put_manifest(registry_url: str, repository: str, tag: str, body: bytes, media_type: str) -> str:
    digest = digest_of(body)
    headers = {"Content-Type": media_type}
    request = _request(registry_url, repository, f"manifests/{tag or digest}", method="PUT", data=body, headers=headers)
    urllib.request.urlopen(request, timeout=10).close()
    return digest


def _describe(registry_url: str, repository: str, digest: str) -> tuple[str, int]:
    headers = {"Accept": ", ".join(ACCEPTED)}
    request = _request(registry_url, repository, f"manifests/{digest}", method="HEAD", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["Content-Type"]), int(answer.headers["Content-Length"])
