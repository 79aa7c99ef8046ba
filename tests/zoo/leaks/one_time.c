/* What the C library allocates once and keeps: buffers of standard streams and of open ones, locales, time zones, users, numbers. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <dlfcn.h>
#include <fnmatch.h>
#include <iconv.h>
#include <locale.h>
#include <netdb.h>
#include <pwd.h>
#include <regex.h>
#include <search.h>
#include <time.h>
#include <wchar.h>

HELD FILE *open_still;
HELD regex_t compiled;
HELD iconv_t converter;

static SITE void ask(void)
{
	time_t now = 1700000000;
	setlocale(LC_ALL, "C.UTF-8");
	setenv("CGC_ZOO", "a value of some length that is no literal of the program", 1);
	setenv("CGC_ZOO", "another value of some length that is no literal of the program", 1);
	tzset();
	localtime(&now);
	getpwuid(0);
	gethostbyname("127.0.0.1");
	open_still = fopen("/proc/self/maps", "r");
	if (!open_still || fgetc(open_still) == EOF)
		_exit(2);
	printf("%.300f %ls\n", 1e300, L"wide");
	fflush(stdout);
	converter = iconv_open("UTF-16", "UTF-8");
	if (regcomp(&compiled, "^(a|b)*c+[[:alpha:]]{2,5}$", REG_EXTENDED))
		_exit(2);
	fnmatch("*.[ch]", "leak.h", 0);
	hcreate(100);
	dlerror();
	dlsym(RTLD_DEFAULT, "no_such_name");
}

int main(void)
{
	ask();
	decoy();
	kit_scrub();
	return 0;
}
