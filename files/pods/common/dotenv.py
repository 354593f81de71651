"""The lines of .env as NanoClaw reads them.

A line is KEY=VALUE. Blanks around both are dropped, then one pair of quotes around the value. The last line of a name
counts, unless its value is empty.
"""

from __future__ import annotations

import re

JS_BLANKS = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""Characters that JavaScript's trim removes; Python's strip removes others."""


def parse_line(line: str) -> tuple[str, str] | None:
    """Return name and value of a line, or None for a comment or anything else."""
    line = line.strip(JS_BLANKS)
    name, equals, value = line.partition("=")
    if line.startswith("#") or not equals:
        return None
    name, value = name.strip(JS_BLANKS), value.strip(JS_BLANKS)
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name, value


def parse(text: str) -> dict[str, str]:
    """Return the value of each name in a .env."""
    values: dict[str, str] = {}
    for name, value in filter(None, map(parse_line, text.split("\n"))):
        if value or name not in values:
            values[name] = value
    return values


V1_HEADING = "# ── migrated from v1 ──"
"""Comment that NanoClaw's own migration writes above the entries that it copies."""
ENTRY_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""Names that NanoClaw copies (setup/migrate-v2/env.ts); it reads no others (src/env.ts)."""
CONVENTIONAL_NAME = re.compile("TZ|[A-Z][A-Z0-9]{0,30}(_[A-Z0-9]{1,30}){1,5}")
"""Names that cannot be part of a value: base64, base32 and hex have no underscore between capitals."""

QUOTED_WITH_COMMENT = re.compile(r"(\"[^\"]*\"|'[^']*')\s+#.*")
"""A quoted value followed by a comment."""


def effective_entries(text: str) -> dict[str, str]:
    """Return the entries that a v1 uses and its v2 needs: each name's last value that is not empty."""
    return {name: value for name, value in parse(text).items() if value and ENTRY_NAME.fullmatch(name)}


def unread_lines(text: str) -> list[int]:
    """Return the numbers of lines that NanoClaw ignores: `export KEY=`, continued values, separators."""
    numbers = []
    for number, line in enumerate(text.split("\n"), 1):
        entry = parse_line(line)
        bare = line.strip(JS_BLANKS)
        if bare and not bare.startswith("#") and (entry is None or not ENTRY_NAME.fullmatch(entry[0])):
            numbers.append(number)
    return numbers


def safe_labels(text: str) -> dict[str, str]:
    """Return a label that others may read for each name of `effective_entries`: the name, or its line number.

    A line may be part of a value, such as a key of several lines or JSON. It may look like a name, and hold a secret.
    """
    label_of: dict[str, str] = {}
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        entry = parse_line(line)
        if entry and ENTRY_NAME.fullmatch(entry[0]):
            plain = CONVENTIONAL_NAME.fullmatch(entry[0]) and not quote
            if plain or entry[0] not in label_of:
                label_of[entry[0]] = entry[0] if plain else f"line {number}"
        quote = open_quote(line, quote)
    return {name: label_of[name] for name in effective_entries(text)}


def open_quote(line: str, before: str) -> str:
    """Return what a value is still open with after a line: a quote, bracket or PEM block; empty if nothing."""
    bare = line.strip(JS_BLANKS)
    if before:
        return "" if bare.endswith(before) or (before == "-----" and bare.startswith("-----END")) else before
    if "-----BEGIN" in bare and "-----END" not in bare:
        return "-----"
    value = bare.partition("=")[2].strip(JS_BLANKS)
    value = QUOTED_WITH_COMMENT.sub(r"\1", value)
    for start, end in (('"""', '"""'), ("'''", "'''"), ('"', '"'), ("'", "'"), ("`", "`"), ("{", "}"), ("[", "]")):
        if (
            value.startswith(start)
            and not bare.startswith("#")
            and not (len(value) > len(start) and value.endswith(end))
        ):
            return end
    return ""


def format_line(name: str, value: str) -> str:
    """Return the line of an entry, quoted only where blanks or quotes of the value need it."""
    line = f"{name}={value}"
    return line if parse_line(line) == (name, value) else f'{name}="{value}"'


def merge_entries(text: str, desired: dict[str, str]) -> str:
    """Set entries in a text: each once, at its first place. Other lines stay as they are."""
    lines: list[str] = []
    done: set[str] = set()
    for line in text.split("\n"):
        entry = parse_line(line)
        if entry is None or entry[0] not in desired:
            lines.append(line)
        elif entry[0] not in done:
            lines.append(format_line(entry[0], desired[entry[0]]))
            done.add(entry[0])
    missing = [format_line(name, value) for name, value in desired.items() if name not in done]
    if not missing:
        return "\n".join(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join([*lines, *missing, ""])
