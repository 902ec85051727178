from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images.confirmation import Confirmation, Evidence, Past, Revision
from rollback_lib.core.images.ladder import (
    ContainerImage,
    ImageSettings,
    Running,
    Wanted,
    candidates,
    choose,
    is_own,
    is_placeholder,
    plain,
    same_image,
    to_ask,
)
from rollback_lib.core.images.nodes import PodNodes
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.images.rungs import RecordedContainer
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef

A, B, C, D = ("sha256:" + x * 64 for x in "abcd")
REPO = "sanjodb/user-service"
SHOP = ImageSettings(
    repository="sanjodb/{service}", mutable_tags=("latest", "prod", "dev", "stage"), reference_tag="latest"
)
SERVICE = ObjectRef("Deployment", "user-service")
PROD = Wanted("user-service", ContainerRef(SERVICE, "user-service"), f"{REPO}:prod")


def want(image: str, **more: Any) -> Wanted:
    return msgspec.structs.replace(PROD, image=image, **more)


def askable(wanted: Wanted, release: str) -> tuple[tuple[str, str], ...]:
    return tuple((c.rung, c.reference) for c in candidates(wanted, release, SHOP) if c.reference)


def present(reference: str, digest: str, *more: str) -> dict[str, Answer]:
    return {reference: Answer(reference, "present", digest, (digest, *more))}


def absent(*references: str) -> dict[str, Answer]:
    return {r: Answer(r, "absent", text=f"{r}: 404, not there") for r in references}


def unknown(reference: str, digest: str = "") -> dict[str, Answer]:
    return {reference: Answer(reference, "unknown", digest, (digest,) if digest else (), text=f"{reference}: 429")}


def took(
    wanted: Wanted, answers: dict[str, Answer], *running: Running, accept: str = "", **more: Any
) -> tuple[ContainerImage, tuple[str, ...]]:
    settings = msgspec.structs.replace(SHOP, **more)
    choice, refusals = choose(wanted, "v1.1.0", settings, answers, running, frozenset(accept.split()))
    assert choice is not None, refusals
    assert refusals == ()
    return choice.image, choice.warnings


def chosen(wanted: Wanted, answers: dict[str, Answer], *running: Running, **more: Any) -> ContainerImage:
    return took(wanted, answers, *running, **more)[0]


def refused(wanted: Wanted, answers: dict[str, Answer], *running: Running, accept: str = "", **more: Any) -> Refusal:
    settings = msgspec.structs.replace(SHOP, **more)
    choice, refusals = choose(wanted, "v1.1.0", settings, answers, running, frozenset(accept.split()))
    assert choice is None, choice
    assert len(refusals) == 1
    assert "user-service: " in refusals[0].text
    return refusals[0]


OLD = Running(f"docker.io/{REPO}@{C}", f"docker.io/{REPO}:prod", ready=True)
RELEASE, LATEST = f"{REPO}:v1.1.0", f"{REPO}:latest"


def test_the_release_tag_comes_first_and_is_pinned_readably() -> None:
    choice, warnings = took(PROD, present(RELEASE, A, B), OLD)
    assert (choice.rung, choice.to) == ("release-tag", f"{REPO}:v1.1.0@{A}")
    assert (choice.digest, choice.digests, choice.own, choice.manifest) == (A, (A, B), True, f"{REPO}:prod")
    assert warnings == ()


def test_the_manifest_comes_next_by_digest_or_by_a_tag_that_does_not_move() -> None:
    pinned = chosen(want(f"{REPO}:v9@{B}"), absent(RELEASE) | present(f"{REPO}@{B}", B))
    assert (pinned.rung, pinned.to) == ("manifest", f"{REPO}@{B}")
    tagged = chosen(want(f"{REPO}:build-7"), absent(RELEASE) | present(f"{REPO}:build-7", B))
    assert (tagged.rung, tagged.to) == ("manifest", f"{REPO}@{B}")
    assert [t.state for t in tagged.tried] == ["absent", "present"]


def test_a_manifest_that_names_another_digest_than_the_release_tag_is_said() -> None:
    _, warnings = took(want(f"{REPO}@{B}"), present(RELEASE, A))
    assert any(A in w and B in w for w in warnings)


