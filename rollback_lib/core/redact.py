"""No secret leaves: what is shown, journalled or recorded goes through here first.

Exact files (``manifests/``, ``before/``) are the exception: they are what is applied, mode 0600, never archived.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

HIDDEN: Final = "[hidden]"
_WORDS: Final = (
    r"(?:passw(?:or)?d|passwd|pwd|passphrase|(?<![a-z])pass(?![a-z])|contrase(?:n|ñ)a|(?<![a-z])clave(?![a-z])|secret|"
    r"token|(?:api|private|access|account)[_-]?key|credential|credencial|authorization|cookie|session[_-]?id)"
)
_NAME: Final = (
    rf"(?=[\w.-]*?{_WORDS})"
    r"[\w.-]++"  # never given back: a long word from a log must not cost its length squared
)
# The value goes to its closing quote, escaped ones (JSON within JSON) passed over; a text that was cut has none.
_NAMED: Final = re.compile(
    rf"(?i)((?<![\w.-]){_NAME}(?:\\*[\"'])?\s*[:=]\s*)"
    r"(?:(?P<quote>\\*[\"'])(?:(?!(?P=quote))(?:\\.|[^\n\\]))*|[^\s\"',;&]+)"
)
# The end of a key whose beginning was cut away, and its middle: lines as wide as PEM has them. No digest looks so.
_PEM_END: Final = re.compile(r"(?:^[^\s]{0,80}\s?[A-Za-z0-9+/=]{16,76}\s*\n){0,200}[^\n]*-----END [A-Z ]+-----", re.M)
_PEM_LINE: Final = re.compile(r"(?<![A-Za-z0-9+/=])(?![0-9a-f]+(?![A-Za-z0-9+/=]))[A-Za-z0-9+/]{64}(?![A-Za-z0-9+/=])")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S)
_URL: Final = re.compile(r"(?i)(://)[^\s/@:]*:[^\s/]+@|(\bhttps?://)[^\s/@:]+@")
# Tokens whose makers gave them a shape to be found by: GitHub, GitLab, Slack, AWS, Stripe, Google, npm, PyPI, a JWT.
_SHAPED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[a-z]-[A-Za-z0-9-]{10,}|"
    r"(?:AKIA|ASIA)[A-Z0-9]{16}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}|"
    r"pypi-[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
# Addresses that are themselves the key: a chat's webhook, a signed link.
_SIGNED: Final = re.compile(r"(?i)(hooks\.slack\.com/\w+/|webhook\.office\.com/|[?&](?:sig|signature)=)[^\s\"'<>&]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SECRET_NAME: Final = re.compile(rf"(?i){_WORDS}")


def redact(text: str) -> str:
    """``text`` without values that look like credentials, and with control characters shown escaped."""
    text = _PEM.sub(HIDDEN, text)
    if "-----END " in text:
        text = _PEM_END.sub(HIDDEN, text)
    text = _PEM_LINE.sub(HIDDEN, text)
    text = _URL.sub(lambda m: f"{m[1] or m[2]}{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    text = _SHAPED.sub(HIDDEN, text)
    text = _SIGNED.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(lambda m: f"{m[1]}{m['quote'] or ''}{HIDDEN}", text)
    return visible(text)


def visible(text: str) -> str:
    """Control and direction characters escaped, so that text from outside cannot steer a terminal."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name is taken to hold a secret."""
    return bool(_SECRET_NAME.search(name))


LONGEST: Final = 4000  # characters of one text in a record or a notice
_LOOKED_AT: Final = 4 * LONGEST


def short(text: str, most: int = LONGEST) -> str:
    """``text`` redacted, as UTF-8 can say it, and cut. Cut again before redacting: a log may have a line of 10 MB."""
    text = text[: _LOOKED_AT + 1].encode("utf-8", "replace").decode("utf-8")
    if len(text) > _LOOKED_AT:  # what was cut in two may no longer look like the secret that it is
        text = text[:_LOOKED_AT].rpartition(" ")[0] or text[:_LOOKED_AT]
    text = redact(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def cleaned(value: T, kind: type[T]) -> T:
    """The same value with every text in it `short`."""
    return msgspec.convert(_cleaned(msgspec.to_builtins(value)), kind)


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return short(value)
        case dict():
            return {key: _cleaned(one) for key, one in value.items()}
        case list() | tuple():
            return [_cleaned(one) for one in value]
    return value
