"""What the server says about itself: its version, its resources, and enough OpenAPI for kubectl to trust it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from rollback_lib.sandbox.requests import Answer, Request
from rollback_lib.sandbox.schema import Resource, all_resources
from rollback_lib.sandbox.status import ApiError, not_here

VERSION: Final = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3",
    "gitCommit": "rollback-sandbox",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none: this is rollback's sandbox",
    "compiler": "none",
    "platform": "linux/amd64",
}
_AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def answer(request: Request) -> Answer | None:
    """The answer where the path is about the server itself."""
    parts = request.path.strip("/").split("/")
    if parts[0] in ("healthz", "livez", "readyz"):
        return Answer(200, b"ok", "text/plain; charset=utf-8")
    if parts == ["version"]:
        return Answer.of(VERSION)
    if parts[0] == "openapi":
        return _openapi(parts[1:])
    if parts in (["api"], ["apis"]):
        if _wants_aggregated(request.accept):
            found = Answer.of(_aggregated(parts[0] == "api"))
            found.content_type = _AGGREGATED
            return found
        return Answer.of(_versions() if parts[0] == "api" else _groups())
    if parts == ["api", "v1"]:
        return Answer.of(_list("", "v1"))
    if parts[0] == "apis" and len(parts) == 2:
        found_group = next((g for g in _groups()["groups"] if g["name"] == parts[1]), None)
        if found_group:
            return Answer.of({"kind": "APIGroup", "apiVersion": "v1", **found_group})
        raise not_here(f"the API group {parts[1]}")
    if parts[0] == "apis" and len(parts) == 3:
        return Answer.of(_list(parts[1], parts[2]))
    if parts[0] in ("api", "apis"):
        return None
    raise ApiError(404, f"this is rollback's sandbox, and it has nothing at {request.path}")


def _wants_aggregated(accept: str) -> bool:
    plain = accept.replace(" ", "")
    return "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" in plain


def _versions() -> dict[str, Any]:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
    }


@cache
def _groups() -> dict[str, Any]:
    seen = dict.fromkeys((r.group, r.version) for r in all_resources() if r.group)
    groups = []
    for group, version in seen:
        one = {"groupVersion": f"{group}/{version}", "version": version}
        groups.append({"name": group, "versions": [one], "preferredVersion": one})
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _of(group: str, version: str) -> list[Resource]:
    found = [r for r in all_resources() if (r.group, r.version) == (group, version)]
    if not found:
        raise not_here(f"{group}/{version}")
    return found


@cache
def _list(group: str, version: str) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for r in _of(group, version):
        resources.append(
            {
                "name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind,
                "verbs": list(r.verbs),
                **({"shortNames": list(r.short)} if r.short else {}),
                **({"categories": list(r.categories)} if r.categories else {}),
            }
        )  # fmt: skip
        for s in r.subresources:
            kept = ("name", "singularName", "namespaced", "kind", "verbs", "group", "version")
            resources.append({"singularName": "", **{k: s[k] for k in kept if k in s}})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}


@cache
def _aggregated(core: bool) -> dict[str, Any]:
    items = []
    for group, version in dict.fromkeys((r.group, r.version) for r in all_resources()):
        if (not group) != core:
            continue
        resources = []
        for r in _of(group, version):
            entry: dict[str, Any] = {
                "resource": r.plural,
                "responseKind": {"group": group, "version": version, "kind": r.kind},
                "scope": "Namespaced" if r.namespaced else "Cluster",
                "singularResource": r.singular,
                "verbs": list(r.verbs),
            }
            if r.short:
                entry["shortNames"] = list(r.short)
            if r.categories:
                entry["categories"] = list(r.categories)
            if r.subresources:
                entry["subresources"] = [
                    {
                        "subresource": s["name"].partition("/")[2],
                        "responseKind": {
                            "group": s.get("group", group), "version": s.get("version", version), "kind": s["kind"],
                        },
                        "verbs": s["verbs"],
                    }
                    for s in r.subresources
                ]  # fmt: skip
            resources.append(entry)
        versions = [{"version": version, "resources": resources, "freshness": "Current"}]
        items.append({"metadata": {"name": group} if group else {}, "versions": versions})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _openapi(parts: list[str]) -> Answer:
    if parts == ["v3"]:
        paths = {}
        for r in all_resources():
            name = f"apis/{r.api_version}" if r.group else f"api/{r.version}"
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}"}
        return Answer.of({"paths": paths})
    if parts[0] == "v3" and len(parts) >= 3:
        wanted = "/".join(parts[2:])
        found = [r for r in all_resources() if r.api_version == wanted]
        if found:
            return Answer.of(_openapi_of(wanted))
    # kubectl asks for version 2 only in protobuf; without it, it goes by version 3 or by what it has compiled in.
    raise not_here("/".join(["openapi", *parts]))


@cache
def _openapi_of(api_version: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for r in all_resources():
        if r.api_version != api_version:
            continue
        root = f"/apis/{api_version}" if r.group else f"/api/{api_version}"
        where = f"{root}/namespaces/{{namespace}}/{r.plural}" if r.namespaced else f"{root}/{r.plural}"
        kind = {"group": r.group, "version": r.version, "kind": r.kind}
        options = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in
                   ("dryRun", "fieldManager", "fieldValidation")]  # fmt: skip
        paths[f"{where}/{{name}}"] = {
            "patch": {"parameters": options, "x-kubernetes-group-version-kind": kind, "x-kubernetes-action": "patch"},
            "parameters": [],
        }
    return {"openapi": "3.0.0", "info": {"title": "rollback sandbox", "version": "v1.36.3"}, "paths": paths,
            "components": {"schemas": {}}}  # fmt: skip
