#!/bin/bash
# Every system call of the library fails, and every failure of base/fault.h happens: the program's output and exit status
# stay what they are without cgc.
#
#   faults.sh [NAME...]     the names in fault.h's lists "calls" and "failures"; all of them by default
#
# Each name fails at its first, second, tenth and fortieth visit, at every one, and from the tenth on, in a small program of
# threads, signals, pipes and forks (tests/programs/every_call.c) and in python3, with a cycle at every 30th refill. Of this
# product a run takes each name's "at every one" in the small program, and a ninth of the rest, another one each day; ALL=1
# takes all. Only memory that is refused for ever may
# end a program, and then as glibc ends it: by its own answer to NULL, or with one line.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "no collector here"; finish; }
own=$(program every_call)
mkdir "$T/logs"

names=("$@")
((${#names[@]})) || mapfile -t names < <(sed -n '/calls: \*/,/mutants:/p' "$root/src/base/fault.h" | grep -oE 'X\([a-z0-9_]+\)' | sed 's/X(\(.*\))/\1/')
((${#names[@]} >= 1)) || bad "no name was found in fault.h"
windows=(@1 @2 @10 @40 @1.. @10..)

cat >"$T/small.py" <<'END'
import json, os, re, subprocess, threading
out = []
def work(n):
    rows = [{"id": i, "text": "x" * (i % 50), "list": list(range(i % 20))} for i in range(400)]
    again = json.loads(json.dumps(rows))
    out.append((n, again == rows, sum(len(re.findall("x", r["text"])) for r in again)))
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(out))
print(subprocess.run(["/bin/echo", "from a child"], capture_output=True).stdout)
pid = os.fork()
if pid == 0:
    os._exit(len([str(i) for i in range(5000)]) % 251)
print(os.waitpid(pid, 0)[1])
END
declare -A command=([every_call]="$own") expected=()
if command -v python3 >/dev/null; then command[python3]="python3 $T/small.py"; else skip "python3 is not installed"; fi
for p in "${!command[@]}"; do
  # shellcheck disable=SC2086 # a command and its arguments
  plain 60 ${command[$p]} >"$T/$p.plain" 2>/dev/null </dev/null
  expected[$p]=$?
done

# May memory that is refused for ever have ended it so?
out_of_memory() { # STATUS STDERR LOGS...
  local status=$1
  shift
  ((status != 139 && status != 135 && status != 124 && status != 137)) && grep -qsiE 'out of memory|no memory|no address space|MemoryError|cannot allocate|error while loading' "$@"
}

# Calls that are made only when something else went wrong, which these bring about.
declare -A besides=([fstat]=statx@1../ [tgkill]=lost_signal@1../ [nanosleep]=task_list@5../ [unlink]=rename@1../)
file=":mode=report:snapshot=$T/snapshot.cgc"
declare -A with=([rename]=$file [unlink]=$file [faccessat]=:mode=report:report_on=exec [readlink]=:mode=report [pwrite]=:mode=audit:audit=touch [memfd]=:mode=audit:audit=touch) wrapper=([kill]="prlimit --sigpending=0" [sigtimedwait]="prlimit --sigpending=0")
# Those of a program that can be asked; some happen only while somebody asks, and then in the program that lives longer, one where an exec
# finds the socket of the image before.
export XDG_RUNTIME_DIR=$T/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
${CC:-cc} -O1 -w "$here/control/ask.c" -o "$T/ask" || bad "the client compiles"
for name in mkdir chmod fcntl socket bind listen connect accept getsockopt poll recv sendmsg timer_create timer_settime; do with[$name]=:mode=report:listen=1:interval=1s; done
declare -A asked=([accept]=1 [getsockopt]=1 [poll]=1 [recv]=1 [sendmsg]=1) through=([connect]=env)
# Calls of rare places: under a filter that was there before, beside a process in our memory, beside a ring of io_uring.
${CC:-cc} -O1 -w -D_GNU_SOURCE "$here/interfere/filters.c" -o "$T/filters" -pthread || bad "the filter's program compiles"
with[munmap]=:mode=report # whose arrays are given back
for name in clone wait; do wrapper[$name]="$T/filters before allow"; done
declare -A instead=([kcmp]=zoo_raw_shared [process_vm_writev]=zoo_uring_unseen)
for name in "${instead[@]}"; do
  command[$name]=$(program "$name")
  LD_PRELOAD=$LIB CGC_OPTIONS=stress=30 timeout 60 "${command[$name]}" >/dev/null 2>&1 </dev/null
  expected[$name]=$?
  ((expected[$name] != 77)) || skip "$name: the kernel has no such place"
  : >"$T/$name.plain" # without a collector they have nothing to say
done
turn=$(($(date +%j | sed 's/^0*//') % 9)) number=0 runs=0
for name in "${names[@]}"; do
  wrong=() hits=0
  [[ -z ${asked[$name]:-} ]] || { mkdir -pm 700 "$XDG_RUNTIME_DIR/cgc"; "$T/ask" -hammer "$XDG_RUNTIME_DIR/cgc" "$T/asked" >"$T/hammer" 2>&1 & }
  for window in "${windows[@]}"; do
    for p in "${!command[@]}"; do
      if [[ -n ${instead[$name]:-} ]]; then [[ $p == "${instead[$name]}" ]] || continue; elif [[ $p == zoo_* ]]; then continue; fi
      number=$((number + 1))
      [[ -n ${ALL:-} || $# -gt 0 ]] || [[ $p$window == every_call@1.. || ($window == @1.. && $p == zoo_*) || ($window == @1.. && -n ${asked[$name]:-}) ]] || ((number % 9 == turn)) || continue
      runs=$((runs + 1))
      # shellcheck disable=SC2086
      ${wrapper[$name]:-} /usr/bin/timeout -k 3 60 env LD_PRELOAD="$LIB" CGC_OPTIONS="stress=30:stats=1:log_path=$T/logs/%p:fault=${besides[$name]:-}$name$window${with[$name]:-}" ${through[$name]:-} ${command[$p]} >"$T/out" 2>"$T/err" </dev/null
      status=$?
      if ((status != expected[$p])) || ! cmp -s "$T/out" "$T/$p.plain"; then
        if [[ $name == mmap && $window == *.. ]] && out_of_memory $status "$T/err" "$T"/logs/*; then :
        else wrong+=("$p$window: exit $status, $(cat "$T/err" "$T"/logs/* 2>/dev/null | grep -avE '^[a-z_0-9]+ |statistics of' | tail -n 1 | cut -c1-100)"); fi
      elif complaints "$T/err" "$T"/logs/* >"$T/complaints"; then wrong+=("$p$window: $(head -n 1 "$T/complaints")"); fi
      hits=$((hits + $(stat_sum faults "$T/err" "$T"/logs/*)))
      rm -f "$T"/logs/*
    done
  done
  [[ -z ${asked[$name]:-} ]] || { touch "$T/asked"; wait; rm "$T/asked"; }
  # the statistics cannot tell that they could not be written, nor what happened before an exec
  ((hits || ${#wrong[@]})) || [[ $name == write || $name == sigtimedwait || $name == faccessat ]] || wrong+=("it never happened")
  if ((${#wrong[@]})); then bad "$name: ${wrong[0]} (and $((${#wrong[@]} - 1)) more)"; else ok "$name"; fi
done
echo "$runs runs"
finish
