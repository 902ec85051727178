"""Bytes of a file that a person keeps → text, and back; and JSON that others wrote → values."""

from __future__ import annotations

import codecs
from typing import Any, Final, Literal

import msgspec

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be"]
_MARKS: Final[dict[Encoding, bytes]] = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
_UTF_32: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


class Text(msgspec.Struct, frozen=True):
    """A file's text without its byte order mark, and what is needed to give the same bytes back."""

    text: str
    encoding: Encoding = "utf-8"
    bom: bool = False


class NotTextError(Exception):
    """The bytes are in no encoding that is read here. ``line`` and ``column`` (from 1) are 0 where nobody can say."""

    FIX: Final = "Save it as UTF-8 (in PowerShell: Out-File -Encoding utf8)."

    def __init__(self, text: str, line: int = 0, column: int = 0) -> None:
        super().__init__(text)
        self.text, self.line, self.column = text, line, column


def decode(data: bytes) -> Text:
    """UTF-8, or UTF-16 that says so with a byte order mark (Windows PowerShell's ``>`` writes that).

    Raises `NotTextError` for anything else: guessing turns ñ into something that looks right.
    """
    if data.startswith(_UTF_32):
        raise NotTextError("not UTF-8 but UTF-32")
    encoding = next((e for e, mark in _MARKS.items() if data.startswith(mark)), None)
    mark = _MARKS[encoding] if encoding else b""
    try:
        text = data[len(mark) :].decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding in ("utf-16-le", "utf-16-be"):
            raise NotTextError("not UTF-8, and broken as UTF-16") from None
        at = error.start + len(mark)
        line, column = data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
        raise NotTextError(f"not UTF-8 (byte 0x{data[at]:02x})", line, column) from None
    if (at := text.find("\0")) >= 0:
        said = "not UTF-8: it holds NUL bytes, as UTF-16 without a byte order mark does"
        raise NotTextError(said, text.count("\n", 0, at) + 1)
    return Text(text, encoding or "utf-8", bool(mark))


def encode(text: Text) -> bytes:
    """The bytes that `decode` was given."""
    return (_MARKS[text.encoding] if text.bom else b"") + text.text.encode(text.encoding)


class NotJsonError(ValueError):
    """What somebody answered is no JSON, or of another shape than it has to be. The text says which."""


def from_json(data: bytes | str, kind: Any = Any) -> Any:
    """What others wrote, as a value of this type. Raises NotJsonError, whatever it is."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise NotJsonError(f"is of another shape ({error})") from None
    except (ValueError, RecursionError):  # cut off, not UTF-8, nested without an end
        raise NotJsonError("is not JSON, or is cut off") from None
