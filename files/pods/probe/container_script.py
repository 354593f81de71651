"""Shell script with the agent's steps in a container; it needs only the tools of the image.

Without its last line the container ended before its last step.
"""

from __future__ import annotations

SCRIPT = r"""
echo "id $(id -u) $(id -g)"
try() { if said=$( { eval "$2"; } 2>&1 ); then echo "ok $1"; else echo "fail $1: $said" | tr '\n' ' '; echo; fi; }
try "open outbound.db for writing" ': >> /workspace/outbound.db'
try "create and remove outbound.db-journal" ': > /workspace/outbound.db-journal && rm /workspace/outbound.db-journal'
if command -v sqlite3 >/dev/null; then
    try "write outbound.db with SQLite" 'sqlite3 -batch -bail /workspace/outbound.db "INSERT INTO note VALUES (1)"'
fi
try "touch .heartbeat" 'touch /workspace/.heartbeat'
try "make outbox/message" 'mkdir /workspace/outbox/container && : > /workspace/outbox/container/file'
try "read inbound.db" 'cat /workspace/inbound.db > /dev/null'
try "read its context" 'cat /workspace-context/*.json > /dev/null'
try "write in the group directory" ': > /workspace/agent/container && mkdir /workspace/agent/conversations'
try "write in its home" 'mkdir /home/node/.claude/projects'
echo end
"""
