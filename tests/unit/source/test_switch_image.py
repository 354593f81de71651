"""The image of a staged version takes the name of the one in use, until the way back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from files.pods.source import stage_image, switch_image
from files.pods.source.image_record import keep_record, put_record_back
from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import SwitchImageRequest

IMAGE, KEPT = "nanoclaw-agent-v2-1234:latest", "nanoclaw-agent-v2-1234:nanoclaw-pods-previous"

DOCKER = """#!/usr/bin/env python3
import json, sys
path = {path!r}
images = json.load(open(path))
verb, *words = sys.argv[1:]
if verb == "image":
    if words[-1] not in images:
        sys.exit(1)
    print(json.dumps([{{"Id": images[words[-1]], "Config": {{"User": "1000:1000"}}}}]))
elif verb == "tag":
    images[words[1]] = images[words[0]]
elif verb == "rmi":
    del images[words[0]]
json.dump(images, open(path, "w"))
"""


class Docker:
    """A daemon that has images by name."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "images.json"
        (folder / "docker").write_text(DOCKER.format(path=str(self.path)))
        (folder / "docker").chmod(0o755)

    @property
    def images(self) -> dict[str, str]:
        return dict(json.loads(self.path.read_text()))

    @images.setter
    def images(self, images: dict[str, str]) -> None:
        self.path.write_text(json.dumps(images))


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return Docker(tmp_path / "bin")


@pytest.fixture
def root(tmp_path: Path) -> str:
    path = tmp_path / "nanoclaw"
    stage = Path(path.parent / f".{path.name}.nanoclaw-pods/stage/container")
    path.mkdir()
    stage.mkdir(parents=True)
    (stage / "build.sh").write_text("true\n")
    return str(path)


def test_image_of_the_stage_takes_the_name_until_the_way_back(docker: Docker, root: str) -> None:
    staged = stage_image.staged_image(root)
    docker.images = {IMAGE: "old", staged: "new"}
    for _ in range(2):
        switch_image.switch(root, IMAGE)
        assert docker.images == {IMAGE: "new", staged: "new", KEPT: "old"}
    for _ in range(2):
        switch_image.switch_back(IMAGE)
        assert docker.images == {IMAGE: "old", staged: "new"}


def test_image_of_an_earlier_switch_is_no_way_back(docker: Docker, root: str) -> None:
    """Else a rollback that comes before the image has changed would bring it back."""
    docker.images = {IMAGE: "present", KEPT: "old"}
    for _ in range(2):
        stage_image.remove_kept(IMAGE)
        assert docker.images == {IMAGE: "present"}
    switch_image.switch_back(IMAGE)
    assert docker.images == {IMAGE: "present"}


@pytest.mark.usefixtures("docker")
def test_image_is_unknown_where_docker_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        switch_image.switch_back(IMAGE)


def test_record_changes_with_the_image_and_comes_back(docker: Docker, root: str, tmp_path: Path) -> None:
    record = tmp_path / "image.json"
    old = '{"image": "old", "uid": 1000, "gid": 1000, "tree": "t"}\n'
    record.write_text(old)
    docker.images = {IMAGE: "new", KEPT: "old"}
    request = SwitchImageRequest(user="nobody", uid=0, gid=0, root=root, image=IMAGE, record=str(record))
    for _ in range(2):
        keep_record(request)
        assert json.loads(record.read_text()) == {"image": "new", "uid": 1000, "gid": 1000, "tree": ""}
    for _ in range(2):
        put_record_back(str(record))
        assert json.loads(record.read_text()) == json.loads(old)


def test_staged_image_of_another_user_is_refused(docker: Docker, root: str) -> None:
    docker.images = {stage_image.staged_image(root): "new"}
    stage_image.main(root, (1000, 1000))
    with pytest.raises(SystemExit, match="runs as 1000:1000, and the plan expects 1001:1001: set nanoclaw_image_uid"):
        stage_image.main(root, (1001, 1001))


def test_first_image_has_none_before_it(docker: Docker, root: str) -> None:
    staged = stage_image.staged_image(root)
    docker.images = {staged: "new"}
    switch_image.switch(root, IMAGE)
    assert docker.images == {IMAGE: "new", staged: "new"}


def test_version_without_an_image_is_not_switched_to(docker: Docker, root: str) -> None:
    docker.images = {IMAGE: "old"}
    with pytest.raises(SystemExit, match=r"there is no image .*: stage the version again"):
        switch_image.switch(root, IMAGE)
    assert docker.images == {IMAGE: "old"}


def test_build_of_the_stage_must_make_an_image_of_its_name(docker: Docker, root: str) -> None:
    docker.images = {stage_image.staged_image(root): "new"}
    stage_image.main(root, None)
    docker.images = {"nanoclaw-agent:latest": "another"}
    with pytest.raises(SystemExit, match="succeeded, but there is no image nanoclaw-agent-v2-"):
        stage_image.main(root, None)


def test_build_that_fails_says_why(docker: Docker, root: str) -> None:
    docker.images = {}
    (Path(stage_of(root)) / "container/build.sh").write_text("echo no space left; exit 3\n")
    with pytest.raises(SystemExit, match=r"failed \(status 3\):\nno space left"):
        stage_image.main(root, None)


def test_build_of_the_stage_names_the_word_that_its_script_needs(docker: Docker, root: str) -> None:
    """Without it, a script of 2.2.0 refuses where .env says that the image is pulled."""
    docker.images = {stage_image.staged_image(root): "new"}
    script = 'case "$1" in\nbuild) ;;\n*) echo "NANOCLAW_HARDENED_IMAGE is set"; exit 3 ;;\nesac\n'
    (Path(stage_of(root)) / "container/build.sh").write_text(script)
    stage_image.main(root, None)
