"""Addresses made of names: the one place where what comes from a repository or a cluster becomes part of a URL."""

from __future__ import annotations

from urllib.parse import quote

from rollback_lib.core.errors import RefusedError


def path(*segments: str) -> str:
    """A path of these segments. What means something in a URL is escaped in each, so that none leads elsewhere.

    Raises RefusedError for ``.`` and ``..``: nothing escapes those, and servers walk up by them.
    """
    if wrong := [s for s in segments if s in ("", ".", "..")]:
        raise RefusedError(f"{wrong[0]!r} cannot stand in an address, so nothing of that name was asked for.")
    return "".join(f"/{quote(s, safe='@:')}" for s in segments)


def of_kind(api_version: str, plural: str, namespace: str, name: str = "") -> str:
    """The API path of a collection, in a namespace unless that is empty, or of one object in it."""
    group, _, version = api_version.rpartition("/")
    start = ("apis", group, version) if group else ("api", version)
    where = ("namespaces", namespace) if namespace else ()
    return path(*start, *where, plural, *((name,) if name else ()))
