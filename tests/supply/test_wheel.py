"""From the folder that `make wheelhouse` made and nothing else: no index, no clone, an empty folder.

For each Python of `TRIED` that is on this machine, by name or below pyenv's root. The others are not tried, and
`make test-wheel` shows which were.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from supply import lock
from tests.command_line import KEPT

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "dist" / "wheelhouse"
LOCK = HOUSE / "rollback-lib.lock"
TRIED = ("3.11", "3.12", "3.13")
# An index that somebody asks all the same is not reached: what is no loopback address goes to a port that nobody has.
NOWHERE = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
}


def said(*command: object, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(folder)} | more
    return subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def done(*command: object, folder: Path, **more: str) -> str:
    ended = said(*command, folder=folder, **more)
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def python(version: str) -> Path | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [Path(sys.executable), *pyenv.glob(f"{version}.*/bin/python")]
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    for each in candidates:
        ask = (str(each), "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        if subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip() == version:
            return each
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "version" in metafunc.fixturenames:
        # Each stays with one worker, which installs once.
        found = [pytest.param(v, marks=pytest.mark.xdist_group(v)) for v in TRIED if python(v)]
        metafunc.parametrize("version", found)


def tracked(*under: str) -> dict[str, bytes]:
    out = subprocess.run(
        ("git", "ls-files", "-z", *under), cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout
    return {name: (ROOT / name).read_bytes() for name in out.split("\0") if name and (ROOT / name).is_file()}


def handed_out() -> dict[str, bytes]:
    """Where each file stands in the wheel, and what is in it."""
    install = tracked("Jenkinsfile.rollback", "jenkins")
    return tracked("rollback_lib") | {f"rollback_lib/install/{name}": content for name, content in install.items()}


def in_wheel(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has here, with what builds and people leave behind."""
    top = tmp_path_factory.mktemp("clone")
    for name, content in tracked().items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com")
    for words in (
        ("init", "--quiet"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=x", "--date=2026-01-01T00:00:00Z"),
    ):
        done(*git, *words, folder=top)
    for name in (
        "build/lib/rollback_lib/gone.py",
        "build/lib/rollback_lib/install/gone.groovy",
        "build/bdist.x/gone.py",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("stale = True\n")
    return top


def made_in(clone: Path) -> dict[str, bytes]:
    done(sys.executable, "-m", "supply", "wheel", folder=clone)
    return {file.name: file.read_bytes() for file in (clone / "dist").iterdir() if file.is_file()}


def test_the_wheel_is_what_git_has_and_the_same_bytes_each_time(clone: Path) -> None:
    first = made_in(clone)
    assert sorted(first) == ["rollback-lib.cdx.json", "rollback-lib.lock", "rollback_lib-0.1.0-py3-none-any.whl"]
    (clone / "rollback_lib" / "stray.py").write_text("stray = True\n")
    (clone / "jenkins" / "operador.md").touch()
    (clone / "rollback_lib" / "api.py").chmod(0o600)
    assert made_in(clone) == first
    (clone / "rollback_lib" / "stray.py").unlink()
    assert in_wheel(clone / "dist" / "rollback_lib-0.1.0-py3-none-any.whl") == handed_out()


def test_what_pip_builds_of_a_clone_has_nothing_of_an_earlier_build(clone: Path, tmp_path: Path) -> None:
    words = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", tmp_path, clone)
    done(sys.executable, "-m", "pip", *words, folder=tmp_path)
    assert in_wheel(*tmp_path.glob("*.whl")) == handed_out()


def test_the_lock_pins_every_wheel_of_the_folder_and_names_no_place() -> None:
    text = LOCK.read_text(encoding="utf-8")
    pins = lock.read(text)
    needed = lock.read((ROOT / "locks" / "run.txt").read_text(encoding="utf-8"))
    assert [(pin.name, pin.version) for pin in pins] == [
        *((pin.name, pin.version) for pin in needed),
        ("rollback-lib", "0.1.0"),
    ]
    wheels = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in HOUSE.glob("*.whl")}
    pinned = {h for pin in pins for h in pin.hashes}
    assert {name for name, found in wheels.items() if found not in pinned} == set()
    assert {
        name for pin in pins if not pin.hashes or not set(pin.hashes) & set(wheels.values()) for name in [pin.name]
    } == set()
    assert "/" not in text


def test_the_bill_of_materials_is_the_lock() -> None:
    bill = json.loads((HOUSE / "rollback-lib.cdx.json").read_text(encoding="utf-8"))
    pins = lock.read(LOCK.read_text(encoding="utf-8"))
    listed = [*bill["components"], bill["metadata"]["component"]]
    found = {(c["name"], c["version"], *sorted(h["content"] for h in c["hashes"])) for c in listed}
    assert (bill["bomFormat"], found) == ("CycloneDX", {(pin.name, pin.version, *sorted(pin.hashes)) for pin in pins})
    assert re.findall(r"https?://[^\"]*", json.dumps({**bill, "$schema": ""})) == []


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def installed(version: str, environments: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands, installed on this Python from the folder of wheels and nothing else."""
    if version not in environments:
        top = tmp_path_factory.mktemp(f"python{version}")
        done(python(version), "-m", "venv", "--without-pip", "venv", folder=top)
        pip = (sys.executable, "-m", "pip", "--python", top / "venv/bin/python", "--isolated", "install", "--quiet")
        words = ("--no-compile", "--no-index", "--find-links", HOUSE, "--require-hashes", "-r", LOCK)
        done(*pip, *words, folder=top, PIP_NO_INDEX="1", **NOWHERE)
        environments[version] = top / "venv/bin"
    return environments[version]


def test_it_tells_its_version(installed: Path, tmp_path: Path) -> None:
    assert "0.1.0" in done(installed / "rollback", "--version", folder=tmp_path, **NOWHERE)


def test_it_writes_what_an_administrator_installs(installed: Path, tmp_path: Path) -> None:
    for name, content in tracked("Jenkinsfile.rollback", "jenkins").items():
        said = done(installed / "rollback", "jenkins", "render", name, folder=tmp_path, **NOWHERE)
        assert said.startswith(f"{name} was created"), said
        assert (tmp_path / name).read_bytes() == content


def test_it_tells_the_demo_s_story(installed: Path, tmp_path: Path) -> None:
    told = done(installed / "rollback", "demo", folder=tmp_path, **NOWHERE)
    assert "prod runs v1.1.0 again, 10 of 10 ready" in told


def install_step(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The pipeline's own, as it stands in Jenkinsfile.rollback, on an agent without `rollback`."""
    text = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    (script,) = re.findall(r"sh\(label: 'Install rollback', script: '''(.*?)'''\)", text, re.DOTALL)
    tools = folder / "bin"
    tools.mkdir()
    (tools / "python3").symlink_to(python("3.11") or sys.executable)
    return said(
        "sh", "-xe", "-c", script.replace("\\\\", "\\"), folder=folder, PATH=f"{tools}:/usr/bin:/bin", **NOWHERE, **more
    )


def test_the_pipeline_installs_from_a_folder_of_the_repository_whatever_pip_is_told(tmp_path: Path) -> None:
    (tmp_path / "wheels").symlink_to(HOUSE)
    hostile = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "http://127.0.0.1:9/",
        "PIP_NO_BINARY": ":all:",
    }
    ended = install_step(tmp_path, ROLLBACK_WHEELHOUSE="wheels", **hostile)
    assert ended.returncode == 0, ended.stdout
    assert "0.1.0" in done(tmp_path / ".rollback-venv/bin/rollback", "--version", folder=tmp_path)


def test_the_pipeline_says_which_folder_it_lacks_and_where_that_is_told(tmp_path: Path) -> None:
    ended = install_step(tmp_path, ROLLBACK_WHEELHOUSE="/opt/not there")
    assert ended.returncode == 1
    assert (
        ended.stdout.splitlines()[-1]
        == "There is no rollback-lib.lock in /opt/not there: jenkins/README.md says how to make that folder."
    )
    assert not (tmp_path / ".rollback-venv").exists()


@pytest.mark.parametrize("name", ["rollback_lib", "click"])
def test_a_wheel_that_somebody_changed_is_not_installed(name: str, tmp_path: Path) -> None:
    shutil.copytree(HOUSE, tmp_path / "wheels")
    (wheel,) = (tmp_path / "wheels").glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("sitecustomize.py", "print('mine')\n")
    words = (
        "--dry-run",
        "--ignore-installed",
        "--no-index",
        "--find-links",
        "wheels",
        "--require-hashes",
        "-r",
        "wheels/rollback-lib.lock",
    )
    ended = said(sys.executable, "-m", "pip", "install", *words, folder=tmp_path)
    assert ended.returncode != 0
    assert f"{name.replace('_', '-')}==" in ended.stdout
    assert "DO NOT MATCH THE HASHES" in ended.stdout
