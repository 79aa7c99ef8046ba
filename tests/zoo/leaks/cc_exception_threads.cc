/* A thread stands in a catch block at exit: its exception and what its frames own are held; another one's ended with it. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

static SITE void throws() { throw std::runtime_error("thrown in a thread, with a message that has a block of its own"); }

static void stands()
{
	std::vector<long> local(100, 1);
	try {
		throws();
	} catch (const std::exception &e) {
		kit_scrub();
		leak_stay();
		use(&e);
	}
	use(&local);
}

static SITE void finished()
{
	auto f = std::async(std::launch::async, throws);
	try {
		f.get();
	} catch (const std::exception &) {
	}
}

int main()
{
	finished();
	std::thread(stands).detach();
	leak_wait();
	decoy();
	kit_scrub();
}
