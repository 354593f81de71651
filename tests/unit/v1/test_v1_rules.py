"""Schedules, chats and folders of v1 become the same in v2 as in the plan."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.v1.audit.chats import platform_of
from files.pods.v1.rules import (
    DAY,
    HOUR,
    MINUTE,
    address_of,
    chat_among,
    cron_of,
    is_folder,
    period_of,
    schedule,
    understood,
)
from files.pods.v1.v1_state import Group, Task
from tasks.model.migration.channels import channel_of
from tasks.model.migration.chats import group_disposition, task_disposition
from tests.unit.v1.v1_states import DATABASE

LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def of_field(field: str, low: int, high: int) -> set[int]:
    if field.isdigit():
        return {int(field)}
    return set(range(low, high + 1, int(field.removeprefix("*/")) if field != "*" else 1))


def gaps(cron: str) -> set[int]:
    """The times, in milliseconds, between runs in the first 90 days of a year that begins with a long month."""
    minute, hour, day, _month, _weekday = (
        of_field(*it) for it in zip(cron.split(), *zip(*LIMITS, strict=True), strict=True)
    )
    days = [number for number, date in enumerate([*range(1, 32), *range(1, 29), *range(1, 32)]) if date in day]
    runs = [(one * 24 + two) * 60 + three for one in days for two in sorted(hour) for three in sorted(minute)]
    return {(after - before) * MINUTE for before, after in pairwise(runs)}


periods = st.one_of(
    st.integers(1, 10**15),
    st.integers(1, 90).map(lambda number: number * MINUTE),
    st.integers(1, 72).map(lambda number: number * HOUR),
    st.integers(1, 40).map(lambda number: number * DAY),
)


@given(periods)
def test_interval_becomes_cron_and_is_exact_only_if_equal(period: int) -> None:
    cron, exact = cron_of(period)
    fields = cron.split()
    assert len(fields) == 5
    for field, (low, high) in zip(fields, LIMITS, strict=True):
        assert of_field(field, low, high) <= set(range(low, high + 1)) and of_field(field, low, high)
    assert exact == (gaps(cron) == {period})


@pytest.mark.parametrize(
    ("period", "cron", "exact"),
    [
        (1, "*/1 * * * *", False),
        (MINUTE, "*/1 * * * *", True),
        (90_000, "*/2 * * * *", False),
        (5 * MINUTE, "*/5 * * * *", True),
        (7 * MINUTE, "*/7 * * * *", False),
        (59 * MINUTE + 29_999, "*/59 * * * *", False),
        (59 * MINUTE + 30_000, "0 */1 * * *", False),
        (HOUR, "0 */1 * * *", True),
        (90 * MINUTE, "0 */2 * * *", False),
        (5 * HOUR, "0 */5 * * *", False),
        (12 * HOUR, "0 */12 * * *", True),
        (DAY, "0 0 */1 * *", True),
        (7 * DAY, "0 0 */7 * *", False),
        (27 * DAY, "0 0 */27 * *", False),
        (28 * DAY, "0 0 1 * *", False),
        (365 * DAY, "0 0 1 * *", False),
    ],
)
def test_nearest_cron_expression(period: int, cron: str, exact: bool) -> None:
    assert cron_of(period) == (cron, exact)


@given(st.sampled_from([("m", 60), ("h", 24), ("d", 28)]), st.integers(1, 27))
def test_schedules_agree_with_nanoclaws_step(unit: tuple[str, int], number: int) -> None:
    value = f"{number}{unit[0]}"
    assert understood(value) == (number < unit[1])
    form = {"m": "*/{} * * * *", "h": "0 */{} * * *", "d": "0 0 */{} * *"}[unit[0]]
    assert not understood(value) or cron_of(period_of(value))[0] == form.format(number)


values = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["0 7 * * *", "@daily", "7 * *", "1 2 3 4 5 6 7", "", " ", "60m", "0d", "3600000", "-5", "\u0663m", "5s"]
    ),
    st.integers(0, 10**16).map(str),
)
kinds = st.sampled_from(["cron", "interval", "once", "at", "never", ""])


@given(kinds, values, st.none() | st.just("2026-03-01T09:00:00.000Z"))
def test_schedules_agree_with_the_plan(kind: str, value: str, next_run: str | None) -> None:
    disposition, why = task_disposition(Task("main", "tg:1", kind, value, "paused", True), DATABASE)
    converted = schedule(kind, value, next_run)
    assert (converted is None) == (disposition == "skipped"), why
    if converted and next_run:
        assert converted[0] == next_run
    if converted and kind == "interval":
        active = task_disposition(Task("main", "tg:1", kind, value, "active", True), DATABASE)[0]
        assert (active == "migrated") == understood(value)


def test_due_time_of_a_task() -> None:
    assert schedule("cron", " 0 7 * * * ", None) == (None, "0 7 * * *")
    assert schedule("once", "2027-01-01T09:00:00", "2027-01-01T08:00:00Z") == ("2027-01-01T08:00:00Z", None)
    assert schedule("once", "2027-01-01T09:00:00", None) == ("2027-01-01T09:00:00", None)
    assert schedule("at", "", None) == (None, None)
    assert schedule("interval", "3600000", "x") == ("x", "0 */1 * * *")


@pytest.mark.parametrize(
    ("jid", "channel", "name"),
    [
        ("1@s.whatsapp.net", "whatsapp", "1@s.whatsapp.net"),
        ("1-2@g.us", "whatsapp", "1-2@g.us"),
        ("1@LID", "whatsapp", "1@LID"),
        ("status@broadcast", "whatsapp", "status@broadcast"),
        ("1@newsletter", "whatsapp", "1@newsletter"),
        ("wa:1", "whatsapp", "1"),
        ("dc:1", "discord", "1"),
        ("TG:-100", "telegram", "-100"),
        ("mx:!a:b", "matrix", "!a:b"),
        ("im:a@b", "imessage", "a@b"),
        ("slack:C1", "slack", "C1"),
    ],
)
def test_chat_of_each_channel_is_known_to_fix_up_and_audit(jid: str, channel: str, name: str) -> None:
    """As NanoClaw's own step names them (shared.ts); the audit has a list of its own."""
    assert address_of(jid) == (channel, name)
    assert platform_of(jid) == (channel, name if channel == "whatsapp" else f"{channel}:{name}")


