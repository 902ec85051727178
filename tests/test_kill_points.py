"""Killed at any moment, a run is finished by `resume` as if nothing had happened, with its directory and without it.

One undisturbed run, or undo; after each event of its journal and after each of its writes, the pair (run directories,
cluster) is kept. That pair is what a process that is killed there leaves behind.

`make test` resumes a few of these points, `make test-all` each of them in both ways. `make test-faults` draws a sample
that has every two of mark, stage, what is written, way and story that occur together.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.run.records import Request
from rollback_lib.operations import reopen, resume, undo
from rollback_lib.operations import run as operation
from rollback_lib.operations.run import Outcome
from rollback_lib.pipeline import holding, loop
from rollback_lib.sandbox.cluster import Kept
from rollback_lib.sandbox.shop import APPLICATION, ORGANIZATION
from tests.pairs import pairs, sample
from tests.sandbox_shop import QuickClock, SandboxShop, TellingDirectory, sandbox_shop, told

pytestmark = pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")
RUN, UNDO = "run-1", "undo-1"


class Action(NamedTuple):
    """A moment by what happened last: in which stage, with what (the first word of the change's key)."""

    mark: str
    stage: str
    what: str = ""


@dataclass(frozen=True)
class Point:
    """What a process that was killed here left behind. ``records``: what of it is in the cluster."""

    name: str
    action: Action
    directory: Path
    cluster: Kept
    records: tuple[str, ...]


@dataclass(frozen=True)
class Story:
    name: str
    run: str
    shop: SandboxShop
    points: tuple[Point, ...]
    before: dict[str, Any]
    after: dict[str, Any]
    text: str


FAULTS = os.environ.get("ROLLBACK_TEST_FAULTS", "")  # all, pairs; else few
PARTS = range(4) if FAULTS == "all" else range(1)
STEP = 4 if FAULTS == "all" else 40

ISOLATION = {
    "open": "",
    "undo": "",  # of a run that had ended well
    "closed": "{mode: service, targets: [user-service], default: true, maintenance: {image: "
    f"{ORGANIZATION}/cloud-config:prod}}}}",
}


def _writes(stage: str, what: str, call: str) -> Iterator[Action]:
    yield from (Action(mark, stage, what) for mark in ("announced", f"after {call}", "done"))


_ALWAYS = (
    *(Action(mark, stage.ID) for mark in ("stage-begin", "stage-done") for stage in loop.STAGES),
    *_writes("isolate", "lock", "put"), *_writes("apply", "record", "put"), *_writes("apply", "apply", "act"),
    Action("after put", "apply"), *_writes("reopen", "lock", "delete"),
)  # fmt: skip
_CLOSED = (
    *_writes("isolate", "page", "act"), *_writes("isolate", "close", "act"), *_writes("reopen", "open", "act"),
    *_writes("reopen", "page", "act"),
)  # fmt: skip
_NO_RECORD = tuple(a for a in _ALWAYS if a.what != "record")  # what an undo brings back proves nothing of a release
ACTIONS = {"open": _ALWAYS, "undo": _NO_RECORD, "closed": (*_ALWAYS, *_CLOSED)}
TABLE = tuple((story, action, way) for story, known in ACTIONS.items() for action in known for way in (True, False))


def covered(row: tuple[str, Action, bool]) -> frozenset[Hashable]:
    """What a row of the table stands for in a sample."""
    story, action, directory = row
    return pairs(*action, story, directory)


def chosen(story: Story, part: int, *, directory: bool) -> Sequence[Point]:
    """The points that are resumed in this way."""
    if FAULTS != "pairs":
        return story.points[part::STEP]
    seed = int(os.environ["ROLLBACK_TEST_SEED"])
    drawn = random.Random(seed)
    return [
        drawn.choice([p for p in story.points if p.action == action])
        for name, action, way in sample(TABLE, seed, covered)
        if (name, way) == (story.name, directory)
    ]


@pytest.fixture(scope="module", params=ISOLATION)
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("kill-points")
    with sandbox_shop(folder / "shop") as shop:
        shop.isolate(ISOLATION[request.param])
        of, name = None, RUN
        if request.param == "undo":
            of, name = shop.open(RUN), UNDO
            with shop.world() as ports:
                assert operation.execute(of, ports).ending.code == 0
        before, points, one_at_a_time = shop.objects(), list[Point](), threading.RLock()

        def keep(name: str) -> None:
            with one_at_a_time:  # evidence is saved beside
                place = folder / f"point-{len(points):03}"
                # first the directory: the cluster may be ahead of the journal, and never the other way round
                shutil.copytree(shop.directory(""), place, ignore=shutil.ignore_patterns("*.tmp"))
                ours = [p.action for p in points if p.action.stage not in loop.IN_BACKGROUND]
                action = _action(name, ours[-1] if ours else Action("", ""))
                points.append(Point(name, action, place, shop.sandbox.snapshot(), tuple(shop.records())))

        asked = shop.request(name)
        shop.runs().new(undo.request(asked, of) if of else asked)
        run = TellingDirectory(shop.directory(name), keep)
        with shop.world(acts=told(keep, "act"), records=told(keep, "put", "delete")) as ports:
            outcome = undo.undo(run, of, ports) if of else operation.execute(run, ports)
        assert outcome.ending.code == 0, outcome.ending
        assert shop.records() == []
        yield Story(request.param, name, shop, tuple(points), before, shop.objects(), outcome.text)


def _action(name: str, before: Action) -> Action:
    """What a point's name tells; a call is of the change that was announced before it."""
    if name.startswith(" "):
        return before._replace(mark=name.strip())
    _number, mark, stage, *key = name.split(" ")
    return Action(mark, stage, key[0].partition("/")[0] if key else "")


def resumed(story: Story, point: Point, *, directory: bool, opened: bool = False) -> Outcome | None:
    """What `rollback resume` makes of it, two minutes later; None where there is nothing to resume. ``opened``: after
    somebody has opened traffic by hand."""
    shop = story.shop
    shop.reset()
    shop.sandbox.restore(point.cluster)
    if directory:
        shutil.copytree(point.directory, shop.directory(""))
    with shop.world(clock=QuickClock(ahead=120)) as ports:
        runs = shop.runs()
        made = shop.session(ports, runs)
        if opened:
            assert reopen.reopen(made, yes=True).code == 0
            runs.close()
        run = resume.find(made, "")
        return resume.resume(run, ports, of=resume.undone_by(made, run)) if run is not None else None


@pytest.mark.inventory
def test_there_is_a_point_for_every_event_and_every_write(story: Story) -> None:
    assert {p.action for p in story.points} == set(ACTIONS[story.name])
    names = [p.name for p in story.points]
    assert sum("announced" in n for n in names) >= 5
    assert sum("after act" in n for n in names) >= 3
    assert sum("after put" in n for n in names) >= 2
    closing = [n for n in names if "done isolate close/" in n or "done reopen open/" in n]
    assert len(closing) in (0, 2)
    assert sum("after delete" in n for n in names) == 2, "the lock, and the copy of the run"


@pytest.mark.parametrize("part", PARTS)
def test_resumed_with_its_directory_every_point_ends_as_if_nothing_had_happened(story: Story, part: int) -> None:
    for point in chosen(story, part, directory=True):
        outcome = resumed(story, point, directory=True)
        if outcome is None:
            assert "document" in point.name, f"{point.name}: only a run that is over needs no resume"
        else:
            assert outcome.ending.code == 0, f"{point.name}: {outcome.ending}"
            assert outcome.text.split(": ", 1)[1] == story.text.split(": ", 1)[1], point.name
        assert story.shop.objects() == story.after, point.name
        assert story.shop.records() == [], point.name


@pytest.mark.parametrize("part", PARTS)
def test_opened_by_hand_and_then_resumed_every_point_ends_as_if_nothing_had_happened(story: Story, part: int) -> None:
    if story.name != "closed":
        return
    shut = [p for p in story.points if p.action.stage in ("isolate", "apply", "verify", "reopen")]
    for point in shut[part :: max(STEP, 8)]:
        outcome = resumed(story, point, directory=True, opened=True)
        assert outcome is not None, point.name
        assert (outcome.ending.code, outcome.ending.traffic) == (0, "open"), f"{point.name}: {outcome.ending}"
        assert story.shop.objects() == story.after, point.name
        assert story.shop.records() == [], point.name


@pytest.mark.parametrize("part", PARTS)
def test_resumed_from_the_cluster_every_point_ends_as_if_nothing_had_happened(story: Story, part: int) -> None:
    for point in chosen(story, part, directory=False):
        outcome = resumed(story, point, directory=False)
        if outcome is None:
            assert point.records == (), f"{point.name}: what is in the cluster can be resumed"
            assert story.shop.objects() in (story.before, story.after), f"{point.name}: whole, before or after"
        else:
            assert outcome.ending.code == 0, f"{point.name}: {outcome.ending}"
            assert story.shop.objects() == story.after, point.name
        assert story.shop.records() == [], point.name


@pytest.mark.parametrize("part", PARTS)
def test_a_run_that_was_unlocked_goes_on_only_where_nothing_is_left_to_change_or_nothing_was_changed(
    story: Story, part: int
) -> None:
    """At every point the lock is taken away: a run that is half done is refused, with its directory and without it."""
    refused = 0
    half_done = next(p for p in story.points if (p.action.mark, p.action.stage) == ("after act", "apply"))
    for point in (*story.points[part::STEP], half_done):
        for directory in (True, False):
            shop = story.shop
            shop.reset()
            shop.sandbox.restore(point.cluster)
            with shop.world() as ports:
                holding.remove(ports.records, APPLICATION, lambda _: True)
            left = shop.sandbox.snapshot()
            there = shop.objects()
            try:
                outcome = resumed(story, replace(point, cluster=left), directory=directory)
            except RefusedError as error:
                outcome, said = None, str(error)
            else:
                said = ""
            refused += bool(said)
            assert not said or story.run in said
            assert not said or shop.objects() == there, f"{point.name}: {said}"
            if not said:
                assert outcome is None or outcome.ending.code == 0, f"{point.name}: {outcome}"
                assert shop.objects() in (there, story.after), point.name
    assert refused


def test_what_is_in_the_cluster_holds_no_secret_objects(story: Story) -> None:
    kept = [p for p in story.points if any(r.startswith("ConfigMap") for r in p.records)]
    story.shop.reset()
    story.shop.sandbox.restore(kept[-1].cluster)
    with story.shop.world() as ports:
        copy = resume.find(story.shop.session(ports), story.run)
    assert copy is not None
    assert copy.get(Request).run == story.run
    for name in copy.files():
        assert b'"kind":"Secret"' not in copy.read(name).replace(b" ", b"")
        assert b"kind: Secret" not in copy.read(name)
