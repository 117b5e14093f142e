/*-------------------------------------------------------------------------
 *
 * records.c
 *		What users call: put, get, grant, revoke, and look who has access.
 *
 * Custodial: the server encrypts and decrypts, and decides who may.  Each
 * function finds out who acts, reads the record as it is now, whatever the
 * caller's isolation level, and asks access.c.  Who is refused gets one error
 * and leaves a trace that stays (event.c).
 *
 * Changes of one record wait for each other: they lock its row (store.c),
 * and look again at who may, since the one before may have been a revocation.
 * get_record() waits for nobody and reads one snapshot: the record before or
 * after a change.  What a change is based on is checked first, so that rows
 * that were tampered with, and statements of chunks that were, are never
 * signed anew.
 *
 * Only taking access away is not refused because of damage: revoke_record()
 * gives what is whole another key, and takes the recipient out of all the
 * rest.  A statement that held is signed without that person, with the digest
 * that its chunks do not have; one that did not hold is taken away.
 *
 * get_record() gives nothing out before everything held: the rows, the
 * vault's signature, the digest of all chunks, then each chunk's tag.  If
 * something does not, what was decrypted is wiped.  A content is never in
 * memory twice: beside the argument or the result there are some chunks.
 *
 * On error nothing remains but the trace.  After a crash a record is as its
 * last committed change left it.  On a standby records() and record_access()
 * work; the others write, and say so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "compat.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"
#include "records/records.h"
#include "vault/quiet.h"

#define DAMAGE_NAMED		20	/* versions that a warning names */

PG_FUNCTION_INFO_V1(medsync_put_record);
PG_FUNCTION_INFO_V1(medsync_get_record);
PG_FUNCTION_INFO_V1(medsync_grant_record);
PG_FUNCTION_INFO_V1(medsync_revoke_record);
PG_FUNCTION_INFO_V1(medsync_rewrap_record);
PG_FUNCTION_INFO_V1(medsync_record_access);
PG_FUNCTION_INFO_V1(medsync_records);
PG_FUNCTION_INFO_V1(medsync_vault_key);

void
medsync_records_init(void)
{
	medsync_shapes_register(medsync_record_shapes);
	medsync_event_init();
	medsync_pending_init();
	medsync_verify_records_init();
}

/*---- Arguments ----*/

static void
require_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 hide_statement()));
}

static const uint8 *
id_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	require_argument(fcinfo, argument, name);
	return PG_GETARG_UUID_P(argument)->data;
}

/* A text of 1 to "max" bytes, palloc'd. */
static char *
text_argument(FunctionCallInfo fcinfo, int argument, const char *name,
			  size_t max)
{
	size_t		size;

	require_argument(fcinfo, argument, name);
	size = toast_raw_datum_size(PG_GETARG_DATUM(argument)) - VARHDRSZ;
	if (size == 0 || size > max)
		ereport(ERROR,
				(errcode(size == 0 ? ERRCODE_INVALID_PARAMETER_VALUE :
						 ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s must have 1 to %zu bytes", name, max),
				 hide_statement()));
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* The content; its size is looked at before it is fetched. */
static bytea *
content_argument(FunctionCallInfo fcinfo, int argument)
{
	require_argument(fcinfo, argument, "content");
	if (toast_raw_datum_size(PG_GETARG_DATUM(argument)) - VARHDRSZ >
		MEDSYNC_CONTENT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("content is larger than %d bytes",
						MEDSYNC_CONTENT_MAX),
				 hide_statement()));
	return PG_GETARG_BYTEA_PP(argument);
}

/* The recipients, as an array of ids. */
static const uint8 **
recipients_argument(FunctionCallInfo fcinfo, int argument, int *count)
{
	ArrayType  *array;
	Datum	   *elements;
	bool	   *isnull;
	const uint8 **ids;
	int			i;

	require_argument(fcinfo, argument, "recipients");
	array = PG_GETARG_ARRAYTYPE_P(argument);
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) >
		MEDSYNC_RECORD_RECIPIENTS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("there are more than %d recipients",
						MEDSYNC_RECORD_RECIPIENTS_MAX),
				 hide_statement()));
	deconstruct_array(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR,
					  &elements, &isnull, count);
	ids = palloc(Max(*count, 1) * sizeof(uint8 *));
	for (i = 0; i < *count; i++)
	{
		if (isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("recipients must not be null"),
					 hide_statement()));
		ids[i] = DatumGetUUIDP(elements[i])->data;
	}
	return ids;
}

