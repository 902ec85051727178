"""The sandbox's rules allow what a real server's do (`tests/cluster/test_rights.py` asks that one the same)."""

import dataclasses
from collections.abc import Sequence

from rollback_lib.sandbox.access import User
from rollback_lib.sandbox.cluster import ADMIN, Sandbox
from tests.sandbox.rights import Rule, wrong
from tests.sandbox.world import World


def test_a_rule_allows_what_it_allows_on_a_real_server(sandbox: Sandbox, world: World) -> None:
    def granted(rules: Sequence[Rule]) -> Sequence[World]:
        people = [User(f"p{i}", f"token-{i}", ({**r, "namespaces": [world.namespace]},)) for i, r in enumerate(rules)]
        sandbox.set_users((ADMIN, *people))
        return [dataclasses.replace(world, acting=p.name) for p in people]

    assert wrong(world, granted) == []
