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
 * interpreter's. Only with this option does the program see a changed environment.
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

/* Behind the last children= of the variable, which is the one that counts. */
static void mark_environment(char **env)
{
	static const char name[] = "CGC_OPTIONS=", option[] = "children=";
	for (; env && *env; env++) {
		if (strncmp(*env, name, sizeof name - 1) != 0)
			continue;
		char *at = NULL;
		for (char *s = *env; (s = strstr(s, option)); s++)
			at = s;
		if (!at)
			return;
		size_t before = (size_t)(at - *env) + strcspn(at, ":, \t\n"), room = strlen(*env) + 16;
		char *marked = os_map(align_up(room, 4096)); /* lives as long as the environment */
		if (!marked)
			return;
		text_format(marked, room, "%.*s@%d%s", (int)before, *env, os_pid(), *env + before);
		*env = marked;
		return;
	}
}

bool children_serves(char **argv, char **env)
{
	const char *list = options.children, *mark = strchr(list, '@');
	if (LIKELY(strcmp(list, "all") == 0 || !*list))
		return true;
	if (!mark) {
		mark_environment(env);
		return true;
	}
	int first = 0;
	for (const char *s = mark + 1; *s >= '0' && *s <= '9' && first < 100000000; s++)
		first = first * 10 + (*s - '0');
	return first == os_pid() || strncmp(list, "all@", 4) == 0 || named(list, argv);
}
