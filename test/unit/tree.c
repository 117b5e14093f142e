/*-------------------------------------------------------------------------
 *
 * tree.c
 *		Unit tests of tree proofs: made from tiles, compared with RFC 6962.
 *
 * The oracle is RFC 6962, section 2.1, as it is written there: recursive
 * functions over all leaf hashes, helped only by a table of the perfect
 * subtrees.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include <time.h>

#include "ledger/merkle.h"

/* Every proof of the trees up to this size is compared */
#define SMALL_SIZE		520

/* Proofs of this tree are compared in places */
#define LARGE_SIZE		(256 * 256 * 3 + 300)

#define MAX_HEIGHT		20

typedef uint8 Hash[MEDSYNC_HASH_SIZE];

/* A tree with all its leaves */
typedef struct Oracle
{
	uint64		size;
	Hash	   *perfect[MAX_HEIGHT];	/* roots of 2^height leaves */
} Oracle;

/* A store of tiles, and what was asked of it */
typedef struct Store
{
	const Oracle *oracle;
	uint64		size;			/* what its reader was opened with */
	int			fetches[MEDSYNC_TILE_LEVELS];
	bool		broken;			/* answers nothing */
	bool		asked_wrong;	/* for a tile or width that is not there */
} Store;

static Oracle oracle;
static Store store;
static MedsyncTileReader reader;

static void
make_oracle(uint64 size)
{
	uint64		i;
	int			height;

	oracle.size = size;
	for (height = 0; height < MAX_HEIGHT; height++)
	{
		uint64		count = size >> height;

		oracle.perfect[height] = palloc(Max(count, 1) * sizeof(Hash));
		for (i = 0; i < count; i++)
		{
			if (height == 0)
				medsync_merkle_leaf_hash((uint8 *) &i, sizeof(i),
										 oracle.perfect[0][i]);
			else
				medsync_merkle_node_hash(oracle.perfect[height - 1][2 * i],
										 oracle.perfect[height - 1][2 * i + 1],
										 oracle.perfect[height][i]);
		}
	}
}

static void
free_oracle(void)
{
	int			height;

	for (height = 0; height < MAX_HEIGHT; height++)
		pfree(oracle.perfect[height]);
}

/* The largest power of two smaller than n. */
static uint64
split_of(uint64 n)
{
	uint64		k = 1;

	while (k * 2 < n)
		k *= 2;
	return k;
}

/* MTH(D[first:end]). */
static void
oracle_root(uint64 first, uint64 end, uint8 *root)
{
	uint64		n = end - first;
	uint64		k;
	int			height;
	Hash		left;
	Hash		right;

	for (height = 0; height < MAX_HEIGHT; height++)
		if (n == UINT64CONST(1) << height && first % n == 0)
		{
			memcpy(root, oracle.perfect[height][first >> height], sizeof(Hash));
			return;
		}
	k = split_of(n);
	oracle_root(first, first + k, left);
	oracle_root(first + k, end, right);
	medsync_merkle_node_hash(left, right, root);
}

/* PATH(m, D[first:end]); returns how many hashes. */
static int
oracle_path(uint64 m, uint64 first, uint64 end, Hash *proof)
{
	uint64		k;
	int			count;

	if (end - first == 1)
		return 0;
	k = split_of(end - first);
	if (m < k)
	{
		count = oracle_path(m, first, first + k, proof);
		oracle_root(first + k, end, proof[count]);
	}
	else
	{
		count = oracle_path(m - k, first + k, end, proof);
		oracle_root(first, first + k, proof[count]);
	}
	return count + 1;
}

/* SUBPROOF(m, D[first:end], known). */
static int
oracle_subproof(uint64 m, uint64 first, uint64 end, bool known, Hash *proof)
{
	uint64		k;
	int			count;

	if (m == end - first)
	{
		if (known)
			return 0;
		oracle_root(first, end, proof[0]);
		return 1;
	}
	k = split_of(end - first);
	if (m <= k)
	{
		count = oracle_subproof(m, first, first + k, known, proof);
		oracle_root(first + k, end, proof[count]);
	}
	else
	{
		count = oracle_subproof(m - k, first + k, end, false, proof);
		oracle_root(first, first + k, proof[count]);
	}
	return count + 1;
}

