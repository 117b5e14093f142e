/*-------------------------------------------------------------------------
 *
 * merkle.c
 *		The RFC 6962 Merkle tree, grown leaf by leaf, in tiles of 256.
 *
 * Pure computation: stores nothing, takes no locks.  A tree in memory is
 * 64 kB whatever its size, since full tiles leave through a callback.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "ledger/merkle.h"

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
