#!/bin/bash
# The Promela model of slots and spans (tests/model/slots.pml), checked by spin: the true model in every interleaving within each
# scenario's bounds, without an error; each mutant with one.
#
#   model.sh [NAME...]      scenarios and mutants by name; none: all of them
#   ALL=1                   larger bounds beside these: two spans, more calls
set -u
. "$(dirname "$0")/lib.sh"
model=$root/tests/model/slots.pml
seconds=240 # each search ends in a few seconds of CPU time
command -v spin >/dev/null || { skip "spin is not installed"; finish; }

# name | bounds | what breaks, for a mutant. A thread does: 1 free, 2 lose, 4 free by a hidden pointer, 8 flush, 16 end, 32 fork.
anything="-DCALLS=2 -DCYCLES=2"
hidden="-DDOES0=6 -DDOES1=1 -DCALLS=3 -DCYCLES=2"
torn="-DFORK -DDOES0=35 -DDOES1=27 -DCALLS=2 -DCYCLES=1"
torn_release="-DFORK -DGRACE=0 -DDOES0=2 -DDOES1=32 -DCALLS=2 -DCYCLES=2"
table="
anything             | $anything                                          |
lost_and_freed       | -DDOES0=3 -DDOES1=1 -DCALLS=3 -DCYCLES=2           |
hidden_pointers      | $hidden                                            |
fork                 | $torn                                              |
fork_beside_release  | $torn_release                                      |
sweep_free           | $anything -DM_SWEEP_FREE                           | law 1: sweep collects free bytes
park_busy            | $anything -DM_PARK_BUSY                            | law 3: a stop does not wait for slow paths
alloc_list_dies      | $anything -DM_ALLOC_LIST_DIES                      | slots on alloc lists are judged
empty_by_bytes       | $anything -DM_EMPTY_BY_BYTES                       | law 6: a span is empty when no byte is a block's
absorb_first         | $anything -DM_ABSORB_FIRST                         | the inbox flag is cleared after the look
absorb_before_owner  | $anything -DM_ABSORB_BEFORE_OWNER                  | an adopter looks before it is the owner
peek_dormant         | $anything -DBUG_PEEK_DORMANT                       | a push while a span is being abandoned tells nobody
queued_first         | $anything -DBUG_QUEUED_FIRST                       | an abandoned span's note lies with a former owner
blind_verdict        | $hidden -DM_BLIND_VERDICT                          | law 7: the verdict is a store
judge_current        | $hidden -DM_JUDGE_CURRENT                          | law 7: the verdict ignores stamps
stamp_after_resume   | $hidden -DM_STAMP_AFTER_RESUME                     | the stamp advances behind the resume
free_store           | $hidden -DM_FREE_STORE                             | law 7: free of a condemned slot is a store
recycle_store        | $hidden -DM_RECYCLE_STORE                          | law 7: recycling is a store
fork_unpublished     | $torn -DBUG_FORK_UNPUBLISHED                       | a child adopts a span that is not in the page map
fork_count           | $torn_release -DBUG_FORK_COUNT                     | a child believes a torn count of recycled slots
"
[[ -z ${ALL:-} ]] || { seconds=1500 table+="
two_spans            | -DSPANS=2 -DCALLS=2 -DCYCLES=1                     |
three_slots          | -DSLOTS=3 -DCALLS=2 -DCYCLES=1                     |
longer               | -DCALLS=3 -DCYCLES=2                               |
"; }

# check NAME BOUNDS: 900 MB for each of two at a time. Unoptimised: the compiler would take longer than most searches.
check() {
  mkdir -p "$T/$1" && cd "$T/$1" || return
  # shellcheck disable=SC2086 # several options
  spin $2 -a "$model" >spin.txt 2>&1 && ${CC:-cc} -O0 -w -DSAFETY -DCOLLAPSE -DNOFAIR -DMEMLIM=900 -o pan pan.c >>spin.txt 2>&1 &&
    timeout -s INT -k 5 "$seconds" ./pan -m1000000 -w22
  [[ -f pan ]] || cat spin.txt
}

judge() {
  local name=$1 breaks=$2 out=$T/$1.txt states error
  states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' "$out")
  error=$(grep -m1 -E '^pan:1: ' "$out" | cut -c1-120)
  if [[ -n $breaks && $error == *"assertion violated"* ]]; then ok "$name ($breaks): caught after $states states"
  elif [[ -n $breaks ]]; then bad "$name ($breaks): not caught: ${error:-no error in $states states}"
  elif [[ -z $error ]] && grep -q 'errors: 0' "$out" && ! grep -qE 'Search not completed|max search depth' "$out"; then ok "$name: no error in $states states, all of them"
  else bad "$name: ${error:-the search did not end: $(tail -n 3 "$out" | tr '\n' ' ' | cut -c1-120)}"; fi
}

names=() breaks=()
running=0
while IFS='|' read -r name bounds why; do
  name=${name// /} why=${why## } why=${why%"${why##*[! ]}"}
  [[ -n $name ]] || continue
  (($#)) && [[ " $* " != *" $name "* ]] && continue
  names+=("$name") breaks+=("$why")
  ((running < 2)) || { wait -n; running=$((running - 1)); }
  (check "$name" "$bounds") >"$T/$name.txt" 2>&1 &
  running=$((running + 1))
done <<<"$table"
wait
for i in "${!names[@]}"; do judge "${names[i]}" "${breaks[i]}"; done
finish
