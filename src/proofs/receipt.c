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
 * Where the entry's manifest demands a signature the receipt also opens the
 * signer's row of person_key, from its image, in the version that the ledger
 * had right before the entry.  Without that a signed row proves nothing, so
 * that where it cannot be opened the receipt is of the entry alone.
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
#include "proofs/key_row.h"
#include "proofs/opening.h"
#include "proofs/tiles.h"

#define VERIFIER_KEYS_MAX	32

/* The announcement of a manifest */
typedef struct Announcement
{
	uint32		table;
	uint32		version;
	int64		index;			/* of the ddl entry; -1: not found */
	StringInfoData leaf;		/* its salt || entry */
	MedsyncManifestOpening opening;
} Announcement;

/* An entry that is opened: the receipt's own, or that of the signer's key */
typedef struct OpenedEntry
{
	int64		index;
	MedsyncEntry entry;			/* what it points to is gone */
	MedsyncEra	era;
	StringInfoData leaf;		/* salt || entry, as its leaf commits to it */
	StringInfoData row;			/* canonical */
	bool		has_row;
	uint8		opening[MEDSYNC_HASH_SIZE]; /* r */
	Announcement announcement;	/* where the entry is of a table */
} OpenedEntry;

/* One receipt in the making */
typedef struct Receipt
{
	MedsyncSignedCheckpoint checkpoint;
	Snapshot	snapshot;
	MedsyncWalk walk;
	MedsyncStoredTree *tree;
	MedsyncKeyReader *keys;
	OpenedEntry own;
	bool		has_signer;
	OpenedEntry key;
	int			parent_count;
	Announcement parents[MEDSYNC_RECEIPT_PARENTS];
} Receipt;

/* Entries while one of them is looked for */
typedef struct Search
{
	Receipt    *receipt;
	OpenedEntry *entry;			/* take_entry */
	Announcement *announcement; /* take_announcement */
	uint32		table;			/* take_version */
	uint8		row_key[MEDSYNC_ID_SIZE];
	int64		index;			/* of the next entry */
	int64		found;			/* -1: none */
} Search;

PG_FUNCTION_INFO_V1(medsync_receipt_of_row);
PG_FUNCTION_INFO_V1(medsync_receipt_of_entry);
PG_FUNCTION_INFO_V1(medsync_verify_receipt);

/* Hash a canonical row; is it what the entry committed to, under this key? */
static bool
row_opens(OpenedEntry *opened, const MedsyncSubjectKey *key)
{
	MedsyncSha256 sha;
	MedsyncRowDigest digest;

	medsync_row_hash_start(&sha, opened->entry.table);
	medsync_sha256_update(&sha, opened->row.data, opened->row.len);
	medsync_sha256_finish(&sha, digest.hash);
	medsync_row_commit(&key->commit, &digest);
	if (memcmp(digest.commitment, opened->entry.new_commitment,
			   MEDSYNC_HASH_SIZE) != 0)
		return false;
	memcpy(opened->opening, digest.opening, MEDSYNC_HASH_SIZE);
	return true;
}

/* Called with the entry that is to be opened. */
static void
take_entry(void *arg, const MedsyncWalkEntry *item)
{
	Search	   *search = arg;
	Receipt    *receipt = search->receipt;
	OpenedEntry *opened = search->entry;
	const MedsyncEntry *entry = item->entry;
	const MedsyncSubjectKey *key;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
	int64		chunks = 0;

	medsync_entry_leaf(&opened->leaf, item->xact->era->id, item->header,
					   entry, leaf);
	opened->entry = *entry;
	opened->era = *item->xact->era;
	if ((entry->fields & MEDSYNC_HAS_NEW) == 0 ||
		(entry->fields & (MEDSYNC_HAS_IMAGE | MEDSYNC_HAS_LARGE_IMAGE)) == 0 ||
		medsync_key_reader_by_id(receipt->keys, entry->key_id, &key) != MEDSYNC_KEY_OK)
		return;
	opened->has_row = medsync_image_open(item->header, entry, key,
										 receipt->snapshot, &opened->row,
										 &chunks) &&
		row_opens(opened, key);
}

