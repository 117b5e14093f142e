/*-------------------------------------------------------------------------
 *
 * store.c
 *		Rows of the records' tables: reading and writing.
 *
 * _record has a row for each record and is never updated: it is what
 * concurrent changes of one record lock.  _record_head has another, which each
 * change updates: its newest state.  _record_version has a row for each
 * version of its content, _record_wrap one for each holder of a version,
 * _record_chunk the encrypted content, record_event what was done.
 *
 * Lock order: the row of _record (as SELECT ... FOR UPDATE), then, all under
 * it, versions, holders and chunks of that record.  Whoever changes two
 * records in one transaction may meet somebody who does so in the other order,
 * like any updates of two rows.  Readers lock nothing.
 *
 * Reading is by the snapshot that the caller took, without predicate locks
 * and past the rights of the caller, who was found entitled.  A malformed row
 * is told ("intact") and not an error, since a superuser may have changed it;
 * a table with other columns is one (medsync_open).  Writing runs statements
 * as the extension's owner, so that capture records them.  Rows that were read
 * under the record's lock are changed by their place, by the latest snapshot,
 * whatever the isolation level: so a statement looks at no index, and two
 * SERIALIZABLE transactions, about one record or two that are neighbours in
 * an index, do not depend on each other.  Chunks are not tracked and are
 * written without the executor.
 *
 * Errors and crashes: rows go the way of their transaction.  On a standby
 * reading works.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "common/wire.h"
#include "compat.h"
#include "ledger/capture.h"
#include "records/records.h"

/* attributes of _record */
enum
{
	Anum_record_record = 1,
	Anum_record_patient,
	Anum_record_author,
	Anum_record_created_at
};

/* attributes of _record_head */
enum
{
	Anum_head_record = 1,
	Anum_head_version,
	Anum_head_patient,
	Anum_head_revision,
	Anum_head_signature
};

/* attributes of _record_version */
enum
{
	Anum_version_record = 1,
	Anum_version_version,
	Anum_version_patient,
	Anum_version_media_type,
	Anum_version_length,
	Anum_version_chunks,
	Anum_version_key_id,
	Anum_version_digest,
	Anum_version_server_wrap,
	Anum_version_author,
	Anum_version_created_at,
	Anum_version_signature
};

/* attributes of _record_wrap */
enum
{
	Anum_wrap_record = 1,
	Anum_wrap_version,
	Anum_wrap_person,
	Anum_wrap_patient,
	Anum_wrap_key,
	Anum_wrap_algorithm,
	Anum_wrap_wrapped,
	Anum_wrap_granted_at,
	Anum_wrap_granted_by
};

/* attributes of _record_chunk */
enum
{
	Anum_chunk_record = 1,
	Anum_chunk_version,
	Anum_chunk_chunk,
	Anum_chunk_body,
	Natts_chunk = 4
};

/* The columns of the room's tables */
const MedsyncShape medsync_record_shapes[] = {
	{"_record", false, 4, {UUIDOID, TEXTOID, UUIDOID, TIMESTAMPTZOID}},
	{"_record_version", false, 12, {UUIDOID, INT4OID, TEXTOID, TEXTOID, INT8OID,
	INT4OID, BYTEAOID, BYTEAOID, BYTEAOID, UUIDOID, TIMESTAMPTZOID, BYTEAOID}},
	{"_record_wrap", false, 9, {UUIDOID, INT4OID, UUIDOID, TEXTOID, UUIDOID,
	INT2OID, BYTEAOID, TIMESTAMPTZOID, UUIDOID}},
	{"_record_chunk", false, Natts_chunk, {UUIDOID, INT4OID, INT4OID, BYTEAOID}},
	{"record_event", false, 10, {UUIDOID, TIMESTAMPTZOID, TEXTOID, UUIDOID,
	INT4OID, TEXTOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID}},
	{"_record_head", false, 5, {UUIDOID, INT4OID, TEXTOID, INT8OID, BYTEAOID}},
	{"_pending_event", false, 9, {UUIDOID, TIMESTAMPTZOID, UUIDOID, INT4OID,
	TEXTOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID}},
	{NULL}
};

