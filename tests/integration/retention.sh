#!/bin/bash
# False retention: the share of lost bytes that live text, ints, doubles, UTF-16 and compressed data keep by chance. The
# header of false_retention.c says why each must stay far below one percent; the bound is 1 for each, over several bases of
# the arena (it is random, so that one unlucky base shows up as one failure, not as a law).
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "false retention: $LIB has no collector"; finish; }
p=$(program false_retention)
runs=4
[[ -n ${ALL:-} ]] && runs=30
for ((i = 0; i < runs; i++)); do
  under 60 mode=collect:stress=1000000:grace=0 "$p" 48 32 >>"$T/all" 2>"$T/err" || bad "run $i: exit $?: $(tail -n 1 "$T/err")"
done
for kind in zeros text int_pairs doubles utf16 compressed; do
  read -r n worst mean < <(awk -v k="$kind" '$1 == k { n++; s += $2; if ($2 > w) w = $2 } END { printf "%d %.3f %.3f\n", n, w, n ? s / n : 100 }' "$T/all")
  line="$(printf '%-10s kept %s %% at worst, %s %% on average, %d runs' "$kind" "$worst" "$mean" "$n")"
  if ((n == runs)) && awk -v w="$worst" 'BEGIN { exit !(w <= 1) }'; then ok "$line"; else bad "$line"; fi
done
finish