def test_history_is_the_digest_of_older_pods_that_are_ready_and_says_that_it_proves_little() -> None:
    asked = f"{REPO}@{C}"
    choice, warnings = took(PROD, absent(RELEASE) | present(asked, C), OLD)
    assert (choice.rung, choice.to) == ("history", asked)
    assert any("nothing proves" in w for w in warnings)
    newest, dead = (msgspec.structs.replace(OLD, **change) for change in ({"newest": True}, {"ready": False}))
    assert refused(PROD, absent(RELEASE, LATEST), newest, dead).code == ""


def test_older_pods_that_run_different_images_prove_nothing() -> None:
    other = msgspec.structs.replace(OLD, image_id=f"x@{D}")
    refusal = refused(PROD, absent(RELEASE, LATEST), OLD, other)
    assert C in refusal.tried
    assert D in refusal.tried


def test_the_reference_tag_only_if_accepted_and_marked() -> None:
    answers = absent(RELEASE) | present(LATEST, D)
    assert refused(PROD, answers).code == "reference-image"
    choice, warnings = took(PROD, answers, accept="reference-image")
    assert (choice.rung, choice.to) == ("reference", f"{REPO}@{D}")
    assert any("last resort" in w for w in warnings)


def test_absent_everywhere_is_refused_without_a_code_and_names_all_that_was_tried() -> None:
    refusal = refused(PROD, absent(RELEASE, LATEST), accept="registry-unknown image-on-nodes-only reference-image")
    assert refusal.code == ""
    for part in ("container user-service of Deployment/user-service", RELEASE, LATEST, "history", "tag that moves"):
        assert part in str(refusal)


def test_a_release_that_is_no_registry_tag_is_said_and_never_asked() -> None:
    wanted = want(f"{REPO}:build-7")
    for release in ("v1.4.0+a3", "release/1.4.0", "v1.4.0-año"):
        assert [rung for rung, _ in askable(wanted, release)] == ["manifest", "reference"]
        choice, _ = choose(wanted, release, SHOP, present(f"{REPO}:build-7", B))
        assert choice is not None
        assert choice[0].tried[0].text == f"{release} cannot be a registry tag"
        assert choice[0].rung == "manifest"


def test_a_release_named_like_a_moving_tag_is_not_looked_up() -> None:
    assert askable(PROD, "prod") == (("reference", LATEST),)


# Cannot tell


def test_a_registry_that_cannot_tell_is_refused_with_its_code() -> None:
    refusal = refused(PROD, unknown(RELEASE) | unknown(LATEST))
    assert refusal.code == "registry-unknown"
    assert "429" in refusal.tried


def test_what_was_not_asked_counts_as_cannot_tell() -> None:
    assert refused(PROD, {}).code == "registry-unknown"


def test_a_digest_that_runs_makes_it_a_warning() -> None:
    runs = Running(f"docker.io/{REPO}@{A}", newest=True)
    choice, warnings = took(PROD, unknown(RELEASE, A), runs)
    assert (choice.rung, choice.to) == ("release-tag", f"{REPO}:v1.1.0@{A}")
    assert any("nodes have this digest" in w for w in warnings)
    pinned = chosen(want(f"{REPO}@{A}"), unknown(RELEASE) | unknown(f"{REPO}@{A}"), runs)
    assert (pinned.rung, pinned.to) == ("manifest", f"{REPO}@{A}")


def test_pods_that_were_pulled_by_the_release_tag_tell_its_digest() -> None:
    runs = Running(f"docker.io/{REPO}@{A}", f"docker.io/{RELEASE}", ready=True)
    choice = chosen(PROD, unknown(RELEASE), runs)
    assert (choice.rung, choice.to) == ("release-tag", f"{REPO}@{A}")  # the tag was not seen to resolve now


def test_pull_policy_always_does_not_start_from_the_node() -> None:
    runs = Running(f"docker.io/{REPO}@{A}")
    always = want(PROD.image, pull_policy="Always")
    assert refused(always, unknown(RELEASE, A), runs).code == "registry-unknown"


