// A C++ library for make_snapshot.c: templates, namespaces and an inlined member, whose names must come out as written here.
namespace park {
template <class T> struct Shape {
	T sides;
	inline __attribute__((always_inline)) void grow(void (*then)()) { then(); sides++; }
	__attribute__((noinline)) void draw(void (*then)()) { grow(then); sides++; }
};
__attribute__((noinline)) void visit(Shape<int> &s, void (*then)()) { s.draw(then); s.sides++; }
}
extern "C" __attribute__((visibility("default"))) void shape_run(void (*then)())
{
	park::Shape<int> s{3};
	park::visit(s, then);
	asm volatile("" : : "r"(&s) : "memory");
}
