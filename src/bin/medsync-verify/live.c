/*-------------------------------------------------------------------------
 *
 * live.c
 *		Mode live: the same stream from a server, and its tables.
 *
 * One REPEATABLE READ snapshot gives the ledger, sealed and unsealed
 * entries, and all tracked tables.  The stream of records is checked by
 * entries.c as a private export is; every row is committed to again from its
 * values (live_table.c), and the balance of each table drawn
 * (row_balance.c).  A row that differs from what its key's entries left is
 * "altered", one that no entry made is "extra", one that no entry ended but
 * is gone is "missing".
 *
 * Which tables are compared is what sealed entries say.  An unsealed entry is
 * the server's word alone: it can add a table, and where it takes one away
 * that is a warning.
 *
 * Where a table demands signatures those of its rows are checked as well
 * (live_signatures.c), once the keys of persons have been read.
 *
 * The tables are locked, as any reader locks them, before the snapshot is
 * taken: what does not heed snapshots (TRUNCATE by a superuser, a rewrite)
 * cannot come in between and look like rows that were taken away.
 *
 * Writes nothing on the server, and nothing here but the state file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "live.h"
#include "port/pg_bswap.h"
#include "proofs/key_row.h"

#define SNAPSHOT_ATTEMPTS	10
#define TABLES_OF_LOCK		100 /* that one command names */
#define OLDER_CHECKPOINTS	256 /* that are asked for what witnesses cosigned */
#define COUNTS_OF_ENTRY		3	/* at most: what it made and ended, and a row */
#define LEDGER_CORRUPTED	"MS004" /* SQLSTATE, see common/errors.h */
#define MANIFESTS_SIZE_MAX	(512 * 1024 * 1024) /* bytes of all manifests */
#define MAX_PARENTS			100 /* partitioned tables above a partition */
#define MAX_SIGNED_COLUMNS	1600	/* PostgreSQL's own limit */

/* Of record L: id, time of creation, first index; then the size */
#define LEDGER_SIZE_OFFSET	(MEDSYNC_ID_SIZE + 8 + 8)

/* A manifest as its record has it */
typedef struct StoredManifest
{
	uint32		table;
	uint32		version;
	char	   *content;
	size_t		len;
} StoredManifest;

/* Unbalanced commitments, and what pairs them */
typedef struct UnbalancedList
{
	MedsyncRowItem *items;
	int64		count;
	int64		room;
} UnbalancedList;

/* A run, with what only this file needs */
typedef struct LiveRun
{
	Live		live;
	const MedsyncOptions *options;
	MedsyncStream *stream;
	bool		stream_ended;	/* with its last record */
	bool		stream_malformed;	/* the rest of it is nothing to us */

	StoredManifest *manifests;	/* by table and version, once sorted */
	int			manifest_count;
	int			manifest_room;
	size_t		manifest_size;
	LiveTable  *tables;			/* by number; made when manifests are sorted */
	int			table_count;

	UnbalancedList missing;		/* made, but not live; by table and row key */
	UnbalancedList extra;		/* live, but not made */
} LiveRun;

typedef int (*Comparator) (const void *a, const void *b);

/* ---- sorting ---- */

/* Merge two neighbouring sorted runs of elements into another place. */
static void
merge_runs(const char *left, const char *middle, const char *end, char *to,
		   size_t size, Comparator compare)
{
	const char *right = middle;

	while (left < middle && right < end)
	{
		const char **from = compare(left, right) <= 0 ? &left : &right;

		memcpy(to, *from, size);
		*from += size;
		to += size;
	}
	memcpy(to, left, middle - left);
	memcpy(to + (middle - left), right, end - right);
}

/*
 * Sort by merging.  The order in which elements come is chosen by whoever is
 * checked, and can make qsort() take time that grows with their square.
 */
static void
merge_sort(void *base, size_t count, size_t size, Comparator compare)
{
	size_t		len = count * size;
	size_t		width;
	char	   *from = base;
	char	   *to;
	char	   *spare;

	if (count < 2)
		return;
	to = spare = pg_malloc(len);
	for (width = size; width < len; width *= 2)
	{
		char	   *swap = from;
		size_t		at;

		for (at = 0; at < len; at += 2 * width)
		{
			size_t		middle = Min(at + width, len);

			merge_runs(from + at, from + middle,
					   from + Min(middle + width, len), to + at, size,
					   compare);
		}
		from = to;
		to = swap;
	}
	if (from == spare)
		memcpy(base, spare, len);
	pg_free(spare);
}

