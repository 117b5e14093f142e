/*-------------------------------------------------------------------------
 *
 * signature.c
 *		Is a row signed by a key that may sign it?
 *
 * Capture asks before it records a row of a table that demands signatures,
 * verify() asks again.  What is signed, and which column holds what, the
 * ledger knows (ledger/signing.c); here are the keys of persons.
 *
 * Stores nothing: what held goes into the ledger entry.  Capture looks keys
 * and persons up as keys.c remembers them, and hears of changes with every
 * row; verify() reads the keys itself.  No locks but AccessShareLocks; works
 * on a standby.
 *
 * An entry says when its statement began, and a revocation is seen only when
 * it has committed.  So that what was entered between its beginning and its
 * commit is no false alarm, verify() takes a revoked key for another minute;
 * revocation.c sees to it that the commit is not later than that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "common/json_text.h"
#include "identity/identity_internal.h"
#include "identity/signature.h"
#include "ledger/capture.h"
#include "ledger/verify.h"

/* How long verify() still takes a key that was revoked */
#define REVOCATION_GRACE	(60 * USECS_PER_SEC)

/* What a list of licences that is not complete ends with */
#define MORE_LICENCES		"],\"more\":true}"

/* attributes of person_licence */
enum
{
	Anum_licence_id = 1,
	Anum_licence_person,
	Anum_licence_code,
	Anum_licence_number,
	Anum_licence_issuer,
	Anum_licence_valid_from,
	Anum_licence_valid_until,
	Anum_licence_revoked_at,
	Anum_licence_revocation_reason,
	Natts_licence = 9
};

/*
 * What held for the row checked last: one person enters many rows in one
 * statement.
 */
typedef struct HeldNote
{
	bool		valid;
	uint8		key[MEDSYNC_ID_SIZE];
	bool		has_on_behalf_of;
	uint8		on_behalf_of[MEDSYNC_ID_SIZE];
	TimestampTz at;
	char		text[MEDSYNC_DETAIL_MAX];
	int			len;
} HeldNote;

static HeldNote held_note;


/*
 * Judging
 */

/* NULL, or why a key that was looked up can sign nothing. */
static const char *
judge_key(const MedsyncPersonKey *key)
{
	if (key == NULL)
		return "The signer's key is not known.";
	if (key->key == NULL)
		return "The signer's key cannot be read.";
	if (!medsync_algorithm_signs(key->algorithm))
		return "The signer's key is not one that signs.";
	return NULL;
}

/* NULL, or why a key was not valid at a time. */
static const char *
judge_validity(const MedsyncPersonKey *key, TimestampTz at, int64 grace)
{
	if (at < key->valid_from)
		return "The signer's key was not valid yet.";
	if (at >= key->valid_until)
		return "The signer's key had expired.";
	if (at - grace >= key->revoked_at)
		return "The signer's key had been revoked.";
	return NULL;
}

static const char *
judge_signature(const MedsyncPersonKey *key,
				const MedsyncRowSignature *signature,
				const void *message, size_t message_len)
{
	return medsync_signature_verify(key->key, message, message_len,
									signature->signature,
									signature->signature_len) ?
		NULL : "The signature is not that key's over this row.";
}


/*
 * What held
 */

/* Append a uuid as a string, without a function call for each. */
static void
put_uuid(StringInfo buf, const uint8 *id)
{
	static const char hex_digits[] = "0123456789abcdef";
	int			i;

	appendStringInfoChar(buf, '"');
	for (i = 0; i < MEDSYNC_ID_SIZE; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			appendStringInfoChar(buf, '-');
		appendStringInfoChar(buf, hex_digits[id[i] >> 4]);
		appendStringInfoChar(buf, hex_digits[id[i] & 15]);
	}
	appendStringInfoChar(buf, '"');
}

/* Add a licence; false, and nothing is added, when there is no room. */
static bool
put_licence(StringInfo buf, bool first, const char *code, const char *number)
{
	int			before = buf->len;

	appendStringInfoString(buf, first ? ",\"licences\":[{" : ",{");
	appendStringInfoString(buf, "\"code\":");
	medsync_json_put_string(buf, code, strlen(code));
	appendStringInfoString(buf, ",\"number\":");
	medsync_json_put_string(buf, number, strlen(number));
	appendStringInfoChar(buf, '}');
	if (buf->len + strlen(MORE_LICENCES) <= MEDSYNC_DETAIL_MAX)
		return true;
	buf->len = before;
	return false;
}

