/*
 * The report for people:
 *
 *     cgc: 3 leaks, 48.2 MiB in 12,040 blocks (definite 47.9 MiB, indirect 0.3 MiB)   pid 4121  ./server
 *     #1  31.0 MiB  8,113 blocks  +52 KiB/s  definite  id 7f3a9c
 *           parse_header      http.c:212
 *           conn_read         conn.c:88
 *           worker            pool.c:40        +9 frames: cgc show 4121 7f3a9c
 *
 * A site with blocks of several kinds names each; numbers of a sampled process are estimates and begin with ~.
 */
#include "formats/formats.h"
#include "numbers.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { FRAMES_SHOWN = 3, NAME_WIDTH = 44, POINTS_SHOWN = 12, WHO_ROOM = 400 };

static const char *const colours[] = { "\033[1m", "\033[31m", "\033[2m" };
enum colour { BOLD, RED, DIM };

static const char *paint(const struct page *p, enum colour c) { return p->colour ? colours[c] : ""; }
static const char *plain(const struct page *p) { return p->colour ? "\033[0m" : ""; }

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

const char *format_who(const struct view *v)
{
	static char text[WHO_ROOM];
	const struct snapshot *s = &v->sources[0].s;
	const char *command = keep_clean(snapshot_string(s, s->head.command));
	const char *program = keep_clean(snapshot_string(s, s->head.program));
	int n = (int)strcspn(command, " ");
	if (!n) {
		command = program;
		n = (int)strlen(program);
	}
	n = n < WHO_ROOM / 2 ? n : WHO_ROOM / 2;
	if (v->source_count == 1)
		snprintf(text, sizeof(text), "pid %u  %.*s", s->head.pid, n, command);
	else
		snprintf(text, sizeof(text), "%zu processes  %.*s", v->source_count, n, command);
	return text;
}

/* ---- a site ---- */

static void place_text(const struct view_frame *f, bool whole, char *text, size_t room)
{
	if (f->file[0] && f->line && whole && f->column)
		snprintf(text, room, "%s:%u:%u", f->file, f->line, f->column);
	else if (f->file[0] && f->line)
		snprintf(text, room, "%s:%u", whole ? f->file : last_part(f->file), f->line);
	else if (f->file[0])
		snprintf(text, room, "%s", whole ? f->file : last_part(f->file));
	else if (f->module[0])
		snprintf(text, room, "%s+0x%" PRIx64, whole ? f->module : last_part(f->module), f->address);
	else
		snprintf(text, room, "0x%" PRIx64, f->address);
}

size_t format_text_frames(const struct page *p, const struct view_site *site, size_t most)
{
	size_t shown = most && most < site->frame_count ? most : site->frame_count, width = 0;
	for (size_t i = 0; i < shown; i++) {
		size_t n = strlen(site->frames[i].function);
		width = n > width ? n : width;
	}
	width = width > NAME_WIDTH ? NAME_WIDTH : width < 1 ? 1 : width;
	for (size_t i = 0; i < shown; i++) {
		const struct view_frame *f = &site->frames[i];
		char place[1200];
		place_text(f, !most, place, sizeof(place));
		fprintf(p->to, "      %-*s  %s%s%s%s", (int)width, f->function[0] ? f->function : "?", paint(p, DIM), place, plain(p), f->inlined ? "  (inlined)" : "");
		if (i + 1 < shown || shown == site->frame_count)
			fputc('\n', p->to);
	}
	if (!site->frame_count)
		fputs("      (no stack was recorded)\n", p->to);
	return site->frame_count - shown;
}

static void print_kinds(const struct page *p, const struct view_site *site)
{
	unsigned kinds = 0;
	const char *before = "  ";
	for (int k = 0; k < KINDS; k++)
		kinds += site->kind[k].blocks && choice_has(&p->choice, k);
	for (int k = 0; k < KINDS; k++) {
		if (!site->kind[k].blocks || !choice_has(&p->choice, k))
			continue;
		fprintf(p->to, "%s%s%s%s", before, k == KIND_DEFINITE ? paint(p, RED) : "", kind_names[k], k == KIND_DEFINITE ? plain(p) : "");
		if (kinds > 1)
			fprintf(p->to, " %s", bytes_text(site->kind[k].bytes));
		before = ", ";
	}
}

