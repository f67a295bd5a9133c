#!/usr/bin/python3
"""The floors of the house (docs/architecture.md): includes and symbols only go down. Symbols are read
from the objects of a build, so that a declaration written by hand hides nothing. Usage: layers.py
BUILD_DIRECTORY. Also: only http/ uses libmicrohttpd and libcurl, only storage/ libpq; no file is longer
than 800 lines, no folder holds more than FILES_MAX files; files that need each other in a circle are
listed in tests/circles.txt with the reason."""

import pathlib
import re
import subprocess
import sys

FLOORS = "base", "matrix", "http", "storage", "rooms", "users", "federation", "server"  # lowest first
APART = {("matrix", "http"), ("storage", "http"), ("rooms", "http"), ("users", "http"),
         ("http", "matrix")}  # (upper, lower): not beneath each other
LIBRARIES = {"microhttpd": "http", "curl/": "http", "libpq": "storage"}
LINES_MAX, FILES_MAX = 800, 44
CIRCLES = pathlib.Path("tests/circles.txt")

bad = []


def complain(text):
    bad.append(f"layers: {text}")


def floor_of(path):
    return str(path).split("/")[0]


def may_use(upper, lower):
    return FLOORS.index(lower) <= FLOORS.index(upper) and (upper, lower) not in APART


def sources():
    for floor in FLOORS:
        yield from sorted(p for p in pathlib.Path(floor).rglob("*.[ch]"))


def check_includes():
    for path in sources():
        floor = floor_of(path)
        for n, line in enumerate(path.read_text().splitlines(), 1):
            if m := re.match(r'#include "([a-z_0-9]+)/', line):
                if m[1] in FLOORS and not may_use(floor, m[1]):
                    complain(f"{path}:{n}: {floor}/ must not include {m[1]}/")
            elif m := re.match(r"#include <([^>]+)>", line):
                for start, owner in LIBRARIES.items():
                    if m[1].startswith(start) and floor != owner:
                        complain(f"{path}:{n}: <{m[1]}> belongs to {owner}/")


def symbols_of(objects):
    """Of each object: the symbols that it defines, and those that it needs."""
    defined, needed, name = {}, {}, None
    out = subprocess.run(["nm", "-A", *map(str, objects)], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        name, rest = line.split(":", 1)
        fields = rest.split()
        kind, symbol = fields[-2], fields[-1]
        if kind == "U":
            needed.setdefault(name, set()).add(symbol)
        elif kind in "TDBRC":
            defined[symbol] = name
    return defined, needed


def edges_of(build):
    """{file: {file that it needs: a symbol}} without their endings."""
    root = build / "obj"
    objects = [o for floor in FLOORS for o in (root / floor).rglob("*.o")
               if o.relative_to(root).with_suffix(".c").is_file()]  # not what was built before a move
    if not objects:
        sys.exit(f"layers: {root} has no objects: build first")
    stem = lambda name: str(pathlib.Path(name).relative_to(root).with_suffix(""))
    defined, needed = symbols_of(objects)
    edges = {stem(o): {} for o in objects}
    for name, symbols in needed.items():
        for symbol in symbols:
            if symbol in defined and defined[symbol] != name:
                edges[stem(name)][stem(defined[symbol])] = symbol
    return edges


def check_symbols(edges):
    for one, needs in edges.items():
        for other, symbol in needs.items():
            if not may_use(floor_of(one), floor_of(other)):
                complain(f"{one}.c needs {symbol} of {other}.c: {floor_of(one)}/ must not use "
                         f"{floor_of(other)}/")


def circles_of(edges):
    """The strongly connected components of more than one file (Tarjan), as sorted tuples."""
    index, low, stack, found = {}, {}, [], []

    def visit(one):
        index[one] = low[one] = len(index)
        stack.append(one)
        for other in edges[one]:
            if other not in index:
                visit(other)
            if other in stack:
                low[one] = min(low[one], low[other])
        if low[one] == index[one]:
            part = stack[stack.index(one):]
            del stack[stack.index(one):]
            if len(part) > 1:
                found.append(tuple(sorted(part)))

    sys.setrecursionlimit(10000)
    for one in edges:
        if one not in index:
            visit(one)
    return found


def check_circles(edges):
    allowed = [set(line.split()) for line in CIRCLES.read_text().splitlines()
               if line.strip() and not line.startswith("#")]
    for circle in circles_of(edges):
        if not any(set(circle) <= one for one in allowed):
            complain(f"these files need each other in a circle, which {CIRCLES} does not list: "
                     + " ".join(circle))


def check_sizes():
    for folder in sorted({p.parent for p in sources()}):
        n = sum(p.is_file() for p in folder.iterdir())
        if n > FILES_MAX:
            complain(f"{folder}/ holds {n} files; {FILES_MAX} is the most")
    for top in *FLOORS, "tests", "bench":
        for path in pathlib.Path(top).rglob("*.[ch]"):
            n = len(path.read_text().splitlines())
            if n > LINES_MAX:
                complain(f"{path}: {n} lines; {LINES_MAX} is the most")


def main():
    edges = edges_of(pathlib.Path(sys.argv[1]))
    check_includes()
    check_symbols(edges)
    check_circles(edges)
    check_sizes()
    print("\n".join(bad) if bad else "layers: the floors hold")
    return bool(bad)


sys.exit(main())
