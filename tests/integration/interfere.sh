#!/bin/bash
# Nothing of the program is disturbed: each program of interfere/ runs plain and with the library under frequent cycles. Standard output,
# standard error and exit status must be the same, and the library's own log must hold no complaint.
set -u
. "$(dirname "$0")/lib.sh"
src=$here/interfere
mkdir -p "$T/logs"
chmod 777 "$T/logs"
cd "$T" || exit 2
cc=${CC:-cc} cxx=${CXX:-c++}

build() { # PROGRAM SOURCE FLAGS...
  local out=$1 source=$src/$2 compiler=$cc
  shift 2
  [[ $source == *.cpp ]] && compiler="$cxx -std=c++17"
  $compiler -O1 -g -w -D_GNU_SOURCE "$source" -o "$out" "$@" -pthread -ldl >"$out.build" 2>&1
}

# judge NAME STATUS STATUS_PLAIN: compares what NAME.plain.* and NAME.cgc.* hold.
judge() {
  local name=$1 status=$2 plain=$3 why=""
  ((status == plain)) || why="exit status $status, plain $plain"
  cmp -s "$name.plain.out" "$name.cgc.out" || why+=" other output: $(diff "$name.plain.out" "$name.cgc.out" | head -n 3 | tr '\n' ' ')"
  cmp -s "$name.plain.err" "$name.cgc.err" || why+=" standard error: $(diff "$name.plain.err" "$name.cgc.err" | head -n 3 | tr '\n' ' ')"
  local bad
  bad=$(complaints logs/"$name".* | head -n 1)
  [[ -z $bad ]] || why+=" log: $bad"
  [[ -z $why ]] && ok "$name" || bad "$name: $why"
}

# same NAME OPTIONS COMMAND...
same() {
  local name=$1 options=stats=1:log_path=$T/logs/$1.%p:$2 plain status
  shift 2
  plain 60 "$@" >"$name.plain.out" 2>"$name.plain.err"
  plain=$?
  under 90 "$options" "$@" >"$name.cgc.out" 2>"$name.cgc.err"
  status=$?
  judge "$name" "$status" "$plain"
}
log_has() { # NAME PATTERN WHAT
  if cat logs/"$1".* 2>/dev/null | grep -qE "$2"; then ok "$1: $3"; else bad "$1: $3: $(cat logs/"$1".* "$1.cgc.err" 2>/dev/null | grep -E '^(cgc|cycles|degraded)' | head -n 3 | tr '\n' ' ')"; fi
}
often=stress=5:grace=0

# -- signals, cancellation, stacks --
build movers movers.c && same movers $often ./movers
build coroutines coroutines.c && same coroutines $often ./coroutines
build cancel cancel.c && { # no plain run: libc's malloc may hang here
  out=$(under 90 "$often:log_path=$T/logs/cancel.%p" ./cancel 30 2>&1)
  [[ $out == "120 cancelled, 0 wrong" ]] && ok "cancelled at any time" || bad "cancelled at any time: ${out:-no end}"
}

# -- modules and other allocators --
build modules modules.c
for i in 0 1 2 3; do build module$i.so module.c -shared -fPIC; done
same modules $often ./modules
build asks.so lookups.c -DASKS -shared -fPIC && build libwraps.so lookups.c -DWRAPS -shared -fPIC && build lookups lookups.c -L. -Wl,--no-as-needed -lwraps -Wl,-rpath,. \
  && same lookups $often ./lookups ./asks.so libwraps.so
build lookups_preloaded lookups.c && for order in "$LIB ./libwraps.so" "./libwraps.so $LIB"; do
  out=$(timeout -k 3 60 env LD_PRELOAD="$order" CGC_OPTIONS="$often" ./lookups_preloaded ./asks.so libwraps.so 2>&1)
  [[ $out == "$(cat lookups.plain.out)" ]] && ok "looked up with LD_PRELOAD=$order" || bad "looked up with LD_PRELOAD=$order: ${out:-no output}"