/* Was a licence valid at a time? */
static bool
licence_valid(const Datum *values, const bool *isnull, TimestampTz at)
{
	return at >= DatumGetTimestampTz(values[Anum_licence_valid_from - 1]) &&
		(isnull[Anum_licence_valid_until - 1] ||
		 at < DatumGetTimestampTz(values[Anum_licence_valid_until - 1])) &&
		(isnull[Anum_licence_revoked_at - 1] ||
		 at < DatumGetTimestampTz(values[Anum_licence_revoked_at - 1]));
}

/* Add the licences that a person had, as many as fit, and end the object. */
static void
put_licences(StringInfo buf, const uint8 *person, TimestampTz at)
{
	Relation	heap = medsync_open("person_licence", AccessShareLock);
	bool		fits = true;
	int			count = 0;
	pg_uuid_t	uuid;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	memcpy(uuid.data, person, UUID_LEN);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(&uuid));
	medsync_scan_begin(&scan, heap, "person_licence_person_idx", SnapshotSelf,
					   1, &key);
	while (fits && (tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_licence];
		bool		isnull[Natts_licence];

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		if (!licence_valid(values, isnull, at))
			continue;
		fits = put_licence(buf, count == 0,
						   TextDatumGetCString(values[Anum_licence_code - 1]),
						   TextDatumGetCString(values[Anum_licence_number - 1]));
		if (fits)
			count++;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	if (fits)
		appendStringInfoString(buf, count > 0 ? "]}" : "}");
	else
		appendStringInfoString(buf, count > 0 ? MORE_LICENCES :
							   ",\"more\":true}");
}

/* Say what held of a key and its person at a time. */
static void
write_note(StringInfo buf, const MedsyncPersonKey *key,
		   const MedsyncPerson *person,
		   const MedsyncRowSignature *signature, TimestampTz at)
{
	appendStringInfoString(buf, "{\"person\":");
	put_uuid(buf, key->person);
	appendStringInfoString(buf, ",\"kind\":");
	medsync_json_put_string(buf, person->kind, strlen(person->kind));
	if (!TIMESTAMP_NOT_FINITE(key->valid_until))
	{
		const int	utc = 0;
		char		text[MAXDATELEN + 1];

		JsonEncodeDateTime(text, TimestampTzGetDatum(key->valid_until),
						   TIMESTAMPTZOID, &utc);
		appendStringInfo(buf, ",\"valid_until\":\"%s\"", text);
	}
	if (signature->has_on_behalf_of)
	{
		appendStringInfoString(buf, ",\"on_behalf_of\":");
		put_uuid(buf, signature->on_behalf_of);
	}
	put_licences(buf, key->person, at);
}

/* Is the note in memory the one of this row? */
static bool
note_fits(const MedsyncRowSignature *signature, TimestampTz at)
{
	return held_note.valid && held_note.at == at &&
		memcmp(held_note.key, signature->signer, MEDSYNC_ID_SIZE) == 0 &&
		held_note.has_on_behalf_of == signature->has_on_behalf_of &&
		memcmp(held_note.on_behalf_of, signature->on_behalf_of,
			   MEDSYNC_ID_SIZE) == 0;
}