/* The server does not let us read its ledger, or cannot. */
static void
refuse_ledger(const MedsyncServerError *error)
{
	if (strcmp(error->sqlstate, "42501") == 0)
		medsync_cannot_check("%s; the role must be a member of medsync_auditor",
							 error->message);
	medsync_cannot_check("the server cannot read its ledger: %s",
						 error->message);
}

/* That its ledger is damaged is a finding, though not more can be read. */
static void
report_damage(LiveRun *run, const MedsyncServerError *error)
{
	if (strcmp(error->sqlstate, LEDGER_CORRUPTED) != 0)
		refuse_ledger(error);
	medsync_report_finding(MEDSYNC_ERROR, "entry_altered", MEDSYNC_NO_PLACE,
						   NULL, NULL, "The server cannot read its ledger: %s.",
						   error->message);
	run->stream_malformed = true;
}

/* ---- manifests ---- */

static void
take_manifest(void *arg, uint32 table, uint32 version, const char *content,
			  size_t len)
{
	LiveRun    *run = arg;
	StoredManifest *manifest;

	run->manifest_size += len;
	if (run->manifest_size > MANIFESTS_SIZE_MAX)
		medsync_cannot_check("the ledger's manifests are larger than %d bytes",
							 MANIFESTS_SIZE_MAX);
	if (run->manifest_count == run->manifest_room)
	{
		run->manifest_room = Max(64, run->manifest_room * 2);
		run->manifests = pg_realloc(run->manifests, sizeof(StoredManifest) *
									run->manifest_room);
	}
	manifest = &run->manifests[run->manifest_count++];
	manifest->table = table;
	manifest->version = version;
	manifest->content = pg_malloc(len + 1);
	memcpy(manifest->content, content, len);
	manifest->len = len;
}

static int
compare_manifests(const void *a, const void *b)
{
	const StoredManifest *x = a;
	const StoredManifest *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->version < y->version ? -1 : x->version > y->version ? 1 : 0;
}

/* All manifests are there: put them in order, and make the tables. */
static void
sort_manifests(LiveRun *run)
{
	int			i;

	if (run->tables != NULL)
		return;
	merge_sort(run->manifests, run->manifest_count, sizeof(StoredManifest),
			   compare_manifests);
	run->tables = pg_malloc0(sizeof(LiveTable) * (run->manifest_count + 1));
	for (i = 0; i < run->manifest_count; i++)
		if (i == 0 || run->manifests[i].table != run->manifests[i - 1].table)
			run->tables[run->table_count++].number = run->manifests[i].table;
}

static int
compare_table_number(const void *key, const void *table)
{
	uint32		number = *(const uint32 *) key;
	uint32		other = ((const LiveTable *) table)->number;

	return number < other ? -1 : number > other ? 1 : 0;
}

static LiveTable *
find_table(LiveRun *run, uint32 number)
{
	return run->table_count == 0 ? NULL :
		bsearch(&number, run->tables, run->table_count, sizeof(LiveTable),
				compare_table_number);
}

/* Is the table compared: tracked, and with rows of its own? */
static bool
is_compared(const MedsyncManifest *manifest)
{
	return manifest != NULL && manifest->tracked && !manifest->partitioned;
}

/* A ddl entry announces what its table is from now on. */
static void
read_announced(LiveRun *run, const MedsyncStreamEntry *item,
			   LiveTable *table)
{
	const MedsyncEntry *entry = item->entry;
	StoredManifest key = {.table = entry->table,.version = entry->manifest};
	StoredManifest *stored;

	medsync_manifest_free(table->manifest);
	table->manifest = NULL;
	stored = bsearch(&key, run->manifests, run->manifest_count,
					 sizeof(StoredManifest), compare_manifests);
	if (stored == NULL || !item->manifest_holds)
		return;
	table->manifest = medsync_manifest_read(stored->content, stored->len);
	if (table->manifest != NULL &&
		(table->manifest->table != entry->table ||
		 table->manifest->version != entry->manifest))
	{
		medsync_manifest_free(table->manifest);
		table->manifest = NULL;
	}
}

