"""Our maintenance page: a ConfigMap, a small Deployment and, where an Ingress points at it, a Service.

The page is nginx's own ``return 503 "…"``, which answers every method and path (a static file refuses POST with 405).
It listens on every port that a closed Service sends to, by number and by name: a Service whose port has no pod port of
that name has no endpoint at all.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rollback_lib.core.kube.kinds import KINDS as SERVED
from rollback_lib.core.kube.objects import Object, name_of
from rollback_lib.core.kube.snapshot import Snapshot
from rollback_lib.core.run.changes import DeleteObject
from rollback_lib.core.settings.model import Maintenance, seconds
from rollback_lib.core.traffic import slots
from rollback_lib.core.traffic.slots import Page

LABEL: Final = "rollback-lib/maintenance"  # on all its objects and pods: the run that made it
APPLICATION: Final = "rollback-lib/application"
DELETES: Final = "page/delete/"  # how the keys of taking it away begin
KINDS: Final = ("Deployment", "Service", "ConfigMap")  # in the order in which they are taken away
READY: Final = "/rollback-lib/ready"  # 200 where all else is 503: probes, and load balancers that go by them (GCE)
PORT: Final = 8080
_NAMED_FROM: Final = 18080
_TEXTS: Final = {
    "en": ("Back soon", "We are doing maintenance. Please try again in a few minutes."),
    "es": ("Volvemos pronto", "Estamos en mantenimiento. Vuelva a intentarlo en unos minutos."),
}


def name(run: str) -> str:
    """The name of its objects: of one run, so that what a dead run left behind is in nobody's way."""
    return f"rollback-page-{run}"[:63].rstrip("-.").lower()


def run_of(obj: Mapping[str, Any]) -> str:
    """The run whose page an object belongs to; empty where it is no page of ours."""
    return str(((obj.get("metadata") or {}).get("labels") or {}).get(LABEL) or "")


def left(snapshot: Snapshot, alive: Collection[str]) -> list[Object]:
    """What is left of the pages of dead runs: of none that is ``alive``, and of none that still closes something."""
    closing = {slots.closed_by(o) for kind in slots.CLOSABLE for o in snapshot.all(kind)}
    pages = [o for kind in KINDS for o in snapshot.all(kind)]
    return [o for o in pages if (run := run_of(o)) and run not in closing and run not in alive]


def page(run: str, maintenance: Maintenance | None, team: Mapping[str, Any] | None) -> Page | None:
    """Where requests go while traffic is closed: the ``team``'s Service, our page, or (None) nowhere."""
    if maintenance is None:
        return None
    if team is not None:
        ports = (team.get("spec") or {}).get("ports") or [{}]
        return Page(
            selector=(team.get("spec") or {}).get("selector") or {}, service=name_of(team),
            port=int(ports[0].get("port") or 80),
        )  # fmt: skip
    return Page(selector={LABEL: run}, service=name(run), port=80)


def there(snapshot: Snapshot, runs: Collection[str]) -> list[Object]:
    """What is there of the pages of these runs."""
    found = [o for kind in KINDS for o in snapshot.all(kind)]
    return [o for o in found if run_of(o) in runs]


def deletion(kind: str, uid: str, name: str, start: str = DELETES) -> DeleteObject:
    """Taking one of its objects away. ``start``: how the key begins."""
    return DeleteObject(
        key=f"{start}{kind.lower()}/{uid}", kind=kind, name=name, api_version=SERVED[kind].api, before="", after="",
        uid=uid,
    )  # fmt: skip


