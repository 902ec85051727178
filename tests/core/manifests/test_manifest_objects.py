"""Manifests are read with kubectl's meaning; a real kubectl is the oracle where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_lib.core import encoding
from rollback_lib.core.errors import RefusedError
from rollback_lib.core.manifests import manifest_objects
from rollback_lib.core.manifests.splice import same

HEAD = "apiVersion: example.com/v1\nkind: Thing\nmetadata:\n  name: thing\n"
CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed: no oracle")
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real manifests is not beside the project")


def read(text: str, file: str = "k8s/thing.yaml") -> list[dict[str, Any]]:
    return [d.object for d in manifest_objects.read(text.encode(), file)]


def refusal(data: str | bytes, file: str = "k8s/thing.yaml") -> str:
    with pytest.raises(RefusedError) as caught:
        manifest_objects.read(data.encode() if isinstance(data, str) else data, file)
    return str(caught.value)


def kubectl(text: str) -> list[dict[str, Any]] | None:
    """The objects as a real kubectl reads them; None where it refuses."""
    command = ("kubectl", "annotate", "--local", "-f", "-", "-o", "json", "oracle=1")
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        return None
    decoder, out, found, at = json.JSONDecoder(), done.stdout.decode(), [], 0
    while at < len(out.rstrip()):
        value, at = decoder.raw_decode(out, at)
        at += len(out[at:]) - len(out[at:].lstrip())
        annotations = value["metadata"]["annotations"]
        del annotations["oracle"]
        if not annotations:
            del value["metadata"]["annotations"]
        found.append(value)
    return found


def as_kubectl(value: Any) -> Any:
    """Numbers as they come back from kubectl's JSON text: a float too large for int64 is written without a point."""
    if isinstance(value, dict):
        return {k: as_kubectl(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_kubectl(v) for v in value]
    return float(value) if type(value) in (int, float) else value


WORDS = [
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "Y",
    "N",
    "Yes",
    "YES",
    "yEs",
    "true",
    "True",
    "TRUE",
    "tRUE",
    "false",
    "null",
    "Null",
    "NULL",
    "~",
    "=",
    "<<",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "22:22",
    "1:20:30",
    "0o555",
    "0o17",
    "0O17",
    "0555",
    "08",
    "09",
    "0777",
    "0x1F",
    "0X1F",
    "0b11",
    "0B11",
    "-0b11",
    "+0b11",
    "-0x1F",
    "+12",
    "-12",
    "+0o7",
    "-0o7",
    "1_000",
    "1_0.5",
    "_1",
    "0_7",
    "0x_1F",
    "0b_1",
    "12e3",
    "12E3",
    "12e03",
    "1e400",
    "1.5",
    ".5",
    "5.",
    "+.5",
    "-.5",
    "-5.",
    ".",
    "+",
    ".iNF",
    ".Nan",
    "0.0",
    "-0",
    "-0.0",
    "0",
    "00",
    "1e-3",
    "1.e3",
    ".e3",
    "e3",
    "1e",
    "1.0",
    "1.10",
    "123456789012345678901234567890",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "0x7fffffffffffffff",
    "0xffffffffffffffff",
    "0x1ffffffffffffffff",
    "1e21",
    "1e20",
    "123456.789e3",
    "0x1p4",
    "1__0",
    "0o8",
    "0o",
    "0x",
    "0b",
    "0b2",
    "1.2.3",
    "1,000",
    "+1_2",
    "1e+3",
    "1E-3",
    "1_e3",
    "inf",
    "nan",
    "NaN",
    "Infinity",
    "+Inf",
    "1e16",
    "07",
    "-07",
    "+07",
    "0_8",
    "0x1_F",
    "12_",
    "0b1_0",
    "-0x_1F",
    "-0b_1",
    ".5_0",
    "5._0",
    "._5",
    ".5_",
    ".5__0",
    "1.5e1_0",
    "6e-7",
    "0.000001",
    "12345678901234567.0",
    "4611686018427387904.0",
    "9.3e18",
    "0b+1",
    "0b-1",
    "-0b-1",
    "!foo",
    "!!str",
    "!!binary",
    "'\"\"'",
    "!",
    "k1s",
]
KEYS = [
    "1.10",
    "12e3",
    "1e6",
    "1e5",
    "123456.7",
    "1234567.8",
    "1e20",
    "1e21",
    "0.0001",
    "0.00001",
    "16777217.0",
    "3.4e38",
    "1e39",
    ".inf",
    "yes",
    "012",
    "08",
    "9223372036854775807",
    "2024-01-01",
    "-0.0",
    "5.",
    "100.0",
    "22:22",
    "off",
]


@needs_kubectl
def test_every_plain_scalar_and_key_is_what_kubectl_makes_of_it() -> None:
    text = HEAD + "values:\n" + "".join(f"- {w}\n" for w in WORDS) + "keys:\n"
    text += "".join(f"- {{ {k}: x }}\n" for k in KEYS)
    theirs = kubectl(text)
    assert theirs is not None
    ours = read(text)[0]
    for word, mine, his in zip(WORDS, ours["values"], theirs[0]["values"], strict=True):
        assert same(as_kubectl(mine), as_kubectl(his)), f"{word}: we read {mine!r}, kubectl {his!r}"
    assert ours["keys"] == theirs[0]["keys"]


ODD = st.text("0123456789_.+-eExXoObBaf10", min_size=1, max_size=8).filter(
    lambda w: w not in ("-", "---", "...") and not re.fullmatch(r"[-+]?\.(inf|nan)", w, re.IGNORECASE)
)


@needs_kubectl
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ODD, min_size=100, max_size=300, unique=True))
def test_anything_like_a_number_is_what_kubectl_makes_of_it(words: list[str]) -> None:
    text = (
        HEAD + "values:\n" + "".join(f"- {w}\n" for w in words) + "keys:\n" + "".join(f"- {{{w}: x}}\n" for w in words)
    )
    theirs, ours = kubectl(text), read(text)[0]
    assert theirs is not None
    assert same(as_kubectl(ours["values"]), as_kubectl(theirs[0]["values"]))
    assert ours["keys"] == theirs[0]["keys"]


