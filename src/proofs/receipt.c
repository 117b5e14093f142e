/*-------------------------------------------------------------------------
 *
 * receipt.c
 *		medsync.receipt() and medsync.verify_receipt().
 *
 * A receipt is one text that proves one entry to an outsider, and opens the
 * row version that it brought: opening.c says what it holds.  The row comes
 * from the entry's image; where there is none, because the table is tracked
 * with payload 'hash', from the live table, if the row is still the one that
 * the entry committed to.  What cannot be opened any more, because its key
 * was destroyed or its row changed, has a receipt of the entry alone.
 *
 * receipt() is for auditors.  It signs the last block if that is not signed
 * yet and stores the note (checkpoint.c); nothing else is stored.  On a
 * standby what was signed can be proved.  Checking a receipt asks no table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/history.h"
#include "ledger/image.h"
#include "ledger/order.h"
#include "ledger/row.h"
#include "proofs/checkpoint.h"
#include "proofs/opening.h"
#include "proofs/tiles.h"

#define VERIFIER_KEYS_MAX	32

/* One receipt in the making */
typedef struct Receipt
{
	MedsyncSignedCheckpoint checkpoint;
	Snapshot	snapshot;
	MedsyncWalk walk;
	MedsyncStoredTree *tree;
	MedsyncKeyReader *keys;
	int64		index;

	/* the entry, copied from the journal */
	MedsyncEntry entry;
	StringInfoData opened;		/* salt || entry, as its leaf commits to it */
	StringInfoData row;			/* canonical */
	bool		has_row;
	uint8		opening[MEDSYNC_HASH_SIZE]; /* r */

	/* the announcement of its manifest */
	char	   *manifest;		/* NULL: none */
	int64		ddl_index;
	StringInfoData ddl;			/* salt || entry */
} Receipt;

PG_FUNCTION_INFO_V1(medsync_receipt_of_row);
PG_FUNCTION_INFO_V1(medsync_receipt_of_entry);
PG_FUNCTION_INFO_V1(medsync_verify_receipt);

/* Hash a canonical row; is it what the entry committed to, under this key? */
static bool
row_opens(Receipt *receipt, const MedsyncSubjectKey *key)
{
	MedsyncSha256 sha;
	MedsyncRowDigest digest;

	medsync_row_hash_start(&sha, receipt->entry.table);
	medsync_sha256_update(&sha, receipt->row.data, receipt->row.len);
	medsync_sha256_finish(&sha, digest.hash);
	medsync_row_commit(&key->commit, &digest);
	if (memcmp(digest.commitment, receipt->entry.new_commitment,
			   MEDSYNC_HASH_SIZE) != 0)
		return false;
	memcpy(receipt->opening, digest.opening, MEDSYNC_HASH_SIZE);
	return true;
}

/* Called with the entry that the receipt is about. */
static void
take_entry(void *arg, const MedsyncWalkEntry *item)
{
	Receipt    *receipt = arg;
	const MedsyncEntry *entry = item->entry;
	const MedsyncSubjectKey *key;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
	int64		chunks = 0;

	medsync_entry_leaf(&receipt->opened, item->xact->era->id, item->header,
					   entry, leaf);
	receipt->entry = *entry;
	if ((entry->fields & MEDSYNC_HAS_NEW) == 0 ||
		(entry->fields & (MEDSYNC_HAS_IMAGE | MEDSYNC_HAS_LARGE_IMAGE)) == 0 ||
		medsync_key_reader_by_id(receipt->keys, entry->key_id, &key) != MEDSYNC_KEY_OK)
		return;
	receipt->has_row = medsync_image_open(item->header, entry, key,
										  receipt->snapshot, &receipt->row,
										  &chunks) &&
		row_opens(receipt, key);
}

/* Called with an entry that may announce the manifest. */
static void
take_announcement(void *arg, const MedsyncWalkEntry *item)
{
	Receipt    *receipt = arg;
	const MedsyncEntry *entry = item->entry;
	int64		index = receipt->index++;
	uint8		leaf[MEDSYNC_LEAF_SIZE];

	CHECK_FOR_INTERRUPTS();
	if (receipt->ddl_index >= 0 || entry->operation != MEDSYNC_OP_DDL ||
		entry->table != receipt->entry.table ||
		entry->manifest != receipt->entry.manifest)
		return;
	receipt->ddl_index = index;
	medsync_entry_leaf(&receipt->ddl, item->xact->era->id, item->header,
					   entry, leaf);
}