@pytest.mark.parametrize("history", [unknown(f"{REPO}@{C}"), present(f"{REPO}@{C}", C)])
def test_history_does_not_stand_in_for_a_release_tag_that_was_not_looked_at(history: dict[str, Answer]) -> None:
    """The older pods may be of any release: a timeout must not choose another release than the one asked for."""
    answers = unknown(RELEASE) | history
    assert refused(PROD, answers, OLD).code == "registry-unknown"
    choice = chosen(PROD, answers, OLD, accept="registry-unknown")
    assert (choice.rung, choice.to) == ("history", f"{REPO}@{C}")


def test_accepted_and_unknown_takes_a_known_digest_before_a_tag_and_says_what_is_not_proven() -> None:
    accept = "registry-unknown"
    assert chosen(want(f"{REPO}@{B}"), unknown(RELEASE) | unknown(f"{REPO}@{B}"), accept=accept).to == f"{REPO}@{B}"
    assert chosen(PROD, unknown(RELEASE, A) | present(f"{REPO}@{C}", C), OLD, accept=accept).digest == A
    bare, warnings = took(PROD, unknown(RELEASE) | present(LATEST, D), accept=f"{accept} reference-image")
    assert (bare.to, bare.digest, bare.digests) == (RELEASE, "", ())
    assert any("no digest" in w for w in warnings)


def test_a_moving_tag_is_never_written_even_if_accepted() -> None:
    answers = absent(RELEASE) | unknown(LATEST)
    assert refused(PROD, answers, accept="registry-unknown reference-image").code == ""


def test_a_proven_manifest_does_when_the_release_tag_could_not_be_looked_at() -> None:
    choice, warnings = took(want(f"{REPO}:build-7"), unknown(RELEASE) | present(f"{REPO}:build-7", B))
    assert choice.rung == "manifest"
    assert any("could not be looked at" in w for w in warnings)


# Gone from the registry, still on nodes


def test_only_on_nodes_is_refused_with_its_code_and_used_if_accepted() -> None:
    wanted, runs = want(f"{REPO}@{A}"), Running(f"docker.io/{REPO}@{A}")
    answers = absent(RELEASE, f"{REPO}@{A}", LATEST)
    assert refused(wanted, answers, runs).code == "image-on-nodes-only"
    choice, warnings = took(wanted, answers, runs, accept="image-on-nodes-only:user-service")
    assert (choice.rung, choice.to, choice.digests) == ("manifest", f"{REPO}@{A}", (A,))
    assert any("only on nodes" in w for w in warnings)
    always = want(wanted.image, pull_policy="Always")
    assert refused(always, answers, runs, accept="image-on-nodes-only").code == ""


def for_nodes(*platforms: str, **more: Any) -> Wanted:
    return want(PROD.image, nodes=PodNodes(platforms=platforms, known=True, **more))


def index(*has: str, lost: tuple[str, ...] = (), lacks: tuple[str, ...] = ()) -> dict[str, Answer]:
    missing = {p: f"nothing for {p}" for p in (*lost, *lacks)}
    return {RELEASE: Answer(RELEASE, "present", A, (A, B), platforms=has, missing=missing, lost=lost)}


def test_an_index_without_the_platform_of_the_nodes_is_not_acceptable() -> None:
    runs = Running(f"docker.io/{REPO}@{A}")
    wanted, answers = for_nodes("linux/arm64"), index("linux/amd64", lacks=("linux/arm64",)) | absent(LATEST)
    refusal = refused(wanted, answers, runs, accept="image-on-nodes-only registry-unknown")
    assert refusal.code == ""
    assert "linux/arm64" in refusal.tried
    assert "platform of the nodes" in refusal.fix
    assert "may not be listed" not in refusal.fix


def test_one_platform_that_the_pods_can_use_is_enough_and_the_others_are_said() -> None:
    answers = index("linux/amd64", lacks=("linux/arm64", "windows/amd64"))
    choice, warnings = took(for_nodes("linux/amd64", "linux/arm64"), answers)
    assert choice.to == f"{RELEASE}@{A}"
    assert [("linux/arm64" in w, "windows" in w) for w in warnings] == [(True, False)]
    assert took(for_nodes("linux/amd64"), answers)[1] == ()
    assert took(for_nodes(), index(lacks=("linux/arm64",)))[0].to == f"{RELEASE}@{A}", "no node is no reason to refuse"


