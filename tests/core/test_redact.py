"""No secret leaves, and looking for one never takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.redact import is_secret_name, redact

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        "DB_PASSWORD=hunter2",
        "db.password: hunter2",
        '{"token": "hunter2"}',
        "Authorization: Bearer hunter2hunter2",
        "https://me:hunter2@registry.example/v2",
        f"before {PEM.replace('MIIEow', 'hunter2')} after",
        "api_key='hunter2'",
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    assert "hunter2" not in redact(text)


LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE}\nqEnd9x==\n-----END PRIVATE KEY-----",
        f"pod/app: {LINE}",
        f"{LINE}\n{LINE}\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_key_whose_beginning_was_cut_away_is_hidden(text: str) -> None:
    assert LINE not in redact(text)


def test_a_digest_on_a_line_of_its_own_stays() -> None:
    for text in ("sha256:" + "a1" * 32, "0" * 64, "b2" * 32 + "\n"):
        assert redact(text) == text


def test_what_does_not_stays() -> None:
    text = "user-service: pod user-service-1 crashed 3 times, exit code 3; see https://example.com/x"
    assert redact(text) == text


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert redact("a\x1b[31mb\u202ec") == "a\\x1b[31mb\\u202ec"


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert "\x1b" not in redact(text)


@pytest.mark.parametrize("text", ["v1.1.0" * 46_500, "password" * 30_000, "abc.def-" * 40_000, "a" * 300_000])
def test_a_long_value_does_not_take_long(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 10


def test_names_of_secrets() -> None:
    assert is_secret_name("SPRING_DATASOURCE_PASSWORD")
    assert not is_secret_name("SPRING_PROFILES_ACTIVE")
