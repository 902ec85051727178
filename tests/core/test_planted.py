"""D45: what is planted in a difference or in a text is not shown, and what is plainly harmless is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rollback_lib.core.plan import differences
from rollback_lib.core.redact import HIDDEN, redact
from tests import planted
from tests.planted import plain, secret


def workload(
    variables: Mapping[str, str] | None = None, arguments: Sequence[str] = (), notes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    env = [{"name": name, "value": value} for name, value in (variables or {}).items()]
    container = {"name": "web", "image": "x", "env": env, "args": list(arguments)}
    pod = {"metadata": {"annotations": dict(notes or {})}, "spec": {"containers": [container]}}
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": pod}}


def config(data: Mapping[str, str]) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "web"}, "data": dict(data)}


def told(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is said of a change, there and back, of the whole object made, and of the field where it is kept."""
    ways = (differences.lines(before, after), differences.lines(after, before), differences.lines(None, after))
    return "\n".join(line for way in ways for line in way)


def test_the_set_is_as_large_as_it_is_said_to_be() -> None:
    assert len(planted.every()) >= 128
    assert len(set(map(secret, planted.every()))) == len(planted.every())
    assert len(planted.HARMLESS) >= 60


@pytest.mark.parametrize("name", planted.NAMED)
def test_what_has_the_name_of_a_secret_is_hidden(name: str) -> None:
    value = plain(planted.NAMED[name])
    said = told(workload(), workload({name: value})) + told(workload({name: "a"}), workload({name: value}))
    said += told(config({}), config({name: value})) + told(workload(), workload(notes={f"shop.example/{name}": value}))
    for text in (f"{name}={value}", f"{name}: {value}", f'{{"{name}":"{value}"}}', f"a {name}={value} b"):
        said += redact(text)
    assert value not in said
    assert HIDDEN in said


@pytest.mark.parametrize("text", planted.SHAPED)
def test_what_is_no_plain_value_is_hidden_under_any_name(text: str) -> None:
    said = told(workload(), workload({"GREETING": plain(text)})) + told(config({}), config({"a.b": plain(text)}))
    assert secret(text) not in said + differences.kept("spec.template.metadata.annotations.a", plain(text), None)


@pytest.mark.parametrize("text", planted.SHAPED[: -planted.SHAPELESS])
@pytest.mark.parametrize("around", ["{}", "x={}", "said {} twice", '{{"a":"{}"}}'])
def test_a_shape_is_hidden_in_any_text(text: str, around: str) -> None:
    assert secret(text) not in redact(around.format(plain(text)))


@pytest.mark.parametrize("words", planted.ARGUMENTS, ids=" ".join)
def test_an_argument_is_hidden_for_what_stands_before_it(words: tuple[str, ...]) -> None:
    hidden = next(word for word in words if "«" in word)
    said = told(workload(), workload(arguments=[plain(w) for w in words]))
    said += told(workload(arguments=["serve"]), workload(arguments=[plain(w) for w in words]))
    assert secret(hidden) not in said


@pytest.mark.parametrize("text", planted.TEXTS)
@pytest.mark.parametrize("before", ["", "2026-11-27 10:00:00 INFO "])
def test_a_secret_in_a_text_is_hidden(text: str, before: str) -> None:
    said = redact(before + plain(text)) + told(config({}), config({"app.yml": before + plain(text)}))
    said += told(workload(), workload({"GREETING": before + plain(text)}))
    assert secret(text) not in said


@pytest.mark.parametrize("value", planted.HARMLESS)
def test_what_is_plainly_harmless_is_shown(value: str) -> None:
    for before, after in (
        (workload(), workload({"GREETING": value})),
        (config({}), config({"a.b": value})),
        (workload(), workload(notes={"shop.example/a": value})),
        (workload(arguments=["serve"]), workload(arguments=["serve", value])),
    ):
        assert HIDDEN not in told(before, after)
    assert redact(value) == value


def test_of_a_hidden_value_only_that_it_changed_is_said() -> None:
    before, after = workload({"PIN": "1111"}), workload({"PIN": "2222"})
    assert differences.lines(before, after) == ("~ containers[web].env[PIN].value: changed",)
    before, after = workload(arguments=["--pin", "1111"]), workload(arguments=["--pin", "2222"])
    (line,) = differences.lines(before, after)
    assert line == f'~ containers[web].args: changed, ["--pin","{HIDDEN}"]'


def test_fields_of_kubernetes_own_are_shown() -> None:
    one, other = workload(), workload()
    pod = other["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "tls", "secret": {"secretName": "web-tls"}}]
    pod["containers"][0]["env"] = [{"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    pod["imagePullSecrets"], pod["automountServiceAccountToken"] = [{"name": "hub"}], False
    said = told(one, other)
    assert HIDDEN not in said
    assert "web-tls" in said
    assert 'secretKeyRef":{"name":"d' in said


def test_a_name_that_settings_show_is_shown_and_nothing_is_hidden_exactly() -> None:
    before, after = workload({"SALT": "x1", "PIN": "1111"}), workload({"SALT": "x2", "PIN": "2222"})
    salt, pin = differences.lines(before, after, ("SALT",))
    assert salt.endswith("env[SALT].value: x1 → x2")
    assert pin.endswith("env[PIN].value: changed")
    assert differences.lines(before, after, exact=True)[1].endswith("env[PIN].value: 1111 → 2222")
