/*-------------------------------------------------------------------------
 *
 * history.c
 *		medsync.history() and medsync.as_of(): what the ledger says about a
 *		table.
 *
 * Stores nothing.  The entries of a table are read in ledger order: those in
 * blocks, those not sealed yet, our own transaction's last.  Which rows they
 * are about is shown from their encrypted images, and an image counts only
 * if its recomputed commitment is the entry's.  The row that an entry
 * replaced is the image of the earlier entry that left it, found by its
 * commitment.
 *
 * Whoever may read all of the table's columns, and would not have rows hidden
 * by a policy, may read its history; so may members of medsync_auditor.
 * All else is read past the rights of the caller.
 *
 * Locks: AccessShareLock on the table and its partitions, to the end of the
 * call; parents first.  What cannot be read in the journal is an error, since
 * a history with a hole would not look like one; a key that is not there
 * leaves an image NULL and gives one warning.  Works on a standby.
 *
 * Memory: what walk.c needs, and about 100 bytes for each row that lives at
 * the point that has been read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/xid8.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/history.h"
#include "ledger/image.h"
#include "ledger/order.h"
#include "ledger/render.h"
#include "ledger/row.h"
#include "ledger/track.h"

/* Columns of history() */
enum
{
	HISTORY_ENTRY_INDEX,
	HISTORY_BLOCK,
	HISTORY_AT,
	HISTORY_OPERATION,
	HISTORY_ROLE,
	HISTORY_ACTOR,
	HISTORY_ROW_KEY,
	HISTORY_OLD_ROW,
	HISTORY_NEW_ROW,
	HISTORY_CHANGED_COLUMNS,
	HISTORY_COLUMNS
};

/* A reader of one manifest version's rows */
typedef struct VersionReader
{
	uint32		version;
	MedsyncRowReader *rows;
	int		   *targets;		/* as_of: place in the result, or -1 */
} VersionReader;

/* A table number whose entries are wanted */
typedef struct HistoryTable
{
	uint32		number;
	Relation	rel;			/* NULL: no table has its name now */
	MedsyncManifest *latest;
	List	   *readers;		/* of VersionReader */
	bool		looked_up;		/* only the row with this key: */
	uint8		row_key[MEDSYNC_ID_SIZE];
} HistoryTable;

/*
 * A version of a row that no entry read so far has replaced, and where its
 * image is.  Equal rows have equal commitments, and any one's image will do.
 */
typedef struct RowVersion
{
	uint8		commitment[MEDSYNC_HASH_SIZE];	/* hash key */
	int64		sequence;		/* when it came to live */
	uint64		ordinal;		/* of its packed row */
	int32		count;			/* how many live; less than 0: owed */
	int32		nth;			/* entry of the packed row */
	ItemPointerData tid;		/* of the packed row; invalid: pending */
} RowVersion;

/* One call */
typedef struct History
{
	Relation	rel;			/* the table that the caller named */
	List	   *tables;			/* of HistoryTable */
	HistoryTable *last_table;	/* found last */
	bool		by_key;
	MedsyncWalk walk;
	const MedsyncEra *era;		/* the current one */
	MedsyncKeyReader *keys;
	HTAB	   *versions;		/* of RowVersion */
	int64		sequence;
	MemoryContext context;		/* of the call */
	MemoryContext scratch;		/* of one entry */
	StringInfoData image;		/* canonical row that was opened last */
	StringInfoData packed;		/* packed row that was read again last */
	bool		warned;
	ReturnSetInfo *result;
	int64		index;			/* of the next entry; -1: not sealed */
	int64		block;			/* height of the block of these entries: */
	int64		block_first;
	int64		block_end;
	TimestampTz until;			/* as_of */
	MedsyncNewestEntry *newest; /* medsync_history_newest() */
	MedsyncSignedEntryCallback callback;	/* medsync_history_signed() */
	void	   *callback_arg;
} History;

/* A row as it is shown */
typedef struct ShownRow
{
	Datum	   *values;
	bool	   *isnull;
	Jsonb	   *json;
} ShownRow;

PG_FUNCTION_INFO_V1(medsync_history);
PG_FUNCTION_INFO_V1(medsync_as_of);

/* ---- whose history, and who may read it ---- */

static void
check_select(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	AclResult	result = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		result = pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT,
										   ACLMASK_ALL);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
}

/*
 * May the caller read the history of a relation?  For one that is not
 * recorded any more only an auditor may: the ledger knows tables by name,
 * and anyone might have given that name to a table of his own since.
 */
static void
check_caller(Relation rel, const MedsyncTable *table)
{
	const char *name = RelationGetRelationName(rel);

	if (medsync_caller_is(MEDSYNC_AUDITOR))
		return;
	check_select(rel);
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the history of table \"%s\"",
						name),
				 errdetail("Its row security could hide rows from you, and the history would show them."),
				 errhint("A member of role \"%s\" can read it.",
						 MEDSYNC_AUDITOR)));
	if (table != NULL &&
		!(table->tracked &&
		  medsync_capture_stands(RelationGetRelid(rel))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the history of table \"%s\"",
						name),
				 errdetail("It is not recorded any more, and its name alone does not show that it is the table that was."),
				 errhint("A member of role \"%s\" can read it.",
						 MEDSYNC_AUDITOR)));
}

/* The newest manifest of a table number. */
static MedsyncManifest *
load_manifest(uint32 number, uint32 version)
{
	MedsyncManifest *manifest = medsync_manifest_load(number, version);

	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("manifest %u of table number %u is missing from the ledger",
						version, number),
				 errhint("Run medsync.verify() to see what was changed.")));
	return manifest;
}

