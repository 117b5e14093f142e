/*-------------------------------------------------------------------------
 *
 * capture.c
 *		The trigger that records every change of a tracked table.
 *
 * One AFTER ROW trigger, ENABLE ALWAYS, stands on each tracked table and
 * partition.  For each event it encodes the row as stored, commits to it and
 * hands an entry, with the sealed row image where one is wanted, to the
 * journal.  It stores nothing itself.  Where the table demands signatures, the
 * row as stored is handed to the room that knows the keys, before anything is
 * recorded.
 *
 * Tables of schema medsync that later rooms keep are tracked as well.  Their
 * rows come from those rooms' own statements, or by logical replication;
 * anybody else's are refused.
 *
 * Every look-up here is done with non-MVCC snapshots: an MVCC one would give
 * unrelated SERIALIZABLE inserts a serialisation failure.  A relation's plan
 * is cached for the session and rebuilt after a relcache invalidation.  No
 * locks are taken but those of the inserts.  An error aborts the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "replication/logicalworker.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/capture.h"
#include "ledger/image.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "ledger/manifest.h"
#include "ledger/row.h"
#include "ledger/track.h"

/* How often a long walk says how far it is */
#define ROWS_BETWEEN_REPORTS	10000

/* A relation's plan with the keys that go with it */
typedef struct CapturePlan
{
	Oid			relid;			/* hash key */
	bool		valid;
	bool		busy;			/* a capture is using it */
	bool		own;			/* a table that a later room keeps */
	MedsyncPlan *plan;
	MedsyncManifest *manifest;	/* NULL: no signature is demanded */
	MedsyncManifest *root;		/* of the root partitioned table, or the same */
	MedsyncSubjectKey table_key;
	MedsyncHmacKey label;		/* the table's K_label */
} CapturePlan;

/* What an entry says of the signature of its row */
typedef struct RowSigned
{
	uint8		signer[MEDSYNC_ID_SIZE];
	uint8		digest[MEDSYNC_HASH_SIZE];
	uint8		detail[MEDSYNC_DETAIL_MAX];
	int			detail_len;
} RowSigned;

/* One version of a row, encoded */
typedef struct EncodedRow
{
	Datum	   *values;
	bool	   *isnull;
	MedsyncSink row;			/* canonical row; empty if only hashed */
	MedsyncSink key;			/* canonical row of the key columns */
	const MedsyncSubjectKey *subject;	/* until the next one is encoded */
	uint8		key_id[MEDSYNC_ID_SIZE];
	MedsyncRowDigest digest;
	RowSigned  *signed_by;		/* NULL: no signature is demanded */
} EncodedRow;

static HTAB *capture_plans;
static MedsyncSignatureCheck signature_check = NULL;

/* The statement of a later room that is writing to its tables; NULL: none */
static MedsyncOwnWrite *own_write = NULL;

PG_FUNCTION_INFO_V1(medsync_capture);
PG_FUNCTION_INFO_V1(medsync_truncate);

static void
invalidate_plan(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CapturePlan *cached;

	if (OidIsValid(relid))
	{
		cached = hash_search(capture_plans, &relid, HASH_FIND, NULL);
		if (cached != NULL)
			cached->valid = false;
		return;
	}
	hash_seq_init(&status, capture_plans);
	while ((cached = hash_seq_search(&status)) != NULL)
		cached->valid = false;
}

void
medsync_capture_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(CapturePlan)};

	capture_plans = hash_create("medsync capture plans", 64, &ctl,
								HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(invalidate_plan, (Datum) 0);
}

void
medsync_capture_set_signature_check(MedsyncSignatureCheck check)
{
	signature_check = check;
}

/* Release what an outdated plan holds, unless a caller up the stack uses it. */
static void
release_plan(CapturePlan *cached)
{
	if (cached->plan != NULL && !cached->busy)
	{
		medsync_cleanse(&cached->table_key, sizeof(cached->table_key));
		medsync_cleanse(&cached->label, sizeof(cached->label));
		MemoryContextDelete(cached->plan->context);
	}
	cached->plan = NULL;
	cached->manifest = cached->root = NULL;
	cached->busy = false;
}

/* Keep the manifests that the signatures of a relation's rows are read by. */
static void
keep_signing_manifests(CapturePlan *cached, MedsyncManifest *manifest,
					   MemoryContext context)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	MedsyncManifest *root = medsync_manifest_root(manifest);
	char	   *content = medsync_manifest_write(manifest);

	cached->manifest = medsync_manifest_parse(content);
	cached->root = root == manifest ? cached->manifest : root;
	pfree(content);
	MemoryContextSwitchTo(oldcontext);
}

