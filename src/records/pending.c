/*-------------------------------------------------------------------------
 *
 * pending.c
 *		Events that are written down, but not in the ledger yet.
 *
 * What was refused or found damaged becomes a row of record_event in a
 * transaction apart (event.c).  Where none can be had, because no worker is
 * free, or it failed, the event is put into _pending_event: a row that is
 * frozen when it is inserted and whose WAL is flushed, so that neither the
 * error that follows nor a crash takes it back.  Everybody sees it at once.
 *
 * A get that succeeded gave the content out, whatever becomes of its
 * transaction.  It writes its row of record_event like any other, then puts
 * the same event in here for good and deletes that row again, all of it in the
 * caller's (sub)transaction: if that commits the event is where it belongs,
 * and if it is rolled back both the event and the deletion are, and the row
 * here stands.  The row's xmin, although frozen, still names the writer:
 * as long as that is in progress, or prepared, the row is nobody's business.
 * So that reading stays cheap its WAL is not flushed but left to the WAL
 * writer: a crash of the server loses the gets of the last moment (some
 * wal_writer_delay) that did not commit.
 *
 * An event is taken over, that is, deleted here and made a row of
 * record_event in one transaction, by the next worker that writes an event, by the next
 * caller who puts, gets, grants or revokes, and by a worker that the sealer
 * asks for.  Only workers take over what patients are told of, since a
 * caller who notifies could not prepare its transaction.  An event keeps its
 * id: where a worker had written it all the same, the row here just goes.
 *
 * Whoever takes over has a lock to the end of the transaction; others leave
 * it alone and wait for nobody.  A rollback or a crash leaves the row here, and
 * so does an error, which is no caller's business.
 * The table has no index: few rows wait, and a crash could leave a row that
 * no index knows.  It has the dead rows of gets, too, until VACUUM; where it
 * grew by them a caller looks through it once a second at most.  It is dumped
 * with the rest; until a row is taken over nothing binds it.  On a standby, and
 * in a transaction that is read-only, nothing is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/apart.h"
#include "common/catalog.h"
#include "compat.h"
#include "ledger/status.h"
#include "ledger/verify.h"
#include "ledger/worker.h"
#include "records/records.h"

#define TABLE_NAME			"_pending_event"
#define TAKEN_BY_CALLER		20	/* at most, so that nobody pays for many */
#define TAKEN_BY_WORKER		1000
#define LOCK_TRIES			20	/* for the table, LOCK_PAUSE apart */
#define LOCK_PAUSE			100000L /* microseconds */
#define RETRY_AFTER			10000	/* milliseconds, after it failed */
#define SMALL_TABLE			4	/* pages; a caller looks at any time */
#define LOOK_AFTER			1000	/* milliseconds; at a larger one */

/* attributes of _pending_event */
enum
{
	Anum_pending_id = 1,
	Anum_pending_at,
	Anum_pending_record,
	Anum_pending_version,
	Anum_pending_event,
	Anum_pending_person,
	Anum_pending_recipient,
	Anum_pending_role,
	Anum_pending_reason,
	Natts_pending = 9
};

/* A row, as it was found */
typedef struct PendingEvent
{
	ItemPointerData tid;
	MedsyncEventRow row;
} PendingEvent;

/*---- Writing ----*/

static HeapTuple
form_row(Relation heap, const MedsyncEventRow *row)
{
	Datum		values[Natts_pending] = {0};
	bool		isnull[Natts_pending] = {0};

	values[Anum_pending_id - 1] = medsync_id_value(row->id);
	values[Anum_pending_at - 1] = TimestampTzGetDatum(row->at);
	values[Anum_pending_record - 1] = medsync_id_value(row->record);
	isnull[Anum_pending_record - 1] = row->record == NULL;
	values[Anum_pending_version - 1] = Int32GetDatum(row->version);
	isnull[Anum_pending_version - 1] = row->version == 0;
	values[Anum_pending_event - 1] = CStringGetTextDatum(row->event);
	values[Anum_pending_person - 1] = medsync_id_value(row->person);
	isnull[Anum_pending_person - 1] = row->person == NULL;
	values[Anum_pending_recipient - 1] = medsync_id_value(row->recipient);
	isnull[Anum_pending_recipient - 1] = row->recipient == NULL;
	values[Anum_pending_role - 1] = CStringGetTextDatum(row->role);
	values[Anum_pending_reason - 1] = CStringGetTextDatum(row->reason);
	return heap_form_tuple(RelationGetDescr(heap), values, isnull);
}

