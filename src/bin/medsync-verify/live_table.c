/*-------------------------------------------------------------------------
 *
 * live_table.c
 *		Mode live: the rows of one table, and what they commit to.
 *
 * The server prints a row's values and tells r, the opening of the row's
 * commitment, which takes the subject's key to make.  Neither is believed:
 * h is computed here from the values, and only the right r and the right
 * values together give the commitment that an entry holds.
 *
 * Columns are those of the newest manifest that an entry announced, by the
 * names that they have in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "ledger/canonical_json.h"
#include "ledger/commitment.h"
#include "live.h"

#define ROWS_OF_BATCH			5000
#define FIRST_VALUE				1	/* after ctid */
#define KEY_TEXT_MAX			(64 * 1024 * 1024)
#define KEPT_TEXT_MAX			(256 * 1024 * 1024)
#define MAX_RELATION_COLUMNS	1600
#define RELKIND_ORDINARY		'r'
#define SQLSTATE_NOT_TRACKED	"MS002"

/* What is known of a relation */
typedef struct RelationRow
{
	bool		found;
	Oid			oid;
	char		kind;
} RelationRow;

/* The relation's columns against the manifest's */
typedef struct ColumnMatch
{
	LiveTable  *table;
	int			found;			/* columns of the manifest */
	char	   *unknown;		/* one that the manifest does not have */
} ColumnMatch;

/* What the server says of a row's opening */
typedef enum OpeningState
{
	OPENING_KNOWN,
	OPENING_UNREADABLE,			/* the subject's key cannot be read */
	OPENING_NONE,				/* the subject never had a key */
	OPENING_MALFORMED
} OpeningState;

/* What opens one row */
typedef struct Opening
{
	MedsyncRowId row;
	OpeningState state;
	uint8		r[MEDSYNC_HASH_SIZE];
	bool		has_key;
	uint8		row_key[MEDSYNC_ID_SIZE];
} Opening;

/* The rows of a table while they are read */
typedef struct RowScan
{
	Live	   *live;
	LiveTable  *table;
	Opening    *openings;		/* of this batch */
	int			opening_count;
	int			row_count;		/* of this batch */
	MedsyncRowId last;			/* the row before; offset 0: none */
	int64		rows;
	int64		without_key;	/* their subject's key cannot be read */
	int64		unreadable;		/* a value is not as its type prints it */
} RowScan;

static MedsyncPlace
table_place(const LiveTable *table)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	place.relation = table->name;
	return place;
}

/* ---- the relation and its columns ---- */

static void
take_relation(void *arg, const MedsyncServerRow *row)
{
	RelationRow *relation = arg;

	relation->found = true;
	relation->oid = row->values[0] ?
		(Oid) strtoul(row->values[0], NULL, 10) : InvalidOid;
	relation->kind = row->values[1] ? *row->values[1] : '\0';
}

static void
find_relation(Live *live, const LiveTable *table, RelationRow *relation)
{
	StringInfoData sql;

	memset(relation, 0, sizeof(*relation));
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT c.oid, c.relkind"
						   " FROM pg_catalog.pg_class AS c"
						   " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
						   " WHERE n.nspname = ");
	medsync_sql_literal(&sql, table->manifest->schema_name);
	appendStringInfoString(&sql, " AND c.relname = ");
	medsync_sql_literal(&sql, table->manifest->table_name);
	medsync_server_query(live->server, sql.data, 2, false, take_relation,
						 relation, NULL);
	pfree(sql.data);
}

static void
take_column(void *arg, const MedsyncServerRow *row)
{
	ColumnMatch *match = arg;
	LiveTable  *table = match->table;
	const char *name = row->values[0] ? row->values[0] : "";
	const MedsyncColumn *column = medsync_manifest_column(table->manifest,
														  name);

	if (column == NULL)
	{
		pg_free(match->unknown);
		match->unknown = pg_strdup(name);
		return;
	}
	match->found++;
	if (column->excluded)
		return;
	if (table->column_count == MAX_RELATION_COLUMNS)
		medsync_cannot_check("table %s has too many columns", table->name);
	table->columns[table->column_count].column = column;
	table->columns[table->column_count].type =
		row->values[1] ? (Oid) strtoul(row->values[1], NULL, 10) : InvalidOid;
	table->column_count++;
}

static int
compare_columns(const void *a, const void *b)
{
	return ((const LiveColumn *) a)->column->number -
		((const LiveColumn *) b)->column->number;
}

