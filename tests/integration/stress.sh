#!/bin/bash
# stress_mt under a cycle at every refill, and at every seventh: no block is ever damaged, whatever the grace.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program stress_mt)
seconds=6
[[ -n ${ALL:-} ]] && seconds=60

run() { # NAME OPTIONS ARGS...
  local name=$1 options=$2
  shift 2
  if under $((seconds * 4 + 40)) "$options:stats=1:log_path=$T/$name.log.%p" "$p" "$seconds" "$@" >"$T/$name.out" 2>"$T/$name.err"; then
    local cycles aborted
    cycles=$(stat_sum cycles "$T/$name".log.*) aborted=$(stat_sum aborted "$T/$name".log.*)
    if complaints "$T/$name".log.* "$T/$name.err" >"$T/complaints"; then
      bad "$name: $(head -n 1 "$T/complaints")"
    elif is_cgc && [[ $options != *mode=off* ]] && ((cycles == 0 || aborted * 20 > cycles)); then
      bad "$name: $cycles cycles, $aborted aborted"
    else
      ok "$name: $(tail -n 1 "$T/$name.out"), $cycles cycles, $aborted aborted"
    fi
  else
    bad "$name: exit $?: $(cat "$T/$name.err" "$T/$name".log.* 2>/dev/null | grep -vE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-150)"
  fi
}

run plain_allocator mode=off 6
run every_refill_grace0 mode=collect:stress=1:verify=1:grace=0 4
run every_refill_grace1 mode=collect:stress=1:verify=1:grace=1 4 11
run every_7th_many_threads mode=collect:stress=7:verify=1:grace=0 16 23
run own_pace mode=collect:verify=1 6 37
run report mode=report:stress=5:verify=1 4 41
finish
