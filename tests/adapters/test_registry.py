import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollback_lib.adapters.http import is_here
from rollback_lib.adapters.registry import RegistryClient
from rollback_lib.core.errors import UsageError
from rollback_lib.core.images.registry_answers import Answer, Reply, read_tags
from tests.fake_registry import FakeRegistry, closed_port, digest_of
from tests.tls_front import TlsFront

REPO = "sanjodb/x"
BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


def client(fake: FakeRegistry, tmp_path: Path, environ: dict[str, str] | None = None, **more: Any) -> RegistryClient:
    config = more.pop("docker_config", tmp_path / "config.json")
    return RegistryClient({"docker.io": fake.url}, config, environ or {}, sleep=lambda s: None, **more)


def ask(fake: FakeRegistry, tmp_path: Path, reference: str = f"{REPO}:v1", **more: Any) -> Answer:
    look = {key: more.pop(key) for key in ("platforms", "configs") if key in more}
    with client(fake, tmp_path, **more) as registry:
        return registry.look_up([reference], **look)[reference]


def test_an_image_is_found_with_heads_alone(fake: FakeRegistry, tmp_path: Path) -> None:
    digest = fake.push(REPO, "v1")
    answer = ask(fake, tmp_path)
    assert (answer.state, answer.digest, answer.digests) == ("present", digest, (digest,))
    assert (fake.count("GET"), [a.target for a in fake.asked]) == (0, ["v1", digest])


def test_an_index_is_present_when_the_manifest_of_each_platform_answers(fake: FakeRegistry, tmp_path: Path) -> None:
    digest = fake.push(REPO, "v1", BOTH)
    answer = ask(fake, tmp_path, platforms=BOTH)
    assert (answer.state, answer.digest, answer.platforms) == ("present", digest, BOTH)
    assert len(answer.digests) == 3  # the index and two manifests, not the attestation
    assert fake.count("GET") == 1


