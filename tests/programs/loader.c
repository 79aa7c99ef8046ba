/*
 * The loader and recorded stacks: modules that leave without a word, or while another thread believes a frame pointer that leads into them;
 * and a child of fork whose parent's other thread holds the loader's lock. For loader.sh: prints "unharmed", or "skip: why".
 *
 *   loader gone               iconv's module is closed by libc itself, and generated code takes its place
 *   loader guess LIBRARY      a frame pointer leads into LIBRARY, which another thread opens and closes
 *   loader fork               a child ends by _exit while the loader's lock is held for ever
 *   loader ask                the same, and the child asks for a report
 */
#include "kit.h"
#include <iconv.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static int skip(const char *why) { return printf("skip: %s\n", why) < 0; }

#if defined(__x86_64__)
/* push %rbp; mov %rsi, %rbp; call malloc; pop %rbp; ret: the second argument is the frame pointer. */
static void *(*allocator_at(unsigned char *p))(size_t, void *)
{
	static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xf5, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd0, 0x5d, 0xc3 };
	void *(*target)(size_t) = malloc;
	memcpy(p, code, sizeof code);
	memcpy(p + 6, &target, sizeof target);
	return (void *(*)(size_t, void *))(uintptr_t)p;
}

static uintptr_t text; /* of ISO8859-7.so; 0: not loaded */
static int look(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	for (int i = 0; strstr(info->dlpi_name, "ISO8859-7.so") && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X)
			text = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
	return 0;
}

static void convert(const char *to)
{
	iconv_t c = iconv_open(to, "UTF-8");
	if (c != (iconv_t)-1)
		iconv_close(c);
}

static int gone(void)
{
	static const char *const others[] = { "ISO-8859-2", "ISO-8859-3", "ISO-8859-4", "ISO-8859-5", "ISO-8859-6" };
	iconv_t greek = iconv_open("ISO-8859-7", "UTF-8");
	dl_iterate_phdr(look, NULL);
	const uintptr_t place = text & ~(uintptr_t)4095;
	if (greek == (iconv_t)-1 || !place)
		return skip("no module for ISO-8859-7");
	void *library = dlopen("libm.so.6", RTLD_NOW);
	if (library)
		dlclose(library); /* modules are listed */
	iconv_close(greek);
	for (int i = 0; i < 50 && text; i++) {
		convert(others[i % 5]);
		text = 0;
		dl_iterate_phdr(look, NULL);
	}
	if (text || mmap((void *)place, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)place)
		return skip("the module stays, or its place is taken");
	free(allocator_at((unsigned char *)place + 64)(20, NULL));
	return puts("unharmed") < 0;
}

static struct {
	const char *library;
	uintptr_t into; /* atomic */
	int end;        /* atomic */
	unsigned char *code;
} guess;

static void *guesser(void *unused)
{
	void *(*allocate)(size_t, void *) = allocator_at(guess.code);
	for (unsigned long i = 0; !__atomic_load_n(&guess.end, __ATOMIC_RELAXED); i++) {
		volatile uintptr_t frame[2] = { 0, __atomic_load_n(&guess.into, __ATOMIC_RELAXED) + 5 + i % 64 };
		free(allocate(20, (void *)frame));
	}
	return unused;
}

static int guesses(const char *library)
{
	pthread_t thread;
	guess.code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guess.code == MAP_FAILED || pthread_create(&thread, NULL, guesser, NULL) != 0)
		return skip("no memory that is code");
	for (int i = 0; i < 1500; i++) {
		void *handle = dlopen(library, RTLD_NOW);
		if (!handle)
			kit_fail("%s", dlerror());
		__atomic_store_n(&guess.into, ((struct link_map *)handle)->l_addr + 0x1000, __ATOMIC_RELAXED);
		dlclose(handle);
	}
	__atomic_store_n(&guess.end, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	return puts("unharmed") < 0;
}
#else
static int gone(void) { return skip("code is generated for x86-64 only"); }
static int guesses(const char *library) { return library ? skip("code is generated for x86-64 only") : 1; }
#endif

static int inside; /* atomic */
static int hold(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)info, (void)size, (void)unused;
	__atomic_store_n(&inside, 1, __ATOMIC_RELEASE);
	pause();
	return 1;
}
static void *holder(void *unused)
{
	dl_iterate_phdr(hold, NULL);
	return unused;
}

static int forks(bool asks)
{
	pthread_t thread;
	int status;
	if (pthread_create(&thread, NULL, holder, NULL) != 0)
		return 1;
	while (!__atomic_load_n(&inside, __ATOMIC_ACQUIRE))
		usleep(1000);
	pid_t child = fork();
	if (child == 0) {
		int (*check)(void);
		*(void **)&check = asks ? dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check") : NULL;
		free(malloc(100));
		alarm(20);
		if (check)
			check();
		_exit(7);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		kit_fail("the child's status: %x", (unsigned)status);
	puts("unharmed");
	fflush(stdout);
	kill(getpid(), SIGKILL); /* our own end would list modules, and wait for the other thread as exit itself does */
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "gone"))
		return gone();
	if (!strcmp(what, "guess") && argc > 2)
		return guesses(argv[2]);
	if (!strcmp(what, "fork") || !strcmp(what, "ask"))
		return forks(what[0] == 'a');
	return 2;
}
