/*-------------------------------------------------------------------------
 *
 * walk.c
 *		Reading blocks, and entries in ledger order.
 *
 * Stores nothing.  A block holds the entries that its snapshot sees and the
 * one before did not, in the order (last flush position of the transaction,
 * transaction id, command id, ordinal).  The sealer, verify and history all
 * find that order here, from _journal and the recorded snapshots alone.
 *
 * Memory: 56 bytes for each transaction of a block; a transaction's entries
 * are streamed, and need 24 bytes for each run of entries in stored order only
 * where nested triggers fired out of order.  Scans take no predicate locks.
 * Works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "common/errors.h"
#include "ledger/walk.h"

/* A packed row of one transaction */
typedef struct RowRef
{
	uint64		ordinal;
	ItemPointerData tid;
	const MedsyncPackedRow *pending;	/* NULL: in the journal */
} RowRef;

/* Entries of one row and one command, in stored order */
typedef struct CommandRun
{
	uint32		command;
	int32		row;			/* number of the RowRef */
	int32		nth;			/* first entry */
	int32		count;
} CommandRun;

static int
compare_u64(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Had this transaction ended when the snapshot was taken? */
bool
medsync_xid_finished(const MedsyncXidSet *set, uint64 xid)
{
	return xid < set->xmax &&
		bsearch(&xid, set->in_progress, set->count, sizeof(uint64),
				compare_u64) == NULL;
}

/* Parse the text of a pg_snapshot, "xmin:xmax:xid,xid,...". */
MedsyncXidSet
medsync_xid_set_parse(const char *text)
{
	MedsyncXidSet set = {0};
	const char *p = strchr(text, ':');
	const char *c;
	char	   *end;
	int			members = 1;

	if (p == NULL)
		return set;
	set.xmax = strtou64(p + 1, &end, 10);
	for (c = end; *c; c++)
		if (*c == ',')
			members++;
	set.in_progress = palloc(sizeof(uint64) * members);
	while ((*end == ':' || *end == ',') && end[1] != '\0')
		set.in_progress[set.count++] = strtou64(end + 1, &end, 10);
	qsort(set.in_progress, set.count, sizeof(uint64), compare_u64);
	return set;
}

/* Widen a transaction id that was in progress or about to start just now. */
static uint64
widen_xid(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return ((uint64) epoch << 32) | xid;
}

/* The text of an MVCC snapshot as pg_snapshot; top-level ids only. */
char *
medsync_xid_set_of_snapshot(Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint64	   *xids = palloc(sizeof(uint64) * Max(snapshot->xcnt, 1));
	StringInfoData text;
	uint64		xmax = widen_xid(snapshot->xmax, next);
	uint32		i;

	for (i = 0; i < snapshot->xcnt; i++)
		xids[i] = widen_xid(snapshot->xip[i], next);
	qsort(xids, snapshot->xcnt, sizeof(uint64), compare_u64);
	initStringInfo(&text);
	appendStringInfo(&text, UINT64_FORMAT ":" UINT64_FORMAT ":",
					 snapshot->xcnt > 0 ? xids[0] : xmax, xmax);
	for (i = 0; i < snapshot->xcnt; i++)
		appendStringInfo(&text, "%s" UINT64_FORMAT, i ? "," : "", xids[i]);
	return text.data;
}

/*
 * The snapshot that readers of the ledger use: the caller's.  Only where the
 * caller's transaction has sealed it is a fresh one, as the sealer's was,
 * since its block holds what an older snapshot does not see.
 */
Snapshot
medsync_walk_snapshot(void)
{
	return medsync_journal_has_sealed() ?
		GetLatestSnapshot() : GetActiveSnapshot();
}

/* Open the journal for reading under a snapshot. */
void
medsync_walk_open(MedsyncWalk *walk, Snapshot snapshot)
{
	memset(walk, 0, sizeof(*walk));
	walk->journal = medsync_open("_journal", AccessShareLock);
	walk->snapshot = snapshot;
	walk->eras = medsync_eras();
	initStringInfo(&walk->row_buffer);
	enlargeStringInfo(&walk->row_buffer, MEDSYNC_PACKED_MAX);
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
	{
		walk->own_xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
		walk->pending = medsync_journal_pending();
	}
}

void
medsync_walk_close(MedsyncWalk *walk)
{
	if (walk->xacts != NULL)
		pfree(walk->xacts);
	pfree(walk->row_buffer.data);
	table_close(walk->journal, AccessShareLock);
}

static void
report_damage(MedsyncWalk *walk, uint64 xid, const char *what)
{
	if (walk->damage != NULL)
		walk->damage(walk->damage_arg, xid, what);
	else
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("a journal row of transaction " UINT64_FORMAT " cannot be read",
						xid),
				 errdetail_internal("%s", what),
				 errhint("Run medsync.verify() to see what was changed.")));
}

