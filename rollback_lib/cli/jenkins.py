"""rollback jenkins: the job, its page, and what starts it."""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from rollback_lib.cli import jenkins_act
from rollback_lib.cli.options import takes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollback_lib.core.jenkins.job import JobParameter, Source
    from rollback_lib.core.jenkins.page import Moment
    from rollback_lib.core.settings.model import Environment


@click.group("jenkins", help="The Jenkins job: write it, check it, start it.")
def command() -> None:
    pass


command.add_command(jenkins_act.look)
command.add_command(jenkins_act.act)


@command.command(
    "render",
    help="Write the job's parameters into FILE, from the settings if there are. A FILE that is missing is created: "
    "Jenkinsfile.rollback, or any other that an administrator installs, by its name (rbac.yaml, Dockerfile, …).",
)
@click.argument("file", default="Jenkinsfile.rollback", metavar="[FILE]")
@click.option("--check", is_flag=True, help="Write nothing; 1 where it would change.")
@takes("jenkins-render")
def render(values: dict[str, Any], file: str, check: bool) -> int:
    from pathlib import Path

    from rollback_lib import wiring
    from rollback_lib.cli.console import out
    from rollback_lib.core.errors import UsageError
    from rollback_lib.core.jenkins import job as jenkins_job

    own, environments = None if check else wiring.handed_out(file), _environments(values)
    before = wiring.read_text(file) if own is None else own
    try:
        after = jenkins_job.with_parameters(before, _parameters(environments))
    except ValueError as error:
        if own is None:
            raise UsageError(f"{file}: {error}; take Jenkinsfile.rollback of the library") from None
        wiring.write_new(Path(file), own, folders=True)  # one without parameters, such as rbac.yaml
        out(f"{file} was created.")
        return 0
    of = f"rollback.yaml, so ENVIRONMENT is a choice of {', '.join(environments)}"
    if not environments:
        of = "the schema alone: there is no rollback.yaml here, so ENVIRONMENT is free text. `rollback init` writes one"
    how = ("differs from" if check else "got") if after != before else "has"
    if own is not None:
        wiring.write_new(Path(file), after, folders=True)
        how = "was created with"
    elif after != before and not check:
        wiring.replace_text(file, after)
    out(f"{file} {how} the parameters of {of}.")
    return 1 if check and after != before else 0


def _environments(values: dict[str, Any]) -> Mapping[str, Environment]:
    """Those of the settings; none where there are no settings."""
    from rollback_lib import wiring

    config = wiring.find_config(values.get("config"), wiring.current_folder())
    return wiring.read_settings(config).environments if config else {}


def _parameters(environments: Mapping[str, Environment]) -> tuple[JobParameter, ...]:
    """As the settings have the environments. A job that nobody has to approve only looks, unless it is told."""
    from rollback_lib.core.jenkins import job as jenkins_job

    only_look = any(environment.approval != "required" for environment in environments.values())
    return jenkins_job.parameters(tuple(environments), only_look=only_look)


@command.command("page", help="Write what the page of a build shows of the run in --run-dir.")
@click.option(
    "--moment", type=click.Choice(("looks", "planned", "changes", "ended")), default="ended", show_default=True,
    help="Where the build stands: it looks, has a plan, is about to change the cluster, or is over.",
)  # fmt: skip
@click.option(
    "--ask-minutes", envvar="ROLLBACK_ASK_MINUTES", type=click.IntRange(1), default=60, show_default=True,
    metavar="NUMBER", help="How long the build waits for a yes. [ROLLBACK_ASK_MINUTES]",
)  # fmt: skip
@click.option(
    "--approvers", envvar="ROLLBACK_APPROVERS", default="", metavar="NAMES",
    help="Who may say yes; by default whoever may build the job. [ROLLBACK_APPROVERS]",
)  # fmt: skip
@takes("jenkins-page", what_reads=True)
def page(values: dict[str, Any], moment: Moment, ask_minutes: int, approvers: str) -> int:
    from datetime import timedelta

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import out
    from rollback_lib.core.settings.action import Action
    from rollback_lib.operations import jenkins_page

    place = str(values.get("run_dir") or invocation.CURRENT_RUN)
    run = wiring.run_directories(wiring.current_folder()).at(place)
    if run is not None:
        wait, resumes = timedelta(minutes=ask_minutes), values.get("action") == Action.RESUME
        jenkins_page.write(run, wiring.now(), moment, wait, approvers, resumes=resumes)
    elif not _why_no_run(place):
        out("There is no run to show.")
    return 0


