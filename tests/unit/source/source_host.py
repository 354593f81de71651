"""A project root and its repository, worked on by the programs for the checkout, run for real."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tasks.model.host.checkout import CheckoutState
from tests.programs import entry_argv, request_fields

OLD, NEW = "v2.0.64", "v2.0.65"


@dataclass
class Host:
    """A project root, and the repository that it comes from."""

    root: Path
    repository: Path

    @property
    def lock(self) -> Path:
        return self.repository.with_name("lock")

    def run(self, name: str, **more: Any) -> subprocess.CompletedProcess[str]:
        me = pwd.getpwuid(os.getuid())
        request = {
            "root": str(self.root),
            "user": me.pw_name,
            "uid": me.pw_uid,
            "gid": me.pw_gid,
            "lock": str(self.lock),
            "gives": False,
            "unit": "n.service",
            "onecli": None,
            "peek": False,
            **more,
        }
        words = [*entry_argv(name), json.dumps(request_fields(name, request))]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    def look(
        self, ref: str, repository: str | None = None, *, peek: bool = False, onecli: str | None = None
    ) -> CheckoutState:
        result = self.run(
            "source.checkout", repository=repository or str(self.repository), ref=ref, peek=peek, onecli=onecli
        )
        assert result.returncode == 0, result.stderr
        return TypeAdapter(CheckoutState).validate_python(json.loads(result.stdout.splitlines()[-1]))

    def fetch(self, ref: str) -> subprocess.CompletedProcess[str]:
        return self.run("source.fetch", repository=str(self.repository), ref=ref, mounts=[], fetch=True)

    def move(self, ref: str, stash: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("source.switch_commit", ref=ref, stash=stash)

    def check_out(self, ref: str, stash: str | None = None) -> None:
        for done in (self.fetch(ref), self.move(ref, stash)):
            assert done.returncode == 0, done.stderr

    def git(self, *args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.root), *args], check=True, capture_output=True, text=True
        ).stdout.rstrip()

    def release(self, tag: str, files: dict[str, str | None]) -> None:
        """One more release after the newest, in which files are written or, for None, removed."""
        clone = self.repository.with_name(f"clone-{tag}")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@lab.invalid", "-C", str(clone)]
        subprocess.run(["git", "clone", "--quiet", str(self.repository), str(clone)], check=True)
        for name, content in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if content is None else path.write_text(content)
        for words in (
            ["add", "--all", "--force"],
            ["commit", "--quiet", "--message", tag],
            ["tag", tag],
            ["push", "--quiet", "origin", "main", tag],
        ):
            subprocess.run([*git, *words], check=True)

    @property
    def head(self) -> str:
        return self.git("describe", "--tags", "HEAD")

    @property
    def status(self) -> list[str]:
        return self.git("status", "--porcelain").splitlines()

    @property
    def version(self) -> str:
        return str(json.loads((self.root / "package.json").read_text())["version"])
