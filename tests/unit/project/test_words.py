"""Retired words of docs/glossary.md do not come back: in names, docstrings, comments, messages and pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docs

PROJECT = docs.PROJECT
NAME_PARTS = {
    "argv": {"words"},
    "owner, chown": {"give", "gives", "given", "giving", "giver", "givers", "whose", "born"},
    "current, observed": {"found", "seen"},
    "desired": {"wanted"},
    "request, reply, output": {"asked", "told", "said"},
    "read, fact, check": {"look", "looks", "looked"},
}
"""What a name may not have between its underscores, by the term that is used instead."""
PROSE = {
    "owner of": r"\bwhose\b",
    "created": r"\bborn\b",
    "must be": r"\b(?:is|are) to be\b",
    "continues": r"\bgone on with\b",
    "rolls back": r"\bput(?:s|ting)? v1 back\b",
    "argv": r"\bthese words\b",
    "fact, check": r"\b(?:a|the|one|first|last|each|every|bounded) look\b",
}
"""What a sentence may not say, by what it says instead."""
NAMES_PENDING: dict[str, frozenset[str]] = {
    "read, fact, check": frozenset(
        (
            "tasks",
            "files/pods/source",
            "tests/unit/transition",
            "tests/unit/service",
            "tests/unit/source",
            "tests/unit/v1",
            "tests/unit/versions",
        )
    ),
}
"""Rooms that still have such names, by term: each entry is a debt, and an entry without debt is a failure."""
PROSE_PENDING = frozenset[str]()
RETIRING = (
    "docs/glossary.md",
    "tests/unit/project/test_words.py",
    "files/pods/transition/step_ids.py",
    "tests/unit/transition/test_step_ids.py",
)
"""The files that name the retired words: to retire them, or since journals on machines have them."""


def rooms() -> dict[str, list[Path]]:
    """The Python files of the project by room: the folder that they lie in."""
    by_room: dict[str, list[Path]] = {}
    for top in ("tasks", "files", "tests"):
        for path in sorted((PROJECT / top).rglob("*.py")):
            name = str(path.parent.relative_to(PROJECT))
            if str(path.relative_to(PROJECT)) not in RETIRING:
                by_room.setdefault(name, []).append(path)
    return by_room


ROOMS = rooms()
PAGES = [path for path in (docs.README, *docs.PAGES) if str(path.relative_to(PROJECT)) not in RETIRING]


def names(path: Path) -> Iterator[tuple[int, str]]:
    """The names that a file gives: of functions, classes, parameters, variables, fields and keywords."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and texts of a Python file, docstrings among them."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokens:
        if token.type in kinds:
            yield token.start[0], re.sub(r"\s+", " ", token.string)


def retired_names(path: Path) -> list[str]:
    """A line for each name with a retired part: where it is, and the term to use."""
    return [
        f"{path.relative_to(PROJECT)}:{line}: {name}: {term}"
        for line, name in names(path)
        for term, parts in NAME_PARTS.items()
        if parts & set(name.lower().split("_"))
    ]


def retired_prose(path: Path, text: Iterator[tuple[int, str]]) -> list[str]:
    """A line for each text with a retired phrase: where it is, and the phrase to use."""
    return [
        f"{path.relative_to(PROJECT)}:{line}: {match.group()}: {term}"
        for line, words_of_line in text
        for term, pattern in PROSE.items()
        for match in re.finditer(pattern, words_of_line, re.IGNORECASE)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_folder_has_no_retired_name(room: str) -> None:
    retired = [line for path in ROOMS[room] for line in retired_names(path)]
    for term in NAME_PARTS:
        lines = [line for line in retired if line.endswith(f": {term}")]
        if room in NAMES_PENDING.get(term, ()):
            assert lines, f"{room} is clean of {term}: take it off NAMES_PENDING"
        else:
            assert not lines, "\n".join(lines)


@pytest.mark.parametrize("room", ROOMS)
def test_folder_has_no_retired_phrase(room: str) -> None:
    retired = [line for path in ROOMS[room] for line in retired_prose(path, prose(path))]
    if room in PROSE_PENDING:
        assert retired, f"{room} is clean: take it off PROSE_PENDING"
    else:
        assert not retired, "\n".join(retired)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_page_has_no_retired_phrase(page: Path) -> None:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    retired = retired_prose(page, lines)
    assert not retired, "\n".join(retired)


def test_rules_find_a_retired_name_and_phrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PROJECT", tmp_path)
    path = tmp_path / "old.py"
    path.write_text('def f(told):\n    """Whose this is."""\n    found_by = told  # is to be\n', encoding="utf-8")
    assert len(retired_names(path)) == 2
    assert [line.rsplit(": ", 1)[1] for line in retired_prose(path, prose(path))] == ["owner of", "must be"]
