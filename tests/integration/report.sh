#!/bin/bash
# What mode=report says, when, and where to: text to the letter, each way to end, suppressions, snapshot files, children, and what must
# not change by it: the program's output, its order, its status, its end by a signal.
set -u
. "$(dirname "$0")/lib.sh"
ends=$(program ends)
cd "$T" || exit 1

# run NAME OPTIONS ARGS...: output to NAME.out, lines to NAME.err, status to $status. Without core files.
run() {
  local name=$1 options=$2
  shift 2
  (ulimit -c 0; under 30 "mode=report:$options" "$ends" "$@" >"$name.out" 2>"$name.err") 2>/dev/null # the shell tells of signals
  status=$?
}
# The words of a report that are not the same in each run: pid, id, the path of the program.
plainly() { sed -E "s|pid [0-9]+|pid P|; s|id [0-9a-f]{16}|id I|; s|[^ ]*/ends|ends|g; s|\+0x[0-9a-f]+|+O|" "$1" | grep -vE '^      '; }
two_leaks='cgc: 2 leaks, 428 bytes in 7 blocks (definite 332 bytes, indirect 96 bytes)MOMENT   pid P  ends ARGS
#1  300 bytes  3 blocks  definite: no pointer leads to it  id I
#2  128 bytes  4 blocks  definite: no pointer leads to it, with 96 bytes in 3 blocks that hang off it  id I'
expected() { sed "s|MOMENT|$1|; s|ARGS|$2|" <<<"$two_leaks"; }