def target_ports(services: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(numbers, names) of the pod ports that these Services send to; TCP only, as the page speaks HTTP."""
    numbers: set[int] = set()
    named: set[str] = set()
    for service in services:
        for port in (service.get("spec") or {}).get("ports") or []:
            if port.get("protocol", "TCP") == "TCP":
                target = port.get("targetPort") or port.get("port")
                if isinstance(target, int):
                    numbers.add(target)
                else:
                    named.add(str(target))
    return tuple(sorted(numbers)), tuple(sorted(named))


def objects(
    run: str, application: str, maintenance: Maintenance, closed: Sequence[Mapping[str, Any]], *, service: bool,
    gce: bool = False, announced: str = "",
) -> tuple[Object, ...]:  # fmt: skip
    """What is created before traffic moves. ``closed``: the Services that will send here; ``service``: with one.

    ``announced``: what the team tells its users everywhere.
    """
    numbers, named = target_ports(closed)
    numbers = tuple(sorted({*numbers, PORT}))
    free = (n for n in range(_NAMED_FROM, 65536) if n not in numbers)
    by_name = {port: next(free) for port in named}
    labels = {LABEL: run, APPLICATION: application}
    meta = {"name": name(run), "labels": labels}
    found: list[Object] = [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
            "data": {"default.conf": configuration(maintenance, (*numbers, *by_name.values()), announced)},
        },
        _deployment(meta, maintenance.image, numbers, by_name),
    ]  # fmt: skip
    if service:
        notes = {"annotations": {"cloud.google.com/neg": '{"ingress": true}'}} if gce else {}
        spec = {"selector": {LABEL: run}, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]}
        found.append({"apiVersion": "v1", "kind": "Service", "metadata": {**meta, **notes}, "spec": spec})
    return tuple(found)


def _deployment(meta: Mapping[str, Any], image: str, numbers: Sequence[int], named: Mapping[str, int]) -> Object:
    ports: list[dict[str, Any]] = [{"containerPort": n} for n in numbers]
    ports += [{"containerPort": n, "name": called} for called, n in named.items()]
    container = {
        "name": "page", "image": image, "ports": ports,
        "readinessProbe": {"httpGet": {"path": READY, "port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "page", "mountPath": "/etc/nginx/conf.d"}],
    }  # fmt: skip
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # port 80 without root; one of the sysctls that every PodSecurity level lets through
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"},
                            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]},
        "containers": [container],
        "volumes": [{"name": "page", "configMap": {"name": meta["name"]}}],
    }  # fmt: skip
    selector = {LABEL: meta["labels"][LABEL]}
    template = {"metadata": {"labels": dict(meta["labels"])}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": selector}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": dict(meta), "spec": spec}


def configuration(maintenance: Maintenance, ports: Sequence[int], announced: str = "") -> str:
    """nginx's ``default.conf``: 503 with Retry-After on every port."""
    lines = ["server {"]
    lines += [f"  listen {port};" for port in ports]
    lines += [
        "  server_tokens off;",
        "  default_type text/html;",
        "  charset utf-8;",
        f"  add_header Retry-After {max(1, round(seconds(maintenance.retry_after)))} always;",
        "  add_header Cache-Control no-store always;",
        f"  location = {READY} {{ access_log off; return 200; }}",
        f'  location / {{ return 503 "{_html(maintenance, announced)}"; }}',
        "}",
    ]
    return "\n".join(lines) + "\n"


def _html(maintenance: Maintenance, announced: str) -> str:
    title, ours = _TEXTS[maintenance.language]
    text = maintenance.message or announced.strip() or ours  # what is meant for this page goes before what is for all
    return (
        f"<!doctype html><html lang='{maintenance.language}'><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{_safe(title)}</title>"
        f"<body style='font-family:sans-serif;margin:15vh auto;max-width:32em;padding:0 1em'>"
        f"<h1>{_safe(title)}</h1><p>{_safe(text)}</p>"
    )


def _safe(text: str) -> str:
    """Text for HTML inside a quoted word of nginx's configuration: ASCII, without quotes, ``$`` and ``\\``."""
    escaped = html.escape(" ".join(text.split())).replace("$", "&#36;").replace("\\", "&#92;")
    return escaped.encode("ascii", "xmlcharrefreplace").decode()
