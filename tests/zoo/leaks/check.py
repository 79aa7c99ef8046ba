#!/usr/bin/env python3
"""Runs the programs of the leak zoo and compares what the reports say with what the sources expect (leak.h has the grammar).

  check.py --lib LIBCGC [--cgc CGC] --work FOLDER [--options EXTRA] [--jobs N] [--only REGEX] SOURCE=PROGRAM...

One line a program: ok, FAIL with every difference, or skip. The last line is 'N passed, N failed, N skipped'.

What a report says comes from one place, read_report: a list of sites, each with the functions of its stack (innermost first) and
blocks and bytes by kind. With a cgc that knows snapshot files it comes from one of these, as JSON; else from the text, which names the
direct caller of malloc only, and neither possible leaks nor sizes as they were asked for. All else compares. A site belongs to the innermost of its functions that an expectation names.
"""
import argparse
import bisect
import concurrent.futures
import functools
import json
import os
import re
import signal
import subprocess
import sys

KINDS = ("definite", "indirect", "possible")
SECONDS = 60


class Site:
    def __init__(self, functions):
        self.functions = functions
        self.blocks = dict.fromkeys(KINDS, 0)
        self.kind_bytes = dict.fromkeys(KINDS, 0)
        self.bytes = 0

    def add(self, other):
        for k in KINDS:
            self.blocks[k] += other.blocks[k]
            self.kind_bytes[k] += other.kind_bytes[k]
        self.bytes += other.bytes


# -- what the report says --

@functools.lru_cache(maxsize=None)
def symbols(path):
    """Start addresses and names of the functions of a module, demangled, sorted."""
    rows = {}
    for table in ([], ["-D"]):
        out = subprocess.run(["nm", "-C", "--defined-only", *table, path], capture_output=True, text=True, errors="replace").stdout
        for line in out.splitlines():
            m = re.match(r"([0-9a-f]+) [tTwWiu] (.*)", line)
            if m:
                rows.setdefault(int(m[1], 16), m[2])
    starts = sorted(rows)
    return starts, [rows[s] for s in starts]


def function_at(path, offset):
    starts, names = symbols(path)
    i = bisect.bisect_right(starts, offset - 1) - 1
    return names[i] if i >= 0 else "?"


def bare(name):
    """namespace::function(arguments) [clone .part.0] becomes function."""
    name = re.sub(r"\s*\[.*\]$|@.*$|\.(part|isra|constprop|cold)\b.*$", "", name)
    name = name.split("(")[0].split("<")[0]
    return name.rsplit("::", 1)[-1].split(" ")[-1]


SITE = re.compile(r"  (\d+) bytes in (\d+) blocks \((\d+) direct\), allocated at (?:a place that was not recorded|(.*)\+0x([0-9a-f]+))$")
TOTAL = re.compile(r"cgc: (\d+) blocks of (\d+) bytes are lost \((\d+) direct, (\d+) hang off them\), from (\d+) places$")


class TextReport:
    possible_known = False  # what is possibly lost counts as reachable
    stacks = False          # the direct caller only
    exact = False           # sizes of slots

    def __init__(self, text):
        self.sites, self.complete, self.unknown, self.more = [], False, [], 0
        self.total = {"definite": 0, "indirect": 0}
        self.places = 0
        for line in text.splitlines():
            site, total = SITE.match(line), TOTAL.match(line)
            if line == "cgc: no block is lost":
                self.complete, self.sites, self.total, self.places = True, [], {"definite": 0, "indirect": 0}, 0
            elif total: # of several reports the last one counts
                self.sites = []
                self.complete = True
                self.total = {"definite": int(total[3]), "indirect": int(total[4])}
                self.places = int(total[5])
            elif site:
                s = Site([bare(function_at(site[4], int(site[5], 16))) if site[4] else "unrecorded"])
                s.blocks["definite"] = int(site[3])
                s.blocks["indirect"] = int(site[2]) - int(site[3])
                s.bytes = int(site[1])
                self.sites.append(s)
            elif not re.match(r"  and \d+ more places$", line):
                self.unknown.append(line)