/* Take a journal tuple apart; body points into the tuple or is palloc'd. */
static void
read_journal_tuple(MedsyncWalk *walk, HeapTuple tuple, uint64 *xid,
				   uint64 *ordinal, const uint8 **body, int *len)
{
	Datum		values[Natts_journal];
	bool		isnull[Natts_journal];
	bytea	   *stored;

	heap_deform_tuple(tuple, RelationGetDescr(walk->journal), values, isnull);
	*xid = isnull[0] ? 0 :
		U64FromFullTransactionId(DatumGetFullTransactionId(values[0]));
	*ordinal = isnull[1] ? 0 : (uint64) DatumGetInt64(values[1]);
	*body = NULL;
	*len = 0;
	if (isnull[2])
		return;
	stored = DatumGetByteaPP(values[2]);
	*body = (uint8 *) VARDATA_ANY(stored);
	*len = VARSIZE_ANY_EXHDR(stored);
}

/* The era a packed row was written in; a new id joins the list. */
static MedsyncEra *
era_of_row(MedsyncWalk *walk, const MedsyncPackedHeader *header)
{
	MedsyncEra *era;

	if (header->era_number != 0)
		return medsync_era_by_number(walk->eras, header->era_number);
	era = medsync_era_find(walk->eras, header->era_id);
	if (era == NULL)
	{
		era = palloc0(sizeof(MedsyncEra));
		memcpy(era->id, header->era_id, MEDSYNC_ID_SIZE);
		medsync_era_identify(era);
		walk->eras = lappend(walk->eras, era);
	}
	return era;
}

static MedsyncXact *
add_xact(MedsyncWalk *walk)
{
	if (walk->xact_count == walk->xact_capacity)
	{
		walk->xact_capacity = Max(64, walk->xact_capacity * 2);
		if (walk->xacts == NULL)
			walk->xacts = palloc(walk->xact_capacity * sizeof(MedsyncXact));
		else
			walk->xacts = repalloc_huge(walk->xacts,
										walk->xact_capacity * sizeof(MedsyncXact));
	}
	memset(&walk->xacts[walk->xact_count], 0, sizeof(MedsyncXact));
	return &walk->xacts[walk->xact_count++];
}

