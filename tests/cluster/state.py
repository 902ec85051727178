"""Where a running cluster is, and whether it still is."""

import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Self

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]
USER_AGENT = "test-cluster"  # of the tests' own questions, which are not counted


@dataclass(frozen=True)
class ClusterState:
    """Where a running cluster is: what the state file holds."""

    pid: int
    version: str
    work: str
    server: str
    registry_url: str
    audit_log: str
    programs: str
    kubeconfigs: Mapping[str, str]
    admin_token: str

    @property
    def kubectl(self) -> str:
        return f"{self.programs}/kubectl"

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """The state in a file, or None when there is none or the cluster does not answer any more."""
        try:
            state = cls(**json.loads(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return state if state.answers() else None

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.{os.getpid()}")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        unfinished.replace(file)

    def get(self, path: str, timeout: float = 5.0) -> bytes:
        """A GET of the API server as the administrator."""
        request = urllib.request.Request(
            self.server + path, headers={"Authorization": f"Bearer {self.admin_token}", "User-Agent": USER_AGENT}
        )
        certificates = create_default_context(cafile=f"{self.work}/certs/apiserver.crt")
        with urllib.request.urlopen(request, timeout=timeout, context=certificates) as answer:
            body: bytes = answer.read()
        return body

    def answers(self) -> bool:
        """Whether it serves and is looked after. What a killed owner left may still serve, but is about to be swept."""
        try:
            os.kill(self.pid, 0)
            return self.get("/readyz") == b"ok"
        except (OSError, ValueError):
            return False


def default_state_file() -> Path:
    """Where developers keep the state of the cluster that stays up; the environment can name another place."""
    given = os.environ.get("ROLLBACK_TEST_CLUSTER_STATE", "").strip()
    return Path(given) if given else REPOSITORY_ROOT / ".cluster" / "state.json"
