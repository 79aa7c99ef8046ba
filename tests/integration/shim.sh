#!/bin/sh
# The wrappers: each program of shim/ runs plain, then with a thread that stops all others at 1 kHz. Both must print the same
# lines (wakeups also at up to 10 kHz). Then the counter-test: with stops but without wrappers, EINTR must show (else the stops disturb nothing).
#   shim.sh [DIRECTORY_WITH_LIBRARIES [WORK_DIRECTORY]]     libcgc-tick.so and libcgc-tick-bare.so; else those of PROGRAMS
set -u
here=$(cd "$(dirname "$0")" && pwd)/shim
libs=$(cd "${1:-${PROGRAMS:?shim.sh DIRECTORY, or PROGRAMS=}/tests/integration}" && pwd)
work=${2:-$(mktemp -d)}
cc=${CC:-cc}
cxx=${CXX:-c++}
passed=0 failed=0
verdict() { # condition's status, name
	if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $2"; fi
}
mkdir -p "$work/lib/inner" && cd "$work" || exit 2
flags="-O1 -g -D_GNU_SOURCE -Wall"
for p in eintr handlers altstack exec dl epoll wakeups sets raw; do
	rpath=; [ $p = dl ] && rpath='-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib'
	$cc $flags -o $p "$here/$p.c" $rpath -lpthread -ldl || exit 2
done
$cxx -O1 -g -Wall -o threads "$here/threads.cpp" -lpthread || exit 2
$cc $flags -shared -fPIC -o lib/inner/libshim-inner.so "$here/inner.c"
$cc $flags -shared -fPIC -o lib/inner/libshim-late.so "$here/inner.c"
$cc $flags -shared -fPIC -o lib/libshim-outer.so "$here/outer.c" -Llib/inner -lshim-inner -Wl,--enable-new-dtags,-rpath,'$ORIGIN/inner' -ldl

for p in eintr handlers altstack exec dl epoll wakeups sets raw threads; do
	timeout 120 ./$p >$p.plain 2>$p.plain.err
	verdict $? "$p, plain: $(grep FAILED $p.plain | tr '\n' ';')"
	UNDER_CGC=1 LD_PRELOAD="$libs/libcgc-tick.so" timeout 120 ./$p >$p.tick 2>$p.tick.err
	verdict $? "$p, stops at 1 kHz: $(grep FAILED $p.tick | tr '\n' ';') $(tail -n 3 $p.tick.err)"
	cmp -s $p.plain $p.tick
	verdict $? "$p: same lines"
done
TICK_US=50 UNDER_CGC=1 LD_PRELOAD="$libs/libcgc-tick.so" timeout 120 ./wakeups 1000 >wakeups.fast 2>wakeups.fast.err
verdict $? "wakeups, stops at up to 10 kHz: $(grep FAILED wakeups.fast | tr '\n' ';') $(tail -n 3 wakeups.fast.err)"
# not into timeout: without the wrapper of exec, a stop's signal that waits for it kills the program it becomes
timeout 120 env LD_PRELOAD="$libs/libcgc-tick-bare.so" ./eintr >eintr.bare 2>/dev/null
[ "$(grep -c FAILED eintr.bare)" -ge 10 ]
verdict $? "without wrappers, stops must show as EINTR"
[ $# -lt 2 ] && cd / && rm -rf "$work"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
