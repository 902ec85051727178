"""rollback.yaml: what is accepted, what is refused and what is said about it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.errors import UsageError
from rollback_lib.core.settings import model

SMALLEST = "application: shop\nmanifests: {path: k8s}\nenvironments: {prod: {namespace: shop}}\n"
FULL = """\
application: ecommerce
releases: {tag: "v*"}
manifests:
  path: "k8s/{service}"
  shared: [k8s/common-config.yaml]
  substitute: {TAG: "1.10"}
services:
  order: [[zipkin], [service-discovery], [cloud-config]]
  ignore: [locust]
  order_wait: updated
images:
  repository: "sanjodb/{service}"
  release_tags: ["{release}"]
  mutable_tags: [latest, prod, dev, stage]
  reference_tag: latest
  registries: {docker.io: {url: "http://127.0.0.1:15000"}}
environments:
  prod:
    context: gke-prod
    namespace: ecommerce
    overlay: {env: {SPRING_PROFILES_ACTIVE: prod, VERSION: 1.10}}
    approval: required
    isolation: {mode: service, targets: [api-gateway]}
verify:
  rollout_timeout: 5m
  smoke: [{service: api-gateway, path: /actuator/health, json: {status: UP}}]
"""


def refused(text: str) -> list[str]:
    with pytest.raises(UsageError) as e:
        model.load(text)
    return [f"{p.key}: {p.text}" for p in e.value.problems]


def with_line(old: str, new: str) -> str:
    assert old in FULL
    return FULL.replace(old, new)


def test_the_smallest_file_has_sensible_defaults() -> None:
    got = model.load(SMALLEST)
    assert got.releases.tag == "v*"
    assert got.images.mutable_tags == ("latest", "prod", "dev", "stage")
    assert got.services.order_wait == "ready"
    assert got.verify.crash_restarts == 3
    assert model.seconds(got.verify.rollout_timeout) == 300
    assert got.environments["prod"].approval == "required"
    assert got.environments["prod"].isolation.mode == "none"


def test_the_full_file_is_read_as_written() -> None:
    got = model.load(FULL)
    assert got.services.order == (("zipkin",), ("service-discovery",), ("cloud-config",))
    assert got.environments["prod"].overlay.env == {"SPRING_PROFILES_ACTIVE": "prod", "VERSION": "1.10"}
    assert got.manifests.substitute == {"TAG": "1.10"}
    assert got.images.repository_of("user-service") == "sanjodb/user-service"
    assert got.verify.smoke[0].status == 200
    assert got.verify.smoke[0].json == {"status": "UP"}


def test_settings_survive_a_record_of_the_run() -> None:
    got = model.load(FULL)
    assert msgspec.json.decode(msgspec.json.encode(got), type=model.Settings) == got


def test_reads_what_powershell_writes() -> None:
    assert model.load(FULL.encode("utf-16")) == model.load(FULL)


def test_problems_name_the_file() -> None:
    with pytest.raises(UsageError) as e:
        model.load("aplication: x", "ops/rollback.yaml")
    assert str(e.value).startswith("ops/rollback.yaml:1:1: aplication: unknown key (did you mean 'application'?)")


@pytest.mark.parametrize("name", ["Shop", "-shop", "a" * 41, "shop_1", "$(id)", ""])
def test_an_application_is_a_name_that_fits_into_kubernetes(name: str) -> None:
    assert refused(SMALLEST.replace("application: shop", f"application: '{name}'"))


@pytest.mark.parametrize(
    "path",
    [
        "../k8s",
        "k8s/../..",
        "/etc",
        "-k8s",
        "C:/k8s",
        "~/k8s",
        "k8s\\x",
        "",
        "a\tb",
        ":(top)k8s",
        "k8s/{srvice}",
        "k8s/{",
    ],
)
def test_a_path_stays_in_the_repository(path: str) -> None:
    assert any(
        p.startswith("manifests.path: ") for p in refused(SMALLEST.replace("path: k8s", f"path: {json.dumps(path)}"))
    )
    assert refused(with_line("k8s/common-config.yaml", json.dumps(path)))


@pytest.mark.parametrize("path", ["k8s", "k8s/{service}", "k8s/{service}.yaml", "a b/ñ/{service}/x.yml", "..k8s/x..y"])
def test_a_path_may_be_a_folder_or_a_file_with_or_without_service(path: str) -> None:
    assert model.load(SMALLEST.replace("path: k8s", f"path: '{path}'")).manifests.path == path


def test_shared_files_are_the_same_for_all_services() -> None:
    assert refused(with_line("k8s/common-config.yaml", '"k8s/{service}.yaml"')) == [
        "manifests.shared[0]: unknown placeholder {service}"
    ]


def test_a_service_is_in_one_wave_and_not_ignored_at_once() -> None:
    assert refused(with_line("[cloud-config]]", "[zipkin], [locust], []]")) == [
        "services.order[2][0]: 'zipkin' is in wave 1 already",
        "services.order[3][0]: 'locust' is both ordered and ignored",
        "services.order[4]: a wave without services",
    ]


@pytest.mark.parametrize(
    "url", ["https://mirror.example.com", "https://a.b:5000/x", "http://localhost:5000", "http://[::1]:5"]
)
def test_a_registry_may_be_asked_at(url: str) -> None:
    assert model.load(with_line("http://127.0.0.1:15000", url)).images.registries["docker.io"].url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.example.com",
        "http://127.0.0.1.example.com",
        "http://127.evil.example",
        "https://user:pass@mirror.example.com",
        "ftp://127.0.0.1",
        "https://",
        "https://a:99999",
        "https://a/?q=1",
        "mirror.example.com",
        "https://a\\n",
    ],
)
def test_a_registry_may_not_be_asked_at(url: str) -> None:
    assert refused(with_line("http://127.0.0.1:15000", url))[0].startswith("images.registries.docker.io.url: ")


def test_an_image_repository_names_no_tag() -> None:
    assert refused(with_line("sanjodb/{service}", "sanjodb/{service}:prod")) == [
        "images.repository: names a tag or digest, which the release decides"
    ]
    assert model.load(with_line("sanjodb/{service}", "localhost:5000/a/{service}"))


@pytest.mark.parametrize("tag", ["latest", "{relase}", "a b", "{release}:x"])
def test_a_release_tag_names_the_release(tag: str) -> None:
    assert refused(with_line('["{release}"]', f'["{tag}"]'))[0].startswith("images.release_tags[0]: ")


@pytest.mark.parametrize("context", ["-v1", "a\\nb", "", " ", "\\e[31m", "\\u202ex"])
def test_a_context_cannot_be_an_option_or_hide_signs(context: str) -> None:
    assert refused(with_line("gke-prod", f'"{context}"'))[0].startswith("environments.prod.context: ")


def test_contexts_of_cloud_providers_are_names() -> None:
    for context in ("arn:aws:eks:eu-west-1:000000000000:cluster/shop", "user@shop.example", "gke_p_r_c"):
        assert model.load(with_line("gke-prod", f'"{context}"')).environments["prod"].context == context


def test_traffic_can_be_closed_without_being_asked_for() -> None:
    got = model.load(with_line("targets: [api-gateway]", "targets: [api-gateway], default: true"))
    isolation = got.environments["prod"].isolation
    assert (isolation.default, isolation.drain, isolation.maintenance) == (True, "5s", None)


@pytest.mark.parametrize(
    ("isolation", "key", "said"),
    [
        ("{mode: service}", "targets", "mode 'service' needs targets"),
        ("{default: true}", "mode", "nothing can be closed with mode 'none'"),
        ("{mode: service, targets: [a, a]}", "targets[1]", "'a' is named already"),
        ("{mode: ingress, targets: [a]}", "maintenance", "mode 'ingress' needs somewhere to send requests"),
        (
            "{mode: service, targets: [a], maintenance: {service: a}}",
            "maintenance.service",
            "'a' cannot stand in for itself",
        ),
        (
            "{mode: service, targets: [a], maintenance: {image: 'a b'}}",
            "maintenance.image",
            "'a b' is not an image",
        ),
        (
            "{mode: service, targets: [a], maintenance: {message: ''}}",
            "maintenance.message",
            "is empty or longer than 300 characters",
        ),
    ],
)
def test_what_isolation_cannot_do_is_said_with_its_place(isolation: str, key: str, said: str) -> None:
    got = refused(with_line("{mode: service, targets: [api-gateway]}", isolation))
    assert f"environments.prod.isolation.{key}: {said}" in got


@pytest.mark.parametrize("path", ["actuator", "//other.example/x", "/a b", "/a/../b", "/a#b", "/a\\tb"])
def test_a_smoke_path_stays_on_the_service(path: str) -> None:
    assert refused(with_line("/actuator/health", f'"{path}"'))[0].startswith("verify.smoke[0].path: ")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("namespace: ecommerce", "namespace: Shop", "environments.prod.namespace"),
        ("SPRING_PROFILES_ACTIVE", "1SPRING", "environments.prod.overlay.env.1SPRING"),
        ("rollout_timeout: 5m", "rollout_timeout: 300", "verify.rollout_timeout"),
        ("rollout_timeout: 5m", "rollout_timeout: 0s", "verify.rollout_timeout"),
        ("rollout_timeout: 5m", "crash_restarts: 0", "verify.crash_restarts"),
        ("approval: required", "approval: never", "environments.prod.approval"),
        ("order_wait: updated", "order_wait: strict", "services.order_wait"),
        ("reference_tag: latest", "reference_tag: ':x'", "images.reference_tag"),
        ('tag: "v*"', 'tag: "-v*"', "releases.tag"),
        ("json: {status: UP}", "port: 70000", "verify.smoke[0].port"),
    ],
)
def test_values_from_outside_are_validated(old: str, new: str, key: str) -> None:
    assert refused(with_line(old, new))[0].startswith(f"{key}: ")


def test_at_least_one_environment() -> None:
    assert refused(SMALLEST.replace("{prod: {namespace: shop}}", "{}")) == [
        "environments: at least one environment is needed"
    ]


def test_the_only_environment_need_not_be_named() -> None:
    only = model.load(SMALLEST)
    assert model.environment(only, None)[0] == "prod"
    assert model.environment(only, "prod")[1].namespace == "shop"


def test_one_of_several_environments_must_be_named() -> None:
    two = model.load(SMALLEST.replace("prod: {namespace: shop}", "prod: {namespace: a}, stage: {namespace: b}"))
    with pytest.raises(UsageError, match="there are: prod, stage"):
        model.environment(two, None)
    with pytest.raises(UsageError, match="did you mean 'stage'"):
        model.environment(two, "staging")


def test_releases_match_by_pattern() -> None:
    releases = model.Releases(tag="v[0-9]*")
    assert [t for t in ("v1.0", "v-0.1", "V1", "x") if releases.matches(t)] == ["v1.0"]


@pytest.mark.parametrize(("text", "value"), [("250ms", 0.25), ("30s", 30), ("5m", 300), ("2h", 7200)])
def test_durations_are_seconds(text: str, value: float) -> None:
    assert model.seconds(text) == value


@given(st.text().filter(lambda t: not t[:1].isdigit()))
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        model.seconds(text)


def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(model.schema())
    return jsonschema.Draft202012Validator(model.schema())


def test_the_schema_accepts_what_is_read() -> None:
    validator().validate(yaml.safe_load(FULL.replace("VERSION: 1.10", 'VERSION: "1.10"')))
    validator().validate(yaml.safe_load(SMALLEST))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("releases:", "relases:"),
        ("approval: required", "approval: never"),
        ("namespace: ecommerce", "namespace: Shop"),
        ("mode: service", "mod: service"),
        ("[[zipkin]", "[zipkin"),
    ],
)
def test_the_schema_is_as_strict_as_types_can_be(old: str, new: str) -> None:
    text = (
        with_line(old, new) if "[[" not in old else with_line("[[zipkin], [service-discovery], [cloud-config]]", "[a]")
    )
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(yaml.safe_load(text))


@given(
    st.text(alphabet="ab{}:/.-_$ \\'\"\n", max_size=30),
    st.sampled_from(["path: k8s", "application: shop", "namespace: shop"]),
)
def test_no_value_brings_a_traceback(value: str, place: str) -> None:
    key = place.split(":")[0]
    with contextlib.suppress(UsageError):
        model.load(SMALLEST.replace(place, f"{key}: {json.dumps(value)}"))


@pytest.mark.parametrize(
    ("part", "key", "said"),
    [
        ("notify: {slack: {url_env: 'https://hooks.slack.com/T/B/x'}}", "notify.slack.url_env", "never the address"),
        ("notify: {slack: {url: x}}", "notify.slack.url", "url_env"),
        ("notify: {slack: {url_env: A, events: [finished]}}", "notify.slack.events[0]", "done"),
        ("notify: {slak: {url_env: A}}", "notify.slak", "slack"),
        ("notify: {webhooks: {slack: {url_env: A}}}", "notify.webhooks.slack", "pager"),
        ("notify: {webhooks: {pager: {url_env: A, body: {x: '{titel}'}}}}", "notify.webhooks.pager.body", "{title}"),
        ("notify: {webhooks: {pager: {url_env: A, headers: {'X Y': B}}}}", "notify.webhooks.pager.headers", "header"),
        ("announce: {url_env: A}", "announce", "text"),
        ("announce: {text: We are on it.}", "announce", "is shown nowhere"),
        ("announce: {text: x, over: y}", "announce.over", "is for a status page's hook"),
        ("announce: {text: x, headers: {A: B}}", "announce.headers", "is for a status page's hook"),
        ("language: fr", "language", "es"),
    ],
)
def test_what_is_wrong_with_who_is_told(part: str, key: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        model.load(SMALLEST + part)
    text = str(caught.value)
    assert key in text
    assert said in text


@pytest.mark.parametrize(
    ("page", "length", "fits"),
    [
        ("{}", 300, True), ("{}", 301, False), ("{service: sorry}", 301, True), ("{message: Ours.}", 301, True),
    ],
)  # fmt: skip
def test_what_users_are_told_must_fit_on_the_page_that_shows_it(page: str, length: int, fits: bool) -> None:
    isolation = f"{{mode: service, targets: [a], maintenance: {page}}}"
    text = SMALLEST.replace("namespace: shop", f"namespace: shop, isolation: {isolation}")
    text += f"announce: {{url_env: A, text: {'x' * length}}}\n"
    if fits:
        assert model.load(text).announce is not None
    else:
        with pytest.raises(UsageError, match=r"announce\.text: is longer than 300 characters"):
            model.load(text)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no time zone 'Europe/Madird'"):
        model.load(SMALLEST.replace("namespace: shop", "namespace: shop, timezone: Europe/Madird"))
    made = model.load(SMALLEST.replace("namespace: shop", "namespace: shop, timezone: Europe/Madrid"))
    assert made.environments["prod"].timezone == "Europe/Madrid"


def test_a_whole_notify_section_reads() -> None:
    made = model.load(
        SMALLEST
        + """