static HistoryTable *
add_table(History *history, const MedsyncTable *table, MedsyncManifest *latest,
		  Relation rel)
{
	HistoryTable *added = palloc0(sizeof(HistoryTable));

	added->number = table->number;
	added->latest = latest;
	added->rel = rel;
	history->tables = lappend(history->tables, added);
	return added;
}

static HistoryTable *
find_table(History *history, uint32 number)
{
	ListCell   *cell;

	if (history->last_table != NULL && history->last_table->number == number)
		return history->last_table;
	foreach(cell, history->tables)
	{
		HistoryTable *table = lfirst(cell);

		if (table->number == number)
		{
			history->last_table = table;
			return table;
		}
	}
	return NULL;
}

/* The relation that has a table's name now, or NULL. */
static Relation
open_by_name(const MedsyncTable *table)
{
	Oid			relid = medsync_table_relid(table);
	Relation	rel;

	if (!OidIsValid(relid))
		return NULL;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel != NULL && rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
	{
		relation_close(rel, AccessShareLock);
		return NULL;
	}
	return rel;
}

/*
 * Add the partitions, also those of partitions, and those of the past.  A
 * parent's number is always below its partitions' numbers.
 */
static void
add_partitions(History *history)
{
	ListCell   *cell;

	foreach(cell, medsync_tables(SnapshotSelf, NULL))
	{
		MedsyncTable *table = lfirst(cell);
		MedsyncManifest *latest;

		if (find_table(history, table->number) != NULL)
			continue;
		latest = load_manifest(table->number, table->manifest_version);
		if (latest->parent != 0 && find_table(history, latest->parent) != NULL)
			add_table(history, table, latest, open_by_name(table));
	}
}

/* Find out what the caller named, and whether he may read its history. */
static void
find_tables(History *history, Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	MedsyncTable *table;
	MedsyncManifest *latest;

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	table = medsync_table_by_name(get_namespace_name(RelationGetNamespace(rel)),
								  RelationGetRelationName(rel), false);
	check_caller(rel, table);
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
				 errmsg("table \"%s\" is not tracked",
						RelationGetRelationName(rel)),
				 errhint("Its history begins with medsync.track().")));
	history->rel = rel;
	latest = load_manifest(table->number, table->manifest_version);
	add_table(history, table, latest, rel);
	if (latest->partitioned)
		add_partitions(history);
}

/* ---- a call's beginning and end ---- */

static void
ledger_is_damaged(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("the ledger cannot be read"),
			 errdetail_internal("%s", what),
			 errhint("Run medsync.verify() to see what was changed.")));
}

/* The era in which this database would write now. */
static const MedsyncEra *
current_era(History *history)
{
	MedsyncEra *now = palloc(sizeof(MedsyncEra));
	MedsyncEra *known;
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;

	if (!medsync_ledger_read(ledger_id, &created_at))
		ledger_is_damaged("Table medsync._ledger is empty.");
	medsync_era_current(ledger_id, now);
	known = medsync_era_find(history->walk.eras, now->id);
	if (known != NULL)
		return known;
	history->walk.eras = lappend(history->walk.eras, now);
	return now;
}

