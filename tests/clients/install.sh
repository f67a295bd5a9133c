#!/bin/bash
# Installs the npm packages of device.mjs under build/clients, once for each content of the lock file.
# Prints the directory.
set -eu
cd "$(dirname "$0")"
lock=$(cat package.json package-lock.json .npmrc | sha256sum | cut -c1-16)
home=../../build/clients/$lock
if [ ! -e "$home/installed" ]; then
    mkdir -p "$home"
    cp package.json package-lock.json .npmrc "$home"
    # matrix-js-sdk runs on a Node.js from npm: it needs a newer one than Debian has.
    (cd "$home" && npm ci --ignore-scripts --loglevel=error >npm.log 2>&1) || {
        cat "$home/npm.log" >&2
        exit 1
    }
    touch "$home/installed"
fi
cp ./*.mjs "$home"
cd "$home" && pwd