/* Build the plan of a tracked relation and fetch its table's own key. */
static void
fill_plan(CapturePlan *cached, Relation rel)
{
	MedsyncTable *table = medsync_table_of(rel);
	MedsyncManifest *manifest;
	MemoryContext context;
	uint8		number[4];

	if (table == NULL ||
		(manifest = medsync_manifest_load(table->number,
										  table->manifest_version)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
				 errmsg("table \"%s\" has a capture trigger but is not in the ledger",
						RelationGetRelationName(rel)),
				 errhint("Call medsync.track(), which makes the trigger itself, or drop the trigger.")));

	context = AllocSetContextCreate(TopMemoryContext, "medsync capture plan",
									ALLOCSET_SMALL_SIZES);
	cached->plan = medsync_plan_build(rel, manifest, context);
	if (cached->plan->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("table \"%s\" was altered past the ledger's guards",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", cached->plan->problem),
				 errhint("Call medsync.untrack() and medsync.track() to start a new baseline.")));
	if (manifest->signer != 0)
		keep_signing_manifests(cached, manifest, context);
	cached->own = medsync_track_is_own(table->schema_name, table->table_name);
	medsync_wire_store_u32(number, table->number);
	cached->table_key = *medsync_vault_subject_key(MEDSYNC_SUBJECT_TABLE,
												   number, sizeof(number));
	medsync_vault_label_key(&cached->table_key, &cached->label);
}

/* The valid plan of a tracked relation. */
static CapturePlan *
capture_plan(Relation rel)
{
	static CapturePlan *last = NULL;	/* entries are never removed */
	Oid			relid = RelationGetRelid(rel);
	CapturePlan *cached;
	bool		found;

	if (last != NULL && last->relid == relid && last->valid)
		return last;
	cached = last = hash_search(capture_plans, &relid, HASH_ENTER, &found);
	if (!found)
	{
		cached->valid = cached->busy = false;
		cached->plan = NULL;
		cached->manifest = cached->root = NULL;
	}
	if (!cached->valid)
	{
		release_plan(cached);
		/* an invalidation that arrives while we read must count */
		cached->valid = true;
		PG_TRY();
		{
			fill_plan(cached, rel);
		}
		PG_CATCH();
		{
			cached->valid = false;
			release_plan(cached);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return cached;
}

/*
 * Find the key of a row's subject.  It is valid until the next call, also
 * one by a nested trigger: so it is used before any value is looked at again.
 */
static void
find_subject_key(const CapturePlan *cached, EncodedRow *row)
{
	char	   *subject = medsync_row_subject(cached->plan, row->values,
											  row->isnull);

	if (subject == NULL)
		row->subject = &cached->table_key;
	else
	{
		row->subject = medsync_vault_subject_key(MEDSYNC_SUBJECT_PERSON,
												 subject, strlen(subject));
		pfree(subject);
	}
	memcpy(row->key_id, row->subject->id, MEDSYNC_ID_SIZE);
}

/*
 * Check the signature of an encoded row.  NULL: it holds, and "held" has it;
 * else why not.
 */
static const char *
check_signature(const CapturePlan *cached, const MedsyncSink *row, bool now,
				RowSigned *held)
{
	MedsyncRowSignature signature;
	MedsyncSignedRow checked;
	StringInfoData message;
	const char *problem;

	initStringInfo(&message);
	if (signature_check == NULL ||
		!medsync_signing_message(&message, medsync_ledger_id(),
								 cached->manifest, cached->root,
								 row->buf.data, row->buf.len, &signature))
		elog(ERROR, "could not read the signature of a row");
	checked.signature = &signature;
	checked.message = message.data;
	checked.message_len = message.len;
	checked.now = now;
	checked.detail_len = 0;
	problem = signature_check(&checked);
	pfree(message.data);
	if (problem != NULL)
		return problem;
	memcpy(held->signer, signature.signer, MEDSYNC_ID_SIZE);
	medsync_sha256(signature.signature, signature.signature_len, held->digest);
	memcpy(held->detail, checked.detail, checked.detail_len);
	held->detail_len = checked.detail_len;
	return NULL;
}

/*
 * A row must be signed, if its table demands it.  One that stays as it was
 * needs no key that is valid still.
 */
static void
require_signature(const CapturePlan *cached, Relation rel,
				  MedsyncOperation operation, const EncodedRow *old_row,
				  EncodedRow *new_row)
{
	bool		now = operation != MEDSYNC_OP_BASELINE;
	const char *problem;

	if (cached->manifest == NULL)
		return;
	if (old_row != NULL &&
		memcmp(old_row->digest.hash, new_row->digest.hash,
			   MEDSYNC_HASH_SIZE) == 0)
		now = false;
	new_row->signed_by = palloc(sizeof(RowSigned));
	problem = check_signature(cached, &new_row->row, now, new_row->signed_by);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_SIGNATURE_INVALID),
				 errmsg("row of table \"%s\" is not validly signed",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", problem),
				 errhint("A key that is valid must sign the bytes that medsync.signing_bytes() gives for the row as it is stored."),
				 errtable(rel)));
}