static History *
begin_history(Oid relid)
{
	History    *history = palloc0(sizeof(History));
	HASHCTL		ctl = {0};

	history->context = CurrentMemoryContext;
	find_tables(history, relid);
	history->scratch = AllocSetContextCreate(history->context,
											 "medsync history entry",
											 ALLOCSET_DEFAULT_SIZES);
	history->keys = medsync_key_reader_create(history->context);
	ctl.keysize = MEDSYNC_HASH_SIZE;
	ctl.entrysize = sizeof(RowVersion);
	ctl.hcxt = history->context;
	history->versions = hash_create("medsync row versions", 1024, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	initStringInfo(&history->image);
	initStringInfo(&history->packed);
	medsync_walk_open(&history->walk, RegisterSnapshot(medsync_walk_snapshot()));
	history->era = current_era(history);
	return history;
}

static void
end_history(History *history)
{
	Snapshot	snapshot = history->walk.snapshot;
	ListCell   *cell;

	medsync_walk_close(&history->walk);
	UnregisterSnapshot(snapshot);
	foreach(cell, history->tables)
	{
		HistoryTable *table = lfirst(cell);

		if (table->rel != NULL)
			relation_close(table->rel, AccessShareLock);
	}
}

/* Say once why rows are not shown. */
static void
warn(History *history, int sqlstate, const char *why)
{
	if (history->warned)
		return;
	history->warned = true;
	ereport(WARNING,
			(errcode(sqlstate),
			 errmsg("some rows of table \"%s\" cannot be shown",
					RelationGetRelationName(history->rel)),
			 errdetail_internal("%s", why)));
}

/* ---- images ---- */

/* The reader for rows of one manifest version. */
static VersionReader *
version_reader(History *history, HistoryTable *table, uint32 version)
{
	MemoryContext oldcontext;
	VersionReader *reader;
	ListCell   *cell;

	foreach(cell, table->readers)
	{
		reader = lfirst(cell);
		if (reader->version == version)
			return reader;
	}
	oldcontext = MemoryContextSwitchTo(history->context);
	reader = palloc0(sizeof(VersionReader));
	reader->version = version;
	reader->rows = medsync_row_reader_create(version == table->latest->version ?
											 table->latest :
											 load_manifest(table->number, version),
											 table->latest, table->rel);
	table->readers = lcons(reader, table->readers);
	MemoryContextSwitchTo(oldcontext);
	return reader;
}

static bool
has_image(const MedsyncEntry *entry)
{
	return (entry->fields & MEDSYNC_HAS_NEW) != 0 &&
		(entry->fields & (MEDSYNC_HAS_IMAGE | MEDSYNC_HAS_LARGE_IMAGE)) != 0;
}

/* Is the canonical row in history->image what an entry committed to? */
static bool
image_matches(const History *history, const MedsyncEntry *entry,
			  const MedsyncSubjectKey *key)
{
	MedsyncSha256 sha;
	MedsyncRowDigest digest;

	medsync_row_hash_start(&sha, entry->table);
	medsync_sha256_update(&sha, history->image.data, history->image.len);
	medsync_sha256_finish(&sha, digest.hash);
	medsync_row_commit(&key->commit, &digest);
	return memcmp(digest.commitment, entry->new_commitment,
				  MEDSYNC_HASH_SIZE) == 0;
}

/* Open an entry's image into history->image; false, and a warning, if not. */
static bool
open_image(History *history, const MedsyncPackedHeader *header,
		   const MedsyncEntry *entry)
{
	const MedsyncSubjectKey *key;
	MedsyncKeyStatus status;
	int64		chunks = 0;

	status = medsync_key_reader_by_id(history->keys, entry->key_id, &key);
	if (status != MEDSYNC_KEY_OK)
	{
		warn(history, ERRCODE_MEDSYNC_KEY_UNAVAILABLE,
			 psprintf("For one of them: %s.",
					  medsync_vault_status_text(status)));
		return false;
	}
	if (!medsync_image_open(header, entry, key, history->walk.snapshot,
							&history->image, &chunks) ||
		!image_matches(history, entry, key))
	{
		warn(history, ERRCODE_MEDSYNC_LEDGER_CORRUPTED,
			 "The image of one of them is not what its entry commits to; medsync.verify() says which.");
		return false;
	}
	return true;
}

/* Decode the row in history->image as one manifest version has it. */
static ShownRow *
decode_image(History *history, const MedsyncRowReader *rows)
{
	ShownRow   *row = palloc0(sizeof(ShownRow));
	int			natts = Max(rows->desc->natts, 1);

	row->values = palloc(sizeof(Datum) * natts);
	row->isnull = palloc(sizeof(bool) * natts);
	if (medsync_row_decode(rows, history->image.data, history->image.len,
						   row->values, row->isnull))
		return row;
	warn(history, ERRCODE_MEDSYNC_LEDGER_CORRUPTED,
		 "The type of a column was changed, and does not fit the values that were recorded.");
	return NULL;
}

/* ---- versions of rows ---- */

/* An entry left a version: remember where its image is. */
static void
add_version(History *history, const MedsyncWalkEntry *item)
{
	RowVersion *version;
	bool		found;

	version = hash_search(history->versions, item->entry->new_commitment,
						  HASH_ENTER, &found);
	if (!found)
		version->count = 0;
	if (version->count++ == 0)
	{
		version->sequence = history->sequence++;
		version->ordinal = item->header->ordinal;
		version->nth = item->nth;
		version->tid = item->tid;
	}
	if (version->count == 0)
		hash_search(history->versions, item->entry->new_commitment,
					HASH_REMOVE, NULL);
}

/*
 * An entry ended a version.  One that ends before it begins is owed, and
 * cancels out later.
 */
static void
end_version(History *history, const uint8 *commitment)
{
	RowVersion *version;
	bool		found;

	version = hash_search(history->versions, commitment, HASH_ENTER, &found);
	if (!found)
		version->count = 0;
	if (--version->count == 0)
		hash_search(history->versions, commitment, HASH_REMOVE, NULL);
}

/* Copy a packed row of the journal into history->packed. */
static bool
fetch_packed_row(History *history, const RowVersion *version, uint64 *xid)
{
	TupleDesc	desc = RelationGetDescr(history->walk.journal);
	HeapTupleData tuple;
	Buffer		buffer;
	Datum		values[Natts_journal];
	bool		isnull[Natts_journal];

	tuple.t_self = version->tid;
	if (!heap_fetch(history->walk.journal, SnapshotAny, &tuple, &buffer, false))
		return false;
	heap_deform_tuple(&tuple, desc, values, isnull);
	resetStringInfo(&history->packed);
	if (!isnull[Anum_journal_body - 1])
	{
		bytea	   *body = DatumGetByteaPP(values[Anum_journal_body - 1]);

		*xid = U64FromFullTransactionId(DatumGetFullTransactionId(values[Anum_journal_xid - 1]));
		appendBinaryStringInfo(&history->packed, VARDATA_ANY(body),
							   VARSIZE_ANY_EXHDR(body));
	}
	ReleaseBuffer(buffer);
	return history->packed.len > 0;
}

/* The same for a packed row that our own transaction has not written yet. */
static bool
copy_pending_row(History *history, const RowVersion *version, uint64 *xid)
{
	ListCell   *cell;

	foreach(cell, history->walk.pending)
	{
		MedsyncPackedRow *row = lfirst(cell);

		if (row == NULL || row->ordinal != version->ordinal)
			continue;
		resetStringInfo(&history->packed);
		appendBinaryStringInfo(&history->packed, (char *) row->body, row->len);
		*xid = row->xid;
		return true;
	}
	return false;
}

/* Read the entry that left a version again, and open its image. */
static bool
reopen_version(History *history, const RowVersion *version,
			   MedsyncPackedReader *packed)
{
	bool		pending = !ItemPointerIsValid(&version->tid);
	uint64		xid = 0;
	int			i;

	if (!(pending ? copy_pending_row(history, version, &xid) :
		  fetch_packed_row(history, version, &xid)) ||
		!medsync_packed_open(packed, xid, version->ordinal,
							 (uint8 *) history->packed.data,
							 history->packed.len))
		ledger_is_damaged("A journal row changed while it was read.");
	for (i = 0; i <= version->nth; i++)
		if (!medsync_packed_next(packed))
			ledger_is_damaged("A journal row changed while it was read.");
	return open_image(history, &packed->header, &packed->entry);
}

/*
 * The row that an entry replaced or deleted, in the shape of the entry's own
 * manifest; that version lives no longer.  NULL when there is no image.
 */
static ShownRow *
take_old_row(History *history, const MedsyncEntry *entry,
			 const MedsyncRowReader *rows)
{
	RowVersion *version = hash_search(history->versions,
									  entry->old_commitment, HASH_FIND, NULL);
	MedsyncPackedReader packed;
	ShownRow   *row = NULL;

	if (version == NULL)
		return NULL;
	if (reopen_version(history, version, &packed))
		row = decode_image(history, rows);
	end_version(history, entry->old_commitment);
	return row;
}

/* ---- reading the ledger ---- */

/*
 * Hand out what no block holds yet, our own transaction's entries last.  What
 * came with a dump from elsewhere goes first, as it will in blocks: positions
 * in another server's WAL do not compare with ours.
 */
static void
read_unsealed(History *history, List *lines, MedsyncWalkCallback callback)
{
	MedsyncWalk *walk = &history->walk;
	int			pass;
	int64		i;

	history->index = -1;
	walk->xact_count = 0;
	medsync_walk_gather_unsealed(walk, lines, history->era);
	medsync_walk_gather_own(walk);
	medsync_walk_sort(walk);
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < walk->xact_count; i++)
		{
			MedsyncXact *xact = &walk->xacts[i];
			bool		ours = medsync_era_same_line(xact->era, history->era);

			if (ours == (pass == 1))
				medsync_walk_emit(walk, xact, callback, history);
		}
}

