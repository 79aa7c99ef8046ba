#!/bin/bash
# What finding leaks costs: CPU time and memory of real programs under cgc's report mode and its peers, as ratios to plain glibc.
#
#   report.sh [--rounds=N] [--small] [CASE...]     of redis sqlite3 git script shell python perl cc1plus; TOOLS="cgc sample heaptrack lsan lsan-slow memcheck off"
#
# All tools take turns within a round; of N rounds (5) the least CPU time and the median of the memory are taken. memcheck runs once. Full
# stacks: cgc records every block, lsan-slow is LeakSanitizer with fast_unwind_on_malloc=0, lsan its default (frame pointers),
# heaptrack records every call. A tool that fails prints its status instead.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
rounds=5 small="" cases=() tools=${TOOLS:-off cgc sample heaptrack lsan lsan-slow memcheck}
for a in "$@"; do
  case $a in
    --rounds=*) rounds=${a#*=} ;;
    --small) small=1 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "report.sh: option $a is unknown: --help lists them" >&2; exit 2 ;;
    redis | sqlite3 | git | script | shell | python | perl | cc1plus) cases+=("$a") ;;
    *) echo "report.sh: there is no case $a: --help lists them" >&2; exit 2 ;;
  esac
done
((${#cases[@]})) || cases=(redis sqlite3 git script shell python perl cc1plus)
lib=$(realpath "${LIB:-$here/build/libcgc.so}") || exit 2
T=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$T"' EXIT
cd "$T" || exit 1
lsan=$(ls /usr/lib/*/liblsan.so.0 2>/dev/null | head -n 1)

# Measures a program: "CPU-seconds MiB status" of a command, of it and all that it waited for. With a second part behind "--", that runs beside it
# and ends it (a server's load). In C, as a process begins with the maximum of the one that it was forked from: below a Python of 10 MiB
# every smaller program had that many.
cat >measure.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
static pid_t start(char **words, const char *out, const char *err)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
	dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
	execvp(words[0], words);
	_exit(127);
}
int main(int argc, char **argv)
{
	char **load = NULL;
	struct rusage u;
	int status;
	for (int i = 1; i < argc && !load; i++)
		if (!strcmp(argv[i], "--")) {
			argv[i] = NULL;
			load = argv + i + 1;
		}
	pid_t pid = start(argv + 1, "out", "err");
	if (load)
		waitpid(start(load, "/dev/null", "/dev/null"), NULL, 0);
	wait4(pid, &status, 0, &u);
	printf("%.3f %.1f %d\n", (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6,
	       (double)u.ru_maxrss / 1024, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	return 0;
}
C
cc -O2 -o measure measure.c || exit 1

n=$([[ $small ]] && echo 1 || echo 3)
port=$((19700 + $$ % 90))
cat >load.sh <<L
for i in \$(seq 200); do redis-cli -p $port ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
redis-benchmark -p $port -q -n $((n * 30000)) -r 20000 -c 8 -d 200 -t set,get,lpush,hset,zadd
redis-cli -p $port shutdown nosave
L
cat >perl.pl <<'L'
for $r (1..shift) { my %h; for $i (1..120000) { $h{"k$i"} = [$i, "v" x ($i % 20)] } $s += length($h{$_}[1]) for keys %h; } print "$s\n";
L
cat >py.py <<'L'
import json, sys
for r in range(int(sys.argv[1])):
    d = {str(k): [k] * (k % 9) for k in range(60000)}
    s = json.dumps(d, sort_keys=True); e = json.loads(s)
print(len(s), len(e))
L
cat >cpp.cc <<'L'
#include <map>
#include <regex>
#include <string>
#include <vector>
#include <iostream>
int main(int c, char **v) { std::map<std::string, std::vector<int>> m; std::regex r("a(b|c)*d"); m[v[0]].push_back(c); std::cout << std::regex_match(v[0], r) << m.size(); }
L
cat >sql.sql <<L
create table t(a integer primary key,b text,c real);
with recursive n(i) as (select 1 union all select i+1 from n where i<$((n * 80000))) insert into t select i,hex(i*7919),i*0.5 from n;
create index x on t(b); select count(*),sum(c),max(b) from t where b like '%7%'; select group_concat(b) from (select b from t order by b limit 5);
L
# A script that works, by pipelines over text and a few loops; and one that does nothing but fork.
cat >script.sh <<'L'
total() { local s=0 n; while read -r n _; do ((s += n)); done; echo "$s"; }
seq 1 $(($1 * 70000)) | awk '{ print ($1 * 7919) % 10007, "user" $1 % 97, "/path/" $1 % 31 }' >data
sort -n data | uniq -c | sort -rn | head -3
grep -c user13 data; sed 's/path/dir/; s/user/u/' data | cut -d' ' -f2 | sort | uniq -c | total
for i in $(seq 1 20); do grep -c "user$i " data; done | total
declare -A seen; while read -r n u p; do seen[$u]=$((${seen[$u]:-0} + n)); done < <(head -n $(($1 * 7000)) data); for u in "${!seen[@]}"; do echo "$u ${seen[$u]}"; done | sort | md5sum
L
cat >shell.sh <<'L'
f() { local i a=(); for ((i = 0; i < 3000; i++)); do a+=("$i$1"); done; echo "${#a[@]} ${a[-1]}"; }
for j in 1 2 3; do f $j; for i in $(seq 1 150); do x=$(echo "$i" | tr 0-9 a-j); done; echo "$x"; done
L
git init -q repo && cd repo && for i in $(seq 1 400); do seq "$i" $((i + 300)) >"f$i"; done && git add . && git -c user.name=a -c user.email=a@b commit -qm one &&
  for j in $(seq $((n * n))); do for i in $(seq "$j" 2 400); do seq "$i" $((i + 400 + j)) >"f$i"; done && git -c user.name=a -c user.email=a@b commit -qam "$j"; done && cd .. || exit 1
cc1plus=$(g++ -print-prog-name=cc1plus) && g++ -E cpp.cc -o cpp.ii || exit 1

run() { # CASE TOOL
  local words
  case $1 in
    redis) words=(redis-server --port "$port" --bind 127.0.0.1 --dir "$T" --save "" --daemonize no) ;;
    sqlite3) words=(sqlite3 :memory: ".read sql.sql") ;;
    git) words=(git -C repo log --stat -p -M) ;;
    script) words=(bash script.sh "$n") ;;
    shell) words=(bash shell.sh) ;;
    python) words=(env PYTHONMALLOC=malloc /usr/bin/python3 py.py "$n") ;;
    perl) words=(perl perl.pl "$n") ;;
    cc1plus) words=("$cc1plus" -quiet -O1 -fpreprocessed cpp.ii -o cpp.s) ;;
  esac
  local load=()
  [[ $1 == redis ]] && load=(-- bash load.sh)
  case $2 in
    plain) ;;
    off) words=(env LD_PRELOAD="$lib" CGC_OPTIONS=mode=off "${words[@]}") ;;
    cgc) words=(env LD_PRELOAD="$lib" CGC_OPTIONS="mode=report:log_path=$T/log${REPORT_OPTIONS:+:$REPORT_OPTIONS}" "${words[@]}") ;;
    sample) words=(env LD_PRELOAD="$lib" CGC_OPTIONS="mode=report:sample=512k:log_path=$T/log" "${words[@]}") ;;
    heaptrack) words=(heaptrack -o "$T/ht" "${words[@]}") ;;
    lsan) words=(env LD_PRELOAD="$lsan" LSAN_OPTIONS="log_path=$T/log:exitcode=0" "${words[@]}") ;;
    lsan-slow) words=(env LD_PRELOAD="$lsan" LSAN_OPTIONS="fast_unwind_on_malloc=0:log_path=$T/log:exitcode=0" "${words[@]}") ;;
    memcheck) words=(valgrind --leak-check=full --trace-children=yes --num-callers=30 --log-file="$T/log.%p" "${words[@]}") ;;
  esac
  timeout -k 5 600 ./measure "${words[@]}" "${load[@]}"
  rm -f "$T"/log* "$T"/ht*
}
for ((r = 0; r < rounds; r++)); do
  for c in "${cases[@]}"; do
    for t in plain $tools; do
      ((r > 0)) && [[ $t == memcheck || ($t == lsan-slow && $r -gt 1) || ($t == heaptrack && $r -gt 1) ]] && continue
      echo "$c $t $(run "$c" "$t")" >>times
    done
  done
done
echo "CPU time and memory, x plain glibc; best of $rounds rounds (memcheck: one, heaptrack and lsan-slow: two); $(nproc) CPUs"
awk -v tools="plain $tools" -v cases="${cases[*]}" '
  { k = $1 " " $2; if (!(k in cpu) || $3 < cpu[k]) cpu[k] = $3; rss[k] = rss[k] " " $4; if ($5 != 0) broken[k] = $5 }
  function median(s,   v, m, i, j, x) { m = split(s, v, " "); for (i = 2; i <= m; i++) for (j = i; j > 1 && v[j] < v[j-1] + 0; j--) { x = v[j]; v[j] = v[j-1]; v[j-1] = x } return v[int((m + 1) / 2)] }
  END {
    n = split(tools, t, " "); m = split(cases, c, " ")
    printf "%-9s %17s", "", "plain"; for (i = 2; i <= n; i++) printf " %16s", t[i]; print ""
    for (j = 1; j <= m; j++) {
      p = c[j] " plain"; printf "%-9s %6.2fs %5.1f MiB", c[j], cpu[p], median(rss[p])
      for (i = 2; i <= n; i++) { k = c[j] " " t[i]; if (k in broken) printf " %16s", "status " broken[k]; else printf "    %5.2fx %5.2fx", cpu[k] / cpu[p], median(rss[k]) / median(rss[p]) }
      print ""
    }
  }' times
