/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pmap.h"

#include "core/map.h"
#include "core/mem.h"

enum { BITS = 4, MASK = (1 << BITS) - 1, HASH_BITS = 64 };

/*
 * Below HASH_BITS, bit i of have: slot for the hashes whose next digit is i; of child: that slot is a node, not a
 * leaf. At HASH_BITS all hashes are equal: have is the number of leaves.
 */
struct mesh_pmap_node {
	atomic_uint refs;
	uint16_t have, child;
	void *slots[];
};

/* Leaf or node: both begin with their count. */
static void *ref(void *p)
{
	atomic_fetch_add_explicit((atomic_uint *)p, 1, memory_order_relaxed);
	return p;
}

static bool drop(void *p)
{
	return atomic_fetch_sub_explicit((atomic_uint *)p, 1, memory_order_acq_rel) == 1;
}

/* Whether nobody else has it, so that it may be changed in place. */
static bool alone(void *p)
{
	return atomic_load_explicit((atomic_uint *)p, memory_order_acquire) == 1;
}

static unsigned digit_of(uint64_t hash, unsigned shift)
{
	return (unsigned)(hash >> shift) & MASK;
}

static unsigned size_of(const struct mesh_pmap_node *n, unsigned shift)
{
	return shift >= HASH_BITS ? n->have : (unsigned)__builtin_popcount(n->have);
}

static unsigned slot_of(const struct mesh_pmap_node *n, unsigned digit)
{
	return (unsigned)__builtin_popcount(n->have & ((1U << digit) - 1));
}

static bool is_node(const struct mesh_pmap_node *n, unsigned digit)
{
	return n->child & 1U << digit;
}

static struct mesh_pmap_node *node_new(unsigned slots)
{
	struct mesh_pmap_node *n = mesh_xmalloc(sizeof(*n) + slots * sizeof(void *));

	atomic_init(&n->refs, 1);
	n->have = n->child = 0;
	return n;
}

static void leaf_unref(const struct mesh_pmap *m, struct mesh_pmap_leaf *leaf)
{
	if (!drop(leaf))
		return;
	if (m->unref)
		m->unref(leaf->value);
	free(leaf);
}

static void node_unref(const struct mesh_pmap *m, struct mesh_pmap_node *n, unsigned shift)
{
	unsigned k = 0;

	if (!n || !drop(n))
		return;
	for (unsigned i = 0; shift >= HASH_BITS && i < n->have; i++)
		leaf_unref(m, n->slots[i]);
	for (unsigned digit = 0; shift < HASH_BITS && digit <= MASK; digit++) {
		if (!(n->have & 1U << digit))
			continue;
		if (is_node(n, digit))
			node_unref(m, n->slots[k++], shift + BITS);
		else
			leaf_unref(m, n->slots[k++]);
	}
	free(n);
}

void mesh_pmap_free(struct mesh_pmap *m)
{
	node_unref(m, m->root, 0);
	m->root = NULL;
	m->count = 0;
}

struct mesh_pmap mesh_pmap_share(const struct mesh_pmap *m)
{
	if (m->root)
		ref(m->root);
	return *m;
}

static bool is_key(const struct mesh_pmap_leaf *leaf, uint64_t hash, struct mesh_slice key)
{
	return leaf->hash == hash && mesh_slice_eq(mesh_slice_of(leaf->key, leaf->key_len), key);
}

static const struct mesh_pmap_leaf *find(const struct mesh_pmap *m, struct mesh_slice key, uint64_t hash)
{
	const struct mesh_pmap_node *n = m->root;
	unsigned shift = 0;

	for (; n && shift < HASH_BITS; shift += BITS) {
		unsigned digit = digit_of(hash, shift);
		void *slot;

		if (!(n->have & 1U << digit))
			return NULL;
		slot = n->slots[slot_of(n, digit)];
		if (!is_node(n, digit))
			return is_key(slot, hash, key) ? slot : NULL;
		n = slot;
	}
	for (unsigned i = 0; n && i < n->have; i++)
		if (is_key(n->slots[i], hash, key))
			return n->slots[i];
	return NULL;
}

void *mesh_pmap_get(const struct mesh_pmap *m, struct mesh_slice key)
{
	const struct mesh_pmap_leaf *leaf = m->root ? find(m, key, mesh_hash(key.ptr, key.len)) : NULL;

	return leaf ? leaf->value : NULL;
}

