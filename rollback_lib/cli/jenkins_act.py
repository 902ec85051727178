"""rollback jenkins look and act: the actions of a build that are no run."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from rollback_lib.cli.options import takes

if TYPE_CHECKING:
    from rollback_lib.core.settings.action import Action


@click.command("look", help="What ACTION `reopen traffic` or `free the lock` would change; writes the build's page.")
@takes("jenkins-look")
def look(values: dict[str, Any]) -> int:
    import os

    import msgspec

    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import out
    from rollback_lib.core.errors import RollbackError
    from rollback_lib.core.jenkins import actions, page
    from rollback_lib.core.settings import parameters
    from rollback_lib.operations import acting, jenkins_page

    action = _action(values)
    with invocation.session(values, writes=True) as (session, _):
        language = session.settings.language
        try:
            found = acting.look(session, action, str(values.get("of_run") or ""))
        except RollbackError as error:
            _keep(session, jenkins_page.of_no_run(error, parameters.asked(os.environ), language))
            raise
        said = actions.asking(found, language, only_look=bool(values.get("dry_run")))
        _keep(session, {page.FILE: said.encode(), _SHOWN: msgspec.json.encode(found)})
        out(said.rstrip())
    return 0


@click.command("act", help="Do what `jenkins look` showed and somebody approved, and nothing else; 7 where it changed.")
@takes("jenkins-act")
def act(values: dict[str, Any]) -> int:
    import msgspec

    from rollback_lib import wiring
    from rollback_lib.cli import invocation
    from rollback_lib.cli.console import out
    from rollback_lib.core.errors import EXIT_DONE, RollbackError
    from rollback_lib.core.jenkins import actions, page
    from rollback_lib.operations import acting

    _action(values)
    with invocation.session(values, writes=True, stoppable=False) as (session, _):
        shown = msgspec.json.decode(wiring.read_text(str(PurePath(invocation.CURRENT_RUN, _SHOWN))), type=actions.Look)
        problem: RollbackError | None = None
        code, said = EXIT_DONE, ""
        try:
            scratch = session.runs.trial(invocation.new_request(session, {}))
            code, said = acting.act(session, shown, scratch)
        except RollbackError as error:
            problem, code, said = error, error.exit_code, str(error)
        done = acting.record(session, shown, str(values.get("reason") or ""), code, said)
        files = {
            actions.FILE: msgspec.json.format(msgspec.json.encode(done), indent=2),
            page.FILE: actions.done(done, session.settings.language).encode(),
        }
        _keep(session, files)
        if problem is not None:
            raise problem
        out(said)
    return code


_SHOWN = "shown.json"  # what the question was about; it goes from agent to agent as a run does


def _action(values: dict[str, Any]) -> Action:
    from rollback_lib.core.errors import UsageError
    from rollback_lib.core.settings import action

    asked = action.asked(values)
    if asked.is_run:
        raise UsageError(f"ACTION is '{asked}', which is a run: `rollback stage` does it")
    return asked


def _keep(session: Any, files: dict[str, bytes]) -> None:
    from rollback_lib.cli import invocation

    session.runs.restored("", files, invocation.CURRENT_RUN)
