"""Disturbances on purpose: chosen requests are delayed, refused, cut off or told that their token is no good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rollback_lib.sandbox.requests import Request, Target
from rollback_lib.sandbox.status import ApiError
from rollback_lib.sandbox.watching import Spoiled

WITHOUT_END: Final = {"drips": (1, 0.03), "endless": (1 << 16, 0.002)}  # bytes, and seconds between them
KINDS: Final = ("delay", "429", "503", "500", "reset", "reset-after", "truncated", "expired", *WITHOUT_END)
DENIED: Final = "denied"  # by a webhook: no trouble of the server, and its words are the test's own


@dataclass(frozen=True)
class Class:
    """What a request is, for choosing: `rollback_lib` patches `deployments` in a dry run."""

    client: str
    verb: str
    resource: str  # with its subresource; empty for what the server says about itself
    dry_run: bool
    stage: str = ""  # what the client is at; only who made the sandbox knows that
    namespace: str = ""
    name: str = ""


Chooses = Callable[[Class], bool]


@dataclass
class Fault:
    """One disturbance. `first` is the first matching request that it strikes, counted from 1; `times` how many then.

    `kind`: delay, 429 and 503 (with Retry-After), 500, reset (before anything is done), reset-after (done, and the
    connection is cut before the answer), truncated (done, and half of the answer is sent), drips and endless
    (done, and the answer never ends), expired (401).
    """

    chooses: Chooses
    kind: str
    times: int | None = 1  # None: for good
    first: int = 1
    seconds: float = 1.0  # the delay, or what Retry-After says
    said: str = ""  # of a webhook that denies
    seen: int = 0
    struck: int = 0
    over: threading.Event = field(default_factory=threading.Event)  # a delay ends before its time


class Faults:
    """The disturbances of one sandbox, and the classes of all requests that came.

    ``stage`` says what the client is at, for whoever chooses by that.
    """

    def __init__(self) -> None:
        self.stage: Callable[[], str] = str
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.classes: list[Class] = []

    def add(self, chooses: Chooses, kind: str, *, times: int | None = 1, first: int = 1, seconds: float = 1.0,
            said: str = "") -> Fault:  # fmt: skip
        if kind not in (*KINDS, DENIED):
            raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
        fault = Fault(chooses, kind, times, first, seconds, said)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            for fault in self._faults:
                fault.over.set()
            self._faults.clear()
            self.classes.clear()

    def classed(self, request: Request, verb: str, target: Target | None) -> None:
        """Strike if it is this request's turn."""
        plural = ""
        if target is not None:
            plural = target.resource.plural + (f"/{target.subresource}" if target.subresource else "")
        one = Class(
            request.agent, verb, plural, request.dry_run, self.stage(),
            target.namespace if target else "", target.name if target else "",
        )  # fmt: skip
        with self._lock:
            self.classes.append(one)
            striking = [f for f in self._faults if f.chooses(one) and self._turn(f)]
        for fault in striking:
            _strike(fault)

    @staticmethod
    def _turn(fault: Fault) -> bool:
        fault.seen += 1
        if fault.seen < fault.first or (fault.times is not None and fault.struck >= fault.times):
            return False
        fault.struck += 1
        return True


def _strike(fault: Fault) -> None:
    if fault.kind == "delay":
        fault.over.wait(fault.seconds)
    elif fault.kind == "429":
        raise ApiError(
            429, "Too many requests, please try again later.", headers={"Retry-After": f"{fault.seconds:.0f}"},
            details={"retryAfterSeconds": int(fault.seconds)},
        )  # fmt: skip
    elif fault.kind == "503":
        raise ApiError(
            503, "the server is currently unable to handle the request",
            headers={"Retry-After": f"{fault.seconds:.0f}"}, details={"retryAfterSeconds": int(fault.seconds)},
        )  # fmt: skip
    elif fault.kind == "500":
        raise ApiError(500, "Internal error occurred: a fault of the sandbox, made on purpose")
    elif fault.kind == DENIED:
        raise ApiError(403, f'admission webhook "policy.example.com" denied the request: {fault.said}')
    elif fault.kind == "expired":
        raise ApiError(401, "Unauthorized")
    elif fault.kind == "reset":
        raise Spoiled(reset=True)
    elif fault.kind == "truncated":
        raise Spoiled(truncate=True)
    elif fault.kind in WITHOUT_END:
        raise Spoiled(pieces=WITHOUT_END[fault.kind])
    elif fault.kind == "reset-after":
        raise Spoiled(reset=True, truncate=True)