notify:
  slack: {url_env: SLACK_URL}
  teams: {url_env: TEAMS_URL, events: [failed, traffic-still-closed]}
  apprise: {url_env: MAIL_URLS}
  webhooks:
    pager:
      url_env: PAGER_URL
      headers: {Authorization: PAGER_TOKEN}
      body: {summary: "{title}", details: {where: "{environment}"}}
announce: {url_env: STATUS_URL, text: "We are on it.", over: "All is well again."}
language: es
"""
    )
    assert made.notify.webhooks["pager"].body == {"summary": "{title}", "details": {"where": "{environment}"}}
    assert made.notify.teams is not None
    assert not made.notify.teams.wants("done")


ENVIRONMENTS = """\
application: shop
manifests: {path: ["k8s/{environment}/{service}", "k8s/{environment}"], shared: ["k8s/{environment}.yaml"]}
environments:
  dev: {namespace: shop-dev}
  prod: {namespace: shop, manifests: {path: deploy/production, ignore: ["deploy/{environment}-old/**"]}}
"""


def test_manifests_are_those_of_the_environment_however_the_file_says_them() -> None:
    written = model.load(ENVIRONMENTS)
    dev, prod = written.of("dev"), written.of("prod")
    assert dev.manifests.paths == ("k8s/dev/{service}", "k8s/dev")
    assert dev.manifests.shared == ("k8s/dev.yaml",)
    assert prod.manifests == model.Manifests(path="deploy/production", ignore=("deploy/prod-old/**",))
    assert prod.manifests.shared == ()  # the whole section is its own


def test_what_a_run_has_kept_of_one_environment_still_tells_of_the_others() -> None:
    written = model.load(ENVIRONMENTS)
    kept = msgspec.json.decode(msgspec.json.encode(written.of("prod")), type=model.Settings)
    assert kept.of("prod") == kept
    assert kept.of("dev").manifests == written.of("dev").manifests


def test_settings_without_such_a_thing_stay_as_they_are() -> None:
    assert (got := model.load(SMALLEST)).of("prod") is got


def test_the_section_may_stand_with_each_environment_alone() -> None:
    got = model.load("application: shop\nenvironments: {prod: {namespace: shop, manifests: {path: k8s}}}\n")
    assert got.of("prod").manifests.path == "k8s"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("application: a\nenvironments: {p: {namespace: n}}\n", 1, "manifests: this key is missing"),
        (
            "application: a\nenvironments:\n  p: {namespace: n, manifests: {path: k8s}}\n  q: {namespace: m}\n", 1,
            "also for q",
        ),
        (SMALLEST.replace("path: k8s", "path: []"), 2, "manifests.path: no path at all"),
        (SMALLEST.replace("path: k8s", "path: [k8s, k8s]"), 2, "manifests.path[1]: 'k8s' is named already"),
        (SMALLEST.replace("path: k8s", "path: [k8s, ../x]"), 2, "manifests.path[1]: leads out with '..'"),
        (SMALLEST.replace("path: k8s", "path: [{a: b}]"), 2, "manifests.path[0]: expected a text"),
        (SMALLEST.replace("path: k8s", "path: {a: b}"), 2, "manifests.path: expected a text"),
        (SMALLEST.replace("path: k8s", 'path: "k8s/{env}"'), 2, "known: {service}, {environment}"),
        (
            SMALLEST.replace("namespace: shop", 'namespace: shop, manifests: {path: "{x}"}'), 3,
            "environments.prod.manifests.path: unknown placeholder {x}",
        ),
        (SMALLEST.replace("path: k8s", 'path: k8s, shared: ["{service}"]'), 2, "known: {environment}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_such_a_path_is_said_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        model.load(text)
    assert any(said in str(p) and p.line == line for p in caught.value.problems), caught.value.problems
