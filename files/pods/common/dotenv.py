"""The lines of .env as NanoClaw reads them: for programs that import it (their text is put in place of the import).

KEY=VALUE lines; blanks around both are dropped, then one pair of quotes around the value; the last one counts,
unless it is empty.
"""

from __future__ import annotations

import re

BLANKS = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript's trim drops; Python's strip drops others."""


def entry(line: str) -> tuple[str, str] | None:
    """The name and the value that a line says, or None for a comment or anything else."""
    line = line.strip(BLANKS)
    name, equals, value = line.partition("=")
    if line.startswith("#") or not equals:
        return None
    name, value = name.strip(BLANKS), value.strip(BLANKS)
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name, value


def entries(text: str) -> dict[str, str]:
    """What a whole .env says."""
    found: dict[str, str] = {}
    for name, value in filter(None, map(entry, text.split("\n"))):
        if value or name not in found:
            found[name] = value
    return found


FROM_V1 = "# ── migrated from v1 ──"
"""What NanoClaw's own step writes above the entries that it copies."""
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
"""What NanoClaw takes for a name (setup/migrate-v2/env.ts); it asks for no other (src/env.ts)."""
CONVENTIONAL = re.compile("TZ|[A-Z][A-Z0-9]{0,30}(_[A-Z0-9]{1,30}){1,5}")
"""Names that can be no part of a value: neither base64, base32 nor hex have an underscore between capitals."""

COMMENTED = re.compile(r"(\"[^\"]*\"|'[^']*')\s+#.*")
"""A value in quotes with a comment behind it."""


def carried(text: str) -> dict[str, str]:
    """What a v1 with this .env goes by, and its v2 has to: each name's last value that is not empty."""
    return {name: value for name, value in entries(text).items() if value and NAME.fullmatch(name)}


def unread(text: str) -> list[int]:
    """The numbers of lines that NanoClaw does not read: `export KEY=`, more lines of a value, separators."""
    numbers = []
    for number, line in enumerate(text.split("\n"), 1):
        said = entry(line)
        bare = line.strip(BLANKS)
        if bare and not bare.startswith("#") and (said is None or not NAME.fullmatch(said[0])):
            numbers.append(number)
    return numbers


def labels(text: str) -> dict[str, str]:
    """What each name of `carried` may be called where others read it: itself, or the number of its line.

    A line may be part of a value: of a key in several lines, or of JSON. Then it may look like a name.
    """
    found: dict[str, str] = {}
    quote = ""
    for number, line in enumerate(text.split("\n"), 1):
        said = entry(line)
        if said and NAME.fullmatch(said[0]):
            plain = CONVENTIONAL.fullmatch(said[0]) and not quote
            if plain or said[0] not in found:
                found[said[0]] = said[0] if plain else f"line {number}"
        quote = open_quote(line, quote)
    return {name: found[name] for name in carried(text)}


def open_quote(line: str, before: str) -> str:
    """What a value is still open with after a line: a quote, a bracket, or a PEM block; empty where none is."""
    bare = line.strip(BLANKS)
    if before:
        return "" if bare.endswith(before) or (before == "-----" and bare.startswith("-----END")) else before
    if "-----BEGIN" in bare and "-----END" not in bare:
        return "-----"
    value = bare.partition("=")[2].strip(BLANKS)
    value = COMMENTED.sub(r"\1", value)
    for start, end in (('"""', '"""'), ("'''", "'''"), ('"', '"'), ("'", "'"), ("`", "`"), ("{", "}"), ("[", "]")):
        if (
            value.startswith(start)
            and not bare.startswith("#")
            and not (len(value) > len(start) and value.endswith(end))
        ):
            return end
    return ""


def line_of(name: str, value: str) -> str:
    """The line that says this, with quotes only where blanks or quotes of the value need them."""
    line = f"{name}={value}"
    return line if entry(line) == (name, value) else f'{name}="{value}"'


def with_entries(text: str, wanted: dict[str, str]) -> str:
    """A text that says what is wanted: each entry once, where it stood first; all other lines as they are."""
    lines: list[str] = []
    done: set[str] = set()
    for line in text.split("\n"):
        said = entry(line)
        if said is None or said[0] not in wanted:
            lines.append(line)
        elif said[0] not in done:
            lines.append(line_of(said[0], wanted[said[0]]))
            done.add(said[0])
    missing = [line_of(name, value) for name, value in wanted.items() if name not in done]
    if not missing:
        return "\n".join(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join([*lines, *missing, ""])
