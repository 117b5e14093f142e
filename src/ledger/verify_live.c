/*-------------------------------------------------------------------------
 *
 * verify_live.c
 *		The part of verify that compares live tables and guards with the
 *		ledger.
 *
 * Every row of every tracked table is encoded and committed to again, and
 * the balance of each table drawn (balance.c).  A row that differs from what
 * its key's entries left is "altered", one that no entry made is "extra",
 * one that no entry ended but is gone is "missing".
 *
 * Tables are read by the caller's snapshot without predicate locks.  Names,
 * columns and triggers are those of the catalog now, under an
 * AccessShareLock; a table whose registration is newer than the snapshot is
 * left out, so that a concurrent track() is no false alarm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "ledger/image.h"
#include "ledger/render.h"
#include "ledger/track.h"
#include "ledger/verify.h"

#define ROWS_BETWEEN_REPORTS	100000

/* Unbalanced commitments, and what pairs them */
typedef struct Unbalanced
{
	Verifier   *verifier;
	List	   *missing;		/* made, but not live */
	List	   *extra;			/* live, but not made */
	HTAB	   *by_key;			/* missing ones by table and row key */
} Unbalanced;

typedef struct MissingKey
{
	uint32		table;
	uint8		row_key[MEDSYNC_ID_SIZE];
} MissingKey;

typedef struct MissingEntry
{
	MissingKey	key;
	MedsyncBalanceItem *item;	/* NULL: paired already */
} MissingEntry;

static FindingPlace
table_place(const VerifiedTable *table)
{
	FindingPlace place = NO_PLACE;

	place.relation = table->name;
	return place;
}

static void
report_table(Verifier *verifier, const VerifiedTable *table,
			 const char *verdict, const char *detail)
{
	medsync_verify_report(verifier, "error", verdict, table_place(table),
						  NULL, NULL, detail);
}

/* ---- the list of tables against the manifests that entries announced ---- */

/* The row of _table that the caller's snapshot sees. */
static const MedsyncTable *
visible_row(List *visible, uint32 number)
{
	ListCell   *cell;

	foreach(cell, visible)
	{
		const MedsyncTable *row = lfirst(cell);

		if (row->number == number)
			return row;
	}
	return NULL;
}

/* Does _table say what the newest announced manifest says? */
static void
check_table_row(Verifier *verifier, const VerifiedTable *table,
				const MedsyncTable *row)
{
	const MedsyncManifest *manifest = table->manifest;

	if (row == NULL)
	{
		if (table->last_version > 0 && !table->has_row)
			report_table(verifier, table, "entry_altered",
						 "The table is gone from the ledger's list of tables.");
		return;
	}
	if (table->last_version == 0)
		report_table(verifier, table, "entry_missing",
					 "The table is in the ledger's list of tables, but no entry announced it.");
	else if (row->manifest_version != table->last_version)
		medsync_verify_report(verifier, "error", "entry_altered",
							  table_place(table),
							  psprintf("%u", table->last_version),
							  psprintf("%u", row->manifest_version),
							  "The ledger's list of tables has another manifest version.");
	else if (manifest != NULL &&
			 (strcmp(row->schema_name, manifest->schema_name) != 0 ||
			  strcmp(row->table_name, manifest->table_name) != 0 ||
			  row->tracked != manifest->tracked))
		report_table(verifier, table, "entry_altered",
					 "The ledger's list of tables differs from the manifest.");
}

/* ---- live rows ---- */

/* The primary key of a row as JSON. */
static Jsonb *
key_to_jsonb(const MedsyncPlan *plan, TupleDesc desc, const Datum *values,
			 const bool *isnull)
{
	TupleDesc	key_desc;
	Datum	   *key_values;
	bool	   *key_isnull;
	int			count = 0;
	int			i;

	if (plan->key_count == 0)
		return NULL;
	key_desc = CreateTemplateTupleDesc(plan->key_count);
	key_values = palloc(sizeof(Datum) * plan->key_count);
	key_isnull = palloc(sizeof(bool) * plan->key_count);
	for (i = 0; i < plan->column_count; i++)
	{
		AttrNumber	attnum = plan->columns[i].attnum;

		if (!plan->columns[i].is_key)
			continue;
		key_values[count] = values[attnum - 1];
		key_isnull[count] = isnull[attnum - 1];
		TupleDescCopyEntry(key_desc, ++count, desc, attnum);
	}
	return medsync_row_to_jsonb(key_desc, key_values, key_isnull);
}

