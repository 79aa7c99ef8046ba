/*
 * /proc/self/task/TID/stat: any bytes. A second reader, written the other way round (it splits the text behind the last
 * parenthesis at blanks), must come to the same end. A thread that is wrongly left out of a stop is the worst that can happen here.
 */
#include "threads/room.h"
#include "fuzz.h"

enum { EXITING = 0x4, WORKERS = 0x4010, FLAGS_FIELD = 6 };

static enum task_state expect(const char *text, size_t n, bool *exiting, bool *runnable)
{
	const char *close = n ? memrchr(text, ')', n) : NULL;
	*exiting = *runnable = false;
	if (!close || n - (size_t)(close - text) < 4)
		return TASK_AWAITED;
	const char *state = close + 2, *end = text + n, *at = state;
	unsigned field = 0;
	while (field < FLAGS_FIELD && at && (at = memchr(at, ' ', (size_t)(end - at)))) {
		field++;
		at++;
	}
	const char *last = at ? memchr(at, ' ', (size_t)(end - at)) : NULL;
	unsigned long flags = 0;
	for (; last && at < last; at++)
		flags = flags * 10 + (unsigned long)(*at - '0');
	if (*state == 'Z' || *state == 'X' || flags & WORKERS)
		return TASK_SKIPPED;
	*exiting = flags & EXITING;
	*runnable = *state == 'R';
	return TASK_AWAITED;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static bool started;
	if (!started)
		tasks_start(); /* reads which flags mean kernel worker here; 6.4 and later: both */
	started = true;
	char *text = malloc(n ? n : 1);
	if (!text)
		abort();
	memcpy(text, bytes, n);
	struct task_signs signs;
	bool exiting, runnable;
	enum task_state want = expect(text, n, &exiting, &runnable), got = task_parse_stat(text, n, &signs);
	claim(got == want, "state %d, expected %d", got, want);
	claim(got == TASK_SKIPPED || (signs.exiting == exiting && signs.runnable == runnable), "signs differ");
	free(text);
	return 0;
}