/*---- The life of a call ----*/

/*
 * Begin a call: who acts?  "id" is the record, NULL for a new one; "person"
 * whom the call is about, NULL for nobody.
 */
static MedsyncRecordCall *
begin_call(const uint8 *id, const uint8 *person)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync record",
												  ALLOCSET_DEFAULT_SIZES);
	MedsyncRecordCall *call = MemoryContextAllocZero(context, sizeof(*call));

	call->context = context;
	call->caller = MemoryContextSwitchTo(context);
	medsync_record_call_init(call);
	if (id != NULL)
		memcpy(call->id, id, sizeof(call->id));
	if (!medsync_actor(call->actor))
		medsync_record_refuse(id, NULL, MEDSYNC_REASON_NOBODY, person);
	return call;
}

/* End it: its memory is wiped and freed. */
static void
end_call(MedsyncRecordCall *call)
{
	MemoryContextSwitchTo(call->caller);
	if (call->snapshot != NULL)
		UnregisterSnapshot(call->snapshot);
	MemoryContextDelete(call->context);
}

/*---- What must hold ----*/

/*
 * What is wrong with the rows of a version, as far as the vault's signature
 * tells?
 */
static MedsyncRecordReason
version_damage(const MedsyncRecordCall *call,
			   const MedsyncRecordVersion *version, const uint8 *public_key)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;

	if (version == NULL || !version->intact)
		return MEDSYNC_REASON_ROWS;
	if (!medsync_ledger_read(ledger_id, &created_at) ||
		!medsync_statement_holds(ledger_id, public_key, call->record,
								 version))
		return MEDSYNC_REASON_STATEMENT;
	return MEDSYNC_REASON_NONE;
}

/* And with the record as a whole? */
static MedsyncRecordReason
record_damage(const MedsyncRecordCall *call, const uint8 *public_key)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;

	if (!medsync_ledger_read(ledger_id, &created_at) ||
		!medsync_head_holds(ledger_id, public_key, call->record,
							medsync_head_find(call->record, call->snapshot),
							call->snapshot))
		return MEDSYNC_REASON_HEAD;
	return MEDSYNC_REASON_NONE;
}

/* Must hold: the rows of a version, and the vault's signature on them. */
static void
check_statement(const MedsyncRecordCall *call,
				const MedsyncRecordVersion *version)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	MedsyncRecordReason reason;

	medsync_statement_key(public_key);
	reason = version_damage(call, version, public_key);
	if (reason != MEDSYNC_REASON_NONE)
		medsync_record_damaged(call, version ? version->number : 0, reason);
}

/* Must hold: that, and that the record is in its newest state. */
static void
check_record(const MedsyncRecordCall *call,
			 const MedsyncRecordVersion *version)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	MedsyncRecordReason reason;

	check_statement(call, version);
	medsync_statement_key(public_key);
	reason = record_damage(call, public_key);
	if (reason != MEDSYNC_REASON_NONE)
		medsync_record_damaged(call, version->number, reason);
}

/*---- Looking a record up ----*/

/*
 * Why somebody who is not entitled is refused.  If the rows that say so are
 * damaged, that is the reason to note.  A key that cannot be had must not
 * make another error of it.
 */
static MedsyncRecordReason
refusal_reason(const MedsyncRecordCall *call,
			   const MedsyncRecordVersion *version)
{
	MedsyncKeyReader *reader = medsync_key_reader_create(call->context);
	MedsyncRecordReason reason = MEDSYNC_REASON_NONE;
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	if (medsync_statement_key_read(reader, public_key) == MEDSYNC_KEY_OK)
	{
		reason = version_damage(call, version, public_key);
		if (reason == MEDSYNC_REASON_NONE)
			reason = record_damage(call, public_key);
	}
	medsync_key_reader_free(reader);
	return reason == MEDSYNC_REASON_NONE ? MEDSYNC_REASON_NOT_ENTITLED :
		reason;
}

/* There is no row of _record: no record at all, or somebody deleted it? */
static MedsyncRecordReason
absence_reason(const MedsyncRecordCall *call)
{
	return medsync_record_subjects(call->id, call->snapshot) == NIL ?
		MEDSYNC_REASON_NO_RECORD : MEDSYNC_REASON_ROWS;
}

