/* The commands of cgc. Each gets its own arguments (argv[0] is its name) and returns the exit status. */
#ifndef CGC_TOOLS_COMMANDS_H
#define CGC_TOOLS_COMMANDS_H

/* Exit statuses of cgc itself; a program that was started keeps its own. The last three are those of env and timeout. */
enum {
	STATUS_USAGE = 2,        /* a bad option or command line; nothing was started; output that can't be written */
	STATUS_UNKNOWN = 3,      /* asked to judge, but no cycle completed */
	STATUS_NOT_SERVED = 125, /* cgc can't serve this program, or its library does not load */
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_NOT_FOUND = 127
};

int command_run(int argc, char **argv);
int command_list(int argc, char **argv);
int command_leaks(int argc, char **argv);
int command_show(int argc, char **argv);
int command_why(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_audit(int argc, char **argv);
int command_help(int argc, char **argv);
int command_version(void);

/* All of standard output is written: 0; else STATUS_USAGE, after one line. */
int output_done(void);
/* One line "cgc: ..." on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