/* Find how each column's values are printed. */
static bool
find_codecs(Live *live, LiveTable *table)
{
	int			i;

	for (i = 0; i < table->column_count; i++)
	{
		LiveColumn *column = &table->columns[i];

		column->codec = medsync_type_tree_codec(live->types, column->type);
		if (column->codec == NULL)
		{
			medsync_report_finding(MEDSYNC_ERROR, "altered",
								   table_place(table), NULL, NULL,
								   "The table could not be read: the type of column \"%s\" makes no sense.",
								   column->column->name);
			return false;
		}
	}
	return true;
}

/*
 * Match the relation's columns with the manifest's.  Where they disagree (a
 * guard was switched off) that is a finding, and what both have is read.
 */
static bool
match_columns(Live *live, LiveTable *table, Oid relation)
{
	ColumnMatch match = {.table = table};
	char	   *sql = psprintf("SELECT a.attname, a.atttypid"
							   " FROM pg_catalog.pg_attribute AS a"
							   " WHERE a.attrelid = %u AND a.attnum > 0"
							   " AND NOT a.attisdropped ORDER BY a.attnum",
							   relation);

	table->columns = pg_malloc0(sizeof(LiveColumn) * MAX_RELATION_COLUMNS);
	medsync_server_query(live->server, sql, 2, false, take_column, &match,
						 NULL);
	pfree(sql);
	if (table->column_count > 0)
		qsort(table->columns, table->column_count, sizeof(LiveColumn),
			  compare_columns);
	if (match.found < table->manifest->column_count)
		medsync_report_finding(MEDSYNC_ERROR, "altered", table_place(table),
							   NULL, NULL,
							   "a column of the ledger's manifest is gone");
	else if (match.unknown != NULL)
		medsync_report_finding(MEDSYNC_ERROR, "altered", table_place(table),
							   NULL, NULL,
							   "column \"%s\" is not in the ledger's manifest",
							   match.unknown);
	pg_free(match.unknown);
	return find_codecs(live, table);
}

/* ---- what a row's values give ---- */

/* A tid: (block,offset).  What is none names no row. */
static MedsyncRowId
parse_row_id(const char *text)
{
	MedsyncRowId row = {0, 0};
	char	   *end;

	if (text == NULL || *text != '(')
		return row;
	row.block = (uint32) strtoul(text + 1, &end, 10);
	if (*end == ',')
		row.offset = (uint16) strtoul(end + 1, NULL, 10);
	return row;
}

/*
 * Append the canonical row to a sink: the columns that are not NULL.  False
 * when a value is not as its type prints it.
 */
static bool
encode_row(MedsyncSink *sink, const LiveTable *table, bool only_key,
		   const char *const *values, const int *lengths)
{
	int			nth = 0;
	int			i;

	for (i = 0; i < table->column_count; i++)
	{
		const LiveColumn *column = &table->columns[i];

		if (only_key &&
			!medsync_manifest_is_key(table->manifest, column->column->number))
			continue;
		if (values[nth] != NULL)
		{
			put_varint(sink, column->column->number);
			if (!medsync_text_put(sink, column->codec, values[nth],
								  (size_t) lengths[nth]))
				return false;
		}
		nth++;
	}
	return true;
}

/* A row whose bytes are kept must fit into memory. */
static void
check_size(const RowScan *scan, const MedsyncServerRow *row)
{
	int64		len = 0;
	int			i;

	for (i = 0; i < scan->table->column_count; i++)
		len += row->values[FIRST_VALUE + i] ? row->lengths[FIRST_VALUE + i] : 0;
	if (len > KEPT_TEXT_MAX)
		medsync_cannot_check("table %s holds a row that is too large to check its signature",
							 scan->table->name);
}

/*
 * h of a row as it was printed.  Its bytes are kept in live->buf where they
 * are needed for more than that.
 */
static bool
hash_row(RowScan *scan, const MedsyncServerRow *row, uint8 *hash)
{
	bool		keep = scan->table->is_signed;
	MedsyncSha256 sha;
	MedsyncSink sink;
	bool		readable;

	if (keep)
		check_size(scan, row);
	sink.buf = scan->live->buf;
	sink.hash = keep ? NULL : &sha;
	resetStringInfo(&sink.buf);
	medsync_row_hash_start(&sha, scan->table->number);
	readable = encode_row(&sink, scan->table, false,
						  row->values + FIRST_VALUE,
						  row->lengths + FIRST_VALUE);
	if (keep)
		medsync_sha256_update(&sha, sink.buf.data, sink.buf.len);
	else
		medsync_sink_flush(&sink);
	medsync_sha256_finish(&sha, hash);
	scan->live->buf = sink.buf;
	return readable;
}