/* What is written by statements */
typedef enum StatementKind
{
	INSERT_RECORD,
	INSERT_HEAD,
	UPDATE_HEAD,
	INSERT_VERSION,
	UPDATE_VERSION,
	VOID_VERSION,
	INSERT_HOLDER,
	UPDATE_HOLDER,
	DELETE_HOLDER,
	INSERT_EVENT
} StatementKind;

#define STATEMENT_ARGUMENTS_MAX	12

typedef struct Statement
{
	const char *text;
	int			count;
	Oid			types[STATEMENT_ARGUMENTS_MAX];
	SPIPlanPtr	plan;			/* kept for the session */
} Statement;

#define AT_PLACE \
	" WHERE ctid OPERATOR(pg_catalog.=) $1"

static Statement statements[] = {
	[INSERT_RECORD] = {
		"INSERT INTO medsync._record (record, patient, author, created_at)"
		" VALUES ($1, $2, $3, $4)",
		4, {UUIDOID, TEXTOID, UUIDOID, TIMESTAMPTZOID}
	},
	[INSERT_HEAD] = {
		"INSERT INTO medsync._record_head (record, version, patient, revision,"
		" signature) VALUES ($1, $2, $3, $4, $5)",
		5, {UUIDOID, INT4OID, TEXTOID, INT8OID, BYTEAOID}
	},
	[UPDATE_HEAD] = {
		"UPDATE medsync._record_head SET version = $2, revision = $3,"
		" signature = $4" AT_PLACE,
		4, {TIDOID, INT4OID, INT8OID, BYTEAOID}
	},
	[INSERT_VERSION] = {
		"INSERT INTO medsync._record_version (record, version, patient,"
		" media_type, length, chunks, key_id, digest, server_wrap, author,"
		" created_at, signature)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		12, {UUIDOID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT4OID, BYTEAOID,
		BYTEAOID, BYTEAOID, UUIDOID, TIMESTAMPTZOID, BYTEAOID}
	},
	[UPDATE_VERSION] = {
		"UPDATE medsync._record_version SET key_id = $2, digest = $3,"
		" server_wrap = $4, signature = $5" AT_PLACE,
		5, {TIDOID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID}
	},
	[VOID_VERSION] = {
		"UPDATE medsync._record_version SET signature = $2" AT_PLACE,
		2, {TIDOID, BYTEAOID}
	},
	[INSERT_HOLDER] = {
		"INSERT INTO medsync._record_wrap (record, version, person, patient,"
		" key, algorithm, wrapped, granted_at, granted_by)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		9, {UUIDOID, INT4OID, UUIDOID, TEXTOID, UUIDOID, INT2OID, BYTEAOID,
		TIMESTAMPTZOID, UUIDOID}
	},
	[UPDATE_HOLDER] = {
		"UPDATE medsync._record_wrap SET key = $2, algorithm = $3,"
		" wrapped = $4" AT_PLACE,
		4, {TIDOID, UUIDOID, INT2OID, BYTEAOID}
	},
	[DELETE_HOLDER] = {
		"DELETE FROM medsync._record_wrap" AT_PLACE,
		1, {TIDOID}
	},
	[INSERT_EVENT] = {
		"INSERT INTO medsync.record_event (id, at, patient, record, version,"
		" event, person, recipient, role, reason)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		10, {UUIDOID, TIMESTAMPTZOID, TEXTOID, UUIDOID, INT4OID, TEXTOID,
		UUIDOID, UUIDOID, TEXTOID, TEXTOID}
	}
};

/*---- Reading columns ----*/

/* A column that must be of the given type and not null. */
static bool
get_column(Relation heap, HeapTuple tuple, int attnum, Oid type, Datum *value)
{
	TupleDesc	desc = RelationGetDescr(heap);
	bool		isnull;

	if (attnum > desc->natts ||
		TupleDescAttr(desc, attnum - 1)->attisdropped ||
		TupleDescAttr(desc, attnum - 1)->atttypid != type)
		return false;
	*value = heap_getattr(tuple, attnum, desc, &isnull);
	return !isnull;
}

static bool
get_uuid(Relation heap, HeapTuple tuple, int attnum, uint8 *id)
{
	Datum		value;

	if (!get_column(heap, tuple, attnum, UUIDOID, &value))
		return false;
	memcpy(id, DatumGetUUIDP(value)->data, UUID_LEN);
	return true;
}