/*
 * Lock the table for writing.  We may not wait for ever, since a cancel has
 * to wait for us; who keeps us out is a superuser, or VACUUM for a moment.
 */
static bool
lock_table(Oid relid)
{
	int			i;

	for (i = 0; i < LOCK_TRIES; i++)
	{
		if (ConditionalLockRelationOid(relid, RowExclusiveLock))
			return true;
		pg_usleep(LOCK_PAUSE);
	}
	return false;
}

/*
 * Write an event down for good, whatever becomes of our transaction.  False:
 * it cannot be done here.  The caller holds interrupts off.
 */
bool
medsync_pending_insert(const MedsyncEventRow *row)
{
	Oid			relid = medsync_relation_oid(TABLE_NAME);
	Relation	heap;
	HeapTuple	tuple;

	if (RecoveryInProgress() || XactReadOnly || IsInParallelMode() ||
		!OidIsValid(relid) || !lock_table(relid))
		return false;
	heap = table_open(relid, NoLock);
	tuple = form_row(heap, row);
	medsync_insert_for_good(heap, tuple);
	heap_freetuple(tuple);
	table_close(heap, NoLock);
	XLogFlush(XactLastRecEnd);
	return true;
}

/* Delete a row; false if somebody else is doing something to it. */
static bool
delete_row(Relation heap, ItemPointer tid)
{
	TM_FailureData failure;

	return table_tuple_delete(heap, tid, GetCurrentCommandId(true),
							  SnapshotAny, InvalidSnapshot, false, &failure,
							  false) == TM_Ok;
}

/*
 * Write down what our own transaction is doing, and has written to
 * record_event, in case that it is rolled back.  An error is the caller's.
 */
void
medsync_pending_keep(const MedsyncEventRow *row)
{
	Relation	heap = medsync_open(TABLE_NAME, RowExclusiveLock);
	HeapTuple	tuple = form_row(heap, row);
	ItemPointerData tid;

	medsync_insert_for_good(heap, tuple);
	XLogSetAsyncXactLSN(XactLastRecEnd);
	tid = tuple->t_self;
	if (!delete_row(heap, &tid))
		elog(ERROR, "an event that was just written down is gone");
	heap_freetuple(tuple);
	table_close(heap, NoLock);
}

/*---- Looking ----*/

/*
 * Is a row a get's whose (sub)transaction is in progress, or has just
 * committed?  Asked in this order: who is not in progress any more has
 * deleted the row, or never will.
 */
static bool
is_under_way(MedsyncScan *scan, HeapTuple tuple)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, Anum_pending_event,
									 RelationGetDescr(scan->heap), &isnull);
	char	   *event = isnull ? NULL : TextDatumGetCString(value);
	bool		is_get = event != NULL && medsync_event_is_get(event);

	if (event != NULL)
		pfree(event);
	return is_get &&
		(TransactionIdIsInProgress(HeapTupleHeaderGetRawXmin(tuple->t_data)) ||
		 !table_tuple_satisfies_snapshot(scan->heap, scan->slot,
										 SnapshotSelf));
}

/* The next row that waits; as medsync_scan_next(). */
static HeapTuple
next_waiting(MedsyncScan *scan)
{
	HeapTuple	tuple;

	while ((tuple = medsync_scan_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_under_way(scan, tuple))
			break;
	}
	return tuple;
}

