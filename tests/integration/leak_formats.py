#!/usr/bin/env python3
"""Do all formats of `cgc leaks` give the same totals per site?

  leak_formats.py CGC SCHEMA LSAN_GRAMMAR ARGUMENT...   (what `cgc leaks` is given)

The JSON must satisfy the schema; LeakSanitizer's form is read by the parser that knows only its grammar; sites of the text are recognised by
their ids, and their rounded numbers must be those of the JSON. Prints one line and ends with 0, or says what differs.
"""
import json
import re
import subprocess
import sys
import tempfile

import jsonschema

cgc, schema, grammar, *arguments = sys.argv[1:]
KINDS = "definite", "indirect", "possible", "reachable"


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout.decode()


def bytes_text(n):
    if n < 1024:
        return f"{n} B"
    size, unit = n / 1024, 0
    while size >= 1023.95:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def check(what, ok):
    if not ok:
        sys.exit(f"differs: {what}")


report = json.loads(run(cgc, "leaks", "--format=json", *arguments))
with open(schema, encoding="utf-8") as f:
    jsonschema.Draft202012Validator(json.load(f)).validate(report)
asked = [k for k in KINDS if k in ("definite", "indirect") or f"--{k}" in arguments]
sites = report["sites"]
for k in asked:
    for unit in ("blocks", "bytes"):
        check(f"totals.{k}.{unit} of the JSON", report["totals"][k][unit] == sum(s[k][unit] for s in sites))
check("totals.shown", report["totals"]["shown"]["bytes"] == sum(s[k]["bytes"] for s in sites for k in asked))

# LeakSanitizer's: the same sites in the same order, reachable ones left out.
expected = []
for s in sites:
    direct = [s[k] for k in ("definite", "possible") if k in asked]
    first = s["frames"][0]["function"].replace(" ", "") if s["frames"] and s["frames"][0]["function"] else "-"
    for kind, counts in ("direct", direct), ("indirect", [s["indirect"]]):
        size, blocks = sum(c["bytes"] for c in counts), sum(c["blocks"] for c in counts)
        if blocks:
            expected.append(f"{kind} {size} {blocks} {len(s['frames'])} {first}")
with tempfile.NamedTemporaryFile("w") as f:
    f.write(run(cgc, "leaks", "--format=lsan", *arguments))
    f.flush()
    lines = run(sys.executable, grammar, f.name).splitlines() if expected else []
check(f"lsan: {[a for a in zip(lines, expected) if a[0] != a[1]][:1]}", lines[:-1] == expected)

text = run(cgc, "leaks", "--limit=0", "--indirect", *arguments)
found = re.findall(r"^#\d+  ~?([\d.]+ [KMGT]?i?B)  ([\d,]+) blocks?\b.*  id ([0-9a-f]+)$", text, re.M)
check("number of sites in the text", len(found) == len(sites))
for (size, blocks, name), s in zip(found, sites):
    check(f"text: id {name}", s["id"].startswith(name))
    check(f"text: bytes of {name}", size == bytes_text(sum(s[k]["bytes"] for k in asked)))
    check(f"text: blocks of {name}", int(blocks.replace(",", "")) == sum(s[k]["blocks"] for k in asked))
print(f"{len(sites)} sites, {report['totals']['shown']['bytes']} bytes")
