"""What a name from outside may look like, before it is put into a command, an address or a file name.

Plain patterns and nothing else, so that reading the command line stays cheap. All of them are anchored; use them with
``fullmatch`` (Python's ``$`` alone also matches before a last newline).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

# RFC 1123 labels as Kubernetes has them: names of namespaces and of most objects that we meet.
DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
DNS_LABEL_MEANS: Final = "lower-case letters, digits and '-', at most 63, starting and ending with a letter or digit"

# Short enough for `rollback-ledger-<application>-<environment>-<10 hex>` and for a label's 63 characters.
SHORT_LABEL: Final = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$"
SHORT_LABEL_MEANS: Final = "lower-case letters, digits and '-', at most 40, starting and ending with a letter or digit"

# apimachinery: an apiVersion is a version, or a group (a DNS subdomain) and a version; a kind is one word; a name and a
# namespace are one segment of an address. (What else a kind asks of a name is for the server to say.)
_GROUP: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?){0,60}"
API_VERSION: Final = rf"^(?:(?=[^/]{{1,253}}/){_GROUP}/)?[a-z](?:[-a-z0-9]{{0,61}}[a-z0-9])?$"
KIND: Final = r"^[A-Za-z](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?$"
_NAME_LIMIT: Final = 253

# What the API server accepts as the name of a container's environment variable (IsEnvVarName).
ENV_NAME: Final = r"^[A-Za-z_][-._A-Za-z0-9]*$"
ENV_NAME_MEANS: Final = "letters, digits, '_', '-' and '.', not starting with a digit"

# distribution/reference: a tag.
IMAGE_TAG: Final = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
IMAGE_TAG_MEANS: Final = "letters, digits, '_', '.' and '-', at most 128"

_TAG_NAME = re.compile(r"[A-Za-z0-9][\w./+-]*")
_TAG_LIMIT = 250  # bytes: a tag is a file's name in a clone
JOB_LIMIT: Final = 400  # characters of the full name of a Jenkins job


def is_label(text: str, pattern: str = DNS_LABEL) -> bool:
    return re.fullmatch(pattern, text) is not None


def is_object_name(name: str) -> bool:
    """Whether it is one segment of an address and of a file's name. (A placeholder may still stand in it.)"""
    return (
        name.isprintable() and name not in ("", ".", "..") and not {"/", "\\"} & set(name) and len(name) <= _NAME_LIMIT
    )


def is_run(text: str) -> bool:
    """Whether ``text`` can be a run's id: never an option, and legal at the end of a ConfigMap's name."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,198}[a-z0-9])?", text) is not None


def is_tag_name(text: str) -> bool:
    """Whether ``text`` can be a release's tag: never an option, a range or a path out of ``refs/tags``.

    Narrower than git (`git check-ref-format`): it must begin with an ASCII letter or digit and hold only word
    characters of any language and ``. / + -``.
    """
    if not _TAG_NAME.fullmatch(text) or len(text.encode("utf-8", "replace")) > _TAG_LIMIT:
        return False
    parts = text.split("/")
    return ".." not in text and all(p and p[0] != "." and p[-1] != "." and not p.endswith(".lock") for p in parts)


def is_plain(text: str) -> bool:
    """Whether every character prints: no control characters, line breaks, direction marks or lone surrogates."""
    return text.isprintable()


def is_loopback(host: str) -> bool:
    """Whether a host, or an IP address as addresses are written in URLs, is this machine by its name alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
