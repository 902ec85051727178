"""Image scalars are replaced and nothing else, byte for byte."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.kube.kinds import KINDS
from rollback_lib.core.manifests import manifest_objects, placeholders
from rollback_lib.core.manifests import splice as manifest_splice
from rollback_lib.core.manifests.manifest_objects import parse
from rollback_lib.core.manifests.splice import ImageAt, same

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "corpus"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real manifests is not beside the project")
HEAD = """# head
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  template:
    spec:
      containers:
"""


def find(data: bytes, file: str) -> tuple[placeholders.Found, ...]:
    return placeholders.find(parse(data, file))


def substitute(data: bytes, file: str, values: Mapping[str, str]) -> bytes:
    return placeholders.substitute(parse(data, file), values).data


def images(data: bytes, file: str) -> tuple[ImageAt, ...]:
    return manifest_splice.images(parse(data, file))


def keep_documents(data: bytes, file: str, keep: Callable[[manifest_objects.Document], bool]) -> bytes:
    return manifest_splice.keep_documents(parse(data, file), keep).data


def splice(data: bytes, file: str, choose: Callable[[ImageAt], str | None]) -> bytes:
    return manifest_splice.splice(parse(data, file), choose).data


def indented(body: str) -> str:
    return re.sub(r"^(?=[^\n])", "      ", body, flags=re.MULTILINE)


NEW = "docker.io/shop/user@sha256:" + "ab" * 32


def to(image: str) -> Callable[[ImageAt], str]:
    return lambda _: image


def by_container(**wanted: str) -> Callable[[ImageAt], str | None]:
    return lambda at: wanted.get(at.ref.name)


def spliced(body: str, choose: Callable[[ImageAt], str | None]) -> str:
    data = (HEAD + indented(body)).encode()
    after = splice(data, "k8s/shop.yaml", choose)
    assert splice(after, "k8s/shop.yaml", choose) == after, "the second pass must change nothing"
    assert after.startswith(HEAD.encode())
    return re.sub("^ {6}", "", after.decode().removeprefix(HEAD), flags=re.MULTILINE)


FORMS = [
    ("- {name: a, image: OLD, x: y}\n", "- {name: a, image: NEW, x: y}\n"),
    ('- {"name":"a","image":"OLD","x":1}\n', '- {"name":"a","image":"NEW","x":1}\n'),
    (
        "- image: OLD # {'$imagepolicy': 'flux:x'}\n  name: a\n",
        "- image: NEW # {'$imagepolicy': 'flux:x'}\n  name: a\n",
    ),
    ("- image: 'OLD'   # c\n  name: a\n", "- image: 'NEW'   # c\n  name: a\n"),
    ('- image: "\\x61b"\n  name: a\n', '- image: "NEW"\n  name: a\n'),
    ("- image: !!str OLD\n  name: a\n", "- image: !!str NEW\n  name: a\n"),
    ("- image: &i OLD\n  name: a\n", "- image: &i NEW\n  name: a\n"),
    ("- image: !!str &i 'OLD'\n  name: a\n", "- image: !!str &i 'NEW'\n  name: a\n"),
    ("- ? image\n  : OLD\n  ? name\n  : a\n", "- ? image\n  : NEW\n  ? name\n  : a\n"),
    ("- image: >-\n    OLD\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- image: | # keep\n    OLD\n    two\n\n  # about\n  name: a\n", "- image: NEW # keep\n\n  # about\n  name: a\n"),
    ("- name: a\n  image: >-\n    OLD\n", "- name: a\n  image: NEW\n"),
    ("- image:\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- image: # todo\n  name: a\n", "- image: NEW # todo\n  name: a\n"),
    ("- image: ~\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- {image: , name: a}\n", "- {image: NEW , name: a}\n"),
    ("- image: 1.10\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- image: OLD\n   folded\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- image: {{IMAGE_NAME}}\n  name: a\n", "- image: NEW\n  name: a\n"),
    ("- image: {{ IMAGE_NAME }}:v1\n  name: a\n", "- image: NEW\n  name: a\n"),
    ('- image: é😀x\n  name: "é😀"\n', '- image: NEW\n  name: "é😀"\n'),
    ("- image:\tOLD\t# tab\n  name: a\n", "- image:\tNEW\t# tab\n  name: a\n"),
]


@pytest.mark.parametrize(("before", "after"), FORMS)
def test_every_form_of_an_image_gets_the_new_one_and_the_rest_stays(before: str, after: str) -> None:
    before = before.replace("OLD", "shop/user:prod")
    assert spliced(before, to(NEW)) == after.replace("NEW", NEW)


@pytest.mark.parametrize(("before", "after"), FORMS)
@pytest.mark.parametrize("write", ["crlf", "bom", "utf16", "no newline", "second document"])
def test_line_ends_marks_and_encodings_stay(before: str, after: str, write: str) -> None:
    def data(body: str) -> bytes:
        text = HEAD + indented(body.replace("OLD", "shop/user:prod").replace("NEW", NEW))
        if write == "crlf":
            return text.replace("\n", "\r\n").encode()
        if write == "no newline":
            return text.rstrip("\n").encode()
        if write == "second document":
            return ("---\n# empty\n---\n\ufeff" + text + "---\n").encode()
        return text.encode("utf-8-sig" if write == "bom" else "utf-16")

    assert splice(data(before), "f.yaml", to(NEW)) == data(after)


def test_a_new_text_that_would_not_be_text_is_quoted() -> None:
    for image in ("123", "yes", "1.10", "0o17", "~", "a: b", "a #b", "{x}", "22:22"):
        assert spliced("- image: x\n", to(image)) == f'- image: "{image}"\n'
    assert spliced("- image: 'x'\n", to("it's")) == "- image: 'it''s'\n"


def test_two_containers_that_share_an_anchor_and_want_the_same_are_one_edit() -> None:
    body = "- {name: a, image: &web nginx:1}\n- {name: b, image: *web}\n"
    assert spliced(body, to(NEW)) == body.replace("nginx:1", NEW)


@pytest.mark.parametrize(
    ("wanted", "a", "b"),
    [
        ({"a": "n:a", "b": "n:b"}, "&web n:a", "n:b"),
        ({"a": "n:a"}, "&web n:a", "nginx:1"),
        ({"b": "n:b"}, "&web nginx:1", "n:b"),
    ],
)
def test_an_alias_gets_its_own_value_where_it_must_differ(wanted: dict[str, str], a: str, b: str) -> None:
    body = "- name: a\n  image: {}\n- name: b\n  image: {} # c\n"
    assert spliced(body.format("&web nginx:1", "*web"), by_container(**wanted)) == body.format(a, b)


def test_an_alias_to_something_that_is_no_image_becomes_a_value() -> None:
    body = "- name: a\n  env: [{name: V, value: &v nginx:1}]\n  image: *v\n"
    assert spliced(body, to(NEW)) == body.replace("image: *v", f"image: {NEW}")


def test_an_anchor_that_something_else_uses_is_refused_with_its_place() -> None:
    body = "- name: a\n  image: &v nginx:1\n  env: [{name: V, value: *v}]\n"
    with pytest.raises(RefusedError, match=r"k8s/shop\.yaml:10: .*cannot be replaced alone"):
        spliced(body, to(NEW))


def test_a_merge_that_shares_an_image_never_gives_one_image_to_both() -> None:
    shared = "- &base {name: a, image: x}\n- <<: *base\n  name: b\n"
    assert spliced(shared, to(NEW)) == shared.replace("image: x", f"image: {NEW}")
    with pytest.raises(RefusedError, match=r"k8s/shop\.yaml:9: container b: .*n:a and n:b"):
        spliced(shared, by_container(a="n:a", b="n:b"))
    own = shared + "  image: y\n"
    assert spliced(own, by_container(a="n:a", b="n:b")) == own.replace("image: x", "image: n:a").replace("y\n", "n:b\n")


def test_of_two_image_keys_the_one_that_counts_is_spliced() -> None:
    assert spliced("- image: x\n  name: a\n  image: y\n", to(NEW)) == f"- image: x\n  name: a\n  image: {NEW}\n"


def test_a_block_scalar_that_holds_a_manifest_is_not_touched() -> None:
    body = "- name: a\n  image: x\n  args:\n  - |\n    image: x\n    containers: [{image: x}]\n"
    assert spliced(body, to(NEW)) == body.replace("image: x", f"image: {NEW}", 1)


def test_none_leaves_the_file_as_it_is() -> None:
    data = b"\xef\xbb\xbf" + (HEAD + indented("- image: >\n   x\n")).encode()
    assert splice(data, "f.yaml", lambda _: None) is data


TEMPLATE = {"spec": {"initContainers": [{"name": "i", "image": "i:1"}], "containers": [{"name": "c", "image": "c:1"}]}}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Pod", TEMPLATE["spec"]),
        ("CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}),
        *[
            (kind, {"template": TEMPLATE})
            for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
        ],
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_images_are_found_in_every_pod_template_also_inside_a_list(kind: str, spec: object, listed: bool) -> None:
    thing: dict[str, object] = {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": {"name": "n"}, "spec": spec}
    if listed:
        thing = {"apiVersion": "v1", "kind": "List", "items": [{**thing, "kind": "Service", "spec": None}, thing]}
    for data in (manifest_objects.dump([thing]).encode(), json.dumps(thing, indent=1).encode()):
        found = images(data, "f.yaml")
        part = 1 if listed else -1
        assert [(f.ref.init, f.ref.name, f.image, f.part) for f in found] == [
            (True, "i", "i:1", part),
            (False, "c", "c:1", part),
        ]
        assert all(f"{f.ref.name}:1" in data.decode().splitlines()[f.line - 1] for f in found)
        after = splice(data, "f.yaml", to(NEW))
        assert after.replace(NEW.encode(), b"X") == data.replace(b"i:1", b"X").replace(b"c:1", b"X")


SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2} # hunter2\n"
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c} # keep\n"


def no_secrets(document: manifest_objects.Document) -> bool:
    return document.object["kind"] != "Secret"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SECRET, ""),
        (OTHER, OTHER),
        (f"---\n{SECRET}---\n# x\n{OTHER}", f"---\n# x\n{OTHER}"),
        (f"{OTHER}--- # about\n{SECRET}", OTHER),
        (f"{OTHER}---\n{SECRET}---\n{OTHER.replace('c}', 'd}')}", f"{OTHER}---\n{OTHER.replace('c}', 'd}')}"),
    ],
)
def test_documents_are_left_out_and_the_others_stay_byte_for_byte(before: str, after: str) -> None:
    for ends, encoding in (("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\n", "utf-16")):
        data = before.replace("\n", ends).encode(encoding)
        assert keep_documents(data, "f.yaml", no_secrets) == after.replace("\n", ends).encode(encoding)


def test_an_object_of_a_json_stream_is_left_out() -> None:
    one, two = (json.dumps(manifest_objects.read(t.encode(), "f")[0].object) for t in (SECRET, OTHER))
    assert keep_documents(f"{one}\n{two}\n".encode(), "f", no_secrets) == f"\n{two}\n".encode()
    assert keep_documents(f"{two}{one}".encode(), "f", no_secrets) == two.encode()


@pytest.mark.parametrize("as_json", [False, True])
def test_an_item_of_a_list_is_left_out(as_json: bool) -> None:
    things = [manifest_objects.read(t.encode(), "f")[0].object for t in (SECRET, OTHER)]
    whole = {"apiVersion": "v1", "kind": "List", "items": things}
    data = (json.dumps(whole) if as_json else manifest_objects.dump([whole])).encode()
    after = keep_documents(data, "f", no_secrets)
    assert b"hunter2" not in after
    assert [d.object for d in manifest_objects.read(after, "f")] == things[1:]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text("{}[]&*!|>'\"%@`,:?#- \n\t$<x~.é", max_size=20), st.sampled_from(["image: ", "image:\n  ", "- ", ""]))
def test_whatever_stands_there_is_replaced_exactly_or_refused(text: str, field: str) -> None:
    data = (HEAD + indented("- name: a\n  " + field + text + "\n- image: b\n")).encode()
    for act in (
        lambda: splice(data, "f.yaml", to(NEW)),
        lambda: find(data, "f.yaml"),
        lambda: substitute(data, "f.yaml", {"x": "1"}),
        lambda: keep_documents(data, "f.yaml", lambda d: False),
    ):
        try:
            act()
        except RefusedError as error:
            said = str(error)
            assert "f.yaml:" in said


PIECES = st.lists(
    st.sampled_from(
        [
            *(f[0].replace("OLD", "shop/user:prod") for f in FORMS if "&" not in f[0]),
            "- name: n\n",
            "# comment\n",
            "- name: k\n  image: x\n  env:\n  - {name: A, value: 'image: x'}\n",
        ]
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(PIECES, st.text(max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_any_mix_of_containers_and_any_new_text_changes_images_only(parts: list[str], new: str, ends: str) -> None:
    new = new.encode("utf-8", "ignore").decode()
    data = (HEAD + indented("".join(parts))).replace("\n", ends).encode()
    if not images(data, "f"):
        return
    after = splice(data, "f", to(new))
    assert {i.image for i in images(after, "f")} == {new}
    assert splice(after, "f", to(new)) == after


def corpus() -> Iterator[tuple[str, bytes]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.suffix in (".yaml", ".yml", ".json") and path.is_file():
            yield str(path.relative_to(CORPUS)), path.read_bytes()


@needs_corpus
def test_real_files_change_in_their_image_scalars_only() -> None:
    edited = 0
    for file, data in corpus():
        try:
            found = images(data, file)
        except RefusedError:
            continue
        if not found:
            continue
        after = splice(data, file, to(NEW))
        assert splice(after, file, to(NEW)) == after, file
        old_lines, new_lines = data.splitlines(keepends=True), after.splitlines(keepends=True)
        assert len(old_lines) == len(new_lines), file
        changed = {n for n, (a, b) in enumerate(zip(old_lines, new_lines, strict=True), 1) if a != b}
        assert changed == {f.line for f in found}, file
        for n in changed:
            old = next(f.image for f in found if f.line == n)
            assert new_lines[n - 1].replace(NEW.encode(), old.encode()) == old_lines[n - 1], file
        edited += len(found)
    assert edited > 600


@needs_corpus
def test_real_files_lose_their_secrets_and_nothing_else() -> None:
    for file, data in corpus():
        try:
            documents = manifest_objects.read(data, file)
        except RefusedError:
            continue
        if not all(map(no_secrets, documents)):
            left = manifest_objects.read(keep_documents(data, file, no_secrets), file)
            assert same([d.object for d in left], [d.object for d in documents if no_secrets(d)]), file


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed: no oracle")
def test_kubectl_reads_back_the_new_images() -> None:
    body = "".join(f[0].replace("OLD", "o:1") for f in FORMS if "&" not in f[0])
    after = splice((HEAD + indented(body)).replace("\n", "\r\n").encode(), "f.yaml", to(NEW))
    command = ("kubectl", "annotate", "--local", "-f", "-", "-o", "json", "oracle=1")
    done = subprocess.run(command, input=after, capture_output=True, check=True)
    containers = json.loads(done.stdout)["spec"]["template"]["spec"]["containers"]
    assert {c["image"] for c in containers} == {NEW}


def test_large_and_hostile_files_take_no_long_time() -> None:
    many = "".join(f"- name: c{i}\n  image: &a{i} i:{i}\n" for i in range(1000))
    assert spliced(many, to(NEW)).count(NEW) == 1000
    with pytest.raises(RefusedError):
        images(b"- " * 100_000 + b"{{", "f")
