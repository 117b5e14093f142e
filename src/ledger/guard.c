/*-------------------------------------------------------------------------
 *
 * guard.c
 *		Event triggers that refuse what would bypass the row triggers.
 *
 * The guards do not parse commands.  At ddl_command_start they note what
 * each tracked table looks like, at ddl_command_end they compare: a trigger
 * that stood must stand, a column must keep its type, and where rows are
 * signed its name, a new one must be nullable and without a default.  What
 * is allowed (a new name, a new column) becomes a new manifest.  sql_drop and table_rewrite see what only
 * the server knows.
 *
 * A table is guarded from the moment its number is open and its capture
 * trigger is enabled ALWAYS, so the guards are inert while a dump is being
 * restored, and let go after untrack().  They refuse superusers too; what is
 * done while they are disabled, verify finds.
 *
 * Tables of schema medsync that later rooms keep may not be altered at all,
 * but for what does not touch columns, triggers and names: those rooms read
 * and write by column number.
 *
 * Nothing is stored but manifests.  Locks: none beyond the command's own,
 * and the registration lock for a new partition.  The notes live in memory
 * until the command ends; after an error the next transaction drops them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/canonical.h"
#include "ledger/track.h"

/* What a tracked table looked like when a command began */
typedef struct GuardedTable
{
	Oid			relid;
	Oid			schema;
	MedsyncTable *table;
	bool		truncate_guard; /* its truncate trigger stood */
	bool		own;			/* a table that a later room keeps */
	bool		notify;			/* and the trigger that the script put there */
	TupleDesc	desc;
} GuardedTable;

/* The notes of one command; commands can nest */
typedef struct GuardNotes
{
	Node	   *command;
	List	   *tables;			/* of GuardedTable */
} GuardNotes;

static List *notes_stack = NIL; /* innermost first */
static MemoryContext notes_context = NULL;
static LocalTransactionId notes_lxid = InvalidLocalTransactionId;
static bool registering = false;	/* the commands are our own */

PG_FUNCTION_INFO_V1(medsync_guard_start);
PG_FUNCTION_INFO_V1(medsync_guard_end);
PG_FUNCTION_INFO_V1(medsync_guard_drop);
PG_FUNCTION_INFO_V1(medsync_guard_rewrite);

static EventTriggerData *
event_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("a guard can only be called as an event trigger")));
	return (EventTriggerData *) fcinfo->context;
}

static void
refuse(const char *table, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_TRACKED),
			 errmsg("cannot do this to table \"%s\" because it is tracked",
					table),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}

#define UNTRACK_HINT "Call medsync.untrack() first; what was recorded stays."

/* Do we hold a lock on the relation that keeps others from altering it? */
static bool
locked_by_us(Oid relid)
{
	LOCKTAG		tag;
	LOCKMODE	mode;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	for (mode = ShareUpdateExclusiveLock; mode <= AccessExclusiveLock; mode++)
		if (medsync_lock_held(&tag, mode))
			return true;
	return false;
}

/* A relation's columns as the catalog has them, without a lock on it. */
static TupleDesc
read_columns(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	TupleDesc	desc;
	int			natts;
	int			i;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	desc = CreateTemplateTupleDesc(natts);
	for (i = 0; i < natts; i++)
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
								Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(tuple))
			return NULL;
		memcpy(TupleDescAttr(desc, i), GETSTRUCT(tuple),
			   ATTRIBUTE_FIXED_PART_SIZE);
		ReleaseSysCache(tuple);
	}
	return desc;
}

/*
 * Every tracked table whose capture trigger stands, as it is now.  No lock
 * is taken on them: a command on one table must not wait for another's.
 */
