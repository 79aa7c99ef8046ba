/* Progress. Nothing is drawn that is not erased again, so what follows on the terminal looks as if nothing had been there. */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *work;
static time_t began;
static bool drawn;

static time_t seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

void progress_begin(const char *what)
{
	work = isatty(2) ? what : NULL;
	began = seconds();
}

void progress_tick(void)
{
	if (work && seconds() - began > 1) {
		fprintf(stderr, "\rcgc: %s: %ld s", work, (long)(seconds() - began));
		drawn = true;
	}
}

void progress_end(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
	work = NULL;
}
