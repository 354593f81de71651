"""Room on the disk of a project root, from its stage: for programs that import it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from files.pods.source.stage_place import OUTPUTS, stage_of


def empty_stage(root: str) -> None:
    """Remove the files of a stage that is not switched to: it is built anew then.

    Its .git and its directories of outputs stay: a way back takes a missing one for one that the project root has.
    """
    stage = stage_of(root)
    with suppress(FileNotFoundError):
        for name in os.listdir(stage):
            path = f"{stage}/{name}"
            if name == ".git":
                continue
            if not os.path.isdir(path) or os.path.islink(path):
                os.unlink(path)
                continue
            for entry in os.scandir(path):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)
            if name not in OUTPUTS:
                with suppress(OSError):
                    os.rmdir(path)
