"""D45: a whole rollback with every planted secret at once: none of them is in anything that leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from rollback_lib.sandbox import images
from rollback_lib.sandbox.shop import GOOD
from tests import planted
from tests.cli.desk import Desk
from tests.cli.terminal import written
from tests.fake_hook import FakeHook
from tests.planted import plain, secret

EXACT = ("manifests", "before")


def config(name: str, values: dict[str, str]) -> str:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values}
    return json.dumps(body)


def plant(desk: Desk) -> None:
    """Live has all of them, in variables, annotations, arguments and a ConfigMap; the good release has none of them."""
    named = {name.replace("ñ", "n"): plain(value) for name, value in planted.NAMED.items()}
    texts = {f"GREETING_{n}": plain(text) for n, text in enumerate((*planted.SHAPED, *planted.TEXTS))}
    env = [{"name": name, "value": value} for name, value in {**named, **texts}.items()]
    words = [plain(word) for words in planted.ARGUMENTS for word in words]
    notes = {f"shop.example/{name.lower()}": value for name, value in {**named, **texts}.items()}
    container = {"name": "user-service", "env": env, "args": words}
    spec = {"template": {"metadata": {"annotations": notes}, "spec": {"containers": [container]}}}
    playground = desk.playground
    playground.must("patch", "deployment/user-service", f"--patch={json.dumps({'spec': spec})}")
    data = {name.lower(): value for name, value in {**named, **texts}.items()}
    playground.must("patch", "configmap/user-settings", f"--patch={json.dumps({'data': data})}")
    kept = config("user-settings", {"limit": "10", **{key: f"old-{n}" for n, key in enumerate(data)}})
    desk.rewrite(GOOD, {"k8s/user-service/settings.yaml": kept})


@pytest.mark.long
def test_what_is_planted_everywhere_at_once_leaves_nowhere(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(desk)
    log = "\n".join(plain(t) for t in (*planted.TEXTS, *planted.SHAPED[: -planted.SHAPELESS]))
    monkeypatch.setattr(images.Image, "output", lambda self, environment: f"{log}\nFATAL: cannot start\n")
    settings = "\nnotify: {slack: {url_env: HOOK}}\n"
    desk.settings(settings)
    with FakeHook() as hook:
        looked = desk.rollback("plan", "--to", GOOD, HOOK=hook.url)
        reason = "; ".join(plain(t) for t in planted.TEXTS if "\n" not in t)[:1900]
        ended = desk.rollback("run", "--yes", "--to", GOOD, "--reason", reason, "-v", HOOK=hook.url)
        sent = repr([body for _, _, body in hook.got])
    assert ended.code in (0, 4), ended
    shown = {"plan": looked.out + looked.err, "run": ended.out + ended.err, "notices": sent}
    for form in ("md", "html", "json"):
        page = desk.rollback("report", "--format", form)
        shown[f"report {form}"] = page.out + page.err
    records = json.loads(desk.playground.must("get", "configmaps", "--output=json"))["items"]
    shown["cluster"] = repr([r for r in records if r["metadata"]["name"].startswith("rollback-")])
    shown["history"] = repr(desk.rollback("history"))
    for run in desk.runs():
        for path in run.rglob("*"):
            if path.is_file() and path.relative_to(run).parts[0] not in EXACT:
                shown[str(path.relative_to(run))] = path.read_text(errors="replace")
    assert {Path(name).name for name in shown} >= {"plan.json", "journal.jsonl", "incident.md", "report.html"}
    assert "env[PIN]" in shown["plan"] or "PIN" in shown["plan"], "that it changes is shown"
    leaks = [(secret(t), name) for t in planted.every() for name, text in shown.items() if secret(t) in text]
    assert not leaks, "\n".join(map(str, leaks))


@pytest.mark.long
def test_values_are_shown_on_a_terminal_alone_and_kept_nowhere(desk: Desk) -> None:
    desk.playground.must("set", "env", "deployment/user-service", "CARD_PIN=480211")
    refused = desk.rollback("plan", "--to", GOOD, "--show-values")
    assert refused.code == 2
    assert "no terminal" in refused.err
    command = (sys.executable, "-m", "rollback_lib", "plan", "--to", GOOD)
    here, environ = desk.playground.repository, desk.playground.environment()
    assert "480211" not in written(command, here, environ)[1]
    code, said = written((*command, "--show-values"), here, environ)
    assert code == 0, said
    assert "480211" in said
    kept = [
        p for run in desk.runs() for p in run.rglob("*") if p.is_file() and p.relative_to(run).parts[0] not in EXACT
    ]
    assert kept
    assert not [p for p in kept if "480211" in p.read_text(errors="replace")]


def test_names_that_settings_show_are_shown(desk: Desk) -> None:
    desk.playground.must("set", "env", "deployment/user-service", "ODDITY=x7!k2")
    assert "x7!k2" not in desk.rollback("plan", "--to", GOOD).out
    desk.settings("\nshow_values: [ODDITY]\n")
    assert "env[ODDITY]: x7!k2" in desk.rollback("plan", "--to", GOOD).out