@needs_kubectl
@pytest.mark.parametrize(
    "body",
    [
        "a: !!int '3'\nb: !!float 3\nc: ! 4\nd: !foo 5\ne: !!str 6\nf: !!bool yes\ng: !!null ''\nh: !!set {a, b}\n",
        "a: &x 1\nb: &x 2\nc: *x\n",
        "b: &b {i: base, j: 1}\nc: {i: own, <<: *b}\nd: {<<: *b, i: own}\ne: {<<: [{i: 1}, {i: 2, k: 3}]}\n",
        "a: {'<<': {b: 1}}\n",
        "a: !!binary aGVsbG8=\n",
        "a: 'x\n\n  y'\nb: >-\n  p\n  q\nc: |+\n  r\n\nd: \"\\x61\\u00e9\"\n",
        "...\n---\n# nothing\n---\n\ufeff" + HEAD,
        "---\n---\n--- # comment\n" + HEAD,
        "a: 'quoted --- text'\nb: |\n  x\n  ---\n  y\n",
        "a: \t1\n",
        "a: |\n  no newline at the end",
        "a: |+\n  x\n\n---\n" + HEAD + "a: |\n  x\n\n  ",
        "a: >\n  x\n  y",
        "a: no newline # c",
    ],
)
def test_documents_tags_anchors_and_merges_are_read_as_kubectl_does(body: str) -> None:
    assert read(HEAD + body) == kubectl(HEAD + body)


@needs_kubectl
@pytest.mark.parametrize(
    "text",
    [
        HEAD + "a: .inf\n",
        HEAD + "a: !!int x\n",
        HEAD + "a: {~: 1}\n",
        HEAD + "a: {18446744073709551615: 1}\n",
        HEAD + "a: {[1]: 1}\n",
        HEAD + "a: *nope\n",
        HEAD + "a: &x [*x]\n",
        HEAD + "a: {<<: 1}\n",
        HEAD + "---glued\n",
        "--- {}\n" + HEAD,
        "%YAML 1.2\n---\n" + HEAD,
        HEAD + "a: 'x\n---\ny'\n",
        HEAD + "a: \x01\n",
        "[1]\n",
        "text\n",
        "a: 1\n",
    ],
)
def test_what_kubectl_refuses_is_refused_with_file_and_line(text: str) -> None:
    assert kubectl(text) is None
    assert "k8s/thing.yaml:" in refusal(text)


@pytest.mark.parametrize("text", [
    f"{HEAD}<<<<<<< HEAD\ndata: {{a: b}}\n=======\ndata: {{a: c}}\n>>>>>>> main\n",
    f"{HEAD}data:\n  a: b\n=======\n  a: c\n>>>>>>> main\n",  # whoever mended it left the second half
    f"{HEAD}data: {{a: b}}\n>>>>>>> main\n",
    f"{HEAD}data: |\n  x\n<<<<<<< HEAD\r\n  y\n=======\r\n",
])  # fmt: skip
def test_a_conflict_that_was_committed_is_told_as_such_with_its_line(text: str) -> None:
    line = text[: min(text.find(m) for m in ("<<<<", "====", ">>>>") if m in text)].count("\n") + 1
    assert refusal(text) == f"k8s/thing.yaml:{line}: a merge was committed with its conflict"


