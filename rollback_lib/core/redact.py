"""No secret leaves: what is shown, journalled or recorded goes through here first.

Exact files (``manifests/``, ``before/``) are the exception: they are what is applied, mode 0600, never archived.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from rollback_lib.core.credentials import (
    LONGEST_NAME,
    MIXED,
    SHAPED,
    SIGNED,
    is_secret_name,
    is_short_word,
)

T = TypeVar("T")

HIDDEN: Final = "[hidden]"
# The end of a key whose beginning was cut away, and its middle: lines as wide as PEM has them. No digest looks so.
_PEM_END: Final = re.compile(r"(?:^[^\s]{0,80}\s?[A-Za-z0-9+/=]{16,76}\s*\n){0,200}[^\n]*-----END [A-Z ]+-----", re.M)
_PEM_LINE: Final = re.compile(r"(?<![A-Za-z0-9+/=])(?![0-9a-f]+(?![A-Za-z0-9+/=]))[A-Za-z0-9+/]{64}(?![A-Za-z0-9+/=])")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.S)
_SCHEME: Final = re.compile(
    r"(?i)\b(bearer|basic|negotiate|ntlm)\s+(?!(?-i:[a-z]+)(?![\w.~+/=-]))(?=[A-Za-z0-9._~+/=-]{8})[^\s\"',;]+"
)
# A user and password before a host; what follows a colon and goes on behind a slash is a port.
_URL: Final = re.compile(
    r"(://)(?!\[?[\w.-]{1,255}\]?:\d{1,5}(?:[/?#]|$))[^\s/@:\"'<>]*+:[^\s\"'<>]{1,500}@|"
    r"(?i:(\bhttps?://|\bgit://))[^\s/@:]{1,500}@"
)
_LOGIN: Final = re.compile(  # without a scheme: Go's MySQL DSN, user:password@host
    r"(?<![\w.:/@-])(?!(?:mailto|sips?|xmpp|acct|git|ssh|http|https|file):)([\w.-]{1,64}):[^\s\"'@/<>]{1,200}@"
    r"(?!sha(?:256|512):)(?=(?:tcp6?|unix|udp)?\(|localhost\b|\d{1,3}(?:\.\d{1,3}){3}\b|"
    r"[A-Za-z][\w-]{0,62}(?:(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]|:[\d\s]|/))"
)
_ORACLE: Final = re.compile(  # user/password@database
    r"(?i)((?:\b(?:thin|oci8?):|\b(?:sqlplus|sqlldr|(?:exp|imp)(?:dp)?)[ \t](?:-\w{1,10}[ \t]){0,3})"
    r"[ \t]{0,4}[\w.-]{1,64}/|"
    r"(?<![\w.:/@-])[\w.-]{1,64}/(?=[^\s/@]{1,200}@//))[^\s@]{1,200}@"
)
_JWK: Final = re.compile(  # its private members
    r"(\\*[\"'](?:d|p|q|dp|dq|qi|k)\\*[\"']\s{0,4}:\s{0,4}\\*[\"'])[\w+/=-]+"
)
_PGPASS: Final = re.compile(r"(?<!\S)([^\s:/]{1,255}:(?:\d{1,5}|\*):[^\s:/]{1,64}:[^\s:/]{1,64}:)\S+")
# Who takes a password by an option of one letter, glued to it or not.
_TOOL: Final = re.compile(
    r"\b(?:(?:mysql\w{0,20}|mariadb[\w-]{0,20}|sshpass|mongo\w{0,20}|7z|login)\b[^\n|;&]{0,300}?[\s\"',]-p|"
    r"redis-cli\b[^\n|;&]{0,300}?[\s\"',]-a|ldap\w{1,20}\b[^\n|;&]{0,300}?[\s\"',]-w|"
    r"openssl\b[^\n|;&]{0,300}?[\s\"',]-[kK]|\b(?:https?|xh)[ \t](?:-{1,2}[\w-]{1,20}[ \t]){0,5}-a(?=[ \t])|"
    r"\bvault[ \t]login(?=[ \t][^-])|\b(?:add_user|change_password)[ \t]{1,4}[\w.-]{1,64}|"
    r"(?:un)?zip\b[^\n|;&]{0,300}?[\s\"',]-P)(?:\\*[\"'],?\s{0,4},?\s{0,4}|[ \t]{1,4})?(?=[^\s,])"
)
# What is piped to who reads a password.
_PIPED: Final = re.compile(
    r"\b(?:echo|printf)[ \t]+(?=[^\n|]{1,200}\|[^\n|]{0,200}?(?:-stdin\b|chpasswd\b|with-token\b|sudo[ \t]+-S))"
)
_USER: Final = re.compile(
    r"((?<![\w-])(?:-u|-U|--(?:[\w-]{1,60}-)?user|stats[ \t]auth|credentials(?=[ \t]))[=\s\"',]{0,6}"
    r"[^\s:%\"',=]{1,100}[:%])"
    r"(?!//|\d+(?![^\s\"',]))[^\s\"',]+"
)
# `name = value` in any of the ways that languages and formats have.
_ASSIGNED: Final = re.compile(
    r"(?<![\w.-])(?P<name>(?:(?i:api|access|secret|private)[ \t](?=(?i:key)\b))?(?:[\w.]|-(?!>))++)"
    r"(?P<close>\\*[\"'`]\]?|%22|&(?:quot|apos|#3[49]);|\\{1,4}u00(?:22|27))?"
    r"(?P<is>[ \t]*+(?::=|=>|->|={1,3}|:(?!:)|%3[ADad])[ \t]*+)"
)
# `--name value`, `["--name", "value"]`, and what takes its value after a blank in some format of its own.
_SPACED: Final = re.compile(
    r"(?<![\w.-])(?:(?P<flag>-{1,2}[A-Za-z][\w.-]*+)(?:\\*[\"']\s{0,4},?\s{0,4}|[ \t]++|[ \t]*+\n[ \t]*+-[ \t]++)|"
    r"(?i:requirepass|masterauth|identified[ \t]{1,4}by|with[ \t]{1,4}password|"
    r"(?P<whose>(?:password|passphrase|contraseña|clave)[ \t]{1,4}(?:for|of|para|de)[ \t]{1,4}"
    r"[^\n]{1,100}?(?:=|:(?=[ \t])))|"
    r"(?:login|account)\s{1,4}\S{1,100}\s{1,4}password)\\*[\"']?[ \t,]++|"
    r"(?i:(?P<word>token|pass|(?-i:AUTH)|(?P<plain>[a-z][a-z0-9]{0,40}(?:_[a-z0-9]{1,40}){1,6}|(?:[\w-]{1,40}\.){0,4}"
    r"(?:password|passwd|passphrase|passcode|pwd|contrase[ñn]a|clave|"
    r"(?:api|access|secret|private|license|signing|encryption)[ \t_-]?key))))[ \t]++"
    r"(?:(?i:is|was|es|era|[^\W\d_]{3,20}:)[ \t]++)?"
    r"(?=[\"']?[A-Za-z_]*+[\d$%&@#*!^+~]|(?(plain)[\"'\[]\w|(?!))))(?=[^\s=:-])"
)
_PAIRED: Final = re.compile(  # a name in one field, its value in the next
    r"(?i)(?<![\w-])(?:name|key|id|property)\\*[\"']?\s{0,4}[:=]\s{0,4}\\*[\"']?(?P<name>[\w.-]{1,200}+)"
    r"\\*[\"']?[\s,;>]{0,40}(?:#[^\n]{0,200}\n\s{0,40})?\\*[\"'<]?(?:value|val|content)\\*[\"']?\s{0,4}[:=>]\s{0,4}"
)
_TAG: Final = re.compile(
    r"<(?P<tag>[\w:.-]{1,200}+)(?:\s[^<>]{0,200}?(?i:name|key)=[\"'](?P<name>[^\"'<>]{1,200})[\"'])?[^<>]{0,300}>"
    r"(?:<!\[CDATA\[)?(?=[^<])"
)
_QUOTED: Final = re.compile(
    r"(?P<quote>\\*[\"'`]|&(?:quot|apos|#3[49]);|\\{1,4}u00(?:22|27))(?:(?!(?P=quote))(?:\\.|[^\n\\]))*"
)
_TRIPLE: Final = re.compile(r"(?P<quote>\"{3}|'{3})(?:(?!(?P=quote)).){0,2000}", re.DOTALL)
_LIST: Final = re.compile(r"\[[^\[\]{}\n]*\]?")
_FIRST: Final = re.compile(r"[^\s\"',;&]+")
_WORD: Final = re.compile(r"[^\s\"']+")
_TEXT: Final = re.compile(r"[^<]+")
_LINE: Final = re.compile(r"[^\n]+")
_NEXT: Final = re.compile(r"(?P<block>[|>][-+0-9]{0,2})?[ \t]*\n(?P<indent>[ \t]+)(?![\w.-]+[ \t]*:(?:\s|$))(?=\S)")
_MORE: Final = re.compile(r"(?:\n[ \t]*(?=\n|$)|\n[ \t]+[^\n]*)+")
_HEADER: Final = re.compile(r"(?i)authorization|cookie")  # all of the line is the value
_PROSE: Final = re.compile(r"[a-z]{2,20}(?![^\s.,;:!?)])")
_LEAST: Final = 6  # characters of what only stands behind a word: "token 5 of 6"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

Span = tuple[int, int]


def redact(text: str) -> str:
    """``text`` without values that look like credentials, and with control characters shown escaped."""
    text = _PEM.sub(HIDDEN, text)
    if "-----END " in text:
        text = _PEM_END.sub(HIDDEN, text)
    text = _PEM_LINE.sub(HIDDEN, text)
    text = _URL.sub(lambda m: f"{m[1] or m[2]}{HIDDEN}@", text)
    text = _LOGIN.sub(lambda m: f"{m[1]}:{HIDDEN}@", text)
    text = _ORACLE.sub(rf"\1{HIDDEN}@", text)
    if "kty" in text:
        text = _JWK.sub(rf"\1{HIDDEN}", text)
    text = _PGPASS.sub(rf"\1{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    text = SIGNED.sub(rf"\1{HIDDEN}", text)
    text = SHAPED.sub(HIDDEN, text)
    text = MIXED.sub(HIDDEN, text)
    text = _USER.sub(rf"\1{HIDDEN}", text)
    for pattern, span in _NAMED:
        text = _without(text, pattern, span)
    return visible(text)


def _without(text: str, pattern: re.Pattern[str], span: Callable[[re.Match[str]], Span | None]) -> str:
    """The text without the values to which what the pattern finds leads."""
    parts, kept, at = [], 0, 0
    while found := pattern.search(text, at):
        where = span(found)
        if where and where[0] < where[1]:
            parts += [text[kept : where[0]], HIDDEN]
            kept = where[1]
        at = where[1] if where else found.end()
        at = max(at, found.end())
    return "".join((*parts, text[kept:])) if parts else text


def _value(text: str, at: int, plain: re.Pattern[str] = _FIRST) -> Span | None:
    """Where the value that begins here stands, within its quotes; what is an object has names of its own."""
    if quoted := _TRIPLE.match(text, at) or _QUOTED.match(text, at):
        return at + len(quoted["quote"]), quoted.end()
    found = None if text.startswith("{", at) else _LIST.match(text, at) or plain.match(text, at)
    return found.span() if found else None


def _assigned(found: re.Match[str]) -> Span | None:
    if not is_secret_name(found["name"][-LONGEST_NAME:]):
        return None
    text, at, sign = found.string, found.end(), found["is"]
    if sign.startswith((" :", ":")) and (below := _NEXT.match(text, at)):
        line = _LINE.match(text, below.end())
        assert line is not None
        more = _MORE.match(text, line.end()) if below["block"] else None
        return below.end(), (more or line).end()
    if _HEADER.search(found["name"]):
        before = text[found.start() - 1 : found.start()]
        if found["close"] is None and (line := _LINE.match(text, at)):
            end = text.find(before, at, line.end()) if before in ("'", '"') else -1
            return at, end if end >= 0 else line.end()
    is_first = not text[text.rfind("\n", max(0, found.start() - 200), found.start()) + 1 : found.start()].strip(
        " \t-#\"'"
    )
    if found["close"] is None and sign == ": " and is_short_word(found["name"]) and _PROSE.match(text, at):
        return None
    whole = is_first and sign != "=" and not sign.endswith(("=", ":"))
    return _value(text, at, _LINE if whole else _FIRST)


def _spaced(found: re.Match[str]) -> Span | None:
    if found["flag"] and not is_secret_name(found["flag"][-LONGEST_NAME:]):
        return None
    if found["plain"] and not is_secret_name(found["plain"]):
        return None
    if found["whose"] and found["whose"].endswith(":") and _PROSE.match(found.string, found.end()):
        return None
    where = _value(found.string, found.end())
    return None if where and found["word"] and where[1] - where[0] < _LEAST else where


def _paired(found: re.Match[str]) -> Span | None:
    return _value(found.string, found.end()) if is_secret_name(found["name"]) else None


def _tag(found: re.Match[str]) -> Span | None:
    name = found["name"] or found["tag"].rpartition(":")[2]
    value = _TEXT.match(found.string, found.end())
    return value.span() if value and is_secret_name(name) and value[0].strip() else None


_NAMED: Final = (
    (_PIPED, lambda found: (found.end(), found.string.index("|", found.end()))),
    (_TOOL, lambda found: _value(found.string, found.end(), _WORD)),
    (_SPACED, _spaced),
    (_PAIRED, _paired),
    (_TAG, _tag),
    (_ASSIGNED, _assigned),
)


def visible(text: str) -> str:
    """Control and direction characters escaped, so that text from outside cannot steer a terminal."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}" if ord(m[0]) < 256 else f"\\u{ord(m[0]):04x}", text)


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
