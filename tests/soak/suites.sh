#!/bin/bash
# Test suites that source packages ship: as many tests pass preloaded, in collect with a cycle at every 100th refill, as plain.
#
#   suites.sh [SUITE...]     of lua python perl bash libuv; OPTIONS=mode=collect:stress=100:verify=1; SOURCES=dir keeps what was fetched
#
# UNITS='test_gc*' runs the units of such names only. LUA_TESTS=dir is the folder `testes` of Lua's own sources, in the version that is
# installed (the distribution's package leaves it out); without it that part of lua is skipped.
#
# Sources come by apt-get source, with package lists of our own (the system's are left as they are). A suite is made of units (a
# file of tests as a rule); each is run plain and preloaded, and its verdict is the number of its tests that passed and its exit status. Where
# both differ, the unit is run again, both ways, twice: suites hold tests that depend on the machine's pace, and what the library
# breaks stays broken. One line a unit that differs, one line a suite with both sums.
set -u
. "$(dirname "$0")/../integration/lib.sh"
options=${OPTIONS:-mode=collect:stress=100:verify=1}
S=${SOURCES:-$T/sources}
mkdir -p "$S/apt/lists" "$S/apt/cache" "$T/logs"
chmod 777 "$T/logs"
unset CGC_OPTIONS LD_PRELOAD

# source_of PACKAGE: unpacks it into $S and prints where; nothing when it can't be had.
source_of() {
  local dir apt=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$S/apt" -o "Dir::State::Lists=$S/apt/lists" -o "Dir::Cache=$S/apt/cache" -o APT::Sandbox::User=root)
  dir=$(find "$S" -maxdepth 1 -type d -name "$1-[0-9]*" | head -n 1)
  if [[ -z $dir ]]; then
    if [[ ! -s $S/apt/src.sources ]]; then
      cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed 's/^Types:.*/Types: deb-src/' >"$S/apt/src.sources"
      [[ -s $S/apt/src.sources ]] || sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$S/apt/src.list"
      apt-get "${apt[@]}" update >"$S/apt/log" 2>&1
    fi
    # The release's own version when a later one is gone from the mirror.
    (cd "$S" && { apt-get "${apt[@]}" source --download-only "$1" || apt-get "${apt[@]}" source --download-only "$1/$(. /etc/os-release && echo "$VERSION_CODENAME")"; } >>"$S/apt/log" 2>&1 &&
      dpkg-source -x --no-check "$(ls -t "${1}"_*.dsc | head -n 1)" >>"$S/apt/log" 2>&1)
    dir=$(find "$S" -maxdepth 1 -type d -name "$1-[0-9]*" | head -n 1)
  fi
  echo "$dir"
}

# once COUNTER SECONDS plain|lib COMMAND...: runs it in the current folder and prints "PASSED STATUS". A COUNTER may print more words
# after its number, such as a sum of the output; they are compared too.
once() {
  local counter=$1 seconds=$2 kind=$3 status
  shift 3
  [[ $kind == lib ]] && set -- env LD_PRELOAD="$LIB" CGC_OPTIONS="$options:stats=1:log_path=$T/logs/%p" "$@"
  timeout -k 5 "$seconds" setsid -w "$@" >"$T/$kind" 2>&1 </dev/null
  status=$?
  echo "$("$counter" "$T/$kind") $status"
}

