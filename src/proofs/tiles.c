/*-------------------------------------------------------------------------
 *
 * tiles.c
 *		The ledger's tree, read from its table.
 *
 * _tile belongs to the sealer.  A full tile is never rewritten, and the
 * partial one of a level only grows, so that the tree of any earlier size
 * is found in prefixes of what is there.  Reads one tile of each level at a
 * time, 64 kB.  Works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/fmgroids.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/sealer.h"
#include "proofs/tiles.h"

/* The first hashes of one tile. */
static bool
fetch_tile(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	MedsyncStoredTree *tree = arg;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(level));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) tile));
	medsync_scan_begin(&scan, tree->heap, "_tile_pkey", tree->snapshot, 2,
					   keys);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_tile_hashes,
										 RelationGetDescr(tree->heap),
										 &isnull);
		bytea	   *stored = isnull ? NULL : DatumGetByteaPP(datum);

		if (stored != NULL &&
			VARSIZE_ANY_EXHDR(stored) >= (size_t) width * MEDSYNC_HASH_SIZE)
		{
			memcpy(hashes, VARDATA_ANY(stored), width * MEDSYNC_HASH_SIZE);
			found = true;
		}
		if (stored != NULL && (Pointer) stored != DatumGetPointer(datum))
			pfree(stored);
	}
	medsync_scan_end(&scan);
	return found;
}

/* Open the tree as it was at a size; in the current memory context. */
MedsyncStoredTree *
medsync_stored_tree_open(uint64 size, Snapshot snapshot)
{
	MedsyncStoredTree *tree = palloc(sizeof(MedsyncStoredTree));

	tree->heap = medsync_open("_tile", AccessShareLock);
	tree->snapshot = snapshot;
	medsync_tiles_open(&tree->tiles, size, fetch_tile, tree);
	return tree;
}

void
medsync_stored_tree_close(MedsyncStoredTree *tree)
{
	table_close(tree->heap, AccessShareLock);
	pfree(tree);
}

/* Raise the error for a tile that is not there. */
void
medsync_stored_tree_damaged(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("a tile of the ledger's tree is missing or short"),
			 errhint("Run medsync.verify() to see what was changed.")));
}
