#!/bin/bash
# Being asked while the program runs (listen=1): who is answered, what the program notices (nothing), and who may not ask.
#   control/asked.c   the program, blocked in accept, busy, closing every descriptor, forking, becoming others, ...
#   control/ask.c     a client written from control.h alone, which also does wrong things
# The bound of an answer is 10 s (a second is promised; machines are crowded).
set -u
. "$(dirname "$0")/lib.sh"
cc=${CC:-cc}
for p in asked ask; do $cc -O1 -g -w -D_GNU_SOURCE "$here/control/$p.c" -o "$T/$p" -pthread || { bad "$p compiles"; finish; }; done
cgc=$(dirname "$LIB")/cgc
export TMPDIR=$T/tmp
unset XDG_RUNTIME_DIR CGC_OPTIONS
mkdir -m 1777 "$TMPDIR"
chmod 1777 "$TMPDIR"
folder=$TMPDIR/cgc-$(id -u)
chmod 777 "$T"
cd "$T" || exit 2

# begin NAME OPTIONS WHAT [COMMAND...]: starts `asked WHAT` in the background; $job, and $pid of the one that is ready.
begin() {
  local name=$1 options=$2 what=$3
  shift 3
  rm -f "$name.end" "$name.end.is"
  timeout -k 3 60 "$@" env LD_PRELOAD="$LIB" CGC_OPTIONS="listen=1:mode=report:log_path=$T/$name.log:$options" "$T/asked" "$what" "$name.end" "$T" >"$name.out" 2>&1 &
  job=$!
  for _ in {1..200}; do [[ -s $name.end.is ]] && break; sleep 0.05; done
  pid=$(cat "$name.end.is" 2>/dev/null)
}
# over NAME: ends it; it must have noticed nothing.
over() {
  local name=$1 status out
  touch "$name.end"
  wait "$job"
  status=$?
  for _ in {1..100}; do grep -q unharmed "$name.out" && break; sleep 0.05; done # a daemon's
  out=$(grep -v '^cgc: \|^  ' "$name.out" | tr '\n' ';') # whose log can't be opened any more
  [[ $status == 0 && $out == "unharmed;" ]] && ok "$name: nothing is noticed" || bad "$name: status $status: $out $(tail -n 2 "$name.log" 2>/dev/null)"
}
asks() { timeout 20 ./ask "$@" 2>&1; }
# answers NAME [SOCKET]: hello, and the beginning of a snapshot file.
answers() {
  local name=$1 socket=${2:-$folder/$pid} hello snapshot
  for _ in {1..60}; do [[ -S $socket ]] && break; sleep 0.05; done # a child listens 200 ms after its birth
  hello=$(asks "$socket" hello | tr '\n' ' ')
  [[ $hello =~ ^ok\ cgc\ .*\ report\ [0-9]+\ .*live\ [0-9]+ ]] && ok "$name: hello" || bad "$name: hello: $hello"
  snapshot=$(asks "$socket" snapshot | head -c 10 | tr '\n' ' ')
  [[ $snapshot == "ok CGCSNAP" ]] && ok "$name: snapshot" || bad "$name: snapshot: $snapshot"
}

# -- whatever the program is doing --
for what in accept accept-thread spin threads fork daemon exec; do
  begin $what "" $what
  answers $what
  over $what
done
begin signal "" sleep
[[ $(asks "$folder/$pid" hello 8) == "8 ok" ]] && ok "eight at once" || bad "eight at once"
[[ $("$cgc" list 2>&1) =~ $pid\ +report\ .*asked ]] && ok "cgc list shows it" || bad "cgc list: $("$cgc" list 2>&1)"
over signal
[[ ! -e $folder/$pid ]] && ok "the socket is gone with the program" || bad "the socket is still there"