def test_an_index_with_one_platform_of_the_nodes_is_there_and_says_which_are_missing(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    fake.push(REPO, "v1", ("linux/amd64",))
    answer = ask(fake, tmp_path, platforms=BOTH)
    assert (answer.state, answer.platforms, list(answer.missing)) == ("present", ("linux/amd64",), ["linux/arm64"])
    assert "nothing for linux/arm64" in answer.text
    answer = ask(fake, tmp_path, platforms=("linux/arm64", "windows/amd64"))
    assert (answer.state, answer.platforms) == ("absent", ())


def test_an_index_of_which_the_only_platform_cannot_be_looked_at_is_unknown(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1", ("linux/amd64",))
    child = json.loads(fake.stored[REPO, "v1"][1])["manifests"][0]["digest"]
    fake.mood(503, target=child)
    answer = ask(fake, tmp_path, platforms=BOTH)
    assert (answer.state, list(answer.untold), list(answer.missing)) == ("unknown", ["linux/amd64"], ["linux/arm64"])
    assert answer.on(("linux/arm64",)).state == "absent"


def test_a_plain_image_says_its_platform_for_one_get_of_its_manifest_and_one_of_its_configuration(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    fake.push(REPO, "v1", plain="linux/arm64")
    answer = ask(fake, tmp_path, platforms=BOTH, configs=True)
    assert (answer.state, answer.platforms, list(answer.missing)) == ("present", ("linux/arm64",), ["linux/amd64"])
    gets = [a.path for a in fake.asked if a.method == "GET"]
    assert (fake.count("GET"), len(gets)) == (1, 2), gets
    answer = ask(fake, tmp_path, configs=True)
    assert (answer.state, "the image is for linux/arm64, not for linux/amd64" in answer.text) == ("absent", True)


@pytest.mark.parametrize("wrong", ["gone", "other bytes", "no platform"])
def test_a_configuration_that_does_not_tell_proves_nothing_against_the_image(
    fake: FakeRegistry, tmp_path: Path, wrong: str
) -> None:
    fake.push(REPO, "v1", plain="" if wrong == "no platform" else "linux/arm64")
    if wrong == "gone":
        fake.blobs.clear()
    elif wrong == "other bytes":
        fake.blobs = dict.fromkeys(fake.blobs, b'{"os": "linux", "architecture": "arm64"}')
    answer = ask(fake, tmp_path, configs=True)
    assert (answer.state, answer.platforms, answer.missing) == ("present", (), {})


def test_an_index_whose_manifest_was_deleted_proves_nothing(fake: FakeRegistry, tmp_path: Path) -> None:
    digest = fake.push(REPO, "v1", ("linux/amd64",))
    kept = {k: v for k, v in fake.stored.items() if k[1] in ("v1", digest)}
    fake.stored = kept
    answer = ask(fake, tmp_path)
    assert (answer.state, list(answer.missing), answer.lost) == ("absent", ["linux/amd64"], ("linux/amd64",))


def test_configuration_digests_are_read_when_asked_for(fake: FakeRegistry, tmp_path: Path) -> None:
    plain = ask(fake, tmp_path, f"{REPO}@{fake.push(REPO, 'v1')}", configs=True)
    assert plain.digests[1:] == (digest_of(f"{REPO}v1".encode()),)
    fake.push(REPO, "v2", ("linux/amd64",))
    assert len(ask(fake, tmp_path, f"{REPO}:v2", configs=True).digests) == 3


def test_without_platforms_only_the_digest_is_asked_for(fake: FakeRegistry, tmp_path: Path) -> None:
    digest = fake.push(REPO, "prod", BOTH)
    answer = ask(fake, tmp_path, f"{REPO}:prod", platforms=())
    assert (answer.state, answer.digest, fake.count("GET")) == ("present", digest, 0)


def test_each_reference_is_asked_once(fake: FakeRegistry, tmp_path: Path) -> None:
    references = []
    for n in range(10):
        fake.push(f"sanjodb/s{n}", "v1", ("linux/amd64",))
        references += [f"sanjodb/s{n}:v1"] * 3
    with client(fake, tmp_path) as registry:
        first = registry.look_up(references)
        assert registry.look_up(references) == first
    assert list(first) == references[::3]
    assert {a.state for a in first.values()} == {"present"}
    assert len({(a.method, a.path) for a in fake.asked}) == len(fake.asked)
    assert fake.count("GET") == 10


def test_what_is_no_reference_is_answered_and_not_asked(fake: FakeRegistry, tmp_path: Path) -> None:
    assert ask(fake, tmp_path, "BUILD_TAG").state == "absent"
    assert fake.asked == []


# Moods


def test_absent_only_when_get_agrees(fake: FakeRegistry, tmp_path: Path) -> None:
    assert ask(fake, tmp_path).state == "absent"
    assert [a.method for a in fake.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize("status", [404, 405])
def test_a_registry_that_does_not_serve_head(fake: FakeRegistry, tmp_path: Path, status: int) -> None:
    digest = fake.push(REPO, "v1")
    fake.mood(status, "HEAD")
    answer = ask(fake, tmp_path)
    assert (answer.state, answer.digest) == ("present", digest)


@pytest.mark.parametrize("platforms", [(), ("linux/amd64",)])
def test_a_registry_without_a_digest_header(fake: FakeRegistry, tmp_path: Path, platforms: tuple[str, ...]) -> None:
    digest = fake.push(REPO, "v1", platforms)

    def mood(handler: Any, repository: str, target: str) -> bool:
        kind, body = fake.stored[(repository, target)]
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        return True

    fake.moods.append(mood)
    answer = ask(fake, tmp_path)
    assert (answer.state, answer.digest) == ("present", digest)


@pytest.mark.parametrize("platforms", [(), ("linux/amd64",)])
def test_a_wrong_digest_header_proves_nothing(fake: FakeRegistry, tmp_path: Path, platforms: tuple[str, ...]) -> None:
    digest, wrong = fake.push(REPO, "v1", platforms), "sha256:" + "0" * 64

    def mood(handler: Any, repository: str, target: str) -> bool:
        if target != "v1":
            return False
        kind, body = fake.stored[(repository, target)]
        handler.answer(200, body, {"Content-Type": kind, "Docker-Content-Digest": wrong})
        return True

    fake.moods.append(mood)
    answer = ask(fake, tmp_path)
    assert answer.state == "unknown"
    assert digest in answer.text
    assert wrong in answer.text


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_trouble_is_not_absence(fake: FakeRegistry, tmp_path: Path, status: int) -> None:
    fake.push(REPO, "v1")
    fake.mood(status)
    answer = ask(fake, tmp_path)
    assert answer.state == "unknown"
    assert f"{fake.url}/v2/{REPO}/manifests/v1" in answer.text
    assert str(status) in answer.text


def test_a_short_trouble_is_tried_again(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1")
    left = [503, 502]

    def mood(handler: Any, repository: str, target: str) -> bool:
        if left:
            handler.answer(left.pop(), b"", {"Retry-After": "1"})
            return True
        return False

    fake.moods.append(mood)
    assert ask(fake, tmp_path).state == "present"


def test_a_connection_that_breaks_is_tried_again(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1")
    left = [1]

    def mood(handler: Any, repository: str, target: str) -> bool:
        handler.close_connection = bool(left)
        return bool(left and left.pop())

    fake.moods.append(mood)
    assert ask(fake, tmp_path).state == "present"


def test_a_spent_quota_is_said_at_once_and_the_digests_that_head_told_are_kept(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    digests = {f"sanjodb/s{n}:v1": fake.push(f"sanjodb/s{n}", "v1", ("linux/amd64",)) for n in range(10)}
    fake.mood(429, "GET", after=5, Retry_After="900")
    started = time.monotonic()
    with client(fake, tmp_path) as registry:
        found = registry.look_up(list(digests))
    assert time.monotonic() - started < 5
    states = [a.state for a in found.values()]
    assert (states.count("present"), states.count("unknown")) == (5, 5)
    assert {r: a.digest for r, a in found.items()} == digests
    assert all("free again at" in a.text for a in found.values() if a.state == "unknown")


def test_a_quota_that_is_spent_from_the_start_is_not_asked_on(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.mood(429, Retry_After="900")
    with client(fake, tmp_path) as registry:
        assert {a.state for a in registry.look_up([f"a/s{n}:v1" for n in range(40)]).values()} == {"unknown"}
    assert len(fake.asked) <= 8


def test_a_registry_that_hangs_is_given_up_by_the_deadline(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.hang()
    started = time.monotonic()
    with client(fake, tmp_path, deadline=0.4) as registry:
        found = registry.look_up([f"a/s{n}:v1" for n in range(20)])
    assert time.monotonic() - started < 2
    assert {a.state for a in found.values()} == {"unknown"}
    assert "no answer" in found["a/s0:v1"].text


def test_a_closed_port_is_no_answer(tmp_path: Path) -> None:
    with RegistryClient({"docker.io": f"http://127.0.0.1:{closed_port()}"}, tmp_path / "no", {}) as registry:
        answer = registry.look_up(["a/b:1"])["a/b:1"]
    assert (answer.state, "refused" in answer.text) == ("unknown", True)


def test_a_loopback_registry_in_the_reference_itself_is_asked_over_plain_http(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    fake.push("a/b", "1")
    assert ask(fake, tmp_path, f"{fake.host}/a/b:1").state == "present"


@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 405, 406, 410, 451, 500, 501, 503])
@pytest.mark.parametrize("platforms", [(), BOTH], ids=["image", "index"])
def test_whatever_head_says_get_decides_also_for_the_manifests_of_an_index(
    fake: FakeRegistry, tmp_path: Path, status: int, platforms: tuple[str, ...]
) -> None:
    digest = fake.push(REPO, "v1", platforms)
    fake.mood(status, "HEAD")
    answer = ask(fake, tmp_path, platforms=platforms or ("linux/amd64",))
    assert (answer.state, answer.digest, answer.platforms) == ("present", digest, platforms)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {"WWW_Authenticate": 'Bearer realm="x",error="insufficient_scope"'}),  # Docker Hub, no such repository
        (401, {}),
        (403, {}),  # Artifactory's virtual repositories, no such tag
        (403, {"Content_Type": "text/html"}),
    ],
)
def test_no_with_a_valid_token_means_both_readings_and_names_the_url_and_who_asked(
    fake: FakeRegistry, tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    fake.auth, fake.users = "bearer", {"bob": "pw"}
    if "WWW_Authenticate" in headers:
        headers = {"WWW_Authenticate": f'Bearer realm="{fake.url}/token",error="insufficient_scope"'}
    fake.mood(status, **headers)
    environ = {"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "pw"}
    answer = ask(fake, tmp_path, "sanjobd/x:v1", environ=environ)
    assert answer.state == "unknown"
    assert "no such repository, or no right to see it" in answer.text
    assert f"{fake.url}/v2/sanjobd/x/manifests/v1" in answer.text
    assert "as user 'bob'" in answer.text


def test_ten_services_in_two_releases_cost_one_get_an_index_and_nothing_is_asked_twice(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    for tag in ("v1", "v2"):
        for n in range(10):
            fake.push(f"sanjodb/s{n}", tag, BOTH)
    with client(fake, tmp_path) as registry:
        for _ in range(2):
            for tag in ("v1", "v2"):
                registry.look_up([f"sanjodb/s{n}:{tag}" for n in range(10)], platforms=BOTH)
    assert fake.count("GET") == 20
    assert len({(a.method, a.path) for a in fake.asked}) == len(fake.asked)


# Who we are


def test_basic_credentials_from_the_environment_arrive_byte_for_byte(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1")
    fake.auth, fake.users = "basic", {"robot$ci+x": "p:a$$ä "}
    environ = {"ROLLBACK_REGISTRY_USER": "robot$ci+x", "ROLLBACK_REGISTRY_PASSWORD": "p:a$$ä "}
    assert ask(fake, tmp_path, environ=environ).state == "present"


@pytest.mark.parametrize("user", ["robot$ci+x", "robot$$ci", "team%40shop", "añó", "a b"])
@pytest.mark.parametrize("way", ["environment", "auths", "helper"])
def test_a_user_arrives_byte_for_byte_whichever_way_it_comes(
    fake: FakeRegistry, tmp_path: Path, user: str, way: str
) -> None:
    password = "p@ss/w:rd%$HOME"
    fake.push(REPO, "v1")
    fake.auth, fake.users = "basic", {user: password}
    environ: dict[str, str] = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    config: dict[str, Any] = {}
    if way == "environment":
        environ |= {"ROLLBACK_REGISTRY_USER": user, "ROLLBACK_REGISTRY_PASSWORD": password}
    elif way == "auths":
        config = {"auths": {fake.host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}
    else:
        config = {"credHelpers": {fake.host: "own"}, "credsStore": "not-here"}
        (tmp_path / "said").write_text(json.dumps({"Username": user, "Secret": password}))
        (tmp_path / "docker-credential-own").write_text(f"#!/bin/sh\ncat '{tmp_path}/said'\n")
        (tmp_path / "docker-credential-own").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(config))
    answer = ask(fake, tmp_path, environ=environ)
    assert answer.state == "present", answer.text
    assert password not in repr(answer)


def test_the_teams_password_is_not_sent_to_other_registries(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.auth = "basic"
    environ = {"ROLLBACK_REGISTRY_USER": "u", "ROLLBACK_REGISTRY_PASSWORD": "secret"}
    answer = ask(fake, tmp_path, environ=environ, own_hosts=("registry.example",))
    assert answer.state == "unknown"
    assert "anonymously" in answer.text
    assert not any("authorization" in a.headers for a in fake.asked)


def test_a_token_is_fetched_once_a_repository(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1", BOTH)
    fake.auth = "bearer"
    assert ask(fake, tmp_path).state == "present"
    assert fake.tokens == 1


@pytest.mark.parametrize("key", ["auth", "identitytoken"])
def test_credentials_from_dockers_configuration(fake: FakeRegistry, tmp_path: Path, key: str) -> None:
    fake.push(REPO, "v1")
    fake.auth, fake.users = "bearer", {"bob": "pw"}
    value = base64.b64encode(b"bob:pw").decode() if key == "auth" else "identity-token"
    (tmp_path / "config.json").write_text(json.dumps({"auths": {fake.host: {key: value}}}))
    assert ask(fake, tmp_path).state == "present"


def test_wrong_credentials_are_no_answer_and_stay_out_of_the_text(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.auth, fake.users = "bearer", {"bob": "right"}
    answer = ask(fake, tmp_path, environ={"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "wr0ng"})
    assert answer.state == "unknown"
    assert "as user 'bob'" in answer.text
    assert "wr0ng" not in answer.text


@pytest.mark.parametrize("realm", ["http://localhost:1/token", "http://registry.example/token", "nonsense", ""])
def test_a_token_realm_that_is_not_https_nor_here_gets_nothing(fake: FakeRegistry, tmp_path: Path, realm: str) -> None:
    fake.auth, fake.realm = "bearer", realm or "file:///etc/passwd"
    answer = ask(fake, tmp_path, environ={"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "pw"})
    assert (answer.state, "not over https" in answer.text) == ("unknown", True)


def test_credentials_never_follow_a_redirect_to_another_host(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.auth, fake.users = "basic", {"bob": "pw"}
    with FakeRegistry() as other:
        digest = other.push(REPO, "v1")
        for target in ("v1", digest):
            fake.mood(307, target=target, Location=f"{other.url}/v2/{REPO}/manifests/{target}")
        answer = ask(fake, tmp_path, environ={"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "pw"})
        assert (answer.state, answer.digest) == ("present", digest)
        assert other.asked
        assert not any("authorization" in a.headers for a in other.asked)


@pytest.mark.parametrize("status", [302, 303, 307, 308])
@pytest.mark.parametrize("platforms", [(), BOTH], ids=["image", "index"])
def test_an_address_that_is_signed_for_get_is_asked_with_get_and_without_credentials(
    fake: FakeRegistry, tmp_path: Path, status: int, platforms: tuple[str, ...]
) -> None:
    fake.auth, fake.users = "basic", {"bob": "pw"}
    with FakeRegistry() as storage:
        digest = storage.push(REPO, "v1", platforms)
        fake.keep_in(storage, status)
        environ = {"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "pw"}
        answer = ask(fake, tmp_path, environ=environ, platforms=platforms or ("linux/amd64",))
        assert (answer.state, answer.digest, answer.platforms) == ("present", digest, platforms)
        assert not any("authorization" in a.headers for a in storage.asked)


def test_what_storage_does_not_have_is_not_known_to_be_absent(fake: FakeRegistry, tmp_path: Path) -> None:
    with FakeRegistry() as storage:
        fake.keep_in(storage, 307)
        answer = ask(fake, tmp_path)
    assert (answer.state, "no such repository, or no right to see it" in answer.text) == ("unknown", True)


def test_credentials_do_not_come_back_once_another_host_was_between(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.auth, fake.users = "basic", {"bob": "pw"}
    with FakeRegistry() as other:
        fake.mood(307, target="v1", Location=f"{other.url}/v2/{REPO}/manifests/v1")
        other.mood(307, Location=f"{fake.url}/v2/{REPO}/manifests/stolen")
        ask(fake, tmp_path, environ={"ROLLBACK_REGISTRY_USER": "bob", "ROLLBACK_REGISTRY_PASSWORD": "pw"})
    back = [a for a in fake.asked if a.target == "stolen"]
    assert {a.method for a in back} == {"HEAD", "GET"}
    assert not any("authorization" in a.headers for a in back)


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.mood(302, Location="http://registry.example/v2/")
    assert "redirect" in ask(fake, tmp_path).text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_https_is_never_left_for_plain_http(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with FakeRegistry() as plain, TlsFront(fake.url, tmp_path) as front:
        plain.push(REPO, "v1")
        fake.mood(status, Location=f"{plain.url}/v2/{REPO}/manifests/v1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.authority))
        with RegistryClient({"docker.io": front.url}, tmp_path / "config.json", {}) as registry:
            answer = registry.look_up([f"{REPO}:v1"])[f"{REPO}:v1"]
        assert (answer.state, "a redirect that leads nowhere we may follow" in answer.text) == ("unknown", True)
        assert [a.method for a in fake.asked] == ["HEAD", "GET"]
        assert plain.asked == []


def test_netrc_stays_home(fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fake.push(REPO, "v1")
    ask(fake, tmp_path)
    assert not any("authorization" in a.headers for a in fake.asked)


def test_a_broken_helper_means_cannot_tell_not_anonymous(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1")
    fake.auth = "bearer"
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "not-here"}))
    answer = ask(fake, tmp_path)
    assert answer.state == "unknown"
    assert "docker-credential-not-here" in answer.text
    assert fake.tokens == 0


# Addresses


@pytest.mark.parametrize(
    ("url", "here"),
    [
        *[("http://127.0.0.1:5000", True), ("http://127.9.9.9", True), ("http://[::1]:5000", True)],
        *[("http://localhost", True), ("http://127.0.0.1.example", False), ("http://127.evil.0.1", False)],
        *[("http://10.0.0.1", False), ("http://localhost.example", False)],
    ],
)
def test_what_this_machine_is(url: str, here: bool) -> None:
    assert is_here(url) is here


def test_mirrors_that_are_wrong_are_all_refused_at_once() -> None:
    mirrors = {"a.example": "http://10.0.0.1:5000", "b.example": "https://u:p@b.example", "c.example": "c.example"}
    with pytest.raises(UsageError) as e:
        RegistryClient(mirrors, None, {})
    assert [p.key for p in e.value.problems] == [f"images.registries.{h}.url" for h in mirrors]


@pytest.mark.parametrize(("page", "questions"), [(1000, 1), (2, 2)])
def test_all_tags_of_a_repository_are_listed_page_by_page(
    fake: FakeRegistry, tmp_path: Path, page: int, questions: int
) -> None:
    fake.page = page
    for tag in ("v1", "v2", "v3"):
        fake.push(REPO, tag)
    with client(fake, tmp_path) as registry:
        assert registry.list_tags(REPO) == {"v1", "v2", "v3"}
    assert len(fake.asked) == questions


def test_tags_that_are_not_listed_or_not_to_their_end_are_not_known(
    fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(fake, tmp_path) as registry:
        assert registry.list_tags(REPO) is None  # 404
        for tag in ("v1", "v2", "v3"):
            fake.push(REPO, tag)
        monkeypatch.setattr("rollback_lib.adapters.registry_http.TAG_PAGES", 2)
        fake.page = 1
        assert registry.list_tags(REPO) is None
        fake.mood(403, target="list")
        assert registry.list_tags(REPO) is None


def test_tags_are_listed_with_the_right_to_pull(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.push(REPO, "v1")
    fake.auth = "bearer"
    with client(fake, tmp_path) as registry:
        assert registry.list_tags(REPO) == {"v1"}
        assert registry.look_up([f"{REPO}:v1"])[f"{REPO}:v1"].state == "present"
    assert fake.tokens == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"tags": [1]}', b'{"tags": {"v1": 1}}', b"\xff"])
def test_an_answer_that_is_no_list_of_tags_is_none(body: bytes) -> None:
    assert read_tags(Reply("GET", "https://r/v2/x/tags/list", "list", 200, body=body)) is None
    assert read_tags(Reply("GET", "https://r/v2/x/tags/list", "list", 200, body=b'{"tags": null}')) == []
