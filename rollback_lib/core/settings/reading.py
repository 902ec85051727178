"""YAML read strictly beside msgspec types: every problem at once, each with line, column, key and the fix.

The nodes (`core.settings.yaml_nodes`) are walked beside the type description. Scalars are judged by how they were
written, not by YAML 1.1's guesses: where text is expected `1.10` stays `1.10`, and `yes`, `022` or `22:22` are never
turned into something else.

A struct may add rules of its own with a method ``rules(self) -> Iterable[Problem]``; their ``key`` is relative to it.
A string type may carry ``Meta(pattern=…, extra={"means": "what is allowed, in words"})``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Set
from typing import Any, Final, TypeVar

import msgspec
import yaml
from msgspec import inspect as shapes

from rollback_lib.core import encoding
from rollback_lib.core.errors import Problem, UsageError
from rollback_lib.core.settings.yaml_nodes import MAX_DEPTH, UnreadableError, compose, is_null, is_plain

T = TypeVar("T")

MAX_NODES: Final = 20_000  # counted after aliases are followed
MAX_PROBLEMS: Final = 50

_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_ALMOST_TRUTHS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?")
_MERGE = "tag:yaml.org,2002:merge"
_MISSING: Final = object()  # a value that could not be read; None is a value


def read(data: str | bytes, model: type[T], file: str = "") -> T:
    """The value that ``data`` spells. Raises UsageError with every problem found, in the file's order."""
    value, problems = check(data, model, file)
    if problems:
        raise UsageError(*problems)
    return value  # type: ignore[return-value]  # no problems: it is there


