"""Judging the answer to a smoke test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def judge(
    service: str, path: str, status: int, asked: Mapping[str, Any] | None, got: int, body: bytes
) -> tuple[str, bool]:
    """(a sentence, whether it is good). ``asked``: what the JSON body must contain; more is fine."""
    where = f"{service}{path}"
    if got == 0:
        return f"{where}: no answer.", False
    if got != status:
        return f"{where}: answered {got}, expected {status}.", False
    if asked:
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return f"{where}: answered {got}, but not with JSON.", False
        if not contains(found, asked):
            return f"{where}: answered {got}, but its JSON has not {msgspec.json.encode(asked).decode()}.", False
    return f"{where}: {got}, as expected.", True


def contains(found: Any, asked: Any) -> bool:
    """Whether ``found`` has everything that ``asked`` names."""
    if isinstance(asked, Mapping):
        return isinstance(found, Mapping) and all(k in found and contains(found[k], v) for k, v in asked.items())
    return bool(found == asked)