/*
 * The functions below get a node and whether it is this version's own: then it is used up, and what they return takes
 * its place; else it stays as it is, and what they return is new.
 */

/* With room for one more slot at position at (or, if remove, without that one). */
static struct mesh_pmap_node *resized(struct mesh_pmap_node *n, bool own, unsigned shift, unsigned at, bool remove)
{
	unsigned size = size_of(n, shift), skip = remove ? 1 : 0;
	struct mesh_pmap_node *ret = node_new(size + 1 - 2 * skip);

	ret->have = n->have;
	ret->child = n->child;
	memcpy(ret->slots, n->slots, at * sizeof(void *));
	memcpy(ret->slots + at + 1 - skip, n->slots + at + skip, (size - at - skip) * sizeof(void *));
	for (unsigned i = 0; !own && i < size; i++)
		if (!remove || i != at)
			ref(n->slots[i]);
	if (own)
		free(n);
	return ret;
}

/* With another pointer at position at; the one that was there is the caller's to let go of if own. */
static struct mesh_pmap_node *replaced(struct mesh_pmap_node *n, bool own, unsigned shift, unsigned at, void *slot)
{
	struct mesh_pmap_node *ret = n;
	unsigned size = size_of(n, shift);

	if (!own) {
		ret = node_new(size);
		ret->have = n->have;
		ret->child = n->child;
		memcpy(ret->slots, n->slots, size * sizeof(void *));
		for (unsigned i = 0; i < size; i++)
			if (i != at)
				ref(ret->slots[i]);
	}
	ret->slots[at] = slot;
	return ret;
}

static struct mesh_pmap_node *put(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
				  struct mesh_pmap_leaf *leaf);

static struct mesh_pmap_node *put_same_hash(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own,
					    struct mesh_pmap_leaf *leaf)
{
	struct mesh_slice key = mesh_slice_of(leaf->key, leaf->key_len);

	for (unsigned i = 0; i < n->have; i++) {
		struct mesh_pmap_leaf *old = n->slots[i];

		if (!is_key(old, leaf->hash, key))
			continue;
		n = replaced(n, own, HASH_BITS, i, leaf);
		if (own)
			leaf_unref(m, old);
		return n;
	}
	n = resized(n, own, HASH_BITS, n->have, false);
	n->slots[n->have++] = leaf;
	m->count++;
	return n;
}

/* A node with the leaf alone. */
static struct mesh_pmap_node *single(unsigned shift, struct mesh_pmap_leaf *leaf)
{
	struct mesh_pmap_node *n = node_new(1);

	n->slots[0] = leaf;
	n->have = shift >= HASH_BITS ? 1 : (uint16_t)(1U << digit_of(leaf->hash, shift));
	return n;
}

static struct mesh_pmap_node *put_beside(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
					 unsigned at, struct mesh_pmap_leaf *leaf)
{
	struct mesh_pmap_leaf *old = n->slots[at];
	struct mesh_pmap_node *sub;

	if (is_key(old, leaf->hash, mesh_slice_of(leaf->key, leaf->key_len))) {
		n = replaced(n, own, shift, at, leaf);
		if (own)
			leaf_unref(m, old);
		return n;
	}
	sub = single(shift + BITS, own ? old : ref(old));
	n = replaced(n, own, shift, at, put(m, sub, true, shift + BITS, leaf));
	n->child |= (uint16_t)(1U << digit_of(leaf->hash, shift));
	return n;
}

static struct mesh_pmap_node *put(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
				  struct mesh_pmap_leaf *leaf)
{
	unsigned digit = digit_of(leaf->hash, shift % HASH_BITS), at;
	struct mesh_pmap_node *child;
	bool own_child;

	if (shift >= HASH_BITS)
		return put_same_hash(m, n, own, leaf);
	at = slot_of(n, digit);
	if (!(n->have & 1U << digit)) {
		n = resized(n, own, shift, at, false);
		n->have |= (uint16_t)(1U << digit);
		n->slots[at] = leaf;
		m->count++;
		return n;
	}
	if (!is_node(n, digit))
		return put_beside(m, n, own, shift, at, leaf);
	child = n->slots[at];
	own_child = own && alone(child);
	n = replaced(n, own, shift, at, put(m, child, own_child, shift + BITS, leaf));
	if (own && !own_child)
		node_unref(m, child, shift + BITS);
	return n;
}

