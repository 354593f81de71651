"""What a unit starts, and where: for programs that import it. Units are as `show` prints them (systemctl(1))."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from files.pods.common.read_untrusted import open_file, text_of
from files.pods.common.systemctl import environment_in
from files.pods.common.users import home_with

SEARCHED = (
    "LoadState",
    "User",
    "WorkingDirectory",
    "RootDirectory",
    "BindPaths",
    "Environment",
    "EnvironmentFiles",
    "ExecStart",
    "ActiveState",
)
STARTS_NODE = re.compile(r"\b(node(js)?|npm|npx|pnpm|yarn|bun|tsx|deno|corepack|nvm|index\.[jt]s|start-nanoclaw)\b")
SEPARATORS = re.compile(r"[\s\"'`;&|()<>=,{}:]+")
END_OF_NAME = r"(?=$|[\s/\"'`;&|()<>=,{}:])"
COMMENT = re.compile(r"^\s*[#;].*$", re.MULTILINE)
MOST_WORDS, MOST_BASES = 400, 10
USER_UNITS = (".config/systemd/user", ".local/share/systemd/user")
SYSTEM_UNITS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
GLOBAL_UNITS = ("/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")


def commands(unit: dict[str, str]) -> str:
    """What a unit starts: its ExecStart= lines, the text of scripts among their words, and what pm2 brings back."""
    text = unit.get("ExecStart", "")
    lines = re.findall(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", text, re.DOTALL)
    words = re.findall(r"\{ path=(.*?) ;", text)
    for line in lines:
        words += [*line.split()[:MOST_WORDS], *SEPARATORS.split(line)[:MOST_WORDS]]
    pm2 = environment_in(unit.get("Environment", "")).get("PM2_HOME") if re.search(r"\bpm2\b", text) else None
    dump = [text_of(f"{pm2}/dump.pm2", follow=True) or ""] if pm2 else []
    directory = unit.get("WorkingDirectory", "").lstrip("!-+")
    return "\n".join([*lines, *map(script_at, scripts(list(dict.fromkeys(words)), directory)), *dump])


def scripts(words: list[str], directory: str) -> list[str]:
    """Paths of what may be scripts: absolute words; others in the working directory, or where a word leads (cd)."""
    absolute = [word for word in words if word.startswith("/")]
    bases = [base for base in (directory, *absolute[:MOST_BASES]) if base.startswith("/")]
    relative = [word for word in words if word.startswith("./") or (word.endswith(".sh") and not word.startswith("/"))]
    return list(dict.fromkeys([*absolute, *(os.path.join(base, word) for word in relative for base in bases)]))


def surroundings(unit: dict[str, str]) -> str:
    """Where a unit's command may get a path from: its binds and its variables, those of files where it uses any."""
    texts = [unit.get("BindPaths", ""), unit.get("Environment", "")]
    if "$" in unit.get("ExecStart", ""):
        files = [line.partition(" (ignore_errors=")[0] for line in unit.get("EnvironmentFiles", "").splitlines()]
        texts += [text_of(file, follow=True) or "" for file in files]
    return "\n".join(texts)


def script_at(path: str) -> str:
    """The text of a script, or nothing where there is none."""
    try:
        handle = open_file(path, follow=True)
    except (OSError, ValueError):
        return ""
    try:
        is_one = path.endswith(".sh") or os.read(handle, 2) == b"#!"
    finally:
        os.close(handle)
    return (text_of(path, follow=True) or "") if is_one else ""


def paths_in(text: str, directory: str, home: str | None) -> Iterator[str]:
    """Where the words of a text lead, as paths: absolute ones, and those of a home or of a directory."""
    for name in ("~", "$HOME", "${HOME}", "%h"):
        text = text.replace(f"{name}/", f"{home or '/nonexistent'}/")
    for word in dict.fromkeys(SEPARATORS.split(COMMENT.sub("", text))[:MOST_WORDS]):
        if word and len(word) < 1024 and "\0" not in word and not word.startswith("-"):
            yield os.path.realpath(os.path.join(directory or "/", os.path.expanduser(word)))  # ~andy/claw


def points_into(text: str, root: str, directory: str, home: str | None) -> bool:
    """Whether a word of a text is a path to the project root, or below it."""
    if re.search(re.escape(root) + END_OF_NAME, text):
        return True
    return any(path == root or path.startswith(f"{root}/") for path in paths_in(text, directory, home))


def directory_of(unit: dict[str, str], home: str | None) -> str:
    """Where a unit's command starts: `show` puts ! before a directory that may be missing."""
    directory = unit.get("WorkingDirectory", "").lstrip("!-+")
    return (home or "/") if directory == "~" else directory


def may_run(unit: dict[str, str], root: str, home: str | None) -> bool:
    """Whether a unit, as `show` prints it, starts Node or a script in the project root. Rather once too often."""
    command = commands(unit)
    if not STARTS_NODE.search(f"{unit.get('ExecStart', '')}\n{command}"):
        return False
    directory = directory_of(unit, home)
    inside = unit.get("RootDirectory", "")
    places = [directory, f"{inside}/{directory}" if inside else ""]
    if any(place and os.path.realpath(place) == root for place in places):
        return True
    return points_into(f"{command}\n{surroundings(unit)}", root, directory, home)


def text_setting(text: str, name: str) -> str | None:
    """What the text of a unit sets last, where no manager says it: a guess, to be searched."""
    found = re.findall(rf"""\b{name}=["'-]?([^\s"']+)""", text)
    return found[-1] if found else None


def unasked_texts(uid: int | None, places: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Path, text and whether it is wanted by another unit, of each unit of a manager that does not run."""
    home = home_with(uid)
    homes = dict.fromkeys([*([home] if home else []), *places])
    users = (*(f"{place}/{units}" for place in homes for units in USER_UNITS), *GLOBAL_UNITS)
    for directory in SYSTEM_UNITS if uid is None else users:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.service")):
            name = os.path.basename(path)
            files = [path, *sorted(glob.glob(f"{glob.escape(path)}.d/*.conf"))]
            text = "\n".join(text_of(file, follow=True) or "" for file in files).replace("\\\n", " ")
            wants = glob.glob(f"{glob.escape(directory)}/*.wants/{glob.escape(name).replace('@.', '@*.')}")
            before = len(name) - len(".service")
            for instance in [os.path.basename(link)[before : -len(".service")] for link in wants if "@." in name]:
                text += "\n" + re.sub("%[iIjJ]", lambda _, value=instance: value, text)  # type: ignore[misc]
            yield path, text, bool(wants)
