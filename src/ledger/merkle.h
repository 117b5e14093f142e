/*-------------------------------------------------------------------------
 *
 * merkle.h
 *		The RFC 6962 Merkle tree, grown leaf by leaf, in tiles of 256.
 *
 * Tiles are those of C2SP tlog-tiles: tile (L, N) holds the hashes of the
 * perfect subtrees of 256^L leaves, from the (256 * N)th on.  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_MERKLE_H
#define MEDSYNC_MERKLE_H

#include "vault/crypto.h"

#define MEDSYNC_TILE_WIDTH		256
#define MEDSYNC_TILE_SIZE		(MEDSYNC_TILE_WIDTH * MEDSYNC_HASH_SIZE)
#define MEDSYNC_TILE_LEVELS		8	/* 256^8 leaves are 2^64 */

/* The growing edge of a tree: the last, partial tile of each level */
typedef struct MedsyncTree
{
	uint64		size;			/* leaves */
	uint8	   *edge[MEDSYNC_TILE_LEVELS];	/* room for a whole tile each */
} MedsyncTree;

/* Called for each tile that became full; hashes is MEDSYNC_TILE_SIZE bytes */
typedef void (*MedsyncTileSink) (void *arg, int level, uint64 tile,
								 const uint8 *hashes);

extern void medsync_merkle_leaf_hash(const uint8 *leaf, size_t len,
									 uint8 *hash);
extern void medsync_merkle_node_hash(const uint8 *left, const uint8 *right,
									 uint8 *hash);

extern void medsync_tree_init(MedsyncTree *tree);
extern uint64 medsync_tree_edge_tile(uint64 size, int level);
extern int	medsync_tree_edge_width(uint64 size, int level);
extern void medsync_tree_append(MedsyncTree *tree, const uint8 *leaf_hash,
								MedsyncTileSink sink, void *arg);
extern void medsync_tree_root(const MedsyncTree *tree, uint8 *root);

#endif							/* MEDSYNC_MERKLE_H */
