"""Files in /tmp that an earlier host user left and the new one cannot write.

OneCLI's SDK writes its certificates there under fixed names, for each container.
"""

from __future__ import annotations

import os
import stat

TMP = "/tmp"


def leftovers(uid: int | None) -> list[str]:
    """Those of a user."""
    found = []
    for name in sorted(os.listdir(TMP)):
        if name.startswith("onecli-") and name.endswith(".pem"):
            try:
                info = os.lstat(os.path.join(TMP, name))
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_uid == uid:
                found.append(os.path.join(TMP, name))
    return found[:100]


def remove_leftovers(uid: int) -> None:
    """Removes them: nothing is given away, so that a link in /tmp leads nowhere."""
    for path in leftovers(uid):
        try:
            os.unlink(path)
        except OSError as error:
            print(f"{path} of uid {uid} stays: {error}")
        else:
            print(f"removed {path} of uid {uid}: NanoClaw writes it again")
