/*
 * children=all|none|name+name: which programs below the first one are served. All others run with mode=off.
 *
 * The first program is the one in which the value has no mark. It adds the mark, @ and its process number, to CGC_OPTIONS of its own
 * environment, where programs that it starts find it. A program that takes the place of the first one (env, nice, a shell's exec)
 * finds its own number and is the first. A fork without exec goes on as what it was.
 *
 *     CGC_OPTIONS=stats=1:children=git+make      ─▶      CGC_OPTIONS=stats=1:children=git+make@4711
 *
 * Names are compared with the last part of the program's path and of argv[0]; a script counts by the name it was started by and by its
 * interpreter's.
 *
 * exitcode= is for the first process only, so that a script's status does not change because grep leaks. That one adds its number too, as
 * exitcode_pid=. Only with these two options does the program see a changed environment.
 */
#include "preload/children.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <string.h>
#include <sys/auxv.h>

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool listed(const char *list, const char *name)
{
	const size_t n = strlen(name);
	for (const char *s = list; n && *s; s += strspn(s, "+")) {
		size_t k = strcspn(s, "+@");
		if (k == n && memcmp(s, name, n) == 0)
			return true;
		s += k;
		if (*s == '@')
			break;
	}
	return false;
}

static bool named(const char *list, char **argv)
{
	char path[4096];
	long n = os_readlink("/proc/self/exe", path, sizeof path - 1);
	path[n > 0 ? n : 0] = 0;
	const char *started_as = (const char *)getauxval(AT_EXECFN);
	return listed(list, last_part(path)) || (argv && argv[0] && listed(list, last_part(argv[0])))
	       || (started_as && listed(list, last_part(started_as)));
}

/* The process number, behind `text`, goes into CGC_OPTIONS: behind the last `option`, which is the one that counts, or (NULL) at the end. */
static void mark_environment(char **env, const char *option, const char *text)
{
	static const char name[] = "CGC_OPTIONS=";
	while (env && *env && strncmp(*env, name, sizeof name - 1) != 0)
		env++;
	if (!env || !*env)
		return;
	char *at = option ? NULL : *env + strlen(*env);
	for (char *s = *env; option && (s = strstr(s, option)); s++)
		at = s;
	if (!at)
		return;
	size_t before = (size_t)(at - *env) + strcspn(at, ":, \t\n"), room = strlen(*env) + strlen(text) + 16;
	char *marked = os_map(align_up(room, 4096)); /* lives as long as the environment */
	if (!marked)
		return;
	text_format(marked, room, "%.*s%s%d%s", (int)before, *env, text, os_pid(), *env + before);
	*env = marked;
}

bool children_serves(char **argv, char **env)
{
	const char *list = options.children, *mark = strchr(list, '@');
	if (LIKELY(strcmp(list, "all") == 0 || !*list))
		return true;
	if (!mark) {
		mark_environment(env, "children=", "@");
		return true;
	}
	int first = 0;
	for (const char *s = mark + 1; *s >= '0' && *s <= '9' && first < 100000000; s++)
		first = first * 10 + (*s - '0');
	return first == os_pid() || strncmp(list, "all@", 4) == 0 || named(list, argv);
}

void children_find_first(char **env)
{
	if (!options.exitcode || options.exitcode_children || options.exitcode_pid)
		return;
	options.exitcode_pid = (unsigned)os_pid();
	mark_environment(env, NULL, ":exitcode_pid=");
}

bool children_exitcode(void)
{
	return options.exitcode && (options.exitcode_children || !options.exitcode_pid || options.exitcode_pid == (unsigned)os_pid());
}
