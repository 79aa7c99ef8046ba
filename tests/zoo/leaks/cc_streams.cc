/* Streams, locales and regular expressions: what the library keeps for itself is no leak. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <fstream>
#include <iostream>
#include <locale>
#include <regex>
#include <sstream>

static SITE void print()
{
	std::locale::global(std::locale("C"));
	std::ostringstream text;
	text << 1.5 << ' ' << std::boolalpha << true << ' ' << std::string(500, 'x');
	std::ifstream file("/proc/self/status");
	std::string line;
	while (std::getline(file, line))
		if (std::regex_match(line, std::regex("Vm(RSS|HWM):\\s+([0-9]+) kB")))
			text << line;
	std::cout << text.str().size() << std::endl;
	std::cerr.flush();
}

int main()
{
	print();
	decoy();
	kit_scrub();
}