/* Called with an entry that may announce the manifest. */
static void
take_announcement(void *arg, const MedsyncWalkEntry *item)
{
	Search	   *search = arg;
	Announcement *announcement = search->announcement;
	const MedsyncEntry *entry = item->entry;
	int64		index = search->index++;
	uint8		leaf[MEDSYNC_LEAF_SIZE];

	CHECK_FOR_INTERRUPTS();
	if (announcement->index >= 0 || entry->operation != MEDSYNC_OP_DDL ||
		entry->table != announcement->table ||
		entry->manifest != announcement->version)
		return;
	announcement->index = index;
	medsync_entry_leaf(&announcement->leaf, item->xact->era->id, item->header,
					   entry, leaf);
}

/* Called with an entry that may be of the row that is looked for. */
static void
take_version(void *arg, const MedsyncWalkEntry *item)
{
	Search	   *search = arg;
	const MedsyncEntry *entry = item->entry;
	int64		index = search->index++;

	CHECK_FOR_INTERRUPTS();
	if (entry->table == search->table &&
		(entry->fields & MEDSYNC_HAS_NEW) != 0 &&
		(entry->fields & MEDSYNC_HAS_ROW_KEY) != 0 &&
		memcmp(entry->row_key, search->row_key, MEDSYNC_ID_SIZE) == 0)
		search->found = Max(search->found, index);
}

static void
entries_missing(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("sealed entries of the ledger are missing"),
			 errhint("Run medsync.verify() to see what was changed.")));
}

/* Hand some entries over, the first one's index in search->index. */
static void
read_entries(Search *search, int64 index, int64 count,
			 MedsyncWalkCallback callback)
{
	search->index = index;
	if (count > 0 &&
		!medsync_order_read(&search->receipt->walk, index, count, callback,
							search))
		entries_missing();
}

static void
open_entry(Receipt *receipt, OpenedEntry *opened, int64 index)
{
	Search		search = {.receipt = receipt,.entry = opened};

	opened->index = index;
	initStringInfo(&opened->leaf);
	initStringInfo(&opened->row);
	read_entries(&search, index, 1, take_entry);
}

/* ---- manifests ---- */

/* Where the entries begin that no look-up covers yet. */
static int64
tail_of(const Receipt *receipt)
{
	return receipt->checkpoint.size -
		receipt->checkpoint.size % MEDSYNC_SEGMENT;
}

/*
 * Find the ddl entry that announced a manifest: by the look-ups of full
 * segments, or else among the entries after them.
 */
static void
find_announcement(Receipt *receipt, Announcement *announcement,
				  uint32 table, uint32 version)
{
	Search		search = {.receipt = receipt,.announcement = announcement};
	int64		tail = tail_of(receipt);
	uint8		key[8];
	int64	   *found;
	int64		count;
	int64		i;

	announcement->table = table;
	announcement->version = version;
	announcement->index = -1;
	initStringInfo(&announcement->leaf);
	medsync_lookup_manifest_key(table, version, key);
	found = medsync_lookup_find(receipt->snapshot, MEDSYNC_LOOKUP_MANIFEST,
								key, receipt->checkpoint.size, &count);
	for (i = 0; i < count && announcement->index < 0; i++)
		read_entries(&search, found[i], 1, take_announcement);
	if (announcement->index < 0)
		read_entries(&search, tail, receipt->checkpoint.size - tail,
					 take_announcement);
}

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

/* Append the proof that an entry is in the signed tree; returns its hashes. */
static uint8 *
prove(Receipt *receipt, int64 index, int *count)
{
	uint8	   *hashes = palloc(MEDSYNC_PROOF_MAX * MEDSYNC_HASH_SIZE);

	*count = medsync_tiles_inclusion(&receipt->tree->tiles, index,
									 receipt->checkpoint.size,
									 (uint8 (*)[MEDSYNC_HASH_SIZE]) hashes);
	if (*count < 0)
		medsync_stored_tree_damaged();
	return hashes;
}

