"""Plan and audit of a migration read .env as NanoClaw does."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from files.pods.common.dotenv import V1_HEADING, effective_entries, safe_labels, unread_lines
from files.pods.v1.audit.entries import Below
from files.pods.v1.audit.files import Files
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.audit.protocol import AuditRequest
from files.pods.v1.extract import copy_env
from files.pods.v1.files import env_of
from files.pods.v1.fix_up import settle_env
from files.pods.v1.queries import UnreadError
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.refusals import refusals
from tests.unit.v1.v1_states import INSTALL, SPACES, host

SECRET = "wK3rT9zQ"
BASE64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ" + SECRET


def nanoclaws_step(snapshot: Path, root: Path) -> None:
    """setup/migrate-v2/env.ts of NanoClaw 2.0.64."""

    def parsed(text: str) -> dict[str, str]:
        entries = {}
        for raw in text.split("\n"):
            line = raw.rstrip()
            name, equals, _value = line.partition("=")
            known = re.fullmatch("[A-Z_][A-Z0-9_]*", name.strip(), re.IGNORECASE | re.ASCII)
            if not line.startswith("#") and equals and known:
                entries[name.strip()] = line
        return entries

    if not (snapshot / ".env").exists():
        return
    before = (root / ".env").read_text() if (root / ".env").exists() else ""
    there = parsed(before)
    missing = [line for name, line in parsed((snapshot / ".env").read_text()).items() if name not in there]
    if missing:
        text = before + ("\n" if before and not before.endswith("\n") else "")
        text += "" if V1_HEADING in before else f"\n{V1_HEADING}\n"
        (root / ".env").write_text(text + "\n".join(missing) + "\n")


class Case:
    """A v1, its snapshot and its v2."""

    def __init__(self, folder: Path, v2s: str | None = None) -> None:
        self.v1, self.snapshot, self.root = folder / "v1", folder / "snapshot", folder / "v2"
        for place in (self.v1, self.snapshot, self.root):
            place.mkdir()
        if v2s is not None:
            (self.root / ".env").write_text(v2s)

    def migrate(self, text: str, kept: Sequence[str] = ()) -> None:
        (self.v1 / ".env").write_text(text)
        (self.snapshot / ".env").unlink(missing_ok=True)
        top = os.open(self.v1, os.O_RDONLY)
        copy_env(top, str(self.snapshot / ".env"))
        os.close(top)
        nanoclaws_step(self.snapshot, self.root)
        settle_env(str(self.snapshot), str(self.root), set(kept))
        if (self.root / ".env").exists():
            (self.root / ".env").chmod(0o600)

    def account(self, kept: Sequence[str] = ()) -> dict[str, Any]:
        ledger, me = Ledger([]), (os.getuid(), os.getgid())
        v1, v2 = (Below(os.open(place, os.O_RDONLY)) for place in (self.v1, self.root))
        request = AuditRequest("/v1", "/v2", "/snapshot", me, me, False, 60, [], list(kept), None)
        files = Files(request, v2, {}, {}, ledger)
        files.env(v1, request.env_set)
        for below in (v1, v2):
            below.directory([])
            os.close(below.chain[0][1] or -1)
        return asdict(ledger.report(""))


LINES = st.sampled_from(
    [
        "A_TOKEN=1",
        "A_TOKEN=2",
        "A_TOKEN=",
        "  A_TOKEN = 'x y' ",
        "export A_TOKEN=3",
        "export B_TOKEN=4",
        "=====",
        "-----",
        "# A_TOKEN=5",
        "  # c",
        "",
        "x-y=1",
        "B_KEY={",
        '  "a": "b=c",',
        "}",
        "lower=1",
        'Q_Q="a=b"',
        "Q_Q=\"'x'\"",
        "TZ=Europe/Oslo\r",
        BASE64 + "==",
        "\ufeffC_KEY=1",
        'C_KEY=""',
        "no equals",
        f"ANTHROPIC_API_KEY={SECRET}",
    ]
)
TEXTS = st.lists(LINES, max_size=8).map("\n".join)


def test_lines_that_nanoclaw_does_not_read_are_skipped_by_the_audit(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.migrate("export A=1\nTZ=Europe/Rome\n=====\n")
    report = case.account()
    assert report["left"] == [{"what": "lines of .env", "why": "NanoClaw does not read them: 1, 3"}]
    assert (report["lost"], report["counts"]["env"]) == ([], {"v1": 1, "v2": 1})


def test_values_that_are_no_utf_8_are_carried_byte_for_byte(tmp_path: Path) -> None:
    """And what v1 changes between staging and the switch; entries of v2's own stay."""
    case = Case(tmp_path)
    (case.v1 / ".env").write_bytes(b"A_TOKEN=caf\xe9\n")
    (case.root / ".env").write_bytes(b"OWN=\xff\n")
    top = os.open(case.v1, os.O_RDONLY)
    try:
        copy_env(top, str(case.snapshot / ".env"))
    finally:
        os.close(top)
    assert (case.snapshot / ".env").read_bytes() == b"A_TOKEN=caf\xe9\n"
    assert settle_env(str(case.snapshot), str(case.root), set()) == 1
    heading = V1_HEADING.encode()
    assert (case.root / ".env").read_bytes() == b"OWN=\xff\n\n" + heading + b"\nA_TOKEN=caf\xe9\n"
    assert (case.root / ".env").stat().st_mode & 0o777 == 0o600
    assert settle_env(str(case.snapshot), str(case.root), set()) == 0


