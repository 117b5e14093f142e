/*-------------------------------------------------------------------------
 *
 * manifest.c
 *		What the ledger knows of a tracked table: its number, its name, its
 *		columns by stable number.
 *
 * Stored are _table, one row for each table number with the name it has now,
 * and _manifest, one immutable row for each version of what the number
 * stands for.  Every new version is announced by a "ddl" entry with the
 * SHA-256 of its text, so that neither table needs to be believed.  They
 * are written by track(), untrack() and the guards, under the lock on the
 * relation itself and, where a number is given out, the registration lock
 * (track.c).  Everything is transactional; on a standby all that reads works.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/entry.h"
#include "ledger/journal.h"
#include "ledger/manifest.h"

enum
{
	Anum_table_number = 1,
	Anum_table_schema_name,
	Anum_table_table_name,
	Anum_table_manifest_version,
	Anum_table_tracked,
	Natts_table = 5
};

enum
{
	Anum_manifest_table_number = 1,
	Anum_manifest_version,
	Anum_manifest_content,
	Natts_manifest = 3
};

static void
malformed_manifest(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("a table manifest of the ledger is malformed"),
			 errhint("Run medsync.verify() to see what was changed.")));
}

/* Read a manifest's text; what is malformed raises MS004. */
MedsyncManifest *
medsync_manifest_parse(const char *content)
{
	MedsyncManifest *manifest = medsync_manifest_read(content,
													  strlen(content));

	if (manifest == NULL)
		malformed_manifest();
	return manifest;
}

/* The text of a manifest as it is stored, palloc'd; NULL: it is not there. */
char *
medsync_manifest_content(uint32 table, uint32 version)
{
	Relation	heap = medsync_open("_manifest", AccessShareLock);
	char	   *content = NULL;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(table));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(version));
	medsync_scan_begin(&scan, heap, "_manifest_pkey", SnapshotSelf, 2, keys);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_manifest_content,
										 RelationGetDescr(heap), &isnull);

		if (isnull)
			malformed_manifest();
		content = TextDatumGetCString(datum);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return content;
}

/* Read a manifest; NULL: it is not there. */
MedsyncManifest *
medsync_manifest_load(uint32 table, uint32 version)
{
	char	   *content = medsync_manifest_content(table, version);

	return content ? medsync_manifest_parse(content) : NULL;
}

/*
 * The newest manifest of the root partitioned table, or the manifest itself
 * if it is no partition's.
 */
MedsyncManifest *
medsync_manifest_root(MedsyncManifest *manifest)
{
	while (manifest->parent != 0)
	{
		MedsyncTable *table = medsync_table_by_number(manifest->parent);
		MedsyncManifest *parent = table ?
			medsync_manifest_load(table->number, table->manifest_version) : NULL;

		/* a parent's number is always below its partitions' */
		if (parent == NULL || parent->table >= manifest->table)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("the manifest of the partitioned table of \"%s\" is missing",
							manifest->table_name),
					 errhint("Run medsync.verify() to see what was changed.")));
		manifest = parent;
	}
	return manifest;
}

/* Write or rewrite the _table row of a manifest. */
static void
store_table_row(const MedsyncManifest *manifest)
{
	Relation	heap = medsync_open("_table", RowExclusiveLock);
	Datum		values[Natts_table];
	bool		isnull[Natts_table] = {0};
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	old;
	HeapTuple	tuple;

	values[Anum_table_number - 1] = Int32GetDatum(manifest->table);
	values[Anum_table_schema_name - 1] =
		CStringGetTextDatum(manifest->schema_name);
	values[Anum_table_table_name - 1] =
		CStringGetTextDatum(manifest->table_name);
	values[Anum_table_manifest_version - 1] = Int32GetDatum(manifest->version);
	values[Anum_table_tracked - 1] = BoolGetDatum(manifest->tracked);
	tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(manifest->table));
	medsync_scan_begin(&scan, heap, "_table_pkey", SnapshotSelf, 1, &key);
	old = medsync_scan_next(&scan);
	if (old != NULL)
		CatalogTupleUpdate(heap, &old->t_self, tuple);
	else
		CatalogTupleInsert(heap, tuple);
	medsync_scan_end(&scan);
	table_close(heap, RowExclusiveLock);
}

