"""Places that the role never takes over. hier(7), file-hierarchy(7) and packages say what lies where."""

from __future__ import annotations

import pytest

from tasks.model.fleet.system_paths import in_system, is_shared, of_kernel, of_role

TOP = """
    bin boot dev efi etc lib lib32 lib64 libx32 lost+found nix ostree proc run sbin selinux snap sys sysroot tmp usr
"""
VAR = """
    account adm agentx backups cache crash db empty games kerberos lock log mail named nis preserve run snap spool tmp
    www yp
"""
STATE_OF_SERVICES = """
    AccountsService NetworkManager PackageKit acme alternatives apt aspell bluetooth boltd buildkit buildkitd caddy ceph
    chrony clamav cloud cni colord command-not-found consul containerd containers corosync couchdb cups dbus dhcp dkms
    dnf docker docker-engine dovecot dpkg elasticsearch emacsen-common etcd fail2ban firewalld flatpak fwupd gdm gdm3
    gitea gitlab gitlab-runner glusterd grafana grub haproxy influxdb initramfs-tools initscripts iscsi jenkins k0s
    keycloak kubelet kubernetes landscape ldap letsencrypt libvirt lightdm locales logrotate lxc lxcfs lxd machines
    mailman man-db mariadb memcached misc mlocate mongo mongodb multipath mysql mysql-files nfs nfsdcltrack nginx nomad
    ntp ntpsec openvpn pacemaker pam pgsql php plocate polkit-1 portables postfix postgresql private prometheus python
    rabbitmq rancher redis rpcbind rpm samba sddm selinux sgml-base shells.state shim-signed snapd snmp squid sss sudo
    swcatalog systemd tailscale teleport tftpboot tor ubuntu-advantage ucf udev udisks2 usbutils vault vim waagent
    xfsdump xkb xml-core zabbix zerotier-one
"""
OF_LOGINS = """
    .ssh .gnupg .aws .azure .kube .docker .config .local .cache .nvm .npm .cargo .rustup .mozilla .pki .bashrc .profile
"""
SYSTEM = [
    *(f"/{name}" for name in TOP.split()),
    *(f"/var/{name}" for name in VAR.split()),
    *(f"/var/lib/{name}" for name in STATE_OF_SERVICES.split()),
    *(f"{home}/{name}" for home in ("/root", "/home/ada") for name in OF_LOGINS.split()),
    *("/opt/cni", "/opt/containerd", "/var/lib/nanoclaw-pods", "/var/lib/nanoclaw-pods-view"),
]
SHARED = "/home /media /mnt /opt /root /srv /var /var/lib /var/local /var/opt"
FREE = """
    /pods /srv/pods /opt/nanoclaw /mnt/disk/pods /var/lib/nanoclaw /var/lib/pods /var/local/pods /var/opt/nanoclaw
    /home/ada/nanoclaw /home/ada/pods/.ssh /root/nanoclaw /data/etc /opt/etc /srv/usr /opt/docker /srv/lib/docker
    /data/cni /data/var/log /data/lib/apt /var/lib/nanoclaw-podsx /var/nanoclaw-pods
"""


@pytest.mark.parametrize("path", SYSTEM)
def test_a_directory_of_the_system_and_all_in_it_is_never_taken_over(path: str) -> None:
    assert in_system(path)
    assert in_system(f"{path}/nanoclaw")


@pytest.mark.parametrize("path", [path for path in SYSTEM if not path.startswith(("/home", "/root", "/var/lib/nano"))])
def test_a_name_that_only_begins_like_one_of_the_system_is_free(path: str) -> None:
    assert not in_system(f"{path}-of-agents")


@pytest.mark.parametrize("path", [*FREE.split(), *SHARED.split()])
def test_other_places_are_not_of_the_system(path: str) -> None:
    assert not in_system(path)


@pytest.mark.parametrize("path", SHARED.split())
def test_a_directory_that_many_share_is_known_and_one_within_it_is_not_shared(path: str) -> None:
    assert is_shared(path)
    assert not is_shared(f"{path}/nanoclaw")
    assert not is_shared(f"/data{path}")


@pytest.mark.parametrize("name", ["dev", "proc", "run", "sys"])
def test_a_view_of_the_kernels_is_no_directory_of_a_disk(name: str) -> None:
    assert of_kernel(f"/{name}")
    assert of_kernel(f"/{name}/1/root")
    assert not of_kernel(f"/data/{name}")
    assert not of_kernel(f"/{name}-of-agents")


@pytest.mark.parametrize(
    ("path", "owned"),
    [
        ("/var/lib/nanoclaw-pods", True),
        ("/var/lib/nanoclaw-pods/backup", True),
        ("/var/lib/nanoclaw-pods-view", True),
        ("/var/lib/nanoclaw-pods-view/3282970f/data", True),
        ("/var/lib/nanoclaw-podsx", False),
        ("/var/lib/nanoclaw", False),
        ("/srv/var/lib/nanoclaw-pods-view", False),
        ("/var/lib", False),
    ],
)
def test_the_roles_own_state_is_known_by_its_name(path: str, owned: bool) -> None:
    assert of_role(path) == owned