def test_where_nodes_may_not_be_listed_they_are_taken_for_linux_amd64_and_a_refusal_says_so() -> None:
    assert took(PROD, index("linux/amd64", lacks=("linux/arm64",)))[1] == ()
    refusal = refused(PROD, index("linux/arm64", lacks=("linux/amd64",)) | absent(LATEST))
    assert "may not be listed" in refusal.fix


def test_what_nodes_say_they_hold_counts_like_what_pods_run() -> None:
    code = "image-on-nodes-only"
    lost = index(lost=("linux/amd64",)) | absent(LATEST)
    assert refused(for_nodes("linux/amd64"), lost).code == ""
    holding = for_nodes("linux/amd64", digests={B: ("node-2",)})  # by the manifest of a platform
    assert refused(holding, lost).code == code
    choice, warnings = took(holding, lost, accept=code)
    assert (choice.rung, choice.to) == ("release-tag", f"{REPO}@{A}")
    assert any("node-2" in w for w in warnings)
    assert took(holding, unknown(RELEASE, B))[0].digest == B


def test_a_plain_image_that_is_gone_and_that_nodes_hold_under_its_name() -> None:
    code, gone = "image-on-nodes-only", absent(RELEASE, LATEST)
    holding = for_nodes("linux/amd64", digests={C: ("n",)}, tags={f"docker.io/{RELEASE}": (C,)})
    assert refused(holding, gone).code == code
    assert took(holding, gone, accept=code)[0].to == f"{REPO}@{C}"
    two = for_nodes("linux/amd64", digests={C: ("n",), D: ("m",)}, tags={f"docker.io/{RELEASE}": (C, D)})
    assert refused(two, gone).code == "", "nodes hold different bits under that name"
    vendor = want("bitnami/redis:7", nodes=PodNodes(digests={C: ("n",)}, tags={"docker.io/bitnami/redis:7": (C,)}))
    assert refused(vendor, absent("bitnami/redis:7")).code == code
    recorded = msgspec.structs.replace(
        for_nodes("linux/amd64", digests={B: ("n",)}), recorded=RecordedContainer(name="x", digest=A, digests=(A, B)),
    )  # fmt: skip
    assert refused(recorded, absent(f"{REPO}@{A}") | gone).code == code


def test_history_that_the_registry_lost_is_named_with_its_nodes() -> None:
    pods = Running(f"docker.io/{REPO}@{C}", f"docker.io/{REPO}:prod", ready=True, node="node-1")
    answers = absent(RELEASE, LATEST, f"{REPO}@{C}")
    holding = for_nodes("linux/amd64", digests={C: ("node-1", "node-3")})
    choice, warnings = took(holding, answers, pods, accept="image-on-nodes-only")
    assert choice.rung == "history"
    assert any("node-1, node-3" in w for w in warnings)


def test_only_a_plain_image_that_no_node_has_is_looked_at_closely() -> None:
    wanted = for_nodes("linux/amd64")

    def asked(wanted: Wanted, answers: dict[str, Answer], *running: Running) -> str:
        return plain(wanted, "v1.1.0", SHOP, answers, running)

    assert asked(wanted, present(RELEASE, A)) == RELEASE
    assert asked(wanted, present(RELEASE, A), Running(f"{REPO}@{A}")) == ""
    assert asked(for_nodes("linux/amd64", digests={A: ("n",)}), present(RELEASE, A)) == ""
    assert asked(wanted, index("linux/amd64")) == ""
    assert asked(wanted, absent(RELEASE, LATEST)) == ""
    assert asked(for_nodes(), present(RELEASE, A)) == ""
    assert asked(PROD, present(RELEASE, A)) == "", "which platforms the nodes have is not known"


# Other people's images

REDIS = Wanted("user-service", ContainerRef(SERVICE, "wait", init=True), "bitnami/redis:7.0.11")


