"""Rules that convert schedules and chats of a NanoClaw v1 to v2: pure, for programs that import it.

NanoClaw's own are in its setup/migrate-v2: shared.ts (chats), tasks.ts (schedules). The plan of a migration shows an
operator the same (tasks/model/migration); a test compares both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
UNITS = {"": 1, "s": 1000, "m": MINUTE, "h": HOUR, "d": DAY}
FORMS = ((MINUTE, 60, "*/{} * * * *"), (HOUR, 24, "0 */{} * * *"), (DAY, 28, "0 0 */{} * *"))
MONTHLY = "0 0 1 * *"

PREFIXES = {"dc": "discord", "tg": "telegram", "wa": "whatsapp", "mx": "matrix", "im": "imessage"}
WHATSAPP = ("s.whatsapp.net", "g.us", "lid", "broadcast", "newsletter")


def period_of(value: str) -> int:
    """Return the milliseconds of an interval: v1 writes these, or a number and its unit; 0 for an invalid one."""
    match = re.fullmatch("([0-9]{1,15})([smhd]?)", value.strip(), re.ASCII)
    return int(match[1]) * UNITS[match[2]] if match else 0


def understood(value: str) -> bool:
    """Return whether NanoClaw's own step converts an interval to a cron expression."""
    match = re.fullmatch("([0-9]{1,4})([mhd])", value.strip(), re.ASCII)
    return match is not None and 0 < int(match[1]) < {"m": 60, "h": 24, "d": 28}[match[2]]


def cron_of(period: int) -> tuple[str, bool]:
    """Return the cron expression nearest to a period in milliseconds, in the forms that NanoClaw's own step writes, and
    whether it is exact: */n starts again with each hour, day or month."""
    for unit, most, form in FORMS:
        number = max(1, (period + unit // 2) // unit)
        if number < most:
            even = number == 1 or (unit != DAY and most % number == 0)
            return form.format(number), even and number * unit == period
    return MONTHLY, False


def schedule(kind: str, value: str, next_run: str | None) -> tuple[str | None, str | None] | None:
    """Return when a task is due (None: now) and how it recurs (None: not); None if v1 itself could not schedule it.

    v1 and v2 read cron expressions with one library, which also accepts fewer than five fields, and names.
    """
    if kind == "cron":
        return (next_run, value.strip()) if 0 < len(value.split()) <= 6 else None
    if kind == "interval":
        return (next_run, cron_of(period)[0]) if (period := period_of(value)) else None
    if kind in ("once", "at"):
        return next_run or value or None, None
    return None


def address_of(jid: str) -> tuple[str, str] | None:
    """Return the channel of a chat, as v2 names it, and the chat's name there; None for an unknown form."""
    if "@" in jid and jid.rpartition("@")[2].lower() in WHATSAPP:
        return "whatsapp", jid
    prefix, _colon, name = jid.partition(":")
    prefix = prefix.lower()
    return (PREFIXES.get(prefix, prefix), name) if prefix and name else None


def chat_among(jid: str, chats: Iterable[tuple[str, str, str]]) -> tuple[str, str, str] | None:
    """Return the messaging group of v2, (id, channel, platform id), of a chat of v1."""
    address = address_of(jid)
    if address is None:
        return None
    channel, name = address
    known = {platform: (number, kind, platform) for number, kind, platform in chats if kind == channel}
    for platform_id in (f"discord:@me:{name}",) if channel == "discord" else (name, f"{channel}:{name}"):
        if platform_id in known:
            return known[platform_id]
    if channel == "discord":  # v2 adds the server, which v1 did not record
        matches = [platform for platform in known if re.fullmatch(f"discord:[^:]+:{re.escape(name)}", platform)]
        return known[matches[0]] if matches else None
    return None


def is_folder(name: object) -> bool:
    """Return whether a name is a valid directory name: NanoClaw makes paths of it."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & {"/", "\0"}
