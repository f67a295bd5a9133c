#!/usr/bin/python3
"""Writes the manual page concorde(8) from the help text of the program: man-page.py build/concorde"""
import re
import subprocess
import sys

COLUMN = 33  # where the help text says what a command does


def run(command):
    return subprocess.run([sys.argv[1], command], capture_output=True, text=True, check=True).stdout


def escape(text):
    text = text.replace("\\", "\\\\").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def literal(text):
    """Literal words are bold; placeholders are in italics."""
    return "\\fB" + re.sub(r"\b[A-Z]{2,}\b", r"\\fI\g<0>\\fB", escape(text)) + "\\fR"


def entries(lines):
    for line in lines:
        what, meaning = line[:COLUMN].strip(), line[COLUMN:].strip()
        if what:
            print(f".TP\n{literal(what)}")
        print(escape(meaning))


title, usage, commands, options, *remarks = run("help").strip().split("\n\n")
print(f'.TH CONCORDE 8 "" "Concorde {run("version").split()[-1]}" "System Administration"')
print(f".SH NAME\nconcorde \\- {escape(title.partition(', ')[2])}")
print(f".SH SYNOPSIS\n{literal(usage.removeprefix('usage: '))}\n.SH COMMANDS")
entries(commands.splitlines())
for remark in remarks:
    print(".PP\n" + escape(remark.replace("\n", " ")))
print(".SH OPTIONS")
entries(options.splitlines()[1:])
print(r""".SH EXIT STATUS
0 on success, 1 when the command failed, 2 when it was not understood.
.SH ENVIRONMENT
.TP
.B CONCORDE_CONFIG
the file of settings, when there is no \fB\-\-config\fR
.TP
.B CONCORDE_DATA_DIR
where everything is kept, when there is no \fB\-\-data\fR
.PP
Each setting, too: \fBCONCORDE_SERVER_NAME\fR is \fBserver_name\fR.
.SH FILES
.TP
.B concorde.yaml
the settings; \fBconcorde check\-config \-\-example\fR shows all of them with their defaults
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
finish running requests, and stop
.TP
.B SIGHUP
read again what may change while the server runs
.SH SEE ALSO
docs/operations.md of the distribution""")
