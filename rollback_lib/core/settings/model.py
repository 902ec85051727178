"""rollback.yaml: what a team says once about its application (README, "rollback.yaml").

Models, the rules that a type cannot say, and reading. The smallest file that works names the application, where its
manifests are, and one environment with its namespace.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from rollback_lib.core import names
from rollback_lib.core.errors import Problem, UsageError
from rollback_lib.core.settings import local_time, reading
from rollback_lib.core.settings.checks import Detect, Flow, Smoke
from rollback_lib.core.settings.manifests import Manifests
from rollback_lib.core.settings.notify import Announce, Notify
from rollback_lib.core.settings.places import path_rules, placeholder_rules, repository_rules, url_problem
from rollback_lib.core.settings.types import Application, Duration, EnvName, Label, Section, ServiceOrAll, seconds, word

__all__ = ["Manifests", "Smoke", "seconds"]  # for whoever reads settings; all else of this module is its own
FILE: Final = "rollback.yaml"

MESSAGE_LIMIT: Final = 300  # characters: the page is one word of nginx's configuration, at most 4 kB


ImageTag = Annotated[str, word(names.IMAGE_TAG, names.IMAGE_TAG_MEANS)]
Host = Annotated[str, word(r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$", "a registry's host as images name it, with its port")]
Restarts = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Releases(Section, frozen=True, kw_only=True):
    """Which git tags are releases: a pattern as `git tag --list` has it (`*`, `?`, `[0-9]`).

    ``job``: the Jenkins job that deploys them, by its full name; it is asked whether a build of it runs.
    """

    tag: str = "v*"
    job: str = ""

    def rules(self) -> Iterator[Problem]:
        if self.job and (not names.is_plain(self.job) or len(self.job) > names.JOB_LIMIT):
            yield Problem("not the full name of a job", key="job", fix="such as shop/deploy")
        if not self.tag or not names.is_plain(self.tag) or re.search(r"[\s~^:\\]|^-|\.\.", self.tag):
            yield Problem("cannot match a tag's name", key="tag", fix='a pattern such as "v*"')

    def matches(self, tag: str) -> bool:
        """Whether a tag's short name is a release's."""
        return fnmatch.fnmatchcase(tag, self.tag)


class Services(Section, frozen=True, kw_only=True):
    """In which waves services go, which are not ours, and what a wave waits for before it (``order_wait``)."""

    order: tuple[tuple[Label, ...], ...] = ()
    ignore: tuple[Label, ...] = ()
    order_wait: Literal["ready", "updated"] = "ready"

    def rules(self) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for i, wave in enumerate(self.order):
            if not wave:
                yield Problem("a wave without services", key=f"order[{i}]", fix="leave it out")
            for j, service in enumerate(wave):
                key = f"order[{i}][{j}]"
                if service in first:
                    yield Problem(f"{service!r} is in wave {first[service]} already", key=key, fix="name it once")
                first.setdefault(service, i + 1)
                if service in self.ignore:
                    yield Problem(f"{service!r} is both ordered and ignored", key=key, fix="take it out of one")


class Registry(Section, frozen=True, kw_only=True):
    """Where to ask for a host's images instead of the host itself (a mirror)."""

    url: str

    def rules(self) -> Iterator[Problem]:
        if said := url_problem(self.url):
            yield Problem(said, key="url", fix="such as https://mirror.example.com")


class Images(Section, frozen=True, kw_only=True):
    """How the team's images are named. Without ``repository`` the manifests' own names are used."""

    repository: str | None = None
    release_tags: tuple[str, ...] = ("{release}",)
    mutable_tags: tuple[ImageTag, ...] = ("latest", "prod", "dev", "stage")
    reference_tag: ImageTag = "latest"
    registries: Mapping[Host, Registry] = {}

    def rules(self) -> Iterator[Problem]:
        if self.repository is not None:
            yield from repository_rules(self.repository)
        for i, tag in enumerate(self.release_tags):
            key = f"release_tags[{i}]"
            yield from placeholder_rules(tag, key, ("release",))
            if not re.fullmatch(names.IMAGE_TAG, tag.replace("{release}", "v1")):
                yield Problem(f"{tag!r} cannot be an image's tag", key=key, fix=f"allowed: {names.IMAGE_TAG_MEANS}")
            elif "{release}" not in tag:
                fix = 'name the release in it, as "{release}"'
                yield Problem("the same tag for every release proves none", key=key, fix=fix)

    def repository_of(self, service: str) -> str | None:
        """The repository of one service's own image, or None where the file does not say."""
        return self.repository.replace("{service}", service) if self.repository else None


class Overlay(Section, frozen=True, kw_only=True):
    """What the deploy job sets after `kubectl apply`: variables of every container of the team's services."""

    env: Mapping[EnvName, str] = {}


