"""Which values a person may see in a difference: those that are plainly harmless, by what they are made of.

By name first: what a secret's name stands for is hidden, even a number. Then by shape. What is left is shown only if
all of its parts are numbers, plain words, versions, hosts, paths, images, flags, times: whatever is none of these could
be a secret that nobody has given a shape, and is not shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollback_lib.core.credentials import is_secret_name, words
from rollback_lib.core.plain_words import is_name, is_word
from rollback_lib.core.redact import redact

_LONGEST: Final = 2000  # characters of a value that is looked at
_MOST_WORDS: Final = 5  # that follow each other with blanks between: a sentence, and no passphrase of a wallet

# -- what a value may be, without blanks

_NUMBER: Final = re.compile(
    r"[+-]?(?:\d{1,15}(?:[.,]\d{1,9})?|\.\d{1,9})(?:[eE][+-]?\d{1,3})?(?:%|[A-Za-zµ]{1,4}(?:/[a-z]{1,6})?)?|0x[0-9a-fA-F]{1,8}|#(?:[0-9a-fA-F]{3}){1,2}|"
    r"(?:\d{1,6}(?:\.\d{1,6})?(?:ns|us|ms|[smhdwy])){1,6}|P(?:\d{1,4}[YMWD]){0,4}(?:T(?:\d{1,6}(?:\.\d{1,6})?[HMS]){1,3})?|"
    r"[<>=~^!]{1,2}\d{1,15}(?:\.\d{1,9}){0,3}|\d{1,9}(?:[-:x/]\d{1,9}){1,3}"
)
_GROUPS: Final = re.compile(
    r"(?:[A-Za-z0-9]{4}[ -]){3,7}[A-Za-z0-9]{4}|(?:[A-Za-z0-9]{5}[ -]){2,5}[A-Za-z0-9]{5}"
)  # of a key
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?:Z|[+-]\d\d:?\d\d)?|\d\d?:\d\d(?::\d\d)?|"
    r"(?:UTC|GMT)[+-]\d\d?(?::?\d\d)?"
)
_VERSION: Final = re.compile(
    r"(?:[A-Za-z]{1,12}[-/]?)?[vV]?\d{1,8}(?:\.\d{1,8}){1,3}(?:\.?[-+~_]?(?P<rest>[A-Za-z0-9.+_-]{1,40}))?"
)
_CIDR: Final = re.compile(
    r"(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?::\d{1,5})?|\[?(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}\]?(?:/\d{1,3})?(?::\d{1,5})?"
)
_HOST: Final = re.compile(
    r"(?P<name>\*|(?:\*?\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?){0,8}\.?)(?::(?P<port>\d{1,5}|\*))?",
    re.IGNORECASE,
)
_LABELS: Final = 2  # of a host whose labels need not all be words, such as a cloud gives
_PATH: Final = re.compile(r"[~.]{0,2}/?[^\s:?#\"'|;&<>@=$`\\]{0,400}")
_DIGEST: Final = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_OF_CODE: Final = re.compile(
    r"(?i)commit|revision|(?:^|[_.-])(?:git|vcs|image)?[_.-]?sha\d*$|checksum|digest|config-hash|template-hash"
)
_REFERENCE: Final = re.compile(
    r"\$\([A-Za-z_][\w.-]{0,80}\)|\$\{[A-Za-z_][\w.]{0,80}\}|\$[A-Z_]{1,40}|%[a-z]|\{\w{1,40}\}"
)
_BRACED: Final = re.compile(r"\$\([A-Za-z_][\w.-]{0,80}\)|\$\{[A-Za-z_][\w.]{0,80}(?::-?[\w./-]{0,40})?\}")
_CRON: Final = re.compile(
    r"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly|reboot|every \w{1,12})|(?:TZ=\S{1,40} )?"
    r"(?:[-0-9*,/?LW#A-Z]{1,40}\s{1,3}){4,6}[-0-9*,/?LW#A-Z]{1,40}"
)
_MAIL: Final = re.compile(r"(?P<who>[\w.+-]{1,64})@(?P<host>[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})")
_URL: Final = re.compile(
    r"(?P<scheme>(?:[a-z][a-z0-9+.-]{1,20}:){1,3})//(?P<hosts>[^/?#;\s@]{0,500})(?P<path>/[^?#;\s]{0,500})?(?P<rest>[?#;][^\s]{0,1000})?"
)
_REGION: Final = re.compile(r"[a-z]{2,14}-(?:north|south|east|west|central){1,2}-?\d{1,2}-?[a-f]?")
_FORMAT: Final = re.compile(  # of a time, with its own letters, or as C's strftime has it
    r"(?:([yYuMdDEHhkKmsSaAzZXxG])\1{0,5}(?:[-/:., ]{1,2}|'\w{1,2}'|T|$)){2,10}|"
    r"(?:%[-#]?[A-Za-z](?:[-/:., ]{1,2}|T|$)){2,10}"
)
# What a logger's pattern has in the place of a value; what it is given holds no digit.
_CONVERSION: Final = re.compile(r"%-?\d{0,3}(?:\.-?\d{1,3})?[A-Za-z]{1,20}(?:\{[A-Za-z:., /'_-]{0,40}\})?")
_META: Final = re.compile(
    r"\[\^?[/.\w-]{1,6}\]|\(\?(?:[:=!]|P?<[a-z]{1,20}>)|\{\d,?\d?\}|\.[*+]|\\[./dwsb-]|[\^$()*+?]"
)
_PREFIXES: Final = words("classpath file optional env log jdbc h2 mem tcp unix urn vault")
_DEEPEST: Final = 8  # of values within values
_SIGNS: Final = re.compile(r"[-*+_.,:;/|!?=~#<>()\[\]{}%^&@]{1,3}")


def _is_host(text: str, name: str = "") -> bool:
    if _CIDR.fullmatch(text):
        return True
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    labels = found["name"].strip(".").split(".")
    if found["name"] == "*" or is_name(found["name"]):
        return bool(found["port"]) or len(labels) > 1 or found["name"] in ("*", "localhost")
    strange = [label for label in labels if not is_name(label)]
    tail = labels[-1].isalpha() and labels[-1].islower() and len(labels) > _LABELS
    return tail and len(strange) == 1 and text == text.lower() and len(strange[0]) <= 24 and is_word(labels[-2])


def _is_path(text: str) -> bool:
    if not _PATH.fullmatch(text):
        return False
    parts = [part for part in text.split("/") if part not in ("", ".", "..", "~")]
    return len(parts) <= 20 and all(_is_segment(p) for p in parts)


def _is_expression(text: str) -> bool:
    """A regular expression of paths: without its signs a path."""
    return text[:1] in ("^", "/") and len(text) <= 200 and _is_path(_META.sub("", text).replace("|", "/"))


def _is_segment(text: str) -> bool:
    inner = _REFERENCE.sub("", text).strip("*?{}[]()+,%")
    return not inner or is_name(inner, r"[-_.,*+~%]|\{|\}") or bool(_is_version(inner)) or _is_jar(inner)


def _is_jar(text: str) -> bool:
    name, _, version = text.rpartition("-")
    return bool(name) and is_name(name) and bool(_is_version(re.sub(r"\.[a-z]{1,5}$", "", version)))


def _is_version(text: str) -> bool:
    found = _VERSION.fullmatch(text)
    return found is not None and (
        not found["rest"] or is_name(found["rest"], r"[-_.+]") or bool(re.fullmatch("g?[0-9a-f]{7,12}", found["rest"]))
    )


_TAG: Final = re.compile(r"v?\d{1,5}(?!\d)|20\d{6}(?!\d)|[0-9a-f]{7,12}$")
_TAGS: Final = words(
    """
    latest stable alpine slim prod production dev develop edge main master nightly staging test canary debian
    bookworm bullseye buster jammy noble focal distroless nonroot debug
    """
)


def _is_image(text: str) -> bool:
    """``registry:5000/team/web:v1@sha256:…``; without a digest, a tag or a folder it is only a word."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return False
    repository, colon, tag = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "")
    if colon and not (
        is_name(tag) or _is_version(tag) or _is_jar(tag) or re.fullmatch(r"[a-z]{0,8}-?[0-9a-f]{7,12}", tag)
    ):
        return False
    host, slash, path = repository.partition("/")
    if tag and not slash and not (_TAG.match(tag) or _TAGS & {*re.split(r"[-_.]", tag)}):
        return False  # else any `user:password` would be an image
    if slash and not (_is_host(host) or is_name(host)):
        return False
    return (
        repository == repository.lower()
        and all(is_name(p) for p in (path or host).split("/") if p)
        and bool(repository)
    )


