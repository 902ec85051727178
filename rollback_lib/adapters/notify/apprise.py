"""Everything else, e-mail included, through the optional library apprise: its addresses, separated by blanks."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollback_lib.adapters import loading
from rollback_lib.core.report.notices import Delivery, Lack, Notice
from rollback_lib.core.settings.notify import Channel

_NOT_THERE: Final = "the library is not installed"
_INSTALL: Final = "pip install apprise"


def lacking(channel: Channel, environ: Mapping[str, str]) -> Sequence[Lack]:
    """What would keep it from telling anybody."""
    found = [] if environ.get(channel.url_env, "").split() else [Lack(f"{channel.url_env} is not set")]
    return found if _library() else [*found, Lack(_NOT_THERE, f"Run `{_INSTALL}`.")]


def send(channel: Channel, notice: Notice, environ: Mapping[str, str]) -> Delivery:
    """Tell all of them; apprise has time limits of its own."""
    addresses = environ.get(channel.url_env, "").split()
    if not addresses:
        return Delivery(f"{channel.url_env} is not set")
    if (apprise := _library()) is None:
        return Delivery(f"{_NOT_THERE}: {_INSTALL}")
    logging.getLogger("apprise").disabled = True  # it logs addresses
    told = apprise.Apprise()
    for number, address in enumerate(addresses, 1):
        good = False
        with contextlib.suppress(Exception):
            good = told.add(address)
        if not good:
            return Delivery(f"address {number} in {channel.url_env} is none that apprise knows")
    kind = apprise.NotifyType.FAILURE if notice.bad else apprise.NotifyType.INFO
    body = f"{notice.text}\n{notice.link}"
    good = told.notify(title=notice.title, body=body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
    return Delivery() if good else Delivery("at least one address was not reached")


def _library() -> Any:
    """The library; None where it is not there, or does not load."""
    try:
        with loading.alone():
            import apprise
    except Exception:  # of whatever kind: no channel may stop anything
        return None
    return apprise
