"""JSON byte for byte as Kubernetes writes it, which is as Go's ``encoding/json`` writes it.

The API server holds a value in a JSON patch's ``test`` against what it has as text: containers entry by entry, but a
string or number by its bytes (evanphx/json-patch, ``lazyNode.equal``). kubectl, too, compares the last-applied
annotation by its text. So both are written here, and only they: journal, ledger and plan hash hang on the bytes of
`run.canonical`, which stay as they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

_NAMED: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Escaped beside those: other control characters, what is not safe in HTML, and JavaScript's two line separators. A half
# of a surrogate pair cannot be stored at all: Go reads U+FFFD for it. All else, DEL too, stands as it is.
_ESCAPED: Final = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')
# What YAML does not take as it is, or reads as the end of a line, within quotes.
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\ufeff\ufffe\uffff]")
# Go before 1.22 writes these as \u0008 and \u000c. Which Go the server and kubectl were made with is not ours to know.
_VARIES: Final = re.compile("[\b\f]")
_INTEGERS: Final = range(-(2**63), 2**63)  # what is none of these is a float to Kubernetes


def encode(value: Any) -> bytes:
    """The value as Go writes it: sorted keys, no blanks. Raises ValueError for NaN and infinity, as Go does."""
    return _text(value).encode()


def in_yaml(value: Any) -> bytes:
    """The same, readable as YAML as well: kubectl reads the file of a JSON patch as YAML and writes it anew as Go does.

    (A YAML reader refuses DEL, takes U+0085 for the end of a line, and does not put surrogate pairs together.)
    """
    return _NOT_IN_YAML.sub(lambda m: f"\\u{ord(m[0]):04x}", _text(value)).encode()


def varies(value: Any) -> bool:
    """Whether versions of Go write this value in different bytes. (Keys are compared as they are read.)"""
    match value:
        case str():
            return bool(_VARIES.search(value))
        case Mapping():
            return any(map(varies, value.values()))
        case list() | tuple():
            return any(map(varies, value))
    return False


def _text(value: Any) -> str:
    match value:
        case str():
            return '"' + _ESCAPED.sub(_escape, value) + '"'
        case None | bool():
            return json.dumps(value)
        case int():
            return str(value) if value in _INTEGERS else _number(float(value))
        case float():
            return _number(value)
        case Mapping():
            return "{" + ",".join(f"{_text(str(k))}:{_text(value[k])}" for k in sorted(value)) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_text, value)) + "]"
    raise TypeError(type(value))


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return _NAMED.get(char) or f"\\u{ord(char):04x}"


def _number(value: float) -> str:
    """ES6's form, but for the exponent's sign and ``-0``."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no JSON number")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    text = repr(value)  # the shortest digits that read back, as Go has them
    if not 1e-6 <= abs(value) < 1e21:
        return text.replace("e-0", "e-")
    digits, _, exponent = text.partition("e")
    return _written_out(digits, int(exponent)) if exponent else digits.removesuffix(".0")


def _written_out(digits: str, exponent: int) -> str:
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    whole, _, part = digits.partition(".")
    if exponent < 0:
        return f"{sign}0." + "0" * (-exponent - 1) + whole + part
    return sign + (whole + part).ljust(exponent + 1, "0")
