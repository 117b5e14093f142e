/*-------------------------------------------------------------------------
 *
 * tiles.h
 *		The ledger's tree, read from its table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TILES_H
#define MEDSYNC_TILES_H

#include "ledger/merkle.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct MedsyncStoredTree
{
	Relation	heap;			/* _tile */
	Snapshot	snapshot;
	MedsyncTileReader tiles;
} MedsyncStoredTree;

extern MedsyncStoredTree *medsync_stored_tree_open(uint64 size,
												   Snapshot snapshot);
extern void medsync_stored_tree_close(MedsyncStoredTree *tree);
extern void medsync_stored_tree_damaged(void) pg_attribute_noreturn();

#endif							/* MEDSYNC_TILES_H */