/* Are the bytes of new rows needed, or just their digest? */
static bool
keeps_bytes(const CapturePlan *cached)
{
	return cached->plan->full || cached->manifest != NULL;
}

/* Encode one version of a row and commit to it. */
static void
encode_row(const CapturePlan *cached, EncodedRow *row, bool keep_bytes)
{
	const MedsyncPlan *plan = cached->plan;
	MedsyncSha256 sha;

	row->signed_by = NULL;
	initStringInfo(&row->row.buf);
	row->row.hash = keep_bytes ? NULL : &sha;
	medsync_row_hash_start(&sha, plan->table);
	medsync_row_encode(&row->row, plan, row->values, row->isnull);
	if (keep_bytes)
		medsync_sha256_update(&sha, row->row.buf.data, row->row.buf.len);
	else
		medsync_sink_flush(&row->row);
	medsync_sha256_finish(&sha, row->digest.hash);

	initStringInfo(&row->key.buf);
	row->key.hash = NULL;
	if (plan->key_count > 0)
		medsync_row_encode_key(&row->key, plan, row->values, row->isnull);

	find_subject_key(cached, row);
	medsync_row_commit(&row->subject->commit, &row->digest);
}

/* Put into an entry whose row it is about. */
static void
set_row_identity(const CapturePlan *cached, MedsyncEntry *entry,
				 const EncodedRow *row)
{
	memcpy(entry->key_id, row->key_id, MEDSYNC_ID_SIZE);
	entry->fields |= MEDSYNC_HAS_KEY_ID;
	if (cached->plan->key_count > 0)
	{
		medsync_row_key(&cached->label, row->key.buf.data, row->key.buf.len,
						entry->row_key);
		entry->fields |= MEDSYNC_HAS_ROW_KEY;
	}
}

/* Put into an entry who signed its row. */
static void
set_signature(MedsyncEntry *entry, const RowSigned *signed_by)
{
	memcpy(entry->signer, signed_by->signer, MEDSYNC_ID_SIZE);
	memcpy(entry->signature_digest, signed_by->digest, MEDSYNC_HASH_SIZE);
	entry->fields |= MEDSYNC_HAS_SIGNATURE;
	if (signed_by->detail_len > 0)
	{
		entry->detail = signed_by->detail;
		entry->detail_len = signed_by->detail_len;
		entry->fields |= MEDSYNC_HAS_DETAIL;
	}
}

/* Record one entry; old_row or new_row may be NULL. */
static void
record_entry(const CapturePlan *cached, MedsyncOperation operation,
			 CommandId command, const EncodedRow *old_row,
			 const EncodedRow *new_row)
{
	MedsyncEntry entry = {0};
	MedsyncImageRoom room;

	entry.operation = operation;
	entry.table = cached->plan->table;
	entry.manifest = cached->plan->manifest;
	entry.command = command;
	if (old_row != NULL)
	{
		memcpy(entry.old_commitment, old_row->digest.commitment,
			   MEDSYNC_HASH_SIZE);
		entry.fields |= MEDSYNC_HAS_OLD;
	}
	if (new_row != NULL)
	{
		memcpy(entry.new_commitment, new_row->digest.commitment,
			   MEDSYNC_HASH_SIZE);
		entry.fields |= MEDSYNC_HAS_NEW;
		if (cached->plan->full)
			medsync_image_seal(&entry, new_row->subject,
							   new_row->row.buf.data, new_row->row.buf.len,
							   &room);
	}
	set_row_identity(cached, &entry, new_row ? new_row : old_row);
	if (new_row != NULL && new_row->signed_by != NULL)
		set_signature(&entry, new_row->signed_by);
	medsync_journal_add(&entry);
}

/*
 * Where OLD and NEW point to the same value out of line, fetch it once for
 * both.
 */
