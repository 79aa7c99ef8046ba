/*
 * Ends that run no destructor: _exit, _Exit, quick_exit's last step. The report and the statistics come first; a vfork child,
 * which shares our memory and ends by _exit when its exec failed, passes through.
 */
#include "preload/end.h"
#include "preload/shim.h"
#include "base/options.h"
#include "os/os.h"

#define EXPORT __attribute__((visibility("default"), noreturn))

EXPORT void _exit(int status);
EXPORT void _Exit(int status);

EXPORT void _exit(int status)
{
	if ((options.stats || options.sites || options.mode == MODE_REPORT || options.mode == MODE_AUDIT) && identity_own()) {
		int code = end_process(false);
		if (code >= 0)
			status = code;
	}
	os_exit(status);
}

EXPORT void _Exit(int status) { _exit(status); }
