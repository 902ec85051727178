"""The record in all of its forms: what people ask of it, and that no text from outside breaks it or gets into it."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET
from datetime import UTC
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollback_lib.core.plan.model import PlannedObject, PlannedService
from rollback_lib.core.releases import ledger
from rollback_lib.core.report import junit, model, page, pages
from rollback_lib.core.report import story as reporting
from rollback_lib.core.report.page import Bullets, Code, Fields, Link, Log, Page, Section, Table, Text
from rollback_lib.core.report.story import Story
from rollback_lib.core.report.words import _WORDS, FOLLOW_UPS, change_in
from rollback_lib.core.run import changes
from rollback_lib.core.run.journal import Event, Mark, ending
from tests.core.report import stories

MADRID = ZoneInfo("Europe/Madrid")
HOSTILE = (
    "</td><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))",
    "![x](http://t/x)",
    "`code` ```fence", "| cell | cell |", "\n# heading\n\n- item\n***\n", "]]><x>", "&lt;b&gt; &amp;",
    "\x1b[31mred\x1b[0m",
    "\x00\x08\ufffe\ud800", "\u202eevil", '" onmouseover="x', "<!channel> <http://x|y>", "~~~\n</pre>\n",
)  # fmt: skip


def made(text: str = "", **more: Any) -> model.Report:
    return reporting.made(stories.whole(text, **more), MADRID)


def markdown(text: str = "", language: str = "en", **more: Any) -> str:
    return page.markdown(pages.page(made(text, **more), language))


def as_html(text: str = "", language: str = "en", **more: Any) -> str:
    return page.as_html(pages.page(made(text, **more), language))


class Tags(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# What people ask of a record


def test_the_record_has_the_moments_in_utc_and_local_and_the_times_between_them() -> None:
    found = made()
    times = found.times
    assert times.first_evidence == "2026-07-01T02:31:00+00:00"
    assert times.approved == "2026-07-01T02:41:13.000+00:00"
    assert times.first_write == "2026-07-01T02:41:17.000+00:00", "closing traffic, not the lock"
    assert times.traffic_closed == "2026-07-01T02:41:18.000+00:00"
    assert times.traffic_opened == "2026-07-01T02:41:26.000+00:00"
    assert times.healthy == "2026-07-01T02:41:27.000+00:00"
    assert (found.took.detect, found.took.decide, found.took.restore) == (600.0, 13.0, 27.0)
    assert found.timeline[0].at == "2026-07-01T02:31:00Z"
    assert found.timeline[0].local == "2026-07-01T04:31:00+02:00"
    said = markdown()
    assert "| 2026-07-01 02:31:00 | 04:31:00 +02:00 | evidence: cart: crashes |" in said
    assert "- Time to detect: 10 min 0 s" in said


def test_the_record_names_from_and_to_with_digests_who_asked_who_approved_and_what_was_accepted() -> None:
    said = markdown()
    assert f"| cart/cart | `team/cart:prod` `{stories.BAD}` | `team/cart:v1@{stories.GOOD}` | reference |" in said
    assert "- Who: ana from <https://ci.example/job/rollback/7/>" in said
    assert "- Approved: by luis (ROLLBACK_APPROVED_HASH), plan `cccccccccccc`" in said
    assert "### Accepted by luis" in said
    assert "- `unproven-target`" in said
    assert "### Kept, because somebody else owns it" in said
    assert "could not tell: slack: done: answers" in said


def test_follow_ups_come_from_the_run_each_with_an_owner_and_a_date_to_fill() -> None:
    codes = [f.code for f in made().follow_ups]
    assert codes == ["mutable-tag", "unproven-target", "reference-image", "kept", "no-smoke-test", "cause"]
    said = markdown()
    assert "| What | Owner | Due |" in said
    assert "| :prod in team/cart is still v2: the next ordinary deploy brings it back. |  |  |" in said
    closed = [f.code for f in made(failed=True).follow_ups]
    assert closed[:2] == ["traffic-closed", "locked"]


def test_causes_are_left_for_people_with_what_the_evidence_suggests() -> None:
    said = markdown()
    assert "For people to work out. What the evidence suggests:" in said
    assert "- cart: CrashLoopBackOff" in said
    assert "- What contributed: (to be filled in)" in said


def test_no_word_of_ours_blames() -> None:
    words = " ".join(text for pair in (*_WORDS.values(), *FOLLOW_UPS.values()) for text in pair).lower()
    assert not re.findall(r"\b(blame|fault|guilty|careless|should have|culpa|culpable|error humano|mistake)\b", words)


def test_both_languages_say_everything() -> None:
    for key, pair in (*_WORDS.items(), *FOLLOW_UPS.items()):
        names = [set(re.findall(r"\{(\w+)\}", text)) for text in pair]
        assert pair[1], key
        assert names[0] == names[1] or not pair[0], key
    said = markdown(language="es")
    assert "# Rollback de shop prod a v1" in said
    assert ":prod en team/cart sigue siendo v2: el próximo despliegue normal lo trae de vuelta." in said
    assert "| What |" not in said


ONE: dict[str, Any] = {
    "key": "k", "kind": "Deployment", "name": "cart", "api_version": "apps/v1", "before": "",
    "after": "sha256:" + "a" * 64,
}  # fmt: skip
QUARANTINE = ledger.Quarantine(application="shop", environment="prod", release="v2")


@pytest.mark.parametrize(
    "change",
    [
        changes.PatchObject(**ONE, operations=()), changes.CloseTraffic(**ONE, operations=()),
        changes.OpenTraffic(**ONE, operations=()), changes.CreateObject(**ONE, manifest={}),
        changes.DeleteObject(**ONE, uid="u"), changes.take_lock("x"), changes.release_lock("x"),
        changes.PointTag(**ONE),
        *(changes.keep(record, "q", f"{said} kept in the ledger") for record, said in (
            (QUARANTINE, "quarantine of v2"),
            (msgspec.structs.replace(QUARANTINE, release=""), "quarantine of what ran"),
            (ledger.LastRun(application="shop", environment="prod", run="r", release="v1", commit="c", at="t"),
             "where the run went"),
        )),
    ],
    ids=lambda change: change.what,
)  # fmt: skip
def test_every_change_is_said_in_spanish(change: changes.Change) -> None:
    english = change_in("en", change.code, change.subject, change.after, "")
    assert english == change.what
    spanish = change_in("es", change.code, change.subject, change.after, "")
    assert spanish != change.what
    assert change.kind not in ("Deployment",) or "cart" in spanish
    assert not re.search(r"\b(put back|created|deleted|closed|opened|kept|taken|released|pointed)\b", spanish)


def test_what_is_no_change_of_ours_is_left() -> None:
    said = "somebody put back the cart"
    assert change_in("es", "", "", "", said) == said
    assert change_in("es", "of-another-version", "cart", "", said) == said


def test_a_journal_of_before_these_codes_is_told_by_its_keys() -> None:
    def line(seq: int, mark: Mark, key: str, what: str = "", **more: str) -> Event:
        return Event(seq=seq, at=f"2026-03-01T09:00:{seq:02}Z", mark=mark, stage="apply", key=key, what=what, **more)

    told = (
        ("apply/deployment/cart", "f1", "f2", "Deployment/cart put back", "Deployment/cart restablecido"),
        ("apply/configmap/flags", "", "f3", "ConfigMap/flags created", "ConfigMap/flags creado"),
        ("apply/service/cart/delete", "f1", "", "Service/cart deleted", "Service/cart borrado"),
        ("apply/service/cart/create", "", "f2", "Service/cart created", "Service/cart creado"),
        ("apply/service/cart/put-back/1", "", "f2", "Service/cart created", "Service/cart creado"),
        ("close/service/cart/1", "f1", "f2", "Service/cart closed", "Service/cart cerrado"),
        ("open/service/cart/2", "f1", "f2", "Service/cart opened", "Service/cart abierto"),
        ("delete/pod/cart-0/u1", "", "", "Pod/cart-0 deleted", "Pod/cart-0 borrado"),
        ("delete/deployment/worker", "f1", "", "Deployment/worker deleted", "Deployment/worker borrado"),
        ("retag/team/cart:prod", "sha256:1", "sha256:2", "team/cart:prod pointed at sha256:2",
         "team/cart:prod apunta a sha256:2"),
        ("page/create/configmap", "", "f9", "ConfigMap/page created", "ConfigMap/page created"),
        ("lock/take", "", "", "lock taken over from run r", "lock taken over from run r"),
    )  # fmt: skip
    events = []
    for key, before, after, what, _ in told:
        events += [
            line(len(events), Mark.ANNOUNCED, key, what, before=before, after=after),
            line(len(events) + 1, Mark.DONE, key, what),
        ]
    found = reporting.made(Story(ending=ending(events), events=tuple(events)), UTC).timeline
    said = {lang: [change_in(lang, m.change, m.subject, m.to, m.text) for m in found] for lang in ("en", "es")}
    assert said["en"] == [what for *_, what, _ in told]
    assert said["es"] == [spanish for *_, spanish in told]


def test_an_object_that_was_changed_more_than_once_is_one_object() -> None:
    keys = ("close/service/cart/1", "apply/service/cart", "open/service/cart/1", "page/create/configmap",
            "page/delete/configmap/u1", "retag/team/cart:prod", "lock/take", "record/last-run")  # fmt: skip
    found = ending([Event(seq=n, at="", mark=Mark.DONE, stage="apply", key=key) for n, key in enumerate(keys)])
    assert found.objects == ("service/cart", "page/configmap")


def test_what_is_missing_is_named_as_people_write_it_in_old_journals_too() -> None:
    gone = Event(seq=0, at="", mark=Mark.DONE, stage="apply", key="apply/horizontalpodautoscaler/cart/delete")
    assert ending([gone]).missing == ("HorizontalPodAutoscaler/cart",)
    new = msgspec.structs.replace(gone, change="delete", subject="Gadget/cart", what="§")
    assert ending([new]).missing == ("Gadget/cart",)


def test_a_run_that_knows_nothing_has_a_record_all_the_same() -> None:
    found = reporting.made(Story(ending=ending(())), UTC)
    for language in ("en", "es"):
        assert "Rollback" in page.markdown(pages.page(found, language))
        assert Tags(page.as_html(pages.page(found, language))).open == []
    assert ET.fromstring(junit.xml(found)).get("tests") == "1"


@pytest.mark.parametrize("left_out", ["request", "detection", "incident", "plan", "approval", "verification"])
@pytest.mark.parametrize("failed", [False, True])
def test_a_record_of_every_part_but_one(left_out: str, failed: bool) -> None:
    story = msgspec.structs.replace(stories.whole(failed=failed), **{left_out: None})
    found = reporting.made(story, None)
    assert "Rollback of" in page.markdown(pages.page(found, "en"))
    assert Tags(page.as_html(pages.page(found, "es"))).open == []
    ET.fromstring(junit.xml(found))


# Its shape


def test_the_schema_holds_for_records() -> None:
    schema = model.schema()
    for failed in (False, True):
        jsonschema.validate(json.loads(msgspec.json.encode(made("x", failed=failed))), schema)
    jsonschema.validate(json.loads(msgspec.json.encode(reporting.made(Story(ending=ending(())), UTC))), schema)


def test_junit_has_a_case_a_stage_a_workload_and_a_check() -> None:
    good, bad = ET.fromstring(junit.xml(made())), ET.fromstring(junit.xml(made(failed=True)))
    cases = {(c.get("classname"), c.get("name")) for c in good.iter("testcase")}
    assert cases >= {("cart", "Deployment/cart"), ("user", "smoke /health"), ("rollback.stage", "apply")}
    assert good.get("failures") == "0"
    failures = {c.get("name"): c.findtext("failure") for c in bad.iter("testcase") if c.find("failure") is not None}
    assert int(bad.get("failures") or 0) == len(failures)
    assert set(failures) == {"apply", "Deployment/cart", "smoke /health"}
    assert "the network is gone" in (failures["apply"] or "")


def test_a_stage_that_went_well_the_second_time_is_well_in_junit() -> None:
    events = tuple(
        Event(seq=i, at=stories.at(i), mark=mark, stage="images", code=3)
        for i, mark in enumerate((Mark.STAGE_BEGIN, Mark.STAGE_FAILED, Mark.STAGE_BEGIN, Mark.STAGE_DONE))
    )
    found = reporting.made(Story(events=events, ending=ending(events)), UTC)
    assert ET.fromstring(junit.xml(found)).get("failures") == "0"


def test_junit_of_a_refusal_says_in_which_stage_it_ended() -> None:
    story = msgspec.structs.replace(stories.whole(failed=True), verification=None)
    tree = ET.fromstring(junit.xml(reporting.made(story, UTC)))
    assert tree.get("failures") == "1"
    assert tree.get("skipped") == "1"


# Nothing from outside is markup


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("failed", [False, True])
def test_hostile_text_adds_no_element_and_no_attribute_to_the_page(text: str, failed: bool) -> None:
    plain, hostile = Tags(as_html("x", failed=failed)), Tags(as_html(text, failed=failed))
    assert hostile.found == plain.found
    assert hostile.open == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_adds_no_line_no_cell_and_no_markup_to_the_markdown(text: str) -> None:
    plain, hostile = markdown("x").splitlines(), markdown(text).splitlines()
    assert len(hostile) == len(plain)
    for ours, theirs in zip(plain, hostile, strict=True):
        if theirs.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", theirs)) == len(re.findall(r"(?<!\\)\|", ours))
        if not theirs.startswith(("cart-1/cart", "`")):
            outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", theirs)
            assert not re.search(r"<(?!https://)", outside_code)
            assert not re.search(r"(?<!\\)[\[\]]", outside_code)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_leaves_junit_well_formed(text: str) -> None:
    for failed in (False, True):
        tree = ET.fromstring(junit.xml(made(text, failed=failed)))
        assert {e.tag for e in tree.iter()} <= {"testsuite", "testcase", "failure", "skipped"}


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_taken_by_every_form(text: str) -> None:
    found = made(text, failed=True)
    msgspec.json.encode(found)
    ET.fromstring(junit.xml(found).encode())
    written = page.markdown(pages.page(found, "es"))
    assert Tags(page.as_html(pages.page(found, "en"))).open == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", written)


def test_lines_of_ten_megabytes_are_cut_and_take_no_time() -> None:
    began = time.process_time()
    text = "password=" + "x" * 10_000_000
    assert len(markdown(text)) < 200_000
    assert len(as_html("a\n" * 5_000_000)) < 400_000
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", 'https://x/" onclick="y', "data:text/html,x", "//evil", "https://a b"]
)
def test_only_plain_http_addresses_are_links(address: str) -> None:
    one = Page(
        language="en", title="t", state="good", label="l", lead="", head=Fields((("a", Link(address)),)),
        sections=(Section("s", (Text(Link(address)), Bullets((Code(address),)), Table(("h",), ((Link(address),),)),
                                Log("log", (address,)))),),
    )  # fmt: skip
    assert "<a " not in page.as_html(one)
    assert f"<{address}>" not in page.markdown(one)


# No secret


PEM_BODY = "MIIEpAIBAAKCAQEA7bq3zq1v4m9f0s2kq8w1x5t7u9y3z0a2b4c6d8e0f1g3h5i7"
SECRETS = (
    "DB_PASSWORD=hunter2", "postgres://shop:hunter2@db/shop", "Authorization: Bearer hunter2hunter2",
    '{"api_key": "hunter2"}', f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}\n{PEM_BODY}\n-----END PRIVATE KEY-----",
    f"{PEM_BODY}\n-----END PRIVATE KEY-----", f"pod/app: {PEM_BODY}",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_no_form_holds_a_planted_secret(secret: str) -> None:
    found = made(secret, failed=True)
    for form in (
        msgspec.json.encode(found).decode(), junit.xml(found), page.markdown(pages.page(found, "en")),
        page.as_html(pages.page(found, "es")),
    ):  # fmt: skip
        assert "hunter2" not in form
        assert PEM_BODY not in form


def test_a_secret_that_is_cut_in_two_does_not_show_its_half() -> None:
    assert "hunter2" not in markdown("x" * 15_990 + " https://me:hunter2hunter2@registry.example/v2")


def test_digests_and_commits_are_no_secrets() -> None:
    said = markdown()
    assert stories.GOOD in said
    assert stories.BAD in said


def done_by(*rows: tuple[Mark, str]) -> tuple[bool, ...]:
    """Whether the record says of the Deployment, the ConfigMap and the Service of one name that they were changed."""
    objects = (
        PlannedObject(kind="Deployment", name="cart", change="update"),
        PlannedObject(kind="ConfigMap", name="cart", change="update", recreate=True),
        PlannedObject(kind="Service", name="cart", change="update"),
    )
    plan = stories.plan(services=(PlannedService(name="cart", wave=1, objects=objects),))
    journal = tuple(
        Event(seq=i, at=stories.at(i), mark=mark, stage="apply", key=key) for i, (mark, key) in enumerate(rows)
    )
    story = Story(events=journal, ending=ending(journal), plan=plan)
    return tuple(o.done for o in reporting.made(story, MADRID).objects)


def test_what_was_made_again_is_done_once_the_new_one_is_there() -> None:
    gone, made_anew, back = (f"apply/configmap/cart/{step}" for step in ("delete", "create", "put-back/1"))
    assert done_by((Mark.DONE, gone), (Mark.DONE, made_anew)) == (False, True, False)
    assert done_by((Mark.DONE, gone)) == (False, False, False)
    assert done_by((Mark.DONE, gone), (Mark.NOT_DONE, made_anew), (Mark.DONE, back)) == (False, False, False)


def test_another_change_of_an_object_is_not_the_planned_one() -> None:
    assert done_by((Mark.DONE, "close/service/cart"), (Mark.DONE, "open/service/cart")) == (False, False, False)
    assert done_by((Mark.DONE, "delete/deployment/cart")) == (False, False, False)
    assert done_by((Mark.DONE, "apply/deployment/cart")) == (True, False, False)
