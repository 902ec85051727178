"""The Role that a rollback needs, as YAML: README's, and jenkins/rbac.yaml. Both are rendered, and tests hold them
equal to `core.rights.table`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rollback_lib.core.kube.identity import ObjectRef
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.rights import permissions, table
from rollback_lib.core.rights.table import Capability, Need

APPLICATION: Final = "ecommerce"  # and its namespace
LOCK: Final = f"rollback-{APPLICATION}"
SHOP: Final = ("ConfigMap", "Service", "Deployment")
_FREE: Final = "Each of these may be left out: above it stands what a run goes without then, or which runs are refused."
_RULES: Final = re.compile(r"(?<=```yaml\n)rules:\n.*?(?=```\n)", re.DOTALL)


def rule(group: str, resources: Iterable[str], verbs: Iterable[str], names: Iterable[str] = ()) -> str:
    """One rule of a Role, on one line."""
    limited = f"resourceNames: [{', '.join(names)}], " if names else ""
    listed = ", ".join(resources)
    return f"{{apiGroups: [{group or chr(34) * 2}], resources: [{listed}], {limited}verbs: [{', '.join(verbs)}]}}"


def what(needs: Iterable[Need]) -> str:
    """Verbs and what they are of: ``get, create configmaps; list events``."""
    verbs: dict[str, list[str]] = {}
    for need in needs:
        verbs.setdefault(need.what, []).append(need.verb)
    return "; ".join(f"{', '.join(listed)} {of}" for of, listed in verbs.items())


def _always() -> tuple[Need, ...]:
    refs = [ObjectRef(kind, "") for kind in SHOP]
    found = permissions.needs(refs, APPLICATION, lease=LOCK)
    return tuple(n for n in found if not n.optional)


def _without() -> Iterator[tuple[Capability, tuple[Need, ...]]]:
    """What may be left out, by capability: what each run would go without, and what only some runs need."""
    yield table.SMOKE, table.needs(table.SMOKE)
    for one in (table.LOGS, table.EVENTS, table.AUTOSCALERS, table.TRAFFIC, table.LEDGER, table.COPY, table.TIDY):
        yield one, table.needs(one)
    yield table.AUTOMATIC, table.needs(table.AUTOMATIC)
    for one in (table.CREATE, table.DELETE, table.PAGE):
        yield one, tuple(need for kind in SHOP for need in table.needs(one, kind))


def _lines(needs: Sequence[Need]) -> list[str]:
    """Rules that allow just this: resources of one group with the same verbs stand in one."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for need in needs:
        mine = verbs.setdefault((KINDS[need.kind].group, need.resource, need.name), [])
        mine += [need.verb] if need.verb not in mine else []
    alike: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, resource, name), listed in verbs.items():
        alike.setdefault((group, name, tuple(listed)), []).append(resource)
    return [f"- {rule(g, resources, v, [n] if n else [])}" for (g, n, v), resources in alike.items()]


def required() -> list[str]:
    """The rules that every run needs which changes Deployments, Services and ConfigMaps."""
    return _lines(_always())


def more() -> list[str]:
    """The rules that may be left out, each below what it is for or what would be lost."""
    have = {(n.verb, n.resource) for n in _always()}
    said: dict[tuple[str, ...], list[str]] = {}
    for capability, needs in _without():
        rules = tuple(_lines([n for n in needs if (n.verb, n.resource) not in have]))
        cost = capability.lost or f"refused {capability.when}: {capability.why}"
        said.setdefault(rules, []).append(f"# {cost}")
    return [line for rules, why in said.items() for line in (*why, *rules)]


def in_readme(text: str) -> str:
    """README with the Role as the table has it."""
    block = "\n".join(["rules:", *required(), f"# {_FREE}", *more(), ""])
    return _RULES.sub(lambda _: block, text)


def rbac_yaml() -> str:
    """jenkins/rbac.yaml."""
    roles = {"rollback": required(), "rollback-more": more()}
    api = "apiVersion: rbac.authorization.k8s.io/v1"
    found = [_HEAD]
    for name, rules in roles.items():
        found.append("\n".join([_ABOUT[name], api, "kind: Role", f"metadata: {{name: {name}}}", "rules:", *rules]))
    for name in roles:
        ref = f"roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}"
        found.append(f"{api}\nkind: RoleBinding\nmetadata: {{name: {name}}}\n{ref}\n{_SUBJECTS}")
    return "\n---\n".join(found) + "\n"


_HEAD: Final = f"""\
# Rendered from rollback_lib/core/rights/table.py (`make jenkins`).
# What the agent's ServiceAccount may do in the application's namespace: least privilege, one namespace, no Secret.
# Apply it once in each namespace that is rolled back:  kubectl apply --namespace={APPLICATION} -f jenkins/rbac.yaml
# `{APPLICATION}` is the namespace in the first rule, and the application (rollback-APPLICATION) in that of the Lease.
apiVersion: v1
kind: ServiceAccount
metadata: {{name: rollback}}"""
_ABOUT: Final = {
    "rollback": """\
# Each verb is needed by a run that changes Deployments, Services and ConfigMaps. Where the manifests hold
# other kinds, add them with the same verbs: `rollback doctor` prints the rule that is missing.""",
    "rollback-more": f"# {_FREE}",
}
_SUBJECTS: Final = "subjects: [{kind: ServiceAccount, name: rollback}]"