def test_other_peoples_images_stay_as_they_are_and_are_proven() -> None:
    assert askable(REDIS, "v1.1.0") == (("as-is", REDIS.image),)
    choice = chosen(REDIS, present(REDIS.image, A))
    assert (choice.ref, choice.own, choice.rung, choice.to, choice.digest) == (
        REDIS.ref, False, "as-is", REDIS.image, A,
    )  # fmt: skip


def test_other_peoples_image_that_left_the_hub() -> None:
    gone = absent(REDIS.image)
    runs = Running(f"docker.io/bitnami/redis@{A}", "docker.io/bitnami/redis:7.0.11")
    refusal = refused(REDIS, gone)
    assert refusal.code == ""
    assert "init container wait" in refusal.text
    assert refused(REDIS, gone, runs).code == "image-on-nodes-only"
    choice = chosen(REDIS, gone, runs, accept="image-on-nodes-only")
    assert (choice.to, choice.digest) == (REDIS.image, A)


def test_other_peoples_moving_tag_stays_and_is_said() -> None:
    zipkin = Wanted("zipkin", ContainerRef(ObjectRef("Deployment", "zipkin"), "zipkin"), "openzipkin/zipkin")
    choice, warnings = took(zipkin, present(zipkin.image, A))
    assert choice.to == "openzipkin/zipkin"
    assert any("tag moves" in w for w in warnings)


def test_other_peoples_image_that_cannot_be_looked_at() -> None:
    assert refused(REDIS, unknown(REDIS.image)).code == "registry-unknown"
    assert chosen(REDIS, unknown(REDIS.image), accept="registry-unknown").to == REDIS.image
    runs = Running(f"docker.io/bitnami/redis@{A}", "docker.io/bitnami/redis:7.0.11")
    assert chosen(REDIS, unknown(REDIS.image), runs).to == REDIS.image
    latest = msgspec.structs.replace(REDIS, image="bitnami/redis")  # without a tag the default policy is Always
    assert refused(latest, unknown("bitnami/redis"), runs).code == "registry-unknown"


# Whose image it is


@pytest.mark.parametrize(
    ("image", "pattern", "own"),
    [
        (f"{REPO}:prod", "sanjodb/{service}", True),
        (f"docker.io/{REPO}:prod", "sanjodb/{service}", True),
        ("sanjodb/cloud-config:prod", "sanjodb/{service}", True),
        ("bitnami/redis:7", "sanjodb/{service}", False),
        ("sanjodb/a/b:7", "sanjodb/{service}", False),
        ("gcr.io/team/user-service:1", "gcr.io/team/{service}", True),
        ("user-service", "{service}", True),
        ("redis", "{service}", False),
        ("anyone/user-service:1", "", True),
        ("anyone/redis:1", "", False),
        ("${IMAGE}", "", True),
        ("BUILD_TAG", "", True),
        (f"{REPO}:${{TAG}}", "sanjodb/{service}", True),
        ("bitnami/redis:${TAG}", "sanjodb/{service}", False),
    ],
)
def test_whose_image_it_is(image: str, pattern: str, own: bool) -> None:
    assert is_own(want(image), ImageSettings(repository=pattern)) is own


def test_services_limit_the_pattern() -> None:
    settings = ImageSettings(repository="sanjodb/{service}", services=("user-service",))
    assert is_own(want("sanjodb/user-service:1"), settings)
    assert not is_own(want("sanjodb/log-agent:1"), settings)


@pytest.mark.parametrize(
    "image", ["$IMAGE", "{{ .Values.image }}", "BUILD_TAG", f"{REPO}:IMAGE_TAG", f"{REPO}:${{TAG}}"]
)
def test_a_placeholder_is_replaced_whole(image: str) -> None:
    assert is_placeholder(image)
    assert chosen(want(image), present(RELEASE, A)).to == f"{REPO}:v1.1.0@{A}"


def test_a_sidecars_placeholder_does_not_become_the_service() -> None:
    runs = Running(f"docker.io/envoyproxy/envoy@{A}", "docker.io/envoyproxy/envoy:v1")
    refusal = refused(want("${SIDECAR}"), present(RELEASE, A), runs)
    assert "placeholder" in refusal.tried


