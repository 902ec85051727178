"""rollback demo."""

from __future__ import annotations

import click

from rollback_lib.core.readouts.demo import LANGUAGES

# The sandbox is loaded only when it is used; a test holds these equal to its own.
SCENARIOS = ("tag-overwritten", "image-missing", "leftover-sidecar", "config-only", "verify-fails")


@click.command("demo", help="The whole story on a sample shop, in a sandbox on this machine: no cluster needed.")
@click.option(
    "--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, metavar="NAME",
    help=f"Which story: {', '.join(SCENARIOS)}.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Stay until Ctrl-C, to play with it, and keep its files.")
@click.option("--language", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True, help="Of the story.")
def command(scenario: str, keep: bool, language: str) -> int:
    from rollback_lib.cli.playground import play
    from rollback_lib.operations.demo import Story

    def tell(playground: object, say: object, rollback: object) -> int:
        return 0 if Story(playground, say, rollback, language).tell() else 1  # type: ignore[arg-type]

    return play(scenario, tell, keep=keep, stay=keep, language=language)
