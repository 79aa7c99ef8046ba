/*
 * Where the socket lies, and who may have put what there.
 *
 *   1. $XDG_RUNTIME_DIR/cgc if that folder is ours alone, else $TMPDIR/cgc-UID, else /tmp/cgc-UID. A child that became another user (the
 *      workers of a server that root started) can't go into its parent's folder: it has the second or third, of that user. Its
 *      environment may be overwritten by then (programs keep titles there), so $TMPDIR is kept.
 *   2. It is made with mode 0700. In /tmp anybody may have been there before us: it is opened without following a link, and must
 *      belong to us and let nobody else in; else nothing is bound. From then on only we and root can make names in it.
 *   3. The socket's name is our PID. What has it already was left by a process that is gone (nobody accepts), and is removed; or it
 *      belongs to a process of another PID namespace that shares the folder: then we are PID.1, PID.2, ...
 *
 * The path goes through the descriptor of the folder (os/local.h), so nothing can be exchanged between the look and the bind.
 */
#include "control/parts.h"
#include "base/text.h"
#include "os/local.h"
#include "os/os.h"

#include <errno.h>

enum { NAMES = 10 };

static const char *variable(char *env[], const char *name)
{
	size_t n = __builtin_strlen(name);
	for (; env && *env; env++)
		if (__builtin_strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* 0; -EPERM: something else stands there; another error: no folder can be there. */
static int make(const char *path)
{
	int r = os_make_folder(path);
	if (r != 0 && r != -EEXIST)
		return r;
	int fd = os_open_own_folder(path);
	if (fd < 0)
		return -EPERM;
	os_close(fd);
	return 0;
}

static bool runtime_folder(char *env[], char path[FOLDER_MOST])
{
	const char *given = variable(env, "XDG_RUNTIME_DIR");
	if (!given || given[0] != '/' || text_format(path, FOLDER_MOST, "%s/cgc", given) >= FOLDER_MOST - 1)
		return false;
	int fd = os_open_own_folder(given);
	if (fd >= 0)
		os_close(fd);
	return fd >= 0;
}

static char temporary[FOLDER_MOST - 32]; /* $TMPDIR; "" none */

static const char *user_folder(char path[FOLDER_MOST])
{
	int r = -ENOENT;
	if (temporary[0]) {
		text_format(path, FOLDER_MOST, "%s/cgc-%u", temporary, os_user());
		r = make(path);
	}
	if (r != 0 && r != -EPERM) {
		text_format(path, FOLDER_MOST, "/tmp/cgc-%u", os_user());
		r = make(path);
	}
	return r == 0 ? NULL : r == -EPERM ? "is a link, or belongs to another user, or lets others in" : "can't be made";
}

const char *folder_choose(char *env[], char path[FOLDER_MOST])
{
	const char *given = variable(env, "TMPDIR");
	if (given && given[0] == '/' && __builtin_strlen(given) < sizeof temporary)
		text_format(temporary, sizeof temporary, "%s", given);
	if (runtime_folder(env, path) && make(path) == 0)
		return NULL;
	return user_folder(path);
}

const char *folder_choose_again(char path[FOLDER_MOST]) { return user_folder(path); }

/* Does somebody accept connections there? Not when the answer is "refused". */
static bool alive(int folder, const char *name)
{
	int fd = os_local_socket();
	if (fd < 0)
		return true;
	int r = os_local_connect(fd, folder, name);
	os_close(fd);
	return r != -ECONNREFUSED && r != -ENOENT;
}

int folder_bind(const char *path, int pid, char name[NAME_MOST])
{
	int folder = os_open_own_folder(path), fd = os_local_socket(), r = -EADDRINUSE;
	for (unsigned i = 0; i < NAMES && r == -EADDRINUSE && folder >= 0 && fd >= 0; i++) {
		text_format(name, NAME_MOST, i ? "%d.%u" : "%d", pid, i);
		r = os_local_bind(fd, folder, name);
		if (r == -EADDRINUSE && !alive(folder, name) && os_unlink_at(folder, name) == 0)
			r = os_local_bind(fd, folder, name);
	}
	if (folder >= 0)
		os_close(folder);
	if (folder >= 0 && fd >= 0 && r == 0)
		return fd;
	name[0] = 0;
	if (fd >= 0)
		os_close(fd);
	return folder < 0 ? folder : fd < 0 ? fd : r;
}

void folder_unbind(const char *path, const char *name)
{
	int folder = os_open_own_folder(path);
	if (folder < 0) /* after chroot, or as another user: `cgc list` removes it */
		return;
	os_unlink_at(folder, name);
	os_close(folder);
}
