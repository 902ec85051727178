"""A kubectl that is killed, as an abort in Jenkins does it, after it has sent its write: which arrives later (J11)."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.cli.desk import Desk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of a POSIX system")


@pytest.mark.long
def test_j11_a_write_that_arrives_seconds_after_its_kubectl_was_killed_is_what_is_said(
    desk: Desk, tmp_path: Path
) -> None:
    real = desk.playground._kubectl
    fake = tmp_path / "bin" / "kubectl"
    fake.parent.mkdir()
    fake.write_text(
        f"""#!/bin/sh
case "$*" in *patch*deployments*)
  set -- $(for a in "$@"; do case "$a" in
    --patch-file=*) cp "${{a#*=}}" "{tmp_path}/late.json"; echo "--patch-file={tmp_path}/late.json";;
    *) echo "$a";; esac; done)
  setsid sh -c 'sleep 3; exec "$0" "$@"' "{real}" "$@" >/dev/null 2>&1 </dev/null &
  kill -TERM $$;;
esac
exec "{real}" "$@"
""",
        encoding="utf-8",
    )
    fake.chmod(0o755)
    run = ("run", "--to", "v1.1.0", "--yes", "--output", "json")
    ended = desk.rollback(*run, PATH=f"{fake.parent}:{os.environ['PATH']}")
    time.sleep(max(0.0, 4 - (time.time() - (tmp_path / "late.json").stat().st_mtime)))  # it has arrived by now
    patched = [e["mark"] for e in desk.events() if e.get("key", "").startswith("apply/deployment")]
    assert (ended.code, patched) == (4, ["announced", "done"]), ended
    assert ended.json["changed"] != []
    assert desk.rollback("resume", "--output", "json").code == 0
