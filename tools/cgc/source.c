/*
 * Opens what the command line names. Several snapshots are those of one run's processes; two of the same process would count its blocks twice,
 * so they are refused with a hint at `cgc diff`.
 */
#include "source.h"
#include "client.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool source_is_process(const char *name, int *pid)
{
	size_t n = strlen(name);
	if (!n || n > 9 || strspn(name, "0123456789") != n || access(name, F_OK) == 0)
		return false;
	*pid = atoi(name);
	return *pid > 0;
}

int source_ask(int pid, const char *request, uint64_t *size)
{
	struct answer a;
	if (!client_ask(pid, request, &a)) {
		complain("%s", a.error);
		return -1;
	}
	*size = a.size;
	return a.fd;
}

static bool ask(struct snapshot *s, int pid, const char *request)
{
	uint64_t size = 0;
	int fd = source_ask(pid, request, &size);
	if (fd < 0)
		return false;
	const char *wrong = snapshot_take(s, fd, size);
	close(fd);
	if (wrong)
		complain("the answer of process %d can't be read: %s", pid, wrong);
	return !wrong;
}

static bool same_process(const struct snapshot *a, const struct snapshot *b)
{
	return a->head.pid == b->head.pid && a->head.started_ns == b->head.started_ns &&
	       !strcmp(snapshot_string(a, a->head.program), snapshot_string(b, b->head.program)); /* exec changes it */
}

struct view_source *sources_open(char **names, size_t count, const char *request, int *status)
{
	struct view_source *list = calloc(count + 1, sizeof(*list));
	*status = STATUS_USAGE;
	for (size_t i = 0; list && i < count; i++) {
		int pid;
		list[i].name = names[i];
		bool process = source_is_process(names[i], &pid);
		if (process ? !ask(&list[i].s, pid, request) : !snapshot_open(&list[i].s, names[i]))
			goto fail;
		for (size_t k = 0; k < i; k++)
			if (same_process(&list[k].s, &list[i].s)) {
				complain("%s and %s are the same process, its blocks would count twice: cgc diff %s %s", names[k], names[i], names[k], names[i]);
				goto fail;
			}
	}
	if (!list)
		complain("no memory for %zu snapshots: name fewer at a time", count);
	return list;
fail:
	free(list);
	return NULL;
}
