"""Which release to go back to: never the current one, never a quarantined one, and nothing toggles."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rollback_lib.core.errors import RefusedError
from rollback_lib.core.images.rungs import RecordedContainer, Running
from rollback_lib.core.releases import ledger, matching, target
from rollback_lib.core.releases.ledger import Entry, LastRun, Ledger, Quarantine, RecordedWorkload
from rollback_lib.core.releases.live import Live, LiveContainer, LiveWorkload
from rollback_lib.core.releases.matching import Matched
from rollback_lib.core.releases.tags import AGAIN, BY_LEDGER, PROPOSED, ReleaseRef, Tag
from rollback_lib.core.settings import model

MADE = model.load(
    'application: shop\nmanifests: {path: "k8s/{service}"}\nimages: {repository: "team/{service}"}\n'
    "environments: {prod: {namespace: shop}}\n"
)
SERVICES = ("cart", "user")


def digest(text: str) -> str:
    return "sha256:" + (text.encode().hex() * 64)[:64]


def tag(name: str, day: int, commit: str = "") -> Tag:
    return Tag(name, commit or f"commit-{name}", "commit", f"2026-01-{day:02d}T00:00:00+00:00")


TAGS = (tag("v1", 1), tag("v2", 2), tag("v3", 3))


def workloads(bits: Sequence[str], template: str = "t") -> tuple[RecordedWorkload, ...]:
    return tuple(
        RecordedWorkload(
            service=s, kind="Deployment", name=s, template=template,
            containers=(RecordedContainer(name=s, image=f"team/{s}:prod", digest=d, digests=(d,)),),
        )
        for s, d in zip(SERVICES, bits, strict=True)
    )  # fmt: skip


def entry(release: str, bits: Sequence[str], at: int, template: str = "t") -> Entry:
    return Entry(
        application="shop", environment="prod", release=release, commit=f"commit-{release}",
        recorded_at=f"{at:06d}", workloads=workloads(bits, template), verified=True,
    )  # fmt: skip


def live(bits: Sequence[str], template: str = "t", *, desired: int = 1, pods: bool = True, image: str = "") -> Live:
    def container(service: str, bit: str) -> LiveContainer:
        ran = Running(image_id=f"docker.io/team/{service}@{bit}", ready=True, newest=True)
        return LiveContainer(name=service, image=image or f"team/{service}:prod", running=(ran,) if pods else ())

    return Live(
        workloads=tuple(
            LiveWorkload(kind="Deployment", name=s, desired=desired, template=template, containers=(container(s, b),))
            for s, b in zip(SERVICES, bits, strict=True)
        )
    )


def read(*kept: ledger.AnyKept) -> Ledger:
    return ledger.read([ledger.encode(k) for k in kept], "shop", "prod")


def choose(known: Ledger, now: Live, to: str = "last-good", tags: Sequence[Tag] = TAGS) -> target.TargetChoice:
    return target.choose(to, tags, "v*", known, matching.match(known, now, MADE))


V1, V2, V3 = (digest("c1"), digest("u1")), (digest("c2"), digest("u1")), (digest("c3"), digest("u3"))
BOTH = (entry("v1", V1, 1), entry("v2", V2, 2))


def test_the_newest_good_release_by_the_time_it_was_recorded() -> None:
    found = choose(read(*BOTH), live(V3))
    assert (found.target.release, found.target.chosen_how) == ("v2", BY_LEDGER)
    assert found.entry == BOTH[1]
    later = msgspec.structs.replace(BOTH[0], recorded_at="000009")
    assert choose(read(later, BOTH[1]), live(V3)).target.release == "v1"


def test_the_current_release_is_left_out() -> None:
    assert choose(read(*BOTH), live(V2)).target.release == "v1"


def test_a_failed_release_that_differs_in_its_configuration_alone_goes_back_to_the_same_bits() -> None:
    found = choose(read(*BOTH), live(V2, template="changed"))
    assert found.target.release == "v2"


def test_an_entry_that_was_not_proven_is_never_chosen() -> None:
    unsure = msgspec.structs.replace(BOTH[1], verified=False)
    assert choose(read(BOTH[0], unsure), live(V3)).target.release == "v1"


def test_after_a_rollback_it_stays_where_it_is() -> None:
    last = LastRun(
        application="shop", environment="prod", run="r", release="v2", commit="commit-v2", at="9",
        workloads=workloads(V2),
    )  # fmt: skip
    for known in (read(*BOTH, last), read(last)):
        found = choose(known, live(V2, template="pinned"))
        assert (found.target.release, found.target.chosen_how) == ("v2", AGAIN)


def test_a_rollback_of_one_service_does_not_stand_for_all() -> None:
    last = LastRun(
        application="shop", environment="prod", run="r", release="v1", commit="commit-v1", at="9",
        workloads=workloads(V1)[:1], whole=False,
    )  # fmt: skip
    known = read(*BOTH, last)
    now = live((V1[0], V3[1]))
    assert target.again(known, matching.match(known, now, MADE, ["cart"])) == "v1"
    assert target.again(known, matching.match(known, now, MADE)) == ""


def test_an_ordinary_deploy_after_a_rollback_is_seen() -> None:
    last = LastRun(
        application="shop", environment="prod", run="r", release="v1", commit="commit-v1", at="9",
        workloads=workloads(V1),
    )  # fmt: skip
    known = read(*BOTH, entry("v3", V3, 3), last)
    assert matching.match(known, live(V3), MADE).current.release == "v3"
    assert choose(known, live(V3)).target.release == "v2"


def test_services_of_different_releases_are_mixed() -> None:
    known = read(*BOTH, entry("v3", V3, 3))
    found = matching.match(known, live((V1[0], V3[1])), MADE)
    assert (found.current.release, found.current.chosen_by) == ("mixed", "cart v1, user v3")
    assert found.services == (("cart", "v1"), ("user", "v3"))


def test_a_service_that_no_release_matches_makes_it_unknown() -> None:
    found = matching.match(read(*BOTH), live((V1[0], digest("new"))), MADE)
    assert found.current.release == "unknown"
    assert found.services == (("cart", "v1"),)


def test_pods_of_another_name_of_the_same_image_match() -> None:
    index, platform = digest("index"), digest("platform")
    both = RecordedContainer(name="cart", image="team/cart:prod", digest=index, digests=(index, platform))
    first = msgspec.structs.replace(workloads((index, V1[1]))[0], containers=(both,))
    known = read(msgspec.structs.replace(BOTH[0], workloads=(first, workloads(V1)[1])))
    assert matching.match(known, live((platform, V1[1])), MADE).current.release == "v1"


@pytest.mark.parametrize(("desired", "current"), [(1, "unknown"), (0, "unknown")])
def test_without_a_single_pod_nothing_is_known(desired: int, current: str) -> None:
    found = matching.match(read(*BOTH), live(V1, desired=desired, pods=False), MADE)
    assert found.current.release == current


def test_a_workload_at_0_replicas_does_not_vote() -> None:
    running, off = live(V1), live(V1, desired=0, pods=False)
    now = Live(workloads=(running.workloads[0], off.workloads[1]))
    assert matching.match(read(BOTH[0]), now, MADE).current.release == "v1"


def test_a_newest_template_whose_pods_do_not_start_is_not_the_old_release() -> None:
    running, stuck = live(V1), live(V1, pods=False)
    now = Live(workloads=(running.workloads[0], stuck.workloads[1]))
    assert matching.match(read(BOTH[0]), now, MADE).current.release == "unknown"


def test_a_service_that_only_the_failed_release_has_makes_it_another_release() -> None:
    now = live(V1)
    container = LiveContainer(name="new", image="team/new:prod")
    new = LiveWorkload(kind="Deployment", name="new", desired=1, template="t", containers=(container,))
    with_new = msgspec.structs.replace(now, workloads=(*now.workloads, new))
    assert matching.match(read(BOTH[0]), with_new, MADE).current.release == "unknown"
    beside = msgspec.structs.replace(BOTH[0], others=("Deployment/new",))
    assert matching.match(read(beside), with_new, MADE).current.release == "v1"


def test_a_tag_that_moved_since_it_ran_is_refused_by_name() -> None:
    tags = (TAGS[0], tag("v2", 2, "another"), TAGS[2])
    for to in ("last-good", "v2"):
        found = choose(read(*BOTH), live(V3), to, tags)
        assert [r.code for r in found.refusals] == ["moved-tag:v2"]
        assert found.entry is not None
    accepted = target.choose("v2", tags, "v*", read(*BOTH), Matched(), ["moved-tag:v2"])
    assert accepted.entry is None, "what ran at another commit is not what the tag holds now"


def test_c46_a_quarantined_release_is_refused_and_never_the_last_good() -> None:
    mark = Quarantine(
        application="shop", environment="prod", release="v2", commit="commit-v2", reason="500s", by="ana", at="t"
    )
    known = read(*BOTH, mark)
    assert choose(known, live(V3)).target.release == "v1"
    assert not choose(known, live(V3)).refusals
    for tags, to in ((TAGS, "v2"), ((*TAGS, tag("v2-again", 4, "commit-v2")), "v2-again")):
        found = choose(known, live(V3), to, tags)
        assert [r.code for r in found.refusals] == ["quarantined"]
        assert "500s" in found.refusals[0].text


def test_c26_without_a_ledger_a_release_is_proposed_by_date_and_never_a_quarantined_one() -> None:
    found = choose(Ledger(), live(V3))
    assert (found.target.release, found.target.chosen_how) == ("v2", PROPOSED)
    assert "only a proposal: the release before v3 by commit date" in found.warnings[-1]
    mark = Quarantine(application="shop", environment="prod", release="v2", commit="commit-v2", at="t")
    assert choose(read(mark), live(V3)).target.release == "v1"


def test_c26_ties_are_named_and_the_current_commit_is_never_the_one_before() -> None:
    tags = (TAGS[0], tag("v1-rc1", 1, "commit-v1"), TAGS[1], tag("v2-late", 2, "commit-v2"))
    found = target.choose(
        "last-good", tags, "v*", Ledger(), Matched(current=ReleaseRef(release="v2", commit="commit-v2"))
    )
    assert found.target.commit == "commit-v1"
    assert "on the same commit: v1-rc1" in found.warnings[-1]


def test_a_release_whose_tag_is_gone_is_not_silently_another() -> None:
    with pytest.raises(RefusedError, match="There is no tag v2"):
        choose(read(*BOTH), live(V3), tags=(TAGS[0], TAGS[2]))


def test_a_ledger_that_could_not_be_read_is_said_and_gone_on_without() -> None:
    found = choose(Ledger(unread="cannot list configmaps"), live(V3))
    assert found.target.chosen_how == PROPOSED
    assert "cannot list configmaps" in found.warnings[0]


class Releases(RuleBasedStateMachine):
    """Deploys, records, rollbacks, quarantines and lifts, in any order, as the stages and commands do them."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, Entry] = {}
        self.marks: dict[str, Quarantine] = {}
        self.last: LastRun | None = None
        self.tags: list[Tag] = []
        self.made: dict[str, tuple[tuple[str, str], str]] = {}
        self.good: dict[str, bool] = {}
        self.running = ""
        self.clock = 0
        self.deploy(True, (0, 0), "t")

    def known(self) -> Ledger:
        return read(*self.entries.values(), *self.marks.values(), *([self.last] if self.last else []))

    def now(self) -> Live:
        bits, template = self.made[self.running]
        return live(bits, template)

    def matched(self) -> Matched:
        return matching.match(self.known(), self.now(), MADE)

    @rule(good=st.booleans(), bits=st.tuples(st.integers(0, 2), st.integers(0, 2)), template=st.sampled_from("tu"))
    def deploy(self, good: bool, bits: tuple[int, int], template: str) -> None:
        release = f"v{len(self.tags) + 1}"
        self.tags.append(Tag(release, f"commit-{release}", "commit", f"2026-01-01T{len(self.tags):02d}:00:00+00:00"))
        self.made[release] = ((digest(f"c{bits[0]}"), digest(f"u{bits[1]}")), template)
        self.good[release] = good
        self.running = release

    @rule()
    def record(self) -> None:
        release = self.running
        if not self.good[release] or self.known().quarantine(release, f"commit-{release}"):
            return  # record-release refuses a sick and a quarantined release
        self.clock += 1
        bits, template = self.made[release]
        self.entries[release] = entry(release, bits, self.clock, template)

    @precondition(lambda self: len(self.tags) > 1)
    @rule()
    def roll_back(self) -> None:
        known, matched = self.known(), self.matched()
        try:
            found = target.choose("last-good", self.tags, "v*", known, matched)
        except RefusedError:
            return  # nothing is older
        if found.refusals or found.target.chosen_how == PROPOSED:
            return  # run refuses it
        chosen = found.target.release
        if self.made[chosen] == self.made[self.running]:
            assert found.target.chosen_how == AGAIN or chosen != self.running
            return  # nothing to do
        self.clock += 1
        failed = matched.current
        name = failed.release if failed.commit else ""
        ran, kept = set(self.made[self.running][0]), set(self.made[chosen][0])
        digests = tuple(sorted(ran - kept))
        if name != chosen and (name or digests):
            mark = Quarantine(
                application="shop", environment="prod", release=name, commit=failed.commit, digests=digests,
                at=f"{self.clock:06d}", run=f"r{self.clock}",
            )  # fmt: skip
            self.marks[ledger.name(mark)] = mark
        self.last = LastRun(
            application="shop", environment="prod", run=f"r{self.clock}", release=chosen, commit=f"commit-{chosen}",
            at=f"{self.clock:06d}", workloads=workloads(self.made[chosen][0]),
        )  # fmt: skip
        self.running = chosen
        again = target.choose("last-good", self.tags, "v*", self.known(), self.matched())
        assert again.target.release == chosen, "a repeated rollback changes nothing"

    @rule(data=st.data())
    def quarantine(self, data: st.DataObject) -> None:
        release = data.draw(st.sampled_from([t.name for t in self.tags]))
        self.clock += 1
        mark = Quarantine(
            application="shop", environment="prod", release=release, commit=f"commit-{release}",
            digests=self.made[release][0], at=f"{self.clock:06d}", run="hand",
        )  # fmt: skip
        self.marks[ledger.name(mark)] = mark

    @rule()
    def lift(self) -> None:
        if self.marks:
            self.marks.pop(sorted(self.marks)[0])

    @invariant()
    def last_good_is_proven_free_and_not_what_runs(self) -> None:
        known, matched = self.known(), self.matched()
        found = target.last_good(known, matched)
        if found is None:
            return
        assert found.verified
        assert known.quarantine(found.release, found.commit) is None
        assert (found.workloads[0].containers[0].digest, found.workloads[1].containers[0].digest) != self.made[
            self.running
        ][0] or found.workloads[0].template != self.made[self.running][1]

    @invariant()
    def what_a_good_release_runs_is_never_blocked(self) -> None:
        known = self.known()
        for good in known.good:
            assert known.blocked(d for w in good.workloads for c in w.containers for d in c.digests) is None


Releases.TestCase.settings = hypothesis_settings(max_examples=60, stateful_step_count=25, deadline=None)
TestReleases = Releases.TestCase


def test_a_proposal_is_known_by_its_code_and_in_records_of_before_by_the_words_of_their_time() -> None:
    made = choose(Ledger(), live(V3)).target
    assert made.is_proposal
    assert msgspec.structs.replace(made, chosen_by="in other words").is_proposal
    assert msgspec.structs.replace(made, chosen_how="").is_proposal, "what it was written as before there were codes"
    named = choose(Ledger(), live(V3), "v2").target
    assert not named.is_proposal
    assert not msgspec.structs.replace(named, chosen_by=made.chosen_by).is_proposal, "the code tells where there is one"
