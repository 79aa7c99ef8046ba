#!/bin/bash
# Reports of real programs in which leaks were planted: is each of them found, and nothing else called lost?
#
# Each program runs four times: plain, with the planter that plants nothing (its own leaks: the baseline), with planted leaks, and so that all
# formats of `cgc leaks` can be compared on what came out. Output, standard error and exit status must be the plain run's each time.
# tests/integration/planted.py says what counts as found. Needed: 99 % of all, and in each program 99 % less what chance may take, which it tells: a
# structure is missed whole. Of lists and trees 1 % may look like cycles. No false definite or indirect block. What is missed is held by
# stale words of the program's own, nearly all of them older than the planted block: a static variable or a live block still names memory that was
# freed, the planter got that memory, and all that the block leads to is held with it (LeakSanitizer misses as much of cc1plus).
#
#   report_planted.sh [PROGRAM...]     ALL=1: ten times as much work; PLANT_SEED=N: other structures at other times
set -u
. "$(dirname "$0")/lib.sh"
plant=$(program libplant.so)
cgc=$PROGRAMS/cgc
much=${ALL:+10}
much=${much:-1}
export much PYTHONMALLOC=malloc PYTHONHASHSEED=1 LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
unset CGC_OPTIONS LD_PRELOAD LSAN_OPTIONS XDG_RUNTIME_DIR
planted=0 found=0

# -- programs: each in a fresh folder, "$@" goes before the program --

python3() { # threads, a child of fork that ends by _exit, one that execs
  "$@" /usr/bin/python3 -c '
import json, os, queue, re, subprocess, sys, threading
n = int(sys.argv[1])
rows = [{"id": i, "name": "n%d" % (i * 7919 % 10007), "tags": ["t%d" % (i % k) for k in range(2, 9)]} for i in range(500 * n)]
print(len(json.dumps(json.loads(json.dumps(rows)))))
jobs, done = queue.Queue(), queue.Queue()
def work():
    while (k := jobs.get()) is not None:
        done.put(len(re.findall("a.b", "".join(chr(97 + (i * k) % 26) for i in range(300)))))
threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]; [jobs.put(k) for k in range(60 * n)]; [jobs.put(None) for _ in threads]; [t.join() for t in threads]
print(sum(done.get() for _ in range(60 * n))); sys.stdout.flush()
pid = os.fork()
if not pid:
    print(len(json.dumps(rows[:200]))); sys.stdout.flush(); os._exit(4)
print(os.waitpid(pid, 0)[1] >> 8, subprocess.run([sys.executable, "-c", "print(sorted(dir(str))[:3])"], capture_output=True).stdout)
sys.exit(3)' "$much"
}
git() {
  "$@" git init -q -b main r && cd r || return
  mkdir d{0..9}
  for ((i = 0; i < 100 * much; i++)); do printf '%s\n' "$i" $((i * i)) "line $((i % 7))" >"d$((i % 10))/f$i"; done
  "$@" git add . && "$@" git commit -qm one
  for ((i = 0; i < 100 * much; i += 5)); do echo changed >>"d$((i % 10))/f$i"; done
  "$@" git commit -qam two
  "$@" git -c gc.autoDetach=false -c pack.threads=2 gc -q --prune=now
  "$@" git log --stat -M -p; "$@" git blame d1/f1; "$@" git status --short; "$@" git log --no-such-option
}
sqlite3() {
  "$@" sqlite3 t.db "create table t(a integer primary key, b text, c blob);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 1500 * $much) insert into t select i, i * 31 % 977, zeroblob(i % 90) from n;
    create index x on t(b, a); select count(*), sum(length(c)) from t where b like '%7%'; select b, count(*) from t group by b order by 2 desc, 1 limit 5;
    select count(*) from t p join t q on p.b = q.b where p.a < 200; pragma integrity_check; select json_group_array(b) from (select b from t limit 300); select nothing;"
}
redis() {
  local at pid i
  at=$(port 300)
  "$@" redis-server --port "$at" --bind 127.0.0.1 --dir "$PWD" --save '' --appendonly yes --daemonize no --io-threads 2 >log 2>&1 &
  pid=$!
  for ((i = 0; i < 300; i++)); do [[ $(redis-cli -p "$at" ping 2>&1) == PONG ]] && break; sleep 0.05; done
  for ((i = 0; i < 400 * much; i++)); do echo "SET k$i v$i"; echo "ZADD z $((i % 100)) m$i"; echo "LPUSH l $i"; echo "HSET h f$i $i"; done | redis-cli -p "$at" | md5sum
  redis-cli -p "$at" eval 'local t = {} for i = 1, 300 do t[i] = redis.call("get", "k" .. i) end return #table.concat(t)' 0
  redis-cli -p "$at" bgrewriteaof
  for ((i = 0; i < 200; i++)); do redis-cli -p "$at" info persistence | grep -q 'aof_rewrite_in_progress:0' && break; sleep 0.05; done
  redis-cli -p "$at" debug reload 2>&1 | cut -c1-3
  redis-cli -p "$at" zcard z
  redis-cli -p "$at" shutdown nosave
  wait "$pid"
}
cc1plus() {
  cat >a.cc <<'C'
#include <string>
template <int N> struct f { static constexpr long value = f<N - 1>::value + N; };
template <> struct f<0> { static constexpr long value = 0; };
std::string g(int n) { std::string s; for (int i = 0; i < n; i++) s += std::to_string(f<90>::value + i); return s; }
C
  # A template is mangled by the address of nothing: the same text each time.
  "$@" "$(g++ -print-prog-name=cc1plus)" -quiet -std=c++17 -O1 -imultiarch "$(g++ -print-multiarch)" -D_GNU_SOURCE a.cc -o a.s; echo "status $?"
  md5sum <a.s
  echo 'int x = y;' >b.cc
  "$@" "$(g++ -print-prog-name=cc1plus)" -quiet b.cc -o b.s
}
bash_() {
  "$@" bash -c '
leaf() { local s=0 i; for ((i = 0; i < 60; i++)); do ((s += i * $1)); done; echo "$1 $s"; }
declare -A a; for ((i = 0; i < 300 * $0; i++)); do a[k$i]=$i; done; echo "${#a[@]}"
for ((i = 0; i < 12; i++)); do leaf "$i" & done | sort -n; wait
for ((i = 0; i < 20; i++)); do x=$(printf "%s" "$i" | tr 0-9 a-j); done; echo "$x"
trap "echo bye" EXIT; exit 7' "$much"
}

