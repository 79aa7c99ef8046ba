/*
 * Ends that run no destructor: _exit, _Exit, quick_exit's last step. The report and the statistics come first; a vfork child,
 * which shares our memory and ends by _exit when its exec failed, passes through.
 */
#include "preload/end.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "base/console.h"
#include "base/options.h"
#include "os/os.h"

#include <stdio.h>

#define EXPORT __attribute__((visibility("default"), noreturn))

static bool tells(void) { return options.stats || options.sites || options.mode == MODE_REPORT || options.mode == MODE_AUDIT; }

/* Standard error is closed by the last exit handler of many programs, before we have our say. */
__attribute__((visibility("default"))) int fclose(FILE *f)
{
	if (UNLIKELY(f == stderr) && tells() && !options.log_path[0] && !os_is_confined() && identity_own())
		console_keep();
	return real()->fclose(f);
}

EXPORT void _exit(int status);
EXPORT void _Exit(int status);

EXPORT void _exit(int status)
{
	if (tells() && identity_own()) {
		int code = end_process(false);
		if (code >= 0)
			status = code;
	}
	os_exit(status);
}

EXPORT void _Exit(int status) { _exit(status); }