static void
announce_manifest(LiveRun *run, const MedsyncStreamEntry *item)
{
	LiveTable  *table = find_table(run, item->entry->table);

	if (table == NULL)
		return;
	read_announced(run, item, table);
	if (item->index >= 0)
		table->compared_by_seal = is_compared(table->manifest);
}

/* ---- entries ---- */

/* Count what an entry made and ended. */
static void
take_entry(void *arg, const MedsyncStreamEntry *item)
{
	LiveRun    *run = arg;
	const MedsyncEntry *entry = item->entry;

	sort_manifests(run);
	if (entry->operation == MEDSYNC_OP_DDL)
		announce_manifest(run, item);
	if (entry->fields & MEDSYNC_HAS_OLD)
		medsync_row_ended(run->live.balance, entry->table,
						  entry->old_commitment);
	if (entry->fields & MEDSYNC_HAS_NEW)
		medsync_row_made(run->live.balance, entry->table,
						 entry->new_commitment, item->index, item->block,
						 entry->fields & MEDSYNC_HAS_ROW_KEY ?
						 entry->row_key : NULL);
	medsync_live_signed_entry(run->live.signatures, item);
}

/* How many entries the ledger says it has. */
static uint64
ledger_size(const uint8 *payload, size_t len)
{
	uint64		size;

	if (len < LEDGER_SIZE_OFFSET + sizeof(size))
		return 0;
	memcpy(&size, payload + LEDGER_SIZE_OFFSET, sizeof(size));
	size = pg_ntoh64(size);
	return Min(size, PG_INT64_MAX / COUNTS_OF_ENTRY);
}

/* One record: its type, and the rest. */
static void
take_record(void *arg, const MedsyncServerRow *row)
{
	LiveRun    *run = arg;
	const uint8 *record = (const uint8 *) row->values[0];
	size_t		len = row->values[0] ? (size_t) row->lengths[0] : 0;

	if (run->stream_malformed)
		return;
	if (len == 0 || len - 1 > MEDSYNC_RECORD_MAX)
		medsync_cannot_check("the server sent a record of the ledger that makes no sense");
	if (run->live.balance == NULL)
	{
		uint64		size = record[0] == 'L' ?
		ledger_size(record + 1, len - 1) : 0;

		run->live.balance = medsync_row_balance_create(COUNTS_OF_ENTRY * size);
		run->live.signatures = medsync_live_signatures_create(size);
	}
	if (record[0] == 'Z')
		run->stream_ended = true;
	run->stream_malformed =
		!medsync_stream_record(run->stream, (char) record[0], record + 1,
							   len - 1, NULL);
}

/* Read the ledger, all of it. */
static void
read_ledger(LiveRun *run)
{
	MedsyncStreamCallbacks callbacks = {
		.arg = run,
		.manifest = take_manifest,
		.entry = take_entry
	};
	MedsyncServerError error;

	run->stream = medsync_stream_begin(run->options, NULL, &callbacks);
	if (!medsync_server_query(run->live.server,
							  "SELECT * FROM medsync._entries(0)", 1, true,
							  take_record, run, &error))
	{
		report_damage(run, &error);
		return;
	}
	if (!run->stream_malformed && !run->stream_ended)
		medsync_cannot_check("the server sent only a part of its ledger");
	medsync_stream_end(run->stream);
	sort_manifests(run);
}

static void
take_older_checkpoint(void *arg, const MedsyncServerRow *row)
{
	LiveRun    *run = arg;

	if (row->values[0] != NULL && medsync_checkpoint_wants_older(run->options))
		medsync_stream_older_checkpoint(run->stream, row->values[0],
										(size_t) row->lengths[0]);
}

/* Ask for what witnesses cosigned last, where the newest one lacks them. */
static void
find_cosigned(LiveRun *run)
{
	if (run->stream_malformed || !medsync_checkpoint_wants_older(run->options))
		return;
	medsync_server_query(run->live.server,
						 "SELECT c.note FROM medsync.checkpoint AS c"
						 " WHERE c.height <= (SELECT pg_catalog.max(w.height) FROM medsync.witness AS w)"
						 " ORDER BY c.height DESC LIMIT " CppAsString2(OLDER_CHECKPOINTS),
						 1, false, take_older_checkpoint, run, NULL);
}

