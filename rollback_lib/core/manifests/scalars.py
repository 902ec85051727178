"""What a YAML scalar means to kubectl, and how to write text so that it stays text.

kubectl reads through sigs.k8s.io/yaml, that is goyaml v2 and then JSON; the rules here are those of its ``resolve.go``
and of ``convertToJSONableObject``, and are compared with a real kubectl in the tests. PyYAML's own resolver is not
used: it differs on ``=``, ``2024-01-01``, ``22:22``, ``0o555``, ``12e3``, ``08``, ``y`` and others.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal
from typing import Final

TAG: Final = "tag:yaml.org,2002:"
_RESOLVED: Final = frozenset(TAG + name for name in ("str", "bool", "int", "float", "null", "timestamp"))
_WORDS: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_HINTED: Final = frozenset("+-0123456789yYnNtTfFoO~.")
_INT: Final = re.compile(r"[-+]?(?:0[bB][01]+|0[oO]?[0-7]+|0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)\Z", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_DOT_FLOAT: Final = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?\Z")
_LATE_BINARY: Final = re.compile(r"(?:0b[-+]?|-0b)[01]+\Z")
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt][0-9:.]+(?:Z|[-+][0-9:]+))| [0-9:.]+)?\Z", re.ASCII
)
_INT64: Final = range(-(2**63), 2**63)
_UINT64: Final = range(2**64)
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_.$](?:[A-Za-z0-9/_.$@+~^=()-]|:(?=[A-Za-z0-9/_.$@+~^=()-]))*\Z")
_PLAIN_WORDS: Final = re.compile(r"[A-Za-z/_](?:[A-Za-z0-9/_.$@+~^=(),;'\"!?*&%<>-]|:(?=\S)|[ ](?=[^ #:-]))*\Z")

Scalar = str | int | float | bool | None


class NotReadError(ValueError):
    """kubectl refuses this scalar; the message says why."""


def _integer(text: str) -> int | None:
    """Go's ``ParseInt(text, 0, 64)``, then ``ParseUint``, then goyaml's own second look at ``0b``."""
    if _INT.match(text):
        digits = text.lstrip("+-")
        lower = digits[:2].lower()
        base = {"0b": 2, "0o": 8, "0x": 16}.get(lower)
        if base is None:
            base = 8 if len(digits) > 1 and digits[0] == "0" else 10
        else:
            digits = digits[2:]
        if base != 10 or len(digits) < 25:  # Python limits decimal digits; anything longer is no 64-bit number
            number = int(digits, base)
            number = -number if text[0] == "-" else number
            if number in _INT64 or (text[0] not in "+-" and number in _UINT64):
                return number
    if _LATE_BINARY.match(text):
        number = int(text.replace("0b", "", 1), 2)
        if number in _INT64:
            return number
    return None


def _resolve_untagged(text: str) -> Scalar:
    if text and text[0] not in _HINTED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        if _DOT_FLOAT.match(text):
            number = float(text.replace("_", ""))
            return text if math.isinf(number) else number
    elif text[0] in "+-0123456789":
        plain = text.replace("_", "")
        whole = _integer(plain)
        if whole is not None:
            return whole
        if _FLOAT.match(plain):
            number = float(plain)
            return text if math.isinf(number) else number
    return text


def resolve(text: str, tag: str | None, plain: bool) -> Scalar:
    """What goyaml v2 makes of a scalar, before JSON. Raises `NotReadError` where the tag and the text do not agree."""
    if not tag:
        return _resolve_untagged(text) if plain else text
    if tag == TAG + "binary":
        try:
            return base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            raise NotReadError("!!binary value contains invalid base64 data") from None
    if tag == TAG + "str" or tag not in _RESOLVED:
        return text
    value = _resolve_untagged(text)
    name = tag.removeprefix(TAG)
    if name == "timestamp":
        if _TIMESTAMP.match(text):
            return text
    elif name == "float" and type(value) is int and value in _INT64:
        return float(value)
    elif (type(value), name) in {(bool, "bool"), (int, "int"), (float, "float"), (type(None), "null")}:
        return value
    shown = text if len(text) <= 40 else text[:37] + "…"
    raise NotReadError(f"cannot read `{shown}` as !!{name}")


def as_json(value: Scalar) -> Scalar:
    """The number that is left after kubectl's way through JSON text: whole floats are integers, 2**63 is a float.

    Raises `NotReadError` for infinity and NaN, which JSON does not have.
    """
    if type(value) is int:
        return value if value in _INT64 else float(value)
    if type(value) is float:
        if not math.isfinite(value):
            raise NotReadError("infinity and NaN are not allowed in Kubernetes objects")
        if value.is_integer() and abs(value) < 1e21:
            whole = int(Decimal(repr(value)))  # Go writes the shortest digits, then zeros
            return whole if whole in _INT64 else value
    return value


def key(value: Scalar) -> str:
    """A mapping key as the JSON object has it. Raises `NotReadError` for the keys that kubectl refuses."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int) and value in _INT64:
        return str(value)
    if isinstance(value, float):
        return _float32(value)
    raise NotReadError("a mapping key must be text, a number or a boolean")


def _float32(value: float) -> str:
    """Go's ``FormatFloat(value, 'g', -1, 32)``."""
    if math.isnan(value):
        return ".nan"
    try:
        packed = struct.pack("f", value)
    except OverflowError:
        packed = struct.pack("f", math.copysign(math.inf, value))
    single: float = struct.unpack("f", packed)[0]
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    shortest = next(s for p in range(17) if struct.pack("f", float(s := f"{single:.{p}e}")) == packed)
    mantissa, _, exponent = shortest.partition("e")
    power = int(exponent)
    if power < -4 or power >= 6:
        return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return "-0" if shortest.startswith("-0") else format(Decimal(shortest).normalize(), "f")


def is_text_plain(text: str, *, flow: bool = False) -> bool:
    """Whether ``text``, written without quotes as a value, is read as this very string, in block or flow context."""
    if not (_PLAIN.match(text) or (not flow and _PLAIN_WORDS.match(text))):
        return False
    if text.startswith(("---", "...")) or "<<" in text or "=" in text[:1]:
        return False
    # Sexagesimals and dates are strings to kubectl, but not to most other readers of the same file.
    return isinstance(_resolve_untagged(text), str) and not re.match(r"[-+.0-9][-+.0-9_:eExXoObBTtZ]*\Z", text)


def quoted(text: str, style: str | None = None) -> str:
    """``text`` in single quotes if ``style`` is that and it can be, else in double quotes as JSON has them."""
    if style == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == " " or char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
