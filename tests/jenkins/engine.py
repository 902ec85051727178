"""The JVM with Jenkins's engine: one for many builds. A request a line in, events a line out."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.jenkins import jars

HERE = Path(__file__).parent / "engine"
PATIENCE = 120.0  # seconds for one line of the JVM
Answer = Callable[[str, list[Any]], Any]


class Interrupted(Exception):
    """The build was stopped, a question was denied, or a time limit has passed."""


class Killed(Exception):
    """The controller has dropped the build, or is gone itself: no line of it runs any more."""


class StepFailed(Exception):
    """A step ended its build, as Jenkins's AbortException does."""


class Engine:
    """Use it in a ``with``."""

    def __enter__(self) -> Engine:
        java = shutil.which("java")
        assert java, "java is not on the PATH"
        assert not jars.missing(), "Jenkins's engine is not fetched: make test-jenkins"
        sources = [str(HERE / name) for name in ("Declarative.groovy", "Engine.groovy")]
        # Groovy 2.4 compiles these three files together only from one text.
        program = "\n".join(_without_imports(sources))
        start = HERE.parent / "engine"
        self._process = subprocess.Popen(
            (java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", jars.classpath(),
             "groovy.ui.GroovyMain", "-e", program, str(start)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.said: list[str] = []
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._hear)]
        for thread in self._threads:
            thread.start()
        assert self._next()["event"] == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream
            stream.close()

    def play(self, request: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        """Run one file. ``answer`` does what each event asks. The end: error, rules, or crash where there is one."""
        self._send(request)
        while (event := self._next())["event"] != "end":
            try:
                said: dict[str, Any] = {"value": answer(event["event"], event["args"])}
            except Interrupted as stopped:
                said = {"error": "interrupted", "message": str(stopped)}
            except Killed:
                said = {"error": "killed"}
            except StepFailed as failed:
                said = {"error": "abort", "message": str(failed)}
            self._send(said)
        return event

    def _send(self, value: Mapping[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        line = self._lines.get(timeout=PATIENCE)
        assert line is not None, "the JVM is gone: " + "\n".join(self.said[-20:])
        found: dict[str, Any] = json.loads(line)
        return found

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _hear(self) -> None:
        assert self._process.stderr
        self.said.extend(line.rstrip() for line in self._process.stderr)


def _without_imports(sources: list[str]) -> list[str]:
    texts = [Path(source).read_text(encoding="utf-8").splitlines() for source in sources]
    imports = [line for text in texts for line in text if line.startswith("import ")]
    return imports + [line for text in texts for line in text if not line.startswith("import ")] + ["Engine.main(args)"]
