#!/bin/bash
# The single-stepper: a cycle at every instruction of malloc and free (programs/step.c says how). Nothing may be lost.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program step)
seconds=5 per_pc=2
[[ -n ${ALL:-} ]] && seconds=60 per_pc=6
[[ $(uname -m) == x86_64 ]] || { skip "single-stepping: needs x86-64"; finish; }
plain 60 "$p" 1 1 >"$T/plain" 2>&1 || { skip "single-stepping: ptrace does not work here: $(tail -n 1 "$T/plain")"; finish; }
is_cgc || { skip "single-stepping: $LIB has no collector"; finish; }

under $((seconds * 8 + 80)) "mode=collect:stress=1000000:grace=0:verify=1:stats=1:log_path=$T/log.%p" "$p" "$seconds" "$per_pc" >"$T/out" 2>"$T/err"
status=$?
sed 's/^/      /' "$T/out"
((status == 0)) && ok "no pattern was broken" || bad "exit $status: $(cat "$T/err" "$T"/log.* | grep -vE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-160)"
for region in first_allocation refill refill_batch fast_path remote_free adoption large_block realloc_in_place; do
  line=$(grep "^$region " "$T/out")
  covered=$(sed -n 's/.*covered \([0-9]*\).*/\1/p' <<<"$line") pcs=$(sed -n 's/.* pcs \([0-9]*\).*/\1/p' <<<"$line")
  if ((${covered:-0} > 0 && covered * 2 >= pcs)); then ok "$region: a cycle was requested at $covered of $pcs instructions"
  else bad "$region: ${line:-was not reached}"; fi
done
cycles=$(stat_sum cycles "$T"/log.*) aborted=$(stat_sum aborted "$T"/log.*)
((cycles > 100 && aborted * 5 < cycles)) && ok "$cycles cycles, $aborted aborted" || bad "$cycles cycles, $aborted aborted"
if complaints "$T"/log.* "$T/err" >"$T/complaints"; then bad "complaints: $(head -n 1 "$T/complaints")"; else ok "no misuse, no evidence"; fi
finish
