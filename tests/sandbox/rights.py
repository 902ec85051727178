"""What a rule allows, for the sandbox and a real server alike: (the rule, what is asked, whether it may)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.sandbox.world import PATCHES, World

Rule = Mapping[str, Sequence[str]]


def _rule(group: str, resource: str, *verbs: str, names: Sequence[str] = ()) -> Rule:
    named = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **named}


_CONFIG: Final = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}}
_EMPTY: Final[dict[str, Any]] = {}
CASES: Final[Sequence[tuple[Rule, str, str, Any, bool]]] = (
    # a part of an object is a resource of its own
    (_rule("", "pods", "get"), "GET", "v1 pods/a/log", None, False),
    (_rule("", "pods/log", "get"), "GET", "v1 pods/a/log", None, True),
    (_rule("", "pods/log", "get"), "GET", "v1 pods/a", None, False),
    (_rule("", "pods/*", "get"), "GET", "v1 pods/a/log", None, False),
    (_rule("", "*/log", "get"), "GET", "v1 pods/a/log", None, True),
    (_rule("", "*", "get"), "GET", "v1 pods/a/log", None, True),
    (_rule("apps", "deployments", "get", "patch"), "GET", "apps/v1 deployments/a/scale", None, False),
    # a request through the server is judged by its method, and by the name with its port
    (_rule("", "pods/proxy", "get"), "GET", "v1 pods/a:80/proxy/", None, True),
    (_rule("", "pods/proxy", "get"), "POST", "v1 pods/a:80/proxy/", _EMPTY, False),
    (_rule("", "pods/proxy", "create"), "POST", "v1 pods/a:80/proxy/", _EMPTY, True),
    (_rule("", "pods/proxy", "get", names=["a"]), "GET", "v1 pods/a:80/proxy/", None, False),
    (_rule("", "services/proxy", "get"), "GET", "v1 pods/a:80/proxy/", None, False),
    # one, all, and what follows
    (_rule("", "configmaps", "get"), "GET", "v1 configmaps", None, False),
    (_rule("", "configmaps", "list"), "GET", "v1 configmaps/note", None, False),
    (_rule("", "configmaps", "list"), "GET", "v1 configmaps?watch=1&timeoutSeconds=1", None, False),
    (_rule("", "configmaps", "list", names=["note"]), "GET", "v1 configmaps", None, False),
    (_rule("", "configmaps", "list", names=["note"]), "GET", "v1 configmaps?fieldSelector=metadata.name=note", None,
     True),
    (_rule("", "configmaps", "get", names=["note"]), "GET", "v1 configmaps/note", None, True),
    (_rule("", "configmaps", "get", names=["note"]), "GET", "v1 configmaps/other", None, False),
    # groups
    (_rule("", "deployments", "list"), "GET", "apps/v1 deployments", None, False),
    (_rule("extensions", "ingresses", "list"), "GET", "networking.k8s.io/v1 ingresses", None, False),
    (_rule("*", "ingresses", "list"), "GET", "networking.k8s.io/v1 ingresses", None, True),
    # writes, also those that are only tried
    (_rule("", "configmaps", "create"), "POST", "v1 configmaps?dryRun=All", _CONFIG, True),
    (_rule("", "configmaps", "create", names=["note"]), "POST", "v1 configmaps?dryRun=All", _CONFIG, False),
    (_rule("", "configmaps", "get", "list"), "POST", "v1 configmaps?dryRun=All", _CONFIG, False),
    (_rule("", "configmaps", "update"), "PATCH merge", "v1 configmaps/note?dryRun=All", _EMPTY, False),
    (_rule("", "configmaps", "patch"), "PATCH merge", "v1 configmaps/note?dryRun=All", _EMPTY, True),
    (_rule("", "configmaps", "patch"), "PUT", "v1 configmaps/note?dryRun=All", _CONFIG, False),
    (_rule("", "configmaps", "patch"), "PATCH apply", "v1 configmaps/note?dryRun=All&fieldManager=x", _CONFIG, True),
    # an apply that makes one is a creation, too
    (_rule("", "configmaps", "patch"), "PATCH apply", "v1 configmaps/new?dryRun=All&fieldManager=x",
     {**_CONFIG, "metadata": {"name": "new"}}, False),
    (_rule("", "configmaps", "delete"), "DELETE", "v1 configmaps/none", None, True),
    (_rule("", "configmaps", "delete"), "DELETE", "v1 configmaps?dryRun=All", None, False),
    (_rule("", "configmaps", "deletecollection"), "DELETE", "v1 configmaps?dryRun=All", None, True),
    # what is not in a namespace
    (_rule("", "nodes", "list"), "GET", "/api/v1/nodes", None, False),
    (_rule("", "namespaces", "list"), "GET", "/api/v1/namespaces", None, False),
    # what anybody may
    (_rule("", "pods", "get"), "GET", "/version", None, True),
    (_rule("", "pods", "get"), "GET", "/apis/apps/v1", None, True),
)  # fmt: skip


def wrong(world: World, granted: Callable[[Sequence[Rule]], Sequence[World]]) -> list[str]:
    """The cases in which the server says otherwise. ``granted``: somebody for each rule who has it in the namespace,
    and nothing else; ``world`` is an administrator's."""
    world.ask("POST", "v1 configmaps", _CONFIG)
    found = []
    people = granted([rule for rule, *_ in CASES])
    for somebody, (rule, how, path, body, expected) in zip(people, CASES, strict=True):
        method, _, patch = how.partition(" ")
        said = somebody.ask(method, path, body, PATCHES.get(patch, "application/json"))
        if (said.code != 403) != expected:
            found.append(f"{method} {path} with {dict(rule)}: {said.code}")
    return found
