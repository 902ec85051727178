"""`rollback init`: a rollback.yaml from what the repository shows, each guess with its reason beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rollback_lib.core import names
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import services
from rollback_lib.core.readouts import layout
from rollback_lib.core.readouts.init import Proposal
from rollback_lib.core.readouts.layout import Job, Layout, Manifest
from rollback_lib.core.releases import tags as release
from rollback_lib.core.settings import model
from rollback_lib.core.wording import some
from rollback_lib.ports import Checkout

_SKIPPED = re.compile(r"(^|/)(\.|node_modules/|vendor/|templates/|charts/|docker-compose|compose\.ya?ml|Chart\.yaml)")
_ENVIRONMENT = "prod"


def look(git: Checkout, name: str) -> Proposal:
    """What HEAD's tree and the tags show, as a rollback.yaml. A clone without tags gets the usual pattern.

    ``name`` is what the repository is called. Raises UsageError where the repository does not show enough.
    """
    commit = git.head_commit()
    paths = git.list_paths(commit) if commit else ()
    no_tags = ""
    tags: Sequence[release.Tag] = ()
    try:
        tags = git.tags()
    except RefusedError as error:
        no_tags = str(error)
    text = propose(paths, lambda path: git.read(commit, path), [t.name for t in tags], name)
    found = model.load(text, "(inferred)")
    where = services.discover(paths, found.manifests.path, found.manifests.shared, (), found.services.ignore)
    seen = [s.name for s in where.services if s.name] or [f for s in where.services for f in s.files]
    return Proposal(
        text=text, settings=found, services=tuple(seen), no_tags=no_tags,
        releases=tuple(t.name for t in release.releases(tags, found.releases.tag)),
        open=tuple(line.partition("TO DO: ")[2] for line in text.splitlines() if "# TO DO: " in line),
    )  # fmt: skip


def propose(files: Sequence[str], read: Callable[[str], bytes], tags: Sequence[str], name: str) -> str:
    """The text of a rollback.yaml that `settings.load` accepts, with comments for the person who goes through it.

    ``files`` are the repository's paths, with `/`; ``read`` gives the bytes of one and is asked only for manifests and
    Jenkinsfiles; ``tags`` are git's tags; ``name`` is what the repository is called. Raises what ``read`` raises.
    """
    manifests = [m for f in files if _may_be_manifest(f) and (m := layout.read_manifest(f, read(f)))]
    job = _job([(f, read(f).decode("utf-8", "replace")) for f in files if _is_jenkinsfile(f)])
    found = layout.guess_layout(manifests)
    lines = [
        "# Proposed by `rollback init` from what the repository shows. Read it once: every guess says why.",
        f"application: {_quoted(_application(name))}",
        *_releases(tags),
        *_manifests(found, manifests),
        *_services(found, manifests),
        *_images(found, manifests),
        *_environments(found, manifests, job),
        "verify:",
        "  rollout_timeout: 5m   # the least that a workload is given; slow probes extend it by themselves",
        "  # smoke: [{service: api-gateway, path: /actuator/health, json: {status: UP}}]",
    ]
    return "\n".join(lines) + "\n"


def _releases(tags: Sequence[str]) -> list[str]:
    pattern, others = layout.guess_releases(tags)
    if not tags:
        why = ["# No git tags were found, so this is only the usual pattern."]
    else:
        why = ["# The shape that most git tags have."]
        if others:
            why.append(f"# Left out, since they are no versions: {_some(others)}.")
    return [*why, "releases:", f"  tag: {_quoted(pattern)}"]


def _manifests(found: Layout | None, manifests: Sequence[Manifest]) -> list[str]:
    if found is None:
        return [
            "# No Deployment, StatefulSet, DaemonSet or CronJob was found: write here where they are.",
            "manifests:",
            '  path: "k8s/{service}"',
        ]
    if "{service}" in found.path:
        why = [f"# Fits {len(found.services)} services: {_some(found.services)}."]
    else:
        why = ["# Most workloads are here; no pattern with {service} fits them."]
    if found.others:
        why.append(f"# Workloads are also in: {_some(found.others)}.")
    lines = [*why, "manifests:", f"  path: {_quoted(found.path)}"]
    if shared := layout.guess_shared(manifests, found):
        lines += ["  # ConfigMaps beside the services; applied before them.", f"  shared: {_list(shared)}"]
    return lines


def _services(found: Layout | None, manifests: Sequence[Manifest]) -> list[str]:
    """Files that the path would take for services but that are for kustomize."""
    why = ["# What must be up before the others, wave by wave; what is not named comes last, together."]
    lines = ["  # order: [[service-discovery], [cloud-config]]"]
    if found and "/{service}." in f"/{found.path}":
        before, _, after = found.path.partition("{service}")
        tool = [
            stem
            for m in manifests
            if m.kinds == ("Kustomization",) and m.path.startswith(before) and m.path.endswith(after)
            if names.is_label(stem := m.path[len(before) : len(m.path) - len(after)])
        ]
        if tool:
            lines += ["  # No services, though the path fits them.", f"  ignore: {_list(tool)}"]
            return [*why, "services:", *lines]
    return [*why, "# services:", *(re.sub(r"^  # ", "#   ", line) for line in lines)]


def _images(found: Layout | None, manifests: Sequence[Manifest]) -> list[str]:
    repository, tags = layout.guess_repository(manifests, found.services if found else ())
    if repository and not names.is_plain(repository):
        repository = None
    lines = ["images:"]
    if repository:
        lines += [
            "  # Images in the manifests that are named like their service.",
            f"  repository: {_quoted(repository)}",
        ]
    else:
        lines += [
            "  # No common name was seen, so images are looked for as each manifest names them. Else, such as:",
            '  # repository: "team/{service}"',
        ]
    seen = [t for t in tags if layout.is_mutable(t)]
    mutable = list(dict.fromkeys([*seen, *layout.DEFAULT_MUTABLE]))
    if seen:
        lines.append(f"  # The manifests use {_some(seen)}: each deploy overwrites that, so it proves no release.")
    else:
        lines.append("  # Tags that deploys overwrite, so that they prove no release.")
    return [*lines, f"  mutable_tags: {_list(mutable)}"]


def _environments(found: Layout | None, manifests: Sequence[Manifest], job: Job) -> list[str]:
    namespace, why = _namespace(found, manifests, job)
    lines = [
        "environments:",
        f"  {_ENVIRONMENT}:",
        f"    # {why}",
        f"    namespace: {_quoted(namespace)}",
        "    # The kubeconfig context; without it the kubeconfig must leave no choice.",
        "    # context: my-cluster",
    ]
    env = [(n, v) for n, v in job.env if re.fullmatch(names.ENV_NAME, n)]
    if env:
        lines += [
            "    # The Jenkinsfile sets this after `kubectl apply`; the manifests do not have it.",
            "    overlay:",
            "      env:",
            *(f"        {_quoted(n)}: {_quoted(v)}" for n, v in env),
        ]
    for variable in job.unknown:
        lines += [
            f"    # TO DO: the Jenkinsfile sets {_said(variable)} with `kubectl set env`, to a value not seen here.",
            "    # Without it a rollback restores what the manifests say. Write it so: overlay: {env: {NAME: value}}",
        ]
    return [*lines, "    approval: required   # auto lets Jenkins roll back without asking a person"]


def _namespace(found: Layout | None, manifests: Sequence[Manifest], job: Job) -> tuple[str, str]:
    if job.namespaces:
        others = f"; it also names {_some(job.namespaces[1:])}" if len(job.namespaces) > 1 else ""
        return job.namespaces[0], f"As the Jenkinsfile names it{others}."
    prefix = found.path.partition("{service}")[0] if found else ""
    inside = Counter(n for m in manifests if m.path.startswith(prefix) for n in m.namespaces if names.is_label(n))
    if inside:
        return min(inside, key=lambda n: (-inside[n], n)), "As the manifests name it."
    return "default", "Neither manifests nor a Jenkinsfile name one, so this is Kubernetes' own default: check it."


def _job(jenkinsfiles: Iterable[tuple[str, str]]) -> Job:
    """All Jenkinsfiles as one, the shallowest path first; a variable with two values is unknown."""
    jobs = [layout.read_job(text) for path, text in sorted(jenkinsfiles, key=lambda f: (f[0].count("/"), f[0]))]
    values: dict[str, set[str]] = {}
    for name, value in (pair for job in jobs for pair in job.env):
        values.setdefault(name, set()).add(value)
    unknown = dict.fromkeys(u for job in jobs for u in job.unknown)
    unknown.update(dict.fromkeys(n for n, v in values.items() if len(v) > 1))
    return Job(
        namespaces=tuple(dict.fromkeys(n for job in jobs for n in job.namespaces)),
        env=tuple((n, next(iter(v))) for n, v in values.items() if n not in unknown),
        unknown=tuple(unknown),
    )


def _may_be_manifest(path: str) -> bool:
    return path.endswith((".yaml", ".yml", ".json")) and not _SKIPPED.search(path)


def _is_jenkinsfile(path: str) -> bool:
    file = path.rpartition("/")[2].lower()
    return file.startswith("jenkinsfile") or file.endswith(".jenkinsfile")


def _application(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return plain or "application"


def _quoted(text: str) -> str:
    """A YAML scalar: plain where nothing can read it as anything but this text, else in double quotes."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*", text) and text.lower() not in _WORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(i) for i in items) + "]"


def _some(items: Sequence[str], limit: int = 6) -> str:
    return some([_said(i) for i in items], limit)


def _said(text: str) -> str:
    """A name from the repository in a comment, where a line break would end it."""
    return text if names.is_plain(text) else ascii(text)