static List *
guarded_tables(void)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, medsync_tables(SnapshotSelf, NULL))
	{
		MedsyncTable *table = lfirst(cell);
		Oid			relid = table->tracked ?
			medsync_table_relid(table) : InvalidOid;
		GuardedTable *guarded;
		TupleDesc	desc;

		if (!OidIsValid(relid) || !medsync_capture_stands(relid) ||
			(desc = read_columns(relid)) == NULL)
			continue;
		guarded = palloc0(sizeof(GuardedTable));
		guarded->relid = relid;
		guarded->schema = get_rel_namespace(relid);
		guarded->table = table;
		guarded->truncate_guard = medsync_truncate_stands(relid);
		guarded->own = medsync_track_is_own(table->schema_name,
											table->table_name);
		guarded->notify = guarded->own &&
			medsync_notify_stands(relid, table->table_name);
		guarded->desc = desc;
		result = lappend(result, guarded);
	}
	return result;
}

/* Refuse a change of types if a column of a tracked table is built of one. */
static void
check_column_type(const GuardedTable *guarded, Form_pg_attribute att,
				  List *types)
{
	MedsyncCodec *codec = medsync_codec_create(att->atttypid,
											   NameStr(att->attname),
											   CurrentMemoryContext);
	ListCell   *cell;

	foreach(cell, types)
		if (medsync_codec_uses_type(codec, lfirst_oid(cell)))
			refuse(guarded->table->table_name,
				   psprintf("Its column \"%s\" has values of type \"%s\".",
							NameStr(att->attname),
							format_type_be(lfirst_oid(cell))),
				   UNTRACK_HINT);
}

/* Refuse a change of types that a tracked column is built of. */
static void
check_types_unused(List *tables, List *types)
{
	ListCell   *cell;

	if (types == NIL)
		return;
	foreach(cell, tables)
	{
		GuardedTable *guarded = lfirst(cell);
		MedsyncManifest *manifest = NULL;
		int			i;

		for (i = 0; i < guarded->desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(guarded->desc, i);
			const MedsyncColumn *column = NULL;

			if (att->attisdropped || att->atttypid < FirstNormalObjectId)
				continue;
			if (manifest == NULL)
				manifest = medsync_manifest_load(guarded->table->number,
												 guarded->table->manifest_version);
			if (manifest != NULL)
				column = medsync_manifest_column(manifest,
												 NameStr(att->attname));
			/* what is not recorded may have a type that cannot be */
			if (column == NULL || !column->excluded)
				check_column_type(guarded, att, types);
		}
	}
}

static void
check_type_unused(List *tables, Oid type)
{
	if (OidIsValid(type))
		check_types_unused(tables, list_make1_oid(type));
}

