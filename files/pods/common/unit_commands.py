"""The commands of systemd units and the paths in them. A unit is a dict of properties (systemctl(1), show)."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator

from files.pods.common.read_untrusted import open_regular, read_untrusted_text
from files.pods.common.systemctl import parse_environment
from files.pods.common.users import home_of

PROPERTIES = (
    *("LoadState", "ActiveState", "User", "ExecStart", "Environment", "EnvironmentFiles"),
    *("WorkingDirectory", "RootDirectory", "BindPaths"),
)
"""Properties that these functions need."""
STARTS_NODE = re.compile(r"\b(node(js)?|npm|npx|pnpm|yarn|bun|tsx|deno|corepack|nvm|index\.[jt]s|start-nanoclaw)\b")
SEPARATORS = re.compile(r"[\s\"'`;&|()<>=,{}:]+")
END_OF_NAME = r"(?=$|[\s/\"'`;&|()<>=,{}:])"
COMMENT = re.compile(r"^\s*[#;].*$", re.MULTILINE)
MAX_TOKENS, MAX_BASES = 400, 10
USER_UNITS = (".config/systemd/user", ".local/share/systemd/user")
UNIT_PARENTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
SYSTEM_UNITS = tuple(f"{parent}/systemd/system" for parent in UNIT_PARENTS)
GLOBAL_UNITS = tuple(f"{parent}/systemd/user" for parent in UNIT_PARENTS)


def command_text(unit: dict[str, str]) -> str:
    """Return ExecStart= lines, the text of scripts they name, and the processes that pm2 restores."""
    text = unit.get("ExecStart", "")
    lines = re.findall(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=", text, re.DOTALL)
    tokens = re.findall(r"\{ path=(.*?) ;", text)
    for line in lines:
        tokens += [*line.split()[:MAX_TOKENS], *SEPARATORS.split(line)[:MAX_TOKENS]]
    pm2 = parse_environment(unit.get("Environment", "")).get("PM2_HOME") if re.search(r"\bpm2\b", text) else None
    dump = [read_untrusted_text(f"{pm2}/dump.pm2", follow=True) or ""] if pm2 else []
    directory = unit.get("WorkingDirectory", "").lstrip("!-+")
    return "\n".join([*lines, *map(read_script, script_paths(list(dict.fromkeys(tokens)), directory)), *dump])


def script_paths(tokens: list[str], directory: str) -> list[str]:
    """Return paths of possible scripts: absolute tokens; others below the working or another named directory."""
    absolute = [token for token in tokens if token.startswith("/")]
    bases = [base for base in (directory, *absolute[:MAX_BASES]) if base.startswith("/")]
    relative = [it for it in tokens if it.startswith("./") or (it.endswith(".sh") and not it.startswith("/"))]
    return list(dict.fromkeys([*absolute, *(os.path.join(base, token) for token in relative for base in bases)]))


def environment_text(unit: dict[str, str]) -> str:
    """Return where a command may get a path from: binds, variables, and variable files if it uses any."""
    texts = [unit.get("BindPaths", ""), unit.get("Environment", "")]
    if "$" in unit.get("ExecStart", ""):
        files = [line.partition(" (ignore_errors=")[0] for line in unit.get("EnvironmentFiles", "").splitlines()]
        texts += [read_untrusted_text(file, follow=True) or "" for file in files]
    return "\n".join(texts)


def read_script(path: str) -> str:
    """Return the text of a script, or an empty string if the path is none."""
    try:
        fd = open_regular(path, follow=True)
    except (OSError, ValueError):
        return ""
    try:
        is_script = path.endswith(".sh") or os.read(fd, 2) == b"#!"
    finally:
        os.close(fd)
    return (read_untrusted_text(path, follow=True) or "") if is_script else ""


def paths_in(text: str, directory: str, home: str | None) -> Iterator[str]:
    """Yield the tokens of a text as absolute paths, relative to a home or a directory."""
    for name in ("~", "$HOME", "${HOME}", "%h"):
        text = text.replace(f"{name}/", f"{home or '/nonexistent'}/")
    for token in dict.fromkeys(SEPARATORS.split(COMMENT.sub("", text))[:MAX_TOKENS]):
        if token and len(token) < 1024 and "\0" not in token and not token.startswith("-"):
            yield os.path.realpath(os.path.join(directory or "/", os.path.expanduser(token)))  # ~andy/claw


def mentions_root(text: str, root: str, directory: str, home: str | None) -> bool:
    """Return whether a token of a text is a path to the project root or below it."""
    if re.search(re.escape(root) + END_OF_NAME, text):
        return True
    return any(path == root or path.startswith(f"{root}/") for path in paths_in(text, directory, home))


def working_directory(unit: dict[str, str], home: str | None) -> str:
    """Return where a command starts: `show` puts ! before a directory that may be missing."""
    directory = unit.get("WorkingDirectory", "").lstrip("!-+")
    return (home or "/") if directory == "~" else directory


def may_run(unit: dict[str, str], root: str, home: str | None) -> bool:
    """Return whether a unit may start Node or a script in the project root. Prefers a false yes."""
    text = command_text(unit)
    if not STARTS_NODE.search(f"{unit.get('ExecStart', '')}\n{text}"):
        return False
    directory = working_directory(unit, home)
    root_directory = unit.get("RootDirectory", "")
    directories = [directory, f"{root_directory}/{directory}" if root_directory else ""]
    if any(path and os.path.realpath(path) == root for path in directories):
        return True
    return mentions_root(f"{text}\n{environment_text(unit)}", root, directory, home)


def last_setting(text: str, name: str) -> str | None:
    """Return the last value of a setting in a unit's text: a guess, for managers that do not run."""
    values = re.findall(rf"""\b{name}=["'-]?([^\s"']+)""", text)
    return values[-1] if values else None


def unit_file_texts(uid: int | None, more_homes: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield path, text and whether another unit wants it, for each unit of a manager that does not run."""
    home = home_of(uid)
    homes = dict.fromkeys([*([home] if home else []), *more_homes])
    user_directories = (*(f"{parent}/{subdirectory}" for parent in homes for subdirectory in USER_UNITS), *GLOBAL_UNITS)
    for directory in SYSTEM_UNITS if uid is None else user_directories:
        for path in sorted(glob.glob(f"{glob.escape(directory)}/*.service")):
            name = os.path.basename(path)
            files = [path, *sorted(glob.glob(f"{glob.escape(path)}.d/*.conf"))]
            text = "\n".join(read_untrusted_text(file, follow=True) or "" for file in files).replace("\\\n", " ")
            wants = glob.glob(f"{glob.escape(directory)}/*.wants/{glob.escape(name).replace('@.', '@*.')}")
            stem = len(name) - len(".service")
            for instance in [os.path.basename(link)[stem : -len(".service")] for link in wants if "@." in name]:
                text += "\n" + re.sub("%[iIjJ]", lambda _, value=instance: value, text)  # type: ignore[misc]
            yield path, text, bool(wants)
