"""One schema of options: what the environment may say, and which values never reach git or kubectl."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.errors import UsageError
from rollback_lib.core.settings import parameters
from rollback_lib.operations.run import request
from tests.core.report import stories


def refused(values: dict[str, object]) -> str:
    with pytest.raises(UsageError) as e:
        parameters.validate(values)
    return str(e.value)


def test_reading_the_schema_costs_neither_yaml_nor_msgspec() -> None:
    code = "import sys, rollback_lib.core.settings.parameters as p; p.from_environment({}); "
    code += "print({'yaml', 'msgspec'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"


def test_every_option_has_its_variable_except_approval() -> None:
    without = [p.option for p in parameters.PARAMETERS if not p.from_environment]
    assert without == ["--yes", "--force", "--done", "--show-values"]
    for p in parameters.PARAMETERS:
        assert p.option == "--" + p.name.replace("_", "-")
        assert p.env == ("ROLLBACK_" + p.name.upper() if p.from_environment else "")
        assert p.help
        assert p.commands
        assert (p.kind == "choice") == bool(p.choices)


def test_a_command_takes_its_parameters_in_order() -> None:
    names = [p.name for p in parameters.of_command("run")]
    assert names[:3] == ["config", "environment", "to"]
    assert "offline" not in names
    assert "offline" in [p.name for p in parameters.of_command("plan")]


def test_the_environment_gives_values_trimmed_and_lists_split() -> None:
    got = parameters.from_environment(
        {
            "ROLLBACK_TO": "  v1.4.0\n",
            "ROLLBACK_SERVICE": "user-service, order-service\r\nuser-service",
            "ROLLBACK_ACCEPT": "reference-image skip:Ingress/api",
            "ROLLBACK_DRY_RUN": "TRUE",
            "ROLLBACK_OFFLINE": "no",
            "ROLLBACK_OUTPUT": "json",
            "PATH": "/bin",
        }
    )
    assert got == {
        "to": "v1.4.0",
        "service": ("user-service", "order-service"),
        "accept": ("reference-image", "skip:Ingress/api"),
        "dry_run": True,
        "offline": False,
        "output": "json",
    }


def test_an_empty_variable_is_not_given() -> None:
    assert parameters.from_environment({"ROLLBACK_TO": "", "ROLLBACK_SERVICE": " , ", "ROLLBACK_OFFLINE": " "}) == {}


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_dry_run_is_an_error_since_it_may_have_meant_yes(value: str) -> None:
    with pytest.raises(UsageError, match="ROLLBACK_DRY_RUN: is set but empty"):
        parameters.from_environment({"ROLLBACK_DRY_RUN": value})


def test_approval_never_comes_from_the_environment() -> None:
    for name in ("YES", "FORCE", "DONE"):
        assert parameters.from_environment({f"ROLLBACK_{name}": "true"}) == {}, name


def test_all_problems_of_the_environment_come_at_once_under_their_variables() -> None:
    environ = {"ROLLBACK_DRY_RUN": "maybe", "ROLLBACK_TO": "--upload-pack=x", "ROLLBACK_OUTPUT": "jsn"}
    with pytest.raises(UsageError) as e:
        parameters.from_environment(environ)
    assert sorted(p.key for p in e.value.problems) == sorted(environ)
    assert "did you mean 'json'?" in str(e.value)


@pytest.mark.parametrize(
    "tag", ["v1.4.0", "last-good", "1.2", "release/2024.1+x", "V1", "controller-v1.2", "v1-año", "0.0.10-broken"]
)
def test_a_release_may_be_called(tag: str) -> None:
    parameters.validate({"to": tag})


@pytest.mark.parametrize(
    "tag",
    [
        "--upload-pack=touch /tmp/x",
        "-v1",
        "v1;touch x",
        "v1\nv2",
        "v1\n",
        "v1..v2",
        "../v1",
        "v1~1",
        "v1^{}",
        "v1@{1}",
        "a//b",
        "a/.b",
        "a.lock",
        "v1.",
        "v1/",
        "refs/tags/*",
        "v1\u202e",
        "v1\ud800",
        "",
        " ",
        "v" * 300,
    ],
)
def test_a_release_may_not_be_called(tag: str) -> None:
    assert "--to: " in refused({"to": tag})


@given(st.text())
def test_what_passes_as_a_release_is_never_an_option_or_a_range(tag: str) -> None:
    try:
        parameters.validate({"to": tag})
    except UsageError:
        return
    assert tag[0] != "-"
    assert ".." not in tag
    assert not set(tag) & set(" \t\r\n\0~^:?*[\\;'\"$`|&<>(){}")


@pytest.mark.parametrize(
    "code",
    [
        "reference-image",
        "owner:api-gateway",
        "skip:Deployment/web",
        "moved-tag:v1.2.0",
        "schema:V3__add.sql",
        "policy:a",
    ],
)
def test_codes_that_a_refusal_names_are_accepted(code: str) -> None:
    parameters.validate({"accept": (code,)})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("reference-imge", "did you mean 'reference-image'?"),
        ("everything", "known: registry-unknown, "),
        ("owner", "write owner:NAME"),
        ("owner:", "write owner:NAME"),
        ("skip:web", "write skip:KIND/NAME"),
        ("healthy:yes", "write healthy"),
        ("moved-tag:-v1", "write moved-tag:RELEASE"),
        ("-x", "begins with '-'"),
    ],
)
def test_other_codes_are_refused_with_what_to_write(code: str, said: str) -> None:
    assert said in refused({"accept": ("quarantined", code)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service", ("User_Service",)),
        ("service", ("a", "-b")),
        ("environment", "Prod"),
        ("plan_hash", "abc"),
        ("plan_hash", "A" * 64),
        ("run_dir", "-x"),
        ("run_dir", "a\nb"),
        ("config", "a\0b"),
        ("output", "yaml"),
        ("reason", "\udcff"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(name: str, value: object) -> None:
    assert refused({name: value}).startswith(parameters.BY_NAME[name].option)


def test_a_reason_is_any_text() -> None:
    parameters.validate({"reason": "-- falló 🚀\n\x1b[31m línea 2"})
    parameters.validate({"reason": "x" * 100_000})


@pytest.mark.parametrize(
    ("length", "kept"), [(2000, "x" * 2000), (2001, "x" * 1999 + "…"), (100_000, "x" * 1999 + "…")]
)
def test_a_reason_that_is_too_long_is_cut_with_a_mark_and_stops_nothing(length: int, kept: str) -> None:
    values = parameters.from_environment({"ROLLBACK_REASON": "x" * length})
    made = request(
        values, stories.request().settings, "prod", run="r", by="ana", origin="", started=datetime.now(UTC),
        repository="",
    )  # fmt: skip
    assert made.reason == kept


def test_what_is_not_given_is_not_judged() -> None:
    parameters.validate({"to": None, "service": (), "yes": True, "verbose": False, "plan_hash": "0" * 64})


def test_every_code_that_the_readme_names_can_be_accepted() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| code | what you accept |")[2].partition("\n\n")[0]
    said = re.findall(r"^\| `([a-z-]+)(?::([A-Z/]+))?` \|", table, re.MULTILINE)
    assert dict(said) == parameters.ACCEPT_CODES
