import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollback_lib.core.images.reference import ImageReference, digest_of, is_registry_tag, parse

A = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest", "repository"),
    [
        ("sanjodb/x", "docker.io/sanjodb/x", "", "", "sanjodb/x"),
        ("zipkin", "docker.io/library/zipkin", "", "", "zipkin"),
        ("index.docker.io/x:1", "docker.io/library/x", "1", "", "index.docker.io/x"),
        ("docker.io/sanjodb/x:prod", "docker.io/sanjodb/x", "prod", "", "docker.io/sanjodb/x"),
        ("localhost/x", "localhost/x", "", "", "localhost/x"),
        (f"127.0.0.1:15000/a/b:1@{A}", "127.0.0.1:15000/a/b", "1", A, "127.0.0.1:15000/a/b"),
        (f"[::1]:5000/x@{A}", "[::1]:5000/x", "", A, "[::1]:5000/x"),
        ("gcr.io/a/b/c:v1.0", "gcr.io/a/b/c", "v1.0", "", "gcr.io/a/b/c"),
    ],
)
def test_the_parts_that_are_left_out_follow_docker(
    text: str, name: str, tag: str, digest: str, repository: str
) -> None:
    found = parse(text)
    assert (found.name, found.tag, found.digest, found.repository) == (name, tag, digest, repository)


def test_the_registry_is_asked_for_the_digest_before_the_tag_and_for_latest_where_neither_is_written() -> None:
    assert parse(f"a:1@{A}").target == A
    assert parse("a:1").target == "1"
    assert parse("a").target == "latest"
    assert parse("sanjodb/a:1").pinned(A) == f"sanjodb/a@{A}"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "BUILD_TAG",
            "BUILDTAG",
            "REGISTRY/x:1",
            "Foo/bar",
            "",
            " ",
            "a b",
            "a:1\n",
            "a:",
            "a:1:2",
            "a@b",
            "é",
            "a..b",
            "-",
        ),
        *("${IMAGE}", "$NAME", "{{ .Values.image }}", "a/$x:1", "x@md5:" + "a" * 32, "x@sha256:" + "A" * 64, "a" * 300),
        *("a" * 64, "https://hub/x", "/x", "x/", "a//b", "@" + A, ":1"),
    ],
)
def test_what_is_no_image_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="image reference"):
        parse(text)


@given(st.text() | st.text(alphabet=string.ascii_letters + string.digits + "./:@-_[]"))
@example("[" * 50)
@example("a:" * 90)
def test_any_text_is_read_or_refused_and_never_crashes(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        pass
    else:
        assert isinstance(found, ImageReference)
        again = parse(found.pinned(A))
        assert (again.name, again.digest) == (found.name, A)
    assert isinstance(is_registry_tag(text), bool)
    assert isinstance(digest_of(text), str)


@pytest.mark.parametrize(
    ("tag", "legal"),
    [
        *[("v1.4.0", True), ("v1.4.0+a3", False), ("release/1.4.0", False), ("v1.4.0-año", False), ("", False)],
        *[("-x", False), (".x", False), ("_x", True), ("a" * 128, True), ("a" * 129, False), ("v1\n", False)],
    ],
)
def test_a_git_tag_is_not_always_a_registry_tag(tag: str, legal: bool) -> None:
    assert is_registry_tag(tag) is legal


def test_a_digest_is_found_in_every_form_that_runtimes_write() -> None:
    for text in (f"docker.io/x@{A}", f"docker-pullable://x@{A}", f"docker://{A}", A):
        assert digest_of(text) == A
    for text in ("", "x:1", "docker://abc", "x@sha256:12"):
        assert digest_of(text) == ""
