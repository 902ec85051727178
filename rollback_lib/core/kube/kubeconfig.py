"""A kubeconfig as kubectl reads it, so that who reads, who is asked about and who writes is one identity.

The official client's own reading differs: of several files it takes the last `current-context` (kubectl: the first)
and resolves a user's files beside the cluster's; it ignores `as`, reads a `tokenFile` once, prefers `token` to it and a
plugin to a certificate, sends credentials over plain http, and takes any text for `insecure-skip-tls-verify`. What
kubectl refuses is refused here, by the name of the field: a write would fail where the reads had gone well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from rollback_lib.core.errors import Problem, Refusal, RefusedError, UsageError
from rollback_lib.core.wording import some

POD: Final = "pod"  # the context's name in what stands for a pod's own account
PLUGIN_APIS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_LISTS: Final = ("contexts", "clusters", "users")
_CLUSTER_TEXTS: Final = (
    "server", "tls-server-name", "certificate-authority", "certificate-authority-data", "proxy-url",
)  # fmt: skip
_USER_TEXTS: Final = (
    "client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "tokenFile", "username",
    "password", "as", "as-uid",
)  # fmt: skip
_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_PROXIES: Final = ("http", "https", "socks5")
_CONTEXTS: Final = "See `kubectl config get-contexts`."


class File(NamedTuple):
    """One file, parsed. ``absolute`` makes one of its paths absolute: they are relative to where it lies."""

    name: str
    data: Mapping[str, Any]
    absolute: Callable[[str], str]


class Config(msgspec.Struct, frozen=True):
    """All files as one: each list by name."""

    current: str
    contexts: Mapping[str, Mapping[str, Any]]
    clusters: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]


class Chosen(msgspec.Struct, frozen=True):
    """One context of it, with its cluster and user; every path in them is absolute, nothing in them is empty."""

    context: str
    cluster: Mapping[str, Any]
    user: Mapping[str, Any]

    @property
    def is_tls(self) -> bool:
        """Whether the server is asked by TLS; where not, kubectl sends no credentials, and so nobody does."""
        return str(self.cluster["server"]).lower().startswith("https://")


def merged(files: Sequence[File]) -> Config:
    """Several files as one: of two of a name, and of two current contexts, the first counts.

    Raises RefusedError where a file is no kubeconfig.
    """
    current = ""
    found: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in _LISTS}
    for file in files:
        if not isinstance(file.data, Mapping):
            raise _refused(f"{file.name} does not read as one", "")
        current = current or str(file.data.get("current-context") or "")
        for name in _LISTS:
            here = dict(_named(file, name))
            found[name] = here | found[name]
    return Config(current, **found)


def _named(file: File, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    seen = set()
    listed = file.data.get(name) or []
    if not isinstance(listed, list):
        raise _refused(f"`{name}` in {file.name} is not a list", "")
    for entry in listed:
        one = entry.get(name[:-1]) if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise _refused(f"`{name}` in {file.name} has an entry without a name", "")
        if not isinstance(one, Mapping | None):
            raise _refused(f"`{name}` in {file.name}: {entry['name']} does not read", "")
        if entry["name"] in seen:
            raise _refused(f"`{name}` in {file.name} has {entry['name']} twice", "Keep one; kubectl takes neither.")
        seen.add(entry["name"])
        yield entry["name"], _absolute({k: v for k, v in (one or {}).items() if v not in (None, "")}, file.absolute)


def _absolute(found: dict[str, Any], absolute: Callable[[str], str]) -> Mapping[str, Any]:
    for key in _FILES:
        if isinstance(found.get(key), str):
            found[key] = absolute(found[key])
    plugin = found.get("exec")
    if isinstance(plugin, Mapping):
        command = plugin.get("command")
        if isinstance(command, str) and re.search(r"[/\\]", command):  # a bare name is looked for in PATH
            found["exec"] = {**plugin, "command": absolute(command)}
    return found


def choose(config: Config, wanted: str | None) -> Chosen:
    """The context that is wanted, else the current one.

    Raises UsageError where there is none of that name, RefusedError with all that is wrong in it.
    """
    name = wanted or config.current
    if not name:
        raise _no_context("names no `current-context`", config)
    if name not in config.contexts:
        raise _no_context(f"has no context {name}", config)
    context = config.contexts[name]
    cluster = config.clusters.get(str(context.get("cluster", "")))
    if cluster is None:
        raise _refused(f"context {name}: its `cluster` ({context.get('cluster', 'none')}) is not in it", "")
    known = str(context.get("user", ""))
    if known and known not in config.users:
        raise _refused(f"context {name}: its `user` ({known}) is not in it", "")
    user = config.users.get(known, {})
    found = [*_cluster_problems(cluster), *_user_problems(user)]
    if not found and str(cluster["server"]).lower().startswith("https://") and not _logs_in(user):
        found.append(Refusal("the kubeconfig cannot be used: its user has no way to log in.",
                             fix="Give it `exec`, `tokenFile`, `token` or a client certificate."))  # fmt: skip
    if found:
        raise RefusedError(*found)
    return Chosen(name, cluster, user)


def _logs_in(user: Mapping[str, Any]) -> bool:
    return any(key in user for key in ("token", "tokenFile", "username", "exec", "client-certificate",
                                       "client-certificate-data"))  # fmt: skip


def has_own_credentials(user: Mapping[str, Any]) -> bool:
    """Whether kubectl leaves the user's login plugin alone, since it has something else."""
    return _logs_in({key: value for key, value in user.items() if key != "exec"})


