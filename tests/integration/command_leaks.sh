#!/bin/bash
# cgc leaks, show and diff on snapshot files that a small program of this test writes (make_snapshot.c): numbers, names, formats, suppressions,
# and that nothing of a file is believed. What a running program answers is asked in leaks_live.sh.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD NO_COLOR DEBUGINFOD_URLS
cd "$T" || exit 1
cc=${CC:-cc} cxx=${CXX:-c++}
"$cc" -std=gnu11 -D_GNU_SOURCE -O2 -g -I"$root/src" "$here/make_snapshot.c" -o make -ldl || { bad "make_snapshot.c compiles"; finish; }
"$cxx" -O2 -g -fPIC -shared "$here/shape.cc" -o libshape.so 2>/dev/null || echo "no C++" >no_cxx

# What timeout(1) says where another test has used up all timers is not the command's.
own() { grep -v '^timeout: ' err; }
# refuses STATUS TEXT ARGUMENTS...: that exit status, nothing on stdout, one line "cgc: ..." with TEXT in it.
refuses() {
  local status=$1 text=$2 got=0
  shift 2
  timeout 20 "$cgc" "$@" >out 2>err </dev/null || got=$?
  if ((got == status)) && [[ ! -s out && $(own | wc -l) == 1 && $(own) == "cgc: "*"$text"* ]]; then ok "refused: $text"
  else bad "${*:0:5}: exit $got (not $status): $(head -c 300 err)"; fi
}
# says TEXT ARGUMENTS...: exit 0, TEXT (a pattern of grep -E) in the output, nothing on stderr.
says() {
  local text=$1 got=0
  shift
  timeout 60 "$cgc" "$@" >out 2>err </dev/null || got=$?
  if ((got == 0)) && [[ -z $(own) ]] && grep -qE -- "$text" out; then ok "$*: $text"
  else bad "$*: exit $got, no \"$text\": $(head -c 400 out err | tr '\n' '~')"; fi
}
# lacks TEXT ARGUMENTS...
lacks() {
  local text=$1
  shift
  timeout 60 "$cgc" "$@" >out 2>err </dev/null
  if [[ -s out ]] && ! grep -qE -- "$text" out; then ok "$*: no $text"; else bad "$*: has \"$text\": $(head -c 300 out err | tr '\n' '~')"; fi
}
ends() { # STATUS ARGUMENTS...
  local status=$1 got=0
  shift
  timeout 60 "$cgc" "$@" >out 2>err </dev/null || got=$?
  ((got == status)) && ok "$*: exit $got" || bad "$*: exit $got, not $status"
}

# -- the text --
./make a.cgc || bad "make_snapshot writes a file"
says '^cgc: 4 leaks, 31\.0 MiB in 8,129 blocks \(definite 31\.0 MiB, indirect 1\.5 KiB\)   pid 4121  \./server$' leaks a.cgc
says '^#1  31\.0 MiB  8,113 blocks  definite  id 7f3a9c0$' leaks a.cgc
says '^#2  4\.3 KiB  3 blocks  definite 4\.0 KiB, indirect 300 B  \(with what hangs off it 5\.5 KiB in 13 blocks\)  id 0b0000$' leaks a.cgc
says '\+[0-9]+ frames: cgc show a\.cgc 7f3a9c0$' leaks a.cgc
says '^of these hang off them: .* from 1 more site: --indirect lists them$' leaks a.cgc
says '^cgc: 5 leaks, 31\.0 MiB in 8,129 blocks ' leaks --indirect a.cgc
says '^possibly lost besides: 6\.8 KiB in 7 blocks: --possible' leaks a.cgc
says '^suppressed: 77 B in 1 block at 1 site: --show-suppressed' leaks a.cgc
says 'suppressed: built-in: one-time \?\[31mblocks' leaks --show-suppressed a.cgc
says '7 blocks  possible  id 0d0000' leaks --possible a.cgc
# What is not shown gives no rank: of these two, one has possible blocks besides.
./make both.cgc sites=DE both=1
says '^#1  .* 100 blocks  reachable' leaks --reachable both.cgc
says '100 blocks  reachable  id 0e0000' leaks --reachable a.cgc
says '^and 2 more sites, .*: --limit=0 lists all$' leaks --limit=2 a.cgc
says '^ +gone::module\(\) +lib\?\[2Jfoo\.so\+0x1fef' leaks a.cgc
lacks $'\033' leaks --show-suppressed a.cgc
lacks 'd00000' leaks a.cgc
./make none.cgc sites=E
says '^cgc: no leaks in 3\.2 MiB of live memory \(1,204 blocks\)   pid 4121' leaks none.cgc
./make est.cgc sampled=1
says '^#1  ~31\.0 MiB  8,113 blocks \(± 2\.0 KiB\)  definite' leaks est.cgc
./make noest.cgc sampled=1 sites=E
says '^cgc: no leaks in ~3\.2 MiB of live memory' leaks noest.cgc
grep -qx 'sampled: what is smaller than a few times 512\.0 KiB may be missed' out && ok "no leak among samples is not none" || bad "sampled: $(cat out)"

