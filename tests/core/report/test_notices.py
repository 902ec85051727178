"""Which notice is due after a stage, and what it says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rollback_lib.core.report import notices
from rollback_lib.core.run.journal import Ending, Event, Mark
from rollback_lib.core.settings import model
from tests.core.report import stories

REACHED = tuple(stories.events())


def due(stage: str, ending: Ending, *, waiting: bool = False, events: tuple[Event, ...] = REACHED, **more: Any) -> str:
    return notices.event_after(stage, events, stories.request(**more), stories.plan(), ending, waiting=waiting)


def stands(code: int = 0, traffic: str = "open", changed: tuple[str, ...] = (), error: str = "") -> Ending:
    return Ending(code=code, traffic=traffic, changed=changed, error=error, stage="apply" if code else "")


@pytest.mark.parametrize(
    ("stage", "ending", "waiting", "event"),
    [
        ("resolve", stands(), True, ""),
        ("preflight", stands(), True, "plan-ready"),
        ("preflight", stands(), False, ""),
        ("preflight", stands(3), True, "refused"),
        ("approve", stands(), False, "started"),
        ("approve", stands(7), True, "refused"),
        ("isolate", stands(), False, ""),
        ("isolate", stands(traffic="closed"), False, "traffic-closed"),
        ("isolate", stands(6), False, "refused"),
        ("apply", stands(changed=("x",)), False, ""),
        ("apply", stands(4, changed=("x",)), False, "failed"),
        ("verify", stands(5, "closed", ("x",)), False, "traffic-still-closed"),
        ("document", stands(changed=("x",)), False, "done"),
        ("document", stands(), False, ""),
        ("document", stands(5, "closed", ("x",)), False, "traffic-still-closed"),
    ],
)
def test_what_is_told_after_a_stage(stage: str, ending: Ending, waiting: bool, event: str) -> None:
    assert due(stage, ending, waiting=waiting) == event


def test_nothing_is_told_before_preflight_has_answered_however_it_ends() -> None:
    early = tuple(e for e in REACHED if e.stage != "preflight")
    assert due("images", stands(3), events=early) == ""
    failed = (Event(seq=0, at=stories.at(1), mark=Mark.STAGE_FAILED, stage="preflight", code=3),)
    assert due("preflight", stands(3), events=failed) == "refused"


@pytest.mark.parametrize("more", [{"dry_run": True}, {"offline": True}])
def test_a_run_that_only_looks_tells_nothing(more: dict[str, bool]) -> None:
    for code in (0, 3):
        assert due("document", stands(code, changed=("x",)), **more) == ""


def test_a_notice_says_what_why_who_which_images_what_next_and_where() -> None:
    story = stories.whole(failed=True)
    made = notices.notice(
        "traffic-still-closed", stories.request(), stories.plan(), story.approval, story.ending, "/runs/one"
    )
    assert made.title == "ROLLBACK FAILED, traffic is STILL CLOSED: shop prod"
    assert made.lines == (
        "v2 → v1", "Why: checkout answers 500", "Asked by ana, approved by luis (ROLLBACK_APPROVED_HASH)",
        "✗ the network is gone ", f"cart: cart:prod@{'b' * 12} → cart:v1@{'a' * 12}", "2 changes were made.",
    )  # fmt: skip
    assert "rollback reopen" in made.next
    assert made.link == "https://ci.example/job/rollback/7/"
    assert len(made.title + made.text) < 600


def test_a_notice_in_spanish() -> None:
    request = msgspec.structs.replace(stories.request(), settings=model.load(stories.SETTINGS + "language: es\n"))
    made = notices.notice("done", request, stories.plan(), None, stands(changed=("x",)), "/runs/one")
    assert made.title == "ROLLBACK terminado: shop prod"
    assert "! :prod en team/cart sigue siendo v2: el próximo despliegue normal lo trae de vuelta." in made.lines
    assert made.next == "Ahora: complete el registro del incidente."


def test_a_channel_that_waited_counts_once_a_notice() -> None:
    marks = [
        Event(seq=i, at="", mark=Mark.NOT_TOLD, stage="x", key=f"tell/started/{c}", result={"waited": "2.5"})
        for i, c in enumerate(("slack", "pager"))
    ]
    assert notices.waited(marks) == 2.5
