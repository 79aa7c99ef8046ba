#!/bin/bash
# What another user could prepare, and what he could read: log_path through links, pipes and foreign files, modes of files, the
# options of programs that gained rights, guard pages, the randomness of the layout.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "no collector here"; finish; }
cp "$LIB" "$T/lib.so"
chmod 755 "$T/lib.so"

# logs PATH [ID]: a program that writes statistics to PATH, as user ID; its status, and what it said on stderr in $T/err
logs() {
  local as=()
  [[ -z ${2:-} ]] || as=(setpriv --reuid="$2" --regid="$2" --clear-groups)
  timeout -k 3 20 env LD_PRELOAD="$T/lib.so" CGC_OPTIONS="stats=1:log_path=$1" "${as[@]}" /bin/sh -c "echo there" >"$T/out" 2>"$T/err"
}
refused() { # NAME PATH
  [[ $(cat "$T/out") == there ]] || { bad "$1: the program did not run"; return; }
  if grep -q "log_path: $2 .*lines go to stderr" "$T/err" && grep -q '^cycles ' "$T/err"; then ok "$1 is refused, in one line"; else bad "$1: $(head -n 2 "$T/err" | tr '\n' ' ')"; fi
}

umask 022
logs "$T/own"
[[ $(stat -c %a "$T/own") == 600 ]] && ok "a log is made with mode 0600" || bad "mode of the log: $(stat -c %a "$T/own")"
first=$(wc -c <"$T/own")
logs "$T/own"
(($(wc -c <"$T/own") > first)) && ! [[ -s $T/err ]] && ok "an own file is appended to" || bad "an own file is not appended to: $(cat "$T/err")"
logs /dev/null
[[ -s $T/err ]] && bad "/dev/null is refused" || ok "/dev/null takes a log"

echo precious >"$T/precious"
ln -s precious "$T/link"
logs "$T/link"
refused "a symbolic link" "$T/link"
ln -s nothing "$T/dangling"
logs "$T/dangling"
refused "a dangling link" "$T/dangling"
[[ -e $T/nothing ]] && bad "a dangling link made a file" || ok "a dangling link makes no file"
ln "$T/precious" "$T/second"
logs "$T/second"
refused "a file with a second name" "$T/second"
[[ $(cat "$T/precious") == precious ]] && ok "the linked file is unchanged" || bad "the linked file was written to"
mkfifo "$T/fifo"
logs "$T/fifo"
refused "a pipe without a reader" "$T/fifo"
timeout 20 cat "$T/fifo" >"$T/heard" &
reader=$!
for _ in $(seq 50); do logs "$T/fifo"; grep -q pipe "$T/err" && break; sleep 0.05; done
refused "a pipe with a reader" "$T/fifo"
kill $reader 2>/dev/null
wait $reader 2>/dev/null
[[ -s $T/heard ]] && bad "somebody read the log from a pipe" || ok "nothing is written to a pipe"
mkdir "$T/folder"
logs "$T/folder"
grep -q 'could not be opened' "$T/err" && [[ $(cat "$T/out") == there ]] && ok "a folder is refused" || bad "a folder as log: $(head -n 1 "$T/err")"

if ((EUID == 0)) && setpriv --reuid=65534 --clear-groups true 2>/dev/null; then
  mkdir -m 1777 "$T/tmp"
  : >"$T/tmp/planted"
  chown 65534 "$T/tmp/planted"
  chmod 666 "$T/tmp/planted"
  logs "$T/tmp/planted"
  # the kernel itself may refuse to open it (fs.protected_regular)
  if [[ -s $T/tmp/planted ]]; then bad "another user's file was written to"; else ok "another user's file is left alone"; fi
  grep -q 'lines go to stderr' "$T/err" && ok "and that is said" || bad "nothing was said: $(head -n 1 "$T/err")"
  : >"$T/tmp/roots"
  chmod 666 "$T/tmp/roots"
  logs "$T/tmp/roots" 65534
  [[ -s $T/tmp/roots ]] && bad "root's file was written to by another user" || ok "nor does another user write to root's"
else skip "foreign files: needs the right to change the user"; fi

# -- programs that gain rights: the library is linked here, because the loader does not preload into them --
cat >"$T/rights.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
int main(void) { printf("secure %d\n", getauxval(AT_SECURE) != 0); return malloc(10) == NULL; }
END
if ((EUID == 0)) && ${CC:-cc} -O1 "$T/rights.c" -o "$T/rights" -Wl,--no-as-needed "$LIB" -Wl,-rpath,"$T" 2>"$T/err"; then
  ln -sf lib.so "$T/libcgc.so.0"
  rights() { rm -f "$T/rights.log"; CGC_OPTIONS="stats=1:log_path=$T/rights.log" timeout 20 "$T/rights" 2>&1; }
  [[ $(rights) == "secure 0" && -s $T/rights.log ]] && ok "options hold in an ordinary program" || bad "the linked program: $(rights)"
  chmod 4755 "$T/rights"
  chown 65534 "$T/rights"
  chmod 4755 "$T/rights"
  chmod 777 "$T"
  said=$(rights)
  chmod 755 "$T"
  if [[ $said == "secure 1" ]]; then
    [[ -e $T/rights.log ]] && bad "a setuid program read CGC_OPTIONS" || ok "a setuid program does not read CGC_OPTIONS"
  else skip "setuid: has no effect on this file system ($said)"; fi