/* The tables that were made of a composite type. */
static List *
typed_tables(Oid type)
{
	Relation	heap = table_open(RelationRelationId, AccessShareLock);
	List	   *result = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_reloftype, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(heap, InvalidOid, false, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
		result = lappend_oid(result, ((Form_pg_class) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(heap, AccessShareLock);
	return result;
}

/*
 * The row types that change when a column of a relation does: its own, those
 * of tables that inherit from it, and with a composite type those of its
 * tables.
 */
static List *
changing_row_types(Oid relid)
{
	List	   *relids;
	List	   *result = NIL;
	ListCell   *cell;

	if (!OidIsValid(relid))
		return NIL;
	relids = find_all_inheritors(relid, NoLock, NULL);
	if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		foreach(cell, typed_tables(get_rel_type_id(relid)))
			relids = list_concat_unique_oid(relids,
											find_all_inheritors(lfirst_oid(cell),
																NoLock, NULL));
	foreach(cell, relids)
	{
		Oid			type = get_rel_type_id(lfirst_oid(cell));

		if (OidIsValid(type))
			result = lappend_oid(result, type);
	}
	return result;
}

static GuardedTable *
find_guarded(List *tables, Oid relid)
{
	ListCell   *cell;

	foreach(cell, tables)
	{
		GuardedTable *guarded = lfirst(cell);

		if (guarded->relid == relid)
			return guarded;
	}
	return NULL;
}

/* A table that is tracked by itself cannot become a partition. */
static void
check_attach(List *tables, const PartitionCmd *cmd)
{
	Oid			relid = RangeVarGetRelid(cmd->name, NoLock, true);
	GuardedTable *guarded = find_guarded(tables, relid);

	if (guarded != NULL)
		refuse(guarded->table->table_name, "It would become a partition.",
			   "Call medsync.untrack() first; as a partition of a tracked table it is recorded again.");
}

/*
 * What ALTER TABLE may not even begin: to change the shape of a composite
 * type, or of a table's row type, that a tracked column uses; to detach a
 * partition, which CONCURRENTLY would commit before its end is seen.
 */
static void
check_alter_table(List *tables, const AlterTableStmt *stmt)
{
	bool		shape_changes = false;
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	GuardedTable *guarded = find_guarded(tables, relid);
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);

		if (cmd->subtype == AT_AddColumn || cmd->subtype == AT_DropColumn ||
			cmd->subtype == AT_AlterColumnType)
			shape_changes = true;
		if (cmd->subtype == AT_AttachPartition)
			check_attach(tables, (PartitionCmd *) cmd->def);
		if (guarded != NULL && cmd->subtype == AT_DetachPartition)
			refuse(guarded->table->table_name,
				   "A partition of it would be detached.", UNTRACK_HINT);
	}
	if (shape_changes)
		check_types_unused(tables, changing_row_types(relid));
}

/*
 * What a rename may not even begin: what history() shows of the past, and
 * what was signed, would read otherwise if attributes of a composite type
 * that a tracked column uses got other names.  A table's own columns are in
 * its manifests, see check_columns().
 */
static void
check_rename(List *tables, const RenameStmt *stmt)
{
	if (stmt->renameType == OBJECT_ATTRIBUTE ||
		stmt->renameType == OBJECT_COLUMN)
		check_types_unused(tables,
						   changing_row_types(RangeVarGetRelid(stmt->relation,
															   NoLock, true)));
	else if (stmt->renameType == OBJECT_SCHEMA &&
			 strcmp(stmt->subname, MEDSYNC_SCHEMA) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_TRACKED),
				 errmsg("cannot rename schema \"%s\" while tables are tracked",
						MEDSYNC_SCHEMA),
				 errdetail("The ledger finds its own tables by this name."),
				 errhint("Call medsync.untrack() for each table of view medsync.tracked first.")));
}

/* May ALTER TABLE do this to a table that a later room keeps? */
static bool
leaves_shape(AlterTableType subtype)
{
	switch (subtype)
	{
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplaceRelOptions:
		case AT_SetTableSpace:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_ReplicaIdentity:
		case AT_ChangeOwner:
			return true;
		default:
			return false;
	}
}

/* The table that a command would alter, rename, or put something on. */
static RangeVar *
altered_table(Node *command)
{
	ListCell   *cell;

	switch (nodeTag(command))
	{
		case T_AlterTableStmt:
			foreach(cell, ((AlterTableStmt *) command)->cmds)
				if (!leaves_shape(lfirst_node(AlterTableCmd, cell)->subtype))
					return ((AlterTableStmt *) command)->relation;
			return NULL;
		case T_RenameStmt:
			return ((RenameStmt *) command)->relation;
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) command)->relation;
		case T_CreateTrigStmt:
			return ((CreateTrigStmt *) command)->relation;
		case T_RuleStmt:
			return ((RuleStmt *) command)->relation;
		default:
			return NULL;
	}
}

/* Refuse to alter a table that a later room keeps. */
static void
check_own_tables(List *tables, Node *command)
{
	RangeVar   *name = altered_table(command);
	GuardedTable *guarded;

	if (name == NULL)
		return;
	guarded = find_guarded(tables, RangeVarGetRelid(name, NoLock, true));
	if (guarded != NULL && guarded->own)
		refuse(guarded->table->table_name,
			   "It is one of medsync's own tables: its columns, constraints, triggers and names must stay as they are.",
			   UNTRACK_HINT);
}

