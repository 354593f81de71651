"""The containers of an install's agents: for programs that import it.

A gateway's container has the install's label too. NanoClaw starts it once, at its setup, and nothing starts it again.
"""

from __future__ import annotations

LISTING = '{{.ID}}\t{{.Label "nanoclaw-session"}}\t{{.Label "nanoclaw-role"}}'
"""docker-ps(1), --format."""


def list_agents(install: str) -> list[str]:
    """The argv that lists the containers of an install, for `agents_of`."""
    return ["docker", "ps", "--filter", f"label=nanoclaw-install={install}", "--format", LISTING]


def agents_of(listed: str) -> list[str]:
    """Those that are agents: of a session, or of a version that labels no roles."""
    rows = [line.split("\t") for line in listed.splitlines() if line.strip()]
    return [row[0] for row in rows if len(row) < 3 or row[1] or not row[2]]
