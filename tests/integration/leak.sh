#!/bin/bash
# A program that leaks 4 GiB at full speed beside 16 MiB of live, checked data: peak RSS stays under 96 MiB in collect and
# grows without bound in off; the same with 8 threads, and under ulimit -v 512 MiB it survives.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program leak_fast)
mib=4096 seconds=100
[[ -n ${ALL:-} ]] && mib=16384 seconds=400
limit_kib=$((96 * 1024))

peak() { sed -n 's/.*peak_rss_kib \([0-9]*\).*/\1/p' "$1"; }
flat() { # NAME THREADS
  if ! under "$seconds" mode=collect "$p" "$2" "$mib" >"$T/$1" 2>"$T/$1.err"; then
    bad "$1: exit $?: $(tail -n 1 "$T/$1.err" | cut -c1-150)"
  elif (($(peak "$T/$1") < limit_kib)); then ok "$1: $(cat "$T/$1")"
  else bad "$1: peak RSS is not under $limit_kib KiB: $(cat "$T/$1")"; fi
}
grows() { # NAME THREADS
  if ! under 60 mode=off "$p" "$2" 512 >"$T/$1" 2>"$T/$1.err"; then bad "$1: exit $?: $(tail -n 1 "$T/$1.err" | cut -c1-150)"
  elif (($(peak "$T/$1") > 450 * 1024)); then ok "$1: $(cat "$T/$1")"
  else bad "$1: off did not grow, so this test shows nothing: $(cat "$T/$1")"; fi
}
survives() { # NAME THREADS KIB
  if (ulimit -v "$3"; under "$seconds" mode=collect "$p" "$2" "$mib") >"$T/$1" 2>"$T/$1.err"; then ok "$1: $(cat "$T/$1")"
  else bad "$1: exit $?: $(tail -n 1 "$T/$1.err" | cut -c1-150)"; fi
}

flat collect_one_thread 1
flat collect_8_threads 8
grows off_one_thread 1
grows off_8_threads 8
survives ulimit_v_512MiB_one_thread 1 524288
survives ulimit_v_512MiB_8_threads 8 524288
finish
