#!/bin/bash
# stress-ng --verify, stressor by stressor: the same verdict plain, in collect with a cycle at every 100th refill, and with
# all threads stopped once a millisecond (libcgc-tick.so of shim.sh: most stressors allocate too little for many cycles).
#
#   stress_ng.sh [STRESSOR...]     SECONDS_EACH=1, OPTIONS=mode=collect:stress=100
#
# stress-ng checks what the system calls and the memory under test gave it. A verdict is its exit status and whether it said
# fail; one that plain stress-ng can't run here (no kernel support, no right) is skipped. Signals, forks and stacks are what
# these programs are about: each stressor is a program that a stop may disturb.
set -u
. "$(dirname "$0")/../integration/lib.sh"
each=${SECONDS_EACH:-1} options=${OPTIONS:-mode=collect:stress=100}
command -v stress-ng >/dev/null || { skip "stress-ng is not installed"; finish; }
all="malloc bigheap brk stackmmap mremap mmapfork mmap stack bad-altstack pthread fork vfork vforkmany clone daemon exec spawn context switch
  signal sigsuspend sigq sigfd sigpending sigrt sigabrt sigchld sigio sigfpe sigsegv sigtrap timer timerfd itimer epoll poll aio futex sem sem-sysv msg mq pipe
  eventfd sock sockpair sockfd tee splice nanosleep wait zombie mutex tsearch hsearch qsort tree memfd shm shm-sysv fp-error"

# verdict FILE COMMAND...: what is compared. Counts and times are not.
verdict() {
  local file=$1 status
  shift
  (cd "$T/tmp" && timeout -k 5 $((each * 10 + 60)) "$@" >"$file" 2>&1)
  status=$?
  grep -qE 'stress-ng: fail:' "$file" && echo "exit $status, says fail" || echo "exit $status"
}

# preloaded NAME HOW VARIABLES...: compares with the plain verdict in $before.
preloaded() {
  local name=$1 how=$2 after
  shift 2
  after=$(verdict "$T/preloaded" "${user[@]}" env "$@" "${stress[@]}")
  if [[ $after != "$before" ]]; then bad "$name: plain $before, $how $after: $(grep -E 'fail|cgc|error' "$T/preloaded" | tail -n 1 | cut -c1-160)"
  elif complaints "$T"/logs/* >"$T/complaints"; then bad "$name: $how: $(head -n 1 "$T/complaints")"
  else ok "$name: $how $after, $(stat_sum cycles "$T"/logs/*) cycles, $(stat_sum aborted "$T"/logs/*) aborted"; fi
  find "$T/logs" -type f -delete
}

tick=$PROGRAMS/tests/integration/libcgc-tick.so
[[ -f $tick ]] || { skip "no libcgc-tick.so: only cycles of collect disturb"; tick=""; }
mkdir -p "$T/logs" "$T/tmp"
chmod 777 "$T/logs" "$T/tmp"
for name in ${*:-$all}; do
  stress=(stress-ng "--$name" 2 --timeout "${each}s" --verify --temp-path "$T/tmp" --log-brief --no-rand-seed) user=()
  case $name in
    bigheap | brk | stack | stackmmap) stress+=("--$name-ops" 20000 --oomable) ;;
    mmapfork) stress=(stress-ng --mmapfork 1 --mmapfork-ops 1 --timeout "${each}s" --verify --log-brief) ;; # maps a good part of memory
    pthread) stress+=(--pthread-max 64) ;;
    vforkmany) stress+=(--vforkmany-ops 40) ;;
    exec | spawn) user=(setpriv --reuid=nobody --clear-groups) ;; # they refuse to run as root
  esac
  before=$(verdict "$T/plain" "${user[@]}" "${stress[@]}")
  if [[ $before != "exit 0" ]] || grep -qiE 'skipp|not supported|unrecognized|invalid option|No stress workers' "$T/plain"; then
    skip "$name: plain stress-ng says $before: $(grep -v '^$' "$T/plain" | tail -n 1 | cut -c1-120)"
    continue
  fi
  preloaded "$name" collect LD_PRELOAD="$LIB" CGC_OPTIONS="$options:stats=1:log_path=$T/logs/%p"
  [[ -z $tick ]] || preloaded "$name" "stopped every ms" LD_PRELOAD="$tick"
done
finish
