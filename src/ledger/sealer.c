/*-------------------------------------------------------------------------
 *
 * sealer.c
 *		Making blocks: medsync.seal().
 *
 * A call takes the seal lock, then a fresh snapshot, and appends what that
 * snapshot sees and no block holds yet.  A block is one row of _block; its
 * entries' order goes to _block_order, their hashes to _tile, and full
 * segments of look-ups to _lookup.  Full tiles are never rewritten, the
 * partial one of each level grows in place.  A block has entries of one era
 * only, so that a call can make several.
 *
 * Only the holder of the seal lock writes these tables, and keeps the lock
 * to the end of its transaction; writers of tracked tables never wait for it.
 * A crash or an error leaves the ledger as it was.  The commit is always
 * synchronous.  Not possible on a standby.
 *
 * Memory: what walk.c needs, 64 kB of tree, 2 MB of postings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/order.h"
#include "ledger/sealer.h"
#include "vault/vault.h"

/* One call's work */
typedef struct Sealer
{
	MedsyncWalk walk;
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz ledger_created_at;
	uint64		xid;			/* our own */
	MedsyncTree tree;
	MedsyncOrderBuilder order;
	MedsyncLookupBuilder lookup;
	Relation	order_table;
	Relation	lookup_table;
	Relation	tile_table;
	StringInfoData scratch;
	MedsyncEra *era;			/* of the block being made */
	int64		size_before;	/* entries sealed by earlier calls */
} Sealer;

/*---- Local variables ----*/

static MedsyncSealByHand seal_by_hand = NULL;
static MedsyncSealByWorker seal_by_worker = NULL;

PG_FUNCTION_INFO_V1(medsync_seal);

void
medsync_seal_register(MedsyncSealByHand by_hand,
					  MedsyncSealByWorker by_worker)
{
	seal_by_hand = by_hand;
	seal_by_worker = by_worker;
}

/* The worker's turn to have its blocks signed; true: ask again. */
bool
medsync_seal_publish(int64 since_last)
{
	return seal_by_worker != NULL && seal_by_worker(since_last);
}

/* Store a tile, over the partial one of its place if there is one. */
static void
store_tile(Sealer *sealer, int level, uint64 tile, const uint8 *hashes,
		   int width)
{
	Relation	heap = sealer->tile_table;
	Datum		values[Natts_tile];
	bool		isnull[Natts_tile] = {0};
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	old;
	HeapTuple	tuple;

	values[Anum_tile_level - 1] = Int32GetDatum(level);
	values[Anum_tile_tile - 1] = Int64GetDatum((int64) tile);
	values[Anum_tile_hashes - 1] =
		PointerGetDatum(medsync_make_bytea(hashes, width * MEDSYNC_HASH_SIZE));
	tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(level));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum((int64) tile));
	medsync_scan_begin(&scan, heap, "_tile_pkey", SnapshotSelf, 2, keys);
	old = medsync_scan_next(&scan);
	if (old != NULL)
	{
		ItemPointerData tid = old->t_self;

		medsync_scan_end(&scan);
		CatalogTupleUpdate(heap, &tid, tuple);
	}
	else
	{
		medsync_scan_end(&scan);
		medsync_insert_quietly(heap, tuple, false);
	}
	pfree(DatumGetPointer(values[Anum_tile_hashes - 1]));
	heap_freetuple(tuple);
}

static void
tile_sink(void *arg, int level, uint64 tile, const uint8 *hashes)
{
	store_tile(arg, level, tile, hashes, MEDSYNC_TILE_WIDTH);
}

static void
order_sink(void *arg, int64 first_index, const StringInfo runs)
{
	Sealer	   *sealer = arg;
	Datum		values[Natts_order];
	bool		isnull[Natts_order] = {0};
	HeapTuple	tuple;

	values[Anum_order_first_index - 1] = Int64GetDatum(first_index);
	values[Anum_order_runs - 1] =
		PointerGetDatum(medsync_make_bytea(runs->data, runs->len));
	tuple = heap_form_tuple(RelationGetDescr(sealer->order_table), values,
							isnull);
	medsync_insert_quietly(sealer->order_table, tuple, false);
	heap_freetuple(tuple);
}

