"""Whole runs at a sick shop: detect names the cause and the service, and a healthy shop is never accused."""

import dataclasses
import http.server
import json
import re
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollback_lib.sandbox.cluster import ADMIN
from rollback_lib.sandbox.images import Image
from rollback_lib.sandbox.schema import all_resources
from rollback_lib.sandbox.shop import BAD
from tests.cli.desk import Desk

SECRETS = {
    "password": "hunter2-planted", "token": "tok-planted-8812", "dsn": "s3cr3t-planted-dsn",
    "bearer": "eyJplanted.abc.def", "key": "PLANTEDKEYMATERIAL",
}  # fmt: skip
LEAKY = (
    f"connecting with password={SECRETS['password']}\n"
    f"POST /login Authorization: Bearer {SECRETS['bearer']}\n"
    f"url postgres://shop:{SECRETS['dsn']}@db/shop\n"
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRETS['key']}\n-----END RSA PRIVATE KEY-----\n"
    f'{{"apiToken": "{SECRETS["token"]}"}}\n'
    "FATAL: cannot start\n"
)


def detected(desk: Desk, *more: str, settings: str = "", code: int | None = 0) -> dict[str, Any]:
    """What `rollback plan` found."""
    if settings:
        desk.settings(settings)
    ended = desk.rollback("plan", "--to", "v1.1.0", *more)
    assert code is None or ended.code == code, ended
    found: dict[str, Any] = json.loads((desk.runs()[-1] / "steps/detect.json").read_text())
    return found


def accused(found: dict[str, Any], severity: str = "broken") -> set[tuple[str, str]]:
    return {(f["service"], f["cause"]) for f in found["findings"] if f["severity"] == severity}


def deploy(desk: Desk, behaviour: str, service: str = "user-service") -> None:
    """The bad release of one service behaves as it is told; it is deployed over the same tag."""
    playground = desk.playground
    playground.shop.build(playground.registry, BAD, behaviour, services=(service,))
    playground.cluster.pull(f"sanjodb/{service}:prod")
    playground.must("rollout", "restart", f"deployment/{service}")


def settle(desk: Desk, service: str, reason: str) -> None:
    """Until the newest pod of a service says so."""
    for _ in range(200):
        text = desk.playground.must("get", "pods", f"--selector=app={service}", "--output=json")
        if reason in text:
            return
    raise AssertionError(f"{service} never said {reason}: {text[-2000:]}")


def test_a_healthy_shop_is_never_accused(desk: Desk) -> None:
    for _ in range(5):  # ten on the real cluster
        found = detected(desk)
        assert found["verdict"] == "healthy", found
        assert [f for f in found["findings"] if f["severity"] != "note"] == []


def test_a_crash_on_start_is_named_with_what_the_log_says(desk: Desk) -> None:
    deploy(desk, "crash")
    settle(desk, "user-service", "CrashLoopBackOff")
    found = detected(desk)
    assert found["verdict"] == "broken"
    assert ("user-service", "CrashLoopBackOff") in accused(found)
    assert ("user-service", "Fatal") in accused(found, "suspect")
    assert {service for service, _ in accused(found)} == {"user-service"}
    assert found["since"].endswith("Z")
    assert found["seconds"] < 5


def test_what_never_becomes_ready_is_named(desk: Desk) -> None:
    deploy(desk, "never-ready")
    settle(desk, "user-service", '"ready": false')
    found = detected(desk)
    assert found["verdict"] in ("suspect", "broken")
    assert accused(found, found["verdict"]) & {("user-service", "NotReady"), ("user-service", "NeverReady")}


def test_an_image_that_cannot_be_pulled_is_named(desk: Desk) -> None:
    desk.playground.must("set", "image", "deployment/user-service", "user-service=sanjodb/user-service:gone")
    settle(desk, "user-service", "ErrImagePull")
    found = detected(desk)
    assert accused(found) & {("user-service", "ErrImagePull"), ("user-service", "ImagePullBackOff")}


def test_a_missing_configuration_key_is_named(desk: Desk) -> None:
    env = [{"name": "LIMIT", "valueFrom": {"configMapKeyRef": {"name": "user-settings", "key": "misspelt"}}}]
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "user-service", "env": env}]}}}}
    desk.playground.must("patch", "deployment/user-service", f"--patch={json.dumps(patch)}")
    settle(desk, "user-service", "CreateContainerConfigError")
    found = detected(desk)
    assert ("user-service", "CreateContainerConfigError") in accused(found)
    assert "misspelt" in found["reasons"][0]