static bool
fetch_tile(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	Store	   *asked = arg;
	uint64		behind = asked->size >> (8 * level);
	int			i;

	asked->fetches[level]++;
	if (asked->broken)
		return false;
	if (tile * MEDSYNC_TILE_WIDTH >= behind ||
		width != (int) Min(behind - tile * MEDSYNC_TILE_WIDTH,
						   MEDSYNC_TILE_WIDTH))
	{
		asked->asked_wrong = true;
		return false;
	}
	for (i = 0; i < width; i++)
		memcpy(hashes + i * sizeof(Hash),
			   asked->oracle->perfect[8 * level][tile * MEDSYNC_TILE_WIDTH + i],
			   sizeof(Hash));
	return true;
}

/* Read the oracle's first "size" leaves from tiles. */
static void
open_store(uint64 size)
{
	memset(&store, 0, sizeof(store));
	store.oracle = &oracle;
	store.size = size;
	medsync_tiles_open(&reader, size, fetch_tile, &store);
}

/* A proof from tiles is that of RFC 6962, and is accepted. */
static bool
inclusion_right(uint64 index, uint64 size)
{
	Hash		made[MEDSYNC_PROOF_MAX];
	Hash		expected[MEDSYNC_PROOF_MAX];
	Hash		root;
	int			count = oracle_path(index, 0, size, expected);

	oracle_root(0, size, root);
	return medsync_tiles_inclusion(&reader, index, size, made) == count &&
		memcmp(made, expected, count * sizeof(Hash)) == 0 &&
		medsync_merkle_verify_inclusion(oracle.perfect[0][index], index, size,
										(const Hash *) made, count, root);
}

static bool
consistency_right(uint64 old_size, uint64 new_size)
{
	Hash		made[MEDSYNC_PROOF_MAX];
	Hash		expected[MEDSYNC_PROOF_MAX];
	Hash		old_root;
	Hash		new_root;
	int			count = oracle_subproof(old_size, 0, new_size, true, expected);

	oracle_root(0, old_size, old_root);
	oracle_root(0, new_size, new_root);
	return medsync_tiles_consistency(&reader, old_size, new_size, made) == count &&
		memcmp(made, expected, count * sizeof(Hash)) == 0 &&
		medsync_merkle_verify_consistency(old_size, old_root, new_size, new_root,
										  (const Hash *) made, count);
}

static bool
root_right(uint64 size)
{
	Hash		made;
	Hash		expected;

	oracle_root(0, size, expected);
	return medsync_tiles_root(&reader, size, made) &&
		memcmp(made, expected, sizeof(Hash)) == 0;
}

/*
 * Every proof of small trees.  The tiles are those of the tree itself for
 * half of the sizes, and for the others those of a larger one.
 */
static void
test_small(void)
{
	int			wrong_roots = 0;
	int			wrong_inclusion = 0;
	int			wrong_consistency = 0;
	bool		asked_wrong = false;
	uint64		size;

	for (size = 1; size <= SMALL_SIZE; size++)
	{
		uint64		i;

		open_store(size % 2 == 0 ? size : SMALL_SIZE);
		wrong_roots += !root_right(size);
		for (i = 0; i < size; i++)
			wrong_inclusion += !inclusion_right(i, size);
		for (i = 1; i <= size; i++)
			wrong_consistency += !consistency_right(i, size);
		asked_wrong |= store.asked_wrong;
	}
	ok(wrong_roots == 0, "tree: the root of every size up to %d", SMALL_SIZE);
	ok(wrong_inclusion == 0, "tree: the inclusion proof of every leaf in each");
	ok(wrong_consistency == 0, "tree: the consistency proof of every two");
	ok(!asked_wrong, "tree: only tiles that are there were asked for");
}

