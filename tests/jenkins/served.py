"""What a server tells of a build to who follows it, in the forms of a live one: console notes, CR, wfapi's statuses."""

from __future__ import annotations

from typing import Any

from tests.jenkins.controller import Build

# A note: what the browser makes a link or a fold of. Whoever reads the text gets it as it is (J7).
NOTE = "\x1b[8mha:////4" + "B7UjnaFiePh3N1UuvYlIqzTeJbL8UQMCqAAAAA" * 8 + "\x1b[0m"


def console(build: Build) -> bytes:
    """The text of `logText/progressiveText`: a note before each line of the pipeline's own, CR before each LF."""
    own = [f"{NOTE}[Pipeline] {{ ({name})" for name in build.stages]
    return "".join(f"{line}\r\n" for line in (*own, *build.log)).encode()


def described(build: Build) -> list[dict[str, Any]]:
    """The stages of `wfapi/describe`: what was passed over counts as failed, what its `when` left out as done (J8)."""
    lost = {*build.failed, *build.passed_over}
    names = [*build.stages, *build.passed_over]
    return [{"name": name, "status": "FAILED" if name in lost else "SUCCESS"} for name in names]
