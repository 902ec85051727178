"""Asks registries whether images exist, and which digest they are. Each distinct reference is asked once a client.

**What is asked.** HEAD for a tag, then HEAD for the digest that it named, since that is what the nodes will pull. GET
only where a body is needed: for an index (it proves nothing until the manifest of each node platform answers), and
where HEAD does not decide. Docker Hub counts a GET of a manifest as a pull, HEAD is free; a checker that GETs
everything spends the quota that the real pulls need (goharbor/harbor#20632).

**The price**: the digest set of a plain image has its manifest digest only, and that of an index has no configuration
digests. Runtimes report a configuration digest only for images that were not pulled (imported, or built on the node),
or through cri-dockerd. Whoever meets such an ``imageID``, or must know for which platform a plain image is, asks again
with ``configs=True``: one GET a manifest, and one of a plain image's configuration, which no quota counts.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import msgspec

from rollback_lib.adapters import bounded
from rollback_lib.adapters.registry_credentials import HUB, CredentialStore
from rollback_lib.adapters.registry_http import RegistryHttp, mirror_problem, new_session, own_url
from rollback_lib.core.errors import FailedError, RefusedError, StaleError, UsageError
from rollback_lib.core.images.reference import ImageReference, is_digest, is_registry_tag, parse
from rollback_lib.core.images.registry_answers import (
    Absent,
    Answer,
    AskBody,
    CannotTell,
    Present,
    config_digest,
    config_platform,
    for_platform,
    read_index,
    read_put,
    read_reply,
)

HUB_URL: Final = "https://registry-1.docker.io"
NODE_PLATFORMS: Final = ("linux/amd64",)
AT_ONCE: Final = 8
"""Questions at one registry at the same time."""

_Decided = Present | Absent | CannotTell


class RegistryClient:
    """Looks references up. Close it, or use it in a ``with``.

    ``mirrors`` says where to ask for a host's images (``images.registries``); UsageError for a mirror that is no URL,
    holds a password, or is plain http and not on this machine. ``own_hosts`` are the hosts (as in image references)
    that the environment's user and password are for. ``deadline`` is in seconds, for one `look_up`.
    """

    def __init__(
        self,
        mirrors: Mapping[str, str] | None = None,
        docker_config: Path | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        own_hosts: Collection[str] = (HUB,),
        deadline: float = 20.0,
        helper_timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: bounded.Stopped = bounded.never,
    ) -> None:
        self._stopped = stopped
        self._mirrors = dict(mirrors or {})
        problems = [p for host, url in self._mirrors.items() if (p := mirror_problem(host, url))]
        if problems:
            raise UsageError(*problems)
        self._store = CredentialStore(docker_config, environ or {}, own_hosts, helper_timeout, stopped)
        self._deadline, self._clock, self._sleep = deadline, clock, sleep
        self._ends = 0.0
        self._session = new_session(AT_ONCE)
        self._lock = threading.Lock()
        self._hosts: dict[str, RegistryHttp] = {}
        self._asking: dict[tuple[str, str, str], threading.Lock] = {}
        self._decided: dict[tuple[str, str, str, bool], _Decided] = {}
        self._limited: dict[tuple[str, str], CannotTell] = {}
        self._platforms: dict[tuple[str, str, str], str] = {}
        self._answers: dict[tuple[str, tuple[str, ...], bool], Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def look_up(
        self, references: Sequence[str], *, platforms: Sequence[str] = NODE_PLATFORMS, configs: bool = False
    ) -> dict[str, Answer]:
        """One answer for each distinct reference, in the order given; never raises for what a registry does.

        An index is present when it has one of ``platforms`` whose manifest answers. Without platforms only the digest
        is asked for (HEAD): enough to see where a mutable tag points. ``configs`` completes the digest sets, and a
        plain image is present only for the platform that its configuration names.
        """
        wanted, key = tuple(dict.fromkeys(references)), (tuple(platforms), configs)
        by_host: dict[str, list[tuple[str, ImageReference]]] = {}
        found: dict[str, Answer] = {}
        for text in wanted:
            if known := self._answers.get((text, *key)):
                found[text] = known
                continue
            try:
                reference = parse(text)
            except ValueError as e:
                found[text] = Answer(text, "absent", text=str(e))
            else:
                by_host.setdefault(reference.host, []).append((text, reference))
        self._ends = self._clock() + self._deadline
        found |= self._look_up_all(by_host, *key)
        self._answers |= {(text, *key): answer for text, answer in found.items() if answer.state != "unknown"}
        return {text: found[text] for text in wanted}

    def list_tags(self, repository: str) -> frozenset[str] | None:
        """All tags of a repository: `ports.Registry`."""
        self._ends = self._clock() + self._deadline
        return self._registry((named := _parsed(repository)).host).tags(named.path)

    def put_tag(self, repository: str, digest: str, tag: str, *, was: str | None = None) -> None:
        """Point ``repository:tag`` at what the repository has as ``digest``: `ports.RegistryWriter`."""
        name, reference = f"{repository}:{tag}", _parsed(f"{repository}@{digest}")
        if not is_registry_tag(tag):
            raise RefusedError(f"{tag!r} cannot be a registry tag.")
        self._ends = self._clock() + self._deadline
        before = self._fresh(reference, tag)
        if isinstance(before, CannotTell):
            raise RefusedError(f"{name} was not moved, since where it points is not known: {before.text}.")
        named = before.digest if isinstance(before, Present) else ""
        if named == digest:
            return
        if was is not None and named != was:
            raise StaleError(f"{name} was moved by someone else to {named or 'nothing'}; it is left as it is.")
        whole = self._manifest(reference, digest, body=True)
        if not isinstance(whole, Present):
            raise RefusedError(f"{name} was not moved: {whole.text}.")
        http = self._registry(reference.host)
        problem = read_put(http.put_manifest(reference.path, tag, whole.media_type, whole.body))
        self._forget(reference, tag)
        self._ends = self._clock() + self._deadline  # a write that took long is looked at all the same
        after = self._fresh(reference, tag)
        if isinstance(after, Present) and after.digest == digest:
            return  # whatever the answer to the write was
        if isinstance(after, CannotTell):
            said = f"{problem}; " if problem else ""
            raise FailedError(f"whether {name} was moved is not known: {said}{after.text}.")
        now = after.digest if isinstance(after, Present) else ""
        if problem and now == named:
            raise RefusedError(f"{name} was not moved: {problem}.")
        raise FailedError(f"{name} was to name {digest} and names {now or 'nothing'}: {problem or 'someone moved it'}.")

    def _fresh(self, reference: ImageReference, tag: str) -> _Decided:
        """Where a tag points now, asked again however often it was."""
        found = self._ask("HEAD", reference, tag)
        if isinstance(found, AskBody):
            found = self._ask("GET", reference, tag)
        return CannotTell("GET was not answered") if isinstance(found, AskBody) else found

    def _forget(self, reference: ImageReference, tag: str) -> None:
        with self._lock:
            for whole in (False, True):
                self._decided.pop((reference.host, reference.path, tag, whole), None)
            self._answers = {k: v for k, v in self._answers.items() if not _is_tag(k[0], reference, tag)}

    def _look_up_all(
        self, by_host: Mapping[str, list[tuple[str, ImageReference]]], platforms: tuple[str, ...], configs: bool
    ) -> dict[str, Answer]:
        running = {
            answer: text
            for questions in by_host.values()
            for answer, (text, _) in zip(
                bounded.begin_each(lambda asked: self._look_up(*asked, platforms, configs), questions, AT_ONCE),
                questions, strict=True,
            )
        }  # fmt: skip
        bounded.wait(list(running), self._deadline + 1.0, self._stopped)
        over = f"no answer within {self._deadline:g} s"
        return {
            text: f.result() if f.done() and not f.cancelled() else Answer(text, "unknown", text=f"{text}: {over}")
            for f, text in running.items()
        }

    def _look_up(self, text: str, reference: ImageReference, platforms: tuple[str, ...], configs: bool) -> Answer:
        named = reference.digest
        known = (named,) if named else ()
        first = self._manifest(reference, reference.target)
        if isinstance(first, Present) and not first.body and not first.is_index and not named:
            confirmed = self._manifest(reference, first.digest)
            if isinstance(confirmed, Absent):
                return self._not_by_digest(text, reference, first.digest)
            elif isinstance(confirmed, CannotTell):
                return Answer(
                    text, "unknown", first.digest, (first.digest,), text=confirmed.text, status=confirmed.status
                )
            elif confirmed.is_index:
                first = confirmed
        if isinstance(first, Absent):
            return Answer(text, "absent", named, known, text=first.text)
        if isinstance(first, CannotTell):
            return Answer(text, "unknown", named, known, text=first.text, status=first.status)
        if first.is_index and platforms:
            return self._look_into(text, reference, first, platforms, configs)
        digests, platform = [first.digest], ""
        if configs and not first.is_index:
            digests += self._config(reference, first)
            platform = self._platform(reference, digests[-1]) if platforms and len(digests) > 1 else ""
        answer = Answer(text, "present", first.digest, tuple(digests), text=f"{text} is {first.digest}")
        if not platform:
            return answer
        missing = {p: f"the image is for {platform}, not for {p}" for p in platforms if p != platform}
        fits = tuple(p for p in platforms if p == platform)
        return msgspec.structs.replace(answer, platforms=fits, missing=missing).on(platforms)

    def _look_into(
        self, text: str, reference: ImageReference, index: Present, platforms: tuple[str, ...], configs: bool
    ) -> Answer:
        whole: _Decided = index if index.body else self._manifest(reference, index.digest, body=True)
        only = (index.digest,)
        if isinstance(whole, Absent):
            if not reference.digest:
                return self._not_by_digest(text, reference, index.digest)
            return Answer(text, "absent", index.digest, only, text=whole.text)
        if isinstance(whole, CannotTell):
            return Answer(text, "unknown", index.digest, only, text=whole.text, status=whole.status)
        parts = read_index(whole.body)
        digests = [index.digest, *(part.digest for part in parts if part.platform)]
        missing: dict[str, str] = {}
        untold: dict[str, str] = {}
        lost: list[str] = []
        status = 0
        for platform in platforms:
            fitting = for_platform(parts, platform)
            if not fitting:
                missing[platform] = f"the index has nothing for {platform}"
            for part in fitting:
                found = self._manifest(reference, part.digest)
                if isinstance(found, Absent):
                    missing[platform] = f"the index names {part.digest} for {part.platform}, and it is not there"
                    lost.append(platform)
                elif isinstance(found, CannotTell):
                    untold[platform] = found.text
                    status = found.status
                elif configs:
                    digests += self._config(reference, found)
        return Answer(
            reference=text,
            state="present",
            digest=index.digest,
            digests=tuple(dict.fromkeys(digests)),
            platforms=tuple(p for p in platforms if p not in missing and p not in untold),
            missing=missing,
            untold={p: said for p, said in untold.items() if p not in missing},
            lost=tuple(lost),
            status=status,
        ).on(platforms)

    def _not_by_digest(self, text: str, reference: ImageReference, named: str) -> Answer:
        """The tag's header named a digest that is not there, and by which the nodes would pull. What does it hold?"""
        whole = self._manifest(reference, reference.target, body=True)
        if isinstance(whole, Absent):
            return Answer(text, "absent", text=whole.text)
        if isinstance(whole, CannotTell):
            return Answer(text, "unknown", text=whole.text, status=whole.status)
        said = f"the registry says that {text} is {named} and does not have that digest; the body has {whole.digest}"
        return Answer(text, "unknown", text=said, status=200)

    def _config(self, reference: ImageReference, found: Present) -> list[str]:
        whole: _Decided = found if found.body else self._manifest(reference, found.digest, body=True)
        digest = config_digest(whole.body) if isinstance(whole, Present) else ""
        return [digest] if digest else []

    def _platform(self, reference: ImageReference, config: str) -> str:
        """For which platform a configuration says that its image is; empty where it cannot be read."""
        key = (reference.host, reference.path, config)
        if key not in self._platforms:
            reply = self._registry(reference.host).blob(reference.path, config)
            found = config_platform(reply.body, config) if reply.status == 200 else ""
            if not found:
                return ""
            self._platforms[key] = found
        return self._platforms[key]

    def _manifest(self, reference: ImageReference, target: str, *, body: bool = False) -> _Decided:
        """What the registry has under a tag or digest, asked once however many threads want to know."""
        key = (reference.host, reference.path, target)
        with self._lock:
            lock = self._asking.setdefault(key, threading.Lock())
        with lock:
            known = self._decided.get((*key, True)) or (None if body else self._decided.get((*key, False)))
            if known is not None:
                return known
            found: _Decided | AskBody = AskBody() if body else self._ask("HEAD", reference, target)
            whole = isinstance(found, AskBody)
            if isinstance(found, AskBody):
                asked = self._ask("GET", reference, target)
                found = CannotTell("GET was not answered") if isinstance(asked, AskBody) else asked
                if isinstance(found, Present) and is_digest(target) and found.digest != target:
                    found = CannotTell(
                        f"{reference.repository}: asked for {target} and given {found.digest}", status=200
                    )
            if not isinstance(found, CannotTell):
                self._decided[(*key, whole)] = found
            return found

    def _ask(self, method: Literal["HEAD", "GET"], reference: ImageReference, target: str) -> _Decided | AskBody:
        if limited := self._limited.get((reference.host, method)):
            return limited  # a spent quota and a registry that hangs are not the image's: asking on only costs more
        verdict = read_reply(self._registry(reference.host).manifest(method, reference.path, target))
        if isinstance(verdict, CannotTell) and verdict.limited:
            self._limited[(reference.host, method)] = verdict
        return verdict

    def _registry(self, host: str) -> RegistryHttp:
        with self._lock:
            if host not in self._hosts:
                url = self._mirrors.get(host) or (HUB_URL if host == HUB else own_url(host))
                asked = HUB if url == HUB_URL else urlsplit(url).netloc
                self._hosts[host] = RegistryHttp(
                    url, self._session, lambda: self._store.find(host, asked), lambda: self._ends, self._clock,
                    self._sleep, self._stopped,
                )  # fmt: skip
            return self._hosts[host]


def _parsed(text: str) -> ImageReference:
    try:
        return parse(text)
    except ValueError as e:
        raise RefusedError(str(e)) from None


def _is_tag(text: str, reference: ImageReference, tag: str) -> bool:
    with contextlib.suppress(ValueError):
        found = parse(text)
        return (found.name, found.target) == (reference.name, tag)
    return False
