"""The product as its users start it: the command, as one user of the cluster, in the repository of a shop."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.shop import Shop
from tests.command_line import Ended

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = "operator"
# What an operator of one namespace may do; nodes and everything outside the namespace stay closed.
RIGHTS = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]},
]


class Product:
    """`rollback` in a shop's repository, with its run directories beside it."""

    def __init__(self, shop: Shop, *, user: str = OPERATOR) -> None:
        self.shop, self.user = shop, user
        if user == OPERATOR:
            shop.cluster.grant(user, shop.namespace, RIGHTS)
        self.environ: Mapping[str, str] = {
            "PATH": f"{Path(shop.cluster.kubectl_path).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(shop.repo),
            "KUBECONFIG": shop.cluster.kubeconfig(user),
            "PYTHONPATH": str(ROOT),
        }

    def __call__(self, *arguments: str, environ: Mapping[str, str] | None = None, code: int | None = 0) -> Ended:
        """Run the command; fail the test, with all that was said, if it ends with another code (None: any)."""
        done = subprocess.run(
            (sys.executable, "-m", "rollback_lib", *arguments),
            cwd=self.shop.repo,
            env={**self.environ, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr)
        if code is not None and ended.code != code:
            raise AssertionError(f"rollback {' '.join(arguments)}: {ended}")
        return ended

    def run(self, *arguments: str, to: str = "v1.1.0", code: int | None = 0) -> Ended:
        """`rollback run`, approved on the command line."""
        return self("run", "--environment=prod", f"--to={to}", "--yes", *arguments, code=code)

    def plan(self, *arguments: str, to: str = "v1.1.0", code: int | None = 0) -> "Plan":
        """`rollback plan`: what it says to people and to programs."""
        ended = self("plan", "--environment=prod", f"--to={to}", *arguments, code=code)
        return Plan(json.loads((self.latest / "plan.json").read_text()), ended.out)

    @property
    def latest(self) -> Path:
        """The newest run directory. Their names begin with the time, to the second; so their age decides."""
        runs = [p for p in (self.shop.repo / ".rollback").iterdir() if (p / "run.json").is_file()]
        return max(runs, key=lambda p: (p / "run.json").stat().st_mtime_ns)

    @property
    def manifests(self) -> str:
        """The folder of the manifests that the newest run applied."""
        return str(self.latest / "manifests")


class Plan:
    """plan.json, asked by name, and the text that people saw."""

    def __init__(self, data: Mapping[str, Any], text: str) -> None:
        self.data, self.text = data, text

    @property
    def objects(self) -> dict[str, Mapping[str, Any]]:
        return {f"{o['kind']}/{o['name']}": o for s in self.data["services"] for o in s["objects"]}

    @property
    def changes(self) -> dict[str, str]:
        """What happens to each object: `Deployment/user-service` → `update`."""
        return {name: o["change"] for name, o in self.objects.items()}

    @property
    def kept(self) -> dict[str, list[str]]:
        """The fields that are left to somebody else, by object."""
        return {name: o["kept"] for name, o in self.objects.items() if o["kept"]}

    @property
    def orphans(self) -> dict[str, str]:
        return {f"{o['kind']}/{o['name']}": o["change"] for o in self.data["orphans"]}

    @property
    def stuck(self) -> list[str]:
        return [s["workload"] for s in self.data["stuck"]]
