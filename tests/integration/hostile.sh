#!/bin/bash
# Answers and names of somebody who means harm. A process that we ask passes a good snapshot and changes the file while it is read, passes
# something else than a file, or more than there is memory for; and programs, modules, functions, options and answers are called
# so that a terminal would act upon them. What is asserted: nothing dies of a signal, and no byte of control reaches the screen.
set -u
. "$(dirname "$0")/lib.sh"
is_cgc || { skip "no collector here"; finish; }
command -v python3 >/dev/null || { skip "hostile answers: no python3"; finish; }
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD
cd "$T" || exit 1
mkdir -m 700 run run/cgc
export XDG_RUNTIME_DIR=$PWD/run TMPDIR=$T

# -- answers --
cat >loser.c <<'C'
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv)
{
	for (int i = 0; i < 3000; i++)
		memset(malloc(48), 1, 48);
	return argc > 1 ? *(volatile char *)0 : 0;
}
C
${CC:-cc} -g -O0 loser.c -o loser || { bad "the program compiles"; finish; }
under 60 "mode=report:snapshot=$T/good.cgc" ./loser 2>/dev/null
[[ -s good.cgc ]] || { bad "there is no snapshot to answer with"; finish; }

cat >answer.py <<'PY'
import array, mmap, os, socket, sys, threading
way, good = sys.argv[1], open(sys.argv[2], 'rb').read()
path = f"{os.environ['XDG_RUNTIME_DIR']}/cgc/{os.getpid()}"
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(50)
print(os.getpid(), flush=True)
fd = os.memfd_create("answer")
os.write(fd, good)
size = len(good)

def change():  # as fast as it goes: some change falls between any two reads of whoever reads it twice
    bad = b'\xff\xff\xff\x7f' * (len(good) // 4)
    m = mmap.mmap(fd, len(good)) if way == 'rewrite' else None
    while True:
        if m:
            m[256:256 + len(bad) - 256] = bad[256:]
            m[256:] = good[256:]
        else:
            os.ftruncate(fd, 300)
            os.pwrite(fd, good, 0)

if way in ('rewrite', 'truncate'):
    threading.Thread(target=change, daemon=True).start()
elif way == 'hole':
    size = 1 << 40
    os.ftruncate(fd, size)
elif way == 'empty hole':
    os.ftruncate(fd, 0)
    size = 1 << 40
    os.ftruncate(fd, size)
elif way == 'short':
    os.ftruncate(fd, 100)
elif way == 'pipe':
    fd = os.pipe()[0]
elif way == 'folder':
    fd = os.open('/', os.O_RDONLY)
elif way == 'wronly':
    fd = os.open(path + '.w', os.O_WRONLY | os.O_CREAT)
    os.write(fd, good)
while True:
    c, _ = listener.accept()
    try:
        line = c.recv(300)
        if way == 'error':
            c.sendall(b"error \x1b]0;title\x07\x1b[31m\xc2\x9b31m\x9b31m\n")
        elif way == 'names' and line.startswith(b'hello'):
            text = b"cgc 0\x1b[1m re\x1b[1mport 1 /bin/\x1b]0;title\x07\xc2\x9b31m\x9b5m\nlive 5\nreports \n"
            t = os.memfd_create("t")
            os.write(t, text)
            c.sendmsg([b"ok %d\n" % len(text)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [t]))])
            os.close(t)
        else:
            c.sendmsg([b"ok %d\n" % size], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    except OSError:
        pass
    c.close()
PY
# What a terminal would act upon; 2 is the status of a complaint.
steers() { LC_ALL=C grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc2-\xf4\x80-\xbf])[\x80-\x9f]' "$@"; }
# asked WAY TIMES COMMAND...: PID stands where the number goes
asked() {
  local way=$1 times=$2 worst=0 got=0 pid
  shift 2
  rm -f run/cgc/* answer.pid
  timeout 100 python3 answer.py "$way" good.cgc >answer.pid 2>/dev/null &
  local server=$!
  for _ in $(seq 100); do [[ -s answer.pid ]] && break; sleep 0.05; done
  pid=$(cat answer.pid)
  for _ in $(seq "$times"); do
    timeout 30 "$cgc" "${@/PID/$pid}" >out 2>err </dev/null || got=$?
    ((got > worst)) && worst=$got
    steers out err && worst=999
  done
  kill "$pid" $server 2>/dev/null
  wait $server 2>/dev/null
  if ((worst <= 2)); then ok "answers, $way: cgc ${*:1:2}, $times times"
  else bad "answers, $way: cgc $*: $worst (999: a byte of control): $(head -c 300 err | cat -v)"; fi
}
asked rewrite 12 leaks PID
asked truncate 12 leaks PID
asked truncate 5 snapshot PID -o kept.cgc
asked rewrite 5 why PID 0x280000001000
for way in hole "empty hole" short pipe folder wronly error; do asked "$way" 1 leaks PID; done
asked error 1 why PID 0x1000
asked "empty hole" 1 list
asked names 1 list

# -- names --
names=$'ev\e[31mil\n\xc2\x9b31m\x9b5m\xe2\x80\xae\x07'
if cp loser "$names" 2>/dev/null; then
  # plain_text NAME FILES: what cgc says of it
  plain_text() {
    local name=$1
    shift
    if ! grep -qs ev "$@"; then bad "names: $name says nothing of the program"
    elif steers "$@"; then bad "names: $name shows bytes that a terminal acts upon: $(cat -v "$@" | head -c 400)"
    elif LC_ALL=C grep -qa $'\xe2\x80\xae' "$@"; then bad "names: $name lets a name turn the text"
    elif grep -q '^il' "$@"; then bad "names: $name lets a name begin a line"
    else ok "names: $name is plain text"; fi
  }
  told() { # NAME OPTIONS [ARGUMENTS]
    under 60 "$2" "./$names" "${@:3}" >/dev/null 2>err
    plain_text "$1" err
  }
  told "the report" mode=report
  told "the report of single blocks" mode=report:verbosity=1
  told "statistics" mode=collect:stats=1
  told "a fault" mode=report:report_on=exec+signal:explain=1 fault
  told "an option" "mode=$names"
  told "an option's name" "${names//=/}=1"
  under 60 "mode=report:suppressions=./$names.none" ./loser >/dev/null 2>err
  plain_text "a file of suppressions" err
  under 60 "mode=off:verbosity=1:log_path=/nowhere/$names" ./loser >/dev/null 2>err
  under 60 "mode=off:stats=1:log_path=/nowhere/$names" ./loser >/dev/null 2>err
  plain_text "a log that can't be opened" err
  under 60 "mode=report:snapshot=$T/names.cgc" "./$names" >/dev/null 2>&1
  "$cgc" leaks names.cgc >out 2>&1
  plain_text "cgc leaks" out
  "$cgc" leaks --format=lsan names.cgc >out 2>&1
  plain_text "cgc leaks --format=lsan" out
  "$cgc" leaks "./$names.none" >out 2>&1
  plain_text "cgc about a missing file" out
  "$cgc" run "./$names.none" >out 2>&1
  plain_text "cgc run about a missing program" out
  "$cgc" leaks --format=json names.cgc >out 2>/dev/null
  if python3 -c 'import json,sys; json.loads(open("out","rb").read().decode("utf-8"))'; then ok "names: JSON is JSON and UTF-8"; else bad "names: JSON is broken: $(head -c 200 out | cat -v)"; fi
fi
finish
