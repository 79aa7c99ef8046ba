/* Frames of coroutines lie in the heap: a suspended one holds its locals, a lost one loses them. */
// expect: definite 1 blocks ? bytes lost_frame
// expect: indirect 1 blocks 72 bytes in_lost
#include "leak.h"
#include <coroutine>

struct task {
	struct promise_type {
		task get_return_object() { return { std::coroutine_handle<promise_type>::from_promise(*this) }; }
		std::suspend_never initial_suspend() { return {}; }
		std::suspend_always final_suspend() noexcept { return {}; }
		void return_void() {}
		void unhandled_exception() {}
	};
	std::coroutine_handle<promise_type> handle;
};
HELD std::coroutine_handle<> held;

static SITE void *in_held() { return made(malloc(72)); }
static SITE void *in_lost() { return made(malloc(72)); }

static SITE task held_frame()
{
	void *volatile local = in_held();
	co_await std::suspend_always{};
	use(local);
}
static SITE task lost_frame()
{
	void *volatile local = in_lost();
	co_await std::suspend_always{};
	use(local);
}

static SITE void start()
{
	held = held_frame().handle;
	lost_frame();
}

int main()
{
	start();
	kit_scrub();
}
