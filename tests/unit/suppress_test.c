/* Suppressions: what each grammar accepts, what it refuses and with which line, and which stacks a rule leaves out. */
#include "base/suppress.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROOM = 16 };
enum { DEFINITE, INDIRECT, POSSIBLE, REACHABLE };

static char said[2048];
static void complain(const char *line)
{
	strncat(said, line, sizeof said - strlen(said) - 2);
	strcat(said, "\n");
}

static struct suppress_rule rules[ROOM];
static struct suppress read_rules(const char *text)
{
	struct suppress s = { text, strlen(text), rules, 0, ROOM };
	said[0] = 0;
	suppress_parse(&s, "x.supp", text, strlen(text), complain);
	return s;
}

/* main calls load in the program, that calls g_malloc of glib, which calls malloc. */
static const struct suppress_frame stack[] = {
	{ "g_malloc", "gmem.c", "/usr/lib/libglib-2.0.so.0" },
	{ "load", "src/load.c", "/opt/app" },
	{ "", "", "/opt/app" },
	{ "main", "src/main.c", "/opt/app" },
};
static bool matches(const char *text, unsigned kind)
{
	struct suppress s = read_rules(text);
	cr_expect_str_eq(said, "", "%s", said);
	return suppress_match(&s, stack, 4, kind) != NULL;
}
static bool pattern(const char *p, const char *text) { return suppress_pattern(p, strlen(p), text); }

Test(suppress, leak_patterns_are_those_of_LeakSanitizer)
{
	cr_expect(pattern("oo", "foobar"));
	cr_expect(pattern("f*bar", "foobar"));
	cr_expect(pattern("^foo", "foobar"));
	cr_expect(!pattern("^oo", "foobar"));
	cr_expect(pattern("bar$", "foobar"));
	cr_expect(!pattern("foo$", "foobar"));
	cr_expect(pattern("^foobar$", "foobar"));
	cr_expect(!pattern("^foo$", "foofoo"));
	cr_expect(pattern("foo$", "foofoo"), "the end is looked for at the end, not behind the first match");
	cr_expect(pattern("*", "x"));
	cr_expect(pattern("^*b", "aab"));
	cr_expect(!pattern("a?c", "abc"), "? is a character like others here");
	cr_expect(!pattern("*", ""), "what is unknown matches nothing");
	cr_expect(!pattern("a*b*c", "a-c-b"));
}

Test(suppress, leak_looks_at_function_file_and_module_of_each_frame)
{
	cr_expect(matches("leak:g_malloc", DEFINITE));
	cr_expect(matches("# glib\n\n  leak:libglib  \r\n", INDIRECT));
	cr_expect(matches("leak:^src/load.c$", POSSIBLE));
	cr_expect(!matches("leak:store", DEFINITE));
	cr_expect(!matches("leak:^alloc", DEFINITE));
}

Test(suppress, only_keeps_what_it_matches)
{
	cr_expect(!matches("only:libglib", DEFINITE));
	cr_expect(matches("only:libxml2", DEFINITE));
	cr_expect(!matches("only:libxml2\nonly:^main$", DEFINITE));
	cr_expect(matches("only:libglib\nleak:load", DEFINITE), "what is kept may be suppressed");
}

#define RULE(body) "{\n   a name\n   Memcheck:Leak\n" body "\n}\n"

Test(suppress, valgrind_compares_the_innermost_frames)
{
	cr_expect(matches(RULE("fun:g_malloc\nfun:load"), DEFINITE));
	cr_expect(matches(RULE("fun:malloc\nfun:g_malloc\nfun:load"), DEFINITE), "the allocator's frame is left out of our stacks");
	cr_expect(matches(RULE("fun:*alloc\nfun:g_malloc"), DEFINITE));
	cr_expect(matches(RULE("obj:*vgpreload_memcheck*\nfun:g_malloc"), DEFINITE));
	cr_expect(!matches(RULE("fun:load"), DEFINITE), "load is not the innermost");
	cr_expect(!matches(RULE("fun:malloc\nfun:load"), DEFINITE));
	cr_expect(matches(RULE("fun:g_?alloc\nobj:/opt/*\nfun:*\nfun:main"), DEFINITE));
	cr_expect(!matches(RULE("fun:g_malloc\nfun:load\nfun:*\nfun:main\nfun:_start"), DEFINITE), "more lines than frames");
	cr_expect(!matches(RULE("fun:g_mall"), DEFINITE), "patterns are whole");
	cr_expect(matches(RULE("src:gmem.c\nsrc:load.c"), DEFINITE));
}

Test(suppress, dots_stand_for_any_number_of_frames)
{
	cr_expect(matches(RULE("..."), DEFINITE));
	cr_expect(matches(RULE("...\nfun:main"), DEFINITE));
	cr_expect(matches(RULE("fun:malloc\n...\nfun:main"), DEFINITE));
	cr_expect(matches(RULE("...\nfun:malloc\n...\nfun:load\n..."), DEFINITE));
	cr_expect(matches(RULE("...\nobj:/opt/app\nfun:main"), DEFINITE), "the last of several that match");
	cr_expect(!matches(RULE("...\nfun:main\nfun:load"), DEFINITE));
	cr_expect(!matches(RULE("fun:calloc\n...\nfun:store\n..."), DEFINITE));
}

