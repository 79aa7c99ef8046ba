#!/bin/bash
# The report of a whole run (cgc run --mode=report), and what running programs answer to cgc leaks, show, snapshot and diff. The program runs as a
# child of cgc then: output, status, signals and job control must be as without it.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD NO_COLOR
cd "$T" || exit 1
mkdir -m 700 run
export XDG_RUNTIME_DIR=$PWD/run TMPDIR=$T
cat >loser.c <<'C'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void scrub(void) { volatile char b[8192]; memset((void *)b, 0, sizeof b); }
__attribute__((noinline)) void lose_pairs(int n)
{
	for (int i = 0; i < n; i++) {
		void *volatile *p = malloc(48);
		*p = malloc(112);
	}
}
__attribute__((noinline)) void lose_more(int n) { for (int i = 0; i < n; i++) memset(malloc(1000), 1, 999); }
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
static volatile sig_atomic_t heard;
static void hear(int s) { heard = s; }
int main(int argc, char **argv)
{
	char byte;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		if (!strncmp(a, "pairs=", 6)) lose_pairs(atoi(a + 6));
		if (!strncmp(a, "more=", 5)) lose_more(atoi(a + 5));
		if (!strncmp(a, "status=", 7)) return atoi(a + 7);
		if (!strcmp(a, "abort")) abort();
		if (!strcmp(a, "kill")) raise(SIGKILL);
		if (!strcmp(a, "fork") && !fork()) { lose_more(50); scrub(); return 5; }
		if (!strcmp(a, "wait")) wait(0);
		if (!strcmp(a, "check") && __lsan_do_recoverable_leak_check) __lsan_do_recoverable_leak_check();
		if (!strcmp(a, "hear")) { signal(SIGUSR1, hear); puts("ready"); fflush(stdout); while (!heard) pause(); printf("heard %d\n", heard); }
		if (!strcmp(a, "read") && (puts("ready"), fflush(stdout), read(0, &byte, 1) < 0)) return 9;
		if (!strcmp(a, "slowly")) for (int k = 0; k < 5; k++) { lose_pairs(20); scrub(); usleep(700000); }
		scrub();
	}
	return 0;
}
C
${CC:-cc} -g -O1 loser.c -o loser || { bad "the program compiles"; finish; }

# report STATUS TEXT ARGUMENTS...: cgc run's exit status, TEXT on standard error.
report() {
  local status=$1 text=$2 got=0
  shift 2
  timeout 60 "$cgc" run --mode=report "$@" >out 2>err </dev/null || got=$?
  if ((got == status)) && grep -qE -- "$text" err; then ok "run ${*}: $text"
  else bad "run $*: exit $got (not $status), no \"$text\": $(head -c 400 out err | tr '\n' '~')"; fi
}

