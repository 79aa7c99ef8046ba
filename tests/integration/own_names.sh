#!/bin/bash
# A program that defines functions of libc itself finds its own when it calls them, and the wrappers find theirs.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program own_names)
plain 20 "$p" >"$T/plain" 2>&1
echo "exit $?" >>"$T/plain"
for options in mode=off mode=collect:stress=1:grace=0:verify=1; do
  under 60 "$options" "$p" >"$T/out" 2>&1
  echo "exit $?" >>"$T/out"
  if cmp -s "$T/plain" "$T/out"; then ok "$options: functions under libc's names are called as often as without the library"
  else bad "$options: $(tr '\n' ' ' <"$T/out" | cut -c1-150), plain $(tr '\n' ' ' <"$T/plain" | cut -c1-150)"; fi
done
finish
