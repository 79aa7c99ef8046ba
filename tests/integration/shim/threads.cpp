// Births and deaths through the trampoline: results, pthread_exit, cancellation and exceptions unwind as without it.
#include "check.h"
#include <atomic>
#include <pthread.h>
#include <stdexcept>
#include <thread>

static std::atomic<int> unwound;
struct Guard {
	~Guard() { unwound++; }
};

static void *echo(void *p) { return p; }
static void *exits(void *p) { Guard g; pthread_exit(p); }
static void *waits(void *) { Guard g; for (;;) pause(); }
static void *throws(void *p)
{
	try {
		Guard g;
		throw std::runtime_error("thrown");
	} catch (const std::exception &e) {
		return strcmp(e.what(), "thrown") ? nullptr : p;
	}
}
static void *stack_of(void *p)
{
	pthread_attr_t a;
	size_t n = 0, g = 0;
	pthread_getattr_np(pthread_self(), &a);
	pthread_attr_getstacksize(&a, &n);
	pthread_attr_getguardsize(&a, &g);
	pthread_attr_destroy(&a);
	return (void *)(n + g >= 256 * 1024 && n <= 256 * 1024 ? p : nullptr);
}

int main()
{
	int x;
	void *r;
	pthread_t t;
	bool all = true;
	for (int i = 0; i < 300; i++) {
		errno = 77;
		int e = pthread_create(&t, nullptr, echo, &x);
		all = all && e == 0 && errno == 77;
		pthread_join(t, &r);
		all = all && r == &x;
	}
	CHECK("result", all);
	pthread_create(&t, nullptr, exits, &x);
	pthread_join(t, &r);
	CHECK("pthread_exit", r == &x && unwound == 1);
	pthread_create(&t, nullptr, waits, nullptr);
	usleep(5000);
	pthread_cancel(t);
	pthread_join(t, &r);
	CHECK("cancellation", r == PTHREAD_CANCELED && unwound == 2);
	pthread_create(&t, nullptr, throws, &x);
	pthread_join(t, &r);
	CHECK("exceptions", r == &x && unwound == 3);
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256 * 1024);
	pthread_create(&t, &a, stack_of, &x);
	pthread_join(t, &r);
	CHECK("stack size", r == &x);
	pthread_attr_setstacksize(&a, (size_t)1 << 60);
	CHECK("no stack", pthread_create(&t, &a, echo, &x) == EAGAIN);
	int sum = 0;
	std::thread th([&] { sum = 42; });
	th.join();
	CHECK("std::thread", sum == 42);
	DONE();
}
