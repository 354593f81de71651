"""The one disk image that all machines start from: built when missing, named after all that goes into it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.lab.apt import controller_sources, lab_sources, os_codename
from tests.lab.kernel import add_modules
from tests.lab.kernel import version as kernel_version
from tests.lab.paths import PROJECT, cache, locked
from tests.lab.shell import call, say

SUITE = "trixie"
PNPM = "10.33.0"
SIZE = "6G"
KEPT = 2
RECIPE = Path(__file__).parent / "rootfs"
BUNDLES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))


def ensure_image() -> Path:
    """The image's path; builds it first if its contents changed or nobody built it yet."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"machine-{image_key()}.img"
    if image.exists():
        return image
    with locked(folder / "build.lock"):
        if not image.exists():
            build(image)
            prune(folder)
    return image


def packages() -> list[str]:
    """The Debian packages of a machine."""
    lines = (RECIPE / "packages.txt").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def sources() -> list[str]:
    """The machine's apt sources, from where the controller gets its own packages."""
    return lab_sources(controller_sources(), os_codename(Path("/etc/os-release").read_text()), SUITE)


def certificates(text: str) -> list[str]:
    """The certificates in a bundle."""
    return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)


def controller_bundle() -> str:
    """What the controller trusts: machines must trust it too, or they reach no registry behind a private authority."""
    named = [Path(os.environ[name]) for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS") if name in os.environ]
    return "\n".join(path.read_text() for path in (*named, *BUNDLES) if path.is_file())


def image_key() -> str:
    """A hash over everything that decides what is in the image."""
    digest = hashlib.sha256()
    for path in sorted([Path(__file__), *RECIPE.rglob("*")]):
        if path.is_file():
            mode = path.stat().st_mode & 0o111
            digest.update(f"{path.relative_to(PROJECT)} {mode:o}\n".encode() + path.read_bytes())
    digest.update("\n".join([kernel_version(), *sources(), npm_registry(), controller_bundle()]).encode())
    return digest.hexdigest()[:16]


def npm_registry() -> str:
    """The npm registry that the controller is set to, or an empty string for npm's own default."""
    if shutil.which("npm") is None:
        return ""
    return call(["npm", "config", "get", "registry"], check=False).strip()


def build(image: Path) -> None:
    """Makes a root file system and turns it into a sparse ext4 image."""
    say(f"building the machines' image {image.name}: takes about 2 minutes, once")
    with tempfile.TemporaryDirectory(prefix="build-", dir=image.parent) as work:
        root = Path(work) / "root"
        bootstrap(root)
        say("adding the lab's files, kernel modules and pnpm")
        furnish(root)
        say("writing the disk image")
        disk = Path(work) / "disk.img"
        options = "lazy_itable_init=1,lazy_journal_init=1"
        call(["mke2fs", "-q", "-t", "ext4", "-L", "lab", "-E", options, "-d", str(root), str(disk), SIZE], timeout=300)
        disk.rename(image)
    say("image built")


def bootstrap(root: Path) -> None:
    """Installs Debian into `root`, with signatures checked against the controller's Debian keyring."""
    lines = sources()
    say(f"installing Debian {SUITE} with {len(packages())} chosen packages")
    apt = [
        'Acquire::Languages "none"',
        'Acquire::PDiffs "false"',
        'APT::Install-Recommends "false"',
    ]
    dpkg = ["force-unsafe-io", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*"]
    call(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            # A purged package comes back from these without a download.
            "--skip=cleanup/apt,download/empty",
            *(f"--aptopt={option}" for option in apt),
            *(f"--dpkgopt={option}" for option in dpkg),
            f"--include={','.join(packages())}",
            SUITE,
            str(root),
            *lines,
        ],
        timeout=900,
    )


def furnish(root: Path) -> None:
    """Adds the lab's own files, the kernel's modules and the controller's trust, then runs setup.sh inside."""
    shutil.copytree(RECIPE / "root", root, dirs_exist_ok=True)
    add_modules(root)

    known = set(certificates((root / "etc/ssl/certs/ca-certificates.crt").read_text()))
    extra = sorted(set(certificates(controller_bundle())) - known)
    for number, certificate in enumerate(extra):
        path = root / f"usr/local/share/ca-certificates/controller-{number}.crt"
        path.write_text(certificate + "\n")

    npmrc = ["cafile=/etc/ssl/certs/ca-certificates.crt", "audit=false", "fund=false", "update-notifier=false"]
    if registry := npm_registry():
        npmrc.append(f"registry={registry}")
    (root / "etc/npmrc").write_text("\n".join(npmrc) + "\n")
    with (root / "etc/environment").open("a") as handle:
        # Node brings its own list of authorities and does not look at the system's.
        handle.write("NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt\n")

    shutil.copy(RECIPE / "setup.sh", root / "setup.sh")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    # In mount and process namespaces of its own, so that nothing stays mounted or running whatever happens.
    script = (
        'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --make-rslave "$0/dev" '
        '&& exec chroot "$0" /bin/sh /setup.sh "$@"'
    )
    inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, str(root), PNPM, kernel_version()]
    call(["env", "-u", "SSL_CERT_FILE", "-u", "SSL_CERT_DIR", *inside], timeout=300)
    (root / "setup.sh").unlink()


def prune(folder: Path) -> None:
    """Removes all but the newest images. One that a running machine started from stays: it may be started again."""
    images = sorted(folder.glob("machine-*.img"), key=lambda path: path.stat().st_mtime, reverse=True)
    used = running_command_lines()
    for old in images[KEPT:]:
        if str(old).encode() not in used:
            say(f"removing the old image {old.name}")
            old.unlink()
    for left in folder.glob("build-*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


def running_command_lines() -> bytes:
    """The command lines of all processes, for looking up a path in."""
    running = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            running.append(path.read_bytes())
    return b"\n".join(running)
