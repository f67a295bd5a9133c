#!/bin/bash
# Installs Synapse from its package in a virtual environment under build/interop, once for each content
# of requirements.txt. Prints the directory. Exit status 3: PyPI cannot be reached.
set -eu
cd "$(dirname "$0")"
lock=$(sha256sum <requirements.txt | cut -c1-16)
home=../../build/interop/$lock
if [ ! -e "$home/installed" ]; then
    rm -rf "$home" && mkdir -p "$home"
    log=$home/install.log
    /usr/bin/python3 -m venv "$home" >&2
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$home/bin/pip" install -q --retries 2 -r requirements.txt \
        >"$log" 2>&1 || {
        cat "$log" >&2
        "$home/bin/pip" download -q --retries 1 --no-deps -d "$home" pip >/dev/null 2>&1 || exit 3
        exit 1
    }
    touch "$home/installed"
fi
cd "$home" && pwd
