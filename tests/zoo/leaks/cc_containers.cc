/* Containers of the library that are held by globals, and by locals of functions that have not returned. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

static std::vector<std::string> strings;
static std::map<int, std::string> ordered;
static std::unordered_map<std::string, std::vector<int>> hashed;
static std::set<std::string> *names;
static std::deque<std::string> queue;
static std::list<std::unique_ptr<int>> boxes;
static std::function<int(int)> function;

static std::string text(int i) { return "a string that is too long for its own object " + std::to_string(i); }

static SITE void fill()
{
	names = new std::set<std::string>;
	std::vector<int> captured(100, 7);
	function = [captured](int i) { return captured[i]; };
	for (int i = 0; i < 300; i++) {
		strings.push_back(text(i));
		ordered[i] = text(i);
		hashed[text(i)].assign(20, i);
		names->insert(text(i));
		queue.push_back(text(i));
		boxes.push_back(std::make_unique<int>(i));
	}
	for (int i = 0; i < 100; i++) {
		ordered.erase(i * 3);
		hashed.erase(text(i * 2));
		queue.pop_front();
		boxes.pop_back();
	}
}

static SITE void stays()
{
	std::vector<std::string> local(50, text(1));
	std::map<int, int> numbers;
	for (int i = 0; i < 100; i++)
		numbers[i] = i;
	decoy();
	kit_scrub();
	use(&local);
	use(&numbers);
	std::exit(0);
}

int main()
{
	fill();
	stays();
}
