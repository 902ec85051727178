"""Writes what an administrator installs from.

make wheel         dist/: the wheel, rollback-lib.lock, rollback-lib.cdx.json (the bill of materials)
make wheelhouse    dist/wheelhouse/: these three, and a wheel of everything that the lock names
make audit         what an index of advisories says of the lock
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import parse_wheel_filename

from supply import lock
from supply.audit import audit
from supply.bill import bill

ROOT: Final = Path(__file__).parents[1]
DIST: Final = ROOT / "dist"
HOUSE: Final = DIST / "wheelhouse"
RUN: Final = ROOT / "locks" / "run.txt"
LOCK: Final = "rollback-lib.lock"
BILL: Final = "rollback-lib.cdx.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="supply", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("wheel")
    commands.add_parser("wheelhouse").add_argument(
        "versions", nargs="*", metavar="3.12", help="more versions of Python"
    )
    commands.add_parser("audit").add_argument("options", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    os.umask(0o022)  # what is in a wheel has the modes of the machine that built it
    if given.command == "audit":
        found = audit(str(RUN), given.options)
        print(*found.lines, sep="\n")
        return found.code
    made = wheel()
    if given.command == "wheelhouse":
        wheelhouse(made, given.versions)
        print(f"{HOUSE.relative_to(ROOT)}: {len(list(HOUSE.glob('*.whl')))} wheels, {LOCK}, {BILL}")
    else:
        print(*(made.with_name(name).relative_to(ROOT) for name in (made.name, LOCK, BILL)), sep="\n")
    return 0


def wheel() -> Path:
    """Built of a copy of what git has, and nothing else that lies here: the same bytes for the same commit."""
    for old in DIST.glob("rollback_lib-*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as copy:
        for name in filter(None, git("ls-files", "-z").split("\0")):
            target = Path(copy, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():  # else deleted, and not yet committed
                shutil.copyfile(ROOT / name, target)
        pip(
            "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", str(DIST), copy
        )
    (made,) = DIST.glob("rollback_lib-*.whl")
    write(DIST, made, lock.read(RUN.read_text(encoding="utf-8")))
    return made


def wheelhouse(made: Path, versions: Sequence[str]) -> None:
    """For this machine's platform, this Python and those of ``versions``. What has no wheel is built and pinned."""
    shutil.rmtree(HOUSE, ignore_errors=True)
    checked = ("--no-deps", "--require-hashes", "--requirement")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(HOUSE), *checked, str(RUN))
    pins = lock.read(RUN.read_text(encoding="utf-8"))
    known = {h for pin in pins for h in pin.hashes}
    hashes = {parse_wheel_filename(file.name)[0]: lock.hash_of(file) for file in HOUSE.iterdir()}
    built = {name: found for name, found in hashes.items() if found not in known}
    with tempfile.TemporaryDirectory() as folder:
        served = Path(folder, "served.txt")
        served.write_text(lock.written([pin for pin in pins if pin.name not in built]), encoding="utf-8")
        for version in sorted({*versions} - {".".join(platform.python_version_tuple()[:2])}):
            pip(
                "download",
                "--only-binary",
                ":all:",
                "--python-version",
                version,
                "--dest",
                str(HOUSE),
                *checked,
                str(served),
            )
    pins = [pin._replace(hashes=(*pin.hashes, built[pin.name])) if pin.name in built else pin for pin in pins]
    shutil.copy2(made, HOUSE)
    for folder_of in (DIST, HOUSE):
        write(folder_of, made, pins)


def write(folder: Path, made: Path, pins: Sequence[lock.Pin]) -> None:
    """The lock with the wheel's own hash, and the bill of materials, beside the wheel."""
    name, version, *_ = parse_wheel_filename(made.name)
    own = lock.Pin(name, str(version), (lock.hash_of(made),))
    (folder / LOCK).write_text(lock.written([*pins, own]), encoding="utf-8", newline="\n")
    (folder / BILL).write_text(bill(own, pins, int(epoch())), encoding="utf-8", newline="\n")


def git(*words: str) -> str:
    return subprocess.run(("git", *words), cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def epoch() -> str:
    return os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct").strip()


def pip(*words: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch()}
    subprocess.run((sys.executable, "-m", "pip", "--quiet", *words), cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
