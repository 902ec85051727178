"""What an administrator installs goes into the wheel too, beside the code (`rollback jenkins render` writes it)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FILES = [Path("Jenkinsfile.rollback"), *(p for p in sorted(Path("jenkins").rglob("*")) if p.is_file())]


class WithInstallation(build_py):
    def run(self) -> None:
        if self.editable_mode:
            return super().run()
        package = Path(self.build_lib, "rollback_lib")
        shutil.rmtree(package, ignore_errors=True)  # an earlier build's: what has gone since would go along
        super().run()
        for file in FILES:
            target = package / "install" / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *map(str, FILES)]


setup(cmdclass={"build_py": WithInstallation})
