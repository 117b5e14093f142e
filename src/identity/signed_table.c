/*-------------------------------------------------------------------------
 *
 * signed_table.c
 *		medsync.require_signature(), medsync.signing_bytes() and
 *		medsync.signatures(): tables whose rows must be signed.
 *
 * What a table demands is a part of its manifest, and so of the ledger; it is
 * stored by require_signature() as a new version, for the table and all of
 * its partitions.  The other two only read.
 *
 * Locks of require_signature(): the registration lock, then
 * ShareRowExclusiveLock on the table and its partitions, parents first, to
 * the end of the transaction.  On error nothing remains.  Not allowed on a
 * standby, where the other two work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "identity/signature.h"
#include "ledger/capture.h"
#include "ledger/history.h"
#include "ledger/ledger.h"
#include "ledger/row.h"
#include "ledger/track.h"

/* Columns of signatures() */
enum
{
	SIGNATURE_ENTRY_INDEX,
	SIGNATURE_BLOCK,
	SIGNATURE_AT,
	SIGNATURE_ROW_KEY,
	SIGNATURE_SIGNER,
	SIGNATURE_AUTHOR,
	SIGNATURE_ENTERED_BY,
	SIGNATURE_ON_BEHALF_OF,
	SIGNATURE_HELD,
	SIGNATURE_VALID,
	SIGNATURE_COLUMNS
};

/* The columns of a signature, as the caller named them */
typedef struct DemandNames
{
	const char *signer;
	const char *signature;
	const char *on_behalf_of;	/* NULL: none */
} DemandNames;

/* How rows of one type are turned into what is signed */
typedef struct SigningPlan
{
	MemoryContext context;		/* everything here lives in it */
	Oid			relid;
	uint32		table;
	uint32		version;
	bool		named;			/* the caller named the columns */
	MedsyncManifest *manifest;
	MedsyncManifest *root;
	MedsyncPlan *plan;
	uint8		ledger_id[MEDSYNC_ID_SIZE];
} SigningPlan;

/* One call of signatures() */
typedef struct SignatureList
{
	ReturnSetInfo *result;
	HTAB	   *keys;			/* of MedsyncPersonKey */
	uint8		ledger_id[MEDSYNC_ID_SIZE];
} SignatureList;

PG_FUNCTION_INFO_V1(medsync_require_signature);
PG_FUNCTION_INFO_V1(medsync_signing_bytes);
PG_FUNCTION_INFO_V1(medsync_signatures);


/*
 * The columns of a signature
 */

/* The number of a column that the caller named for one of them. */
static int
demanded_column(const MedsyncManifest *manifest, Relation rel,
				const char *name, Oid type)
{
	const MedsyncColumn *column = medsync_manifest_column(manifest, name);
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), name);

	if (column == NULL || attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						name, RelationGetRelationName(rel)),
				 errhint("Columns are named as they are stored: lower case unless quoted.")));
	if (column->excluded)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is excluded from the ledger", name),
				 errdetail("What says who signed a row must be recorded.")));
	if (getBaseType(get_atttype(RelationGetRelid(rel), attnum)) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" must be of type %s", name,
						format_type_be(type)),
				 errdetail("A signer and a person are named by their ids; a signature is a byte string.")));
	return column->number;
}

/* Put the columns that the caller named into a manifest. */
static void
set_demand(MedsyncManifest *manifest, Relation rel, const DemandNames *names)
{
	manifest->signer = demanded_column(manifest, rel, names->signer, UUIDOID);
	manifest->signature = demanded_column(manifest, rel, names->signature,
										  BYTEAOID);
	manifest->on_behalf_of = names->on_behalf_of == NULL ? 0 :
		demanded_column(manifest, rel, names->on_behalf_of, UUIDOID);
	if (manifest->on_behalf_of == manifest->signer)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" cannot name both the signer's key and a person",
						names->signer)));
	if (manifest->key_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key",
						RelationGetRelationName(rel)),
				 errdetail("Without one the same signed row could be entered again and again.")));
	if (medsync_manifest_is_key(manifest, manifest->signature))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" is part of the primary key",
						names->signature),
				 errdetail("A signature cannot be over itself, and the key must be signed.")));
}


