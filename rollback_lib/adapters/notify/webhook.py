"""Any address that takes a POST of JSON: the notice as it is, or the team's own body with the notice's words in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_lib.adapters.notify.post import post
from rollback_lib.core.notices import Delivery, Notice
from rollback_lib.core.notify_settings import Webhook, filled


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
        value = environ.get(variable, "").strip()
        if not value or not value.isascii() or not value.isprintable():
            return Delivery(f"{variable} is not set" if not value else f"{variable} cannot be a header's value")
        headers[name] = value
    return post(hook.url_env, body(notice, hook.body, announcement), environ, seconds, headers)