def _why_no_run(place: str) -> bool:
    """Write why the request of this build could not become a run, by making it once more; whether there is a why."""
    import os

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.core.errors import RollbackError
    from rollback_lib.core.settings import action, parameters
    from rollback_lib.operations import jenkins_page

    language = "en"
    try:
        config = wiring.find_config(None, wiring.current_folder())
        language = wiring.read_settings(config).language if config else language
        values = parameters.from_environment(os.environ)
        with invocation.session(values, writes=True, quiet=True) as (session, _):
            if action.asked(values).is_run:
                invocation.new_request(session, values)
    except RollbackError as error:
        files = jenkins_page.of_no_run(error, parameters.asked(os.environ), language)
        wiring.run_directories(wiring.current_folder()).restored("", files, place)
        return True
    return False


@command.command("admit", help="Let the run in --run-dir go on if a failed deploy asked for it; 3 if it may not.")
@takes("jenkins-admit")
def admit(values: dict[str, Any]) -> int:
    import os

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.operations import automatic

    with invocation.session(values, writes=True) as (session, console):
        run, clock = invocation.new_run(session, values, place=invocation.CURRENT_RUN), session.ports.clock
        own_job = os.environ.get("JOB_NAME", "")
        console.say(automatic.admit(run, session.ports, lambda: wiring.jenkins(os.environ, clock), own_job))
    return 0


@command.command("settle", help="Keep in the cluster how the run in --run-dir ended, for the loop guard.")
@takes("jenkins-admit")
def settle(values: dict[str, Any]) -> int:
    from rollback_lib.cli import invocation
    from rollback_lib.operations import automatic

    with invocation.session(values, writes=True) as (session, console):
        run = session.runs.at(str(values.get("run_dir") or invocation.CURRENT_RUN))
        console.say(automatic.settle(run, session.ports) if run else "There is no run: nothing to keep.")
    return 0


def _job(function: Any) -> Any:
    text = "The job's full name, such as shop/rollback."
    return click.option("--job", envvar="ROLLBACK_JENKINS_JOB", default="rollback", metavar="NAME", help=text)(function)


@command.command("provision", help="Create the job on JENKINS_URL, or update it where it differs.")
@_job
@click.option("--repository", metavar="URL", help="Where Jenkins clones from; default: this clone's remote.")
@click.option(
    "--branch", default="main", show_default=True, metavar="NAME", help="With Jenkinsfile.rollback and rollback.yaml."
)
@click.option("--credentials", default="", metavar="ID", help="Jenkins' credentials for the repository.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change. 1 where something would.")
@takes("jenkins-provision")
def provision(
    values: dict[str, Any], job: str, repository: str | None, branch: str, credentials: str, diff: bool
) -> int:
    import os

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import Console, out
    from rollback_lib.core.jenkins import job as jenkins_job
    from rollback_lib.core.redact import redact
    from rollback_lib.operations import jenkins_provision

    source, parameters = (
        jenkins_job.Source(repository or _remote(), branch, credentials),
        _parameters(_environments(values)),
    )
    with invocation.stoppable_clock() as clock:
        server = wiring.jenkins(os.environ, clock)
        for caution in _cautions(source, parameters):
            Console().say(f"! {caution}")
        done = jenkins_provision.provision(server, job, jenkins_job.config_xml(parameters, source), write=not diff)
    for line in done.differs if done.exists or diff else ():
        out(f"  {redact(line)}")
    if done.exists and not done.differs:
        out(f"{job} is as it should be.")
    elif diff:
        out(f"{job} {'differs' if done.exists else 'does not exist yet: it would be created, with this content'}.")
    else:
        out(f"{job} was {'updated' if done.exists else 'created'}.")
    if done.no_folder:
        out(jenkins_provision.no_folder_text(done.no_folder))
    return 1 if diff and done.differs else 0