/*
 * medsync.require_signature()
 */

static void
require_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* Is it a table for which signatures can be demanded? */
static void
check_table(Relation rel, const MedsyncTable *table,
			const MedsyncManifest *manifest)
{
	const char *name = RelationGetRelationName(rel);

	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger's manifest of table \"%s\" is missing",
						name)));
	if (strcmp(table->schema_name, MEDSYNC_SCHEMA) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot demand signatures for table \"%s.%s\"",
						MEDSYNC_SCHEMA, name),
				 errdetail("Its rows are written by functions.")));
	if (manifest->parent != 0)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot demand signatures for partition \"%s\" alone",
						name),
				 errhint("Name the partitioned table it belongs to.")));
	if (!manifest->partitioned &&
		find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot demand signatures for table \"%s\", from which others inherit",
						name),
				 errdetail("Rows of the others would be seen with it, and need not be signed.")));
	if (manifest->signer != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("rows of table \"%s\" must be signed already", name),
				 errhint("View medsync.tracked shows how; to demand it otherwise, call medsync.untrack() and medsync.track() first.")));
}

/* Demand signatures for one relation, which is the table or a partition. */
static bool
demand_for(Oid relid, const DemandNames *names)
{
	Relation	rel = relation_open(relid, NoLock);
	MedsyncTable *table = medsync_table_of(rel);
	MedsyncManifest *manifest;
	bool		partitioned;

	CheckTableNotInUse(rel, "require_signature");
	manifest = table ? medsync_manifest_load(table->number,
											 table->manifest_version) : NULL;
	if (manifest == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("partition \"%s\" is not in the ledger",
						RelationGetRelationName(rel)),
				 errhint("Run medsync.verify() to see what was changed.")));
	partitioned = manifest->partitioned;
	set_demand(manifest, rel, names);
	manifest->version++;
	medsync_manifest_store(manifest);
	/* every session must read the manifest again before it writes */
	CacheInvalidateRelcache(rel);
	relation_close(rel, NoLock);
	return !partitioned;
}

/* All rows must be signed when the demand begins. */
static void
check_rows(List *leaves, const char *name)
{
	uint64		count = 0;
	ListCell   *cell;

	CommandCounterIncrement();
	foreach(cell, leaves)
	{
		Relation	leaf = relation_open(lfirst_oid(cell), NoLock);

		count += medsync_capture_count_unsigned(leaf);
		relation_close(leaf, NoLock);
	}
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_SIGNATURE_INVALID),
				 errmsg_plural("" UINT64_FORMAT " row of table \"%s\" is not validly signed",
							   "" UINT64_FORMAT " rows of table \"%s\" are not validly signed",
							   (unsigned long) Min(count, PG_INT32_MAX),
							   count, name),
				 errhint("Sign every row that is there, or begin with an empty table.")));
}

/* medsync.require_signature(): every row must be signed from now on. */
Datum
medsync_require_signature(PG_FUNCTION_ARGS)
{
	List	   *leaves = NIL;
	List	   *relids;
	DemandNames names = {0};
	char	   *table_name;
	MedsyncTable *table;
	Relation	rel;
	ListCell   *cell;

	require_argument(fcinfo, 0, "relation");
	require_argument(fcinfo, 1, "signer");
	require_argument(fcinfo, 2, "signature");
	PreventCommandIfReadOnly("medsync.require_signature()");
	PreventCommandIfParallelMode("medsync.require_signature()");
	names.signer = NameStr(*PG_GETARG_NAME(1));
	names.signature = NameStr(*PG_GETARG_NAME(2));
	if (!PG_ARGISNULL(3))
		names.on_behalf_of = NameStr(*PG_GETARG_NAME(3));

	/* refuse what is not the caller's before any lock that others wait for */
	relation_close(medsync_track_open(PG_GETARG_OID(0), AccessShareLock,
									  &table), AccessShareLock);
	medsync_ledger_lock(MEDSYNC_LOCK_REGISTER);
	rel = medsync_track_open(PG_GETARG_OID(0), ShareRowExclusiveLock, &table);
	check_table(rel, table, medsync_manifest_load(table->number,
												  table->manifest_version));
	table_name = pstrdup(RelationGetRelationName(rel));
	relids = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(PG_GETARG_OID(0), ShareRowExclusiveLock, NULL) :
		list_make1_oid(PG_GETARG_OID(0));
	relation_close(rel, NoLock);
	foreach(cell, relids)
		if (demand_for(lfirst_oid(cell), &names))
			leaves = lappend_oid(leaves, lfirst_oid(cell));
	check_rows(leaves, table_name);
	PG_RETURN_VOID();
}


