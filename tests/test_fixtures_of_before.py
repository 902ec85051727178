"""What an earlier version left behind is read, told, finished, undone and opened by this one.

`tests/fixtures/64a6d43/` was made by that commit's own commands (`tests/fixtures/make.py`) and does not change.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollback_lib import wiring
from rollback_lib.adapters.run_directory import FILES
from rollback_lib.core.plan.model import Plan, freeze
from rollback_lib.core.releases import ledger
from rollback_lib.core.run import cluster_copy, lock
from rollback_lib.core.run.journal import ending
from rollback_lib.core.run.records import Request
from rollback_lib.sandbox.shop import BAD, GOOD
from tests.cli.desk import command
from tests.command_line import Ended
from tests.fixtures.place import RUNS, Place, contents, remove_runs, unpacked

pytestmark = pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")

MADE = Path(__file__).parent / "fixtures/64a6d43"
PLACES = ("planned", "done", "failed", "closed", "dead")
# exit code of what is over, traffic, whether it holds the lock
STANDS = {
    # what was not looked at then is not known now
    "planned": (None, "unknown", False), "done": (0, "unknown", False), "failed": (4, "unknown", True),
    "closed": (5, "closed", True), "dead": (None, "closed", True),
}  # fmt: skip
OLDEST = "v1.0.0"
LONG = pytest.mark.long


@dataclass(frozen=True)
class Before:
    """A place that an earlier version left, and this version's command in it."""

    there: Place

    def rollback(self, *arguments: str, **environ: str) -> Ended:
        return command(self.there.repository, self.there.environment | environ, arguments)

    @property
    def run(self) -> Path:
        """The run directory that is meant: that of Jenkins's stages, or the only one."""
        runs = self.there.repository / RUNS
        return runs / "current" if (runs / "current").is_dir() else next(p.parent for p in runs.glob("*/run.json"))

    def hash(self) -> str:
        found: str = json.loads((self.run / "plan.json").read_text())["hash"]
        return found

    def records(self) -> set[str]:
        """What a run that is not over keeps in the cluster: the lock, and its copy."""
        names = [*self.there.live("Lease"), *self.there.live("ConfigMap")]
        return {n for n in names if n == lock.name("ecommerce") or n.startswith("rollback-run-")}

    def open(self) -> bool:
        """Whether the Service that a run closes selects what it always did, with no mark of ours."""
        service = self.there.live("Service")["user-service"]
        return service["spec"]["selector"] == {"app": "user-service"} and "rollback-lib" not in json.dumps(service)


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Callable[[str], Before]]:
    with ExitStack() as stack:

        def take_out(name: str) -> Before:
            archive = MADE / f"{name}.tar.gz"
            found = Before(stack.enter_context(unpacked(tmp_path, MADE / "repository.bundle", archive)))
            found.there.ready()
            return found

        yield take_out


