/* An ELF file, any bytes: what the reader of symbols hands on lies inside the file, sorted, each address once, and is found again. */
#include "backtrace/symbols_file.h"
#include "fuzz.h"

enum { MOST = 512, SOME = 16 };

/* Both ways to find a symbol give the same one. */
static void alike(const struct symbol_file *f, const struct symbol *sorted, size_t count, uint64_t address)
{
	struct symbol found;
	const struct symbol *s = symbol_search(sorted, count, address);
	claim(symbol_file_find(f, address, &found) == (s != NULL), "found in one way only");
	claim(!s || (s->address == found.address && s->name == found.name), "found as another symbol");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t *file = malloc(n ? n : 1); /* its own size: a read behind the file's end shows */
	struct symbol_file f;
	static struct symbol s[MOST];
	if (!file)
		abort();
	memcpy(file, bytes, n);
	if (symbol_file_open(&f, file, n, NULL, NULL)) {
		size_t count = symbol_file_read(&f, s, MOST);
		claim(count <= MOST && f.build_id_size <= sizeof f.build_id, "%zu symbols", count);
		for (size_t i = 0; i < count; i++) {
			claim(s[i].name < f.names_size && strlen(f.names + s[i].name) < f.names_size, "a name outside the names");
			claim(!i || s[i - 1].address < s[i].address, "not in order");
			const struct symbol *found = symbol_search(s, count, s[i].address);
			claim(found == &s[i], "a symbol does not hold its own address");
			if (i < SOME && count < MOST)
				alike(&f, s, count, s[i].address + (i & 1 ? s[i].size : 0));
		}
		symbol_search(s, count, 0);
		symbol_search(s, count, UINT64_MAX);
	}
	free(file);
	return 0;
}