/* How many wait, counted up to a limit, and the time of the oldest. */
static int64
count_waiting(TimestampTz *oldest, int64 limit)
{
	Relation	heap = medsync_open(TABLE_NAME, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(heap);
	int64		count = 0;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while (count < limit && (tuple = next_waiting(&scan)) != NULL)
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(heap_getattr(tuple,
														  Anum_pending_at,
														  desc, &isnull));

		if (oldest != NULL && !isnull && (count == 0 || at < *oldest))
			*oldest = at;
		count++;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return count;
}

/*
 * Does anything wait?  In a table that has grown, a caller who saw nothing
 * does not look again at once.
 */
static bool
anything_waits(bool by_worker)
{
	static TimestampTz nothing_at = 0;	/* when there was nothing */
	Relation	heap = medsync_open(TABLE_NAME, AccessShareLock);
	bool		is_small = RelationGetNumberOfBlocks(heap) <= SMALL_TABLE;

	table_close(heap, AccessShareLock);
	if (!by_worker && !is_small &&
		!TimestampDifferenceExceeds(nothing_at, GetCurrentTimestamp(),
									LOOK_AFTER))
		return false;
	if (count_waiting(NULL, 1) > 0)
		return true;
	nothing_at = GetCurrentTimestamp();
	return false;
}

/*---- Taking over ----*/

static uint8 *
copy_id(Datum value, bool isnull)
{
	uint8	   *id;

	if (isnull)
		return NULL;
	id = palloc(MEDSYNC_ID_SIZE);
	memcpy(id, DatumGetUUIDP(value)->data, MEDSYNC_ID_SIZE);
	return id;
}

static char *
copy_text(Datum value, bool isnull)
{
	return isnull ? NULL : TextDatumGetCString(value);
}

/* A copy of a stored row; NULL if somebody made it useless. */
static PendingEvent *
read_row(Relation heap, HeapTuple tuple)
{
	PendingEvent *pending = palloc0(sizeof(PendingEvent));
	MedsyncEventRow *row = &pending->row;
	Datum		values[Natts_pending];
	bool		isnull[Natts_pending];

	if (RelationGetDescr(heap)->natts != Natts_pending)
		return NULL;
	heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
	pending->tid = tuple->t_self;
#define FIELD(copy, name) \
	copy(values[Anum_pending_##name - 1], isnull[Anum_pending_##name - 1])
	row->id = FIELD(copy_id, id);
	row->at = DatumGetTimestampTz(values[Anum_pending_at - 1]);
	row->record = FIELD(copy_id, record);
	row->version = isnull[Anum_pending_version - 1] ? 0 :
		DatumGetInt32(values[Anum_pending_version - 1]);
	row->event = FIELD(copy_text, event);
	row->person = FIELD(copy_id, person);
	row->recipient = FIELD(copy_id, recipient);
	row->role = FIELD(copy_text, role);
	row->reason = FIELD(copy_text, reason);
#undef FIELD
	return row->id != NULL && row->event != NULL && row->role != NULL ?
		pending : NULL;
}

/* Rows that are there now, at most so many. */
static List *
find_rows(Relation heap, bool by_worker)
{
	int			limit = by_worker ? TAKEN_BY_WORKER : TAKEN_BY_CALLER;
	List	   *found = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while (list_length(found) < limit &&
		   (tuple = next_waiting(&scan)) != NULL)
	{
		PendingEvent *pending = read_row(heap, tuple);

		if (pending != NULL &&
			(by_worker || !medsync_event_is_damage(&pending->row)))
			found = lappend(found, pending);
	}
	medsync_scan_end(&scan);
	return found;
}

/* Make one row an event. */
static void
take_over_row(void *arg)
{
	const PendingEvent *pending = arg;
	Relation	heap = medsync_open(TABLE_NAME, NoLock);
	ItemPointerData tid = pending->tid;

	if (delete_row(heap, &tid) && !medsync_event_exists(pending->row.id))
		medsync_event_write(&pending->row);
	table_close(heap, NoLock);
}

/*
 * The same, by a worker: a row that cannot be entered (its patient's key is
 * damaged, say) must not keep others from it.
 */
static void
try_to_take_over_row(PendingEvent *pending)
{
	char	   *message = medsync_verify_try(take_over_row, pending);

	if (message != NULL)
		ereport(LOG,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("an event of records could not be taken over: %s",
						message),
				 errdetail("Event %s waits.", medsync_id_text(pending->row.id)),
				 hide_statement()));
}

/* Take over what there is, unless another transaction is about it. */
static void
take_over_rows(bool by_worker)
{
	Relation	heap = medsync_open(TABLE_NAME, AccessShareLock);
	LOCKTAG		tag;
	ListCell   *cell;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   RelationGetRelid(heap), 0);
	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
		ConditionalLockRelation(heap, RowExclusiveLock))
	{
		foreach(cell, find_rows(heap, by_worker))
		{
			if (by_worker)
				try_to_take_over_row(lfirst(cell));
			else
				take_over_row(lfirst(cell));
		}
	}
	table_close(heap, NoLock);
}