# unit SUITE NAME COUNTER SECONDS COMMAND...
unit() {
  local suite=$1 name=$2 counter=$3 seconds=$4 try a b
  shift 4
  # shellcheck disable=SC2053 # a pattern
  [[ $name == ${UNITS:-*} ]] || return 0
  for try in 1 2 3; do
    a=$(once "$counter" "$seconds" plain "$@")
    b=$(once "$counter" "$((seconds * 6))" lib "$@")
    [[ $a == "$b" ]] && break
  done
  plain_sum=$((plain_sum + ${a%% *})) lib_sum=$((lib_sum + ${b%% *})) units=$((units + 1))
  if [[ $a != "$b" ]]; then
    bad "$suite $name: passed and status plain $a, preloaded $b: $(diff "$T/plain" "$T/lib" | grep -E '^>' | grep -aiE 'fail|error|not ok|cgc' | head -n 1 | cut -c1-150)"
    ! [[ -n ${KEEP:-} ]] || cp "$T/lib" "$T/lib.$suite.${name//\//_}"
  fi
  if complaints "$T"/logs/* >"$T/complaints"; then bad "$suite $name: $(head -n 1 "$T/complaints")"; fi
  cycles=$((cycles + $(stat_sum cycles "$T"/logs/*))) aborted=$((aborted + $(stat_sum aborted "$T"/logs/*)))
  find "$T/logs" -type f -delete
}
begin() { plain_sum=0 lib_sum=0 units=0 cycles=0 aborted=0; }
end() {
  local text="$1: $units units, $plain_sum tests passed plain, $lib_sum preloaded, $cycles cycles, $aborted aborted"
  if ((units > 0 && plain_sum == lib_sum && plain_sum > 0)); then ok "$text"; else bad "$text"; fi
}
count_tap() { grep -acE '^ *ok [0-9]+' "$1"; }
count_python() { grep -acE '\.\.\. ok$' "$1"; }
count_same() { md5sum <"$1" | tr -dc 0-9 | cut -c1-9 | sed 's/^0*//'; } # what is compared is the output itself

suite_lua() {
  local dir f
  dir=$(source_of lua5.1)
  [[ -n $dir ]] && command -v lua5.1 >/dev/null || { skip "lua: no source or no lua5.1"; return; }
  begin
  cd "$dir/test" || return
  for f in *.lua; do
    [[ $f == luac.lua ]] && continue # needs a file to compile
    grep -qE 'io.read|io.lines' "$f" && continue
    unit lua "$f" count_lua 60 lua5.1 "$f" 12
  done
  cd "$T" || return
  dir=$(source_of lua-lpeg)
  if [[ -n $dir ]] && lua5.4 -e 'require "lpeg"' 2>/dev/null; then cd "$dir" && unit lua lpeg/test.lua count_lua 60 lua5.4 test.lua; cd "$T" || return; fi
  if [[ -n ${LUA_TESTS:-} ]]; then
    # Its portable part: _U leaves out what needs an interpreter built for the tests.
    cd "$LUA_TESTS" && unit lua testes/all.lua count_lua_own 120 lua5.4 -e '_U=true' all.lua
    cd "$T" || return
  else skip "lua: its own tests: no LUA_TESTS="; fi
  end lua
}
count_lua() { local n; n=$(sed -E 's/0x[0-9a-f]+//g; s/[0-9]+\.[0-9]+ *(sec|s)?//g' "$1" | wc -l); echo $((n > 0 ? n : 1)); }
# The files that began, and a sum of all output but its numbers, which are times, sizes and a random seed.
count_lua_own() { echo "$(grep -ac '^\*\*\*\*\* FILE' "$1") $(sed -E 's/[0-9]+/N/g' "$1" | md5sum | cut -c1-12)"; }

suite_python() {
  local t kind
  /usr/bin/python3 -c 'import test.test_threading, test.test_ctypes' 2>/dev/null || { skip "python: no libpython3-testsuite"; return; }
  begin
  mkdir -p "$T/py"
  cd "$T/py" || return
  # Each with malloc alone, and with Python's own allocator, which keeps its small objects in mappings of its own.
  # Only cycles at every 1000th refill in the heavy ones: their children are whole interpreters, and each begins with thousands of refills.
  for kind in malloc default; do
    for t in test_json test_mmap test_fork1 test_gc test_ctypes test_signal test_threading test_socket test_subprocess; do
      case $t in test_threading | test_socket | test_subprocess | test_signal) options=${OPTIONS:-mode=collect:stress=1000:verify=1} ;; *) options=${OPTIONS:-mode=collect:stress=100:verify=1} ;; esac
      # VSOCK waits for ever in virtual machines whose host does not answer, with and without us.
      unit python "$t/$kind" count_python 240 env PYTHONMALLOC=$kind PYTHONHASHSEED=1 /usr/bin/python3 -m test -v -i '*VSOCK*' "$t"
    done
  done
  options=${OPTIONS:-mode=collect:stress=100:verify=1}
  cd "$T" || return
  end python
}

