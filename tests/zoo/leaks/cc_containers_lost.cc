/* Containers that are lost: the object is a definite leak, all that it owns hangs off it. (The nodes of a map
 * lead back to it: a cycle, one block of which is definite, whichever.) */
// expect: definite 1 blocks 24 bytes lose_vector
// expect: indirect 11 blocks 710 bytes fill_vector
// expect: definite 1 blocks ? bytes lose_map|fill_map
// expect: indirect 100 blocks ? bytes lose_map|fill_map
#include "leak.h"
#include <map>
#include <string>
#include <vector>

static SITE void fill_vector(std::vector<std::string> *v)
{
	v->reserve(10);
	for (int i = 0; i < 10; i++)
		v->emplace_back(38, 'x'); /* 39 bytes each, besides the array of 320 */
}
static SITE void lose_vector() { fill_vector(static_cast<std::vector<std::string> *>(made(new std::vector<std::string>))); }

static SITE void fill_map(std::map<int, int> *m)
{
	for (int i = 0; i < 100; i++)
		(*m)[i] = i;
}
static SITE void lose_map() { fill_map(static_cast<std::map<int, int> *>(made(new std::map<int, int>))); }

int main()
{
	lose_vector();
	lose_map();
	kit_scrub();
}