/* Collect the transactions of a block, in its order; the sealer's is last. */
static void
gather_block(MedsyncWalk *walk, List *lines, const MedsyncEra *era,
			 const MedsyncBlock *block)
{
	MedsyncLine *line = medsync_line_of(lines, era);
	const MedsyncXidSet *since = NULL;
	uint64		skip_xid = 0;

	if (line != NULL && !medsync_line_same_call(line, block))
	{
		since = &line->last;
		skip_xid = line->last_sealer;
	}
	else if (line != NULL && line->has_before)
	{
		since = &line->before;
		skip_xid = line->before_sealer;
	}
	walk->xact_count = 0;
	medsync_walk_gather(walk, era, since, &block->xids, skip_xid);
	medsync_walk_sort(walk);
	/* what is finished is another line's transaction of that number */
	if (!medsync_xid_finished(&block->xids, block->sealer_xid) &&
		(since == NULL || !medsync_xid_finished(since, block->sealer_xid)))
		(void) medsync_walk_find_xact(walk, block->sealer_xid, era);
}

static void
read_block(History *history, List *lines, const MedsyncEra *era,
		   const MedsyncBlock *block, MedsyncWalkCallback callback)
{
	MedsyncWalk *walk = &history->walk;
	int64		i;

	gather_block(walk, lines, era, block);
	history->index = history->block_first = block->first_index;
	history->block_end = block->first_index + block->entry_count;
	history->block = block->height;
	for (i = 0; i < walk->xact_count; i++)
		if (walk->xacts[i].era == era)
			medsync_walk_emit(walk, &walk->xacts[i], callback, history);
	/* of a block that we are making ourselves, our own entries come later */
	if (history->index != history->block_end &&
		block->sealer_xid != walk->own_xid)
		ledger_is_damaged("Sealed entries are missing, or there are too many.");
}

/* Hand out all entries of the ledger in its order. */
static void
read_ledger(History *history, MedsyncWalkCallback callback)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	List	   *lines = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_block_pkey", history->walk.snapshot, 0,
					   NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncBlock block;
		MedsyncEra *era;

		if (!medsync_block_read(tuple, RelationGetDescr(heap), &block))
			ledger_is_damaged("A block is malformed.");
		era = medsync_era_by_number(history->walk.eras, block.era);
		if (era == NULL)
			ledger_is_damaged("The era of a block is unknown.");
		read_block(history, lines, era, &block, callback);
		lines = medsync_line_advance(lines, era, &block);
		pfree(block.snapshot);	/* the line keeps what it says, parsed */
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	read_unsealed(history, lines, callback);
}

/* Find the block that holds an index, unless it is the one found last. */
static void
find_block(History *history, int64 index)
{
	MedsyncBlock block;

	if (index >= history->block_first && index < history->block_end)
		return;
	if (!medsync_block_of_index(&history->walk, index, &block))
		ledger_is_damaged("A block is missing or malformed.");
	history->block = block.height;
	history->block_first = block.first_index;
	history->block_end = block.first_index + block.entry_count;
}

/* ---- rows of history() ---- */

/* Does an entry belong to what was asked for?  A ddl entry is no row's. */
static bool
entry_is_wanted(const History *history, const HistoryTable *table,
				const MedsyncEntry *entry)
{
	if (entry->operation == MEDSYNC_OP_DDL)
		return false;
	if (history->by_key)
		return table->looked_up &&
			(entry->fields & MEDSYNC_HAS_ROW_KEY) != 0 &&
			memcmp(entry->row_key, table->row_key, MEDSYNC_ID_SIZE) == 0;
	return true;
}

