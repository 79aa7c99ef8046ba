#!/bin/bash
# A server's week in minutes: redis, nginx and python under collect, churned until the time is over.
#
#   soak.sh [SECONDS]     600 by default, 3600 by hand; OPTIONS=mode=collect:stress=1000
#
# Each program is run as it is installed, with a load that allocates and frees for ever, and leaks: libplant.so loses blocks in
# it all the time, which only the collector gives back. At the end: no evidence, misuse or violation, at least a hundred cycles in each,
# their pauses as the statistics tell them, and memory that stands still: the largest RSS of the first quarter of the time may not be
# outgrown by more than a half and 32 MiB in the last quarter. (Servers that lose nothing have a cycle or two an hour at the pace that
# users get, hence stress=.)
set -u
. "$(dirname "$0")/../integration/lib.sh"
seconds=${1:-${SOAK_SECONDS:-600}} options=${OPTIONS:-mode=collect:stress=1000} plant=$(program libplant.so)
mkdir -p "$T/logs" "$T/w"
chmod -R 777 "$T/logs" "$T/w"
redis_port=$((18900 + $$ % 50 * 2)) nginx_port=$((redis_port + 1))
wait_for() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep 0.05; done; return 1; }
declare -A server=()
# start NAME COMMAND...: a server under the library, with a log of its own.
start() {
  local name=$1
  shift
  env LD_PRELOAD="$plant:$LIB" PLANT_LOG="$T/w/plant-$name" PLANT_RATE=$((seconds * 10)) CGC_OPTIONS="$options:stats=1:log_path=$T/logs/$name.%p" "$@" >"$T/w/$name.out" 2>&1 &
  server[$name]=$!
}
stop_all() {
  local p
  for p in "${load[@]}" "${server[@]}"; do kill "$p" 2>/dev/null; done
  clean_up
}
load=()
trap stop_all EXIT

cat >"$T/w/nginx.conf" <<C
user root; worker_processes 2; pid $T/w/pid; error_log $T/w/nginx.err; events {}
http { access_log off; client_body_temp_path $T/w/a; proxy_temp_path $T/w/b; fastcgi_temp_path $T/w/c; uwsgi_temp_path $T/w/d; scgi_temp_path $T/w/s; gzip on; gzip_types *; gzip_min_length 1;
  server { listen 127.0.0.1:$nginx_port; root $T/w; location /p/ { proxy_pass http://127.0.0.1:$nginx_port/; } } }
C
seq 1 9000 >"$T/w/f.txt"
cat >"$T/w/churn.py" <<'C'
import collections, json, queue, random, threading, time, zlib, sys
random.seed(7)
end = time.time() + float(sys.argv[1])
cache = collections.OrderedDict()
jobs = queue.Queue(64)
bad = []
def work():
    while (n := jobs.get()) is not None:
        rows = [{"id": i, "text": "x" * (i * n % 97)} for i in range(200)]
        text = json.dumps(rows).encode()
        if zlib.decompress(zlib.compress(text, 1)) != text or json.loads(text) != rows:
            bad.append(n)
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
n = 0
while time.time() < end:
    n += 1
    jobs.put(n)
    cache[n] = [random.random() for _ in range(random.randrange(400))]
    if len(cache) > 3000: cache.popitem(last=False)
    if n % 2000 == 0: cache.clear()
for t in threads: jobs.put(None)
for t in threads: t.join()
print("bad", len(bad), "jobs", n > 100)
C
start redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$T/w" --save '' --appendonly no --daemonize no --maxmemory 48mb --maxmemory-policy allkeys-lru
start nginx nginx -c "$T/w/nginx.conf" -g 'daemon off;'
wait_for "$redis_port" && wait_for "$nginx_port" || { bad "the servers do not start: $(cat "$T"/w/*.out | tail -n 1)"; finish; }
start python PYTHONMALLOC=malloc /usr/bin/python3 "$T/w/churn.py" "$seconds"

(while :; do redis-benchmark -p "$redis_port" -q -n 20000 -r 20000 -c 10 -d $((RANDOM % 3000)) -t set,get,lpush,rpop,sadd,hset,zadd,mset >/dev/null 2>&1 || sleep 1; redis-cli -p "$redis_port" bgsave >/dev/null; ((RANDOM % 4)) || redis-cli -p "$redis_port" flushall >/dev/null; done) &
load+=($!)
(while :; do ab -q -n 3000 -c 6 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$nginx_port/p/f.txt" >/dev/null 2>&1 || sleep 1; ((RANDOM % 6)) || kill -HUP "${server[nginx]}"; done) &
load+=($!)

# MiB resident of a server; of nginx with its workers (redis' children are copies that save and go).
rss() { local p; for p in "$1" $(pgrep -P "$1" nginx); do awk '/^VmRSS/ { print $2 }' "/proc/$p/status" 2>/dev/null; done | awk '{ s += $1 } END { printf "%d", s / 1024 }'; }
declare -A early=() late=()
start_time=$SECONDS
while ((SECONDS - start_time < seconds)); do
  sleep 2
  for name in redis nginx python; do
    now=$(rss "${server[$name]}") past=$(((SECONDS - start_time) * 4 / seconds))
    ((past < 1 && now > ${early[$name]:-0})) && early[$name]=$now
    ((past >= 3 && now > ${late[$name]:-0})) && late[$name]=$now
  done
done
for p in "${load[@]}"; do kill "$p" 2>/dev/null; wait "$p" 2>/dev/null; done
wait "${server[python]}"; python_status=$?
redis-cli -p "$redis_port" set last word >/dev/null; word=$(redis-cli -p "$redis_port" get last)
curl -s --compressed "http://127.0.0.1:$nginx_port/p/f.txt" | cmp -s - "$T/w/f.txt"; same=$?
redis-cli -p "$redis_port" shutdown nosave >/dev/null 2>&1; wait "${server[redis]}"; redis_status=$?
kill -QUIT "${server[nginx]}"; wait "${server[nginx]}"; nginx_status=$?
server=() load=()

check() { local text=$1; shift; if "$@"; then ok "$text"; else bad "$text"; fi; }
check "redis answers at the end and exits with 0 ($word, $redis_status)" test "$word $redis_status" = "word 0"
check "nginx serves at the end and exits with 0 ($nginx_status)" test "$same $nginx_status" = "0 0"
check "python checked all its work ($(tail -n 1 "$T/w/python.out"), exit $python_status)" grep -q '^bad 0 jobs True' "$T/w/python.out"
complaints "$T"/logs/* >"$T/complaints"
check "no evidence, misuse or violation $(head -n 1 "$T/complaints")" test ! -s "$T/complaints"
for name in redis nginx python; do
  logs=("$T/logs/$name".*)
  check "$name: a hundred cycles, and recycled blocks" test "$(($(stat_sum cycles "${logs[@]}") >= 100 && $(stat_sum recycled_blocks "${logs[@]}") > 0))" = 1
  check "$name: RSS at most ${early[$name]:-0} MiB in the first quarter, ${late[$name]:-0} in the last; $(stat_sum cycles "${logs[@]}") cycles, $(stat_sum aborted "${logs[@]}") aborted, $(stat_sum recycled_blocks "${logs[@]}") blocks recycled, $(cat "${logs[@]}" | grep -iE 'pause' | sort -u | sort -k2nr | head -n 2 | tr '\n' ' ')" \
    test "${late[$name]:-0}" -le $((${early[$name]:-0} * 3 / 2 + 32))
done
finish
