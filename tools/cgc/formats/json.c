/*
 * Everything that is known about the listed sites, as one JSON object; the schema is tools/cgc-leaks.schema.json.
 *
 * Numbers of bytes and blocks are JSON numbers, addresses and ids strings of hexadecimal digits: readers that keep numbers as doubles would lose
 * their low bits. Names are bytes of any encoding; what is not UTF-8 becomes U+FFFD.
 */
#include "formats/formats.h"
#include "base/printable.h"

#include <inttypes.h>
#include <string.h>

static void put_string(FILE *to, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	fputc('"', to);
	for (size_t room = strlen(text), n; room; room -= n ? n : 1) {
		n = utf8_length(s, room);
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			fprintf(to, "\\u%04x", *s);
		else if (n)
			fwrite(s, 1, n, to);
		else
			fputs("\\ufffd", to);
		s += n ? n : 1;
	}
	fputc('"', to);
}

static void put_text(FILE *to, const char *name, const char *value)
{
	fprintf(to, "\"%s\": ", name);
	put_string(to, value);
}

static void put_count(FILE *to, const char *name, struct count c)
{
	fprintf(to, "\"%s\": {\"blocks\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", name, c.blocks, c.bytes);
}

static void put_kinds(FILE *to, const struct count kind[KINDS])
{
	for (int k = 0; k < KINDS; k++) {
		fputs(k ? ", " : "", to);
		put_count(to, kind_names[k], kind[k]);
	}
}

static const char *truth(bool x) { return x ? "true" : "false"; }

static void put_process(FILE *to, const struct snapshot *s)
{
	const struct snapshot_header *h = &s->head;
	fprintf(to, "{\"pid\": %u, \"parent\": %u, ", h->pid, h->parent);
	put_text(to, "program", snapshot_string(s, h->program));
	fputs(", ", to);
	put_text(to, "command", snapshot_string(s, h->command));
	fputs(", ", to);
	put_text(to, "why", snapshot_string(s, h->why));
	fputs(", ", to);
	put_text(to, "machine", snapshot_string(s, h->machine));
	fprintf(to, ", \"made_ms\": %" PRIu64 ", \"started_ms\": %" PRIu64 ", \"complete\": %s, \"cut\": %s, \"sample_bytes\": %" PRIu64 ", ",
	        h->made_ns / 1000000, h->started_ns / 1000000, truth(h->flags & SNAPSHOT_COMPLETE), truth(h->flags & SNAPSHOT_CUT), h->sample_bytes);
	put_count(to, "live", (struct count){ h->live_blocks, h->live_bytes });
	fprintf(to, ", \"heap_bytes\": %" PRIu64 ", \"rss_bytes\": %" PRIu64 ", \"cycles\": %" PRIu64 ", \"captures\": %" PRIu64 ", \"roots\": [", h->heap_bytes,
	        h->rss_bytes, h->cycles, h->captures);
	for (uint64_t i = 0; i < snapshot_count(s, SECTION_ROOTS); i++) {
		struct snapshot_root r;
		snapshot_record(s, SECTION_ROOTS, i, &r, sizeof(r));
		fputs(i ? ", {" : "{", to);
		put_text(to, "name", snapshot_string(s, r.name));
		fputs(", ", to);
		put_text(to, "kind", snapshot_string(s, r.kind));
		fprintf(to, ", \"bytes\": %" PRIu64 "}", r.bytes);
	}
	struct snapshot_looks l = { 0 };
	if (snapshot_count(s, SECTION_LOOKS))
		snapshot_record(s, SECTION_LOOKS, 0, &l, sizeof(l));
	fprintf(to, "], \"looks\": {\"count\": %" PRIu64 ", \"interval_ms\": %" PRIu64 ", \"first_ms\": %" PRIu64 ", \"last_ms\": %" PRIu64 "}}", l.count, l.every_ns / 1000000,
	        l.first_ns / 1000000, l.last_ns / 1000000);
}

