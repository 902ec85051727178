"""Every command in every state of traffic and lock: what it says last, as text and as JSON, is true.

The table is `ROWS`: a command is a row, and its exit code stands there for each state of `STATES`, in this order. A
state is made on the sandbox; beside the code, `untrue` compares what the command says with what is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from rollback_lib.core.run import lock
from rollback_lib.core.run.lock import Claim
from rollback_lib.core.traffic import slots
from rollback_lib.sandbox.shop import BAD, GOOD, NAMESPACE
from tests.cli.desk import Desk, Ended

pytestmark = pytest.mark.long

ANOTHER: Final = "20260101-000000-prod-dead"
CLOSED, OPEN, UNKNOWN = "closed", "open", "unknown"


class State(NamedTuple):
    """``traffic``: as it is. ``holder``: who has the lock. ``make`` brings it about; what the shell has more then."""

    traffic: str
    holder: str
    make: Callable[[Desk], dict[str, str]]


def _nothing(desk: Desk) -> dict[str, str]:
    return {}


def _closed(desk: Desk) -> dict[str, str]:
    live = desk.live("service", "user-service")
    shut = slots.close(live, None, run=ANOTHER, since="2026-01-01T00:00:00Z")
    desk.playground.kubectl("replace", "--filename=-", given=json.dumps(shut))
    return {}


def _unreachable(desk: Desk) -> dict[str, str]:
    environ = desk.playground.environment()
    text = Path(environ["KUBECONFIG"]).read_text(encoding="utf-8")
    broken = desk.playground.repository.parent / "broken"
    broken.write_text(re.sub(r"(https?://127\.0\.0\.1):\d+", r"\1:9", text), encoding="utf-8")
    return {"KUBECONFIG": str(broken)}


def _held(nonce: str) -> Callable[[Desk], dict[str, str]]:
    def make(desk: Desk) -> dict[str, str]:
        now = datetime.now(UTC)
        claim = Claim(
            holder=ANOTHER, by="eva", environment="prod", since=now.isoformat(timespec="seconds"), nonce=nonce
        )
        lease = lock.lease("ecommerce", claim, now)
        desk.playground.kubectl("create", "--filename=-", given=json.dumps(lease))
        return {}

    return make


STATES: Final = {
    "open": State(OPEN, "", _nothing),
    "closed by another": State(CLOSED, "", _closed),
    "unreachable": State(UNKNOWN, "", _unreachable),
    "lock of a dead run": State(OPEN, ANOTHER, _held("")),
    "lock of another": State(OPEN, ANOTHER, _held("alive")),
}
TO, JSON = ("--to", GOOD), ("--output", "json")
# command, then its exit code where traffic is: open, closed by another, unreachable; the lock: of a dead run, another's
ROWS: Final[tuple[tuple[tuple[str, ...], int, int, int, int, int], ...]] = (
    (("plan", *TO), 0, 3, 3, 0, 0),
    (("plan", *TO, *JSON), 0, 3, 3, 0, 0),
    (("plan", "--to", "v9.9.9"), 3, 3, 3, 3, 3),
    (("plan", *TO, "--offline"), 0, 0, 0, 0, 0),
    (("run", *TO, "--dry-run"), 0, 3, 3, 0, 0),
    (("run", *TO, *JSON), 7, 3, 3, 6, 6),
    (("resume",), 0, 0, 3, 3, 3),
    (("stage", "resolve", *TO, *JSON), 0, 0, 3, 6, 6),
    (("stage", "preflight", *TO, *JSON), 2, 2, 3, 6, 6),
    (("undo", ANOTHER, "--yes"), 3, 3, 3, 3, 3),
    (("verify", *TO, *JSON), 1, 3, 3, 1, 1),
    (("verify",), 0, 3, 3, 0, 0),
    (("status",), 0, 0, 3, 0, 0),
    (("status", *JSON), 0, 0, 3, 0, 0),
    (("doctor",), 0, 0, 1, 0, 0),
    (("reopen",), 0, 7, 3, 0, 0),
    (("unlock",), 0, 0, 3, 6, 6),
    (("guard", "--release", GOOD), 0, 0, 3, 6, 6),
    (("record-release", "--release", BAD), 0, 0, 3, 0, 0),
    (("quarantine", "v1.0.0"), 0, 0, 3, 0, 0),
    (("retag", "--dry-run"), 0, 0, 3, 0, 0),
    (("history",), 0, 0, 3, 0, 0),
    (("report",), 0, 0, 0, 0, 0),
)


def untrue(arguments: tuple[str, ...], ended: Ended, traffic: str, holder: str) -> Iterator[str]:
    """What the command says that is not so. ``traffic``: as it is, ``holder``: who has the lock, when it has ended."""
    said = " ".join(ended.out.split())
    claims = {
        OPEN: bool(re.search(r"traffic is open", said)),
        CLOSED: bool(re.search(r"TRAFFIC IS (STILL )?CLOSED|CLOSED:", said)),
    }
    if "--output" in arguments and ended.out:
        found = ended.json["traffic"]
        if found not in (traffic, UNKNOWN) or (found == UNKNOWN and traffic != UNKNOWN and arguments[0] != "stage"):
            yield f"JSON says that traffic is {found}"
    for claim, made in claims.items():
        if made and claim != traffic:
            yield f"it says that traffic is {claim}"
    by_words = arguments[0] in ("plan", "run", "doctor") or arguments == ("status",)  # its JSON has them in a field
    asks = bool(ended.out) and by_words and not {"--offline", "v9.9.9"} & {*arguments}
    locked = bool(re.search(r"LOCKED by|is locked by|Held by", said))
    if asks and locked != bool(holder):
        yield "it does not say who holds the lock" if holder else "it says that somebody holds the lock"
    if asks and holder and holder not in said:
        yield f"it does not name {holder}"


@pytest.mark.parametrize("state", STATES, ids=STATES)
def test_what_is_said_last_is_true(desk: Desk, state: str) -> None:
    wrong: list[str] = []
    column = list(STATES).index(state)
    assert desk.rollback("plan", *TO).code == 0  # so that `report` has a run
    traffic, holder, make = STATES[state]
    environ = make(desk)
    for arguments, *codes in ROWS:
        ended = desk.rollback(*arguments, **environ)
        if ended.code != codes[column]:
            wrong.append(f"{' '.join(arguments)}: {ended.code}, not {codes[column]}: {(ended.out + ended.err)[-400:]}")
        wrong += [
            f"{' '.join(arguments)}: {said}: {ended.out[-600:]}" for said in untrue(arguments, ended, traffic, holder)
        ]
    assert not wrong, "\n\n".join(wrong)


def test_what_this_run_has_closed_is_said_until_it_is_open(desk: Desk) -> None:
    isolation = f"    namespace: {NAMESPACE}\n    isolation: {{mode: service, targets: [user-service]}}\n"
    file = desk.playground.repository / "rollback.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace(f"    namespace: {NAMESPACE}\n", isolation), encoding="utf-8"
    )
    desk.playground.cluster.faults.add(
        lambda c: (c.client, c.verb, c.name) == ("kubectl", "patch", "cloud-config"), "500", times=None
    )
    failed = desk.rollback("run", *TO, "--yes", "--isolate", *JSON)
    assert (failed.code, failed.json["traffic"]) == (5, CLOSED)
    desk.playground.cluster.faults.clear()
    mine = desk.runs()[-1].name
    commands: tuple[tuple[tuple[str, ...], int], ...] = (
        (("plan", *TO, *JSON), 3), (("run", *TO, "--yes", *JSON), 6), (("verify", *TO, *JSON), 3),
        (("status",), 0), (("doctor",), 0), (("unlock",), 6), (("reopen",), 7),
    )  # fmt: skip
    wrong: list[str] = []
    for arguments, code in commands:
        ended = desk.rollback(*arguments)
        assert ended.code == code, (arguments, ended)
        wrong += [f"{arguments}: {said}: {ended.out[-600:]}" for said in untrue(arguments, ended, CLOSED, mine)]
    assert not wrong, "\n\n".join(wrong)
    done: Any = desk.rollback("resume", mine, *JSON)
    assert (done.code, done.json["traffic"]) == (0, OPEN)
    assert not list(untrue(("status",), desk.rollback("status"), OPEN, ""))
