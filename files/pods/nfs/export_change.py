"""Change of the role's own exports, one by one. All others are left alone.

A new drop-in is rehearsed first. exportfs(8) reads all files in a private mount namespace, with the old and with the
new drop-in. Messages that it prints for both concern others, and do not count.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.run_command import run_command
from files.pods.nfs.export_entries import Key, entries, raw_entries, real_names, stated_options
from files.pods.nfs.protocol import ExportChange

LOCK = "/run/nanoclaw-pods/exports.lock"
EXPORTFS_SECONDS = 60
AT_ONCE = 100  # entries in one command

PRIVATE = """
set -e
mount --make-rprivate /
mount --bind "$1" /etc/exports.d
mount -t tmpfs none "$2"
: > "$2/etab"
if [ -e /etc/nsswitch.conf ]; then mount --bind "$1/nsswitch" /etc/nsswitch.conf; fi
if mountpoint -q /proc/fs/nfsd; then umount /proc/fs/nfsd; fi
if exportfs -ra; then echo 0 > "$2/status"; else echo 1 > "$2/status"; fi
cat "$2/status" "$2/etab"
"""


@dataclass(frozen=True)
class Rehearsal:
    """What exportfs makes of all files."""

    failed: bool
    table: str
    messages: Counter[str] = field(default_factory=Counter)


def state_directory() -> str:
    """Where etab lies (nfs.conf(5), state-directory-path; exportfs asks for mountd's first)."""
    for section in ("mountd", "exportd"):
        try:
            result = run_command(["nfsconf", "--get", section, "state-directory-path"], timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            break
        if result.returncode == 0 and result.stdout.strip().startswith("/"):
            return result.stdout.strip()
    return "/var/lib/nfs"


def text_if_there(path: str) -> str | None:
    """Return the text of a file, or None where there is none. A file that cannot be read is an error, not absent."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def digest(text: str | None) -> str | None:
    """Return the SHA-256 of a text, or None."""
    return None if text is None else hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def rehearse(dropin: str, text: str | None) -> Rehearsal:
    """Return what exportfs would do with this text as the drop-in, or without the drop-in."""
    folder = tempfile.mkdtemp(prefix="nanoclaw-pods-exports-")
    try:
        for name in glob.glob("/etc/exports.d/*.exports"):
            if name != dropin and os.path.isfile(name):
                shutil.copy(name, folder)
        if text is not None:
            with open(os.path.join(folder, os.path.basename(dropin)), "wb") as file:
                file.write(text.encode(errors="surrogateescape"))
        with open(os.path.join(folder, "nsswitch"), "w", encoding="utf-8") as file:
            file.write("hosts: files\n")  # a name server that is dead costs a minute for each name
        os.makedirs("/etc/exports.d", exist_ok=True)
        argv = ["unshare", "--mount", "sh", "-c", PRIVATE, "_", folder, state_directory()]
        tried = run_command(argv, timeout=EXPORTFS_SECONDS)
    except subprocess.TimeoutExpired:
        sys.exit(f"Exports not changed: exportfs did not end within {EXPORTFS_SECONDS} s in a rehearsal.")
    finally:
        shutil.rmtree(folder)
    if tried.returncode != 0:
        sys.exit(f"Exports not changed: the rehearsal failed:\n{tried.stderr}")
    status, _, table = tried.stdout.partition("\n")
    return Rehearsal(status != "0", table, Counter(line for line in tried.stderr.splitlines() if line.strip()))


def others(table: str, names: dict[str, str], own: set[Key]) -> dict[Key, set[str]]:
    """Return the entries of a table that are not the role's, and their options."""
    return {key: set(text.split(",")) for key, text in raw_entries(table, names).items() if key not in own}


def shown_key(key: Key) -> str:
    """Return an export as exportfs(8) names it: CLIENT:PATH."""
    return f"{f'[{key[1]}]' if ':' in key[1] else key[1]}:{key[0]}"


def missing(desired: list[list[str]], table: list[list[str]]) -> list[list[str]]:
    """Return the desired entries that a table lacks."""
    return [entry for entry in desired if entry not in table]


def own_keys(request: ExportChange) -> set[Key]:
    """Return path and client of the entries that a change is about."""
    return {(path, client) for path, client, *_options in [*request.desired, *request.removed]}


def refuse_rehearsed(dropin: str, old: Rehearsal, new: Rehearsal, request: ExportChange, names: dict[str, str]) -> None:
    """Exit if the new drop-in would not do what it is for, or would change exports of others."""
    why = []
    own = own_keys(request)
    absent = missing(request.desired, entries(new.table, names))
    if absent:
        why.append(f"exportfs would not apply these entries as written: {absent}")
    before, after = others(old.table, names, own), others(new.table, names, own)
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if changed:
        why.append("exports of others would change: " + ", ".join(map(shown_key, changed)))
    messages = list((new.messages - old.messages).elements())
    messages += [line for line in new.messages if dropin in line and line not in messages]
    if messages or (new.failed and not old.failed):
        why.append("exportfs says of the new one:\n" + "\n".join(messages))
    if why:
        sys.exit("Exports not changed: " + "; ".join(why))


def exportfs(*args: str) -> str:
    """Run exportfs; return its message if it fails."""
    try:
        done = run_command(["exportfs", *args], timeout=EXPORTFS_SECONDS)
    except subprocess.TimeoutExpired:
        return f"exportfs {args[0]} did not end within {EXPORTFS_SECONDS} s"
    return "" if done.returncode == 0 else done.stderr.strip() or f"exportfs {args[0]}: status {done.returncode}"


def change_entries(options: dict[Key, str], unset: list[Key]) -> list[str]:
    """Export each entry with its options, and take others out of force; return the messages of failures."""
    alike: dict[str, list[str]] = {}
    for key, text in options.items():
        alike.setdefault(text, []).append(shown_key((os.path.realpath(key[0]), key[1])))
    commands = [["-i", "-o", text, *some] for text, keys in alike.items() for some in batches(keys)]
    commands += [["-u", *some] for some in batches([shown_key((os.path.realpath(path), it)) for path, it in unset])]
    return [output for output in (exportfs(*command) for command in commands) if output]


def batches(args: list[str]) -> list[list[str]]:
    """Split arguments into lists that fit in one command."""
    return [args[start : start + AT_ONCE] for start in range(0, len(args), AT_ONCE)]


def put(path: str, text: str | None) -> None:
    """Write a file, or remove it if there is no text."""
    if text is not None:
        replace(path, text.encode(errors="surrogateescape"))
    elif os.path.lexists(path):
        os.unlink(path)


def change(dropin: str, request: ExportChange) -> None:
    """Write the drop-in and put its entries in force, or leave all as it was."""
    run_lock.acquire(LOCK)
    old, etab = text_if_there(dropin), os.path.join(state_directory(), "etab")
    if digest(old) != request.before:
        sys.exit(f"Exports not changed: another run wrote {dropin} in the meantime. Run again.")
    names = real_names(path for path, _client in own_keys(request))
    refuse_rehearsed(dropin, rehearse(dropin, old), rehearse(dropin, request.text), request, names)
    before = raw_entries(text_if_there(etab) or "", names)
    differ = {
        (path, client): ",".join(options)
        for path, client, *options in request.desired
        if (path, client) not in before or stated_options(before[path, client]) != options
    }
    leave = [(path, client) for path, client in request.removed if (path, client) in before]
    put(dropin, request.text)
    wrong = change_entries(differ, leave)
    wrong += refuse_changed(text_if_there(etab) or "", before, request, names, {*differ, *leave})
    if wrong:
        put(dropin, old)
        again = {key: text for key, text in before.items() if key in differ or key in leave}
        wrong += change_entries(again, [key for key in differ if key not in before])
        sys.exit("Exports restored: " + "; ".join(wrong))


def refuse_changed(
    etab: str, before: dict[Key, str], request: ExportChange, names: dict[str, str], own: set[Key]
) -> list[str]:
    """Return what is wrong with the table in force after the change."""
    wrong = [f"{entry} is not in force" for entry in missing(request.desired, entries(etab, names))]
    after = raw_entries(etab, names)
    wrong += [f"{shown_key((path, it))} is still in force" for path, it in request.removed if (path, it) in after]
    for key, text in before.items():
        if key not in own and set(after.get(key, "").split(",")) != set(text.split(",")):
            wrong.append(f"an export of others changed: bring it back with exportfs -i -o {text} '{shown_key(key)}'")
    return wrong
