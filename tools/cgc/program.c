/*
 * Finds a program and says in plain words why cgc can't serve it, before it starts.
 *
 * Each of these programs would run without the library and nobody would know: the loader ignores LD_PRELOAD for programs
 * that gain rights, does not exist for static ones, and skips libraries of another class. A script is served through its
 * interpreter, and `#!/usr/bin/env python3` through python3, so these are looked at instead.
 */
#include "program.h"
#include "commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPTS_MAX = 5 }; /* as many interpreters behind interpreters as the kernel follows */

/* -- finding -- */

static int executable(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno;
	if (S_ISDIR(st.st_mode))
		return EISDIR;
	return eaccess(path, X_OK) < 0 ? errno : 0;
}

/* As execvp: a name with a slash is a path, any other is looked up in PATH; an empty element is the current directory.
 * 0 or an errno. */
static int look_up(const char *name, char path[PATH_ROOM])
{
	if (strchr(name, '/')) {
		snprintf(path, PATH_ROOM, "%s", name);
		return executable(path);
	}
	const char *dirs = getenv("PATH");
	int result = ENOENT;
	for (const char *d = dirs ? dirs : "/bin:/usr/bin";; d++) {
		size_t n = strcspn(d, ":");
		snprintf(path, PATH_ROOM, "%.*s%s%s", (int)n, d, n ? "/" : "./", name);
		int error = executable(path);
		if (!error)
			return 0;
		if (error == EACCES)
			result = EACCES; /* keep looking, but remember that one is there */
		d += n;
		if (!*d)
			return result;
	}
}

static int refuse_lookup(const char *name, int error)
{
	if (error == ENOENT || error == ENOTDIR) {
		complain("%s is not found: %s: check the name", name,
		         strchr(name, '/') ? "no such file" : "no directory in PATH has it (a program here is ./NAME)");
		return STATUS_NOT_FOUND;
	}
	complain("%s can't be run: %s: %s", name, strerror(error),
	         error == EISDIR ? "name a program inside it" : "chmod +x makes a program executable");
	return STATUS_NOT_EXECUTABLE;
}

/* -- judging -- */

/* Does running `path` give other rights than ours? Then the kernel sets AT_SECURE and the loader ignores LD_PRELOAD. Root
 * running a setuid-root program gains nothing and is served. */
static const char *gained_rights(const char *path)
{
	struct stat st;
	struct statvfs fs;
	if (stat(path, &st) < 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (!statvfs(path, &fs) && (fs.f_flag & ST_NOSUID))
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return "setuid";
	if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		return "setgid";
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return "file capabilities";
	return NULL;
}

static bool same_machine(const struct elf_facts *a, const struct elf_facts *b)
{
	return a->bits == b->bits && a->data == b->data && a->machine == b->machine;
}

/* NULL, or one line why an ELF program can't be served. */
static const char *judge(const char *path, const struct elf_facts *f, const char *library)
{
	static char line[PATH_ROOM];
	struct elf_facts ours;
	elf_inspect(library, &ours);
	const char *rights = gained_rights(path);
	if (f->kind == ELF_PROGRAM && ours.kind == ELF_PROGRAM && !same_machine(f, &ours))
		snprintf(line, sizeof(line), "is a %u-bit program for another machine or ABI (ELF machine %u) and libcgc.so is %u-bit"
		         " (ELF machine %u): a library of its own kind is needed: build cgc for it", f->bits, f->machine, ours.bits, ours.machine);
	else if (f->kind == ELF_DAMAGED)
		snprintf(line, sizeof(line), "is a damaged ELF file: nothing was started: build or copy it again");
	else if (rights)
		snprintf(line, sizeof(line), "gains rights (%s): the loader ignores preloaded libraries then: run it as the user that"
		         " it becomes", rights);
	else if (!f->dynamic)
		snprintf(line, sizeof(line), "is statically linked: no library can be preloaded into it: link it dynamically");
	else if (strstr(f->interpreter, "ld-musl"))
		snprintf(line, sizeof(line), "uses musl (%s) and this libcgc.so is for glibc: build cgc against musl", f->interpreter);
	else if (f->sanitizer[0])
		snprintf(line, sizeof(line), "contains %s, which has a malloc of its own: use one at a time: build it without"
		         " -fsanitize", f->sanitizer);
	else if (f->own_malloc)
		snprintf(line, sizeof(line), "defines malloc itself: its own comes before any preloaded one: link it without that"
		         " allocator");
	else if (access(f->interpreter, X_OK) < 0)
		snprintf(line, sizeof(line), "needs the loader %s, which is missing here: install the system it was built for", f->interpreter);
	else
		return NULL;
	return line;
}

/* Where a script leads: its interpreter, or the program that `env` will look up. */
static int follow_script(const struct elf_facts *f, char path[PATH_ROOM])
{
	const char *base = strrchr(f->interpreter, '/');
	if (base && !strcmp(base, "/env") && f->argument[0] && f->argument[0] != '-' && !strpbrk(f->argument, " \t="))
		return look_up(f->argument, path);
	snprintf(path, PATH_ROOM, "%s", f->interpreter);
	return executable(path);
}

int program_find(const char *name, const char *library, struct program *p)
{
	char at[PATH_ROOM];
	struct elf_facts f;
	int error = look_up(name, p->path);
	if (error)
		return refuse_lookup(name, error);
	p->loader[0] = 0;
	memcpy(at, p->path, sizeof(at));
	elf_inspect(at, &f);
	for (int depth = 0; f.kind == ELF_SCRIPT && depth < SCRIPTS_MAX; depth++) {
		error = follow_script(&f, at);
		if (error) {
			complain("%s is a script for %s, which can't be run: %s: correct its first line", name,
			         f.interpreter[0] ? f.interpreter : "nobody", strerror(error));
			return error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
		}
		elf_inspect(at, &f);
	}
	/* What can't be read (mode 711) or belongs to binfmt_misc can't be judged: the kernel decides at exec. */
	if (f.kind != ELF_PROGRAM && f.kind != ELF_DAMAGED)
		return 0;
	const char *why = judge(at, &f, library);
	if (why) {
		complain("%s %s", at, why);
		return STATUS_NOT_SERVED;
	}
	memcpy(p->loader, f.interpreter, sizeof(p->loader));
	return 0;
}
