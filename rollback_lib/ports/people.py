"""Who watches, who says yes, and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from rollback_lib.core.plan.model import Plan
from rollback_lib.core.report.notices import Delivery, Lack, Notice


class Progress(Protocol):
    """What a person sees while a run goes on. Never fails a run."""

    def stage(self, stage: str) -> None: ...

    def say(self, text: str) -> None: ...

    def waiting(self, text: str) -> None:
        """What is waited for, now: on a terminal one line that changes, elsewhere a line every 30 s."""
        ...


class Approved(NamedTuple):
    """What somebody said to a plan. ``by`` is empty where it is whoever asks; ``how`` goes into the record."""

    yes: bool
    by: str = ""
    how: str = "terminal"


class Approver(Protocol):
    """A person at a terminal, or the program that called us, if there is one."""

    def ask(self, question: str) -> bool | None:
        """The answer; None where nobody can be asked."""
        ...

    def approve(self, plan: Plan, question: str, place: str) -> Approved | None:
        """What is said to the plan, which lies in ``place``; None where nobody can be asked."""
        ...


class Notifier(Protocol):
    """The channels by which people are told. Called from threads in the background; never raises."""

    def channels(self, event: str) -> Sequence[str]:
        """The channels that want this event, by name."""
        ...

    def lacking(self) -> Mapping[str, Sequence[Lack]]:
        """Every channel that the settings name, and what stands in its way as far as can be seen without sending."""
        ...

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        """Tell one channel, within about so many seconds. Never says an address: it may be a secret."""
        ...
