/* thread_local objects: their destructors run when a thread ends, and hold while it runs. */
// expect: definite 3 blocks 216 bytes lost_in_thread
#include "leak.h"
#include <string>
#include <thread>
#include <vector>

static thread_local std::vector<std::string> words;
static SITE void lost_in_thread() { made(malloc(72)); }

static SITE void fill()
{
	for (int i = 0; i < 20; i++)
		words.emplace_back(40, 'w');
	lost_in_thread();
}

static void stays()
{
	fill();
	kit_scrub();
	leak_stay();
}

int main()
{
	std::thread(stays).detach();
	leak_wait();
	std::thread ends(fill);
	ends.join();
	fill();
	kit_scrub();
}
