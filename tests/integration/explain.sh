#!/bin/bash
# explain=1: one true line about the program's fault, and then everything as without it: the same end, with the same core; the
# same siginfo, stack and mask for the program's handler; its own action when it asks.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "no collector here"; finish; }
p=$(program faulty)
cd "$T" || exit 1
ulimit -c unlimited # cores, where they are written as files, land in the folder that is removed

# same CASE LINES [OPTIONS]: the same output and end as plain, and so many lines of cgc (LINES may be "a b" for a range)
same() {
  local case=$1 lines=$2 options=${3:-} n
  plain 30 "$p" of "$case" >"$T/plain" 2>/dev/null
  under 30 "explain=1${options:+:$options}" "$p" of "$case" >"$T/out" 2>"$T/err"
  n=$(grep -c '^cgc: SIG' "$T/err")
  # shellcheck disable=SC2086 # two numbers
  set -- $lines
  if ! cmp -s "$T/plain" "$T/out"; then bad "$case: plain $(tail -n 2 "$T/plain" | tr '\n' ' '), explained $(tail -n 2 "$T/out" | tr '\n' ' ')"
  elif ((n < $1 || n > ${2:-$1})); then bad "$case: $n lines: $(head -n 2 "$T/err")"
  else ok "$case: $(tail -n 1 "$T/out"), $n lines"; fi
}
says() { # TEXT
  if grep -qE "$1" "$T/err"; then ok "  it says: $1"; else bad "  it does not say \"$1\": $(grep -m1 '^cgc' "$T/err")"; fi
}

same wild 1
says 'neither the address nor a register'
same recycled 1
says 'rdi \(0x[0-9a-f]+\) leads into .* was recycled in cycle [0-9]+ of [0-9]+:'
same again 1
says 'was recycled in cycle [0-9]+ of [0-9]+ and handed out again since'
same free 1
says 'is free: the program used it after its free'
same null 1 # the same registers, and a fault that has nothing to do with them
says 'neither the address nor a register'
same recycled 1 harden=1
same recycled 1 sites=1
says 'was recycled in cycle [0-9]+ of [0-9]+, allocated at .*faulty\+0x'
same sent 0
same thread 1
same bus 1
says 'SIGBUS at 0x'
same general 1
same handled "2 3" # after each of its handlers' runs it is told again only once a cycle has ended
same handled-alt "2 3"
same handled-bus "2 3"
same once "1 2"
same sent-handled 0
same ignored 0
same forked 1
same condemned 1 mode=audit
says 'was condemned in cycle 1 of [0-9]+, allocated at .*faulty\+0x'
same free 1 mode=off

under 20 "" "$p" quiet && ok "without explain=1 no handler is installed" || bad "a handler is installed without explain=1"
under 20 "explain=1" "$p" quiet && bad "with explain=1 none is installed" || ok "with it there is one"
finish
