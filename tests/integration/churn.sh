#!/bin/bash
# A threaded HTTP server whose 256 connections close at once, ten rounds, with a cycle at every tenth refill: the answers are
# those of the plain run, and nothing aborts.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program http_churn)
rounds=10
[[ -n ${ALL:-} ]] && rounds=60

serve() { # OUTPUT COMMAND...: on a port that is free
  local out=$1 try
  shift
  for try in 1 2 3 4 5; do
    "$@" "$(port $((try * 37 + RANDOM % 30)))" "$rounds" >"$out" 2>"$out.err" && return 0
    grep -q 'Address already in use' "$out.err" || return 1
  done
  return 1
}
serve "$T/plain" plain 60 "$p" || bad "plain run: $(tail -n 1 "$T/plain.err")"

check() { # NAME OPTIONS
  if ! serve "$T/$1" under 90 "$2:stats=1:log_path=$T/$1.log.%p" "$p"; then
    bad "$1: $(cat "$T/$1.err" "$T/$1".log.* 2>/dev/null | grep -vE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-150)"
  elif ! cmp -s "$T/plain" "$T/$1"; then bad "$1: output differs: $(diff "$T/plain" "$T/$1" | head -n 2 | tail -n 1)"
  elif complaints "$T/$1".log.* "$T/$1.err" >"$T/complaints"; then bad "$1: $(head -n 1 "$T/complaints")"
  else ok "$1: identical, $(stat_sum cycles "$T/$1".log.*) cycles, $(stat_sum aborted "$T/$1".log.*) aborted, $(stat_sum recycled_blocks "$T/$1".log.*) blocks recycled"; fi
}
check off mode=off
check collect_stress mode=collect:stress=10:verify=1
check collect_stress_grace0 mode=collect:stress=10:verify=1:grace=0
check report mode=report:stress=50
finish
