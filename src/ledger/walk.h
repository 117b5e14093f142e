/*-------------------------------------------------------------------------
 *
 * walk.h
 *		Reading blocks, and entries in ledger order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_WALK_H
#define MEDSYNC_WALK_H

#include "common/catalog.h"
#include "ledger/entry.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "storage/itemptr.h"
#include "utils/timestamp.h"

/* attributes of _block */
enum
{
	Anum_block_height = 1,
	Anum_block_era,
	Anum_block_previous_hash,
	Anum_block_first_index,
	Anum_block_entry_count,
	Anum_block_root,
	Anum_block_snapshot,
	Anum_block_sealer_xid,
	Anum_block_sealed_at,
	Anum_block_hash,
	Natts_block = 10
};

/* Which transactions a block had seen the end of; as pg_snapshot */
typedef struct MedsyncXidSet
{
	uint64		xmax;			/* none at or above it */
	int			count;
	uint64	   *in_progress;	/* none of these; ascending */
} MedsyncXidSet;

typedef struct MedsyncBlock
{
	int64		height;
	int32		era;			/* number */
	uint8		previous_hash[MEDSYNC_HASH_SIZE];
	int64		first_index;
	int64		entry_count;
	uint8		root[MEDSYNC_HASH_SIZE];
	char	   *snapshot;		/* text of the pg_snapshot */
	MedsyncXidSet xids;			/* the same, parsed */
	uint64		sealer_xid;
	TimestampTz sealed_at;
	uint8		hash[MEDSYNC_HASH_SIZE];
} MedsyncBlock;

/* One transaction of a block, or one that is not sealed yet */
typedef struct MedsyncXact
{
	uint64		xid;
	uint64		position;		/* its last flush */
	int64		time;			/* of that flush */
	MedsyncEra *era;
	ItemPointerData tid;		/* of its first packed row found */
	uint64		ordinal;		/* of that row */
	uint32		rows;			/* packed rows; 0: only pending ones */
} MedsyncXact;

/* What the walk tells about each entry */
typedef struct MedsyncWalkEntry
{
	const MedsyncPackedHeader *header;
	const MedsyncEntry *entry;
	const MedsyncXact *xact;
	const uint8 *body;			/* of the packed row */
	int			body_len;
	ItemPointerData tid;		/* of the packed row; invalid: pending */
	int			nth;			/* entry of that row, from 0 */
} MedsyncWalkEntry;

typedef void (*MedsyncWalkCallback) (void *arg, const MedsyncWalkEntry *item);

/* Called for a journal row that cannot be read; NULL raises MS004 instead */
typedef void (*MedsyncDamageCallback) (void *arg, uint64 xid,
									   const char *what);

/* An open journal */
typedef struct MedsyncWalk
{
	Relation	journal;
	Snapshot	snapshot;
	List	   *eras;			/* of MedsyncEra, may grow */
	List	   *pending;		/* unflushed rows of our own, or NIL */
	uint64		own_xid;		/* 0: we have not written */
	MedsyncDamageCallback damage;
	void	   *damage_arg;
	MedsyncXact *xacts;			/* what gather found */
	int64		xact_count;
	int64		xact_capacity;
	int64		rows_seen;		/* packed rows gathered so far */
	StringInfoData row_buffer;	/* a packed row being read */
} MedsyncWalk;

extern Snapshot medsync_walk_snapshot(void);
extern void medsync_walk_open(MedsyncWalk *walk, Snapshot snapshot);
extern void medsync_walk_close(MedsyncWalk *walk);
extern void medsync_walk_gather(MedsyncWalk *walk, const MedsyncEra *line,
								const MedsyncXidSet *since,
								const MedsyncXidSet *until,
								uint64 skip_xid);
extern void medsync_walk_gather_own(MedsyncWalk *walk);
extern void medsync_walk_sort(MedsyncWalk *walk);
extern void medsync_walk_emit(MedsyncWalk *walk, const MedsyncXact *xact,
							  MedsyncWalkCallback callback, void *arg);
extern bool medsync_walk_fetch(MedsyncWalk *walk, const ItemPointerData *tid,
							   int nth, MedsyncWalkCallback callback,
							   void *arg);
extern MedsyncXact *medsync_walk_find_xact(MedsyncWalk *walk, uint64 xid,
										   const MedsyncEra *era);

extern bool medsync_xid_finished(const MedsyncXidSet *set, uint64 xid);
extern MedsyncXidSet medsync_xid_set_parse(const char *text);
extern char *medsync_xid_set_of_snapshot(Snapshot snapshot);

extern bool medsync_block_read(HeapTuple tuple, TupleDesc desc,
							   MedsyncBlock *block);
extern MedsyncBlock *medsync_block_last(Snapshot snapshot);
extern bool medsync_block_by_height(int64 height, Snapshot snapshot,
									MedsyncBlock *block);
extern void medsync_block_hash(const uint8 *ledger_id,
							   TimestampTz ledger_created_at,
							   const uint8 *era_id, const MedsyncBlock *block,
							   uint8 *hash);

/* The last block of each line of eras, while blocks are read in order */
typedef struct MedsyncLine
{
	MedsyncEra *era;
	MedsyncXidSet last;			/* of the newest group of blocks */
	uint64		last_sealer;
	bool		has_before;
	MedsyncXidSet before;		/* of the group before it */
	uint64		before_sealer;
} MedsyncLine;

extern MedsyncLine *medsync_line_of(List *lines, const MedsyncEra *era);
extern bool medsync_line_same_call(const MedsyncLine *line,
								   const MedsyncBlock *block);
extern List *medsync_line_advance(List *lines, MedsyncEra *era,
								  const MedsyncBlock *block);
extern List *medsync_lines(MedsyncWalk *walk, const MedsyncEra *current);
extern void medsync_walk_gather_unsealed(MedsyncWalk *walk, List *lines,
										 const MedsyncEra *current);

#endif							/* MEDSYNC_WALK_H */
