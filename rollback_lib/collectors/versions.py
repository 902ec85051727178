"""Whether live workloads are what the newest release says: whose image, which variables."""

from __future__ import annotations

from collections.abc import Iterator

from rollback_lib.collectors.workloads import Looked
from rollback_lib.core.evidence import workloads
from rollback_lib.core.manifests import services
from rollback_lib.core.manifests.inventory import contents
from rollback_lib.core.releases import tags
from rollback_lib.core.run.records import Finding, Request
from rollback_lib.ports import Ports


def findings(looked: Looked, request: Request, ports: Ports) -> Iterator[Finding]:
    """Containers with another image, and variables, than the newest release says."""
    settings = request.settings
    found = tags.releases(ports.git.tags(), settings.releases.tag)
    if not found:
        return
    newest = found[0]
    held = ports.git.tree(newest.commit, services.roots(settings.manifests.path, settings.manifests.shared))
    bodies = contents(held, settings).bodies()
    yield from workloads.wrong_images(looked.views, bodies, newest.name)
    by_deploy = request.target_environment.overlay.env
    yield from workloads.wrong_settings(looked.views, bodies, newest.name, by_deploy)