class SnapshotReport:
    possible_known = stacks = True
    exact = True # main finds out

    def __init__(self, cgc, path):
        self.sites, self.unknown = [], []
        p = subprocess.run([cgc, "leaks", path, "--format=json", "--possible", "--symbolizer=tables", "--limit=0"], capture_output=True, text=True)
        if p.returncode:
            self.complete, self.unknown = False, [f"cgc leaks: exit status {p.returncode}: {p.stderr.strip()}"]
            return
        view = json.loads(p.stdout)
        self.complete = view["complete"]
        self.total = {k: view["totals"][k]["blocks"] for k in KINDS}
        for row in view["sites"]:
            s = Site([bare(f["function"]) for f in row["frames"]] or ["unrecorded"])
            for k in KINDS:
                s.blocks[k], s.kind_bytes[k] = row[k]["blocks"], row[k]["bytes"]
            s.bytes = sum(s.kind_bytes.values())
            self.sites.append(s)
        self.places = sum(1 for s in self.sites if s.blocks["definite"] + s.blocks["indirect"])


def read_report(cgc, path):
    if cgc:
        return SnapshotReport(cgc, path)
    with open(path, errors="replace") as f:
        return TextReport(f.read())


# -- what the source expects --

class Expected:
    def __init__(self, text):
        self.own, self.children, self.status, self.places, self.lsan, self.output, self.silent, self.others = [], [], 0, None, None, None, False, False
        for line in re.findall(r"^\s*//!?\s*((?:expect|expect child|status|sites|lsan|output|others):.*)$", text, re.M):
            m = re.match(r"expect( child)?: (definite|indirect|possible) (\d+|\?) blocks (\d+|\?) bytes (\S+)$", line)
            if m:
                row = (m[2], None if m[3] == "?" else int(m[3]), None if m[4] == "?" else int(m[4]), m[5])
                (self.children if m[1] else self.own).append(row)
            elif m := re.match(r"status: (\d+)$", line):
                self.status = int(m[1])
            elif m := re.match(r"sites: (\d+)$", line):
                self.places = int(m[1])
            elif m := re.match(r"lsan: (.*)$", line):
                self.lsan = m[1]
            elif m := re.match(r"output: (.*)$", line):
                self.output = m[1]
            elif re.match(r"others: allowed$", line):
                self.others = True
            elif re.match(r"expect: no report$", line):
                self.silent = True
            elif not re.match(r"expect: none$", line):
                raise ValueError("what is this: " + line)


def named(pattern, function):
    return any(function.startswith(p[:-1]) if p.endswith("*") else function == p for p in pattern.split("|"))


def size_fits(asked, got, blocks):
    """Reports that know slots only: at most a quarter more, or a page of the arena where blocks are large."""
    return asked <= got <= asked * 1.26 + 48 * blocks + (65536 * blocks if asked > 40000 * blocks else 0)


def differences(rows, report, strangers_allowed=False):
    if not report.complete:
        yield "no report was made: " + "; ".join(report.unknown[:3])
        return
    wanted = {}
    for kind, blocks, size, name in rows:
        if kind == "possible" and not report.possible_known:
            continue
        wanted.setdefault(name, {})[kind] = (blocks, size)
    found = {name: Site([name]) for name in wanted}
    others = Site([])
    strangers = []
    for s in report.sites:
        name = next((n for f in s.functions for n in wanted if named(n, f)), None)
        (found[name] if name else others).add(s)
        if not name:
            strangers.append(s)
    counted = KINDS if report.possible_known else KINDS[:2]
    cut = sum(report.total[k] for k in counted) - sum(s.blocks[k] for s in report.sites for k in counted)
    missing = {k: 0 for k in KINDS}
    wrong = []
    for name, kinds in wanted.items():
        s = found[name]
        asked = sum(size or 0 for _, size in kinds.values())
        blocks = sum(b or 0 for b, _ in kinds.values())
        for k in KINDS:
            want = kinds.get(k, (0, 0))[0]
            if want is not None and s.blocks[k] != want and not (cut and s.blocks[k] < want):
                wrong.append(f"{name}: {want} {k} expected, {s.blocks[k]} found")
                missing[k] += want - s.blocks[k]
        for k, (_, size) in kinds.items():
            if report.exact and not wrong and size is not None and s.kind_bytes[k] != size:
                wrong.append(f"{name}: {size} {k} bytes expected, {s.kind_bytes[k]} found")
        if not report.exact and not cut and not wrong and not size_fits(asked, s.bytes, blocks) and all(size is not None for _, size in kinds.values()):
            wrong.append(f"{name}: {asked} bytes expected, {s.bytes} found")
    if strangers_allowed:
        yield from wrong
        return
    for k in counted:
        counts = [kinds.get(k, (0, 0))[0] for kinds in wanted.values()]
        want = sum(c or 0 for c in counts)
        if None not in counts and report.total[k] != want:
            wrong.append(f"{want} {k} expected in all, {report.total[k]} found")
    pooled = not report.stacks and all(missing[k] == others.blocks[k] for k in KINDS)
    if any(others.blocks.values()) and not pooled:
        wrong += [f"{' < '.join(s.functions[:4])}: {s.blocks} that nobody expects" for s in strangers]
    if pooled:  # a caller of the program that stands behind one of a library
        wrong = [w for w in wrong if " in all" in w]
    yield from wrong


