"""The part of rollback.yaml that says who is told. Addresses are secrets: only names of variables that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from rollback_lib.core.errors import Problem

PLACEHOLDERS: Final = (
    "event", "title", "text", "next", "link", "application", "environment", "run", "from", "to", "code", "traffic",
    "announcement",
)  # fmt: skip
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")

Event = Literal["plan-ready", "refused", "started", "traffic-closed", "done", "failed", "traffic-still-closed"]
Variable = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The name of an environment variable, never its value.",
        extra={"means": "the name of an environment variable, such as SLACK_URL, never the address itself"},
    ),
]
Header = Annotated[
    str,
    msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", extra={"means": "the name of an HTTP header"}),
]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of ``notify:``."""

    def rules(self) -> Iterator[Problem]:
        yield from ()


class Channel(Part, frozen=True, kw_only=True):
    """One channel: the variable with its address, and which events it gets (default: all)."""

    url_env: Variable
    events: tuple[Event, ...] = ()

    def wants(self, event: str) -> bool:
        return not self.events or event in self.events


class Webhook(Channel, frozen=True, kw_only=True):
    """A POST of JSON. ``body`` is what is sent, with ``{title}`` and the like; ``headers``: name → variable."""

    body: Mapping[str, Any] | None = None
    headers: Mapping[Header, Variable] = {}

    def rules(self) -> Iterator[Problem]:
        yield from body_rules(self.body)


class Announce(Part, frozen=True, kw_only=True):
    """What users are told: ``text`` on our maintenance page and, when a rollback starts, at a status page's hook.

    ``over`` is for the hook, when it is done. Both are shown as they are written; placeholders stand in ``body``.
    """

    url_env: Variable | None = None
    text: str
    over: str = ""
    body: Mapping[str, Any] | None = None
    headers: Mapping[Header, Variable] = {}

    def rules(self) -> Iterator[Problem]:
        yield from body_rules(self.body)
        for key, given in (("over", self.over), ("body", self.body), ("headers", self.headers)):
            if given and self.url_env is None:
                fix = "url_env: the variable that holds its address"
                yield Problem("is for a status page's hook, and none is named", key=key, fix=fix)


class Notify(Part, frozen=True, kw_only=True):
    """Who is told. ``apprise`` is for everything else, e-mail included (``pip install apprise``)."""

    slack: Channel | None = None
    teams: Channel | None = None
    apprise: Channel | None = None
    webhooks: Mapping[str, Webhook] = {}

    def rules(self) -> Iterator[Problem]:
        for name in self.webhooks:
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name) or name in _TAKEN:
                yield Problem(f"{name!r} cannot be a webhook's name", key=f"webhooks.{name}", fix="such as pager")


_TAKEN: Final = ("slack", "teams", "apprise", "announce")


def body_rules(body: Mapping[str, Any] | None) -> Iterator[Problem]:
    """What is wrong with the placeholders of a body."""
    for text in _texts(body):
        for name in _PLACEHOLDER.findall(text):
            if re.fullmatch(r"[a-z]+", name) and name not in PLACEHOLDERS:
                fix = f"known: {', '.join('{' + k + '}' for k in PLACEHOLDERS)}"
                yield Problem(f"unknown placeholder {{{name}}}", key="body", fix=fix)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def filled(body: Any, values: Mapping[str, str]) -> Any:
    """The body with its placeholders replaced, as data: a value can close no quote."""
    if isinstance(body, str):
        return _PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), body)
    if isinstance(body, Mapping):
        return {key: filled(one, values) for key, one in body.items()}
    if isinstance(body, list | tuple):
        return [filled(one, values) for one in body]
    return body