def test_another_services_image_is_named(desk: Desk) -> None:
    desk.playground.must("set", "image", "deployment/user-service", "user-service=sanjodb/cloud-config:prod")
    desk.playground.must("rollout", "status", "deployment/user-service", "--timeout=60s")
    found = detected(desk)
    assert ("user-service", "WrongImage") in accused(found, "suspect")


def test_500s_while_ready_are_named_with_each_try_and_its_time(desk: Desk) -> None:
    smoke = "verify: {smoke: [{service: user-service, path: /orders, status: 200}]}\n"
    found = detected(desk, settings=smoke)
    assert accused(found, "suspect") == {("user-service", "SmokeFailed")}
    text = found["findings"][0]["text"]
    assert text.count("answered 404, expected 200") == 1, "what is alike is said once"
    assert len(re.findall(r"\d\d:\d\d:\d\d", text)) == 3, "each try has its time"


def test_a_sick_service_says_so_of_itself(desk: Desk) -> None:
    smoke = "verify: {smoke: [{service: user-service, path: /actuator/health, json: {status: UP}}]}\n"
    assert accused(detected(desk, settings=smoke), "suspect") == {("user-service", "SmokeFailed")}


def test_a_slow_answer_is_named(desk: Desk) -> None:
    smoke = "verify: {smoke: [{service: user-service, path: /, within: 50ms}]}\n"
    slow = desk.playground.cluster.faults.add(
        lambda request: request.resource.endswith("/proxy"), "delay", times=None, seconds=0.06
    )
    found = detected(desk, settings=smoke)
    assert slow.struck
    assert accused(found, "suspect") == {("user-service", "SmokeFailed")}
    assert "allowed are 50ms" in found["findings"][0]["text"]


def test_monitoring_that_cannot_be_reached_is_said_and_harmless(desk: Desk) -> None:
    nowhere = "http://127.0.0.1:1"
    query = '{name: errors, query: up, above: "0.05"}'
    prometheus = f"{{url: '{nowhere}', queries: [{query}]}}"
    found = detected(desk, settings=f"detect: {{alertmanager: {{url: '{nowhere}'}}, prometheus: {prometheus}}}\n")
    assert found["verdict"] == "healthy"
    notes = " ".join(f["text"] for f in found["findings"])
    assert "alertmanager could not be asked" in notes
    assert "prometheus could not be asked" in notes


class Falling(http.server.BaseHTTPRequestHandler):
    """A Prometheus whose error rate is high when it is asked first, and low from then on."""

    rates: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        rate = self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]
        series = {"metric": {"service": "user-service"}, "value": [0, rate]}
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [series]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_error_rates_before_and_after_stand_side_by_side(desk: Desk) -> None:
    Falling.rates = ["0.42", "0.001"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Falling) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        query = '{name: error rate, query: rate, above: "0.05"}'
        desk.settings(f"detect: {{prometheus: {{url: 'http://127.0.0.1:{server.server_port}', queries: [{query}]}}}}\n")
        ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
        server.shutdown()
    assert ended.code == 0, ended
    run = desk.runs()[-1]
    detection = json.loads((run / "steps/detect.json").read_text())
    assert detection["verdict"] == "broken"
    assert ("user-service", "Threshold") in accused(detection)
    told = "error rate is 0.001, within its threshold (0.42 before the rollback)."
    assert told in (run / "report/incident.md").read_text()
    assert told in [c["text"] for c in json.loads((run / "report/report.json").read_text())["verification"]["checks"]]


@pytest.mark.parametrize("unseen", ["replicasets", "pods"])
def test_who_may_not_look_accuses_nobody_and_writes_nothing(desk: Desk, unseen: str) -> None:
    cluster, before = desk.playground.cluster, desk.objects()
    rights = [r.plural for r in all_resources() if r.plural != unseen]
    rule = {"apiGroups": ["*"], "resources": [*rights, "*/log", "*/proxy"], "verbs": ["*"]}
    blind = dataclasses.replace(ADMIN, rules=(rule,))
    cluster.set_users((blind,))
    try:
        ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
    finally:
        cluster.set_users((ADMIN,))
    assert ended.code == 3, ended
    assert f"list {unseen}" in ended.err
    found = json.loads((desk.runs()[-1] / "steps/detect.json").read_text())
    assert accused(found) | accused(found, "suspect") <= {("", "")}
    assert desk.objects() == before