/* Count a packed row to its transaction; rows of one come one after another. */
static void
gather_row(MedsyncWalk *walk, HeapTuple tuple, const MedsyncEra *line,
		   const MedsyncXidSet *until, uint64 skip_xid)
{
	MedsyncPackedReader packed;
	const uint8 *body;
	uint64		xid;
	uint64		ordinal;
	int			len;
	MedsyncEra *era;
	MedsyncXact *xact;

	read_journal_tuple(walk, tuple, &xid, &ordinal, &body, &len);
	if (xid == skip_xid || (until != NULL && !medsync_xid_finished(until, xid)))
		return;
	if (body == NULL ||
		!medsync_packed_open(&packed, xid, ordinal, body, len))
	{
		report_damage(walk, xid, "Its header is malformed.");
		return;
	}
	era = era_of_row(walk, &packed.header);
	if (era == NULL)
	{
		report_damage(walk, xid, "Its era is unknown.");
		return;
	}
	if (line != NULL && !medsync_era_same_line(era, line))
		return;
	walk->rows_seen++;
	if (xid == walk->own_xid && until == NULL &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
		return;					/* gather_own takes them */
	xact = walk->xact_count > 0 ? &walk->xacts[walk->xact_count - 1] : NULL;
	if (xact == NULL || xact->xid != xid || xact->era != era)
	{
		xact = add_xact(walk);
		xact->xid = xid;
		xact->era = era;
		xact->tid = tuple->t_self;
		xact->ordinal = ordinal;
	}
	xact->rows++;
	if (packed.header.flush_position >= xact->position)
	{
		xact->position = packed.header.flush_position;
		xact->time = packed.header.flush_time;
	}
}

static void
gather_range(MedsyncWalk *walk, uint64 from, StrategyNumber strategy,
			 RegProcedure procedure, const MedsyncEra *line,
			 const MedsyncXidSet *until, uint64 skip_xid)
{
	MedsyncScan scan;
	ScanKeyData keys[2];
	int			nkeys = 0;
	HeapTuple	tuple;

	ScanKeyInit(&keys[nkeys++], 1, strategy, procedure,
				FullTransactionIdGetDatum(FullTransactionIdFromU64(from)));
	if (until != NULL && strategy != BTEqualStrategyNumber)
		ScanKeyInit(&keys[nkeys++], 1, BTLessStrategyNumber, F_XID8LT,
					FullTransactionIdGetDatum(FullTransactionIdFromU64(until->xmax)));
	medsync_scan_begin(&scan, walk->journal, "_journal_xid_idx",
					   walk->snapshot, nkeys, keys);
	scan.own_changes = true;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		gather_row(walk, tuple, line, until, skip_xid);
	}
	medsync_scan_end(&scan);
}

/*
 * Collect the transactions of one line of eras that ended before "until" was
 * taken (NULL: all that the snapshot sees) and had not when "since" was
 * (NULL: none had).  The members of "since" that were in progress are looked
 * up one by one, so that a long transaction costs nothing.
 */
void
medsync_walk_gather(MedsyncWalk *walk, const MedsyncEra *line,
					const MedsyncXidSet *since, const MedsyncXidSet *until,
					uint64 skip_xid)
{
	int			i;

	for (i = 0; since != NULL && i < since->count; i++)
		if (until == NULL || medsync_xid_finished(until, since->in_progress[i]))
			gather_range(walk, since->in_progress[i], BTEqualStrategyNumber,
						 F_XID8EQ, line, until, skip_xid);
	gather_range(walk, since ? since->xmax : 0, BTGreaterEqualStrategyNumber,
				 F_XID8GE, line, until, skip_xid);
}

/* Add our own transaction, flushed and unflushed rows together. */
void
medsync_walk_gather_own(MedsyncWalk *walk)
{
	MedsyncPackedReader packed;
	MedsyncXact *own;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	uint32		rows = 0;
	ListCell   *cell;
	MedsyncXact found = {0};

	if (walk->own_xid == 0 || medsync_journal_has_sealed())
		return;					/* what a sealer wrote is in its block */
	found.xid = walk->own_xid;
	found.position = PG_UINT64_MAX; /* what we did comes last */
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_XID8EQ,
				FullTransactionIdGetDatum(FullTransactionIdFromU64(walk->own_xid)));
	medsync_scan_begin(&scan, walk->journal, "_journal_xid_idx",
					   walk->snapshot, 1, &key);
	scan.own_changes = true;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		const uint8 *body;
		uint64		xid;
		uint64		ordinal;
		int			len;

		if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			continue;			/* another line's transaction of this number */
		read_journal_tuple(walk, tuple, &xid, &ordinal, &body, &len);
		if (body == NULL ||
			!medsync_packed_open(&packed, xid, ordinal, body, len))
			continue;
		found.era = era_of_row(walk, &packed.header);
		found.time = packed.header.flush_time;
		found.tid = tuple->t_self;
		rows++;
	}
	medsync_scan_end(&scan);
	foreach(cell, walk->pending)
	{
		MedsyncPackedRow *row = lfirst(cell);

		if (row == NULL ||
			!medsync_packed_open(&packed, row->xid, row->ordinal, row->body,
								 row->len))
			continue;
		found.era = era_of_row(walk, &packed.header);
		found.time = packed.header.flush_time;
	}
	if (found.era == NULL)
		return;
	own = add_xact(walk);
	*own = found;
	own->rows = rows;
}