def test_what_only_looks_like_a_conflict_is_a_value() -> None:
    (found,) = read(f"{HEAD}data: |\n  <<<<<<< HEAD\n  =======\n")
    assert found["data"] == "<<<<<<< HEAD\n=======\n"


@needs_kubectl
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (HEAD + "spec:\n  image: a\n  other: 1\n  image: b\n", [8]),
        (HEAD + "data: {a: b}\ndata: {c: d}\n", [6]),
        (HEAD + "a: {1: x, 0x1: z}\n", [5]),
        (HEAD + "a: {b: 1, 'b': {c: 2}}\n", [5]),
        (HEAD + "env: [{name: A, value: x, value: y}, {name: A, value: z}]\n", [5]),
        (HEAD + "x: &b {k: 1, k: 2}\ndata: {<<: *b}\n", [5]),
        (HEAD + "x: &b {k: 1}\ndata: {<<: *b, k: 2, k: 3}\n", [6]),
        (HEAD + "x: &b {k: 1}\ndata: {k: 2, <<: *b}\n", []),
        ('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1",\n"k": "2"}}', [2]),
        ("apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a, name: b}}\n", [4]),
        (HEAD + "k: 50---\n" + HEAD, [6, 7, 8]),  # two documents, glued together
    ],
)  # fmt: skip
def test_of_a_key_that_stands_twice_the_last_one_counts_as_for_kubectl(text: str, lines: list[int]) -> None:
    read = manifest_objects.parse(text.encode(), "k8s/thing.yaml")
    assert as_kubectl([d.object for d in read.documents]) == as_kubectl(kubectl(text))
    assert [problem.line for problem in manifest_objects.doubled(read)] == lines


def test_a_number_and_its_text_as_keys_are_refused_since_kubectl_takes_either() -> None:
    """Seen: one or the other, from call to call."""
    said = refusal(HEAD + "a: {1: x,\n    '1': y}\n")
    assert "k8s/thing.yaml:6" in said
    assert "the key '1' stands on line 5 too, as another type" in said


def test_every_problem_of_a_file_is_listed() -> None:
    said = refusal(HEAD + "a: .inf\nb: !!int x\n---\na: 1\n---\n" + HEAD + "a: {b: .nan}\n")
    assert len(said.splitlines()) == 4


def test_an_object_after_dots_does_not_vanish_silently() -> None:
    assert "k8s/thing.yaml:6" in refusal(HEAD + "...\n" + HEAD)


def test_a_list_is_flattened_and_typed_lists_lend_their_kind() -> None:
    text = "apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n"
    documents = manifest_objects.read(text.encode(), "f.yaml")
    assert [(d.part, d.line, d.object["kind"], d.object["metadata"]["name"]) for d in documents] == [
        (0, 4, "ConfigMap", "a"),
        (1, 5, "ConfigMap", "b"),
    ]
    assert read("apiVersion: v1\nkind: List\nitems: []\n") == []


def test_empty_and_comment_only_documents_give_nothing() -> None:
    assert read("") == read("# only\n") == read("---\n---\n# x\n---\nnull\n") == []


def test_json_objects_are_read_one_after_the_other() -> None:
    one = json.dumps({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}}, indent="\t")
    assert [o["kind"] for o in read(one + "\n" + one.replace('"A"', '"B"'), "f.json")] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "file", "hint"),
    [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "k8s/kustomization.yaml", "Kustomize"),
        ("resources: [a.yaml]\n", "k8s/kustomization.yaml", "Kustomize"),
        ("apiVersion: v2\nname: chart\n", "Chart.yaml", "no kind"),
        ("replicas: 1\n", "values.yaml", "no apiVersion and no kind"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "cm.yaml", "no metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}\n", "cm.yaml", "quotes"),
        ("a: {{ .Values.a }}\n", "templates/a.yaml", "helm template"),
        ("{{- if .Values.x }}\na: 1\n{{- end }}\n", "templates/a.yaml", "helm template"),
    ],
)
def test_files_that_are_no_manifests_are_named_with_what_to_do(text: str, file: str, hint: str) -> None:
    said = refusal(text, file)
    assert file + ":1" in said
    assert hint in said


