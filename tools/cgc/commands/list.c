/*
 * `cgc list`: who runs under libcgc.so and can be asked, one line each. Live bytes are those that the program has not freed.
 *
 *       PID  MODE     AGE        LIVE      PROGRAM
 *      4121  report   2h 10m     48.2 MiB  /usr/bin/server
 */
#include "client.h"
#include "commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void format_bytes(char *text, size_t room, uint64_t n)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)n / 1024;
	size_t unit = 0;
	for (; size >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		size /= 1024;
	if (n < 1024)
		snprintf(text, room, "%" PRIu64 " B", n);
	else
		snprintf(text, room, "%.1f %s", size, units[unit]);
}

static void format_age(char *text, size_t room, uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
	if (days)
		snprintf(text, room, "%" PRIu64 "d %" PRIu64 "h", days, hours % 24);
	else if (hours)
		snprintf(text, room, "%" PRIu64 "h %" PRIu64 "m", hours, minutes % 60);
	else if (minutes)
		snprintf(text, room, "%" PRIu64 "m %" PRIu64 "s", minutes, seconds % 60);
	else
		snprintf(text, room, "%" PRIu64 "s", seconds);
}

static void print_process(const struct client_process *p, void *arg)
{
	bool *first = arg;
	char live[32] = "?", since[48];
	if (*first)
		printf("%8s  %-8s %-10s %-11s %s\n", "PID", "MODE", "AGE", "LIVE", "PROGRAM");
	*first = false;
	format_age(since, sizeof since, p->age_seconds);
	if (!p->silent)
		format_bytes(live, sizeof live, p->live_bytes);
	printf("%8d  %-8s %-10s %-11s %s\n", p->pid, p->silent ? "?" : p->mode, since, live, p->silent ? "(does not answer)" : p->program);
}

int command_list(int argc, char **argv)
{
	char error[400];
	bool first = true;
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		puts("cgc list: the programs under libcgc.so that can be asked (listen=1): PID, mode, age, live bytes, program.\n"
		     "Root sees everybody's. Sockets of programs that are gone are removed. Ends with 1 when there is none.");
		return output_done();
	}
	if (argc > 1) {
		complain("`cgc list` takes no argument, and \"%s\" is one: `cgc list --help`", argv[1]);
		return STATUS_USAGE;
	}
	int n = client_each(print_process, &first, error);
	if (n < 0) {
		complain("%s", error);
		return STATUS_USAGE;
	}
	if (n == 0)
		fprintf(stderr, "cgc: no program listens: start one by `cgc run --mode=report` or `cgc run --listen=1`\n");
	return n == 0 ? 1 : output_done();
}
