"""The lines of .env as NanoClaw reads them: for programs that import it (their text is put in place of the import).

KEY=VALUE lines; blanks around both are dropped, then one pair of quotes around the value; the last one counts,
unless it is empty.
"""

from __future__ import annotations

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