/* What a rendering needs; it fills in the key */
typedef struct Rendering
{
	Verifier   *verifier;
	const VerifiedTable *table;
	const MedsyncPlan *plan;
	TupleDesc	desc;
	const Datum *values;
	const bool *isnull;
	const MedsyncBalanceItem *item;
	const MedsyncEntry *entry;	/* whose image is in the verifier */
	Jsonb	   *row_key;
} Rendering;

/*
 * Render a row's key apart: a cast of the table's owner may raise what it
 * likes, and the finding must not be lost with it.
 */
static Jsonb *
render_safely(void (*render) (void *), Rendering *rendering)
{
	return medsync_verify_try(render, rendering) == NULL ?
		rendering->row_key : NULL;
}

static void
render_live_key(void *arg)
{
	Rendering  *rendering = arg;

	rendering->row_key = key_to_jsonb(rendering->plan, rendering->desc,
									  rendering->values, rendering->isnull);
}

/* Render the key of the row in the verifier's image. */
static void
render_image_key(void *arg)
{
	Rendering  *rendering = arg;
	const StringInfoData *image = &rendering->verifier->image;
	MedsyncManifest *manifest =
	medsync_manifest_load(rendering->entry->table, rendering->entry->manifest);
	MedsyncRowReader *reader;
	Datum	   *values;
	bool	   *isnull;

	if (manifest == NULL)
		return;
	reader = medsync_row_reader_create(manifest, rendering->table->manifest,
									   NULL);
	values = palloc(sizeof(Datum) * Max(reader->desc->natts, 1));
	isnull = palloc(sizeof(bool) * Max(reader->desc->natts, 1));
	if (medsync_row_decode(reader, image->data, image->len, values, isnull))
		rendering->row_key = medsync_row_key_to_jsonb(reader, values, isnull);
}

/*
 * The key of the row that an entry made, whose image is in the verifier; NULL
 * if it cannot be told.
 */
Jsonb *
medsync_verify_image_key(Verifier *verifier, const VerifiedTable *table,
						 const MedsyncEntry *entry)
{
	Rendering	rendering = {.verifier = verifier,.table = table,.entry = entry};
	Oid			relid = table->has_row ?
		medsync_table_relid(&table->row) : InvalidOid;
	Relation	rel = OidIsValid(relid) ?
		try_relation_open(relid, AccessShareLock) : NULL;
	MedsyncIdentity caller;
	Jsonb	   *row_key;

	if (rel == NULL)
		return NULL;
	medsync_act_as_table_owner(rel, &caller);
	row_key = render_safely(render_image_key, &rendering);
	medsync_act_as_caller(&caller);
	relation_close(rel, AccessShareLock);
	return row_key;
}

/*
 * Is a live row signed as its manifest demands?  "place" gets its key, if it
 * has none yet.
 */
static void
check_live_signature(Verifier *verifier, const MedsyncManifest *manifest,
					 Rendering *row, FindingPlace place)
{
	MedsyncSink sink = {.hash = NULL};
	const char *problem;

	initStringInfo(&sink.buf);
	medsync_row_encode(&sink, row->plan, row->values, row->isnull);
	problem = medsync_verify_signed_row(verifier, manifest, NULL, &sink.buf);
	if (problem == NULL)
		return;
	if (place.row_key == NULL)
		place.row_key = render_safely(render_live_key, row);
	medsync_verify_report(verifier, "error", "bad_signature", place, NULL,
						  NULL, problem);
}

