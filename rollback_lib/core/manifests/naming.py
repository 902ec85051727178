"""Where the files of a release name an object, whatever kind of file it is: a template, another folder, another tool's.

It looks for the name as the whole value of a key with "name" in it (``name: api``, ``"serviceName": "api"``,
``nameOverride = 'api'``). One too many keeps an object that might have gone; one too few would delete what is in use.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from rollback_lib.core.encoding import NotTextError, decode

_BEFORE = r"""(?i:name(?!space))[\w-]*["'`]?\s*[:=>]\s*(?:[&!][^\s,]*\s+)*(?:[|>][-+0-9]{0,2}\s*\n\s*)?["'`]?"""
_AFTER = r"""(?=["'`]?\s*(?:[\r\n,;}\])#<{]|$))"""


def named(names: Collection[str], texts: Mapping[str, bytes]) -> dict[str, str]:
    """The first file, by its name, that names each of these; those that none names are not in it."""
    found: dict[str, str] = {}
    for file in sorted(texts):
        data = texts[file]
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        missing = [n for n in names if n not in found and (wide or n.encode() in data)]
        if not missing:
            continue
        text = _text(data)
        found |= {n: file for n in missing if re.search(_BEFORE + re.escape(n) + _AFTER, text)}
    return found


def _text(data: bytes) -> str:
    """As it is meant, as far as it says so; every other byte as one character."""
    try:
        return decode(data).text
    except NotTextError:
        return data.decode("latin-1")
