#!/bin/bash
# Wrong use of the heap ends in one line of ours and an abort, whatever the mode: pointers that no malloc gave, and writes to freed blocks. What only looks
# wrong runs on: blocks of glibc's own malloc.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "no collector here"; finish; }
misuse=$(program misuse)
ulimit -c 0

# -- wild pointers --
count=$(plain 10 "$misuse" wild count)
((count > 20)) || bad "no pointers to try"
for call in free realloc; do
  for options in mode=off mode=collect harden=1:mode=off mode=report:log_path=/dev/null; do
    wrong=""
    for ((i = 0; i < count; i++)); do
      under 20 "${options/:log_path*/}:log_path=$T/line" "$misuse" wild $i $call >/dev/null 2>&1
      (($? == 134)) && (($(grep -c "^cgc: $call(0x[0-9a-f]*): the pointer " "$T/line") == 1)) || wrong+=" $i"
      rm -f "$T/line"
    done
    [[ -z $wrong ]] && ok "$options: $call of $count wild pointers" || bad "$options: $call of wild pointers: not told:$wrong"
  done
done
under 20 on_misuse=ignore "$misuse" wild 0 free && ok "on_misuse=ignore" || bad "on_misuse=ignore"

# -- blocks of glibc's --
for options in mode=off stress=5:grace=0 harden=1; do
  out=$(under 60 "$options" "$misuse" theirs 2>&1)
  case $?:$out in 0:theirs) ok "$options: glibc's own blocks" ;; 75:*) echo "note: libc's tables are not where they are looked for" ;; *) bad "$options: glibc's own blocks: $out" ;; esac
done

# -- stores to freed blocks: our line or nothing, never a fault of ours --
stale=$(program stale) seed=${STALE_SEED:-$RANDOM} cases=250
[[ -n ${ALL:-} ]] && cases=5000
for options in mode=off mode=collect:stress=100:grace=0 mode=report harden=1:mode=off; do
  out=$(under $((60 + cases)) "$options:log_path=$T/line" "$stale" "$seed" "$cases" 2>&1) && ok "$options, seed $seed: $out" || bad "$options, seed $seed: $out"
  grep -q "^cgc: block(0x[0-9a-f]*): the pointer was written to after it was freed" "$T/line" || bad "$options: no line tells of a store"
  seed=$((seed + 1))
  rm -f "$T/line"
done

# -- harden=1: no block comes with what was written to it after its free --
hardened=$(program hardened)
for options in harden=1:mode=off harden=1:mode=collect; do
  out=$(under $((60 + cases)) "$options:log_path=/dev/null" "$hardened" "$seed" $((cases / 2)) 2>&1) && ok "$options, seed $seed: $out" || bad "$options, seed $seed: $out"
  seed=$((seed + 1))
done
finish
