#!/usr/bin/python3
"""Writes compile_commands.json: compile-commands.py FILE_WITH_THE_FLAGS SOURCE..."""
import json
import os
import pathlib
import sys

flags = pathlib.Path(sys.argv[1]).read_text().strip()
more = {"tests/unit": " -Itests/unit", "tests/fuzz": " -Itests/fuzz"}
json.dump([{"directory": os.getcwd(), "file": source,
            "command": f"{flags}{more.get(os.path.dirname(source), '')} -c {source}"}
           for source in sys.argv[2:]], sys.stdout, indent=1)