def _cautions(source: Source, parameters: tuple[JobParameter, ...]) -> Iterator[str]:
    """What the job's first build would find otherwise. Raises UsageError where it would find no branch."""
    from rollback_lib import wiring
    from rollback_lib.core.errors import UsageError
    from rollback_lib.core.jenkins import job as jenkins_job

    there = wiring.remote_branches(source.repository)
    if there is None:
        yield f"{source.repository} cannot be asked from here: whether it has the branch {source.branch} is not known."
    elif not any(fnmatchcase(name, source.branch) for name in there):
        known = ", ".join(sorted(there, key=lambda name: (not there[name], name))[:5]) or "none"
        raise UsageError(f"{source.repository} has no branch {source.branch}; it has: {known}. Name one with --branch")
    file = wiring.current_folder() / source.script
    with contextlib.suppress(UsageError, ValueError):
        text = wiring.read_text(str(file))
        if jenkins_job.with_parameters(text, parameters) != text:
            yield (
                f"{source.script} here has other parameters, and the first build gives the job those: run "
                "`rollback jenkins render` and commit it."
            )


def _remote() -> str:
    from rollback_lib import wiring
    from rollback_lib.core.errors import UsageError

    git = wiring.repository(wiring.current_folder())
    try:
        url = git.identity().url
    finally:
        git.close()
    if not url:
        raise UsageError("this clone has no remote: name the repository with --repository")
    return url


@command.command("lint", help="Ask JENKINS_URL's own validator about a Jenkinsfile. 0 or 1.")
@click.argument("file", default="Jenkinsfile.rollback", metavar="[FILE]")
def lint(file: str) -> int:
    import os

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import out

    text = wiring.read_text(file)
    with invocation.stoppable_clock() as clock:
        found = wiring.jenkins(os.environ, clock).check(text)
    for line in found:
        out(f"  {line}")
    out(f"{file} is {'not valid' if found else 'valid'} for this server.")
    return 1 if found else 0


@command.command("trigger", help="Start the job on JENKINS_URL. With --follow: until it ends; 0 for SUCCESS, else 1.")
@_job
@click.option("--follow", is_flag=True, help="Show queue, stages, log and questions; Ctrl-C leaves the build running.")
@takes("jenkins-trigger")
def trigger(values: dict[str, Any], job: str, follow: bool) -> int:
    import os

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import Console, out
    from rollback_lib.core.jenkins import job as jenkins_job
    from rollback_lib.operations import jenkins_trigger
    from rollback_lib.operations.run import new_run_id

    request_id = values.get("request_id") or f"cli-{new_run_id(values.get('environment') or 'job', wiring.now())}"
    parameters = jenkins_job.given({**values, "request_id": request_id})
    console = Console()
    with invocation.stoppable_clock() as clock:
        server = wiring.jenkins(os.environ, clock)
        asked = jenkins_trigger.ask(server, job, parameters)
        out(f"Asked {job} on {server.url} ({'an equal request is there already' if not asked.item else request_id}).")
        if not follow:
            return 0
        build = jenkins_trigger.follow(server, asked, clock, console.say, lambda text: console.say(text.rstrip("\n")))
    out(f"Build {build.number}: {build.result or 'no result'} {build.url}")
    return 0 if jenkins_trigger.good(build) else 1