static void put_frame(FILE *to, const struct view_frame *f)
{
	fprintf(to, "{\"pc\": \"0x%" PRIx64 "\", \"address\": \"0x%" PRIx64 "\", ", f->pc, f->address);
	put_text(to, "module", f->module);
	fputs(", ", to);
	put_text(to, "build_id", f->build_id);
	fputs(", ", to);
	put_text(to, "function", f->function);
	fputs(", ", to);
	put_text(to, "linkage", f->linkage);
	fprintf(to, ", \"offset\": %" PRIu64 ", ", f->offset);
	put_text(to, "file", f->file);
	fprintf(to, ", \"line\": %u, \"column\": %u, \"inlined\": %s}", f->line, f->column, truth(f->inlined));
}

static const char *const rule_words[RULES] = { "no-pointer", "cycle", "lost-owner", "interior-only", "stale-stack-only", "possible-owner", "reachable" };

static void put_site(FILE *to, const struct view_site *site)
{
	fprintf(to, "{\"id\": \"%016" PRIx64 "\", ", site->id);
	put_kinds(to, site->kind);
	fputs(", ", to);
	put_count(to, "owned", site->owned);
	fprintf(to, ", \"rule\": \"%s\", \"example\": \"0x%" PRIx64 "\", \"largest\": %" PRIu64 ", \"standard_error_bytes\": %.0f, \"processes\": %u, ",
	        rule_words[site->rule], site->example, site->largest, site->error, site->processes);
	if (site->sampled_over_time)
		fprintf(to, "\"grown_bytes\": %" PRId64 ", \"bytes_per_second\": %.3f, ", site->grown, site->rate);
	else
		fputs("\"grown_bytes\": null, \"bytes_per_second\": null, ", to);
	if (site->suppression)
		put_text(to, "suppression", site->suppression);
	else
		fputs("\"suppression\": null", to);
	fputs(", \"frames\": [", to);
	for (size_t i = 0; i < site->frame_count; i++) {
		fputs(i ? ",\n    " : "\n    ", to);
		put_frame(to, &site->frames[i]);
	}
	fputs("]}", to);
}

static void put_suppressions(FILE *to, const struct suppressions *s)
{
	bool first = true;
	for (size_t i = 0; s && i < s->count; i++) {
		const struct suppression_file *f = &s->files[i];
		for (size_t k = 0; k < f->rules.count; k++) {
			char name[200];
			const struct suppress_rule *r = &f->rules.rules[k];
			snprintf(name, sizeof(name), "%.*s", (int)r->name_size, f->rules.text + r->name);
			fputs(first ? "\n  {" : ",\n  {", to);
			put_text(to, "file", f->name);
			fprintf(to, ", \"line\": %u, ", r->line);
			put_text(to, "name", name);
			fprintf(to, ", \"sites\": %zu, \"blocks\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", f->sites[k], r->blocks, r->bytes);
			first = false;
		}
	}
}

void format_json(const struct page *p)
{
	const struct view *v = p->view;
	struct sums sum = view_sums(v, &p->choice);
	FILE *to = p->to;
	size_t number = 0;
	fprintf(to, "{\"format\": \"cgc-leaks\", \"version\": 1, \"complete\": %s, \"processes\": [", truth(v->complete));
	for (size_t i = 0; i < v->source_count; i++) {
		fputs(i ? ",\n  " : "\n  ", to);
		put_process(to, &v->sources[i].s);
	}
	fprintf(to, "],\n\"totals\": {\"sites\": %zu, ", sum.sites);
	put_kinds(to, sum.kind);
	fputs(", ", to);
	put_count(to, "shown", sum.shown);
	fprintf(to, ", \"suppressed\": {\"sites\": %zu, \"blocks\": %" PRIu64 ", \"bytes\": %" PRIu64 "}},\n\"sites\": [", sum.suppressed_sites, sum.suppressed.blocks,
	        sum.suppressed.bytes);
	for (size_t i = 0; i < v->count; i++) {
		if (!site_chosen(&v->sites[i], &p->choice) || (p->choice.limit && number == p->choice.limit))
			continue;
		fputs(number++ ? ",\n  " : "\n  ", to);
		put_site(to, &v->sites[i]);
	}
	fprintf(to, "],\n\"beyond_limit\": %zu, \"suppressions\": [", sum.sites - number);
	put_suppressions(to, p->suppressions);
	fputs("]}\n", to);
}