/* ---- openings ---- */

static OpeningState
parse_opening(const char *text, int len, uint8 *r)
{
	if (text == NULL)
		return OPENING_UNREADABLE;
	if (medsync_text_bytes(text, len, r, 0))
		return OPENING_NONE;
	return medsync_text_bytes(text, len, r, MEDSYNC_HASH_SIZE) ?
		OPENING_KNOWN : OPENING_MALFORMED;
}

static void
take_opening(void *arg, const MedsyncServerRow *row)
{
	RowScan    *scan = arg;
	Opening    *opening = &scan->openings[scan->opening_count];

	if (scan->opening_count == ROWS_OF_BATCH)
		medsync_cannot_check("the server sent more rows than it was asked for");
	scan->opening_count++;
	opening->row = parse_row_id(row->values[0]);
	opening->state = parse_opening(row->values[1], row->lengths[1],
								   opening->r);
	opening->has_key = row->values[2] != NULL &&
		medsync_text_bytes(row->values[2], row->lengths[2], opening->row_key,
						   MEDSYNC_ID_SIZE);
}

/*
 * The opening of the batch's next row: both are read in the order in which
 * rows lie.  A row that came twice would stand for one that is gone.
 */
static const Opening *
next_opening(RowScan *scan, MedsyncRowId row)
{
	const Opening *opening = &scan->openings[scan->row_count];

	if (row.offset == 0 || row.block < scan->last.block ||
		(row.block == scan->last.block && row.offset <= scan->last.offset))
		medsync_cannot_check("the server gave row (%u,%u) of table %s twice, or out of its place",
							 row.block, row.offset, scan->table->name);
	scan->last = row;
	if (scan->row_count == scan->opening_count ||
		opening->row.block != row.block || opening->row.offset != row.offset)
		medsync_cannot_check("the server gave openings of other rows of table %s than it has",
							 scan->table->name);
	scan->row_count++;
	return opening;
}

/* ---- rows ---- */

/*
 * What a row commits to, by the r that the server tells.  Where the row's
 * subject never had a key no entry can have made the row: it gets a
 * commitment that no entry has.
 */
static bool
commit_row(RowScan *scan, const MedsyncServerRow *row, const Opening *opening,
		   uint8 *commitment)
{
	uint8		hash[MEDSYNC_HASH_SIZE];
	uint32		id[2] = {opening->row.block, opening->row.offset};

	switch (opening->state)
	{
		case OPENING_UNREADABLE:
			scan->without_key++;
			return false;
		case OPENING_NONE:
			medsync_sha256(id, sizeof(id), commitment);
			return true;
		case OPENING_KNOWN:
			if (hash_row(scan, row, hash))
			{
				medsync_commitment(opening->r, hash, commitment);
				return true;
			}
			break;
		case OPENING_MALFORMED:
			break;
	}
	scan->unreadable++;
	return false;
}

/* A row that is a person's key; whether its commitment opens is told apart. */
static void
take_person_key(RowScan *scan, const MedsyncServerRow *row)
{
	MedsyncSink sink = {.hash = NULL};

	check_size(scan, row);
	initStringInfo(&sink.buf);
	if (encode_row(&sink, scan->table, false, row->values + FIRST_VALUE,
				   row->lengths + FIRST_VALUE))
		medsync_live_add_key(scan->live->signatures, scan->table,
							 sink.buf.data, sink.buf.len);
	pfree(sink.buf.data);
}

static void
take_row(void *arg, const MedsyncServerRow *row)
{
	RowScan    *scan = arg;
	Live	   *live = scan->live;
	const Opening *opening = next_opening(scan, parse_row_id(row->values[0]));
	uint8		commitment[MEDSYNC_HASH_SIZE];

	scan->rows++;
	medsync_summary.rows++;
	if (scan->table->has_keys)
		take_person_key(scan, row);
	if (!commit_row(scan, row, opening, commitment))
		return;
	medsync_row_live(live->balance, scan->table->number, commitment,
					 opening->row, opening->has_key ? opening->row_key : NULL);
	if (scan->table->is_signed && opening->state == OPENING_KNOWN)
		medsync_live_signed_row(live->signatures, scan->table, opening->row,
								commitment, live->buf.data, live->buf.len);
}

/* The rows, in column-number order. */
static char *
rows_cursor(const LiveTable *table)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "DECLARE medsync_rows NO SCROLL CURSOR FOR"
						   " SELECT t.ctid");
	for (i = 0; i < table->column_count; i++)
	{
		appendStringInfoString(&sql, ", t.");
		medsync_sql_identifier(&sql, table->columns[i].column->name);
	}
	appendStringInfo(&sql, " FROM ONLY %s AS t", table->sql_name);
	return sql.data;
}

