/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Finding, reading and writing the tables of schema medsync.
 *
 * Stores nothing.  Tables are found by name on every call (two syscache
 * look-ups), so that DROP EXTENSION and CREATE EXTENSION need no
 * invalidation here.  What is remembered is which index is partial, and which
 * table has the columns it must have: rows are read and written by column
 * number, and a superuser can alter every table.  Locks are those of the
 * caller's table_open.  On a standby everything that reads works.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "common/errors.h"

Oid
medsync_schema_oid(bool missing_ok)
{
	return get_namespace_oid(MEDSYNC_SCHEMA, missing_ok);
}

/* OID of a relation of schema medsync, or InvalidOid. */
Oid
medsync_relation_oid(const char *name)
{
	Oid			schema = medsync_schema_oid(true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/* OID of a function of schema medsync that takes no arguments, or InvalidOid. */
Oid
medsync_function_oid(const char *name)
{
	oidvector  *no_args = buildoidvector(NULL, 0);
	Oid			schema = medsync_schema_oid(true);

	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name), PointerGetDatum(no_args),
						   ObjectIdGetDatum(schema));
}

/* Was the extension made, or its schema changed, by our own transaction? */
bool
medsync_extension_is_new(void)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID,
										ObjectIdGetDatum(medsync_schema_oid(false)));
	bool		is_new;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_new = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return is_new;
}

/*---- The columns that our tables must have ----*/

#define MAX_SHAPE_LISTS			8

/* What the rooms have registered; each list ends with a table NULL */
static const MedsyncShape *shape_lists[MAX_SHAPE_LISTS];
static int	shape_list_count = 0;

/* Tables that were found to have them, each at the place that its OID gives */
static Oid	checked_tables[64];

/* Announce what columns tables have; from _PG_init. */
void
medsync_shapes_register(const MedsyncShape *shapes)
{
	if (shape_list_count == MAX_SHAPE_LISTS)
		elog(ERROR, "too many lists of tables");
	shape_lists[shape_list_count++] = shapes;
}

/* One that was announced, by number from 0 on; NULL: there are no more. */
const MedsyncShape *
medsync_shape(int number)
{
	int			i;

	for (i = 0; i < shape_list_count; i++)
	{
		const MedsyncShape *shape;

		for (shape = shape_lists[i]; shape->table != NULL; shape++)
			if (number-- == 0)
				return shape;
	}
	return NULL;
}

/* The columns that a table must have; NULL: nobody has said. */
static const MedsyncShape *
find_shape(const char *table)
{
	const MedsyncShape *shape;
	int			i;

	for (i = 0; (shape = medsync_shape(i)) != NULL; i++)
		if (strcmp(shape->table, table) == 0)
			break;
	return shape;
}

/* Does a table have the columns that it must have? */
bool
medsync_shape_holds(const MedsyncShape *shape, Relation heap)
{
	TupleDesc	desc = RelationGetDescr(heap);
	int			i;

	if (desc->natts != shape->natts)
		return false;
	for (i = 0; i < shape->natts; i++)
		if (TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != shape->types[i])
			return false;
	return true;
}

/* Raise an error unless an open table has the columns that it must have. */
static void
check_shape(Relation heap)
{
	Oid			relid = RelationGetRelid(heap);
	Oid		   *checked = &checked_tables[relid % lengthof(checked_tables)];
	const MedsyncShape *shape;

	if (*checked == relid)
		return;
	shape = find_shape(RelationGetRelationName(heap));
	if (shape != NULL && !medsync_shape_holds(shape, heap))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("table \"%s.%s\" does not have its original columns",
						MEDSYNC_SCHEMA, RelationGetRelationName(heap))));
	*checked = relid;
}

/* Forget that a table was checked, or all were. */
static void
forget_checked(Oid relid)
{
	if (!OidIsValid(relid))
		memset(checked_tables, 0, sizeof(checked_tables));
	else if (checked_tables[relid % lengthof(checked_tables)] == relid)
		checked_tables[relid % lengthof(checked_tables)] = InvalidOid;
}

/*
 * Open a table of schema medsync, which has the columns it must have: a lock
 * on it keeps them.
 */
Relation
medsync_open(const char *name, LOCKMODE lockmode)
{
	Oid			relid = medsync_relation_oid(name);
	Relation	heap;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist",
						MEDSYNC_SCHEMA, name),
				 errhint("Run CREATE EXTENSION medsync in this database.")));
	heap = table_open(relid, lockmode);
	check_shape(heap);
	return heap;
}

