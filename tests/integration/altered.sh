#!/bin/bash
# Blocks whose pages the program protects, maps over, keeps from children or takes away (tests/programs/altered.c): what malloc gives afterwards is
# plain memory, in every mode, and what the program mapped there itself stays its own. Seeds are drawn anew in each run and printed;
# ALTERED_SEED repeats one.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "altered: $LIB has no collector"; finish; }
p=$(program altered)
first=${ALTERED_SEED:-$((RANDOM * 32768 + RANDOM))}
cases=120
[[ -n ${ALL:-} ]] && cases=4000

# run OPTIONS CASES [no-cycles]
run() {
  local options=$1 status
  under $((60 + $2)) "$options:log_path=$T/log" "$p" "$first" "${@:2}" >"$T/out" 2>"$T/err"
  status=$?
  cat "$T/out" >>"$T/made"
  if ((status == 0)) && ! complaints "$T/err" "$T"/log* >/dev/null; then ok "$options, seed $first: $(tail -n 1 "$T/out")"
  else bad "$options, seed $first: exit $status: $(grep -hm 2 -E 'lost:|cgc:' "$T/out" "$T/err" "$T"/log* 2>/dev/null)"; fi
  first=$((first + 1))
  rm -f "$T"/log*
}
run mode=off "$cases" no-cycles
run mode=off:harden=1 "$cases" no-cycles
run mode=collect:stress=100:grace=0 "$cases"
run mode=collect "$cases"
run mode=collect:harden=1:verify=1 $((cases / 2))
run mode=report $((cases / 2))
run mode=audit $((cases / 2))
sed -n 's/^unable //p' "$T/made" | sort -u | while read -r way; do
  grep -qE "^$way [1-9]" "$T/made" || echo "note  $way: not here: the kernel or the processor has none"
done
finish