/* What must be refused before it happens. */
static void
check_command(List *tables, Node *command)
{
	if (tables == NIL)
		return;
	check_own_tables(tables, command);
	if (IsA(command, AlterEnumStmt) &&
		((AlterEnumStmt *) command)->oldVal != NULL)
	{
		TypeName   *name = makeTypeNameFromNameList(((AlterEnumStmt *) command)->typeName);

		check_type_unused(tables, LookupTypeNameOid(NULL, name, true));
	}
	else if (IsA(command, RenameStmt))
		check_rename(tables, (RenameStmt *) command);
	else if (IsA(command, DropStmt) &&
			 (((DropStmt *) command)->removeType == OBJECT_TYPE ||
			  ((DropStmt *) command)->removeType == OBJECT_DOMAIN))
	{
		ListCell   *cell;

		/* CASCADE would reach into composite types that columns use */
		foreach(cell, ((DropStmt *) command)->objects)
			check_type_unused(tables,
							  LookupTypeNameOid(NULL,
												lfirst_node(TypeName, cell),
												true));
	}
	else if (IsA(command, AlterTableStmt))
		check_alter_table(tables, (AlterTableStmt *) command);
	else if (IsA(command, DropStmt) &&
			 ((DropStmt *) command)->removeType == OBJECT_EXTENSION)
	{
		ListCell   *cell;

		foreach(cell, ((DropStmt *) command)->objects)
			if (strcmp(strVal(lfirst(cell)), "medsync") == 0)
				ereport(ERROR,
						(errcode(ERRCODE_MEDSYNC_TRACKED),
						 errmsg("cannot drop extension medsync while tables are tracked"),
						 errhint("Call medsync.untrack() for each table of view medsync.tracked first.")));
	}
	else if (IsA(command, AlterExtensionContentsStmt) &&
			 strcmp(((AlterExtensionContentsStmt *) command)->extname,
					"medsync") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_TRACKED),
				 errmsg("cannot change the members of extension medsync while tables are tracked"),
				 errhint("Call medsync.untrack() for each table of view medsync.tracked first.")));
}

/* Could this command alter a tracked table, its name or its triggers? */
static bool
command_matters(Node *command)
{
	switch (nodeTag(command))
	{
		case T_AlterTableStmt:
		case T_AlterTableMoveAllStmt:
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
		case T_CreateTrigStmt:
		case T_RuleStmt:
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_CreateSchemaStmt:
		case T_AlterEnumStmt:
		case T_DropStmt:
		case T_AlterExtensionContentsStmt:
			return true;
		default:
			return false;
	}
}

/* medsync._guard_start(): note what tracked tables look like. */
Datum
medsync_guard_start(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = event_data(fcinfo);
	MemoryContext oldcontext;
	GuardNotes *notes;

	if (registering || medsync_track_restoring() ||
		!command_matters(data->parsetree) ||
		!OidIsValid(medsync_relation_oid("_table")))
		PG_RETURN_NULL();
	if (notes_context == NULL)
		notes_context = AllocSetContextCreate(TopMemoryContext,
											  "medsync guard notes",
											  ALLOCSET_DEFAULT_SIZES);
	if (notes_lxid != MEDSYNC_LOCAL_XID)
	{
		MemoryContextReset(notes_context);
		notes_stack = NIL;
		notes_lxid = MEDSYNC_LOCAL_XID;
	}
	oldcontext = MemoryContextSwitchTo(notes_context);
	notes = palloc0(sizeof(GuardNotes));
	notes->command = data->parsetree;
	notes->tables = guarded_tables();
	notes_stack = lcons(notes, notes_stack);
	MemoryContextSwitchTo(oldcontext);
	check_command(notes->tables, data->parsetree);
	PG_RETURN_NULL();
}

/* The notes of a command; those of commands inside it that failed go. */
static GuardNotes *
pop_notes(Node *command)
{
	while (notes_lxid == MEDSYNC_LOCAL_XID && notes_stack != NIL)
	{
		GuardNotes *notes = linitial(notes_stack);

		notes_stack = list_delete_first(notes_stack);
		if (notes->command == command)
			return notes;
	}
	return NULL;
}