static int
compare_xacts(const void *a, const void *b)
{
	const MedsyncXact *x = a;
	const MedsyncXact *y = b;

	if (x->position != y->position)
		return x->position < y->position ? -1 : 1;
	return compare_u64(&x->xid, &y->xid);
}

/* Put what was gathered into ledger order. */
void
medsync_walk_sort(MedsyncWalk *walk)
{
	if (walk->xact_count > 1)
		qsort(walk->xacts, walk->xact_count, sizeof(MedsyncXact),
			  compare_xacts);
}

static int
compare_row_refs(const void *a, const void *b)
{
	return compare_u64(&((const RowRef *) a)->ordinal,
					   &((const RowRef *) b)->ordinal);
}

static int
compare_runs(const void *a, const void *b)
{
	const CommandRun *x = a;
	const CommandRun *y = b;

	if (x->command != y->command)
		return x->command < y->command ? -1 : 1;
	if (x->row != y->row)
		return x->row - y->row;
	return x->nth - y->nth;
}

/* All packed rows of a transaction, by ordinal. */
static RowRef *
find_rows(MedsyncWalk *walk, const MedsyncXact *xact, int *count)
{
	int			capacity = xact->rows + list_length(walk->pending) + 1;
	RowRef	   *refs = palloc(sizeof(RowRef) * capacity);
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	ListCell   *cell;

	*count = 0;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_XID8EQ,
				FullTransactionIdGetDatum(FullTransactionIdFromU64(xact->xid)));
	medsync_scan_begin(&scan, walk->journal, "_journal_xid_idx",
					   walk->snapshot, 1, &key);
	scan.own_changes = true;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncPackedReader packed;
		const uint8 *body;
		uint64		xid;
		int			len;
		RowRef		ref = {0};

		read_journal_tuple(walk, tuple, &xid, &ref.ordinal, &body, &len);
		if (body == NULL ||
			!medsync_packed_open(&packed, xid, ref.ordinal, body, len) ||
			era_of_row(walk, &packed.header) != xact->era)
			continue;
		ref.tid = tuple->t_self;
		if (*count == capacity)
		{
			capacity *= 2;
			refs = repalloc_huge(refs, sizeof(RowRef) * capacity);
		}
		refs[(*count)++] = ref;
	}
	medsync_scan_end(&scan);
	if (xact->xid == walk->own_xid)
		foreach(cell, walk->pending)
	{
		MedsyncPackedRow *row = lfirst(cell);
		RowRef		ref = {0};

		if (row == NULL)
			continue;
		ref.ordinal = row->ordinal;
		ItemPointerSetInvalid(&ref.tid);
		ref.pending = row;
		if (*count == capacity)
		{
			capacity *= 2;
			refs = repalloc_huge(refs, sizeof(RowRef) * capacity);
		}
		refs[(*count)++] = ref;
	}
	qsort(refs, *count, sizeof(RowRef), compare_row_refs);
	return refs;
}

/* Copy a packed row's body into buf, which holds MEDSYNC_PACKED_MAX bytes or more. */
static bool
fetch_row(MedsyncWalk *walk, const RowRef *ref, StringInfo buf,
		  MedsyncWalkEntry *item)
{
	resetStringInfo(buf);
	if (ref->pending != NULL)
		appendBinaryStringInfo(buf, (char *) ref->pending->body,
							   ref->pending->len);
	else
	{
		HeapTupleData tuple;
		Buffer		page;
		const uint8 *body;
		uint64		stored_xid;
		uint64		ordinal;
		int			len;

		tuple.t_self = ref->tid;
		if (!heap_fetch(walk->journal, SnapshotAny, &tuple, &page, false))
			return false;
		read_journal_tuple(walk, &tuple, &stored_xid, &ordinal, &body, &len);
		if (body != NULL)
			appendBinaryStringInfo(buf, (const char *) body, len);
		ReleaseBuffer(page);
	}
	item->tid = ref->tid;
	item->body = (uint8 *) buf->data;
	item->body_len = buf->len;
	return true;
}