def runs_of(name: str, folder: Path) -> list[Path]:
    """The run directories of a place, taken out alone."""
    for path, data in contents(MADE / f"{name}.tar.gz").items():
        if path.startswith(f"{RUNS}/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    return [p.parent for p in sorted(folder.glob(f"{RUNS}/*/run.json"))]


def objects_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(contents(MADE / f"{name}.tar.gz")["cluster.json"])
    return found


@pytest.mark.parametrize("name", PLACES)
def test_every_record_of_a_run_directory_reads(name: str, tmp_path: Path) -> None:
    for root in runs_of(name, tmp_path):
        run = wiring.run_directories(root).kept(str(root))
        files = {file for file, _ in FILES.values()}
        there = {p.relative_to(root).as_posix() for p in root.rglob("*.json")} & files
        assert {FILES[kind][0] for kind in FILES if run.find(kind) is not None} == there
        assert run.get(Request).to == "last-good"
        assert run.get(Plan).target.release == GOOD
        assert run.events()
    stands = ending(run.events())
    assert (stands.code if stands.finished else None, stands.traffic, stands.locked) == STANDS[name]


@pytest.mark.parametrize("name", ["failed", "closed", "dead"])
def test_lock_and_copy_in_the_cluster_read(name: str, tmp_path: Path) -> None:
    objects = {(o["kind"], o["metadata"]["name"]): o for o in objects_of(name)}
    held = lock.read(objects["Lease", lock.name("ecommerce")])
    (root,) = runs_of(name, tmp_path)
    assert held.claim is not None
    assert held.is_of(lock.RUN, root.name)
    assert held.claim.by == "ana"
    copy = cluster_copy.unpack(objects["ConfigMap", cluster_copy.name(root.name)])
    kept = wiring.run_directories(tmp_path).restored("copy", copy, str(tmp_path / "copy"))
    assert kept.get(Request).run == root.name
    assert kept.get(Plan).hash == wiring.run_directories(root).kept(str(root)).get(Plan).hash


def test_every_record_of_the_ledger_reads() -> None:
    found = [o for o in objects_of("done") if o["kind"] == "ConfigMap"]
    ours = [o for o in found if ledger.ENVIRONMENT in (o["metadata"].get("labels") or {})]
    read = ledger.read(ours, "ecommerce", "prod")
    assert read.problems == ()
    assert [(e.release, e.pinned, e.verified) for e in read.entries] == [(GOOD, False, True), (OLDEST, True, True)]
    assert {(q.release, q.reason) for q in read.quarantines} >= {(OLDEST, "loses orders")}
    assert {q.release for q in read.quarantines} == {OLDEST, BAD}
    assert read.last_run is not None
    assert (read.last_run.release, read.last_run.whole, len(read.last_run.workloads)) == (GOOD, True, 3)
    assert len(ours) == 5


@pytest.mark.parametrize("name", PLACES)
def test_a_report_is_written_of_each_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "rollback.yaml").write_bytes(contents(MADE / f"{name}.tar.gz")["rollback.yaml"])
    run = runs_of(name, tmp_path)[-1]
    shutil.rmtree(run / "report", ignore_errors=True)

    def told(form: str) -> str:
        ended = command(tmp_path, {"PATH": os.environ["PATH"]}, ("report", "--run-dir", str(run), "--format", form))
        assert ended.code == 0, ended
        return ended.out

    report, kept, code = json.loads(told("json")), wiring.run_directories(run).kept(str(run)), STANDS[name][0]
    assert (report["run"], report["to_release"]["release"]) == (kept.get(Request).run, GOOD)
    assert report["plan_hash"] == kept.get(Plan).hash
    assert report["traffic"] == STANDS[name][1]
    assert code is None or report["exit_code"] == code
    assert report["restored"] == (name == "done")
    for form in ("md", "html"):
        assert report["run"] in told(form)


def test_the_ledger_and_the_last_run_are_told(before: Callable[[str], Before]) -> None:
    done = before("done")
    history = done.rollback("history", "--output", "json")
    assert history.code == 0, history
    told = {one["release"]: one for one in history.json["releases"]}
    assert told[OLDEST]["pinned"], told
    status = done.rollback("status", "--output", "json")
    assert status.code == 0, status
    assert status.json["current"]["release"] == GOOD, status.json
    assert status.json["last_run"]["run"] == done.run.name


@pytest.mark.parametrize("name", ["failed", "closed", "dead"])
def test_status_shows_whose_lock_it_is_and_what_is_closed(before: Callable[[str], Before], name: str) -> None:
    there = before(name)
    said = " ".join(there.rollback("status").out.split())
    assert f"LOCKED by run {there.run.name} by ana" in said
    assert ("CLOSED: Service/user-service" in said) == (STANDS[name][1] == "closed")


@pytest.mark.parametrize(
    "directory", [True, pytest.param(False, marks=LONG)], ids=["with its directory", "from the cluster"]
)
def test_a_run_that_died_is_resumed_to_its_end(before: Callable[[str], Before], directory: bool) -> None:
    dead = before("dead")
    name = dead.run.name
    if not directory:
        remove_runs(dead.there)
    ended = dead.rollback("resume", "--output", "json")
    assert ended.code == 0, ended
    assert Path(ended.json["run_dir"]).name == name
    assert dead.there.versions() == {GOOD}
    assert set(dead.there.live("Deployment")) == {"service-discovery", "cloud-config", "user-service"}
    assert dead.open()
    assert dead.records() == set()


@LONG
def test_a_run_that_ended_well_is_undone(before: Callable[[str], Before]) -> None:
    done = before("done")
    assert done.there.versions() == {GOOD}
    ended = done.rollback("undo", done.run.name, "--yes", "--output", "json")
    assert ended.code == 0, ended
    assert done.there.versions() == {BAD}
    assert "user-worker" in done.there.live("Deployment")
    settings = done.there.live("ConfigMap")
    assert settings["user-settings"]["data"] == {"limit": "20"}
    assert "user-added" in settings
    assert "user-removed" not in settings
    assert done.records() == set()


@LONG
@pytest.mark.parametrize("name", ["failed", "closed", "dead"])
def test_a_run_that_did_not_end_well_is_undone_in_its_place(before: Callable[[str], Before], name: str) -> None:
    failed = before(name)
    settings = failed.there.repository / "rollback.yaml"
    settings.write_text(settings.read_text().partition("verify:")[0])  # what the run failed at
    ended = failed.rollback("undo", failed.run.name, "--yes", "--output", "json")
    assert ended.code == 0, ended
    assert failed.there.versions() == {BAD}
    assert failed.open()
    assert failed.records() == set()


def test_a_deploy_is_kept_out_by_a_lock_of_before_until_it_is_taken_away(before: Callable[[str], Before]) -> None:
    dead = before("dead")
    kept_out = dead.rollback("guard", "--release", "v1.3.0")
    assert kept_out.code == 6, kept_out
    assert dead.run.name in kept_out.err
    assert dead.rollback("unlock", "--force", "--yes").code == 0
    assert lock.name("ecommerce") not in dead.records()


@pytest.mark.parametrize("name", ["closed", "dead"])
def test_what_it_closed_is_opened(before: Callable[[str], Before], name: str) -> None:
    closed = before(name)
    assert not closed.open()
    ended = closed.rollback("reopen", "--yes", "--output", "json")
    assert ended.code == 0, ended
    assert closed.open()


@LONG
def test_a_stored_plan_is_approved_by_its_hash_and_carried_out(before: Callable[[str], Before]) -> None:
    planned = before("planned")
    hash_ = planned.hash()
    other = planned.rollback("stage", "approve", ROLLBACK_APPROVED_HASH="0" * 64, ROLLBACK_APPROVED_BY="bo")
    assert other.code == 7, other
    approved = {"ROLLBACK_APPROVED_HASH": hash_, "ROLLBACK_APPROVED_BY": "bo"}
    for stage in ("approve", "isolate", "apply", "verify", "reopen", "document"):
        ended = planned.rollback("stage", stage, **approved)
        assert ended.code == 0, (stage, ended)
    assert planned.hash() == hash_
    assert planned.there.versions() == {GOOD}
    assert planned.records() == set()
    report = json.loads((planned.run / "report/report.json").read_text())
    assert (report["plan_hash"], report["restored"]) == (hash_, True)


def test_the_same_decisions_have_the_hash_that_they_had(before: Callable[[str], Before]) -> None:
    """Where this is to change, every approval that was given before is stale (7): say so in the changelog.

    One decision is another by now: the failed release's Deployment is Ready, so it is kept until that is accepted.
    """
    planned = before("planned")
    then = msgspec.json.decode((planned.run / "plan.json").read_bytes(), type=Plan)
    ended = planned.rollback("plan", "--to", GOOD, "--output", "json")
    assert ended.code == 0, ended
    now = msgspec.convert(ended.json["plan"], Plan)
    assert {o.name: o.change for o in now.orphans} == {"user-worker": "left", "user-added": "delete"}
    assert freeze(now).hash == now.hash != planned.hash()
    assert freeze(msgspec.structs.replace(now, orphans=then.orphans)).hash == planned.hash()