/*
 * Read the record as it is now, and see whether the actor may.  The version
 * is the one of "number" or, for 0 and where there is no such version, the
 * newest, or NULL.
 */
static MedsyncRecordVersion *
look_up(MedsyncRecordCall *call, int32 number, MedsyncRecordRight right,
		const uint8 *person)
{
	List	   *versions = NIL;
	MedsyncRecordVersion *version;

	if (call->snapshot != NULL)
		UnregisterSnapshot(call->snapshot);
	call->snapshot = RegisterSnapshot(GetLatestSnapshot());
	call->record = medsync_record_find(call->id, call->snapshot);
	if (call->record == NULL)
		medsync_record_refuse(call->id, call->actor, absence_reason(call),
							  person);
	if (number > 0)
		versions = medsync_record_versions(call->record, number,
										   call->snapshot);
	version = versions ? linitial(versions) :
		medsync_record_newest(call->record, call->snapshot);
	if (!medsync_record_may(call->actor, call->record, version, right,
							person))
		medsync_record_refuse(call->id, call->actor,
							  refusal_reason(call, version), person);
	return version;
}

/* Do the same to change it: keep others from doing so, then look again. */
static MedsyncRecordVersion *
look_up_to_change(MedsyncRecordCall *call, MedsyncRecordRight right,
				  const uint8 *person)
{
	(void) look_up(call, 0, right, person);
	medsync_records_prepare();
	medsync_record_lock(call->record);
	return look_up(call, 0, right, person);
}

/*---- Chunks ----*/

/* Work on stored chunks that may fail to be read */
typedef struct ChunkWork
{
	MedsyncRecordCall *call;
	const MedsyncRecordVersion *version;
	bool		opens;			/* decrypt, or only check the digest */
	uint8	   *content;		/* where to; NULL: only see whether it opens */
	MedsyncRecordReason reason;
} ChunkWork;

static void
do_chunk_work(void *arg)
{
	ChunkWork  *work = arg;

	if (!work->opens)
		work->reason = medsync_chunks_check(work->call->record, work->version,
											work->call->snapshot);
	else
		work->reason = medsync_content_open(work->call, work->version,
											work->content);
}

/* Do it; that a row cannot be read at all is damage, too. */
static MedsyncRecordReason
try_chunk_work(ChunkWork *work)
{
	char	   *message = medsync_verify_try(do_chunk_work, work);

	if (message == NULL)
		return work->reason;
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("record %s could not be read: %s",
					medsync_id_text(work->call->id), message),
			 hide_statement()));
	return MEDSYNC_REASON_UNREADABLE;
}

/* Must hold besides: the digest of all chunks. */
static void
check_chunks(MedsyncRecordCall *call, const MedsyncRecordVersion *version)
{
	ChunkWork	work = {.call = call,.version = version};
	MedsyncRecordReason reason = try_chunk_work(&work);

	if (reason != MEDSYNC_REASON_NONE)
		medsync_record_damaged(call, version->number, reason);
}

/* The data key of a version, which must open. */
static void
open_data_key(MedsyncRecordCall *call, const MedsyncRecordVersion *version)
{
	if (!medsync_data_key_open(call, version))
		medsync_record_damaged(call, version->number, MEDSYNC_REASON_WRAP);
}

/*
 * What is wrong with the content of a version whose statement holds?  If
 * nothing is, its data key is open.
 */
static MedsyncRecordReason
content_damage(MedsyncRecordCall *call, const MedsyncRecordVersion *version)
{
	ChunkWork	work = {.call = call,.version = version};
	MedsyncRecordReason reason = try_chunk_work(&work);

	if (reason != MEDSYNC_REASON_NONE)
		return reason;
	if (!medsync_data_key_open(call, version))
		return MEDSYNC_REASON_WRAP;
	work.opens = true;
	return try_chunk_work(&work);
}

/*---- Holders ----*/

/* Add a holder in its place, unless there; a wrap comes later. */
static MedsyncHolder *
add_holder(MedsyncRecordVersion *version, const uint8 *person,
		   TimestampTz granted_at, const uint8 *granted_by)
{
	MedsyncHolder *holder = medsync_holder_find(version, person);
	int			place;

	if (holder != NULL)
		return holder;
	if (list_length(version->holders) == MEDSYNC_RECORD_HOLDERS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a record can have at most %d holders",
						MEDSYNC_RECORD_HOLDERS_MAX),
				 hide_statement()));
	for (place = 0; place < list_length(version->holders); place++)
	{
		MedsyncHolder *other = list_nth(version->holders, place);

		if (memcmp(other->person, person, MEDSYNC_ID_SIZE) > 0)
			break;
	}
	holder = palloc0(sizeof(MedsyncHolder));
	memcpy(holder->person, person, MEDSYNC_ID_SIZE);
	holder->granted_at = granted_at;
	memcpy(holder->granted_by, granted_by, MEDSYNC_ID_SIZE);
	version->holders = list_insert_nth(version->holders, place, holder);
	return holder;
}

