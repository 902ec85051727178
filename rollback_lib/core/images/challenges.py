"""How a registry wants us to say who we are (``WWW-Authenticate``, RFC 9110). Pure; of any text at all, what reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from rollback_lib.core import encoding

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"?|([^,\s"]*))')
_SCHEME: Final = re.compile(rf"{_TOKEN}(?=[ \t,]|$)")


class Challenge(msgspec.Struct, frozen=True):
    """One way to log in. Upper and lower case are the same in ``scheme`` and in names: both are lower case here."""

    scheme: str
    parameters: Mapping[str, str] = {}


def challenges(header: str) -> tuple[Challenge, ...]:
    """All of them, in order; several headers come as one, with commas."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(header):
        if found and (said := _PARAMETER.match(header, at)):
            quoted = re.sub(r"\\(.)", r"\1", said[2] or "")
            found[-1][1].setdefault(said[1].lower(), quoted or said[3] or "")
        elif said := _SCHEME.match(header, at):
            found.append((said[0].lower(), {}))
        at = said.end() if said else at + 1
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def chosen(header: str) -> Challenge | None:
    """The one that we answer: a token before a password, as it is for this image and no other."""
    known = challenges(header)
    return next((c for scheme in ("bearer", "basic") for c in known if c.scheme == scheme), None)


def token(body: bytes) -> str:
    """The token in what a token server answered; empty where there is none that a header can hold."""
    try:
        said: _Tokens = encoding.from_json(body, _Tokens)
    except encoding.NotJsonError:
        return ""
    found = said.token or said.access_token or ""
    return found if found.isascii() and found.isprintable() else ""


class _Tokens(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