/* May our own transaction's entry be seen by the snapshot that reads? */
static bool
entry_seen(const MedsyncWalk *walk, const MedsyncXact *xact,
		   const MedsyncEntry *entry)
{
	return xact->xid != walk->own_xid || xact->position != PG_UINT64_MAX ||
		entry->command < walk->snapshot->curcid;
}

/* Do the command ids of a transaction's entries never go down? */
static bool
commands_ascend(MedsyncWalk *walk, const MedsyncXact *xact,
				const RowRef *refs, int count, StringInfo buf)
{
	uint32		last = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		MedsyncPackedReader packed;
		MedsyncWalkEntry item;

		if (!fetch_row(walk, &refs[i], buf, &item) ||
			!medsync_packed_open(&packed, xact->xid, refs[i].ordinal,
								 item.body, item.body_len))
			continue;
		while (medsync_packed_next(&packed))
		{
			if (packed.entry.command < last)
				return false;
			last = packed.entry.command;
		}
	}
	return true;
}

/* Hand out count entries of one packed row from the nth on (count -1: all). */
static void
emit_entries(MedsyncWalk *walk, const MedsyncXact *xact, const RowRef *ref,
			 int nth, int count, StringInfo buf,
			 MedsyncWalkCallback callback, void *arg)
{
	MedsyncPackedReader packed;
	MedsyncWalkEntry item = {0};
	int			position = 0;

	if (!fetch_row(walk, ref, buf, &item) ||
		!medsync_packed_open(&packed, xact->xid, ref->ordinal, item.body,
							 item.body_len))
	{
		report_damage(walk, xact->xid, "It is gone or malformed.");
		return;
	}
	item.header = &packed.header;
	item.entry = &packed.entry;
	item.xact = xact;
	while ((count < 0 || position < nth + count) &&
		   medsync_packed_next(&packed))
	{
		if (position >= nth && entry_seen(walk, xact, &packed.entry))
		{
			item.nth = position;
			callback(arg, &item);
		}
		position++;
	}
	if (packed.reader.failed)
		report_damage(walk, xact->xid, "An entry in it is malformed.");
}

/* Runs of entries of one command, by command and stored order. */
static CommandRun *
sort_runs(MedsyncWalk *walk, const MedsyncXact *xact, const RowRef *refs,
		  int count, StringInfo buf, int64 *run_count)
{
	int64		capacity = 256;
	CommandRun *runs = palloc(sizeof(CommandRun) * capacity);
	int			i;

	*run_count = 0;
	for (i = 0; i < count; i++)
	{
		MedsyncPackedReader packed;
		MedsyncWalkEntry item;
		int			nth = 0;

		if (!fetch_row(walk, &refs[i], buf, &item) ||
			!medsync_packed_open(&packed, xact->xid, refs[i].ordinal,
								 item.body, item.body_len))
		{
			report_damage(walk, xact->xid, "It is gone or malformed.");
			continue;
		}
		while (medsync_packed_next(&packed))
		{
			CommandRun *run = *run_count > 0 ? &runs[*run_count - 1] : NULL;

			if (run == NULL || run->row != i ||
				run->command != packed.entry.command)
			{
				if (*run_count == capacity)
				{
					capacity *= 2;
					runs = repalloc_huge(runs, sizeof(CommandRun) * capacity);
				}
				run = &runs[(*run_count)++];
				run->command = packed.entry.command;
				run->row = i;
				run->nth = nth;
				run->count = 0;
			}
			run->count++;
			nth++;
		}
	}
	qsort(runs, *run_count, sizeof(CommandRun), compare_runs);
	return runs;
}

/*
 * The common case: a transaction of one packed row whose commands ascend,
 * read from where gather found it.  False: it is not that case.
 */
