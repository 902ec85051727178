"""Slack: an incoming webhook. Texts are escaped as Slack asks (&, <, >), so that none can mention, link or ping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollback_lib.adapters.notify.post import post
from rollback_lib.core.report.notices import Delivery, Notice
from rollback_lib.core.report.page import is_http
from rollback_lib.core.settings.notify import Channel


def body(notice: Notice) -> dict[str, Any]:
    """What is sent: one block of plain text that nothing is read into, and the address at its end."""
    link = f"<{_plain(notice.link)}>" if is_http(notice.link) else _plain(notice.link)
    text = _plain(notice.text)
    return {
        "text": _plain(notice.title),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": _plain(notice.title)[:150], "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": text[:2900], "emoji": False}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": link[:2900], "verbatim": True}]},
        ],
    }


def send(channel: Channel, notice: Notice, environ: Mapping[str, str], seconds: float) -> Delivery:
    return post(channel.url_env, body(notice), environ, seconds)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
