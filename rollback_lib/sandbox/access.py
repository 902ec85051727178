"""Who may do what: users with rules, and the reviews in which a client asks about itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollback_lib.sandbox.requests import Target
from rollback_lib.sandbox.schema import Object
from rollback_lib.sandbox.status import ApiError, forbidden

ANYTHING: Final = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},)


@dataclass(frozen=True)
class User:
    """Somebody with a token. `rules` are those of RBAC; one with `namespaces` holds only there."""

    name: str
    token: str
    rules: Sequence[Mapping[str, Sequence[str]]] = ANYTHING


def _in(wanted: str, listed: Sequence[str]) -> bool:
    return "*" in listed or wanted in listed


def may(user: User, verb: str, group: str, plural: str, namespace: str, name: str) -> bool:
    """Whether a rule allows it. `plural` has the subresource with it: `pods/log`."""
    for rule in user.rules:
        spaces, names = rule.get("namespaces", ()), rule.get("resourceNames", ())
        listed = rule.get("resources", ())
        if (
            _in(verb, rule.get("verbs", ()))
            and _in(group, rule.get("apiGroups", ()))
            and (_in(plural, listed) or ("/" in plural and "*/" + plural.partition("/")[2] in listed))
            and (not spaces or namespace in spaces)
            and (not names or name in names)
        ):
            return True
    return False


def demand(user: User, verb: str, target: Target, selector: str = "") -> None:
    """Raise Forbidden as a real server words it. ``selector``: by field; one that names an object is about that one."""
    found = target.resource
    plural = found.plural + (f"/{target.subresource}" if target.subresource else "")
    # A namespace is asked about within itself.
    space = target.name if found.kind == "Namespace" else target.namespace
    named = re.fullmatch(r"metadata\.name=([^,]+)", selector)
    if may(user, verb, found.group, plural, space, target.name or (named[1] if named else "")):
        return
    where = f' in the namespace "{space}"' if space and found.namespaced else " at the cluster scope"
    if found.kind == "Namespace" and space:
        where = f' in the namespace "{space}"'
    why = f'User "{user.name}" cannot {verb} resource "{plural}" in API group "{found.group}"{where}'
    raise forbidden(found, target.name, why)


def acting(user: User, headers: Mapping[str, str], users: Iterable[User]) -> User:
    """As whom a request is made: the user, or somebody that its `Impersonate-` headers name and the user may be.

    Raises Forbidden as a real server words it. Who is unknown here has no rights, as on a real cluster.
    """
    wanted = {k: v for k, v in headers.items() if k.startswith("impersonate-")}
    if not wanted:
        return user
    name = wanted.get("impersonate-user", "")
    if not name:
        raise ApiError(500, f"requested {wanted} without impersonating a user")
    kind, space = "users", ""
    found = re.fullmatch(r"system:serviceaccount:([^:]+):([^:]+)", name)
    if found:
        kind, space = "serviceaccounts", found[1]
    asked = [(kind, space, found[2] if found else name)]
    asked += [("groups", "", wanted["impersonate-group"])] if "impersonate-group" in wanted else []
    for plural, where, who in asked:
        if not may(user, "impersonate", "", plural, where, who):
            place = f'in the namespace "{where}"' if where else "at the cluster scope"
            raise ApiError(
                403, f'{plural} "{who}" is forbidden: User "{user.name}" cannot impersonate resource "{plural}" in '
                f'API group "" {place}',
            )  # fmt: skip
    return next((u for u in users if u.name == name), User(name, "", ()))


def access_review(user: User, review: Object) -> Object:
    """A SelfSubjectAccessReview, answered."""
    asked: Mapping[str, Any] = (review.get("spec") or {}).get("resourceAttributes") or {}
    plural = str(asked.get("resource", ""))
    if asked.get("subresource"):
        plural += f"/{asked['subresource']}"
    allowed = may(
        user, str(asked.get("verb", "")), str(asked.get("group", "")), plural, str(asked.get("namespace", "")),
        str(asked.get("name", "")),
    )  # fmt: skip
    status: Object = {"allowed": allowed}
    if allowed:
        status["reason"] = f'RBAC: allowed by the sandbox\'s rules of user "{user.name}"'
    return {**review, "metadata": review.get("metadata") or {}, "status": status}


def rules_review(user: User, review: Object) -> Object:
    """A SelfSubjectRulesReview, answered."""
    space = (review.get("spec") or {}).get("namespace", "")
    rules = [
        {k: list(v) for k, v in rule.items() if k != "namespaces"}
        for rule in user.rules
        if not rule.get("namespaces") or space in rule["namespaces"]
    ]
    status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
    return {**review, "metadata": review.get("metadata") or {}, "status": status}
