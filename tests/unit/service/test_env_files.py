"""The entries of .env: their comparison, and real runs of the programs that read and write them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.common.dotenv import merge_entries, parse
from files.pods.common.protocol import Request, decode
from files.pods.service.protocol import EnvState, EnvStateRequest, SetEnvRequest
from tasks.model.access.identity import Ids
from tasks.model.host.env_files import differing, digest, open_places, places, refusals
from tests.programs import request_argv

ME = Ids(os.getuid(), os.getgid())

names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,3}", fullmatch=True)
values = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]))
entries = st.dictionaries(names, values, max_size=4)
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.builds("{}={}".format, names, values)).map(
    "\n".join
)

READER = """
require("readline").createInterface({ input: process.stdin }).on("line", (asked) => {
  const found = {};
  for (const line of JSON.parse(asked).split("\\n")) {
    const trimmed = line.trim();
    if (!trimmed || trimmed.startsWith("#")) continue;
    const at = trimmed.indexOf("=");
    if (at === -1) continue;
    let value = trimmed.slice(at + 1).trim();
    if (value.length >= 2 && ['"', "'"].some((quote) => value.startsWith(quote) && value.endsWith(quote)))
      value = value.slice(1, -1);
    if (value) found[trimmed.slice(0, at).trim()] = value;
  }
  console.log(JSON.stringify(found));
});
"""
"""NanoClaw's own reader: it replies to each line, which is a text."""

