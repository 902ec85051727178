"""Tells people while the run goes on: each notice once, in the background, and never so that it changes the run.

What was told stands in the journal, so that a stage in another process, and `resume`, know it. All that channels cost
together is less than 5 s, over all of a run's processes; a channel that failed is left alone until the last word
(`document`), and leaves some of the time to those that did not.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Final

from rollback_lib.collectors import run_record
from rollback_lib.core.errors import InterruptedRunError
from rollback_lib.core.plan.model import Plan
from rollback_lib.core.redact import short
from rollback_lib.core.report import notices
from rollback_lib.core.report.notices import Delivery, Notice
from rollback_lib.core.run.journal import Mark
from rollback_lib.core.run.records import Approval, Request
from rollback_lib.ports import Notifier, Ports, RunStore

ALL: Final = 3.5  # seconds of waiting, of 5: what sends is also loaded, in three of twelve processes, 0.3 s each
FOR_THE_LAST: Final = 1.5
SHARE: Final = 0.6  # of what is left before the last word: a channel that hangs does not use up the others' time
LAST: Final = "document"


class Notifications:
    """The notices of one process. Nothing here raises."""

    def __init__(self, run: RunStore, ports: Ports) -> None:
        self._run, self._ports = run, ports
        self._sent: dict[tuple[str, str], _Sending] = {}
        self._last = False

    def after(self, stage: str) -> None:
        """A stage has ended, well or not: tell whoever wants to know."""
        if (notifier := self._ports.notifier) is None:
            return
        with contextlib.suppress(Exception):
            self._last = stage == LAST
            self._tell(stage, notifier)

    def wait(self) -> None:
        """Give what is on its way its last seconds. What has not arrived then is said not to have."""
        pending = [sending for sending in self._sent.values() if not sending.over.is_set()]
        if not pending:
            return
        with contextlib.suppress(Exception):
            used = notices.waited(self._run.events())
            left = max(ALL - used, FOR_THE_LAST) if self._last else max(ALL - FOR_THE_LAST - used, 0.0) * SHARE
            if self._is_stopped():
                left = min(left, FOR_THE_LAST)
            began = time.monotonic()
            for sending in pending:
                sending.waiting_since = began
            for sending in pending:
                sending.over.wait(max(began + left - time.monotonic(), 0.0))
            for sending in pending:
                sending.end(Delivery(f"no answer in {left:.1f} s", unclear=True))

    def _is_stopped(self) -> bool:
        try:
            self._ports.clock.check()
        except InterruptedRunError:
            return True
        return False

    def _tell(self, stage: str, notifier: Notifier) -> None:
        run, ports = self._run, self._ports
        request, plan, events = run.get(Request), run.find(Plan), run.events()
        stands = run_record.stands(run)
        event = notices.event_after(stage, events, request, plan, stands, waiting=self._waits(request))
        if not event:
            return
        notice = notices.notice(event, request, plan, run.find(Approval), stands, run.place)
        for channel in notifier.channels(event):
            known = self._sent.get((notice.key, channel))
            on_its_way = known is not None and not known.over.is_set()
            if on_its_way or not notices.may_tell(events, notice.key, channel, last=self._last):
                continue
            self._sent[notice.key, channel] = sending = _Sending(run, ports, stage, channel, notice)
            threading.Thread(target=sending.send, args=(notifier,), daemon=True).start()

    def _waits(self, request: Request) -> bool:
        """Whether a person has to say yes to the plan."""
        given = self._ports.environ.get("ROLLBACK_APPROVED_HASH", "").strip()
        return not (request.yes or given or request.target_environment.approval == "auto")


class _Sending:
    """One notice on its way to one channel; it ends once."""

    def __init__(self, run: RunStore, ports: Ports, stage: str, channel: str, notice: Notice) -> None:
        self._run, self._ports, self._stage = run, ports, stage
        self._channel, self._notice = channel, notice
        self._lock = threading.Lock()
        self.over = threading.Event()
        self.waiting_since: float | None = None

    def send(self, notifier: Notifier) -> None:
        try:
            found = notifier.send(self._channel, self._notice, ALL)
        except Exception as error:  # its text may hold the address
            found = Delivery(f"{type(error).__name__}")
        with contextlib.suppress(Exception):
            self.end(found)

    def end(self, found: Delivery) -> None:
        """Journal and say how it ended; what comes second is not heard."""
        with self._lock:
            if self.over.is_set():
                return
            try:
                self._mark(found)
            finally:
                self.over.set()
        if found.error:
            self._ports.progress.say(
                f"  ! {self._channel} was not told ({self._notice.event}): {short(found.error, 200)}"
            )

    def _mark(self, found: Delivery) -> None:
        result: dict[str, Any] = {}
        if self.waiting_since is not None:
            result["waited"] = f"{time.monotonic() - self.waiting_since:.2f}"
        if found.unclear:
            result["unclear"] = "it may have arrived"
        self._run.append(
            Mark.NOT_TOLD if found.error else Mark.TOLD, self._stage, what=f"{self._channel}: {self._notice.event}",
            key=notices.mark_key(self._notice.key, self._channel), error=short(found.error, 200), result=result,
        )  # fmt: skip
