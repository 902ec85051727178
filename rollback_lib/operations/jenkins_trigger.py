"""Asks Jenkins for a rollback, and follows it to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, ParamSpec, TypeVar

from rollback_lib.core.errors import AwayError, CheckError, InterruptedRunError, Problem, RefusedError, UsageError
from rollback_lib.core.jenkins import console, news
from rollback_lib.core.jenkins.answers import GOOD, Build, BuildStage, Question, QueueItem
from rollback_lib.core.jenkins.console import plain
from rollback_lib.ports import Clock, Jenkins

POLL: Final = 2.0  # seconds; the server forgets a queue item five minutes after it has left
PATIENCE: Final = timedelta(hours=6)  # in the queue, behind builds that wait for people; and for the build
AWAY: Final = timedelta(minutes=15)  # for a server that restarts
LOST: Final = timedelta(minutes=5)  # for a request that is neither in the queue nor among the builds
Say = Callable[[str], None]
P = ParamSpec("P")
T = TypeVar("T")


class Queued(NamedTuple):
    """A request that Jenkins has. ``item`` is 0 where an equal one was queued already."""

    job: str
    request_id: str
    item: int


def ask(server: Jenkins, job: str, parameters: Mapping[str, str]) -> Queued:
    """Put the request into the queue, once.

    Raises UsageError for a parameter that the job would silently drop, and for a choice that it has not.
    """
    there = server.parameters(job)
    if missing := sorted(set(parameters) - set(there)):
        raise UsageError(f"the job {job} has no parameter {', '.join(missing)}: run `rollback jenkins provision`")
    wrong = [(name, value) for name, value in parameters.items() if there[name] and value not in there[name]]
    if wrong:
        raise UsageError(
            *(Problem(f"{value!r} is not one of the choices", key=name, fix=f"the job {job} has: {_said(there[name])}")
              for name, value in wrong)
        )  # fmt: skip
    request_id = parameters["REQUEST_ID"]
    try:
        return Queued(job, request_id, server.start(job, parameters))
    except CheckError:
        with contextlib.suppress(AwayError):
            if _of_request(server, job, request_id) is not None:  # the answer was lost, the request was not
                return Queued(job, request_id, 0)
        raise


def follow(server: Jenkins, asked: Queued, clock: Clock, say: Say, log: Say) -> Build:
    """Until the build has ended. Raises CheckError where it never starts, vanishes, or can no longer be followed.

    A server that restarts is waited for. Neither an interruption nor an error stops the build: only the following ends.
    ``log`` gets whole lines. What Jenkins says is shown without what would steer a terminal.
    """
    url = ""

    def told(text: str) -> None:
        say(plain(text))

    patiently = _Patience(clock, told)
    try:
        number = _started(server, asked, clock, patiently, told)
        found = patiently(server.build, asked.job, number)
        url = found.url if found else ""
        told(f"Build {number}: {url}")
        return _ended(server, asked.job, number, clock, patiently, told, log)
    except InterruptedRunError as stopped:
        where = f"the build goes on: {url}" if url else "the request stays in the queue of Jenkins"
        raise InterruptedRunError(f"{stopped} No longer following; {where}") from None
    except RefusedError as lost:
        raise CheckError(f"{lost} The build may go on all the same: {url or server.url}") from None


class _Patience:
    """Asks Jenkins, and asks again while it restarts."""

    def __init__(self, clock: Clock, say: Say) -> None:
        self._clock, self._say = clock, say

    def __call__(self, ask: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """What is asked for, when the server is back. Raises AwayError where it is away for too long."""
        since: datetime | None = None
        while True:
            try:
                found = ask(*given, **named)
            except AwayError as error:
                if since is None:
                    since = self._clock.now()
                    self._say(f"{error} A restart is waited for, {_minutes(AWAY)} at most.")
                if self._clock.now() - since >= AWAY:
                    raise
                self._clock.sleep(POLL)
            else:
                if since is not None:
                    self._say("Jenkins answers again.")
                return found


def _started(server: Jenkins, asked: Queued, clock: Clock, patiently: _Patience, say: Say) -> int:
    until, why, lost = clock.now() + PATIENCE, "", None
    if not asked.item:
        say("An equal request was there already; that one is followed.")
    while clock.now() < until:
        item = patiently(server.queued, asked.item) if asked.item else QueueItem(gone=True)
        if item.cancelled:
            raise CheckError("the request was taken out of the queue before it began.")
        if item.build:
            return item.build
        if item.gone:
            if found := patiently(_of_request, server, asked.job, asked.request_id, asked.item):
                return found.number
            lost = lost or clock.now()
            if asked.item and clock.now() - lost >= LOST:
                raise CheckError(f"the queue of Jenkins knows nothing of it, and no build is of it: {server.url}")
        if item.why and not news.same_reason(why, item.why):
            say(f"In the queue: {item.why}")
        why = item.why or why
        clock.sleep(POLL)
    raise CheckError(f"it did not start within {_minutes(PATIENCE)}: {plain(why) or 'the queue knows nothing of it'}")


def _of_request(server: Jenkins, job: str, request_id: str, item: int = 0) -> Build | None:
    return next(
        (
            b
            for b in server.recent(job)
            if b.parameters.get("REQUEST_ID") == request_id or (item and b.queue_id == item)
        ),
        None,
    )


def _ended(server: Jenkins, job: str, number: int, clock: Clock, patiently: _Patience, say: Say, log: Say) -> Build:
    until: datetime = clock.now() + PATIENCE
    told: dict[str, str] = {}
    skipped: set[str] = set()
    stages: Sequence[BuildStage] | None = ()
    questions: Sequence[Question] = ()
    at, rest = 0, b""
    while True:
        found = patiently(server.build, job, number)
        if stages is not None:  # before the log, which tells what of these was skipped
            stages = patiently(server.stages, job, number)
            if stages is None:
                say(news.NO_STAGES.format(url=found.url if found else server.url))
        part = patiently(server.log, job, number, at)
        if found is None or part is None:
            raise CheckError(f"build {number} of {job} was deleted while we followed it.")
        over = not found.running and not part.more
        text, rest = console.whole_lines(rest, part.data, last=over)
        if text:
            log(text)
        at = part.next
        skipped.update(console.skipped(text))
        new = news.of_stages(told, stages or (), skipped, ended=over)
        told.update(new)
        for name, standing in new.items():
            say(news.line(name, standing))
        asks = None if stages is None else patiently(server.questions, job, number)
        waiting = asks or ()
        for line in news.of_questions(questions, waiting, found.url):
            say(line)
        questions = waiting
        if over:
            return found
        if clock.now() >= until:
            raise CheckError(f"build {number} still runs after {_minutes(PATIENCE)}: {found.url}")
        clock.sleep(POLL)


def _said(choices: Sequence[str]) -> str:
    return ", ".join(choice or "nothing" for choice in choices)


def good(build: Build) -> bool:
    """Whether Jenkins calls it a success."""
    return build.result == GOOD


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:.0f} minutes"
