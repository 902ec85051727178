"""One registry that cannot tell is one block, whatever it has of ours."""

from __future__ import annotations

import msgspec
import pytest

from rollback_lib.core.errors import Refusal
from rollback_lib.core.images import silence
from rollback_lib.core.images.ladder import Choice, ImageSettings, Running, Wanted, candidates, choose
from rollback_lib.core.images.registry_answers import Answer
from rollback_lib.core.kube.identity import ContainerRef, ObjectRef

SHOP = ImageSettings(repository="r.example/shop/{service}", mutable_tags=("prod",), reference_tag="latest")
DIGEST = "sha256:" + "a" * 64


def wanted(service: str, image: str = "") -> Wanted:
    ref = ContainerRef(ObjectRef("Deployment", service), service)
    return Wanted(service, ref, image or f"r.example/shop/{service}:prod")


def asked(one: Wanted, answers: dict[str, Answer]) -> silence.Silence:
    return silence.of([c.reference for c in candidates(one, "v1.1.0", SHOP)], answers)


def refusals(answers: dict[str, Answer], *wants: Wanted, accept: str = "") -> list[Refusal]:
    found = []
    for one in wants:
        _, why = choose(one, "v1.1.0", SHOP, answers, (), frozenset(accept.split()))
        found += [silence.Refused(one, r, asked(one, answers)) for r in why]
    return silence.refusals(found, "v1.1.0")


def unknown(host: str, service: str, status: int = 0) -> dict[str, Answer]:
    names = (f"{host}/shop/{service}:{tag}" for tag in ("v1.1.0", "latest"))
    return {n: Answer(n, "unknown", text=f"asked HEAD https://{n}: no answer", status=status) for n in names}


def test_a_registry_that_does_not_answer_is_one_refusal_with_its_services() -> None:
    services = [f"s{n}" for n in range(10)]
    answers = {k: v for s in services for k, v in unknown("r.example", s).items()}
    (one,) = refusals(answers, *map(wanted, services))
    assert one.text == (
        f"r.example does not answer, and could not tell: no image for 10 containers of {', '.join(services)} at v1.1.0."
    )
    assert one.code == "registry-unknown"
    assert "asked HEAD https://r.example/shop/s0:v1.1.0: no answer" in one.tried


@pytest.mark.parametrize("status", [403, 503])
def test_two_reasons_are_two_refusals(status: int) -> None:
    answers = unknown("r.example", "a") | unknown("r.example", "b") | unknown("r.example", "c", status)
    first, second = refusals(answers, wanted("a"), wanted("b"), wanted("c"))
    assert first.text.startswith("r.example does not answer, and could not tell: no image for 2 containers of a, b")
    assert second.text.startswith("c: container c of Deployment/c: no image for")


def test_two_registries_are_two_refusals() -> None:
    other = [wanted(s, f"other.example/team/{s}:v1") for s in ("x", "y")]
    answers = unknown("r.example", "a") | unknown("r.example", "b")
    answers |= {w.image: Answer(w.image, "unknown", text=w.image, status=503) for w in other}
    said = [r.text for r in refusals(answers, wanted("a"), wanted("b"), *other)]
    assert [s.partition(",")[0] for s in said] == ["r.example does not answer", "other.example answers 503"]


def test_what_is_absent_is_still_told_one_by_one() -> None:
    answers = {}
    for service in ("a", "b"):
        answers |= {n: msgspec.structs.replace(a, state="absent") for n, a in unknown("r.example", service).items()}
    assert [r.text.partition(":")[0] for r in refusals(answers, wanted("a"), wanted("b"))] == ["a", "b"]


def test_a_warning_about_it_is_one_too_and_others_stay() -> None:
    answers = {k: v for s in ("a", "b") for k, v in unknown("r.example", s).items()}
    choices: list[Choice] = []
    for service in ("a", "b"):
        pinned = wanted(service, f"r.example/shop/{service}@{DIGEST}")
        answers[pinned.image] = Answer(pinned.image, "unknown", DIGEST, (DIGEST,), text="no answer")
        runs = Running(f"r.example/shop/{service}@{DIGEST}", ready=True)
        choice, why = choose(pinned, "v1.1.0", SHOP, answers, (runs,))
        assert choice is not None, why
        choices.append(choice._replace(warnings=(*choice.warnings, f"{service} is odd")))
    alone = silence.warnings(choices[:1], answers)
    assert alone == choices[0].warnings
    said = silence.warnings(choices, answers)
    assert [s for s in said if s.endswith("is odd")] == ["a is odd", "b is odd"]
    (together,) = (s for s in said if not s.endswith("is odd"))
    assert together.startswith("r.example does not answer, and could not tell about 2 containers of a, b. The first")
