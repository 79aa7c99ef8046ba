# Cases for ../shared/corpus/run.sh (CASES=this file): real programs whose output may not change under preload.
# Every c_NAME prints only what must be equal in both runs; $P goes before the program. Ports 17500-17999.
need python3 git gcc make nodejs default-jre-headless redis-server redis-tools nginx-light apache2-utils curl xz-utils

# The Debian interpreter: a version manager's shim may stand before it in PATH.
c_py_json() { $P PYTHONMALLOC=malloc /usr/bin/python3 -c '
import json, hashlib
rows = [{"id": i, "name": "n%d" % (i * 7919 % 10007), "tags": ["t%d" % (i % k) for k in range(2, 9)], "x": i / 7} for i in range(12000)]
text = json.dumps(rows)
for _ in range(3):
    rows = json.loads(text); text = json.dumps(rows, sort_keys=True)
print(len(text), hashlib.sha256(text.encode()).hexdigest())'; }
c_py_threads() { $P PYTHONMALLOC=malloc /usr/bin/python3 -c '
import threading, queue, time, re, zlib
jobs, done = queue.Queue(), queue.Queue()
def work():
    while (n := jobs.get()) is not None:
        data = "".join(chr(97 + (i * n) % 26) for i in range(3000))
        time.sleep(0.0005)
        done.put((n, zlib.crc32(zlib.compress(data.encode())), len(re.findall("a.b", data))))
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]; [jobs.put(n) for n in range(1, 800)]; [jobs.put(None) for _ in threads]; [t.join() for t in threads]
rows = sorted(done.get() for _ in range(799)); print(len(rows), sum(r[1] for r in rows), sum(r[2] for r in rows))'; }
c_py_subprocess() { $P PYTHONMALLOC=malloc /usr/bin/python3 -c '
import subprocess, multiprocessing as mp, concurrent.futures as cf
def square(n): return sum(i * i for i in range(n))
out = []
for i in range(25):
    p = subprocess.Popen(["sh", "-c", "read x; echo got $x; exit %d" % (i % 3)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    out.append((p.communicate("line %d" % i)[0], p.returncode))
print(out[::6])
with mp.get_context("fork").Pool(3) as pool: print(sum(pool.map(square, range(200))))
with cf.ThreadPoolExecutor(4) as ex: print(sum(len(x) for x in ex.map(lambda i: subprocess.check_output(["seq", str(i)]), range(40))))'; }
c_py_sqlite3() { $P PYTHONMALLOC=malloc /usr/bin/python3 -c '
import sqlite3, hashlib
db = sqlite3.connect("t.db"); db.execute("create table t(a integer primary key, b text, c blob)")
for k in range(8):
    with db: db.executemany("insert into t(b, c) values(?, ?)", ((str(i * 31 % 977), bytes([i % 251]) * (i % 90)) for i in range(4000)))
db.execute("create index x on t(b, a)"); db.create_function("h", 1, lambda v: hashlib.md5(v).hexdigest())
print(db.execute("select count(*), sum(length(c)), max(h(c)) from t where b like \"%7%\"").fetchall())
print(db.execute("select b, count(*) from t group by b order by 2 desc, 1 limit 5").fetchall(), db.execute("pragma integrity_check").fetchall())'; }
c_bash_forks() { $P bash -c '
leaf() { local s=0 i; for ((i = 0; i < 300; i++)); do ((s += i * $1)); done; echo "$1 $s"; }
for i in $(seq 1 60); do leaf "$i" & ((i % 8 == 0)) && wait; done | sort -n | md5sum; wait
for i in $(seq 1 150); do x=$(printf "%s" "$i" | tr 0-9 a-j | rev); done; echo "$x"
coproc cat; echo through a coprocess >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"; exec {COPROC[1]}>&-; wait
trap "echo got usr1" USR1; kill -USR1 $$; exec bash -c "exit 7"'; }
c_git_many() { export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null
  $P git init -q -b main r; cd r || return; mkdir -p d{0..19}; for i in $(seq 1 2000); do printf '%s\n' "$i" "$((i * i))" "line $((i % 7))" >"d$((i % 20))/f$i"; done
  $P git add . && $P git commit -qm one; for i in $(seq 1 5 2000); do echo changed >>"d$((i % 20))/f$i"; done; $P git commit -qam two; $P git mv d3 e3; $P git commit -qm three
  $P git -c gc.autoDetach=false gc -q --aggressive --prune=now; $P git fsck --full 2>&1 | tail -n 1; $P git log --stat -M | md5sum; $P git rev-parse HEAD; $P git grep -c 'line 5' | md5sum; $P git blame d1/f1 | cut -c1-40; $P git status --short | wc -l; }
c_gcc_run() { cat >m.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *left, *right; char key[24]; };
static struct node *put(struct node *n, const char *key) { if (!n) { n = calloc(1, sizeof *n); strcpy(n->key, key); return n; }
  int c = strcmp(key, n->key); if (c < 0) n->left = put(n->left, key); else if (c > 0) n->right = put(n->right, key); return n; }
static unsigned long walk(struct node *n, int depth) { return n ? walk(n->left, depth + 1) * 31 + walk(n->right, depth + 1) * 17 + (unsigned long)depth * (unsigned char)n->key[1] : 1; }
int main(void) { struct node *root = NULL; for (int i = 0; i < 60000; i++) { char key[24]; snprintf(key, sizeof key, "k%d", i * 7919 % 100003); root = put(root, key); } printf("%lu\n", walk(root, 0)); }
C
  $P gcc -O2 -g m.c -o m && $P ./m; $P gcc -O0 -fanalyzer -c m.c -o m.o 2>&1 | grep -c warning; $P gcc -O3 -flto m.c -o m2 && $P ./m2; $P gcc -c -x c - 2>&1 <<<'int f( {' | head -n 1; }
c_redis_bench() { local port=17541 pid; $P redis-server --port $port --bind 127.0.0.1 --dir "$PWD" --save '' --appendonly yes --daemonize no --io-threads 2 >log 2>&1 & pid=$!
  wait_port $port; $P redis-benchmark -p $port -q -n 8000 -r 3000 -c 20 -d 64 -t ping,set,get,incr,lpush,rpop,sadd,hset,zadd,mset >/dev/null 2>bench.err; echo "bench $?"
  redis-cli -p $port flushall >/dev/null; for i in $(seq 1 1500); do echo "SET fix$i val$i"; echo "ZADD z $((i % 100)) m$i"; done | redis-cli -p $port >/dev/null
  redis-cli -p $port eval 'local n=0 for i=1,1500 do if redis.call("get","fix"..i)=="val"..i then n=n+1 end end return n' 0; redis-cli -p $port zcard z; redis-cli -p $port bgrewriteaof >/dev/null; sleep 0.6
  redis-cli -p $port debug reload 2>&1 | head -n 1 | cut -c1-3; redis-cli -p $port mget fix1 fix750 fix1500; redis-cli -p $port shutdown nosave; wait $pid; echo "exit $?"; }
c_nginx_workers() { local port=17542 pid; mkdir -p ng; seq 1 9000 >ng/f.txt; chmod -R 755 "$PWD"
  cat >ng/n.conf <<C
user root; worker_processes 2; pid $PWD/ng/p; error_log $PWD/ng/e; events {}
http { access_log off; client_body_temp_path $PWD/ng/a; proxy_temp_path $PWD/ng/b; fastcgi_temp_path $PWD/ng/c; uwsgi_temp_path $PWD/ng/d; scgi_temp_path $PWD/ng/s; gzip on; gzip_types *; gzip_min_length 1;
  server { listen 127.0.0.1:$port; root $PWD/ng; location /p/ { proxy_pass http://127.0.0.1:$port/; } } }
C
  $P nginx -c "$PWD/ng/n.conf" -g 'daemon off;' 2>ng/stderr & pid=$!; wait_port $port
  ab -q -n 3000 -c 10 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/f.txt" 2>&1 | grep -E '^(Failed|Complete)'; ab -q -n 600 -c 6 "http://127.0.0.1:$port/p/f.txt" 2>&1 | grep -E '^(Failed|Complete)'
  kill -HUP $pid; sleep 0.4; wait_port $port; curl -s --compressed "http://127.0.0.1:$port/p/f.txt" | cmp - ng/f.txt && echo same; kill -QUIT $pid; wait $pid; echo "exit $?"; }
c_xz_t2() { seq 1 700000 >s; $P xz -T2 -4 -k s && $P xz -T2 -dc s.xz | md5sum; $P xz -l --robot s.xz | awk '/^file/ { print $2, $4 > "/dev/null"; print $5 > "/dev/null" } END { print NR > 0 }'; }
c_node_http() { $P node -e '
const http = require("http"), fs = require("fs"), { Worker, isMainThread } = require("worker_threads"), crypto = require("crypto");
const s = http.createServer((q, r) => { const o = {}; for (let i = 0; i < 200; i++) o[q.url + i] = [i, "v" + i]; r.end(JSON.stringify(o)); });
s.listen(17543, "127.0.0.1", async () => {
  const get = i => new Promise((ok, no) => http.get({ port: 17543, host: "127.0.0.1", path: "/" + i }, r => { let b = ""; r.on("data", d => b += d); r.on("end", () => ok(b)); }).on("error", no));
  let h = crypto.createHash("md5"); for (let k = 0; k < 20; k++) (await Promise.all([...Array(20).keys()].map(i => get(k * 20 + i)))).forEach(b => h.update(b));
  const w = n => new Promise((ok, no) => { const t = new Worker("const{parentPort:p,workerData:n}=require(\"worker_threads\");let m=new Map();for(let i=0;i<60000;i++)m.set(\"k\"+i*n,i);p.postMessage(m.size)", { eval: true, workerData: n }); t.on("message", ok); t.on("error", no); });
  console.log(h.digest("hex"), await Promise.all([1, 2, 3].map(w)), crypto.pbkdf2Sync("a", "b", 20000, 32, "sha256").toString("hex")); s.close(); });'; }
c_java_threads() { cat >J.java <<'J'
import java.util.*; import java.util.concurrent.*; import java.util.zip.*; import java.nio.*;
public class J { public static void main(String[] a) throws Exception { ExecutorService ex = Executors.newFixedThreadPool(6); List<Future<Long>> fs = new ArrayList<>();
  for (int j = 0; j < 40; j++) { final int n = j; fs.add(ex.submit(() -> { byte[] in = new byte[60000]; new Random(n).nextBytes(in); for (int i = 0; i < in.length; i += 2) in[i] = 7; Deflater d = new Deflater(); d.setInput(in); d.finish(); byte[] out = new byte[90000]; int len = d.deflate(out); d.end();
    Inflater f = new Inflater(); f.setInput(out, 0, len); byte[] back = new byte[60000]; f.inflate(back); f.end(); ByteBuffer b = ByteBuffer.allocateDirect(60000); b.put(back); b.flip(); CRC32 c = new CRC32(); c.update(b); return c.getValue(); })); }
  long s = 0; for (Future<Long> f : fs) s += f.get(); ex.shutdown(); System.out.println(s + " " + new TreeSet<>(Arrays.asList(7, 3, 9))); } }
J
  javac J.java 2>/dev/null; if [[ -f J.class ]]; then $P java -Xmx200m -XX:+UseSerialGC J; else $P java -Xmx200m J.java 2>/dev/null || $P java -version 2>&1 | head -n 1 | cut -d' ' -f1; fi; }
c_make_j2() { mkdir p; cd p || return; { echo 'all: app'; echo -n 'app: main.o'; for i in $(seq 1 24); do echo -n " m$i.o"; done; printf '\n\t$(CC) -o $@ $^\n%%.o: %%.c\n\t$(CC) -O1 -c $< -o $@\n'; } >Makefile
  for i in $(seq 1 24); do printf '#include <stdlib.h>\n#include <string.h>\nint m%d(int n) { char *p = malloc((unsigned)n + 1); memset(p, %d, (unsigned)n); int s = 0; for (int i = 0; i < n; i++) s += p[i]; free(p); return s; }\n' "$i" "$i" >"m$i.c"; done
  { echo '#include <stdio.h>'; for i in $(seq 1 24); do echo "int m$i(int);"; done; echo 'int main(void) { int s = 0;'; for i in $(seq 1 24); do echo "s += m$i($i * 10);"; done; echo 'printf("%d\n", s); return s & 63; }'; } >main.c
  $P make -j2 2>&1 | grep -c -- '-O1 -c'; $P ./app; echo "app $?"; touch m7.c; $P make -j2 2>&1 | sort | md5sum; $P make -s -j2 nothing 2>&1 | tail -n 1 | cut -c1-40; }
