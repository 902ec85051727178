"""The channels by which people are told: one module each, and which of them the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rollback_lib.adapters import bounded
from rollback_lib.adapters.notify import apprise, slack, teams, webhook
from rollback_lib.core.report.notices import DONE, STARTED, Delivery, Lack, Notice
from rollback_lib.core.settings.model import Settings
from rollback_lib.core.settings.notify import Channel, Webhook

ANNOUNCE: Final = "announce"


class Channels:
    """`Notifier`: what the settings name, with addresses from the environment."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._notify, self._announce, self._environ = settings.notify, settings.announce, environ

    def channels(self, event: str) -> Sequence[str]:
        wanted = [name for name, channel in self._named().items() if channel.wants(event)]
        return (*wanted, *([ANNOUNCE] if self._announcement(event) else []))

    def lacking(self) -> Mapping[str, Sequence[Lack]]:
        named = self._named() | ({ANNOUNCE: hook} if (hook := self._hook()) else {})
        return {
            name: apprise.lacking(channel, self._environ)
            if name == "apprise"
            else webhook.lacking(channel, self._environ)
            for name, channel in named.items()
        }

    def send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        try:
            return bounded.within(seconds, lambda _: self._send(channel, notice, seconds))
        except TimeoutError:
            return Delivery(f"no answer in {seconds:.0f} s", unclear=True)

    def _send(self, channel: str, notice: Notice, seconds: float) -> Delivery:
        notify = self._notify
        if channel == ANNOUNCE and (hook := self._hook()):
            return webhook.send(hook, notice, self._environ, seconds, self._announcement(notice.event))
        if channel == "slack" and notify.slack:
            return slack.send(notify.slack, notice, self._environ, seconds)
        if channel == "teams" and notify.teams:
            return teams.send(notify.teams, notice, self._environ, seconds)
        if channel == "apprise" and notify.apprise:
            return apprise.send(notify.apprise, notice, self._environ)
        return webhook.send(notify.webhooks[channel], notice, self._environ, seconds)

    def _named(self) -> dict[str, Channel]:
        """The team's own channels."""
        named = {"slack": self._notify.slack, "teams": self._notify.teams, "apprise": self._notify.apprise}
        return {name: channel for name, channel in (named | dict(self._notify.webhooks)).items() if channel is not None}

    def _hook(self) -> Webhook | None:
        """The status page's hook, where the team has one."""
        if (told := self._announce) is None or told.url_env is None:
            return None
        return Webhook(url_env=told.url_env, body=told.body, headers=told.headers)

    def _announcement(self, event: str) -> str:
        """What users are told at the hook at this moment; empty for nothing."""
        if (told := self._announce) is None or told.url_env is None:
            return ""
        return {STARTED: told.text, DONE: told.over}.get(event, "")
