#!/bin/bash
# Puts a channel's adapter into the checkout in the order of the real script: files come from the branch channels, and
# the import is there before the package that they need is installed. What fails in between does not build.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
package=chat-adapter-$name
echo "=== NANOCLAW SETUP: INSTALL_$(printf %s "$name" | tr '[:lower:]' '[:upper:]') ==="
needs_install=false
[[ -f src/channels/$name.js ]] || needs_install=true
grep -q "import './$name.js';" src/channels/index.js || needs_install=true
grep -q "\"$package\"" package.json || needs_install=true
[[ -d node_modules/$package ]] || needs_install=true
if ! $needs_install; then
    echo "STATUS: already-installed"
    echo "=== END ==="
    exit 0
fi

echo "STEP: fetch-channels-branch"
git fetch origin channels
echo "STEP: copy-files"
git show "origin/channels:src/channels/$name.js" > "src/channels/$name.js"
echo "STEP: register-import"
if ! grep -q "import './$name.js';" src/channels/index.js; then
    printf "import './%s.js';\n" "$name" >> src/channels/index.js
fi
echo "STEP: pnpm-install"
pnpm install "$package@link:packages/chat-adapter"
echo "STEP: pnpm-build"
pnpm run build
echo "STATUS: installed"
echo "=== END ==="
