"""No secret leaves, and looking for one never takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.credentials import is_secret_name
from rollback_lib.core.redact import redact

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
        "MYSQL_PASS=hunter2",
        "contraseña: hunter2",
        "Clave=hunter2;",
        "AccountKey=hunter2;EndpointSuffix=core.example",
        "Cookie: JSESSIONID=hunter2",
        "passphrase=hunter2",
        "https://hooks.slack.com/services/T0/B0/hunter2",
        "https://x.example/a?sv=1&sig=hunter2&se=2",
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    assert "hunter2" not in redact(text)


@pytest.mark.parametrize(
    "token",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "a1B2" * 5,
        "xoxb-123456789012-abcdef",
        "AKIA" + "A1B2" * 4,
        "sk_live_" + "a1B2" * 6,
        "AIza" + "a1B2c" * 7,
        "npm_" + "a1B2" * 9,
        "pypi-" + "AgEI" * 9,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
@pytest.mark.parametrize("around", ["{}", "GREETING={}", 'value: "{}"', "said {} twice"])
def test_a_token_of_a_known_shape_is_hidden_whatever_it_is_called(token: str, around: str) -> None:
    assert token not in redact(around.format(token))
    assert redact(around.format("x")) == around.format("x")


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
    for text in (
        "user-service: pod user-service-1 crashed 3 times, exit code 3; see https://example.com/x",
        "bypass=on compass: north enclaves=2 task_live_a1b2c3d4e5f6",
        "docker.io/ghp/service@sha256:" + "a1" * 32,
    ):
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