static void
share_toasted_values(TupleDesc desc, EncodedRow *old_row, EncodedRow *new_row)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		struct varlena *a;
		struct varlena *b;

		if (TupleDescAttr(desc, i)->attlen != -1 ||
			old_row->isnull[i] || new_row->isnull[i])
			continue;
		a = (struct varlena *) DatumGetPointer(old_row->values[i]);
		b = (struct varlena *) DatumGetPointer(new_row->values[i]);
		if (VARATT_IS_EXTERNAL_ONDISK(a) && VARATT_IS_EXTERNAL_ONDISK(b) &&
			memcmp(a, b, VARSIZE_EXTERNAL(a)) == 0)
			old_row->values[i] = new_row->values[i] =
				PointerGetDatum(detoast_attr(a));
	}
}

/* A statement of a later room begins to write to that room's tables. */
void
medsync_own_write_begin(MedsyncOwnWrite *write)
{
	write->outer = own_write;
	write->rows = 0;
	own_write = write;
}

/* It has ended, by an error too. */
void
medsync_own_write_end(const MedsyncOwnWrite *write)
{
	own_write = write->outer;
}

/*
 * A row of a table that a later room keeps: is it that room who writes?  What
 * another server's room wrote, replication brings.
 */
static void
count_own_row(Relation rel)
{
	if (own_write != NULL)
		own_write->rows++;
	else if (!IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_TRACKED),
				 errmsg("table \"%s.%s\" is written by medsync's functions only",
						MEDSYNC_SCHEMA, RelationGetRelationName(rel)),
				 errhint("docs/identity.md and docs/records.md list the functions.")));
}

static void
deform_row(HeapTuple tuple, TupleDesc desc, EncodedRow *row)
{
	row->values = palloc(sizeof(Datum) * desc->natts);
	row->isnull = palloc(sizeof(bool) * desc->natts);
	heap_deform_tuple(tuple, desc, row->values, row->isnull);
}

/* Record an UPDATE: one entry, or two where subject or key changed. */
static void
record_update(const CapturePlan *cached, CommandId command,
			  const EncodedRow *old_row, const EncodedRow *new_row)
{
	bool		same_row;

	same_row = memcmp(old_row->key_id, new_row->key_id,
					  MEDSYNC_ID_SIZE) == 0 &&
		old_row->key.buf.len == new_row->key.buf.len &&
		memcmp(old_row->key.buf.data, new_row->key.buf.data,
			   old_row->key.buf.len) == 0;
	if (same_row)
		record_entry(cached, MEDSYNC_OP_UPDATE, command, old_row, new_row);
	else
	{
		record_entry(cached, MEDSYNC_OP_UPDATE_OUT, command, old_row, NULL);
		record_entry(cached, MEDSYNC_OP_UPDATE_IN, command, NULL, new_row);
	}
}

/*
 * medsync._capture(): the row trigger.
 *
 * The command id comes from the tuple itself, because nested AFTER triggers
 * fire out of the order in which rows really changed.
 */
Datum
medsync_capture(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	EncodedRow	old_row;
	EncodedRow	new_row;
	CapturePlan *cached;
	TupleDesc	desc;
	CommandId	command;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the capture function can only be called as a trigger")));
	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		strcmp(trigdata->tg_trigger->tgname, MEDSYNC_CAPTURE_TRIGGER) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the capture trigger must be fired after each row"),
				 errdetail("It is named \"%s\", so that a table has one.",
						   MEDSYNC_CAPTURE_TRIGGER)));

	cached = capture_plan(trigdata->tg_relation);
	if (cached->own)
		count_own_row(trigdata->tg_relation);
	cached->busy = true;
	desc = RelationGetDescr(trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		deform_row(trigdata->tg_trigtuple, desc, &new_row);
		command = HeapTupleHeaderGetCmin(trigdata->tg_trigtuple->t_data);
		encode_row(cached, &new_row, keeps_bytes(cached));
		require_signature(cached, trigdata->tg_relation, MEDSYNC_OP_INSERT,
						  NULL, &new_row);
		record_entry(cached, MEDSYNC_OP_INSERT, command, NULL, &new_row);
	}
	else if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		deform_row(trigdata->tg_trigtuple, desc, &old_row);
		deform_row(trigdata->tg_newtuple, desc, &new_row);
		share_toasted_values(desc, &old_row, &new_row);
		encode_row(cached, &old_row, false);
		command = HeapTupleHeaderGetCmin(trigdata->tg_newtuple->t_data);
		encode_row(cached, &new_row, keeps_bytes(cached));
		require_signature(cached, trigdata->tg_relation, MEDSYNC_OP_UPDATE,
						  &old_row, &new_row);
		record_update(cached, command, &old_row, &new_row);
	}
	else
	{
		deform_row(trigdata->tg_trigtuple, desc, &old_row);
		encode_row(cached, &old_row, false);
		record_entry(cached, MEDSYNC_OP_DELETE,
					 HeapTupleHeaderGetCmax(trigdata->tg_trigtuple->t_data),
					 &old_row, NULL);
	}
	cached->busy = false;
	return PointerGetDatum(NULL);
}

