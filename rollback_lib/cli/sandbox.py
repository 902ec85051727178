"""rollback sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rollback_lib.cli.demo import SCENARIOS
from rollback_lib.core.readouts.demo import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollback_lib.sandbox.playground import Playground


@click.command("sandbox", help="The sample shop with its broken release, to play with until Ctrl-C.")
@click.option(
    "--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, metavar="NAME",
    help=f"Which state: {', '.join(SCENARIOS)}.",
)  # fmt: skip
@click.option("--language", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True, help="Of the texts.")
def command(scenario: str, language: str) -> int:
    from rollback_lib.cli.playground import play
    from rollback_lib.operations.demo import BAD, GOOD

    def prepare(playground: Playground, say: Callable[[str], None], rollback: Callable[..., int]) -> int:
        playground.deploy(GOOD)
        playground.deploy(BAD)
        playground.spoil()
        playground.hand_made_changes()
        return 0

    return play(scenario, prepare, keep=False, stay=True, language=language)