# -- exit statuses --
ends 0 leaks a.cgc
ends 1 leaks --fail a.cgc
ends 0 leaks --fail none.cgc
./make dim.cgc sites=E incomplete=1
ends 3 leaks --fail dim.cgc
grep -q '^cgc: no cycle completed: what is lost is not known' err && ok "an incomplete snapshot says so" || bad "incomplete: $(cat err)"
for c in 'leaks a.cgc' 'leaks --format=json a.cgc' 'show a.cgc 7f3a9c0' 'diff a.cgc a.cgc' 'help leaks'; do
  # shellcheck disable=SC2086 # words without blanks
  "$cgc" $c >/dev/full 2>err
  (($? == 2)) && [[ $(cat err) == 'cgc: the output could not be written: is the disk full?' ]] && ok "$c: a full device is noticed" || bad "$c, a full device: $(cat err)"
done

# -- colours: on a terminal only, and not with NO_COLOR --
if command -v script >/dev/null; then
  TERM=xterm script -qec "$cgc leaks a.cgc" /dev/null </dev/null >out 2>/dev/null
  grep -q $'\033\[1m' out && ok "colours on a terminal" || bad "no colours on a terminal"
  NO_COLOR=1 TERM=xterm script -qec "$cgc leaks a.cgc" /dev/null </dev/null >out 2>/dev/null
  grep -q $'\033' out && bad "NO_COLOR is not heeded" || ok "NO_COLOR"
else skip "script(1) is not installed"; fi

# -- names: each tool and none; addr2line is the judge --
./make one.cgc sites=A
for tool in auto llvm addr2line tables; do
  case $tool in
    llvm) compgen -c llvm-symbolizer >/dev/null || { skip "no llvm-symbolizer"; continue; } ;;
    addr2line) command -v addr2line >/dev/null || { skip "no addr2line"; continue; } ;;
  esac
  says '^      parse_header +' show --symbolizer=$tool one.cgc 7f
  grep -qE '^      conn_read ' out && grep -qE '^      worker ' out && ok "$tool names the callers" || bad "$tool: $(cat out)"
  [[ $tool == tables ]] && continue
  line=$(grep -n 'inlined_part(); depth++' "$here/make_snapshot.c" | cut -d: -f1)
  grep -qE "^      parse_header +\S*make_snapshot\.c:$line" out && grep -qE '^      inlined_part .*\(inlined\)$' out && ok "$tool knows lines and inlined calls" || bad "$tool: $(cat out)"
done
if command -v addr2line >/dev/null; then
  "$cgc" leaks --format=json --possible --reachable a.cgc | python3 -c '
