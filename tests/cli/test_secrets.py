"""C38: secrets planted wherever a run meets text are in nothing that leaves, in no form of them."""

from __future__ import annotations

import base64
import json
import stat
import urllib.parse
from pathlib import Path

import pytest
import yaml

from rollback_lib.sandbox import images
from rollback_lib.sandbox.shop import GOOD, ORGANIZATION
from tests.cli.desk import Desk
from tests.fake_hook import TOKEN, FakeHook

PASSWORD = "p@ss/w:rd%-S3cr3t"
BODY = (
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
    "aShortLastLine9x==",
)
PEM = "\n".join(("-----BEGIN PRIVATE KEY-----", *BODY, "-----END PRIVATE KEY-----"))
LOG = (
    f"Connecting with password={PASSWORD}\njdbc:postgresql://shop:{PASSWORD}@db:5432/shop\n"
    f"Authorization: Bearer {TOKEN.replace(':', '').replace('@', '')}\n{PEM}\nFATAL: cannot start\n"
)
SHAPED = "ghp_Planted0Planted1Planted2Planted3"
IN_THE_CLUSTER = "0nly-In-A-Secret"
REGISTRY = "registry-Pa55-planted"
SECRETS = (PASSWORD, *BODY, TOKEN, SHAPED, IN_THE_CLUSTER, REGISTRY)
EXACT = ("manifests", "before")


def forms(secret: str) -> set[str]:
    return {secret, base64.b64encode(secret.encode()).decode(), urllib.parse.quote(secret, safe="")}


def test_planted_secrets_are_in_nothing_that_leaves(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    playground = desk.playground
    monkeypatch.setattr(images.Image, "output", lambda self, environment: LOG)
    playground.registry.push(f"{ORGANIZATION}/user-service", GOOD, "crash", GOOD)
    playground.must("set", "env", "deployment/user-service", f"API_TOKEN={PASSWORD}", f"TLS_PRIVATE_KEY={PEM}")
    playground.must("set", "env", "deployment/user-service", f"GREETING={SHAPED}")
    playground.must("create", "secret", "generic", "user-service", f"--from-literal=greeting={IN_THE_CLUSTER}")
    login = base64.b64encode(f"ci:{REGISTRY}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"docker.io": {"auth": login}}}))
    cluster = yaml.safe_load(playground.kubeconfig.read_text())["users"][0]["user"]["token"]
    config = playground.repository / "with-hook.yaml"
    settings = (playground.repository / "rollback.yaml").read_text()
    config.write_text(settings + "\nnotify: {slack: {url_env: HOOK}, webhooks: {log: {url_env: LOG_HOOK}}}\n")
    try:
        with FakeHook("500") as hook, FakeHook() as log:
            said = f"password={PASSWORD}\n{PEM}"
            environ = {"HOOK": hook.url, "LOG_HOOK": log.url, "DOCKER_CONFIG": str(tmp_path)}
            ended = desk.rollback(
                "run", "--yes", "--config", str(config), "--to", GOOD, "--reason", said, **environ
            )  # fmt: skip
            sent = repr([body for _, _, body in hook.got + log.got])
    finally:
        config.unlink()
    assert ended.code == 4, ended
    assert log.events == ["started", "failed"]
    assert "FATAL: cannot start" in ended.err, "what is no secret is shown"
    run = desk.runs()[-1]
    leaves = [p for p in run.rglob("*") if p.is_file() and p.relative_to(run).parts[0] not in EXACT]
    assert {p.name for p in leaves} >= {"plan.json", "journal.jsonl", "incident.md", "report.html", "junit.xml"}
    shown = {"output": ended.out + ended.err, "notices": sent} | {str(p): p.read_text() for p in leaves}
    for secret in (*SECRETS, cluster):
        for form in forms(secret):
            assert [name for name, text in shown.items() if form in text] == []
    for path in run.rglob("*"):
        assert not path.is_file() or stat.S_IMODE(Path(path).stat().st_mode) == 0o600, path
