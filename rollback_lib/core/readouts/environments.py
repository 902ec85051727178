"""Which environment a path or a namespace speaks of: their names are known words, and prod is never another one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

_PROD: Final = ("production", "prod", "prd", "live")
_NOT_YET: Final = r"(?:pre|non|not)[-_.]?(?:production|prod|prd)"
_OTHERS: Final = (
    "development", "develop", "devel", "dev", "staging", "stage", "stg", "qa", "uat", "canary", "testing", "test",
    "tst", "integration", "int", "preview", "local", "sandbox", "acceptance", "acc", "ci", "pre", "minikube",
)  # fmt: skip
# Beside other words these say little: a service may be called test-runner, live-chat or local-cache.
_WEAK: Final = ("live", "test", "testing", "int", "integration", "local", "sandbox", "acc", "ci", "pre", "preview")
_NUMBER: Final = r"[0-9]{0,3}"


def _word(words: Iterable[str]) -> re.Pattern[str]:
    choice = "|".join([_NOT_YET, *words])
    return re.compile(rf"(?<![a-z0-9])(?:{choice}){_NUMBER}(?![a-z0-9])", re.IGNORECASE)


_ANY: Final = _word((*_PROD, *_OTHERS))
_STRONG: Final = _word(w for w in (*_PROD, *_OTHERS) if w not in _WEAK)


class Placed(msgspec.Struct, frozen=True):
    """The word in a path that names an environment, and the part of the path that it stands in."""

    word: str
    part: str
    folder: bool


def is_prod(name: str) -> bool:
    """Whether an environment of this name is production."""
    found = _ANY.search(name)
    return found is not None and re.match(_NOT_YET, found[0], re.I) is None and found[0].lower().startswith(_PROD)


def said_in(name: str) -> str:
    """The word for an environment in a name, such as a namespace's, in lower case; empty where there is none."""
    found = _ANY.search(name)
    return found[0].lower() if found else ""


def of_path(path: str, workloads: Iterable[str]) -> Placed | None:
    """What a path says; None where it speaks of none. A folder or file that is called as its workload is no word."""
    names = set(workloads)
    *folders, file = path.split("/")
    for part in folders:
        found = _ANY.fullmatch(part) or (None if part in names else _STRONG.search(part))
        if found:
            return Placed(found[0], part, folder=True)
    stem = file.rpartition(".")[0]
    found = _ANY.fullmatch(stem) or _STRONG.search(stem)
    if found and not (stem in names and found.start() == 0 and found.end() < len(stem)):
        return Placed(found[0], stem, folder=False)
    return None


def names_of(placed: Mapping[str, Placed]) -> dict[str, str]:
    """The environment of each of these paths: its word, or the whole folder where several have the same word."""
    folders: dict[str, set[str]] = {}
    for found in placed.values():
        if found.folder:
            folders.setdefault(found.word.lower(), set()).add(found.part)
    return {
        path: _name(found.part if found.folder and len(folders[found.word.lower()]) > 1 else found.word)
        for path, found in placed.items()
    }


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")


def templated(path: str, name: str) -> str:
    """A path with `{environment}` in place of the environment's name; as it is where it does not stand there so."""
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "{environment}", path, count=1)