/* Compare the columns with what was noted; rename them in the manifest. */
static void
check_columns(const GuardedTable *before, Relation rel,
			  MedsyncManifest *manifest)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const char *table = before->table->table_name;
	List	   *renamed = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Form_pg_attribute old;

		if (i >= before->desc->natts)
		{
			if (att->atthasdef || att->atthasmissing || att->attidentity ||
				att->attgenerated)
				refuse(table,
					   psprintf("The new column \"%s\" would give rows values that nobody entered.",
								NameStr(att->attname)),
					   "Add a nullable column without default; set the default afterwards, and update the rows.");
			medsync_codec_create(att->atttypid, NameStr(att->attname),
								 CurrentMemoryContext);
			continue;
		}
		old = TupleDescAttr(before->desc, i);
		if (old->attisdropped)
			continue;
		if (att->attisdropped)
			refuse(table, psprintf("Its column \"%s\" would go.",
								   NameStr(old->attname)), UNTRACK_HINT);
		if (att->atttypid != old->atttypid)
			refuse(table, psprintf("The type of column \"%s\" would change.",
								   NameStr(old->attname)), UNTRACK_HINT);
		if (strcmp(NameStr(att->attname), NameStr(old->attname)) != 0)
		{
			MedsyncColumn *column = unconstify(MedsyncColumn *,
											   medsync_manifest_column(manifest, NameStr(old->attname)));

			if (manifest->signer != 0)
				refuse(table,
					   psprintf("Its rows must be signed, and would say something else if column \"%s\" got another name.",
								NameStr(old->attname)),
					   UNTRACK_HINT);
			/* set apart, so that two columns can swap their names */
			if (column != NULL)
				renamed = list_concat(renamed,
									  list_make2(column, NameStr(att->attname)));
		}
	}
	for (i = 0; i + 1 < list_length(renamed); i += 2)
		((MedsyncColumn *) list_nth(renamed, i))->name =
			pstrdup((char *) list_nth(renamed, i + 1));
}

/*
 * Where rows must be signed, the columns of the signature stay, and a key:
 * without one the same signed row could be entered twice.  Nor can another
 * table inherit, whose rows would be seen with them.
 */
static void
check_demand(const MedsyncManifest *manifest, Oid relid)
{
	if (manifest->signer == 0)
		return;
	if (!manifest->partitioned &&
		find_inheritance_children(relid, NoLock) != NIL)
		refuse(manifest->table_name,
			   "Its rows must be signed, and those of a table that inherits from it would not be.",
			   UNTRACK_HINT);
	if (medsync_manifest_demand_holds(manifest))
		return;
	refuse(manifest->table_name,
		   manifest->key_count == 0 ?
		   "Its rows must be signed, and it would have no primary key." :
		   "Its rows must be signed, and a column of their signatures would go, or be part of the primary key.",
		   UNTRACK_HINT);
}

/* Compare one tracked table with what was noted, and follow its changes. */
static void
check_table(const GuardedTable *before)
{
	Relation	rel = try_relation_open(before->relid, AccessShareLock);
	MedsyncTable *table = medsync_table_by_number(before->table->number);
	MedsyncManifest *manifest;
	char	   *content;

	if (rel == NULL || table == NULL || !table->tracked)
		return;					/* dropped: guard_drop has said what it thinks */
	if (!medsync_capture_stands(RelationGetRelid(rel)) ||
		(before->truncate_guard &&
		 !medsync_truncate_stands(RelationGetRelid(rel))) ||
		(before->notify &&
		 !medsync_notify_stands(RelationGetRelid(rel),
								before->table->table_name)))
		refuse(before->table->table_name,
			   "Its medsync triggers must stay as they are.", UNTRACK_HINT);
	/* another session may have altered it while we waited for the lock */
	manifest = medsync_manifest_load(table->number, table->manifest_version);
	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger's manifest of table \"%s\" is missing",
						before->table->table_name)));
	content = medsync_manifest_write(manifest);
	check_columns(before, rel, manifest);
	medsync_manifest_refresh(manifest, rel);
	check_demand(manifest, before->relid);
	if (strcmp(content, medsync_manifest_write(manifest)) != 0)
	{
		manifest->version++;
		medsync_manifest_store(manifest);
	}
	relation_close(rel, NoLock);
}

