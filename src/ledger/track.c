/*-------------------------------------------------------------------------
 *
 * track.c
 *		medsync.track() and medsync.untrack().
 *
 * Tracking gives a table a number that no table ever had, stores its first
 * manifest, puts the triggers on it and records the rows it has.  The caller
 * must own the table and be a member of medsync_admin (or
 * medsync.owners_may_track is on); the catalog work is then done as the
 * extension's owner, since nobody else may execute the trigger functions.
 *
 * Later rooms have tables in schema medsync that are tracked like a user's:
 * medsync_track_own() does it at their first write.  pg_dump does not carry
 * the triggers of an extension's tables, so the first write after a restore
 * puts them back.
 *
 * Lock order: registration lock, then ShareRowExclusiveLock on the table and
 * its partitions, parents first, then, where an era is new, the seal lock;
 * all to the end of the transaction.  On
 * error nothing remains.  Not allowed on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/canonical.h"
#include "ledger/capture.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "ledger/track.h"
#include "vault/vault.h"

#define MAX_OWN_TABLES		32

static bool owners_may_track = false;

/* The tables that medsync_track_own() may be asked for */
static struct
{
	const char *name;
	const char *notify;			/* see track.h */
}			own_tables[MAX_OWN_TABLES];
static int	own_table_count = 0;

static bool restoring = false;	/* are we putting triggers back? */

PG_FUNCTION_INFO_V1(medsync_track);
PG_FUNCTION_INFO_V1(medsync_untrack);

void
medsync_track_init(void)
{
	DefineCustomBoolVariable("medsync.owners_may_track",
							 "Lets the owner of a table track it without being a member of medsync_admin.",
							 NULL,
							 &owners_may_track,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

/* Announce a table of schema medsync that is to be tracked; from _PG_init. */
void
medsync_track_allow(const char *table, const char *notify)
{
	if (own_table_count == MAX_OWN_TABLES)
		elog(ERROR, "too many tables of medsync are to be tracked");
	own_tables[own_table_count].name = table;
	own_tables[own_table_count++].notify = notify;
}

/* The tables that were announced, by number from 0 on; NULL: no more. */
const char *
medsync_track_own_name(int number)
{
	return number < own_table_count ? own_tables[number].name : NULL;
}

/* Was this table announced? */
bool
medsync_track_is_own(const char *schema_name, const char *table_name)
{
	int			i;

	if (strcmp(schema_name, MEDSYNC_SCHEMA) != 0)
		return false;
	for (i = 0; i < own_table_count; i++)
		if (strcmp(own_tables[i].name, table_name) == 0)
			return true;
	return false;
}

/* The function of the trigger that the script put on such a table, or NULL. */
const char *
medsync_notify_function(const char *table)
{
	int			i;

	for (i = 0; i < own_table_count; i++)
		if (strcmp(own_tables[i].name, table) == 0)
			return own_tables[i].notify;
	return NULL;
}

/* Are the commands that run now ours, which put triggers back? */
bool
medsync_track_restoring(void)
{
	return restoring;
}

/* May the caller enter this relation into the ledger, or take it out? */
static void
check_caller(Relation rel)
{
	if (!object_ownercheck(RelationRelationId, RelationGetRelid(rel),
						   GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	if (!owners_may_track && !medsync_caller_is(MEDSYNC_ADMIN))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to track table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("Only members of role \"%s\" may track tables.",
						   MEDSYNC_ADMIN),
				 errhint("A superuser can set medsync.owners_may_track.")));
}

/* Only a table or partitioned table of a user, with heap storage. */
static void
check_relation(Relation rel)
{
	const char *name = RelationGetRelationName(rel);
	char		relkind = rel->rd_rel->relkind;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot track relation \"%s\"", name),
				 errdetail_relkind_not_supported(relkind),
				 errhint("Only tables and partitioned tables can be tracked.")));
	if (IsCatalogRelation(rel) ||
		RelationGetRelid(rel) < FirstNormalObjectId)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot track system catalog \"%s\"", name),
				 errdetail("Catalogs are changed without firing triggers."),
				 errhint("Track the tables of your application.")));
	if (RelationGetNamespace(rel) == medsync_schema_oid(false))
	{
		bool		own = medsync_track_is_own(MEDSYNC_SCHEMA, name);

		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot track table \"%s.%s\"", MEDSYNC_SCHEMA, name),
				 own ? errdetail("The functions that write to it have it tracked.") :
				 errdetail("The ledger's own tables are bound by its blocks and keys; recording their rows in themselves would never end."),
				 errhint("medsync.verify() checks them.")));
	}
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track temporary table \"%s\"", name),
				 errdetail("Its rows do not outlive the session."),
				 errhint("Use an ordinary table.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track unlogged table \"%s\"", name),
				 errdetail("A crash empties it without a trace."),
				 errhint("Run ALTER TABLE ... SET LOGGED first.")));
	if (relkind == RELKIND_RELATION &&
		rel->rd_tableam != GetHeapamTableAmRoutine())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track table \"%s\"", name),
				 errdetail("Only tables of access method \"heap\" can be tracked.")));
}

