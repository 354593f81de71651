"""What settings of the service and of its image are refused for, by themselves."""

from contextlib import suppress

from tasks.model.fleet import image_name
from tasks.model.fleet.plan import lies_in
from tasks.model.fleet.settings import HostSettings, WrongSettingError
from tasks.model.fleet.show_value import holds_secret, sounds_secret
from tasks.model.fleet.system_paths import of_kernel
from tasks.model.problem import SettingProblem, SettingProblems

_ROLES_OWN = {
    "CONTAINER_IMAGE": "nanoclaw_image and nanoclaw_image_name say which image agents have",
    "HOME": "it is the home of nanoclaw_user, where NanoClaw looks for its own settings",
}
_EVERYBODYS = ("/tmp", "/var/tmp")  # noqa: S108  refused, not used


def image(settings: HostSettings) -> SettingProblems:
    """The name of the image, for where it comes from."""
    name, key = settings.nanoclaw_image_name, "nanoclaw_image_name"
    reference = image_name.parse(name) if name else None
    if settings.nanoclaw_image == "build" and name is not None:
        text = 'container/build.sh names what it builds; leave it out, or set nanoclaw_image to "pull"'
        yield SettingProblem(key, "image-name-of-build", text)
    if settings.nanoclaw_image == "pull" and not (reference and reference.pins):
        shown = f"{name!r} is refused" if name else "is needed"
        text = f"{shown}: a pull expects name@sha256:DIGEST, since a tag may change under the fleet"
        yield SettingProblem(key, "image-without-digest", text)
    if settings.nanoclaw_image == "load" and reference is None:
        text = "is needed: the name that the image has in nanoclaw_image_archive"
        yield SettingProblem(key, "image-name-of-load", text)
    elif settings.nanoclaw_image == "load" and reference and reference.digest:
        text = f"{name!r} is refused: docker save keeps no digest; use the name and tag that it was saved with"
        yield SettingProblem(key, "image-digest-of-load", text)


def image_archive(settings: HostSettings) -> SettingProblems:
    """The archive that the image is loaded from: root reads it, so nobody else may write it."""
    key, archive = "nanoclaw_image_archive", settings.nanoclaw_image_archive
    if settings.nanoclaw_image == "load" and archive is None:
        text = "is needed: a file on the host, as docker save makes it"
        yield SettingProblem(key, "archive-needed", text)
    if settings.nanoclaw_image != "load" and archive is not None:
        text = 'is read for nanoclaw_image "load" only; set that, or leave it out'
        yield SettingProblem(key, "archive-not-read", text)
    elif archive is not None and (of_kernel(archive) or any(lies_in(archive, place) for place in _EVERYBODYS)):
        text = f"{archive} is refused: everybody can write there, or it is gone after a boot; use /srv"
        yield SettingProblem(key, "archive-of-everybody", text)
    for name in ("pods_path", "nanoclaw_root"):
        with suppress(WrongSettingError):
            if archive is not None and lies_in(archive, getattr(settings, name)):
                text = f"{archive} is refused: agents or their host can write below {name}; keep it elsewhere, /srv"
                yield SettingProblem(key, "archive-of-agents", text)


def environment(settings: HostSettings) -> SettingProblems:
    """The environment of the service's unit, which every user of the host can read."""
    key = "nanoclaw_environment"
    for name, value in settings.nanoclaw_environment.items():
        if name in _ROLES_OWN:
            text = f"{name} is refused: {_ROLES_OWN[name]}; leave it out"
            yield SettingProblem(key, "variable-of-role", text)
        if sounds_secret(name):
            text = f"{name} sounds secret, {_READABLE}; use nanoclaw_env"
            yield SettingProblem(key, "secret-name", text)
        elif holds_secret(value):
            text = f"{name} holds what looks like a secret, {_READABLE}; use nanoclaw_env"
            yield SettingProblem(key, "secret-value", text)
        elif name == "PATH":
            yield from _search_path(key, value)


def gateway(settings: HostSettings) -> SettingProblems:
    """The gateway: its setup must have the address of a server that runs, and no other may stand beside it."""
    kind, server, key = settings.nanoclaw_gateway, settings.nanoclaw_gateway_server, "nanoclaw_gateway_server"
    if kind is None:
        if server is not None:
            text = 'is read with nanoclaw_gateway only; set that to "onecli", or leave it out'
            yield SettingProblem(key, "server-without-gateway", text)
        return
    if server is None:
        text = (
            "is needed: the address of a OneCLI that runs. Without one NanoClaw's setup would pipe an installer from "
            "the network into a shell"
        )
        yield SettingProblem(key, "gateway-without-server", text)
    ours = {"NANOCLAW_GATEWAY_PROVIDER": ("nanoclaw_gateway", kind), "ONECLI_URL": (key, server)}
    for place in ("nanoclaw_env", "nanoclaw_environment"):
        with suppress(WrongSettingError):
            entries = getattr(settings, place)
            for name, (setting, value) in ours.items():
                if name in entries and entries[name] != value:
                    text = f"{name} is refused: {setting} says something else; leave it out of {place}"
                    yield SettingProblem(place, "entry-of-gateway", text)


_READABLE = "and every user of the host can read a unit's environment"
_PROGRAMS = ("/usr/local/bin", "/usr/bin", "/bin")
"""Where the service finds node, docker and git: the PATH of its unit."""


def _search_path(key: str, value: str) -> SettingProblems:
    """A PATH that does not do for the service."""
    places = value.split(":")
    if not all(place.startswith("/") and ".." not in place.split("/") for place in places):
        why = "expects absolute directories, without .. and without an empty one, which is the working directory"
        yield SettingProblem(key, "search-path-relative", f"PATH is refused: {why}")
    elif missing := [place for place in _PROGRAMS if place not in [place.rstrip("/") for place in places]]:
        why = f"it hides the programs in {', '.join(missing)}; add {':'.join(missing)}"
        yield SettingProblem(key, "search-path-without-programs", f"PATH is refused: {why}")
