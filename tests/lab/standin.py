"""The stand-in NanoClaw as a git repository with releases, byte for byte the same on each machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.standin_edits import Tree
from tests.lab.standin_edits import edit as _edit
from tests.lab.standin_later import ANNOTATED, LATER, later_releases

SOURCES = Path(__file__).parent / "nanoclaw"
RELEASES = ("v2.0.63", "v2.0.64", "v2.0.65", *LATER)
CHANNELS = ("telegram", "whatsapp")
"""The channels of the branch `channels`, from which setup/install-*.sh takes them."""

_MADE_HERE = {"node_modules", "dist", "data", "logs", "store", ".env"}
_WHO = "NanoClaw stand-in <standin@lab.invalid>"
_WHEN = (1_778_900_000, 1_779_100_000, 1_779_700_000, 1_779_800_000)
_MONTH = 2_600_000


def digest() -> str:
    """Return a digest that changes with the repository: a key for what is built from it."""
    return hashlib.sha256(_history()).hexdigest()


def make_repository(dest: Path) -> None:
    """Make a bare repository at `dest`: its releases as tags, some annotated, main at v2.0.65, channels."""
    dest.mkdir(parents=True)  # never on top of something else
    _git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(dest))
    _git("--git-dir", str(dest), "fast-import", "--quiet", stdin=_history())


def _git(*args: str, stdin: bytes | None = None) -> None:
    alone = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *args], check=True, input=stdin, env=os.environ | alone)


def _history() -> bytes:
    first = _first_release()
    second = _second_release(first)
    before = dict(first)
    _edit(before, "package.json", '"version": "2.0.64"', '"version": "2.0.63"')
    parts = [
        _commit(1, "NanoClaw 2.0.63", before),
        _tag(RELEASES[0], 1),
        _commit(2, "NanoClaw 2.0.64", first),
        _tag(RELEASES[1], 2),
        _commit(3, "NanoClaw 2.0.65", second),
        _tag(RELEASES[2], 3, _WHEN[2]),
        _commit(4, "channels", _channels(first), "refs/heads/channels"),
    ]
    for mark, (tag, tree) in enumerate(later_releases(second), start=5):
        message = f"NanoClaw {tag.removeprefix('v')}"
        if tag in ANNOTATED:
            parts += [_commit(mark, message, tree, "refs/heads/releases"), _tag(tag, mark, _when(mark))]
        else:
            parts.append(_commit(mark, message, tree, f"refs/tags/{tag}", 3 if mark == 5 else mark - 1))
    return b"".join([*parts, b"reset refs/heads/releases\nfrom 0000000000000000000000000000000000000000\n\n"])


def _tag(name: str, mark: int, when: int | None = None) -> bytes:
    """Tag a commit; with a time the tag is annotated."""
    if when is None:
        return f"reset refs/tags/{name}\nfrom :{mark}\n\n".encode()
    head = f"tag {name}\nfrom :{mark}\ntagger {_WHO} {when} +0000\n".encode()
    return head + _data(f"NanoClaw {name.removeprefix('v')}".encode())


def _when(mark: int) -> int:
    return _WHEN[mark - 1] if mark <= len(_WHEN) else _WHEN[-1] + (mark - len(_WHEN)) * _MONTH


def _commit(
    mark: int, message: str, tree: Tree, name: str = "refs/heads/main", parent_mark: int | None = None
) -> bytes:
    head = f"commit {name}\nmark :{mark}\ncommitter {_WHO} {_when(mark)} +0000\n".encode()
    parent = f"from :{parent_mark or mark - 1}\ndeleteall\n".encode() if mark > 1 else b""
    files = (
        f"M {'100755' if executable else '100644'} inline {path}\n".encode() + _data(content)
        for path, (content, executable) in sorted(tree.items())
    )
    return head + _data(message.encode()) + parent + b"".join(files) + b"\n"


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _first_release() -> Tree:
    return {
        path.relative_to(SOURCES).as_posix(): (path.read_bytes(), path.suffix == ".sh")
        for path in _source_files(SOURCES)
    }


def _source_files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.name in _MADE_HERE:
            continue
        if path.is_dir():
            yield from _source_files(path)
        else:
            yield path


def _second_release(first: Tree) -> Tree:
    """A release that runs only after both a new install (one more package) and a new build (which imports it)."""
    tree = dict(first)
    _edit(tree, "package.json", '"version": "2.0.64"', '"version": "2.0.65"')
    _edit(
        tree,
        "package.json",
        '"link:packages/install-slug"\n',
        '"link:packages/install-slug",\n    "release-notes": "link:packages/release-notes"\n',
    )
    _edit(
        tree,
        "pnpm-lock.yaml",
        "        version: link:packages/install-slug\n",
        "        version: link:packages/install-slug\n"
        "      release-notes:\n"
        "        specifier: link:packages/release-notes\n"
        "        version: link:packages/release-notes\n",
    )
    _edit(
        tree,
        "src/config.js",
        "export function version()",
        "export { notes } from 'release-notes';\n\nexport function version()",
    )
    tree["packages/release-notes/package.json"] = (
        b'{\n  "name": "release-notes",\n  "version": "1.0.0",\n  "private": true,\n'
        b'  "type": "module",\n  "exports": "./index.js"\n}\n',
        False,
    )
    tree["packages/release-notes/index.js"] = (b"export const notes = 'One more package, nothing else.';\n", False)
    return tree


def _channels(first: Tree) -> Tree:
    adapters = {
        f"src/channels/{name}.js": f"import {{ adapt }} from 'chat-adapter-{name}';\n\nadapt('{name}');\n"
        for name in CHANNELS
    }
    return {**first, **{path: (text.encode(), False) for path, text in adapters.items()}}