/* How many tiles the last proofs took, of the level with the most. */
static int
most_fetches(void)
{
	int			most = 0;
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		most = Max(most, store.fetches[level]);
	return most;
}

/* Around the sizes where a tile or a level begins. */
static void
test_large(void)
{
	static const uint64 near[] = {
		256, 512, 65536 - 256, 65536, 65536 + 256, 2 * 65536, 3 * 65536,
		LARGE_SIZE - 2
	};
	int			wrong = 0;
	int			tried = 0;
	int			most = 0;
	bool		asked_wrong = false;
	int			i;
	int			j;

	for (i = 0; i < (int) lengthof(near); i++)
	{
		uint64		size;

		for (size = near[i] - 2; size <= near[i] + 2; size++)
		{
			for (j = 0; j < (int) lengthof(near); j++)
			{
				int			delta;

				for (delta = -2; delta <= 2; delta++)
				{
					uint64		other = near[j] + delta;

					open_store(tried % 2 == 0 ? size : LARGE_SIZE);
					if (other < size)
						wrong += !inclusion_right(other, size);
					if (other <= size)
						wrong += !consistency_right(other, size);
					wrong += !inclusion_right(next_random() % size, size);
					wrong += !consistency_right(1 + next_random() % size, size);
					wrong += !root_right(size);
					asked_wrong |= store.asked_wrong;
					tried++;

					open_store(LARGE_SIZE);
					wrong += !inclusion_right(next_random() % size, size);
					most = Max(most, most_fetches());
				}
			}
		}
	}
	ok(wrong == 0, "tree: the same around 256, 65536 and their multiples");
	ok(!asked_wrong, "tree: only tiles that are there were asked for");
	ok(most <= 2, "tree: a proof takes at most two tiles a level");
}

/* A store that fails is an error, and nothing of it is remembered. */
static void
test_broken_store(void)
{
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		root;

	open_store(LARGE_SIZE);
	store.broken = true;
	ok(medsync_tiles_inclusion(&reader, 7, LARGE_SIZE, proof) == -1 &&
	   medsync_tiles_consistency(&reader, 7, LARGE_SIZE, proof) == -1 &&
	   !medsync_tiles_root(&reader, LARGE_SIZE, root),
	   "tree: a tile that cannot be read");
	store.broken = false;
	ok(inclusion_right(7, LARGE_SIZE) && consistency_right(7, LARGE_SIZE),
	   "tree: and once it can");
}

static void
test_limits(void)
{
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		root;
	Hash		empty;

	open_store(SMALL_SIZE);
	medsync_sha256("", 0, empty);
	ok(medsync_tiles_root(&reader, 0, root) &&
	   memcmp(root, empty, sizeof(Hash)) == 0, "tree: root of an empty one");
	ok(medsync_tiles_inclusion(&reader, 5, 5, proof) == -1 &&
	   medsync_tiles_inclusion(&reader, 0, 0, proof) == -1 &&
	   medsync_tiles_inclusion(&reader, 5, SMALL_SIZE + 1, proof) == -1,
	   "tree: no inclusion proof of a leaf that is not there");
	ok(medsync_tiles_consistency(&reader, 0, 5, proof) == -1 &&
	   medsync_tiles_consistency(&reader, 6, 5, proof) == -1 &&
	   medsync_tiles_consistency(&reader, 5, SMALL_SIZE + 1, proof) == -1,
	   "tree: no consistency proof of sizes that are not");
	ok(!medsync_tiles_root(&reader, SMALL_SIZE + 1, root) &&
	   !medsync_tiles_root(&reader, PG_UINT64_MAX, root),
	   "tree: no root of a size that is not");
}