/* The key of a live row's subject; the table's own where it has none. */
static MedsyncKeyStatus
live_row_key(Verifier *verifier, const MedsyncPlan *plan, const Datum *values,
			 const bool *isnull, const MedsyncSubjectKey **key)
{
	char	   *subject = medsync_row_subject(plan, values, isnull);
	uint8		number[4];

	if (subject != NULL)
		return medsync_key_reader_by_subject(verifier->keys,
											 MEDSYNC_SUBJECT_PERSON, subject,
											 strlen(subject), key);
	medsync_wire_store_u32(number, plan->table);
	return medsync_key_reader_by_subject(verifier->keys,
										 MEDSYNC_SUBJECT_TABLE, number,
										 sizeof(number), key);
}

/*
 * Commit to a live row again; false when its key cannot be read.  A subject
 * that never had a key was never recorded: its row gets a commitment that no
 * entry has.  (If the key was deleted, the entries that name it tell.)
 */
static bool
commit_live_row(Verifier *verifier, const MedsyncPlan *plan,
				HeapTuple tuple, const Datum *values, const bool *isnull,
				MedsyncRowDigest *digest)
{
	const MedsyncSubjectKey *key;
	MedsyncKeyStatus status;
	MedsyncSha256 sha;
	MedsyncSink sink;

	status = live_row_key(verifier, plan, values, isnull, &key);
	if (status == MEDSYNC_KEY_ABSENT)
	{
		medsync_sha256(&tuple->t_self, sizeof(tuple->t_self),
					   digest->commitment);
		return true;
	}
	if (status != MEDSYNC_KEY_OK)
		return false;
	initStringInfo(&sink.buf);
	sink.hash = &sha;
	medsync_row_hash_start(&sha, plan->table);
	medsync_row_encode(&sink, plan, values, isnull);
	medsync_sink_flush(&sink);
	medsync_sha256_finish(&sha, digest->hash);
	medsync_row_commit(&key->commit, digest);
	return true;
}

/*
 * Add every live row of a table to the balance.  Signatures are checked where
 * the ledger has no images; where it has, they were with their entries.
 */
static void
add_live_rows(Verifier *verifier, const VerifiedTable *table, Relation rel,
			  const MedsyncManifest *manifest, const MedsyncPlan *plan)
{
	bool		check_signatures = manifest->signer != 0 && !manifest->full;
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *isnull = palloc(sizeof(bool) * desc->natts);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "medsync live row",
													  ALLOCSET_DEFAULT_SIZES);
	int64		rows_before = verifier->rows;
	int64		without_key = 0;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, rel, NULL, verifier->snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(row_context);
		MedsyncBalanceCount count;
		MedsyncRowDigest digest;

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, desc, values, isnull);
		if (check_signatures)
		{
			Rendering	row = {.verifier = verifier,.plan = plan,.desc = desc,.values = values,.isnull = isnull};

			check_live_signature(verifier, manifest, &row,
								 table_place(table));
		}
		if (commit_live_row(verifier, plan, tuple, values, isnull,
							&digest))
		{
			memcpy(count.commitment, digest.commitment, MEDSYNC_HASH_SIZE);
			count.table = plan->table;
			count.entries = 0;
			count.nth = 0;
			count.tid = tuple->t_self;
			count.index = -1;
			MemoryContextSwitchTo(oldcontext);
			medsync_balance_add(verifier->balance, &count);
		}
		else
			without_key++;
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(row_context);
		if (++verifier->rows % ROWS_BETWEEN_REPORTS == 0)
		{
			char		text[NAMEDATALEN * 2 + 80];

			snprintf(text, sizeof(text), "medsync.verify: %s, " INT64_FORMAT " rows",
					 table->name, verifier->rows - rows_before);
			pgstat_report_activity(STATE_RUNNING, text);
		}
	}
	medsync_scan_end(&scan);
	MemoryContextDelete(row_context);
	if (without_key > 0)
		report_table(verifier, table, "key_missing",
					 psprintf(INT64_FORMAT " rows have a subject whose key is missing.",
							  without_key));
}

/*
 * Open a tracked table by the name it has now.  It may be renamed, or
 * untracked and dropped, after its name was read and before we have the
 * lock: then its row of _table says so, and is read again.  NULL: it is not
 * there; table->row.tracked tells whether it should be.
 */
