#!/bin/bash
# `cgc run`: what is served runs as itself; what can't be served is refused before it starts, with one line that says why.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD
mkdir "$T/d"
echo 'int main(void) { return 3; }' >"$T/three.c"
cc=${CC:-cc}
"$cc" "$T/three.c" -o "$T/three"

# refuses STATUS TEXT ARGUMENTS...: that exit status, nothing on stdout, exactly one line "cgc: ..." with TEXT in it.
refuses() {
  local status=$1 text=$2 got=0
  shift 2
  "$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
  if ((got == status)) && [[ ! -s $T/out && $(wc -l <"$T/err") == 1 && $(cat "$T/err") == "cgc: "*"$text"* ]]; then ok "refused: $text"
  else bad "${*##*/}: exit $got (not $status): $(head -c 300 "$T/err")"; fi
}
# gives TEXT STATUS ARGUMENTS...: stdout and exit status, nothing on stderr.
gives() {
  local text=$1 status=$2 got=0
  shift 2
  "$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
  if ((got == status)) && [[ $(cat "$T/out") == "$text" && ! -s $T/err ]]; then ok "served: ${*:2}"
  else bad "${*:2}: exit $got (not $status): $(head -c 300 "$T/out" "$T/err" | tr '\n' ' ')"; fi
}

# -- options are checked before anything starts --
never="touch $T/started"
refuses 2 'nearest is "stress"' "$cgc" run --stres=3 -- $never
refuses 2 'nearest is "report"' "$cgc" run --mode=reprot -- $never
refuses 2 '0..32 is meant' "$cgc" run --grace=abc -- $never
refuses 2 'mode=quarantine is not in this version' "$cgc" run --mode=quarantine -- $never
refuses 2 'has no value' "$cgc" run --mode -- $never
refuses 2 'no failure has this name' "$cgc" run --fault=nosuch -- $never
refuses 2 'separates options' "$cgc" run --log_path=/tmp/a:b -- $never
refuses 2 'is not a number' "$cgc" run --options=mode=off:grace=x -- $never
refuses 2 'written --name=value' "$cgc" run -m -- $never
refuses 2 'no program is given' "$cgc" run
refuses 2 'no command "frob"' "$cgc" frob
refuses 2 'belongs behind it' "$cgc" --mode=off -- $never
[[ -e $T/started ]] && bad "a program was started in spite of a bad option" || ok "nothing was started"

# -- what can't be served --
refuses 127 'is not found' "$cgc" run -- no-such-program-anywhere
refuses 127 'is not found' "$cgc" run -- ./no/such
refuses 126 'chmod +x' "$cgc" run -- /etc/passwd
refuses 126 'Is a directory' "$cgc" run -- "$T/d"
printf 'plain words\n' >"$T/words"; chmod +x "$T/words"
refuses 126 'neither a program nor a script' "$cgc" run -- "$T/words"
printf '#!/no/interpreter\n' >"$T/script"; chmod +x "$T/script"
refuses 127 'is a script for /no/interpreter' "$cgc" run -- "$T/script"
if "$cc" -static "$T/three.c" -o "$T/static" 2>/dev/null; then
  refuses 125 'statically linked' "$cgc" run -- "$T/static"
  printf '#!%s\n' "$T/static" >"$T/script"
  refuses 125 'statically linked' "$cgc" run -- "$T/script"
else skip "no static libc to link with"; fi
for s in address thread leak; do
  if "$cc" -fsanitize=$s "$T/three.c" -o "$T/sanitized" 2>/dev/null; then refuses 125 'has a malloc of its own' "$cgc" run -- "$T/sanitized"
  else skip "no -fsanitize=$s here"; fi
done
if command -v clang >/dev/null && clang -fsanitize=address "$T/three.c" -o "$T/sanitized" 2>/dev/null; then
  refuses 125 'AddressSanitizer' "$cgc" run -- "$T/sanitized"
