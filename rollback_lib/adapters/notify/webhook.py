"""Any address that takes a POST of JSON: the notice as it is, or the team's own body with the notice's words in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollback_lib.adapters.notify.post import address, post
from rollback_lib.core.report.notices import Delivery, Lack, Notice
from rollback_lib.core.settings.notify import Channel, Webhook, filled


def body(notice: Notice, template: Mapping[str, Any] | None, announcement: str = "") -> Any:
    """What is sent."""
    values = {
        "event": notice.event, "title": notice.title, "text": notice.text, "next": notice.next, "link": notice.link,
        "application": notice.application, "environment": notice.environment, "run": notice.run,
        "from": notice.release_from, "to": notice.release_to, "code": str(notice.code), "traffic": notice.traffic,
        "announcement": announcement,
    }  # fmt: skip
    if template is not None:
        return filled(template, values)
    return {"text": announcement} if announcement else values  # users are told nothing of how it is done


def send(hook: Webhook, notice: Notice, environ: Mapping[str, str], seconds: float, announcement: str = "") -> Delivery:
    headers = {}
    for name, variable in hook.headers.items():
        headers[name], problem = _header(variable, environ)
        if problem:
            return Delivery(problem)
    return post(hook.url_env, body(notice, hook.body, announcement), environ, seconds, headers)


def lacking(channel: Channel, environ: Mapping[str, str]) -> Sequence[Lack]:
    """What would keep this or any other address from being told, without asking it."""
    headers = channel.headers.values() if isinstance(channel, Webhook) else ()
    said = (address(channel.url_env, environ)[1], *(_header(variable, environ)[1] for variable in headers))
    return [Lack(problem) for problem in dict.fromkeys(said) if problem]


def _header(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """(the value that the variable holds, what is wrong with it)."""
    value = environ.get(variable, "").strip()
    if not value:
        return "", f"{variable} is not set"
    usable = value.isascii() and value.isprintable()
    return (value, "") if usable else ("", f"{variable} cannot be a header's value")