@given(TEXTS, TEXTS, st.none() | TEXTS)
@example("", "A_TOKEN=1", "A_TOKEN=\nlower=1")
def test_entries_that_the_plan_carries_are_not_lost(text: str, later: str, v2s: str | None) -> None:
    """Also where v1 changes its .env between staging and the switch, and v2 has entries of its own."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), v2s)
        case.migrate(text)
        case.migrate(later)
        answer = case.account()
        if not effective_entries(later) and not (case.root / ".env").exists():
            return
        assert answer["lost"] == []
        assert answer["counts"]["env"]["v1"] == len(env_of(str(case.v1))["env"])
        own = effective_entries((v2s or "").partition(V1_HEADING)[0])
        now = effective_entries((case.root / ".env").read_text())
        assert now == {**now, **effective_entries(later), **own}


@given(TEXTS)
def test_line_without_a_name_is_unread_unless_it_is_a_comment(text: str) -> None:
    lines = text.split("\n")
    odd = ("export ", "=====", "-----", "x-y", '  "a"', "}", "no equals")
    assert unread_lines(text) == [number for number, line in enumerate(lines, 1) if line.startswith(odd)]


def test_entry_that_the_role_sets_may_have_another_value(tmp_path: Path) -> None:
    case = Case(tmp_path, "TZ=Europe/Rome\n")
    case.migrate("TZ=Europe/Oslo\nA_TOKEN=1\n", kept=["TZ"])
    assert case.account(kept=["TZ"])["lost"] == [] and case.account(kept=["TZ"])["left"] == []
    assert effective_entries((case.root / ".env").read_text()) == {"TZ": "Europe/Rome", "A_TOKEN": "1"}


def test_entry_of_v2_stays_and_is_reported(tmp_path: Path) -> None:
    case = Case(tmp_path, "A_TOKEN=of-v2\n")
    case.migrate("A_TOKEN=of-v1\n")
    answer = case.account()
    assert answer["lost"] == [] and [one["what"] for one in answer["left"]] == ["env A_TOKEN"]


def test_missing_or_different_value_is_lost_and_not_shown(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.migrate(f"A_TOKEN={SECRET}\nB_TOKEN={SECRET}\n")
    (case.root / ".env").write_text(f"{V1_HEADING}\nA_TOKEN=other\n")
    (case.root / ".env").chmod(0o600)
    answer = case.account()
    assert {one["what"]: one["why"] for one in answer["lost"]} == {
        "env A_TOKEN": "has another value",
        "env B_TOKEN": "not there",
    }
    assert SECRET not in json.dumps(answer)


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN PRIVATE KEY-----\n{BASE64}\n{SECRET}_X=\n{SECRET}==\n-----END PRIVATE KEY-----\n",
        f'KEY_FILE="-----BEGIN PRIVATE KEY-----\n{BASE64}=\nWK_{SECRET.upper()}=x\n-----END PRIVATE KEY-----"\n',
        f'GOOGLE_JSON={{\n  "private_key": "{SECRET}=",\n{SECRET}=x\nAB_{SECRET.upper()}=x\n}}\n',
        f"{BASE64}=\n",
        f"export {SECRET}=1\n{SECRET} {SECRET}=1\n",
        f"{SECRET.upper()}=\n{SECRET.upper()}=1\n",
    ],
)
def test_no_part_of_a_value_is_shown_as_a_name(tmp_path: Path, text: str) -> None:
    case = Case(tmp_path)
    case.migrate(text)
    shown = json.dumps([env_of(str(case.v1)), case.account()])
    (case.root / ".env").write_text("")
    shown += json.dumps(case.account())
    assert SECRET.upper() not in shown.upper() and BASE64[:20] not in shown
    assert case.account()["counts"]["env"]["v1"] == len(effective_entries(text))


@pytest.mark.parametrize("kind", ["link", "pipe", "large", "directory"])
def test_env_that_is_no_small_file_is_refused_before_staging(tmp_path: Path, kind: str) -> None:
    case = Case(tmp_path)
    place = case.v1 / ".env"
    if kind == "link":
        place.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "large":
        place.write_bytes(b"A=1\n" * (1 << 20))
    else:
        place.mkdir()
    assert env_of(str(case.v1)) == {"env": None, "env_unread": []}
    top = os.open(case.v1, os.O_RDONLY)
    with pytest.raises(UnreadError, match=r"\.env is a link, no file, or too large"):
        copy_env(top, str(case.snapshot / ".env"))
    os.close(top)
    install, plan = replace(INSTALL, env=None), host()
    against = refusals(install, plan_migration(install, SPACES, plan), plan)
    assert any("/.env is a link, no file" in one.why for one in against)


def test_plan_names_lines_that_nanoclaw_does_not_read() -> None:
    install, plan = replace(INSTALL, env_unread=[2, 7]), host()
    (item,) = [item for item in plan_migration(install, SPACES, plan).items if item.of == ("env lines",)]
    assert (item.disposition, item.what) == ("skipped", "2 lines of .env (2, 7)")


def test_label_is_a_conventional_name_or_a_number() -> None:
    text = "ANTHROPIC_API_KEY=1\nTZ=2\nlower=3\nABCDEF=4\nWITH_QUOTE='a\nNOT_A_NAME=x\n'\nEMPTY_ONE=\n"
    assert safe_labels(text) == {
        "ANTHROPIC_API_KEY": "ANTHROPIC_API_KEY",
        "TZ": "TZ",
        "lower": "line 3",
        "ABCDEF": "line 4",
        "WITH_QUOTE": "WITH_QUOTE",
        "NOT_A_NAME": "line 6",
    }


@pytest.mark.parametrize("value", ['"x"  # of Discord', "'x' #", '""', "'", '{"a": 1}'])
def test_name_after_a_value_of_one_line_is_shown(value: str) -> None:
    text = f"A_KEY={value}\nDISCORD_BOT_TOKEN=1\n"
    assert safe_labels(text)["DISCORD_BOT_TOKEN"] == ("line 2" if value == "'" else "DISCORD_BOT_TOKEN")


@pytest.mark.parametrize(("start", "end"), [('"""', '"""'), ("'''", "'''"), ("`", "`"), ('"x" y', '"'), ("[", "]")])
def test_name_within_a_value_of_several_lines_is_not_shown(start: str, end: str) -> None:
    assert safe_labels(f"A_KEY={start}\nNOT_A_NAME=x\n{end}\nB_KEY=1") == {
        "A_KEY": "A_KEY",
        "NOT_A_NAME": "line 2",
        "B_KEY": "B_KEY",
    }