# -- the report of a run --
report 0 '^cgc: 1 leak, .* pid [0-9]+  \./loser$' -- ./loser pairs=100
grep -qE '^      lose_pairs +loser\.c:1[0-9]' err && ok "names and lines" || bad "no name: $(cat err)"
[[ ! -s out ]] && ok "nothing on standard output" || bad "standard output: $(cat out)"
report 7 'lose_more' -- ./loser more=20 status=7
report 23 'lose_more' --exitcode=23 -- ./loser more=20 status=7
report 0 '^cgc: no leaks in ' --exitcode=23 -- ./loser
report 0 '^cgc: [0-9]+ leaks?, .* 2 processes  \./loser$' --exitcode=23 -- ./loser fork wait
grep -q 'in 1 of 2 processes' err && ok "a child's leak is told as the child's" || bad "$(cat err)"
# Each check leaves a snapshot; what the process lost counts once, by the newest of them, also where a signal ends it before its report.
report 0 '^cgc: 1 leak, .* in 7 blocks .* pid [0-9]+  \./loser$' -- ./loser more=3 check check more=4 check
report 137 '^cgc: 1 leak, .* in 7 blocks .* pid [0-9]+  \./loser$' -- ./loser more=3 check more=4 check kill
report 143 'ended by signal 15 \(Terminated\) and left no report: --report_on=signal makes one' -- bash -c './loser more=9; kill $$'
report 137 'the program was killed and left no report: .*: what its other processes left follows' -- bash -c './loser more=9; kill -9 $$'
timeout 60 "$cgc" run --mode=report --report=report.txt -- ./loser pairs=100 2>err; [[ ! -s err ]] && grep -q lose_pairs report.txt && ok "--report=FILE" || bad "--report: $(cat err)"
timeout 60 "$cgc" run --mode=report --log_path=log.%p -- ./loser pairs=100 2>err; grep -q lose_pairs log.[0-9]* && [[ ! -s err ]] && ok "log_path gets the report" || bad "log_path: $(cat err; ls)"
timeout 60 "$cgc" run --mode=report --report-format=lsan -- ./loser pairs=100 2>err; python3 "$here/lsan_grammar.py" err >out 2>&1 && ok "lsan: $(tail -n 1 out)" || bad "lsan: $(cat out err)"
timeout 60 "$cgc" run --mode=report --report-format=json -- ./loser pairs=100 2>err; python3 -c 'import json, sys; r = json.load(open("err")); sys.exit(r["totals"]["definite"]["blocks"] < 95 or not r["complete"])' && ok "json" || bad "json: $(head -c 300 err)"
printf 'leak:loser.c\n' >s; report 0 '^cgc: no leaks' --exitcode=23 --suppressions=s -- ./loser more=20
printf 'leek:x\n' >s; "$cgc" run --mode=report --suppressions=s -- touch started 2>err; [[ $? == 2 && ! -e started ]] && grep -q 's, line 1' err && ok "a bad suppression starts nothing" || bad "$(cat err)"
grep -q 'cgc show' report.txt && bad "the report of a run asks for files that are gone" || ok "whole stacks, because nobody can be asked later"
"$cgc" run --mode=report --report-format=xml -- touch started 2>err; [[ $? == 2 && ! -e started ]] && grep -q 'text|lsan|json' err && ok "a bad --report-format starts nothing" || bad "$(cat err)"
mkdir kept; timeout 60 "$cgc" run --mode=report --snapshot_dir="$PWD/kept" -- ./loser fork wait more=10 2>err; set -- kept/*.cgc
[[ $# == 2 && ! -s err ]] && ok "snapshot_dir: the files stay, nothing is printed" || bad "snapshot_dir: $* $(cat err)"
"$cgc" leaks kept/*.cgc >out 2>err && grep -q '2 processes' out && ok "cgc leaks merges them" || bad "kept: $(cat out err)"
compgen -G "$T/cgc-report.*" >/dev/null && bad "a folder was left: $(ls -d cgc-report.*)" || ok "no folder is left"

# -- as if the program ran alone --
"$cgc" run --mode=report -- sh -c 'exit 300' 2>/dev/null; (($? == 44)) && ok "status modulo 256" || bad "status of exit 300"
{ bash -c "\"$cgc\" run --mode=report -- ./loser abort"; } >out 2>err; (($? == 134)) && ok "ends by the program's signal" || bad "abort: $?"
printf 'one\ntwo' | "$cgc" run --mode=report -- cat 2>/dev/null >out; [[ $(cat out) == $'one\ntwo' ]] && ok "standard input and output" || bad "cat: $(cat out)"
python3 - "$cgc" <<'P' >out 2>&1
import os, signal, subprocess, sys, time
cgc = sys.argv[1]
def start(*words):
    p = subprocess.Popen([cgc, "run", "--mode=report", "--", "./loser", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, process_group=0)
    assert p.stdout.readline() == b"ready\n"
    return p
def claim(what, ok):
    print("ok   " if ok else "FAIL ", what)
def state(pid, options):
    for _ in range(300):
        got, status = os.waitpid(pid, options | os.WNOHANG)
        if got: return status
        time.sleep(0.1)
    return None
p = start("hear"); p.send_signal(signal.SIGUSR1)
claim("a signal is passed on", p.stdout.readline() == b"heard 10\n" and p.wait(30) == 0)
p = start("read"); p.send_signal(signal.SIGTERM)
claim("the signal that ended it ends cgc", p.wait(30) == -signal.SIGTERM)
p = start("read"); os.killpg(p.pid, signal.SIGTSTP)
s = state(p.pid, os.WUNTRACED)
claim("^Z stops both", s is not None and os.WIFSTOPPED(s))
os.killpg(p.pid, signal.SIGCONT)
s = state(p.pid, os.WCONTINUED)
p.stdin.write(b"x"); p.stdin.close()
claim("fg goes on", p.wait(30) == 0)
p = start("read"); inner = int(subprocess.check_output(["pgrep", "-P", str(p.pid)]))
os.kill(inner, signal.SIGSTOP); time.sleep(0.3); os.kill(inner, signal.SIGCONT)
p.stdin.write(b"x"); p.stdin.close()
claim("who stops and continues the program alone is not in our way", p.wait(30) == 0)
P
while read -r word text; do case $word in ok) ok "$text" ;; FAIL) bad "$text" ;; *) bad "signals: $word $text" ;; esac; done <out
(trap '' TERM; "$cgc" run --mode=report -- grep SigIgn /proc/self/status >out 2>/dev/null); trap_bits=$((0x$(awk '{ print $2 }' out)))
(((trap_bits >> 14) & 1)) && ok "what is ignored stays ignored" || bad "SIGTERM: $(cat out)"
"$cgc" run --mode=report -- grep SigIgn /proc/self/status 2>/dev/null | awk '{ print $2 }' >out; plain 20 grep SigIgn /proc/self/status | awk '{ print $2 }' | cmp -s - out && ok "nothing else is ignored" || bad "SigIgn: $(cat out)"
"$cgc" run --mode=report -- grep SigBlk /proc/self/status 2>/dev/null | awk '{ print $2 }' >out; plain 20 grep SigBlk /proc/self/status | awk '{ print $2 }' | cmp -s - out && ok "nothing is blocked" || bad "SigBlk: $(cat out)"

# -- a running program --
mkfifo in
"$cgc" run --mode=report --interval=1 -- ./loser pairs=100 read more=40 slowly read >said 2>err <in &
job=$!
exec 7>in
for _ in $(seq 100); do grep -q ready said && break; sleep 0.1; done
pid=$("$cgc" list | awk '/loser/ { print $1 }')
if [[ -n $pid ]]; then
  timeout 60 "$cgc" leaks "$pid" >out 2>err2 && grep -q "lose_pairs" out && grep -q "pid $pid" out && ok "cgc leaks PID" || bad "leaks: $(cat out err2)"
  timeout 60 "$cgc" snapshot "$pid" --blocks -o first.cgc && [[ $(stat -c %a first.cgc) == 600 ]] && ok "cgc snapshot" || bad "snapshot: $(ls -l first.cgc)"
  id=$("$cgc" leaks first.cgc | sed -n 's/.* definite .*id \([0-9a-f]*\)$/\1/p' | head -n 1)
  timeout 60 "$cgc" show "$pid" "$id" >out 2>err2 && grep -q '^  blocks$' out && grep -qE '^    0x[0-9a-f]+ +[0-9]+ B  definite' out && ok "cgc show PID SITE" || bad "show: $(cat out err2)"
  timeout 60 "$cgc" why "$pid" "$id" >out 2>err2 && [[ -s out ]] && ok "cgc why PID SITE: $(head -n 1 out)" || bad "why: $(cat out err2)"
  grep -qE 'allocated by lose_pairs < main < [_a-z]+, loser\.c:1[0-9]\)' out && ok "and who allocated it" || bad "why: $(cat out)"
  timeout 60 "$cgc" why --symbolizer=tables "$pid" "$id" | grep -qE 'allocated by lose_pairs < main < [_a-z]+, loser\+0x[0-9a-f]+\)' && ok "by the tables alone" || bad "why, tables"
  echo -n x >&7
  for _ in $(seq 100); do (($(grep -c ready said) == 2)) && break; sleep 0.1; done
  timeout 60 "$cgc" diff --fail-on-new first.cgc "$pid" >out 2>err2; (($? == 1)) && grep -q '^new ' out && grep -q lose_more out && ok "cgc diff FILE PID" || bad "diff: $(cat out err2)"
  for _ in $(seq 30); do timeout 60 "$cgc" leaks --since 1m "$pid" >out 2>err2; grep -q lose_pairs out && break; sleep 0.5; done
  grep -q lose_pairs out && grep -qE '\+[0-9.]+ KiB in [0-9]+ s' out && ok "cgc leaks --since" || bad "since: $(cat out err2)"
  timeout 60 "$cgc" snapshot "$pid" -o /dev/full 2>err2; (($? == 2)) && grep -q "can't be written" err2 && ok "a full device" || bad "full: $(cat err2)"
else bad "cgc list does not show the program"; fi
echo -n x >&7
exec 7>&-
wait "$job"; grep -q lose_more err && ok "and its report at the end" || bad "at the end: $(cat err)"
finish