/* Trees whose leaves are all the same: any size, without the leaves. */
static bool
fetch_uniform(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	Hash	   *perfect = arg;	/* by height */
	int			i;

	for (i = 0; i < width; i++)
		memcpy(hashes + i * sizeof(Hash), perfect[8 * level], sizeof(Hash));
	return true;
}

/* The proofs of two sizes, and one leaf of the larger, are accepted. */
static bool
uniform_right(const uint8 *leaf_hash, uint64 old_size, uint64 size)
{
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		old_root;
	Hash		root;
	int			count;
	bool		good;

	if (!medsync_tiles_root(&reader, old_size, old_root) ||
		!medsync_tiles_root(&reader, size, root))
		return false;
	count = medsync_tiles_consistency(&reader, old_size, size, proof);
	good = medsync_merkle_verify_consistency(old_size, old_root, size, root,
											 (const Hash *) proof, count);
	count = medsync_tiles_inclusion(&reader, old_size - 1, size, proof);
	return good &&
		medsync_merkle_verify_inclusion(leaf_hash, old_size - 1, size,
										(const Hash *) proof, count, root);
}

static void
test_largest(void)
{
	const uint64 largest = (uint64) PG_INT64_MAX;
	Hash		perfect[64];
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		root;
	int			longest = 0;
	int			wrong = 0;
	int			i;

	medsync_merkle_leaf_hash((const uint8 *) "same", 4, perfect[0]);
	for (i = 1; i < 64; i++)
		medsync_merkle_node_hash(perfect[i - 1], perfect[i - 1], perfect[i]);
	medsync_tiles_open(&reader, largest, fetch_uniform, perfect);
	for (i = 0; i < 63; i++)
	{
		uint64		power = UINT64CONST(1) << i;
		int			delta;

		for (delta = -2; delta <= 2; delta++)
		{
			uint64		old_size = power + delta;

			if (old_size == 0 || old_size > largest)
				continue;
			wrong += !uniform_right(perfect[0], old_size, largest);
			wrong += !uniform_right(perfect[0], largest - old_size, largest);
			longest = Max(longest, medsync_tiles_consistency(&reader,
															 largest - old_size,
															 largest, proof));
		}
	}
	ok(wrong == 0, "tree: proofs of the largest tree, 2^63 - 1 leaves");
	ok(longest == MEDSYNC_PROOF_MAX, "tree: the longest proof has %d hashes", longest);
	medsync_tiles_open(&reader, PG_UINT64_MAX, fetch_uniform, perfect);
	ok(medsync_tiles_inclusion(&reader, 1, largest + 1, proof) == -1 &&
	   medsync_tiles_consistency(&reader, 1, PG_UINT64_MAX, proof) == -1 &&
	   !medsync_tiles_root(&reader, largest + 1, root),
	   "tree: no proof of a larger one");
	ok(!medsync_merkle_verify_inclusion(perfect[0], PG_UINT64_MAX, PG_UINT64_MAX,
										(const Hash *) proof, 64, root) &&
	   !medsync_merkle_verify_inclusion(perfect[0], PG_UINT64_MAX - 1, PG_UINT64_MAX,
										(const Hash *) proof, 64, root) &&
	   !medsync_merkle_verify_consistency(PG_UINT64_MAX - 1, root, PG_UINT64_MAX, root,
										  (const Hash *) proof, 64),
	   "tree: numbers up to 2^64 - 1 end somewhere");
}

/* One proof and everything that it is checked with */
typedef struct Case
{
	bool		consistency;
	uint64		index;			/* or the old size */
	uint64		size;
	Hash		leaf;			/* or the old root */
	Hash		root;
	int			count;
	Hash		proof[MEDSYNC_PROOF_MAX + 1];
} Case;

static bool
case_accepted(const Case *c)
{
	if (c->consistency)
		return medsync_merkle_verify_consistency(c->index, c->leaf, c->size,
												 c->root,
												 (const Hash *) c->proof,
												 c->count);
	return medsync_merkle_verify_inclusion(c->leaf, c->index, c->size,
										   (const Hash *) c->proof, c->count,
										   c->root);
}