static bool
declare_cursors(RowScan *scan, Oid relation, MedsyncServerError *error)
{
	MedsyncServer *server = scan->live->server;
	char	   *rows = rows_cursor(scan->table);
	char	   *openings =
	psprintf("DECLARE medsync_openings NO SCROLL CURSOR FOR"
			 " SELECT o.tid, o.opening, o.row_key"
			 " FROM medsync._openings(%u::pg_catalog.oid::pg_catalog.regclass) AS o",
			 relation);
	bool		declared;

	declared = medsync_server_query(server, rows, 0, false, NULL, NULL,
									error) &&
		medsync_server_query(server, openings, 0, false, NULL, NULL, error);
	pfree(rows);
	pfree(openings);
	return declared;
}

/* The next rows and their openings; false at an error. */
static bool
fetch_batch(RowScan *scan, MedsyncServerError *error)
{
	MedsyncServer *server = scan->live->server;
	int			columns = FIRST_VALUE + scan->table->column_count;

	scan->opening_count = 0;
	scan->row_count = 0;
	if (!medsync_server_query(server, "FETCH FORWARD " CppAsString2(ROWS_OF_BATCH) " FROM medsync_openings",
							  3, false, take_opening, scan, error) ||
		!medsync_server_query(server, "FETCH FORWARD " CppAsString2(ROWS_OF_BATCH) " FROM medsync_rows",
							  columns, false, take_row, scan, error))
		return false;
	if (scan->row_count < scan->opening_count)
		medsync_cannot_check("the server gave openings of other rows of table %s than it has",
							 scan->table->name);
	medsync_progress("rows", medsync_summary.rows, 0);
	return true;
}

/*
 * Read all rows, side by side with their openings.  There is no join, which
 * would have the server sort or hash the whole table.
 */
static bool
fetch_rows(RowScan *scan, Oid relation, MedsyncServerError *error)
{
	if (!declare_cursors(scan, relation, error))
		return false;
	do
	{
		if (!fetch_batch(scan, error))
			return false;
	} while (scan->row_count == ROWS_OF_BATCH);
	medsync_server_run(scan->live->server, "CLOSE medsync_rows");
	medsync_server_run(scan->live->server, "CLOSE medsync_openings");
	return true;
}

static bool
is_sqlstate(const MedsyncServerError *error, const char *prefix)
{
	return strncmp(error->sqlstate, prefix, strlen(prefix)) == 0;
}

/*
 * A value whose text is longer than a gigabyte, such as a bytea of more than
 * half of that: PostgreSQL has no SQLSTATE for it, and does not translate it.
 */
static bool
is_too_large(const MedsyncServerError *error)
{
	return is_sqlstate(error, "XX000") &&
		strstr(error->message, "invalid memory alloc request size") != NULL;
}

/*
 * A table that the server could not read.  What is a matter of our rights or
 * of the server's means says nothing about the table.
 */
static void
report_unreadable(const LiveTable *table, const MedsyncServerError *error)
{
	if (is_sqlstate(error, "42501"))
		medsync_cannot_check("table %s: %s; the role needs SELECT on every tracked table, and BYPASSRLS where row security is on",
							 table->name, error->message);
	if (is_too_large(error))
		medsync_cannot_check("table %s holds a value that is too large to be sent as text",
							 table->name);
	if (is_sqlstate(error, SQLSTATE_LOCK_NOT_AVAILABLE) ||
		is_sqlstate(error, "08") || is_sqlstate(error, "40") ||
		is_sqlstate(error, "53") || is_sqlstate(error, "54") ||
		is_sqlstate(error, "57") || is_sqlstate(error, "58"))
		medsync_cannot_check("table %s: %s", table->name, error->message);
	if (is_sqlstate(error, SQLSTATE_NOT_TRACKED))
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   table_place(table), NULL, NULL,
							   "The table is gone from the ledger's list of tables.");
	else
		medsync_report_finding(MEDSYNC_ERROR, "altered", table_place(table),
							   NULL, NULL, "The table could not be read: %s",
							   error->message);
}