import json, subprocess, sys
frames = {(f["module"], f["address"], f["file"], f["line"]) for s in json.load(sys.stdin)["sites"] for f in s["frames"] if f["file"] and f["module"].endswith("/make") and not f["inlined"]}
wrong = [f for f in frames if f[2].split("/")[-1] + ":" + str(f[3]) not in subprocess.run(["addr2line", "-i", "-e", f[0], f[1]], capture_output=True, text=True).stdout]
print(len(frames), "frames", wrong[:2])
sys.exit(bool(wrong) or len(frames) < 5)' >out 2>&1 && ok "addr2line agrees: $(cat out)" || bad "addr2line: $(cat out)"
fi
# The file that was run is gone, or another one: only what the snapshot itself knows may be told, never another file's names.
mkdir other && cp make other/make && (cd other && ./make ../other.cgc sites=A)
echo 'int main(void) { return 0; } void parse_body(void) {}' | "$cc" -x c - -o other/make
lacks 'parse_body|make_snapshot\.c' show other.cgc 7f
says '^      \? +\S*/other/make\+0x[0-9a-f]+$' show other.cgc 7f
# Debug information apart: by link beside the file, and by build id in the place where distributions keep it.
if command -v objcopy >/dev/null; then
  cp make other/make && cp make other/whole
  objcopy --only-keep-debug other/make other/make.debug && strip other/make && (cd other && objcopy --add-gnu-debuglink=make.debug make)
  says '^      parse_header +\S*make_snapshot\.c:' show other.cgc 7f
  mkdir other/.debug && mv other/make.debug other/.debug/
  says '^      parse_header +\S*make_snapshot\.c:' show --symbolizer=auto other.cgc 7f
  says '^      parse_header +\S*other/make\+0x' show --symbolizer=tables other.cgc 7f
  # A debug file of another build is none.
  "$cc" -std=gnu11 -D_GNU_SOURCE -O0 -g -I"$root/src" "$here/make_snapshot.c" -o other/older -ldl && objcopy --only-keep-debug other/older other/.debug/make.debug
  lacks 'parse_header' show other.cgc 7f
else skip "objcopy is not installed"; fi

# -- C++ --
if [[ -f libshape.so ]]; then
  ./make cxx.cgc sites=H library="$PWD/libshape.so"
  says '^      park::Shape<int>::draw\(void \(\*\)\(\)\) ' show cxx.cgc 08
  grep -q 'park::visit(park::Shape<int>&, void (\*)())' out && ok "C++ names are demangled" || bad "C++: $(cat out)"
  if command -v c++filt >/dev/null; then says '^      park::Shape<int>::draw\(void \(\*\)\(\)\) ' show --symbolizer=tables cxx.cgc 08
  else skip "c++filt is not installed"; fi
else skip "no C++ compiler"; fi