/* Put together what a receipt shows of a manifest whose entry was found. */
static void
open_manifest(Receipt *receipt, Announcement *announcement)
{
	MedsyncManifestOpening *opening = &announcement->opening;

	opening->content = manifest_text(announcement->table,
									 announcement->version);
	opening->content_len = strlen(opening->content);
	opening->ddl_index = announcement->index;
	opening->ddl_salt = (uint8 *) announcement->leaf.data;
	opening->ddl_entry = opening->ddl_salt + MEDSYNC_HASH_SIZE;
	opening->ddl_entry_len = announcement->leaf.len - MEDSYNC_HASH_SIZE;
	opening->ddl_hashes = prove(receipt, announcement->index,
								&opening->ddl_hash_count);
}

/* What a table was is announced after an entry of it, by the same statement. */
static void
announced_late(int64 index)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("entry " INT64_FORMAT " has no receipt", index),
			 errdetail("What its table is was announced after it, by the same statement.")));
}

/* Find and open the manifest that an entry names. */
static void
open_manifest_of(Receipt *receipt, OpenedEntry *opened)
{
	uint32		table = opened->entry.table;
	uint32		version = opened->entry.manifest;

	find_announcement(receipt, &opened->announcement, table, version);
	if (opened->announcement.index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger does not announce manifest %u of table number %u",
						version, table),
				 errhint("Run medsync.verify() to see what was changed.")));
	/* a schema that was renamed while the statement ran */
	if (opened->announcement.index > opened->index)
		announced_late(opened->index);
	open_manifest(receipt, &opened->announcement);
}

/* ---- who signed the row ---- */

/* The manifest that a table had when the receipt's entry was made. */
static MedsyncManifest *
open_parent(Receipt *receipt, uint32 number)
{
	MedsyncTable *table = medsync_table_by_number(number);
	uint32		version = table ? table->manifest_version : 0;
	Announcement *parent = &receipt->parents[receipt->parent_count];

	if (receipt->parent_count == MEDSYNC_RECEIPT_PARENTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("signed row is too deep in partitions for a receipt"),
				 errdetail("A receipt takes %d partitioned tables above the row's.",
						   MEDSYNC_RECEIPT_PARENTS)));
	for (; version > 0; version--)
	{
		find_announcement(receipt, parent, number, version);
		if (parent->index >= 0 && parent->index <= receipt->own.index)
			break;
	}
	if (version == 0)
		announced_late(receipt->own.index);
	open_manifest(receipt, parent);
	receipt->parent_count++;
	return medsync_manifest_parse(parent->opening.content);
}

/* The row key of a key's row in person_key; false where it cannot be made. */
static bool
key_row_key(Receipt *receipt, const MedsyncTable *table, const uint8 *key_id,
			uint8 *row_key)
{
	MedsyncManifest *manifest = medsync_manifest_load(table->number,
													  table->manifest_version);
	uint8		number[4];
	const MedsyncSubjectKey *subject;
	MedsyncHmacKey label;
	StringInfoData columns;
	uint8		tag = MEDSYNC_TAG_UUID;

	medsync_wire_store_u32(number, table->number);
	if (manifest == NULL || manifest->key_count != 1 ||
		medsync_key_reader_by_subject(receipt->keys, MEDSYNC_SUBJECT_TABLE,
									  number, sizeof(number),
									  &subject) != MEDSYNC_KEY_OK)
		return false;
	medsync_vault_label_key(subject, &label);
	initStringInfo(&columns);
	medsync_wire_put_varint(&columns, manifest->key[0]);
	medsync_wire_put_bytes(&columns, &tag, 1);
	medsync_wire_put_bytes(&columns, key_id, MEDSYNC_ID_SIZE);
	medsync_row_key(&label, columns.data, columns.len, row_key);
	medsync_cleanse(&label, sizeof(label));
	return true;
}

/*
 * The entry that brought the version of a row that was there when the
 * receipt's own entry was made; -1: none did.
 */
