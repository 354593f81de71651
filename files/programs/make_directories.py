"""Makes directories of the pods, for whom they are to belong to.

Argument: {"pods": path, "mounted": bool, "paths": [path…], "owner": [uid, gid] or null}. With `mounted`, nothing is
made unless something is mounted at `pods`. With `owner`, a new directory is given to it before it has its name;
without, it belongs to whom the server makes it. One that is there is left alone. Answer: {"made": [path…]}.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys


def make(path: str, owner: list[int] | None) -> bool:
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
    seen = os.lstat(new)
    try:
        if owner and [seen.st_uid, seen.st_gid] != owner:
            os.chown(new, *owner, follow_symlinks=False)
    except OSError as error:
        os.rmdir(new)
        sys.exit(
            f"{path} cannot be given to {owner}: {error.strerror}. The server does not let this "
            "machine's root give files away (EPERM: it squashes root; EINVAL: its NFSv4 id mapping is broken, see "
            "nfsidmap(8)); use pods_access squash"
        )
    os.rename(new, path)
    return True


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked["mounted"] and not os.path.ismount(asked["pods"]):
        sys.exit(f"nothing is mounted at {asked['pods']}: no directory is made there")
    print(json.dumps({"made": [path for path in asked["paths"] if make(path, asked["owner"])]}))