/* Wrap the version's data key for all of its holders. */
static void
wrap_for_all(MedsyncRecordCall *call, MedsyncRecordVersion *version)
{
	ListCell   *cell;

	foreach(cell, version->holders)
	{
		CHECK_FOR_INTERRUPTS();
		medsync_holder_wrap(call, lfirst(cell));
	}
}

/*---- The record's state ----*/

/* Sign the state that our changes have made. */
static void
advance_head(MedsyncRecordCall *call)
{
	MedsyncRecordHead *old = call->is_new ? NULL :
		medsync_head_find(call->record, call->snapshot);
	MedsyncRecordHead head = {0};
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	if (old != NULL)
		head = *old;
	head.revision++;
	medsync_head_sign(call->record, &head, snapshot);
	UnregisterSnapshot(snapshot);
	if (old == NULL)
		medsync_head_insert(call->record, &head);
	else
		medsync_head_update(&head);
}

/*---- put_record ----*/

/* A record that is not there yet. */
static MedsyncRecord *
make_record(const MedsyncRecordCall *call, const char *patient)
{
	MedsyncRecord *record = palloc0(sizeof(MedsyncRecord));

	medsync_random(record->id, sizeof(record->id));
	/* version 4 and variant 1 of RFC 4122 */
	record->id[6] = (record->id[6] & 0x0f) | 0x40;
	record->id[8] = (record->id[8] & 0x3f) | 0x80;
	record->patient = pstrdup(patient);
	memcpy(record->author, call->actor, sizeof(record->author));
	record->created_at = GetCurrentTimestamp();
	record->intact = true;
	return record;
}

/* The record that a new version is for, and its newest one; or a new one. */
static MedsyncRecordVersion *
record_to_put(MedsyncRecordCall *call, const uint8 *id, const char *patient)
{
	MedsyncRecordVersion *previous;

	if (id == NULL)
	{
		medsync_records_prepare();
		call->is_new = true;
		call->record = make_record(call, patient);
		memcpy(call->id, call->record->id, sizeof(call->id));
		return NULL;
	}
	previous = look_up_to_change(call, MEDSYNC_RECORD_CHANGE, NULL);
	check_record(call, previous);
	if (strcmp(patient, call->record->patient) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the record is another patient's"),
				 errhint("Leave record out to make a new one."),
				 hide_statement()));
	return previous;
}

/* The version to be put, without content. */
static MedsyncRecordVersion *
make_version(const MedsyncRecordCall *call,
			 const MedsyncRecordVersion *previous, char *media_type,
			 int64 length)
{
	MedsyncRecordVersion *version = palloc0(sizeof(MedsyncRecordVersion));
	ListCell   *cell;

	version->number = previous ? previous->number + 1 : 1;
	version->media_type = media_type;
	version->length = length;
	version->chunks = medsync_record_chunk_count(length);
	memcpy(version->author, call->actor, sizeof(version->author));
	version->created_at = GetCurrentTimestamp();
	if (previous == NULL)
		add_holder(version, call->actor, version->created_at, call->actor);
	else
	{
		foreach(cell, previous->holders)
		{
			MedsyncHolder *holder = lfirst(cell);

			add_holder(version, holder->person, holder->granted_at,
					   holder->granted_by);
		}
	}
	return version;
}

/* Write a version whose chunks are written. */
static void
store_version(MedsyncRecordCall *call, MedsyncRecordVersion *version)
{
	ListCell   *cell;

	medsync_statement_sign(call->record, version);
	if (call->is_new)
		medsync_record_insert(call->record);
	medsync_version_insert(call->record, version);
	foreach(cell, version->holders)
		medsync_holder_insert(call->record, version->number, lfirst(cell));
	advance_head(call);
	medsync_record_event(call, call->is_new ? MEDSYNC_EVENT_PUT :
						 MEDSYNC_EVENT_VERSION, version->number, NULL);
}

