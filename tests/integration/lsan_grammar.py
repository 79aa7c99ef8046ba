#!/usr/bin/env python3
"""Parses a LeakSanitizer report, line by line, by what compiler-rt prints (lsan_common.cpp, sanitizer_stacktrace_printer.cpp), and by nothing else.

  lsan_grammar.py FILE

Prints "direct BYTES OBJECTS FRAMES FIRST" or "indirect ..." for each leak (FIRST: the innermost function, or -), then "total BYTES OBJECTS".
A line that LeakSanitizer would not print, a number that does not add up or a part that is missing ends it with status 1.
"""
import re
import sys

HEAD = re.compile(r"==(\d+)==ERROR: LeakSanitizer: detected memory leaks")
LEAK = re.compile(r"(Direct|Indirect) leak of (\d+) byte\(s\) in (\d+) object\(s\) allocated from:")
SUMMARY = re.compile(r"SUMMARY: LeakSanitizer: (\d+) byte\(s\) leaked in (\d+) allocation\(s\)\.")
# "    #%n %p %F %L": %F is empty or "in NAME[+0xOFFSET]", %L a source place, or a module place and perhaps its build id.
MODULE = r"\(([^()]|\([^()]*\))+\+0x[0-9a-f]+\)( \(BuildId: [0-9a-f]+\))?|\(<unknown module>\)"
SOURCE = r"\S.*?(:\d+(:\d+)?)?"
FRAME = re.compile(rf"    #(\d+) 0x([0-9a-f]{{1,16}}) (?:in (?P<function>\S.*?)(\+0x[0-9a-f]+)? (?:{MODULE}|{SOURCE})| ?(?:{MODULE}))")


def fail(number, what):
    sys.exit(f"line {number}: {what}")


def parse(lines):
    at = 0

    def line():
        return lines[at] if at < len(lines) else None

    if line() == "":
        at += 1
    if line() is None or line() != "=" * 65:
        fail(at + 1, "the line of = is missing")
    at += 1
    if not HEAD.fullmatch(line() or ""):
        fail(at + 1, "the head is missing")
    at += 1
    if line() != "":
        fail(at + 1, "no empty line behind the head")
    at += 1
    leaks = []
    while match := LEAK.fullmatch(line() or ""):
        kind, size, count = match[1].lower(), int(match[2]), int(match[3])
        at += 1
        frames, first = 0, "-"
        if line() == "    <empty stack>":
            at += 1
            if line() != "":
                fail(at + 1, "no empty line behind an empty stack")
        while frame := FRAME.fullmatch(line() or ""):
            if int(frame[1]) != frames:
                fail(at + 1, f"frame {frame[1]} where {frames} was due")
            if frames == 0 and frame["function"]:
                first = frame["function"].replace(" ", "")
            frames += 1
            at += 1
        if line() != "":
            fail(at + 1, f"no frame and no empty line: {line()!r}")
        at += 1
        if count == 0:
            fail(at, "a leak of no objects")
        leaks.append((kind, size, count, frames, first))
    if not leaks:
        fail(at + 1, "no leak")
    summary = SUMMARY.fullmatch(line() or "")
    if not summary:
        fail(at + 1, f"neither a leak nor the summary: {line()!r}")
    if at + 1 != len(lines):
        fail(at + 2, "something behind the summary")
    total = sum(l[1] for l in leaks), sum(l[2] for l in leaks)
    if total != (int(summary[1]), int(summary[2])):
        fail(at + 1, f"the leaks are {total}")
    return leaks, total


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as f:
        leaks, total = parse(f.read().split("\n")[:-1])
    for leak in leaks:
        print(*leak)
    print("total", *total)


main()
