"""What settings of the service and of its image are refused for, by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from tasks.model.fleet import image_name
from tasks.model.fleet.plan import lies_in
from tasks.model.fleet.settings import HostSettings, WrongSettingError
from tasks.model.fleet.show_value import holds_secret, sounds_secret
from tasks.model.fleet.system_paths import of_kernel

Problems = Iterable[tuple[str, str]]

_ROLES_OWN = {
    "CONTAINER_IMAGE": "nanoclaw_image and nanoclaw_image_name say which image agents have",
    "HOME": "it is the home of nanoclaw_user, where NanoClaw looks for its own settings",
}
_EVERYBODYS = ("/tmp", "/var/tmp")  # noqa: S108  refused, not used


def image(settings: HostSettings) -> Problems:
    """The name of the image, for where it comes from."""
    name, key = settings.nanoclaw_image_name, "nanoclaw_image_name"
    reference = image_name.parse(name) if name else None
    if settings.nanoclaw_image == "build" and name is not None:
        yield key, 'container/build.sh names what it builds; leave it out, or set nanoclaw_image to "pull"'
    if settings.nanoclaw_image == "pull" and not (reference and reference.pins):
        shown = f"{name!r} is refused" if name else "is needed"
        yield key, f"{shown}: a pull expects name@sha256:DIGEST, since a tag may change under the fleet"
    if settings.nanoclaw_image == "load" and reference is None:
        yield key, "is needed: the name that the image has in nanoclaw_image_archive"
    elif settings.nanoclaw_image == "load" and reference and reference.digest:
        yield key, f"{name!r} is refused: docker save keeps no digest; use the name and tag that it was saved with"


def image_archive(settings: HostSettings) -> Problems:
    """The archive that the image is loaded from: root reads it, so nobody else may write it."""
    key, archive = "nanoclaw_image_archive", settings.nanoclaw_image_archive
    if settings.nanoclaw_image == "load" and archive is None:
        yield key, "is needed: a file on the host, as docker save makes it"
    if settings.nanoclaw_image != "load" and archive is not None:
        yield key, 'is read for nanoclaw_image "load" only; set that, or leave it out'
    elif archive is not None and (of_kernel(archive) or any(lies_in(archive, place) for place in _EVERYBODYS)):
        yield key, f"{archive} is refused: everybody can write there, or it is gone after a boot; use /srv"
    for name in ("pods_path", "nanoclaw_root"):
        with suppress(WrongSettingError):
            if archive is not None and lies_in(archive, getattr(settings, name)):
                yield key, f"{archive} is refused: agents or their host can write below {name}; keep it elsewhere, /srv"


def environment(settings: HostSettings) -> Problems:
    """The environment of the service's unit, which every user of the host can read."""
    key = "nanoclaw_environment"
    for name, value in settings.nanoclaw_environment.items():
        if name in _ROLES_OWN:
            yield key, f"{name} is refused: {_ROLES_OWN[name]}; leave it out"
        if sounds_secret(name):
            yield key, f"{name} sounds secret, {_READABLE}; use nanoclaw_env"
        elif holds_secret(value):
            yield key, f"{name} holds what looks like a secret, {_READABLE}; use nanoclaw_env"
        elif name == "PATH" and (problem := _search_path(value)):
            yield key, f"PATH is refused: {problem}"


_READABLE = "and every user of the host can read a unit's environment"
_PROGRAMS = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where the service finds node, docker and git: the PATH of its unit."""


def _search_path(value: str) -> str | None:
    """Why a PATH does not do for the service, or None."""
    places = value.split(":")
    if not all(place.startswith("/") and ".." not in place.split("/") for place in places):
        return "expects absolute directories, without .. and without an empty one, which is the working directory"
    missing = [place for place in _PROGRAMS if place not in [place.rstrip("/") for place in places]]
    return f"it hides the programs in {', '.join(missing)}; add {':'.join(missing)}" if missing else None