static void print_line(const struct page *p, const struct view_site *site, size_t number)
{
	struct count shown = site_shown(site, &p->choice);
	fprintf(p->to, "#%zu  %s%s%s%s  %s", number, paint(p, BOLD), site->error > 0 ? "~" : "", bytes_text(shown.bytes), plain(p), blocks_text(shown.blocks));
	if (site->error > 0)
		fprintf(p->to, " (± %s)", bytes_text((uint64_t)site->error));
	if (p->choice.since_ns)
		fprintf(p->to, "  %s in %s", change_text(site->grown), age_text(site->span_ns));
	if (site->sampled_over_time && site->grown > 0 && site->rate > 0)
		fprintf(p->to, "  %s", rate_text(site->rate));
	print_kinds(p, site);
	if (site->owned.blocks)
		fprintf(p->to, "  (with what hangs off it %s in %s)", bytes_text(site->kind[KIND_DEFINITE].bytes + site->owned.bytes),
		        blocks_text(site->kind[KIND_DEFINITE].blocks + site->owned.blocks));
	if (p->view->source_count > 1)
		fprintf(p->to, "  in %u of %zu processes", site->processes, p->view->source_count);
	if (site->suppression)
		fprintf(p->to, "  suppressed: %s", site->suppression);
	fprintf(p->to, "  %sid %s%s\n", paint(p, DIM), site_id(site), plain(p));
}

static void print_site(const struct page *p, const struct view_site *site, size_t number)
{
	print_line(p, site, number);
	size_t more = format_text_frames(p, site, p->whole_stacks ? SIZE_MAX : FRAMES_SHOWN);
	if (more)
		fprintf(p->to, "        +%zu frame%s: cgc show %s %s\n", more, more == 1 ? "" : "s", p->view->sources[site->source].name, site_id(site));
}

/* ---- the whole ---- */

static void print_head(const struct page *p, const struct sums *sum)
{
	const struct view *v = p->view;
	const char *noun = p->choice.since_ns ? "growing site" : p->choice.reachable ? "site" : "leak", *sign = v->sampled ? "~" : "";
	if (!sum->sites && p->choice.since_ns && v->looks > 1) {
		fprintf(p->to, "%scgc: no growing sites%s in %s looks over %s, %s of live memory (%s)   %s\n", paint(p, BOLD), plain(p), number_text(v->looks),
		        age_text(v->looked_ns), bytes_text(sum->live.bytes), blocks_text(sum->live.blocks), format_who(v));
		return;
	}
	if (!sum->sites) {
		fprintf(p->to, "%scgc: no %ss%s in %s%s of live memory (%s)   %s\n", paint(p, BOLD), noun, plain(p), sign, bytes_text(sum->live.bytes),
		        blocks_text(sum->live.blocks), format_who(v));
		if (v->sampled) /* only some blocks were recorded */
			fprintf(p->to, "sampled: what is smaller than a few times %s may be missed\n", bytes_text(v->sources[0].s.head.sample_bytes));
		return;
	}
	fprintf(p->to, "%scgc: %s %s%s, %s%s in %s%s (", paint(p, BOLD), number_text(sum->sites), noun, sum->sites == 1 ? "" : "s", sign,
	        bytes_text(sum->shown.bytes), blocks_text(sum->shown.blocks), plain(p));
	const char *before = "";
	for (int k = 0; k < KINDS; k++) {
		if (!choice_has(&p->choice, k) || !sum->kind[k].blocks)
			continue;
		fprintf(p->to, "%s%s %s", before, kind_names[k], bytes_text(sum->kind[k].bytes));
		before = ", ";
	}
	fprintf(p->to, ")   %s\n", format_who(v));
}