static void
lookup_sink(void *arg, char kind, int64 segment, int32 chunk,
			const StringInfo postings)
{
	Sealer	   *sealer = arg;
	Datum		values[Natts_lookup];
	bool		isnull[Natts_lookup] = {0};
	HeapTuple	tuple;

	values[Anum_lookup_kind - 1] = CharGetDatum(kind);
	values[Anum_lookup_segment - 1] = Int64GetDatum(segment);
	values[Anum_lookup_chunk - 1] = Int32GetDatum(chunk);
	values[Anum_lookup_postings - 1] =
		PointerGetDatum(medsync_make_bytea(postings->data, postings->len));
	tuple = heap_form_tuple(RelationGetDescr(sealer->lookup_table), values,
							isnull);
	medsync_insert_quietly(sealer->lookup_table, tuple, false);
	heap_freetuple(tuple);
}

/* Load the partial tiles of the tree that stands. */
static void
load_tree(Sealer *sealer, uint64 size)
{
	int			level;

	medsync_tree_init(&sealer->tree);
	sealer->tree.size = size;
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		int			width = medsync_tree_edge_width(size, level);
		MedsyncScan scan;
		ScanKeyData keys[2];
		HeapTuple	tuple;
		bool		isnull;
		bytea	   *hashes = NULL;

		if (width == 0)
			continue;
		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
					Int32GetDatum(level));
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
					Int64GetDatum((int64) medsync_tree_edge_tile(size, level)));
		medsync_scan_begin(&scan, sealer->tile_table, "_tile_pkey",
						   SnapshotSelf, 2, keys);
		tuple = medsync_scan_next(&scan);
		if (tuple != NULL)
			hashes = DatumGetByteaPP(heap_getattr(tuple, Anum_tile_hashes,
												  RelationGetDescr(sealer->tile_table),
												  &isnull));
		if (hashes == NULL ||
			VARSIZE_ANY_EXHDR(hashes) < (size_t) width * MEDSYNC_HASH_SIZE)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("a tile of the ledger's tree is missing or short"),
					 errhint("Run medsync.verify() to see what was changed.")));
		memcpy(sealer->tree.edge[level], VARDATA_ANY(hashes),
			   width * MEDSYNC_HASH_SIZE);
		medsync_scan_end(&scan);
	}
}

/* Store the partial tiles of the tree as it is now. */
static void
save_tree(Sealer *sealer)
{
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		int			width = medsync_tree_edge_width(sealer->tree.size, level);

		if (width > 0)
			store_tile(sealer, level,
					   medsync_tree_edge_tile(sealer->tree.size, level),
					   sealer->tree.edge[level], width);
	}
}

/* An entry that was sealed before joins the postings of its segment. */
static void
reread_entry(void *arg, const MedsyncWalkEntry *item)
{
	Sealer	   *sealer = arg;

	medsync_lookup_add(&sealer->lookup, sealer->lookup.covered_from++,
					   item->entry);
}

/*
 * The last entry of a segment has passed.  What was sealed of it in earlier
 * calls is read again first.
 */
static void
finish_segment(Sealer *sealer)
{
	int64		segment = (int64) (sealer->tree.size / MEDSYNC_SEGMENT) - 1;
	int64		start = segment * MEDSYNC_SEGMENT;

	if (sealer->lookup.covered_from > start)
	{
		MedsyncWalk sealed;		/* ours is in the middle of a block */
		bool		complete;

		sealer->lookup.covered_from = start;
		medsync_walk_open(&sealed, sealer->walk.snapshot);
		complete = medsync_order_read(&sealed, start,
									  sealer->size_before - start,
									  reread_entry, sealer);
		medsync_walk_close(&sealed);
		if (!complete)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("sealed entries of the ledger are missing"),
					 errhint("Run medsync.verify() to see what was changed.")));
	}
	medsync_lookup_finish_segment(&sealer->lookup, segment);
}