/* medsync.put_record(patient, content, media_type, recipients, record) */
Datum
medsync_put_record(PG_FUNCTION_ARGS)
{
	const uint8 *id = PG_ARGISNULL(4) ? NULL : PG_GETARG_UUID_P(4)->data;
	char	   *patient = text_argument(fcinfo, 0, "patient",
										MEDSYNC_RECORD_PATIENT_MAX);
	char	   *media_type = text_argument(fcinfo, 2, "media_type",
										   MEDSYNC_RECORD_MEDIA_TYPE_MAX);
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	MedsyncRecordCall *call;
	MedsyncRecordVersion *previous;
	MedsyncRecordVersion *version;
	const uint8 **recipients;
	bytea	   *content;
	int			count;
	int			i;

	medsync_quiet_statement();
	PreventCommandIfReadOnly("medsync.put_record()");
	PreventCommandIfParallelMode("medsync.put_record()");
	content = content_argument(fcinfo, 1);
	recipients = recipients_argument(fcinfo, 3, &count);
	call = begin_call(id, NULL);
	previous = record_to_put(call, id, patient);
	version = make_version(call, previous, media_type,
						   VARSIZE_ANY_EXHDR(content));
	for (i = 0; i < count; i++)
	{
		if (medsync_holder_find(version, recipients[i]) != NULL)
			continue;
		medsync_require_key(recipients[i]);
		add_holder(version, recipients[i], version->created_at, call->actor);
	}

	medsync_data_key_make(call, version);
	wrap_for_all(call, version);
	medsync_content_seal(call, version, (uint8 *) VARDATA_ANY(content));
	store_version(call, version);

	memcpy(result->data, call->record->id, UUID_LEN);
	end_call(call);
	PG_RETURN_UUID_P(result);
}

/*---- get_record ----*/

/* Decrypt a version whose data key is open; all of it, or an error. */
static bytea *
open_content(MedsyncRecordCall *call, const MedsyncRecordVersion *version)
{
	size_t		size = VARHDRSZ + (size_t) version->length;
	bytea	   *content = MemoryContextAlloc(call->caller, size);
	ChunkWork	work = {.call = call,.version = version,.opens = true};

	SET_VARSIZE(content, size);
	work.content = (uint8 *) VARDATA(content);
	PG_TRY();
	{
		MedsyncRecordReason reason = try_chunk_work(&work);

		if (reason != MEDSYNC_REASON_NONE)
		{
			medsync_cleanse(content, size);
			medsync_record_damaged(call, version->number, reason);
		}
	}
	PG_CATCH();
	{
		medsync_cleanse(content, size);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return content;
}

/* medsync.get_record(record, private_key, version) */
Datum
medsync_get_record(PG_FUNCTION_ARGS)
{
	const uint8 *id = id_argument(fcinfo, 0, "record");
	int32		number = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	MedsyncRecordVersion *version;
	MedsyncRecordCall *call;
	bytea	   *content;

	medsync_quiet_statement();
	PreventCommandIfReadOnly("medsync.get_record()");
	PreventCommandIfParallelMode("medsync.get_record()");
	call = begin_call(id, NULL);
	version = look_up(call, number, MEDSYNC_RECORD_READ, NULL);
	if (!PG_ARGISNULL(2) && (version == NULL || version->number != number))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("record %s has no version %d", medsync_id_text(id),
						number),
				 hide_statement()));
	check_record(call, version);
	check_chunks(call, version);
	if (PG_ARGISNULL(1))
		open_data_key(call, version);
	else if (!medsync_data_key_unwrap(call, version, PG_GETARG_BYTEA_PP(1)))
		medsync_record_refuse(id, call->actor, MEDSYNC_REASON_PRIVATE_KEY,
							  NULL);
	content = open_content(call, version);
	medsync_records_prepare();
	medsync_record_event(call, MEDSYNC_EVENT_GET, version->number, NULL);
	end_call(call);
	PG_RETURN_BYTEA_P(content);
}

/*---- grant_record, rewrap_record ----*/

/*
 * Give a person a wrap of one version, or another one.  The statement names
 * the digest of the chunks: it must hold before that is signed anew.
 */