static Relation
open_tracked(VerifiedTable *table)
{
	for (;;)
	{
		Oid			relid;
		Relation	rel;
		MedsyncTable *now;

		CHECK_FOR_INTERRUPTS();
		AcceptInvalidationMessages();
		relid = medsync_table_relid(&table->row);
		rel = OidIsValid(relid) ?
			try_relation_open(relid, AccessShareLock) : NULL;
		if (rel != NULL)
			return rel;
		now = medsync_table_by_number(table->number);
		if (now == NULL)
			return NULL;
		if (!now->tracked ||
			(strcmp(now->schema_name, table->row.schema_name) == 0 &&
			 strcmp(now->table_name, table->row.table_name) == 0))
		{
			table->row.tracked = now->tracked;
			return NULL;
		}
		table->row = *now;
	}
}

/* Commit to the rows of an open table, as its owner. */
static void
read_live_table(Verifier *verifier, VerifiedTable *table, Relation rel,
				const MedsyncManifest *manifest)
{
	MedsyncPlan *plan = medsync_plan_build(rel, manifest,
										   CurrentMemoryContext);
	MedsyncIdentity caller;

	if (plan->problem != NULL)
		report_table(verifier, table, "altered", plan->problem);
	verifier->tables_checked++;
	medsync_act_as_table_owner(rel, &caller);
	add_live_rows(verifier, table, rel, manifest, plan);
	medsync_act_as_caller(&caller);
	table->live_read = true;
}

/* One table to read; see check_live_table() */
typedef struct LiveTable
{
	Verifier   *verifier;
	VerifiedTable *table;
} LiveTable;

static void
open_and_read(void *arg)
{
	Verifier   *verifier = ((LiveTable *) arg)->verifier;
	VerifiedTable *table = ((LiveTable *) arg)->table;
	Relation	rel = open_tracked(table);
	MedsyncTable *now = rel ? medsync_table_of(rel) : NULL;

	if (rel == NULL)
	{
		if (table->row.tracked)
			report_table(verifier, table, "missing", "The table is gone.");
		return;					/* else untracked while we came to it */
	}
	if (now != NULL && now->number == table->number)
	{
		MedsyncManifest *manifest =
			now->manifest_version == table->last_version ?
			table->manifest :
			medsync_manifest_load(now->number, now->manifest_version);

		if (manifest == NULL)
			report_table(verifier, table, "entry_altered",
						 "The table's manifest is missing.");
		else
			read_live_table(verifier, table, rel, manifest);
	}
	relation_close(rel, NoLock);
}

/* One table's rows; an unreadable page is a finding. */
static void
check_live_table(Verifier *verifier, VerifiedTable *table)
{
	LiveTable	live = {.verifier = verifier,.table = table};
	char	   *message = medsync_verify_try(open_and_read, &live);

	if (message != NULL)
		report_table(verifier, table, "altered",
					 psprintf("The table could not be read: %s", message));
}

/* Compare the list of tables with the manifests, and read every live table. */
void
medsync_verify_live_tables(void *arg)
{
	Verifier   *verifier = arg;
	int			malformed = 0;	/* reported by load_tables() */
	List	   *visible = medsync_tables(verifier->snapshot, &malformed);
	HASH_SEQ_STATUS status;
	VerifiedTable *table;

	hash_seq_init(&status, verifier->tables);
	while ((table = hash_seq_search(&status)) != NULL)
	{
		const MedsyncTable *row = visible_row(visible, table->number);

		if (!table->in_scope)
			continue;
		check_table_row(verifier, table, row);
		if (row == NULL || !table->has_row || !table->row.tracked ||
			table->manifest == NULL || table->manifest->partitioned ||
			!table->manifest->tracked)
			continue;
		check_live_table(verifier, table);
	}
}

/* ---- the balance ---- */

static void
collect_unbalanced(void *arg, const MedsyncBalanceItem *item)
{
	Unbalanced *unbalanced = arg;
	VerifiedTable *table = medsync_verify_table(unbalanced->verifier,
												item->table);
	MedsyncBalanceItem *copy;

	/* of a table that was let go, or could not be read, nothing is expected */
	if (!table->live_read)
		return;
	copy = palloc(sizeof(MedsyncBalanceItem));
	*copy = *item;
	if (item->entries > item->live)
		unbalanced->missing = lappend(unbalanced->missing, copy);
	else
		unbalanced->extra = lappend(unbalanced->extra, copy);
}