/* A bytea of at most "room" bytes; its length, or -1. */
static int
get_short_bytes(Relation heap, HeapTuple tuple, int attnum, uint8 *dst,
				int room)
{
	Datum		value;
	bytea	   *bytes;
	int			len;

	if (!get_column(heap, tuple, attnum, BYTEAOID, &value))
		return -1;
	bytes = DatumGetByteaPP(value);
	len = VARSIZE_ANY_EXHDR(bytes);
	if (len > room)
		return -1;
	memcpy(dst, VARDATA_ANY(bytes), len);
	return len;
}

static bool
get_bytes(Relation heap, HeapTuple tuple, int attnum, uint8 *dst, int len)
{
	return get_short_bytes(heap, tuple, attnum, dst, len) == len;
}

/* A text of at most "max" bytes, palloc'd, or NULL. */
static char *
get_text(Relation heap, HeapTuple tuple, int attnum, size_t max)
{
	Datum		value;
	text	   *found;

	if (!get_column(heap, tuple, attnum, TEXTOID, &value) ||
		toast_raw_datum_size(value) > max + VARHDRSZ)
		return NULL;
	found = DatumGetTextPP(value);
	return text_to_cstring(found);
}

static bool
get_time(Relation heap, HeapTuple tuple, int attnum, TimestampTz *time)
{
	Datum		value;

	if (!get_column(heap, tuple, attnum, TIMESTAMPTZOID, &value))
		return false;
	*time = DatumGetTimestampTz(value);
	return true;
}

static bool
get_int32(Relation heap, HeapTuple tuple, int attnum, int32 *number)
{
	Datum		value;

	if (!get_column(heap, tuple, attnum, INT4OID, &value))
		return false;
	*number = DatumGetInt32(value);
	return true;
}

/* Is a column the text of the record's patient? */
static bool
is_patient(Relation heap, HeapTuple tuple, int attnum, const char *patient)
{
	char	   *found = get_text(heap, tuple, attnum,
								 MEDSYNC_RECORD_PATIENT_MAX);

	return found != NULL && patient != NULL && strcmp(found, patient) == 0;
}

static void
key_by_id(ScanKey key, AttrNumber attnum, const uint8 *id)
{
	ScanKeyInit(key, attnum, BTEqualStrategyNumber, F_UUID_EQ, medsync_id_value(id));
}

static void
key_by_number(ScanKey key, AttrNumber attnum, int32 number)
{
	ScanKeyInit(key, attnum, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(number));
}

/*---- Records ----*/

static MedsyncRecord *
read_record(Relation heap, HeapTuple tuple)
{
	MedsyncRecord *record = palloc0(sizeof(MedsyncRecord));

	record->tid = tuple->t_self;
	record->patient = get_text(heap, tuple, Anum_record_patient,
							   MEDSYNC_RECORD_PATIENT_MAX);
	record->intact = record->patient != NULL &&
		get_uuid(heap, tuple, Anum_record_record, record->id) &&
		get_uuid(heap, tuple, Anum_record_author, record->author) &&
		get_time(heap, tuple, Anum_record_created_at, &record->created_at);
	return record;
}

/* A record's row, or NULL. */
MedsyncRecord *
medsync_record_find(const uint8 *id, Snapshot snapshot)
{
	Relation	heap = medsync_open("_record", AccessShareLock);
	MedsyncRecord *record = NULL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_by_id(&key, Anum_record_record, id);
	medsync_scan_begin(&scan, heap, "_record_pkey", snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		record = read_record(heap, tuple);
		memcpy(record->id, id, MEDSYNC_ID_SIZE);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return record;
}

/*
 * Keep others from changing a record until our transaction ends.  Its row is
 * never updated, so that the one that was found is the one to lock.
 */
void
medsync_record_lock(const MedsyncRecord *record)
{
	Relation	heap = medsync_open("_record", RowShareLock);
	TupleTableSlot *slot = table_slot_create(heap, NULL);
	ItemPointerData tid = record->tid;
	TM_FailureData failure;
	TM_Result	result;

	result = table_tuple_lock(heap, &tid, SnapshotAny, slot,
							  GetCurrentCommandId(false), LockTupleExclusive,
							  LockWaitBlock, 0, &failure);
	ExecDropSingleTupleTableSlot(slot);
	table_close(heap, NoLock);
	if (result != TM_Ok)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the record was changed meanwhile"),
				 errhint("Run the transaction again."),
				 hide_statement()));
}

