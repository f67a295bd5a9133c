#!/usr/bin/python3
"""Writes compile_commands.json: compile-commands.py FILE_WITH_THE_FLAGS SOURCE..."""
import json
import os
import pathlib
import subprocess
import sys

# Its second line is for linking: clang-tidy complains about what it does not use.
flags = pathlib.Path(sys.argv[1]).read_text().splitlines()[0]
vips = subprocess.run(["pkg-config", "--cflags", "vips"], capture_output=True, text=True).stdout.strip()
# Flags that the Makefile adds for some files, by the beginning of their path.
more = {"tests/unit/": "-Itests/unit", "tests/fuzz/": "-Itests/fuzz", "server/media/thumbnail_": vips,
        "tests/fuzz/fuzz_image": vips}


def command(source):
    added = [text for start, text in more.items() if source.startswith(start)]
    return " ".join([flags, *added, "-c", source])


json.dump([{"directory": os.getcwd(), "file": source, "command": command(source)}
           for source in sys.argv[2:]], sys.stdout, indent=1)
