"""Whatever comes in: a clear message and 2 or 3, never a traceback, and nothing of it reaches a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rollback_lib.cli import main
from tests.git_repository import RepositoryBuilder

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "corpus" / "ecommerce"
SETTINGS = 'application: shop\nmanifests: {path: "k8s/{service}"}\nenvironments: {prod: {namespace: shop}}\n'
GOOD = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: user}
spec:
  selector: {matchLabels: {app: user}}
  template:
    metadata: {labels: {app: user}}
    spec: {containers: [{name: user, image: "team/user:prod"}]}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RepositoryBuilder:
    made = RepositoryBuilder(tmp_path / "repository")
    made.commit({"k8s/user/d.yaml": GOOD, "rollback.yaml": SETTINGS})
    made.tag("v1.0.0")
    monkeypatch.chdir(made.folder)
    for name in list(os.environ):
        if name.startswith("ROLLBACK_"):
            monkeypatch.delenv(name)
    return made


def plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["plan", "--offline", *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    return code, said.err + said.out


def test_a_good_repository_plans(repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = plan(capsys, "--to=v1.0.0")
    assert code == 0, said
    assert "Deployment/user" in said


BAD_MANIFESTS = [
    b"a: [",
    b"a: 1\na: 2\n",
    b"image: {{ .Values.image }}\n",
    b"\x00\x01\x02",
    "apiVersion: v1\nkind: año\n".encode("utf-16-le"),
    b"a: &x [*x]\n",
    b"[" * 5000,
    b"kind: Deployment\n",
    b"- just\n- a list\n",
    GOOD.replace(b"image:", b"image: [x, image:"),
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ñ}\n".encode("latin-1"),
    b"%YAML 9.9\n---\n!!python/object:os.system x\n",
]


@pytest.mark.parametrize("data", BAD_MANIFESTS, ids=range(len(BAD_MANIFESTS)))
def test_a_broken_manifest_is_refused_with_its_file(
    repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    repository.commit({"k8s/user/d.yaml": data})
    repository.tag("v2.0.0")
    code, said = plan(capsys, "--to=v2.0.0")
    assert code == 3, said
    assert "k8s/user/d.yaml" in said


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
@example("application: [")
@example("environments: {prod: {namespace: -x}}")
def test_any_settings_are_read_or_refused(
    repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (repository.folder / "rollback.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    code, said = plan(capsys, "--to=v1.0.0")
    assert code == 2, said
    assert "rollback.yaml" in said


BAD_NAMES = [
    "--upload-pack=touch evil",
    "-v1",
    "v1\nv2",
    "v1;touch evil",
    "$(touch evil)",
    "v1..v2",
    "v1 v2",
    "HEAD~1",
    "a\x00b",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_release_that_cannot_be_a_tag_is_refused_and_runs_nothing(
    repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code, said = plan(capsys, f"--to={name}")
    assert code == 2, said
    if "\x00" not in name:
        monkeypatch.setenv("ROLLBACK_TO", name)
        assert plan(capsys)[0] == 2
    assert not list(repository.folder.rglob("evil"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_command_line_ends_with_a_code(
    repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    code = main(words)
    said = capsys.readouterr()
    assert code in (0, 2, 3), (words, said)
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_poor_console_does_not_change_the_code(repository: RepositoryBuilder, encoding: str) -> None:
    environment = {
        **os.environ,
        "PYTHONIOENCODING": encoding,
        "PYTHONUTF8": "0",
        "LC_ALL": "C",
        "PYTHONPATH": str(ROOT),
    }
    command = (sys.executable, "-m", "rollback_lib", "plan", "--offline", "--to=v1.0.0")
    done = subprocess.run(command, cwd=repository.folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Deployment/user" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    command = (sys.executable, "-X", "importtime", "-m", "rollback_lib", "--help")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "rollback_lib.cli" in loaded
    assert not loaded & {"yaml", "msgspec", "kubernetes", "git", "requests", "docker_image"}
    assert not any(name.startswith("rollback_lib.core") for name in loaded)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real manifests is not beside the project")
@pytest.mark.parametrize("release", ["v1.0.0", "v1.4.1", "v1.5.3"])
def test_a_real_shop_plans_offline(
    repository: RepositoryBuilder, capsys: pytest.CaptureFixture[str], release: str
) -> None:
    files = {str(p.relative_to(CORPUS / release)): p.read_bytes() for p in (CORPUS / release).rglob("*.yaml")}
    files = {p: d for p, d in files.items() if not p.endswith("namespace.yaml")}
    text = SETTINGS.replace('{path: "k8s/{service}"}', '{path: "k8s/{service}", shared: [k8s/common-config.yaml]}')
    repository.commit({**files, "rollback.yaml": text})
    repository.tag("v9.0.0")
    code, said = plan(capsys, "--to=v9.0.0")
    assert code == 0, said
    assert "Deployment/shipping-service" in said
