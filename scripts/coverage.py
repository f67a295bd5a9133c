#!/usr/bin/python3
"""Prints how many lines and branches of each floor were run: coverage.py < `gcovr --json-summary`"""
import collections
import json
import sys

totals = collections.defaultdict(collections.Counter)
for file in json.load(sys.stdin)["files"]:
    for floor in file["filename"].split("/")[0], "all":
        totals[floor].update({k: v for k, v in file.items() if k.startswith(("line_", "branch_"))
                              and not k.endswith("percent")})
order = [*(f for f in sys.argv[1:] if f in totals), "all"]
print(f"{'':12}{'lines':>8}{'run':>8}{'branches':>11}{'run':>8}")
for floor in order:
    t = totals[floor]
    run = [f"{100 * t[k + '_covered'] / max(t[k + '_total'], 1):.1f}%" for k in ("line", "branch")]
    print(f"{floor:12}{t['line_total']:8}{run[0]:>8}{t['branch_total']:11}{run[1]:>8}")
