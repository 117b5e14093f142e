/*-------------------------------------------------------------------------
 *
 * openings.c
 *		What opens the commitments of a table's live rows.
 *
 * medsync-verify reads the rows of a table itself and computes h from them;
 * what it lacks is r, since r takes the subject's key.  This function gives
 * r, and the row key, row by row.  Nobody need believe it: only the right r
 * and the right row together give the commitment that an entry holds.  An r
 * tells nothing of its row, and neither it nor a row key is of use for
 * another row.
 *
 * Stores nothing.  Reads the table as its owner does, as verify() reads it:
 * by the caller's snapshot, without row security, without predicate locks,
 * under an AccessShareLock; keys by the latest state of their tables.  Memory
 * is that of a tuplestore, which spills to disk.  Works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/row.h"

enum
{
	Anum_openings_tid = 1,
	Anum_openings_opening,
	Anum_openings_row_key,
	Natts_openings = 3
};

/* A table while its rows are read */
typedef struct OpeningScan
{
	const MedsyncPlan *plan;
	MedsyncKeyReader *keys;
	bool		has_label;		/* rows have a key, and the table's opens */
	MedsyncHmacKey label;		/* K_label of the table's own key */
} OpeningScan;

PG_FUNCTION_INFO_V1(medsync_openings);

/* The table's own key. */
static MedsyncKeyStatus
table_key(OpeningScan *scan, const MedsyncSubjectKey **key)
{
	uint8		number[4];

	medsync_wire_store_u32(number, scan->plan->table);
	return medsync_key_reader_by_subject(scan->keys, MEDSYNC_SUBJECT_TABLE,
										 number, sizeof(number), key);
}

/* The key of a row's subject; the table's own where it has none. */
static MedsyncKeyStatus
subject_key(OpeningScan *scan, const Datum *values, const bool *isnull,
			const MedsyncSubjectKey **key)
{
	char	   *subject = medsync_row_subject(scan->plan, values, isnull);

	if (subject == NULL)
		return table_key(scan, key);
	return medsync_key_reader_by_subject(scan->keys, MEDSYNC_SUBJECT_PERSON,
										 subject, strlen(subject), key);
}

/*
 * r of a row.  NULL where the subject's key cannot be read; empty where the
 * subject never had one, so that no entry can have made the row.
 */
static Datum
row_opening(OpeningScan *scan, const Datum *values, const bool *isnull,
			bool *is_null)
{
	const MedsyncSubjectKey *key;
	MedsyncKeyStatus status = subject_key(scan, values, isnull, &key);
	MedsyncRowDigest digest;
	MedsyncSha256 sha;
	MedsyncSink sink;

	*is_null = status != MEDSYNC_KEY_OK && status != MEDSYNC_KEY_ABSENT;
	if (*is_null)
		return (Datum) 0;
	if (status == MEDSYNC_KEY_ABSENT)
		return PointerGetDatum(medsync_make_bytea(NULL, 0));
	initStringInfo(&sink.buf);
	sink.hash = &sha;
	medsync_row_hash_start(&sha, scan->plan->table);
	medsync_row_encode(&sink, scan->plan, values, isnull);
	medsync_sink_flush(&sink);
	medsync_sha256_finish(&sha, digest.hash);
	medsync_row_commit(&key->commit, &digest);
	return PointerGetDatum(medsync_make_bytea(digest.opening, MEDSYNC_HASH_SIZE));
}

static Datum
row_key(OpeningScan *scan, const Datum *values, const bool *isnull)
{
	MedsyncSink sink = {.hash = NULL};
	uint8		key[MEDSYNC_ID_SIZE];

	initStringInfo(&sink.buf);
	medsync_row_encode_key(&sink, scan->plan, values, isnull);
	medsync_row_key(&scan->label, sink.buf.data, sink.buf.len, key);
	return PointerGetDatum(medsync_make_bytea(key, MEDSYNC_ID_SIZE));
}

/* Derive K_label, where rows have a key and it can be read. */
static void
open_label(OpeningScan *scan)
{
	const MedsyncSubjectKey *key;

	scan->has_label = scan->plan->key_count > 0 &&
		table_key(scan, &key) == MEDSYNC_KEY_OK;
	if (scan->has_label)
		medsync_vault_label_key(key, &scan->label);
}

/* Put every row that the snapshot sees into the result. */
static void
put_rows(OpeningScan *opening, Relation rel, ReturnSetInfo *result)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "medsync opening",
													  ALLOCSET_DEFAULT_SIZES);
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, rel, NULL, GetActiveSnapshot(), 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(row_context);
		Datum		row[Natts_openings] = {0};
		bool		null[Natts_openings] = {false};

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, desc, values, isnull);
		row[Anum_openings_tid - 1] = PointerGetDatum(&tuple->t_self);
		row[Anum_openings_opening - 1] =
			row_opening(opening, values, isnull,
						&null[Anum_openings_opening - 1]);
		if (opening->has_label)
			row[Anum_openings_row_key - 1] = row_key(opening, values, isnull);
		else
			null[Anum_openings_row_key - 1] = true;
		tuplestore_putvalues(result->setResult, result->setDesc, row, null);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(row_context);
	}
	medsync_scan_end(&scan);
	MemoryContextDelete(row_context);
}

/*
 * The number that a relation has, or last had: an untrack() may have
 * committed after the caller's snapshot.
 */
static MedsyncManifest *
manifest_of(Relation rel)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));
	MedsyncTable *table = medsync_table_by_name(schema,
												RelationGetRelationName(rel),
												false);
	MedsyncManifest *manifest;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
				 errmsg("table \"%s\" is not tracked",
						RelationGetRelationName(rel)),
				 errhint("Call medsync.track() to enter it into the ledger.")));
	manifest = medsync_manifest_load(table->number, table->manifest_version);
	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the manifest of table \"%s\" is missing",
						RelationGetRelationName(rel)),
				 errhint("Run medsync.verify() to see what was changed.")));
	return manifest;
}

/* medsync._openings(relation) */
Datum
medsync_openings(PG_FUNCTION_ARGS)
{
	OpeningScan scan = {.has_label = false};
	Relation	rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
	MedsyncManifest *manifest = manifest_of(rel);
	MedsyncIdentity caller;

	InitMaterializedSRF(fcinfo, 0);
	if (rel->rd_rel->relkind == RELKIND_RELATION)
	{
		scan.plan = medsync_plan_build(rel, manifest, CurrentMemoryContext);
		scan.keys = medsync_key_reader_create(CurrentMemoryContext);
		open_label(&scan);
		medsync_act_as_table_owner(rel, &caller);
		put_rows(&scan, rel, (ReturnSetInfo *) fcinfo->resultinfo);
		medsync_act_as_caller(&caller);
		medsync_cleanse(&scan.label, sizeof(scan.label));
		medsync_key_reader_free(scan.keys);
	}
	relation_close(rel, NoLock);
	return (Datum) 0;
}