@pytest.mark.parametrize(
    "image",
    [
        *("IMAGE_TAG", "$NAME", "{{IMAGE_NAME}}", "a/b:replaceImageTag", "shop:__TAG__", "${X:+y}/shop", "<YOU>"),
        *("shop:${VERSION}dev", "host:8500/shop:IMAGE_TAG", "IMAGE_PLACEHOLDER"),
    ],
)
def test_images_that_were_to_be_filled_in_are_recognised(image: str) -> None:
    assert is_placeholder(image)


@pytest.mark.parametrize(
    "image",
    [
        *("x:RELEASE.2024-01-01", "x:BUILD_42", "x:v1", f"x@{A}", "x:1", "nginx", "host:8500/shop", "shop:latest"),
        *("localhost:5000/a/b:v1", "shop:Build42", "shop:RC1", "shop:v1.0.0-RC1", "shop:20240101", "a/b_c:1"),
        *("mcr.microsoft.com/mssql/server:2019-CU5", "elasticsearch:7.10.2-SNAPSHOT", "shop:REL.1", "shop:1.0_2"),
    ],
)
def test_real_tags_are_no_placeholders(image: str) -> None:
    assert not is_placeholder(image)


# Asking


def test_a_worse_rung_is_asked_only_when_the_better_one_is_not_there() -> None:
    wanted = want(f"{REPO}:build-7")
    answers: dict[str, Answer] = {}
    asked = []
    while batch := to_ask(wanted, "v1.1.0", SHOP, answers, (OLD,)):
        asked += batch
        answers |= present(batch[0], C) if batch[0].endswith(C) else absent(*batch)
    assert asked == [RELEASE, f"{REPO}:build-7", f"{REPO}@{C}"]
    assert to_ask(PROD, "v1.1.0", SHOP, present(RELEASE, A)) == ()
    # two names for it, and nothing tells yet which one to believe
    assert to_ask(wanted, "v1.1.0", SHOP, present(RELEASE, A)) == (f"{REPO}:build-7",)


def test_a_tag_that_manifest_and_release_share_is_tried_once() -> None:
    assert askable(want(RELEASE), "v1.1.0") == (("release-tag", RELEASE), ("reference", LATEST))


def test_an_image_is_the_same_by_membership_whatever_its_repository() -> None:
    assert same_image((A, B), f"docker.io/another/name@{B}")
    assert same_image((A,), f"docker-pullable://x@{A}")
    assert not same_image((A,), f"x@{B}")
    assert not same_image(("", A), "")


@given(
    st.text(max_size=30), st.text(max_size=20), st.sampled_from(["", "sanjodb/{service}", "{service}", "?{service}"])
)
def test_any_image_and_any_release_get_a_choice_or_a_refusal(image: str, release: str, pattern: str) -> None:
    settings = ImageSettings(repository=pattern, reference_tag="latest")
    answers: dict[str, Answer] = {}
    while batch := to_ask(want(image), release, settings, answers):
        answers |= absent(*batch)
    choice, refusals = choose(want(image), release, settings, answers)
    assert choice is None
    assert refusals[0].code == ""


MANIFEST = f"{REPO}:build-7"
BOTH = present(RELEASE, A) | present(MANIFEST, B)
OLDER = Revision(f"{REPO}:58", "2026-11-02T09:00:00Z", "user-service-58")


def named(confirmation: Confirmation, image: str = MANIFEST, **more: Any) -> Wanted:
    return want(image, evidence=Evidence(manifests=confirmation, **more))


def test_the_manifest_is_taken_where_the_files_name_what_runs_and_a_tag_of_the_release_is_another_image() -> None:
    assert chosen(named(Confirmation.CONFIRMED), BOTH).rung == "manifest"
    # and where the registry has lost it, that tag is no stand-in
    lost = absent(MANIFEST) | present(RELEASE, A)
    assert refused(named(Confirmation.CONFIRMED), lost).code == "image-from:release-tag"
    assert chosen(named(Confirmation.CONFIRMED), lost, accept="image-from:release-tag").digest == A


