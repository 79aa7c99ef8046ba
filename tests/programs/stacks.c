/* A module with room for alternate signal stacks (altstack_ways.c). */
__attribute__((visibility("default"))) char stacks[8][65536];
