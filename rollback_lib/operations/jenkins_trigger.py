"""Asks Jenkins for a rollback, and follows it to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from rollback_lib.core.errors import CheckError, InterruptedRunError, Problem, RefusedError, UsageError
from rollback_lib.core.jenkins import news
from rollback_lib.core.jenkins.answers import GOOD, Build, BuildStage, Question, QueueItem
from rollback_lib.ports import Clock, Jenkins

POLL: Final = 2.0  # seconds; the server forgets a queue item five minutes after it has left
QUEUE_PATIENCE: Final = timedelta(minutes=30)
BUILD_PATIENCE: Final = timedelta(hours=6)
Say = Callable[[str], None]


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
        if _of_request(server, job, request_id) is not None:  # the answer was lost, the request was not
            return Queued(job, request_id, 0)
        raise


def follow(server: Jenkins, asked: Queued, clock: Clock, say: Say, log: Say) -> Build:
    """Until the build has ended. Raises CheckError where it never starts, vanishes, or can no longer be followed.

    Neither that nor an interruption stops the build: only the following ends.
    """
    url = ""
    try:
        number = _started(server, asked, clock, say)
        found = server.build(asked.job, number)
        url = found.url if found else ""
        say(f"Build {number}: {url}")
        return _ended(server, asked.job, number, clock, say, log)
    except InterruptedRunError as stopped:
        where = f"the build goes on: {url}" if url else "the request stays in the queue of Jenkins"
        raise InterruptedRunError(f"{stopped} No longer following; {where}") from None
    except RefusedError as lost:
        raise CheckError(f"{lost} The build may go on all the same: {url or server.url}") from None


def _started(server: Jenkins, asked: Queued, clock: Clock, say: Say) -> int:
    until, why = clock.now() + QUEUE_PATIENCE, ""
    while clock.now() < until:
        item = server.queued(asked.item) if asked.item else QueueItem(gone=True)
        if item.cancelled:
            raise CheckError("the request was taken out of the queue before it began.")
        if item.build:
            return item.build
        if item.gone and (found := _of_request(server, asked.job, asked.request_id, asked.item)):
            return found.number
        if item.why and item.why != why:
            why = item.why
            say(f"In the queue: {why}")
        clock.sleep(POLL)
    raise CheckError(f"it did not start within {_minutes(QUEUE_PATIENCE)}: {why or 'the queue knows nothing of it'}")


def _of_request(server: Jenkins, job: str, request_id: str, item: int = 0) -> Build | None:
    return next(
        (
            b
            for b in server.recent(job)
            if b.parameters.get("REQUEST_ID") == request_id or (item and b.queue_id == item)
        ),
        None,
    )


def _ended(server: Jenkins, job: str, number: int, clock: Clock, say: Say, log: Say) -> Build:
    until: datetime = clock.now() + BUILD_PATIENCE
    stages: Sequence[BuildStage] = ()
    questions: Sequence[Question] = ()
    at = 0
    while True:
        found = server.build(job, number)
        part = server.log(job, number, at)
        if found is None or part is None:
            raise CheckError(f"build {number} of {job} was deleted while we followed it.")
        if part.text:
            log(part.text)
        at = part.next
        now, waiting = server.stages(job, number), server.questions(job, number)
        for line in (*news.of_stages(stages, now), *news.of_questions(questions, waiting, found.url)):
            say(line)
        stages, questions = now, waiting
        if not found.running and not part.more:
            return found
        if clock.now() >= until:
            raise CheckError(f"build {number} still runs after {_minutes(BUILD_PATIENCE)}: {found.url}")
        clock.sleep(POLL)


def _said(choices: Sequence[str]) -> str:
    return ", ".join(choice or "nothing" for choice in choices)


def good(build: Build) -> bool:
    """Whether Jenkins calls it a success."""
    return build.result == GOOD


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:.0f} minutes"