/*
 * medsync.signing_bytes()
 */

/* The table whose row type the first argument has. */
static Oid
argument_table(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = OidIsValid(type) ?
		get_typ_typrelid(getBaseType(type)) : InvalidOid;
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the first argument must have the row type of a table"),
				 errhint("Cast it: medsync.signing_bytes(ROW(...)::schema.table).")));
	return relid;
}

/* The table number of a relation, or an error. */
static MedsyncTable *
tracked_table(Relation rel)
{
	MedsyncTable *table = medsync_table_of(rel);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
				 errmsg("table \"%s\" is not tracked",
						RelationGetRelationName(rel)),
				 errhint("Call medsync.track() first: what is signed contains the table's number in the ledger.")));
	return table;
}

/* Which columns are meant: those that are named, else those of the demand. */
static void
choose_columns(FunctionCallInfo fcinfo, SigningPlan *signing, Relation rel)
{
	DemandNames names = {0};

	if (PG_ARGISNULL(1) != PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("signer and signature must be named together")));
	if (!PG_ARGISNULL(1))
	{
		names.signer = NameStr(*PG_GETARG_NAME(1));
		names.signature = NameStr(*PG_GETARG_NAME(2));
		set_demand(signing->manifest, rel, &names);
		signing->named = true;
	}
	else if (signing->manifest->signer == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" need not be signed",
						RelationGetRelationName(rel)),
				 errhint("Name the columns of signer and signature, or call medsync.require_signature().")));
}

static SigningPlan *
make_signing_plan(FunctionCallInfo fcinfo, Relation rel,
				  const MedsyncTable *table)
{
	MemoryContext context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
												  "medsync signing bytes",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	SigningPlan *signing = palloc0(sizeof(SigningPlan));
	TimestampTz created_at;

	signing->context = context;
	signing->relid = RelationGetRelid(rel);
	signing->table = table->number;
	signing->version = table->manifest_version;
	signing->manifest = medsync_manifest_load(table->number,
											  table->manifest_version);
	if (signing->manifest == NULL ||
		!medsync_ledger_read(signing->ledger_id, &created_at))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger's manifest of table \"%s\" is missing",
						RelationGetRelationName(rel))));
	choose_columns(fcinfo, signing, rel);
	signing->root = medsync_manifest_root(signing->manifest);
	signing->plan = medsync_plan_build(rel, signing->manifest, context);
	if (signing->plan->problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("table \"%s\" was altered past the ledger's guards",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", signing->plan->problem)));
	MemoryContextSwitchTo(oldcontext);
	return signing;
}

/*
 * The plan for the rows of this call, kept while the query runs.  The names
 * of columns may differ from call to call: then nothing is kept.
 */
static SigningPlan *
signing_plan(FunctionCallInfo fcinfo, Relation rel)
{
	MedsyncTable *table = tracked_table(rel);
	SigningPlan *kept = fcinfo->flinfo->fn_extra;

	if (kept != NULL && !kept->named && PG_ARGISNULL(1) && PG_ARGISNULL(2) &&
		kept->relid == RelationGetRelid(rel) &&
		kept->table == table->number &&
		kept->version == table->manifest_version)
		return kept;
	if (kept != NULL)
		MemoryContextDelete(kept->context);
	fcinfo->flinfo->fn_extra = NULL;
	kept = make_signing_plan(fcinfo, rel, table);
	fcinfo->flinfo->fn_extra = kept;
	return kept;
}

/* The canonical row of a value of the table's row type. */
static void
encode_value(const SigningPlan *signing, Relation rel, HeapTupleHeader header,
			 MedsyncSink *sink)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	HeapTupleData tuple;

	if (HeapTupleHeaderGetTypeId(header) != rel->rd_rel->reltype)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the row is not of table \"%s\"",
						RelationGetRelationName(rel))));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, isnull);
	initStringInfo(&sink->buf);
	sink->hash = NULL;
	medsync_row_encode(sink, signing->plan, values, isnull);
}

