"""Each kind of host that the role makes, as the settings that make it one."""

from __future__ import annotations

from typing import Any

SECRET = "HUSH-hush-4711"
_ROOT: dict[str, Any] = {"nanoclaw_user": "root"}

KINDS: dict[str, dict[str, Any]] = {
    "squash": {"nanoclaw_env": {"DISCORD_BOT_TOKEN": SECRET, "TZ": "Europe/Oslo"}},
    "own": {"nanoclaw_uid": 1500, "nanoclaw_environment": {"LOG_LEVEL": "debug"}},
    "pods": {**_ROOT, "nanoclaw_root": "/pods/nanoclaw-v2"},
    "chown": {**_ROOT, "pods_access": "chown"},
    "native": {"pods_access": "native"},
    "local": {"pods_server": "local", "pods_export": None},
}
