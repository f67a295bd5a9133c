#!/usr/bin/python3
"""Words that a Matrix engineer would have to decode, and names that mean two things (docs/glossary.md).

- WORDS stand nowhere: not in code, comments, messages, tests or docs. ALLOWED names the few exceptions.
- PARTS are no part of an identifier, though they are good English in a sentence.
- A struct, enum or union whose definition stands in a header has the only definition of that name in
  the tree, and a function, static ones too, has a name of its own: a backtrace says where it is.
"""

import collections
import pathlib
import re
import subprocess
import sys

WORDS = ("told|telling|untold|aside|sight|moments?|errands?|crews?|strangers?|ally|allies|news|"
         "whoever|whom|whomever|whosoever|nobody|somebody|everybody")
PARTS = "tell|tells|stay|stays|turns|pass|passes|enter|entered|enters|show|shows|is_ours"
# Of an identifier that another program, the database or a released migration fixes.
ALLOWED = {
    "CURLOPT_NOBODY", "io_uring_enter",
    "federation_set_aside", "events_aside_seq", "untold_leaves", "passes", "server_stays", "stayed_joined",  # tables, functions
}
FREE = ("schema/", "tests/fuzz/corpus/", "docs/glossary.md", "tests/words.py", "LICENSE")  # what may have them
UNIX_USER = re.compile(r"[\"`]nobody[\"`]")  # which is no word
FLOORS = "base", "matrix", "http", "storage", "rooms", "users", "federation", "server"

IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
WORD = re.compile(rf"(?<![A-Za-z])(?:{WORDS})(?![A-Za-z])", re.I)
PART = re.compile(rf"(?:^|_)(?:{PARTS})(?=_|$)", re.I)
DEFINITION = re.compile(r"^(?:struct|enum|union) (\w+) \{", re.M)
FUNCTION = re.compile(r"^(?!extern|typedef|SQL)[A-Za-z][\w *]*?[ *](\w+)\([^;{}]*\)\s*\{", re.M)


def tracked():
    out = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout
    return [f for f in out.split() if not f.startswith(FREE) and pathlib.Path(f).is_file()]


def words_of(path, text):
    is_c = path.endswith((".c", ".h"))
    for n, line in enumerate(text.splitlines(), 1):
        for m in IDENTIFIER.finditer(UNIX_USER.sub("", line)):
            name = m[0]
            if name in ALLOWED:
                continue
            if found := WORD.search(name.replace("_", " ")):
                yield f"{path}:{n}: \"{found[0]}\""
            elif is_c and "_" in name and PART.search(name):
                yield f"{path}:{n}: {name}"


def names_of(sources):
    tags, functions = collections.defaultdict(list), collections.defaultdict(list)
    for path, text in sources.items():
        for m in DEFINITION.finditer(text):
            tags[m[1]].append(path)
        if path.endswith(".c"):
            for m in FUNCTION.finditer(text):
                functions[m[1]].append(path)
    for tag, paths in sorted(tags.items()):
        if len(paths) > 1 and any(p.endswith(".h") for p in paths):
            yield f"{tag} is defined in {', '.join(paths)}"
    for name, paths in sorted(functions.items()):
        if len(set(paths)) > 1 and name != "main":
            yield f"{name}() is a function of {', '.join(paths)}"


def main():
    bad, sources = [], {}
    for path in tracked():
        try:
            text = pathlib.Path(path).read_text()
        except UnicodeDecodeError:
            continue
        bad += words_of(path, text)
        if path.split("/")[0] in FLOORS and path.endswith((".c", ".h")):
            sources[path] = text
    bad += names_of(sources)
    print("\n".join(f"words: {b}" for b in bad), end="\n" if bad else "")
    sys.exit(1 if bad else 0)


main()
