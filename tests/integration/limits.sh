#!/bin/bash
# Under limits, without /proc, and with system calls that fail: the program runs on correctly, and the collector works or says
# in one clear line of its statistics why it does not.
#
# Each check runs leak_fast, which verifies its live data, and prints what happened: `works` (blocks were recycled), or
# `degrades: why`. It fails when the program fails, or when the statistics give no reason.
set -u
. "$(dirname "$0")/lib.sh"
p=$(program leak_fast)
cp "$LIB" "$T/lib.so"
[[ $p -ef $T/leak_fast ]] || cp "$p" "$T/leak_fast" # where every user can read them
chmod 755 "$T/lib.so" "$T/leak_fast"
mkdir "$T/logs"
chmod 777 "$T/logs"
mib=192

restore() {
  if [[ -n ${overcommit:-} ]]; then
    echo "$overcommit" >/proc/sys/vm/overcommit_memory
    echo "$ratio" >/proc/sys/vm/overcommit_ratio
  fi
  clean_up
}
trap restore EXIT

leak=("$T/leak_fast" 2)
# judge NAME STATUS
judge() {
  local name=$1 status=$2 logs=("$T/logs/$1".*) why
  if ((status != 0)) || ! grep -q 'live ok' "$T/$name.out"; then
    bad "$name: exit $status: $(cat "$T/$name.err" "${logs[@]}" 2>/dev/null | grep -vE '^[a-z_0-9]+ ' | tail -n 1 | cut -c1-150)"
    return
  fi
  if ! is_cgc; then ok "$name: the program is right; no collector here"; return; fi
  if (($(stat_sum evidence "${logs[@]}") + $(stat_sum misuse "${logs[@]}") > 0)); then
    bad "$name: evidence or misuse of a correct program"
    return
  fi
  why=$(cat "${logs[@]}" "$T/$name.err" 2>/dev/null | grep -E '^(degraded |aborted_)' | head -n 1)
  if (($(stat_sum recycled_blocks "${logs[@]}") > 0)); then ok "$name: works${why:+ ($why)}"
  elif [[ -n $why ]]; then ok "$name: degrades: $why"
  elif grep -qE '^cgc: .' "$T/$name.err"; then ok "$name: degrades: $(grep -m1 '^cgc: ' "$T/$name.err" | cut -c1-120)"
  else bad "$name: nothing was recycled, and no line says why: $(cat "${logs[@]}" 2>/dev/null | tr '\n' ' ' | cut -c1-120)"; fi
}

# limited NAME OPTIONS WRAPPER...: the wrapper gets the command as its last arguments.
limited() {
  local name=$1 options=mode=collect:stats=1:log_path=$T/logs/$1.%p${2:+:$2}
  shift 2
  timeout -k 3 60 "$@" env LD_PRELOAD="$T/lib.so" CGC_OPTIONS="$options" "${leak[@]}" "$mib" >"$T/$name.out" 2>"$T/$name.err"
  judge "$name" $?
}
works() { "$@" >/dev/null 2>&1; }

limited unlimited "" env
limited ulimit_v_512m "" prlimit --as=536870912
limited ulimit_v_256m "" prlimit --as=268435456
limited data_segment_256m "" prlimit --data=268435456
limited stack_256k "" prlimit --stack=262144
limited locked_memory_0 "" prlimit --memlock=0
limited sigpending_0 "" prlimit --sigpending=0

if works setpriv --reuid=65534 --clear-groups true; then
  leak=("$T/leak_fast" 1) # no thread can be made
  limited nproc_1 "" setpriv --reuid=65534 --regid=65534 --clear-groups prlimit --nproc=1
  leak=("$T/leak_fast" 2)
  limited other_user_sigpending_0 "" setpriv --reuid=65534 --regid=65534 --clear-groups prlimit --sigpending=0
else
  skip "nproc_1: needs the right to change the user"
fi