def test_a_plan_opens_no_incident_and_a_run_saves_the_evidence_before_it_writes(desk: Desk) -> None:
    deploy(desk, "crash")
    settle(desk, "user-service", "CrashLoopBackOff")
    detected(desk)
    assert not (desk.runs()[-1] / "steps/incident.json").exists()
    assert not (desk.runs()[-1] / "evidence").exists()
    ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
    assert ended.code == 0, ended
    run = desk.runs()[-1]
    incident = json.loads((run / "steps/incident.json").read_text())
    assert run.name in incident["id"]
    assert all((run / name).is_file() for name in incident["evidence"])
    logs = {p.name: p.read_text() for p in (run / "evidence/logs").iterdir()}
    assert any("previous" in name and "FATAL" in text for name, text in logs.items())
    assert "BackOff" in (run / "evidence/events.txt").read_text()
    events = desk.events()
    saved = next(e["seq"] for e in events if e["stage"] == "incident" and e["mark"] == "stage-done")
    first = next(e["seq"] for e in events if e["mark"] == "announced")
    assert saved < first


def test_planted_secrets_are_in_no_file_but_manifests_and_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "output", lambda self, environment: LEAKY)
    desk.playground.must(
        "set", "env", "deployment/user-service",
        f"DB_PASSWORD={SECRETS['password']}", f"JAVA_OPTS=-Dapi.token={SECRETS['token']}",
        f"DSN=postgres://shop:{SECRETS['dsn']}@db/shop",
    )  # fmt: skip
    desk.playground.must("rollout", "status", "deployment/user-service", "--timeout=60s")
    given = desk.playground.folder / "given.log"
    given.write_text(LEAKY)
    ended = desk.rollback(
        "run", "--to", "v1.1.0", "--yes", "--reason", f"login fails, password={SECRETS['password']}",
        "--evidence", str(given),
    )  # fmt: skip
    assert ended.code == 0, ended
    run = desk.runs()[-1]
    assert (run / "evidence/given/given.log").is_file()
    kept = {p.relative_to(run).as_posix(): p.read_text(errors="replace") for p in run.rglob("*") if p.is_file()}
    kept["stdout"], kept["stderr"] = ended.out, ended.err
    leaks = {
        (name, what)
        for name, text in kept.items()
        if Path(name).parts[0] not in ("manifests", "before")
        for what, secret in SECRETS.items()
        if secret in text
    }
    assert leaks == set()


@pytest.mark.parametrize("kind", ["500", "reset", "429"])
def test_evidence_that_hangs_or_fails_costs_no_run_its_outcome(desk: Desk, kind: str) -> None:
    faults = desk.playground.cluster.faults
    struck = faults.add(lambda request: request.client == "rollback_lib-evidence", kind, times=None)
    ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
    assert struck.struck
    assert ended.code == 0, ended
    found = json.loads((desk.runs()[-1] / "steps/detect.json").read_text())
    assert found["verdict"] != "broken"
    assert "could not be asked" in json.dumps(found)


def automatic(desk: Desk) -> None:
    path = desk.playground.repository / "rollback.yaml"
    path.write_text(path.read_text().replace("    namespace:", "    approval: auto\n    namespace:"))


def test_c45_the_policy_alone_does_not_roll_back_a_healthy_release(desk: Desk) -> None:
    automatic(desk)
    ended = desk.rollback("run", "--to", "v1.1.0")
    assert ended.code == 3, ended
    assert "[--accept healthy]" in ended.err
    assert desk.rollback("run", "--to", "v1.1.0", "--accept", "healthy").code == 0


def test_c45_one_source_that_answers_with_errors_is_no_proof(desk: Desk) -> None:
    desk.settings("verify: {smoke: [{service: user-service, path: /orders, patience: 1s}]}\n")
    automatic(desk)
    ended = desk.rollback("run", "--to", "v1.1.0")
    assert ended.code == 3, ended
    assert "[--accept healthy]" in ended.err
    found = json.loads((desk.runs()[-1] / "steps/detect.json").read_text())
    assert found["verdict"] == "suspect"


def test_c45_a_broken_workload_lets_the_policy_roll_back(desk: Desk) -> None:
    deploy(desk, "crash")
    settle(desk, "user-service", "CrashLoopBackOff")
    automatic(desk)
    ended = desk.rollback("run", "--to", "v1.1.0")
    assert ended.code == 0, ended


def test_a_person_is_warned_and_not_refused(desk: Desk) -> None:
    ended = desk.rollback("run", "--to", "v1.1.0", "--yes")
    assert ended.code == 0
    assert "nothing shows that what runs now is bad" in ended.err