/*
 * Does a trigger of ours stand on a relation, as we made it?  Read from
 * pg_trigger itself, not from the relation cache, which an edit of the
 * catalog leaves as it was.
 */
static bool
trigger_stands(Oid relid, const char *name, const char *function, int16 type)
{
	Relation	heap = table_open(TriggerRelationId, AccessShareLock);
	bool		stands = false;
	NameData	trigger_name;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	namestrcpy(&trigger_name, name);
	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber,
				F_NAMEEQ, NameGetDatum(&trigger_name));
	scan = systable_beginscan(heap, TriggerRelidNameIndexId, true, NULL, 2,
							  keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);

		stands = trigger->tgfoid == medsync_function_oid(function) &&
			trigger->tgtype == type &&
			trigger->tgenabled == TRIGGER_FIRES_ALWAYS &&
			trigger->tgattr.dim1 == 0 && !trigger->tgdeferrable &&
			heap_attisnull(tuple, Anum_pg_trigger_tgqual, NULL);
	}
	systable_endscan(scan);
	table_close(heap, AccessShareLock);
	return stands;
}

bool
medsync_capture_stands(Oid relid)
{
	return trigger_stands(relid, MEDSYNC_CAPTURE_TRIGGER, "_capture",
						  TRIGGER_TYPE_AFTER | TRIGGER_TYPE_ROW |
						  TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
						  TRIGGER_TYPE_DELETE);
}

bool
medsync_truncate_stands(Oid relid)
{
	return trigger_stands(relid, MEDSYNC_TRUNCATE_TRIGGER, "_truncate",
						  TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_STATEMENT |
						  TRIGGER_TYPE_TRUNCATE);
}

/* Does the trigger stand that the script put on such a table, if it did? */
bool
medsync_notify_stands(Oid relid, const char *table)
{
	const char *function = medsync_notify_function(table);

	return function == NULL ||
		trigger_stands(relid, psprintf("medsync%s", function), function,
					   TRIGGER_TYPE_AFTER | TRIGGER_TYPE_STATEMENT |
					   TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
					   TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE);
}

static char *
quoted_name(const MedsyncManifest *manifest)
{
	return quote_qualified_identifier(manifest->schema_name,
									  manifest->table_name);
}

/*
 * Put the capture trigger on a table; partitions get theirs from it.  Like
 * all DDL here it needs the relation to be closed (but locked).
 */
static void
create_capture_trigger(const MedsyncManifest *manifest)
{
	char	   *name = quoted_name(manifest);

	medsync_spi_execute(psprintf("CREATE TRIGGER " MEDSYNC_CAPTURE_TRIGGER
								 " AFTER INSERT OR UPDATE OR DELETE ON %s"
								 " FOR EACH ROW EXECUTE FUNCTION medsync._capture()",
								 name));
	medsync_spi_execute(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER "
								 MEDSYNC_CAPTURE_TRIGGER, name));
}