/*
 * Store a manifest as the newest of its table number, and announce it with
 * a ddl entry.  The caller has set the version.
 */
void
medsync_manifest_store(MedsyncManifest *manifest)
{
	Relation	heap = medsync_open("_manifest", RowExclusiveLock);
	char	   *content = medsync_manifest_write(manifest);
	Datum		values[Natts_manifest];
	bool		isnull[Natts_manifest] = {0};
	uint8		digest[MEDSYNC_HASH_SIZE];

	values[Anum_manifest_table_number - 1] = Int32GetDatum(manifest->table);
	values[Anum_manifest_version - 1] = Int32GetDatum(manifest->version);
	values[Anum_manifest_content - 1] = CStringGetTextDatum(content);
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap),
											 values, isnull));
	table_close(heap, RowExclusiveLock);

	store_table_row(manifest);
	medsync_sha256(content, strlen(content), digest);
	medsync_journal_add_ddl(manifest->table, manifest->version, digest);
	CommandCounterIncrement();
}

/* The primary key's attribute numbers, in key order. */
static List *
primary_key_attnums(Relation rel)
{
	List	   *result = NIL;
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisprimary && index->indisvalid)
		{
			int			i;

			for (i = 0; i < index->indnkeyatts; i++)
				result = lappend_int(result, index->indkey.values[i]);
		}
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return result;
}

/*
 * Bring a manifest up to what the relation looks like now: names, types,
 * new columns, primary key.  Columns are matched by name; the caller has
 * renamed what was renamed (guard.c).
 */
void
medsync_manifest_refresh(MedsyncManifest *manifest, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	MedsyncColumn *columns = palloc0(sizeof(MedsyncColumn) * Max(desc->natts, 1));
	List	   *key = primary_key_attnums(rel);
	int			count = 0;
	ListCell   *cell;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const MedsyncColumn *known;

		if (att->attisdropped)
			continue;
		known = medsync_manifest_column(manifest, NameStr(att->attname));
		columns[count].number = known ? known->number :
			manifest->next_column++;
		columns[count].excluded = known ? known->excluded : false;
		columns[count].name = pstrdup(NameStr(att->attname));
		columns[count].type =
			format_type_extended(att->atttypid, att->atttypmod,
								 FORMAT_TYPE_TYPEMOD_GIVEN |
								 FORMAT_TYPE_FORCE_QUALIFY);
		count++;
	}

	/* in order of their numbers; restored tables may have another order */
	for (i = 1; i < count; i++)
	{
		MedsyncColumn column = columns[i];
		int			j;

		for (j = i; j > 0 && columns[j - 1].number > column.number; j--)
			columns[j] = columns[j - 1];
		columns[j] = column;
	}

	manifest->columns = columns;
	manifest->column_count = count;
	manifest->schema_name = get_namespace_name(RelationGetNamespace(rel));
	manifest->table_name = pstrdup(RelationGetRelationName(rel));
	manifest->key_count = 0;
	manifest->key = palloc(sizeof(int) * Max(list_length(key), 1));
	foreach(cell, key)
	{
		const char *name = NameStr(TupleDescAttr(desc, lfirst_int(cell) - 1)->attname);

		manifest->key[manifest->key_count++] =
			medsync_manifest_column(manifest, name)->number;
	}
}

/* The number of the column that has the name of one of another table. */
static int
same_column(const MedsyncManifest *manifest, const MedsyncManifest *other,
			int number)
{
	const MedsyncColumn *theirs = medsync_manifest_column_number(other, number);
	const MedsyncColumn *ours = theirs ?
		medsync_manifest_column(manifest, theirs->name) : NULL;

	return ours ? ours->number : 0;
}