def _cluster_problems(cluster: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _not_text("cluster", cluster, _CLUSTER_TEXTS)
    if not re.match(r"https?://[^/?#\s]", str(cluster.get("server", "")), re.IGNORECASE):
        yield _refusal("cluster.server is not a whole address", "Such as https://10.0.0.1:6443.")
    insecure = cluster.get("insecure-skip-tls-verify", False)
    if not isinstance(insecure, bool):
        yield _refusal("cluster.insecure-skip-tls-verify is neither true nor false", "")
    elif insecure and any(f"certificate-authority{end}" in cluster for end in ("", "-data")):
        yield _refusal("cluster.certificate-authority stands beside insecure-skip-tls-verify", "Take the latter out.")
    yield from _both("cluster", cluster, "certificate-authority")
    if isinstance(proxy := cluster.get("proxy-url"), str) and proxy.partition("://")[0].lower() not in _PROXIES:
        yield _refusal("cluster.proxy-url is no proxy", f"It begins with {', '.join(f'{p}://' for p in _PROXIES)}.")


def _user_problems(user: Mapping[str, Any]) -> Iterator[Refusal]:
    yield from _not_text("user", user, _USER_TEXTS)
    if "auth-provider" in user:
        yield _refusal(
            "user.auth-provider is not read here, and kubectl has dropped most of them",
            "Log in by `exec`, such as gke-gcloud-auth-plugin or kubelogin.",
        )
    if ("token" in user or "tokenFile" in user) and ("username" in user or "password" in user):
        yield _refusal("user.token stands beside username and password", "Keep one; kubectl takes neither.")
    for key in ("client-certificate", "client-key"):
        yield from _both("user", user, key)
    has = {key: key in user or f"{key}-data" in user for key in ("client-certificate", "client-key")}
    if has["client-certificate"] and not has["client-key"]:
        yield _refusal("user.client-certificate stands without client-key", "")
    yield from _plugin_problems(user.get("exec"))
    groups, extra = user.get("as-groups") or [], user.get("as-user-extra") or {}
    if not _texts(groups):
        yield _refusal("user.as-groups is not a list of texts", "Put each in quotes.")
    if not (isinstance(extra, Mapping) and all(isinstance(k, str) and _texts(v) for k, v in extra.items())):
        yield _refusal("user.as-user-extra is not a list of texts for each name", "")
    if "as" not in user and (groups or extra or "as-uid" in user):
        yield _refusal("user.as-uid, as-groups or as-user-extra stands without `as`", "Name who it is to be.")


def _texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _plugin_problems(plugin: Any) -> Iterator[Refusal]:
    if plugin is None:
        return
    if not isinstance(plugin, Mapping) or not isinstance(plugin.get("command"), str) or not plugin["command"]:
        yield _refusal("user.exec has no command", "")
        return
    if plugin.get("apiVersion") not in PLUGIN_APIS:
        yield _refusal(f"user.exec.apiVersion is not {' or '.join(PLUGIN_APIS)}", "Bring the login plugin up to date.")
    mode = plugin.get("interactiveMode")
    if mode == "Always":
        yield _refusal("user.exec.interactiveMode is Always, and nobody is asked here", "IfAvailable or Never.")
    elif mode not in ("Never", "IfAvailable") and not (mode is None and plugin.get("apiVersion") != PLUGIN_APIS[0]):
        yield _refusal("user.exec.interactiveMode is not set, which kubectl wants", "IfAvailable or Never.")


def _not_text(where: str, found: Mapping[str, Any], keys: Sequence[str]) -> Iterator[Refusal]:
    for key in keys:
        if key in found and not isinstance(found[key], str):
            yield _refusal(f"{where}.{key} is not a text", "Put it in quotes.")


def _both(where: str, found: Mapping[str, Any], key: str) -> Iterator[Refusal]:
    if key in found and f"{key}-data" in found:
        yield _refusal(f"{where}.{key} stands beside {key}-data", "Keep one; kubectl takes neither.")


def _refusal(text: str, fix: str) -> Refusal:
    return Refusal(f"the kubeconfig cannot be used: {text}.", fix=fix)


def _no_context(text: str, config: Config) -> UsageError:
    there = f"it has {some(sorted(config.contexts), 10)}" if config.contexts else "it has none at all"
    fix = f"set `context` of the environment in rollback.yaml. {_CONTEXTS}"
    return UsageError(Problem(f"the kubeconfig {text}; {there}", fix=fix))


def _refused(text: str, fix: str) -> RefusedError:
    return RefusedError(_refusal(text, fix))


def impersonation(user: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The headers that say as whom a request is made; the same that kubectl sends."""
    if "as" not in user:
        return ()
    found = [("Impersonate-User", user["as"])]
    found += [("Impersonate-Uid", user["as-uid"])] if "as-uid" in user else []
    found += [("Impersonate-Group", group) for group in user.get("as-groups") or []]
    for key, values in (user.get("as-user-extra") or {}).items():
        found += [(f"Impersonate-Extra-{_escaped(key)}", value) for value in values]
    return tuple(found)


def _escaped(key: str) -> str:
    """A name as the end of a header's name: what a header's name may not hold, and `%`, as `%XX`."""
    return "".join(
        chr(byte) if re.fullmatch(rb"[A-Za-z0-9!#$&'*+.^_`|~-]", bytes((byte,))) else f"%{byte:02X}"
        for byte in key.encode()
    )


def doubts(chosen: Chosen) -> tuple[str, ...]:
    """What makes it less than sure that it is this cluster which answers."""
    if chosen.cluster.get("insecure-skip-tls-verify") and chosen.is_tls:
        return (
            "The kubeconfig has insecure-skip-tls-verify: nothing proves that the server at "
            f"{chosen.cluster['server']} is the cluster, and what is sent to it, tokens too, may be read on the way.",
        )
    return ()


def of_pod(host: str, port: str, folder: str) -> dict[str, Any]:
    """What stands for the account of the pod that we run in; ``folder``: where its token and certificate are mounted.

    It holds no secret, only where the token lies: the kubelet writes another one there before the old one ends.
    """
    name = f"[{host}]" if ":" in host else host
    cluster = {"server": f"https://{name}:{port}", "certificate-authority": f"{folder}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": POD,
        "contexts": [{"name": POD, "context": {"cluster": POD, "user": POD}}],
        "clusters": [{"name": POD, "cluster": cluster}],
        "users": [{"name": POD, "user": {"tokenFile": f"{folder}/token"}}],
    }