Test(suppress, kinds_are_asked_for)
{
	const char *text = RULE("match-leak-kinds: possible, reachable\nfun:malloc\nfun:g_malloc");
	cr_expect(!matches(text, DEFINITE));
	cr_expect(!matches(text, INDIRECT));
	cr_expect(matches(text, POSSIBLE));
	cr_expect(matches(text, REACHABLE));
	cr_expect(matches(RULE("match-leak-kinds: all\nfun:g_malloc"), DEFINITE));
	cr_expect(!matches(RULE("match-leak-kinds: none\nfun:g_malloc"), DEFINITE));
	cr_expect(matches(RULE("fun:g_malloc\nmatch-leak-kinds: definite\nfun:load"), DEFINITE), "between frames, too");
}

Test(suppress, rules_of_other_tools_are_skipped)
{
	cr_expect(!matches("{\nn\nMemcheck:Cond\nfun:g_malloc\n}\n{\nn\nHelgrind:Race\nfun:g_malloc\n}\n{\nn\nMemcheck:Param\nwrite(buf)\nfun:x\n}\n", DEFINITE));
	cr_expect(matches("{\nn\nHelgrind,Memcheck:Leak\nfun:g_malloc\n}", DEFINITE));
	cr_expect(matches("{\nn\nMemcheck:Cond\nfun:x\n}\n" RULE("fun:g_malloc"), DEFINITE));
}

Test(suppress, a_rule_knows_its_name_and_line)
{
	struct suppress s = read_rules("# one\nleak:foo\nonly:bar\n" RULE("fun:x"));
	cr_assert_eq(s.count, 3);
	cr_expect(rules[0].line == 2 && rules[0].name_size == 3 && memcmp(s.text + rules[0].name, "foo", 3) == 0);
	cr_expect(rules[1].line == 3 && rules[1].name_size == 8 && memcmp(s.text + rules[1].name, "only:bar", 8) == 0);
	cr_expect(rules[2].line == 4 && rules[2].name_size == 6 && memcmp(s.text + rules[2].name, "a name", 6) == 0);
}

Test(suppress, bad_lines_are_named_and_skipped)
{
	struct suppress s = read_rules("leak:a\nleek:b\nleak:\n" RULE("fan:x\nfun:y") RULE("match-leak-kinds: some\nfun:x") RULE("")
	                               "{\nn\nnothing\nfun:x\n}\nleak:z\x1b\n{\nname\nMemcheck:Leak\nfun:x");
	cr_expect_eq(s.count, 2, "the good ones are kept");
	cr_expect_str_eq(said,
		"suppressions x.supp, line 2: \"leek:b\" is no rule: leak:PATTERN, only:PATTERN or { of valgrind's is meant: ignored\n"
		"suppressions x.supp, line 3: \"leak:\" has no pattern: leak:FUNCTION is meant, * for everything: ignored\n"
		"suppressions x.supp, line 7: \"fan:x\" is no line of a rule: fun:, obj:, src:, ..., match-leak-kinds: and } are meant: the rule is ignored\n"
		"suppressions x.supp, line 13: \"match-leak-kinds: some\" is not a list of definite, indirect, possible, reachable: the rule is ignored\n"
		"suppressions x.supp, line 20: \"a name\" has no frame: fun:, obj: or ... is meant: the rule is ignored\n"
		"suppressions x.supp, line 23: \"nothing\" names no kind of error: Memcheck:Leak is meant: the rule is ignored\n"
		"suppressions x.supp, line 30: \"name\" has no end: } is meant: the rule is ignored\n");
}

Test(suppress, a_full_table_is_one_bad_line)
{
	char text[400] = "";
	for (int i = 0; i < ROOM + 3; i++)
		strcat(text, "leak:x\n");
	struct suppress s = { text, strlen(text), rules, 0, ROOM };
	said[0] = 0;
	cr_expect_eq(suppress_parse(&s, "x.supp", text, strlen(text), complain), 1);
	cr_expect_eq(s.count, ROOM);
	cr_expect_str_eq(said, "suppressions x.supp, line 17: \"x\" has no room, nor has what follows: fewer rules are meant\n");
}

static bool by_function(const char *text)
{
	struct suppress s = read_rules(text);
	return suppress_by_function(&s);
}

Test(suppress, names_of_functions_are_not_needed_where_rules_name_modules_alone)
{
	cr_expect_not(by_function(""));
	cr_expect_not(by_function("{\n a fun: name\n Memcheck:Leak\n match-leak-kinds: possible\n ...\n obj:*/liba.so*\n # fun:x\n ...\n}\n"));
	cr_expect(by_function("{\n a\n Memcheck:Leak\n obj:*/liba.so*\n fun:x\n}\n"));
	cr_expect(by_function("{\n a\n Memcheck:Leak\n src:a.c\n}\n"));
	cr_expect(by_function("leak:liba.so\n"), "of a frame's function, file and module");
	cr_expect(by_function("only:liba.so\n"));
}

Test(suppress, texts_are_appended_and_need_no_NUL)
{
	const char text[] = { 'l', 'e', 'a', 'k', ':', 'l', 'o', 'a', 'd' };
	struct suppress s = { text, sizeof text, rules, 0, ROOM };
	cr_expect_eq(suppress_parse(&s, "x", text, sizeof text, complain), 0);
	cr_expect_not_null(suppress_match(&s, stack, 4, DEFINITE));
	cr_expect_null(suppress_match(&s, stack, 0, DEFINITE), "no stack, no match");
}
