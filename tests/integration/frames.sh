#!/bin/bash
# What a signal frame of ours holds for a report: all registers of the code that it interrupted, and no word that only happened to lie there before.
set -u
. "$(dirname "$0")/lib.sh"
cgc=$PROGRAMS/cgc
unset CGC_OPTIONS LD_PRELOAD NO_COLOR
cd "$T" || exit 1
mkdir -m 700 run
export XDG_RUNTIME_DIR=$PWD/run TMPDIR=$T
cat >framed.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { MASK = 0x5a5a };
static uintptr_t hidden;
static volatile char over, spins;
static __attribute__((noinline)) void hide(void) { hidden = ~(uintptr_t)malloc(3000) ^ MASK; }
static __attribute__((noinline)) void paint(uintptr_t word)
{
	volatile uintptr_t b[3000];
	for (int i = 0; i < 3000; i++) b[i] = i < 2960 ? word : 0; /* the red zone is the program's */
}
/* What stood in general registers before is gone, and nothing is called: whoever comes finds the stack below as it was painted. */
#define ZERO(r) "xor %%" r ", %%" r "\n\t"
#define ZEROS ZERO("ecx") ZERO("edx") ZERO("esi") ZERO("edi") ZERO("r8d") ZERO("r9d") ZERO("r10d") ZERO("r11d") ZERO("r12d") ZERO("r13d") ZERO("r14d") ZERO("r15d")
#define SPIN(load) __asm__ volatile("not %%rax\n\txor %[mask], %%rax\n\t" ZEROS load "\n\txor %%eax, %%eax\n\tmovb $1, %[spins]\n1:\tpause\n\tcmpb $0, %[over]\n\tje 1b" \
	: [spins] "=m"(spins) : "a"(hidden), [mask] "i"(MASK), [over] "m"(over) \
	: "memory", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm9")
static const char *where;
static void spin(void)
{
	if (!strcmp(where, "stale")) { paint(~hidden ^ MASK); SPIN("nop"); }
	paint(0);
	if (!strcmp(where, "rcx")) SPIN("mov %%rax, %%rcx");
	if (!strcmp(where, "r15")) SPIN("mov %%rax, %%r15");
	if (!strcmp(where, "redzone")) SPIN("mov %%rax, -120(%%rsp)");
	if (!strcmp(where, "mm3")) SPIN("movq %%rax, %%mm3");
	if (!strcmp(where, "xmm9")) SPIN("movq %%rax, %%xmm9");
	if (!strcmp(where, "ymm9")) SPIN("movq %%rax, %%xmm9\n\tvinsertf128 $1, %%xmm9, %%ymm9, %%ymm9\n\tvblendps $0xf, %%ymm0, %%ymm9, %%ymm9");
	if (!strcmp(where, "zmm9")) SPIN("vpbroadcastq %%rax, %%zmm9\n\tvxorps %%ymm0, %%ymm0, %%ymm0\n\tvinserti64x4 $0, %%ymm0, %%zmm9, %%zmm9");
	if (!strcmp(where, "zmm20")) SPIN("vpbroadcastq %%rax, %%zmm20");
	if (!strcmp(where, "k3")) SPIN("kmovq %%rax, %%k3");
}
static void *thread(void *unused) { spin(); return unused; }
static void end(int sig) { over = (char)sig; }
int main(int argc, char **argv)
{
	pthread_t t;
	__builtin_cpu_init();
	where = argv[2];
	if (!strcmp(where, "ymm9") && !__builtin_cpu_supports("avx")) return 77;
	if ((*where == 'z' || *where == 'k') && !__builtin_cpu_supports("avx512bw")) return 77;
	signal(SIGTERM, end);
	hide();
	if (argc > 3) {
		static char other[65536];
		const stack_t alternate = { .ss_sp = other, .ss_size = sizeof other };
		sigaltstack(&alternate, NULL);
	}
	paint(0);
	if (!strcmp(argv[1], "asked")) { spin(); return 0; }
	pthread_create(&t, NULL, thread, NULL);
	while (!spins) usleep(1000);
	return 0;
}
C
${CC:-cc} -g -O1 framed.c -o framed -pthread || { bad "the program compiles"; finish; }
preloaded=(env "LD_PRELOAD=$LIB" "CGC_OPTIONS=mode=report:listen=1:log_path=$T/log.%p")

# told WHO WHERE FILE: what the report says of the one block that counts.
told() {
  local lost=no
  grep -q ' in 1 block ' "$3" && lost=yes
  grep -qE '^cgc: (no leaks|1 leak)' "$3" || { bad "$1, $2: $(head -n 3 "$3")"; return; }
  case $2:$lost in
  stale:yes) ok "$1: an old word where the kernel laid its frame holds nothing" ;;
  stale:no) bad "$1: an old word where the kernel laid its frame holds a block" ;;
  *:no) ok "$1: $2 holds a block" ;;
  *) bad "$1: $2 holds a block that is called lost: $(cat "$3")" ;;
  esac
}

for place in stale rcx r15 redzone mm3 xmm9 ymm9 zmm9 zmm20 k3 "rcx alternate" "ymm9 alternate"; do
  where=${place% *}
  # a thread is asked that runs, and reports on itself
  timeout -k 3 60 "${preloaded[@]}" ./framed asked $place >out 2>err &
  job=$!
  : >answer
  for _ in {1..100}; do
    pid=$(pgrep -P $job -x framed) && timeout 30 "$cgc" leaks "$pid" >answer 2>&1 && break
    kill -0 $job 2>/dev/null || break
    sleep 0.05
  done
  [[ -n $pid ]] && kill -TERM "$pid"
  wait $job
  (($? == 77)) && { echo "      $where: this machine has none"; continue; } # no skip: nothing could be installed for it
  told "asked${place#$where}" $where answer
  # a thread that somebody else stops
  under 60 "mode=report" ./framed stopped $place >out 2>err
  told "stopped${place#$where}" $where err
done
finish
