/*
 * For stacks.sh: allocations from every kind of frame that C++ makes. Unwinding allocates: the exception itself, destructors and handlers
 * that run while it is in flight, functions that end in a tail call, variable arrays, realigned frames, threads, and a library that is
 * opened and closed between equal stacks. Argument: the folder of libstacks_a.so and libstacks_b.so, which define the same function.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <alloca.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include <signal.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
static thread_local void *volatile sink;
static NOINLINE void allocate(size_t n)
{
	free(sink);
	sink = malloc(n);
}

struct Noisy {
	std::string name;
	explicit Noisy(int n) : name(40 + n, 'x') {}
	~Noisy()
	{
		allocate(name.size()); // also while an exception is in flight
		try {
			if (name.size() % 2)
				throw std::runtime_error(name);
		} catch (const std::exception &e) {
			allocate(strlen(e.what()));
		}
	}
};

static NOINLINE int thrower(int depth)
{
	Noisy n(depth);
	if (depth == 0)
		throw std::vector<int>(50, 1);
	int r = thrower(depth - 1);
	allocate(r + 1);
	return r;
}

static NOINLINE void *tail(size_t n) { return malloc(n); }            // a jump
static NOINLINE void *tail_of_tail(size_t n) { return tail(n + 1); }
static NOINLINE int with_alloca(int n)
{
	char *p = (char *)alloca(n * 17 + 1);
	memset(p, n, n * 17 + 1);
	allocate(p[n] + 1);
	return n ? with_alloca(n - 1) + p[0] : 0;
}
static NOINLINE int realigned(int n)
{
	alignas(64) volatile char wide[128];
	wide[n] = 1;
	char *p = (char *)alloca(n + 1);
	p[n] = 0;
	allocate(n + 1);
	return n ? realigned(n - 1) + wide[0] + p[0] : wide[0];
}

// Two ways to one place, by frames of one size: only a return address far out tells them apart.
static NOINLINE void inner()
{
	for (int i = 0; i < 4; i++)
		allocate(20);
	__asm__ volatile("");
}
static NOINLINE void one_way() { inner(); __asm__ volatile(""); }
static NOINLINE void another_way() { inner(); __asm__ volatile(" "); }

static void handler(int) { allocate(33); }

static NOINLINE void through(void (*f)(void (*)(size_t))) { f(allocate); __asm__ volatile(""); }

static void opened(const char *folder, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		std::string path = std::string(folder) + (i % 2 ? "/libstacks_a.so" : "/libstacks_b.so");
		void *h = dlopen(path.c_str(), RTLD_NOW);
		if (!h) {
			fprintf(stderr, "%s\n", dlerror());
			exit(1);
		}
		for (int k = 0; k < 3; k++)
			through((void (*)(void (*)(size_t)))dlsym(h, "call_back"));
		dlclose(h);
	}
}

int main(int argc, char **argv)
{
	for (int i = 0; i < 30; i++) {
		try {
			thrower(i % 12);
		} catch (const std::vector<int> &v) {
			allocate(v.size());
		}
		for (int k = 0; k < 10; k++) {
			free(tail_of_tail(k));
			free(tail(k));
		}
		one_way();
		another_way();
		with_alloca(i % 9);
		realigned(i % 9);
	}
	std::vector<std::thread> threads;
	for (int i = 0; i < 4; i++)
		threads.emplace_back([i] {
			for (int k = 0; k < 20; k++) {
				try {
					thrower((i + k) % 6);
				} catch (...) {
					with_alloca(i);
				}
			}
		});
	for (auto &t : threads)
		t.join();
	signal(SIGUSR1, handler);
	for (int i = 0; i < 10; i++) {
		raise(SIGUSR1);
		allocate(i);
	}
	if (argc > 1)
		opened(argv[1], 12);
	puts("done");
	return 0;
}
