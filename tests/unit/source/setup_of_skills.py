"""A NanoClaw with skills, as a release of the stand-in: its setup in each of the forms that versions have.

Each program of the setup is shell here, and a pnpm runs it for `pnpm exec tsx SCRIPT.ts`. What skill NAME does is in
the function `skill_NAME` of setup/skills.sh. A test sets FAILS to a point where it fails.
"""

from __future__ import annotations

PNPM = r"""#!/bin/bash
echo "pnpm $*" >> "$CALLS"
case $1 in
    exec) script=$3; shift 3; exec bash "${script%.ts}.sh" "$@" ;;
    install) mkdir -p node_modules
        for path in packages/*; do ln -sfn "../$path" "node_modules/${path#packages/}"; done
        for name in $(grep -o '"chat-[a-z]*": "link' package.json | cut -d'"' -f2); do
            [ "$FAILS" != install ] || { echo " ERR_PNPM_FETCH_404 GET https://registry.invalid/$name"; exit 1; }
            ln -sfn ../packages/chat-adapter "node_modules/$name"
        done ;;
    run) node scripts/build.mjs ;;
esac
"""
SKILLS = r"""
environment() { env | grep -E '^NANOCLAW_' | sort >> "$CALLS"; }
fail() { echo "Error: $1"; exit 1; }
barrel() { grep -qF "'./$1.js'" src/channels/index.js || echo "import './$1.js';" >> src/channels/index.js; }
dep() { sed -i "s|\"install-slug\"|\"$1\": \"link:packages/chat-adapter\",\n    \"install-slug\"|" package.json; }
adapter() { echo "import '$2';" > "src/channels/$1.js"; }
skill_onecli() {
    environment
    echo "export {};" > src/gateway-providers/onecli.ts
    [ "$FAILS" != files ] || fail "onecli half written"
    [ "$FAILS" = import ] || echo "import './onecli.js';" >> src/gateway-providers/installed.ts
    [ -n "$NANOCLAW_ONECLI_API_HOST" ] || fail "curl onecli.sh/install | sh"
    [ "$FAILS" != server ] || fail "$NANOCLAW_ONECLI_API_TOKEN: no answer of $NANOCLAW_ONECLI_API_HOST"
    echo "ONECLI_URL=$NANOCLAW_ONECLI_API_HOST" >> .env
}
skill_telegram() { environment; adapter telegram chat-telegram; barrel telegram; dep chat-telegram; }
skill_slack() { skill_telegram; }
skill_discord() { adapter discord chat-discord; barrel discord; [ "$FAILS" = dep ] || dep chat-discord; }
"""
STEPS = "const STEPS = {\n  gateway: () => import('./step.js'),\n};\n"
STEP = """
# STEPS: gateway
. setup/skills.sh
[ "$1 $2 $3" = "--step gateway --" ] || fail "usage"
"skill_$4"
[ "$FAILS" != status ] || printf '%s\\n' "=== NANOCLAW SETUP: ONECLI ===" "STATUS: failed" "ERROR: gateway_not_ready" \\
    "HINT: the server is not ready" "=== END ==="
"""
DRIVER = r"""
. setup/skills.sh
name=${1#.claude/skills/add-}
"skill_$name"
[ "$FAILS" != restart ] || systemctl restart nanoclaw || echo "│ ▲  Needs an agent (run): the service was not restarted"
[ "$FAILS" != dep ] || echo "│ ▲  Needs an agent (dep): pnpm add chat-$name failed"
[ "$FAILS" != eof ] || exit 0
[ -z "$WANTS" ] || { echo "│ ▲  No value yet for: $WANTS"; failed=1; }
[ "$FAILS" != restart ] && [ "$FAILS" != dep ] || failed=1
echo "=== NANOCLAW SETUP: SKILL_APPLY ==="
echo "STATUS: $([ "$failed" ] && echo failed || echo success)"
echo "=== END ==="
exit "${failed:-0}"
"""
HEADLESS = r"""
. setup/skills.sh
echo "headless $*" >> "$CALLS"
[ "$1" = apply ] || fail "usage"
name=${2#add-}
if [ -n "$WANTS" ]; then
    printf '{\n  "status": "rolled-back",\n  "deferred": ["%s"],\n  "agentTasks": []\n}\n' "$WANTS"
    exit 1
fi
"skill_$name" >&2
printf '{\n  "skill": "add-%s",\n  "status": "applied",\n  "pendingEffects": ["restart"]\n}\n' "$name"
"""
SCRIPT = """#!/bin/bash
cd "$(dirname "$0")/.." && . setup/skills.sh && skill_discord
[ "$FAILS" != script ] || fail "no channels branch"
echo "STATUS: installed"
"""


def files_of_setup(*forms: str) -> dict[str, str | None]:
    """Return the files of a setup with some of its forms: step, driver, headless, script."""
    files: dict[str, str | None] = {"setup/skills.sh": SKILLS, "src/gateway-providers/installed.ts": "/** none */\n"}
    files |= {f".claude/skills/add-{name}/SKILL.md": f"# {name}\n" for name in ("onecli", "telegram", "slack")}
    by_form = {
        "step": {
            "setup/index.ts": "const STEPS = {\n  gateway: () => import('./step.js'),\n};\n",
            "setup/index.sh": STEP,
        },
        "driver": {"setup/lib/skill-driver.ts": "", "setup/lib/skill-driver.sh": DRIVER},
        "headless": {"scripts/skill-headless.ts": "", "scripts/skill-headless.sh": HEADLESS},
        "script": {"setup/install-discord.sh": SCRIPT},
    }
    for form in forms:
        files |= by_form[form]
    return files
