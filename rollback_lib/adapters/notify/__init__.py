"""The channels by which people are told: one module each, and which of them the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.adapters.notify import apprise, slack, teams, webhook
from rollback_lib.core.notices import DONE, STARTED, Delivery, Notice
from rollback_lib.core.notify_settings import Webhook
from rollback_lib.core.settings import Settings

ANNOUNCE: Final = "announce"


class Channels:
    """`Notifier`: what the settings name, with addresses from the environment."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._notify, self._announce, self._environ = settings.notify, settings.announce, environ

    def channels(self, event: str) -> Sequence[str]:
        named = {"slack": self._notify.slack, "teams": self._notify.teams, "apprise": self._notify.apprise}
        named |= self._notify.webhooks
        wanted = [name for name, channel in named.items() if channel is not None and channel.wants(event)]
        return (*wanted, *([ANNOUNCE] if self._announcement(event) else []))

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        notify = self._notify
        if channel == ANNOUNCE and (told := self._announce):
            hook = Webhook(url_env=told.url_env, body=told.body, headers=told.headers)
            return webhook.send(hook, notice, self._environ, seconds, self._announcement(notice.event))
        if channel == "slack" and notify.slack:
            return slack.send(notify.slack, notice, self._environ, seconds)
        if channel == "teams" and notify.teams:
            return teams.send(notify.teams, notice, self._environ, seconds)
        if channel == "apprise" and notify.apprise:
            return apprise.send(notify.apprise, notice, self._environ)
        return webhook.send(notify.webhooks[channel], notice, self._environ, seconds)

    def _announcement(self, event: str) -> str:
        """What users are told at this moment; empty for nothing."""
        if (told := self._announce) is None:
            return ""
        return {STARTED: told.text, DONE: told.over}.get(event, "")
