#!/bin/bash
# Each interposed call with each of its pointers and sizes spoiled (programs/bad_pointers.c) answers as plain's does: EFAULT where the kernel
# says so, and a fault, which the program's handler gets, where libc itself reads or writes. And each name of preload/cgc.map has a row there.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program bad_pointers)
modes=(mode=off)
is_cgc && modes+=(mode=collect mode=collect:signal=40)
for m in "${modes[@]}"; do # side by side: they wait for the kernel most of the time
  (under 300 "$m" "$p" >"$T/$m" 2>"$T/err"; echo $? >"$T/$m.status") &
done
plain 300 "$p" >"$T/plain" || { bad "it does not pass without us: $(tail -n 1 "$T/plain")"; finish; }
wait
cases=$(wc -l <"$T/plain")

# answers MODE
answers() {
  local status=$(cat "$T/$1.status")
  diff "$T/plain" "$T/$1" >"$T/differ"
  if ((status == 0 && cases > 5000)) && [[ ! -s $T/differ ]]; then ok "$1: $cases cases answer as plain's"
  else bad "$1: exit $status, $(grep -c '^>' "$T/differ") of $cases differ: $(grep '^[<>]' "$T/differ" | sort -k2 | head -n 6 | tr '\n' ';')"; fi
}
for m in "${modes[@]}"; do answers "$m"; done
is_cgc || finish

# Names without a row, each with its reason.
no_pointer='syscall pause sigpause __sigpause __xpg_sigpause _exit _Exit cfree' # no argument is one, or they only wait or end
families='(__libc_)?(m|c|re|v|pv)alloc|reallocarray|(__libc_)?free|memalign|__libc_memalign|aligned_alloc|posix_memalign|malloc_.*|mall(info2?|opt)|free_(aligned_)?sized|_Z.*|__lsan_.*|cgc_.*'
libraries='(__)?io_uring_.*'     # no part of libc
others='sigsuspend|__sigsuspend' # the raw form has a row: with a good mask they wait for ever
others+='|mq_close|io_destroy|__clone|makecontext|__register_atfork|fclose' # reads a structure of libc's, or an address of code
missing=$(sed -n '/^global:/,/^local:/p' "$root/preload/cgc.map" | grep -v : | tr -s ';\t ' '\n' | grep . | sort -u |
  grep -vxE "$families|$libraries|$others|${no_pointer// /|}|cgc_\*" | grep -vxFf <("$p" names))
[[ -z $missing ]] && ok "each name of cgc.map has a row or a reason" || bad "names of cgc.map without a row in programs/calls.h: $(tr '\n' ' ' <<<"$missing")"
finish