/*---- Reading ----*/

/*
 * Begin a scan that takes no predicate locks.
 *
 * The executor takes predicate locks for MVCC snapshots only, so the scan
 * itself runs under SnapshotAny and every tuple is then checked against the
 * wanted snapshot by scan_next.
 */
void
medsync_scan_begin(MedsyncScan *scan, Relation heap, const char *index,
				   Snapshot snapshot, int nkeys, ScanKey keys)
{
	memset(scan, 0, sizeof(*scan));
	scan->heap = heap;
	scan->snapshot = snapshot;
	scan->direction = ForwardScanDirection;
	scan->slot = table_slot_create(heap, NULL);
	if (index != NULL)
	{
		Oid			indexoid = get_relname_relid(index,
												 RelationGetNamespace(heap));

		if (!OidIsValid(indexoid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("index \"%s\" does not exist", index)));
		scan->index = index_open(indexoid, AccessShareLock);
		scan->index_scan = index_beginscan(heap, scan->index, SnapshotAny,
										   nkeys, 0);
		index_rescan(scan->index_scan, keys, nkeys, NULL, 0);
	}
	else
		scan->heap_scan = table_beginscan_strat(heap, SnapshotAny,
												nkeys, keys, true, false);
}

/* Is the slot's tuple visible to the scan's snapshot? */
static bool
scan_tuple_visible(MedsyncScan *scan)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) scan->slot;
	HeapTuple	tuple = slot->base.tuple;
	bool		visible;

	LockBuffer(slot->buffer, BUFFER_LOCK_SHARE);
	visible = HeapTupleSatisfiesVisibility(tuple, scan->snapshot,
										   slot->buffer);
	if (!visible && scan->own_changes &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
		visible = HeapTupleSatisfiesVisibility(tuple, SnapshotSelf,
											   slot->buffer);
	LockBuffer(slot->buffer, BUFFER_LOCK_UNLOCK);
	return visible;
}

/* Next visible tuple, in place; valid until the next call.  NULL at the end. */
HeapTuple
medsync_scan_next(MedsyncScan *scan)
{
	for (;;)
	{
		bool		found;

		if (scan->index_scan != NULL)
			found = index_getnext_slot(scan->index_scan, scan->direction,
									   scan->slot);
		else
			found = table_scan_getnextslot(scan->heap_scan, scan->direction,
										   scan->slot);
		if (!found)
			return NULL;
		if (scan_tuple_visible(scan))
			return ExecFetchSlotHeapTuple(scan->slot, false, NULL);
	}
}

void
medsync_scan_end(MedsyncScan *scan)
{
	if (scan->index_scan != NULL)
	{
		index_endscan(scan->index_scan);
		index_close(scan->index, AccessShareLock);
	}
	else
		table_endscan(scan->heap_scan);
	ExecDropSingleTupleTableSlot(scan->slot);
}

/* What is known of indexes, each at the place that its OID gives */
static struct
{
	Oid			index;			/* InvalidOid: nothing */
	bool		partial;
}			known_indexes[16];

/* Relation cache callback: forget what is known of a relation, or of all. */
static void
forget_relation(Datum arg, Oid relid)
{
	int			i;

	forget_checked(relid);
	for (i = 0; i < (int) lengthof(known_indexes); i++)
	{
		if (!OidIsValid(relid) || known_indexes[i].index == relid)
			known_indexes[i].index = InvalidOid;
	}
}

void
medsync_catalog_init(void)
{
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
}

/* May we leave this index alone, unopened, because it is known to be partial? */
static bool
known_to_be_partial(Oid index)
{
	int			place = index % lengthof(known_indexes);

	return known_indexes[place].index == index && known_indexes[place].partial;
}

/* Is an index partial?  Remembers it. */
static bool
index_is_partial(Relation index)
{
	Oid			oid = RelationGetRelid(index);
	int			place = oid % lengthof(known_indexes);

	if (known_indexes[place].index != oid)
	{
		known_indexes[place].index = oid;
		known_indexes[place].partial =
			!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
	}
	return known_indexes[place].partial;
}

