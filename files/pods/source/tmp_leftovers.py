"""Files in /tmp that an earlier host user left and the new one cannot write.

OneCLI's SDK writes its certificates there under fixed names.
"""

from __future__ import annotations

import os
import stat

TMP = "/tmp"


def leftovers(uid: int | None) -> list[str]:
    """Return a user's files."""
    paths = []
    for name in sorted(os.listdir(TMP)):
        if name.startswith("onecli-") and name.endswith(".pem"):
            try:
                info = os.lstat(os.path.join(TMP, name))
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_uid == uid:
                paths.append(os.path.join(TMP, name))
    return paths[:100]


def remove_leftovers(uid: int) -> None:
    """Remove a user's files. Chowns none, so a link in /tmp is harmless."""
    for path in leftovers(uid):
        try:
            os.unlink(path)
        except OSError as error:
            print(f"{path} of uid {uid} stays: {error}")
        else:
            print(f"removed {path} of uid {uid}: NanoClaw writes it again")