/* Do two rows print differently in this column? */
static bool
column_differs(Jsonb *old_row, Jsonb *new_row, const char *name)
{
	JsonbValue	old_value;
	JsonbValue	new_value;
	Jsonb	   *a;
	Jsonb	   *b;

	if (getKeyJsonValueFromContainer(&old_row->root, name, strlen(name),
									 &old_value) == NULL ||
		getKeyJsonValueFromContainer(&new_row->root, name, strlen(name),
									 &new_value) == NULL)
		return true;
	a = JsonbValueToJsonb(&old_value);
	b = JsonbValueToJsonb(&new_value);
	return VARSIZE(a) != VARSIZE(b) || memcmp(a, b, VARSIZE(a)) != 0;
}

/* The names of the columns that an update changed, in the table's order. */
static ArrayType *
changed_columns(TupleDesc desc, const ShownRow *old_row,
				const ShownRow *new_row)
{
	Datum	   *names = palloc(sizeof(Datum) * Max(desc->natts, 1));
	int			count = 0;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (column_differs(old_row->json, new_row->json, name))
			names[count++] = CStringGetTextDatum(name);
	}
	return construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/* What an entry says by itself, without its images. */
static void
put_facts(History *history, const MedsyncWalkEntry *item, int64 index,
		  Datum *values, bool *isnull)
{
	const MedsyncEntry *entry = item->entry;
	const char *operation = medsync_operation_name(entry->operation);

	memset(isnull, true, sizeof(bool) * HISTORY_COLUMNS);
	if (index >= 0)
	{
		find_block(history, index);
		values[HISTORY_ENTRY_INDEX] = Int64GetDatum(index);
		values[HISTORY_BLOCK] = Int64GetDatum(history->block);
		isnull[HISTORY_ENTRY_INDEX] = isnull[HISTORY_BLOCK] = false;
	}
	values[HISTORY_AT] = TimestampTzGetDatum(item->xact->time);
	values[HISTORY_OPERATION] =
		CStringGetTextDatum(operation ? operation : "unknown");
	values[HISTORY_ROLE] =
		PointerGetDatum(cstring_to_text_with_len(entry->role, entry->role_len));
	isnull[HISTORY_AT] = isnull[HISTORY_OPERATION] = isnull[HISTORY_ROLE] =
		false;
	if (entry->fields & MEDSYNC_HAS_PERSON)
	{
		values[HISTORY_ACTOR] =
			CStringGetTextDatum(medsync_id_text(entry->person));
		isnull[HISTORY_ACTOR] = false;
	}
}

static void
put_jsonb(Datum *values, bool *isnull, int column, Jsonb *json)
{
	if (json == NULL)
		return;
	values[column] = JsonbPGetDatum(json);
	isnull[column] = false;
}

/* What an entry's images show. */
static void
put_rows(const MedsyncEntry *entry, const MedsyncRowReader *rows,
		 ShownRow *old_row, ShownRow *new_row, Datum *values, bool *isnull)
{
	const ShownRow *row = new_row ? new_row : old_row;

	if (row == NULL)
		return;
	if (entry->fields & MEDSYNC_HAS_ROW_KEY)
		put_jsonb(values, isnull, HISTORY_ROW_KEY,
				  medsync_row_key_to_jsonb(rows, row->values, row->isnull));
	if (old_row != NULL)
		old_row->json = medsync_row_to_jsonb(rows->desc, old_row->values,
											 old_row->isnull);
	if (new_row != NULL)
		new_row->json = medsync_row_to_jsonb(rows->desc, new_row->values,
											 new_row->isnull);
	put_jsonb(values, isnull, HISTORY_OLD_ROW, old_row ? old_row->json : NULL);
	put_jsonb(values, isnull, HISTORY_NEW_ROW, new_row ? new_row->json : NULL);
	if (entry->operation == MEDSYNC_OP_UPDATE && old_row && new_row)
	{
		values[HISTORY_CHANGED_COLUMNS] =
			PointerGetDatum(changed_columns(rows->desc, old_row, new_row));
		isnull[HISTORY_CHANGED_COLUMNS] = false;
	}
}

/* Return one entry as a row of history(). */
static void
show_entry(History *history, HistoryTable *table, const MedsyncWalkEntry *item,
		   int64 index)
{
	const MedsyncEntry *entry = item->entry;
	ShownRow   *old_row = NULL;
	ShownRow   *new_row = NULL;
	MedsyncRowReader *rows = NULL;
	Datum		values[HISTORY_COLUMNS];
	bool		isnull[HISTORY_COLUMNS];

	put_facts(history, item, index, values, isnull);
	if (entry->fields & (MEDSYNC_HAS_OLD | MEDSYNC_HAS_NEW))
		rows = version_reader(history, table, entry->manifest)->rows;
	if (entry->fields & MEDSYNC_HAS_OLD)
		old_row = take_old_row(history, entry, rows);
	if (has_image(entry))
	{
		if (open_image(history, item->header, entry))
			new_row = decode_image(history, rows);
		add_version(history, item);
	}
	put_rows(entry, rows, old_row, new_row, values, isnull);
	tuplestore_putvalues(history->result->setResult, history->result->setDesc,
						 values, isnull);
}

/* Called for every entry that is read. */
static void
history_entry(void *arg, const MedsyncWalkEntry *item)
{
	History    *history = arg;
	HistoryTable *table = find_table(history, item->entry->table);
	int64		index = history->index;
	MemoryContext oldcontext;

	CHECK_FOR_INTERRUPTS();
	if (index >= 0)
		history->index++;
	if (table == NULL || !entry_is_wanted(history, table, item->entry))
		return;
	oldcontext = MemoryContextSwitchTo(history->scratch);
	show_entry(history, table, item, index);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(history->scratch);
}

