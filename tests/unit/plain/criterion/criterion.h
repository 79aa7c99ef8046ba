/*
 * Criterion's part that our tests use, for ThreadSanitizer builds: Criterion's sandbox maps its arena at a fixed address,
 * which that sanitizer refuses ("Could not initialize inheritable arena"). The same sources compile against this: each test
 * in a forked process with its suite's fixture, an alarm as timeout, one line a failure. Argument: a part of suite/name.
 */
#ifndef CGC_TESTS_PLAIN_CRITERION_H
#define CGC_TESTS_PLAIN_CRITERION_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plain_test {
	const char *suite, *name;
	void (*run)(void), (*init)(void), (*fini)(void);
	double timeout;
	int signal, exit_code;
	bool disabled;
	const char *description;
	struct plain_test *next; /* run: NULL marks a suite, whose settings hold for its tests */
};
static struct plain_test *plain_tests, **plain_last = &plain_tests;
static bool plain_expectation_failed;

#define PLAIN_ADD(id)                                                                                                 \
	__attribute__((constructor)) static void id##_add(void)                                                       \
	{                                                                                                             \
		*plain_last = &id;                                                                                    \
		plain_last = &id.next;                                                                                \
	}
#define TestSuite(s, ...)                                                                                             \
	static struct plain_test s##_suite = { .suite = #s, __VA_ARGS__ };                                            \
	PLAIN_ADD(s##_suite)                                                                                          \
	extern int plain_eats_a_semicolon
#define Test(s, n, ...)                                                                                               \
	static void s##_##n##_run(void);                                                                              \
	static struct plain_test s##_##n = { .suite = #s, .name = #n, .run = s##_##n##_run, __VA_ARGS__ };            \
	PLAIN_ADD(s##_##n)                                                                                            \
	static void s##_##n##_run(void)

__attribute__((format(printf, 4, 5))) static inline void plain_failed(const char *file, int line, const char *claim, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "%s:%d: %s:", file, line, claim);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
#define PLAIN_EXPECT(cond, text, ...)                                                                                 \
	do {                                                                                                          \
		if (!(cond)) {                                                                                        \
			plain_failed(__FILE__, __LINE__, text, " " __VA_ARGS__);                                      \
			plain_expectation_failed = true;                                                              \
		}                                                                                                     \
	} while (0)
#define PLAIN_ASSERT(cond, text, ...)                                                                                 \
	do {                                                                                                          \
		PLAIN_EXPECT(cond, text, __VA_ARGS__);                                                                \
		if (plain_expectation_failed)                                                                         \
			_exit(1);                                                                                     \
	} while (0)

/* The two families differ in what follows a failure only. */
#define cr_assert(c, ...) PLAIN_ASSERT(c, #c, __VA_ARGS__)
#define cr_assert_not(c, ...) PLAIN_ASSERT(!(c), "not " #c, __VA_ARGS__)
#define cr_assert_null(c, ...) PLAIN_ASSERT((c) == NULL, #c " is NULL", __VA_ARGS__)
#define cr_assert_not_null(c, ...) PLAIN_ASSERT((c) != NULL, #c " is not NULL", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_ASSERT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_ASSERT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_ASSERT((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_ASSERT((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_ASSERT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_ASSERT((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_ASSERT(strcmp(a, b) == 0, #a " is the text " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) PLAIN_ASSERT(strcmp(a, b) != 0, #a " is not the text " #b, __VA_ARGS__)
#define cr_assert_str_empty(a, ...) PLAIN_ASSERT(*(a) == 0, #a " is empty", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) PLAIN_ASSERT(memcmp(a, b, size) == 0, #a " has the bytes of " #b, __VA_ARGS__)
#define cr_assert_fail(...) PLAIN_ASSERT(false, "failed", __VA_ARGS__)
#define cr_expect(c, ...) PLAIN_EXPECT(c, #c, __VA_ARGS__)
#define cr_expect_not(c, ...) PLAIN_EXPECT(!(c), "not " #c, __VA_ARGS__)
#define cr_expect_null(c, ...) PLAIN_EXPECT((c) == NULL, #c " is NULL", __VA_ARGS__)
#define cr_expect_not_null(c, ...) PLAIN_EXPECT((c) != NULL, #c " is not NULL", __VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_EXPECT((a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_EXPECT((a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_EXPECT((a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_EXPECT((a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_EXPECT((a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_EXPECT((a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN_EXPECT(strcmp(a, b) == 0, #a " is the text " #b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) PLAIN_EXPECT(strcmp(a, b) != 0, #a " is not the text " #b, __VA_ARGS__)
#define cr_expect_fail(...) PLAIN_EXPECT(false, "failed", __VA_ARGS__)
#define cr_skip_test(...) _exit(printf("skipped:" " " __VA_ARGS__) * 0)
#define cr_log_info(...) ((void)sizeof(printf(__VA_ARGS__)))

static inline void plain_run(const struct plain_test *t, const struct plain_test *suite)
{
	double limit = t->timeout > 0 ? t->timeout : suite && suite->timeout > 0 ? suite->timeout : 120;
	alarm((unsigned)(limit * 2 + 1)); /* sanitizers are slow */
	void (*init)(void) = t->init ? t->init : suite ? suite->init : NULL;
	void (*fini)(void) = t->fini ? t->fini : suite ? suite->fini : NULL;
	if (init)
		init();
	t->run();
	if (fini)
		fini();
	fflush(NULL);
	exit(plain_expectation_failed ? 1 : t->exit_code);
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;
	for (const struct plain_test *t = plain_tests; t; t = t->next) {
		char full[256];
		snprintf(full, sizeof full, "%s/%s", t->suite, t->name ? t->name : "");
		if (!t->run || t->disabled || (argc > 1 && !strstr(full, argv[1])))
			continue;
		const struct plain_test *suite = plain_tests;
		while (suite && (suite->run || strcmp(suite->suite, t->suite) != 0))
			suite = suite->next;
		fflush(NULL);
		pid_t child = fork();
		if (child == 0)
			plain_run(t, suite);
		int status = -1;
		waitpid(child, &status, 0);
		bool fine = t->signal ? WIFSIGNALED(status) && WTERMSIG(status) == t->signal
				      : WIFEXITED(status) && WEXITSTATUS(status) == t->exit_code;
		fine ? passed++ : failed++;
		printf("%s %s%s\n", fine ? "passed" : "FAILED", full, fine ? "" : WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

#endif