sees() { timeout 30 env -u LD_PRELOAD "$cgc" run --library="$LIB" "$@" -- sh -c 'echo ":$CGC_OPTIONS:"' 2>/dev/null; }
[[ $(sees --mode=report --log_path=/dev/null) == *:listen=1:* ]] && ok "cgc run --mode=report listens" || bad "cgc run --mode=report: $(sees --mode=report --log_path=/dev/null)"
[[ $(sees --mode=report --listen=0 --log_path=/dev/null) != *listen=1* ]] && ok "unless told otherwise" || bad "cgc run --listen=0"
[[ $(sees --mode=collect) != *listen* ]] && ok "cgc run --mode=collect does not" || bad "cgc run --mode=collect listens"

# -- descriptors: what closes everything --
for how in closefrom close_range loop syscall dup2; do
  begin close-$how "" close=$how
  answers close-$how
  over close-$how
done
plain=$(./asked count x)
[[ $(under 20 listen=0:mode=report:log_path=/dev/null ./asked count x) == "$plain" ]] && ok "without listen=1 nothing is there" || bad "without listen=1"
[[ $(under 20 listen=1:mode=report:log_path=/dev/null ./asked count x) == "${plain/descriptors/}"* ]] && bad "one descriptor shows" ||
  { [[ $(under 20 listen=1:mode=report:log_path=/dev/null ./asked count x) == "${plain%%,*}, $(($(sed -n 's/.*, \([0-9]*\) desc.*/\1/p' <<<"$plain") + 1)) descriptors"* ]] && ok "no thread, one descriptor" || bad "threads and descriptors: $(under 20 listen=1:mode=report:log_path=/dev/null ./asked count x), plain $plain"; }
begin nofile "" sleep bash -c 'ulimit -n 12; exec "$@"' -
answers "few descriptors"
over nofile
begin sigpending "" sleep bash -c 'ulimit -i 60; exec "$@"' -
answers "no room for signals (it looks twice a second)"
over sigpending

# -- those who ask badly --
begin rude "" sleep
s=$folder/$pid
for request in nonsense "" "why" "why 17" "why 0x" "why 0x11111111111111111" "snapshot everything" "hello you" "why 0x10 0x20"; do
  [[ $(asks "$s" "$request") == "error "* ]] && ok "\"$request\" is refused" || bad "\"$request\": $(asks "$s" "$request")"
done
[[ $(asks -raw "$s" hello) == closed ]] && ok "half a line is dropped" || bad "half a line: $(asks -raw "$s" hello)"
[[ $(asks -raw "$s" "$(printf 'x%.0s' {1..400})") =~ ^(closed|Connection reset) ]] && ok "a long line is dropped" || bad "a long line"
asks -silent "$s" 3 & silent=$!
answers "while another is silent"
kill $silent 2>/dev/null
over rude

# -- whose sockets --
if ((EUID == 0)); then
  begin other "" sleep
  chmod 711 "$folder"
  chmod 666 "$folder/$pid"
  out=$(setpriv --reuid=65534 --regid=65534 --clear-groups ./ask "$folder/$pid" hello 2>&1)
  [[ $out == "error only root"* ]] && ok "another user is refused" || bad "another user is answered: $out"
  chmod 700 "$folder"
  [[ $(setpriv --reuid=65534 --regid=65534 --clear-groups ./ask "$folder/$pid" hello) == "connect: Permission denied" ]] && ok "and does not get there" || bad "another user gets there"
  out=$(TMPDIR=$T/none setpriv --reuid=65534 --regid=65534 --clear-groups "$cgc" list 2>&1)
  [[ $out == "cgc: no program listens"* ]] && ok "cgc list of another user shows nothing" || bad "cgc list of another user: $out"
  over other
  begin setuid "" setuid
  answers "after setuid"
  over setuid
  begin chroot "" chroot
  [[ $(asks "$folder/$pid" hello | head -n 1) == ok ]] && ok "after chroot" || bad "after chroot: $(asks "$folder/$pid" hello)"
  over chroot
fi
begin filter "" filter
[[ ! -e $folder/$pid ]] && ok "a program with a filter of system calls is silent" || bad "a program with a filter listens"
over filter

