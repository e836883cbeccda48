#!/bin/sh
# Installs the packages of package-lock.json into console/node_modules, once for each content of the lock file, however many build
# trees ask at the same time: they queue on a lock held on the lock file itself, and the first one does the work.
# Only CMake calls this; people run `npm ci`.
set -eu
cd "$(dirname "$0")"
exec 9<package-lock.json
flock 9
stamp=node_modules/.waybill-installed
if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then
    exit 0
fi
echo "console: installing npm packages (about half a minute, once)"
if ! npm ci --no-audit --no-fund --loglevel=error >node_modules.log 2>&1; then
    cat node_modules.log >&2
    rm -f node_modules.log
    echo "console: npm ci failed. The console needs node 18 or newer, npm, and its registry; -DWAYBILL_CONSOLE=OFF builds without it." >&2
    exit 1
fi
rm -f node_modules.log
cp package-lock.json "$stamp"