static void
make_note(const MedsyncPersonKey *key, const MedsyncPerson *person,
		  const MedsyncRowSignature *signature, TimestampTz at)
{
	StringInfoData buf;

	/* an invalidation that arrives while we read must count */
	held_note.valid = true;
	initStringInfo(&buf);
	PG_TRY();
	{
		write_note(&buf, key, person, signature, at);
	}
	PG_CATCH();
	{
		held_note.valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (buf.len > MEDSYNC_DETAIL_MAX)	/* a kind that there is not */
		elog(ERROR, "what is known of a signer is too long");
	memcpy(held_note.key, signature->signer, MEDSYNC_ID_SIZE);
	held_note.has_on_behalf_of = signature->has_on_behalf_of;
	memcpy(held_note.on_behalf_of, signature->on_behalf_of, MEDSYNC_ID_SIZE);
	held_note.at = at;
	memcpy(held_note.text, buf.data, buf.len);
	held_note.len = buf.len;
	pfree(buf.data);
}

/* Relation cache callback: persons, keys or licences changed, or anything. */
static void
forget_note(Datum arg, Oid relid)
{
	held_note.valid = false;
}


/*
 * For capture
 */

/*
 * NULL, or why a key cannot sign a row now.  It must have been valid when the
 * statement began, as the entry says, and must be still: a COPY can go on for
 * days.
 */
static const char *
judge_now(const MedsyncPersonKey *key)
{
	const char *problem = judge_validity(key,
										 GetCurrentStatementStartTimestamp(),
										 0);

	if (problem == NULL &&
		!(TIMESTAMP_NOT_FINITE(key->valid_until) &&
		  TIMESTAMP_NOT_FINITE(key->revoked_at)))
		problem = judge_validity(key, GetCurrentTimestamp(), 0);
	return problem;
}

/* Check the signature of a row that is to be stored; see capture.h. */
static const char *
check_row(MedsyncSignedRow *row)
{
	TimestampTz at = medsync_identity_now();
	const MedsyncRowSignature *signature = row->signature;
	const MedsyncPersonKey *key;
	const char *problem;

	if (!signature->complete)
		return "Its signer or its signature is missing.";
	/* what others have committed counts from the next row on */
	AcceptInvalidationMessages();
	key = medsync_person_key_find(signature->signer);
	if ((problem = judge_key(key)) != NULL ||
		(row->now && (problem = judge_now(key)) != NULL) ||
		(problem = judge_signature(key, signature, row->message,
								   row->message_len)) != NULL)
		return problem;
	if (!row->now)
		return NULL;
	if (!note_fits(signature, at))
	{
		MedsyncPersonKey copy = *key;
		const MedsyncPerson *person = medsync_person_find(copy.person);

		if (person == NULL || !person->active)
			return "The signer is not active.";
		make_note(&copy, person, signature, at);
	}
	memcpy(row->detail, held_note.text, held_note.len);
	row->detail_len = held_note.len;
	return NULL;
}


/*
 * For whoever reads the ledger
 */

/* Did the key have to be valid when the entry was made? */
static bool
validity_counts(const MedsyncEntry *entry)
{
	if (entry->operation == MEDSYNC_OP_UPDATE)
		return memcmp(entry->old_commitment, entry->new_commitment,
					  MEDSYNC_HASH_SIZE) != 0;
	return entry->operation != MEDSYNC_OP_BASELINE &&
		entry->operation != MEDSYNC_OP_REBASELINE;
}

const char *
medsync_signature_judge_entry(HTAB *keys, const MedsyncEntry *entry)
{
	const MedsyncPersonKey *key = medsync_person_keys_find(keys, entry->signer);
	const char *problem = judge_key(key);

	if (problem == NULL && validity_counts(entry))
		problem = judge_validity(key, entry->statement_time, REVOCATION_GRACE);
	return problem;
}

const char *
medsync_signature_judge_row(HTAB *keys, const MedsyncRowSignature *signature,
							const void *message, size_t message_len)
{
	const MedsyncPersonKey *key = medsync_person_keys_find(keys, signature->signer);
	const char *problem = judge_key(key);

	return problem ? problem :
		judge_signature(key, signature, message, message_len);
}

static void
load_signers(void *arg)
{
	Verifier   *verifier = arg;

	verifier->signers = medsync_person_keys_load(verifier->context);
}

/* Read the keys, once; where that fails, it is what is found. */
static void
find_signers(Verifier *verifier)
{
	FindingPlace place = NO_PLACE;
	char	   *message;

	if (verifier->signers != NULL || verifier->signers_unreadable)
		return;
	message = medsync_verify_try(load_signers, verifier);
	if (message == NULL)
		return;
	verifier->signers_unreadable = true;
	place.relation = "medsync.person_key";
	medsync_verify_report(verifier, "error", "altered", place, NULL, NULL,
						  psprintf("No signature was checked, since the keys of people could not be read: %s",
								   message));
}

/* Check the signature of a row again; see verify.h. */
static const char *
verify_row(Verifier *verifier, const MedsyncVerifiedRow *row)
{
	const char *problem = NULL;

	find_signers(verifier);
	if (verifier->signers_unreadable)
		return NULL;
	if (row->entry != NULL)
		problem = medsync_signature_judge_entry(verifier->signers, row->entry);
	if (problem == NULL && row->signature != NULL)
		problem = medsync_signature_judge_row(verifier->signers,
											  row->signature, row->message,
											  row->message_len);
	return problem;
}

void
medsync_signature_init(void)
{
	medsync_capture_set_signature_check(check_row);
	medsync_verify_set_signature_check(verify_row);
	CacheRegisterRelcacheCallback(forget_note, (Datum) 0);
}
