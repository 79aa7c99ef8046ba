/*
 * What the test programs share: asking the collector, patterned blocks, hiding an address, scrubbing, peak RSS.
 *
 * The programs link libc and pthreads only. They reach the collector by dlsym, so each also runs plain or under another
 * allocator, where kit_collect does nothing and kit_collector() is false.
 */
#ifndef CGC_TEST_KIT_H
#define CGC_TEST_KIT_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint64_t __attribute__((may_alias)) kit_word;

static inline void (*kit_entry(void))(void)
{
	static void (*entry)(void);
	static bool asked;
	if (!asked) {
		*(void **)&entry = dlsym(RTLD_DEFAULT, "cgc_collect");
		asked = true;
	}
	return entry;
}
static inline bool kit_collector(void) { return kit_entry() != NULL; }
static inline void kit_collect(int times)
{
	for (void (*entry)(void) = kit_entry(); entry && times > 0; times--)
		entry();
}

/* xorshift64*: seeded, so that every run does the same. */
static inline uint64_t kit_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545F4914F6CDD1DULL;
}

/* Word i of the pattern `id`. The top bit is set, so that no word of a pattern can be an address of user space. */
static inline uint64_t kit_pattern(uint64_t id, size_t i)
{
	return ((id + 1) * 0x9E3779B97F4A7C15ULL ^ (i + 1) * 0xD1B54A32D192ED03ULL) | 1ULL << 63;
}
static inline void kit_fill(void *p, size_t from, size_t bytes, uint64_t id)
{
	for (size_t i = from; i < bytes / 8; i++)
		((kit_word *)p)[i] = kit_pattern(id, i);
	for (size_t i = bytes / 8 * 8; i < bytes; i++) /* six bytes of an old pointer are one again with the zeros behind them */
		((unsigned char *)p)[i] = 0;
}
/* Is the pattern still whole from word `from` on? */
static inline bool kit_intact(const void *p, size_t from, size_t bytes, uint64_t id)
{
	for (size_t i = from; i < bytes / 8; i++)
		if (((const kit_word *)p)[i] != kit_pattern(id, i))
			return false;
	return true;
}

/* An address that the collector can't see: never canonical, and its own inverse. */
static inline uintptr_t kit_hide(uintptr_t p) { return p ^ 0xA5C35A3C96E1C3A5ULL; }

/* Clears the dead stack below the caller and the registers that a call may leave behind, so that no stale copy of an
 * address keeps a block. 16 KiB is more than malloc and printf use. */
static __attribute__((noinline, unused)) void kit_scrub(void)
{
	volatile char dead[16384];
	for (size_t i = 0; i < sizeof dead; i++)
		dead[i] = 0;
	__asm__ volatile("" ::: "memory");
#if defined(__x86_64__)
	__asm__ volatile("xor %%eax,%%eax; xor %%ecx,%%ecx; xor %%edx,%%edx; xor %%esi,%%esi; xor %%edi,%%edi\n"
	                 "xor %%r8d,%%r8d; xor %%r9d,%%r9d; xor %%r10d,%%r10d; xor %%r11d,%%r11d\n"
	                 "pxor %%xmm0,%%xmm0; pxor %%xmm1,%%xmm1; pxor %%xmm2,%%xmm2; pxor %%xmm3,%%xmm3\n"
	                 "pxor %%xmm4,%%xmm4; pxor %%xmm5,%%xmm5; pxor %%xmm6,%%xmm6; pxor %%xmm7,%%xmm7\n"
	                 "pxor %%xmm8,%%xmm8; pxor %%xmm9,%%xmm9; pxor %%xmm10,%%xmm10; pxor %%xmm11,%%xmm11\n"
	                 "pxor %%xmm12,%%xmm12; pxor %%xmm13,%%xmm13; pxor %%xmm14,%%xmm14; pxor %%xmm15,%%xmm15" ::
	                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3",
	                     "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
	                     "xmm15", "cc");
	/* Copies by memcpy leave words in the upper halves too, and in registers that only AVX-512 names. */
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroall");
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile(".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		                 "vpxord %zmm\\n,%zmm\\n,%zmm\\n\n"
		                 ".endr");
#endif
}

/* Sizes from low to high bytes, equally likely in each doubling, multiples of 8. low a power of two, high a multiple of it. */
static inline size_t kit_log_size(uint64_t *seed, size_t low, size_t high)
{
	unsigned doublings = 0;
	for (size_t s = low; s < high; s *= 2)
		doublings++;
	size_t base = low << kit_random(seed) % doublings;
	size_t size = base + kit_random(seed) % base;
	return (size < high ? size : high) & ~(size_t)7;
}

/* A field of /proc/self/status in KiB (VmHWM: peak RSS, VmRSS: now); 0 when it can't be read. */
static inline long kit_status_kib(const char *field)
{
	char line[256];
	long kib = 0;
	size_t n = strlen(field);
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, field, n) && line[n] == ':')
			kib = atol(line + n + 1);
	if (f)
		fclose(f);
	return kib;
}

static inline __attribute__((noreturn, format(printf, 1, 2))) void kit_fail(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	n = n < (int)sizeof line - 2 ? n : (int)sizeof line - 2;
	line[n] = '\n';
	line[n + 1] = 0;
	if (write(2, line, strlen(line)) < 0)
		_exit(3);
	_exit(1);
}

#endif
