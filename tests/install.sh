#!/bin/sh
# Installs the packages of package-lock.json into tests/node_modules, once for each content of the lock file, however many tests
# ask at the same time: they queue on a lock held on the lock file itself, and the first one does the work.
# tests/sdk_js_test.mjs calls this; people run `npm ci`.
set -eu
cd "$(dirname "$0")"
exec 9<package-lock.json
flock 9
stamp=node_modules/.waybill-installed
if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then
    exit 0
fi
echo "tests: installing npm packages (once)"
if ! npm ci --no-audit --no-fund --loglevel=error >node_modules.log 2>&1; then
    cat node_modules.log >&2
    rm -f node_modules.log
    echo "tests: npm ci failed. These tests need node 18 or newer, npm, and its registry." >&2
    exit 1
fi
rm -f node_modules.log
cp package-lock.json "$stamp"
