/*-------------------------------------------------------------------------
 *
 * merkle.c
 *		The RFC 6962 Merkle tree, grown leaf by leaf, in tiles of 256.
 *
 * Pure computation: stores nothing, takes no locks.  A tree in memory is
 * 64 kB whatever its size, since full tiles leave through a callback.
 *
 * Proofs are made from tiles, which a callback fetches.  Every hash of a
 * proof is the root of a range of leaves, and a range is a few perfect
 * subtrees, the largest first; one of 2^k leaves stands in one tile of level
 * k / 8, as 2^(k % 8) hashes.  So a proof takes at most two tiles a level:
 * that of the leaf and that of the tree's edge.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "ledger/merkle.h"
#include "port/pg_bitutils.h"

/*
 * Trees have at most 2^63 - 1 leaves, the largest bigint: then the longest
 * proof, one of consistency, has MEDSYNC_PROOF_MAX hashes.
 */
#define MAX_TREE_SIZE	((uint64) PG_INT64_MAX)

/* Leaves from "first" up to but without "end" */
typedef struct LeafRange
{
	uint64		first;
	uint64		end;
} LeafRange;

/* RFC 6962, section 2.1: SHA-256(0x00 || leaf). */
void
medsync_merkle_leaf_hash(const uint8 *leaf, size_t len, uint8 *hash)
{
	MedsyncSha256 sha;
	uint8		prefix = 0x00;

	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, &prefix, 1);
	medsync_sha256_update(&sha, leaf, len);
	medsync_sha256_finish(&sha, hash);
}

/* RFC 6962, section 2.1: SHA-256(0x01 || left || right). */
void
medsync_merkle_node_hash(const uint8 *left, const uint8 *right, uint8 *hash)
{
	uint8		node[1 + 2 * MEDSYNC_HASH_SIZE];

	node[0] = 0x01;
	memcpy(node + 1, left, MEDSYNC_HASH_SIZE);
	memcpy(node + 1 + MEDSYNC_HASH_SIZE, right, MEDSYNC_HASH_SIZE);
	medsync_sha256(node, sizeof(node), hash);
}

/* Start an empty tree in the current memory context. */
void
medsync_tree_init(MedsyncTree *tree)
{
	int			level;

	tree->size = 0;
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		tree->edge[level] = palloc0(MEDSYNC_TILE_SIZE);
}

/* Number of the partial (or next, still empty) tile of a level. */
uint64
medsync_tree_edge_tile(uint64 size, int level)
{
	return level < MEDSYNC_TILE_LEVELS - 1 ? size >> (8 * (level + 1)) : 0;
}

/* How many hashes the partial tile of a level holds. */
int
medsync_tree_edge_width(uint64 size, int level)
{
	return (int) ((size >> (8 * level)) & 0xff);
}

/* Root of a perfect subtree over width hashes, width a power of two. */
static void
perfect_root(const uint8 *hashes, int width, uint8 *root)
{
	uint8		row[MEDSYNC_TILE_SIZE / 2];
	int			i;

	if (width == 1)
	{
		memcpy(root, hashes, MEDSYNC_HASH_SIZE);
		return;
	}
	for (i = 0; i < width / 2; i++)
		medsync_merkle_node_hash(hashes + 2 * i * MEDSYNC_HASH_SIZE,
								 hashes + (2 * i + 1) * MEDSYNC_HASH_SIZE,
								 row + i * MEDSYNC_HASH_SIZE);
	for (width /= 2; width > 1; width /= 2)
		for (i = 0; i < width / 2; i++)
			medsync_merkle_node_hash(row + 2 * i * MEDSYNC_HASH_SIZE,
									 row + (2 * i + 1) * MEDSYNC_HASH_SIZE,
									 row + i * MEDSYNC_HASH_SIZE);
	memcpy(root, row, MEDSYNC_HASH_SIZE);
}

/* Append one leaf hash; tiles that become full go to the sink. */
void
medsync_tree_append(MedsyncTree *tree, const uint8 *leaf_hash,
					MedsyncTileSink sink, void *arg)
{
	uint8		hash[MEDSYNC_HASH_SIZE];
	uint64		old_size = tree->size++;
	int			level;

	memcpy(hash, leaf_hash, MEDSYNC_HASH_SIZE);
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		uint8	   *edge = tree->edge[level];
		int			width = medsync_tree_edge_width(old_size, level);

		memcpy(edge + width * MEDSYNC_HASH_SIZE, hash, MEDSYNC_HASH_SIZE);
		if (width + 1 < MEDSYNC_TILE_WIDTH)
			break;
		sink(arg, level, medsync_tree_edge_tile(old_size, level), edge);
		perfect_root(edge, MEDSYNC_TILE_WIDTH, hash);
	}
}