# -- running --

def run(source, program, a):
    name = os.path.basename(source).rsplit(".", 1)[0]
    with open(source) as f:
        expected = Expected(f.read())
    log = os.path.join(a.work, name + ".log")
    options = f"mode=report:log_path={log}.%p:"
    if a.cgc: # lines go elsewhere: a process with a line and no report is no process with a report
        options = f"mode=report:log_path={log}-lines.%p:snapshot={log}.%p:"
    env = dict(os.environ, LD_PRELOAD=a.lib, CGC_OPTIONS=options + a.options)
    env.pop("LSAN_OPTIONS", None)
    if expected.lsan is not None:
        env["LSAN_OPTIONS"] = expected.lsan
    p = subprocess.Popen([program], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, cwd=a.work)
    try:
        out, _ = p.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return name, [f"was not done after {SECONDS} s"]
    wrong = []
    if p.returncode != expected.status:
        wrong.append(f"exit status {p.returncode}, {expected.status} expected: {out[-100:]!r}")
    if expected.output is not None and out.decode(errors="replace") != expected.output:
        wrong.append(f"output {out[-100:]!r}, {expected.output!r} expected")
    logs = sorted(f for f in os.listdir(a.work) if f.startswith(name + ".log."))
    own = f"{name}.log.{p.pid}"
    for f in logs:
        if f == own and expected.silent:
            wrong.append("a report that should not have been made")
        elif f == own:
            report = read_report(a.cgc, os.path.join(a.work, f))
            wrong += differences(expected.own, report, expected.others)
            if expected.places is not None and report.places != expected.places:
                wrong.append(f"{expected.places} sites expected, {report.places} found")
        elif expected.children:
            wrong += ["child: " + w for w in differences(expected.children, read_report(a.cgc, os.path.join(a.work, f)))]
        else:
            wrong.append(f"a report of a process that should make none: {f}")
    if own not in logs and not expected.silent:
        wrong.append("there is no report")
    if expected.children and len(logs) < 2:
        wrong.append("there is no report of a child")
    return name, wrong


def knows_sizes(pairs, a):
    """Are sizes those that the program asked for, or of slots? By the first program that has a decoy: 40 bytes, or 48."""
    for source, program in pairs:
        with open(source) as f:
            if "definite 1 blocks 40 bytes decoy" in f.read():
                path = os.path.join(a.work, "decoy.snapshot")
                env = dict(os.environ, LD_PRELOAD=a.lib, CGC_OPTIONS=f"mode=report:snapshot={path}")
                subprocess.run([program], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS)
                return any(s.kind_bytes["definite"] == 40 for s in SnapshotReport(a.cgc, path).sites) if os.path.exists(path) else False
    return False


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--lib", required=True)
    a.add_argument("--cgc", default="")
    a.add_argument("--work", required=True)
    a.add_argument("--options", default="")
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--only", default="")
    a.add_argument("pairs", nargs="+")
    a = a.parse_args()
    if a.cgc and "snapshot=" not in subprocess.run([a.cgc, "help", "options"], capture_output=True, text=True).stdout:
        a.cgc = ""
    pairs = [p.split("=", 1) for p in a.pairs if re.search(a.only, os.path.basename(p.split("=", 1)[0]))]
    passed = failed = 0
    SnapshotReport.exact = bool(a.cgc) and knows_sizes(pairs, a)
    with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        for name, wrong in pool.map(lambda p: run(*p, a), pairs):
            passed += not wrong
            failed += bool(wrong)
            print(f"FAIL  {name}: {'; '.join(wrong[:6])}" if wrong else f"ok    {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