static void
entries_missing(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("sealed entries of the ledger are missing"),
			 errhint("Run medsync.verify() to see what was changed.")));
}

/*
 * Find the ddl entry that announced the manifest: by the look-ups of full
 * segments, or else among the entries after them.
 */
static void
find_announcement(Receipt *receipt)
{
	int64		entry_index = receipt->index;
	int64		size = receipt->checkpoint.size;
	int64		tail = size - size % MEDSYNC_SEGMENT;
	uint8		key[8];
	int64	   *found;
	int64		count;
	int64		i;

	receipt->ddl_index = -1;
	medsync_lookup_manifest_key(receipt->entry.table, receipt->entry.manifest,
								key);
	found = medsync_lookup_find(receipt->snapshot, MEDSYNC_LOOKUP_MANIFEST,
								key, size, &count);
	for (i = 0; i < count && receipt->ddl_index < 0; i++)
	{
		receipt->index = found[i];
		if (!medsync_order_read(&receipt->walk, found[i], 1,
								take_announcement, receipt))
			entries_missing();
	}
	if (receipt->ddl_index < 0)
	{
		receipt->index = tail;
		if (!medsync_order_read(&receipt->walk, tail, size - tail,
								take_announcement, receipt))
			entries_missing();
	}
	receipt->index = entry_index;
	if (receipt->ddl_index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger does not announce manifest %u of table number %u",
						receipt->entry.manifest, receipt->entry.table),
				 errhint("Run medsync.verify() to see what was changed.")));
	/* a schema that was renamed while the statement ran */
	if (receipt->ddl_index > entry_index)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("entry " INT64_FORMAT " has no receipt", entry_index),
				 errdetail("What its table is was announced after it, by the same statement.")));
}

/* ---- the live row of a table without images ---- */

/*
 * Read a live row by its primary key, as the table's owner.  The values are
 * compared by the key's own operators; the pinned search path knows those
 * of pg_catalog, and for a key of another type there is no live row.
 */
static HeapTuple
live_row(Relation rel, const MedsyncManifest *manifest, Jsonb *key)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												  RelationGetRelationName(rel));
	StringInfoData query;
	Oid			type = JSONBOID;
	Datum		argument = JsonbPGetDatum(key);
	const char *joint = " WHERE ";
	int			i;

	initStringInfo(&query);
	appendStringInfo(&query,
					 "SELECT t.* FROM ONLY %s AS t,"
					 " pg_catalog.jsonb_populate_record(NULL::%s, $1) AS k",
					 name, name);
	for (i = 0; i < manifest->key_count; i++)
	{
		const MedsyncColumn *column =
			medsync_manifest_column_number(manifest, manifest->key[i]);
		const char *quoted;

		if (column == NULL)
			return NULL;
		quoted = quote_identifier(column->name);
		appendStringInfo(&query, "%st.%s = k.%s", joint, quoted, quoted);
		joint = " AND ";
	}
	if (manifest->key_count == 0 ||
		SPI_execute_with_args(query.data, 1, &type, &argument, NULL, true,
							  2) != SPI_OK_SELECT ||
		SPI_processed != 1)
		return NULL;
	return SPI_tuptable->vals[0];
}

/* Encode a live row into receipt->row; false if it cannot be. */
static bool
encode_live(Receipt *receipt, Relation rel, const MedsyncManifest *manifest,
			HeapTuple tuple)
{
	MedsyncPlan *plan = medsync_plan_build(rel, manifest,
										   CurrentMemoryContext);
	TupleDesc	desc = SPI_tuptable->tupdesc;
	Datum	   *live = palloc(sizeof(Datum) * desc->natts);
	bool	   *live_null = palloc(sizeof(bool) * desc->natts);
	int			natts = RelationGetDescr(rel)->natts;
	Datum	   *values = palloc0(sizeof(Datum) * natts);
	bool	   *isnull = palloc(sizeof(bool) * natts);
	MedsyncSink sink = {0};
	int			from = 0;
	int			i;

	if (plan->problem != NULL)
		return false;
	heap_deform_tuple(tuple, desc, live, live_null);
	/* the result has no dropped columns */
	for (i = 0; i < natts; i++)
	{
		isnull[i] = TupleDescAttr(RelationGetDescr(rel), i)->attisdropped;
		if (isnull[i])
			continue;
		values[i] = live[from];
		isnull[i] = live_null[from++];
	}
	initStringInfo(&sink.buf);
	medsync_row_encode(&sink, plan, values, isnull);
	resetStringInfo(&receipt->row);
	appendBinaryStringInfo(&receipt->row, sink.buf.data, sink.buf.len);
	return true;
}