static void
take_over_by_caller(void *arg)
{
	take_over_rows(false);
}

/*
 * Make events of what is pending.  Our own transaction may be a caller's,
 * which did something and is able to write: all or nothing, and what fails is
 * not the caller's business but a worker's.
 */
void
medsync_pending_take_over(bool by_worker)
{
	static TimestampTz failed_at = 0;	/* as a caller */
	MemoryContext context;
	MemoryContext oldcontext;

	if (!anything_waits(by_worker))
		return;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"medsync pending events",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	if (by_worker)
		take_over_rows(true);
	else if (failed_at == 0 ||
			 TimestampDifferenceExceeds(failed_at, GetCurrentTimestamp(),
										RETRY_AFTER))
		failed_at = medsync_verify_try(take_over_by_caller, NULL) == NULL ? 0 :
			GetCurrentTimestamp();
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

/*---- Status, and the sealer ----*/

/* An item of medsync.status */
static void
report_pending(MedsyncStatusReport *report)
{
	TimestampTz oldest = GetCurrentTimestamp();
	int64		count = count_waiting(&oldest, PG_INT64_MAX);
	int64		age = (GetCurrentTimestamp() - oldest) / USECS_PER_SEC;

	if (count == 0)
		medsync_status_add(report, "pending_events", "0", MEDSYNC_STATUS_OK,
						   NULL);
	else
		medsync_status_add(report, "pending_events",
						   psprintf(INT64_FORMAT ", oldest: %s", count,
									medsync_status_age(Max(age, 0))),
						   MEDSYNC_STATUS_WARNING,
						   RecoveryInProgress() ?
						   "The primary enters them into the ledger." :
						   "Refusals, damage, or reads that were rolled back wait to be entered into the ledger: if that lasts raise max_worker_processes, and see the server's log.");
}

/* The sealer's turn: have somebody take over what is pending. */
static void
look_after_pending(void)
{
	static TimestampTz failed_at = 0;

	if (count_waiting(NULL, 1) == 0 ||
		(failed_at != 0 &&
		 !TimestampDifferenceExceeds(failed_at, GetCurrentTimestamp(),
									 RETRY_AFTER)))
		return;
	failed_at = medsync_apart(MEDSYNC_APART_RECORD_PENDING, NULL, 0) ? 0 :
		GetCurrentTimestamp();
}

/* Runs in the worker that the sealer asked for. */
static void
take_over_apart(const uint8 *payload, size_t len)
{
	medsync_records_track();
	medsync_pending_take_over(true);
}

void
medsync_pending_init(void)
{
	medsync_apart_register(MEDSYNC_APART_RECORD_PENDING, take_over_apart);
	medsync_status_register(report_pending);
	medsync_worker_on_turn(look_after_pending);
}
