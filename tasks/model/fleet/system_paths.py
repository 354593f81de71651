"""Paths that the role never takes over: those of the system, of other services, of people, and of the role itself.

hier(7) and file-hierarchy(7) say what lies where. The same rule judges a path as it is written in host data and, once
the machine has resolved its links, the directory that it really is.
"""

import re

from tasks.model.fleet.plan import lies_in

STATE_DIRECTORY = "/var/lib/nanoclaw-pods"
"""Where the role keeps its own state; directories that begin with this name are its own, too."""

_SYSTEM = frozenset(
    (
        *("bin", "boot", "dev", "efi", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "nix", "proc", "run"),
        *("sbin", "selinux", "snap", "sys", "sysroot", "ostree", "tmp", "usr"),
    )
)
_SHARED = frozenset({"/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var"})
_SHARED_VAR = frozenset({"lib", "local", "opt"})
_SERVICES_OPT = frozenset({"cni", "containerd"})
_SYSTEM_VAR = frozenset(
    (
        *("account", "adm", "agentx", "backups", "cache", "crash", "db", "empty", "games", "kerberos", "lock", "log"),
        *("mail", "named", "nis", "preserve", "run", "snap", "spool", "tmp", "www", "yp"),
    )
)
_SERVICES = frozenset(
    (
        *("AccountsService", "NetworkManager", "PackageKit", "alternatives", "apt", "aspell", "bluetooth", "boltd"),
        *("buildkit", "buildkitd", "cloud", "cni", "colord", "command-not-found", "containerd", "containers"),
        *("corosync", "couchdb", "cups", "dbus", "dhcp", "dkms", "docker", "docker-engine", "dpkg", "elasticsearch"),
        *("etcd", "emacsen-common", "fail2ban", "flatpak", "fwupd", "gdm3", "gitlab", "gitlab-runner", "grafana"),
        *("grub", "haproxy", "influxdb", "initramfs-tools", "initscripts", "iscsi", "jenkins", "k0s", "kubelet"),
        *("kubernetes", "landscape", "ldap", "libvirt", "lightdm", "locales", "logrotate", "lxc", "lxcfs", "lxd"),
        *("machines", "man-db", "mariadb", "memcached", "mlocate", "mongodb", "multipath", "mysql", "mysql-files"),
        *("nfs", "nfsdcltrack", "nginx", "ntp", "ntpsec", "openvpn", "pacemaker", "pam", "php", "plocate", "polkit-1"),
        *("portables", "postfix", "postgresql", "private", "prometheus", "python", "rabbitmq", "rancher", "redis"),
        *("rpcbind", "samba", "sgml-base", "shells.state", "shim-signed", "snapd", "snmp", "squid", "sss", "sudo"),
        *("swcatalog", "systemd", "tailscale", "teleport", "tor", "ubuntu-advantage", "ucf", "udev", "udisks2"),
        *("usbutils", "vim", "waagent", "xfsdump", "xkb", "xml-core", "zerotier-one"),
        *("acme", "caddy", "ceph", "chrony", "clamav", "consul", "dnf", "dovecot", "firewalld", "gdm", "gitea"),
        *("glusterd", "keycloak", "letsencrypt", "mailman", "misc", "mongo", "nomad", "pgsql", "rpm", "sddm"),
        *("selinux", "tftpboot", "vault", "zabbix"),
    )
)
_PRIVATE = re.compile(
    r"/(?:root|home/[^/]+)/\.(?:ssh|gnupg|aws|azure|kube|docker|config|local|cache|nvm|npm|cargo|rustup|mozilla|pki|bash\w*|profile)(?:/.*)?"
)


def in_system(path: str) -> bool:
    """Whether a path is, or lies in, a directory of the operating system, of a service, of a login, or of the role."""
    parts = path.split("/")[1:]
    if parts[0] in _SYSTEM:
        return True
    if parts[0] == "var" and len(parts) > 1:
        if parts[1] in _SYSTEM_VAR:
            return True
        if parts[1] == "lib" and len(parts) > 2:
            return parts[2] in _SERVICES or of_role(path)
    if parts[0] == "opt" and len(parts) > 1 and parts[1] in _SERVICES_OPT:
        return True
    return _PRIVATE.fullmatch(path) is not None


def is_shared(path: str) -> bool:
    """Whether others than NanoClaw keep their things right in this directory (hier(7))."""
    above, _, name = path.rpartition("/")
    return path in _SHARED or (above == "/var" and name in _SHARED_VAR)


def of_kernel(path: str) -> bool:
    """Whether a path is no file of a disk: the kernel's and devices' views, and what ends with the machine's uptime."""
    return path.split("/")[1] in ("dev", "proc", "run", "sys")


def of_role(path: str) -> bool:
    """Whether the role keeps its own state there."""
    return lies_in(path, STATE_DIRECTORY) or path.startswith(f"{STATE_DIRECTORY}-")