else skip "no clang with -fsanitize=address"; fi
printf '#include <stddef.h>\nvoid *malloc(size_t n) { return NULL; }\nint main(void) { return 0; }\n' >"$T/own.c"
"$cc" -rdynamic "$T/own.c" -o "$T/own"
refuses 125 'defines malloc itself' "$cgc" run -- "$T/own"
# Another class and another machine, by the header alone.
cp "$T/three" "$T/class"; printf '\001' | dd of="$T/class" bs=1 seek=4 conv=notrunc status=none
refuses 125 'is a 32-bit program' "$cgc" run -- "$T/class"
cp "$T/three" "$T/machine"; printf '\363\000' | dd of="$T/machine" bs=1 seek=18 conv=notrunc status=none
refuses 125 'ELF machine 243' "$cgc" run -- "$T/machine"
head -c 100 "$T/three" >"$T/cut"; chmod +x "$T/cut"
refuses 125 'damaged' "$cgc" run -- "$T/cut"
# Another libc, and a loader that is not there: the name in PT_INTERP replaced by one of the same length.
interp=$(readelf -p .interp "$T/three" | sed -nE 's/.*\] +(\/.*)/\1/p')
with_loader() { LC_ALL=C sed "s|$interp|$(printf "%-${#interp}s" "$1" | tr ' ' /)|" "$T/three" >"$T/loader"; chmod +x "$T/loader"; }
with_loader /lib/ld-musl-x86_64.so.1
refuses 125 'uses musl' "$cgc" run -- "$T/loader"
with_loader /lib/no-loader
refuses 125 'is missing here' "$cgc" run -- "$T/loader"
if ((EUID == 0)) && id nobody >/dev/null 2>&1 && [[ -u /usr/bin/passwd ]] && command -v setpriv >/dev/null; then
  # A copy that nobody can reach: the tree may lie where only root may go.
  chmod 755 "$T"; cp "$cgc" "$T/d/"; cp "$LIB" "$T/d/libcgc.so"; chmod -R a+rX "$T/d"
  refuses 125 'gains rights (setuid)' setpriv --reuid=65534 --regid=65534 --clear-groups "$T/d/cgc" run -- passwd
  gives hello 0 setpriv --reuid=65534 --regid=65534 --clear-groups "$T/d/cgc" run -- echo hello
else skip "setuid needs root, setpriv and a setuid passwd"; fi

# -- what is served is itself --
gives "" 3 "$cgc" run -- "$T/three"
gives "a b  c" 0 "$cgc" run --mode=off -- echo 'a b  c'
{ "$cgc" run --mode=off -- bash -c 'kill -TERM $$'; } 2>"$T/err"; status=$?
((status == 143)) && ok "a signal that ends the program is seen as such" || bad "SIGTERM: exit $status"
printf '#!/usr/bin/env bash\necho "$0 $1"\n' >"$T/script"
gives "$T/script x" 0 "$cgc" run --mode=off -- "$T/script" x
gives same 0 bash -c "exec \"$cgc\" run --mode=off -- bash -c '[[ \$\$ == '\$\$' ]] && echo same'"
"$cgc" run --mode=off -- cat <<<"through stdin" >"$T/out" 2>&1 && [[ $(cat "$T/out") == "through stdin" ]] && ok "stdin passes through" || bad "stdin: $(cat "$T/out")"
gives "mode=off" 0 "$cgc" run --mode=off -- printenv CGC_OPTIONS
gives "mode=off:stats=0:grace=2" 0 env CGC_OPTIONS=mode=off "$cgc" run --stats=0 --grace=2 -- printenv CGC_OPTIONS
gives "$LIB:libm.so.6:libdl.so.2" 0 env CGC_OPTIONS=mode=off LD_PRELOAD="libm.so.6 libdl.so.2" "$cgc" run -- printenv LD_PRELOAD
gives "$LIB" 0 env CGC_OPTIONS=mode=off "$cgc" run -- "$cgc" run -- printenv LD_PRELOAD
# No third process is left between the shell and the program, and no zombie of the check in it.
gives "[]" 0 "$cgc" run --mode=off -- bash -c 'read -r c </proc/$$/task/$$/children; echo "[$c]"'

# -- what is told at the end --
# GNU's programs close standard error in their last exit handler.
"$cgc" run --stats -- ls / >/dev/null 2>"$T/err"; status=$?
((status == 0)) && grep -q '^cycles ' "$T/err" && ok "statistics of a program that closes its standard error" || bad "ls: exit $status: $(head -n 1 "$T/err")"
# Nobody reads any more: no SIGPIPE may change the status.
{ sleep 0.3; "$cgc" run --stats -- true 2>&1 >/dev/null; echo $? >"$T/status"; } | true
[[ $(<"$T/status") == 0 ]] && ok "a standard error that nobody reads changes no status" || bad "a broken pipe: status $(<"$T/status")"
cat >"$T/reuse.c" <<'C'
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) { close(2); return open(argv[1], O_RDWR | O_CREAT, 0600) == 2 && write(2, "data\n", 5) == 5 ? 0 : argc; }
C
# A sandbox that may write no file: no SIGXFSZ ends the program.
echo "before" >"$T/full"
(ulimit -f 0; "$cgc" run --stats -- true 2>>"$T/full"); status=$?
((status == 0)) && ok "no file may grow: standard error" || bad "standard error that may not grow: status $status"
(ulimit -f 0; "$cgc" run --stats --log_path="$T/full" -- true); status=$?
((status == 0)) && ok "no file may grow: log_path" || bad "a log that may not grow: status $status"
head -c 1000 /dev/zero >"$T/nearly"
(ulimit -f 1; "$cgc" run --stats --log_path="$T/nearly" -- true); status=$?
((status == 0)) && ok "a line that fits in part" || bad "a line that fits in part: status $status"
# Descriptor 2 is a data file now: nothing of ours is written to it.
"${CC:-cc}" -o "$T/reuse" "$T/reuse.c" && gives "data" 0 bash -c "\"$cgc\" run --stats -- \"$T/reuse\" \"$T/base\" && cat \"$T/base\""

# -- the library must really load --
refuses 125 'is not there' "$cgc" run --library="$T/nothing.so" -- true
refuses 125 'does not load' "$cgc" run --library="$T/three.c" -- true
"$cc" -shared -fPIC -x c - -o "$T/empty.so" <<<'int cgc_nothing;'
refuses 125 'the loader left it out' "$cgc" run --library="$T/empty.so" -- true
"$cc" -shared -fPIC -x c - -o "$T/nomalloc.so" <<<'const char *cgc_version(void) { return "0.1.0"; }'
refuses 125 "malloc is not the library's" "$cgc" run --library="$T/nomalloc.so" -- true
mkdir "$T/with blank"; cp "$LIB" "$T/with blank/libcgc.so"
refuses 125 'blank or colon' "$cgc" run --library="$T/with blank/libcgc.so" -- true
mkdir "$T/alone"; cp "$cgc" "$T/alone/"
"$T/alone/cgc" run --mode=off -- true 2>"$T/err"; status=$?
if ((status == 0)) || grep -q 'libcgc.so is not found: looked at' "$T/err"; then ok "without a library it says where it looked"
else bad "alone: exit $status: $(cat "$T/err")"; fi
"$cgc" --version | grep -q '^cgc [0-9]' && ok "--version" || bad "--version: $("$cgc" --version)"
"$cgc" help >/dev/full 2>&1 && bad "help to a full device claims success" || ok "help notices a full device"
finish