/* ---- the snapshot ---- */

static void
append_name(void *arg, const MedsyncServerRow *row)
{
	StringInfo	names = arg;

	/* with its final zero: names are text that others have chosen */
	if (row->values[0] != NULL)
		appendBinaryStringInfo(names, row->values[0], row->lengths[0] + 1);
}

/*
 * The tables that the server says are tracked, quoted, one after another.
 * They are only what to lock: what is checked is what entries announced.
 */
static void
list_tables(LiveRun *run, StringInfo names)
{
	MedsyncServerError error;

	resetStringInfo(names);
	if (!medsync_server_query(run->live.server,
							  "SELECT t.relation FROM medsync.tracked AS t"
							  " JOIN pg_catalog.pg_class AS c"
							  " ON c.oid = pg_catalog.to_regclass(t.relation)"
							  " WHERE c.relkind = 'r' ORDER BY t.table_number",
							  1, false, append_name, names, &error))
		refuse_ledger(&error);
}

/*
 * Lock some tables, from a name on; returns how many bytes of names that
 * was, or 0 where one of them is gone by now.
 */
static int
lock_some(LiveRun *run, const StringInfo names, int from)
{
	StringInfoData sql;
	MedsyncServerError error;
	int			at = from;
	int			count;
	bool		locked;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "LOCK TABLE ");
	for (count = 0; count < TABLES_OF_LOCK && at < names->len; count++)
	{
		appendStringInfo(&sql, "%sONLY %s", count > 0 ? ", " : "",
						 names->data + at);
		at += (int) strlen(names->data + at) + 1;
	}
	appendStringInfoString(&sql, " IN ACCESS SHARE MODE");
	locked = medsync_server_query(run->live.server, sql.data, 0, false, NULL,
								  NULL, &error);
	pfree(sql.data);
	if (!locked && strcmp(error.sqlstate, "42501") == 0)
		medsync_cannot_check("%s; the role needs SELECT on every tracked table",
							 error.message);
	if (!locked && strcmp(error.sqlstate, SQLSTATE_LOCK_NOT_AVAILABLE) == 0)
		medsync_cannot_check("a tracked table could not be locked for reading: %s (see --timeout)",
							 error.message);
	return locked ? at - from : 0;
}

static bool
lock_tables(LiveRun *run, const StringInfo names)
{
	int			at = 0;

	while (at < names->len)
	{
		int			done = lock_some(run, names, at);

		if (done == 0)
			return false;
		at += done;
	}
	return true;
}

/*
 * Open the transaction: the locks come first, the first query then takes the
 * snapshot.  If that sees other tables than were locked, once more.
 */
static void
begin_snapshot(LiveRun *run)
{
	StringInfoData locked;
	StringInfoData seen;
	bool		held = false;
	int			attempt;

	initStringInfo(&locked);
	initStringInfo(&seen);
	for (attempt = 0; attempt < SNAPSHOT_ATTEMPTS && !held; attempt++)
	{
		if (attempt > 0)
			medsync_server_run(run->live.server, "ROLLBACK");
		list_tables(run, &locked);
		medsync_server_run(run->live.server,
						   "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
		if (!lock_tables(run, &locked))
			continue;
		list_tables(run, &seen);
		held = seen.len == locked.len &&
			memcmp(seen.data, locked.data, seen.len) == 0;
	}
	if (!held)
		medsync_cannot_check("the tracked tables change all the time");
	pfree(locked.data);
	pfree(seen.data);
}

static void
take_flag(void *arg, const MedsyncServerRow *row)
{
	*(bool *) arg = row->values[0] != NULL && *row->values[0] == 't';
}

/* Is there anything to check? */
static void
check_extension(LiveRun *run)
{
	bool		has_extension = false;

	medsync_server_query(run->live.server,
						 "SELECT pg_catalog.to_regprocedure("
						 "'medsync._entries(pg_catalog.int8)') IS NOT NULL"
						 " AND pg_catalog.has_schema_privilege('medsync', 'USAGE')",
						 1, false, take_flag, &has_extension, NULL);
	if (!has_extension)
		medsync_cannot_check("the database does not have the extension medsync, or not this version of it");
}

/* ---- the balance ---- */

static void
collect_unbalanced(void *arg, const MedsyncRowItem *item)
{
	LiveRun    *run = arg;
	LiveTable  *table = find_table(run, item->table);
	UnbalancedList *list = item->entries > item->live ?
	&run->missing : &run->extra;

	/* of a table that was let go, or could not be read, nothing is expected */
	if (table == NULL || !table->read)
		return;
	if (list->count == list->room)
	{
		list->room = Max(64, list->room * 2);
		list->items = pg_realloc(list->items,
								 sizeof(MedsyncRowItem) * list->room);
	}
	list->items[list->count++] = *item;
}

/* Missing rows in the order in which they are looked for: table, row key. */
static int
compare_keys(const void *a, const void *b)
{
	const MedsyncRowItem *x = a;
	const MedsyncRowItem *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return memcmp(x->row_key, y->row_key, MEDSYNC_ID_SIZE);
}

/* Live rows in the order in which they lie. */
static int
compare_rows(const void *a, const void *b)
{
	const MedsyncRowItem *x = a;
	const MedsyncRowItem *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->row.block != y->row.block)
		return x->row.block < y->row.block ? -1 : 1;
	return (int) x->row.offset - (int) y->row.offset;
}