Reader = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def reads() -> Iterator[Reader]:
    if shutil.which("node") is None:
        pytest.skip("needs Node")
    node = subprocess.Popen(["node", "-e", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert node.stdin and node.stdout
    with node:
        ask, answers = node.stdin, node.stdout

        def read(text: str) -> dict[str, str]:
            ask.write(json.dumps(text) + "\n")
            ask.flush()
            return dict(json.loads(answers.readline()))

        yield read
        ask.close()


@given(texts, entries)
def test_nanoclaw_reads_new_entries_and_the_other_ones(reads: Reader, text: str, desired: dict[str, str]) -> None:
    before, after = reads(text), reads(merge_entries(text, desired))
    assert before == {name: value for name, value in parse(text).items() if value}
    for name, value in desired.items():
        assert after.get(name, "") == value
    assert {name: value for name, value in after.items() if name not in desired} == {
        name: value for name, value in before.items() if name not in desired
    }


@given(texts, entries)
def test_merged_entries_are_parsed_back_and_merging_is_idempotent(text: str, desired: dict[str, str]) -> None:
    once = merge_entries(text, desired)
    parsed = parse(once)
    assert {name: parsed.get(name) for name in desired} == desired
    assert merge_entries(once, desired) == once


def test_other_lines_keep_their_content_and_order() -> None:
    text = "# keys\nA=1\n\nB = 'two'\r\n  # end\nA=3"
    assert merge_entries(text, {"A": "4", "C": "5 "}) == "# keys\nA=4\n\nB = 'two'\r\n  # end\nC=\"5 \"\n"
    assert merge_entries("A=1\n", {}) == "A=1\n"


@given(entries)
def test_digests_match_only_for_equal_values(desired: dict[str, str]) -> None:
    key = "00" * 32
    digests = {name: digest(key, value) for name, value in desired.items()}
    assert differing(desired, EnvState({}, digests), key) == []
    other = {name: value + "x" for name, value in desired.items()}
    assert differing(other, EnvState({}, digests), key) == list(desired)
    assert differing(desired, EnvState({}, {}), key) == list(desired)


KEY = "0f" * 32


class Root:
    """A project root, and the two programs."""

    def __init__(self, path: Path) -> None:
        self.path, self.env = path, path / ".env"

    def run(self, request: Request, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(request_argv(request), input=stdin, capture_output=True, text=True, timeout=60)

    def read(self, desired: Mapping[str, str]) -> EnvState:
        result = self.run(EnvStateRequest(str(self.path), sorted(desired), list(places(str(self.path)))), KEY)
        assert result.returncode == 0, result.stderr
        assert not [value for value in (*desired.values(), KEY) if value and value in result.stdout + result.stderr]
        return decode(EnvState, json.loads(result.stdout), EnvStateRequest.entry)

    def set(self, desired: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return self.run(SetEnvRequest(str(self.path), (ME.uid, ME.gid)), json.dumps(desired))

    def mode(self, name: str) -> str:
        return f"{(self.path / name).stat().st_mode & 0o7777:04o}"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


ENTRIES = {"TOKEN": "hunter2-is-secret", "TZ": "Europe/Oslo", "ODD": "' quoted '"}


def test_missing_file_is_created_readable_by_its_owner_alone(root: Root) -> None:
    assert differing(ENTRIES, root.read(ENTRIES), KEY) == list(ENTRIES)
    done = root.set(ENTRIES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    state = root.read(ENTRIES)
    assert (differing(ENTRIES, state, KEY), open_places(str(root.path), ME, state)) == ([], [])
    assert parse(root.env.read_text()) == ENTRIES
    assert [path.name for path in root.path.iterdir()] == [".env"]


def test_no_file_is_created_without_entries(root: Root) -> None:
    root.set({})
    assert not root.env.exists()


def test_open_permissions_are_closed_and_content_stays(root: Root) -> None:
    root.env.write_bytes(b"A=\xff\n")
    root.env.chmod(0o644)
    copy = root.path / "data" / "env" / "env"
    copy.parent.mkdir(parents=True)
    copy.write_text("A=1\n")
    assert len(open_places(str(root.path), ME, root.read({}))) == 3
    assert root.set({}).returncode == 0
    assert open_places(str(root.path), ME, root.read({})) == []
    assert (root.mode(".env"), root.mode("data/env"), root.mode("data/env/env")) == ("0600", "0700", "0600")
    assert (root.env.read_bytes(), copy.read_text()) == (b"A=\xff\n", "A=1\n")
    root.set({"B": "2"})
    assert root.env.read_bytes() == b"A=\xff\nB=2\n"


def test_links_are_refused(root: Root, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "secret").write_text("TOKEN=other\n")
    (elsewhere / "env").mkdir()
    root.env.symlink_to(elsewhere / "secret")
    (root.path / "data").symlink_to(elsewhere)
    problems = refusals(str(root.path), root.read(ENTRIES))
    assert [problem.split()[0].removeprefix(str(root.path)) for problem in problems] == [
        "/.env",
        "/data/env",
        "/data/env/env",
    ]
    assert root.set(ENTRIES).returncode != 0
    assert (elsewhere / "secret").read_text() == "TOKEN=other\n"


def test_hard_link_is_refused(root: Root) -> None:
    root.env.write_text("A=1\n")
    (root.path / "other").hardlink_to(root.env)
    done = root.set(ENTRIES)
    assert "hard link" in done.stderr
    assert root.env.read_text() == "A=1\n"


def test_failure_shows_no_value(root: Root) -> None:
    (root.path / "data").write_text("no directory")
    done = root.set(ENTRIES)
    assert done.returncode != 0
    assert not [value for value in ENTRIES.values() if value in done.stdout + done.stderr]


@pytest.mark.parametrize("key", ["", "00", "\n"])
def test_digests_need_a_key(tmp_path: Path, key: str) -> None:
    """Anybody could compare digests without a key with those of guessed values."""
    (tmp_path / ".env").write_text("A=1\n")
    output = Root(tmp_path).run(EnvStateRequest(str(tmp_path), ["A"], []), key)
    assert output.returncode != 0 and "digests" not in output.stdout


def test_each_run_has_its_own_key() -> None:
    argv = [sys.executable, "-c", "from tasks.operations.env_files import KEY; print(KEY)"]
    keys = {subprocess.run(argv, capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(keys) == 2 and {len(key.strip()) for key in keys} == {64}
