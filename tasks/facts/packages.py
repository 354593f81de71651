"""Debian packages of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact


@dataclass(frozen=True)
class InstalledPackages:
    """Installed packages among those asked for: name to version."""

    installed: dict[str, str]


class Packages(ProgramFact[InstalledPackages]):
    """Which of the named Debian packages are installed (dpkg-query(1))."""

    program = "machine.packages"
    document = InstalledPackages

    def command(self, packages: list[str]) -> StringCommand:
        return self.ask(packages=packages)