@pytest.mark.parametrize("written", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read_and_come_back_byte_for_byte(written: str) -> None:
    data = (HEAD + "a: ñ😀\r\n").encode(written)
    assert manifest_objects.read(data, "f.yaml")[0].object["a"] == "ñ😀"
    assert encoding.encode(encoding.decode(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        HEAD.encode("utf-16-le"),
        HEAD.encode("utf-16-be"),
        HEAD.encode("utf-32"),
        (HEAD + "a: ñ").encode("latin-1"),
        b"a\0b",
        b"\xff\xfea",
    ],
)
def test_other_encodings_are_refused_by_name_and_never_guessed(data: bytes) -> None:
    assert "not UTF-8" in refusal(data)
    assert "k8s/thing.yaml" in refusal(data)


def test_bombs_and_depth_are_refused() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
    )
    assert "aliasing" in refusal(HEAD + bomb)
    assert "nest" in refusal(HEAD + "a: " + "[" * 5000)
    assert "deep" in refusal(HEAD + "a: " + "[" * 200 + "]" * 200)
    assert "deep" in refusal("".join(" " * i + "a:\n" for i in range(400)))
    refusal('{"a":' * 100_000)
    assert read(HEAD + "a: " + "9" * 5000)[0]["a"] == "9" * 5000
    assert refusal(HEAD + "a: &a\n  b: {<<: *a}\n")


def chained(depth: int) -> str:
    return HEAD + "a0: &a0 1\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, depth))


def test_a_long_chain_of_aliases_is_refused_not_a_crash() -> None:
    refusal(chained(5000))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.text(), st.text("{}[]&*!|>'\"%@`,:?#- \n\tab<0.\r"), st.binary()))
def test_anything_at_all_is_read_or_refused(text: str | bytes) -> None:
    for data in (text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"),):
        for whole in (data, HEAD.encode() + b"a: " + data):
            try:
                manifest_objects.read(whole, "f.yaml")
            except RefusedError as error:
                said = str(error)
                assert "f.yaml" in said


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text("ab \n:#-'\"|>{}[]&*!%@`,?=<\t\r0x1e.+_~\x85\u2028\ufeff", max_size=12),
    st.sampled_from(
        [*WORDS, *KEYS, "", " ", "---", "...", "a: b", "a #b", "$HOME", "x\n", "x\n\n", " x\n", "\n x", "a\n---\nb"]
    ),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        TEXTS,
        st.floats(-1e6, 1e6).filter(lambda f: f % 1 != 0),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def thing(value: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "thing"}, "spec": value}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUES.map(thing), max_size=3))
def test_what_is_dumped_is_read_back_as_it_was(objects: list[dict[str, Any]]) -> None:
    assert same(read(manifest_objects.dump(objects)), objects)


@needs_kubectl
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUES, min_size=10, max_size=40).map(thing))
def test_kubectl_reads_what_is_dumped_as_it_was(value: dict[str, Any]) -> None:
    theirs = kubectl(manifest_objects.dump([value]))
    assert theirs is not None
    assert as_kubectl(theirs[0]) == as_kubectl(value)


def test_text_of_several_lines_is_dumped_as_a_block_for_people() -> None:
    text = manifest_objects.dump([thing({"script": "#!/bin/sh\necho hi\n", "conf": "a: 1\nb: |\n  x\n"})])
    assert "  conf: |\n    a: 1\n" in text


def corpus() -> Iterator[tuple[str, bytes]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".json") and path.is_file():
            yield str(path.relative_to(CORPUS)), path.read_bytes()


@needs_corpus
def test_every_real_file_is_read_or_refused_and_dumps_back() -> None:
    done = refused = 0
    for file, data in corpus():
        try:
            documents = manifest_objects.read(data, file)
        except RefusedError as error:
            said = str(error)
            assert file in said
            refused += 1
            continue
        done += 1
        if done % 5 == 0:
            objects = [d.object for d in documents]
            assert same(read(manifest_objects.dump(objects), file), objects), file
    assert done > 900
    assert refused < done / 3


@needs_corpus
@needs_kubectl
@pytest.mark.parametrize("step", [45, pytest.param(1, marks=pytest.mark.long)], ids=["sample", "every file"])
def test_real_files_are_what_kubectl_reads(step: int) -> None:
    compared = 0
    for file, data in [pair for pair in corpus() if len(pair[1]) < 100_000][::step]:
        # A group that kubectl does not know keeps it from adding its own types' empty fields.
        data = re.sub(rb"^apiVersion: [^\r\n]*", b"apiVersion: example.com/v1", data, flags=re.MULTILINE)
        try:
            mine = [d.object for d in manifest_objects.read(data, file)]
        except RefusedError:
            continue
        theirs = kubectl(data.decode("utf-8-sig"))
        for one in mine:  # the oracle's own annotation makes a mapping of it
            if one["metadata"].get("annotations", 1) is None:
                del one["metadata"]["annotations"]
        if mine and theirs is not None and b"apiVersion: example.com/v1" in data:
            assert mine == theirs, file
            compared += 1
    assert compared > 10
