#!/bin/bash
# The first Python that has the modules of Debian's packages for the tests.
python=python3
python3 -c 'import pytest, httpx, yaml, cryptography' 2>/dev/null || python=/usr/bin/python3
exec "$python" "$@"