/* ---- the history of one row ---- */

/* The caller's object must name every column of the key, and nothing else. */
static void
check_key_members(History *history, const MedsyncManifest *latest, Jsonb *key)
{
	const char *name = RelationGetRelationName(history->rel);
	uint32		wanted = 0;
	int			i;

	if (latest->key_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key", name),
				 errhint("Leave the key out and select from the history of all rows.")));
	if (!JB_ROOT_IS_OBJECT(key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must be a JSON object"),
				 errhint("Its members are the columns of the primary key.")));
	for (i = 0; i < latest->column_count; i++)
	{
		const MedsyncColumn *column = &latest->columns[i];
		JsonbValue	value;

		if (!medsync_manifest_is_key(latest, column->number))
			continue;
		wanted++;
		if (getKeyJsonValueFromContainer(&key->root, column->name,
										 strlen(column->name), &value) == NULL ||
			value.type == jbvNull)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("key has no value for column \"%s\"",
							column->name),
					 errdetail("It is part of the primary key of table \"%s\".",
							   name)));
	}
	if (JB_ROOT_COUNT(key) > wanted)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key has members that are not in the primary key of table \"%s\"",
						name),
				 errhint("A row is looked up by the columns of the primary key only.")));
}

/* Turn a JSON object into a record: the inverse of to_jsonb(). */
static void
record_from_jsonb(TupleDesc desc, Jsonb *json, Datum *values, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo	function;
	HeapTupleHeader header;
	HeapTupleData tuple;
	List	   *arguments;
	Datum		result;

	BlessTupleDesc(desc);
	memset(isnull, true, sizeof(bool) * desc->natts);
	arguments = list_make2(makeNullConst(RECORDOID, -1, InvalidOid),
						   makeNullConst(JSONBOID, -1, InvalidOid));
	fmgr_info(F_JSONB_POPULATE_RECORD, &function);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, RECORDOID,
											 arguments, InvalidOid, InvalidOid,
											 COERCE_EXPLICIT_CALL),
					   &function);
	InitFunctionCallInfoData(*fcinfo, &function, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value =
		HeapTupleGetDatum(heap_form_tuple(desc, values, isnull));
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = JsonbPGetDatum(json);
	fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	header = DatumGetHeapTupleHeader(result);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, isnull);
}

/* The canonical row of the key's columns alone; false when one is NULL. */
static bool
encode_key(const MedsyncRowReader *rows, Jsonb *key, MedsyncSink *sink)
{
	Datum		values[INDEX_MAX_KEYS] = {0};
	bool		isnull[INDEX_MAX_KEYS];
	int			i;

	record_from_jsonb(rows->key_desc, key, values, isnull);
	for (i = 0; i < rows->column_count; i++)
	{
		const MedsyncReaderColumn *column = &rows->columns[i];
		uint8		prefix[5];
		int			nth = 0;

		while (nth < rows->key_desc->natts &&
			   rows->key_places[nth] != column->place)
			nth++;
		if (nth == rows->key_desc->natts)
			continue;
		if (isnull[nth] || column->codec == NULL)
			return false;
		medsync_sink_put(sink, prefix,
						 medsync_wire_encode_varint(prefix, column->number));
		medsync_canonical_put(sink, column->codec, values[nth]);
	}
	return true;
}

/*
 * Work out which row key the row has in one table.  It is a pseudonym under
 * the table's own key: without that one nothing can be found.
 */
static void
set_row_key(History *history, HistoryTable *table, Jsonb *key)
{
	const MedsyncRowReader *rows =
		version_reader(history, table, table->latest->version)->rows;
	const MedsyncSubjectKey *table_key;
	MedsyncHmacKey label;
	MedsyncKeyStatus status;
	MedsyncSink sink = {0};
	uint8		number[4];

	if (rows->key_desc == NULL || table->latest->partitioned)
		return;
	initStringInfo(&sink.buf);
	if (!encode_key(rows, key, &sink))
		return;
	medsync_wire_store_u32(number, table->number);
	status = medsync_key_reader_by_subject(history->keys, MEDSYNC_SUBJECT_TABLE,
										   number, sizeof(number), &table_key);
	if (status != MEDSYNC_KEY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("cannot look up rows of table \"%s\"",
						table->latest->table_name),
				 errdetail_internal("Its own key: %s.",
									medsync_vault_status_text(status))));
	medsync_vault_label_key(table_key, &label);
	medsync_row_key(&label, sink.buf.data, sink.buf.len, table->row_key);
	medsync_cleanse(&label, sizeof(label));
	table->looked_up = true;
}

