#!/bin/sh
# Runs once inside the new root file system, after the packages and the files of root/ are in place.
set -eu
pnpm_version=$1
uml_kernel=$2

depmod "$uml_kernel"
update-ca-certificates >/dev/null 2>&1

# 1000 (the agent of a default image) and 1500 (a host of its own) stay free: the role makes those users.
# Debian has a group operator of its own.
groupadd --gid 2000 lab-operator
useradd --uid 2000 --gid 2000 --create-home --shell /bin/bash --password '*' operator
usermod --password '*' root
echo 'operator ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/operator
chmod 440 /etc/sudoers.d/operator
useradd --system --home-dir /srv/git --no-create-home --shell /usr/sbin/nologin gitdaemon
mkdir -p /srv/git
chown -R gitdaemon:gitdaemon /srv/git

npm install --global --no-audit --no-fund --loglevel=error "pnpm@$pnpm_version"
# A second Node, which nothing finds in PATH: later versions of NanoClaw do not run with Debian's.
(cd /opt/node && npm ci --no-audit --no-fund --loglevel=error)
ln -s node_modules/.bin /opt/node/bin
rm -rf /root/.npm

# Else each package that asks something first tries, in slow perl, three ways to ask nobody.
echo 'debconf debconf/frontend select Noninteractive' | debconf-set-selections

install -d -m 700 /root/.ssh
install -d -m 700 -o operator -g lab-operator /home/operator/.ssh
install -m 600 /dev/null /root/.ssh/authorized_keys
install -m 600 -o operator -g lab-operator /dev/null /home/operator/.ssh/authorized_keys

# Each machine makes its own at its first boot.
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf
: > /etc/machine-id

# An NFS server is what the role makes of a machine, so it starts from a disabled one.
systemctl disable nfs-server.service nfs-blkmap.service >/dev/null 2>&1
systemctl enable lab-machine.service git-daemon.service docker.service ssh.service >/dev/null 2>&1
systemctl set-default multi-user.target >/dev/null 2>&1

# A login by ssh needs no session of its own (it would start a whole user manager); `systemctl --user` works for users
# that linger. The login manager comes up when it is asked for something.
pam-auth-update --disable systemd >/dev/null
touch /etc/default/locale
rm -f /usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service

# A guest has one slow CPU thread and lives for minutes: what only housekeeps a long-lived machine stays out, and so does
# the search for hardware, which there is not: device nodes come from the kernel.
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    logrotate.timer systemd-tmpfiles-clean.timer \
    getty@tty1.service getty-static.service serial-getty@.service console-getty.service \
    systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
    systemd-udev-load-credentials.service systemd-hwdb-update.service kmod-static-nodes.service \
    systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service \
    modprobe@configfs.service modprobe@drm.service modprobe@dm_mod.service modprobe@loop.service \
    modprobe@efi_pstore.service modprobe@fuse.service \
    systemd-random-seed.service systemd-journal-catalog-update.service ldconfig.service \
    systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-pstore.service systemd-tpm2-setup.service \
    systemd-tpm2-setup-early.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
    systemd-pcrmachine.service systemd-hibernate-clear.service systemd-firstboot.service systemd-sysusers.service \
    systemd-update-done.service systemd-ask-password-console.path systemd-ask-password-wall.path \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount systemd-pcrextend.socket systemd-pcrlock.socket systemd-creds.socket systemd-sysext.socket \
    systemd-hostnamed.socket systemd-initctl.socket

# It lists nothing, but as long as it is there a unit starts to read it.
rm -f /etc/modules-load.d/modules.conf

# Each of these runs again at every daemon-reload, which is what a role does most.
mkdir -p /etc/systemd/system-generators
for generator in debug getty gpt-auto hibernate-resume rc-local run ssh system-update sysv tpm2; do
    ln -sf /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done
