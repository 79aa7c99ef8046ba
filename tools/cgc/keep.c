/* Texts one behind the other in large pieces, which are never given back: the command is over before that would be of use. */
#include "keep.h"
#include "base/printable.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10 };

struct piece {
	struct piece *before;
	char room[];
};
static struct piece *last;
static size_t used = PIECE; /* of the last one */

char *keep_text(const char *s, size_t n)
{
	static char none[1];
	if (n >= PIECE / 4) { /* a piece of its own, behind the one that is being filled */
		struct piece *own = calloc(1, sizeof(*own) + n + 1);
		if (!own)
			return none;
		memcpy(own->room, s, n);
		if (last) {
			own->before = last->before;
			last->before = own;
		} else {
			last = own;
		}
		return own->room;
	}
	if (n + 1 > PIECE - used) {
		struct piece *more = calloc(1, sizeof(*more) + PIECE);
		if (!more)
			return none;
		more->before = last;
		last = more;
		used = 0;
	}
	char *text = memcpy(last->room + used, s, n);
	used += n + 1;
	text[n] = 0;
	return text;
}

const char *keep_clean(const char *s)
{
	char *copy = keep_text(s, strlen(s));
	make_printable(copy);
	return copy;
}
