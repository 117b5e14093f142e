/*-------------------------------------------------------------------------
 *
 * ledger.c
 *		The ledger's identity and its eras.
 *
 * Stored are _ledger, one row that the first track() makes, and _era, one
 * row for each era that the sealer, or track(), has met.  An era is a stretch of time in which
 * one database of one cluster, on one timeline, wrote: its id is the first
 * half of SHA-256(ledger id || system identifier || timeline || database).
 * Nobody has to announce one.  _era is written under the seal lock.
 *
 * The writers' copy of the ledger's id and keys lives for the session and
 * falls when the _ledger table is dropped.  The current era is worked out
 * anew whenever the timeline changed, never across a promotion.
 *
 * Lock order: registration lock, then locks on user tables, then the seal
 * lock.  Both are held to the end of the transaction, and no writer ever
 * takes either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "vault/vault.h"

enum
{
	Anum_ledger_id = 1,
	Anum_ledger_created_at,
	Natts_ledger = 2
};

enum
{
	Anum_era_number = 1,
	Anum_era_id,
	Anum_era_system_identifier,
	Anum_era_timeline,
	Anum_era_database_oid,
	Natts_era = 5
};

/* The columns of the room's tables */
static const MedsyncShape ledger_shapes[] = {
	{"_ledger", true, Natts_ledger, {BYTEAOID, TIMESTAMPTZOID}},
	{"_era", true, Natts_era, {INT4OID, BYTEAOID, INT8OID, INT4OID, INT8OID}},
	{"_table", true, 5, {INT4OID, TEXTOID, TEXTOID, INT4OID, BOOLOID}},
	{"_manifest", true, 3, {INT4OID, INT4OID, TEXTOID}},
	{"_journal", true, 3, {XID8OID, INT8OID, BYTEAOID}},
	{"_image", true, 3, {BYTEAOID, INT4OID, BYTEAOID}},
	{"_block", true, 10, {INT8OID, INT4OID, BYTEAOID, INT8OID, INT8OID, BYTEAOID,
	PG_SNAPSHOTOID, XID8OID, TIMESTAMPTZOID, BYTEAOID}},
	{"_block_order", true, 2, {INT8OID, BYTEAOID}},
	{"_tile", true, 3, {INT4OID, INT8OID, BYTEAOID}},
	{"_lookup", true, 4, {CHAROID, INT8OID, INT4OID, BYTEAOID}},
	{NULL}
};

/* The session's copy of what every flush needs */
static struct
{
	bool		valid;
	Oid			relid;			/* of _ledger */
	uint8		id[MEDSYNC_ID_SIZE];
	MedsyncHmacKey seed_key;
	MedsyncEra	era;			/* number is set once it is known committed */
	bool		era_valid;
} ledger_cache;

static void
invalidate_ledger(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == ledger_cache.relid)
		ledger_cache.valid = ledger_cache.era_valid = false;
}

void
medsync_ledger_init(void)
{
	medsync_shapes_register(ledger_shapes);
	CacheRegisterRelcacheCallback(invalidate_ledger, (Datum) 0);
	medsync_journal_init();
	medsync_capture_init();
	medsync_track_init();
	medsync_worker_init();
}

static bool
acquire_lock(MedsyncLock what, bool dont_wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   medsync_relation_oid("_ledger"), what);
	return LockAcquire(&tag, ExclusiveLock, false, dont_wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/* Take one of the ledger's locks, to the end of the transaction. */
void
medsync_ledger_lock(MedsyncLock what)
{
	(void) acquire_lock(what, false);
}

/* The same, unless somebody has it. */
bool
medsync_ledger_try_lock(MedsyncLock what)
{
	return acquire_lock(what, true);
}

/* Give a lock back early: nothing was done under it. */
void
medsync_ledger_unlock(MedsyncLock what)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   medsync_relation_oid("_ledger"), what);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

/* Does our own transaction have it? */
bool
medsync_ledger_lock_held(MedsyncLock what)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   medsync_relation_oid("_ledger"), what);
	return LockHeldByMe(&tag, ExclusiveLock);
}

/* Read the ledger's row as it stands now; false when there is none. */
bool
medsync_ledger_read(uint8 *id, TimestampTz *created_at)
{
	Relation	heap = medsync_open("_ledger", AccessShareLock);
	bool		found = false;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_ledger];
		bool		isnull[Natts_ledger];
		bytea	   *stored;

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		if (isnull[0] || isnull[1])
			continue;
		stored = DatumGetByteaPP(values[Anum_ledger_id - 1]);
		if (VARSIZE_ANY_EXHDR(stored) != MEDSYNC_ID_SIZE)
			continue;
		memcpy(id, VARDATA_ANY(stored), MEDSYNC_ID_SIZE);
		*created_at = DatumGetTimestampTz(values[Anum_ledger_created_at - 1]);
		found = true;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return found;
}

