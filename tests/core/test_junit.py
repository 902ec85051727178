from __future__ import annotations

from xml.etree import ElementTree

from rollback_lib.core import junit
from rollback_lib.core.journal import Event, Mark
from rollback_lib.core.run import Verification, VerifiedWorkload


def event(mark: Mark, stage: str, **more: object) -> Event:
    return Event(seq=0, at="2026-03-01T12:00:00+00:00", mark=mark, stage=stage, **more)  # type: ignore[arg-type]


def test_stages_and_workloads_are_cases_and_every_text_is_xml() -> None:
    events = [
        event(Mark.STAGE_BEGIN, "resolve"), event(Mark.STAGE_DONE, "resolve"),
        event(Mark.STAGE_BEGIN, "verify"),
        event(Mark.STAGE_FAILED, "verify", error="<b> & \x1b[2J \x00 ]]> año", code=4),
        event(Mark.STAGE_BEGIN, "document"),
    ]  # fmt: skip
    workload = VerifiedWorkload(
        service="cart", kind="Deployment", name="cart", health="failed", message="password=hunter2"
    )
    root = ElementTree.fromstring(junit.text(events, Verification(healthy=False, workloads=(workload,))).encode())
    assert (root.get("tests"), root.get("failures")) == ("4", "3")
    cases = {case.get("name"): case.findtext("failure") for case in root}
    assert cases["resolve"] is None
    assert cases["verify"] == r"<b> & \x1b[2J \x00 ]]> año"
    assert cases["document"] == "did not end"
    assert "hunter2" not in str(cases)


def test_a_stage_that_went_well_the_second_time_is_well() -> None:
    again = [
        event(Mark.STAGE_FAILED, "images", code=3),
        event(Mark.STAGE_BEGIN, "images"),
        event(Mark.STAGE_DONE, "images"),
    ]
    assert 'failures="0"' in junit.text(again, None)
