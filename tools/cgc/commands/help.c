/* `cgc help`, `cgc help options` and `cgc --version`. The options come from the table that the library parses by. */
#include "base/options.h"
#include "commands.h"
#include "library.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
	"cgc: a malloc with a garbage collector behind it, for programs that were never written for one\n"
	"\n"
	"  cgc run [OPTION...] -- PROGRAM [ARGUMENT...]   run a program under cgc\n"
	"  cgc audit [OPTION...] -- PROGRAM [ARGUMENT...] is collect safe for it? Answered by evidence, at its end\n"
	"  cgc list                                       running programs that can be asked\n"
	"  cgc leaks PID|FILE...                          what a program has lost, by call stack\n"
	"  cgc show PID|FILE... SITE                      all about one allocation site\n"
	"  cgc why PID ADDRESS|SITE                       what keeps a block alive\n"
	"  cgc snapshot PID -o FILE                       keep what a running program knows, for later\n"
	"  cgc diff BEFORE AFTER                          what changed between two snapshots\n"
	"  cgc help COMMAND, cgc COMMAND --help           its options\n"
	"  cgc help options                               all options\n"
	"  cgc --version\n"
	"\n"
	"Options of run and audit:\n"
	"  --mode=collect     (default) lost memory is recycled while the program runs\n"
	"  --mode=report      lost memory is listed at exit, nothing is recycled\n"
	"  --mode=audit       shows whether collect is safe for this program\n"
	"  --mode=off         the allocator alone\n"
	"  --stats            statistics at exit\n"
	"  --NAME=VALUE       any option of `cgc help options`\n"
	"  --options=LIST     several as in CGC_OPTIONS: name=value:name=value\n"
	"  --library=FILE     another libcgc.so\n"
	"  --report=FILE      run, mode=report: one report of all processes goes there, not to standard error\n"
	"  --report-format=F  run, mode=report: text, lsan or json\n"
	"\n"
	"The program's output, exit status and signals are its own. cgc itself ends with 2 (bad command line), 125 (can't\n"
	"serve this program), 126 (not executable) or 127 (not found). Manual: man cgc\n";

static void print_row(const struct option_row *row)
{
	printf("  %s=", row->name);
	switch (row->kind) {
	case OPTION_NUMBER:
		if (row->low == row->high)
			printf("%lu", row->low);
		else
			printf("%lu..%lu", row->low, row->high);
		break;
	case OPTION_SIZE:
		printf("SIZE");
		break;
	case OPTION_SECONDS:
		printf("TIME");
		break;
	case OPTION_ADDRESS:
		printf("0xADDRESS");
		break;
	case OPTION_CHOICE:
		printf("%s", row->choices);
		break;
	case OPTION_TEXT:
	default:
		printf("TEXT");
	}
	printf("  (default %s)\n      %s\n", row->fallback[0] ? row->fallback : "none", row->help);
}

/* Commands with a help text of their own. */
static const struct { const char *name; int (*run)(int argc, char **argv); } commands[] = {
	{ "list", command_list }, { "leaks", command_leaks }, { "show", command_show },
	{ "why", command_why }, { "snapshot", command_snapshot }, { "diff", command_diff },
};

static int help_of(const char *topic)
{
	char name[32], option[] = "--help";
	char *argv[] = { name, option, NULL };
	for (size_t i = 0; i < NELEM(commands); i++)
		if (!strcmp(topic, commands[i].name)) {
			snprintf(name, sizeof(name), "%s", topic);
			return commands[i].run(2, argv);
		}
	complain("there is no help on \"%s\": `cgc help` lists the commands", topic);
	return STATUS_USAGE;
}

int command_help(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "options") != 0 && strcmp(argv[1], "run") != 0 && strcmp(argv[1], "audit") != 0)
		return help_of(argv[1]);
	if (argc > 1 && !strcmp(argv[1], "options")) {
		printf("Options, as `cgc run --NAME=VALUE` or CGC_OPTIONS=\"NAME=VALUE:NAME=VALUE\":\n");
		for (size_t i = 0; i < option_count; i++)
			print_row(&option_table[i]);
	} else {
		fputs(usage, stdout);
	}
	return output_done();
}

int command_version(void)
{
	char path[PATH_ROOM], tried[PATH_ROOM];
	printf("cgc %s\n", CGC_VERSION);
	if (library_find(path, tried, sizeof(tried)))
		printf("library: %s\n", path);
	else
		printf("library: not found\n");
	return output_done();
}