# -- runs --

# run NAME KIND: output, standard error and status of it, in folders of this kind; maps and snapshots, too.
run() {
  local name=$1 kind=$2 rate=${RATE:-25}
  local at=$T/$1.$2
  mkdir -p "$at/maps" "$at/snap" "$T/w"
  [[ $kind == baseline ]] && rate=0
  local before=(env)
  [[ $kind != plain ]] && before+=("LD_PRELOAD=$plant:$LIB" "CGC_OPTIONS=mode=report:snapshot_dir=$at/snap" "PLANT_MAP=$at/maps/map" "PLANT_RATE=$rate")
  # What runs inside gets a shell of its own: functions change folders and start servers.
  (cd "$T/w" && "${name/#bash/bash_}" timeout -k 3 120 "${before[@]}") >"$at/out" 2>"$at/err" </dev/null
  echo "$?" >"$at/status"
  rm -rf "$T/w"
}

judge() {
  local name=$1 at=$T/$1.plant said kind f
  for kind in baseline plant; do
    for f in out err status; do
      cmp -s "$T/$name.plain/$f" "$T/$name.$kind/$f" || { bad "$name: $f differs ($kind): $(diff "$T/$name.plain/$f" "$T/$name.$kind/$f" | sed -n 2,4p | tr '\n' '|' | cut -c1-200)"; return; }
    done
  done
  said=$(command python3 "$here/planted.py" "$at/maps" "$at/snap" "$T/$name.baseline/snap" 2>&1)
  local -A n=()
  eval "n=($(sed -nE '1s/([a-z]+) ([0-9]+)/[\1]=\2/gp' <<<"$said"))"
  planted=$((planted + ${n[planted]:-0})) found=$((found + ${n[found]:-0}))
  local missed=$((${n[planted]:-0} - ${n[found]:-0}))
  if ((${n[planted]:-0} > 100 && (missed - ${n[chance]:-0}) * 100 <= n[planted] && n[turned] * 100 <= n[structures] && n[wrong] == 0 && n[false] == 0 && n[silent] == 0)); then ok "$name: $(head -n 1 <<<"$said")"
  else bad "$name: $(head -n 30 <<<"$said")"; fi
  [[ -z ${VERBOSE:-} ]] || sed -n '2,$p' <<<"$said"
  said=$(command python3 "$here/leak_formats.py" "$cgc" "$root/tools/cgc-leaks.schema.json" "$here/lsan_grammar.py" "$at"/snap/*.cgc 2>&1) &&
    ok "$name: text, JSON and LeakSanitizer's form agree: $said" || bad "$name: formats: $said"
}

[[ $# -gt 0 ]] || set -- python3 git sqlite3 redis cc1plus bash
for name; do
  for kind in plain baseline plant; do run "$name" "$kind"; done
  judge "$name"
done
(($# == 1)) || {
  ((found * 100 >= planted * 99)) && ok "$found of $planted planted blocks are found" || bad "only $found of $planted planted blocks are found"
}
finish
