"""Reading what the server says that we may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def allows(rules: Sequence[Mapping[str, Any]], verb: str, group: str, plural: str, name: str) -> bool:
    """Whether the rules of a SelfSubjectRulesReview allow it, those limited by ``resourceNames`` included."""

    def has(rule: Mapping[str, Any], key: str, value: str) -> bool:
        listed = rule.get(key) or []
        return "*" in listed or value in listed

    return any(
        has(r, "verbs", verb)
        and has(r, "apiGroups", group)
        and has(r, "resources", plural)
        and (not r.get("resourceNames") or name in r["resourceNames"])
        for r in rules
    )
