"""Nobody goes outside but through the modules that hold the rule: a total time, a size, and an end by a signal.

By the syntax tree, so that the next adapter cannot forget it. `tests/adapters/test_bounded.py` and `test_programs.py`
show that the rule holds where it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

import pytest

from tests.test_house import MODULES

ADAPTERS: Final = "rollback_lib.adapters."
SANDBOX: Final = "rollback_lib.sandbox."  # plays what is outside, on loopback, and starts what a person plays with
# What leads outside, and who may call it: each of these hands it to `bounded.within` or `process.finished`.
WAYS: Final[Mapping[str, frozenset[str]]] = {
    "requests.Session": frozenset({"http"}),
    **dict.fromkeys(
        (f"requests.{verb}" for verb in ("get", "post", "put", "head", "patch", "delete", "options", "request")),
        frozenset[str](),
    ),
    **dict.fromkeys(
        ("urllib.request.urlopen", "urlopen", "http.client.HTTPConnection", "http.client.HTTPSConnection",
         "urllib3.PoolManager", "urllib3.request", "socket.create_connection", "socket.socket", "os.system", "os.popen",
         "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output",
         "subprocess.getoutput", "git.Repo", "Repo"),
        frozenset[str](),
    ),
    "subprocess.Popen": frozenset({"process"}),
    "*git.execute": frozenset({"git_program"}), "*Git().execute": frozenset(),  # GitPython's command layer
    "*.pool_manager.request": frozenset({"kubernetes_http"}),
    "jenkins.Jenkins": frozenset(),  # `_Session` of jenkins_http is one that reads nothing by itself
    "*.session.request": frozenset({"http"}), "session.request": frozenset({"http"}),
    "*._session.send": frozenset({"jenkins_http"}),
}  # fmt: skip
# Reading to an end that somebody else decides on.
WHOLE: Final = ("read", "readall", "readline", "readlines", "iter_content", "iter_lines", "communicate", "stream")
FILES: Final = ("run_directory",)  # what it reads is ours, on this disk
BODIES: Final = ("content", "text", "raw")


def ways(module: str, text: str) -> Iterator[str]:
    """Where a module escapes the rule, and how."""
    own = module.removeprefix(ADAPTERS)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        reads = (
            module.startswith(ADAPTERS)
            and isinstance(node, ast.Attribute)
            and node.attr in BODIES
            and _is_answer(node.value)
        )
        if reads and ast.unparse(node) != "got.raw":  # by `http.pieces`
            yield f"{module}:{node.lineno}: {ast.unparse(node)} reads all of an answer"
        if not isinstance(node, ast.Call):
            continue
        name, keywords = ast.unparse(node.func), {k.arg for k in node.keywords}
        for way, allowed in WAYS.items():
            if (name.endswith(way[1:]) if way[0] == "*" else name == way) and own not in allowed:
                yield f"{module}:{node.lineno}: {name}"
        last = name.rpartition(".")[2]
        if module.startswith(ADAPTERS) and last in WHOLE and not node.args and own not in FILES:
            yield f"{module}:{node.lineno}: {name} has no size"
        if name in ("process.run", "programs.run") and "stopped" not in keywords and not _is_write(tree, node):
            yield f"{module}:{node.lineno}: {name} is not ended by a signal"
        if last == "Thread" and "daemon=True" not in ast.unparse(node):
            yield f"{module}:{node.lineno}: a thread that the process would wait for"
        if last == "ThreadPoolExecutor" and module != "rollback_lib.writes.objects":  # writes are waited for
            yield f"{module}:{node.lineno}: threads that the process would wait for"
    called = {ast.unparse(n.func).rpartition(".")[2] for n in ast.walk(tree) if isinstance(n, ast.Call)}
    if own != "http" and "received" in called and "ask" not in called:
        yield f"{module}: what is received is not asked for by http.ask"


def _is_answer(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("response", "answer", "got", "raw", "resp", "reply")


def _is_write(tree: ast.Module, call: ast.Call) -> bool:
    """kubectl's writes end by themselves: what is half done is worse than two seconds more."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "_ask"]
    return any(call in list(ast.walk(f)) and "WRITE_LIMIT" in ast.unparse(call) for f in functions)


def test_nobody_goes_outside_by_a_way_of_his_own() -> None:
    ours = {m: file for m, file in MODULES.items() if not m.startswith(SANDBOX)}
    assert [said for m, file in ours.items() for said in ways(m, file.read_text(encoding="utf-8"))] == []


def test_what_the_sandbox_starts_ends_as_well() -> None:
    calls = [
        (module, ast.unparse(node.func), {k.arg for k in node.keywords})
        for module, file in MODULES.items()
        if module.startswith(SANDBOX)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "opener.open")
    ]
    assert len(calls) > 2
    assert [(module, name) for module, name, keywords in calls if "timeout" not in keywords] == []


@pytest.mark.parametrize(
    "line",
    [
        "requests.post(url, timeout=5)",
        "requests.Session()",
        "urllib.request.urlopen(url, timeout=5)",
        "subprocess.run(('git', 'log'), timeout=5)",
        "subprocess.Popen(('git', 'log'))",
        "os.system('git log')",
        "answer.read()",
        "response.content",
        "answer.iter_content()",
        "git.cmd.Git().execute(['git', 'log'])",
        "client.rest_client.pool_manager.request('GET', url)",
        "process.run(('kubectl', 'version'), environ, timeout=5)",
        "threading.Thread(target=work)",
        "ThreadPoolExecutor(4)",
        "http.received(session, 'GET', url, waited, 100)",
        "jenkins.Jenkins(url)",
    ],
)
def test_an_adapter_that_forgets_it_is_found(line: str) -> None:
    assert list(ways(f"{ADAPTERS}another", line)), "and its line is named"
