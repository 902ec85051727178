"""The demo tells what it measured. The playground here behaves as a cluster does; it is not the sandbox."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollback_lib.core.readouts.demo import LANGUAGES, words
from rollback_lib.operations.demo import BAD, GOOD, Story, commands_to_try


@dataclass
class AService:
    name: str
    version: str
    foreign: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return self.version == GOOD

    def is_release(self, release: str) -> bool:
        return self.version == release and not self.foreign


@dataclass
class AScenario:
    name: str = "tag-overwritten"
    config_only: bool = False
    image_missing: str = ""
    breaks_again: str = ""


@dataclass
class Ended:
    code: int


@dataclass
class AShop:
    """Two services, whose manifests name a tag that the last deploy overwrote."""

    scenario: AScenario = field(default_factory=AScenario)
    incident_file: Path | None = None
    rollout_code: int = 0
    rollout_status: tuple[str, ...] = ("rollout", "status")
    runs: dict[str, str] = field(default_factory=lambda: {"a": "", "b": ""})
    tag: str = ""
    foreign: tuple[str, ...] = ()
    did: list[str] = field(default_factory=list)

    def deploy(self, release: str) -> None:
        self.tag = release
        self.apply(release)

    def apply(self, release: str) -> None:
        self.did.append(f"apply {release}")
        self.runs = dict.fromkeys(self.runs, self.tag)

    def undo(self) -> None:
        self.did.append("undo")

    def spoil(self) -> None:
        self.did.append("spoil")

    def hand_made_changes(self) -> list[str]:
        return ["kubectl patch x"] if self.foreign else []

    def kubectl(self, *arguments: str) -> Ended:
        return Ended(self.rollout_code)

    def keep_state(self) -> tuple[dict[str, str], str]:
        return dict(self.runs), self.tag

    def put_back(self, kept: tuple[dict[str, str], str]) -> None:
        self.did.append("put back")
        self.runs, self.tag = dict(kept[0]), kept[1]

    def services(self) -> list[AService]:
        return [AService(name, version, self.foreign) for name, version in self.runs.items()]

    def specs(self) -> str:
        return str(self.runs)

    def incident(self) -> Path | None:
        return self.incident_file


Tell = Callable[..., tuple[bool, str]]


def told(shop: AShop, code: int, after: dict[str, str], language: str = "en") -> tuple[bool, str]:
    lines: list[str] = []

    def rollback(*arguments: str) -> int:
        shop.did.append("rollback " + arguments[0])
        shop.runs = {**shop.runs, **after}
        return code

    well = Story(shop, lines.append, rollback, language).tell()
    return well, "\n".join(lines)


def test_the_counts_are_those_of_the_moment() -> None:
    shop = AShop()
    well, text = told(shop, 0, {"a": GOOD, "b": GOOD})
    counts = [line.strip() for line in text.splitlines() if " of 2 " in line]
    assert well
    assert [count[:6] for count in counts] == ["2 of 2", "Every ", "0 of 2", "0 of 2", "2 of 2"]


def test_other_ways_back_are_undone_before_the_rollback() -> None:
    shop = AShop()
    told(shop, 0, {"a": GOOD, "b": GOOD})
    want = [f"apply {GOOD}", f"apply {BAD}", "spoil", f"apply {GOOD}", "put back", "undo", "put back", "rollback run"]
    assert shop.did == want


def test_a_rollback_that_did_not_bring_everything_back_is_not_called_good() -> None:
    well, text = told(AShop(), 0, {"a": GOOD})
    assert not well
    assert "1 of 2 services are as v1.1.0 was." in text
    assert words("en")["unexpected"] in text


def test_a_rollback_that_ended_with_another_code_is_not_called_good() -> None:
    assert not told(AShop(), 4, {"a": GOOD, "b": GOOD})[0]


def test_a_refusal_is_as_it_should_be_when_nothing_was_changed() -> None:
    refused = AScenario("image-missing", image_missing="b")
    well, text = told(AShop(refused), 3, {})
    assert (well, words("en")["unchanged"] in text) == (True, True)
    well, text = told(AShop(refused), 3, {"a": GOOD})
    assert (well, words("en")["changed"] in text) == (False, True)


def test_a_failed_verification_is_as_it_should_be_when_not_all_came_back() -> None:
    fails = AScenario("verify-fails", breaks_again="b")
    assert told(AShop(fails), 4, {"a": GOOD})[0]
    assert not told(AShop(fails), 4, {"a": GOOD, "b": GOOD})[0]


def test_a_rollout_that_fails_and_a_silent_service_are_told() -> None:
    text = told(AShop(rollout_code=1), 0, {"a": GOOD, "b": ""})[1]
    assert "rollout status: ended with 1" in text
    assert "1 do not answer, 1 answer v1.1.0." in text


def test_what_was_added_by_hand_is_named_for_as_long_as_it_is_there() -> None:
    assert "Still there: container debug (a)" in told(AShop(foreign=("container debug",)), 0, {})[1]


def test_the_incident_is_quoted_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "incident.md"
    file.write_text("# Rollback of the shop\n" + "x" * 200 + "\n")
    text = told(AShop(incident_file=file), 0, {})[1]
    assert f"   {file}" in text
    assert "   | # Rollback of the shop" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_in_80_columns_and_in_a_windows_code_page(language: str) -> None:
    for scenario in (
        AScenario(),
        AScenario(config_only=True),
        AScenario("image-missing", image_missing="payment-service"),
    ):
        text = told(AShop(scenario), 0, {}, language)[1]
        assert max(map(len, text.splitlines())) <= 80
        assert text.encode("cp1252").decode("cp1252") == text


def test_the_commands_to_try_survive_a_folder_with_blanks(tmp_path: Path) -> None:
    lines = commands_to_try({"KUBECONFIG": "/tmp/it's here/k", "DOCKER_CONFIG": "/d"}, Path("/tmp/a b"), "rollback")
    assert lines[0] == "export KUBECONFIG='/tmp/it'\\''s here/k'"
    assert lines[1:3] == ("export DOCKER_CONFIG=/d", "cd '/tmp/a b'")