static bool
has_row_key(const MedsyncRowItem *item)
{
	static const uint8 none[MEDSYNC_ID_SIZE] = {0};

	return memcmp(item->row_key, none, MEDSYNC_ID_SIZE) != 0;
}

/* The missing row of a live row's key; NULL where there is none. */
static MedsyncRowItem *
find_missing(LiveRun *run, const MedsyncRowItem *item)
{
	MedsyncRowItem *missing;

	if (!has_row_key(item) || run->missing.count == 0)
		return NULL;
	missing = bsearch(item, run->missing.items, run->missing.count,
					  sizeof(MedsyncRowItem), compare_keys);

	/* an item with no more entries than rows is paired already */
	return missing != NULL && missing->entries > missing->live ?
		missing : NULL;
}

static MedsyncPlace
item_place(LiveRun *run, const MedsyncRowItem *item)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	place.relation = find_table(run, item->table)->name;
	place.index = item->index;
	place.block = item->block;
	return place;
}

/* A live row that no entry made, or that differs from its entries. */
static void
report_extra(LiveRun *run, const MedsyncRowItem *item)
{
	MedsyncRowItem *missing = find_missing(run, item);
	MedsyncPlace place = item_place(run, missing ? missing : item);
	char	   *found = medsync_hex(item->commitment, MEDSYNC_HASH_SIZE);
	char	   *row_key = medsync_live_row_key(&run->live,
											   find_table(run, item->table),
											   item->row);

	place.row_key = row_key;
	if (missing != NULL)
	{
		char	   *expected = medsync_hex(missing->commitment,
										   MEDSYNC_HASH_SIZE);

		medsync_report_finding(MEDSYNC_ERROR, "altered", place, expected,
							   found,
							   "The row is not what the ledger says it is.");
		pfree(expected);
		missing->entries = missing->live;
	}
	else if (item->entries < 0)
		medsync_report_finding(MEDSYNC_ERROR, "entry_missing", place, NULL,
							   found,
							   "Entries end a row version that no entry made.");
	else
		medsync_report_finding(MEDSYNC_ERROR, "extra", place, NULL, found,
							   "No entry made this row.");
	pg_free(row_key);
	pfree(found);
}

/* A row that should be there. */
static void
report_missing(LiveRun *run, const MedsyncRowItem *item)
{
	char	   *expected = medsync_hex(item->commitment, MEDSYNC_HASH_SIZE);

	medsync_report_finding(MEDSYNC_ERROR, "missing", item_place(run, item),
						   expected, NULL,
						   "The row is gone, and no entry ended it.");
	pfree(expected);
}

/* Draw the balance, and pair what is missing with what is extra. */
static void
check_balance(LiveRun *run)
{
	int64		i;

	medsync_row_balance_finish(run->live.balance, collect_unbalanced, run);
	merge_sort(run->missing.items, run->missing.count, sizeof(MedsyncRowItem),
			   compare_keys);
	merge_sort(run->extra.items, run->extra.count, sizeof(MedsyncRowItem),
			   compare_rows);
	for (i = 0; i < run->extra.count; i++)
		report_extra(run, &run->extra.items[i]);
	for (i = 0; i < run->missing.count; i++)
		if (run->missing.items[i].entries > run->missing.items[i].live)
			report_missing(run, &run->missing.items[i]);
}