def _is_url(text: str) -> bool:
    found = _URL.fullmatch(text)
    if not found:
        return False
    hosts = [h for h in found["hosts"].split(",") if h]
    if not all(
        _is_host(h)
        or is_name(h)
        or _REFERENCE.fullmatch(re.sub(r":\d+$", "", h))
        or not _REFERENCE.sub("", h).strip(".-:0123456789")
        for h in hosts
    ):
        return False
    if found["path"] and not all(_is_path(p) for p in found["path"].split(",")):
        return False
    rest = found["rest"] or ""
    return all(_is_pair(part) for part in re.split(r"[?&;#]", rest) if part)


def _is_pair(text: str) -> bool:
    """``name=value``, the name no secret's; a name alone too."""
    name, sign, value = text.partition("=")
    plain = is_name(name.strip(), r"[-_./:\[\]]") and not (sign and is_secret_name(name))
    return plain and (not value or _is_list(value.strip(), name))


def _is_item(text: str, name: str = "") -> bool:
    """Whether a text without blanks is harmless. ``name``: of what it is the value."""
    text = _unquoted(text)
    if "${" in text or "$(" in text:  # what stands there is told nowhere
        text = _BRACED.sub("x", text)
    if not text or _REFERENCE.fullmatch(text) or _SIGNS.fullmatch(text):
        return True
    if _NUMBER.fullmatch(text) or _TIME.fullmatch(text) or _is_version(text) or _DIGEST.fullmatch(text):
        return True
    if _COMMIT.fullmatch(text) and _OF_CODE.search(name):
        return True
    if is_name(text, r"[-_./]") or _is_host(text) or _is_path(text) or _is_image(text) or _is_url(text):
        return True
    if _REGION.fullmatch(text) or _is_expression(text):
        return True
    if (found := _MAIL.fullmatch(text)) and is_name(found["who"], r"[-_.+]") and _is_host(found["host"]):
        return True
    prefix, _, rest = text.partition(":")
    if prefix == "arn":
        return is_name(rest, r"[-_./:*]")
    return bool(rest) and text.count(":") <= _DEEPEST and prefix in _PREFIXES and _is_item(rest, name)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`" else text


def _is_list(text: str, name: str = "") -> bool:
    """One item, or several with commas, semicolons, or colons of a search path between them; each may have a name."""
    if _is_item(text, name):
        return True
    for sign in (",", ";", "|", ":" if text.startswith("/") else ""):
        if sign and sign in text:
            return all(_is_list(part, name) for part in text.split(sign))
    return 0 < text.count("=") <= _DEEPEST and _is_pair(text)


# -- flags

# A letter and what it is given at once: a password more often than a port (`-pX`), unless the rest is a number.
_FLAG: Final = re.compile(
    r"(?P<dashes>-{1,2})(?P<name>[A-Za-z0-9][\w.-]{0,100})(?P<sign>[=:])?(?P<value>.*)", re.DOTALL
)
_LETTERS: Final = "pPaAwWuUkKsSx"  # options of one letter that take a password, a user with one, or a key somewhere
_NEVER: Final = frozenset(("p", "a", "w", "u", "U", "P", "k", "user", "proxy-user", "key", "license"))
_GO_FLAGS: Final = words(
    """
    port path prod proxy parallel profile profiles pprof plugin plugins print prefix pid pidfile period ping policy
    pool poll protocol provider public peer peers all addr address alpha async audit user users url urls use ui
    update server servers service services source sync stats stdout stderr size sleep script strict start stop watch
    web workers wait write kubeconfig keepalive kind kill server silent skip ssl
    """
)
_JAVA: Final = re.compile(
    r"-X(?:m[snx]|ss|mx|ms)\d{1,6}[kKmMgGtT]?|-XX:[+-]?[A-Za-z0-9]{2,80}(?:=[\w.,:/%+-]{0,200})?|-X[a-z]{2,20}(?::[\w:.,=*/-]{0,100})?|-(?:ea|da|esa|dsa)|"
    r"-(?:javaagent|agentlib|agentpath):[\w./=,:*-]{1,200}"
)


def _is_flag(text: str) -> bool | None:
    """Whether a word that begins with a dash is harmless; None: only if what follows is."""
    if _JAVA.fullmatch(text):
        return redact(text) == text
    if text.startswith("-D") and "=" in text:
        return _is_pair(text[2:])
    found = _FLAG.fullmatch(text)
    if not found:
        return bool(_SIGNS.fullmatch(text)) or bool(_NUMBER.fullmatch(text))
    name, value = found["name"], found["value"]
    if found["dashes"] == "-" and not found["sign"] and name[0] in _LETTERS and len(name) > 1:
        rest = name[1:] + value
        if not rest.isdigit() or len(rest) > 5:
            return name in _GO_FLAGS or re.split(r"[-_.]", name)[0] in _GO_FLAGS
        return True
    if not found["sign"]:
        return not value and is_name(name)
    return is_name(name) and not is_secret_name(name) and _is_of(name, value) and _is_list(value, name)


def _is_after(flag: str, text: str) -> bool:
    """Whether what follows a flag, or a bare name, may be shown for what stands before it."""
    name = flag.lstrip("-")
    if "=" in name or text.startswith("-"):
        return True
    return not is_secret_name(name) and (flag == name or _is_of(name, text))


def _is_of(name: str, text: str) -> bool:
    """Whether a flag of this name may have this value: some take a secret as often as a number, a path or a user."""
    login = re.split(r"[-_.]", name)[-1] in ("u", "user", "U")
    user = login and (is_word(text) or is_name(text, r"[-_.@]"))
    return not (login or name in _NEVER) or user or bool(_NUMBER.fullmatch(text)) or ("/" in text and _is_path(text))


def _are_words(words: Sequence[str]) -> bool:
    before = ""
    for word in words:
        bare = _unquoted(word)
        if before and not _is_after(before, bare):
            return False
        if bare.startswith("-") and len(bare) > 1:
            if not _is_flag(bare):
                return False
        elif not _is_list(bare.strip("()[]") or bare):
            return False
        before = bare
    return True


# -- the two questions


def is_harmless(text: str, name: str = "") -> bool:
    """Whether a value may be shown. ``name``: of the variable, key or annotation that it is the value of."""
    if len(text) > _LONGEST or (name and is_secret_name(name)) or redact(text) != text:
        return False
    text = text.strip()
    if _GROUPS.fullmatch(text):
        return False
    if text.startswith("-") and len(text.split()) == 1 and not _NUMBER.fullmatch(text):
        return bool(_is_flag(text))
    if not text or _CRON.fullmatch(text) or _FORMAT.fullmatch(text) or _is_list(text, name) or _TIME.fullmatch(text):
        return True
    if "\n" in text:
        return False
    text = _CONVERSION.sub("x", text)
    if text[0] == "{" or (text[0] == "[" and text[-1] == "]"):
        return _is_json(text)
    words = text.split()
    plain = sum(w.isalpha() for w in words)
    return len(words) <= 60 and (plain <= _MOST_WORDS or plain < len(words) / 2) and _are_words(words)


def harmless_arguments(words: Sequence[Any]) -> list[bool]:
    """Of each argument of a command whether it may be shown, after what stands before it."""
    found, before = [], ""
    for word in words:
        text = str(word)
        if " " in text.strip() or not text.startswith("-"):
            mine = is_harmless(text)
        else:
            mine = redact(text) == text and bool(_is_flag(text))
        found.append(mine and (not before or _is_after(before, text)))
        before = text if " " not in text else ""
    return found


def _is_json(text: str) -> bool:
    try:
        return _are_plain(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _are_plain(value: Any, name: str = "") -> bool:
    match value:
        case Mapping():
            return all(is_name(str(k), r"[-_./]") and _are_plain(v, str(k)) for k, v in value.items())
        case list():
            return all(_are_plain(v, name) for v in value)
        case str():
            return is_harmless(value, name)
    return not (name and is_secret_name(name))