static void
create_truncate_trigger(const MedsyncManifest *manifest)
{
	char	   *name = quoted_name(manifest);

	medsync_spi_execute(psprintf("CREATE TRIGGER " MEDSYNC_TRUNCATE_TRIGGER
								 " BEFORE TRUNCATE ON %s"
								 " FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate()",
								 name));
	medsync_spi_execute(psprintf("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER "
								 MEDSYNC_TRUNCATE_TRIGGER, name));
}

/* The number of a column that the caller named, or an error. */
static int
require_column(const MedsyncManifest *manifest, const char *name)
{
	const MedsyncColumn *column = medsync_manifest_column(manifest, name);

	if (column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, manifest->table_name),
				 errhint("Columns are named as they are stored: lower case unless quoted.")));
	return column->number;
}

static void
exclude_column(MedsyncManifest *manifest, const char *name)
{
	int			number = require_column(manifest, name);
	int			i;

	if (number == manifest->subject ||
		medsync_manifest_is_key(manifest, number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot be excluded", name),
				 errdetail("It is the subject or a part of the primary key."),
				 errhint("Exclude other columns only.")));
	for (i = 0; i < manifest->column_count; i++)
		if (manifest->columns[i].number == number)
			manifest->columns[i].excluded = true;
}

/* Every column that is recorded must have a type that can be encoded. */
static void
check_types(const MedsyncManifest *manifest, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const MedsyncColumn *column;

		if (att->attisdropped)
			continue;
		column = medsync_manifest_column(manifest, NameStr(att->attname));
		if (!column->excluded)
			medsync_codec_create(att->atttypid, NameStr(att->attname),
								 CurrentMemoryContext);
	}
}

/* The first manifest of a relation, not stored yet and without a number. */
static MedsyncManifest *
first_manifest(Relation rel, const char *subject, bool full, List *exclude)
{
	MedsyncManifest *manifest = palloc0(sizeof(MedsyncManifest));
	ListCell   *cell;

	manifest->version = 1;
	manifest->schema_name = "";
	manifest->table_name = "";
	manifest->tracked = true;
	manifest->full = full;
	manifest->partitioned =
		rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	manifest->next_column = 1;
	manifest->columns = NULL;
	medsync_manifest_refresh(manifest, rel);
	if (subject != NULL)
		manifest->subject = require_column(manifest, subject);
	foreach(cell, exclude)
		exclude_column(manifest, lfirst(cell));
	check_types(manifest, rel);
	return manifest;
}

/*
 * Give a relation its number, its own key, its place in the ledger, and the
 * truncate trigger; the caller holds the registration lock.
 */
static void
register_relation(MedsyncManifest *manifest)
{
	uint8		number[4];

	manifest->table = medsync_table_next_number();
	medsync_wire_store_u32(number, manifest->table);
	(void) medsync_vault_subject_key(MEDSYNC_SUBJECT_TABLE, number,
									 sizeof(number));
	medsync_manifest_store(manifest);
	create_truncate_trigger(manifest);
}

/* What an unusual table type among the partitions would break. */
static void
check_partition(Relation rel, const char *parent)
{
	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track partitioned table \"%s\"", parent),
				 errdetail("Its partition \"%s\" is a foreign table.",
						   RelationGetRelationName(rel)),
				 errhint("Detach the foreign partition.")));
	check_relation(rel);
}

/*
 * Enter a new or attached partition of a tracked table, with the rows it
 * has.  Called by the guards while the relation is locked and closed; the
 * capture trigger came with the attachment.
 */
