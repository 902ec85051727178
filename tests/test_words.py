"""State is values, never text: nothing compares or parses a sentence that the product wrote."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from rollback_lib.core.errors import Refusal, RefusedError
from rollback_lib.core.reasons import Reason
from rollback_lib.core.run.journal import Event, Mark, ending
from tests.unreadable import NO_SENTENCES, PACKAGE, looked_for, made, reads_as_sentence, text_of
from tests.unreadable_runs import SCENARIOS

ROOT: Final = Path(__file__).parent.parent
# What is looked for in texts, and reads as a sentence: module → (whose words, how the literals begin).
OTHERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "adapters.git": ("git", ("transport ", "commit ")),
    "adapters.git_words": ("git", ("dubious ownership", "not a git repository", "cannot change to", "fatal: ")),
    "adapters.kubernetes_http": ("the API server", ("cannot impersonate",)),
    "adapters.registry_credentials": ("docker-credential-*", ("credentials not found",)),
    "adapters.registry_http": ("urllib3", ("Read timed out",)),
    "collectors.evidence": ("the kubelet", ("unable to retrieve",)),
    "collectors.logs": ("the kubelet", ("unable to retrieve",)),
    "stages.verify": ("the kubelet", ("unable to retrieve",)),
    "core.evidence.test_reports": ("Locust", ("Request Count", "Failure Count")),
    "core.health.pods.causes": ("the kubelet", ("references non-existent",)),
    "core.health.pods.containers": ("the kubelet and registries", ("too ?many", "not ?found", "failed to sync")),
    "core.health.pods.troubles": ("the API server", ("exceeded quota", "failed quota", "service account")),
    "core.jenkins.console": ("Jenkins", ('Stage "(.+)" skipped',)),
    "core.kube.server_answers": ("the API server", ("(?:(?P<field>",)),
    "core.plan.dry_run": ("the API server", ("hides previous", "field is immutable", "forbidden: User")),
    "core.run.changes": ("kubectl", ("^Error from server",)),
}  # fmt: skip


Modules = tuple[tuple[str, ast.Module], ...]


@pytest.fixture(scope="module")
def modules() -> Modules:
    """Every module of the product but the sandbox's: its name below the package, and what it says."""
    return tuple(_modules())


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts)
        if not name.startswith("sandbox"):
            yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def of_sentences(tree: ast.Module, sentences: Collection[str]) -> list[str]:
    """What a module looks for that is a sentence, or is cut out of one: words with a blank at an end."""

    def is_cut_out(text: str) -> bool:
        return bool(re.search(r"^ .*[A-Za-z]{2}|[A-Za-z]{2}.* $", text)) and any(text in s for s in sentences)

    return [
        text
        for one in looked_for(tree)
        if reads_as_sentence(one) or is_cut_out(text_of(one))
        for text in (text_of(one),)
    ]


def said_by(tree: ast.Module) -> set[str]:
    looked = {id(n) for one in looked_for(tree) for n in ast.walk(one)}
    said = (n for n in ast.walk(tree) if isinstance(n, ast.expr) and id(n) not in looked and reads_as_sentence(n))
    return {text_of(n) for n in said}


@pytest.mark.parametrize(
    "line",
    [
        'text.replace(" (repeatable)", ", separated by blanks")',
        '[line.partition("TO DO: ")[2] for line in text.splitlines()]',
        'what.removeprefix("the ")',
        'said.startswith("nothing to do")',
    ],
)
def test_reading_back_is_found(line: str) -> None:
    sentences = said_by(ast.parse('A, B = "Only this service (repeatable).", f"Jenkins has the job {job}"'))
    assert of_sentences(ast.parse(line), sentences)
    assert not of_sentences(
        ast.parse('ref.removeprefix("refs/tags/"), text.split(" "), text.replace(" UTC", "")'), sentences
    )


