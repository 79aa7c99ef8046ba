#!/bin/bash
# Alternate signal stacks that several threads share, or whose memory went away (programs/altstacks.c), each maker of one with
# each way to take it (programs/altstack_ways.c): stops hurt nobody.
set -u
. "$(dirname "$0")/lib.sh"
ways=$(program altstack_ways)
module=$(program libstacks.so)
runs=("$(program altstacks)" "$ways $module")
for i in 0 1; do plain 120 ${runs[i]} >"$T/plain$i" || { bad "plain: $(tail -n 1 "$T/plain$i")"; finish; }; done
is_cgc || { skip "altstacks: $LIB has no collector"; finish; }
for options in mode=collect:grace=0 mode=collect:grace=0:stress=200 mode=report:log_path=/dev/null mode=audit:log_path=/dev/null mode=collect:harden=1; do
  for i in 0 1; do
    [[ $i == 0 || $options == *stress* || $options == *harden* ]] || continue
    status=0
    under 200 "$options" ${runs[i]} >"$T/out" 2>"$T/err" || status=$?
    if ((status == 0)) && cmp -s "$T/plain$i" "$T/out"; then ok "$options: $(wc -l <"$T/out") kinds of stacks"
    else bad "$options: exit $status: $(grep -vE 'bad 0|well 0' "$T/out" | head -n 3 | tr '\n' ';') $(tail -n 2 "$T/err")"; fi
  done
done
finish