/*
 * Record every row that a relation has, as a baseline or as deleted.  The
 * caller holds a lock that keeps writers out; rows are read by a snapshot
 * taken after it.  Returns how many there were.
 */
uint64
medsync_capture_all_rows(Relation rel, MedsyncOperation operation,
						 const char *activity)
{
	CapturePlan *cached = capture_plan(rel);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync row",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	CommandId	command = GetCurrentCommandId(true);
	uint64		count = 0;
	MedsyncScan scan;
	HeapTuple	tuple;

	cached->busy = true;
	medsync_scan_begin(&scan, rel, NULL, snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MemoryContext row_context = AllocSetContextCreate(context,
														  "medsync one row",
														  ALLOCSET_DEFAULT_SIZES);
		EncodedRow	row;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_context);
		deform_row(tuple, RelationGetDescr(rel), &row);
		if (operation == MEDSYNC_OP_DELETE)
		{
			encode_row(cached, &row, false);
			record_entry(cached, operation, command, &row, NULL);
		}
		else
		{
			encode_row(cached, &row, keeps_bytes(cached));
			require_signature(cached, rel, operation, NULL, &row);
			record_entry(cached, operation, command, NULL, &row);
		}
		MemoryContextSwitchTo(context);
		MemoryContextDelete(row_context);
		if (++count % ROWS_BETWEEN_REPORTS == 0)
		{
			char		text[256];

			snprintf(text, sizeof(text), "%s %s: " UINT64_FORMAT " rows",
					 activity, RelationGetRelationName(rel), count);
			pgstat_report_activity(STATE_RUNNING, text);
		}
	}
	medsync_scan_end(&scan);
	cached->busy = false;
	UnregisterSnapshot(snapshot);
	if (count >= ROWS_BETWEEN_REPORTS)
		pgstat_report_activity(STATE_RUNNING, debug_query_string);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return count;
}

/*
 * How many rows of a relation that demands signatures have none that holds?
 * The caller holds a lock that keeps writers out.
 */
uint64
medsync_capture_count_unsigned(Relation rel)
{
	CapturePlan *cached = capture_plan(rel);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync row",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MemoryContext row_context = AllocSetContextCreate(context,
													  "medsync one row",
													  ALLOCSET_DEFAULT_SIZES);
	uint64		count = 0;
	MedsyncScan scan;
	HeapTuple	tuple;

	cached->busy = true;
	medsync_scan_begin(&scan, rel, NULL, snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		EncodedRow	row;
		RowSigned	held;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_context);
		deform_row(tuple, RelationGetDescr(rel), &row);
		initStringInfo(&row.row.buf);
		row.row.hash = NULL;
		medsync_row_encode(&row.row, cached->plan, row.values, row.isnull);
		if (check_signature(cached, &row.row, false, &held) != NULL)
			count++;
		MemoryContextSwitchTo(context);
		MemoryContextReset(row_context);
	}
	medsync_scan_end(&scan);
	cached->busy = false;
	UnregisterSnapshot(snapshot);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return count;
}

/*
 * medsync._truncate(): TRUNCATE is refused.  In a replication apply worker,
 * where refusing would stop replication, the rows are recorded as deleted
 * and the truncation after them.
 */
Datum
medsync_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	MedsyncEntry entry = {0};
	CapturePlan *cached;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the truncate guard can only be called as a TRUNCATE trigger")));
	if (!IsLogicalWorker())
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_TRACKED),
				 errmsg("cannot truncate table \"%s\" because it is tracked",
						RelationGetRelationName(trigdata->tg_relation)),
				 errhint("Use DELETE, which is recorded row by row, or call medsync.untrack() first.")));
	if (trigdata->tg_relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		return PointerGetDatum(NULL);

	medsync_capture_all_rows(trigdata->tg_relation, MEDSYNC_OP_DELETE,
							 "medsync: recording truncated");
	cached = capture_plan(trigdata->tg_relation);
	entry.operation = MEDSYNC_OP_TRUNCATE;
	entry.table = cached->plan->table;
	entry.manifest = cached->plan->manifest;
	entry.command = GetCurrentCommandId(true);
	medsync_journal_add(&entry);
	return PointerGetDatum(NULL);
}
