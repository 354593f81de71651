"""Give the image of a staged version the name of the project root's image; keep the one before for the way back.

Repeats safely. Only names change: containers that run keep their image.
"""

from __future__ import annotations

import subprocess
import sys

from files.pods.common.docker import run_docker
from files.pods.common.ids import IdentityError
from files.pods.common.protocol import read_request
from files.pods.source.image_record import keep_record
from files.pods.source.stage_image import image_id, kept_name, staged_image
from files.pods.source.staging_protocol import SwitchImageRequest


def tag(name: str, more: str) -> None:
    """Give an image one more name, which another one may have now."""
    run_docker("tag", name, more, check=True)


def switch(root: str, image: str) -> None:
    """Name the staged image as the project root's."""
    staged, present = image_id(staged_image(root)), image_id(image)
    if staged is None:
        sys.exit(f"there is no image {staged_image(root)}: stage the version again")
    if present == staged:
        return
    if present:
        tag(image, kept_name(image))
    tag(staged_image(root), image)


def switch_back(image: str) -> None:
    """Name the image before as the project root's again, if the switch kept one."""
    kept = kept_name(image)
    if image_id(kept):
        tag(kept, image)
        run_docker("rmi", kept)


if __name__ == "__main__":
    request = read_request(SwitchImageRequest)
    try:
        switch(request.root, request.image)
        keep_record(request)
    except (OSError, subprocess.SubprocessError, IdentityError) as failure:
        sys.exit(f"the image of {request.root} has no new name: {failure}")