static int
compare_indexes(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* The indexes that the look-ups of full segments give, ascending. */
static int64 *
find_indexes(History *history, int64 size, int64 *count)
{
	int64	   *indexes = NULL;
	ListCell   *cell;

	*count = 0;
	foreach(cell, history->tables)
	{
		HistoryTable *table = lfirst(cell);
		int64	   *found;
		int64		found_count;

		if (!table->looked_up)
			continue;
		found = medsync_lookup_find(history->walk.snapshot, MEDSYNC_LOOKUP_ROW,
									table->row_key, size, &found_count);
		if (found_count == 0)
			continue;
		if (indexes == NULL)
			indexes = palloc(sizeof(int64) * found_count);
		else
			indexes = repalloc_huge(indexes,
									sizeof(int64) * (*count + found_count));
		memcpy(indexes + *count, found, sizeof(int64) * found_count);
		*count += found_count;
		pfree(found);
	}
	if (*count > 1)
		qsort(indexes, *count, sizeof(int64), compare_indexes);
	return indexes;
}

static void
read_sealed(History *history, int64 index, int64 count,
			MedsyncWalkCallback callback)
{
	history->index = index;
	if (!medsync_order_read(&history->walk, index, count, callback, history))
		ledger_is_damaged("Sealed entries are missing.");
}

/*
 * Hand out the entries of one row: those that the look-ups of full segments
 * name, and out of the rest those that carry its key.
 */
static void
read_row(History *history, Jsonb *key, MedsyncWalkCallback callback)
{
	MedsyncBlock *last = medsync_block_last(history->walk.snapshot);
	int64		size = last ? last->first_index + last->entry_count : 0;
	int64		tail = size - size % MEDSYNC_SEGMENT;
	int64	   *indexes;
	int64		count;
	int64		i;
	ListCell   *cell;

	check_key_members(history,
					  ((HistoryTable *) linitial(history->tables))->latest, key);
	foreach(cell, history->tables)
		set_row_key(history, lfirst(cell), key);
	indexes = find_indexes(history, size, &count);
	for (i = 0; i < count; i++)
		if (i == 0 || indexes[i] != indexes[i - 1])
			read_sealed(history, indexes[i], 1, callback);
	read_sealed(history, tail, size - tail, callback);
	read_unsealed(history, medsync_lines(&history->walk, history->era),
				  callback);
}

/* medsync.history() */
Datum
medsync_history(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext oldcontext;
	MedsyncIdentity caller;
	History    *history;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "medsync history",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	history = begin_history(PG_GETARG_OID(0));
	history->result = (ReturnSetInfo *) fcinfo->resultinfo;
	history->by_key = !PG_ARGISNULL(1);
	medsync_act_as_table_owner(history->rel, &caller);
	if (history->by_key)
		read_row(history, PG_GETARG_JSONB_P(1), history_entry);
	else
		read_ledger(history, history_entry);
	medsync_act_as_caller(&caller);
	end_history(history);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* ---- the newest entry of one row, for other rooms ---- */

/* Called for every entry that is read: the last one of the row stays. */
static void
note_newest(void *arg, const MedsyncWalkEntry *item)
{
	History    *history = arg;
	HistoryTable *table = find_table(history, item->entry->table);
	int64		index = history->index;

	CHECK_FOR_INTERRUPTS();
	if (index >= 0)
		history->index++;
	if (table == NULL || !entry_is_wanted(history, table, item->entry))
		return;
	history->newest->found = true;
	history->newest->index = index;
}

/*
 * Which entry is the newest of a row?  The caller's rights are checked as
 * for history().
 */
void
medsync_history_newest(Oid relid, Jsonb *key, MedsyncNewestEntry *newest)
{
	MedsyncIdentity caller;
	History    *history = begin_history(relid);

	memset(newest, 0, sizeof(MedsyncNewestEntry));
	history->by_key = true;
	history->newest = newest;
	medsync_act_as_table_owner(history->rel, &caller);
	read_row(history, key, note_newest);
	medsync_act_as_caller(&caller);
	end_history(history);
}

/* ---- entries that name a signature, for other rooms ---- */

/* Hand one out, with the row that was signed if there is an image. */
static void
hand_out(History *history, HistoryTable *table, const MedsyncWalkEntry *item,
		 int64 index)
{
	const MedsyncEntry *entry = item->entry;
	MedsyncSignedEntry out = {.index = index,.block = -1,.at = item->xact->time};

	out.entry = entry;
	out.manifest = table->latest;
	if (index >= 0)
	{
		find_block(history, index);
		out.block = history->block;
	}
	if (has_image(entry) && open_image(history, item->header, entry))
	{
		const MedsyncRowReader *rows =
			version_reader(history, table, entry->manifest)->rows;
		ShownRow   *row = decode_image(history, rows);

		out.row = history->image.data;
		out.row_len = history->image.len;
		if (row != NULL && (entry->fields & MEDSYNC_HAS_ROW_KEY) != 0)
			out.row_key = medsync_row_key_to_jsonb(rows, row->values,
												   row->isnull);
	}
	history->callback(history->callback_arg, &out);
}

/* Called for every entry that is read. */
static void
signed_entry(void *arg, const MedsyncWalkEntry *item)
{
	History    *history = arg;
	HistoryTable *table = find_table(history, item->entry->table);
	int64		index = history->index;
	MemoryContext oldcontext;

	CHECK_FOR_INTERRUPTS();
	if (index >= 0)
		history->index++;
	if (table == NULL || !entry_is_wanted(history, table, item->entry) ||
		(item->entry->fields & MEDSYNC_HAS_SIGNATURE) == 0)
		return;
	oldcontext = MemoryContextSwitchTo(history->scratch);
	hand_out(history, table, item, index);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(history->scratch);
}

/*
 * Hand out the entries of a relation, or with a key of one row, that name a
 * signature.  The caller's rights are checked as for history(); the callback
 * runs as the table's owner, in a context that is reset after it.
 */
void
medsync_history_signed(Oid relid, Jsonb *key,
					   MedsyncSignedEntryCallback callback, void *arg)
{
	MedsyncIdentity caller;
	History    *history = begin_history(relid);

	history->by_key = key != NULL;
	history->callback = callback;
	history->callback_arg = arg;
	medsync_act_as_table_owner(history->rel, &caller);
	if (history->by_key)
		read_row(history, key, signed_entry);
	else
		read_ledger(history, signed_entry);
	medsync_act_as_caller(&caller);
	end_history(history);
}

/* ---- as_of() ---- */

/* Called for every entry: keep count of the versions that live. */
static void
replay_entry(void *arg, const MedsyncWalkEntry *item)
{
	History    *history = arg;
	const MedsyncEntry *entry = item->entry;

	CHECK_FOR_INTERRUPTS();
	if (history->index >= 0)
		history->index++;
	if (find_table(history, entry->table) == NULL ||
		item->xact->time > history->until)
		return;
	if (entry->fields & MEDSYNC_HAS_OLD)
		end_version(history, entry->old_commitment);
	if (entry->fields & MEDSYNC_HAS_NEW)
		add_version(history, item);
}

/* Where the columns of a reader stand in the result. */
static int *
find_targets(History *history, const MedsyncRowReader *rows)
{
	TupleDesc	desc = history->result->setDesc;
	int		   *targets = MemoryContextAlloc(history->context,
											 sizeof(int) * Max(rows->desc->natts, 1));
	int			i;

	for (i = 0; i < rows->desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(rows->desc, i)->attname);
		int			j;

		targets[i] = -1;
		for (j = 0; j < desc->natts; j++)
			if (!TupleDescAttr(desc, j)->attisdropped &&
				strcmp(NameStr(TupleDescAttr(desc, j)->attname), name) == 0)
				targets[i] = j;
	}
	return targets;
}

/* A value as the column of today has it: by way of its text if need be. */
static Datum
convert_value(Datum value, Form_pg_attribute from, Form_pg_attribute to)
{
	Oid			output;
	Oid			input;
	Oid			ioparam;
	bool		is_varlena;

	if (from->atttypid == to->atttypid)
		return value;
	getTypeOutputInfo(from->atttypid, &output, &is_varlena);
	getTypeInputInfo(to->atttypid, &input, &ioparam);
	return OidInputFunctionCall(input, OidOutputFunctionCall(output, value),
								ioparam, to->atttypmod);
}

/* Return the row of a version, as often as it lives. */
static void
put_version(History *history, const RowVersion *version)
{
	TupleDesc	desc = history->result->setDesc;
	Datum	   *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	MedsyncPackedReader packed;
	VersionReader *reader;
	ShownRow   *row;
	int			i;

	if (!reopen_version(history, version, &packed))
		return;
	reader = version_reader(history, find_table(history, packed.entry.table),
							packed.entry.manifest);
	if (reader->targets == NULL)
		reader->targets = find_targets(history, reader->rows);
	row = decode_image(history, reader->rows);
	if (row == NULL)
		return;
	memset(isnull, true, sizeof(bool) * desc->natts);
	for (i = 0; i < reader->rows->desc->natts; i++)
	{
		int			target = reader->targets[i];

		if (target < 0 || row->isnull[i])
			continue;
		values[target] = convert_value(row->values[i],
									   TupleDescAttr(reader->rows->desc, i),
									   TupleDescAttr(desc, target));
		isnull[target] = false;
	}
	for (i = 0; i < version->count; i++)
		tuplestore_putvalues(history->result->setResult, desc, values, isnull);
}

static int
compare_versions(const void *a, const void *b)
{
	return compare_indexes(&(*(RowVersion *const *) a)->sequence,
						   &(*(RowVersion *const *) b)->sequence);
}

/* Return the rows that live, in the order in which they came to. */
static void
put_versions(History *history)
{
	int64		count = 0;
	RowVersion **versions;
	RowVersion *version;
	HASH_SEQ_STATUS status;
	int64		i;

	versions = MemoryContextAllocHuge(history->context, sizeof(RowVersion *) *
									  (hash_get_num_entries(history->versions) + 1));
	hash_seq_init(&status, history->versions);
	while ((version = hash_seq_search(&status)) != NULL)
		if (version->count > 0)
			versions[count++] = version;
	qsort(versions, count, sizeof(RowVersion *), compare_versions);
	for (i = 0; i < count; i++)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(history->scratch);

		CHECK_FOR_INTERRUPTS();
		put_version(history, versions[i]);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(history->scratch);
	}
}