/* Append one entry to the tree, the order and the look-ups. */
static void
seal_entry(Sealer *sealer, const MedsyncPackedHeader *header,
		   const MedsyncEntry *entry, int64 xact_time)
{
	int64		index = (int64) sealer->tree.size;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
	uint8		hash[MEDSYNC_HASH_SIZE];

	medsync_entry_leaf(&sealer->scratch, sealer->era->id, header, entry, leaf);
	medsync_merkle_leaf_hash(leaf, sizeof(leaf), hash);
	medsync_tree_append(&sealer->tree, hash, tile_sink, sealer);
	medsync_order_add(&sealer->order, header->xid, xact_time, entry->ordinal);
	medsync_lookup_add(&sealer->lookup, index, entry);
	if (sealer->tree.size % MEDSYNC_SEGMENT == 0)
		finish_segment(sealer);
}

static void
seal_walk_entry(void *arg, const MedsyncWalkEntry *item)
{
	Sealer	   *sealer = arg;

	CHECK_FOR_INTERRUPTS();
	seal_entry(sealer, item->header, item->entry, item->xact->time);
}

/* What an era entry says: number, system identifier, timeline, database. */
void
medsync_era_detail(const MedsyncEra *era, uint8 *detail)
{
	medsync_wire_store_u32(detail, (uint32) era->number);
	medsync_wire_store_u64(detail + 4, era->system_identifier);
	medsync_wire_store_u32(detail + 12, era->timeline);
	medsync_wire_store_u32(detail + 16, era->database);
}

/* Write the era entry, the last of an era's first block. */
static void
seal_era_entry(Sealer *sealer)
{
	MedsyncPackedHeader header = {0};
	MedsyncEntry entry = {0};
	uint8		detail[MEDSYNC_ERA_DETAIL_SIZE];

	header.xid = sealer->xid;
	header.era_number = sealer->era->number;
	header.flush_position = GetXLogInsertRecPtr();
	header.flush_time = GetCurrentTimestamp();
	header.session_role = GetUserNameFromId(GetSessionUserId(), false);
	header.session_role_len = strlen(header.session_role);
	medsync_era_detail(sealer->era, detail);
	entry.operation = MEDSYNC_OP_ERA;
	entry.command = GetCurrentCommandId(false);
	entry.statement_time = header.flush_time;
	entry.role = header.session_role;
	entry.role_len = header.session_role_len;
	entry.detail = detail;
	entry.detail_len = sizeof(detail);
	entry.fields = MEDSYNC_HAS_DETAIL;
	medsync_journal_write_now(&entry, &header);
	seal_entry(sealer, &header, &entry, header.flush_time);
}