/* Open the entry by the live row, if that is the version it brought. */
static void
open_by_live_row(Receipt *receipt, Oid relid, Jsonb *key)
{
	MedsyncTable *table = medsync_table_by_number(receipt->entry.table);
	Oid			part = table ? medsync_table_relid(table) : InvalidOid;
	MemoryContext context = CurrentMemoryContext;
	const MedsyncSubjectKey *subject;
	MedsyncManifest *manifest;
	MedsyncIdentity caller;
	Relation	rel;
	HeapTuple	tuple;

	if (!OidIsValid(part) || receipt->has_row ||
		(receipt->entry.fields & MEDSYNC_HAS_NEW) == 0 ||
		table->manifest_version != receipt->entry.manifest ||
		medsync_key_reader_by_id(receipt->keys, receipt->entry.key_id,
								 &subject) != MEDSYNC_KEY_OK)
		return;
	manifest = medsync_manifest_load(table->number, table->manifest_version);
	rel = try_relation_open(part, AccessShareLock);
	if (manifest == NULL || rel == NULL)
		return;
	medsync_act_as_table_owner(rel, &caller);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	tuple = live_row(rel, manifest, key);
	if (tuple != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		receipt->has_row = encode_live(receipt, rel, manifest, tuple) &&
			row_opens(receipt, subject);
		MemoryContextSwitchTo(oldcontext);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	medsync_act_as_caller(&caller);
	relation_close(rel, AccessShareLock);
}

/* ---- putting it together ---- */

static char *
manifest_text(uint32 table, uint32 version)
{
	char	   *content = medsync_manifest_content(table, version);

	if (content == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("manifest %u of table number %u is missing from the ledger",
						version, table),
				 errhint("Run medsync.verify() to see what was changed.")));
	return content;
}

static int
prove(Receipt *receipt, int64 index, uint8 (*hashes)[MEDSYNC_HASH_SIZE])
{
	int			count = medsync_tiles_inclusion(&receipt->tree->tiles, index,
												receipt->checkpoint.size,
												hashes);

	if (count < 0)
		medsync_stored_tree_damaged();
	return count;
}

static text *
write_receipt(Receipt *receipt)
{
	uint8		hashes[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	uint8		ddl_hashes[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	MedsyncOpening opening = {0};
	StringInfoData extra;
	StringInfoData text;
	char	   *note = medsync_checkpoint_full_note(&receipt->checkpoint);
	int			count;

	if (receipt->row.len > MEDSYNC_RECEIPT_ROW_MAX && receipt->has_row)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too large for a receipt"),
				 errdetail("Its canonical form has %d bytes, a receipt takes %d.",
						   receipt->row.len, MEDSYNC_RECEIPT_ROW_MAX)));
	opening.salt = (uint8 *) receipt->opened.data;
	opening.entry = opening.salt + MEDSYNC_HASH_SIZE;
	opening.entry_len = receipt->opened.len - MEDSYNC_HASH_SIZE;
	opening.has_row = receipt->has_row;
	opening.opening = receipt->opening;
	opening.row = (uint8 *) receipt->row.data;
	opening.row_len = receipt->row.len;
	if (receipt->manifest != NULL)
	{
		opening.has_manifest = true;
		opening.manifest = receipt->manifest;
		opening.manifest_len = strlen(receipt->manifest);
		opening.ddl_index = receipt->ddl_index;
		opening.ddl_salt = (uint8 *) receipt->ddl.data;
		opening.ddl_entry = opening.ddl_salt + MEDSYNC_HASH_SIZE;
		opening.ddl_entry_len = receipt->ddl.len - MEDSYNC_HASH_SIZE;
		opening.ddl_hash_count = prove(receipt, receipt->ddl_index,
									   ddl_hashes);
		opening.ddl_hashes = ddl_hashes[0];
	}
	count = prove(receipt, receipt->index, hashes);
	initStringInfo(&extra);
	initStringInfo(&text);
	medsync_opening_write(&extra, &opening);
	medsync_proof_write(&text, extra.data, extra.len, receipt->index,
						(const uint8 (*)[MEDSYNC_HASH_SIZE]) hashes, count,
						note, strlen(note));
	return cstring_to_text_with_len(text.data, text.len);
}