def check(data: str | bytes, model: type[T], file: str = "") -> tuple[T | None, tuple[Problem, ...]]:
    """As `read`, without raising: the value or None, and the problems (at most ``MAX_PROBLEMS`` and a last word)."""
    reader = _Reader(file)
    value: Any = None
    try:
        root = compose(data if isinstance(data, str) else encoding.decode(data).text)
        value = reader.walk(root, shapes.type_info(model), "")
    except UnreadableError as e:
        reader.problems.append(msgspec.structs.replace(e.problem, file=file))
    except encoding.NotTextError as e:
        reader.problems.append(Problem(e.text, file=file, line=e.line, column=e.column, fix=e.FIX))
    problems = sorted(dict.fromkeys(reader.problems), key=lambda p: (p.line, p.column))
    if len(problems) > MAX_PROBLEMS:
        rest = len(problems) - MAX_PROBLEMS
        problems = [*problems[:MAX_PROBLEMS], Problem(f"and {rest} more problems", file=file)]
    return (None if problems else value), tuple(problems)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.places: dict[str, yaml.Node] = {}
        self.open: set[int] = set()  # nodes being walked: an alias to one of them never ends
        self.seen = 0

    def bad(self, node: yaml.Node, key: str, text: str, fix: str = "") -> Any:
        mark = node.start_mark
        self.problems.append(Problem(text, self.file, mark.line + 1, mark.column + 1, key, fix))
        return _MISSING

    def count(self, node: yaml.Node, values: int) -> None:
        """Aliases can make a short file endlessly large or deep; a settings file is neither."""
        self.seen += values
        if self.seen > MAX_NODES or len(self.open) > MAX_DEPTH:
            raise UnreadableError("too large or too deep once its aliases are followed", node.start_mark)

    def walk(self, node: yaml.Node, kind: Any, key: str) -> Any:
        """The value of ``node`` as ``kind``, or ``_MISSING`` with the reason noted."""
        self.count(node, 1)
        if id(node) in self.open:
            return self.bad(node, key, "an alias stands inside what it names")
        self.places.setdefault(key, node)
        self.open.add(id(node))
        try:
            return self._choose(node, kind, key)
        finally:
            self.open.discard(id(node))

    def _choose(self, node: yaml.Node, kind: Any, key: str) -> Any:
        means = ""
        optional = False
        while isinstance(kind, shapes.Metadata | shapes.UnionType):
            if isinstance(kind, shapes.Metadata):
                means = str((kind.extra or {}).get("means", means))
                kind = kind.type
            else:  # the models only use "X or nothing" and "one X or a list of them"
                optional = optional or kind.includes_none
                listed = isinstance(node, yaml.SequenceNode)
                choices = [t for t in kind.types if not isinstance(t, shapes.NoneType)]
                kind = next((t for t in choices if listed == isinstance(t, shapes.VarTupleType)), choices[0])
        if optional and is_null(node):
            return None
        if isinstance(kind, shapes.StructType):
            return self._struct(node, kind, key)
        if isinstance(kind, shapes.DictType):
            return self._mapping(node, kind, key)
        if isinstance(kind, shapes.VarTupleType | shapes.ListType):
            return self._list(node, kind, key)
        if isinstance(kind, shapes.AnyType):
            return self._anything(node, kind, key)
        if not isinstance(node, yaml.ScalarNode):
            return self._not_a_scalar(node, kind, key)
        return self._scalar(node, kind, key, means)

    def entries(self, node: yaml.MappingNode, key: str) -> list[tuple[str, yaml.Node, yaml.Node]]:
        """Names, their nodes and their values, with `<<` followed and what cannot be a key reported."""
        own: dict[str, tuple[str, yaml.Node, yaml.Node]] = {}
        merged: list[yaml.Node] = []
        for name_node, value in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self.bad(name_node, key, f"expected a key, found {_found(name_node)}")
                continue
            if name_node.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            name = name_node.value
            if name in own:
                first = own[name][1].start_mark.line + 1
                self.bad(name_node, _join(key, name), "this key is given twice", f"the first is in line {first}")
                continue
            own[name] = (name, name_node, value)
        for source in merged:
            self.count(source, 1)
            if not isinstance(source, yaml.MappingNode) or id(source) in self.open:
                self.bad(source, key, f"'<<' takes another mapping, found {_found(source)}")
                continue
            self.open.add(id(source))
            for name, name_node, value in self.entries(source, key):
                own.setdefault(name, (name, name_node, value))
            self.open.discard(id(source))
        self.count(node, len(own))
        return list(own.values())

    def _struct(self, node: yaml.Node, kind: shapes.StructType, key: str) -> Any:
        fields = {f.encode_name: f for f in kind.fields}
        if not isinstance(node, yaml.MappingNode):
            fix = f"keys here: {', '.join(fields)}"
            return self.bad(node, key, f"expected a mapping, found {_found(node)}", fix)
        before = len(self.problems)
        got: dict[str, Any] = {}
        given: set[str] = set()
        for name, name_node, value in self.entries(node, key):
            given.add(name)
            if name not in fields:
                self.bad(name_node, _join(key, name), "unknown key", _suggest(name, fields))
            else:
                got[fields[name].name] = self.walk(value, fields[name].type, _join(key, name))
        for missing in (f for n, f in fields.items() if f.required and n not in given):
            self.bad(node, _join(key, missing.encode_name), "this key is missing")
        good = {name: value for name, value in got.items() if value is not _MISSING}
        if any(f.required and f.name not in good for f in fields.values()):
            return _MISSING
        built = kind.cls(**good)  # what could not be read is as if not given, so that the rules can speak all the same
        self._own_rules(built, node, key, got.keys() - good.keys())
        return built if len(self.problems) == before else _MISSING

    def _own_rules(self, built: Any, node: yaml.Node, key: str, unread: Set[str]) -> None:
        rules = getattr(built, "rules", None)
        broken: Iterable[Problem] = rules() if rules else ()
        for problem in broken:
            if re.split(r"[.\[]", problem.key)[0] in unread:
                continue
            full = _join(key, problem.key)
            place = full
            while place and place not in self.places:  # the rule may name what was left out
                place = place[: max(place.rfind("."), place.rfind("["), 0)]
            self.bad(self.places.get(place, node), full, problem.text, problem.fix)

    def _mapping(self, node: yaml.Node, kind: shapes.DictType, key: str) -> Any:
        if not isinstance(node, yaml.MappingNode):
            return self.bad(node, key, f"expected a mapping, found {_found(node)}")
        got: dict[Any, Any] = {}
        for name, name_node, value in self.entries(node, key):
            path = _join(key, name)
            if self._choose(name_node, kind.key_type, path) is not _MISSING:
                got[name] = self.walk(value, kind.value_type, path)
        return got if _MISSING not in got.values() else _MISSING

    def _list(self, node: yaml.Node, kind: Any, key: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            fix = f"write [{node.value}]" if isinstance(node, yaml.ScalarNode) and node.value else "write [ … ]"
            return self.bad(node, key, f"expected a list, found {_found(node)}", fix)
        got = [self.walk(item, kind.item_type, f"{key}[{i}]") for i, item in enumerate(node.value)]
        return tuple(got) if _MISSING not in got else _MISSING

    def _anything(self, node: yaml.Node, kind: Any, key: str) -> Any:
        """JSON's own values: what a person writes is compared with what a service answers."""
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, shapes.DictType(shapes.StrType(), kind), key)
        if isinstance(node, yaml.SequenceNode):
            return self._list(node, shapes.ListType(kind), key)
        text: str = node.value
        if not is_plain(node):
            return text
        if text.lower() in _ALMOST_TRUTHS:
            said = _ALMOST_TRUTHS[text.lower()]
            return self.bad(node, key, f"{text!r} could be a text or a truth", f"write '{said}', or quote it")
        if is_null(node):
            return None
        if text in _TRUTHS:
            return _TRUTHS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else text

    def _not_a_scalar(self, node: yaml.Node, kind: Any, key: str) -> Any:
        fix = ""
        if isinstance(node, yaml.MappingNode) and node.flow_style and isinstance(kind, shapes.StrType):
            names = [n.value for n, v in node.value if isinstance(n, yaml.ScalarNode) and is_null(v)]
            fix = f'a text that begins with a brace needs quotes: "{{{names[0]}}}"' if len(names) == 1 else ""
        elif isinstance(node, yaml.SequenceNode) and len(node.value) == 1:
            fix = "leave out the brackets or the '-'"
        return self.bad(node, key, f"expected {_named(kind)}, found {_found(node)}", fix)

    def _scalar(self, node: yaml.ScalarNode, kind: Any, key: str, means: str) -> Any:
        text = node.value
        expected = f"expected {_named(kind)}, found {_found(node)}"
        if isinstance(kind, shapes.StrType):
            if is_null(node):
                return self.bad(node, key, expected, 'write "" for an empty text, or leave the key out')
            if kind.pattern and not re.fullmatch(kind.pattern, text):
                return self.bad(node, key, f"{text!r} is not allowed here", f"allowed: {means or kind.pattern}")
            return text
        if isinstance(kind, shapes.LiteralType):
            if text in kind.values:
                return text
            return self.bad(node, key, f"{text!r} is not one of the choices", _suggest(text, kind.values))
        quoted = "leave out the quotes" if node.style in ("'", '"') else ""
        if isinstance(kind, shapes.BoolType):
            if not quoted and text in _TRUTHS:
                return _TRUTHS[text]
            said = _ALMOST_TRUTHS.get(text.lower())
            return self.bad(node, key, expected, quoted or (f"write {said}" if said else "write true or false"))
        if isinstance(kind, shapes.IntType):
            if quoted or not _INTEGER.fullmatch(text):
                return self.bad(node, key, expected, quoted or "write plain digits")
            low, high = kind.ge, kind.le
            if (low is not None and int(text) < low) or (high is not None and int(text) > high):
                return self.bad(node, key, f"{text} is out of range", f"from {low} to {high}")
            return int(text)
        raise TypeError(f"a model uses {kind!r}, which strict reading does not know")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key and name else key or name


def _found(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if is_null(node):
        return "nothing"
    return repr(node.value if len(node.value) <= 60 else node.value[:60] + "…")


def _named(kind: Any) -> str:
    if isinstance(kind, shapes.StrType):
        return "a text"
    if isinstance(kind, shapes.BoolType):
        return "true or false"
    if isinstance(kind, shapes.IntType):
        return "a whole number"
    return "one of: " + ", ".join(map(str, getattr(kind, "values", ())))


def _suggest(word: str, known: Iterable[Any]) -> str:
    names = [str(k) for k in known]
    near = difflib.get_close_matches(word[:80].replace("-", "_"), names, 1) or difflib.get_close_matches(
        word[:80], names, 1
    )
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