/* Ids of the records of a patient, or of those that a person holds; either may be NULL. */
List *
medsync_record_ids(const char *patient, const uint8 *holder,
				   Snapshot snapshot)
{
	Relation	heap = medsync_open(holder ? "_record_wrap" : "_record",
									AccessShareLock);
	List	   *ids = NIL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (holder != NULL)
		key_by_id(&key, Anum_wrap_person, holder);
	else
		ScanKeyInit(&key, Anum_record_patient, BTEqualStrategyNumber,
					F_TEXTEQ, CStringGetTextDatum(patient));
	medsync_scan_begin(&scan, heap, holder ? "_record_wrap_person_idx" :
					   "_record_patient_idx", snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		uint8	   *id = palloc(MEDSYNC_ID_SIZE);

		CHECK_FOR_INTERRUPTS();
		if (get_uuid(heap, tuple, Anum_record_record, id))
			ids = lappend(ids, id);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return ids;
}

/*---- Versions and holders ----*/

/* Read a holder's row; false if it is malformed. */
static bool
read_holder(Relation heap, HeapTuple tuple, const MedsyncRecord *record,
			MedsyncHolder *holder)
{
	TupleDesc	desc = RelationGetDescr(heap);
	Datum		algorithm;

	if (!is_patient(heap, tuple, Anum_wrap_patient, record->patient) ||
		!get_column(heap, tuple, Anum_wrap_algorithm, INT2OID, &algorithm) ||
		!get_time(heap, tuple, Anum_wrap_granted_at, &holder->granted_at) ||
		!get_uuid(heap, tuple, Anum_wrap_granted_by, holder->granted_by))
		return false;
	if (DatumGetInt16(algorithm) == MEDSYNC_ALGORITHM_NONE)
		return heap_attisnull(tuple, Anum_wrap_key, desc) &&
			heap_attisnull(tuple, Anum_wrap_wrapped, desc);
	holder->algorithm = DatumGetInt16(algorithm);
	holder->wrapped_len = get_short_bytes(heap, tuple, Anum_wrap_wrapped,
										  holder->wrapped, MEDSYNC_WRAP_MAX);
	return medsync_algorithm_wraps(holder->algorithm) &&
		get_uuid(heap, tuple, Anum_wrap_key, holder->key) &&
		holder->wrapped_len >= 0;
}

/*
 * The holders of a version, by ascending person.  A holder with a malformed
 * row is one all the same, and will be told that the version is not intact.
 */
static void
read_holders(const MedsyncRecord *record, MedsyncRecordVersion *version,
			 Snapshot snapshot)
{
	Relation	heap = medsync_open("_record_wrap", AccessShareLock);
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	key_by_id(&keys[0], Anum_wrap_record, record->id);
	key_by_number(&keys[1], Anum_wrap_version, version->number);
	medsync_scan_begin(&scan, heap, "_record_wrap_pkey", snapshot, 2, keys);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncHolder *holder = palloc0(sizeof(MedsyncHolder));

		holder->tid = tuple->t_self;
		if (!get_uuid(heap, tuple, Anum_wrap_person, holder->person) ||
			!read_holder(heap, tuple, record, holder) ||
			list_length(version->holders) == MEDSYNC_RECORD_HOLDERS_MAX)
			version->intact = false;
		if (list_length(version->holders) < MEDSYNC_RECORD_HOLDERS_MAX)
			version->holders = lappend(version->holders, holder);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

/*
 * Where all rows are by which a person holds a record, of whichever versions:
 * ItemPointers.
 */
List *
medsync_holder_places(const MedsyncRecord *record, const uint8 *person,
					  Snapshot snapshot)
{
	Relation	heap = medsync_open("_record_wrap", AccessShareLock);
	List	   *places = NIL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_by_id(&key, Anum_wrap_record, record->id);
	medsync_scan_begin(&scan, heap, "_record_wrap_pkey", snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		uint8		holder[MEDSYNC_ID_SIZE];

		CHECK_FOR_INTERRUPTS();
		if (get_uuid(heap, tuple, Anum_wrap_person, holder) &&
			memcmp(holder, person, MEDSYNC_ID_SIZE) == 0)
		{
			ItemPointer place = palloc(sizeof(ItemPointerData));

			*place = tuple->t_self;
			places = lappend(places, place);
		}
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return places;
}

static MedsyncRecordVersion *
read_version(Relation heap, HeapTuple tuple, const MedsyncRecord *record,
			 Snapshot snapshot)
{
	MedsyncRecordVersion *version = palloc0(sizeof(MedsyncRecordVersion));
	Datum		length;

	version->tid = tuple->t_self;
	version->xmin = HeapTupleHeaderGetXmin(tuple->t_data);
	version->media_type = get_text(heap, tuple, Anum_version_media_type,
								   MEDSYNC_RECORD_MEDIA_TYPE_MAX);
	version->intact =
		get_int32(heap, tuple, Anum_version_version, &version->number) &&
		is_patient(heap, tuple, Anum_version_patient, record->patient) &&
		version->media_type != NULL &&
		get_column(heap, tuple, Anum_version_length, INT8OID, &length) &&
		get_int32(heap, tuple, Anum_version_chunks, &version->chunks) &&
		get_bytes(heap, tuple, Anum_version_key_id, version->key_id,
				  sizeof(version->key_id)) &&
		get_bytes(heap, tuple, Anum_version_digest, version->digest,
				  sizeof(version->digest)) &&
		get_bytes(heap, tuple, Anum_version_server_wrap, version->server_wrap,
				  sizeof(version->server_wrap)) &&
		get_uuid(heap, tuple, Anum_version_author, version->author) &&
		get_time(heap, tuple, Anum_version_created_at,
				 &version->created_at) &&
		get_bytes(heap, tuple, Anum_version_signature, version->signature,
				  sizeof(version->signature));
	if (version->intact)
	{
		version->length = DatumGetInt64(length);
		version->intact = record->intact &&
			version->length >= 0 && version->length <= MEDSYNC_CONTENT_MAX &&
			version->chunks == medsync_record_chunk_count(version->length);
	}
	read_holders(record, version, snapshot);
	return version;
}

/* Versions of a record from a number on, or only the newest. */
static List *
scan_versions(const MedsyncRecord *record, int32 number, bool newest,
			  Snapshot snapshot)
{
	Relation	heap = medsync_open("_record_version", AccessShareLock);
	List	   *versions = NIL;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	key_by_id(&keys[0], Anum_version_record, record->id);
	key_by_number(&keys[1], Anum_version_version, number);
	medsync_scan_begin(&scan, heap, "_record_version_pkey", snapshot,
					   number > 0 ? 2 : 1, keys);
	if (newest)
		scan.direction = BackwardScanDirection;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		versions = lappend(versions,
						   read_version(heap, tuple, record, snapshot));
		if (newest)
			break;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return versions;
}

/* The version of a number, or all of them by ascending number (0). */
List *
medsync_record_versions(const MedsyncRecord *record, int32 number,
						Snapshot snapshot)
{
	return scan_versions(record, number, false, snapshot);
}

/* The newest version, or NULL. */
MedsyncRecordVersion *
medsync_record_newest(const MedsyncRecord *record, Snapshot snapshot)
{
	List	   *versions = scan_versions(record, 0, true, snapshot);

	return versions ? linitial(versions) : NULL;
}

/*---- Heads ----*/

/* A record's head, or NULL. */
MedsyncRecordHead *
medsync_head_find(const MedsyncRecord *record, Snapshot snapshot)
{
	Relation	heap = medsync_open("_record_head", AccessShareLock);
	MedsyncRecordHead *head = NULL;
	Datum		revision;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_by_id(&key, Anum_head_record, record->id);
	medsync_scan_begin(&scan, heap, "_record_head_pkey", snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		head = palloc0(sizeof(MedsyncRecordHead));
		head->tid = tuple->t_self;
		head->xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		head->intact =
			is_patient(heap, tuple, Anum_head_patient, record->patient) &&
			get_int32(heap, tuple, Anum_head_version, &head->version) &&
			get_column(heap, tuple, Anum_head_revision, INT8OID, &revision) &&
			get_bytes(heap, tuple, Anum_head_signature, head->signature,
					  sizeof(head->signature));
		if (head->intact)
			head->revision = DatumGetInt64(revision);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return head;
}

/*
 * Which versions there are, and the vault's signature of each, as a digest;
 * the number of the newest one, or 0.
 */
int32
medsync_versions_digest(const MedsyncRecord *record, Snapshot snapshot,
						uint8 *digest)
{
	Relation	heap = medsync_open("_record_version", AccessShareLock);
	int32		newest = 0;
	MedsyncSha256 sha;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	medsync_sha256_start(&sha);
	key_by_id(&key, Anum_version_record, record->id);
	medsync_scan_begin(&scan, heap, "_record_version_pkey", snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		uint8		item[4 + MEDSYNC_ED25519_SIGNATURE_SIZE] = {0};

		CHECK_FOR_INTERRUPTS();
		if (get_int32(heap, tuple, Anum_version_version, &newest) &&
			get_bytes(heap, tuple, Anum_version_signature, item + 4,
					  MEDSYNC_ED25519_SIGNATURE_SIZE))
			medsync_wire_store_u32(item, (uint32) newest);
		medsync_sha256_update(&sha, item, sizeof(item));
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	medsync_sha256_finish(&sha, digest);
	return newest;
}

/* ---- subjects that rows of a record name ---- */

static List *
add_subjects(List *subjects, const char *table, const char *index,
			 int attnum, const uint8 *id, Snapshot snapshot)
{
	Relation	heap = medsync_open(table, AccessShareLock);
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_by_id(&key, 1, id);
	medsync_scan_begin(&scan, heap, index, snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		char	   *subject = get_text(heap, tuple, attnum,
									   MEDSYNC_RECORD_PATIENT_MAX);
		bool		known = subject == NULL;
		ListCell   *cell;

		foreach(cell, subjects)
			known |= strcmp(lfirst(cell), subject) == 0;
		if (!known)
			subjects = lappend(subjects, subject);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return subjects;
}

/*
 * Whose record it is.  More than one only where rows were tampered with; the
 * row of _record comes first.
 */
List *
medsync_record_subjects(const uint8 *id, Snapshot snapshot)
{
	List	   *subjects = NIL;

	subjects = add_subjects(subjects, "_record", "_record_pkey",
							Anum_record_patient, id, snapshot);
	return add_subjects(subjects, "_record_version", "_record_version_pkey",
						Anum_version_patient, id, snapshot);
}

/*---- Chunks ----*/

/* Tell one row to the callback; a malformed one has number -1. */
static bool
tell_chunk(Relation heap, HeapTuple tuple, MedsyncChunkCallback callback,
		   void *arg)
{
	MedsyncStoredChunk chunk;
	Datum		value;
	bytea	   *body = NULL;

	chunk.tid = tuple->t_self;
	chunk.len = 0;
	chunk.body = NULL;
	if (!get_int32(heap, tuple, Anum_chunk_chunk, &chunk.number) ||
		!get_column(heap, tuple, Anum_chunk_body, BYTEAOID, &value) ||
		toast_raw_datum_size(value) >
		VARHDRSZ + MEDSYNC_RECORD_CHUNK + MEDSYNC_TAG_SIZE)
		chunk.number = -1;
	else
	{
		body = DatumGetByteaPP(value);
		chunk.body = (const uint8 *) VARDATA_ANY(body);
		chunk.len = VARSIZE_ANY_EXHDR(body);
	}
	return callback(arg, &chunk);
}

/*
 * Walk the chunks of a version in the order of their numbers, one in memory
 * at a time.  False if the callback ended it.
 */
bool
medsync_chunks_walk(const MedsyncRecord *record, int32 version,
					Snapshot snapshot, MedsyncChunkCallback callback,
					void *arg)
{
	Relation	heap = medsync_open("_record_chunk", AccessShareLock);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync record chunk",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext;
	bool		going = true;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	key_by_id(&keys[0], Anum_chunk_record, record->id);
	key_by_number(&keys[1], Anum_chunk_version, version);
	medsync_scan_begin(&scan, heap, "_record_chunk_pkey", snapshot, 2, keys);
	while (going && (tuple = medsync_scan_next(&scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		oldcontext = MemoryContextSwitchTo(context);
		going = tell_chunk(heap, tuple, callback, arg);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(context);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	MemoryContextDelete(context);
	return going;
}

/* Store a chunk. */
void
medsync_chunk_insert(const MedsyncRecord *record, int32 version, int32 chunk,
					 bytea *body)
{
	Relation	heap = medsync_open("_record_chunk", RowExclusiveLock);
	bool		isnull[Natts_chunk] = {0};
	Datum		values[Natts_chunk];
	HeapTuple	tuple;

	values[Anum_chunk_record - 1] = medsync_id_value(record->id);
	values[Anum_chunk_version - 1] = Int32GetDatum(version);
	values[Anum_chunk_chunk - 1] = Int32GetDatum(chunk);
	values[Anum_chunk_body - 1] = PointerGetDatum(body);
	tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
	medsync_insert_quietly(heap, tuple, false);
	heap_freetuple(tuple);
	table_close(heap, NoLock);
}

/* Delete a chunk of a record that we have locked. */
void
medsync_chunk_delete(const ItemPointerData *tid)
{
	Relation	heap = medsync_open("_record_chunk", RowExclusiveLock);
	ItemPointerData place = *tid;

	simple_heap_delete(heap, &place);
	table_close(heap, NoLock);
}

/*---- Statements ----*/

/*
 * Have statements that name a row's place go there, also where the planner
 * finds it cheaper to read all of a small table, which takes a predicate lock
 * on all of it.
 */
static void
plan_for_places(void)
{
	(void) set_config_option("enable_tidscan", "on", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Run a statement, which must touch one row, as the extension's owner; one
 * that changes a row (at_place) does so by the latest snapshot.
 */
static void
execute(StatementKind kind, Datum *values, const char *nulls, bool at_place)
{
	Statement  *statement = &statements[kind];
	MedsyncOwnWrite write;
	Oid			save_userid;
	int			save_sec_context;
	int			guc_nest_level = NewGUCNestLevel();
	volatile int result;

	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->text, statement->count,
									   statement->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}
	if (at_place)
		plan_for_places();
	medsync_own_write_begin(&write);
	PG_TRY();
	{
		result = SPI_execute_snapshot(statement->plan, values, nulls,
									  at_place ? GetLatestSnapshot() : InvalidSnapshot,
									  InvalidSnapshot, false, true, 0);
	}
	PG_FINALLY();
	{
		medsync_own_write_end(&write);
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s",
			 SPI_result_code_string(result));
	if (SPI_processed != 1 || write.rows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("a row of a record could not be written"),
				 errdetail("Something interferes with a table of medsync: a rule, a trigger or a policy."),
				 hide_statement()));
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(true, guc_nest_level);
	SetUserIdAndSecContext(save_userid, save_sec_context);
}

/* The row that a statement changes. */
static Datum
place_value(const ItemPointerData *place)
{
	return PointerGetDatum(unconstify(ItemPointerData *, place));
}

static Datum
bytes_value(const uint8 *bytes, size_t len)
{
	return PointerGetDatum(medsync_make_bytea(bytes, len));
}

/* Write the first head of a record. */
void
medsync_head_insert(const MedsyncRecord *record, const MedsyncRecordHead *head)
{
	Datum		values[5];

	values[0] = medsync_id_value(record->id);
	values[1] = Int32GetDatum(head->version);
	values[2] = CStringGetTextDatum(record->patient);
	values[3] = Int64GetDatum(head->revision);
	values[4] = bytes_value(head->signature, sizeof(head->signature));
	execute(INSERT_HEAD, values, NULL, false);
}

/* Write another in the place of one that was read. */
void
medsync_head_update(const MedsyncRecordHead *head)
{
	Datum		values[4];

	values[0] = place_value(&head->tid);
	values[1] = Int32GetDatum(head->version);
	values[2] = Int64GetDatum(head->revision);
	values[3] = bytes_value(head->signature, sizeof(head->signature));
	execute(UPDATE_HEAD, values, NULL, true);
}

void
medsync_record_insert(const MedsyncRecord *record)
{
	Datum		values[4];

	values[0] = medsync_id_value(record->id);
	values[1] = CStringGetTextDatum(record->patient);
	values[2] = medsync_id_value(record->author);
	values[3] = TimestampTzGetDatum(record->created_at);
	execute(INSERT_RECORD, values, NULL, false);
}

void
medsync_version_insert(const MedsyncRecord *record,
					   const MedsyncRecordVersion *version)
{
	Datum		values[12];

	values[0] = medsync_id_value(record->id);
	values[1] = Int32GetDatum(version->number);
	values[2] = CStringGetTextDatum(record->patient);
	values[3] = CStringGetTextDatum(version->media_type);
	values[4] = Int64GetDatum(version->length);
	values[5] = Int32GetDatum(version->chunks);
	values[6] = bytes_value(version->key_id, sizeof(version->key_id));
	values[7] = bytes_value(version->digest, sizeof(version->digest));
	values[8] = bytes_value(version->server_wrap,
							sizeof(version->server_wrap));
	values[9] = medsync_id_value(version->author);
	values[10] = TimestampTzGetDatum(version->created_at);
	values[11] = bytes_value(version->signature, sizeof(version->signature));
	execute(INSERT_VERSION, values, NULL, false);
}

/* Another key, digest, wrap and signature; or the same and another signature. */
void
medsync_version_update(const MedsyncRecordVersion *version)
{
	Datum		values[5];

	values[0] = place_value(&version->tid);
	values[1] = bytes_value(version->key_id, sizeof(version->key_id));
	values[2] = bytes_value(version->digest, sizeof(version->digest));
	values[3] = bytes_value(version->server_wrap,
							sizeof(version->server_wrap));
	values[4] = bytes_value(version->signature, sizeof(version->signature));
	execute(UPDATE_VERSION, values, NULL, true);
}

/* Take a version's signature away: 64 zero bytes, which never hold. */
void
medsync_version_void(const MedsyncRecordVersion *version)
{
	uint8		none[MEDSYNC_ED25519_SIGNATURE_SIZE] = {0};
	Datum		values[2];

	values[0] = place_value(&version->tid);
	values[1] = bytes_value(none, sizeof(none));
	execute(VOID_VERSION, values, NULL, true);
}

/* Key, algorithm and wrap of a holder, from a place on; NULLs if there is none. */
static void
holder_wrap_values(const MedsyncHolder *holder, int place, Datum *values,
				   char *nulls)
{
	bool		custodial = holder->algorithm == MEDSYNC_ALGORITHM_NONE;

	values[place] = medsync_id_value(holder->key);
	values[place + 1] = Int16GetDatum(holder->algorithm);
	values[place + 2] = bytes_value(holder->wrapped, holder->wrapped_len);
	nulls[place] = custodial ? 'n' : ' ';
	nulls[place + 2] = custodial ? 'n' : ' ';
}

void
medsync_holder_insert(const MedsyncRecord *record, int32 version,
					  const MedsyncHolder *holder)
{
	Datum		values[9];
	char		nulls[] = "         ";

	values[0] = medsync_id_value(record->id);
	values[1] = Int32GetDatum(version);
	values[2] = medsync_id_value(holder->person);
	values[3] = CStringGetTextDatum(record->patient);
	holder_wrap_values(holder, 4, values, nulls);
	values[7] = TimestampTzGetDatum(holder->granted_at);
	values[8] = medsync_id_value(holder->granted_by);
	execute(INSERT_HOLDER, values, nulls, false);
}

/* Another wrap of a holder. */
void
medsync_holder_update(const MedsyncHolder *holder)
{
	Datum		values[4];
	char		nulls[] = "    ";

	values[0] = place_value(&holder->tid);
	holder_wrap_values(holder, 1, values, nulls);
	execute(UPDATE_HOLDER, values, nulls, true);
}

/* Delete a holder's row. */
void
medsync_holder_delete(const ItemPointerData *place)
{
	Datum		values[1];

	values[0] = place_value(place);
	execute(DELETE_HOLDER, values, NULL, true);
}

/* A row of record_event, column by column; see event.c. */
void
medsync_event_insert(Datum *values, const char *nulls)
{
	execute(INSERT_EVENT, values, nulls, false);
}

/* Is there a row of record_event with this id, whoever's? */
bool
medsync_event_exists(const uint8 *id)
{
	Relation	heap = medsync_open("record_event", AccessShareLock);
	MedsyncScan scan;
	ScanKeyData key;
	bool		exists;

	key_by_id(&key, 1, id);
	medsync_scan_begin(&scan, heap, "record_event_pkey", SnapshotSelf, 1, &key);
	exists = medsync_scan_next(&scan) != NULL;
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return exists;
}
