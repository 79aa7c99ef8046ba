// operator new and delete in every form. -DPLAIN replaces the plain pair alone, and counts; -DARRAY the array pair alone.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <thread>

static long balance;
#ifdef PLAIN
void *operator new(size_t n) { balance++; void *p = malloc(n + 16); if (!p) throw std::bad_alloc(); return static_cast<char *>(p) + 16; }
void operator delete(void *p) noexcept { if (p) { balance--; free(static_cast<char *>(p) - 16); } }
#endif
#ifdef ARRAY
void *operator new[](size_t n) { balance++; void *p = malloc(n + 32); if (!p) throw std::bad_alloc(); return static_cast<char *>(p) + 32; }
void operator delete[](void *p) noexcept { if (p) { balance--; free(static_cast<char *>(p) - 32); } }
#endif
struct alignas(128) wide { char text[200]; };

static void use()
{
	std::map<int, std::string> m;
	for (int i = 0; i < 5000; i++) {
		m[i % 300] = std::string(static_cast<size_t>(i % 300), 'x');
		auto *one = new wide;
		auto *some = new wide[3];
		auto *quiet = new (std::nothrow) int;
		auto *words = new std::string[4];
		auto *silent = new (std::nothrow) char[50];
		delete one;
		delete[] some;
		delete quiet;
		delete[] words;
		delete[] silent;
	}
}

int main()
{
	std::thread t(use); // one thread at a time: the counter is plain
	t.join();
	use();
	bool thrown = false;
	try {
		static void *volatile sink = ::operator new(static_cast<size_t>(1) << 60);
		(void)sink;
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	std::printf("balance %s, %s\n", balance < 4 ? "even" : "off", thrown ? "bad_alloc" : "nothing thrown");
	return 0;
}