/* Flip every bit of some bytes; how often it is accepted. */
static int
flips_accepted(const Case *c, uint8 *bytes, size_t len)
{
	int			accepted = 0;
	size_t		bit;

	for (bit = 0; bit < 8 * len; bit++)
	{
		bytes[bit / 8] ^= 1 << (bit % 8);
		accepted += case_accepted(c);
		bytes[bit / 8] ^= 1 << (bit % 8);
	}
	return accepted;
}

/* What is accepted of all that is a little wrong. */
static int
damage_accepted(Case *c)
{
	int			accepted = 0;
	int			count = c->count;
	int			i;

	accepted += flips_accepted(c, c->leaf, sizeof(Hash));
	accepted += flips_accepted(c, c->root, sizeof(Hash));
	accepted += flips_accepted(c, c->proof[0], count * sizeof(Hash));
	if (!c->consistency)
		accepted += flips_accepted(c, (uint8 *) &c->index, sizeof(c->index));

	/* too short, too long */
	for (c->count = -1; c->count < count; c->count++)
		accepted += case_accepted(c);
	for (i = 0; i <= count; i++)
	{
		memcpy(c->proof[count], i < count ? c->proof[i] : c->root, sizeof(Hash));
		c->count = count + 1;
		accepted += case_accepted(c);
	}

	/* one missing at the beginning */
	c->count = count - 1;
	memmove(c->proof[0], c->proof[1], count * sizeof(Hash));
	accepted += case_accepted(c);
	return accepted;
}

static void
make_case(Case *c, bool consistency, uint64 index, uint64 size)
{
	c->consistency = consistency;
	c->index = index;
	c->size = size;
	oracle_root(0, size, c->root);
	if (consistency)
	{
		oracle_root(0, index, c->leaf);
		c->count = oracle_subproof(index, 0, size, true, c->proof);
	}
	else
	{
		memcpy(c->leaf, oracle.perfect[0][index], sizeof(Hash));
		c->count = oracle_path(index, 0, size, c->proof);
	}
}

static void
test_damage(void)
{
	static const uint64 sizes[] = {1, 2, 3, 7, 8, 100, 257, 520};
	int			right = 0;
	int			accepted = 0;
	int			cases = 0;
	int			i;

	for (i = 0; i < (int) lengthof(sizes); i++)
	{
		uint64		size = sizes[i];
		uint64		index;

		for (index = 0; index <= size; index += size < 10 ? 1 : size / 5)
		{
			Case		c;

			if (index < size)
			{
				make_case(&c, false, index, size);
				right += case_accepted(&c);
				accepted += damage_accepted(&c);
				cases++;
			}
			if (index > 0)
			{
				make_case(&c, true, index, size);
				right += case_accepted(&c);
				accepted += damage_accepted(&c);
				cases++;
			}
		}
	}
	ok(right == cases, "proofs: %d are right", cases);
	ok(accepted == 0, "proofs: each flipped bit, each hash more or less is refused");
}

/*
 * Proofs of a wrong length whose last hash is even the root that is given:
 * only the length tells that the sizes are not those.
 */