static int64
find_version(Receipt *receipt, const MedsyncTable *table,
			 const uint8 *row_key)
{
	Search		search = {.receipt = receipt,.table = table->number,.found = -1};
	int64		tail = tail_of(receipt);
	int64	   *found;
	int64		count;

	memcpy(search.row_key, row_key, MEDSYNC_ID_SIZE);
	read_entries(&search, tail, receipt->own.index - tail, take_version);
	if (search.found >= 0)
		return search.found;
	found = medsync_lookup_find(receipt->snapshot, MEDSYNC_LOOKUP_ROW,
								row_key, receipt->checkpoint.size, &count);
	for (; count > 0 && search.found < 0; count--)
		if (found[count - 1] < receipt->own.index)
			read_entries(&search, found[count - 1], 1, take_version);
	return search.found;
}

/*
 * The last version of the signer's row of person_key before the entry, under
 * whichever number that table had then; -1: there is none.  Sets *readable
 * to false where a number's row keys cannot be made.
 */
static int64
find_key_entry(Receipt *receipt, bool *readable)
{
	int64		index = -1;
	ListCell   *cell;

	*readable = true;
	foreach(cell, medsync_tables(SnapshotSelf, NULL))
	{
		MedsyncTable *table = lfirst(cell);
		uint8		row_key[MEDSYNC_ID_SIZE];

		if (strcmp(table->schema_name, MEDSYNC_SCHEMA) != 0 ||
			strcmp(table->table_name, "person_key") != 0)
			continue;
		if (!key_row_key(receipt, table, receipt->own.entry.signer, row_key))
			*readable = false;
		else
			index = Max(index, find_version(receipt, table, row_key));
	}
	return index;
}

/* Open the row of the key that signed; false: it cannot be opened. */
static bool
open_key(Receipt *receipt)
{
	bool		readable;
	int64		index = find_key_entry(receipt, &readable);

	if (index < 0 && !readable)
		return false;
	if (index < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key that signed entry " INT64_FORMAT " is not sealed before it",
						receipt->own.index),
				 errdetail("The receipt of a signed row shows the entry of its signer's key."),
				 errhint("Call medsync.seal(); if that does not help, medsync.verify() tells what was changed.")));
	open_entry(receipt, &receipt->key, index);
	if (receipt->key.has_row)
		open_manifest_of(receipt, &receipt->key);
	return receipt->key.has_row;
}

/*
 * Where the row is signed, open what proves by whom.  If that is not to be
 * had any more, or the entry's era has no known origin, so that nothing
 * proves the ledger's id, the receipt is of the entry alone.
 */