/* Read the rows of a relation; a page that cannot be read is a finding. */
static void
read_rows(Live *live, LiveTable *table, Oid relation)
{
	RowScan		scan = {.live = live,.table = table};
	MedsyncServerError error;
	bool		whole;

	scan.openings = pg_malloc(sizeof(Opening) * ROWS_OF_BATCH);
	medsync_server_run(live->server, "SAVEPOINT medsync_table");
	whole = fetch_rows(&scan, relation, &error);
	if (!whole)
	{
		medsync_server_run(live->server, "ROLLBACK TO SAVEPOINT medsync_table");
		report_unreadable(table, &error);
	}
	medsync_server_run(live->server, "RELEASE SAVEPOINT medsync_table");
	pg_free(scan.openings);

	/* where no key can be read, nothing is known of the rows */
	table->read = whole && (scan.rows == 0 || scan.without_key < scan.rows);
	if (table->read)
		medsync_report_table(table->name,
							 scan.rows - scan.without_key - scan.unreadable);
	if (scan.without_key > 0)
		medsync_report_finding(MEDSYNC_ERROR, "key_missing",
							   table_place(table), NULL, NULL,
							   INT64_FORMAT " rows have a subject whose key is missing.",
							   scan.without_key);
	if (scan.unreadable > 0)
		medsync_report_finding(MEDSYNC_ERROR, "altered", table_place(table),
							   NULL, NULL,
							   INT64_FORMAT " rows hold a value that is not as its type prints values.",
							   scan.unreadable);
}

/* Add every live row of a table to the balance. */
void
medsync_live_read_table(Live *live, LiveTable *table)
{
	RelationRow relation;
	StringInfoData name;

	find_relation(live, table, &relation);
	if (!relation.found)
	{
		medsync_report_finding(MEDSYNC_ERROR, "missing", table_place(table),
							   NULL, NULL, "The table is gone.");
		return;
	}
	if (relation.kind != RELKIND_ORDINARY)
	{
		medsync_report_finding(MEDSYNC_ERROR, "altered", table_place(table),
							   NULL, NULL,
							   "The table could not be read: it is no table any more.");
		return;
	}
	initStringInfo(&name);
	medsync_sql_identifier(&name, table->manifest->schema_name);
	appendStringInfoChar(&name, '.');
	medsync_sql_identifier(&name, table->manifest->table_name);
	table->sql_name = name.data;
	if (match_columns(live, table, relation.oid))
		read_rows(live, table, relation.oid);
}

/* ---- the key of a row, for findings ---- */

/* One row's key as it is read again */
typedef struct KeyRow
{
	const LiveTable *table;
	char	   *json;
} KeyRow;

static void
take_key(void *arg, const MedsyncServerRow *row)
{
	KeyRow	   *key = arg;
	MedsyncSink sink = {.hash = NULL};
	StringInfoData json;
	int64		len = 0;
	int			i;

	for (i = 0; i < key->table->manifest->key_count; i++)
		len += row->values[i] ? row->lengths[i] : 0;
	if (len > KEY_TEXT_MAX || key->json != NULL)
		return;
	initStringInfo(&sink.buf);
	initStringInfo(&json);
	if (encode_row(&sink, key->table, true,
				   (const char *const *) row->values, row->lengths) &&
		medsync_canonical_key_json(&json, sink.buf.data, sink.buf.len,
								   key->table->manifest))
		key->json = json.data;
	else
		pfree(json.data);
	pfree(sink.buf.data);
}

/* The key columns of a row as JSON; NULL where there is none. */
char *
medsync_live_row_key(Live *live, const LiveTable *table, MedsyncRowId row)
{
	KeyRow		key = {.table = table};
	StringInfoData sql;
	MedsyncServerError error;
	int			count = 0;
	int			i;

	initStringInfo(&sql);
	for (i = 0; i < table->column_count; i++)
	{
		const MedsyncColumn *column = table->columns[i].column;

		if (!medsync_manifest_is_key(table->manifest, column->number))
			continue;
		appendStringInfoString(&sql, count++ > 0 ? ", t." : "SELECT t.");
		medsync_sql_identifier(&sql, column->name);
	}
	appendStringInfo(&sql, " FROM ONLY %s AS t WHERE t.ctid = '(%u,%u)'",
					 table->sql_name, row.block, row.offset);
	if (count > 0 && count == table->manifest->key_count && row.offset > 0)
	{
		medsync_server_run(live->server, "SAVEPOINT medsync_key");
		if (!medsync_server_query(live->server, sql.data, count, false,
								  take_key, &key, &error))
			medsync_server_run(live->server,
							   "ROLLBACK TO SAVEPOINT medsync_key");
		medsync_server_run(live->server, "RELEASE SAVEPOINT medsync_key");
	}
	pfree(sql.data);
	return key.json;
}