static void
store_block(const MedsyncBlock *block)
{
	Relation	heap = medsync_open("_block", RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(heap);
	Datum		values[Natts_block];
	bool		isnull[Natts_block] = {0};
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(TupleDescAttr(desc, Anum_block_snapshot - 1)->atttypid,
					 &input, &ioparam);
	values[Anum_block_height - 1] = Int64GetDatum(block->height);
	values[Anum_block_era - 1] = Int32GetDatum(block->era);
	values[Anum_block_previous_hash - 1] =
		PointerGetDatum(medsync_make_bytea(block->previous_hash, MEDSYNC_HASH_SIZE));
	values[Anum_block_first_index - 1] = Int64GetDatum(block->first_index);
	values[Anum_block_entry_count - 1] = Int64GetDatum(block->entry_count);
	values[Anum_block_root - 1] =
		PointerGetDatum(medsync_make_bytea(block->root, MEDSYNC_HASH_SIZE));
	values[Anum_block_snapshot - 1] =
		OidInputFunctionCall(input, block->snapshot, ioparam, -1);
	values[Anum_block_sealer_xid - 1] =
		FullTransactionIdGetDatum(FullTransactionIdFromU64(block->sealer_xid));
	values[Anum_block_sealed_at - 1] = TimestampTzGetDatum(block->sealed_at);
	values[Anum_block_hash - 1] =
		PointerGetDatum(medsync_make_bytea(block->hash, MEDSYNC_HASH_SIZE));
	CatalogTupleInsert(heap, heap_form_tuple(desc, values, isnull));
	table_close(heap, RowExclusiveLock);
}

/* Has this era a block already? */
static bool
era_has_block(const MedsyncWalk *walk, const MedsyncEra *era)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	bool		found = false;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_block_pkey", walk->snapshot, 0, NULL);
	scan.direction = BackwardScanDirection;
	while (!found && (tuple = medsync_scan_next(&scan)) != NULL)
	{
		bool		isnull;

		found = DatumGetInt32(heap_getattr(tuple, Anum_block_era,
										   RelationGetDescr(heap),
										   &isnull)) == era->number;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return found;
}

/*
 * The snapshot that a block of another line of eras stores: everything that
 * came with the dump, since nothing can follow.
 */
static char *
closing_snapshot(Sealer *sealer, const MedsyncEra *era)
{
	uint64		xmax = 0;
	int64		i;

	for (i = 0; i < sealer->walk.xact_count; i++)
		if (medsync_era_same_line(sealer->walk.xacts[i].era, era))
			xmax = Max(xmax, sealer->walk.xacts[i].xid + 1);
	return psprintf(UINT64_FORMAT ":" UINT64_FORMAT ":", xmax, xmax);
}

/* Make the block of one era from what was gathered. */
static MedsyncBlock *
make_block(Sealer *sealer, MedsyncEra *era, const MedsyncEra *current,
		   const MedsyncBlock *previous)
{
	MedsyncBlock *block = palloc0(sizeof(MedsyncBlock));
	bool		new_era;
	int64		i;

	sealer->era = era;
	if (era->number == 0)
		medsync_era_store(era);
	new_era = !era_has_block(&sealer->walk, era);
	block->era = era->number;
	block->first_index = (int64) sealer->tree.size;
	block->sealer_xid = sealer->xid;
	block->sealed_at = GetCurrentTimestamp();
	if (previous != NULL)
	{
		block->height = previous->height + 1;
		memcpy(block->previous_hash, previous->hash, MEDSYNC_HASH_SIZE);
		/* a clock that was set back does not turn the ledger's time back */
		block->sealed_at = Max(block->sealed_at, previous->sealed_at);
	}
	block->snapshot = medsync_era_same_line(era, current) ?
		medsync_xid_set_of_snapshot(sealer->walk.snapshot) :
		closing_snapshot(sealer, era);

	medsync_order_begin(&sealer->order, block->first_index, order_sink, sealer);
	for (i = 0; i < sealer->walk.xact_count; i++)
		if (sealer->walk.xacts[i].era == era)
			medsync_walk_emit(&sealer->walk, &sealer->walk.xacts[i],
							  seal_walk_entry, sealer);
	if (new_era && era == current)
		seal_era_entry(sealer);
	medsync_order_end(&sealer->order);

	block->entry_count = (int64) sealer->tree.size - block->first_index;
	medsync_tree_root(&sealer->tree, block->root);
	medsync_block_hash(sealer->ledger_id, sealer->ledger_created_at, era->id,
					   block, block->hash);
	store_block(block);
	return block;
}

/* Does anything gathered belong to this era? */
static bool
era_has_entries(const MedsyncWalk *walk, const MedsyncEra *era)
{
	int64		i;

	for (i = 0; i < walk->xact_count; i++)
		if (walk->xacts[i].era == era)
			return true;
	return false;
}

static int
compare_eras(const ListCell *a, const ListCell *b)
{
	const MedsyncEra *x = lfirst(a);
	const MedsyncEra *y = lfirst(b);

	/* the known ones by number, then those that came with a dump, then ours */
	if ((x->number == 0) != (y->number == 0))
		return x->number == 0 ? 1 : -1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	if (x->known != y->known)
		return x->known ? 1 : -1;
	if (x->known && x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return memcmp(x->id, y->id, MEDSYNC_ID_SIZE);
}

/* A block must reach the disk before anybody is told of it. */
static void
commit_synchronously(void)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "on", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
}

/* Open what the sealer writes, seal what was gathered, era by era. */
static MedsyncBlock *
seal_gathered(Sealer *sealer, MedsyncEra *current, MedsyncBlock *last)
{
	ListCell   *cell;

	commit_synchronously();
	medsync_journal_note_seal();
	sealer->xid = U64FromFullTransactionId(GetTopFullTransactionId());
	sealer->order_table = medsync_open("_block_order", RowExclusiveLock);
	sealer->lookup_table = medsync_open("_lookup", RowExclusiveLock);
	sealer->tile_table = medsync_open("_tile", RowExclusiveLock);
	initStringInfo(&sealer->scratch);
	load_tree(sealer, last ? last->first_index + last->entry_count : 0);
	sealer->size_before = (int64) sealer->tree.size;
	medsync_lookup_begin(&sealer->lookup, sealer->size_before, lookup_sink,
						 sealer);
	medsync_walk_sort(&sealer->walk);
	list_sort(sealer->walk.eras, compare_eras);
	foreach(cell, list_copy(sealer->walk.eras))
		if (era_has_entries(&sealer->walk, lfirst(cell)))
			last = make_block(sealer, lfirst(cell), current, last);
	save_tree(sealer);
	medsync_vault_remove_duplicates();
	table_close(sealer->order_table, RowExclusiveLock);
	table_close(sealer->lookup_table, RowExclusiveLock);
	table_close(sealer->tile_table, RowExclusiveLock);
	return last;
}

/*
 * Seal what is there.  Returns the last block, new or not, or NULL where
 * the ledger has none.
 */
MedsyncBlock *
medsync_seal_now(void)
{
	MemoryContext context;
	MemoryContext oldcontext;
	Sealer	   *sealer;
	MedsyncEra *current;
	MedsyncEra	now;
	MedsyncBlock *last;
	MedsyncBlock *result = NULL;

	PreventCommandIfReadOnly("medsync.seal()");
	PreventCommandIfParallelMode("medsync.seal()");
	medsync_journal_check_sealable();
	context = AllocSetContextCreate(CurrentMemoryContext, "medsync sealer",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	sealer = palloc0(sizeof(Sealer));
	medsync_ledger_lock(MEDSYNC_LOCK_SEAL);
	if (medsync_ledger_read(sealer->ledger_id, &sealer->ledger_created_at))
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

		medsync_walk_open(&sealer->walk, snapshot);
		medsync_era_current(sealer->ledger_id, &now);
		current = medsync_era_find(sealer->walk.eras, now.id);
		if (current == NULL)
		{
			current = palloc(sizeof(MedsyncEra));
			*current = now;
			sealer->walk.eras = lappend(sealer->walk.eras, current);
		}
		last = medsync_block_last(snapshot);
		medsync_walk_gather_unsealed(&sealer->walk,
									 medsync_lines(&sealer->walk, current),
									 current);
		if (sealer->walk.xact_count > 0)
			last = seal_gathered(sealer, current, last);
		medsync_walk_close(&sealer->walk);
		UnregisterSnapshot(snapshot);
		if (last != NULL)
		{
			result = MemoryContextAlloc(oldcontext, sizeof(MedsyncBlock));
			*result = *last;
			result->snapshot = NULL;
			result->xids.in_progress = NULL;
		}
	}
	/* with nothing new, an open transaction must not keep others from sealing */
	if (!medsync_journal_has_sealed())
		medsync_ledger_unlock(MEDSYNC_LOCK_SEAL);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return result;
}

/* medsync.seal() */
Datum
medsync_seal(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[3] = {0};
	bool		isnull[3] = {true, true, true};
	MedsyncBlock *block;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	block = medsync_seal_now();
	if (block != NULL)
	{
		if (seal_by_hand != NULL)
			seal_by_hand(block);
		values[0] = Int64GetDatum(block->height);
		values[1] = Int64GetDatum(block->first_index + block->entry_count);
		values[2] = PointerGetDatum(medsync_make_bytea(block->root,
											   MEDSYNC_HASH_SIZE));
		memset(isnull, 0, sizeof(isnull));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, isnull)));
}