done
build libnumbers.so numbers.c -DLIBRARY -shared -fPIC && build numbers numbers.c -L. -Wl,--no-as-needed -lnumbers -Wl,-rpath,. && same numbers $often ./numbers
build numbers_behind numbers.c && for order in "$LIB ./libnumbers.so" "./libnumbers.so $LIB"; do
  out=$(timeout -k 3 60 env LD_PRELOAD="$order" CGC_OPTIONS="$often" ./numbers_behind 2>&1)
  [[ $out == "$(cat numbers.plain.out)" ]] && ok "by number with LD_PRELOAD=$order" || bad "by number with LD_PRELOAD=$order: $(diff numbers.plain.out - <<<"$out" | head -n 3)"
done
build operators operators.cpp && same operators $often ./operators
build operators_plain operators.cpp -DPLAIN && same operators_plain $often ./operators_plain
build operators_array operators.cpp -DARRAY && same operators_array $often ./operators_array
build operators_nopie operators.cpp -no-pie && same operators_nopie $often ./operators_nopie
$cc -O1 -fno-builtin -c "$src/own_malloc.c" -o own_malloc.o && build operators_own operators.cpp own_malloc.o && {
  same operators_own $often ./operators_own
  log_has operators_own '^malloc_elsewhere .*operators_own' "the statistics tell of its malloc"
}
for lib in libjemalloc.so.2 libtcmalloc_minimal.so.4; do
  short=${lib%%.*}
  if build "with_$short" operators.cpp -Wl,--no-as-needed -l:$lib; then same "with_$short" $often "./with_$short"; else skip "$lib is not installed"; fi
done
build behind behind.c -Wl,--no-as-needed -l:libjemalloc.so.2 && same behind $often ./behind

# -- sanitizers and valgrind: one line, and the program as it was --
aside() { # NAME KIND COMMAND...
  local name=$1 kind=$2 plain status
  shift 2
  plain 60 "$@" >"$name.plain.out" 2>"$name.plain.err"
  plain=$?
  under 60 "$often" "$@" >"$name.cgc.out" 2>"$name.all"
  status=$?
  grep -v '^cgc: ' "$name.all" >"$name.cgc.err"
  judge "$name" "$status" "$plain"
  [[ $(grep -c '^cgc: ' "$name.all") == 1 ]] && grep -q "$kind" "$name.all" && ok "$name: one line" || bad "$name: $(head -n 3 "$name.all")"
}
for s in address:AddressSanitizer thread:ThreadSanitizer leak:LeakSanitizer; do
  name=sanitized_${s%:*}
  if build "$name" behind.c -fsanitize="${s%:*}"; then aside "$name" "${s#*:}" setarch -R "./$name"; else skip "-fsanitize=${s%:*} does not work here"; fi
done
build shows shows.c
if command -v valgrind >/dev/null; then
  build little behind.c && aside valgrind "runs under valgrind" valgrind -q ./little
else skip "valgrind is not installed"; fi

# -- processes --
build processes processes.c
same processes $often ./processes 4
same processes_rarer stress=200:grace=0 ./processes 4
build rights rights.c
rights=(dumpable closefrom nofile unshare-files unshare-fs unshare-sem)
if ((EUID == 0)); then rights+=(setuid seteuid chroot unshare-mnt unshare-pid unshare-user unshare-net unshare-ipc unshare-uts unshare-cgroup); else skip "rights: needs root for most"; fi
chmod 755 "$T"
for r in "${rights[@]}"; do same "$r" $often:stats=$(case $r in nofile | chroot) echo 0 ;; *) echo 1 ;; esac) ./rights "$r"; done # where no log can be opened
log_has setuid '^cycles [1-9]' "collects as another user"

build filters filters.c
for how in kill errno number strict; do same "filter_$how" $often ./filters after $how; done
for how in kill errno; do
  under 60 "$often:stats=1:log_path=$T/logs/inherited_$how.%p" ./filters before $how "$T/movers" >"inherited_$how.cgc.out" 2>&1
  cmp -s movers.plain.out "inherited_$how.cgc.out" && ok "under a filter that forbids signals ($how)" || bad "under a filter ($how): $(head -n 2 "inherited_$how.cgc.out")"
  log_has "inherited_$how" '^degraded a filter forbids' "says why it does not collect"
