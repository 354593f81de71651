"""Makes directories of the pods, for whom they are to belong to.

Argument: {"pods": path, "mounted": bool, "paths": [path…], "owner": [uid, gid] or null, "creator": [uid, gid]
or none}. With `mounted`, nothing is made unless something is mounted at `pods`. With `owner`, a new directory is given
to it before it has its name, or created by `creator`, the host process, where root is squashed and may give nothing;
without `owner`, it belongs to whom the server makes it. One that is there is left alone. Answer: {"made": [path…]}.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys


def make(path: str, owner: list[int] | None, creator: list[int] | None) -> bool:
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        sys.exit(f"{path} is to be a directory of the pods and is a link or a file; move it away")
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path)
    new = os.path.join(parent, f".{name}.new")
    shutil.rmtree(new, ignore_errors=True)
    os.mkdir(new, 0o755)
    os.chmod(new, 0o755)
    try:
        if owner and owner_of(new) != owner:
            os.chown(new, *owner, follow_symlinks=False)
    except OSError as error:
        os.rmdir(new)
        if not owner or not creator or not created_by(creator, new, owner):
            sys.exit(
                f"{path} cannot be given to {owner}: {error.strerror}. The server does not let this "
                "machine's root give files away (EPERM: it squashes root; EINVAL: its NFSv4 id mapping is broken, see "
                "nfsidmap(8)); use pods_access squash"
            )
    os.rename(new, path)
    return True


def owner_of(path: str) -> list[int]:
    info = os.lstat(path)
    return [info.st_uid, info.st_gid]


def created_by(creator: list[int], path: str, owner: list[int]) -> bool:
    """Creates a directory with these ids; leaves none where it is not the owner's then."""
    umask, groups = os.umask(0o022), os.getgroups()
    os.setgroups([])
    os.setegid(creator[1])
    os.seteuid(creator[0])
    try:
        os.mkdir(path, 0o755)
        if owner_of(path) == owner:
            return True
        os.rmdir(path)
    except OSError:
        pass
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
        os.umask(umask)
    return False


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked["mounted"] and not os.path.ismount(asked["pods"]):
        sys.exit(f"nothing is mounted at {asked['pods']}: no directory is made there")
    made = [path for path in asked["paths"] if make(path, asked["owner"], asked.get("creator"))]
    print(json.dumps({"made": made}))
