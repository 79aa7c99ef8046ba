/* A program that runs as our child and looks from outside as if it ran in our place; shared by `cgc audit` and `cgc run --mode=report`. */
#ifndef CGC_TOOLS_CHILD_H
#define CGC_TOOLS_CHILD_H

#include "program.h"

#include <signal.h>
#include <stdio.h>

enum { FOLDER_ROOM = 200 };

/* Holds signals back until child_run knows whom to pass them on to: else one that comes early would end us and leave the folder behind. */
void child_hold_signals(sigset_t *mask);
/* Runs it to its end. Signals that are sent to us are passed on, what the terminal sends reaches it by itself; when it is stopped we stop
 * too. mask: that of before child_hold_signals. Its wait status, or -1 after a complaint; *pid is set. */
int child_run(const struct program *program, char **argv, const sigset_t *mask, pid_t *pid);
/* Ends as it ended: its status is the result, its signal is raised. */
int child_end_as(int status);
/* A private folder for what the processes leave, /tmp/NAME.XXXXXX or in TMPDIR; root's processes may leave files in it when they have become
 * other users. false after one line. */
bool child_make_folder(const char *name, char folder[FOLDER_ROOM]);
void child_remove_folder(const char *folder); /* empty by now */
/* The user's log_path for one process, opened as the library opens it, at its end; NULL: it is empty or can't be opened. */
FILE *child_log(const char *path, long pid);

#endif