static void
wrap_version(MedsyncRecordCall *call, MedsyncRecordVersion *version,
			 const uint8 *person)
{
	bool		is_holder = medsync_holder_find(version, person) != NULL;
	MedsyncHolder *holder = add_holder(version, person,
									   GetCurrentTimestamp(), call->actor);

	check_chunks(call, version);
	open_data_key(call, version);
	medsync_holder_wrap(call, holder);
	medsync_statement_sign(call->record, version);
	if (is_holder)
		medsync_holder_update(holder);
	else
		medsync_holder_insert(call->record, version->number, holder);
	medsync_version_update(version);
}

/* The same for all versions of a record that is locked. */
static void
wrap_all_versions(MedsyncRecordCall *call, const uint8 *person)
{
	List	   *versions = medsync_record_versions(call->record, 0,
												   call->snapshot);
	ListCell   *cell;

	foreach(cell, versions)
		check_statement(call, lfirst(cell));
	medsync_require_key(person);
	foreach(cell, versions)
	{
		CHECK_FOR_INTERRUPTS();
		wrap_version(call, lfirst(cell), person);
	}
}

pg_noreturn static void
not_a_holder(const MedsyncRecordCall *call, const uint8 *person)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("person %s does not hold record %s",
					medsync_id_text(person), medsync_id_text(call->id)),
			 errhint("medsync.record_access() lists who does."),
			 hide_statement()));
}

/* medsync.grant_record(record, recipient) */
Datum
medsync_grant_record(PG_FUNCTION_ARGS)
{
	const uint8 *id = id_argument(fcinfo, 0, "record");
	const uint8 *recipient = id_argument(fcinfo, 1, "recipient");
	MedsyncRecordVersion *newest;
	MedsyncRecordCall *call;

	PreventCommandIfReadOnly("medsync.grant_record()");
	PreventCommandIfParallelMode("medsync.grant_record()");
	call = begin_call(id, recipient);
	newest = look_up_to_change(call, MEDSYNC_RECORD_GRANT, recipient);
	check_record(call, newest);
	wrap_all_versions(call, recipient);
	advance_head(call);
	medsync_record_event(call, MEDSYNC_EVENT_GRANT, 0, recipient);
	end_call(call);
	PG_RETURN_VOID();
}

/* medsync.rewrap_record(record, person) */
Datum
medsync_rewrap_record(PG_FUNCTION_ARGS)
{
	const uint8 *id = id_argument(fcinfo, 0, "record");
	const uint8 *person = PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1)->data;
	MedsyncRecordVersion *newest;
	MedsyncRecordCall *call;

	PreventCommandIfReadOnly("medsync.rewrap_record()");
	PreventCommandIfParallelMode("medsync.rewrap_record()");
	call = begin_call(id, person);
	if (person == NULL)
		person = call->actor;
	newest = look_up_to_change(call, MEDSYNC_RECORD_REWRAP, person);
	check_record(call, newest);
	if (medsync_holder_find(newest, person) == NULL)
		not_a_holder(call, person);
	wrap_all_versions(call, person);
	advance_head(call);
	medsync_record_event(call, MEDSYNC_EVENT_REWRAP, 0, person);
	end_call(call);
	PG_RETURN_VOID();
}

/*---- revoke_record ----*/

/* What a revocation found damaged */
typedef struct FoundDamage
{
	int			count;			/* of versions */
	int32		first;			/* the first of them */
	MedsyncRecordReason reason; /* what is wrong with that */
	StringInfoData versions;	/* their numbers */
} FoundDamage;

static void
add_damage(FoundDamage *found, int32 version, MedsyncRecordReason reason)
{
	if (found->count++ == 0)
	{
		found->first = version;
		found->reason = reason;
		initStringInfo(&found->versions);
	}
	if (found->count <= DAMAGE_NAMED)
		appendStringInfo(&found->versions, "%s%d",
						 found->count == 1 ? "" : ", ", version);
	else if (found->count == DAMAGE_NAMED + 1)
		appendStringInfoString(&found->versions, " ...");
}

/*
 * Write it down, once, and say so to the caller.  The event names the version
 * if it is one.
 */
static void
report_damage(const MedsyncRecordCall *call, const FoundDamage *found)
{
	const char *id = medsync_id_text(call->id);

	if (found->reason == MEDSYNC_REASON_NONE)
		return;
	medsync_record_note_damage(call, found->count == 1 ? found->first : 0,
							   found->reason);
	ereport(WARNING,
			(errcode(ERRCODE_MEDSYNC_SIGNATURE_INVALID),
			 errmsg("access was revoked, but the record is damaged"),
			 found->count == 0 ?
			 errdetail("Record %s is not in its newest state; nothing of it was encrypted anew.",
					   id) :
			 errdetail("Damaged in record %s: version %s.",
					   id, found->versions.data),
			 errhint("medsync.verify() finds what was changed."),
			 hide_statement()));
}

