#!/bin/bash
# The unwinder on aarch64, under qemu-user: the same comparison with libgcc's as in stacks.sh, in the C++ program that has every kind of frame.
# What stops threads does not know this machine yet, so only src/backtrace and what is below it is built.
set -u
. "$(dirname "$0")/lib.sh"
cc=aarch64-linux-gnu-gcc cxx=aarch64-linux-gnu-g++ prefix=/usr/aarch64-linux-gnu
for p in $cc $cxx qemu-aarch64; do command -v $p >/dev/null || { skip "$p is not installed"; finish; }; done
[[ -d $prefix/lib ]] || { skip "no libc for aarch64 in $prefix"; finish; }
cd "$T" || exit 1
flags=(-std=gnu11 -O2 -D_GNU_SOURCE -fPIC -fno-strict-aliasing -fvisibility=hidden -fasynchronous-unwind-tables "-I$root/src" "-I$root/include" '-DCGC_VERSION="test"')
"$cc" "${flags[@]}" -shared -Wl,-z,now,-z,nodelete,-z,defs "-Wl,--version-script=$here/stacks/checker.map" "$root"/src/{backtrace,base,os}/*.c \
  "$here/stacks/checker.c" "$here/stacks/other_machine.c" -o checker.so -lgcc_s -pthread -ldl >cc.log 2>&1 || { bad "the unwinder compiles: $(head -n 3 cc.log)"; finish; }
"$cc" -O2 -fPIC -shared -DROOM=400 "$here/stacks/opened.c" -o libstacks_a.so && "$cc" -O2 -fPIC -shared -DROOM=4000 "$here/stacks/opened.c" -o libstacks_b.so &&
  "$cxx" -O2 -std=c++17 "$root/tests/programs/stacks.cc" -o frames -pthread -ldl || { bad "the program compiles"; finish; }
"$cxx" -O2 -std=c++17 -fomit-frame-pointer "$root/tests/programs/stacks.cc" -o frames_bare -pthread -ldl

# judge NAME PROGRAM
judge() {
  local name=$1 calls=0 compared=0 equal=0 suffix_differs=1 captures=1 hits=0 frames=0
  timeout -k 3 120 qemu-aarch64 -L $prefix -E LD_PRELOAD="$T/checker.so" -E CHECK_LOG="$T/$name.log" -E CHECK_EVERY=1 "./$2" "$T" >$name.out 2>$name.err
  grep -q done $name.out || { bad "$name: the program ends as it should: $(tail -n 3 $name.err)"; return; }
  eval "$(awk '{ for (i = 1; i < NF; i += 2) s[$i] += $(i + 1) } END { for (k in s) printf "%s=%d ", k, s[k] }' $name.log)"
  local says="$equal of $compared equal, $captures captures of $((frames / captures)) frames, $((100 * hits / captures)) % end at a known suffix"
  if ((compared >= 1500 && suffix_differs == 0 && equal * 1000 >= compared * 999)); then ok "$name: $says"
  else bad "$name: $says; $suffix_differs differ from the plain walk: $(head -n 20 $name.log.differs 2>/dev/null | tr '\n' '|')"; fi
}
judge frames frames
judge bare frames_bare
finish