done
under 60 "$often:stats=1:log_path=$T/logs/allowed.%p" ./filters before allow "$T/movers" >/dev/null 2>&1
log_has allowed '^cycles [1-9]' "a filter that lets everything pass does not keep it from collecting"

# -- what others see --
stopped() { # SIGSTOP and SIGCONT while it works
  local name=$1 pid
  shift
  "$@" ./shows "$T/$name.end" >"$name.out" 2>&1 &
  local job=$!
  sleep 0.2
  for _ in 1 2 3 4 5; do
    pkill -STOP -P $job -x shows || kill -STOP $job
    sleep 0.05
    pkill -CONT -P $job -x shows || kill -CONT $job
    sleep 0.02
  done
  touch "$name.end"
  wait $job
  echo "status $?" >>"$name.out"
}
stopped stop.plain env X=1
stopped stop.cgc env LD_PRELOAD="$LIB" CGC_OPTIONS=$often
cmp -s stop.plain.out stop.cgc.out && ok "stopped and continued" || bad "stopped and continued: $(cat stop.cgc.out)"

if command -v gdb >/dev/null; then
  # What the program prints goes to a file: gdb's own lines come in pieces, between which it would land.
  told() { gdb -q -batch -nx "$@" -ex "run >$name.printed 2>&1" ./shows 2>&1 | sed "s/ >$name.printed.*//" | sed -E 's/0x[0-9a-f]+/X/g; s/(LWP|process) [0-9]+/P/; /debuginfod/d' | sort >"$name.out"; }
  name=gdb.plain told -ex 'set confirm off'
  name=gdb.cgc told -ex "set exec-wrapper env LD_PRELOAD=$LIB CGC_OPTIONS=$often"
  cmp -s gdb.plain.out gdb.cgc.out && cmp -s gdb.plain.printed gdb.cgc.printed && grep -q '^0 wrong' gdb.cgc.printed && ok "gdb shows nothing new" ||
    bad "gdb: $(diff gdb.plain.out gdb.cgc.out | head -n 3 | tr '\n' ' ') $(head -n 1 gdb.cgc.printed)"
else skip "gdb is not installed"; fi
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
  strace -f -o strace.txt -E LD_PRELOAD="$LIB" -E CGC_OPTIONS=$often ./shows >strace.out 2>&1
  status=$?
  ((status == 5)) && grep -q '^0 wrong' strace.out && ok "strace -f" || bad "strace -f: status $status"
else skip "strace does not work here"; fi
if [[ $(</proc/sys/kernel/core_pattern) == core ]]; then
  mkdir core.plain core.cgc
  (ulimit -c unlimited; cd core.plain; plain 60 ../shows abort) >/dev/null 2>&1
  (ulimit -c unlimited; cd core.cgc; under 60 $often ../shows abort) >/dev/null 2>&1
  size() { du -k "$1"/core* 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
  (($(size core.cgc) > 0 && $(size core.cgc) < $(size core.plain) + 16384)) && ok "core dumps of $(size core.plain) and $(size core.cgc) KiB" ||
    bad "core dumps of $(size core.plain) and $(size core.cgc) KiB"
  rm -rf core.plain core.cgc
else skip "core dumps go elsewhere: $(</proc/sys/kernel/core_pattern)"; fi

# -- which children are served --
served() { # VALUE: the number of processes that leave statistics
  rm -f logs/served.*
  under 30 "children=$1:stats=1:log_path=$T/logs/served.%p" env A=1 sh -c '/bin/echo b | sort | cat; true' >/dev/null
  cat logs/served.* 2>/dev/null | grep -c '^cgc: statistics'
}
for expected in all:4 none:1 sort:2 sort+cat:3 nothing+of+the+kind:1; do
  n=$(served "${expected%:*}")
  ((n == ${expected#*:})) && ok "children=${expected%:*}: $n processes" || bad "children=${expected%:*}: $n processes, not ${expected#*:}"
done
seen=$(under 30 children=none sh -c 'echo "$CGC_OPTIONS"')
[[ $seen =~ ^children=none@[0-9]+$ ]] && ok "the mark in CGC_OPTIONS" || bad "CGC_OPTIONS became $seen"
finish
