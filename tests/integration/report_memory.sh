#!/bin/bash
# What mode=report takes beside the memory of mode=off: the maximum of a run, report at exit included. tests/programs/memory.c has the programs.
#
# Bounds, in hundredths of mode=off's maximum, and what would break them:
#   freed    side tables of small blocks, 5 bytes for 32; what is freed must not be resident while the report is made
#   arenas   marks: edges to marked blocks that pile up (they took as much as the heap)
#   inner    what is set aside: 8 bytes for each of 200,000 pointers, and not as much again on the marker's stack
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "memory of reports: $LIB has no collector"; finish; }
memory=$(program memory)

most() { plain 60 "$memory" measure env LD_PRELOAD="$LIB" CGC_OPTIONS="$1" "$memory" "$2" 2>"$T/err"; } # OPTIONS CASE
check() { # CASE HUNDREDTHS
  local off report
  off=$(most mode=off "$1") && report=$(most "mode=report:log_path=$T/log" "$1") || { bad "$1: it failed: $(head -n 1 "$T/err")"; return; }
  ((report * 100 <= off * $2)) && ok "$1: $report KiB beside $off" || bad "$1: $report KiB, where mode=off has $off: more than $2 hundredths"
}
check freed 125
check arenas 115
check inner 130

# What is freed goes back before the report at exit, which takes locks of the heap: a handler on top of malloc may hold them when it calls exit.
hung=0
for i in {1..16}; do
  under 10 "mode=report:log_path=$T/log" "$memory" interrupted $((20000 + i * 97)) 2>/dev/null
  (($? == 3)) || hung=$((hung + 1))
done
((hung == 0)) && ok "exit in handlers on top of malloc and free" || bad "$hung of 16 handlers on top of malloc or free did not come to the end of exit"
finish
