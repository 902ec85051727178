"""Every mistake at once, with its place; and never a traceback, whatever the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from unittest import mock

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_lib.core.errors import Problem, UsageError
from rollback_lib.core.settings import reading, yaml_nodes

Name = Annotated[str, msgspec.Meta(pattern="^[a-z]+$", extra={"means": "lower-case letters"})]


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    number: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    truth: bool = False
    choice: Literal["left", "right"] = "left"

    def rules(self) -> list[Problem]:
        return [Problem("text and choice agree", key="choice")] if self.text == self.choice else []


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    inner: Inner | None = None
    rows: tuple[tuple[Name, ...], ...] = ()
    several: Mapping[Name, Inner] = {}
    anything: Mapping[str, Any] | None = None


VALID = """\
name: shop
inner: {text: "1.10", number: 3, truth: true, choice: right}
rows: [[a, b], [c]]
several:
  x: &x {text: hello}
  y: *x
  z: {<<: *x, number: 2}
anything: {status: UP, count: 3, ok: true, none: null, deep: [1.5, "7"]}
"""


def problems(data: str | bytes) -> list[str]:
    return [str(p) for p in reading.check(data, Model, "f.yaml")[1]]


def test_reads_a_valid_file_with_aliases_and_merge_keys() -> None:
    got = reading.read(VALID, Model)
    assert got.inner == Inner("1.10", 3, True, "right")
    assert got.rows == (("a", "b"), ("c",))
    assert got.several["z"] == Inner("hello", 2)
    assert got.anything == {"status": "UP", "count": 3, "ok": True, "none": None, "deep": (1.5, "7")}


@pytest.mark.parametrize("text", ["1.10", "0644", "yes", "22:22", "2024-01-01", "1e3", "0x1F", "="])
def test_text_stays_as_it_is_written(text: str) -> None:
    got = reading.read(f"name: a\ninner: {{text: {text}}}", Model)
    assert got.inner is not None
    assert got.inner.text == text


def test_says_every_problem_at_once_in_the_order_of_the_file() -> None:
    said = problems("nmae: shop\ninner: {text: x, number: '3', truth: yes, choice: lift}\nrows: [a]\nrows: []\n")
    assert said == [
        "f.yaml:1:1: nmae: unknown key (did you mean 'name'?)",
        "f.yaml:1:1: name: this key is missing",
        "f.yaml:2:26: inner.number: expected a whole number, found '3' (leave out the quotes)",
        "f.yaml:2:38: inner.truth: expected true or false, found 'yes' (write true)",
        "f.yaml:2:51: inner.choice: 'lift' is not one of the choices (did you mean 'left'?)",
        "f.yaml:3:8: rows[0]: expected a list, found 'a' (write [a])",
        "f.yaml:4:1: rows: this key is given twice (the first is in line 3)",
    ]


def test_a_rule_of_a_struct_is_reported_where_its_key_stands() -> None:
    assert problems("name: a\nseveral:\n  b: {text: right, choice: right}") == [
        "f.yaml:3:28: several.b.choice: text and choice agree"
    ]
    assert problems("name: a\ninner: {text: left}") == ["f.yaml:2:8: inner.choice: text and choice agree"]


def test_rules_speak_even_when_another_key_cannot_be_read() -> None:
    said = problems("name: a\ninner: {text: left, number: many}")
    assert len(said) == 2
    assert "inner.choice: text and choice agree" in said[0]


def test_a_rule_is_silent_about_a_key_that_could_not_be_read() -> None:
    assert len(problems("name: a\ninner: {text: left, choice: wrong}")) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("name: a\n---\nname: b", "f.yaml:2:1: a second document begins here (keep one, without '---')"),
        ("name: !!python/name:os.system x", "means nothing here"),
        ("name: !custom x", "the tag '!custom' means nothing here"),
        ("- name", "f.yaml:1:1: expected a mapping, found a list"),
        ("name: a\nanything: &x {y: *x}", "f.yaml:2:11: anything.y: an alias stands inside what it names"),
        ("name: *nowhere", "found undefined alias"),
        ("name: a\n\tinner: b", "indent with spaces, not with tabs"),
        ("name: {service}/x", "put quotes around a text that begins with a brace"),
        ("name: {service}", 'a text that begins with a brace needs quotes: "{service}"'),
        ("name:", "f.yaml:1:6: name: expected a text, found nothing"),
        ("name: [a]", "leave out the brackets"),
        ("name: A", "'A' is not allowed here (allowed: lower-case letters)"),
        ('name: "a\\n"', "is not allowed here"),
        ("name: a\ninner: {text: x, number: 10}", "10 is out of range (from 1 to 9)"),
        ("name: a\ninner: {text: x, number: 010}", "expected a whole number, found '010' (write plain digits)"),
        ("name: a\nseveral: {B: {text: x}}", "several.B: 'B' is not allowed here"),
        ("name: a\nanything: {up: yes}", "could be a text or a truth (write 'true', or quote it)"),
        ("name: a\n? [b]\n: c", "expected a key, found a list"),
        ("name: a\n<<: 5", "'<<' takes another mapping, found '5'"),
        ("name: a\nanything: {x: " + "[" * 40 + "]" * 40 + "}", "nested too deeply"),
        ("name: a\n" + "#" * 600_000, "too long"),
        ("name: 'a", "not YAML: found unexpected end of stream"),
        ("name: \x07", "not readable as YAML"),
        ("name: \ud800", "not UTF-8"),
        (
            b"name: caf\xe9",
            "f.yaml:1:10: not UTF-8 (byte 0xe9) (Save it as UTF-8 (in PowerShell: Out-File -Encoding utf8).)",
        ),
        ("name: a".encode("utf-16-le"), "not UTF-8: it holds NUL bytes"),
        (b"\xff\xfea", "not UTF-8, and broken as UTF-16"),
        ("name: a".encode("utf-32"), "not UTF-8 but UTF-32"),
    ],
)
def test_names_what_is_wrong(data: str | bytes, said: str) -> None:
    found = problems(data)
    assert any(said in p for p in found), found


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_lacks_what_is_required(text: str) -> None:
    assert problems(text) == ["f.yaml:1:1: name: this key is missing"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_reads_what_editors_and_powershell_write(encoding: str) -> None:
    got = reading.read("name: a\r\nanything: {x: año}\r\n".encode(encoding), Model)
    assert got.anything == {"x": "año"}


def test_a_short_file_cannot_become_endlessly_large_or_deep() -> None:
    wide = "name: a\nanything:\n  a0: &a0 [1, 1]\n"
    wide += "".join(f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
    deep = "name: a\nanything:\n  a0: &a0 [1]\n" + "".join(f"  a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))
    merge = "name: a\nanything:\n  a0: &a0 {b: 1}\n"
    merge += "".join(f"  a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 20))
    for text in (wide, deep, merge):
        assert any("too large or too deep" in p for p in problems(text))


def test_many_problems_are_cut_short_with_their_number() -> None:
    said = problems("name: a\n" + "".join(f"k{i}: 1\n" for i in range(200)))
    assert len(said) == reading.MAX_PROBLEMS + 1
    assert said[-1] == "f.yaml: and 150 more problems"


def test_read_raises_all_problems_with_the_file() -> None:
    with pytest.raises(UsageError) as e:
        reading.read("nmae: a", Model, "my.yaml")
    assert [p.file for p in e.value.problems] == ["my.yaml", "my.yaml"]


def reads_or_says(data: str | bytes) -> None:
    """With libyaml and without: the two differ in what they refuse, but neither may break us."""
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        with mock.patch.object(yaml_nodes, "_LOADER", loader):
            value, found = reading.check(data, Model, "f.yaml")
        assert (value is None) == bool(found)
        if value is not None:
            assert msgspec.json.decode(msgspec.json.encode(value), type=Model) is not None


@pytest.mark.parametrize("escape", ["\\ud800", "\\UFFFFFFFF", "\\x", "\\q"])
def test_an_escape_that_is_no_character_is_refused_with_any_parser(escape: str) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        with mock.patch.object(yaml_nodes, "_LOADER", loader):
            assert problems(f'name: a\nanything: {{x: "{escape}"}}')


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    reads_or_says(text)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reads_or_says(data)


@given(st.text(alphabet="ab:,-?[]{}&*!|>'\"%@`#<~ \n\t1.0é\ufeff\u2028"))
def test_any_mix_of_yaml_signs_is_read_or_refused(text: str) -> None:
    reads_or_says(text)


@settings(max_examples=200)
@given(st.data())
def test_a_valid_file_that_was_damaged_is_read_or_refused(data: st.DataObject) -> None:
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 12)))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", " ", "\n", ":", "- ", "*x", "&x ", "[", "}", "'", "é"]))
            + text[end:]
        )
    reads_or_says(text)
