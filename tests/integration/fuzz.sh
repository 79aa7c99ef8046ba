#!/bin/bash
# The libFuzzer targets of tests/fuzz, with ASan and UBSan, two at a time: what reads text or files of others, and the heap itself.
#
#   fuzz.sh [TARGET...]
#   FUZZ_SECONDS=60   for each target (3600 with ALL=1)
#   FUZZ_CORPUS=dir   keeps what was found interesting, one folder a target, and goes on from there
#
# A build of its own, in $PROGRAMS/fuzz, with clang. The seeds are made here: real maps, stat files and small programs, options
# as people write them. An input that breaks a target is kept beside that build and named.
set -u
. "$(dirname "$0")/lib.sh"
seconds=${FUZZ_SECONDS:-${ALL:+3600}}
seconds=${seconds:-60}
targets=(options suppress maps stat elf symbols snapshot text heap cfi control)
(($#)) && targets=("$@")
build=$PROGRAMS/fuzz
corpus=${FUZZ_CORPUS:-$T/corpus}

# -- build --
command -v clang >/dev/null || { skip "clang is not installed"; finish; }
echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 99; }' >"$T/probe.c"
clang -fsanitize=fuzzer,address,undefined "$T/probe.c" -o "$T/probe" 2>/dev/null || { skip "clang has no libFuzzer (Debian: libclang-rt-14-dev)"; finish; }
{
  if [[ ! -f $build/build.ninja ]]; then
    rm -rf "$build"
    CC=clang meson setup "$build" "$root" --werror --buildtype=debugoptimized -Dtests=false -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
  fi && ninja -C "$build" "${targets[@]/#/tests/fuzz/fuzz_}"
} >"$T/build.txt" 2>&1 || { tail -n 20 "$T/build.txt"; bad "the targets build"; finish; }

# -- seeds --
seed() { local file=$corpus/$1/seed-$2; mkdir -p "${file%/*}"; cat >"$file"; }
# noise SEED BYTES: the same bytes in every run.
noise() { LC_ALL=C awk -v s="$1" -v n="$2" 'BEGIN { srand(s); for (; n; n--) printf "%c", int(rand() * 255) + 1 }'; }

printf 'mode=report:stats=1,verbosity=2 log_path=/tmp/x.%%p' | seed options 1
printf 'heap_limit=0x10m:growth=1000:cpu_limit=0:grace=33:stress=:watch=0x280000001000' | seed options 2
printf 'mode=quarantine:mode=colect:stat:help:fault=mmap@3../maps@2:roots=segments' | seed options 3
printf 'mmap@3../no_stacks@18446744073709551615/ack' | seed options 4
printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022leak:^foo*bar$\nonly:lib\n# x\n{\n name\n Memcheck:Leak\n match-leak-kinds: definite,possible\n fun:*alloc\n ...\n obj:*/libc.so*\n src:a?.c\n}\n' | seed suppress 1
printf '\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001\001{\nn\nMemcheck,Helgrind:Leak\n...\nfun:m*c\n...\nfun:a\n}\n{\nn\nMemcheck:Cond\nfun:x\n}' | seed suppress 2
{ printf '\377\017'; cat /proc/self/maps; } | seed maps 1
{ printf '\100\001'; head -n 60 /proc/self/smaps; } | seed maps 2
printf '\007\0007f00-7f0 rwxp 0 0:0 0\n1000-3000 rw-s 00000000 00:01 7 /dev/shm/a b (deleted)\nSwap: 4 kB\nRss: 8 kB\n4000-5000 ---p 0 fd:00 1 /dev/nvidia0\n' | seed maps 3
cat /proc/self/stat | seed stat 1
printf '17 (a) Z (b) R 1 17 17 0 -1 4194564 0 0' | seed stat 2
printf '18 (iou-wrk-17) S 1 17 17 0 -1 16656 0 0 0' | seed stat 3
printf '19 (dying) R 1 17 17 0 -1 4 0' | seed stat 4
printf '#!/usr/bin/env -S python3 -u\nprint()\n' | seed elf script
echo 'int main(void) { return 0; } void *malloc(unsigned long n) { return (char *)0 + n; } void __asan_init(void) {} int f(void) { return main(); }' >"$T/small.c"
small=(-nostdlib -Wl,-z,noseparate-code -Wl,-z,max-page-size=4096 -Wl,--build-id=none -Wl,-e,main -fno-builtin -w -s)
${CC:-cc} "${small[@]}" -rdynamic "$T/small.c" -o "$T/a" && seed elf dynamic <"$T/a"
${CC:-cc} "${small[@]}" -fPIC -shared -Wl,--hash-style=sysv "$T/small.c" -o "$T/a" && seed elf sysv <"$T/a"
${CC:-cc} "${small[@]}" -static "$T/small.c" -o "$T/a" && seed elf static <"$T/a"
printf 'snapshot blocks reachable ' | seed control 1
printf 'why 0x280000001000' | seed control 2
printf 'hello' | seed control 3
if ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -I"$root/src" "$here/make_snapshot.c" -o "$T/make" -ldl 2>"$T/make.txt"; then
  i=0
  for o in sites=A sites=BCD sites=EFGI growth=100 "newer=1 sites=AE growth=9" "sampled=1 sites=I" "incomplete=1 sites=G"; do
    # shellcheck disable=SC2086 # options without blanks
    "$T/make" "$T/a" $o && seed snapshot $((i += 1)) <"$T/a"
  done
fi
${CC:-cc} "${small[@]:0:${#small[@]}-1}" "$T/small.c" -o "$T/a" && seed symbols symtab <"$T/a"
${CC:-cc} "${small[@]}" -rdynamic "$T/small.c" -o "$T/a" && seed symbols dynsym <"$T/a"
for i in 1 2 3; do noise $i 200 | seed text $i; done
for i in 1 2 3 4 5 6; do noise $i $((i * 100)) | seed heap $i; done
# Whole small libraries: header and table are at their places because nothing is moved. The address is that of a function.
echo 'int g(char *); int f(int n) { char a[n]; return g(a) + 1; } int h(int n) { return f(n) + f(n + 1); } int g(char *p) { return *p; } int main(void) { return h(3); }' >"$T/frames.c"
for i in 1 2 3; do
  ${CC:-cc} "${small[@]}" -fPIC -shared -fasynchronous-unwind-tables -O$i "$T/frames.c" -o "$T/a" || continue
  header=$(readelf -lW "$T/a" | awk '$1 == "GNU_EH_FRAME" { print $2 }') address=$(readelf --dyn-syms -W "$T/a" | awk '$8 == "h" { print $2 }')
  { for word in $((header)) $((16#$address + 3)); do printf "\\x$(printf %02x $((word & 255)))\\x$(printf %02x $((word >> 8)))"; done; cat "$T/a"; } | seed cfi "$i"
done

# -- run --
run() {
  local target=$1 limit=()
  case $target in
    heap) limit=(-max_len=700) ;;
    elf | cfi | symbols | snapshot) limit=(-max_len=8192 -len_control=0) ;;
    maps) limit=(-max_len=8192) ;;
    *) limit=(-max_len=1024) ;;
  esac
  ASAN_OPTIONS=detect_leaks=0 timeout -k 5 $((seconds * 2 + 120)) "$build/tests/fuzz/fuzz_$target" "${limit[@]}" \
    -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=25 -verbosity=1 -print_final_stats=1 -artifact_prefix="$build/$target-" \
    "$corpus/$target" >"$T/$target.txt" 2>&1
  echo $? >"$T/$target.status"
}
judge() {
  local target=$1 status runs cover
  status=$(cat "$T/$target.status" 2>/dev/null)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$T/$target.txt")
  cover=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$T/$target.txt" | tail -n 1)
  if [[ $status == 0 && ${runs:-0} -gt 0 ]]; then
    ok "$target: $runs inputs in $seconds s, ${cover/cov: /coverage }"
  else
    grep -E 'ERROR|runtime error|does not hold|^    #[0-9]+ .*/(src|tools|tests)/|Test unit written' "$T/$target.txt" | head -n 15
    [[ -z $(grep 'ERROR' "$T/$target.txt") ]] && tail -n 5 "$T/$target.txt"
    bad "$target: exit ${status:-none} after ${runs:-no} inputs"
  fi
}
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  jobs=()
  for target in "${targets[@]:i:2}"; do run "$target" & jobs+=($!); done
  wait "${jobs[@]}"
  for target in "${targets[@]:i:2}"; do judge "$target"; done
done
finish
