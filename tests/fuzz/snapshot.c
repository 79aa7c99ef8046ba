/* A snapshot file, any bytes: what the reader accepts must be walkable to its last record, twice with the same result. */
#include "fuzz.h"
#include "snapshot_read.h"
#include "view.h"

#include <stdarg.h>

/* The command's own prints lines; here nothing is printed. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *fmt, ...) { (void)fmt; }

static uint64_t walk(const struct snapshot *s)
{
	uint64_t sum = strlen(snapshot_string(s, s->head.program));
	for (uint64_t i = 0; i < snapshot_count(s, SECTION_SITES); i++) {
		struct snapshot_site site;
		struct snapshot_frame f;
		uint64_t depth = 0;
		snapshot_record(s, SECTION_SITES, i, &site, sizeof site);
		for (uint32_t at = site.frame; at; at = f.parent, depth++) {
			snapshot_record(s, SECTION_FRAMES, at, &f, sizeof f);
			claim(depth < snapshot_count(s, SECTION_FRAMES), "a stack without an end");
			claim(f.module == UINT32_MAX || f.module < snapshot_count(s, SECTION_MODULES), "module %u", f.module);
			sum += strlen(snapshot_string(s, f.symbol)) + f.pc;
		}
		sum += strlen(snapshot_string(s, site.suppression));
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t *file = malloc(n ? n : 1); /* its own size: a read behind the file's end shows */
	struct snapshot *s = calloc(1, sizeof *s), again;
	if (!file || !s)
		abort();
	memcpy(file, bytes, n);
	const char *wrong = snapshot_check(s, file, n), *twice = snapshot_check(&again, file, n);
	claim(!wrong == !twice, "%s, then %s", wrong ? wrong : "whole", twice ? twice : "whole");
	if (!wrong) {
		struct view_source source = { .name = "x", .s = *s };
		struct view v;
		claim(walk(s) == walk(&again), "the second walk differs");
		if (view_make(&v, &source, 1, bytes[n - 1] ? 1000000000u : 0)) {
			struct choice all = { .possible = true, .reachable = true, .suppressed = true };
			claim(view_sums(&v, &all).sites <= v.count, "more are listed than there are");
			for (size_t i = 0; i < v.count; i++)
				claim(v.sites[i].id_digits >= 6 && v.sites[i].id_digits <= 16, "%u digits", v.sites[i].id_digits);
			for (size_t i = 0; i < v.count; i++)
				free(v.sites[i].points);
			free(v.sites);
		}
	}
	free(file);
	free(s);
	return 0;
}
