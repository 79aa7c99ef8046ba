#!/usr/bin/env python3
"""What was planted (tests/programs/plant.c, PLANT_MAP) against what snapshot files of the same processes say.

  planted.py MAPS SNAPSHOTS BASELINE

MAPS and SNAPSHOTS are folders, a file a process; BASELINE has the snapshots of the same run with nothing planted. Each planted block must be
definite or indirect, each structure have one definite block: the one that nothing points to, of a cycle any. Each definite or
indirect block that was not planted must have a site that the baseline calls lost, too. Reads the format by src/report/snapshot.h alone.

Prints `planted N found N chance N structures N headless N turned N wrong N lost N false N silent N processes N`, then a line for each of the first misses. `lost` are those of
the program's own; `silent` those of processes that planted more than a stale word can hide and left no report.
"""
import collections
import math
import pathlib
import struct
import sys

ENTRY = struct.Struct("<QIIQIBBH")
HIDE = 0xA5C35A3C96E1C3A5
KINDS = "definite", "indirect", "possible", "reachable"
RULES = "no pointer", "cycle", "lost owner", "interior only", "stale stack only", "possible owner", "reachable"
SINGLE, LIST, CYCLE, TREE = range(4)
UNSEEN_MOST = 3 # structures: a child of fork all of whose blocks are held leaves no report, and that happens to this many at once now and then
MAKERS = "plant_single", "plant_list", "plant_cycle", "plant_tree"
Planted = collections.namedtuple("Planted", "address size structure kind node")


def read_map(path):
    entries = ENTRY.iter_unpack(path.read_bytes())
    return [Planted(hidden ^ HIDE, size, structure, kind, node) for hidden, size, _, _, structure, kind, node, _ in entries if hidden]


class Snapshot:
    def __init__(self, path):
        data = path.read_bytes()
        magic, major, _, sections, size, self.flags = struct.unpack_from("<8sHHIQQ", data)
        if magic != b"CGCSNAP\n" or major != 1 or size != len(data):
            sys.exit(f"{path}: no snapshot of version 1")
        self.pid = struct.unpack_from("<I", data, 48)[0]
        table = {}
        for i in range(sections):
            kind, record, offset, count = struct.unpack_from("<IIQQ", data, 128 + 24 * i)
            table[kind] = [data[at:at + record] for at in range(offset, offset + record * count, record)] if kind != 1 else data[offset:offset + count]
        self.strings, self.frames = table[1], table[3]
        self.sites = [struct.unpack_from("<QI", r) for r in table[4]]
        self.blocks = [struct.unpack_from("<QQIBB", r) for r in table.get(7, [])]

    def stack(self, site):
        frame, names = self.sites[site][1], []
        while frame:
            _, parent, _, symbol, offset = struct.unpack_from("<QIIII", self.frames[frame])
            names.append(self.strings[symbol:self.strings.index(b"\0", symbol)].decode() or f"+{offset:#x}")
            frame = parent
        return names


def folder(path):
    return [Snapshot(p) for p in sorted(pathlib.Path(path).glob("*.cgc"))]


# What chance may take where 1 % of structures are missed: three standard deviations, in blocks. A structure is missed whole, and those that children of
# fork have planted in the same place of the same heap (few, as each child has plants of its own) stand or fall together.
together = collections.Counter()
maps = {int(p.name.rsplit(".", 1)[1]): read_map(p) for p in pathlib.Path(sys.argv[1]).iterdir()}
known = {s.sites[b[2]][0] for s in folder(sys.argv[3]) for b in s.blocks if b[3] < 2}
for planted in maps.values():
    first = {p.structure: (p.address, p.size, p.kind) for p in planted if p.node == 0}
    together.update(first.get(p.structure) for p in planted)
total, said = collections.Counter(), []
total["chance"] = round(3 * math.sqrt(sum(n * n for n in together.values()) / 100))
for snapshot in folder(sys.argv[2]):
    planted = maps.pop(snapshot.pid, [])
    if snapshot.flags & 7 != 3:
        said.append(f"process {snapshot.pid}: its report is not complete (flags {snapshot.flags})")
    kind = {b[0]: b for b in snapshot.blocks}
    heads, sizes = collections.defaultdict(list), collections.Counter(p.structure for p in planted)
    total.update(processes=1, planted=len(planted), structures=len(sizes))
    for p in planted:
        b = kind.pop(p.address, (0, 0, 0, 3, 6))
        if b[3] < 2:
            total["found"] += 1
            if MAKERS[p.kind] not in snapshot.stack(b[2]):
                total["wrong"] += 1
                said.append(f"wrong: {p} has the stack {snapshot.stack(b[2])[:3]}")
        else:
            said.append(f"missed: {snapshot.pid} {MAKERS[p.kind]} node {p.node} of {sizes[p.structure]}, {p.address:#x} {p.size} bytes: {KINDS[b[3]]}, {RULES[b[4]]}")
        if b[3] == 0 and b[4] != 2: # in a child of fork what a lost block of its parent's leads to is definite, and may be any of a structure
            heads[p.structure].append((p, RULES[b[4]]))
    missed = {p.structure for p in planted if p.structure not in heads}
    for number, found in heads.items():
        (p, rule), right = found[0], len(found) == 1
        right = right and (p.kind == CYCLE or p.node == (sizes[number] - 1 if p.kind == LIST else 0))
        if not right and len(found) == 1 and rule == "cycle":
            total["turned"] += 1 # a word behind what was asked for, which counts in a program that calls malloc_usable_size, leads back to its head
        elif not right:
            total["wrong"] += 1
            said.append(f"wrong: {MAKERS[p.kind]} of {sizes[number]} has {len(found)} definite blocks, the first is node {p.node}")
    total["headless"] += len(missed)
    for b in kind.values():
        if b[3] < 2:
            total["lost"] += 1
            if snapshot.sites[b[2]][0] not in known:
                total["false"] += 1
                said.append(f"false: {snapshot.pid} {b[0]:#x} {b[1]} bytes, {KINDS[b[3]]}, {RULES[b[4]]}: {' '.join(snapshot.stack(b[2])[:9])}")
for pid, planted in maps.items():
    structures = len({p.structure for p in planted})
    total.update(planted=len(planted), structures=structures)
    if structures > UNSEEN_MOST:
        total["silent"] += len(planted)
    if planted:
        said.append(f"missed: process {pid} planted {len(planted)} blocks in {structures} structures and left no report")
names = "planted", "found", "chance", "structures", "headless", "turned", "wrong", "lost", "false", "silent", "processes"
print(" ".join(f"{n} {total[n]}" for n in names))
said.sort(key=lambda line: line.startswith("missed"))
print("\n".join(said[:40]))
