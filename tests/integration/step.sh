#!/bin/bash
# The single-stepper: a cycle at every instruction of malloc and free (programs/step.c says how). Nothing may be lost.
#
# Every boundary of a region must have been a stop request at least once, and answered: stopped there and collected, or
# deferred, which is the answer that law 3 asks for inside a slow path. Boundaries that only one or two rounds ever met are
# let off, up to one in twenty.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program step)
seconds=12 per_pc=2 # a region ends when its boundaries are done, mostly after a second or two
[[ -n ${ALL:-} ]] && seconds=60 per_pc=4
[[ $(uname -m) == x86_64 ]] || { skip "single-stepping: needs x86-64"; finish; }
plain 60 "$p" 1 1 fast_path >"$T/plain" 2>&1 || { skip "single-stepping: ptrace does not work here: $(tail -n 1 "$T/plain")"; finish; }
is_cgc || { skip "single-stepping: $LIB has no collector"; finish; }

under $((seconds * 8 + 80)) "mode=collect:stress=1000000:grace=0:verify=1:stats=1:log_path=$T/log.%p" "$p" "$seconds" "$per_pc" >"$T/out" 2>"$T/err"
status=$?
sed 's/^/      /' "$T/out"
((status == 0)) && ok "no pattern was broken" || bad "exit $status: $(cat "$T/err" "$T"/log.* | grep -vE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-160)"
field() { sed -n "s/.* $1 \([0-9]*\).*/\1/p" <<<"$line"; }
requests=0 stops=0
for region in first_allocation refill refill_batch fast_path remote_free adoption large_block realloc_in_place; do
  line=$(grep "^$region " "$T/out")
  all=$(field boundaries) stopped=$(field stopped) deferred=$(field deferred) missed=$(field missed) rare=$(field rare)
  if ((${all:-0} > 100 && ${stopped:-0} > 50 && missed == 0 && rare * 20 <= all)); then
    ok "$region: a cycle was requested at all of $all instructions ($stopped stopped, $deferred deferred, $rare rare ones left)"
    requests=$((requests + $(field requests))) stops=$((stops + stopped))
  else
    bad "$region: ${line:-was not reached}"
  fi
done
cycles=$(stat_sum cycles "$T"/log.*) aborted=$(stat_sum aborted "$T"/log.*)
verdict="$stops stops, $requests requests, $cycles cycles, $aborted aborted"
((cycles > 1000 && aborted * 3 < cycles && $(stat_sum aborted_corrupt_list "$T"/log.*) == 0)) && ok "$verdict" || bad "$verdict"
if complaints "$T"/log.* "$T/err" >"$T/complaints"; then bad "complaints: $(head -n 1 "$T/complaints")"; else ok "no misuse, no evidence"; fi
finish
