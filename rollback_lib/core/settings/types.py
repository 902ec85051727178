"""What the sections of rollback.yaml are made of: words with their meaning, durations, and rules beyond types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec

from rollback_lib.core import names
from rollback_lib.core.errors import Problem

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"^[1-9][0-9]{0,6}(ms|s|m|h)$"


def word(pattern: str, means: str) -> msgspec.Meta:
    """A text of one shape, with what is allowed in words."""
    return msgspec.Meta(pattern=pattern, description=means[0].upper() + means[1:] + ".", extra={"means": means})


Application = Annotated[str, word(names.SHORT_LABEL, names.SHORT_LABEL_MEANS)]
Label = Annotated[str, word(names.DNS_LABEL, names.DNS_LABEL_MEANS)]
ServiceOrAll = Annotated[str, word(r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$", 'a service, or "*" for all')]
EnvName = Annotated[str, word(names.ENV_NAME, names.ENV_NAME_MEANS)]
Duration = Annotated[str, word(_DURATION, "a number above 0 and its unit: ms, s, m or h, such as 30s or 5m")]
Number = Annotated[str, word(r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$", "a number, such as 0.05 or 250")]
HeaderName = Annotated[str, word(r"^[A-Za-z0-9-]{1,64}$", "a header's name, such as Accept")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Status = Annotated[int, msgspec.Meta(ge=100, le=599)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the file; ``rules`` gives what is wrong with it beyond its types, keys relative to it."""

    def rules(self) -> Iterable[Problem]:
        return ()


def seconds(text: str) -> float:
    """A duration of the file (`250ms`, `30s`, `5m`, `1h`) in seconds. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9]{1,7})(ms|s|m|h)", text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 30s or 5m")
    return int(found[1]) * _UNITS[found[2]]


def pattern_rules(pattern: str | None, key: str) -> Iterator[Problem]:
    """What is wrong with a regular expression."""
    if pattern is None:
        return
    try:
        re.compile(pattern)
    except re.error as error:
        yield Problem(f"{pattern!r} is not a regular expression ({error})", key=key, fix="Python's syntax")
    else:
        if not pattern or len(pattern) > 500:
            yield Problem("empty, or longer than 500 characters", key=key)


def url_rules(url: str | None, key: str) -> Iterator[Problem]:
    """What is wrong with an address that is asked. Credentials never belong into the file."""
    if url is None:
        return
    if re.match(r"https?://[^/?#]*@", url):
        text = "holds a user name or password, which belongs into the environment"
        yield Problem(text, key=key, fix="credentials: {Authorization: NAME_OF_A_VARIABLE}")
    elif not re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?([/?][^\s#\\]*)?", url):
        yield Problem(f"{url!r} is not an http address", key=key, fix="such as https://shop.example.com/health")
    elif not names.is_plain(url):
        yield Problem("holds characters that do not print", key=key)
