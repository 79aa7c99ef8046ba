/*
 * LeakSanitizer's own lines, for scripts and services that read them:
 *
 *     =================================================================
 *     ==4121==ERROR: LeakSanitizer: detected memory leaks
 *
 *     Direct leak of 7 byte(s) in 1 object(s) allocated from:
 *         #0 0x55f0c0de1199 in parse /src/http.c:212:9
 *         #1 0x7f01c0de2ac9  (/usr/lib/libfoo.so+0x22ac9) (BuildId: 5b1e...)
 *
 *     SUMMARY: LeakSanitizer: 7 byte(s) leaked in 1 allocation(s).
 *
 * It knows direct and indirect: definite blocks are direct, possible ones too when they were asked for; reachable ones have no place in
 * it. Nothing at all is printed where nothing leaks, as there. The process is the first one's when several were merged.
 */
#include "formats/formats.h"

#include <inttypes.h>

static void print_frame(FILE *to, size_t number, const struct view_frame *f)
{
	fprintf(to, "    #%zu 0x%012" PRIx64 " ", number, f->pc - 1);
	if (f->function[0])
		fprintf(to, "in %s", f->function);
	if (f->file[0] && f->line && f->column)
		fprintf(to, " %s:%u:%u\n", f->file, f->line, f->column);
	else if (f->file[0] && f->line)
		fprintf(to, " %s:%u\n", f->file, f->line);
	else if (f->file[0])
		fprintf(to, " %s\n", f->file);
	else if (f->module[0])
		fprintf(to, " (%s+0x%" PRIx64 ")%s%s%s\n", f->module, f->address, f->build_id[0] ? " (BuildId: " : "", f->build_id, f->build_id[0] ? ")" : "");
	else
		fputs(" (<unknown module>)\n", to);
}

static void print_leak(FILE *to, const char *kind, const struct view_site *site, struct count c)
{
	if (!c.blocks)
		return;
	fprintf(to, "%s leak of %" PRIu64 " byte(s) in %" PRIu64 " object(s) allocated from:\n", kind, c.bytes, c.blocks);
	for (size_t i = 0; i < site->frame_count; i++)
		print_frame(to, i, &site->frames[i]);
	if (!site->frame_count)
		fputs("    <empty stack>\n\n", to);
	else
		fputc('\n', to);
}

void format_lsan(const struct page *p)
{
	const struct view *v = p->view;
	struct count all = { 0, 0 };
	size_t number = 0;
	for (size_t i = 0; i < v->count; i++) {
		const struct view_site *site = &v->sites[i];
		if (!site_chosen(site, &p->choice))
			continue;
		struct count direct = site->kind[KIND_DEFINITE];
		if (choice_has(&p->choice, KIND_POSSIBLE)) {
			direct.blocks += site->kind[KIND_POSSIBLE].blocks;
			direct.bytes += site->kind[KIND_POSSIBLE].bytes;
		}
		if (!direct.blocks && !site->kind[KIND_INDIRECT].blocks)
			continue;
		if (!all.blocks)
			fprintf(p->to, "\n=================================================================\n==%u==ERROR: LeakSanitizer: detected memory leaks\n\n", v->sources[0].s.head.pid);
		all.blocks += direct.blocks + site->kind[KIND_INDIRECT].blocks;
		all.bytes += direct.bytes + site->kind[KIND_INDIRECT].bytes;
		if (p->choice.limit && ++number > p->choice.limit)
			continue;
		print_leak(p->to, "Direct", site, direct);
		print_leak(p->to, "Indirect", site, site->kind[KIND_INDIRECT]);
	}
	if (all.blocks)
		fprintf(p->to, "SUMMARY: LeakSanitizer: %" PRIu64 " byte(s) leaked in %" PRIu64 " allocation(s).\n", all.bytes, all.blocks);
}
