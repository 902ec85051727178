"""Who looks on while requests are answered: nobody, unless whoever makes the sandbox gives somebody."""

from __future__ import annotations

from collections.abc import Callable

from rollback_lib.sandbox.requests import Request, Target

Ended = Callable[[int], None]
"""Called with the status of an answer before it is sent; -1 where the connection is reset instead."""


class Spoiled(Exception):
    """How the connection of a request is spoiled: cut, or half of the answer sent; both: cut once it is done.

    ``pieces``: the answer is followed by pieces of so many bytes, one in so many seconds, and never ends.
    """

    def __init__(
        self, *, reset: bool = False, truncate: bool = False, pieces: tuple[int, float] | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        self.reset, self.truncate, self.pieces = reset, truncate, pieces


class Watch:
    """Told of each request. This one looks away."""

    def began(self, request: Request) -> Ended:
        """A request is here."""
        return lambda status: None

    def asked(self, request: Request, verb: str, target: Target | None) -> None:
        """What it asks. May wait, and may raise `Spoiled`, or ApiError for an answer that is not the API's own."""

    def forget(self) -> None:
        """The sandbox has been brought back to an earlier state."""