void
medsync_register_partition(Oid relid, const MedsyncManifest *parent)
{
	Relation	rel = relation_open(relid, NoLock);
	MedsyncManifest *manifest;
	bool		stands;
	List	   *exclude = NIL;
	char	   *subject = NULL;
	Oid			save_userid;
	int			save_sec_context;
	int			i;

	check_partition(rel, parent->table_name);
	for (i = 0; i < parent->column_count; i++)
	{
		if (parent->columns[i].excluded)
			exclude = lappend(exclude, parent->columns[i].name);
		if (parent->columns[i].number == parent->subject)
			subject = parent->columns[i].name;
	}
	manifest = first_manifest(rel, subject, parent->full, exclude);
	manifest->parent = parent->table;
	medsync_manifest_copy_demand(manifest, parent);
	stands = medsync_capture_stands(RelationGetRelid(rel));
	relation_close(rel, NoLock);

	medsync_ledger_lock(MEDSYNC_LOCK_REGISTER);
	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	register_relation(manifest);
	if (!stands)
		medsync_spi_execute(psprintf("ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER "
									 MEDSYNC_CAPTURE_TRIGGER,
									 quoted_name(manifest)));
	SetUserIdAndSecContext(save_userid, save_sec_context);
	if (!manifest->partitioned)
	{
		rel = relation_open(relid, NoLock);
		(void) medsync_capture_all_rows(rel, MEDSYNC_OP_BASELINE,
										"medsync: baseline of");
		relation_close(rel, NoLock);
	}
}

/* Enter a partitioned table's partitions, parents before children. */
static List *
register_partitions(Oid root, const char *root_name, const char *subject,
					bool full, List *exclude)
{
	List	   *leaves = NIL;
	List	   *relids = find_all_inheritors(root, ShareRowExclusiveLock, NULL);
	ListCell   *cell;

	foreach(cell, relids)
	{
		Relation	rel;
		Relation	parent;
		MedsyncManifest *manifest;

		if (lfirst_oid(cell) == root)
			continue;
		rel = relation_open(lfirst_oid(cell), NoLock);
		check_partition(rel, root_name);
		manifest = first_manifest(rel, subject, full, exclude);
		parent = relation_open(get_partition_parent(RelationGetRelid(rel),
													false), NoLock);
		manifest->parent = medsync_table_of(parent)->number;
		relation_close(parent, NoLock);
		relation_close(rel, NoLock);
		register_relation(manifest);
		if (!manifest->partitioned)
			leaves = lappend_oid(leaves, lfirst_oid(cell));
	}
	return leaves;
}

/* Elements of a name[] argument. */
static List *
name_list(ArrayType *array)
{
	List	   *result = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elements, &nulls, &count);
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("excluded column name must not be null")));
		result = lappend(result, pstrdup(NameStr(*DatumGetName(elements[i]))));
	}
	return result;
}

static bool
payload_is_full(const char *payload)
{
	if (strcmp(payload, "full") == 0)
		return true;
	if (strcmp(payload, "hash") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid payload \"%s\"", payload),
				 errhint("Use \"full\" to store encrypted row images, or \"hash\" for commitments only.")));
	return false;
}

static void
check_database_encoding(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot track tables in a database with encoding \"%s\"",
						GetDatabaseEncodingName()),
				 errdetail("The ledger's canonical form of text is UTF-8."),
				 errhint("Use a database with encoding UTF8.")));
}

/* Open a relation that the caller named by OID. */
static Relation
open_named(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = try_relation_open(relid, lockmode);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return rel;
}

/* Everything that can be refused without looking into the ledger. */
static Relation
open_for_track(Oid relid, LOCKMODE lockmode)
{
	Relation	rel = open_named(relid, lockmode);

	check_relation(rel);
	check_caller(rel);
	check_database_encoding();
	if (rel->rd_rel->relispartition)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot track partition \"%s\" alone",
						RelationGetRelationName(rel)),
				 errhint("Track the partitioned table \"%s\".",
						 get_rel_name(get_partition_parent(relid, false)))));
	return rel;
}

static void
require_argument(FunctionCallInfo fcinfo, int number, const char *name,
				 const char *hint)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errhint("%s", hint)));
}

/*
 * Track a relation with its partitions.  The caller has checked and locked
 * it, holds the registration lock, and has made its first manifest; the
 * relation is closed.
 */