suite_perl() {
  local dir f
  dir=$(source_of perl)
  [[ -n $dir ]] || { skip "perl: no source"; return; }
  # What a build would put into lib: the installed one is the same version.
  cp -rnL /usr/share/perl/5.*/. /usr/lib/*/perl/5.*/. /usr/lib/*/perl-base/. "$dir/lib/" 2>/dev/null
  ln -sf /usr/bin/perl "$dir/perl"
  begin
  cd "$dir/t" || return
  for f in op/*.t; do
    case $f in op/alarm.t | op/sleep.t | op/time.t | op/time_loop.t | op/magic.t | op/svleak.t | op/sselect.t | op/pack.t) [[ -n ${ALL:-} ]] || continue ;; esac
    unit perl "$f" count_tap 60 /usr/bin/perl "$f"
  done
  cd "$T" || return
  end perl
}

suite_bash() {
  local dir f
  dir=$(source_of bash)
  [[ -n $dir ]] || { skip "bash: no source"; return; }
  mkdir -p "$T/bin"
  for f in recho zecho printenv xcase; do ${CC:-cc} -w -O1 -DHAVE_STDLIB_H -DHAVE_UNISTD_H -DHAVE_CONFIG_H -include /dev/null -I"$dir/support" "$dir/support/$f.c" -o "$T/bin/$f" 2>/dev/null || ${CC:-cc} -w -O1 "$dir/support/$f.c" -o "$T/bin/$f" 2>/dev/null; done
  begin
  cd "$dir/tests" || return
  for f in run-*; do
    case $f in run-all | run-minimal | run-gprof | run-jobs | run-test | *.orig | *~) continue ;; esac
    unit bash "$f" count_bash 60 env PATH="$T/bin:$PATH" THIS_SH=/bin/bash BASH_TSTOUT="$T/tstout" TMPDIR="$T" sh "./$f"
  done
  cd "$T" || return
  end bash
}
count_bash() { [[ -s $1 ]] && grep -qE '^[<>]' "$1" && echo 0 || echo 1; }

count_libuv() { grep -qE '^not ok|FAILED|exited with|Assertion' "$1" && echo 0 || echo 1; }
suite_libuv() {
  local dir t
  dir=$(source_of libuv1)
  [[ -n $dir ]] && command -v cmake >/dev/null || { skip "libuv: no source or no cmake"; return; }
  [[ -x $dir/build/uv_run_tests ]] || (cmake -S "$dir" -B "$dir/build" -DCMAKE_BUILD_TYPE=Release -DLIBUV_BUILD_TESTS=ON && cmake --build "$dir/build" --target uv_run_tests) >"$S/apt/libuv.log" 2>&1
  [[ -x $dir/build/uv_run_tests ]] || { skip "libuv: its tests don't build here: $(tail -n 1 "$S/apt/libuv.log")"; return; }
  begin
  local user=()
  ((EUID)) || { user=(setpriv --reuid=nobody --regid=nogroup --clear-groups); chmod -R a+rwX "$dir"; } # it refuses to run as root
  cd "$dir" || return
  for t in $("${user[@]}" build/uv_run_tests --list | sort -u); do
    # These need the network outside, another user or a terminal of their own.
    case $t in *multicast* | getaddrinfo* | *udp*scope* | *ipv6* | tty* | spawn_setuid* | spawn_setgid* | platform_output | *connect_timeout* | hostname* | *rlimit* | *interface*) continue ;; esac
    unit libuv "$t" count_libuv 30 "${user[@]}" build/uv_run_tests "$t"
  done
  cd "$T" || return
  end libuv
}

for s in ${*:-lua python perl bash libuv}; do "suite_$s"; done
finish