# -- one process a batch; no tool is served by cgc or told of servers --
mkdir bin
printf '#!/bin/sh\necho run >>"%s/runs"\nenv | grep -E "^(LD_PRELOAD|CGC_OPTIONS|DEBUGINFOD_URLS)=" >>"%s/runs"\nexec /usr/bin/addr2line "$@"\n' "$T" "$T" >bin/llvm-symbolizer
printf '#!/bin/sh\ncat >/dev/null\nprintf "0xdead\\nwrong\\nwrong.c:1:1\\n\\n"\n' >bin/liar
chmod +x bin/*
DEBUGINFOD_URLS=http://127.0.0.1:1 CGC_OPTIONS=mode=off PATH=$PWD/bin:$PATH "$cgc" leaks --possible a.cgc >out 2>&1
[[ $(cat runs) == run ]] && ok "one process for all names, in a clean environment" || bad "tools: $(tr '\n' '~' <runs)"
grep -q 'parse_header' out && ok "a tool that answers nothing leaves it to the tables" || bad "$(head -n 5 out)"
cp bin/liar bin/llvm-symbolizer
PATH=$PWD/bin:$PATH lacks 'wrong' leaks a.cgc
# Rust's older names, as llvm-symbolizer hands them on.
printf '%s\n' '#!/bin/sh' "sed -n 's/.* \\(0x[0-9a-f]*\\)\$/\\1\\n_\$LT\$T\$u20\$as\$u20\$alloc..vec..Vec\$LT\$A\$C\$B\$GT\$\$GT\$::new::h0123456789abcdef\\nx.rs:1:2\\n/p'" >bin/llvm-symbolizer
PATH=$PWD/bin:$PATH says '^      <T as alloc::vec::Vec<A,B>>::new +x\.rs:1:2$' show one.cgc 7f
mv bin/liar bin/llvm-symbolizer
# Programs of the current folder are never run.
mkdir here && cp bin/llvm-symbolizer here/ && printf '#!/bin/sh\ntouch "%s/started"\n' "$T" >here/llvm-symbolizer
(cd here && PATH=:$PATH "$cgc" leaks ../a.cgc >/dev/null)
[[ -e started ]] && bad "a file of the current folder was run" || ok "no tool from the current folder"
rm -rf bin here
printf '#!/bin/sh\necho "$@" >>"%s/asked"\nexit 1\n' "$T" >debuginfod-find && chmod +x debuginfod-find
PATH=$PATH:$PWD "$cgc" leaks a.cgc >/dev/null
[[ -e asked ]] && bad "debuginfod was asked" || ok "debuginfod is not asked"
PATH=$PWD:$PATH "$cgc" leaks --debuginfod other.cgc >/dev/null
grep -qE '^debuginfo [0-9a-f]{40}$' asked 2>/dev/null && ok "--debuginfod asks by build id" || bad "asked: $(cat asked 2>/dev/null)"
rm -f debuginfod-find
mkdir none
for o in --debuginfod --symbolizer=llvm --symbolizer=addr2line; do
  PATH=$T/none "$cgc" leaks $o a.cgc >out 2>err
  (($? == 0)) && grep -q parse_header out && [[ $(cat err) == "cgc: "*" is not installed: "* ]] && ok "$o of what is not installed: one line" || bad "$o: $(cat err)"
done

# -- formats --
python=""
for p in python3 /usr/bin/python3; do "$p" -c 'import jsonschema' 2>/dev/null && { python=$p; break; }; done
if [[ -n $python ]]; then
  for o in "" "--possible" "--possible --reachable --show-suppressed" "--symbolizer=tables" "--only=conn_read"; do
    # shellcheck disable=SC2086 # options without blanks
    if "$python" "$here/leak_formats.py" "$cgc" "$root/tools/cgc-leaks.schema.json" "$here/lsan_grammar.py" $o a.cgc >out 2>&1; then ok "formats agree, ${o:-no options}: $(cat out)"
    else bad "formats, $o: $(tail -n 1 out)"; fi
  done
  for f in none.cgc est.cgc dim.cgc; do
    "$python" "$here/leak_formats.py" "$cgc" "$root/tools/cgc-leaks.schema.json" "$here/lsan_grammar.py" $f >out 2>&1 && ok "formats agree, $f: $(cat out)" || bad "formats, $f: $(tail -n 1 out)"
  done
else skip "no python3-jsonschema"; fi
"$cgc" leaks --format=lsan none.cgc >out 2>err && [[ ! -s out ]] && ok "lsan: nothing is said where nothing leaks" || bad "lsan of nothing: $(head -n 3 out)"
"$cgc" leaks --format=lsan a.cgc | sed 's/ allocated from:/ allocated by:/' >out; python3 "$here/lsan_grammar.py" out >/dev/null 2>&1 && bad "the grammar's parser takes anything" || ok "the grammar's parser refuses a wrong word"
# The parser knows LeakSanitizer itself.
printf '#include <stdlib.h>\nvoid *volatile p;\nint main(void) { p = malloc(7); p = 0; p = calloc(3, 5); p = 0; return 0; }\n' >real.c
for c in gcc clang; do
  command -v $c >/dev/null && $c -g -fsanitize=leak real.c -o real 2>/dev/null || continue
  ./real 2>real.txt
  grep -q 'detected memory leaks' real.txt || { skip "LeakSanitizer of $c does not run here"; continue; }
  python3 "$here/lsan_grammar.py" real.txt >out 2>&1 && [[ $(tail -n 1 out) == "total 22 2" ]] && ok "a real report of $c is parsed" || bad "$c's own report: $(tail -n 2 out)"
done

# -- several processes of one run --
./make b.cgc pid=4122 scale=2 sites=ABD
says '^cgc: 4 leaks, 93\.0 MiB in 24,361 blocks .* 2 processes  \./server$' leaks a.cgc b.cgc
says '^#1  93\.0 MiB  24,339 blocks  definite  in 2 of 2 processes  id 7f3a9c0$' leaks a.cgc b.cgc
refuses 2 'the same process' leaks a.cgc a.cgc

# -- growth --
./make grow.cgc growth=1200
says '^#1  31\.0 MiB  8,113 blocks  \+52 KiB/s  definite' leaks grow.cgc
says '^#. .*\+30\.5 MiB in 10 min  \+52 KiB/s  .*reachable' leaks --since 10m grow.cgc
says '^cgc: 3 growing sites' leaks --since=600s grow.cgc
says '^  live over time: \+60\.9 MiB, \+52 KiB/s$' show grow.cgc 7f3a9c0
ends 0 leaks --since=10m a.cgc
[[ $(cat out) == 'cgc: no growing sites in '* && $(cat err) == *'--interval=60s'* ]] && ok "without samples --since says what it needs" || bad "since: $(cat out err)"
./make grow.cgc growth=1200 looks=5
says '^#1  .*\+15\.2 MiB in 5 min  \+52 KiB/s' leaks --since 100s grow.cgc
./make flat.cgc looks=5
says '^cgc: no growing sites in 5 looks over 4 min, 3\.2 MiB of live memory \(1,204 blocks\)   pid 4121' leaks --since 10m flat.cgc
for n in 0 1; do
  ./make young.cgc looks=$n
  ends 0 leaks --since 10m young.cgc
  [[ $(cat err) == "cgc: there was "*"look so far at what grows (--interval=60 s)"* ]] && ok "with $n looks --since says so" || bad "since: $(cat out err)"
done
refuses 2 'is no time' leaks --since=tenmin grow.cgc

# -- suppressions --
printf 'leak:^parse_head\nleak:never_there\n' >s.lsan
says '31\.0 MiB in 8,113 blocks at 1 site by \^parse_head \(s\.lsan:1\)' leaks --suppressions=s.lsan a.cgc
lacks 'id 7f3a9c0' leaks --suppressions=s.lsan a.cgc
printf 'leak:inlined_part\n' >s.inline; lacks 'id 7f3a9c0' leaks --suppressions=s.inline a.cgc
printf 'leak:make_snapshot.c\n' >s.file; lacks 'id (7f3a9c0|0b0000|0c0000)' leaks --suppressions=s.file a.cgc
says '7f3a9c0 *$' leaks --suppressions=s.file --show-suppressed a.cgc
lacks 'id (7f3a9c1|000000)' leaks --only=conn_read a.cgc
says 'id 0b0000' leaks --only=conn_read --only=nothing a.cgc
printf 'leek:x\n' >s.bad; refuses 2 's.bad, line 1' leaks --suppressions=s.bad a.cgc
refuses 2 "can't be read" leaks --suppressions=nowhere a.cgc
for form in lsan text; do
  "$cgc" leaks --gen-suppressions --format=$form --possible a.cgc >gen
  says '^cgc: [01] leaks?|^cgc: no leaks' leaks --suppressions=gen --possible a.cgc
done
[[ -f cxx.cgc ]] && { "$cgc" leaks --gen-suppressions cxx.cgc >gen; grep -q 'fun:_ZN4park' gen && ok "valgrind's form has mangled names" || bad "$(cat gen)"; says '^cgc: no leaks' leaks --suppressions=gen cxx.cgc; }
# What is written for others, they take: leaks of plain, inlined and templated functions, and of a thread.
cat >lost.cc <<'C'
#include <cstdlib>
#include <cstring>
#include <thread>
template <class T> struct Box { __attribute__((noinline)) static void lose() { void *volatile p = malloc(sizeof(T)); p = nullptr; } };
static inline __attribute__((always_inline)) void inner() { void *volatile p = malloc(100); p = nullptr; }
static inline __attribute__((always_inline)) void middle(void (*f)()) { f(); }
__attribute__((noinline)) static void outer() { inner(); __asm__(""); }
__attribute__((noinline)) static void scrub() { volatile char b[16384]; memset((void *)b, 0, sizeof b); }
int main() { Box<double[7]>::lose(); middle(outer); std::thread([] { Box<int[50]>::lose(); scrub(); }).join(); scrub(); return 0; }
C
if [[ -f cxx.cgc ]] && "$cxx" -O1 -g -fno-optimize-sibling-calls -std=c++11 lost.cc -o lost -pthread; then
  under 60 "mode=report:snapshot=$T/lost.cgc" ./lost
  "$cgc" leaks --gen-suppressions lost.cgc >gen
  grep -q ' 3 leaks' <("$cgc" leaks lost.cgc) && says '^cgc: no leaks' leaks --suppressions=gen lost.cgc
  if command -v valgrind >/dev/null; then
    timeout 120 valgrind --leak-check=full --suppressions=gen ./lost >out 2>&1
    grep -q 'suppressed: [1-9]' out && grep -qE 'definitely lost: 0 bytes|All heap blocks' out && ok "valgrind takes the rules" || bad "valgrind: $(tail -n 20 out) $(cat gen)"
  else skip "valgrind is not installed"; fi
  "$cgc" leaks --gen-suppressions --format=lsan lost.cgc >gen
  if "$cxx" -O1 -g -fno-optimize-sibling-calls -std=c++11 -fsanitize=leak lost.cc -o lost.lsan -pthread 2>/dev/null; then
    LSAN_OPTIONS=suppressions=$T/gen timeout 60 ./lost.lsan >out 2>&1 && grep -q 'Suppressions used' out && ok "LeakSanitizer takes the rules" || skip "LeakSanitizer: $(head -n 3 out)"
  fi
fi

# -- show and diff --
says '^    0x280000002040 +48 B  definite ' show a.cgc 7f3a9c0
says '^    and 1 more: --limit=0' show --limit=2 a.cgc 7f3a9c0
says '0x280000003000 +120 B  indirect +only lost blocks lead to it: 0x280000002000' show a.cgc 0c
refuses 2 "2 sites' ids begin with 7f3a9c" show a.cgc 7f3a9c
refuses 2 "no site's id begins with abcdef" show a.cgc abcdef
refuses 2 'is no id of a site' show a.cgc xyz
says '^cgc: 0 new, 0 grown, 0 shrunk, 0 gone' diff a.cgc a.cgc
./make small.cgc sites=AB; ./make big.cgc sites=BCG scale=3
says '^cgc: 2 new, 1 grown, 0 shrunk, 1 gone, -31\.0 MiB' diff small.cgc big.cgc
says '^new     \+3\.5 KiB  0 blocks -> 30  id 0c0000' diff small.cgc big.cgc
says '^grown   \+8\.6 KiB  3 blocks -> 9  id 0b0000' diff small.cgc big.cgc
says '^gone    -31\.0 MiB  8,113 blocks -> 0  id 7f3a9c' diff small.cgc big.cgc
ends 1 diff --fail-on-new small.cgc big.cgc
ends 0 diff --fail-on-new big.cgc big.cgc
ends 0 diff small.cgc big.cgc
ends 3 diff --fail-on-new dim.cgc dim.cgc

# -- bad input: one line, a hint, exit 2 --
refuses 2 'no process and no file' leaks
refuses 2 "can't be read" leaks nowhere.cgc
refuses 2 'is no file' leaks /dev/null
mkdir folder; refuses 2 'is a folder: name the snapshot files in it: folder/*.cgc' leaks folder
mkfifo pipe; refuses 2 'is no file' leaks pipe
refuses 2 'no snapshot of cgc' leaks "$here/lib.sh"
: >empty; refuses 2 'no snapshot of cgc' leaks empty
refuses 2 'is unknown to `cgc leaks`' leaks --resident a.cgc
refuses 2 'one of text|lsan|json' leaks --format=xml a.cgc
refuses 2 'is not a number' leaks --limit=few a.cgc
refuses 2 'takes no value' leaks --fail=1 a.cgc
refuses 2 'a process or file and a site' show a.cgc
refuses 2 'two snapshots' diff a.cgc
refuses 2 'a process and a file are needed' snapshot 1
refuses 2 'is no process' snapshot a.cgc -o x
refuses 2 'is no process' why a.cgc 0x1
refuses 2 'is no address' why $$ 0xzz
refuses 2 'does not listen' leaks $$
for c in leaks show why snapshot diff; do says "^cgc $c " $c --help; done

# -- a file may come from anywhere --
./make new.cgc newer=1
says '^#1  31\.0 MiB  8,113 blocks  definite  id 7f3a9c0$' leaks new.cgc
python3 - <<'P'
import struct
data = open("a.cgc", "rb").read()
def patch(name, offset, value):
    open(name, "wb").write(data[:offset] + value + data[offset + len(value):])
patch("major.cgc", 8, struct.pack("<H", 2))
patch("magic.cgc", 0, b"CGCSNAQ\n")
open("cut.cgc", "wb").write(data[:len(data) // 2])
open("head.cgc", "wb").write(data[:100])
open("tail.cgc", "wb").write(data + b"more")
sections = {}
for i in range(struct.unpack_from("<I", data, 12)[0]):
    kind, record, offset, count = struct.unpack_from("<IIQQ", data, 128 + 24 * i)
    sections[kind] = (128 + 24 * i, record, offset, count)
row, record, offset, count = sections[3]
patch("bad_loop.cgc", offset + record + 8, struct.pack("<I", 1))      # frame 1 is its own parent
patch("bad_parent.cgc", offset + record + 8, struct.pack("<I", count))
patch("bad_module.cgc", offset + record + 12, struct.pack("<I", 4000))
patch("bad_symbol.cgc", offset + record + 16, struct.pack("<I", 0x7fffffff))
patch("bad_count.cgc", row + 16, struct.pack("<Q", 1 << 62))
patch("bad_offset.cgc", row + 8, struct.pack("<Q", (1 << 64) - 8))
patch("bad_record.cgc", row + 4, struct.pack("<I", 8))
patch("bad_twice.cgc", row, struct.pack("<I", 4))
patch("bad_table.cgc", 12, struct.pack("<I", 0xffffffff))
row, record, offset, count = sections[4]
patch("bad_frame.cgc", offset + 8, struct.pack("<I", 1 << 20))
patch("bad_rule.cgc", offset + 112, struct.pack("<I", 99))
patch("bad_error.cgc", offset + 120, struct.pack("<d", float("nan")))
row, record, offset, count = sections[7]
patch("bad_kind.cgc", offset + 20, b"\x09")
patch("bad_site.cgc", offset + 16, struct.pack("<I", 1000))
row, record, offset, count = sections[1]
patch("bad_strings.cgc", offset + count - 1, b"x")
row, record, offset, count = sections[2]
patch("bad_id.cgc", offset + 64, struct.pack("<I", 33))
P
refuses 2 'has version 2.1 and this cgc reads 1' leaks major.cgc
refuses 2 'no snapshot of cgc' leaks magic.cgc
refuses 2 'was cut off' leaks cut.cgc
refuses 2 'was cut off' leaks head.cgc
refuses 2 'longer than its header says' leaks tail.cgc
for f in bad_*.cgc; do refuses 2 "$f can't be read: it is damaged" leaks "$f"; done
finish