/* Take the row key of an entry that is read again. */
static void
copy_row_key(void *arg, const MedsyncWalkEntry *item)
{
	if (item->entry->fields & MEDSYNC_HAS_ROW_KEY)
		memcpy(((MissingKey *) arg)->row_key, item->entry->row_key,
			   MEDSYNC_ID_SIZE);
}

/* Index what is missing by row key. */
static void
index_missing(Unbalanced *unbalanced)
{
	HASHCTL		ctl = {.keysize = sizeof(MissingKey),.entrysize = sizeof(MissingEntry)};
	ListCell   *cell;

	ctl.hcxt = CurrentMemoryContext;
	unbalanced->by_key = hash_create("medsync missing rows", 256, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(cell, unbalanced->missing)
	{
		MedsyncBalanceItem *item = lfirst(cell);
		MissingKey	key;
		MissingEntry *entry;

		if (!ItemPointerIsValid(&item->tid))
			continue;
		memset(&key, 0, sizeof(key));
		key.table = item->table;
		if (!medsync_walk_fetch(&unbalanced->verifier->walk, &item->tid,
								item->nth, copy_row_key, &key))
			continue;
		entry = hash_search(unbalanced->by_key, &key, HASH_ENTER, NULL);
		entry->item = item;
	}
}

/* Report a live row that no entry made, or that differs from its entries. */
static void
report_extra(Unbalanced *unbalanced, const MedsyncBalanceItem *item)
{
	Verifier   *verifier = unbalanced->verifier;
	VerifiedTable *table = medsync_verify_table(verifier, item->table);
	Relation	rel = relation_open(medsync_table_relid(&table->row),
									AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	MedsyncPlan *plan = medsync_plan_build(rel, table->manifest,
										   CurrentMemoryContext);
	FindingPlace place = table_place(table);
	MissingEntry *missing = NULL;
	Rendering	rendering = {.verifier = verifier};
	HeapTupleData tuple;
	Buffer		page;
	MedsyncIdentity caller;

	medsync_act_as_table_owner(rel, &caller);
	tuple.t_self = item->live_tid;
	if (heap_fetch(rel, SnapshotAny, &tuple, &page, false))
	{
		Datum	   *values = palloc(sizeof(Datum) * desc->natts);
		bool	   *isnull = palloc(sizeof(bool) * desc->natts);
		const MedsyncSubjectKey *key;
		uint8		number[4];

		heap_deform_tuple(&tuple, desc, values, isnull);
		medsync_wire_store_u32(number, table->number);
		if (plan->key_count > 0 &&
			medsync_key_reader_by_subject(verifier->keys,
										  MEDSYNC_SUBJECT_TABLE, number,
										  sizeof(number), &key) == MEDSYNC_KEY_OK)
		{
			MedsyncSink sink = {.hash = NULL};
			MedsyncHmacKey label;
			MissingKey	missing_key;

			initStringInfo(&sink.buf);
			medsync_row_encode_key(&sink, plan, values, isnull);
			medsync_vault_label_key(key, &label);
			memset(&missing_key, 0, sizeof(missing_key));
			missing_key.table = table->number;
			medsync_row_key(&label, sink.buf.data, sink.buf.len,
							missing_key.row_key);
			medsync_cleanse(&label, sizeof(label));
			missing = hash_search(unbalanced->by_key, &missing_key, HASH_FIND,
								  NULL);
		}
		rendering.plan = plan;
		rendering.desc = desc;
		rendering.values = values;
		rendering.isnull = isnull;
		place.row_key = render_safely(render_live_key, &rendering);
		if (missing != NULL && missing->item != NULL)
		{
			place.index = missing->item->index;
			place.block = medsync_verify_block_of(verifier, place.index);
		}
		if (table->manifest->signer != 0 && table->manifest->full)
			check_live_signature(verifier, table->manifest, &rendering, place);
		ReleaseBuffer(page);
	}
	medsync_act_as_caller(&caller);
	relation_close(rel, AccessShareLock);

	if (missing != NULL && missing->item != NULL)
	{
		medsync_verify_report(verifier, "error", "altered", place,
							  medsync_verify_hex(missing->item->commitment, MEDSYNC_HASH_SIZE),
							  medsync_verify_hex(item->commitment, MEDSYNC_HASH_SIZE),
							  "The row is not what the ledger says it is.");
		unbalanced->missing = list_delete_ptr(unbalanced->missing,
											  missing->item);
		missing->item = NULL;
	}
	else if (item->entries < 0)
		medsync_verify_report(verifier, "error", "entry_missing", place, NULL,
							  medsync_verify_hex(item->commitment, MEDSYNC_HASH_SIZE),
							  "Entries end a row version that no entry made.");
	else
		medsync_verify_report(verifier, "error", "extra", place, NULL,
							  medsync_verify_hex(item->commitment, MEDSYNC_HASH_SIZE),
							  "No entry made this row.");
}

/* The key of a row that is gone, from the image of the entry that made it. */
static void
render_missing(void *arg, const MedsyncWalkEntry *item)
{
	Rendering  *missing = arg;
	Verifier   *verifier = missing->verifier;
	const MedsyncSubjectKey *subject;
	int64		chunks = 0;

	if ((item->entry->fields & (MEDSYNC_HAS_IMAGE | MEDSYNC_HAS_LARGE_IMAGE)) == 0 ||
		medsync_key_reader_by_id(verifier->keys, item->entry->key_id,
								 &subject) != MEDSYNC_KEY_OK ||
		!medsync_image_open(item->header, item->entry, subject,
							verifier->snapshot, &verifier->image, &chunks))
		return;
	missing->entry = item->entry;
	render_image_key(missing);
}

static void
render_missing_key(void *arg)
{
	Rendering  *rendering = arg;

	(void) medsync_walk_fetch(&rendering->verifier->walk,
							  &rendering->item->tid, rendering->item->nth,
							  render_missing, rendering);
}

/* Report a row that should be there. */
static void
report_missing(Unbalanced *unbalanced, const MedsyncBalanceItem *item)
{
	Verifier   *verifier = unbalanced->verifier;
	Rendering	missing = {.verifier = verifier,.item = item};
	FindingPlace place;
	Relation	rel;
	Oid			relid;
	MedsyncIdentity caller;

	missing.table = medsync_verify_table(verifier, item->table);
	place = table_place(missing.table);
	place.index = item->index;
	place.block = medsync_verify_block_of(verifier, place.index);
	relid = medsync_table_relid(&missing.table->row);
	rel = OidIsValid(relid) ? try_relation_open(relid, AccessShareLock) : NULL;
	if (rel != NULL && ItemPointerIsValid(&item->tid))
	{
		medsync_act_as_table_owner(rel, &caller);
		(void) render_safely(render_missing_key, &missing);
		medsync_act_as_caller(&caller);
	}
	if (rel != NULL)
		relation_close(rel, AccessShareLock);
	place.row_key = missing.row_key;
	medsync_verify_report(verifier, "error", "missing", place,
						  medsync_verify_hex(item->commitment, MEDSYNC_HASH_SIZE),
						  NULL, "The row is gone, and no entry ended it.");
}

/* Draw the balance of every table, and pair what is missing with what is extra. */
void
medsync_verify_balance(void *arg)
{
	Verifier   *verifier = arg;
	Unbalanced	unbalanced = {.verifier = verifier};
	ListCell   *cell;

	medsync_balance_finish(verifier->balance, collect_unbalanced, &unbalanced);
	index_missing(&unbalanced);
	foreach(cell, unbalanced.extra)
		report_extra(&unbalanced, lfirst(cell));
	foreach(cell, unbalanced.missing)
		report_missing(&unbalanced, lfirst(cell));
}

/* ---- guards ---- */

/* Is a function of ours still the C function that the script made? */
static bool
function_intact(const char *name, const char *symbol)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID,
										ObjectIdGetDatum(medsync_function_oid(name)));
	bool		intact;
	bool		isnull;
	Datum		source;
	Datum		binary;

	if (!HeapTupleIsValid(tuple))
		return false;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	intact = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId &&
		!isnull && strcmp(TextDatumGetCString(source), symbol) == 0;
	binary = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
	intact = intact && !isnull &&
		strcmp(TextDatumGetCString(binary), "$libdir/medsync") == 0 &&
		!((Form_pg_proc) GETSTRUCT(tuple))->prosecdef &&
		heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL);
	ReleaseSysCache(tuple);
	return intact;
}