/* Puts the changed root in the place of the one before, which was used up if it was our own. */
static void set_root(struct mesh_pmap *m, struct mesh_pmap_node *root, bool own)
{
	struct mesh_pmap_node *old = m->root;

	m->root = root;
	if (!own)
		node_unref(m, old, 0);
}

void mesh_pmap_put(struct mesh_pmap *m, struct mesh_slice key, void *value)
{
	struct mesh_pmap_leaf *leaf = mesh_xmalloc(sizeof(*leaf) + key.len + 1);
	bool own = m->root && alone(m->root);

	atomic_init(&leaf->refs, 1);
	leaf->key_len = (uint32_t)key.len;
	leaf->hash = mesh_hash(key.ptr, key.len);
	leaf->value = value;
	if (key.len)
		memcpy(leaf->key, key.ptr, key.len);
	leaf->key[key.len] = '\0';
	if (m->root) {
		set_root(m, put(m, m->root, own, 0, leaf), own);
		return;
	}
	m->root = single(0, leaf);
	m->count = 1;
}

static struct mesh_pmap_node *without(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
				      const struct mesh_pmap_leaf *leaf);

/* Without the slot; NULL: nothing is left. */
static struct mesh_pmap_node *cut(struct mesh_pmap_node *n, bool own, unsigned shift, unsigned at, unsigned digit)
{
	if (size_of(n, shift) == 1) {
		if (own)
			free(n);
		return NULL;
	}
	n = resized(n, own, shift, at, true);
	if (shift >= HASH_BITS) {
		n->have--;
		return n;
	}
	n->have &= (uint16_t) ~(1U << digit);
	n->child &= (uint16_t) ~(1U << digit);
	return n;
}

static struct mesh_pmap_node *without_below(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
					    const struct mesh_pmap_leaf *leaf)
{
	unsigned digit = digit_of(leaf->hash, shift), at = slot_of(n, digit);
	struct mesh_pmap_node *child = n->slots[at], *left;
	bool own_child = own && alone(child);

	left = without(m, child, own_child, shift + BITS, leaf);
	n = left ? replaced(n, own, shift, at, left) : cut(n, own, shift, at, digit);
	if (own && !own_child)
		node_unref(m, child, shift + BITS);
	return n;
}

static struct mesh_pmap_node *without(struct mesh_pmap *m, struct mesh_pmap_node *n, bool own, unsigned shift,
				      const struct mesh_pmap_leaf *leaf)
{
	unsigned digit = digit_of(leaf->hash, shift % HASH_BITS), at = 0;
	struct mesh_pmap_leaf *mine;

	if (shift < HASH_BITS && is_node(n, digit))
		return without_below(m, n, own, shift, leaf);
	if (shift < HASH_BITS)
		at = slot_of(n, digit);
	while (n->slots[at] != leaf)
		at++;
	mine = n->slots[at];
	n = cut(n, own, shift, at, digit);
	if (own)
		leaf_unref(m, mine);
	return n;
}

bool mesh_pmap_remove(struct mesh_pmap *m, struct mesh_slice key)
{
	const struct mesh_pmap_leaf *leaf = m->root ? find(m, key, mesh_hash(key.ptr, key.len)) : NULL;
	bool own = leaf && alone(m->root);

	if (!leaf)
		return false;
	set_root(m, without(m, m->root, own, 0, leaf), own);
	m->count--;
	return true;
}

/* Goes down to the next leaf from where it is. */
const struct mesh_pmap_leaf *mesh_pmap_next(const struct mesh_pmap *m, struct mesh_pmap_iter *it)
{
	if (it->depth == 0) {
		if (!m->root)
			return NULL;
		it->nodes[0] = m->root;
		it->at[0] = 0;
		it->depth = 1;
	}
	while (it->depth > 0) {
		int top = it->depth - 1;
		const struct mesh_pmap_node *n = it->nodes[top];
		unsigned shift = (unsigned)top * BITS, digit = it->at[top]++;

		if (shift >= HASH_BITS) {
			if (digit < n->have)
				return n->slots[digit];
			it->depth--;
			continue;
		}
		if (digit > MASK) {
			it->depth--;
			continue;
		}
		if (!(n->have & 1U << digit))
			continue;
		if (!is_node(n, digit))
			return n->slots[slot_of(n, digit)];
		it->nodes[it->depth] = n->slots[slot_of(n, digit)];
		it->at[it->depth++] = 0;
	}
	it->depth = -1; /* stays at its end */
	return NULL;
}