# -- folders that are not ours alone --
refused() { # WHAT: the program runs, one line
  under 20 listen=1:mode=collect:log_path=$T/refused.log ./asked count x >refused.out 2>&1
  [[ $(tail -n 1 refused.out) == unharmed && $(grep -c '^cgc: listen=1: the folder' refused.log) == 1 ]] && ok "$1: one line, and the program runs" || bad "$1: $(cat refused.out refused.log 2>/dev/null | tr '\n' ';')"
  rm -f refused.log
}
export TMPDIR=$T/traps
mkdir -m 700 "$TMPDIR" elsewhere
name=$TMPDIR/cgc-$(id -u)
ln -s "$T/elsewhere" "$name" && refused "a link"
[[ -z $(ls elsewhere) ]] && ok "nothing was made behind the link" || bad "something was made behind the link"
rm "$name" && mkdir -m 755 "$name" && refused "a folder that others can enter"
rmdir "$name" && echo x >"$name" && refused "a file"
rm "$name"
if ((EUID == 0)); then
  mkdir -m 700 "$name" && chown 65534 "$name" && refused "a folder of another user"
  [[ $(setpriv --reuid=65534 --regid=65534 --clear-groups true && "$cgc" list 2>&1) != *"Segmentation"* ]] || bad "cgc list on it"
  rm -r "$name"
fi
export TMPDIR=$T/tmp

# -- sockets of processes that are gone --
./ask -stale "$folder" 100 || bad "stale sockets"
begin stale "" sleep
answers "beside 100 stale sockets"
"$cgc" list >list.out 2>&1
[[ $(ls "$folder" | grep -c .) == 1 && $(grep -c report list.out) == 1 ]] && ok "cgc list removes them" || bad "cgc list left $(ls "$folder" | wc -l): $(head -n 3 list.out)"
over stale

# -- interval: also a process that does nothing --
begin interval interval=1s sleep
sleep 2.5
answers "with interval=1s"
over interval

# -- nothing is disturbed while a client hammers --
for p in eintr handlers; do $cc -O1 -g -w -D_GNU_SOURCE "$here/shim/$p.c" -o "$p" -pthread -ldl; done
for p in movers coroutines; do $cc -O1 -g -w -D_GNU_SOURCE "$here/interfere/$p.c" -o "$p" -pthread -ldl; done
./ask -hammer "$folder" hammer.end >hammer.out &
hammer=$!
checked() { # PROGRAM: its checks hold; they measure times, so a crowd of processes may spoil a run
  for _ in 1 2 3; do UNDER_CGC=1 under 90 listen=1:mode=report:log_path=/dev/null ./$1 >$1.cgc 2>&1 && return; done
  grep -A1 FAILED $1.cgc >$1.wrong
}
compared() { # PROGRAM ARGUMENT: it says the same as plain
  timeout 60 ./$1 $2 >$1.plain 2>&1
  under 90 listen=1:mode=report:log_path=/dev/null ./$1 $2 >$1.cgc 2>&1
  (($? == 0)) && cmp -s $1.plain $1.cgc || diff $1.plain $1.cgc >$1.wrong
}
jobs=()
for p in eintr handlers; do checked $p & jobs+=($!); done
compared movers "" & jobs+=($!)
# A signal's frame takes 4 KiB of a coroutine's 8, and a malloc that records its stack up to 1.5.
compared coroutines 2400 & jobs+=($!)
wait "${jobs[@]}"
for p in eintr handlers movers coroutines; do
  [[ ! -e $p.wrong ]] && ok "$p while a client hammers" || bad "$p while a client hammers: $(head -n 4 $p.wrong | tr '\n' ' ')"
done
touch hammer.end
wait $hammer
[[ $(cat hammer.out) =~ ^[1-9][0-9]+\ answered ]] && ok "it was answered ($(cat hammer.out))" || bad "hammer: $(cat hammer.out)"
rm hammer.end
begin execs "" execs
for _ in {1..40}; do [[ -e $folder/$job ]] && break; sleep 0.05; done
./ask -hammer "$folder" execs.end rude >hammer.out &
sleep 3
over execs
begin hammered "" threads
./ask -hammer "$folder" hammered.end rude >hammer.out &
sleep 2
over hammered
finish
