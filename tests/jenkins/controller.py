"""A Jenkins controller with its agents, as small as a build of ours needs; what it does is in notes of live runs.

Every `node` gets a workspace of its own, so that what is not stashed is lost. `sh` runs a real shell; `bat` is read
with cmd's expansion, which comes before its parsing, and refuses what cmd would have run beside the command.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.jenkins.engine import Engine, Interrupted, Killed, StepFailed

SIMPLE = (
    "sh", "bat", "echo", "error", "stash", "unstash", "archiveArtifacts", "junit", "isUnix", "readFile", "writeFile",
    "fileExists", "deleteDir", "checkout", "input", "build", "milestone",
)  # fmt: skip
BLOCKS = ("script", "stage", "node", "withEnv", "withCredentials", "timeout", "lock", "dir", "catchError", "timestamps")
DESCRIBING = ("string", "booleanParam", "choice", "text", "file", "usernamePassword", "logRotator")
STEPS = (*SIMPLE, *BLOCKS, *DESCRIBING)
CMD_SPECIAL = set("&|<>^\n")


class Resources:
    """What builds of one controller wait for: lockable resources, and the job where its builds may not overlap."""

    def __init__(self, patience: float = 600.0) -> None:
        """``patience``: seconds for which a build is let wait; then it is a fault of what is tested."""
        self._patience = patience
        self._changed = threading.Condition()
        self._held: dict[str, int] = {}

    def take(self, name: str, build: Build) -> None:
        with self._changed:
            if name in self._held:
                build.waited.append(name)
            free = self._changed.wait_for(lambda: name not in self._held, self._patience)
            assert free, f"build {build.number} waits for {name}, which build {self._held.get(name)} has"
            self._held[name] = build.number

    def give(self, build: Build, name: str = "") -> None:
        """Give back this, or all that the build has."""
        with self._changed:
            for mine in [n for n, number in self._held.items() if number == build.number and name in ("", n)]:
                del self._held[mine]
            self._changed.notify_all()


@dataclass
class Job:
    """What an administrator has set up: the file, the parameters that the job knows, agents, credentials."""

    file: Path
    workspaces: Path
    repository: Path
    agent_environment: Mapping[str, str]
    credentials: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    library: tuple[Path, ...] = ()
    unix: bool = True
    name: str = "rollback"
    url: str = "http://jenkins.test/"
    resources: Resources = field(default_factory=Resources)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class Answers:
    """What people and the world do while it runs."""

    approve: str = "ada"  # who answers yes; empty: see ``deny``
    deny: str = "Rejected by ada"  # why the question ends without a yes
    abort_when: str = ""  # the build is stopped when a program prints this
    kill_when: str = ""  # the same, and by /kill or with its controller: no step runs after it
    kill_at_question: bool = False
    at_question: Callable[[], None] = lambda: None  # while a person thinks
    lose_at: str = ""  # before this command the agent is gone, with its workspace
    before: Callable[[str], None] = lambda command: None  # before each command of a shell
    builds: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None


class Build:
    """One build: run it, then look at what it left."""

    def __init__(self, job: Job, parameters: Mapping[str, Any] | None, answers: Answers, number: int = 7) -> None:
        self.job, self.parameters, self.answers, self.number = job, parameters, answers, number
        self.result, self.display_name, self.description = "SUCCESS", f"#{number}", ""
        self.log: list[str] = []
        self.stages: list[str] = []  # entered, in order
        self.skipped: list[str] = []  # by their `when`
        self.passed_over: list[str] = []  # since an earlier one failed
        self.waited: list[str] = []  # for what of `Resources`
        self.failed: list[str] = []
        self.commands: list[tuple[str, str]] = []  # (command with its words, agent)
        self.archived: dict[str, bytes] = {}
        self.questions: list[dict[str, Any]] = []
        self.entered: list[tuple[str, dict[str, Any]]] = []  # blocks with what they were given
        self.held: list[tuple[str, str]] = []  # (what, event) of locks, executors and questions
        self.stashes: dict[str, dict[str, bytes]] = {}
        self.end: dict[str, Any] = {}
        self.killed = False
        self.nesting: dict[str, list[str]] = {}  # the blocks around each command, outermost first
        self.pages: list[tuple[str, str]] = []  # (the command before it, the description that was set then)
        self._frames: list[tuple[str, dict[str, Any]]] = []
        self._agents = 0
        path = "/job/".join(job.name.split("/"))
        self._global = {
            "BUILD_NUMBER": str(number), "JOB_NAME": job.name, "JENKINS_URL": job.url,
            "BUILD_URL": f"{job.url}job/{path}/{number}/",
            "BUILD_TAG": f"jenkins-{job.name.replace('/', '-')}-{number}",
        }  # fmt: skip

    def run(self, engine: Engine) -> Build:
        try:
            return self._run(engine)
        finally:
            self.job.resources.give(self)

    def _run(self, engine: Engine) -> Build:
        for name, value in (self.parameters or {}).items():  # core's ChoiceParameterDefinition, before there is a build
            assert value in self.job.choices.get(name, (value,)), f"Illegal choice for parameter {name}: {value}"
        request = {
            "file": str(self.job.file), "params": {**self.job.defaults, **(self.parameters or {})},
            "first_build": self.parameters is None,
            "scm": {"branches": ["*/main"], "extensions": [], "userRemoteConfigs": [{"url": str(self.job.repository)}]},
            "steps": [*STEPS, *(path.stem for path in self.job.library)], "library": [str(p) for p in self.job.library],
        }  # fmt: skip
        self.end = engine.play(request, self._answer)
        if self.killed:
            self.result = "ABORTED"
            return self
        assert "crash" not in self.end, self.end["crash"] + "\n".join(self.log[-30:])
        if "rules" in self.end:
            self.result = "FAILURE"
        return self

    @property
    def text(self) -> str:
        return "\n".join(self.log)

    # --- events
    def _answer(self, event: str, args: list[Any]) -> Any:
        name = event.replace(".", "_")
        return getattr(self, f"_on_{name}")(*args)

    def _on_env_get(self, name: str) -> Any:
        return self._environment().get(name)

    def _on_env_set(self, name: str, value: Any) -> None:
        self._global[name] = str(value)

    def _on_build_get(self, name: str) -> Any:
        return {
            "result": None if self.result == "SUCCESS" else self.result, "currentResult": self.result,
            "displayName": self.display_name, "description": self.description, "number": self.number,
        }.get(name)  # fmt: skip

    def _on_build_set(self, name: str, value: str) -> None:
        assert name in ("displayName", "description", "result"), name
        setattr(self, "display_name" if name == "displayName" else name, value)
        if name == "description":
            self.pages.append((self.commands[-1][0] if self.commands else "", value))

    def _on_build_causes(self, kind: str) -> list[dict[str, str]]:
        return [{"userId": "grace", "shortDescription": "Started by grace"}] if "UserIdCause" in kind else []

    def _on_failed(self, kind: str, message: str, where: str = "") -> None:
        stage = next((given["name"] for name, given in reversed(self._frames) if name == "stage"), "")
        if stage not in self.failed:
            self.failed.append(stage)
            self.log.append(f"ERROR in {stage or 'the pipeline'}: {message}")
        self._worse("ABORTED" if kind == "FlowInterruptedException" else "FAILURE")

    def _on_caught(self, message: str, given: Mapping[str, Any]) -> None:
        self.log.append(f"caught: {message}")
        self._worse(given.get("buildResult") or "FAILURE")

    def _worse(self, result: str) -> None:
        order = ("SUCCESS", "UNSTABLE", "FAILURE", "ABORTED")
        if self.result in ("SUCCESS", "UNSTABLE") and order.index(result) > order.index(self.result):
            self.result = result

    def _on_skipped(self, stage: str) -> None:
        self.skipped.append(stage)

    def _on_passed_over(self, stage: str) -> None:
        self.passed_over.append(stage)
        self.log.append(f'Stage "{stage}" skipped due to earlier failure(s)')

    def _on_post(self, condition: str, failure: str | None) -> bool:
        met = {
            "always": True, "cleanup": True, "aborted": self.result == "ABORTED", "failure": self.result == "FAILURE",
            "success": self.result == "SUCCESS", "unsuccessful": self.result != "SUCCESS",
            "unstable": self.result == "UNSTABLE",
        }  # fmt: skip
        return met.get(condition, False)

    def _on_enter(self, name: str, given: dict[str, Any]) -> None:
        assert name in (*BLOCKS, "pipeline", "environment") or name.startswith("disable") or name in (
            "skipDefaultCheckout", "buildDiscarder", "preserveStashes"), f"no such block: {name}"  # fmt: skip
        frame = dict(given)
        self.entered.append((name, given))
        if name == "stage":
            frame.setdefault("name", frame.get("value"))
            self.stages.append(frame["name"])
        if name == "node":
            self._agents += 1
            frame["workspace"] = self.job.workspaces / f"agent-{self._agents}-of-{self.number}"
            frame["workspace"].mkdir(parents=True)
        if name == "withCredentials":
            frame["bound"] = self._bound(frame["value"])
        if resource := self._resource(name, frame):
            self.job.resources.take(resource, self)
        if name in ("node", "lock"):
            self.held.append((name, "take"))
        self._frames.append((name, frame))

    def _on_leave(self, name: str) -> None:
        left, frame = self._frames.pop()
        assert left == name, f"left {name} inside {left}"
        if resource := self._resource(name, frame):
            self.job.resources.give(self, resource)
        if name in ("node", "lock"):
            self.held.append((name, "release"))

    def _around(self) -> list[str]:
        """The block steps here, outermost first. `environment` is a withEnv where it holds anything."""
        found = [("withEnv" if name == "environment" and given else name) for name, given in self._frames]
        return [name for name in found if name in BLOCKS]

    def _resource(self, block: str, given: Mapping[str, Any]) -> str:
        """What has to be free for a block; a build that may not overlap holds its job."""
        if block == "disableConcurrentBuilds":
            return f"job {self.job.name}"
        return str(given.get("resource") or given.get("value")) if block == "lock" else ""

    def _on_step(self, name: str, args: list[Any]) -> Any:
        step = getattr(self, f"_step_{name}", None)
        assert step, f"No such DSL method '{name}' found among steps"
        first = args[0] if args else None
        return step(first if isinstance(first, dict) else {"value": first})

    # --- environment
    def _environment(self) -> dict[str, str]:
        found = dict(self._global)
        if self.parameters is not None:  # the first build of a job has no ParametersAction
            found |= {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in self.parameters.items()}
        for name, frame in self._frames:
            if name == "environment":
                given = {key: str(value) for key, value in frame.items()}
            elif name == "withEnv":
                given = dict(pair.split("=", 1) for pair in frame["value"])
            else:
                found |= frame.get("bound", {})
                continue
            found |= {key: _expanded(value, found) for key, value in given.items()}
        return found

    def _bound(self, bindings: list[Mapping[str, Any]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for binding in bindings:
            given = binding["args"]
            secret = self.job.credentials.get(given["credentialsId"])
            if secret is None:
                raise StepFailed(f"Could not find credentials entry with ID '{given['credentialsId']}'")
            if binding["step"] == "usernamePassword":
                found |= {given["usernameVariable"]: secret[0], given["passwordVariable"]: secret[1]}
            else:
                found[given["variable"]] = secret
        return found

    @property
    def _folder(self) -> Path:
        node = next((frame for name, frame in reversed(self._frames) if name == "node"), None)
        if node is None:
            raise StepFailed("Required context class hudson.FilePath is missing. Perhaps you forgot a node block")
        at: Path = node["workspace"]
        if node.get("lost"):
            raise StepFailed(f"Unable to create live FilePath for {at.name}; {at.name} was marked offline")
        for name, frame in self._frames:
            if name == "dir":
                at = at / frame["value"]
        return at

    # --- steps
    def _step_echo(self, given: Mapping[str, Any]) -> None:
        self.log.append(str(given.get("value") or given.get("message")))

    def _step_error(self, given: Mapping[str, Any]) -> None:
        raise StepFailed(str(given.get("value") or given.get("message")))

    def _step_isUnix(self, given: Mapping[str, Any]) -> bool:
        assert self._folder
        return self.job.unix

    def _step_sh(self, given: Mapping[str, Any]) -> Any:
        if not self.job.unix:
            raise StepFailed("Cannot run program sh on a Windows agent")
        return self._program(("sh", "-xe", "-c", given.get("script") or given["value"]), given)

    def _step_bat(self, given: Mapping[str, Any]) -> Any:
        if self.job.unix:
            raise StepFailed("Batch scripts can only be run on Windows nodes")
        environment = {k.upper(): v for k, v in self._environment().items()}
        environment["CD"] = str(self._folder)
        code: Any = 0
        for line in (given.get("script") or given["value"]).splitlines():
            line = line.strip().removeprefix("@")
            if not line or line == "echo off" or line.startswith("set "):
                continue
            expanded = re.sub(r"%([^%\s]+)%", lambda m: environment.get(m.group(1).upper(), ""), line)
            added = {c for c in CMD_SPECIAL if expanded.count(c) > line.count(c)}
            assert not added, f"cmd would run parts of {expanded!r}"
            assert expanded.count('"') == line.count('"'), f"cmd would see other quotes in {expanded!r}"
            if line.startswith(("where ", "if not exist ", "python -m venv", ".rollback-venv")):
                continue  # nothing to install here: the library is in the agent
            words = shlex.split(expanded.removeprefix("call "), posix=True)
            code = self._program(tuple(words), given)
        return code

    def _program(self, command: tuple[str, ...], given: Mapping[str, Any]) -> Any:
        environment = {**self.job.agent_environment, **self._environment()}
        words = str(given.get("label") or command[-1])
        self.nesting.setdefault(words, self._around())
        folder = self._folder
        self.commands.append((words, folder.name))
        self.answers.before(words)
        if words == self.answers.lose_at:
            next(frame for name, frame in reversed(self._frames) if name == "node")["lost"] = True
            shutil.rmtree(folder)
            raise StepFailed(f"Agent {folder.name} was removed")
        folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        out: list[str] = []
        stopped = killed = False
        assert process.stdout
        for line in process.stdout:
            out.append(line.rstrip("\n"))
            self.log.append(out[-1])
            if self.answers.abort_when and self.answers.abort_when in line and not stopped:
                stopped = True
                os.killpg(process.pid, signal.SIGTERM)
            if self.answers.kill_when and self.answers.kill_when in line and not killed:
                killed = True
                os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        code = process.wait()
        if killed:
            raise self._kill()
        if stopped:
            raise Interrupted("Aborted by grace")
        if given.get("returnStdout"):
            return "\n".join(out)
        if given.get("returnStatus"):
            return code
        if code != 0:
            raise StepFailed(f"script returned exit code {code}")
        return None

    def _step_stash(self, given: Mapping[str, Any]) -> None:
        found = _matching(self._folder, given["includes"])
        if not found and not given.get("allowEmpty"):
            raise StepFailed("No files included in stash")
        self.stashes[given["name"]] = found

    def _step_unstash(self, given: Mapping[str, Any]) -> None:
        name = given.get("value") or given["name"]
        if name not in self.stashes:
            raise StepFailed(f"No such saved stash '{name}'")
        for path, data in self.stashes[name].items():
            place = self._folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)

    def _step_archiveArtifacts(self, given: Mapping[str, Any]) -> None:
        excludes = given.get("excludes") or ""
        for path, data in _matching(self._folder, given["artifacts"]).items():
            if not any(_ant(path, pattern) for pattern in excludes.replace(" ", "").split(",") if pattern):
                self.archived[path] = data

    def _step_junit(self, given: Mapping[str, Any]) -> None:
        found = _matching(self._folder, given.get("testResults") or given["value"])
        if not found and not given.get("allowEmptyResults"):
            raise StepFailed("No test report files were found. Configuration error?")
        self.log.append(f"Recording test results: {', '.join(found)}")

    def _step_readFile(self, given: Mapping[str, Any]) -> str:
        return (self._folder / (given.get("file") or given["value"])).read_text(encoding="utf-8")

    def _step_writeFile(self, given: Mapping[str, Any]) -> None:
        place = self._folder / given["file"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(given["text"], encoding="utf-8")

    def _step_fileExists(self, given: Mapping[str, Any]) -> bool:
        return (self._folder / (given.get("file") or given["value"])).exists()

    def _step_deleteDir(self, given: Mapping[str, Any]) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _step_checkout(self, given: Mapping[str, Any]) -> None:
        options = [o.get("args") or o for o in given.get("extensions", [])]
        tags = any(o.get("noTags") is False for o in options)
        command = ["git", "clone", "--quiet", *([] if tags else ["--no-tags"]), str(self.job.repository), "."]
        if any(self._folder.iterdir()):
            command = ["git", "status", "--short"]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)

    def _step_input(self, given: Mapping[str, Any]) -> Any:
        executors = sum(1 if event == "take" else -1 for what, event in self.held if what == "node")
        locks = sum(1 if event == "take" else -1 for what, event in self.held if what == "lock")
        stage = [name for name, _ in self._frames].index("stage")
        limited = any(name == "timeout" for name, _ in self._frames[stage:])
        self.questions.append({**given, "executors": executors, "locks": locks, "limited": limited})
        if self.answers.kill_at_question:
            raise self._kill()
        self.answers.at_question()
        if not self.answers.approve:
            raise Interrupted(self.answers.deny)
        values = {p["args"]["name"]: p["args"].get("defaultValue", "") for p in given.get("parameters") or ()}
        if name := given.get("submitterParameter"):
            values[name] = self.answers.approve
        # one value comes as itself, several as a Map (InputStepExecution.proceed)
        return values if len(values) > 1 else next(iter(values.values()), None)

    def _kill(self) -> Killed:
        self.killed = True
        return Killed()

    def _step_build(self, given: Mapping[str, Any]) -> Any:
        executors = sum(1 if event == "take" else -1 for what, event in self.held if what == "node")
        locks = sum(1 if event == "take" else -1 for what, event in self.held if what == "lock")
        assert self.answers.builds, "nothing answers build"
        return self.answers.builds({**given, "executors": executors, "locks": locks})

    def _step_milestone(self, given: Mapping[str, Any]) -> None:
        return None


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    """As EnvVars.overrideExpandingAll does with `withEnv` and `environment`: `$X`, `${X}` and `$$`."""

    def one(found: re.Match[str]) -> str:
        name = found.group(1).strip("{}")
        return "$" if name == "$" else environment.get(name, found.group(0))

    return re.sub(r"\$([A-Za-z0-9_]+|\{[A-Za-z0-9_.]+\}|\$)", one, value)


def _matching(folder: Path, patterns: str) -> dict[str, bytes]:
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in named.items() if any(_ant(name, w) for w in wanted)}


def _ant(path: str, pattern: str) -> bool:
    """Ant's patterns: `**` any folders, `*` within one name."""
    regex = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return bool(re.fullmatch(regex, path)) or fnmatch.fnmatchcase(path, pattern)
