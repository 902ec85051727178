"""Killed at a drawn moment of a run, a resume, an undo or a reopen, on a real cluster: what `status` names leads on.

It ends in a state in which `guard` says go and traffic is open.

8 endings; 40 where ROLLBACK_TEST_FAULTS is all. ROLLBACK_TEST_SEED draws others.
"""

import json
import os
import random
import shutil
import signal
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.cluster.conftest import ShopFactory
from tests.cluster.product import Product
from tests.cluster.test_resume import FIRST, SERVICES, start

SEED = int(os.environ.get("ROLLBACK_TEST_SEED", "17"))
PARTS = 4
ENDINGS = 40 if os.environ.get("ROLLBACK_TEST_FAULTS") == "all" else 8
RUN = ("run", "--to=v1.1.0", "--yes")
SHUT = (*RUN, "--isolate")
STEPS = 4  # commands that may follow each other until a deploy can go on
# What is killed one after the other: the command, and the moments that are drawn from. "RUN" is the run before it.
STORIES: dict[str, Sequence[tuple[tuple[str, ...], range]]] = {
    "run": [(RUN, range(FIRST, 33))],
    "run behind closed doors": [(SHUT, range(FIRST, 39))],
    "undo": [(SHUT, range(20, 34)), (("undo", "RUN", "--yes"), range(FIRST, 40))],
    "resume": [(SHUT, range(FIRST, 34)), (("resume", "RUN"), range(1, 20))],
    "reopen": [(SHUT, range(20, 34)), (("reopen", "--yes"), range(1, 3))],
    "resume of an undo": [
        (RUN, range(20, 30)), (("undo", "RUN", "--yes"), range(FIRST, 30)), (("resume",), range(1, 15)),
    ],
    "a run that ended, undone": [(RUN, range(1)), (("undo", "RUN", "--yes"), range(FIRST, 35))],
    "reopened, then resumed": [
        (SHUT, range(20, 34)), (("reopen", "--yes"), range(1)), (("resume", "RUN"), range(1, 30)),
    ],
}  # fmt: skip


class Ending(NamedTuple):
    number: int
    story: str

    def draw(self) -> random.Random:
        return random.Random(f"{SEED}-{self.number}")


def told(product: Product, *arguments: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(product(*arguments, "--output=json").out)
    return found


def can_go_on(product: Product) -> bool:
    goes = product("guard", "--environment=prod", "--release=v1.3.0", code=None).code == 0
    return goes and told(product, "status")["traffic"] == "open"


@pytest.mark.parametrize("part", range(PARTS))
def test_after_a_kill_what_is_named_leads_to_where_a_deploy_can_go_on(shop: ShopFactory, part: int) -> None:
    made = shop(services=SERVICES)
    isolation = {"mode": "service", "targets": ["user-service"], "drain": "1s"}
    where = {"context": "test", "namespace": made.namespace, "isolation": isolation}
    made.rollback_yaml({"environments": {"prod": where}})
    made.deploy("v1.1.0")
    made.wait_ready()
    product = Product(made)
    endings = [Ending(n, list(STORIES)[n % len(STORIES)]) for n in range(part, ENDINGS, PARTS)]
    for ending in endings:
        made.deploy("v1.2.0")
        made.wait_ready()
        shutil.rmtree(made.repo / ".rollback", ignore_errors=True)
        drawn, said, run = ending.draw(), [], ""
        for command, moments in STORIES[ending.story]:
            run = run or (product.latest.name if (made.repo / ".rollback").is_dir() else "")
            moment = drawn.choice(moments)
            written = [run if word == "RUN" else word for word in command]
            ended = start(product, moment, *written)
            said.append(
                f"{' '.join(written)} at {moment}: {ended.returncode} {ended.stdout[-300:]}{ended.stderr[-300:]}"
            )
            assert ended.returncode in (-signal.SIGKILL, 0, 3), said
        if drawn.random() < 0.5:
            shutil.rmtree(made.repo / ".rollback", ignore_errors=True)  # another machine
            said.append("elsewhere")
        for _ in range(STEPS):
            if can_go_on(product):
                break
            named = told(product, "status")["next"]
            assert isinstance(named, list), (ending, said)
            assert named, (ending, said)
            way = drawn.choice(named)
            more = {"run": RUN[1:], "resume": (), "guard": ()}.get(way[0], ("--yes",))
            ended = start(product, 0, *way, *more)
            said.append(f"{' '.join(way)}: {ended.returncode} {ended.stdout[-400:]}{ended.stderr[-400:]}")
            assert ended.returncode == 0, (SEED, ending, said)
        assert can_go_on(product), (SEED, ending, said)