static bool
emit_single_row(MedsyncWalk *walk, const MedsyncXact *xact,
				MedsyncWalkCallback callback, void *arg)
{
	MedsyncPackedReader packed;
	MedsyncWalkEntry item = {0};
	RowRef		ref = {0};
	StringInfo	buf = &walk->row_buffer;
	uint32		last = 0;

	if (xact->rows != 1 || xact->xid == walk->own_xid)
		return false;
	ref.tid = xact->tid;
	ref.ordinal = xact->ordinal;
	if (!fetch_row(walk, &ref, buf, &item) ||
		!medsync_packed_open(&packed, xact->xid, ref.ordinal, item.body,
							 item.body_len))
		return false;
	if (packed.header.entry_count > 1)
	{
		while (medsync_packed_next(&packed))
		{
			if (packed.entry.command < last)
				return false;
			last = packed.entry.command;
		}
		(void) medsync_packed_open(&packed, xact->xid, ref.ordinal, item.body,
								   item.body_len);
	}
	item.header = &packed.header;
	item.entry = &packed.entry;
	item.xact = xact;
	while (medsync_packed_next(&packed))
	{
		callback(arg, &item);
		item.nth++;
	}
	if (packed.reader.failed)
		report_damage(walk, xact->xid, "An entry in it is malformed.");
	return true;
}

/* Hand out all entries of a transaction in ledger order. */
void
medsync_walk_emit(MedsyncWalk *walk, const MedsyncXact *xact,
				  MedsyncWalkCallback callback, void *arg)
{
	MemoryContext context;
	MemoryContext oldcontext;
	StringInfoData buf;
	RowRef	   *refs;
	int			count;
	int			i;

	if (emit_single_row(walk, xact, callback, arg))
		return;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"medsync transaction",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	initStringInfo(&buf);
	enlargeStringInfo(&buf, MEDSYNC_PACKED_MAX);
	refs = find_rows(walk, xact, &count);
	MemoryContextSwitchTo(oldcontext);
	if (commands_ascend(walk, xact, refs, count, &buf))
		for (i = 0; i < count; i++)
			emit_entries(walk, xact, &refs[i], 0, -1, &buf, callback, arg);
	else
	{
		CommandRun *runs;
		int64		run_count;
		int64		r;

		MemoryContextSwitchTo(context);
		runs = sort_runs(walk, xact, refs, count, &buf, &run_count);
		MemoryContextSwitchTo(oldcontext);
		for (r = 0; r < run_count; r++)
			emit_entries(walk, xact, &refs[runs[r].row], runs[r].nth,
						 runs[r].count,
						 &buf, callback, arg);
	}
	MemoryContextDelete(context);
}

/* Hand out one entry again, by the place of its packed row. */
bool
medsync_walk_fetch(MedsyncWalk *walk, const ItemPointerData *tid, int nth,
				   MedsyncWalkCallback callback, void *arg)
{
	MedsyncPackedReader packed;
	MedsyncWalkEntry item = {0};
	HeapTupleData tuple;
	Buffer		page;
	const uint8 *body;
	uint64		xid;
	uint64		ordinal;
	int			len;
	bool		found = false;

	tuple.t_self = *tid;
	if (!heap_fetch(walk->journal, SnapshotAny, &tuple, &page, false))
		return false;
	read_journal_tuple(walk, &tuple, &xid, &ordinal, &body, &len);
	item.body = body;
	item.body_len = len;
	item.tid = *tid;
	item.header = &packed.header;
	item.entry = &packed.entry;
	if (body != NULL && medsync_packed_open(&packed, xid, ordinal, body, len))
	{
		while (item.nth <= nth && medsync_packed_next(&packed))
		{
			found = item.nth == nth;
			if (found)
				callback(arg, &item);
			item.nth++;
		}
	}
	ReleaseBuffer(page);
	return found;
}

/* One transaction by its id, as gather would have found it; or NULL. */
MedsyncXact *
medsync_walk_find_xact(MedsyncWalk *walk, uint64 xid, const MedsyncEra *era)
{
	int64		before = walk->xact_count;
	int64		i;

	gather_range(walk, xid, BTEqualStrategyNumber, F_XID8EQ, era, NULL, 0);
	for (i = before; i < walk->xact_count; i++)
		if (memcmp(walk->xacts[i].era->id, era->id, MEDSYNC_ID_SIZE) == 0)
			return &walk->xacts[i];
	return NULL;
}

