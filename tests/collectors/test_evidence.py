"""What is saved as evidence says of itself what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_lib.collectors import evidence
from rollback_lib.collectors.workloads import look
from rollback_lib.core.evidence import saved
from rollback_lib.core.kube.snapshot import Events, LogEnd
from tests.collectors.test_proof import World


class Cluster:
    """The cluster of `World`, with these logs and events."""

    def __init__(self, behind: Any, log: LogEnd, events: Events) -> None:
        self._behind, self._log, self._events = behind, log, events

    def logs(self, *_: object, **__: object) -> LogEnd:
        return self._log

    def events(self) -> Events:
        return self._events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


FINE, NONE = LogEnd("fine\n"), Events()


def save(log: LogEnd = FINE, events: Events = NONE) -> tuple[Mapping[str, str], list[str]]:
    """(the files by name, what is missing)."""
    world = World("")
    written: dict[str, str] = {}
    looked = look(world.ports)
    missing = evidence.save(
        looked, Cluster(world.cluster, log, events), lambda name, data: written.update({name: data.decode()}),
        lambda: True,
    )  # fmt: skip
    return written, list(missing)


def event(number: int, kind: str) -> dict[str, Any]:
    about = {"kind": "Pod", "name": f"p-{number}"}
    return {
        "type": kind,
        "reason": "R",
        "involvedObject": about,
        "lastTimestamp": f"2026-03-01T12:{number % 60:02}:00Z",
    }


def test_what_is_whole_is_not_said_to_be_cut() -> None:
    written, missing = save(events=Events((event(1, "Normal"),)))
    (log,) = (text for name, text in written.items() if "/logs/" in name)
    assert (log, missing) == ("fine\n", [])
    assert written["evidence/events.txt"] == "2026-03-01T12:01:00+00:00 Normal R Pod/p-1:\n"


def test_a_log_of_which_only_the_end_is_kept_says_so_and_is_counted() -> None:
    written, missing = save(LogEnd("Caused by: z\n", cut=True))
    (log,) = (text for name, text in written.items() if "/logs/" in name)
    assert log.splitlines() == ["[not all of it: the end of a longer log]", "Caused by: z"]
    assert missing == ["logs: of 1 only the end is kept (500 lines, 64 kB at most)"]


def test_of_more_events_than_are_kept_the_warnings_stay() -> None:
    many = tuple(event(n, "Normal") for n in range(400))
    written, missing = save(events=Events((event(0, "Warning"), *many)))
    said = written["evidence/events.txt"].splitlines()
    assert said[0] == f"[{saved.MOST_EVENTS} of 401 are kept, warnings first, then the newest]"
    assert sum("Warning" in line for line in said[1:]) == 1
    assert missing == [f"events: {said[0][1:-1]}"]


def test_events_that_could_not_be_read_are_missing() -> None:
    written, missing = save(events=Events((), "cannot list events in shop (forbidden)"))
    assert missing == ["events: cannot list events in shop (forbidden)"]
    assert written["evidence/events.txt"] == "[cannot list events in shop (forbidden)]\n"


def test_a_log_that_grows_by_what_is_hidden_in_it_says_that_it_was_cut() -> None:
    kept = saved.log_text(LogEnd("x=1\n" * (saved.LONGEST_LOG // 4 + 1)))
    assert kept.cut
    assert kept.text.startswith("[not all of it")
    assert len(kept.text) == saved.LONGEST_LOG
