"""Whether live workloads are what the newest release says: whose image, which variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rollback_lib.collectors.workloads import Look
from rollback_lib.core.evidence import workloads
from rollback_lib.core.manifests.inventory import Contents
from rollback_lib.core.releases import tags
from rollback_lib.core.run.records import Finding, Request
from rollback_lib.ports import Ports


def findings(looked: Look, request: Request, ports: Ports, contents: Callable[[str], Contents]) -> Iterator[Finding]:
    """Containers with another image, and variables, than the newest release says. ``contents``: what a commit holds."""
    found = tags.releases(ports.git.tags(), request.settings.releases.tag)
    if not found:
        return
    newest = found[0]
    bodies = contents(newest.commit).bodies()
    yield from workloads.wrong_images(looked.views, bodies, newest.name)
    by_deploy = request.target_environment.overlay.env
    yield from workloads.wrong_settings(looked.views, bodies, newest.name, by_deploy)
