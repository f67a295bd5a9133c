#!/usr/bin/python3
"""Writes the manual page concorde(8) from the help text of the program: man-page.py build/concorde"""
import subprocess
import sys

COLUMN = 33  # where the help text says what a command does


def run(command):
    return subprocess.run([sys.argv[1], command], capture_output=True, text=True, check=True).stdout


def escape(text):
    text = text.replace("\\", "\\\\").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def entries(lines):
    for line in lines:
        what, meaning = line[:COLUMN].strip(), line[COLUMN:].strip()
        if what:
            print(f".TP\n.B {escape(what)}")
        print(escape(meaning))


parts = run("help").split("\n\n")
usage = next(p for p in parts if p.startswith("usage:"))
options = next(p for p in parts if p.startswith("options:"))
commands = parts[parts.index(usage) + 1]
print(f'.TH CONCORDE 8 "" "Concorde {run("version").split()[-1]}" "System Administration"')
print(".SH NAME\nconcorde \\- a Matrix homeserver")
print(f".SH SYNOPSIS\n.B {escape(usage.removeprefix('usage: '))}\n.SH COMMANDS")
entries(commands.splitlines())
print(".SH OPTIONS")
entries(options.splitlines()[1:])
print(r""".SH FILES
.TP
.B concorde.yaml
the settings; \fBconcorde check\-config \-\-example\fR shows all of them with their defaults
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
finish what is being answered, and stop
.TP
.B SIGHUP
read again what may change while the server runs
.SH SEE ALSO
docs/operations.md of the distribution""")