static void print_left_out(const struct page *p, const struct sums *sum, size_t beyond, uint64_t beyond_bytes)
{
	if (beyond)
		fprintf(p->to, "and %s more site%s, %s: --limit=0 lists all\n", number_text(beyond), beyond == 1 ? "" : "s", bytes_text(beyond_bytes));
	if (sum->hanging_sites)
		fprintf(p->to, "of these hang off them: %s in %s from %s more site%s: --indirect lists them\n", bytes_text(sum->hanging.bytes), blocks_text(sum->hanging.blocks),
		        number_text(sum->hanging_sites), sum->hanging_sites == 1 ? "" : "s");
	if (sum->hidden_possible.blocks)
		fprintf(p->to, "possibly lost besides: %s in %s: --possible lists them\n", bytes_text(sum->hidden_possible.bytes), blocks_text(sum->hidden_possible.blocks));
	if (sum->suppressed_sites && !p->choice.suppressed)
		fprintf(p->to, "suppressed: %s in %s at %s site%s: --show-suppressed lists them\n", bytes_text(sum->suppressed.bytes),
		        blocks_text(sum->suppressed.blocks), number_text(sum->suppressed_sites), sum->suppressed_sites == 1 ? "" : "s");
	for (size_t i = 0; p->suppressions && i < p->suppressions->count; i++) {
		const struct suppression_file *f = &p->suppressions->files[i];
		for (size_t k = 0; k < f->rules.count; k++)
			if (f->sites[k])
				fprintf(p->to, "  %s in %s at %zu site%s by %s (%s:%u)\n", bytes_text(f->rules.rules[k].bytes), blocks_text(f->rules.rules[k].blocks), f->sites[k],
				        f->sites[k] == 1 ? "" : "s", keep_clean(keep_text(f->rules.text + f->rules.rules[k].name, f->rules.rules[k].name_size)), f->name, f->rules.rules[k].line);
	}
}

void format_text(const struct page *p)
{
	struct sums sum = view_sums(p->view, &p->choice);
	size_t number = 0;
	uint64_t beyond_bytes = 0;
	print_head(p, &sum);
	for (size_t i = 0; i < p->view->count; i++) {
		const struct view_site *site = &p->view->sites[i];
		if (!site_chosen(site, &p->choice))
			continue;
		if (++number > p->choice.limit && p->choice.limit)
			beyond_bytes += site_shown(site, &p->choice).bytes;
		else
			print_site(p, site, number);
	}
	print_left_out(p, &sum, p->choice.limit && number > p->choice.limit ? number - p->choice.limit : 0, beyond_bytes);
}

/* ---- one site in full ---- */

static void print_points(const struct page *p, const struct view_site *site)
{
	size_t step = site->point_count / POINTS_SHOWN + 1;
	for (size_t i = 0; i < site->point_count; i++) {
		const struct view_point *point = &site->points[i];
		time_t at = (time_t)(point->at_ns / 1000000000u);
		struct tm tm;
		char when[32] = "?";
		if (i % step && i + 1 < site->point_count)
			continue;
		if (localtime_r(&at, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		fprintf(p->to, "    %s  %10s  %s", when, bytes_text(point->live.bytes), blocks_text(point->live.blocks));
		fprintf(p->to, p->view->source_count > 1 ? "  pid %u\n" : "\n", point->pid);
	}
}

void format_text_site(const struct page *p, const struct view_site *site)
{
	fprintf(p->to, "%ssite %016" PRIx64 "%s   %s\n", paint(p, BOLD), site->id, plain(p), format_who(p->view));
	for (int k = 0; k < KINDS; k++)
		if (site->kind[k].blocks)
			fprintf(p->to, "  %-10s %s%s in %s\n", kind_names[k], site->error > 0 ? "~" : "", bytes_text(site->kind[k].bytes), blocks_text(site->kind[k].blocks));
	if (site->error > 0)
		fprintf(p->to, "  estimated from samples, standard error %s\n", bytes_text((uint64_t)site->error));
	if (site->owned.blocks)
		fprintf(p->to, "  hangs off  %s in %s, lost with it\n", bytes_text(site->owned.bytes), blocks_text(site->owned.blocks));
	fprintf(p->to, "  why        %s\n", rule_texts[site->rule]);
	fprintf(p->to, "  largest    %s; an example is 0x%" PRIx64 "\n", bytes_text(site->largest), site->example);
	if (p->view->source_count > 1)
		fprintf(p->to, "  processes  %u of %zu\n", site->processes, p->view->source_count);
	if (site->suppression)
		fprintf(p->to, "  suppressed %s\n", site->suppression);
	fprintf(p->to, "  allocated by\n");
	format_text_frames(p, site, 0);
	if (!site->point_count)
		return;
	fprintf(p->to, "  live over time");
	if (site->sampled_over_time)
		fprintf(p->to, ": %s, %s", change_text(site->grown), rate_text(site->rate));
	fputc('\n', p->to);
	print_points(p, site);
}
