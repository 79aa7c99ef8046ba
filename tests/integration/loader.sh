#!/bin/bash
# Recorded stacks and the loader: modules that vanish beside a walk, and a child whose parent's other thread held the loader's lock (tests/programs/loader.c).
set -u
. "$(dirname "$0")/lib.sh"
loader=$(program loader)
cd "$T" || exit 1
${CC:-cc} -O2 -fPIC -shared -DROOM=400 "$here/stacks/opened.c" -o libopened.so || bad "a library compiles"

# unharmed NAME OPTIONS ARGS...
unharmed() {
  local name=$1 options=$2 out
  shift 2
  out=$(ulimit -c 0; under 60 "$options:log_path=$T/log" "$loader" "$@" 2>&1 | head -n 1)
  case $out in unharmed) ok "$name" ;; skip:*) skip "$name: $out" ;; *) bad "$name: $out" ;; esac
}
unharmed "libc closes a module of its own" mode=report gone
unharmed "a guessed frame in a module that leaves" mode=report guess "$T/libopened.so"
unharmed "a child ends while the loader's lock is held" mode=report fork
unharmed "a child asks for a report then" mode=report ask
unharmed "with roots=segments" mode=report:roots=segments ask
finish
