"""No secret leaves, and no text from outside steers a terminal."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.credentials import is_secret_name
from rollback_lib.core.harmless import harmless_arguments, is_harmless
from rollback_lib.core.redact import HIDDEN, redact, visible

PEM = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\nx\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        PEM, PEM.partition("-----END")[0], "at https://ana:hunter2@db.example/x", "postgres://:hunter2@db",
        "https://ana:hunter2@2@db.example/x", "https://hunter2@db.example/x",
        "Authorization: Bearer hunter2hunter2", "authorization: Basic hunter2hunter2==", "bearer hunter2.hunter2",
        "password=hunter2", "DB_PASSWORD: hunter2", "spring.datasource.password=hunter2", "passwd: 'hunter2'",
        '{"password":"hunter2"}', '{"apiKey": "hunter2"}', "{'token': 'hunter2'}", "--token=hunter2", "PWD=hunter2",
        "client_secret=hunter2&x=1", "AWS_SECRET_ACCESS_KEY=hunter2", "private-key: hunter2", "PASSWORD = hunter2",
        '{"password": "correct hunter2 staple"}', "password='correct hunter2'", 'PASSWORD="a, hunter2; b"',
        '{"password": "a\\"hunter2"}', '{\\"password\\":\\"hunter2\\"}',
    ],
)  # fmt: skip
def test_a_credential_is_hidden_and_what_it_was_stays_readable(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "connection refused", "http://user-service:8080/actuator/health", "r.example/web:v1@sha256:ab",
        "Deployment/web put back", "año → ok", "a token is missing", "tokens 5 of 6",
        'pulling "web:v1@sha256:9f86d081"', "wrong password for user ana: connection refused",
        "invalid credentials https://a.example", "the table user_tokens is full", "auth_type oauth2",
        "auth service1 is down",
        'Secret "web2-tls" not found', 'duplicate key value violates "orders2_pk"',
        "couldn't find key password in Secret shop/db", "STRIPE_KEY is missing in DB_PASSWORD_FILE",
    ],
)  # fmt: skip
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\r", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\u200f"])
def test_a_sign_that_steers_a_terminal_is_shown_escaped(sign: str) -> None:
    assert sign not in visible(f"a{sign}b")
    assert "\\" in redact(f"a{sign}b")


def test_line_breaks_and_tabs_stay() -> None:
    assert redact("a\n\tb") == "a\n\tb"


@pytest.mark.parametrize(
    "name", ["PASSWORD", "db_password", "API_KEY", "apikey", "GITHUB_TOKEN", "my.secret", "X-Credential"]
)
def test_a_variable_for_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["LEVEL", "", "BYPASS", "KEY", "AUTHOR", "image"])
def test_an_ordinary_variable_is_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "a-",
        "a.",
        "password",
        "a:",
        "://a:",
        "https://",
        '\\"',
        "token=",
        "bearer ",
        "-----BEGIN A ",
        "-p ",
        "mysql ",
        "curl -u a ",
        "<a ",
        "<a>",
        "name:",
        "login a password ",
        "eyJ-",
        "SG.a-",
        "key name=",
        "password:\n ",
        " a:1:b:c",
        "--token ",
        "a1B",
        "'",
        "[",
        "sk-",
        "a@",
        "x:y@",
        "MTk4",
        "identified by ",
        "password for a",
        "A_B ",
        "a.password ",
        "thin:a/",
        "a/b",
        "imp -a ",
        "echo a ",
        '"""',
        '"d":kty',
        "&quot;",
        "-->",
        "http -a",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    redact(text * (60_000 // len(text)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "a=",
        "file:",
        "a,",
        "a;",
        "-p ",
        "[",
        '{"a":',
        "a.",
        "a-",
        "aB",
        "1.",
        "$(A)",
        "/a",
        "é",
        "%d",
        "%d{",
        "^/[",
        "dd-",
        "(?:",
    ],
)
def test_whether_a_value_is_harmless_never_takes_long(text: str) -> None:
    began = time.process_time()
    is_harmless(text * (60_000 // len(text)))
    is_harmless(text * (1990 // len(text)))
    assert time.process_time() - began < 1


@given(st.text() | st.text(alphabet="-=:,;/.aZ09 $({[\"'"), st.text())
def test_whether_a_value_is_harmless_is_told_of_any_text(text: str, name: str) -> None:
    assert not is_harmless(text, f"{name}_PASSWORD")
    assert is_harmless(text) in (True, False)
    assert len(harmless_arguments([text, name])) == 2


@given(st.text() | st.text(alphabet="-BEGIN KYD:=/@pasword tk\"'\\\n\ud800"))
def test_it_never_fails_and_does_not_change_its_own_answer(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