/* A partition demands the signatures that its parent demands. */
void
medsync_manifest_copy_demand(MedsyncManifest *manifest,
							 const MedsyncManifest *parent)
{
	manifest->signer = same_column(manifest, parent, parent->signer);
	manifest->signature = same_column(manifest, parent, parent->signature);
	manifest->on_behalf_of = same_column(manifest, parent,
										 parent->on_behalf_of);
}

/* Read a row of _table; NULL when it makes no sense. */
static MedsyncTable *
table_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	MedsyncTable *table = palloc0(sizeof(MedsyncTable));
	Datum		values[Natts_table];
	bool		isnull[Natts_table];
	int			i;

	heap_deform_tuple(tuple, desc, values, isnull);
	for (i = 0; i < Natts_table; i++)
		if (isnull[i])
			return NULL;
	table->number = DatumGetInt32(values[Anum_table_number - 1]);
	table->schema_name =
		TextDatumGetCString(values[Anum_table_schema_name - 1]);
	table->table_name =
		TextDatumGetCString(values[Anum_table_table_name - 1]);
	table->manifest_version =
		DatumGetInt32(values[Anum_table_manifest_version - 1]);
	table->tracked = DatumGetBool(values[Anum_table_tracked - 1]);
	return table;
}

/*
 * All table numbers, ascending.  Rows that make no sense are counted where
 * the caller wants to know, else they raise MS004.
 */
List *
medsync_tables(Snapshot snapshot, int *malformed)
{
	Relation	heap = medsync_open("_table", AccessShareLock);
	List	   *result = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_table_pkey", snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncTable *table = table_from_tuple(tuple, RelationGetDescr(heap));

		if (table != NULL)
			result = lappend(result, table);
		else if (malformed != NULL)
			(*malformed)++;
		else
			malformed_manifest();
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

/*
 * The table number that a name stands for, or NULL: the tracked one, or,
 * unless tracked_only, the last one of that name that was.
 */
MedsyncTable *
medsync_table_by_name(const char *schema_name, const char *table_name,
					  bool tracked_only)
{
	Relation	heap = medsync_open("_table", AccessShareLock);
	MedsyncTable *result = NULL;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(schema_name));
	keys[0].sk_collation = C_COLLATION_OID;
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(table_name));
	keys[1].sk_collation = C_COLLATION_OID;
	medsync_scan_begin(&scan, heap, "_table_name_idx", SnapshotSelf, 2, keys);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncTable *table = table_from_tuple(tuple, RelationGetDescr(heap));

		if (table == NULL || (tracked_only && !table->tracked))
			continue;
		if (result == NULL || table->tracked ||
			(!result->tracked && table->number > result->number))
			result = table;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

/* What _table says of a number now, or NULL. */
MedsyncTable *
medsync_table_by_number(uint32 number)
{
	Relation	heap = medsync_open("_table", AccessShareLock);
	MedsyncTable *result = NULL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
	medsync_scan_begin(&scan, heap, "_table_pkey", SnapshotSelf, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
		result = table_from_tuple(tuple, RelationGetDescr(heap));
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

/* The tracked table number of a relation, or NULL. */
MedsyncTable *
medsync_table_of(Relation rel)
{
	return medsync_table_by_name(get_namespace_name(RelationGetNamespace(rel)),
								 RelationGetRelationName(rel), true);
}

/* A number that no table has had; the caller holds the registration lock. */
uint32
medsync_table_next_number(void)
{
	List	   *tables = medsync_tables(SnapshotSelf, NULL);

	return tables == NIL ? 1 : ((MedsyncTable *) llast(tables))->number + 1;
}

/* The relation that has the table's name now, or InvalidOid. */
Oid
medsync_table_relid(const MedsyncTable *table)
{
	Oid			schema = get_namespace_oid(table->schema_name, true);

	return OidIsValid(schema) ?
		get_relname_relid(table->table_name, schema) : InvalidOid;
}
