/* Being asked: requests as text, and the folder that nobody else may have had a hand in. */
#include "control/parts.h"
#include "os/local.h"
#include "os/os.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct request read_text(const char *line)
{
	struct request r;
	request_read(line, strlen(line), &r);
	return r;
}

Test(control, requests_are_words)
{
	struct request r = read_text("snapshot");
	cr_assert(r.kind == REQUEST_SNAPSHOT && !r.blocks && !r.reachable);
	r = read_text("snapshot reachable blocks");
	cr_assert(r.kind == REQUEST_SNAPSHOT && r.blocks && r.reachable);
	r = read_text("why 0x280000001aF0");
	cr_assert(r.kind == REQUEST_WHY && r.address == 0x280000001af0);
	r = read_text("why 0xffffffffffffffff");
	cr_assert(r.kind == REQUEST_WHY && r.address == UINTPTR_MAX);
	cr_assert(read_text("hello").kind == REQUEST_HELLO);
}

Test(control, what_is_no_request_is_told_why)
{
	static const char *const wrong[] = { "", " ", "hell", "helloo", "hello ", "hello  x", "why", "why ", "why 0x", "why 12", "why 0x1g", "why 0x1 2",
		"why 0x11111111111111111", "snapshot  blocks", "snapshot block", "SNAPSHOT", "snapshot\tblocks", "\377\376" };
	for (size_t i = 0; i < NELEM(wrong); i++) {
		struct request r = read_text(wrong[i]);
		if (!strcmp(wrong[i], "hello ")) /* a blank behind the last word says nothing */
			continue;
		cr_assert(r.kind == REQUEST_WRONG && r.wrong && strlen(r.wrong) < 200, "\"%s\" is taken as %d", wrong[i], r.kind);
	}
}

Test(control, a_request_ends_where_it_ends)
{
	struct request r;
	request_read("hello there", 5, &r);
	cr_assert(r.kind == REQUEST_HELLO);
	request_read("why 0x123", 7, &r);
	cr_assert(r.kind == REQUEST_WHY && r.address == 1);
	request_read(NULL, 0, &r);
	cr_assert(r.kind == REQUEST_WRONG);
}

/* A folder of this test's own; TMPDIR and XDG_RUNTIME_DIR as the program's environment has them. */
static char base[64];
static void begin(void)
{
	snprintf(base, sizeof base, "/tmp/cgc-control-test.XXXXXX");
	cr_assert(mkdtemp(base) != NULL);
}
static void end(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", base);
	cr_assert(system(command) == 0);
}
static const char *chosen(char path[FOLDER_MOST], const char *name)
{
	char variable[128];
	snprintf(variable, sizeof variable, "%s=%s", name, base);
	char *env[] = { "A=1", variable, NULL };
	return folder_choose(env, path);
}

Test(control, the_runtime_folder_is_taken_if_it_is_ours_alone, .init = begin, .fini = end)
{
	char path[FOLDER_MOST], expected[FOLDER_MOST];
	struct stat st;
	snprintf(expected, sizeof expected, "%s/cgc", base);
	cr_assert(chosen(path, "XDG_RUNTIME_DIR") == NULL);
	cr_assert_str_eq(path, expected);
	cr_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
	cr_assert(rmdir(path) == 0 && chmod(base, 0755) == 0); /* that of another user, as after su */
	char *env[] = { "XDG_RUNTIME_DIR=/proc", "TMPDIR=/proc/nowhere", NULL };
	cr_assert(folder_choose(env, path) == NULL && strncmp(path, "/tmp/cgc-", 9) == 0);
	cr_assert(chosen(path, "XDG_RUNTIME_DIR") == NULL && strncmp(path, base, strlen(base)) != 0);
}

Test(control, what_somebody_put_in_our_place_is_refused, .init = begin, .fini = end)
{
	char path[FOLDER_MOST], place[FOLDER_MOST], elsewhere[FOLDER_MOST];
	snprintf(place, sizeof place, "%s/cgc-%u", base, (unsigned)geteuid());
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", base);
	cr_assert(mkdir(elsewhere, 0700) == 0 && symlink(elsewhere, place) == 0);
	cr_assert(chosen(path, "TMPDIR") != NULL, "a link");
	cr_assert_str_eq(path, place);
	cr_assert(unlink(place) == 0 && mkdir(place, 0711) == 0);
	cr_assert(chosen(path, "TMPDIR") != NULL, "a folder that others can enter");
	cr_assert(chmod(place, 0700) == 0 && chosen(path, "TMPDIR") == NULL);
	cr_assert(rmdir(place) == 0 && close(open(place, O_CREAT | O_WRONLY, 0600)) == 0);
	cr_assert(chosen(path, "TMPDIR") != NULL, "a file");
}

Test(control, only_names_of_the_dead_are_taken_over, .init = begin, .fini = end)
{
	char name[NAME_MOST], again[NAME_MOST];
	struct stat st;
	cr_assert(chmod(base, 0700) == 0);
	int first = folder_bind(base, 17, name);
	cr_assert(first >= 0 && !strcmp(name, "17"));
	cr_assert(os_local_listen(first, 1) == 0);
	int second = folder_bind(base, 17, again);
	cr_assert(second >= 0 && !strcmp(again, "17.1"), "%s", again);
	close(first);
	int third = folder_bind(base, 17, name);
	cr_assert(third >= 0 && !strcmp(name, "17"));
	folder_unbind(base, name);
	folder_unbind(base, again);
	cr_assert(chdir(base) == 0 && stat("17", &st) < 0 && stat("17.1", &st) < 0);
	cr_assert(chmod(base, 0755) == 0 && folder_bind(base, 17, name) == -EPERM && name[0] == 0);
	cr_assert(chdir("/") == 0);
}

Test(control, descriptors_move_out_of_the_way)
{
	int fd = os_move_high(open("/dev/null", O_RDONLY));
	cr_assert(fd >= 100 && fcntl(fd, F_GETFD) == FD_CLOEXEC, "%d", fd);
	close(fd);
}

Test(control, a_descriptor_goes_along_with_a_line)
{
	int ends[2], file = os_nameless("test", -1);
	char line[8];
	cr_assert(file >= 0 && os_size(file) == 0);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	cr_assert(os_local_send(ends[0], "ok 0\n", 5, file));
	cr_assert(os_local_receive(ends[1], line, sizeof line, 1000000000) == 5);
	cr_assert(os_local_receive(ends[1], line, sizeof line, 1000000) == 0, "nothing more comes");
}