class Maintenance(Section, frozen=True, kw_only=True):
    """What visitors see while traffic is closed: the team's own ``service``, or our page, which ``image`` serves.

    ``image`` must read ``/etc/nginx/conf.d/default.conf`` as nginx does, and run without root. The page says
    ``message``, else the text of ``announce``, else words of ours in ``language``.
    """

    service: Label | None = None
    image: str = "nginxinc/nginx-unprivileged:1.27-alpine"
    language: Literal["en", "es"] = "en"
    message: str | None = None
    retry_after: Duration = "2m"

    def rules(self) -> Iterator[Problem]:
        if not self.image or re.search(r"\s", self.image) or not names.is_plain(self.image):
            yield Problem(f"{self.image!r} is not an image", key="image", fix="such as registry.example.com/nginx:1.27")
        if self.message is not None and not 0 < len(self.message) <= MESSAGE_LIMIT:
            yield Problem(f"is empty or longer than {MESSAGE_LIMIT} characters", key="message", fix="a sentence or two")


class Isolation(Section, frozen=True, kw_only=True):
    """How traffic is closed, on which Services or Ingresses and HTTPRoutes, and whether without being asked.

    ``drain``: how long requests in flight get before anything is changed.
    """

    mode: Literal["none", "service", "ingress"] = "none"
    targets: tuple[Label, ...] = ()
    drain: Duration = "5s"
    default: bool = False
    maintenance: Maintenance | None = None

    def rules(self) -> Iterator[Problem]:
        if self.default and self.mode == "none":
            yield Problem("nothing can be closed with mode 'none'", key="mode", fix="mode: service, or ingress")
        if self.mode != "none" and not self.targets:
            yield Problem(f"mode {self.mode!r} needs targets", key="targets", fix="name what to close")
        for i, target in enumerate(self.targets):
            if target in self.targets[:i]:
                yield Problem(f"{target!r} is named already", key=f"targets[{i}]", fix="name it once")
            if self.maintenance and self.maintenance.service == target:
                fix = "another service shows the page"
                yield Problem(f"{target!r} cannot stand in for itself", key="maintenance.service", fix=fix)
        if self.mode == "ingress" and self.maintenance is None:
            fix = "maintenance: {} for our page, or maintenance: {service: NAME}"
            yield Problem("mode 'ingress' needs somewhere to send requests", key="maintenance", fix=fix)


class Environment(Section, frozen=True, kw_only=True):
    """One place where the application runs. Without ``context`` the kubeconfig must leave no choice.

    ``timezone``: of its people, such as Europe/Madrid, for the incident record; default: the machine's.
    ``manifests``: in place of the whole section of that name.
    """

    namespace: Label
    context: str | None = None
    overlay: Overlay = Overlay()
    approval: Literal["required", "auto"] = "required"
    isolation: Isolation = Isolation()
    timezone: str = ""
    manifests: Manifests | None = None

    def rules(self) -> Iterator[Problem]:
        if self.context is not None and (not self.context.strip() or not names.is_plain(self.context)):
            yield Problem("not the name of a kubeconfig context", key="context", fix="see: kubectl config get-contexts")
        elif self.context is not None and self.context.startswith("-"):
            yield Problem("a context may not begin with '-'", key="context", fix="kubectl would take it for an option")
        if self.timezone and not local_time.is_known(self.timezone):
            yield Problem(f"there is no time zone {self.timezone!r}", key="timezone", fix="such as Europe/Madrid")


class Migrations(Section, frozen=True, kw_only=True):
    """Database migrations beyond the known tools' own places.

    ``paths``: more of them, by service (``"*"``: of all of them). ``ignore``: files that are none. ``copes``: paths or
    names of those that older releases run with. In globs, ``*`` stays within a folder and ``**`` spans folders.
    """

    paths: Mapping[ServiceOrAll, tuple[str, ...]] = {}
    ignore: tuple[str, ...] = ()
    copes: tuple[str, ...] = ()

    def rules(self) -> Iterator[Problem]:
        for service, globs in self.paths.items():
            for i, glob in enumerate(globs):
                yield from path_rules(glob, f"paths.{service}[{i}]", ())
        for key, globs in (("ignore", self.ignore), ("copes", self.copes)):
            for i, glob in enumerate(globs):
                yield from path_rules(glob, f"{key}[{i}]", ())


class Verify(Section, frozen=True, kw_only=True):
    """When a rollback counts as good. ``rollout_timeout`` is the least that a workload is given.

    ``soak``: how long everything must then stay good. ``logs``: whether signs of failure in the new pods' logs count.
    """

    rollout_timeout: Duration = "5m"
    smoke: tuple[Smoke, ...] = ()
    flows: tuple[Flow, ...] = ()
    logs: Literal["fail", "warn", "off"] = "warn"
    soak: Duration | None = None
    crash_restarts: Restarts = 3