# The loader needs descriptors, so the limit comes while the program runs.
nofile_0() {
  env LD_PRELOAD="$T/lib.so" CGC_OPTIONS="mode=collect:stats=1:log_path=$T/logs/nofile_0.%p" timeout -k 3 60 "$T/leak_fast" 1 1536 >"$T/nofile_0.out" 2>"$T/nofile_0.err" &
  local job=$! pid status
  sleep 0.15
  pid=$(pgrep -P $job leak_fast) && prlimit --pid "$pid" --nofile=0:0 2>/dev/null
  wait $job
  status=$?
  [[ -n $pid ]] && judge nofile_0 $status || skip "nofile_0: the program was faster than the limit"
}
nofile_0

if works unshare -m true; then
  limited no_proc "" unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' -
else
  skip "no_proc: unshare -m is not allowed"
fi
if works unshare -fp true; then
  limited foreign_proc "" unshare -fp
  limited own_pid_namespace "" unshare -fp --mount-proc
else
  skip "foreign_proc: unshare -fp is not allowed"
fi

# Strict overcommit counts the whole machine: 6 GiB above what is in use now, restored at once.
overcommit_2() {
  local memory=/proc/sys/vm/overcommit_memory total used
  [[ -w $memory ]] || { skip "overcommit_2: $memory can't be written"; return; }
  overcommit=$(<$memory) ratio=$(</proc/sys/vm/overcommit_ratio)
  total=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo) used=$(awk '/^Committed_AS/ { print $2 }' /proc/meminfo)
  echo $(((used + 6291456) * 100 / total + 1)) >/proc/sys/vm/overcommit_ratio
  if echo 2 >$memory 2>/dev/null; then limited overcommit_2 "" env; else skip "overcommit_2: refused"; fi
  echo "$overcommit" >$memory
  echo "$ratio" >/proc/sys/vm/overcommit_ratio
  overcommit=""
}
overcommit_2

# Requests that fail at the limit: cheap, and not before what is lost was looked for.
at_limit() {
  local p out want="failing: ok" mode=$1 lost=
  p=$(program at_limit)
  [[ $mode == collect* ]] && lost=lost want+=" lost: ok"
  want+=" reuse: ok malloc_info: 22"
  out=$(timeout 100 env LD_PRELOAD="$LIB" CGC_OPTIONS="mode=$mode" "$p" $lost 2>/dev/null | xargs)
  [[ $out == "$want" ]] && ok "at_limit $mode: $out" || bad "at_limit $mode: $out"
}
if is_cgc; then
  at_limit off
  at_limit collect
  at_limit collect:grace=0
  at_limit report
fi

# Memory freed as blocks of one size serves every other, at several limits.
reuse() {
  local fill want mib failed="" count=0
  for mib in 80 150; do
    for fill in 24 3000 20000 3000000; do
      for want in 100 60000 20000000; do
        count=$((count + 1))
        timeout 60 env LD_PRELOAD="$LIB" CGC_OPTIONS="mode=$1" "$(program reuse)" $mib $fill $want 2>/dev/null || failed+=" $mib/$fill/$want"
      done
    done
  done
  [[ -z $failed ]] && ok "reuse $1: $count of $count" || bad "reuse $1: no memory at MiB/filled/wanted$failed"
}
if is_cgc; then
  reuse off
  reuse collect
fi

# What idle threads hold: without a way to take it back 60 of them would keep three times the limit.
idle_threads() {
  local out
  out=$(timeout 100 env LD_PRELOAD="$LIB" CGC_OPTIONS="mode=$1:heap_limit=56m" "$(program idle_threads)" 60 2>/dev/null)
  [[ $out == "none failed" ]] && ok "idle_threads $1: $out" || bad "idle_threads $1: $out"
}
if ! is_cgc; then
  :
elif grep -q '^Seccomp:[[:space:]]0' /proc/self/status; then
  for mode in off collect report audit; do idle_threads "$mode"; done
else
  echo "  idle_threads is left out: a filter of system calls is in force, and behind one nothing is taken from idle threads"
fi

# Each call of the system that may fail, failing once and from some time on.
if is_cgc; then
  mib=48
  for point in mmap munmap mremap madvise ack late_ack signal task_list maps pagemap futex; do
    limited "fault_${point}_once" "stress=50:fault=$point@3" env
    # memory that is refused for ever ends the program by right: only its clean end is asked there
    [[ $point == mmap ]] || limited "fault_${point}_always" "stress=50:fault=$point@3.." env
  done
fi
finish
