/*
 *       parse_header              /usr/bin/server+0x1139
 *       conn_read                 /usr/bin/server+0x2204
 *       +9 frames
 *
 * Offsets are those of the call, as addr2line takes them.
 */
#include "cycle/stack.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "backtrace/symbols.h"
#include "base/text.h"

#include <string.h>

static void frame_print(uint32_t node)
{
	const char *name = "?", *path;
	uintptr_t offset, at = depot_get(node)->pc - 1;
	if (!symbols_of_node(node, &name, &offset, &path))
		name = "?";
	const int length = (int)strcspn(name, "@"); /* without the version that linkers add in some tables: memcpy@@GLIBC_2.14 */
	if (path)
		say_raw("      %-24.*s  %s+0x%lx\n", length, name, path, at - modules_get(symbols_module(node))->bias);
	else
		say_raw("      %-24.*s  0x%lx\n", length, name, at);
}

void stack_print(uint32_t node, unsigned most)
{
	for (unsigned n = 0; node && (!most || n < most); n++, node = depot_get(node)->parent)
		frame_print(node);
	unsigned more = 0;
	for (; node; node = depot_get(node)->parent)
		more++;
	if (more)
		say_raw("      +%u frame%s: verbosity=1 shows all\n", more, more == 1 ? "" : "s");
}
