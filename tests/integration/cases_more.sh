# Further real programs of the distribution, for more_programs.sh: servers, databases, interpreters, compilers, media, a desktop.
# As in cases.sh, a c_NAME prints only what must be equal in both runs and $P goes before the program. Ports 18000-18999.
# $P is an `env` command: variables may follow it. A server that changes its user is started as that user, as its unit would.
# SWI-Prolog is no case: it keeps its arrays of atoms and functors as pointers that lie their own length before the block, which
# no collector can see; audit names it (see README.md, limits).
need sqlite3 lighttpd haproxy curl apache2-utils ruby tcl luajit emacs-nox gcc ffmpeg imagemagick ghostscript poppler-utils python3 \
     xvfb xterm xdotool x11-utils rsync tmux gdb bc gawk findutils sox erlang-base openssh-server openssh-client
[[ -z ${ALL:-} ]] || need postgresql mariadb-server apache2 dnsmasq-base bind9 bind9-dnsutils mosquitto mosquitto-clients \
     unbound guile-3.0 sbcl g++ clang golang-go ghc ocaml-nox rustc gnuplot-nox zenity gnome-calculator dbus python3-gi gir1.2-gtk-3.0 \
     python3-numpy fonts-dejavu-core gnupg zstd pigz p7zip-full systemd