/* Make the ledger if there is none; the caller holds the registration lock. */
void
medsync_ledger_create(void)
{
	uint8		id[MEDSYNC_ID_SIZE];
	Datum		values[Natts_ledger];
	bool		isnull[Natts_ledger] = {0};
	TimestampTz created_at;
	Relation	heap;

	if (medsync_ledger_read(id, &created_at))
		return;
	medsync_vault_create();
	medsync_random(id, sizeof(id));
	values[Anum_ledger_id - 1] =
		PointerGetDatum(medsync_make_bytea(id, MEDSYNC_ID_SIZE));
	values[Anum_ledger_created_at - 1] =
		TimestampTzGetDatum(GetCurrentTimestamp());

	heap = medsync_open("_ledger", RowExclusiveLock);
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap),
											 values, isnull));
	/* no session may go on with an id that an abort takes away */
	CacheInvalidateRelcache(heap);
	table_close(heap, RowExclusiveLock);
	CommandCounterIncrement();
}

static void
load_ledger(void)
{
	TimestampTz created_at;
	uint8		seed_key[MEDSYNC_KEY_SIZE];

	ledger_cache.relid = medsync_relation_oid("_ledger");
	if (!medsync_ledger_read(ledger_cache.id, &created_at))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger has no identity"),
				 errdetail("Table medsync._ledger is empty.")));
	medsync_vault_root_key("seal", seed_key);
	medsync_hmac_key(&ledger_cache.seed_key, seed_key, sizeof(seed_key));
	medsync_cleanse(seed_key, sizeof(seed_key));
	ledger_cache.era_valid = false;
	ledger_cache.valid = true;
}

/* The ledger's id, 16 bytes. */
const uint8 *
medsync_ledger_id(void)
{
	if (!ledger_cache.valid)
		load_ledger();
	return ledger_cache.id;
}

/* The key under which seeds of packed rows are made. */
const MedsyncHmacKey *
medsync_ledger_seed_key(void)
{
	if (!ledger_cache.valid)
		load_ledger();
	return &ledger_cache.seed_key;
}

/* Fill in an era's id from what it stands for. */
void
medsync_era_compute_id(const uint8 *ledger_id, MedsyncEra *era)
{
	uint8		input[MEDSYNC_ID_SIZE + 16];
	uint8		digest[MEDSYNC_HASH_SIZE];

	memcpy(input, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_store_u64(input + MEDSYNC_ID_SIZE, era->system_identifier);
	medsync_wire_store_u32(input + MEDSYNC_ID_SIZE + 8, era->timeline);
	medsync_wire_store_u32(input + MEDSYNC_ID_SIZE + 12, era->database);
	medsync_sha256(input, sizeof(input), digest);
	memcpy(era->id, digest, MEDSYNC_ID_SIZE);
}

/* The timeline that the WAL of this server is on, also on a standby. */
static TimeLineID
newest_timeline(void)
{
	TimeLineID	timeline;

	if (!RecoveryInProgress())
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
}

/*
 * An era of which only the id is known, because no block was made in it, may
 * be one of this database before a promotion.  Find out which.
 */
void
medsync_era_identify(MedsyncEra *era)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	MedsyncEra	candidate;

	if (!medsync_ledger_read(ledger_id, &created_at))
		return;
	medsync_era_current(ledger_id, &candidate);
	for (candidate.timeline = newest_timeline(); candidate.timeline > 0;
		 candidate.timeline--)
	{
		medsync_era_compute_id(ledger_id, &candidate);
		if (memcmp(candidate.id, era->id, MEDSYNC_ID_SIZE) == 0)
		{
			*era = candidate;
			return;
		}
	}
}

/* The era in which this database writes now; its number is left at 0. */
void
medsync_era_current(const uint8 *ledger_id, MedsyncEra *era)
{
	era->number = 0;
	era->known = true;
	era->system_identifier = GetSystemIdentifier();
	era->timeline = newest_timeline();
	era->database = MyDatabaseId;
	medsync_era_compute_id(ledger_id, era);
}