/*
 * The receipt of a sealed entry.  relid and key, where the caller named a
 * row, let the live row open what no image does.
 */
static text *
make_receipt(int64 index, Oid relid, Jsonb *key)
{
	Receipt    *receipt = palloc0(sizeof(Receipt));
	text	   *result;

	medsync_checkpoint_latest(&receipt->checkpoint);
	if (index < 0 || index >= receipt->checkpoint.size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entry index " INT64_FORMAT " is out of range", index),
				 errdetail("The signed checkpoint covers " INT64_FORMAT " entries, the first with index 0.",
						   receipt->checkpoint.size)));
	receipt->index = index;
	receipt->snapshot = RegisterSnapshot(GetLatestSnapshot());
	receipt->keys = medsync_key_reader_create(CurrentMemoryContext);
	initStringInfo(&receipt->opened);
	initStringInfo(&receipt->row);
	initStringInfo(&receipt->ddl);
	receipt->tree = medsync_stored_tree_open(receipt->checkpoint.size,
											 receipt->snapshot);
	medsync_walk_open(&receipt->walk, receipt->snapshot);
	if (!medsync_order_read(&receipt->walk, index, 1, take_entry, receipt))
		entries_missing();
	if (key != NULL)
		open_by_live_row(receipt, relid, key);
	if (receipt->entry.table != 0)
	{
		receipt->manifest = manifest_text(receipt->entry.table,
										  receipt->entry.manifest);
		find_announcement(receipt);
	}
	result = write_receipt(receipt);
	medsync_walk_close(&receipt->walk);
	medsync_stored_tree_close(receipt->tree);
	medsync_key_reader_free(receipt->keys);
	UnregisterSnapshot(receipt->snapshot);
	medsync_checkpoint_store(&receipt->checkpoint);
	return result;
}

/* medsync.receipt(entry_index) */
Datum
medsync_receipt_of_entry(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(make_receipt(PG_GETARG_INT64(0), InvalidOid, NULL));
}

/* medsync.receipt(relation, key): the newest version of a row */
Datum
medsync_receipt_of_row(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Jsonb	   *key = PG_GETARG_JSONB_P(1);
	MedsyncNewestEntry newest;

	medsync_history_newest(relid, key, &newest);
	if (!newest.found)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the ledger knows no such row of table \"%s\"",
						get_rel_name(relid))));
	if (newest.index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the newest version of the row is not sealed yet"),
				 errhint("Call medsync.seal() first.")));
	PG_RETURN_TEXT_P(make_receipt(newest.index, relid, key));
}

/* ---- checking ---- */

/* Verifier keys, one or more, between blanks or line ends. */
static int
read_keys(const char *text, MedsyncVerifierKey *keys)
{
	const char *blanks = " \t\r\n";
	int			count = 0;

	for (text += strspn(text, blanks); *text != '\0';
		 text += strspn(text, blanks))
	{
		size_t		len = strcspn(text, blanks);

		if (count == VERIFIER_KEYS_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many verifier keys"),
					 errdetail("At most %d can be given.", VERIFIER_KEYS_MAX)));
		if (!medsync_vkey_parse(text, len, &keys[count]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid verifier key"),
					 errdetail("A verifier key is a name, a key id and a public key, joined by plus signs (C2SP signed-note).")));
		count++;
		text += len;
	}
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no verifier key is given")));
	return count;
}

/* medsync.verify_receipt(receipt, verifier_key) */
Datum
medsync_verify_receipt(PG_FUNCTION_ARGS)
{
	text	   *receipt = PG_GETARG_TEXT_PP(0);
	MedsyncVerifierKey *keys = palloc(sizeof(MedsyncVerifierKey) *
									  VERIFIER_KEYS_MAX);
	int			count = read_keys(text_to_cstring(PG_GETARG_TEXT_PP(1)), keys);
	MedsyncReceiptResult result;
	TupleDesc	desc;
	Datum		values[2];
	bool		isnull[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	medsync_receipt_check(VARDATA_ANY(receipt), VARSIZE_ANY_EXHDR(receipt),
						  keys, count, &result);
	values[0] = CStringGetTextDatum(result.verdict);
	values[1] = PointerGetDatum(cstring_to_text_with_len(result.detail.data,
														 result.detail.len));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, isnull)));
}
