/*
 * Applying and writing suppressions.
 *
 * A stack is matched twice: as people see it (demangled, with inlined calls), for patterns written by hand, and as the linker sees it
 * (mangled, functions that exist), for files of valgrind and those that the library itself reads. A site counts by its gravest kind.
 */
#include "suppressed.h"
#include "commands.h"
#include "numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 64 << 20, FRAMES_WRITTEN = 6 };

static void complain_line(const char *line) { complain("%s", line); }

static bool add_text(struct suppressions *s, const char *name, char *text, size_t size)
{
	struct suppression_file *more = realloc(s->files, (s->count + 1) * sizeof(*more));
	size_t room = 1;
	if (!more) {
		complain("no memory for %s", name);
		free(text);
		return false;
	}
	s->files = more;
	for (size_t i = 0; i < size; i++)
		room += text[i] == '\n';
	struct suppression_file *f = &s->files[s->count++];
	*f = (struct suppression_file){ .name = name, .rules = { .text = text, .size = size, .rules = calloc(room, sizeof(struct suppress_rule)), .room = room } };
	f->sites = calloc(room, sizeof(*f->sites));
	if (f->rules.rules && f->sites)
		return !suppress_parse(&f->rules, name, text, size, complain_line);
	complain("no memory for %s", name);
	return false;
}

static char *read_file(const char *path, size_t *size)
{
	struct stat st;
	char *text = NULL;
	size_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	errno = fd < 0 ? errno : 0;
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size <= FILE_MOST && (text = malloc((size_t)st.st_size + 1)))
		for (ssize_t got; n < (size_t)st.st_size && (got = read(fd, text + n, (size_t)st.st_size - n)) > 0;)
			n += (size_t)got;
	if (!text)
		complain("suppressions %s can't be read: %s: name a file with leak:PATTERN lines or valgrind's blocks", path,
		         errno ? strerror(errno) : "it is no file, or longer than 64 MiB");
	if (fd >= 0)
		close(fd);
	*size = n;
	return text;
}

bool suppressions_read(struct suppressions *s, const struct texts *files, const struct texts *only)
{
	*s = (struct suppressions){ 0 };
	for (size_t i = 0; i < files->count; i++) {
		size_t size;
		char *text = read_file(files->list[i], &size);
		if (!text || !add_text(s, files->list[i], text, size))
			return false;
	}
	if (!only->count)
		return true;
	/* All of them in one text: a site must match one, not each. */
	size_t room = 1, n = 0;
	for (size_t i = 0; i < only->count; i++)
		room += strlen(only->list[i]) + 8;
	char *text = malloc(room);
	for (size_t i = 0; text && i < only->count; i++)
		n += (size_t)snprintf(text + n, room - n, "only:%s\n", only->list[i]);
	return text && add_text(s, "--only", text, n);
}

static unsigned gravest(const struct view_site *site)
{
	static const unsigned order[] = { KIND_DEFINITE, KIND_POSSIBLE, KIND_INDIRECT };
	for (size_t i = 0; i < NELEM(order); i++)
		if (site->kind[order[i]].blocks)
			return order[i];
	return KIND_REACHABLE;
}

static const struct suppress_rule *match(const struct suppress *rules, const struct view_site *site)
{
	struct suppress_frame *seen = calloc(2 * site->frame_count + 1, sizeof(*seen)), *linked = seen + site->frame_count;
	const struct suppress_rule *a = NULL, *b = NULL;
	size_t n = 0;
	for (size_t i = 0; seen && i < site->frame_count; i++) {
		const struct view_frame *f = &site->frames[i];
		seen[i] = (struct suppress_frame){ f->function, f->file, f->module };
		if (!f->inlined)
			linked[n++] = (struct suppress_frame){ f->linkage[0] ? f->linkage : f->function, f->file, f->module };
	}
	if (seen) {
		a = suppress_match(rules, seen, site->frame_count, gravest(site));
		b = suppress_match(rules, linked, n, gravest(site));
	}
	free(seen);
	/* only: leaves out what neither view matches; any other rule, what one of them does. */
	enum { ONLY = 2 };
	if (a && a->form != ONLY)
		return a;
	if (b && b->form != ONLY)
		return b;
	return a && b ? a : NULL;
}

void suppressions_apply(const struct suppressions *s, struct view *v, const struct choice *c)
{
	for (size_t i = 0; i < v->count; i++) {
		struct view_site *site = &v->sites[i];
		struct count shown = site_shown(site, c);
		for (size_t k = 0; k < s->count && !site->suppression && shown.blocks; k++) {
			struct suppress *rules = &s->files[k].rules;
			const struct suppress_rule *found = match(rules, site);
			if (!found)
				continue;
			struct suppress_rule *rule = &rules->rules[found - rules->rules];
			site->suppression = keep_clean(keep_text(rules->text + rule->name, rule->name_size));
			rule->blocks += shown.blocks;
			rule->bytes += shown.bytes;
			s->files[k].sites[rule - rules->rules]++;
		}
	}
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* A pattern's own characters can't be quoted: they become a star. */
static const char *as_pattern(const char *s)
{
	char *copy = keep_text(s, strlen(s));
	for (char *c = copy; *c; c++)
		if (strchr("*?^$#", *c))
			*c = '*';
	return copy;
}

/* Valgrind's traces end at main, and below the function that starts a thread they name another one than we do. */
static bool is_last(const char *function) { return !strcmp(function, "main") || !strcmp(function, "start_thread"); }

/*
 * valgrind's stacks begin in malloc, ours with who called it: the first line is "...", and the block is good for both. So it is where calls
 * are inlined: valgrind counts them as frames, if there is debug information.
 */
static void write_block(FILE *to, const struct view_site *site)
{
	const char *kind = kind_names[gravest(site)];
	size_t written = 0;
	bool skipped = true;
	fprintf(to, "{\n   %s %s\n   Memcheck:Leak\n   match-leak-kinds: %s\n", kind, site_id(site), kind);
	for (size_t k = 0; k < site->frame_count && written < FRAMES_WRITTEN; k++) {
		const struct view_frame *f = &site->frames[k];
		if (f->inlined) {
			skipped = true;
			continue;
		}
		if (skipped)
			fputs("   ...\n", to);
		skipped = false;
		if (f->linkage[0])
			fprintf(to, "   fun:%s\n", as_pattern(f->linkage));
		else if (f->module[0]) /* links are resolved there: libx.so.6 is /usr/lib/libx.so.6.0.30 */
			fprintf(to, "   obj:*/%s*\n", as_pattern(last_part(f->module)));
		else
			fputs("   obj:*\n", to);
		written++;
		if (is_last(f->linkage))
			break;
	}
	fputs("}\n", to);
}

void suppressions_generate(FILE *to, const struct view *v, const struct choice *c, bool lines)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct view_site *site = &v->sites[i];
		if (!site_chosen(site, c) || !site->frame_count)
			continue;
		const struct view_frame *first = &site->frames[0];
		struct count shown = site_shown(site, c);
		fprintf(to, "# %s in %s\n", bytes_text(shown.bytes), blocks_text(shown.blocks));
		if (lines)
			fprintf(to, "leak:%s%s\n", first->function[0] ? "^" : "", as_pattern(first->function[0] ? first->function : last_part(first->module)));
		else
			write_block(to, site);
	}
}
