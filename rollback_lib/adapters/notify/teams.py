"""Microsoft Teams: the "When a Teams webhook request is received" trigger of a workflow, with an adaptive card.

Texts are text runs, in which nothing is Markdown (a TextBlock would read links and mentions into them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_lib.adapters.notify.post import post
from rollback_lib.core.report.notices import Delivery, Notice
from rollback_lib.core.report.page import is_http
from rollback_lib.core.settings.notify import Channel


def body(notice: Notice) -> dict[str, Any]:
    """What is sent."""
    colour = "Attention" if notice.bad else "Default"
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [_run(notice.title, weight="Bolder", size="Medium", color=colour), *map(_run, notice.lines),
                 _run(notice.next, weight="Bolder")],
    }  # fmt: skip
    if is_http(notice.link):
        card["actions"] = [{"type": "Action.OpenUrl", "title": notice.run, "url": notice.link}]
    else:
        card["body"].append(_run(notice.link))
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def send(channel: Channel, notice: Notice, environ: Mapping[str, str], seconds: float) -> Delivery:
    return post(channel.url_env, body(notice), environ, seconds)


def _run(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
