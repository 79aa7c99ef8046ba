#!/bin/bash
# A handler of the program at the instructions of wrappers that handlers may call themselves (programs/handlers.c): no lock of ours is held
# there, and none stays held when the handler leaves by longjmp, by pthread_exit or by a fork whose child goes on.
#
# Then the same for every interposed call that is a system call and no more (programs/calls.h), as the one that is interrupted and in the handler:
# random instructions and random calls, by SEED.
#
# Every third to ninth instruction here, each of them with ALL=1. Bound before, so that the calls are the same in each process.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program handlers)
export LD_BIND_NOW=1
[[ $(uname -m) == x86_64 ]] || { skip "handlers: needs x86-64"; finish; }
plain 120 "$p" 9 >"$T/plain" 2>&1 || { skip "handlers: it does not pass without us, or ptrace does not work here: $(tail -n 1 "$T/plain")"; finish; }

# met MODE STRIDE
met() {
  local status=0 stride=$2
  [[ -z ${ALL:-} ]] || stride=1
  under 600 "$1" "$p" "$stride" >"$T/out" 2>"$T/err" || status=$?
  local runs=$(awk '/ runs / { n += $NF } END { print n + 0 }' "$T/out")
  if ((status == 0 && runs > 100)); then ok "$1: $runs processes, each with a handler at another instruction"
  else bad "$1: exit $status, $runs runs: $(grep -v ' runs ' "$T/out" | head -n 3 | tr '\n' ';') $(tail -n 2 "$T/err")"; fi
}

# met_any MODE RUNS
met_any() {
  local status=0 runs=$2
  [[ -z ${ALL:-} ]] || runs=20
  under 600 "$1" "$p" any "$runs" "${SEED:-$$}" >"$T/out" 2>"$T/err" || status=$?
  local processes=$(awk '/ runs / { n += $NF } END { print n + 0 }' "$T/out")
  if ((status == 0 && processes > 400)); then ok "$1: $processes processes, any call on top of any other"
  else bad "$1: exit $status, $processes runs: $(grep -v ' runs ' "$T/out" | head -n 3 | tr '\n' ';') $(tail -n 2 "$T/err")"; fi
}

met mode=off 3
met_any mode=off 1
is_cgc || finish
met mode=collect:grace=0:stress=10000 5
met_any mode=collect:grace=0:stress=10000 1
met mode=report:log_path=/dev/null 9
met mode=audit:log_path=/dev/null 9

# An exec that fails and is left by longjmp or pthread_exit holds up no cycle.
left=$(program exec_left)
if under 120 mode=collect:grace=0 "$left" >"$T/out" 2>"$T/err"; then ok "execs that a handler leaves: $(tail -n +2 "$T/out" | tr '\n' ';')"
else bad "execs that a handler leaves: exit $?: $(tr '\n' ';' <"$T/out") $(tail -n 1 "$T/err")"; fi
finish