/* Give one version, whose data key is open, another one, for those who stay. */
static void
rekey_version(MedsyncRecordCall *call, MedsyncRecordVersion *version)
{
	MedsyncRecordReason reason = medsync_content_reseal(call, version);
	ListCell   *cell;

	if (reason != MEDSYNC_REASON_NONE)
		medsync_record_damaged(call, version->number, reason);
	wrap_for_all(call, version);
	medsync_statement_sign(call->record, version);
	foreach(cell, version->holders)
		medsync_holder_update(lfirst(cell));
	medsync_version_update(version);
}

/*
 * Take one version away from a person, whose row of it is gone; tells what
 * is wrong with it.  A statement that did not hold is taken away, so that it
 * does not hold again when rows are put back as they were, that person's
 * among them.  But if it holds without that person, this was what was wrong.
 * Content that does not open keeps its key and digest.
 */
static MedsyncRecordReason
revoke_version(MedsyncRecordCall *call, MedsyncRecordVersion *version,
			   const uint8 *revoked, const uint8 *public_key)
{
	MedsyncRecordReason rows = version_damage(call, version, public_key);
	MedsyncRecordReason content;
	MedsyncHolder *holder = medsync_holder_find(version, revoked);

	if (holder != NULL)
		version->holders = list_delete_ptr(version->holders, holder);
	if (rows != MEDSYNC_REASON_NONE &&
		version_damage(call, version, public_key) != MEDSYNC_REASON_NONE)
	{
		medsync_version_void(version);
		return rows;
	}
	content = content_damage(call, version);
	if (content == MEDSYNC_REASON_NONE)
		rekey_version(call, version);
	else
	{
		medsync_statement_sign(call->record, version);
		medsync_version_update(version);
	}
	return rows == MEDSYNC_REASON_NONE ? content : rows;
}

/*
 * Do so with all versions.  If the record is not in its newest state there is
 * nothing that might be signed: who was to go is gone, and it stays damaged.
 */
static void
revoke_versions(MedsyncRecordCall *call, const uint8 *revoked,
				FoundDamage *found)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	ListCell   *cell;

	medsync_statement_key(public_key);
	found->reason = record_damage(call, public_key);
	if (found->reason != MEDSYNC_REASON_NONE)
		return;
	foreach(cell, medsync_record_versions(call->record, 0, call->snapshot))
	{
		MedsyncRecordVersion *version = lfirst(cell);
		MedsyncRecordReason reason;

		CHECK_FOR_INTERRUPTS();
		reason = revoke_version(call, version, revoked, public_key);
		if (reason != MEDSYNC_REASON_NONE)
			add_damage(found, version->number, reason);
	}
	advance_head(call);
}

/* medsync.revoke_record(record, recipient) */
Datum
medsync_revoke_record(PG_FUNCTION_ARGS)
{
	const uint8 *id = id_argument(fcinfo, 0, "record");
	const uint8 *recipient = id_argument(fcinfo, 1, "recipient");
	FoundDamage found = {0};
	MedsyncRecordVersion *newest;
	MedsyncRecordCall *call;
	List	   *places;
	ListCell   *cell;

	PreventCommandIfReadOnly("medsync.revoke_record()");
	PreventCommandIfParallelMode("medsync.revoke_record()");
	call = begin_call(id, recipient);
	newest = look_up_to_change(call, MEDSYNC_RECORD_CHANGE, recipient);
	places = medsync_holder_places(call->record, recipient, call->snapshot);
	if (places == NIL)
	{
		check_record(call, newest);
		not_a_holder(call, recipient);
	}
	foreach(cell, places)
		medsync_holder_delete(lfirst(cell));
	revoke_versions(call, recipient, &found);
	medsync_record_event(call, MEDSYNC_EVENT_REVOKE, 0, recipient);
	report_damage(call, &found);
	end_call(call);
	PG_RETURN_VOID();
}

/*---- Looking ----*/