@pytest.mark.parametrize("jid", ["", "1", ":1", "tg:", "tg", "g.us"])
def test_text_without_a_channel_or_a_name_is_no_chat(jid: str) -> None:
    assert address_of(jid) is None and platform_of(jid) is None


jids = st.one_of(
    st.text(max_size=20),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["tg", "DC", "wa", "mx", "im", "slack", "", "x"]),
        st.sampled_from([":", "@", ""]),
        st.sampled_from(["", "1", "-100", "a@g.us", "b:c", "g.us", "LID", "broadcast", "newsletter"]),
    ),
)


@given(jids)
def test_channels_agree_with_the_plan(jid: str) -> None:
    address = address_of(jid)
    assert (address[0] if address else None) == channel_of(jid)


@given(st.one_of(st.text(max_size=5), st.sampled_from(["", ".", "..", "a/b", "/", "main"])))
def test_folder_names_agree_with_the_plan(folder: str) -> None:
    disposition = group_disposition(Group(folder, "tg:1", False, True, []), replace(DATABASE, is_main=True))
    assert is_folder(folder) == (disposition[0] == "migrated") or "\0" in folder


CHATS = [
    ("mg-1", "telegram", "telegram:-100"),
    ("mg-2", "whatsapp", "1@g.us"),
    ("mg-3", "discord", "discord:77:5"),
    ("mg-4", "discord", "discord:@me:6"),
    ("mg-5", "discord", "discord:78:6"),
    ("mg-6", "slack", "slack:C1"),
    ("mg-7", "discord", "discord:79:15"),
    ("mg-8", "whatsapp", "47"),
]


@pytest.mark.parametrize(
    ("jid", "match"),
    [
        ("tg:-100", "mg-1"),
        ("TG:-100", "mg-1"),
        ("tg:100", None),
        ("1@g.us", "mg-2"),
        ("wa:1@g.us", None),  # v2 keeps the whole name of one that looks so
        ("wa:47", "mg-8"),
        ("dc:5", "mg-3"),
        ("dc:6", "mg-4"),
        ("dc:7", None),
        ("dc:.*", None),
        ("dc:%", None),
        ("slack:C1", "mg-6"),
        ("slack:slack:C1", "mg-6"),
        ("C1", None),
    ],
)
def test_chat_of_v1_matches_one_of_v2(jid: str, match: str | None) -> None:
    chat = chat_among(jid, CHATS)
    assert (chat[0] if chat else None) == match