/* All eras, by number; rows that make no sense are passed over. */
List *
medsync_eras(void)
{
	Relation	heap = medsync_open("_era", AccessShareLock);
	List	   *result = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_era_pkey", SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncEra *era = palloc0(sizeof(MedsyncEra));
		Datum		values[Natts_era];
		bool		isnull[Natts_era];
		bytea	   *id;

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		if (isnull[Anum_era_id - 1])
			continue;
		id = DatumGetByteaPP(values[Anum_era_id - 1]);
		if (VARSIZE_ANY_EXHDR(id) != MEDSYNC_ID_SIZE)
			continue;
		memcpy(era->id, VARDATA_ANY(id), MEDSYNC_ID_SIZE);
		era->number = DatumGetInt32(values[Anum_era_number - 1]);
		/* a number that was made too large to be one is not read as another */
		if (!isnull[Anum_era_database_oid - 1] &&
			(uint64) DatumGetInt64(values[Anum_era_database_oid - 1]) > PG_UINT32_MAX)
			continue;
		era->known = !isnull[Anum_era_system_identifier - 1] &&
			!isnull[Anum_era_timeline - 1] &&
			!isnull[Anum_era_database_oid - 1];
		if (era->known)
		{
			era->system_identifier = (uint64)
				DatumGetInt64(values[Anum_era_system_identifier - 1]);
			era->timeline = (uint32)
				DatumGetInt32(values[Anum_era_timeline - 1]);
			era->database = (Oid)
				DatumGetInt64(values[Anum_era_database_oid - 1]);
		}
		result = lappend(result, era);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

MedsyncEra *
medsync_era_find(List *eras, const uint8 *id)
{
	ListCell   *cell;

	foreach(cell, eras)
	{
		MedsyncEra *era = lfirst(cell);

		if (memcmp(era->id, id, MEDSYNC_ID_SIZE) == 0)
			return era;
	}
	return NULL;
}

MedsyncEra *
medsync_era_by_number(List *eras, uint64 number)
{
	ListCell   *cell;

	foreach(cell, eras)
	{
		MedsyncEra *era = lfirst(cell);

		if ((uint64) era->number == number)
			return era;
	}
	return NULL;
}

/*
 * Do two eras share one row of transaction ids?  They do in one database of
 * one cluster, whatever the timeline.  Of an era that came with a dump
 * before it was ever sealed nothing but the id is known: it stands alone.
 */
bool
medsync_era_same_line(const MedsyncEra *a, const MedsyncEra *b)
{
	if (a->known && b->known)
		return a->system_identifier == b->system_identifier &&
			a->database == b->database;
	return memcmp(a->id, b->id, MEDSYNC_ID_SIZE) == 0;
}

/* Store an era under the next free number; the caller holds the seal lock. */
void
medsync_era_store(MedsyncEra *era)
{
	Relation	heap = medsync_open("_era", RowExclusiveLock);
	Datum		values[Natts_era] = {0};
	bool		isnull[Natts_era] = {0};
	ListCell   *cell;

	era->number = 1;
	foreach(cell, medsync_eras())
		era->number = Max(era->number,
						  ((MedsyncEra *) lfirst(cell))->number + 1);
	values[Anum_era_number - 1] = Int32GetDatum(era->number);
	values[Anum_era_id - 1] =
		PointerGetDatum(medsync_make_bytea(era->id, MEDSYNC_ID_SIZE));
	isnull[Anum_era_system_identifier - 1] = !era->known;
	isnull[Anum_era_timeline - 1] = !era->known;
	isnull[Anum_era_database_oid - 1] = !era->known;
	if (era->known)
	{
		values[Anum_era_system_identifier - 1] =
			Int64GetDatum((int64) era->system_identifier);
		values[Anum_era_timeline - 1] = Int32GetDatum((int32) era->timeline);
		values[Anum_era_database_oid - 1] =
			Int64GetDatum((int64) era->database);
	}
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap),
											 values, isnull));
	table_close(heap, RowExclusiveLock);
	/* no session may go on with a number that an abort takes away */
	CacheInvalidateRelcacheByRelid(medsync_relation_oid("_ledger"));
	CommandCounterIncrement();
}

/*
 * Number the current era, if nobody has yet: packed rows are shorter for it.
 * The sealer would, but a first track() comes before any block.
 */
void
medsync_era_announce(void)
{
	MedsyncEra	era;

	medsync_era_current(medsync_ledger_id(), &era);
	if (medsync_era_find(medsync_eras(), era.id) != NULL)
		return;
	medsync_ledger_lock(MEDSYNC_LOCK_SEAL);
	if (medsync_era_find(medsync_eras(), era.id) == NULL)
		medsync_era_store(&era);
}

/*
 * Say in a packed row's header in which era it is written: by number once
 * the era's row is committed, which saves 15 bytes a row, else by its id.
 */
void
medsync_era_for_writer(MedsyncPackedHeader *header)
{
	MedsyncEra *era = &ledger_cache.era;
	const uint8 *ledger_id = medsync_ledger_id();

	if (!ledger_cache.era_valid ||
		era->timeline != GetWALInsertionTimeLine())
	{
		medsync_era_current(ledger_id, era);
		ledger_cache.era_valid = true;
	}
	if (era->number == 0)
	{
		MedsyncEra *stored = medsync_era_find(medsync_eras(), era->id);

		if (stored != NULL)
			era->number = stored->number;
	}
	header->era_number = era->number;
	memcpy(header->era_id, era->id, MEDSYNC_ID_SIZE);
}
