"""Apply the gateway and the channels of a staged version there, by NanoClaw's own setup, and build it with them.

The setup gets a copy of .env. What it sets there is written down, and comes to the project root with the switch, as all
that the skills have written.
Standard input may have {"token": TEXT}, of the gateway's server; else ONECLI_API_KEY of .env is the token.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import parse
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_host_user import become_user, discard_write_errors, run_with_deadline
from files.pods.source import apply_skills
from files.pods.source.shims import move_shims
from files.pods.source.skill_documents import SkillsRequest
from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import StageSkillsRequest
from files.pods.source.switch_skills import NEW_ENTRIES


def main(request: StageSkillsRequest, token: str | None) -> None:
    """Apply the skills in the stage."""
    root, stage = request.root, stage_of(request.root)
    before = read_untrusted_text(f"{root}/.env", follow=True) or ""
    replace(f"{stage}/.env", before.encode(), 0o600)
    skills = SkillsRequest(
        user=request.user,
        uid=request.uid,
        gid=request.gid,
        root=stage,
        lock=request.lock,
        gateway=request.gateway,
        server=request.server,
        channels=request.channels,
    )
    try:
        apply_skills.main(skills, token)
        after, known = parse(read_untrusted_text(f"{stage}/.env") or ""), parse(before)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(f"{stage}/.env")
    entries = {name: value for name, value in after.items() if known.get(name) != value}
    replace(f"{stage}/.git/{NEW_ENTRIES}", json.dumps(entries).encode(), 0o600)
    move_shims(root)


if __name__ == "__main__":
    request = read_request(StageSkillsRequest)
    token = apply_skills.read_token()
    run_lock.acquire(request.lock)
    run_with_deadline(2000, request.root)
    become_user(request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    main(request, token)
