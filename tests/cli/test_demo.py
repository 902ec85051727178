"""The demo and the sandbox as a newcomer starts them: the real kubectl, this command, a terminal or a pipe."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import terminal

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ("tag-overwritten", "image-missing", "leftover-sidecar", "config-only", "verify-fails")
PATIENCE = 60
PHASES = ("1. ", "2. ", "3. ", "(undone", "(apply)", "5. ", "(images)", "(verify)", "6. ")

pytestmark = pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Of a user whose own settings point elsewhere, and whose temporary folder can be looked into afterwards."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error::ResourceWarning",
        "KUBECONFIG": "/nowhere",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ROLLBACK_TO": "v0.0.1",
        **more,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "rollback_lib", *arguments]


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(tmp_path, **more)
    encoding = more.get("PYTHONIOENCODING", "utf-8")
    return subprocess.run(
        command(*arguments),
        env=env,
        cwd=tmp_path,
        capture_output=True,
        encoding=encoding,
        timeout=PATIENCE,
        check=False,
    )


def left_behind(tmp_path: Path) -> list[str]:
    """Files of the demo, wherever a user would find them."""
    return sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each != tmp_path / "tmp")


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """In a process group of its own, as a shell starts it, so that a Ctrl-C can reach all of it."""
    with subprocess.Popen(
        # A signal may come while Python starts a program, and then Python itself warns that it is still running.
        command(*arguments), cwd=tmp_path, start_new_session=True,
        env=environment(tmp_path, PYTHONUNBUFFERED="1", PYTHONWARNINGS="ignore::ResourceWarning"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """The output up to and with the line that has the text."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was never said:\n{seen}")


def interrupt(process: subprocess.Popen[str]) -> str:
    """Ctrl-C: the rest of the output."""
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    rest = process.stdout.read()
    process.wait(PATIENCE)
    return rest


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        pytest.param("image-missing", ["no object was changed.", "rollback ended with 3."], marks=pytest.mark.long),
        pytest.param(
            "leftover-sidecar",
            ["Still there: container debug-proxy (payment-service)", "rollback ended with 0."],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "config-only",
            ["10 of 10 services say that they are DOWN", "rollback ended with 0."],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "verify-fails", ["9 answer v1.1.0, 1 answer v1.2.0.", "rollback ended with 4."], marks=pytest.mark.long
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_scenario_ends_as_it_should_and_leaves_nothing(tmp_path: Path, scenario: str, says: list[str]) -> None:
    done = run(tmp_path, "demo", "--scenario", scenario, PYTHONIOENCODING="cp1252", CI="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [text for text in says if text not in done.stdout] == []
    assert plain(done)
    assert "ResourceWarning" not in done.stderr
    assert left_behind(tmp_path) == []


def plain(done: subprocess.CompletedProcess[str]) -> bool:
    """What a pipe may get: lines of text."""
    return not re.search(r"[\x00-\x09\x0b-\x1f]", done.stdout + done.stderr)


@pytest.mark.long
def test_what_others_would_bring_back_is_nothing_and_the_rollback_all(tmp_path: Path) -> None:
    code, shown = terminal.shown(command("demo"), tmp_path, environment(tmp_path, TERM="xterm"))
    assert code == 0, shown
    assert re.findall(r"(\d+) of 10 services are as v1\.1\.0 was", shown) == ["10", "0", "0", "10"]
    assert re.search(r"→ sanjodb/user-service:v1\.1\.0@sha256:[0-9a-f]{12}", shown)
    assert "# Rollback of ecommerce prod to v1.1.0" in shown
    own = [line for line in shown.splitlines() if not re.match(r"   /|  git  +/", line)]  # a path stays whole
    assert [line for line in own if len(line) > 80] == [], "it fits 80 columns"
    assert left_behind(tmp_path) == []


@pytest.mark.long
@pytest.mark.parametrize("at", PHASES, ids=lambda at: at.strip("(. "))
def test_ctrl_c_in_any_phase_leaves_nothing(tmp_path: Path, at: str) -> None:
    # The phases of the run itself are the same in a story that has no others before it.
    scenario = "verify-fails" if at.startswith("(") and at != "(undone" else "tag-overwritten"
    with started(tmp_path, "demo", "--scenario", scenario) as process:
        read_until(process, at)
        rest = interrupt(process)
    assert process.returncode == 130
    assert rest.rstrip().endswith("Interrupted. The sandbox is gone; nothing was left behind.")
    assert "Traceback" not in rest
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_a_kill_leaves_nothing_as_well(tmp_path: Path) -> None:
    with started(tmp_path, "demo") as process:
        read_until(process, "2. ")
        process.terminate()
        assert "Traceback" not in (process.stdout.read() if process.stdout else "")
    assert process.returncode == 130
    assert left_behind(tmp_path) == []


def test_no_kubectl_is_one_line_that_says_where_to_get_it(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == (
        "rollback: kubectl is not on the PATH. Get it from https://kubernetes.io/docs/tasks/tools/"
    )
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_two_demos_at_once_do_not_meet(tmp_path: Path) -> None:
    with started(tmp_path, "demo") as one, started(tmp_path, "demo") as other:
        for process in (one, other):
            read_until(process, "3. ")
        assert interrupt(one).rstrip().endswith("nothing was left behind.")
        assert "0 of 10 services are as v1.1.0 was." in read_until(other, "(undone")
        interrupt(other)
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_a_pipe_gets_spanish_that_a_windows_console_can_show(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--scenario", "image-missing", "--language", "es", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no cambió ningún objeto" in done.stdout
    assert plain(done)
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_the_sandbox_stays_until_ctrl_c_and_what_it_prints_works(tmp_path: Path) -> None:
    with started(tmp_path, "sandbox") as process:
        said = read_until(process, "verify --to")
        lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
        exports = "\n".join(line for line in lines if line.startswith(("export ", "cd ")))
        env = environment(tmp_path)
        del env["ROLLBACK_TO"]
        outcomes = {}
        for line in lines[lines.index("kubectl get pods") :]:
            script = f"{exports}\n{line}" + (" --yes" if " run " in line else "")
            done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, check=False)
            outcomes[line.rpartition("rollback_lib ")[2]] = (done.returncode, done.stdout)
        rest = interrupt(process)
    assert {line: code for line, (code, _) in outcomes.items()} == dict.fromkeys(outcomes, 0)
    assert outcomes["kubectl get pods"][1].count("Running") == 10
    assert "prod runs v1.1.0 again" in outcomes["run --to v1.1.0"][1]
    assert process.returncode == 0
    assert rest.strip() == "The sandbox is gone; nothing was left behind."
    shutil.rmtree(tmp_path / ".kube", ignore_errors=True)  # the cache of the kubectl that the test ran itself
    assert left_behind(tmp_path) == []


@pytest.mark.long
def test_keep_stays_and_leaves_the_files(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--keep", "--scenario", "image-missing") as process:
        read_until(process, "verify --to")
        rest = interrupt(process)
    assert process.returncode == 0
    folder = Path(rest.rpartition("Its files: ")[2].strip())
    assert list(folder.glob("ecommerce/.rollback/*/report/incident.md"))