/* Does an event trigger stand, always enabled, with its function? */
static void
check_event_trigger(Verifier *verifier, const char *name, const char *event,
					const char *function, const char *symbol)
{
	HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME,
										CStringGetDatum(name));
	bool		stands = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_event_trigger trigger =
		(Form_pg_event_trigger) GETSTRUCT(tuple);

		stands = trigger->evtenabled == TRIGGER_FIRES_ALWAYS &&
			trigger->evtfoid == medsync_function_oid(function) &&
			strcmp(NameStr(trigger->evtevent), event) == 0 &&
			heap_attisnull(tuple, Anum_pg_event_trigger_evttags, NULL);
		ReleaseSysCache(tuple);
	}
	if (!stands || !function_intact(function, symbol))
		medsync_verify_report(verifier, "error", "guard_missing", NO_PLACE,
							  NULL, NULL,
							  psprintf("Event trigger \"%s\" is not as CREATE EXTENSION made it.",
									   name));
}

/*
 * May the triggers of a table be missing?  Those of medsync's own tables are
 * in no dump; their room puts them back before it first writes there.
 */
static bool
awaits_triggers(const VerifiedTable *table)
{
	return !table->written_here &&
		medsync_track_is_own(table->row.schema_name, table->row.table_name);
}

/* Does the trigger stand that the script put on a table of a later room's? */
static void
check_notify_trigger(Verifier *verifier, const VerifiedTable *table, Oid relid)
{
	const char *function;

	if (!medsync_track_is_own(table->row.schema_name, table->row.table_name))
		return;
	function = medsync_notify_function(table->row.table_name);
	if (function != NULL &&
		(!medsync_notify_stands(relid, table->row.table_name) ||
		 !function_intact(function, psprintf("medsync%s", function))))
		report_table(verifier, table, "guard_missing",
					 psprintf("Trigger \"medsync%s\" is gone, disabled or altered.",
							  function));
}