static bool
copy_hash(Datum value, bool isnull, uint8 *dst)
{
	bytea	   *stored;

	if (isnull)
		return false;
	stored = DatumGetByteaPP(value);
	if (VARSIZE_ANY_EXHDR(stored) != MEDSYNC_HASH_SIZE)
		return false;
	memcpy(dst, VARDATA_ANY(stored), MEDSYNC_HASH_SIZE);
	return true;
}

/* Read a row of _block; false when it makes no sense. */
bool
medsync_block_read(HeapTuple tuple, TupleDesc desc, MedsyncBlock *block)
{
	Datum		values[Natts_block];
	bool		isnull[Natts_block];
	Oid			output;
	bool		is_varlena;
	int			i;

	memset(block, 0, sizeof(*block));
	heap_deform_tuple(tuple, desc, values, isnull);
	for (i = 0; i < Natts_block; i++)
		if (isnull[i])
			return false;
	block->height = DatumGetInt64(values[Anum_block_height - 1]);
	block->era = DatumGetInt32(values[Anum_block_era - 1]);
	block->first_index = DatumGetInt64(values[Anum_block_first_index - 1]);
	block->entry_count = DatumGetInt64(values[Anum_block_entry_count - 1]);
	getTypeOutputInfo(TupleDescAttr(desc, Anum_block_snapshot - 1)->atttypid,
					  &output, &is_varlena);
	block->snapshot = OidOutputFunctionCall(output,
											values[Anum_block_snapshot - 1]);
	block->xids = medsync_xid_set_parse(block->snapshot);
	block->sealer_xid =
		U64FromFullTransactionId(DatumGetFullTransactionId(values[Anum_block_sealer_xid - 1]));
	block->sealed_at = DatumGetTimestampTz(values[Anum_block_sealed_at - 1]);
	return copy_hash(values[Anum_block_previous_hash - 1], false,
					 block->previous_hash) &&
		copy_hash(values[Anum_block_root - 1], false, block->root) &&
		copy_hash(values[Anum_block_hash - 1], false, block->hash);
}

/* The highest block that a snapshot sees, or NULL. */
MedsyncBlock *
medsync_block_last(Snapshot snapshot)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	MedsyncBlock *result = NULL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_block_pkey", snapshot, 0, NULL);
	scan.direction = BackwardScanDirection;
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		result = palloc(sizeof(MedsyncBlock));
		if (!medsync_block_read(tuple, RelationGetDescr(heap), result))
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("the last block of the ledger is malformed"),
					 errhint("Run medsync.verify() to see what was changed.")));
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

/* The block of a height; false if it is not there or makes no sense. */
bool
medsync_block_by_height(int64 height, Snapshot snapshot, MedsyncBlock *block)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(height));
	medsync_scan_begin(&scan, heap, "_block_pkey", snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	found = tuple != NULL &&
		medsync_block_read(tuple, RelationGetDescr(heap), block);
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return found;
}

