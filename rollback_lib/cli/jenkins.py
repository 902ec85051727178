"""rollback jenkins: the job, its page, and what starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rollback_lib.cli.options import takes

if TYPE_CHECKING:
    from rollback_lib.core.jenkins_job import JobParameter


@click.group("jenkins", help="The Jenkins job: write it, check it, start it.")
def command() -> None:
    pass


@command.command("render", help="Write the job's parameters into Jenkinsfile.rollback, from the settings if there are.")
@click.argument("file", default="Jenkinsfile.rollback", metavar="[FILE]")
@click.option("--check", is_flag=True, help="Write nothing; 1 where it would change.")
@takes("jenkins-render")
def render(values: dict[str, Any], file: str, check: bool) -> int:
    from rollback_lib import wiring
    from rollback_lib.cli.console import out
    from rollback_lib.core import jenkins_job
    from rollback_lib.core.errors import UsageError

    before = wiring.read_text(file)
    try:
        after = jenkins_job.with_parameters(before, _parameters(values))
    except ValueError as error:
        raise UsageError(f"{file}: {error}; take Jenkinsfile.rollback of the library") from None
    if check:
        out(f"{file} {'agrees with' if after == before else 'differs from'} the schema.")
        return 0 if after == before else 1
    if after != before:
        wiring.replace_text(file, after)
    out(f"{file} {'has' if after == before else 'got'} the parameters of the schema.")
    return 0


def _parameters(values: dict[str, Any]) -> tuple[JobParameter, ...]:
    """As the settings have the environments. A job that nobody has to approve only looks, unless it is told."""
    from rollback_lib import wiring
    from rollback_lib.core import jenkins_job

    config = wiring.find_config(values.get("config"), wiring.current_folder())
    found = wiring.read_settings(config).environments if config else {}
    only_look = any(environment.approval != "required" for environment in found.values())
    return jenkins_job.parameters(tuple(found), only_look=only_look)


@command.command("page", help="Write what the page of a build shows of the run in --run-dir.")
@takes("jenkins-page")
def page(values: dict[str, Any]) -> int:
    from rollback_lib import wiring
    from rollback_lib.cli.console import out
    from rollback_lib.operations import jenkins_page

    run = wiring.existing_run(values.get("run_dir") or ".rollback/current")
    if run is None:
        out("There is no run to show.")
        return 0
    out(jenkins_page.write(run, wiring.now()).rstrip())
    return 0
