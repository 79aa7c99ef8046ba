/* One line a check, the same plain and under stops; exit status is the number of failures (at most 99). */
#ifndef CHECK_H
#define CHECK_H
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int failures;
#define CHECK(name, cond) \
	do { \
		int e_ = errno, ok_ = (cond); \
		failures += !ok_; \
		printf("%s %s\n", ok_ ? "ok" : "FAILED", name); \
		if (!ok_) \
			fprintf(stderr, "  %s:%d: %s (errno %d, took %.3f ms)\n", __FILE__, __LINE__, #cond, e_, took_ms); \
		fflush(stdout); \
		errno = e_; \
	} while (0)
static double took_ms;
__attribute__((unused)) static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}
#define TIMED(expr) do { double t0_ = now_ms(); errno = 77; (expr); int te_ = errno; took_ms = now_ms() - t0_; errno = te_; } while (0)
/* Never early; the upper side is generous: two cores are shared with other work. */
#define TOOK(ms) (took_ms >= (ms) - 0.1 && took_ms < (ms) * 1.5 + 60)
#define DONE() return failures > 99 ? 99 : failures
#endif