else skip "setuid: needs root and a compiler"; fi

# -- the layout --
cat >"$T/layout.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	for (int i = 0; i < 200000; i++)
		if (!malloc(64 + i % 2000))
			return 1;
	char line[512], last[64] = "";
	unsigned long before = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	int windows = 0, guarded = 0, open = 0;
	for (; fgets(line, sizeof line, maps); snprintf(last, sizeof last, "%.4s", strchr(line, ' ') + 1)) {
		unsigned long low, high;
		char flags[8];
		if (sscanf(line, "%lx-%lx %7s", &low, &high, flags) != 3)
			return 1;
		if (open) /* does what lies behind a window touch it, and allow nothing? */
			guarded += before == low && !strncmp(flags, "---", 3), open = 0;
		if (low >> 44 == 2 && !strncmp(flags, "rw", 2)) {
			windows++;
			guarded += before == low && !strncmp(last, "---", 3);
			open = 1;
			printf("%lx ", low);
		}
		before = high;
	}
	printf("\nwindows %d guards %d\n", windows, guarded);
	return 0;
}
END
if ${CC:-cc} -O1 "$T/layout.c" -o "$T/layout" 2>"$T/err"; then
  for i in 1 2 3 4 5 6 7 8; do under 20 "" "$T/layout" >>"$T/layouts"; done
  lines=$(grep -c 'windows 4 guards 8' "$T/layouts")
  ((lines == 8)) && ok "four windows, each between two guards" || bad "windows and guards: $(grep windows "$T/layouts" | sort | uniq -c | tr '\n' ' ')"
  # 8 runs, 4 windows: with 18 random bits or more below the gigabyte, two alike in a hundred thousand suites
  alike=$(grep -v windows "$T/layouts" | tr ' ' '\n' | grep . | sed -E 's/.*(.{7})$/\1/' | sort | uniq -d | wc -l)
  ((alike == 0)) && ok "each window of each run lies at another place" || bad "$alike places came twice"
else skip "layout: no compiler"; fi

# -- harden=1 --
cat >"$T/stale.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	char *volatile held[600];
	int rising = 0;
	for (int i = 0; i < 600; i++)
		held[i] = malloc(40);
	for (int i = 1; i < 600; i++)
		rising += held[i] > held[i - 1];
	for (int i = 0; i < 600; i++)
		free(held[i]);
	printf("ordered %d, soon %d, kept %d\n", rising > 500, malloc(40) == held[599], held[5][20] == 0);
	fflush(stdout);
	if (argc > 1) /* after its free, and then enough others to bring it back */
		held[5][argc > 2 ? 0 : 20] ^= 1;
	for (int i = 0; i < 100000; i++)
		free(malloc(40));
	return 0;
}
END
if ${CC:-cc} -O1 -w -fno-builtin "$T/stale.c" -o "$T/stale" 2>"$T/err"; then
  [[ $(under 20 harden=1 "$T/stale") == "ordered 0, soon 0, kept 0" ]] && ok "harden=1: no order, no early reuse, no old contents" || bad "harden=1: $(under 20 harden=1 "$T/stale" 2>&1)"
  [[ $(under 20 "" "$T/stale") == "ordered 1, "* ]] && ok "without it blocks come in order" || bad "the check of the order is void"
  for word in "x" "x y"; do # in the middle of the block, and where other allocators keep a link
    # shellcheck disable=SC2086
    under 20 harden=1 "$T/stale" $word >"$T/out" 2>"$T/err"
    status=$?
    ((status == 134)) && grep -q 'was written to after it was freed' "$T/err" && ok "harden=1: a write after free aborts ($word)" || bad "harden=1: a write after free ($word): exit $status"
  done
  under 20 harden=1:on_misuse=report "$T/stale" x >"$T/out" 2>"$T/err" && (($(grep -c 'was written to' "$T/err") == 1)) && ok "on_misuse=report goes on after it" || bad "on_misuse=report: $(cat "$T/err")"
else skip "harden: no compiler"; fi
all=$(program every_call)
for options in harden=1:stress=5:verify=1 harden=1:stress=1:grace=0 harden=1:mode=audit:log_path=/dev/null harden=1:mode=off; do
  plain 20 "$all" >"$T/plain"
  if under 60 "$options" "$all" >"$T/out" 2>"$T/err" && cmp -s "$T/plain" "$T/out" && [[ ! -s $T/err ]]; then ok "$options: a correct program runs on"
  else bad "$options: $(head -n 1 "$T/err")"; fi
done
finish