/* The root of the tree as it stands; of an empty one, SHA-256(""). */
void
medsync_tree_root(const MedsyncTree *tree, uint8 *root)
{
	bool		started = false;
	int			level;

	if (tree->size == 0)
	{
		medsync_sha256("", 0, root);
		return;
	}

	/* from the smallest, rightmost perfect subtree to the largest */
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		int			width = medsync_tree_edge_width(tree->size, level);
		int			bit;

		for (bit = 1; bit <= width; bit <<= 1)
		{
			uint8		left[MEDSYNC_HASH_SIZE];

			if ((width & bit) == 0)
				continue;
			/* perfect subtrees of a level stand largest first */
			perfect_root(tree->edge[level] +
						 (width & ~(2 * bit - 1)) * MEDSYNC_HASH_SIZE,
						 bit, left);
			if (started)
				medsync_merkle_node_hash(left, root, root);
			else
				memcpy(root, left, MEDSYNC_HASH_SIZE);
			started = true;
		}
	}
}

/* Prepare to read a tree of so many leaves. */
void
medsync_tiles_open(MedsyncTileReader *reader, uint64 size,
				   MedsyncTileFetch fetch, void *arg)
{
	int			level;

	reader->fetch = fetch;
	reader->arg = arg;
	reader->size = size;
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		reader->last[level].valid = false;
}

/*
 * The first "needed" hashes of a tile, or NULL.  It is fetched as wide as it
 * is in the whole tree, so that what is asked next is often there.
 */
static const uint8 *
tile_hashes(MedsyncTileReader *reader, int level, uint64 tile, int needed)
{
	uint64		behind = reader->size >> (8 * level);
	uint64		first = tile * MEDSYNC_TILE_WIDTH;

	if (!reader->last[level].valid || reader->last[level].tile != tile)
	{
		if (first >= behind)
			return NULL;
		reader->last[level].valid = false;
		reader->last[level].tile = tile;
		reader->last[level].width = (int) Min(behind - first,
											  MEDSYNC_TILE_WIDTH);
		if (!reader->fetch(reader->arg, level, tile, reader->last[level].width,
						   reader->last[level].hashes))
			return NULL;
		reader->last[level].valid = true;
	}
	return needed <= reader->last[level].width ?
		reader->last[level].hashes : NULL;
}

/* Root of the perfect subtree of 2^height leaves that begins with a leaf. */
static bool
subtree_root(MedsyncTileReader *reader, uint64 first, int height, uint8 *root)
{
	int			level = height / 8;
	int			width = 1 << (height % 8);
	uint64		number = first >> (8 * level);	/* of its first hash */
	int			place = (int) (number % MEDSYNC_TILE_WIDTH);
	const uint8 *hashes = tile_hashes(reader, level,
									  number / MEDSYNC_TILE_WIDTH,
									  place + width);

	if (hashes == NULL)
		return false;
	perfect_root(hashes + place * MEDSYNC_HASH_SIZE, width, root);
	return true;
}

/* Root of a range that is a subtree of RFC 6962; it is not empty. */
static bool
range_root(MedsyncTileReader *reader, const LeafRange *range, uint8 *root)
{
	uint64		count = range->end - range->first;
	uint64		first = range->end;
	bool		started = false;

	/* from its smallest, rightmost perfect subtree to its largest */
	while (count != 0)
	{
		int			height = pg_rightmost_one_pos64(count);
		uint8		left[MEDSYNC_HASH_SIZE];

		count &= count - 1;
		first -= UINT64CONST(1) << height;
		if (!subtree_root(reader, first, height, left))
			return false;
		if (started)
			medsync_merkle_node_hash(left, root, root);
		else
			memcpy(root, left, MEDSYNC_HASH_SIZE);
		started = true;
	}
	return true;
}

/* Roots of ranges, last first: they were found from the root downwards. */
static int
range_roots(MedsyncTileReader *reader, const LeafRange *ranges, int count,
			uint8 (*proof)[MEDSYNC_HASH_SIZE])
{
	int			i;

	for (i = 0; i < count; i++)
		if (!range_root(reader, &ranges[count - 1 - i], proof[i]))
			return -1;
	return count;
}

/* Where RFC 6962 splits a range of two leaves or more. */
static uint64
split_range(const LeafRange *range)
{
	uint64		count = range->end - range->first;

	return range->first +
		(UINT64CONST(1) << pg_leftmost_one_pos64(count - 1));
}

/* The root that the tree had with so many leaves. */
bool
medsync_tiles_root(MedsyncTileReader *reader, uint64 size, uint8 *root)
{
	LeafRange	all = {0, size};

	if (size > reader->size || size > MAX_TREE_SIZE)
		return false;
	if (size == 0)
	{
		medsync_sha256("", 0, root);
		return true;
	}
	return range_root(reader, &all, root);
}