# -- a process that lost nothing is asked with few roots, without a stop; one that did gets a cycle. A child of fork, too --
few=$(python3 -c 'import fcntl, struct
with open("/proc/self/maps") as f: fcntl.ioctl(f, 0xC0686611, struct.pack("<13Q", 104, 0, id(f), *[0] * 10))' 2>&1) ||
  few="the kernel tells of no single mapping"
grep -q '^Seccomp:.*[12]' /proc/self/status && few="a filter of system calls"
if [[ -n $few ]]; then skip "few roots: $few"
else
  # cycles NAME COMMAND...: of each process, by number
  cycles() { rm -f "$1".log.*; under 30 "mode=report:stats=1:${sample:-}log_path=$T/$1.log.%p" "${@:2}" >/dev/null 2>&1; cat "$1".log.* | sed -n 's/^cycles //p' | sort -n | tr '\n' ' '; }
  [[ $(cycles true true) == "0 " && $(cat true.log.*) == "cgc: no leaks"* ]] && ok "what lost nothing takes no cycle" || bad "true: $(cycles true true) cycles"
  [[ $(cycles leak "$ends" return) == "1 " ]] && ok "a leak takes one" || bad "leak: $(cycles leak "$ends" return) cycles"
  n=$(sample=sample=1g: cycles sampled "$ends" return)
  [[ $n == "0 " ]] && ok "and none, if it is of blocks that were not sampled" || bad "sampled: $n cycles"
  n=$(cycles subshells bash -c 'for i in 1 2 3 4 5; do ( x=$i$i; : "$x" ); done')
  [[ $n == "0 0 0 0 0 "[01]" " ]] && ok "subshells take none" || bad "subshells: $n cycles"
fi

# -- sampled, each process tells of its own: a child of fork has slots at hand that its parent took --
cat >sampled.c <<'C'
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void scrub(void) { volatile char b[8192]; memset((void *)b, 0, sizeof b); }
__attribute__((noinline)) void of_parent(void) { for (int i = 0; i < 3000; i++) { void *volatile p = malloc(100); p = 0; (void)p; } }
__attribute__((noinline)) void of_child(void) { for (int i = 0; i < 3000; i++) { void *volatile p = malloc(100); p = 0; (void)p; } }
int main(void)
{
	of_parent();
	if (!fork()) { of_child(); scrub(); return 0; }
	scrub();
	return wait(NULL) < 0;
}
C
${CC:-cc} -g -O1 sampled.c -o sampled || bad "the sampled program compiles"
under 30 "mode=report:sample=1k:log_path=$T/sampled.log.%p" ./sampled
for of in parent child; do
  log=$(grep -l "of_$of " sampled.log.*)
  blocks=$(sed -n '1s/^cgc: 1 leak, .* in \([0-9,]*\) blocks (definite .*estimated.*/\1/p' "$log" /dev/null | tr -d ,)
  ((blocks > 2000 && blocks < 4000)) && ok "sampled: what the $of lost, about 3,000 blocks" || bad "sampled, $of: $(head -n 3 sampled.log.*)"
done

# -- every way to end: status, output and its order are the program's, the report is there and comes last --
# way MOMENT STATUS OUTPUT ARGS...
way() {
  local moment=$1 want=$2 output=$3 name=${*:4} wrong=""
  run way report_on=exec+signal "${@:4}"
  ((status == want)) || wrong+="status $status, not $want; "
  [[ $(<way.out) == "$output" ]] || wrong+="output: $(tr '\n' '|' <way.out); "
  [[ $(plainly way.err | head -n 3) == "$(expected "$moment" "$name")" ]] || wrong+="lines: $(plainly way.err | tr '\n' '|')"
  [[ -z $wrong ]] && ok "$name" || bad "$name: $wrong"
}
begin_end=$'begin\nend'
for how in return exit _exit quick_exit blocked; do way "" 5 "$begin_end" "$how"; done
way "   at signal 15" 143 "$begin_end" raise 15
way "   at signal 2" 130 "$begin_end" raise 2
way "   at signal 6" 134 "$begin_end" abort
way "   at signal 11" 139 "$begin_end" fault 8
way "   at signal 15" 143 "$begin_end"$'\nhandled' handler 15
way "   at exec" 7 "$begin_end" exec sh -c 'exit 7'
way "" 6 "$begin_end" exec ./not-there

run order "" return
(ulimit -c 0; under 30 mode=report "$ends" return) >order.both 2>&1
[[ $(sed -n '1,2p' order.both) == "$begin_end" && $(sed -n 3p order.both) == cgc:* ]] && ok "the report follows what stdout still held" || bad "order: $(head -n 3 order.both | tr '\n' '|')"
run dtor "" dtor
[[ $(<dtor.out) == $'begin\nend\nlate\nlatest' && $(head -n 1 dtor.err) == *' in 9 blocks '* ]] && ok "what exit handlers and destructors lose is counted" ||
  bad "dtor: $(head -n 1 dtor.err)"
run quiet "" raise 15
((status == 143)) && ! grep -q ^cgc quiet.err && ok "signals are no occasion unless asked for" || bad "quiet: $status $(head -n 1 quiet.err)"
wrong=""
for i in 1 2 3 4 5 6; do
  run churn report_on=signal churn
  [[ $status == 143 && $(<churn.out) == "$begin_end" ]] && grep -qE '^cgc: 2 leaks, .* at signal 15' churn.err || wrong="$status, $(head -n 1 churn.err)"
done
[[ -z $wrong ]] && ok "in the middle of malloc a signal ends the program with a report, a moment later" || bad "churn: $wrong"
run ignored report_on=signal raise 1
((status == 129)) && ok "SIGHUP ends the program as ever" || bad "SIGHUP: status $status"
under 30 mode=report:report_on=signal sh -c 'trap "" TERM; exec "$0" raise 15' "$ends" >ignored.out 2>ignored.err
status=$?
((status == 6)) && ok "an ignored signal stays ignored" || bad "ignored: $status"

# -- exit status --
for how in return exit _exit quick_exit blocked; do
  run code exitcode=23 "$how"
  [[ $status == 23 && $(<code.out) == "$begin_end" ]] && ok "exitcode= on $how" || bad "exitcode= on $how: $status, $(tr '\n' '|' <code.out)"
done
run code exitcode=23 none
((status == 5)) && ok "exitcode= leaves a program without leaks alone" || bad "exitcode= without leaks: $status"
code_of() { # OPTIONS: the status of a shell whose child leaks
  under 30 "mode=report:$1:log_path=$T/code.log" sh -c '"$0" return; echo $?; exit 0' "$ends" | tail -n 1
}
[[ $(code_of exitcode=23) == 5 && $(code_of exitcode=23:exitcode_children=1) == 23 ]] && ok "exitcode= is for the first process only, unless asked" ||
  bad "exitcode= in children: $(code_of exitcode=23) $(code_of exitcode=23:exitcode_children=1)"
under 30 mode=report:exitcode=23:log_path="$T/code.log" env sh -c 'exec "$0" return' "$ends" >/dev/null
(($? == 23)) && ok "who takes the first process over is the first" || bad "exitcode= after exec"

# -- ids: the same in each run, whatever the addresses; others for other places --
ids() { grep -oE 'id [0-9a-f]{16}' "$1"; }
run one "" return
run two "" return
[[ $(ids one.err) == "$(ids two.err)" && $(ids one.err | sort -u | wc -l) == 2 ]] && ok "site ids are stable" || bad "ids: $(ids one.err; ids two.err)"

[[ $(sed -n '/^#1/,/^#2/p' one.err | awk '/^      [a-z_]/ { printf "%s ", $1 }') == "lose main "* ]] && ok "stacks are whole and have names" || bad "stack: $(sed -n '/^#1/,/^#2/p' one.err | tr '\n' '|')"

# -- children --
run fork "" fork
heads=$(grep -c '^cgc: ' fork.err)
grep -q 'cgc: 1 leak, 600 bytes in 2 blocks' fork.err && ((heads == 2)) && ok "a child of fork reports its own leaks, and nothing when it has none" ||
  bad "fork: $(grep '^cgc: ' fork.err | tr '\n' '|')"
mkdir many
run many "snapshot_dir=$T/many" fork
[[ $(ls many | wc -l) == 2 && -z $(ls many | grep -vE '^[0-9]+\.ends\.cgc$') && ! -s many.err ]] && ok "each process leaves a file of its own" || bad "snapshot_dir: $(ls many | tr '\n' ' '), $(head -n 1 many.err)"
mkdir again
under 30 "mode=report:report_on=exec:snapshot_dir=$T/again" "$ends" exec "$ends" exec "$ends" return >/dev/null 2>again.err
[[ $(ls again | wc -l) == 3 && ! -s again.err ]] && ok "a process that takes another over replaces no file" || bad "same name: $(ls again | tr '\n' ' ') $(cat again.err)"

# -- snapshot files --
magic() { [[ $(head -c 7 "$1" 2>/dev/null) == CGCSNAP ]]; }
run file "snapshot=$T/x%p.cgc" return
f=$(ls x*.cgc)
magic "$f" && [[ ! -s file.err && $(stat -c %a "$f") == 600 && $(od -An -tu8 -j16 -N8 "$f" | tr -d ' ') == "$(stat -c %s "$f")" ]] && ok "snapshot= writes a file and no text" ||
  bad "snapshot=: $(ls -l x*.cgc) $(head -n 1 file.err)"
run file "snapshot=$T/at-signal.cgc:report_on=signal" raise 15
magic at-signal.cgc && ((status == 143)) && grep -qa 'signal 15' at-signal.cgc && ok "in a signal, too" || bad "in a signal: status $status"
echo precious >target
ln -s target link.cgc
run link "snapshot=$T/link.cgc" return
magic link.cgc && [[ ! -L link.cgc && $(<target) == precious ]] && ok "a link is replaced, not followed" || bad "link: $(ls -l link.cgc)"

# Nothing to write to: one line with a hint, then the report as text; no file is left, nothing else changes.
refused() { # NAME REASON OPTIONS [ulimit arguments]
  local name=$1 reason=$2 options=$3
  shift 3
  local all line # through a pipe, which no limit holds for
  all=$( (($#)) && ulimit "$@"; under 30 "mode=report:$options" "$ends" return 2>&1; echo "status $?")
  line=$(sed -n 3p <<<"$all")
  if [[ $(head -n 2 <<<"$all") == "$begin_end" && $(tail -n 1 <<<"$all") == "status 5" && $line == "cgc: snapshot: "*" could not be written: $reason: "*": name a path where you may write" ]] &&
    [[ $(sed '1,3d; $d' <<<"$all" >rest.err; plainly rest.err) == "$(expected "" return)" ]] && [[ -z $(find "$T" -name '*.tmp') ]]; then ok "refused: $name"
  else bad "refused: $name: $(tr '\n' '|' <<<"$all")"; fi
}
refused "no such folder" "there is no such folder" "snapshot=$T/none/x.cgc"
refused "no such folder for all" "there is no such folder" "snapshot_dir=$T/none"
refused "a file is no folder" "a part of the path is no folder" "snapshot=$T/target/x.cgc"
mkdir folder.cgc
refused "a folder has the name" "it is a folder" "snapshot=$T/folder.cgc"
refused "RLIMIT_FSIZE" "it is larger than this process may write" "snapshot=$T/limited.cgc" -f 0

# -- where lines go --
(under 30 mode=report "$ends" return 2>&-) >closed.out; status=$?
[[ $status == 5 && $(<closed.out) == "$begin_end" ]] && ok "closed standard error" || bad "closed standard error: $status"
(under 30 mode=report "$ends" return 2>/dev/full) >full.out; status=$?
[[ $status == 5 && $(<full.out) == "$begin_end" ]] && ok "a full disk behind standard error" || bad "full: $status"
run log "log_path=$T/log.%p" return
[[ ! -s log.err && $(plainly "$(ls log.[0-9]*)") == "$(expected "" return)" ]] && ok "log_path" || bad "log_path: $(head -n 1 log.err)"

# -- LSAN_OPTIONS --
LSAN_OPTIONS=report_objects=1:max_leaks=1 run objects "" return
[[ $(grep -cE '^      0x[0-9a-f]+  100 bytes$' objects.err) == 3 && $(grep -cE '^      0x[0-9a-f]+  32 bytes, hangs off 0x[0-9a-f]+$' objects.err) == 0 ]] &&
  grep -q '^and 1 more leaks' objects.err && ok "report_objects: the blocks of the leaks that are listed" || bad "report_objects: $(tr '\n' '|' <objects.err)"
LSAN_OPTIONS=report_objects=1 run objects "" return
[[ $(grep -cE '^      0x[0-9a-f]+  (100|32) bytes$' objects.err) == 4 && $(grep -cE '^      0x[0-9a-f]+  32 bytes, hangs off 0x[0-9a-f]+$' objects.err) == 3 ]] &&
  ok "report_objects: what hangs off them, and what off" || bad "report_objects: $(tr '\n' '|' <objects.err)"

# -- suppressions --
printf 'leak:ends\n' >all.supp
run supp "suppressions=$T/all.supp:print_suppressions=1:exitcode=23" return
[[ $status == 5 ]] && grep -q '^cgc: no leaks' supp.err && grep -q '^suppressed: 428 bytes in 7 blocks$' supp.err && grep -qE '^ +7 +428 ends$' supp.err &&
  ok "a suppressed leak is counted, and no reason for exitcode=" || bad "suppressions: $status $(tr '\n' '|' <supp.err)"
printf 'only:libnothing\n' >only.supp
run supp "suppressions=$T/only.supp" return
grep -q '^cgc: no leaks' supp.err && ok "only: leaves out all others" || bad "only: $(head -n 1 supp.err)"
printf '{\n other\n Memcheck:Cond\n fun:x\n}\n{\n mine\n Memcheck:Leak\n match-leak-kinds: possible\n fun:malloc\n obj:*ends\n ...\n}\n' >valgrind.supp
run supp "suppressions=$T/valgrind.supp" return
[[ $(plainly supp.err) == "$(expected "" return)" ]] && ok "valgrind's rules for other kinds do not match" || bad "valgrind: $(plainly supp.err | tr '\n' '|')"
sed -i s/possible/definite,indirect/ valgrind.supp
run supp "suppressions=$T/valgrind.supp+$T/only.supp" return
grep -q '^cgc: no leaks' supp.err && ok "valgrind's rules, and a second file" || bad "valgrind: $(head -n 1 supp.err)"
printf 'leek:x\n' >bad.supp
run supp "suppressions=$T/bad.supp+$T/missing.supp" return
[[ $(sed -n 1p supp.err) == "cgc: suppressions $T/bad.supp, line 1: \"leek:x\" is no rule: "* && $(sed -n 2p supp.err) == "cgc: suppressions: $T/missing.supp is not there: "* ]] &&
  [[ $(tail -n +3 supp.err >rest.err; plainly rest.err) == "$(expected "" return)" ]] && ok "bad suppressions: a line each, and the report" || bad "bad suppressions: $(head -n 3 supp.err | tr '\n' '|')"

# -- no report --
if ((UID == 0)) && command -v perl >/dev/null; then
  mkdir empty
  CGC_OPTIONS=mode=report LD_PRELOAD=$LIB perl -e 'chroot "empty" and chdir "/"; exit 3' 2>chroot.err
  [[ $? == 3 && $(cat chroot.err) == "cgc: the leak report could not be made: the list of threads could not be read: is /proc mounted where the program is now?" ]] &&
    ok "where there is no /proc the line says so" || bad "chroot: $(head -n 2 chroot.err)"
else skip "only root can chroot"; fi
# -- libraries that take each other's place --
mkdir "$T/plug"
for i in 0 1 2 3; do
  printf '#include <stdlib.h>\nvoid *leak_%d(void) { return malloc(%d); }\n' $i $((4000 + i)) >"$T/plug/$i.c"
  ${CC:-cc} -O1 -fno-optimize-sibling-calls -fPIC -shared -o "$T/plug/lib$i.so" "$T/plug/$i.c"
done
cat >"$T/plug/main.c" <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	for (int i = 0; i < 12; i++) {
		char path[4096], name[16];
		snprintf(path, sizeof path, "%s/lib%d.so", argv[1], i & 3);
		snprintf(name, sizeof name, "leak_%d", i & 3);
		void *library = dlopen(path, RTLD_NOW);
		void *(*leak)(void) = library ? (void *(*)(void))dlsym(library, name) : NULL;
		if (!leak)
			return 2;
		*(void **)leak() = library;
		dlclose(library);
	}
	return argc - argc;
}
C
${CC:-cc} -O1 -o "$T/plug/main" "$T/plug/main.c" -ldl 2>"$T/err" || bad "the program of libraries: $(head -n 1 "$T/err")"
under 30 "mode=report:log_path=$T/plug/log" "$T/plug/main" "$T/plug" 2>"$T/err"
wrong=
for i in 0 1 2 3; do grep -qE "leak_$i +.*/lib$i\.so\+" "$T/plug/log" || wrong+=" lib$i"; done
[[ -z $wrong && $(grep -c '^#.* 3 blocks  definite' "$T/plug/log") == 4 ]] && ok "libraries that take each other's place have their own names" || bad "libraries that take each other's place: not told:$wrong"
finish
