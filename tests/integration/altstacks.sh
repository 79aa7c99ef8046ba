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
# Under protection keys. With rseq the kernel itself ends a thread whose TLS has a key at any signal, so there must be none.
keyed=$(program keyed_stacks)
plain 60 "$keyed" >"$T/plain"
case $? in
  77) echo "note  keyed_stacks: not here: the processor or the kernel has no protection keys" ;;
  0) for rseq in 0 1; do
      under 60 grace=0:stress=200 env GLIBC_TUNABLES=glibc.pthread.rseq=$rseq "$keyed" >"$T/out" 2>&1
      cmp -s "$T/plain" "$T/out" && ok "keyed_stacks, rseq=$rseq" || bad "keyed_stacks, rseq=$rseq: $(grep -v 'well' "$T/out" | head -n 3 | tr '\n' ';')"
    done ;;
  *) bad "keyed_stacks, plain: $(grep -v 'well' "$T/plain" | head -n 1)" ;;
esac
finish
