#!/bin/bash
# Alternate signal stacks that several threads share, or whose memory went away (programs/altstacks.c): stops hurt nobody.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program altstacks)
plain 120 "$p" >"$T/plain" || { bad "plain: $(tail -n 1 "$T/plain")"; finish; }
is_cgc || { skip "altstacks: $LIB has no collector"; finish; }
for options in mode=collect:grace=0 mode=collect:grace=0:stress=200 mode=report:log_path=/dev/null mode=audit:log_path=/dev/null mode=collect:harden=1; do
  status=0
  under 200 "$options" "$p" >"$T/out" 2>"$T/err" || status=$?
  if ((status == 0)) && cmp -s "$T/plain" "$T/out"; then ok "$options: $(wc -l <"$T/out") kinds of stacks"
  else bad "$options: exit $status: $(grep -v 'bad 0' "$T/out" | head -n 3 | tr '\n' ';') $(tail -n 2 "$T/err")"; fi
done
finish
