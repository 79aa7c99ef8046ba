# What the integration scripts share; sourced, with `set -u` in force.
#
#   LIB=path        the library under test (build/libcgc.so); another allocator may stand in to check a script itself
#   PROGRAMS=dir    the build folder that has tests/programs and tests/zoo (beside LIB); what is missing is compiled
#   ALL=1           longer runs
#
# Each script prints one line a check and as last line 'N passed, N failed[, N skipped]', and exits 1 on a failure. It works
# in a folder of its own, which is removed, and ends what it started.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(realpath "$here/../..")
LIB=$(realpath "${LIB:-$root/build/libcgc.so}")
PROGRAMS=${PROGRAMS:-$(dirname "$LIB")}
T=$(mktemp -d "${TMPDIR:-/tmp}/cgc-test.XXXXXX")
chmod 755 "$T"
pass=0 fail=0 skipped=0

clean_up() {
  local p
  for p in $(jobs -p); do kill "$p" 2>/dev/null; done
  [[ -n ${KEEP:-} ]] || rm -rf "$T"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

ok() { pass=$((pass + 1)); printf 'ok    %s\n' "$*"; }
bad() { fail=$((fail + 1)); printf 'FAIL  %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'skip  %s\n' "$*"; }
finish() {
  ((skipped)) && echo "$pass passed, $fail failed, $skipped skipped" || echo "$pass passed, $fail failed"
  ((fail == 0))
  exit
}
[[ -f $LIB ]] || { echo "no library at $LIB: build first, or set LIB="; bad "the library is there"; finish; }

# The path of a test program: from the build folder, else compiled here.
program() {
  local name=$1 source=$root/tests/programs/$1.c out
  for out in "$PROGRAMS/tests/programs/$name" "$PROGRAMS/tests/zoo/$name" "$T/$name"; do
    [[ -x $out ]] && { echo "$out"; return; }
  done
  [[ $name == zoo_* ]] && source=$root/tests/zoo/${name#zoo_}.c
  case $name in
    lib*.so) name=${name#lib} source=$root/tests/programs/${name%.so}.c
      ${CC:-cc} -std=gnu11 -O2 -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden "$source" -o "$out" >&2 ;;
    *) ${CC:-cc} -std=gnu11 -O2 -D_GNU_SOURCE "$source" -o "$out" -pthread -lm >&2 ;;
  esac
  echo "$out"
}

# under SECONDS OPTIONS PROGRAM ARGS...: runs it with the library preloaded, bounded.
under() {
  local seconds=$1 options=$2
  shift 2
  timeout -k 3 "$seconds" env LD_PRELOAD="$LIB" CGC_OPTIONS="$options" "$@"
}
plain() { local seconds=$1; shift; timeout -k 3 "$seconds" "$@"; }

# stat NAME FILE...: the sum of one counter over the statistics that processes left (`name value` lines), 0 when none.
stat_sum() { local name=$1; shift; cat "$@" /dev/null 2>/dev/null | awk -v n="$name" '$1 == n { s += $2 } END { printf "%d\n", s }'; }
# Lines that name misuse, evidence or a violation, from logs; counters of zero don't count, nor does an audit that saw little.
complaints() {
  grep -hE 'misuse|evidence|violation|verify[:=]|internal error|double free|invalid free|not safe' "$@" 2>/dev/null | grep -vE '^[a-z_]+ 0$|not enough evidence'
}
# Is cgc what is being tested, and does it collect? Other allocators serve to check the scripts only.
is_cgc() { nm -D "$LIB" 2>/dev/null | grep -q ' T cgc_collect$'; }
# A port of this run: 17500..17999, by process number, so that parallel runs rarely meet; the caller retries on a clash.
port() { echo $((17500 + ($$ * 7 + ${1:-0}) % 500)); }
