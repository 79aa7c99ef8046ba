#!/bin/bash
# Programs that go on where nobody waits for them: daemons, workers of a server that root started, the main thread gone. What they lose must be told
# by somebody, once, and they can be asked.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD NO_COLOR XDG_RUNTIME_DIR
cd "$T" || exit 1
mkdir -m 1777 tmp && chmod 1777 tmp
export TMPDIR=$T/tmp
cat >goer.c <<'C'
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *held[100], *kept;
static void scrub(void) { volatile char b[8192]; memset((void *)b, 0, sizeof b); }
/* What was allocated last may stand in a register for long: that one is no leak anyway. */
__attribute__((noinline)) void before(void) { for (int i = 0; i < 100; i++) held[i] = malloc(300); kept = malloc(300); }
__attribute__((noinline)) void after(void) { for (int i = 0; i < 5; i++) { void *volatile p = malloc(55); p = 0; (void)p; } }
static void wait_for(const char *name) { for (int i = 0; i < 600 && access(name, F_OK); i++) usleep(50000); }
static void say(const char *name)
{
	char temporary[64];
	snprintf(temporary, sizeof temporary, "%s.new", name);
	int fd = open(temporary, O_CREAT | O_WRONLY | O_TRUNC, 0666);
	dprintf(fd, "%d\n", getpid());
	close(fd);
	rename(temporary, name);
}
/* The part that goes on. */
static int go_on(void)
{
	memset(held, 0, sizeof held);
	after();
	scrub();
	say("ready");
	wait_for("end");
	return 0;
}
static void *last(void *unused) { usleep(100000); return unused; }
int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t t;
	before();
	if (!strcmp(how, "daemon")) return daemon(1, 1) ? 9 : go_on();
	if (!strcmp(how, "twice")) { if (fork()) return 0; setsid(); return fork() ? 0 : go_on(); }
	if (!strcmp(how, "worker")) { if (!fork()) return go_on(); wait(NULL); return 0; }
	if (!strcmp(how, "user")) { if (!fork()) return setgid(65534) || setuid(65534) ? 9 : go_on(); wait(NULL); return 0; }
	if (!strcmp(how, "thread")) { after(); scrub(); pthread_create(&t, NULL, last, NULL); pthread_detach(t); pthread_exit(NULL); }
	if (!strcmp(how, "title")) { if (fork()) return 0; for (char **e = environ; *e; e++) memset(*e, 0, strlen(*e)); return go_on(); }
	if (!strcmp(how, "left")) { if (!fork()) { setsid(); return go_on(); } return 0; }
	return 9;
}
C
${CC:-cc} -g -O1 -D_GNU_SOURCE goer.c -o goer -pthread || { bad "the program compiles"; finish; }
chmod 777 .

# begin HOW COMMAND...: starts it in the background; $pid is who goes on.
begin() {
  rm -f ready end
  timeout -k 3 60 "${@:2}" ./goer "$1" >out 2>err &
  job=$!
  for _ in {1..200}; do [[ -s ready ]] && break; sleep 0.05; done
  pid=$(cat ready 2>/dev/null)
}
# over: it ends, and is gone.
over() {
  touch end
  wait "$job"
  for _ in {1..200}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
}
preloaded=(env "LD_PRELOAD=$LIB" "CGC_OPTIONS=mode=report:listen=1:log_path=$T/log.%p")
# asked TEXT [OPTIONS]: the answer of cgc leaks, once the process listens (a child begins 200 ms after its birth).
asked() {
  for _ in {1..60}; do timeout 30 "$cgc" leaks "$pid" >answer 2>&1 && break; sleep 0.1; done
  grep -q "$1" answer
}

# -- daemons: what the program had before it became one is lost in the daemon, and nobody else is there to tell --
for how in daemon twice; do
  begin $how "${preloaded[@]}"
  asked '^cgc: 2 leaks, .* in 105 blocks' && ok "$how, asked: what was made before is told" || bad "$how, asked: $(head -n 2 answer)"
  over
  grep -q '^cgc: 2 leaks, .* in 105 blocks' "log.$pid" && ok "$how, at its end, too" || bad "$how, at its end: $(head -n 2 "log.$pid")"
done
begin worker "${preloaded[@]}"
asked '^cgc: 2 leaks, .* in 105 blocks' && ok "a worker that is asked tells all that is lost in it" || bad "worker, asked: $(head -n 2 answer)"
over
grep -q '^cgc: 1 leak, .* in 5 blocks' "log.$pid" && ok "at its end only what it made: its parent lives" || bad "worker, at its end: $(head -n 2 "log.$pid")"

# -- workers of another user --
if ((EUID == 0)); then
  begin user "${preloaded[@]}"
  asked '^cgc: 2 leaks' && ok "a worker that is another user can be asked" || bad "another user: $(head -n 2 answer)"
  [[ $(stat -c '%u %a' tmp/cgc-65534) == "65534 700" ]] && ok "by a folder of that user" || bad "folders: $(ls -l tmp)"
  "$cgc" list >list.out 2>&1
  grep -qE "^ *$pid +report .*goer" list.out && ok "cgc list shows it" || bad "cgc list: $(cat list.out)"
  over
  begin user "$cgc" run --mode=report --
  over
  grep -q '^cgc: [0-9]* leaks\?, .* 2 processes ' err && [[ $(grep -c '^cgc:' err) == 1 ]] && ok "and is in the report of the whole run" || bad "the run's report: $(cat err)"
  [[ -z $(ls tmp | grep report) ]] && ok "whose folder is gone" || bad "folders: $(ls -lR tmp)"
else skip "another user: only root can"; fi

# -- who is left when a run ends is told of; who writes over its environment, too --
for how in left title; do
  begin $how "$cgc" run --mode=report --
  wait "$job"
  [[ $(cat err) == *"cgc: process $pid of it runs on and is not in the report: \`cgc leaks $pid\` asks it" ]] && ok "$how: told by the run" || bad "$how ($pid): $(cat err)"
  asked '^cgc: 2 leaks' && ok "$how: and it answers" || bad "$how, asked: $(head -n 2 answer)"
  over
done
timeout 60 "$cgc" run --mode=report -- true 2>err && [[ $(grep -c ^cgc: err) == 1 ]] && ok "nobody else is told of" || bad "of true: $(cat err)"

# -- the main thread has ended --
under 60 "mode=report:listen=1" ./goer thread >out 2>err
grep -qE '^cgc: 1 leak, .* pid [0-9]+  .*goer thread$' err && ok "the main thread ended: the report has the program's name" || bad "main thread: $(cat err)"
finish
