"""What is loaded in the background is never met half made."""

from __future__ import annotations

import threading

import pytest

from rollback_lib.adapters import loading
from rollback_lib.adapters.notify.post import post
from rollback_lib.core.report.notices import Delivery
from tests.fake_hook import FakeHook


def test_whoever_sends_waits_until_the_client_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, found = threading.Event(), list[Delivery]()
    monkeypatch.setattr(loading, "_load_client", lambda: loaded.wait(20))
    with FakeHook() as hook:
        loading.begin()
        senders = [
            threading.Thread(target=lambda: found.append(post("HOOK", {}, {"HOOK": hook.url}, 5))) for _ in range(3)
        ]
        for sender in senders:
            sender.start()
        senders[0].join(0.1)
        assert hook.got == []
        loaded.set()
        for sender in senders:
            sender.join()
        assert found == [Delivery()] * 3


def test_imports_are_one_at_a_time_and_one_that_fails_does_not_hold_up_the_next() -> None:
    with pytest.raises(ImportError), loading.alone():
        raise ImportError
    with loading.alone():
        pass