def test_sentences_are_looked_for_only_in_what_others_wrote(modules: Modules) -> None:
    said = set[str]().union(*(said_by(tree) for _, tree in modules))
    found = {name: texts for name, tree in modules if (texts := of_sentences(tree, said))}
    ours = {
        name: [t for t in texts if not t.startswith(OTHERS.get(name, ("", ("\n",)))[1])]
        for name, texts in found.items()
    }
    assert {name: texts for name, texts in ours.items() if texts} == {}
    unused = {n: b for n, (_, beginnings) in OTHERS.items() for b in beginnings
              if not any(t.startswith(b) for t in found.get(n, ()))}  # fmt: skip
    assert unused == {}, "nothing looks for these any more"


def test_no_sentence_that_has_a_name_is_compared(modules: Modules) -> None:
    """`PROPOSED = "proposal by commit date"` and `== PROPOSED`: the same thing one step further."""
    named = {
        target.id
        for name, tree in modules
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and reads_as_sentence(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and f"{name}.{target.id}" not in NAMED_BY_OTHERS
    }
    assert named, "there are such names"
    compared = [
        f"{name}: {ast.unparse(one)}"
        for name, tree in modules
        for one in looked_for(tree)
        if (one.attr if isinstance(one, ast.Attribute) else one.id if isinstance(one, ast.Name) else "") in named
    ]
    assert compared == []


NAMED_BY_OTHERS: Final = (
    "core.plan.dry_run._TAKEN",  # the API server's words
    "core.releases.tags._PROPOSED_BEFORE",  # in records that were written before there was a code
)


def test_what_is_exempt_is_there_still() -> None:
    for module, (why, beginnings) in NO_SENTENCES.items():
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        texts = [text_of(n) for n in made(ast.parse(path.read_text(encoding="utf-8")))]
        assert why, module
        assert beginnings, module
        assert [b for b in beginnings if not any(t.startswith(b) for t in texts)] == [], module


def runs(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        (sys.executable, "-m", "tests.unreadable_runs", *arguments), cwd=ROOT, env=dict(os.environ),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("kubectl") and shutil.which("git")), reason="needs kubectl and git")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_decides_and_writes_the_same_where_nobody_can_read_what_it_says(scenario: str) -> None:
    can, cannot = runs(scenario), runs("unreadable", scenario)
    assert can["marks"] == 0
    assert cannot["marks"] > 1000, "hardly a sentence was made unreadable"
    assert len(can[scenario]) == len(cannot[scenario])
    for one, other in zip(can[scenario], cannot[scenario], strict=True):
        assert one == other, one["command"]
    plans = [one["plan"] for one in can[scenario] if "plan" in one]
    assert all(plan["hash"] for plan in plans), "each has the hash of its decisions, which are equal"
    refused = [refusal for plan in plans for refusal in plan["refusals"]]
    assert {r["reason"] for r in refused} >= REFUSED.get(scenario, set())
    assert [r for r in refused if r["reason"] not in set(Reason) or not r["subject"]] == []


# Scenario → why some of its plans are refused.
REFUSED: Final[dict[str, set[Reason]]] = {
    "ends_well": {Reason.QUARANTINED}, "unproven": {Reason.ONLY_PROPOSED}, "rights_missing": {Reason.NO_RIGHT},
    "reference_missing": {Reason.MISSING_REFERENCE},
    "refused_for_much": {
        Reason.LEAVING, Reason.OWNED, Reason.NO_ROLLOUT, Reason.IMMUTABLE_FIELD, Reason.UNKNOWN_MIGRATION,
        Reason.NOT_THERE_TO_CLOSE,
    },
}  # fmt: skip


def test_the_codes_of_what_was_refused_are_in_the_journal_and_how_the_run_stands() -> None:
    """`status` goes by them, and not by ``[--accept …`` in a text."""
    refused = RefusedError(Refusal("§", "registry-unknown:cart"), Refusal("§§"), Refusal("§§§", "skip:Service/cart"))
    event = Event(seq=0, at="", mark=Mark.STAGE_FAILED, stage="images", code=3, error=str(refused),
                  codes=tuple(r.code for r in refused.refusals if r.code))  # fmt: skip
    read = msgspec.json.decode(msgspec.json.encode(event), type=Event)
    assert ending([read]).codes == ("registry-unknown:cart", "skip:Service/cart")
    assert ending([msgspec.structs.replace(event, codes=())]).codes == (), "as a journal of before has it"
