/* A library for modules_test.c, built twice: same size, other name, so that the one can stand where the other stood. */
#define JOIN(a, b) a##b
#define NAME(which) JOIN(module_, which)
int NAME(WHICH)(int n);
int NAME(WHICH)(int n) { return n + 1; }
