"""Whether a text is made of plain words, as names are, and not of letters and digits that mean nothing to anybody."""

from __future__ import annotations

import re
from typing import Final

from rollback_lib.core.credentials import words

_VOWEL: Final = re.compile(r"(?i)[aeiouyáéíóúäöüàèâêîôû]")
_CLUSTER: Final = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{6,}")
_LONGEST: Final = 60
_CASES: Final = re.compile(r"[A-Z]{1,20}|[A-ZÑ]{0,4}[a-zñ]{1,20}(?:[A-Z]{1,4}[a-zñ]{1,20}){0,6}[A-Z]{0,4}")
_NUMBERED: Final = re.compile(
    r"[a-z]{1,5}\d{1,4}|[A-Z]{1,10}\d{1,3}|\d{1,4}[A-Za-z]{1,2}|v\d{1,4}(?:alpha|beta|rc)\d{1,3}"
)
_NO_VOWEL: Final = words(
    """
    https html pgsql rsync xhtml rdbms mssql lwjgl
    """
)
_KNOWN: Final = words(
    """
    utf8mb4 utf16le log4j2 slf4j x86_64 oauth2 base64 latin1 sha256 sha384 sha512 iso8859 log4j i18n l10n k8s h2db
    ipv4 ipv6 g1gc http2 es2020 es2022 postgres15 openjdk17 openjdk21 java17 java21 python3 redis7 node20 node18 mp3
    mp4 debian11 debian12 ubuntu22 ubuntu24 web3 e2e b2b b2c p95 p99 s3a argon2 argon2id
    rs256 hs256 es256 gpt4o a11y saml2 utf8 x64 x86
    """
)


def is_word(text: str) -> bool:
    """Whether a text without separators is a plain word, a number, or a short name with a number: ``web``, ``db01``."""
    if text.isdigit():
        return len(text) <= 15
    if text.lower() in _KNOWN or _NUMBERED.fullmatch(text):
        return True
    if len(text) > _LONGEST or not text.isalpha() or not _CASES.fullmatch(text):
        return False
    humps = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)
    if (len(humps) > 2 and sum(len(h) == 1 for h in humps) > 1) or (len(humps) > 1 and len(text) / len(humps) < 2.5):
        return False
    long = [h for h in humps if len(h) > 6]
    if len(text) > 4 and text.islower() and not _VOWEL.search(text) and text not in _NO_VOWEL:
        return False
    return not _CLUSTER.search(text) and all(_VOWEL.search(h) for h in long)


def is_name(text: str, separators: str = r"[-_.]") -> bool:
    """Words with separators between them, no more than a name has."""
    parts = [part for part in re.split(separators, text) if part]
    numbered = sum(not (p.isalpha() or p.isdigit()) and p.lower() not in _KNOWN for p in parts)
    return 0 < len(parts) <= 12 and numbered <= 2 and all(map(is_word, parts))