static void
test_length(void)
{
	const uint64 index = 5;
	const uint64 size = 100;
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		old_root;
	Hash		root;
	Hash		hash;
	int			count;

	/* of the subtree of eight leaves, said to be the whole tree */
	count = oracle_path(index, 0, 8, proof);
	oracle_root(0, 8, root);
	ok(medsync_merkle_verify_inclusion(oracle.perfect[0][index], index, 8,
									   (const Hash *) proof, count, root) &&
	   !medsync_merkle_verify_inclusion(oracle.perfect[0][index], index, size,
										(const Hash *) proof, count, root),
	   "proofs: an inclusion proof that ends below the root");
	oracle_root(0, size, root);
	count = oracle_path(index, 0, size, proof);
	random_fill(proof[count], sizeof(Hash));
	medsync_merkle_node_hash(root, proof[count], hash);
	ok(!medsync_merkle_verify_inclusion(oracle.perfect[0][index], index, size,
										(const Hash *) proof, count + 1, hash),
	   "proofs: one that goes on above it");
	medsync_merkle_node_hash(proof[count], root, hash);
	ok(!medsync_merkle_verify_inclusion(oracle.perfect[0][index], index, size,
										(const Hash *) proof, count + 1, hash),
	   "proofs: and on its other side");

	oracle_root(0, index, old_root);
	oracle_root(0, 8, root);
	count = oracle_subproof(index, 0, 8, true, proof);
	ok(medsync_merkle_verify_consistency(index, old_root, 8, root,
										 (const Hash *) proof, count) &&
	   !medsync_merkle_verify_consistency(index, old_root, size, root,
										  (const Hash *) proof, count),
	   "proofs: a consistency proof that ends below the root");
	oracle_root(0, size, root);
	count = oracle_subproof(index, 0, size, true, proof);
	random_fill(proof[count], sizeof(Hash));
	medsync_merkle_node_hash(root, proof[count], hash);
	ok(!medsync_merkle_verify_consistency(index, old_root, size, hash,
										  (const Hash *) proof, count + 1),
	   "proofs: one that goes on above it");

	medsync_sha256("", 0, old_root);
	ok(!medsync_merkle_verify_consistency(0, old_root, 0, old_root, NULL, 0) &&
	   !medsync_merkle_verify_consistency(0, old_root, size, root, NULL, 0) &&
	   !medsync_merkle_verify_consistency(0, root, size, root, (const Hash *) &root, 1),
	   "proofs: nothing follows from an empty tree");
}

/* The tree that grows and the tree in tiles are one. */
static void
compare_tile(void *arg, int level, uint64 tile, const uint8 *hashes)
{
	Store	   *grown = arg;

	if (memcmp(hashes,
			   grown->oracle->perfect[8 * level][tile * MEDSYNC_TILE_WIDTH],
			   MEDSYNC_TILE_SIZE) != 0)
		grown->asked_wrong = true;
}

static void
test_growing(void)
{
	MedsyncTree tree;
	Store		grown;
	int			wrong = 0;
	uint64		i;

	open_store(LARGE_SIZE);
	grown = store;
	medsync_tree_init(&tree);
	for (i = 0; i < LARGE_SIZE; i++)
	{
		medsync_tree_append(&tree, oracle.perfect[0][i], compare_tile, &grown);
		if (i < SMALL_SIZE || i % 997 == 0 || i + 3 > LARGE_SIZE)
		{
			Hash		root;
			Hash		again;

			medsync_tree_root(&tree, root);
			if (!medsync_tiles_root(&reader, i + 1, again) ||
				memcmp(root, again, sizeof(Hash)) != 0)
				wrong++;
		}
	}
	ok(wrong == 0 && !grown.asked_wrong,
	   "tree: grown leaf by leaf it has the same tiles and roots");
	for (i = 0; i < MEDSYNC_TILE_LEVELS; i++)
		pfree(tree.edge[i]);
}

static void
measure(void)
{
	const int	rounds = 2000;
	Hash		proof[MEDSYNC_PROOF_MAX];
	clock_t		begun = clock();
	int			i;

	for (i = 0; i < rounds; i++)
	{
		open_store(LARGE_SIZE);
		medsync_tiles_inclusion(&reader, next_random() % LARGE_SIZE,
								LARGE_SIZE, proof);
	}
	note("%d leaves: %.3f ms an inclusion proof", LARGE_SIZE,
		 1000.0 * (clock() - begun) / CLOCKS_PER_SEC / rounds);
}

void
test_tree(void)
{
	make_oracle(LARGE_SIZE);
	test_small();
	test_large();
	test_broken_store();
	test_limits();
	test_largest();
	test_damage();
	test_length();
	test_growing();
	measure();
	free_oracle();
}