@pytest.mark.parametrize(
    "past", [Past(live=f"{REPO}:prod", digests=(D,)), Past(live=f"{REPO}:v1.2.0"), Past(live=f"{REPO}:v1.2.0@{D}")]
)
def test_the_release_tag_is_taken_where_such_a_tag_is_what_runs(past: Past) -> None:
    tags = {"v1.2.0": f"{REPO}:v1.2.0"}
    wanted = named(Confirmation.UNTOLD, past=past, tags=tags)
    assert chosen(wanted, BOTH | present(tags["v1.2.0"], D)).rung == "release-tag"


def test_two_names_that_are_two_images_and_nothing_that_tells_them_apart_are_a_question() -> None:
    wanted = named(Confirmation.UNTOLD, past=Past(live=f"{REPO}:other", digests=(D,)))
    said = refused(wanted, BOTH)
    assert said.code.startswith("image-from:")
    assert "image-from:manifest" in said.fix
    assert "image-from:release-tag" in said.fix
    for rung, digest in (("manifest", B), ("release-tag", A)):
        choice = chosen(wanted, BOTH, accept=f"image-from:{rung}")
        assert (choice.rung, choice.digest) == (rung, digest)
    assert chosen(wanted, present(RELEASE, A) | present(MANIFEST, A)).digest == A  # one image under two names
    assert chosen(named(Confirmation.SAME), BOTH).rung == "manifest"


def test_both_are_asked_and_then_the_other_release_s_tag_only_where_the_names_do_not_tell() -> None:
    tags = {"v1.2.0": f"{REPO}:v1.2.0"}
    wanted = named(Confirmation.UNTOLD, past=Past(live=f"{REPO}:other", digests=(D,)), tags=tags)
    answers: dict[str, Answer] = {}
    asked = []
    while batch := to_ask(wanted, "v1.1.0", SHOP, answers):
        asked += batch
        answers |= present(batch[0], {RELEASE: A, MANIFEST: B}.get(batch[0], D))
    assert asked == [RELEASE, MANIFEST, tags["v1.2.0"]]
    assert to_ask(named(Confirmation.CONFIRMED), "v1.1.0", SHOP, present(MANIFEST, B)) == ()


@pytest.mark.parametrize("manifest", [MANIFEST, RELEASE])
def test_what_the_cluster_contradicts_is_not_taken_by_itself_under_either_name(manifest: str) -> None:
    past = Past(live=f"{REPO}:59", revisions=(OLDER,))
    wanted = named(Confirmation.CONTRADICTED, manifest, past=past)
    there = absent(RELEASE) | present(manifest, B)
    said = refused(wanted, there)
    assert f"{REPO}:58" in said.tried
    assert f"{REPO}:59" in said.tried
    assert chosen(wanted, there, accept=said.code).digest == B
    assert chosen(wanted, there, accept=f"{said.code}:user-service").digest == B


def test_an_older_revision_s_image_is_proposed_and_taken_only_if_accepted() -> None:
    wanted = named(Confirmation.CONTRADICTED, past=Past(live=f"{REPO}:59", revisions=(OLDER,)), proposed=OLDER)
    there = absent(RELEASE) | present(MANIFEST, B) | present(OLDER.image, C)
    assert refused(wanted, there).code == "image-from:revision"
    choice = chosen(wanted, there, accept="image-from:revision")
    assert (choice.rung, choice.digest) == ("revision", C)
    # the job overwrites one tag, and only the number that it sets afterwards tells
    mutable = named(Confirmation.SAME, f"{REPO}:prod", past=Past(live=f"{REPO}:59"), proposed=OLDER)
    assert refused(mutable, absent(RELEASE) | present(OLDER.image, C)).code == "image-from:revision"


def test_a_manifest_that_nothing_speaks_for_or_against_is_taken_with_a_warning() -> None:
    wanted = named(Confirmation.UNTOLD, past=Past(live=f"{REPO}:other"))
    _, warnings = took(wanted, absent(RELEASE) | present(MANIFEST, B))
    assert any(f"{REPO}:other" in w for w in warnings)
    unchanged = named(Confirmation.UNTOLD, past=Past(live=MANIFEST))
    assert took(unchanged, absent(RELEASE) | present(MANIFEST, B))[1] == ()