/* RFC 6962, section 2.1.1: PATH(index, D[size]). */
int
medsync_tiles_inclusion(MedsyncTileReader *reader, uint64 index, uint64 size,
						uint8 (*proof)[MEDSYNC_HASH_SIZE])
{
	LeafRange	ranges[MEDSYNC_PROOF_MAX];
	LeafRange	around = {0, size}; /* what still holds the leaf */
	int			count = 0;

	if (index >= size || size > reader->size || size > MAX_TREE_SIZE)
		return -1;
	while (around.end - around.first > 1)
	{
		LeafRange	other = around;
		uint64		split = split_range(&around);

		if (index < split)
			around.end = other.first = split;
		else
			around.first = other.end = split;
		ranges[count++] = other;
	}
	return range_roots(reader, ranges, count, proof);
}

/* RFC 6962, section 2.1.2: PROOF(old_size, D[new_size]). */
int
medsync_tiles_consistency(MedsyncTileReader *reader, uint64 old_size,
						  uint64 new_size,
						  uint8 (*proof)[MEDSYNC_HASH_SIZE])
{
	LeafRange	ranges[MEDSYNC_PROOF_MAX];
	LeafRange	around = {0, new_size}; /* what still holds the old end */
	int			count = 0;

	if (old_size == 0 || old_size > new_size ||
		new_size > reader->size || new_size > MAX_TREE_SIZE)
		return -1;
	while (around.end != old_size)
	{
		LeafRange	other = around;
		uint64		split = split_range(&around);

		if (old_size <= split)
			around.end = other.first = split;
		else
			around.first = other.end = split;
		ranges[count++] = other;
	}
	/* the old tree itself is known to whoever asks */
	if (around.first != 0)
		ranges[count++] = around;
	return range_roots(reader, ranges, count, proof);
}

/*
 * Go up from a node on the path of a tree's last leaf to where it has a
 * sibling on its left: RFC 9162 shifts both numbers until the low bit is set
 * or nothing is left.
 */
static void
climb_right_edge(uint64 *node, uint64 *last)
{
	while ((*node & 1) == 0 && *node != 0)
	{
		*node >>= 1;
		*last >>= 1;
	}
}

/* RFC 9162, section 2.1.3.2. */
bool
medsync_merkle_verify_inclusion(const uint8 *leaf_hash, uint64 index,
								uint64 size,
								const uint8 (*proof)[MEDSYNC_HASH_SIZE],
								int count, const uint8 *root)
{
	uint8		hash[MEDSYNC_HASH_SIZE];
	uint64		node = index;
	uint64		last = size - 1;
	int			i;

	if (index >= size || count < 0)
		return false;
	memcpy(hash, leaf_hash, MEDSYNC_HASH_SIZE);
	for (i = 0; i < count; i++)
	{
		if (last == 0)
			return false;
		if ((node & 1) != 0 || node == last)
		{
			medsync_merkle_node_hash(proof[i], hash, hash);
			climb_right_edge(&node, &last);
		}
		else
			medsync_merkle_node_hash(hash, proof[i], hash);
		node >>= 1;
		last >>= 1;
	}
	return last == 0 && memcmp(hash, root, MEDSYNC_HASH_SIZE) == 0;
}

/*
 * RFC 9162, section 2.1.4.2.  An empty tree is consistent with any other, and
 * that says nothing: where the old size is zero there is nothing to prove,
 * and the answer is false.
 */
bool
medsync_merkle_verify_consistency(uint64 old_size, const uint8 *old_root,
								  uint64 new_size, const uint8 *new_root,
								  const uint8 (*proof)[MEDSYNC_HASH_SIZE],
								  int count)
{
	uint8		old_hash[MEDSYNC_HASH_SIZE];
	uint8		new_hash[MEDSYNC_HASH_SIZE];
	uint64		node = old_size - 1;
	uint64		last = new_size - 1;
	int			i = 0;

	if (old_size == 0 || old_size > new_size)
		return false;
	if (old_size == new_size)
		return count == 0 &&
			memcmp(old_root, new_root, MEDSYNC_HASH_SIZE) == 0;
	if (count < 1)
		return false;

	/* an old tree that is perfect is a node of the new one: not in the proof */
	if ((old_size & (old_size - 1)) == 0)
		memcpy(old_hash, old_root, MEDSYNC_HASH_SIZE);
	else
		memcpy(old_hash, proof[i++], MEDSYNC_HASH_SIZE);
	memcpy(new_hash, old_hash, MEDSYNC_HASH_SIZE);
	while ((node & 1) != 0)
	{
		node >>= 1;
		last >>= 1;
	}
	for (; i < count; i++)
	{
		if (last == 0)
			return false;
		if ((node & 1) != 0 || node == last)
		{
			medsync_merkle_node_hash(proof[i], old_hash, old_hash);
			medsync_merkle_node_hash(proof[i], new_hash, new_hash);
			climb_right_edge(&node, &last);
		}
		else
			medsync_merkle_node_hash(new_hash, proof[i], new_hash);
		node >>= 1;
		last >>= 1;
	}
	return last == 0 &&
		memcmp(old_hash, old_root, MEDSYNC_HASH_SIZE) == 0 &&
		memcmp(new_hash, new_root, MEDSYNC_HASH_SIZE) == 0;
}