/* Do the triggers of a tracked table stand? */
static void
check_table_triggers(Verifier *verifier, const VerifiedTable *table)
{
	Oid			relid = medsync_table_relid(&table->row);
	Relation	rel = OidIsValid(relid) ?
		try_relation_open(relid, AccessShareLock) : NULL;
	MedsyncTable *now;

	if (rel == NULL)
		return;					/* reported as missing */
	now = medsync_table_of(rel);
	if (now != NULL && now->number == table->number)
		check_notify_trigger(verifier, table, RelationGetRelid(rel));
	if (now != NULL && now->number == table->number && !awaits_triggers(table))
	{
		if (!medsync_capture_stands(RelationGetRelid(rel)))
			report_table(verifier, table, "guard_missing",
						 "The capture trigger is gone, disabled or altered.");
		if (!medsync_truncate_stands(RelationGetRelid(rel)))
			report_table(verifier, table, "guard_missing",
						 "The truncate trigger is gone, disabled or altered.");
	}
	relation_close(rel, AccessShareLock);
}

/* A partition that a tracked table got past the guards. */
static void
check_unknown_partitions(Verifier *verifier, const VerifiedTable *table)
{
	Oid			relid = medsync_table_relid(&table->row);
	ListCell   *cell;

	if (!OidIsValid(relid) || table->manifest == NULL ||
		!table->manifest->partitioned)
		return;
	foreach(cell, find_inheritance_children(relid, AccessShareLock))
	{
		Relation	rel = relation_open(lfirst_oid(cell), AccessShareLock);

		if (medsync_table_of(rel) == NULL)
		{
			FindingPlace place = NO_PLACE;

			place.relation =
				quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										   RelationGetRelationName(rel));
			medsync_verify_report(verifier, "error", "extra", place, NULL, NULL,
								  "The partition was attached past the ledger's guards.");
		}
		relation_close(rel, AccessShareLock);
	}
}

