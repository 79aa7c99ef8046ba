/* `cgc snapshot`: asks a process for a snapshot and keeps it, for later, for another machine, or for `cgc diff`. */
#include "commands.h"
#include "numbers.h"
#include "arguments.h"
#include "snapshot_read.h"
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"cgc snapshot [OPTION...] PID --output=FILE\n"
	"\n"
	"Keeps what a running process knows about its blocks; `cgc leaks`, `show` and `diff` read the file.";

static bool write_all(int fd, const unsigned char *bytes, size_t n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		n -= (size_t)done;
	}
	return true;
}

/* A file beside it is written and then takes its name, so that there is never half a file. */
static bool keep(const char *path, const void *bytes, size_t n)
{
	char beside[4096 + 16];
	struct stat st;
	bool device = !stat(path, &st) && !S_ISREG(st.st_mode);
	if (snprintf(beside, sizeof(beside), "%s%s", path, device ? "" : ".new") >= (int)sizeof(beside)) {
		complain("%s can't be written: its name is too long: nothing was kept", path);
		return false;
	}
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | (device ? 0 : O_NOFOLLOW), 0600);
	bool ok = fd >= 0 && write_all(fd, bytes, n);
	int error = errno;
	if (fd >= 0 && close(fd) && ok) {
		error = errno;
		ok = false;
	}
	if (ok && !device && rename(beside, path)) {
		error = errno;
		ok = false;
	}
	if (ok)
		return true;
	if (fd >= 0 && !device)
		unlink(beside);
	complain("%s can't be written: %s: nothing was kept", path, strerror(error));
	return false;
}

int command_snapshot(int argc, char **argv)
{
	const char *output = NULL;
	bool blocks = false, reachable = false;
	int pid;
	uint64_t size;
	const struct argument table[] = {
		{ "output", ARGUMENT_TEXT, &output, "FILE", "where it is kept (-o FILE); it may hold what the program's names reveal: mode 0600" },
		{ "blocks", ARGUMENT_SWITCH, &blocks, "", "lost blocks one by one, for `cgc show`" },
		{ "reachable", ARGUMENT_SWITCH, &reachable, "", "reachable blocks one by one, too" },
	};
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-o"))
			argv[i] = (char *)"--output";
	int names = arguments_read(table, NELEM(table), argc, argv, usage, "");
	if (names == -2)
		return output_done();
	if (names >= 0 && (names != 1 || !output))
		complain("a process and a file are needed: cgc snapshot PID -o FILE");
	else if (names == 1 && !source_is_process(argv[1], &pid))
		complain("%s is no process: name one by its number: `cgc list` shows them", argv[1]);
	if (names != 1 || !output || !source_is_process(argv[1], &pid))
		return STATUS_USAGE;
	int fd = source_ask(pid, reachable ? "snapshot blocks reachable" : blocks ? "snapshot blocks" : "snapshot", &size);
	if (fd < 0)
		return STATUS_USAGE;
	struct snapshot s;
	const char *wrong = snapshot_take(&s, fd, size);
	close(fd);
	if (wrong) {
		complain("the answer of process %d can't be read: %s", pid, wrong);
		return STATUS_USAGE;
	}
	return keep(output, s.bytes, s.size) ? 0 : STATUS_USAGE;
}
