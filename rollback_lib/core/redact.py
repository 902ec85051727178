"""No secret leaves: what is shown, journalled or recorded goes through here first.

Exact files (``manifests/``, ``before/``) are the exception: they are what is applied, mode 0600, never archived.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "[hidden]"
_WORDS: Final = r"(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|private[_-]?key|credential|authorization)"
_NAME: Final = (
    rf"(?=[\w.-]*?{_WORDS})"
    r"[\w.-]++"  # never given back: a long word from a log must not cost its length squared
)
# The value goes to its closing quote, escaped ones (JSON within JSON) passed over; a text that was cut has none.
_NAMED: Final = re.compile(
    rf"(?i)((?<![\w.-]){_NAME}(?:\\*[\"'])?\s*[:=]\s*)"
    r"(?:(?P<quote>\\*[\"'])(?:(?!(?P=quote))(?:\\.|[^\n\\]))*|[^\s\"',;&]+)"
)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S)
_URL: Final = re.compile(r"(?i)(://)[^\s/@:]*:[^\s/]+@|(\bhttps?://)[^\s/@:]+@")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SECRET_NAME: Final = re.compile(rf"(?i){_WORDS}")


def redact(text: str) -> str:
    """``text`` without values that look like credentials, and with control characters shown escaped."""
    text = _PEM.sub(HIDDEN, text)
    text = _URL.sub(lambda m: f"{m[1] or m[2]}{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _NAMED.sub(lambda m: f"{m[1]}{m['quote'] or ''}{HIDDEN}", text)
    return visible(text)


def visible(text: str) -> str:
    """Control and direction characters escaped, so that text from outside cannot steer a terminal."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is taken to hold a secret."""
    return bool(_SECRET_NAME.search(name))
