"""Judging the answer to a smoke test or to a step of a flow, and the values that a flow takes along."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from rollback_lib.core import encoding
from rollback_lib.core.evidence.findings import plain
from rollback_lib.core.settings.checks import Ask, Step
from rollback_lib.core.settings.types import seconds

NOT_ASKED: Final = "not-asked"  # the kind of a check that says nothing of its service


class Answered(msgspec.Struct, frozen=True):
    """What came back. ``status`` 0: nothing did, and ``problem`` says why. A command's exit code is 0 or not good.

    ``forbidden``: the API server does not let us ask, so it says nothing of the service.
    """

    status: int = 0
    body: bytes = b""
    headers: Mapping[str, str] = {}
    seconds: float = 0.0
    problem: str = ""
    forbidden: bool = False


def judge(asked: Ask, got: Answered) -> tuple[str, bool]:
    """(a sentence, whether it is good). What the answer says of itself is made harmless."""
    said = _wrong(asked, got)
    if said:
        return f"{asked.where}: {said}.", False
    what = "ran" if asked.command else str(got.status)
    return f"{asked.where}: {what}, as expected.", True


def _wrong(asked: Ask, got: Answered) -> str:
    if asked.command:
        if got.problem:
            return plain(got.problem, 200)
        return "" if _found(asked.body, got.body) else f"ran, but printed nothing like {asked.body!r}"
    if got.status == 0 and asked.within and got.seconds > seconds(asked.within):
        return f"no answer after {got.seconds:.1f} s, allowed are {asked.within}"
    if got.status == 0:
        return "no answer" + (f" ({plain(got.problem, 200)})" if got.problem else "")
    if got.status != asked.status:
        return f"answered {got.status}, expected {asked.status}"
    if asked.within and got.seconds > seconds(asked.within):
        return f"answered {got.status} after {got.seconds:.1f} s, allowed are {asked.within}"
    if asked.json:
        try:
            found = encoding.from_json(got.body)
        except encoding.NotJsonError:
            return f"answered {got.status}, but not with JSON"
        if not contains(found, asked.json):
            return f"answered {got.status}, but its JSON has not {msgspec.json.encode(asked.json).decode()}"
    lower = {name.lower(): value for name, value in got.headers.items()}
    for name, pattern in asked.header.items():
        if not re.search(pattern, lower.get(name.lower(), "")):
            return f"answered {got.status}, but its header {name} is not like {pattern!r}"
    return "" if _found(asked.body, got.body) else f"answered {got.status}, but its body is not like {asked.body!r}"


def _found(pattern: str | None, body: bytes) -> bool:
    return pattern is None or bool(re.search(pattern, body[:100_000].decode(errors="replace")))


def is_forbidden(status: int, body: bytes) -> bool:
    """Whether an answer through the API server is its own refusal of `pods/proxy`, and not a 403 of the pod's."""
    if status != 403:
        return False
    try:
        said = encoding.from_json(body)
    except encoding.NotJsonError:
        return False
    theirs = {"kind": "Status", "apiVersion": "v1", "reason": "Forbidden", "details": {"kind": "pods"}}
    return contains(said, theirs)


def contains(found: Any, asked: Any) -> bool:
    """Whether ``found`` has everything that ``asked`` names."""
    if isinstance(asked, Mapping):
        return isinstance(found, Mapping) and all(k in found and contains(found[k], v) for k, v in asked.items())
    return bool(found == asked)


def filled(step: Step, values: Mapping[str, str]) -> Step:
    """The step with captured values in the place of their names. In a path they are escaped as part of one."""
    send = step.send
    if send is not None:
        send = _filled_value(send, values)
    return msgspec.structs.replace(
        step, path=_filled_text(step.path, values, escape=True),
        url=_filled_text(step.url, values, escape=True) if step.url else step.url,
        headers={k: _filled_text(v, values) for k, v in step.headers.items()}, send=send,
    )  # fmt: skip


def captured(step: Step, got: Answered) -> dict[str, str] | str:
    """The values that a step captures from its answer; or what is missing there."""
    if not step.capture:
        return {}
    try:
        found = encoding.from_json(got.body)
    except encoding.NotJsonError:
        return "its answer is not JSON, so nothing can be captured"
    values = {}
    for name, path in step.capture.items():
        value = found
        for key in path.split("."):
            if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                value = value.get(key) if isinstance(value, Mapping) else None
        if value is None or isinstance(value, dict | list):
            return f"its answer has no {path} to capture"
        values[name] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return values


def _filled_text(text: str, values: Mapping[str, str], *, escape: bool = False) -> str:
    def value(found: re.Match[str]) -> str:
        given = values.get(found[1])
        if given is None:
            return found[0]
        return "".join(c if re.match(r"[A-Za-z0-9_.~-]", c) else _percent(c) for c in given) if escape else _line(given)

    return re.sub(r"\{([a-z][a-z0-9_]{0,30})\}", value, text)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


def _line(text: str) -> str:
    """A value that goes into a header must not begin another one."""
    return re.sub(r"[\x00-\x1f\x7f]", "", text)


def _filled_value(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _filled_text(value, values)
    if isinstance(value, Mapping):
        return {k: _filled_value(v, values) for k, v in value.items()}
    return [_filled_value(v, values) for v in value] if isinstance(value, list | tuple) else value