static void
track_relation(Oid relid, MedsyncManifest *manifest, const char *subject,
			   List *exclude)
{
	Oid			save_userid;
	int			save_sec_context;
	List	   *leaves;
	ListCell   *cell;

	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	medsync_ledger_create();
	medsync_era_announce();
	register_relation(manifest);
	leaves = manifest->partitioned ?
		register_partitions(relid, manifest->table_name, subject,
							manifest->full, exclude) :
		list_make1_oid(relid);
	create_capture_trigger(manifest);
	SetUserIdAndSecContext(save_userid, save_sec_context);

	foreach(cell, leaves)
	{
		Relation	leaf = relation_open(lfirst_oid(cell), NoLock);

		if (!medsync_capture_stands(RelationGetRelid(leaf)))
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("the capture trigger of table \"%s\" is not in place",
							RelationGetRelationName(leaf))));
		(void) medsync_capture_all_rows(leaf, MEDSYNC_OP_BASELINE,
										"medsync: baseline of");
		relation_close(leaf, NoLock);
	}
}

/* medsync.track(): make a table a ledger. */
Datum
medsync_track(PG_FUNCTION_ARGS)
{
	char	   *subject = NULL;
	List	   *exclude = NIL;
	MedsyncManifest *manifest;
	Relation	rel;
	bool		full;

	require_argument(fcinfo, 0, "relation", "Name the table to track.");
	require_argument(fcinfo, 2, "payload", "Use \"full\" or \"hash\".");
	PreventCommandIfReadOnly("medsync.track()");
	PreventCommandIfParallelMode("medsync.track()");
	full = payload_is_full(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!PG_ARGISNULL(1))
		subject = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	if (!PG_ARGISNULL(3))
		exclude = name_list(PG_GETARG_ARRAYTYPE_P(3));

	/* refuse what is not the caller's before any lock that others wait for */
	relation_close(open_for_track(PG_GETARG_OID(0), AccessShareLock),
				   AccessShareLock);
	medsync_ledger_lock(MEDSYNC_LOCK_REGISTER);
	rel = open_for_track(PG_GETARG_OID(0), ShareRowExclusiveLock);
	if (medsync_table_of(rel) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table \"%s\" is tracked already",
						RelationGetRelationName(rel)),
				 errhint("View medsync.tracked shows how; to track it otherwise, call medsync.untrack() first.")));
	manifest = first_manifest(rel, subject, full, exclude);
	if (subject == NULL && full)
		ereport(WARNING,
				(errmsg("rows of table \"%s\" cannot be erased per person",
						RelationGetRelationName(rel)),
				 errdetail("Without a subject column all its row images are under one key."),
				 errhint("Name the column that holds the patient, or track it with payload => 'hash'.")));

	relation_close(rel, NoLock);
	track_relation(PG_GETARG_OID(0), manifest, subject, exclude);
	PG_RETURN_VOID();
}

/* Do both triggers of a tracked table stand? */
static bool
triggers_stand(Oid relid)
{
	return medsync_capture_stands(relid) && medsync_truncate_stands(relid);
}

/* Put the triggers of a restored table back; nobody writes to it meanwhile. */
static void
restore_triggers(Oid relid, const MedsyncTable *table)
{
	MedsyncManifest *manifest = medsync_manifest_load(table->number,
													  table->manifest_version);
	Oid			save_userid;
	int			save_sec_context;

	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger's manifest of table \"%s\" is missing",
						table->table_name)));
	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	restoring = true;
	PG_TRY();
	{
		if (!medsync_truncate_stands(relid))
			create_truncate_trigger(manifest);
		if (!medsync_capture_stands(relid))
			create_capture_trigger(manifest);
	}
	PG_FINALLY();
	{
		restoring = false;
	}
	PG_END_TRY();
	SetUserIdAndSecContext(save_userid, save_sec_context);
}

/* Is a table which a room announced tracked, and do its triggers stand? */
bool
medsync_track_own_stands(const char *table)
{
	Relation	rel = medsync_open(table, AccessShareLock);
	bool		stands = medsync_table_of(rel) != NULL &&
		triggers_stand(RelationGetRelid(rel));

	table_close(rel, AccessShareLock);
	return stands;
}

/*
 * See to it that a table which a room announced is tracked, with this column
 * as its subject, before that room writes to it for a caller of its own.
 */
