"""Write `rollback_lib/sandbox/schema.json` anew: what a real API server publishes about the kinds that the sandbox has.

    python -m tests.sandbox.schema_from_cluster KUBECTL KUBECONFIG

Only shapes are kept (fields, types, how lists merge), no descriptions. The source is Kubernetes' own OpenAPI document.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

GROUPS = {
    "v1": (
        "configmaps", "endpoints", "events", "namespaces", "nodes", "persistentvolumeclaims", "pods", "resourcequotas",
        "secrets", "serviceaccounts", "services",
    ),
    "apps/v1": ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch/v1": ("cronjobs", "jobs"),
    "networking.k8s.io/v1": ("ingresses", "networkpolicies"),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "policy/v1": ("poddisruptionbudgets",),
    "coordination.k8s.io/v1": ("leases",),
    "discovery.k8s.io/v1": ("endpointslices",),
    "rbac.authorization.k8s.io/v1": ("roles", "rolebindings"),
    "authorization.k8s.io/v1": ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
}  # fmt: skip
SUBRESOURCES = ("status", "scale", "log", "proxy")
TARGET = Path(__file__).parents[2] / "rollback_lib" / "sandbox" / "schema.json"
_REF = "#/components/schemas/"


class Distiller:
    def __init__(self) -> None:
        self.types: dict[str, Any] = {}
        self._documents: dict[str, Any] = {}

    def take(self, name: str, schemas: dict[str, Any]) -> str:
        """The short name of a type, which is kept along with everything that it refers to."""
        short = name.removeprefix("io.k8s.").replace("apimachinery.pkg.apis.", "").replace("api.", "", 1)
        schema = schemas[name]
        if "properties" not in schema:
            if "oneOf" in schema or schema.get("format") == "int-or-string":
                return "quantity" if name.endswith("Quantity") else "any"
            return {"string": "string", None: "any"}.get(schema.get("type"), "map any")
        if short not in self.types:
            self.types[short] = entry = {}
            if schema.get("x-kubernetes-map-type") == "atomic":
                entry["atomic"] = True
            if schema.get("required"):
                entry["required"] = schema["required"]
            entry["fields"] = {field: self.field(p, schemas) for field, p in schema["properties"].items()}
        return short

    def field(self, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
        """`string`, a type's name, `map TYPE`, or for a list a dict with how it merges."""
        refs = [schema] if "$ref" in schema else schema.get("allOf", [])
        if refs:
            found = self.take(refs[0]["$ref"].removeprefix(_REF), schemas)
        elif schema.get("type") == "array":
            found = self._list(schema, schemas)
        elif "additionalProperties" in schema:
            found = f"map {self.field(schema['additionalProperties'], schemas)}"
        else:
            found = {"object": "map any", None: "any"}.get(schema.get("type"), schema.get("type"))
            if schema.get("format") == "int-or-string":
                found = "any"
        strategy = schema.get("x-kubernetes-patch-strategy", "")
        if "retainKeys" in strategy and isinstance(found, str):
            return {"of": found, "retain": True}
        atomic = schema.get("x-kubernetes-map-type") == "atomic"
        return {"of": found, "atomic": True} if atomic and isinstance(found, str) else found

    def _list(self, schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
        items = schema["items"]
        found: dict[str, Any] = {"list": self.field(items, schemas)}
        if kind := schema.get("x-kubernetes-list-type"):
            found["type"] = kind
        if keys := schema.get("x-kubernetes-list-map-keys"):
            found["keys"] = keys
            properties = schemas[(items.get("allOf") or [items])[0]["$ref"].removeprefix(_REF)]["properties"]
            defaults = {k: properties[k]["default"] for k in keys if "default" in properties[k]}
            if defaults:
                found["defaults"] = defaults
        strategy = schema.get("x-kubernetes-patch-strategy", "")
        if "merge" in strategy:
            found["merge"] = schema.get("x-kubernetes-patch-merge-key", "")
        if "retainKeys" in strategy:
            found["retain"] = True
        return found


def main(kubectl: str, kubeconfig: str) -> None:
    def raw(path: str) -> Any:
        command = (kubectl, f"--kubeconfig={kubeconfig}", "get", "--raw", path)
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    distiller = Distiller()
    resources = []
    for version, wanted in GROUPS.items():
        root = "api" if version == "v1" else "apis"
        schemas = raw(f"/openapi/v3/{root}/{version}")["components"]["schemas"]
        by_kind = {
            k["kind"]: name
            for name, s in schemas.items()
            for k in s.get("x-kubernetes-group-version-kind", [])
            if f"{k['group']}/{k['version']}".lstrip("/") == version
        }
        for found in raw(f"/{root}/{version}")["resources"]:
            plural, _, sub = found["name"].partition("/")
            if plural not in wanted or (sub and sub not in SUBRESOURCES):
                continue
            entry = {k: found[k] for k in ("name", "singularName", "namespaced", "kind", "verbs") if k in found}
            entry |= {k: found[k] for k in ("shortNames", "categories", "group", "version") if k in found}
            entry["apiVersion"] = version
            if not sub:
                entry["type"] = distiller.take(by_kind[found["kind"]], schemas)
            resources.append(entry)
    lines = [f"  {json.dumps(r, sort_keys=True)}" for r in resources]
    types = [f"  {json.dumps(n)}: {json.dumps(t, sort_keys=True)}" for n, t in sorted(distiller.types.items())]
    text = '{"resources": [\n' + ",\n".join(lines) + '\n ],\n "types": {\n' + ",\n".join(types) + "\n }}\n"
    TARGET.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