/* medsync.signing_bytes(): what a row's signature must be over. */
Datum
medsync_signing_bytes(PG_FUNCTION_ARGS)
{
	static const uint8 nobody[MEDSYNC_ID_SIZE] = {0};
	MedsyncRowSignature signature;
	SigningPlan *signing;
	StringInfoData message;
	MedsyncSink sink;
	Relation	rel;

	rel = relation_open(argument_table(fcinfo), AccessShareLock);
	signing = signing_plan(fcinfo, rel);
	if (PG_ARGISNULL(0))
	{
		relation_close(rel, AccessShareLock);
		PG_RETURN_NULL();
	}
	encode_value(signing, rel, PG_GETARG_HEAPTUPLEHEADER(0), &sink);
	relation_close(rel, AccessShareLock);
	initStringInfo(&message);
	if (!medsync_signing_message(&message, signing->ledger_id,
								 signing->manifest, signing->root,
								 sink.buf.data, sink.buf.len, &signature))
		elog(ERROR, "could not read a canonical row");
	if (memcmp(signature.signer, nobody, MEDSYNC_ID_SIZE) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the row names no signer"),
				 errhint("Set column \"%s\" to the id of the key that is to sign.",
						 medsync_manifest_column_number(signing->manifest,
														signing->manifest->signer)->name)));
	PG_RETURN_BYTEA_P(medsync_make_bytea(message.data, message.len));
}


/*
 * medsync.signatures()
 */