/* Enter partitions that a tracked table has got, and theirs. */
static void
register_new_partitions(Oid parent)
{
	ListCell   *cell;

	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(cell, find_inheritance_children(parent, AccessShareLock))
	{
		Relation	rel = relation_open(lfirst_oid(cell), AccessShareLock);
		bool		known = medsync_table_of(rel) != NULL;
		MedsyncTable *table;

		relation_close(rel, NoLock);
		if (known)
			continue;
		rel = relation_open(parent, NoLock);
		table = medsync_table_of(rel);
		relation_close(rel, NoLock);
		medsync_register_partition(lfirst_oid(cell),
								   medsync_manifest_load(table->number,
														 table->manifest_version));
		register_new_partitions(lfirst_oid(cell));
	}
}

/* Is every table of a schema affected by this command? */
static bool
schema_renamed(Node *command, Oid schema)
{
	return IsA(command, RenameStmt) &&
		((RenameStmt *) command)->renameType == OBJECT_SCHEMA &&
		get_namespace_oid(((RenameStmt *) command)->newname, true) == schema;
}

/* medsync._guard_end(): compare with what was noted. */
Datum
medsync_guard_end(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = event_data(fcinfo);
	GuardNotes *notes = registering || medsync_track_restoring() ? NULL :
	pop_notes(data->parsetree);
	ListCell   *cell;

	if (notes == NULL)
		PG_RETURN_NULL();
	foreach(cell, notes->tables)
	{
		GuardedTable *guarded = lfirst(cell);

		if (locked_by_us(guarded->relid) ||
			schema_renamed(data->parsetree, guarded->schema))
		{
			check_table(guarded);
			registering = true;
			PG_TRY();
			{
				register_new_partitions(guarded->relid);
			}
			PG_FINALLY();
			{
				registering = false;
			}
			PG_END_TRY();
		}
	}
	PG_RETURN_NULL();
}

/* medsync._guard_drop(): nothing of a tracked table may be dropped. */
Datum
medsync_guard_drop(PG_FUNCTION_ARGS)
{
	uint64		i;

	(void) event_data(fcinfo);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT address_names[1], address_names[2], object_type"
					" FROM pg_catalog.pg_event_trigger_dropped_objects()"
					" WHERE object_type OPERATOR(pg_catalog.=) 'table column'"
					" OR (object_type OPERATOR(pg_catalog.=) 'trigger'"
					" AND address_names[3] OPERATOR(pg_catalog.=)"
					" ANY (ARRAY['" MEDSYNC_CAPTURE_TRIGGER "', '"
					MEDSYNC_TRUNCATE_TRIGGER "']))",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read dropped objects");
	for (i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		char	   *schema = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1);
		char	   *table = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
		char	   *type = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 3);

		if (schema != NULL && table != NULL &&
			medsync_table_by_name(schema, table, true) != NULL)
			refuse(table,
				   strcmp(type, "trigger") == 0 ?
				   "The table, or its medsync trigger, would go." :
				   "A column of it would go.",
				   UNTRACK_HINT);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	PG_RETURN_NULL();
}

/* medsync._guard_rewrite(): no rewrite of a tracked table's values. */
Datum
medsync_guard_rewrite(PG_FUNCTION_ARGS)
{
	Relation	rel;
	Oid			relid;

	(void) event_data(fcinfo);
	relid = DatumGetObjectId(DirectFunctionCall1(pg_event_trigger_table_rewrite_oid,
												 (Datum) 0));
	rel = relation_open(relid, AccessShareLock);
	if (medsync_capture_stands(RelationGetRelid(rel)) &&
		medsync_table_of(rel) != NULL)
		refuse(RelationGetRelationName(rel),
			   "Its rows would be rewritten.", UNTRACK_HINT);
	relation_close(rel, NoLock);
	PG_RETURN_NULL();
}
