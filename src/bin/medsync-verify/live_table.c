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

#define ROWS_BETWEEN_REPORTS	10000
#define FIRST_VALUE				3	/* after ctid, opening and row key */
#define KEY_TEXT_MAX			(64 * 1024 * 1024)
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

/* The rows of a table while they are read */
typedef struct RowScan
{
	Live	   *live;
	LiveTable  *table;
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

/* ---- rows ---- */

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

/* h of a row as it was printed. */
static bool
hash_row(RowScan *scan, const MedsyncServerRow *row, uint8 *hash)
{
	MedsyncSha256 sha;
	MedsyncSink sink;
	bool		readable;

	sink.buf = scan->live->buf;
	sink.hash = &sha;
	resetStringInfo(&sink.buf);
	medsync_row_hash_start(&sha, scan->table->number);
	readable = encode_row(&sink, scan->table, false,
						  row->values + FIRST_VALUE,
						  row->lengths + FIRST_VALUE);
	medsync_sink_flush(&sink);
	medsync_sha256_finish(&sha, hash);
	scan->live->buf = sink.buf;
	return readable;
}

/*
 * What a row commits to, by the r that the server tells.  An empty r says
 * that the row's subject never had a key, so that no entry can have made the
 * row: it gets a commitment that no entry has.
 */
static bool
commit_row(RowScan *scan, const MedsyncServerRow *row, uint8 *commitment)
{
	uint8		hash[MEDSYNC_HASH_SIZE];
	uint8		opening[MEDSYNC_HASH_SIZE];

	if (row->values[1] == NULL)
	{
		scan->without_key++;
		return false;
	}
	if (medsync_text_bytes(row->values[1], row->lengths[1], opening, 0))
	{
		medsync_sha256(row->values[0], row->values[0] ? row->lengths[0] : 0,
					   commitment);
		return true;
	}
	if (!medsync_text_bytes(row->values[1], row->lengths[1], opening,
							MEDSYNC_HASH_SIZE) ||
		!hash_row(scan, row, hash))
	{
		scan->unreadable++;
		return false;
	}
	medsync_commitment(opening, hash, commitment);
	return true;
}

static void
take_row(void *arg, const MedsyncServerRow *row)
{
	RowScan    *scan = arg;
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint8		row_key[MEDSYNC_ID_SIZE];
	bool		has_key;

	scan->rows++;
	if (++medsync_summary.rows % ROWS_BETWEEN_REPORTS == 0)
		medsync_progress("rows", medsync_summary.rows, 0);
	if (!commit_row(scan, row, commitment))
		return;
	has_key = row->values[2] != NULL &&
		medsync_text_bytes(row->values[2], row->lengths[2], row_key,
						   MEDSYNC_ID_SIZE);
	medsync_row_live(scan->live->balance, scan->table->number, commitment,
					 parse_row_id(row->values[0]), has_key ? row_key : NULL);
}

/* The rows with their openings; in column-number order. */
static char *
rows_query(const LiveTable *table, Oid relation)
{
	StringInfoData sql;
	int			i;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT t.ctid, o.opening, o.row_key");
	for (i = 0; i < table->column_count; i++)
	{
		appendStringInfoString(&sql, ", t.");
		medsync_sql_identifier(&sql, table->columns[i].column->name);
	}
	appendStringInfo(&sql, " FROM ONLY %s AS t"
					 " LEFT JOIN medsync._openings(%u::pg_catalog.oid::pg_catalog.regclass) AS o"
					 " ON o.tid = t.ctid", table->sql_name, relation);
	return sql.data;
}

static bool
is_sqlstate(const MedsyncServerError *error, const char *prefix)
{
	return strncmp(error->sqlstate, prefix, strlen(prefix)) == 0;
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
	if (is_sqlstate(error, "08") || is_sqlstate(error, "40") ||
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
	char	   *sql = rows_query(table, relation);
	MedsyncServerError error;
	bool		whole;

	medsync_server_run(live->server, "SAVEPOINT medsync_table");
	whole = medsync_server_query(live->server, sql,
								 FIRST_VALUE + table->column_count, false,
								 take_row, &scan, &error);
	pfree(sql);
	if (!whole)
	{
		medsync_server_run(live->server, "ROLLBACK TO SAVEPOINT medsync_table");
		report_unreadable(table, &error);
	}
	medsync_server_run(live->server, "RELEASE SAVEPOINT medsync_table");

	/* where no key can be read, nothing is known of the rows */
	table->read = whole && (scan.rows == 0 || scan.without_key < scan.rows);
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
	medsync_summary.tables++;
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
