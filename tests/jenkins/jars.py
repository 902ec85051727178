"""Jenkins's own CPS engine and the Groovy that Jenkins embeds, from Maven Central, each with its checksum."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rollback-lib" / "jenkins-engine"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
JARS = {
    "com.cloudbees:groovy-cps:1.31": "ecfd4e43d75ca8204e278ff01d27c10d4b0d7b3ee781a18d1c363fc04c5c3e7e",
    "org.codehaus.groovy:groovy-all:2.4.21": "de65260cf2070442e99882f2f3d72e7531725c1e6a257446cc0cea525c607bd0",
    "com.google.guava:guava:11.0.1": "aa7cef9d2ba0110a2db7be0fb6e679cd71f6a26fc3ba9da7715f41d3300def1d",
}


def place(artifact: str) -> Path:
    _, name, version = artifact.split(":")
    return CACHE / f"{name}-{version}.jar"


def missing() -> list[str]:
    """The artifacts that are not there, or not what their checksum says."""
    return [artifact for artifact, wanted in JARS.items() if _sum(place(artifact)) != wanted]


def classpath() -> str:
    return os.pathsep.join(str(place(artifact)) for artifact in JARS)


def fetch() -> None:
    """Raises SystemExit with what to do."""
    wanted = missing()
    if not wanted:
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise SystemExit("mvn is not on the PATH: install Maven and a JDK (Debian: maven, default-jdk-headless)")
    CACHE.mkdir(parents=True, exist_ok=True)
    for artifact in wanted:
        command = (maven, "--quiet", "--batch-mode", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={CACHE}")
        subprocess.run(command, cwd=CACHE, check=True, timeout=600)
    if bad := missing():
        raise SystemExit(f"not what their checksum says: {', '.join(bad)}")


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


if __name__ == "__main__":
    fetch()
    sys.stdout.write(f"Jenkins's engine is in {CACHE}\n")