class Automatic(Section, frozen=True, kw_only=True):
    """Whether a failed deploy may start a rollback by itself: which Jenkins jobs, and how often in which time."""

    jobs: tuple[str, ...] = ()
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    window: Duration = "24h"

    def rules(self) -> Iterator[Problem]:
        for i, job in enumerate(self.jobs):
            if not job or not names.is_plain(job) or len(job) > names.JOB_LIMIT:
                yield Problem("not the full name of a job", key=f"jobs[{i}]", fix="such as shop/deploy")


class Limits(Section, frozen=True, kw_only=True):
    """How long it may take: one stage from `isolate` to `reopen`, all of these, a deploy's hold of the lock."""

    stage: Duration = "1h"
    run: Duration = "2h"
    hold: Duration = "1h"


class Ledger(Section, frozen=True, kw_only=True):
    """How many releases `record-release` keeps in the cluster; pinned ones go never."""

    keep: Annotated[int, msgspec.Meta(ge=2, le=500)] = 20


class Settings(Section, frozen=True, kw_only=True):
    """The whole file."""

    application: Application
    environments: Mapping[Application, Environment]
    manifests: Manifests = Manifests(path=())  # said here, or by each environment
    releases: Releases = Releases()
    services: Services = Services()
    images: Images = Images()
    migrations: Migrations = Migrations()
    verify: Verify = Verify()
    detect: Detect = Detect()
    automatic: Automatic = Automatic()
    limits: Limits = Limits()
    ledger: Ledger = Ledger()
    language: Literal["en", "es"] = "en"
    notify: Notify = Notify()
    announce: Announce | None = None
    show_values: tuple[str, ...] = ()  # names of variables and keys whose values differences show, whatever they are

    def rules(self) -> Iterator[Problem]:
        if not self.environments:
            fix = "such as: prod: {namespace: shop}"
            yield Problem("at least one environment is needed", key="environments", fix=fix)
        lacking = [name for name, where in self.environments.items() if where.manifests is None]
        if not self.manifests.paths and (lacking or not self.environments):
            named = f", also for {', '.join(lacking)}" if len(lacking) < len(self.environments) else ""
            fix = f'such as: {{path: "k8s/{{service}}"}}{named}'
            yield Problem("this key is missing", key="manifests", fix=fix)
        if self.announce is not None:
            yield from _announce_rules(self.announce, [e.isolation.maintenance for e in self.environments.values()])

    def of(self, environment: str) -> Settings:
        """As they are for an environment: ``manifests`` are its own, whichever way the file says them.

        What each environment has is written out, so that this may be asked again, of what a run has kept too.
        """
        each = {name: (where.manifests or self.manifests).of(name) for name, where in self.environments.items()}
        if all(mine == self.manifests for mine in each.values()):
            return self
        places = {
            name: msgspec.structs.replace(where, manifests=each[name]) for name, where in self.environments.items()
        }
        return msgspec.structs.replace(self, manifests=each[environment], environments=places)


def load(data: str | bytes, file: str = FILE) -> Settings:
    """The settings that a file's content spells. Raises UsageError with every problem; ``file`` stands in each."""
    return reading.read(data, Settings, file)


def environment(settings: Settings, name: str | None) -> tuple[str, Environment]:
    """The environment that is meant; ``name`` may be None or empty when there is only one. Raises UsageError."""
    known = list(settings.environments)
    if not name and len(known) == 1:
        return known[0], settings.environments[known[0]]
    there = f"there are: {', '.join(known)}"
    if not name:
        raise UsageError(
            Problem("there is more than one environment, so one must be named", key="--environment", fix=there)
        )
    if name not in settings.environments:
        near = difflib.get_close_matches(name[:80], known, 1)
        fix = f"did you mean {near[0]!r}? {there}" if near else there
        raise UsageError(Problem(f"there is no environment {name!r}", key="--environment", fix=fix))
    return name, settings.environments[name]


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors; shipped as ``rollback_lib/rollback.schema.json``.

    It says what types can say; the rules between keys are only in `load`.
    """
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FILE, **msgspec.json.schema(Settings)}
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))  # tuples become lists, as in the file
    return plain


def _announce_rules(told: Announce, pages: Iterable[Maintenance | None]) -> Iterator[Problem]:
    shown = any(page is not None and page.service is None and page.message is None for page in pages)
    if shown and len(told.text) > MESSAGE_LIMIT:
        text = f"is longer than {MESSAGE_LIMIT} characters, more than the maintenance page has room for"
        yield Problem(text, key="announce.text", fix="a sentence or two, or maintenance: {message: …} for the page")
    if not shown and told.url_env is None:
        fix = "url_env: the variable with a status page's hook, or isolation with maintenance: {} for our page"
        yield Problem("is shown nowhere", key="announce", fix=fix)
