"""What a path, an image repository and an address in rollback.yaml may look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rollback_lib.core import names
from rollback_lib.core.errors import Problem

_REPOSITORY = r"^([A-Za-z0-9.-]+(:[0-9]{1,5})?/)?[a-z0-9{}_.-]+(/[a-z0-9{}_.-]+)*$"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def placeholder_rules(text: str, key: str, known: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the ``{placeholders}`` of a text."""
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            fix = f"known: {', '.join('{' + k + '}' for k in known)}" if known else "write the path itself"
            yield Problem(f"unknown placeholder {{{name}}}", key=key, fix=fix)
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        yield Problem(f"{text!r} has a brace without its other half", key=key)


def path_rules(path: str, key: str, known: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with a path in the repository."""
    yield from placeholder_rules(path, key, known)
    fix = "relative to the repository, such as k8s/{service}"
    if not path or not names.is_plain(path):
        yield Problem("empty, or with characters that do not print", key=key, fix=fix)
    elif "\\" in path:
        yield Problem("paths in git are written with '/'", key=key, fix=f"write {path.replace(chr(92), '/')}")
    elif path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        yield Problem("an absolute path", key=key, fix=fix)
    elif path.startswith(("-", ":")):
        yield Problem(f"begins with {path[0]!r}, which git would not take for a path", key=key, fix=fix)
    elif ".." in path.split("/"):
        yield Problem("leads out with '..'", key=key, fix=fix)


@lru_cache(maxsize=256)
def as_glob(pattern: str) -> re.Pattern[str]:
    """A glob of git's kind: ``*`` and ``?`` stay within a folder, ``**`` spans any number of them."""
    made = ""
    for piece in re.findall(r"\*\*/|\*\*|.", pattern):
        made += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return re.compile(made)


def repository_rules(repository: str) -> Iterator[Problem]:
    """What is wrong with the name of an image repository."""
    yield from placeholder_rules(repository, "repository", ("service",))
    last = repository.rpartition("/")[2]
    if ":" in last or "@" in last:
        text = "names a tag or digest, which the release decides"
        yield Problem(text, key="repository", fix=f"write {re.split('[:@]', repository)[0]!r}")
    elif not re.fullmatch(_REPOSITORY, repository):
        fix = 'lower case and no address scheme, such as "team/{service}"'
        yield Problem(f"{repository!r} is not an image repository", key="repository", fix=fix)


def url_problem(url: str) -> str:
    """What is wrong with a registry's address; empty if nothing is. Credentials never belong into the file."""
    found = re.fullmatch(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?(/[A-Za-z0-9._/-]*)?", url)
    if not found:
        if re.match(r"https?://[^/]*@", url):
            return "holds a user name or password, which belongs into the environment"
        return f"{url!r} is not an https address"
    scheme, host, port = found[1], found[2], found[3]
    if port is not None and not 1 <= int(port) <= 65535:
        return f"there is no port {port}"
    if scheme == "http" and not names.is_loopback(host):
        return "plain http is only for this machine; others could answer in its place"
    return ""
