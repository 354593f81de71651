#!/bin/bash
# Makes dist/, the agent's image, the database and .env where they are missing, and installs the host as v1 does:
#   setup.sh system   root's system unit          setup.sh user   a unit of the user manager, which has to run
#   setup.sh nohup    start-nanoclaw.sh, which writes nanoclaw.pid; nothing starts it at a boot
# Then it runs. With UNIT_DIR set it only writes the unit, there.
set -euo pipefail
cd "$(dirname "$0")"
how=${1:?system, user or nohup}
root=$PWD
mkdir -p logs
rm -rf dist
cp -R src dist
node dist/register.js --first
[ -e .env ] || (umask 077 && printf 'ASSISTANT_NAME=Andy\nANTHROPIC_API_KEY=stand-in\n' > .env)
[ -n "${UNIT_DIR:-}" ] || docker image inspect nanoclaw-agent:latest > /dev/null 2>&1 || container/build.sh

version=$(node -p 'require("./package.json").version')
later() { [ "$(printf '%s\n' "$1" "$version" | sort -V | head -n 1)" = "$1" ]; }

unit() { # WANTED-BY
    cat <<UNIT
[Unit]
Description=NanoClaw Personal Assistant
After=network.target

[Service]
Type=simple
ExecStart=$(command -v node) $root/dist/index.js
WorkingDirectory=$root
Restart=always
RestartSec=5
$(later 1.2.53 && echo KillMode=process)
Environment=HOME=$HOME
Environment=PATH=/usr/local/bin:/usr/bin:/bin:$HOME/.local/bin
StandardOutput=append:$root/logs/nanoclaw.log
StandardError=append:$root/logs/nanoclaw.error.log

[Install]
WantedBy=$1
UNIT
}

install_unit() { # DIRECTORY WANTED-BY SYSTEMCTL...
    local dir=${UNIT_DIR:-$1} wanted=$2
    shift 2
    mkdir -p "$dir"
    unit "$wanted" > "$dir/nanoclaw.service"
    [ -z "${UNIT_DIR:-}" ] || return 0
    "$@" daemon-reload
    "$@" enable nanoclaw
    "$@" restart nanoclaw
}

nohup_script() {
    cat <<SCRIPT
#!/bin/bash
# Starts NanoClaw without systemd. To stop it: kill \$(cat $root/nanoclaw.pid)
set -euo pipefail
cd "$root"
if [ -f nanoclaw.pid ]; then
    old=\$(cat nanoclaw.pid)
    if [ -n "\$old" ] && kill -0 "\$old" 2> /dev/null; then
        kill "\$old"
        sleep 2
    fi
fi
nohup "$(command -v node)" "$root/dist/index.js" >> logs/nanoclaw.log 2>> logs/nanoclaw.error.log < /dev/null &
echo \$! > nanoclaw.pid
SCRIPT
}

case $how in
    system) install_unit /etc/systemd/system multi-user.target systemctl ;;
    user) install_unit "$HOME/.config/systemd/user" default.target systemctl --user ;;
    nohup)
        nohup_script > start-nanoclaw.sh
        chmod 755 start-nanoclaw.sh
        ./start-nanoclaw.sh
        ;;
    *) echo "system, user or nohup, not $how" >&2 && exit 2 ;;
esac
