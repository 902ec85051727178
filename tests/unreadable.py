"""Imports the product with every sentence of its own made unreadable: who reads one decides otherwise then.

`install()` before the first import of the product. In each of its modules but the sandbox's a literal that reads as a
sentence becomes a mark of its own, such as ``§17``, wherever it is *made*. Where a literal is compared with, or looked
for in another text, it stays: so that what asks for our own words finds them no more.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGE: Final = "rollback_lib"
# A double of what is outside: its texts are Kubernetes' and the registry's.
SANDBOX: Final = f"{PACKAGE}.sandbox"
# Literals that read as sentences and are none: module → why, and how they begin. Checked to be there still.
NO_SENTENCES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    f"{PACKAGE}.adapters.access": ("headers of HTTP", ("Bearer ", "Basic ")),
    f"{PACKAGE}.adapters.registry_http": ("headers of HTTP", ("Bearer ",)),
    f"{PACKAGE}.adapters.jenkins": ("headers of HTTP", ("text/xml;",)),
    f"{PACKAGE}.core.evidence.logs": (
        "patterns of what programs log", ("Could not", "APPLICATION", "Connection refused", "(?i)"),
    ),
    f"{PACKAGE}.core.evidence.test_reports": ("columns of Locust's reports", ("Request Count", "Failure Count")),
    f"{PACKAGE}.core.health.pods.causes": ("the scheduler's words, looked for", ("free ports", "Too many pods")),
    f"{PACKAGE}.core.run.changes": (
        "kubectl's words, looked for", ("Unable to connect", "The connection to", "error: "),
    ),
    f"{PACKAGE}.core.plan.dry_run": ("the API server's words, looked for", ("already allocated",)),
    f"{PACKAGE}.core.readouts.prerequisites": ("names of checks, as its JSON has them", ("git tags",)),
    f"{PACKAGE}.operations.doctor": ("names of checks, as its JSON has them", ("git tags", "the rest")),
    f"{PACKAGE}.core.traffic.maintenance": ("a configuration of nginx", ("  ", "<!doctype")),
    f"{PACKAGE}.core.jenkins.job": ("lines of a Jenkinsfile, and XML", ("    // begin", "    // end", "<")),
    f"{PACKAGE}.core.report.page": ("HTML", ("<",)),
    f"{PACKAGE}.core.report.junit": ("XML", ("<",)),
}  # fmt: skip
_VALUE: Final = "\0"  # stands for a value in an f-string
_SENTENCE: Final = re.compile(r"(?:[A-Za-z]{2}|\0|[)\"'`])[,.;:)\"'`]* [(\"'`]?(?:[A-Za-z]|\0)")
_WORD: Final = re.compile(r"[A-Za-z]{2}")
# Methods that look for, or cut at, what they are given.
_LOOKING: Final = frozenset((
    "startswith", "endswith", "removeprefix", "removesuffix", "split", "rsplit", "partition", "rpartition", "replace",
    "strip", "lstrip", "rstrip", "find", "rfind", "index", "rindex", "count",
))  # fmt: skip
_PATTERNS: Final = ("compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer")


def reads_as_sentence(node: ast.expr) -> bool:
    """Whether a literal has two words with a blank between them, values counting as words."""
    said = text_of(node)
    return _SENTENCE.search(said) is not None and _WORD.search(said) is not None


def text_of(node: ast.expr) -> str:
    """A literal's text, with ``\\0`` for its values; empty where it is no literal text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(v) if isinstance(v, ast.Constant) else _VALUE for v in node.values)
    return ""


def looked_for(tree: ast.AST) -> Iterator[ast.expr]:
    """What texts are compared with, looked for, or cut at; of each the expression."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for one in (node.left, *node.comparators):
                yield from (one.elts if isinstance(one, ast.Tuple | ast.Set | ast.List) else (one,))
        elif isinstance(node, ast.MatchValue):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whose = node.func.value
            if node.func.attr in _LOOKING or (
                isinstance(whose, ast.Name) and whose.id == "re" and node.func.attr in _PATTERNS
            ):
                for one in node.args[:1]:
                    yield from (one.elts if isinstance(one, ast.Tuple) else (one,))


def made(tree: ast.Module) -> list[ast.expr]:
    """The literals that read as sentences, where they are made."""
    kept: set[int] = set()

    def keep(node: ast.AST | None) -> None:
        kept.update(id(n) for n in ast.walk(node)) if node else None

    for one in looked_for(tree):
        if text_of(one):
            keep(one)
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if node.body and isinstance(node.body[0], ast.Expr):
                    keep(node.body[0])  # the docstring
                keep(getattr(node, "returns", None))
            case ast.arg() | ast.AnnAssign():
                keep(node.annotation)
            case ast.Subscript():
                keep(node.slice)
            case ast.Dict():
                for key in node.keys:
                    keep(key)
            case ast.Call():
                if _is_pattern(node):
                    keep(node)
                for keyword in node.keywords:
                    if keyword.arg in ("help", "epilog", "short_help"):
                        keep(keyword.value)
    inside = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
    return [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant | ast.JoinedStr)
        and id(n) not in kept
        and id(n) not in inside
        and reads_as_sentence(n)
    ]


def _is_pattern(call: ast.Call) -> bool:
    func = call.func
    return (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id == "re"
        and func.attr in _PATTERNS
    )


class _Unreadable(ast.NodeTransformer):
    def __init__(self, which: Sequence[ast.expr], module: str) -> None:
        self._which = {id(n) for n in which}
        self._exempt = NO_SENTENCES.get(module, ("", ()))[1]

    def visit(self, node: ast.AST) -> ast.AST:
        if id(node) in self._which and isinstance(node, ast.expr) and not text_of(node).startswith(self._exempt):
            _Unreadable.number += 1
            return ast.copy_location(ast.Constant(f"§{_Unreadable.number}"), node)
        return self.generic_visit(node)

    number = 0


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data: object, path: object, *, _optimize: int = -1) -> object:  # type: ignore[override]
        tree = ast.parse(bytes(data), str(path))  # type: ignore[call-overload]
        return compile(ast.fix_missing_locations(_Unreadable(made(tree), self.name).visit(tree)), str(path), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not f"{fullname}.".startswith(f"{PACKAGE}.") or f"{fullname}.".startswith(f"{SANDBOX}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.origin or Path(spec.origin).suffix != ".py":
            return spec
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(fullname, spec.origin),
            submodule_search_locations=spec.submodule_search_locations,
        )  # fmt: skip


def marks() -> int:
    """How many sentences were made unreadable so far."""
    return _Unreadable.number


def install() -> None:
    """From now on. Raises RuntimeError where the product was imported already."""
    if PACKAGE in sys.modules:
        raise RuntimeError(f"{PACKAGE} was imported already")
    sys.meta_path.insert(0, _Finder())
