#!/bin/sh
# Installs the dependencies unless those of this lockfile are there already.
set -e
cd "$(dirname "$0")/.."
marker=node_modules/.installed-lockfile
if [ -x node_modules/.bin/node ] && cmp -s package-lock.json "$marker"; then exit 0; fi
npm ci --no-audit --no-fund --loglevel=error
cp package-lock.json "$marker"