# A server under a cycle at every refill may need half a minute to start.
wait_port() { for _ in $(seq 1200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep 0.05; done; echo "no port $1"; }

# -- databases --

c_postgres() { local bin=(/usr/lib/postgresql/*/bin) port=18011 pid; chmod 777 "$PWD"; local user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  "${user[@]}" $P "${bin[-1]}/initdb" -D "$PWD/d" -U pg -A trust --no-sync -E UTF8 --locale=C >/dev/null 2>init.err; echo "initdb $?"
  "${user[@]}" $P "${bin[-1]}/postgres" -D "$PWD/d" -c listen_addresses=127.0.0.1 -p $port -k "$PWD" -c fsync=off -c max_worker_processes=6 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0 >log 2>&1 & pid=$!; wait_port $port
  q() { "${bin[-1]}/psql" -h 127.0.0.1 -p 18011 -U pg -d postgres -qAt "$@" 2>&1; }
  for _ in $(seq 100); do q -c 'select 1' >/dev/null && break; sleep 0.1; done
  q -c "create table t(a serial primary key, b text, c float); insert into t(b, c) select md5(i::text), i / 3.0 from generate_series(1, 40000) i; create index on t(b); analyze t"
  q -c "select count(*), round(sum(c)::numeric, 2), max(b) from t where b like '%77%'" -c "select string_agg(b, ',') from (select b from t order by b limit 3) x" -c "select jsonb_agg(x order by a) from (select a, upper(b) u from t where a % 9001 = 0) x"
  q -c "create function f(n int) returns int language plpgsql as 'declare s int := 0; begin for i in 1..n loop s := s + i; end loop; return s; end'" -c 'select f(20000)' -c 'select no_such_function()'
  for i in 1 2 3 4; do q -c "select sum(length(b)) from t x where exists (select 1 from t y where y.a = x.a + $i)" & done | sort
  kill -INT $pid; wait $pid; echo "exit $?"; }
c_mariadb() { local port=18012 pid; chmod 777 "$PWD"; local user=(setpriv --reuid=mysql --regid=mysql --clear-groups)
  mariadb-install-db --no-defaults --user=mysql --datadir="$PWD/d" --skip-test-db --auth-root-authentication-method=normal >/dev/null 2>&1; echo "install $?"
  "${user[@]}" $P mariadbd --no-defaults --datadir="$PWD/d" --socket="$PWD/s" --port=$port --bind-address=127.0.0.1 --pid-file="$PWD/p" --innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 --skip-log-bin >log 2>&1 & pid=$!; wait_port $port
  q() { mariadb --no-defaults -h 127.0.0.1 -P 18012 -u root -BN "$@" 2>&1; }
  q -e "create database x; use x; create table t(a int primary key auto_increment, b varchar(99), key(b)) engine=innodb; insert into t(b) select md5(seq) from seq_1_to_20000; select count(*), max(b) from t where b like '%77%'; select group_concat(b) from (select b from t order by b limit 3) y"
  for i in 1 2 3 4; do q x -e "select sum(length(p.b)) from t p join t q on q.a = p.a + $i" & done | sort
  q x -e "alter table t add c int default 5; update t set c = a % 7; select c, count(*) from t group by c; select json_arrayagg(a) from t where a % 6001 = 0; drop table t; shutdown"; wait $pid; echo "exit $?"; }
c_sqlite_threads() { cat >t.c <<'C'
#include <sqlite3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void *work(void *arg) { long n = (long)arg; sqlite3 *db; char name[32], *error = NULL; static __thread unsigned long sum; snprintf(name, sizeof name, "t%ld.db", n % 3);
  if (sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL)) abort(); sqlite3_busy_timeout(db, 60000); sqlite3_exec(db, "pragma journal_mode=wal; pragma synchronous=off", NULL, NULL, NULL);
  for (int k = 0; k < 40; k++) { char *q = sqlite3_mprintf("begin immediate; create table if not exists t(a, b); insert into t values(%d, hex(%d * 7919)); commit", k, k + (int)n); if (sqlite3_exec(db, q, NULL, NULL, &error)) { puts(error); abort(); } sqlite3_free(q); sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db, "select sum(length(b)), count(distinct b) > 0 from t where a = ?", -1, &s, NULL)) abort(); sqlite3_bind_int(s, 1, k); while (sqlite3_step(s) == SQLITE_ROW) sum += (unsigned long)sqlite3_column_int(s, 1); sqlite3_finalize(s); }
  sqlite3_close(db); return (void *)sum; }
int main(void) { pthread_t t[9]; unsigned long s = 0; for (long i = 0; i < 9; i++) pthread_create(&t[i], NULL, work, (void *)i); for (int i = 0; i < 9; i++) { void *r; pthread_join(t[i], &r); s += (unsigned long)r; } printf("%lu %d\n", s, sqlite3_memory_used() == 0); }
C
  gcc -O2 t.c -o t -l:libsqlite3.so.0 -pthread -include /dev/null 2>err || gcc -O2 t.c -o t -lsqlite3 -pthread 2>err; $P ./t; for i in 0 1 2; do sqlite3 t$i.db 'select count(*), sum(a), max(b) from t; pragma integrity_check'; done; }

# -- servers --

c_lighttpd() { local port=18021 pid; mkdir w; seq 1 20000 >w/f.txt; printf '#!/bin/sh\necho Content-Type: text/plain; echo; echo cgi $QUERY_STRING\n' >w/x.cgi; chmod +x w/x.cgi
  printf 'server.document-root = "%s/w"\nserver.port = %s\nserver.bind = "127.0.0.1"\nserver.modules = ("mod_cgi", "mod_deflate", "mod_dirlisting")\ncgi.assign = (".cgi" => "")\ndeflate.mimetypes = ("text/")\ndeflate.allowed-encodings = ("gzip")\nmimetype.assign = (".txt" => "text/plain")\ndir-listing.activate = "enable"\n' "$PWD" $port >c
  $P lighttpd -D -f c 2>err & pid=$!; wait_port $port; ab -q -k -n 3000 -c 10 -H 'Accept-Encoding: gzip' http://127.0.0.1:$port/f.txt 2>&1 | grep -E '^(Failed|Complete)'
  for i in $(seq 1 30); do curl -s "http://127.0.0.1:$port/x.cgi?$i"; done | md5sum; curl -s --compressed http://127.0.0.1:$port/f.txt | cmp - w/f.txt && echo same; curl -s http://127.0.0.1:$port/ | grep -c f.txt; kill -INT $pid; wait $pid; echo "exit $?"; }
c_haproxy() { local port=18023 back pid; mkdir w; seq 1 3000 >w/f.txt; /usr/bin/python3 -m http.server -b 127.0.0.1 -d w 18024 >/dev/null 2>&1 & back=$!; wait_port 18024
  printf 'global\n nbthread 2\n maxconn 500\ndefaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n compression algo gzip\n compression type text/plain\nfrontend f\n bind 127.0.0.1:%s\n acl s path_beg /s\n http-request return status 200 content-type text/plain lf-string "%%[path,lower]" if s\n default_backend b\nbackend b\n balance roundrobin\n server one 127.0.0.1:18024\n server two 127.0.0.1:18024\n' $port >c
  $P haproxy -db -f c 2>err & pid=$!; wait_port $port; ab -q -n 400 -c 4 http://127.0.0.1:$port/f.txt 2>&1 | grep -E '^(Failed|Complete)'; ab -q -k -n 3000 -c 8 http://127.0.0.1:$port/sTaTic 2>&1 | grep -E '^(Failed|Complete)'
  curl -s --compressed http://127.0.0.1:$port/f.txt | cmp - w/f.txt && echo same; curl -s http://127.0.0.1:$port/sABC; echo; kill -USR1 $pid; wait $pid; echo "exit $?"; kill $back; }
c_apache2() { local port=18025 pid m=/usr/lib/apache2/modules; mkdir w; seq 1 9000 >w/f.txt; chmod 755 "$PWD"
  { echo "ServerRoot $PWD"; for x in mpm_event authz_core authz_host dir mime deflate filter proxy proxy_http rewrite alias unixd; do [[ -e $m/mod_$x.so ]] && echo "LoadModule ${x}_module $m/mod_$x.so"; done
    printf 'ServerName localhost\nListen 127.0.0.1:%s\nPidFile %s/p\nErrorLog %s/e\nDocumentRoot %s/w\nTypesConfig /dev/null\nAddType text/plain .txt\nAddOutputFilterByType DEFLATE text/plain\nThreadsPerChild 8\nStartServers 2\nMinSpareThreads 4\nMaxSpareThreads 16\nMaxRequestWorkers 16\nMutex pthread\nProxyPass /p/ http://127.0.0.1:%s/\nRewriteEngine on\nRewriteRule ^/r/(.*)$ /$1\nDefaultRuntimeDir %s\n' $port "$PWD" "$PWD" "$PWD" $port "$PWD"; } >c
  $P apache2 -f "$PWD/c" -DFOREGROUND 2>err & pid=$!; wait_port $port; ab -q -n 3000 -c 8 -H 'Accept-Encoding: gzip' http://127.0.0.1:$port/f.txt 2>&1 | grep -E '^(Failed|Complete)'; ab -q -n 400 -c 3 http://127.0.0.1:$port/p/r/f.txt 2>&1 | grep -E '^(Failed|Complete)'
  curl -s --compressed http://127.0.0.1:$port/r/f.txt | cmp - w/f.txt && echo same; kill -HUP $pid; sleep 0.5; wait_port $port; curl -s http://127.0.0.1:$port/f.txt | md5sum; kill -TERM $pid; wait $pid; echo "exit $?"; }
c_dnsmasq() { local port=18031 pid; { for i in $(seq 1 900); do echo "address=/h$i.test/10.0.$((i / 250)).$((i % 250))"; echo "txt-record=t$i.test,text $i"; done; } >c
  $P dnsmasq -k -C c -p $port -a 127.0.0.1 -z -R -h -u root --pid-file= --local=/test/ 2>err & pid=$!; wait_port $port; for i in $(seq 1 40 900); do dig +short +tries=3 +time=20 @127.0.0.1 -p $port h$i.test a t$i.test txt no$i.test a; done | md5sum; kill -HUP $pid; kill -TERM $pid; wait $pid; echo "exit $?"; }
c_named() { local port=18032 pid; chmod 777 "$PWD"; { echo '$TTL 60'; echo '@ SOA ns a 1 60 60 60 60'; echo ' NS ns'; echo 'ns A 127.0.0.1'; for i in $(seq 1 3000); do echo "h$i A 10.1.$((i / 250)).$((i % 250))"; done; } >z
  printf 'options { directory "%s"; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; recursion no; dnssec-validation no; session-keyfile "%s/sk"; }; controls { }; zone "z.test" { type master; file "z"; allow-update { 127.0.0.1; }; };\n' "$PWD" $port "$PWD" >c
  $P named -g -c "$PWD/c" -n 2 2>log & pid=$!; wait_port $port; for _ in $(seq 600); do grep -q running$ log && break; sleep 0.05; done; for i in $(seq 1 150 3000); do dig +short +tries=3 +time=20 @127.0.0.1 -p $port h$i.z.test a; done | md5sum; dig +tcp @127.0.0.1 -p $port z.test axfr | grep -c 'IN.A'
  printf 'server 127.0.0.1 %s\nzone z.test\nupdate add new.z.test 60 A 10.9.9.9\nsend\n' $port | $P nsupdate; echo "update $?"; $P dig +short @127.0.0.1 -p $port new.z.test a; kill -TERM $pid; wait $pid; echo "exit $?"; }
c_unbound() { local port=18033 pid; { printf 'server:\n interface: 127.0.0.1\n port: %s\n do-daemonize: no\n username: ""\n chroot: ""\n pidfile: ""\n directory: "%s"\n use-syslog: no\n num-threads: 2\n' $port "$PWD"; for i in $(seq 1 800); do echo " local-data: \"h$i.test. A 10.2.$((i / 250)).$((i % 250))\""; done; printf 'remote-control:\n control-enable: no\n'; } >c
  $P unbound -d -c c 2>err & pid=$!; wait_port $port; for i in $(seq 1 40 800); do dig +short +tries=3 +time=20 @127.0.0.1 -p $port h$i.test a; done | md5sum; kill -TERM $pid; wait $pid; echo "exit $?"; }
c_sshd() { local port=18034 pid; mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub keys; chmod 755 "$PWD"; printf 'Host *\n StrictHostKeyChecking no\n UserKnownHostsFile %s/known\n IdentityFile %s/key\n IdentitiesOnly yes\n Port %s\n LogLevel ERROR\n' "$PWD" "$PWD" $port >cc
  $P /usr/sbin/sshd -D -e -f /dev/null -p $port -o ListenAddress=127.0.0.1 -o HostKey="$PWD/host" -o AuthorizedKeysFile="$PWD/keys" -o StrictModes=no -o PidFile=none -o UsePAM=no -o PermitRootLogin=yes 2>log & pid=$!; wait_port $port
  for i in 1 2 3; do $P ssh -F cc root@127.0.0.1 "seq $i 20000 | md5sum; exit $i" </dev/null; echo "status $?"; done; seq 1 200000 | $P ssh -F cc -C root@127.0.0.1 'cat' | md5sum
  $P ssh -F cc -f -N -M -S "$PWD/m" root@127.0.0.1 </dev/null >/dev/null 2>&1; for i in 1 2 3 4; do ssh -F cc -S "$PWD/m" root@127.0.0.1 "echo through $i" </dev/null; done; ssh -F cc -S "$PWD/m" -O exit root@127.0.0.1 2>/dev/null; kill -TERM $pid; wait $pid; echo "exit $?"; }
c_mosquitto() { local port=18035 pid s; printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' $port >c; $P mosquitto -c c 2>err & pid=$!; wait_port $port; $P mosquitto_sub -p $port -t 'a/#' -q 1 -C 400 >got & s=$!
  for _ in $(seq 200); do grep -q 'New client.*auto' err && break; sleep 0.05; done; sleep 0.3; for k in 1 2; do seq 1 200 | sed "s/^/message $k /" | $P mosquitto_pub -p $port -t "a/$k" -q 1 -l; done; wait $s; sort got | md5sum; kill -TERM $pid; wait $pid; echo "exit $?"; }

# -- interpreters --

c_ruby() { $P ruby --disable-gems -e '
require "json"; require "digest"; require "socket"
h = (1..60000).to_h { |i| ["k#{i}", [i, "v" * (i % 20)]] }; puts Digest::MD5.hexdigest(JSON.generate(h)), JSON.parse(JSON.generate(h)).size
q = Queue.new; ts = 4.times.map { |n| Thread.new { 3000.times { |i| q << (i * n).to_s.hash.class; GC.start if i % 1500 == 0 } } }; ts.each(&:join); puts q.size
f = Fiber.new { |x| loop { x = Fiber.yield(x.to_s * 3) } }; puts (1..2000).map { |i| f.resume(i).size }.sum
e = Enumerator.new { |y| a, b = 0, 1; loop { y << a; a, b = b, a + b } }; puts e.lazy.select(&:even?).first(30).last
r, w = IO.pipe; pids = 4.times.map { |i| fork { r.close; w.puts "child #{i} #{(1..3000).map(&:to_s).sort[i * 7]}"; exit!(i) } }; w.close; puts r.read.lines.sort; pids.each { |p| Process.wait(p); print $?.exitstatus, " " }
s = TCPServer.new("127.0.0.1", 18041); t = Thread.new { 50.times { c = s.accept; c.puts c.gets.reverse; c.close } }; puts 50.times.map { |i| c = TCPSocket.new("127.0.0.1", 18041); c.puts "line #{i}"; c.read.size }.sum; t.join
r, w = IO.pipe; w.write((1..500).map { |i| "line number #{i}\n" }.join); r.gets; 40.times { (1..3000).map { |i| "s" * (i % 9000) } } # the rest lies in the read buffer
puts (2..500).count { |i| r.gets == "line number #{i}\n" }
puts (`echo through a shell`), "x".encode("UTF-16").bytesize, ObjectSpace.each_object(Class).count > 100'; }
c_tcl() { cat >t.tcl <<'T'
proc fib {n} { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
for {set i 0} {$i < 60000} {incr i} { dict set d k$i [list $i [string repeat x [expr {$i % 17}]]] }
puts "[dict size $d] [fib 18] [llength [lsort -unique [dict values $d]]]"
proc gen {} { yield; set i 0; while 1 { yield [incr i] } }
coroutine g gen; set s 0; for {set i 0} {$i < 5000} {incr i} { incr s [g] }; puts $s
proc accept {c a p} { fconfigure $c -buffering line; fileevent $c readable [list echo $c] }
proc echo c { if {[gets $c l] < 0} { close $c } else { puts $c [string reverse $l] } }
set srv [socket -server accept -myaddr 127.0.0.1 18042]; set c [socket 127.0.0.1 18042]; fconfigure $c -buffering line; set n 0
fileevent $c readable { gets $c l; incr total [string length $l]; if {[incr n] < 200} { puts $c "line $n" } else { set done 1 } }
puts $c "line 0"; vwait done; puts "$n $total"; puts [exec sh -c {seq 1 100 | md5sum}]; puts [regexp -all -inline {[0-9]+} "a1b22c333"]
interp create sub; puts [sub eval { set l {}; for {set i 0} {$i < 20000} {incr i} { lappend l [format %05d $i] }; llength [lsearch -all $l *7*] }]; interp delete sub; exit 3
T
  $P tclsh t.tcl; echo "exit $?"; }
c_guile() { export HOME=$PWD GUILE_AUTO_COMPILE=0; $P guile-3.0 -c '(use-modules (ice-9 threads) (srfi srfi-1) (ice-9 regex))
(define h (make-hash-table)) (do ((i 0 (+ i 1))) ((= i 60000)) (hash-set! h (number->string i) (list i (make-string (modulo i 9) #\x))))
(display (hash-count (const #t) h)) (newline) (display (fold + 0 (par-map (lambda (n) (length (filter even? (iota (* n 1000))))) (iota 30)))) (newline)
(display (call/cc (lambda (k) (for-each (lambda (i) (if (= i 777) (k i))) (iota 9999))))) (newline) (gc) (display (modulo (expt 7 3000) 1000003)) (newline)
(display (string-length (regexp-substitute/global #f "[0-9]" (string-join (map number->string (iota 3000))) (quote pre) "#" (quote post)))) (newline)'; echo "exit $?"; }
c_emacs() { export HOME=$PWD; $P emacs --batch -Q --eval '(progn (dotimes (i 20000) (insert (format "line %d foo\n" i))) (goto-char (point-min)) (while (re-search-forward "foo" nil t) (replace-match "bar")) (message "%s" (md5 (buffer-string)))
 (let ((h (make-hash-table :test (quote equal)))) (dotimes (i 30000) (puthash (number-to-string i) (list i) h)) (garbage-collect) (message "%d" (hash-table-count h)))
 (message "%S" (with-temp-buffer (call-process "seq" nil t nil "5") (split-string (buffer-string))))
 (let ((p (make-process :name "c" :buffer (get-buffer-create "o") :command (list "cat") :connection-type (quote pipe)))) (process-send-string p "through cat\n") (process-send-eof p) (while (accept-process-output p 5)) (with-current-buffer "o" (message "%s" (car (split-string (buffer-string) "\n")))))
 (require (quote json)) (message "%d" (length (json-encode (number-sequence 1 3000)))) (with-temp-buffer (insert "(defun f (x) (let ((y x)) (* y 2)))") (emacs-lisp-mode) (font-lock-ensure) (indent-region 1 (point-max)) (eval-buffer) (message "%d" (funcall (byte-compile (quote f)) 21))))' 2>&1 | grep -v '^Loading'; }
c_erlang() { export HOME=$PWD; $P erl -noshell -noinput +S 2 -eval '
Me = self(), Ps = [spawn(fun() -> M = maps:from_list([{I, integer_to_list(I * N)} || I <- lists:seq(1, 2000)]), Me ! {N, erlang:phash2(lists:sort(maps:values(M)))} end) || N <- lists:seq(1, 60)],
R = lists:sort([receive X -> X end || _ <- Ps]), io:format("~p ~p~n", [length(R), erlang:phash2(R)]), T = ets:new(t, [public]), [ets:insert(T, {I, binary:copy(<<"x">>, I rem 100)}) || I <- lists:seq(1, 30000)], io:format("~p~n", [lists:sum([byte_size(B) || {_, B} <- ets:tab2list(T)])]),
{ok, L} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]), {ok, P} = inet:port(L), spawn(fun() -> {ok, S} = gen_tcp:accept(L), (fun F() -> case gen_tcp:recv(S, 0) of {ok, D} -> gen_tcp:send(S, D), F(); _ -> ok end end)() end), {ok, S} = gen_tcp:connect({127, 0, 0, 1}, P, [binary, {active, false}]),
[begin gen_tcp:send(S, <<I:32>>), {ok, <<I:32>>} = gen_tcp:recv(S, 4) end || I <- lists:seq(1, 1000)], io:format("~s~p~n", [os:cmd("echo port"), erlang:crc32(zlib:compress(binary:copy(<<"abc">>, 90000)))]), halt(4).'; echo "exit $?"; }
c_sbcl() { export HOME=$PWD; $P sbcl --noinform --no-sysinit --no-userinit --disable-debugger --eval '(progn (defun fib (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (let ((h (make-hash-table :test (quote equal)))) (dotimes (i 50000) (setf (gethash (format nil "~a" i) h) (list i))) (gc :full t) (format t "~a ~a ~a~%" (hash-table-count h) (fib 22) (mod (expt 7 3000) 1000003))) (let ((ts (loop for i below 4 collect (let ((i i)) (sb-thread:make-thread (lambda () (length (loop for k below 50000 collect (* k i))))))))) (format t "~a~%" (mapcar (function sb-thread:join-thread) ts))) (sb-ext:exit :code 6))'; echo "exit $?"; }
c_luajit() { $P luajit -e 'local ffi = require("ffi") ffi.cdef[[ void *malloc(size_t); void free(void *); char *strdup(const char *); size_t strlen(const char *); ]] local n = 0 local keep = {} for i = 1, 30000 do local p = ffi.gc(ffi.C.strdup("string " .. i), ffi.C.free) n = n + tonumber(ffi.C.strlen(p)) keep[i % 100] = p end print(n) local t = {} for i = 1, 200000 do t[i] = "s" .. i * 7919 % 100003 end table.sort(t) print(t[1], t[77777], #table.concat(t)) local co = coroutine.wrap(function() for i = 1, 20000 do coroutine.yield(i) end end) local s = 0 for i = 1, 20000 do s = s + co() end print(s)'; }
c_numpy() { $P PYTHONMALLOC=malloc /usr/bin/python3 -c '
import numpy as np, hashlib, ctypes, gc, weakref, asyncio
r = np.random.default_rng(7); a = r.integers(0, 99, (300, 300)); print(int((a @ a).sum()), round(float(np.linalg.det(a[:9, :9] / 50.0)), 6), hashlib.md5(np.sort(a.ravel()).tobytes()).hexdigest(), float(np.fft.fft(np.arange(4096.0)).real.sum().round(3)))
v = [np.zeros(i % 5000) for i in range(4000)]; print(sum(x.size for x in v)); m = np.lib.stride_tricks.sliding_window_view(np.arange(9000), 90)[::37]; del v; gc.collect(); print(int(m.sum()))
b = (ctypes.c_char_p * 500)(*[str(i).encode() * 9 for i in range(500)]); CB = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)); x = (ctypes.c_int * 800)(*[i * 7919 % 1009 for i in range(800)]); ctypes.CDLL(None).qsort(x, 800, 4, CB(lambda p, q: p[0] - q[0])); print(list(x) == sorted(x), sum(map(len, b)))
async def one(i): await asyncio.sleep(0.0001 * (i % 9)); return i * i
async def main(): return sum(await asyncio.gather(*[one(i) for i in range(1500)]))
print(asyncio.run(main()))'; }

# -- compilers --

c_gxx() { cat >t.cc <<'C'
#include <algorithm>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <variant>
template <int N> struct fib { static constexpr long v = fib<N - 1>::v + fib<N - 2>::v; }; template <> struct fib<0> { static constexpr long v = 0; }; template <> struct fib<1> { static constexpr long v = 1; };
struct node { std::shared_ptr<node> next; std::weak_ptr<node> back; std::string text; virtual ~node() = default; }; struct wide : node { std::vector<double> v = std::vector<double>(50, 1.5); };
int main() { std::map<std::string, std::unique_ptr<node>> m; for (int i = 0; i < 30000; i++) { auto n = i % 2 ? std::make_unique<node>() : std::unique_ptr<node>(new wide); n->text = std::to_string(i * 7919 % 10007); m[n->text] = std::move(n); }
  std::shared_ptr<node> list; for (int i = 0; i < 9000; i++) { auto n = std::make_shared<node>(); n->next = list; if (list) list->back = n; n->text = std::string(i % 90, 'x'); list = n; } size_t t = 0; for (auto *p = list.get(); p; p = p->next.get()) t += p->text.size(); while (list) { auto n = list->next; list = n; }
  std::vector<std::future<long>> f; for (int k = 0; k < 8; k++) f.push_back(std::async(std::launch::async, [k] { std::unordered_map<int, std::string> u; for (int i = 0; i < 9000; i++) u[i * k] = std::string(i % 60, 'a'); long s = 0; for (auto &e : u) s += e.second.size(); return s; }));
  long s = 0; for (auto &x : f) s += x.get(); int caught = 0; for (int i = 0; i < 900; i++) try { if (i % 3) throw std::runtime_error("e" + std::to_string(i)); } catch (std::exception &e) { caught += std::string(e.what()).size(); }
  std::regex r("([a-z]+)([0-9]+)"); std::string in; for (int i = 0; i < 500; i++) in += "ab" + std::to_string(i) + " "; long g = std::distance(std::sregex_iterator(in.begin(), in.end(), r), std::sregex_iterator()); std::ostringstream o; o << m.size() << ' ' << t << ' ' << s << ' ' << caught << ' ' << g << ' ' << fib<60>::v; std::cout << o.str() << '\n'; }
C
  $P g++ -std=c++17 -O2 t.cc -o t -pthread && $P ./t; objdump -d t | grep -c call; $P g++ -std=c++17 -fsyntax-only -x c++ - 2>&1 <<<'template<class T> T f(T x) { return x.y; } int main() { return f(1); }' | head -n 2 | tail -n 1; }
c_clang() { printf '#include <stdio.h>\n#include <stdlib.h>\nstruct l { struct l *n; int v; };\nint main(void) { struct l *h = 0; for (int i = 0; i < 99999; i++) { struct l *x = malloc(sizeof *x); x->n = h; x->v = i %% 7; h = x; } long s = 0; for (struct l *p = h; p; p = p->n) s += p->v; printf("%%ld\\n", s); while (h) { struct l *n = h->n; free(h); h = n; } }\n' >t.c
  $P clang -O2 -g t.c -o t && $P ./t; for i in $(seq 1 120); do echo "template<int N> struct s$i { static int f(int x) { return x ? s$i<N-1>::f(x - 1) + N : N; } }; template<> struct s$i<0> { static int f(int) { return $i; } }; int g$i(int x) { return s$i<40>::f(x); }"; done >big.cc; $P clang++ -O2 -c big.cc -o big.o && objdump -d big.o | md5sum; $P clang --analyze -Xclang -analyzer-output=text -x c - -o /dev/null 2>&1 <<<'int f(int *p) { if (!p) return *p; return 0; }' | grep -c warning; }
c_go() { export HOME=$PWD GOPATH=$PWD/gp GOCACHE=$PWD/gc GOFLAGS=-mod=mod GO111MODULE=off CGO_ENABLED=1; cat >m.go <<'G'
package main
/*
#include <stdlib.h>
#include <string.h>
static int length(const char *s) { char *c = strdup(s); int n = (int)strlen(c); free(c); return n; }
*/
import "C"
import ("fmt"; "sync"; "unsafe")
func main() { var w sync.WaitGroup; var mu sync.Mutex; total := 0
	for g := 0; g < 16; g++ { w.Add(1); go func(g int) { defer w.Done(); for i := 0; i < 1500; i++ { s := C.CString(fmt.Sprint("text ", i*g)); n := int(C.length(s)); C.free(unsafe.Pointer(s)); mu.Lock(); total += n; mu.Unlock() } }(g) }
	w.Wait(); m := map[int][]byte{}; for i := 0; i < 30000; i++ { m[i] = make([]byte, i%99) }; fmt.Println(total, len(m)) }
G
  $P go build -p 2 -o m m.go 2>&1 | head -n 3; $P ./m; $P gofmt m.go | md5sum; }
c_ghc() { printf 'module Main where\nimport qualified Data.Map as M\nimport Control.Concurrent\nmain :: IO ()\nmain = do\n  let m = M.fromList [(show i, i) | i <- [1 .. 40000 :: Int]]\n  vs <- mapM (\\k -> do { v <- newEmptyMVar; _ <- forkIO (putMVar v (sum [i * k | i <- [1 .. 20000]])); pure v }) [1 .. 6 :: Int]\n  rs <- mapM takeMVar vs\n  print (M.size m, sum (M.elems m), rs)\n' >M.hs; $P ghc -v0 -O1 -threaded -rtsopts M.hs -o m 2>&1 | head -n 3; $P ./m +RTS -N2; echo "exit $?"; }
c_ocaml() { printf 'let () = let h = Hashtbl.create 9 in for i = 1 to 60000 do Hashtbl.replace h (string_of_int i) (Bytes.make (i mod 50) (Char.chr 120)) done; Gc.compact (); Printf.printf "%%d %%d\\n" (Hashtbl.length h) (Hashtbl.fold (fun _ b n -> n + Bytes.length b) h 0); let a = Array.init 50000 (fun i -> i * 7919 mod 10007) in Array.sort compare a; Printf.printf "%%d\\n" a.(777)\n' >m.ml; $P ocamlopt m.ml -o m 2>&1 | head -n 3; $P ./m; $P ocaml m.ml; }
c_rustc() { cat >m.rs <<'R'
use std::collections::{BTreeMap, HashMap}; use std::sync::{mpsc, Arc, Mutex}; use std::thread;
fn main() { let (tx, rx) = mpsc::channel::<Box<[u64]>>(); let m = Arc::new(Mutex::new(BTreeMap::new()));
  let ts: Vec<_> = (0..6u64).map(|n| { let (tx, m) = (tx.clone(), m.clone()); thread::spawn(move || for i in 0..800 { tx.send(vec![i * n; (i % 60) as usize].into_boxed_slice()).unwrap(); m.lock().unwrap().insert(format!("k{}", i * n), vec![n; 5]); }) }).collect();
  drop(tx); let s: u64 = rx.iter().map(|b| b.iter().sum::<u64>()).sum(); for t in ts { t.join().unwrap() } let h: HashMap<_, _> = (0..40000).map(|i| (i, i.to_string())).collect(); println!("{} {} {}", s, m.lock().unwrap().len(), h.values().map(|v| v.len()).sum::<usize>()); }
R
  $P rustc -O m.rs -o m 2>&1 | head -n 3; $P ./m; echo "exit $?"; }

# -- media, documents --

c_ffmpeg() { $P ffmpeg -v error -f lavfi -i testsrc2=size=320x240:rate=25:duration=3 -f lavfi -i sine=frequency=440:duration=3 -filter_complex '[0:v]hue=s=0,scale=160:120[v]' -map '[v]' -map 1:a -c:v mpeg4 -threads 3 -c:a aac -flags +bitexact -fflags +bitexact -y o.mkv; echo "status $?"; $P ffmpeg -v error -threads 2 -i o.mkv -map 0:v -f framemd5 -bitexact - | md5sum; $P ffprobe -v error -show_entries stream=codec_name,width,height -of csv o.mkv; }
c_ffmpeg_x264() { $P ffmpeg -v error -f lavfi -i mandelbrot=size=320x240:rate=25 -t 1.2 -c:v libx264 -preset medium -threads 3 -x264-params log-level=none -flags +bitexact -fflags +bitexact -y o.mp4; echo "status $?"; $P ffmpeg -v error -threads 3 -i o.mp4 -f framemd5 -bitexact - | md5sum; }
c_imagemagick() { export MAGICK_THREAD_LIMIT=3; $P convert -size 300x300 plasma:red-blue -seed 5 -depth 8 rgb:/dev/null; $P convert -size 320x240 gradient:red-blue -swirl 90 -blur 0x3 -resize 150% -rotate 30 -font DejaVu-Sans -pointsize 24 -annotate +40+80 text -depth 8 -quality 90 o.png && $P identify -format '%w %h %#\n' o.png; $P convert o.png -colors 32 o.gif; $P convert o.gif -depth 8 rgb:- | md5sum; $P montage o.png o.gif -geometry 90x90+2+2 -depth 8 rgb:- | md5sum; $P convert no-such.png x.png 2>&1 | grep -c 'unable to open'; }
c_ghostscript() { printf '%%!PS\n/Helvetica findfont 20 scalefont setfont 0 1 90 { dup 5 mul 72 add exch dup 8 mul 50 add exch 3 copy pop moveto (line ) show 10 string cvs show pop } for showpage 0 1 200 { 3 mul dup 0 exch 300 exch moveto lineto stroke } for showpage\n' >a.ps; $P gs -q -dNOPAUSE -dBATCH -sDEVICE=ppmraw -r50 -sOutputFile=o%d.ppm a.ps; echo "exit $?"; md5sum <o1.ppm; $P gs -q -dNOPAUSE -dBATCH -sDEVICE=pdfwrite -sOutputFile=o.pdf a.ps; $P pdftotext o.pdf - | md5sum; $P pdftoppm -r 40 o.pdf p; md5sum <p-1.ppm; $P pdfinfo o.pdf | grep Pages; }
c_gnuplot() { export HOME=$PWD; $P gnuplot -e 'set terminal svg; set output "o.svg"; set samples 2000; splot [-3:3] [-3:3] sin(x)*cos(y) with lines; set output "p.svg"; plot for [i=1:20] sin(x*i)/i title sprintf("%d", i)'; cat o.svg p.svg | md5sum; }
c_sox() { $P sox -R -n -r 16000 o.wav synth 3 sine 300-3300 gain -3 reverb flanger rate 22050 2>&1; $P sox o.wav -t raw - tempo 1.3 | md5sum; $P soxi -D o.wav; }

# -- a desktop: what a window shows is compared by its title, its size and what the program prints at its end --

c_xterm() { with_x 61 xterm; }
c_zenity() { with_x 62 zenity; }
c_calculator() { with_x 63 calculator; }
c_gtk_python() { with_x 64 gtk_python; }
with_x() { local pid display=:$1 i; export HOME=$PWD XDG_RUNTIME_DIR=$PWD GSETTINGS_BACKEND=memory NO_AT_BRIDGE=1 GTK_A11Y=none DISPLAY=$display; Xvfb $display -screen 0 800x600x24 -nolisten tcp >/dev/null 2>&1 & pid=$!; for i in $(seq 200); do xdpyinfo >/dev/null 2>&1 && break; sleep 0.05; done; "x_$2"; kill $pid; wait $pid 2>/dev/null
  for i in /proc/[0-9]*; do [[ $i != /proc/$$ ]] && grep -zqsx "XDG_RUNTIME_DIR=$PWD" "$i/environ" && grep -qs '^Name:.*\(dbus\|at-spi\|dconf\)' "$i/status" && kill "${i#/proc/}"; done 2>/dev/null; return 0; } # buses outlive their session
x_xterm() { local pid; $P xterm -fa Monospace -T title-of-it -geometry 80x24 -e sh -c 'for i in $(seq 1 3000); do echo line $i; done; stty size >size; read -r x; echo "read $x" >got; sleep 1; exit 3' 2>err & pid=$!
  xdotool search --sync --onlyvisible --name title-of-it >/dev/null; for _ in $(seq 300); do [[ -s size ]] && break; sleep 0.05; done; cat size; xdotool search --name title-of-it windowfocus type hello; xdotool search --name title-of-it key Return; wait $pid; echo "exit $?"; cat got; }
x_zenity() { local pid; seq 1 400 | sed 's/^/row /' | $P dbus-run-session -- zenity --list --title=list-of-it --column=c --height=300 >out 2>err & pid=$!; xdotool search --sync --onlyvisible --name list-of-it >/dev/null; sleep 0.7; xdotool search --name list-of-it windowfocus key Down Down Return; for i in $(seq 300); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done; xdotool search --name list-of-it windowclose 2>/dev/null; wait $pid; echo "exit $?"
  for i in $(seq 0 5 100); do echo "$i"; sleep 0.02; done | $P dbus-run-session -- zenity --progress --auto-close --title=p 2>>err; echo "exit $?"; grep -ciE 'critical|assert' err; }
x_calculator() { $P gnome-calculator --solve='sqrt(2)*100!/99!' 2>/dev/null; local pid; $P dbus-run-session -- gnome-calculator 2>err >out & pid=$!; xdotool search --sync --onlyvisible --name Calculator >/dev/null; sleep 1; xdotool search --onlyvisible --name Calculator windowfocus type '12*12'; xdotool key Return; sleep 0.5; xdotool search --onlyvisible --name Calculator key ctrl+q; sleep 0.5; kill $pid 2>/dev/null; wait $pid 2>/dev/null; grep -ciE 'critical|assert' err; }
x_gtk_python() { $P dbus-run-session -- /usr/bin/python3 -c '
import gi; gi.require_version("Gtk", "3.0"); from gi.repository import Gtk, GLib, Gio, Pango
w = Gtk.Window(title="w"); s = Gtk.ListStore(int, str); [s.append([i, "row %d" % i]) for i in range(5000)]; v = Gtk.TreeView(model=s); [v.append_column(Gtk.TreeViewColumn(str(k), Gtk.CellRendererText(), text=k)) for k in (0, 1)]
t = Gtk.TextView(); t.get_buffer().set_text("text " * 20000); b = Gtk.Box(); sc = Gtk.ScrolledWindow(); sc.add(v); s2 = Gtk.ScrolledWindow(); s2.add(t); b.pack_start(sc, True, True, 0); b.pack_start(s2, True, True, 0); w.add(b); w.set_default_size(500, 400); w.show_all()
n = [0]
def tick():
    n[0] += 1; s[n[0]][1] = "changed %d" % n[0]; v.scroll_to_cell(Gtk.TreePath(n[0] * 9), None, False, 0, 0); t.get_buffer().insert_at_cursor("more %d\n" % n[0])
    if n[0] % 20 == 0: d = Gtk.Dialog(title="d", transient_for=w); d.get_content_area().add(Gtk.Label(label="x" * 50)); d.show_all(); GLib.timeout_add(30, d.destroy)
    if n[0] == 150: print(w.get_size().width, len(s), s[77][1], t.get_buffer().get_char_count()); Gtk.main_quit()
    return n[0] < 150
GLib.timeout_add(4, tick); Gtk.main(); w.destroy(); print("ended")' 2>err; echo "exit $?"; grep -ciE 'critical|assert' err; }

export -f with_x x_xterm x_zenity x_calculator x_gtk_python # run.sh exports the cases only

# -- tools --

c_rsync() { mkdir a; for i in $(seq 1 800); do seq "$i" $((i + 90)) >"a/f$i"; done; $P rsync -az a/ b/ && diff -r a b && echo same; for i in $(seq 1 9 800); do echo more >>"a/f$i"; done; rm a/f5; local pid; printf 'use chroot = no\nport = 18051\naddress = 127.0.0.1\n[m]\npath = %s/a\nuid = root\n' "$PWD" >c; chmod 644 c; $P rsync --daemon --no-detach --config=c >log 2>&1 & pid=$!; wait_port 18051; $P rsync -ac --no-times --delete --stats rsync://127.0.0.1:18051/m/ b/ | grep -E '^(Number of (regular|deleted)|Total file)'; diff -r a b && echo same; kill $pid; wait $pid; echo "exit $?"; }
c_tmux() { local t="tmux -S $PWD/s -f /dev/null"; shows() { for _ in $(seq 200); do $t capture-pane -p -t "$1" | grep -q "$2" && break; sleep 0.05; done; }
  $P $t new-session -d -x 80 -y 24 'sh -c "seq 1 3000; echo end; exec cat"'; shows :0 ^end; $t capture-pane -p | grep -B 1 ^end; for i in 1 2 3; do $t split-window "seq 1 2000; exec cat"; $t select-layout tiled; shows :0 ^2000; done; $t list-panes -F '#{pane_width}x#{pane_height}'
  $t send-keys 'typed text' Enter; shows :0 'typed text'; $t capture-pane -p | grep 'typed text' | sort -u; $t new-window -n w 'exec cat'; $t list-windows -F '#{window_name}' | tail -n 1; $t kill-server; echo "exit $?"; }
c_gdb() { printf 'struct n { struct n *next; int v; };\nint f(struct n *p) { return p ? p->v + f(p->next) : 0; }\nint main(void) { struct n a = { 0, 1 }, b = { &a, 2 }, c = { &b, 4 }; return f(&c); }\n' >t.c; gcc -g -O0 t.c -o t; $P gdb -nx -batch -ex 'set debuginfod enabled off' -ex 'break f if p && p->v == 1' -ex run -ex bt -ex 'print *p' -ex finish -ex continue ./t 2>&1 | grep -vE '^warning|^\[Thread|^Using host|process' | sed 's/0x[0-9a-f]*/ADDRESS/g'; $P gdb -nx -batch -ex 'python print(sum(len(str(i)) for i in range(20000)))' -ex 'ptype struct n' -ex 'info functions main' ./t 2>&1 | md5sum; }
c_gpg() { export GNUPGHOME=$PWD/g; mkdir -m 700 g; $P gpg --batch -q --passphrase '' --quick-generate-key 'a <a@b>' ed25519 sign never 2>/dev/null; echo "key $?"; seq 1 60000 >f; $P gpg --batch -q --sign -o f.gpg f 2>/dev/null && $P gpg -q --batch -d f.gpg 2>/dev/null | md5sum; $P gpg --batch -q --passphrase x --pinentry-mode loopback --symmetric -o f.sym f && $P gpg -q --batch --passphrase x --pinentry-mode loopback -d f.sym 2>/dev/null | md5sum; gpgconf --kill all; }
c_archivers() { seq 1 400000 >f; $P zstd -q -T3 -12 f -o f.zst && $P zstd -dc f.zst | md5sum; $P pigz -k -p 3 f && $P pigz -dc f.gz | md5sum; $P 7z a -bd -mmt=3 x.7z f >/dev/null && $P 7z t x.7z | grep -c Everything; $P tar -I 'zstd -T2' -cf x.tar.zst f && $P tar -I zstd -tf x.tar.zst; }
c_small_tools() { echo "2^3000 % 1000003; scale=60; a(1)*4" | $P bc -l | tail -n 1; seq 1 200000 | $P gawk '{ a[$1 % 5003] = a[$1 % 5003] $1; n += length(a[$1 % 5003]) } END { print n, length(a); PROCINFO["sorted_in"] = "@ind_num_asc"; for (i in a) { print i, length(a[i]); if (k++ > 3) break } }'; seq 1 900 | $P xargs -P 3 -n 9 echo | sort -n | md5sum; $P find /usr/share/doc -name 'copyright' -newermt 2000-01-01 -printf x | tr -d '\n' | wc -c | awk '{ print $1 > 100 }'; }
c_systemd() { mkdir -p u; printf '[Unit]\nDescription=d\nAfter=x.service\n[Service]\nExecStart=/bin/true\n' >u/y.service; $P systemd-analyze calendar --iterations=5 --base-time='2020-01-01 00:00:00 UTC' 'Mon..Fri *-*-01/2 10:00' 2>/dev/null | grep -v 'From now' | md5sum; $P systemd-escape -p /a/b-c/d; $P systemd-analyze timespan '1h 30min 7us' | head -n 3; $P systemd-id128 -a 00000000000000000000000000000001 -p show 2>/dev/null | head -n 1; $P systemd-analyze verify "$PWD/u/y.service" 2>&1 | grep -c y.service; $P systemd-path 2>/dev/null | wc -l; $P busctl --version | head -n 1; }
