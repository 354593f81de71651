"""Apply the gateway and the channels of a checkout, by NanoClaw's own setup, and build what comes of it.

Runs as the host user, in the project root or in a staged one. What was applied before is undone first, so that the
checkout has these skills and no others. If one of them fails, what was applied before comes back; an interrupted run is
undone by the next one. The setup makes no commit, and cannot restart the service: the role does that.
Standard input may have {"token": TEXT}, of the gateway's server; else ONECLI_API_KEY of .env is the token.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from files.pods.common import run_lock
from files.pods.common.dotenv import parse
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_host_user import become_user, discard_write_errors, run_with_deadline
from files.pods.source.build import build_tree
from files.pods.source.channel_undo import begin_channel, undo_channel
from files.pods.source.checkout import build_state, version
from files.pods.source.git_trust import trusting
from files.pods.source.git_worktree import Tree
from files.pods.source.skill_documents import SkillRecord, SkillsRequest
from files.pods.source.skill_drivers import apply_channel, apply_gateway
from files.pods.source.skill_record import finish_skills, local_changes, revert_skills, undo_skills, written_files
from files.pods.source.skill_results import SkillResult
from files.pods.source.version_files import BLOCK_COMMENT, GATEWAYS, SIDE_EFFECT

SERVERS = {"onecli": ("NANOCLAW_ONECLI_API_HOST", "NANOCLAW_ONECLI_API_TOKEN", "ONECLI_API_KEY")}
"""By kind: the variables of its setup that name a server and its token, and the entry of .env with that token."""
BARRELS = ("src/channels/index.ts", "src/channels/index.js")
BIN = "nanoclaw-pods-bin"
NO_RESTART = "#!/bin/sh\necho 'the role starts NanoClaw, after all of its setup' >&2\nexit 1\n"
LEAST_SECRET = 6
"""Shorter values of .env are words that any output may have."""


def imports(root: str, *paths: str) -> set[str]:
    """Return the modules that files import for their effect, without their suffix."""
    texts = [read_untrusted_text(os.path.join(root, path)) or "" for path in paths]
    return {
        name.rpartition(".")[0] or name for text in texts for name in SIDE_EFFECT.findall(BLOCK_COMMENT.sub("", text))
    }


def entries(root: str) -> dict[str, str]:
    """Return the entries of .env."""
    return parse(read_untrusted_text(os.path.join(root, ".env")) or "")


def create_env(root: str) -> None:
    """Create .env before the setup does, which would let others read it."""
    with suppress(FileExistsError):
        os.close(os.open(os.path.join(root, ".env"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))


@contextmanager
def setup_environment(tree: Tree, variables: dict[str, str]) -> Iterator[None]:
    """Set the variables of NanoClaw's setup, and put a systemctl in its PATH that does nothing."""
    folder = f"{tree.git_dir}/{BIN}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/systemctl", "w", encoding="utf-8") as file:
        file.write(NO_RESTART)
    os.chmod(f"{folder}/systemctl", 0o755)
    path = f"{folder}:{os.environ['PATH']}"
    new = {**variables, "NANOCLAW_SETUP_COMMIT": "0", "PATH": path}
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Skills:
    """The skills of one checkout."""

    def __init__(self, request: SkillsRequest, token: str | None) -> None:
        self.root, self.request, self.token = request.root, request, token
        self.tree = Tree(request.root)

    def fail(self, what: str, reasons: tuple[str, ...]) -> None:
        """Exit with the reasons, without anything secret."""
        text = "; ".join(reasons) or "it is not in the checkout afterwards"
        hidden = {*entries(self.root).values(), self.token or ""}
        for secret in sorted((it for it in hidden if len(it) >= LEAST_SECRET), key=len, reverse=True):
            text = text.replace(secret, "[not shown]")
        sys.exit(f"NanoClaw's setup did not apply {what}: {text}. This is undone. Remove the cause, then run again.")

    def gateway(self, kind: str) -> None:
        """Apply the gateway, where the version has the contract of one."""
        place = f"{GATEWAYS}/installed.ts"
        if not os.path.exists(os.path.join(self.root, place)) or kind in imports(self.root, place):
            return
        host, key, entry = SERVERS.get(kind, (None, None, ""))
        if host is None or key is None or not self.request.server:
            sys.exit(
                f"the setup of the gateway {kind} would pipe an installer from the network into a shell: set "
                "nanoclaw_gateway_server to the address of a server that runs"
            )
        token = self.token or entries(self.root).get(entry)
        create_env(self.root)
        with setup_environment(self.tree, {host: self.request.server, **({key: token} if token else {})}):
            result = apply_gateway(self.root, kind)
        if result is None:
            self.fail(f"the gateway {kind}", ("this version has nothing that applies it",))
        elif not result.applied or kind not in imports(self.root, place):
            reasons = (*result.failed, *result.left, *(f"it wants {name}" for name in result.inputs))
            self.fail(f"the gateway {kind}", reasons or (f"{place} does not import it",))

    def channel(self, name: str) -> None:
        """Apply a channel. Its login or pairing is left to the operator."""
        before = imports(self.root, *BARRELS)
        if name in before:
            return
        with setup_environment(self.tree, {}):
            result = apply_channel(self.root, name)
        if result is None:
            self.fail(f"the channel {name}", ("this version has nothing that applies it",))
        elif not result.is_in or not imports(self.root, *BARRELS) - before:
            self.fail(f"the channel {name}", result.failed or ("src/channels/index.ts does not import it",))
        else:
            self.tell(name, result)

    def tell(self, name: str, result: SkillResult) -> None:
        """Print what is left to the operator."""
        rest = [*result.left, *(f"{it} (an entry of .env, or NanoClaw's own setup)" for it in result.inputs)]
        if rest:
            print(f"{name} is in the checkout; left to you: {'; '.join(rest)}")

    def apply(self) -> None:
        """Undo what was applied before, apply what is desired, build, and write the record.

        What was applied before comes back if that fails.
        """
        begin_channel(self.tree, "skills")
        try:
            revert_skills(self.tree)
            before = local_changes(self.tree)
            with trusting(self.root):
                if self.request.gateway:
                    self.gateway(self.request.gateway)
                for name in self.request.channels:
                    self.channel(name)
            self.build()
            files = written_files(self.tree, before)
        except BaseException:
            undo_channel(self.tree)
            with suppress(SystemExit):
                self.build()
            raise
        head, gateway = self.tree.commit("HEAD") or "", self.request.gateway
        server = self.request.server if gateway else None
        finish_skills(self.tree, SkillRecord(head, gateway, server, self.request.channels, files))

    def build(self) -> None:
        """Build the checkout as it is now."""
        state = build_state(self.root, self.tree.commit("HEAD"), version("node", "--version"))
        build_tree(self.root, state.source)


def main(request: SkillsRequest, token: str | None) -> None:
    """Undo what was applied before, and apply what is desired."""
    skills = Skills(request, token)
    undo_channel(skills.tree)
    if request.gateway or request.channels:
        skills.apply()
    else:
        undo_skills(skills.tree)
        skills.build()


def read_token() -> str | None:
    """Return the token of standard input, or None."""
    text = sys.stdin.read()
    payload: Any = json.loads(text) if text.strip() else {}
    return payload.get("token") if isinstance(payload, dict) else None


if __name__ == "__main__":
    request = read_request(SkillsRequest)
    token = read_token()
    run_lock.acquire(request.lock)
    run_with_deadline(2000, request.root)
    become_user(request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    main(request, token)
