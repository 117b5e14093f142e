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

#define MEDSYNC_PROOF_MAX		64	/* hashes of a proof, whatever the tree */

/*
 * Reads the first "width" hashes of a tile; false when it cannot.  The tile
 * may hold more by now.
 */
typedef bool (*MedsyncTileFetch) (void *arg, int level, uint64 tile,
								  int width, uint8 *hashes);

/* A tree that stands in tiles somewhere; remembers one tile a level */
typedef struct MedsyncTileReader
{
	MedsyncTileFetch fetch;
	void	   *arg;
	uint64		size;			/* leaves of the whole tree */
	struct
	{
		bool		valid;
		uint64		tile;
		int			width;
		uint8		hashes[MEDSYNC_TILE_SIZE];
	}			last[MEDSYNC_TILE_LEVELS];
} MedsyncTileReader;

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

/*
 * Of a tree in tiles, as it was at any size up to reader->size.  Proofs are
 * those of RFC 6962, section 2.1; the result is how many hashes they have,
 * or -1 where a tile cannot be read.  The caller keeps index < size and
 * 0 < old_size <= new_size.
 */
extern void medsync_tiles_open(MedsyncTileReader *reader, uint64 size,
							   MedsyncTileFetch fetch, void *arg);
extern bool medsync_tiles_root(MedsyncTileReader *reader, uint64 size,
							   uint8 *root);
extern int	medsync_tiles_inclusion(MedsyncTileReader *reader, uint64 index,
									uint64 size,
									uint8 (*proof)[MEDSYNC_HASH_SIZE]);
extern int	medsync_tiles_consistency(MedsyncTileReader *reader,
									  uint64 old_size, uint64 new_size,
									  uint8 (*proof)[MEDSYNC_HASH_SIZE]);

/* Check a proof without the tree; anything odd is false */
extern bool medsync_merkle_verify_inclusion(const uint8 *leaf_hash,
											uint64 index, uint64 size,
											const uint8 (*proof)[MEDSYNC_HASH_SIZE],
											int count, const uint8 *root);
extern bool medsync_merkle_verify_consistency(uint64 old_size,
											  const uint8 *old_root,
											  uint64 new_size,
											  const uint8 *new_root,
											  const uint8 (*proof)[MEDSYNC_HASH_SIZE],
											  int count);

#endif							/* MEDSYNC_MERKLE_H */
