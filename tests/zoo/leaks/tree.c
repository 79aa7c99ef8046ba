/* A tree of 8191 nodes that is held, one that is lost, and a subtree that was cut off a third. */
// expect: definite 1 blocks 32 bytes lost_root
// expect: indirect 8190 blocks 262080 bytes lost_node
// expect: definite 1 blocks 32 bytes cut_node
// expect: indirect 510 blocks 16320 bytes cut_node
#include "leak.h"

struct node { struct node *left, *right; long value[2]; };
HELD struct node *held, *stump;

static SITE struct node *held_node(void) { return made(calloc(1, sizeof(struct node))); }
static SITE struct node *lost_node(void) { return made(calloc(1, sizeof(struct node))); }
static SITE struct node *lost_root(void) { return made(calloc(1, sizeof(struct node))); }
static SITE struct node *cut_node(void) { return made(calloc(1, sizeof(struct node))); }

static SITE struct node *grow(struct node *root, struct node *(*make)(void), int depth)
{
	if (depth > 1) {
		root->left = grow(make(), make, depth - 1);
		root->right = grow(make(), make, depth - 1);
	}
	return root;
}

static SITE void build(void)
{
	held = grow(held_node(), held_node, 13);
	grow(lost_root(), lost_node, 13);
	stump = grow(held_node(), held_node, 3);
	stump->left->right->left = grow(cut_node(), cut_node, 9);
}

int main(void)
{
	build();
	stump->left->right->left = NULL;
	kit_scrub();
	return 0;
}