/* The table whose row type the first argument has. */
static Oid
argument_table(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the first argument must have the row type of a table"),
				 errhint("Call it as medsync.as_of(NULL::schema.table, time).")));
	return relid;
}

/* Commitments alone bring no row back. */
static void
require_images(const History *history)
{
	const HistoryTable *table = linitial(history->tables);

	if (!table->latest->full)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the rows of table \"%s\" are not stored in the ledger",
						RelationGetRelationName(history->rel)),
				 errdetail("It is tracked with payload \"hash\"."),
				 errhint("Only tables tracked with payload \"full\" can be read as of a time.")));
}

/* medsync.as_of() */
Datum
medsync_as_of(PG_FUNCTION_ARGS)
{
	Oid			relid = argument_table(fcinfo);
	MemoryContext context;
	MemoryContext oldcontext;
	MedsyncIdentity caller;
	History    *history;

	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "medsync as of",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	history = begin_history(relid);
	require_images(history);
	history->result = (ReturnSetInfo *) fcinfo->resultinfo;
	if (!PG_ARGISNULL(1))
	{
		history->until = PG_GETARG_TIMESTAMPTZ(1);
		medsync_act_as_table_owner(history->rel, &caller);
		read_ledger(history, replay_entry);
		put_versions(history);
		medsync_act_as_caller(&caller);
	}
	end_history(history);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return (Datum) 0;
}