static void
open_signer(Receipt *receipt)
{
	MedsyncManifest *manifest =
	medsync_manifest_parse(receipt->own.announcement.opening.content);

	if (manifest->signer == 0 || !receipt->own.has_row)
		return;
	receipt->has_signer =
		(receipt->own.entry.fields & MEDSYNC_HAS_SIGNATURE) != 0 &&
		receipt->own.era.known && open_key(receipt);
	receipt->own.has_row = receipt->has_signer;
	while (receipt->has_signer && manifest->parent != 0)
		manifest = open_parent(receipt, manifest->parent);
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

/* Encode a live row into opened->row; false if it cannot be. */
static bool
encode_live(OpenedEntry *opened, Relation rel, const MedsyncManifest *manifest,
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
	resetStringInfo(&opened->row);
	appendBinaryStringInfo(&opened->row, sink.buf.data, sink.buf.len);
	return true;
}

/* Open the entry by the live row, if that is the version it brought. */
static void
open_by_live_row(Receipt *receipt, Oid relid, Jsonb *key)
{
	OpenedEntry *opened = &receipt->own;
	MedsyncTable *table = medsync_table_by_number(opened->entry.table);
	Oid			part = table ? medsync_table_relid(table) : InvalidOid;
	MemoryContext context = CurrentMemoryContext;
	const MedsyncSubjectKey *subject;
	MedsyncManifest *manifest;
	MedsyncIdentity caller;
	Relation	rel;
	HeapTuple	tuple;

	if (!OidIsValid(part) || opened->has_row ||
		(opened->entry.fields & MEDSYNC_HAS_NEW) == 0 ||
		table->manifest_version != opened->entry.manifest ||
		medsync_key_reader_by_id(receipt->keys, opened->entry.key_id,
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

		opened->has_row = encode_live(opened, rel, manifest, tuple) &&
			row_opens(opened, subject);
		MemoryContextSwitchTo(oldcontext);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	medsync_act_as_caller(&caller);
	relation_close(rel, AccessShareLock);
}

/* ---- putting it together ---- */

/* What the receipt shows of an entry, and of the row that it brought. */
static void
fill_opening(MedsyncOpening *opening, const OpenedEntry *opened)
{
	memset(opening, 0, sizeof(MedsyncOpening));
	opening->salt = (uint8 *) opened->leaf.data;
	opening->entry = opening->salt + MEDSYNC_HASH_SIZE;
	opening->entry_len = opened->leaf.len - MEDSYNC_HASH_SIZE;
	opening->has_row = opened->has_row;
	opening->opening = opened->opening;
	opening->row = (uint8 *) opened->row.data;
	opening->row_len = opened->row.len;
	opening->has_manifest = opened->entry.table != 0;
	opening->manifest = opened->announcement.opening;
}

/* What it shows of the signer; "key" takes the bytes of the key's opening. */
static void
fill_signer(Receipt *receipt, MedsyncSignerOpening *signer, StringInfo key)
{
	const MedsyncEra *era = &receipt->own.era;
	MedsyncOpening opening;
	int			i;

	fill_opening(&opening, &receipt->key);
	medsync_opening_write(key, &opening);
	signer->ledger_id = medsync_ledger_id();
	signer->system_identifier = era->system_identifier;
	signer->timeline = era->timeline;
	signer->database = era->database;
	signer->parent_count = receipt->parent_count;
	for (i = 0; i < receipt->parent_count; i++)
		signer->parents[i] = receipt->parents[i].opening;
	signer->index = receipt->key.index;
	signer->hashes = prove(receipt, receipt->key.index, &signer->hash_count);
	signer->opening = (uint8 *) key->data;
	signer->opening_len = key->len;
}

static text *
write_receipt(Receipt *receipt)
{
	MedsyncOpening opening;
	StringInfoData key;
	StringInfoData extra;
	StringInfoData text;
	char	   *note = medsync_checkpoint_full_note(&receipt->checkpoint);
	uint8	   *hashes;
	int			count;

	if (receipt->own.row.len > MEDSYNC_RECEIPT_ROW_MAX && receipt->own.has_row)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too large for a receipt"),
				 errdetail("Its canonical form has %d bytes, a receipt takes %d.",
						   receipt->own.row.len, MEDSYNC_RECEIPT_ROW_MAX)));
	initStringInfo(&key);
	initStringInfo(&extra);
	initStringInfo(&text);
	fill_opening(&opening, &receipt->own);
	opening.has_signer = receipt->has_signer;
	if (receipt->has_signer)
		fill_signer(receipt, &opening.signer, &key);
	hashes = prove(receipt, receipt->own.index, &count);
	medsync_opening_write(&extra, &opening);
	medsync_proof_write(&text, extra.data, extra.len, receipt->own.index,
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
	receipt->snapshot = RegisterSnapshot(GetLatestSnapshot());
	receipt->keys = medsync_key_reader_create(CurrentMemoryContext);
	receipt->tree = medsync_stored_tree_open(receipt->checkpoint.size,
											 receipt->snapshot);
	medsync_walk_open(&receipt->walk, receipt->snapshot);
	open_entry(receipt, &receipt->own, index);
	if (key != NULL)
		open_by_live_row(receipt, relid, key);
	if (receipt->own.entry.table != 0)
	{
		open_manifest_of(receipt, &receipt->own);
		open_signer(receipt);
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
