"""A project root and its repository, and real runs of the entries for the checkout."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from files.pods.common.protocol import Request, Sent, decode
from files.pods.source.protocol import CheckoutRequest, CheckoutState, FetchRequest, SwitchRequest
from tests.programs import request_argv, request_of

OLD, NEW = "v2.0.64", "v2.0.65"


@dataclass
class Host:
    """A project root, and the repository that it comes from."""

    root: Path
    repository: Path

    @property
    def lock(self) -> Path:
        return self.repository.with_name("lock")

    def request(self, kind: type[Sent], **more: Any) -> Sent:
        """Return a request about this project root; the fields that are not named have the usual value."""
        me = pwd.getpwuid(os.getuid())
        values = {"root": str(self.root), "user": me.pw_name, "uid": me.pw_uid, "gid": me.pw_gid}
        values |= {"lock": str(self.lock), "unit": "n.service", "repository": str(self.repository)}
        values |= {"decides_owner": False, "onecli": None, "peek": False, "mounts": [], "fetch": True, "stash": None}
        return request_of(kind, {**values, **more})

    def run(self, kind: type[Request], **more: Any) -> subprocess.CompletedProcess[str]:
        argv = request_argv(self.request(kind, **more))
        return subprocess.run(argv, capture_output=True, text=True, timeout=120)

    def look(self, ref: str, **more: Any) -> CheckoutState:
        result = self.run(CheckoutRequest, ref=ref, **more)
        assert result.returncode == 0, result.stderr
        return decode(CheckoutState, json.loads(result.stdout.splitlines()[-1]), CheckoutRequest.entry)

    def fetch(self, ref: str) -> subprocess.CompletedProcess[str]:
        return self.run(FetchRequest, ref=ref)

    def move(self, ref: str, stash: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(SwitchRequest, ref=ref, stash=stash)

    def check_out(self, ref: str, stash: str | None = None) -> None:
        for done in (self.fetch(ref), self.move(ref, stash)):
            assert done.returncode == 0, done.stderr

    def git(self, *args: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.root), *args], check=True, capture_output=True, text=True
        ).stdout.rstrip()

    def release(self, tag: str, files: dict[str, str | None]) -> None:
        """Publish another release, in which files are written or, for None, removed."""
        clone = self.repository.with_name(f"clone-{tag}")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@lab.invalid", "-C", str(clone)]
        subprocess.run(["git", "clone", "--quiet", str(self.repository), str(clone)], check=True)
        for name, content in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if content is None else path.write_text(content)
        for args in (
            ["add", "--all", "--force"],
            ["commit", "--quiet", "--message", tag],
            ["tag", tag],
            ["push", "--quiet", "origin", "main", tag],
        ):
            subprocess.run([*git, *args], check=True)

    @property
    def head(self) -> str:
        return self.git("describe", "--tags", "HEAD")

    @property
    def status(self) -> list[str]:
        return self.git("status", "--porcelain").splitlines()

    @property
    def version(self) -> str:
        return str(json.loads((self.root / "package.json").read_text())["version"])
