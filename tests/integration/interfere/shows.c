/* What the system shows of a process whose two threads allocate: the number of threads. Ends with 5.
 *   shows [abort]      dumps core instead        shows FILE    works until that file is there (SIGSTOP and SIGCONT meanwhile) */
#include "kit.h"

int main(int argc, char **argv)
{
	char text[4096] = "";
	int wrong = 0, field = 0;
	churn_start();
	for (int i = 0; i < 30; i++)
		wrong += work(1000);
	FILE *f = fopen("/proc/self/stat", "r");
	if (!f || !fgets(text, sizeof text, f))
		return 1;
	fclose(f);
	for (char *s = strtok(strrchr(text, ')') + 2, " "); s; s = strtok(NULL, " "))
		if (field++ == 17)
			printf("%s threads\n", s);
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "abort"))
		abort();
	while (argc > 1 && access(argv[1], F_OK))
		wrong += work(1000);
	churn_stop();
	printf("%d wrong\n", wrong);
	return 5;
}