/* ---- the mode ---- */

/* Only what is not sealed says that a table is not compared any more. */
static void
report_let_go(const LiveTable *table)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	place.relation = table->name;
	medsync_report_finding(MEDSYNC_WARNING, "unsealed", place, NULL, NULL,
						   "The table was not compared: an entry that is not sealed says that it is not tracked any more.");
}

/* The manifest of the root partitioned table; NULL: it is not known. */
static const MedsyncManifest *
find_root(LiveRun *run, const LiveTable *table)
{
	const MedsyncManifest *manifest = table->manifest;
	int			depth = 0;

	while (manifest != NULL && manifest->parent != 0 &&
		   depth++ < MAX_PARENTS)
	{
		const LiveTable *parent = find_table(run, manifest->parent);

		manifest = parent ? parent->manifest : NULL;
	}
	return manifest != NULL && manifest->parent == 0 ? manifest : NULL;
}

/* Are a table's rows signed, and can that be checked? */
static void
prepare_signatures(LiveRun *run, LiveTable *table)
{
	const MedsyncManifest *manifest = table->manifest;
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	table->has_keys = medsync_key_row_table(manifest);
	if (manifest->signer == 0)
		return;
	table->root = find_root(run, table);
	table->is_signed = table->root != NULL &&
		table->root->column_count <= MAX_SIGNED_COLUMNS &&
		manifest->column_count <= MAX_SIGNED_COLUMNS;
	place.relation = table->name;
	if (!table->is_signed)
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature", place, NULL,
							   NULL,
							   "The signatures of the table's rows could not be checked: the manifest of its root partitioned table is not known.");
}

/* Compare the tables that hold the keys of persons, or all others. */
static void
read_tables(LiveRun *run, bool with_keys)
{
	int			i;

	for (i = 0; i < run->table_count; i++)
	{
		LiveTable  *table = &run->tables[i];

		if (is_compared(table->manifest))
		{
			if (table->has_keys == with_keys)
				medsync_live_read_table(&run->live, table);
		}
		else if (table->compared_by_seal && !with_keys)
			report_let_go(table);
	}
}

static void
report_signature(void *arg, uint32 number, MedsyncRowId row, int64 index,
				 int64 block, const char *problem)
{
	LiveRun    *run = arg;
	LiveTable  *table = find_table(run, number);
	MedsyncPlace place = MEDSYNC_NO_PLACE;
	char	   *row_key = table != NULL && table->read ?
	medsync_live_row_key(&run->live, table, row) : NULL;

	place.relation = medsync_stream_table_name(run->stream, number);
	place.row_key = row_key;
	place.index = index;
	place.block = block;
	medsync_report_finding(MEDSYNC_ERROR, "bad_signature", place, NULL, NULL,
						   "%s", problem);
	pg_free(row_key);
}

/* Compare every table that is tracked and holds rows of its own. */
static void
check_tables(LiveRun *run)
{
	int			i;

	run->live.types = medsync_type_tree_create(run->live.server);
	initStringInfo(&run->live.buf);
	medsync_live_signatures_ledger(run->live.signatures,
								   medsync_stream_ledger_id(run->stream));
	for (i = 0; i < run->table_count; i++)
	{
		LiveTable  *table = &run->tables[i];

		table->name = medsync_stream_table_name(run->stream, table->number);
		if (is_compared(table->manifest))
			prepare_signatures(run, table);
	}
	read_tables(run, true);
	read_tables(run, false);
	medsync_live_signatures_finish(run->live.signatures, report_signature,
								   run);
	check_balance(run);
	pfree(run->live.buf.data);
	medsync_type_tree_free(run->live.types);
}

void
medsync_verify_live(const MedsyncOptions *options)
{
	LiveRun		run = {.options = options};

	run.live.server = medsync_server_connect(options->target,
											 options->timeout);
	check_extension(&run);
	begin_snapshot(&run);
	read_ledger(&run);
	find_cosigned(&run);
	medsync_server_only_tables(run.live.server);
	if (!run.stream_malformed)
		check_tables(&run);
	medsync_server_run(run.live.server, "COMMIT");
	medsync_server_close(run.live.server);
}