static Datum
uuid_datum(const uint8 *id)
{
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	memcpy(uuid->data, id, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

static void
put_value(Datum *values, bool *isnull, int column, Datum value)
{
	values[column] = value;
	isnull[column] = false;
}

/* A uuid that stands in what held. */
static bool
held_uuid(Jsonb *held, const char *name, Datum *uuid)
{
	JsonbValue	value;

	if (held == NULL || !JB_ROOT_IS_OBJECT(held) ||
		getKeyJsonValueFromContainer(&held->root, name, strlen(name),
									 &value) == NULL ||
		value.type != jbvString)
		return false;
	*uuid = DirectFunctionCall1(uuid_in,
								CStringGetDatum(pnstrdup(value.val.string.val,
														 value.val.string.len)));
	return true;
}

/*
 * Does an entry's signature hold?  True or false; -1: the row is not at hand.
 */
static int
signature_holds(SignatureList *list, const MedsyncSignedEntry *item,
				MedsyncRowSignature *signature, bool *read)
{
	uint8		digest[MEDSYNC_HASH_SIZE];
	StringInfoData message;

	*read = false;
	if (item->row != NULL && item->manifest->signer != 0)
	{
		initStringInfo(&message);
		*read = medsync_signing_message(&message, list->ledger_id,
										item->manifest,
										medsync_manifest_root(item->manifest),
										item->row, item->row_len, signature) &&
			signature->complete;
		if (!*read)
			return false;
		medsync_sha256(signature->signature, signature->signature_len, digest);
		if (memcmp(item->entry->signer, signature->signer,
				   MEDSYNC_ID_SIZE) != 0 ||
			memcmp(item->entry->signature_digest, digest,
				   MEDSYNC_HASH_SIZE) != 0 ||
			medsync_signature_judge_row(list->keys, signature, message.data,
										message.len) != NULL)
			return false;
	}
	if (medsync_signature_judge_entry(list->keys, item->entry) != NULL)
		return false;
	return *read ? true : -1;
}

/* Who: the author, who entered the row, and for whom. */
static void
put_people(SignatureList *list, const MedsyncSignedEntry *item, Jsonb *held,
		   const MedsyncRowSignature *signature, Datum *values, bool *isnull)
{
	const MedsyncEntry *entry = item->entry;
	const MedsyncPersonKey *key = medsync_person_keys_find(list->keys, entry->signer);
	Datum		uuid;

	if (held_uuid(held, "person", &uuid))
		put_value(values, isnull, SIGNATURE_AUTHOR, uuid);
	else if (key != NULL)
		put_value(values, isnull, SIGNATURE_AUTHOR, uuid_datum(key->person));
	if (entry->fields & MEDSYNC_HAS_PERSON)
		put_value(values, isnull, SIGNATURE_ENTERED_BY,
				  uuid_datum(entry->person));
	if (held_uuid(held, "on_behalf_of", &uuid))
		put_value(values, isnull, SIGNATURE_ON_BEHALF_OF, uuid);
	else if (signature != NULL && signature->has_on_behalf_of)
		put_value(values, isnull, SIGNATURE_ON_BEHALF_OF,
				  uuid_datum(signature->on_behalf_of));
}

/* Called for every entry that names a signature. */
static void
put_signature(void *arg, const MedsyncSignedEntry *item)
{
	SignatureList *list = arg;
	const MedsyncEntry *entry = item->entry;
	MedsyncRowSignature signature;
	Jsonb	   *held = NULL;
	Datum		values[SIGNATURE_COLUMNS];
	bool		isnull[SIGNATURE_COLUMNS];
	bool		read;
	int			valid;

	memset(isnull, true, sizeof(isnull));
	valid = signature_holds(list, item, &signature, &read);
	if (entry->fields & MEDSYNC_HAS_DETAIL)
	{
		held = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
												  CStringGetDatum(pnstrdup((const char *) entry->detail,
																		   entry->detail_len))));
		put_value(values, isnull, SIGNATURE_HELD, JsonbPGetDatum(held));
	}
	if (item->index >= 0)
	{
		put_value(values, isnull, SIGNATURE_ENTRY_INDEX,
				  Int64GetDatum(item->index));
		put_value(values, isnull, SIGNATURE_BLOCK, Int64GetDatum(item->block));
	}
	put_value(values, isnull, SIGNATURE_AT, TimestampTzGetDatum(item->at));
	if (item->row_key != NULL)
		put_value(values, isnull, SIGNATURE_ROW_KEY,
				  JsonbPGetDatum(item->row_key));
	put_value(values, isnull, SIGNATURE_SIGNER, uuid_datum(entry->signer));
	put_people(list, item, held, read ? &signature : NULL, values, isnull);
	if (valid >= 0)
		put_value(values, isnull, SIGNATURE_VALID, BoolGetDatum(valid));
	tuplestore_putvalues(list->result->setResult, list->result->setDesc,
						 values, isnull);
}

/* medsync.signatures() */
Datum
medsync_signatures(PG_FUNCTION_ARGS)
{
	SignatureList list;
	MemoryContext context;
	MemoryContext oldcontext;
	TimestampTz created_at;

	require_argument(fcinfo, 0, "relation");
	InitMaterializedSRF(fcinfo, 0);
	list.result = (ReturnSetInfo *) fcinfo->resultinfo;
	context = AllocSetContextCreate(CurrentMemoryContext,
									"medsync signatures",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	memset(list.ledger_id, 0, sizeof(list.ledger_id));
	(void) medsync_ledger_read(list.ledger_id, &created_at);
	list.keys = medsync_person_keys_load(context);
	medsync_history_signed(PG_GETARG_OID(0),
						   PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1),
						   put_signature, &list);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return (Datum) 0;
}
