"""The story of one failed release, told by doing it: each number is what the sandbox answered at that moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from rollback_lib.core import errors
from rollback_lib.core.readouts.demo import words

GOOD: Final = "v1.1.0"
BAD: Final = "v1.2.0"
_EXPECTED: Final = {"image-missing": errors.EXIT_REFUSED, "verify-fails": errors.EXIT_FAILED_OPEN}
_INCIDENT_LINES: Final = 12
_WIDTH: Final = 80


class Service(Protocol):
    """One service as it answered."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def well(self) -> bool: ...
    @property
    def foreign(self) -> tuple[str, ...]: ...
    def is_release(self, release: str) -> bool: ...


class Done(Protocol):
    """How a program ended."""

    @property
    def code(self) -> int: ...


class Scenario(Protocol):
    """How this story differs from the ordinary one."""

    @property
    def name(self) -> str: ...
    @property
    def config_only(self) -> bool: ...
    @property
    def image_missing(self) -> str: ...
    @property
    def breaks_again(self) -> str: ...


class Playground(Protocol):
    """The sandbox and its shop."""

    @property
    def scenario(self) -> Any: ...
    @property
    def rollout_status(self) -> tuple[str, ...]: ...
    def deploy(self, release: str) -> None: ...
    def apply(self, release: str) -> None: ...
    def undo(self) -> None: ...
    def spoil(self) -> None: ...
    def hand_made_changes(self) -> list[str]: ...
    def kubectl(self, *arguments: str) -> Done: ...
    def keep_state(self) -> Any: ...
    def put_back(self, kept: Any) -> None: ...
    def services(self) -> Sequence[Service]: ...
    def specs(self) -> str: ...
    def incident(self) -> Path | None: ...


class Story:
    """Tells one scenario. ``rollback`` runs our own command as a user would, and gives its exit code."""

    def __init__(
        self, playground: Playground, say: Callable[[str], None], rollback: Callable[..., int], language: str
    ) -> None:
        self._playground, self._say, self._rollback = playground, say, rollback
        self._words = words(language)
        self._scenario: Scenario = playground.scenario
        self._started = time.monotonic()
        self._step = 0

    def tell(self) -> bool:
        """Whether it ended as this scenario should."""
        self._say(self._words["intro"])
        self._deployed_well()
        self._broken()
        if not (self._scenario.image_missing or self._scenario.breaks_again):
            self._other_ways()
        before = self._playground.specs()
        self._heading("run")
        self._command(f"rollback run --to {GOOD} --yes")
        code = self._rollback("run", "--to", GOOD, "--yes", "--reason", f"demo: {BAD} broke the shop")
        ended_well = self._proven(code, before)
        self._record()
        if not ended_well:
            self._line("unexpected")
        self._say("")
        self._say(self._words["done"].format(seconds=time.monotonic() - self._started))
        return ended_well

    def _deployed_well(self) -> None:
        self._heading("good")
        self._git_apply(GOOD)
        self._playground.deploy(GOOD)
        self._count()

    def _broken(self) -> None:
        self._heading("bad-config" if self._scenario.config_only else "bad")
        self._git_apply(BAD)
        self._playground.deploy(BAD)
        services = self._ask()
        self._line("bad-now", sick=sum(not service.well for service in services), of=len(services))
        self._playground.spoil()
        if self._scenario.image_missing:
            self._line("missing", affected=self._scenario.image_missing)
        if self._scenario.breaks_again:
            self._line("breaks", affected=self._scenario.breaks_again)
        for at, command in enumerate(self._playground.hand_made_changes()):
            if at == 0:
                self._line("by-hand")
            self._command(command)

    def _other_ways(self) -> None:
        config_only = self._scenario.config_only
        with self._undone_afterwards():
            self._heading("written")
            self._git_apply(GOOD)
            self._playground.apply(GOOD)
            self._rolled_out("why-config" if config_only else "why-tag")
        with self._undone_afterwards():
            self._heading("undo")
            self._command("kubectl rollout undo deployment/...")
            self._playground.undo()
            self._rolled_out("why-undo-config" if config_only else "")

    @contextmanager
    def _undone_afterwards(self) -> Iterator[None]:
        kept = self._playground.keep_state()
        yield
        self._playground.put_back(kept)
        self._line("put-back")

    def _rolled_out(self, why: str) -> None:
        code = self._playground.kubectl(*self._playground.rollout_status).code
        self._line("rollout-bad" if code else "rollout-good", code=code)
        count, of = self._count()
        if why and count < of:
            self._line(why)

    def _proven(self, code: int, before: str) -> bool:
        self._heading("proof")
        self._line("exit", code=code)
        count, of = self._count()
        expected = _EXPECTED.get(self._scenario.name, errors.EXIT_DONE)
        if expected == errors.EXIT_REFUSED:
            same = self._playground.specs() == before
            self._line("unchanged" if same else "changed")
            return code == expected and same
        return code == expected and (count == of) == (expected == errors.EXIT_DONE)

    def _record(self) -> None:
        self._heading("record")
        found = self._playground.incident()
        if found is None:
            self._line("no-record")
            return
        self._say(f"   {found}")
        lines = found.read_text(encoding="utf-8").splitlines()
        for line in lines[:_INCIDENT_LINES]:
            self._say(f"   | {_cut(line, _WIDTH - 5)}".rstrip())

    def _count(self) -> tuple[int, int]:
        """(services that are as the good release was, all of them), said."""
        services = self._ask()
        count, of = sum(service.is_release(GOOD) for service in services), len(services)
        self._line("count", count=count, of=of)
        return count, of

    def _ask(self) -> Sequence[Service]:
        """The services, with what they answered said."""
        services = self._playground.services()
        answers = Counter(service.version for service in services)
        said = [
            self._words["answers" if version else "silent"].format(count=count, version=version)
            for version, count in sorted(answers.items())
        ]
        self._say(f"   {', '.join(said)}.")
        foreign = [f"{what} ({service.name})" for service in services for what in service.foreign]
        for one in foreign:
            self._line("still", foreign=one)
        return services

    def _heading(self, key: str) -> None:
        self._step += 1
        self._say("")
        self._say(f"{self._step}. {self._words[key].format(good=GOOD, bad=BAD)}")

    def _git_apply(self, release: str) -> None:
        self._command(f"git show {release}:k8s/... | kubectl apply -f -")

    def _command(self, text: str) -> None:
        self._say(f"   $ {_cut(text, _WIDTH - 5)}")

    def _line(self, key: str, **values: Any) -> None:
        self._say("   " + self._words[key].format(**{"good": GOOD, "bad": BAD, **values}))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def commands_to_try(environment: Mapping[str, str], repository: Path, rollback: str) -> tuple[str, ...]:
    """What a person types in another terminal to play with the sandbox."""
    shown = ("KUBECONFIG", "DOCKER_CONFIG")
    return (
        *(f"export {name}={_quoted(environment[name])}" for name in shown),
        f"cd {_quoted(str(repository))}",
        "kubectl get pods",
        f"{rollback} plan --to {GOOD}",
        f"{rollback} run --to {GOOD}",
        f"{rollback} verify --to {GOOD}",
    )


def _quoted(text: str) -> str:
    plain = all(c.isalnum() or c in "/._-:\\" for c in text)
    return text if plain else "'" + text.replace("'", "'\\''") + "'"
