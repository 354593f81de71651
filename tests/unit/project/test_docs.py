"""The documents agree with the code, as far as a program can check."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.model.fleet.plan import Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.fleet.settings import SETTINGS
from tasks.model.fleet.unknown_keys import PREFIXES
from tests import docs

README_LINES, SENTENCE_LENGTH = 150, 25

PAGES = [docs.README, *docs.PAGES, docs.PROJECT / "CONTRIBUTING.md", docs.PROJECT / "SECURITY.md"]
TOPICS = {
    *(
        "settings",
        "strategies",
        "disk-layout",
        "filers",
        "rollout",
        "updates",
        "migration-from-v1",
        "guard",
        "firewall",
    ),
    *("security-model", "troubleshooting", "design", "testing", "glossary"),
}
README = docs.README.read_text(encoding="utf-8")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
_CODE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
CODE = _CODE.findall(TEXT)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(docs.PROJECT)))


def test_group_data_is_what_make_docs_writes() -> None:
    assert docs.GROUP_DATA.read_text(encoding="utf-8") == docs.group_data(), "run make docs"


@pytest.mark.parametrize("path", docs.GENERATED, ids=lambda path: str(path.name))
def test_generated_tables_are_what_make_docs_writes(path: Path) -> None:
    assert docs.page(path) == path.read_text(encoding="utf-8"), "run make docs"


def test_generated_pages_are_settings_and_strategies() -> None:
    assert [path.name for path in docs.GENERATED] == ["settings.md", "strategies.md"]


def test_group_data_has_every_setting_with_its_default_and_no_more() -> None:
    stated = {key: value for key, value in runpy.run_path(str(docs.GROUP_DATA)).items() if not key.startswith("__")}
    assert stated == {name: docs.default_of(name) for name in SETTINGS}


def test_defaults_in_group_data_are_accepted_on_every_machine() -> None:
    defaults: dict[str, Any] = {name: docs.default_of(name) for name in SETTINGS}
    machines = [("nfs_servers", "10.0.0.10"), ("nanoclaw_hosts", "10.0.0.11")]
    plan_fleet([Machine(group, (group, "inventory"), {**defaults, "ssh_hostname": at}) for group, at in machines])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_one_line_of_description(name: str) -> None:
    text = docs.description_of(name)
    assert len(f"# {text}") <= 120 and "\n" not in text and not text.endswith(".")


def test_readme_fleet_is_accepted() -> None:
    (example,) = [code for language, code in _CODE.findall(README) if language == "python"]
    assert len(example.strip().splitlines()) <= 12
    groups: dict[str, Any] = {}
    exec(example, groups)  # the README's own text
    names = {"nfs_servers", "nanoclaw_hosts"} & set(groups)
    fleet = plan_fleet([Machine(name, (group,), data) for group in names for name, data in groups[group]])
    assert set(groups["canary"]) <= set(fleet.hosts)
    assert fleet.hosts["legacy"].root_on_pods and not fleet.hosts["oslo"].root_on_pods


def test_pages_name_settings_targets_and_files_that_exist() -> None:
    names = set(re.findall(rf"`\"?((?:{'|'.join(PREFIXES)})[a-z_0-9]+)", TEXT))
    assert names - {"nfs_servers", "nanoclaw_hosts", "nanoclaw_pods"} <= set(SETTINGS) | {"nfs4_disable_idmapping"}
    makefile = (docs.PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z.][a-z/.-]*)", "\n".join([*(code for _, code in CODE), *_inline()])):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    for path in re.findall(r"`((?:tasks|tests|files|group_data)/[\w/.*]+)`", TEXT):
        fleet_specific = path in ("group_data/nanoclaw_hosts.py", "group_data/nfs_servers.py")
        assert fleet_specific or list(docs.PROJECT.glob(re.sub("ROOM|NAME", "*", path).rstrip("/"))), path


@each_page
def test_page_names_only_machine_files_that_the_code_writes(page: Path) -> None:
    ours = [path for path in re.findall(r"`(/[\w/.-]+)`", page.read_text(encoding="utf-8")) if "nanoclaw-pods" in path]
    sources = [path.read_text(encoding="utf-8") for path in (docs.PROJECT / "tasks").rglob("*.py")]
    assert ours or page.name not in ("README.md", "design.md")
    for path in ours:
        known = re.split("UNIT|nanoclaw-v2-SLUG|SLUG", path)[0]  # what follows differs between machines
        assert any(known.rstrip("/") in source for source in sources), path


def test_readme_lists_what_the_role_changes() -> None:
    section = README.partition("## What it changes")[2].partition("\n## ")[0]
    assert [path for path in re.findall(r"`(/[\w/.-]+)`", section) if "nanoclaw-pods" in path]


@each_page
def test_links_have_targets(page: Path) -> None:
    """Within the project: to a file, and to a heading that this file has."""
    for target, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_readme_links_to_every_page() -> None:
    assert {page.stem for page in docs.PAGES} == TOPICS
    for page in PAGES[1:]:
        assert f"]({page.relative_to(docs.PROJECT)})" in README, page.name


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= README_LINES


@each_page
def test_first_line_of_a_page_is_its_title(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# \S", text)
    assert len(re.findall(r"^# ", _CODE.sub("", text), re.MULTILINE)) == 1


@each_page
def test_sentences_of_prose_are_short(page: Path) -> None:
    long = [
        sentence for sentence in _sentences(page.read_text(encoding="utf-8")) if _length(sentence) > SENTENCE_LENGTH
    ]
    assert long == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("# Title\n\nOne two.\nThree\nfour. Five", ["One two.", "Three four.", "Five"]),
        ("- one\n  two\n- three\n1. four", ["one two", "three", "four"]),
        ("intro:\n- one", ["intro:", "one"]),
        ("| a | b |\n\n```\ncode here\n```\n\nOne.", ["One."]),
        ("See `a b. C d` and [a link](x.md). Two", ["See X and a link.", "Two"]),
    ],
)
def test_sentences_are_split(text: str, sentences: list[str]) -> None:
    assert list(_sentences(text)) == sentences


@each_page
def test_lines_of_prose_are_not_long(page: Path) -> None:
    _assert_short_lines(page)


def test_lines_of_the_changelog_are_not_long() -> None:
    _assert_short_lines(docs.PROJECT / "CHANGELOG.md")


def _assert_short_lines(path: Path) -> None:
    """Those of tables and of pasted output aside."""
    lines = _CODE.sub("", path.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if len(line) > 130 and not line.startswith("|")] == []


def test_changelog_has_this_version() -> None:
    project = (docs.PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in (docs.PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def _inline() -> list[str]:
    return re.findall(r"`([^`\n]+)`", TEXT)


def _anchors(text: str) -> set[str]:
    """The headings of a page as GitHub names them in links."""
    titles = re.findall(r"^#+ (.+)$", _CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a page's prose: what is in code blocks, tables and headings is none; inline code is one word."""
    prose = re.sub(r"<!--.*?-->", "", _CODE.sub("", text), flags=re.DOTALL)
    prose = re.sub(r"^(?:\||#).*$", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "X", prose))
    for block in re.split(r"\n\s*\n|^\s*(?:-|\d+\.) ", prose, flags=re.MULTILINE):
        yield from (sentence for sentence in re.split(r"(?<=[.!?]) ", " ".join(block.split())) if sentence)


def _length(sentence: str) -> int:
    return len([word for word in sentence.split() if re.search(r"\w", word)])