/* Tables with our trigger that the ledger does not know (any more). */
static void
check_unknown_tables(Verifier *verifier)
{
	Relation	heap = table_open(TriggerRelationId, AccessShareLock);
	Oid			function = medsync_function_oid("_capture");
	SysScanDesc scan = systable_beginscan(heap, InvalidOid, false, NULL, 0,
										  NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		Relation	rel;

		if (trigger->tgfoid != function)
			continue;
		rel = try_relation_open(trigger->tgrelid, AccessShareLock);
		if (rel == NULL)
			continue;

		/*
		 * An untrack() may have committed before we had the lock; partitions
		 * are check_unknown_partitions()'s.
		 */
		if (medsync_capture_stands(RelationGetRelid(rel)) && medsync_table_of(rel) == NULL &&
			!rel->rd_rel->relispartition)
		{
			FindingPlace place = NO_PLACE;

			place.relation =
				quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										   RelationGetRelationName(rel));
			medsync_verify_report(verifier, "error", "entry_missing", place,
								  NULL, NULL,
								  "The table has the capture trigger, but the ledger does not know it.");
		}
		relation_close(rel, AccessShareLock);
	}
	systable_endscan(scan);
	table_close(heap, AccessShareLock);
}

/* Has a table a row that the caller sees? */
static bool
has_row(Verifier *verifier, Relation rel)
{
	MedsyncScan scan;
	bool		found;

	medsync_scan_begin(&scan, rel, NULL, verifier->snapshot, 0, NULL);
	found = medsync_scan_next(&scan) != NULL;
	medsync_scan_end(&scan);
	return found;
}

/*
 * Tables that later rooms keep are tracked by their first row, and untrack()
 * lets go of them, for DROP EXTENSION: what is done to them since, no entry
 * says.
 */
static void
check_untracked_own_tables(Verifier *verifier)
{
	const char *name;
	int			i;

	for (i = 0; (name = medsync_track_own_name(i)) != NULL; i++)
	{
		Oid			relid = medsync_relation_oid(name);
		Relation	rel = OidIsValid(relid) ?
			try_relation_open(relid, AccessShareLock) : NULL;

		if (rel == NULL)
			continue;
		if (has_row(verifier, rel) && medsync_table_of(rel) == NULL)
		{
			FindingPlace place = NO_PLACE;

			place.relation = quote_qualified_identifier(MEDSYNC_SCHEMA, name);
			medsync_verify_report(verifier, "error", "guard_missing", place,
								  NULL, NULL,
								  "The table has rows and is not tracked.");
		}
		relation_close(rel, AccessShareLock);
	}
}

/* Check the triggers that keep the ledger complete. */
void
medsync_verify_guards(void *arg)
{
	Verifier   *verifier = arg;
	HASH_SEQ_STATUS status;
	VerifiedTable *table;

	check_event_trigger(verifier, "medsync_guard_start", "ddl_command_start",
						"_guard_start", "medsync_guard_start");
	check_event_trigger(verifier, "medsync_guard_end", "ddl_command_end",
						"_guard_end", "medsync_guard_end");
	check_event_trigger(verifier, "medsync_guard_drop", "sql_drop",
						"_guard_drop", "medsync_guard_drop");
	check_event_trigger(verifier, "medsync_guard_rewrite", "table_rewrite",
						"_guard_rewrite", "medsync_guard_rewrite");
	if (!function_intact("_capture", "medsync_capture") ||
		!function_intact("_truncate", "medsync_truncate"))
		medsync_verify_report(verifier, "error", "guard_missing", NO_PLACE,
							  NULL, NULL,
							  "A trigger function is not as CREATE EXTENSION made it.");
	if (!verifier->scoped)
	{
		check_unknown_tables(verifier);
		check_untracked_own_tables(verifier);
	}
	hash_seq_init(&status, verifier->tables);
	while ((table = hash_seq_search(&status)) != NULL)
		if (table->in_scope && table->has_row && table->row.tracked)
		{
			check_table_triggers(verifier, table);
			check_unknown_partitions(verifier, table);
		}
}
