#!/bin/bash
# Call stacks of six real programs and of one that throws, jumps and realigns: libcgc's unwinder against libgcc's, frame by frame, and each
# capture that knows its rest from the one before against a walk of all frames.
#
#   stacks.sh [NAME...]   some of: python git sqlite redis cc1plus bash cpp bounds mutants room
#   EVERY=31              each Nth stack is compared with libgcc's
#
# A library of its own (tests/integration/stacks/checker.c) stands for malloc: what is compared is the unwinder, and the program's
# allocations are libc's.
set -u
. "$(dirname "$0")/lib.sh"
checker=$PROGRAMS/tests/integration/libcgc-stacks.so
[[ -f $checker ]] || { bad "no $checker: build it"; finish; }
EVERY=${EVERY:-31}
names=("$@")
wanted() { local n; ((${#names[@]})) || return 0; for n in "${names[@]}"; do [[ $n == "$1" ]] && return 0; done; return 1; }

# counters FILE: name=value of the sums over its lines.
counters() { awk '{ for (i = 1; i < NF; i += 2) s[$i] += $(i + 1) } END { for (k in s) printf "%s=%d ", k, s[k] }' "$1"; }

# stacked NAME COMMAND...: runs it under the checker; its counters go to $T/NAME.log.
stacked() {
  local name=$1
  shift
  timeout -k 3 300 env LD_PRELOAD="$checker" CHECK_LOG="$T/$name.log" CHECK_EVERY="$EVERY" PYTHONMALLOC=malloc "$@" >"$T/$name.out" 2>"$T/$name.err"
}

total_compared=0 total_equal=0
# judge NAME LEAST: no difference between the two ways, and 99.9 % equal to libgcc's, of LEAST at least.
judge() {
  local name=$1 least=$2 compared=0 equal=0 suffix_differs=1 captures=0 frames=0 walked=0 hits=0 frame_pointer=0 cut=0 calls=0
  [[ -s $T/$name.log ]] && eval "$(counters "$T/$name.log")"
  total_compared=$((total_compared + compared)) total_equal=$((total_equal + equal))
  local says="$equal of $compared equal, $captures captures of $((frames / (captures ? captures : 1))) frames, $((100 * hits / (captures ? captures : 1))) % end at a known suffix, $((100 * walked / (captures ? captures : 1)))/100 frames walked, $frame_pointer by frame pointer, $cut cut"
  if ((compared >= least && suffix_differs == 0 && equal * 1000 >= compared * 999)); then
    ok "$name: $says"
  else
    cat "$T/$name.log.differs" 2>/dev/null | head -n 40
    tail -n 3 "$T/$name.err"
    bad "$name: $says; $suffix_differs differ from the plain walk (at least $least wanted)"
  fi
}
have() { command -v "$1" >/dev/null || { skip "$1 is not installed"; return 1; }; }

[[ -x /usr/bin/python3 ]] && wanted python && {
  stacked python /usr/bin/python3 -c 'import json, re
print(len(json.dumps([{"k%d" % i: [i, str(i)]} for i in range(300)])), len(re.findall("a+b", "aab" * 100)))'
  judge python 1000
}
wanted git && have git && {
  ( cd "$T" && git init -q r && cd r && for i in 1 2 3 4 5 6; do seq 1 $((i * 150)) >f$i; git add .; git -c user.name=a -c user.email=b@c -c gc.auto=0 commit -qm "$i"; done )
  EVERY=2 stacked git git -C "$T/r" log -p --stat
  EVERY=2 stacked git git -C "$T/r" blame f6
  judge git 300
}
wanted sqlite && have sqlite3 && {
  EVERY=3 stacked sqlite sqlite3 :memory: "create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 2000)
    insert into t select x, 'abc' || x from c; create index i on t(b); select count(*), max(b) from t where b like 'a%'; select group_concat(b) from (select b from t order by b desc);"
  judge sqlite 1000
}
wanted bash && {
  stacked bash bash -c 'for i in {1..600}; do a[i]=$i; b="$b$i"; done; f() { local x=$1; ((x)) && f $((x - 1)); }; f 30; for i in 1 2 3; do (echo $i; : $(f 3)); done; echo ${#b}'
  judge bash 1000
}
cc1plus=$(${CXX:-c++} -print-prog-name=cc1plus 2>/dev/null)
wanted cc1plus && have "${cc1plus:-cc1plus}" && {
  printf '%s\n' '#include <map>' '#include <string>' 'int f() { std::map<std::string, int> m; m["a"] = 1; return m.size(); }' >"$T/t.cc"
  ${CXX:-c++} -std=c++17 -E "$T/t.cc" -o "$T/t.ii" && EVERY=53 stacked cc1plus "$cc1plus" -quiet -fpreprocessed -O1 "$T/t.ii" -o "$T/t.s"
  judge cc1plus 2000
}
wanted redis && have redis-server && have redis-cli && {
  for try in 1 2 3; do
    p=$(port $try)
    EVERY=5 stacked redis redis-server --port "$p" --bind 127.0.0.1 --save '' --appendonly no --daemonize no --dir "$T" &
    server=$!
    for _ in {1..100}; do redis-cli -p "$p" ping >/dev/null 2>&1 && break 2; kill -0 $server 2>/dev/null || break; sleep 0.1; done
  done
  { for i in {1..1500}; do echo "set key:$i value-$i"; echo "rpush list $i"; echo "hset h$((i % 50)) f$i $i"; echo "zadd z $i m$i"; done; echo "eval \"return redis.call('llen', 'list')\" 0"
    echo "shutdown nosave"; } | redis-cli -p "$p" >/dev/null 2>&1
  wait $server
  judge redis 1000
}

# -- what compilers do that these programs rarely do --
build_cpp() {
  command -v "${CXX:-c++}" >/dev/null || { skip "no C++ compiler"; return 1; }
  ${CC:-cc} -O2 -fPIC -shared -DROOM=400 "$here/stacks/opened.c" -o "$T/libstacks_a.so" && ${CC:-cc} -O2 -fPIC -shared -DROOM=4000 "$here/stacks/opened.c" -o "$T/libstacks_b.so" &&
    ${CXX:-c++} -O2 -fomit-frame-pointer -std=c++17 "$root/tests/programs/stacks.cc" -o "$T/cpp" -pthread -ldl
}
if wanted cpp || wanted bounds || wanted mutants; then
  build_cpp && {
    wanted cpp && { EVERY=1 stacked cpp "$T/cpp" "$T" && grep -q done "$T/cpp.out" && judge cpp 1500 || bad "cpp: the program ends as it should"; }
    # Nobody knows where a stack ends: page by page.
    wanted bounds && { EVERY=1 CHECK_BOUNDS=0 stacked bounds "$T/cpp" "$T"; judge bounds 1500; }
    # The checks themselves can fail.
    for m in no_suffix_check no_generation; do
      wanted mutants || continue
      CHECK_FAULT=$m EVERY=1 stacked "$m" "$T/cpp" "$T"
      suffix_differs=0 compared=0 equal=0
      eval "$(counters "$T/$m.log" 2>/dev/null)"
      ((suffix_differs > 0 || equal < compared)) && ok "mutant $m: $suffix_differs differ from the plain walk, $((compared - equal)) from libgcc's" || bad "mutant $m is not seen"
    done
  }
fi
# Coroutines have small stacks: what README says of them. Without lazy binding, which takes more than all of this.
wanted room && ${CC:-cc} -O1 -Wl,-z,now "$here/stacks/room.c" -o "$T/room" && {
  bare=$(under 20 mode=off "$T/room") recording=$(under 20 mode=report:log_path=/dev/null "$T/room")
  ((bare > 0 && recording > bare && recording - bare <= 1792)) && ok "a malloc that records its stack takes $((recording - bare)) bytes more of it" || bad "stack: $bare bytes, $recording when recording"
}
((${#names[@]})) || { ((total_compared >= 10000)) && ok "$total_equal of $total_compared stacks equal libgcc's" || bad "only $total_compared stacks compared"; }
finish
