#!/bin/bash
# Pointers in flight: blocks whose only pointer travels through pipes, sockets, queues and shared memory are never recycled on the
# way; the calls that carry them behave as without us; a table that is full ends cycles, with one line, until its words are over.
# Counter-test: without the look, blocks are recycled on the way (else the stress proves nothing).
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "flight: $LIB has no collector"; finish; }
p=$(program flight) edges=$(program flight_edges)
seconds=3
[[ -n ${ALL:-} ]] && seconds=150
long=inflight=600 # a crowded machine may leave a message where it is for longer than ten seconds

travel() { # NAME OPTIONS SEED
  local cycles
  if under $((seconds * 4 + 60)) "mode=collect:$2:$long:stats=1:log_path=$T/$1.log.%p" "$p" "$seconds" "$3" >"$T/$1.out" 2>"$T/$1.err"; then
    cycles=$(stat_sum cycles "$T/$1".log.*)
    if complaints "$T/$1".log.* "$T/$1.err" >"$T/complaints"; then bad "$1: $(head -n 1 "$T/complaints")"
    elif ((cycles == 0 || $(stat_sum recycled_blocks "$T/$1".log.*) == 0)); then bad "$1: $cycles cycles, and nothing was recycled"
    else ok "$1: $(tail -n 1 "$T/$1.out"), $cycles cycles, $(stat_sum recycled_blocks "$T/$1".log.*) blocks recycled, $(stat_sum in_flight "$T/$1".log.*) words left"; fi
  else
    bad "$1: exit $?: $(cat "$T/$1.err" "$T/$1".log.* 2>/dev/null | grep -vE '^[a-z_0-9]+ |statistics of|lib.sh: line' | tail -n 1 | cut -c1-150)"
  fi
}
travel every_refill stress=1:grace=0:verify=1 1
travel every_5th_refill stress=5:grace=0 2

for ((i = 0; i < 5; i++)); do # the first shows it as a rule; it may also die of what was recycled
  under 60 "mode=collect:stress=1:grace=0:inflight=0" "$p" 3 "$i" >"$T/out" 2>"$T/err"
  grep -q 'was recycled on the way' "$T/err" && break
done
if grep -q 'was recycled on the way' "$T/err"; then ok "without the look: $(grep -m 1 'was recycled' "$T/err" | cut -c1-80)"
else bad "without the look nothing was recycled on the way: $(tail -n 1 "$T/err" "$T/out" | tr '\n' ' ')"; fi

plain 60 "$edges" >"$T/plain" 2>"$T/err" && ok "edges, plain: $(wc -l <"$T/plain") checks" || bad "edges, plain: $(grep FAILED "$T/plain" | head -n 1)"
for options in stress=1:grace=0 stress=1000000:grace=0 inflight=0 mode=off; do
  under 60 "$options" "$edges" >"$T/out" 2>"$T/err"
  status=$?
  if ((status == 0)) && cmp -s "$T/plain" "$T/out"; then ok "edges, $options: the same"
  else bad "edges, $options: exit $status: $(diff "$T/plain" "$T/out" | head -n 2 | tail -n 1)"; fi
done

under 60 "grace=0:inflight=1:stats=1:log_path=$T/flood.log" "$edges" flood 2 >"$T/out" 2>"$T/err"
status=$?
read -r at_once later <"$T/out"
if ((status == 0 && at_once == 0 && later > 0 && $(stat_sum aborted_table_full "$T/flood.log") > 0)); then ok "a full table ends cycles until its words are over"
else bad "flood: exit $status, $at_once blocks came back at once and $later later"; fi
under 60 "grace=0:stress=100:stats=1:log_path=$T/device.log" "$(program zoo_in_counter)" >"$T/out" 2>"$T/err"
if (($(stat_sum in_device "$T/device.log") > 0)); then ok "words that a device has are counted"; else bad "in_device is 0: $(tail -n 1 "$T/err")"; fi
lines=$(grep -c 'can be noted' "$T/flood.log")
if ((lines == 1)); then ok "with one line"; else bad "flood: $lines lines say so"; fi
finish