void
medsync_track_own(const char *table, const char *subject)
{
	MedsyncTable *known;
	MedsyncManifest *manifest;
	Relation	rel;
	Oid			relid;

	Assert(medsync_track_is_own(MEDSYNC_SCHEMA, table));
	rel = medsync_open(table, AccessShareLock);
	relid = RelationGetRelid(rel);
	known = medsync_table_of(rel);
	table_close(rel, AccessShareLock);
	if (known != NULL && triggers_stand(relid))
		return;

	check_database_encoding();
	medsync_ledger_lock(MEDSYNC_LOCK_REGISTER);
	rel = medsync_open(table, ShareRowExclusiveLock);
	known = medsync_table_of(rel);
	manifest = known ? NULL : first_manifest(rel, subject, true, NIL);
	relation_close(rel, NoLock);
	if (known == NULL)
		track_relation(relid, manifest, subject, NIL);
	else if (!triggers_stand(relid))
		restore_triggers(relid, known);
}

/* Close a table number, and those of its partitions; returns the relations. */
static void
close_numbers(uint32 number, List **relids)
{
	ListCell   *cell;

	foreach(cell, medsync_tables(SnapshotSelf, NULL))
	{
		MedsyncTable *table = lfirst(cell);
		MedsyncManifest *manifest;
		Oid			relid;

		if (!table->tracked)
			continue;
		manifest = medsync_manifest_load(table->number,
										 table->manifest_version);
		if (manifest == NULL ||
			(table->number != number && manifest->parent != number))
			continue;
		if (table->number != number)
		{
			close_numbers(table->number, relids);
			continue;
		}
		relid = medsync_table_relid(table);
		if (OidIsValid(relid))
			*relids = lappend_oid(*relids, relid);
		manifest->version++;
		manifest->tracked = false;
		medsync_manifest_store(manifest);
	}
}

/* Open a tracked table that is the caller's, who may track tables. */
Relation
medsync_track_open(Oid relid, LOCKMODE lockmode, MedsyncTable **table)
{
	Relation	rel = open_named(relid, lockmode);

	check_caller(rel);
	*table = medsync_table_of(rel);
	if (*table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
				 errmsg("table \"%s\" is not tracked",
						RelationGetRelationName(rel)),
				 errhint("View medsync.tracked lists the tables that are.")));
	return rel;
}

/* medsync.untrack(): stop recording; what was recorded stays. */
Datum
medsync_untrack(PG_FUNCTION_ARGS)
{
	List	   *relids = NIL;
	MedsyncTable *table;
	MedsyncManifest *manifest;
	Relation	rel;
	Oid			save_userid;
	int			save_sec_context;
	ListCell   *cell;

	PreventCommandIfReadOnly("medsync.untrack()");
	PreventCommandIfParallelMode("medsync.untrack()");
	relation_close(medsync_track_open(PG_GETARG_OID(0), AccessShareLock, &table),
				   AccessShareLock);
	medsync_ledger_lock(MEDSYNC_LOCK_REGISTER);
	rel = medsync_track_open(PG_GETARG_OID(0), AccessExclusiveLock, &table);
	CheckTableNotInUse(rel, "untrack");
	manifest = medsync_manifest_load(table->number, table->manifest_version);
	if (manifest != NULL && manifest->parent != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot untrack partition \"%s\" alone",
						RelationGetRelationName(rel)),
				 errhint("Untrack the partitioned table it belongs to.")));

	relation_close(rel, NoLock);

	/* the guards let go of a table once its number is closed */
	close_numbers(table->number, &relids);
	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	foreach(cell, relids)
	{
		Oid			relid = lfirst_oid(cell);
		char	   *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													  get_rel_name(relid));

		medsync_spi_execute(psprintf("DROP TRIGGER IF EXISTS "
									 MEDSYNC_TRUNCATE_TRIGGER " ON %s", name));
		if (relid == PG_GETARG_OID(0))
			medsync_spi_execute(psprintf("DROP TRIGGER IF EXISTS "
										 MEDSYNC_CAPTURE_TRIGGER " ON %s",
										 name));
	}
	SetUserIdAndSecContext(save_userid, save_sec_context);
	PG_RETURN_VOID();
}
