"""The maintenance page: nginx's configuration that nobody's text can break, on every port that a closed Service has."""

from __future__ import annotations

import html
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core import names
from rollback_lib.core.settings.model import MESSAGE_LIMIT, Maintenance
from rollback_lib.core.traffic import maintenance

RUN = "20260301-120000-prod-ab12"


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": list(ports)}}


def said(settings: Maintenance, announced: str = "") -> str:
    """What stands on the page below its title."""
    found = re.search(r"<p>(.*)</p>", maintenance.configuration(settings, (8080,), announced))
    assert found is not None
    return html.unescape(found[1])


@given(st.text(min_size=1, max_size=MESSAGE_LIMIT), st.booleans())
def test_no_message_ends_nginx_s_word_or_grows_beyond_it(message: str, own: bool) -> None:
    settings, announced = (Maintenance(message=message), "") if own else (Maintenance(), message)
    text = maintenance.configuration(settings, (8080,), announced)
    found = re.search(r'return 503 "([^"\n]*)"; \}\n', text)
    assert found is not None
    assert text.isascii()
    assert not {"$", "\\"} & set(found[1])
    assert len(found[1]) < 4000
    shown = re.search(r"<p>(.*)</p>", found[1])
    assert shown is not None
    if message.isprintable() and message.strip():
        assert html.unescape(shown[1]) == " ".join(message.split())


@pytest.mark.parametrize(
    ("language", "title", "ours"),
    [
        ("en", "Back soon", "We are doing maintenance. Please try again in a few minutes."),
        ("es", "Volvemos pronto", "Estamos en mantenimiento. Vuelva a intentarlo en unos minutos."),
    ],
)
def test_it_says_what_users_are_told_everywhere_unless_it_has_words_of_its_own(
    language: Literal["en", "es"], title: str, ours: str
) -> None:
    settings = Maintenance(language=language)
    told = 'Volvemos a las 10 h: <b>gracias</b> & "perdón" {title} ¡$5!\n  Más tarde, más.'
    page = maintenance.configuration(settings, (8080,), told)
    assert f"<html lang='{language}'>" in page
    assert f"<h1>{title}</h1>" in page
    assert "<b>" not in page
    assert said(settings, told) == " ".join(told.split()), "escaped, and no placeholder is filled in"
    assert said(settings, " \n") == said(settings) == ours
    assert said(Maintenance(language=language, message="Solo aquí."), told) == "Solo aquí."


def test_it_listens_wherever_a_closed_service_sends_and_never_twice_on_one_port() -> None:
    first = service({"port": 80, "targetPort": "http"}, {"port": 443, "targetPort": 18080})
    second = service({"port": 8080}, {"port": 53, "protocol": "UDP"}, {"port": 81, "targetPort": "http"})
    config, deployment = maintenance.objects(RUN, "shop", Maintenance(), [first, second], service=False)
    ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert ports == [{"containerPort": 8080}, {"containerPort": 18080}, {"containerPort": 18081, "name": "http"}]
    listens = re.findall(r"listen (\d+);", config["data"]["default.conf"])
    assert sorted(listens) == ["18080", "18081", "8080"]


def test_its_names_are_legal_for_the_longest_environment() -> None:
    longest = maintenance.name(f"20260301-120000-{'e' * 40}-ab12")
    assert names.is_label(longest)
