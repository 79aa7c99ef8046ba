/*
 * Which processes of a run go on after the program's end? A daemon's are all that there is to ask, and nothing of them is in the report.
 *
 *   1. Of those in /proc that are no older than we are, each whose environment names the run's folder belongs to it.
 *   2. An environment without CGC_OPTIONS may have been written over (servers keep their titles there): if libcgc.so is mapped, the process
 *      is asked where it reports to. It may have been born just now, and children listen 200 ms after their birth.
 *
 * Programs of other runs have a folder of their own in their environment, so nobody else is disturbed.
 */
#include "run_on.h"
#include "client.h"
#include "client_find.h"
#include "commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENVIRONMENT_MOST = 256 << 10, MAPS_MOST = 4 << 20, SHOWN = 8, TRIES = 10, TRY_US = 50000 };

/* Does a file of /proc/PID hold this text? NULs are text like any. */
static bool holds(int pid, const char *name, const char *what, size_t most)
{
	char path[64], *text = malloc(most);
	size_t n = 0;
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (ssize_t r; text && fd >= 0 && n < most && (r = read(fd, text + n, most - n)) > 0;)
		n += (size_t)r;
	if (fd >= 0)
		close(fd);
	bool found = text && memmem(text, n, what, strlen(what));
	free(text);
	return found;
}

static bool says_so(int pid, const char *folder)
{
	char line[300];
	struct answer a;
	snprintf(line, sizeof(line), "\nreports %s\n", folder);
	for (int i = 0; i < TRIES; i++) {
		char *text = client_ask(pid, "hello", &a) ? client_text(&a) : NULL;
		bool so = text && strstr(text, line);
		free(text);
		if (text)
			return so;
		usleep(TRY_US);
	}
	return false;
}

static bool belongs(int pid, const char *folder)
{
	if (holds(pid, "environ", folder, ENVIRONMENT_MOST))
		return true;
	return !holds(pid, "environ", "CGC_OPTIONS=", ENVIRONMENT_MOST) && holds(pid, "maps", "/libcgc.so", MAPS_MOST) && says_so(pid, folder);
}

void run_on_tell(const char *folder)
{
	const uint64_t our_age = subject_age(getpid());
	char list[SHOWN * 12] = "";
	size_t count = 0, n = 0;
	int first = 0;
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));) {
		struct subject s;
		int pid = name_number(e->d_name);
		if (!pid || pid == getpid() || subject_age(pid) > our_age + 1 || !subject_read(pid, &s) || !belongs(pid, folder))
			continue;
		first = first ? first : pid;
		if (count++ < SHOWN)
			n += (size_t)snprintf(list + n, sizeof(list) - n, " %d", pid);
	}
	if (d)
		closedir(d);
	if (count == 1)
		complain("process %d of it runs on and is not in the report: `cgc leaks %d` asks it", first, first);
	else if (count)
		complain("%zu of its processes run on and are not in the report: `cgc leaks PID` asks them:%s%s", count, list, count > SHOWN ? " ..." : "");
}