/* Make a tuple's entry in one index. */
static void
insert_into_index(Relation heap, Relation index, HeapTuple tuple)
{
	bool		unique = index->rd_index->indisunique;
	IndexInfo  *info = makeNode(IndexInfo);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	int			i;

	for (i = 0; i < index->rd_index->indnatts; i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];

		if (attnum == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" on a table of medsync has an expression",
							RelationGetRelationName(index)),
					 errhint("Drop the index.")));
		values[i] = heap_getattr(tuple, attnum, RelationGetDescr(heap),
								 &isnull[i]);
	}
	index_insert(index, values, isnull, &tuple->t_self, heap,
				 unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
	pfree(info);
}

/* Insert a tuple and its index entries. */
static void
insert_quietly(Relation heap, HeapTuple tuple, int options,
			   bool in_partial_indexes)
{
	List	   *indexes = RelationGetIndexList(heap);
	ListCell   *cell;

	heap_insert(heap, tuple, GetCurrentCommandId(true), options, NULL);
	foreach(cell, indexes)
	{
		Relation	index;

		if (!in_partial_indexes && known_to_be_partial(lfirst_oid(cell)))
			continue;
		index = index_open(lfirst_oid(cell), RowExclusiveLock);
		if (!index_is_partial(index) || in_partial_indexes)
			insert_into_index(heap, index, tuple);
		index_close(index, RowExclusiveLock);
	}
	list_free(indexes);
}

/*
 * Insert a tuple and its index entries, without executor, triggers or
 * snapshot, so that it works in a PRE_COMMIT callback.  The indexes of our
 * tables are btrees over plain columns; a unique one is checked.  Where a
 * table has partial indexes they share one predicate, and the caller says
 * whether the tuple satisfies it.
 */
void
medsync_insert_quietly(Relation heap, HeapTuple tuple, bool in_partial_indexes)
{
	insert_quietly(heap, tuple, 0, in_partial_indexes);
}

/*
 * The same for a row that stays whatever becomes of the transaction: it is
 * frozen from the beginning, and everybody sees it at once.  It is as durable
 * as its WAL; the caller may flush that.  No partial indexes.
 */
void
medsync_insert_for_good(Relation heap, HeapTuple tuple)
{
	insert_quietly(heap, tuple, HEAP_INSERT_FROZEN, false);
}

/* Has the calling role, directly or not, the rights of the named role? */
bool
medsync_caller_is(const char *role)
{
	Oid			roleid = get_role_oid(role, true);

	return superuser() ||
		(OidIsValid(roleid) && has_privs_of_role(GetUserId(), roleid));
}

/*
 * Become the extension's owner (who owns its schema) for catalog work that the
 * caller was already found entitled to ask for.  The caller restores what is
 * returned with SetUserIdAndSecContext(); an error restores it as well.
 */
void
medsync_act_as_extension_owner(Oid *save_userid, int *save_sec_context)
{
	HeapTuple	tuple;
	Oid			owner;

	tuple = SearchSysCache1(NAMESPACEOID,
							ObjectIdGetDatum(medsync_schema_oid(false)));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %s", MEDSYNC_SCHEMA);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);

	GetUserIdAndSecContext(save_userid, save_sec_context);
	SetUserIdAndSecContext(owner,
						   *save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
}

/*
 * Become the owner of a table while its values are rendered: a type of the
 * owner's may bring functions of the owner's (a cast to json), and those
 * must run neither with the rights of whoever verifies nor with that one's
 * search_path.  An error undoes both with the (sub)transaction.
 */
void
medsync_act_as_table_owner(Relation rel, MedsyncIdentity *caller)
{
	GetUserIdAndSecContext(&caller->userid, &caller->sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner,
						   caller->sec_context | SECURITY_RESTRICTED_OPERATION);
	caller->guc_nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/* Be the caller again. */
void
medsync_act_as_caller(const MedsyncIdentity *caller)
{
	AtEOXact_GUC(false, caller->guc_nest_level);
	SetUserIdAndSecContext(caller->userid, caller->sec_context);
}

/* Run one utility command; the text is ours, with quoted identifiers. */
void
medsync_spi_execute(const char *command)
{
	int			result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(command, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/* A bytea of these bytes, palloc'd. */
bytea *
medsync_make_bytea(const void *data, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	if (len > 0)
		memcpy(VARDATA(result), data, len);
	return result;
}

/* Text of an id of 16 bytes, as that of a uuid; palloc'd. */
char *
medsync_id_text(const uint8 *id)
{
	pg_uuid_t	uuid;

	memcpy(uuid.data, id, UUID_LEN);
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum(&uuid)));
}