/* medsync.record_access(record) */
Datum
medsync_record_access(PG_FUNCTION_ARGS)
{
	const uint8 *id = id_argument(fcinfo, 0, "record");
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MedsyncRecordVersion *newest;
	MedsyncRecordCall *call;
	ListCell   *cell;

	PreventCommandIfParallelMode("medsync.record_access()");
	InitMaterializedSRF(fcinfo, 0);
	call = begin_call(id, NULL);
	newest = look_up(call, 0, MEDSYNC_RECORD_READ, NULL);
	check_record(call, newest);
	foreach(cell, newest->holders)
	{
		MedsyncHolder *holder = lfirst(cell);
		bool		custodial = holder->algorithm == MEDSYNC_ALGORITHM_NONE;
		bool		isnull[5] = {false, custodial, custodial, false, false};
		Datum		values[5] = {0};

		values[0] = UUIDPGetDatum((pg_uuid_t *) holder->person);
		values[1] = UUIDPGetDatum((pg_uuid_t *) holder->key);
		if (!custodial)
			values[2] = CStringGetTextDatum(medsync_algorithm_name(holder->algorithm));
		values[3] = TimestampTzGetDatum(holder->granted_at);
		values[4] = UUIDPGetDatum((pg_uuid_t *) holder->granted_by);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
							 isnull);
	}
	end_call(call);
	return (Datum) 0;
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	return memcmp(lfirst(a), lfirst(b), MEDSYNC_ID_SIZE);
}

/* Put the newest version of a record into the result, if the actor may read it. */
static void
list_record(MedsyncRecordCall *call, const uint8 *id, const char *patient,
			ReturnSetInfo *rsinfo)
{
	MedsyncRecord *record = medsync_record_find(id, call->snapshot);
	MedsyncRecordVersion *version;
	Datum		values[7];
	bool		isnull[7] = {0};

	if (record == NULL || !record->intact ||
		(patient != NULL && strcmp(record->patient, patient) != 0))
		return;
	version = medsync_record_newest(record, call->snapshot);
	if (version == NULL || !version->intact ||
		!medsync_record_may(call->actor, record, version, MEDSYNC_RECORD_READ,
							NULL))
		return;
	values[0] = UUIDPGetDatum((pg_uuid_t *) record->id);
	values[1] = CStringGetTextDatum(record->patient);
	values[2] = CStringGetTextDatum(version->media_type);
	values[3] = Int64GetDatum(version->length);
	values[4] = Int32GetDatum(version->number);
	values[5] = UUIDPGetDatum((pg_uuid_t *) version->author);
	values[6] = TimestampTzGetDatum(version->created_at);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
}

/* medsync.records(patient) */
Datum
medsync_records(PG_FUNCTION_ARGS)
{
	const char *patient = PG_ARGISNULL(0) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(0));
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const MedsyncPerson *person;
	const uint8 *last = NULL;
	MedsyncRecordCall *call;
	MemoryContext context;
	List	   *ids;
	ListCell   *cell;

	PreventCommandIfParallelMode("medsync.records()");
	InitMaterializedSRF(fcinfo, 0);
	call = begin_call(NULL, NULL);
	call->snapshot = RegisterSnapshot(GetLatestSnapshot());
	ids = medsync_record_ids(NULL, call->actor, call->snapshot);
	person = medsync_person_find(call->actor);
	if (person != NULL && person->active)
		ids = list_concat(ids, medsync_record_ids(person->subject, NULL,
												  call->snapshot));
	list_sort(ids, compare_ids);
	context = AllocSetContextCreate(call->context, "medsync listed record",
									ALLOCSET_SMALL_SIZES);
	foreach(cell, ids)
	{
		CHECK_FOR_INTERRUPTS();
		if (last != NULL && memcmp(last, lfirst(cell), MEDSYNC_ID_SIZE) == 0)
			continue;
		last = lfirst(cell);
		MemoryContextSwitchTo(context);
		list_record(call, last, patient, rsinfo);
		MemoryContextReset(context);
	}
	end_call(call);
	return (Datum) 0;
}

/* medsync.vault_key() */
Datum
medsync_vault_key(PG_FUNCTION_ARGS)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	StringInfoData der;

	if (!medsync_ledger_read(ledger_id, &created_at))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger yet"),
				 errhint("Put a record first.")));
	medsync_statement_key(public_key);
	initStringInfo(&der);
	medsync_ed25519_spki(public_key, &der);
	PG_RETURN_BYTEA_P(medsync_make_bytea(der.data, (size_t) der.len));
}