/* The hash that chains a block to the one before. */
void
medsync_block_hash(const uint8 *ledger_id, TimestampTz ledger_created_at,
				   const uint8 *era_id, const MedsyncBlock *block, uint8 *hash)
{
	StringInfoData buf;

	initStringInfo(&buf);
	medsync_wire_put_bytes(&buf, "medsync block v1", 16);
	medsync_wire_put_bytes(&buf, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u64(&buf, (uint64) ledger_created_at);
	medsync_wire_put_u64(&buf, (uint64) block->height);
	medsync_wire_put_bytes(&buf, block->previous_hash, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(&buf, (uint64) block->first_index);
	medsync_wire_put_u64(&buf, (uint64) block->entry_count);
	medsync_wire_put_bytes(&buf, block->root, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(&buf, block->sealer_xid);
	medsync_wire_put_u64(&buf, (uint64) block->sealed_at);
	medsync_wire_put_u32(&buf, (uint32) block->era);
	medsync_wire_put_bytes(&buf, era_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(&buf, (uint32) strlen(block->snapshot));
	medsync_wire_put_bytes(&buf, block->snapshot, strlen(block->snapshot));
	medsync_sha256(buf.data, buf.len, hash);
	pfree(buf.data);
}

MedsyncLine *
medsync_line_of(List *lines, const MedsyncEra *era)
{
	ListCell   *cell;

	foreach(cell, lines)
	{
		MedsyncLine *line = lfirst(cell);

		if (medsync_era_same_line(line->era, era))
			return line;
	}
	return NULL;
}

/*
 * Did the call of the sealer that made the newest block of a line make this
 * one as well?  The number of a sealer alone does not tell: that of another
 * line can be the same.
 */
bool
medsync_line_same_call(const MedsyncLine *line, const MedsyncBlock *block)
{
	return line->last_sealer == block->sealer_xid &&
		line->last.xmax == block->xids.xmax &&
		line->last.count == block->xids.count &&
		(line->last.count == 0 ||
		 memcmp(line->last.in_progress, block->xids.in_progress,
				sizeof(uint64) * line->last.count) == 0);
}

/*
 * Note a block as the newest of its line.  Blocks that one call of the
 * sealer made for several eras share snapshot and sealer and are one group.
 */
List *
medsync_line_advance(List *lines, MedsyncEra *era, const MedsyncBlock *block)
{
	MedsyncLine *line = medsync_line_of(lines, era);

	if (line == NULL)
	{
		line = palloc0(sizeof(MedsyncLine));
		line->era = era;
		lines = lappend(lines, line);
	}
	else if (!medsync_line_same_call(line, block))
	{
		line->has_before = true;
		line->before = line->last;
		line->before_sealer = line->last_sealer;
	}
	line->last = block->xids;
	line->last_sealer = block->sealer_xid;
	return lines;
}

/*
 * The newest block of the current line, read from the top down; where that
 * has none, of every line.
 */
List *
medsync_lines(MedsyncWalk *walk, const MedsyncEra *current)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	List	   *lines = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_block_pkey", walk->snapshot, 0, NULL);
	scan.direction = BackwardScanDirection;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncBlock block;
		MedsyncEra *era;
		ListCell   *cell;
		bool		all_found = true;

		if (!medsync_block_read(tuple, RelationGetDescr(heap), &block))
			continue;
		era = medsync_era_by_number(walk->eras, block.era);
		if (era != NULL && medsync_line_of(lines, era) == NULL)
			lines = medsync_line_advance(lines, era, &block);
		foreach(cell, walk->eras)
			if (((MedsyncEra *) lfirst(cell))->number != 0 &&
				medsync_line_of(lines, lfirst(cell)) == NULL)
				all_found = false;
		if (all_found || medsync_line_of(lines, current) != NULL)
			break;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return lines;
}

/* Is this transaction in a block already? */
static bool
xact_sealed(List *lines, const MedsyncXact *xact)
{
	MedsyncLine *line = medsync_line_of(lines, xact->era);

	return line != NULL && (medsync_xid_finished(&line->last, xact->xid) ||
							xact->xid == line->last_sealer);
}

/*
 * Collect what no block holds yet.  Once the current line has a block, other
 * lines have nothing left, since its first block took their rest; before,
 * the whole journal must be looked through.
 */
void
medsync_walk_gather_unsealed(MedsyncWalk *walk, List *lines,
							 const MedsyncEra *current)
{
	MedsyncLine *line = medsync_line_of(lines, current);
	int64		kept = 0;
	int64		i;

	if (line != NULL)
	{
		medsync_walk_gather(walk, current, &line->last, NULL,
							line->last_sealer);
		return;
	}
	medsync_walk_gather(walk, NULL, NULL, NULL, 0);
	for (i = 0; i < walk->xact_count; i++)
		if (!xact_sealed(lines, &walk->xacts[i]))
			walk->xacts[kept++] = walk->xacts[i];
	walk->xact_count = kept;
}
