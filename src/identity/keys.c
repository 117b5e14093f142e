/*-------------------------------------------------------------------------
 *
 * keys.c
 *		The public keys of people, and looking people and keys up.
 *
 * Stored is person_key, a row for each key that a person ever had.  A key is
 * never removed, and never becomes another person's: who signed with it must
 * be told for as long as the signature is kept.  Members of medsync_admin
 * write; see people.c for locks and errors.
 *
 * Look-ups read under a snapshot of their own, so that they see what is
 * committed now, whatever the isolation level, and what earlier commands of
 * the own transaction did, without predicate locks.
 * What they find is remembered for the session.  A statement trigger on the
 * tables invalidates them in the relation cache, and with that everything
 * that any session remembers; a session hears of it at the beginning of its
 * next statement or transaction at the latest.  Nothing is locked but the tables, shared,
 * for reading.  Everything that reads works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"

#include "common/catalog.h"
#include "identity/identity_internal.h"
#include "ledger/track.h"

#define MAX_REMEMBERED		8192	/* people, and keys */

/* attributes of person */
enum
{
	Anum_person_id = 1,
	Anum_person_kind,
	Anum_person_name,
	Anum_person_role,
	Anum_person_subject,
	Anum_person_status,
	Anum_person_status_reason,
	Anum_person_specialties,
	Natts_person = 8
};

/* attributes of person_key */
enum
{
	Anum_person_key_id = 1,
	Anum_person_key_person,
	Anum_person_key_algorithm,
	Anum_person_key_public_key,
	Anum_person_key_valid_from,
	Anum_person_key_valid_until,
	Anum_person_key_revoked_at,
	Anum_person_key_revocation_reason,
	Natts_person_key = 8
};

/* Frees a key with the context that its row is in */
typedef struct KeyRelease
{
	MemoryContextCallback callback;
	MedsyncPublicKey *key;
} KeyRelease;

/* Rows of one table that are remembered, by id */
typedef struct Remembered
{
	MemoryContext context;
	HTAB	   *rows;
	uint64		generation;		/* what it was when the first was read */
} Remembered;

static Remembered people;
static Remembered keys;

/* Grows whenever anything of what is remembered may have changed */
static uint64 generation = 1;
static Oid	person_relid = InvalidOid;
static Oid	person_key_relid = InvalidOid;

PG_FUNCTION_INFO_V1(medsync_identity_changed);
PG_FUNCTION_INFO_V1(medsync_add_key);
PG_FUNCTION_INFO_V1(medsync_revoke_key);
PG_FUNCTION_INFO_V1(medsync_verify_signature);

/*---- Remembering ----*/

/* Relation cache callback. */
static void
forget_people(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == person_relid ||
		relid == person_key_relid)
		generation++;
}

void
medsync_keys_init(void)
{
	CacheRegisterRelcacheCallback(forget_people, (Datum) 0);
}

/*
 * Which generation of people and keys is current.  Messages of other sessions
 * are read once a statement, since an open transaction that holds all its
 * locks already would not read any, and once a transaction, since one CALL
 * can run many.
 */
uint64
medsync_identity_generation(void)
{
	static TimestampTz heard_in = 0;
	static LocalTransactionId heard_in_lxid = InvalidLocalTransactionId;
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (statement != heard_in || MEDSYNC_LOCAL_XID != heard_in_lxid)
	{
		AcceptInvalidationMessages();
		heard_in = statement;
		heard_in_lxid = MEDSYNC_LOCAL_XID;
	}
	return generation;
}

/*
 * The time at which people and keys are judged: when the statement began, or
 * the transaction, if that was later.
 */
TimestampTz
medsync_identity_now(void)
{
	return Max(GetCurrentStatementStartTimestamp(),
			   GetCurrentTransactionStartTimestamp());
}

/* Make room for what is to be remembered, if that is outdated or too much. */
static HTAB *
remembered_rows(Remembered *remembered, Size entry_size)
{
	uint64		current = medsync_identity_generation();
	HASHCTL		ctl;

	if (remembered->rows != NULL && remembered->generation == current &&
		hash_get_num_entries(remembered->rows) < MAX_REMEMBERED)
		return remembered->rows;
	if (remembered->context == NULL)
		remembered->context = AllocSetContextCreate(TopMemoryContext,
													"medsync people",
													ALLOCSET_DEFAULT_SIZES);
	remembered->rows = NULL;
	MemoryContextReset(remembered->context);
	ctl.keysize = MEDSYNC_ID_SIZE;
	ctl.entrysize = entry_size;
	ctl.hcxt = remembered->context;
	remembered->rows = hash_create("medsync people", 32, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	remembered->generation = current;
	return remembered->rows;
}

/*
 * medsync._identity_changed(): statement trigger.  The message goes out when
 * the transaction commits, and to ourselves with the next command.
 */
Datum
medsync_identity_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the function can only be called as a trigger")));
	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}

/*---- Reading ----*/

/* A scan of one of our tables under a snapshot of its own */
typedef struct LookUp
{
	Relation	heap;
	Snapshot	snapshot;
	MedsyncScan scan;
} LookUp;

static void
look_up(LookUp *look, const char *table, const char *index, int nkeys,
		ScanKey key)
{
	look->heap = medsync_open(table, AccessShareLock);
	look->snapshot =
		RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(look->heap)));
	medsync_scan_begin(&look->scan, look->heap, index, look->snapshot, nkeys,
					   key);
}

static void
end_look_up(LookUp *look)
{
	medsync_scan_end(&look->scan);
	UnregisterSnapshot(look->snapshot);
	table_close(look->heap, AccessShareLock);
}

/* The indexes on ids have one column. */
static void
uuid_scan_key(ScanKey key, const uint8 *id)
{
	ScanKeyInit(key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				PointerGetDatum(id));
}

/* Copy a row of person; false: it makes no sense. */
static bool
person_from_tuple(HeapTuple tuple, TupleDesc desc, MedsyncPerson *person)
{
	Datum		values[Natts_person];
	bool		isnull[Natts_person];
	char	   *status;

	heap_deform_tuple(tuple, desc, values, isnull);
	if (isnull[Anum_person_id - 1] || isnull[Anum_person_kind - 1] ||
		isnull[Anum_person_subject - 1] || isnull[Anum_person_status - 1])
		return false;
	memcpy(person->id, DatumGetUUIDP(values[Anum_person_id - 1])->data,
		   MEDSYNC_PERSON_ID_SIZE);
	person->kind = TextDatumGetCString(values[Anum_person_kind - 1]);
	person->role = isnull[Anum_person_role - 1] ? NULL :
		TextDatumGetCString(values[Anum_person_role - 1]);
	person->subject = TextDatumGetCString(values[Anum_person_subject - 1]);
	status = TextDatumGetCString(values[Anum_person_status - 1]);
	person->active = strcmp(status, "active") == 0;
	pfree(status);
	return true;
}

static void
release_key(void *arg)
{
	medsync_public_key_free(((KeyRelease *) arg)->key);
}

/* Parse a stored public key, which is freed with the current context. */
static MedsyncPublicKey *
parse_key(Datum stored)
{
	bytea	   *der = DatumGetByteaPP(stored);
	KeyRelease *release = palloc0(sizeof(KeyRelease));

	release->key = medsync_public_key_read(VARDATA_ANY(der),
										   VARSIZE_ANY_EXHDR(der));
	release->callback.func = release_key;
	release->callback.arg = release;
	if (release->key != NULL)
		MemoryContextRegisterResetCallback(CurrentMemoryContext,
										   &release->callback);
	return release->key;
}

/* Copy a row of person_key; false: it makes no sense. */
static bool
key_from_tuple(HeapTuple tuple, TupleDesc desc, MedsyncPersonKey *key)
{
	Datum		values[Natts_person_key];
	bool		isnull[Natts_person_key];

	heap_deform_tuple(tuple, desc, values, isnull);
	if (isnull[Anum_person_key_id - 1] || isnull[Anum_person_key_person - 1] ||
		isnull[Anum_person_key_public_key - 1] ||
		isnull[Anum_person_key_valid_from - 1])
		return false;
	memcpy(key->id, DatumGetUUIDP(values[Anum_person_key_id - 1])->data,
		   MEDSYNC_ID_SIZE);
	memcpy(key->person, DatumGetUUIDP(values[Anum_person_key_person - 1])->data,
		   MEDSYNC_PERSON_ID_SIZE);
	key->valid_from = DatumGetTimestampTz(values[Anum_person_key_valid_from - 1]);
	key->valid_until = isnull[Anum_person_key_valid_until - 1] ? DT_NOEND :
		DatumGetTimestampTz(values[Anum_person_key_valid_until - 1]);
	key->revoked_at = isnull[Anum_person_key_revoked_at - 1] ? DT_NOEND :
		DatumGetTimestampTz(values[Anum_person_key_revoked_at - 1]);
	key->key = NULL;
	key->algorithm = MEDSYNC_ALGORITHM_NONE;
	key->unread = DatumGetByteaPCopy(values[Anum_person_key_public_key - 1]);
	return true;
}

/* Parse a key's bytes, unless that was done; freed with what holds them. */
static void
read_key(MedsyncPersonKey *key)
{
	MemoryContext oldcontext;

	if (key->unread == NULL)
		return;
	oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(key->unread));
	key->key = parse_key(PointerGetDatum(key->unread));
	MemoryContextSwitchTo(oldcontext);
	if (key->key != NULL)
		key->algorithm = medsync_public_key_algorithm(key->key);
	pfree(key->unread);
	key->unread = NULL;
}

/* Remember what a scan of person gives first; NULL: nothing. */
static const MedsyncPerson *
find_person(const char *index, ScanKey scan_key)
{
	HTAB	   *rows = remembered_rows(&people, sizeof(MedsyncPerson));
	MedsyncPerson *result = NULL;
	MedsyncPerson person;
	LookUp		look;
	HeapTuple	tuple;

	look_up(&look, "person", index, 1, scan_key);
	person_relid = RelationGetRelid(look.heap);
	tuple = medsync_scan_next(&look.scan);
	if (tuple != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(people.context);

		if (person_from_tuple(tuple, RelationGetDescr(look.heap), &person))
		{
			result = hash_search(rows, person.id, HASH_ENTER, NULL);
			*result = person;
		}
		MemoryContextSwitchTo(oldcontext);
	}
	end_look_up(&look);
	return result;
}

/* The person with an id, or NULL. */
const MedsyncPerson *
medsync_person_find(const uint8 *id)
{
	const MedsyncPerson *person =
	hash_search(remembered_rows(&people, sizeof(MedsyncPerson)), id,
				HASH_FIND, NULL);
	ScanKeyData key;

	if (person != NULL)
		return person;
	uuid_scan_key(&key, id);
	return find_person("person_pkey", &key);
}

/* The person behind a role, or NULL. */
const MedsyncPerson *
medsync_person_by_role(const char *role)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(role));
	key.sk_collation = C_COLLATION_OID;
	return find_person("person_role_key", &key);
}

/* The key with an id, or NULL. */
const MedsyncPersonKey *
medsync_person_key_find(const uint8 *id)
{
	HTAB	   *rows = remembered_rows(&keys, sizeof(MedsyncPersonKey));
	MedsyncPersonKey *result = hash_search(rows, id, HASH_FIND, NULL);
	MedsyncPersonKey key;
	ScanKeyData scan_key;
	LookUp		look;
	HeapTuple	tuple;

	if (result != NULL)
		return result;
	uuid_scan_key(&scan_key, id);
	look_up(&look, "person_key", "person_key_pkey", 1, &scan_key);
	person_key_relid = RelationGetRelid(look.heap);
	tuple = medsync_scan_next(&look.scan);
	if (tuple != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(keys.context);

		if (key_from_tuple(tuple, RelationGetDescr(look.heap), &key))
		{
			read_key(&key);
			result = hash_search(rows, id, HASH_ENTER, NULL);
			*result = key;
		}
		MemoryContextSwitchTo(oldcontext);
	}
	end_look_up(&look);
	return result;
}

/* Did a key count at a time?  Whether its person was active is another question. */
bool
medsync_person_key_valid(const MedsyncPersonKey *key, TimestampTz at)
{
	return key->key != NULL && key->valid_from <= at &&
		at < key->valid_until && at < key->revoked_at;
}

/*
 * The newest key of a person that wraps other keys and counts now, or NULL.
 * Of two that were entered at once the one with the greater id is newer, so
 * that everybody takes the same.
 */
const MedsyncPersonKey *
medsync_person_wrapping_key(const uint8 *person)
{
	TimestampTz now = medsync_identity_now();
	MedsyncPersonKey newest = {.valid_from = DT_NOBEGIN};
	bool		found = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync keys of a person",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	ScanKeyData scan_key;
	LookUp		look;
	HeapTuple	tuple;

	uuid_scan_key(&scan_key, person);
	look_up(&look, "person_key", "person_key_person_idx", 1, &scan_key);
	while ((tuple = medsync_scan_next(&look.scan)) != NULL)
	{
		MedsyncPersonKey key;

		if (!key_from_tuple(tuple, RelationGetDescr(look.heap), &key))
			continue;
		read_key(&key);
		if (!medsync_algorithm_wraps(key.algorithm) ||
			!medsync_person_key_valid(&key, now))
			continue;
		if (!found || key.valid_from > newest.valid_from ||
			(key.valid_from == newest.valid_from &&
			 memcmp(key.id, newest.id, MEDSYNC_ID_SIZE) > 0))
			newest = key;
		found = true;
	}
	end_look_up(&look);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return found ? medsync_person_key_find(newest.id) : NULL;
}

/*
 * Every key there is now, by id.  Rows that make no sense are not there.  An
 * older snapshot would not do: capture takes keys that were committed since,
 * as in a transaction that keeps its snapshot, and no key ever goes.
 */
HTAB *
medsync_person_keys_load(MemoryContext context)
{
	HASHCTL		ctl = {.keysize = MEDSYNC_ID_SIZE,.entrysize = sizeof(MedsyncPersonKey),.hcxt = context};
	HTAB	   *result = hash_create("medsync keys", 64, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	LookUp		look;
	HeapTuple	tuple;

	look_up(&look, "person_key", NULL, 0, NULL);
	look.scan.own_changes = true;
	while ((tuple = medsync_scan_next(&look.scan)) != NULL)
	{
		MedsyncPersonKey key;

		if (key_from_tuple(tuple, RelationGetDescr(look.heap), &key))
			*(MedsyncPersonKey *) hash_search(result, key.id, HASH_ENTER,
											  NULL) = key;
	}
	end_look_up(&look);
	MemoryContextSwitchTo(oldcontext);
	return result;
}

/* One of those, parsed when it is first asked for, or NULL. */
const MedsyncPersonKey *
medsync_person_keys_find(HTAB *keys, const uint8 *id)
{
	MedsyncPersonKey *key = hash_search(keys, id, HASH_FIND, NULL);

	if (key != NULL)
		read_key(key);
	return key;
}

/*---- Functions ----*/

/* The key must be one that we offer, in its one encoding, and of the named algorithm. */
static void
check_public_key(const char *algorithm_name, const bytea *der)
{
	MedsyncKeyAlgorithm algorithm = medsync_algorithm_by_name(algorithm_name);
	MedsyncKeyAlgorithm found = MEDSYNC_ALGORITHM_NONE;
	MedsyncPublicKey *key;

	if (algorithm == MEDSYNC_ALGORITHM_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown key algorithm"),
				 errhint("Algorithms are ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 and x25519.")));
	key = medsync_public_key_read(VARDATA_ANY(der), VARSIZE_ANY_EXHDR(der));
	if (key != NULL)
	{
		found = medsync_public_key_algorithm(key);
		medsync_public_key_free(key);
	}
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("public key is malformed or not supported"),
				 errdetail("It must be SubjectPublicKeyInfo in DER, of algorithm %s.",
						   medsync_algorithm_name(algorithm))));
	if (found != algorithm)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("public key is not of algorithm %s",
						medsync_algorithm_name(algorithm)),
				 errdetail("It is of algorithm %s.",
						   medsync_algorithm_name(found))));
}

/* medsync.add_key(person, algorithm, public_key, valid_until) */
Datum
medsync_add_key(PG_FUNCTION_ARGS)
{
	MedsyncBind binds[6];
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	medsync_people_require(fcinfo, 0, "person");
	medsync_people_require(fcinfo, 1, "algorithm");
	medsync_people_require(fcinfo, 2, "public_key");
	PreventCommandIfReadOnly("medsync.add_key()");
	PreventCommandIfParallelMode("medsync.add_key()");
	check_public_key(text_to_cstring(PG_GETARG_TEXT_PP(1)),
					 PG_GETARG_BYTEA_PP(2));
	if (!PG_ARGISNULL(3) && PG_GETARG_TIMESTAMPTZ(3) <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("valid_until must be in the future")));
	medsync_track_own("person_key", "person");
	medsync_people_check_known(PG_GETARG_UUID_P(0));

	medsync_people_new_id(id);
	binds[0] = medsync_bind(UUIDOID, UUIDPGetDatum(id));
	binds[1] = medsync_bind_argument(fcinfo, 0, UUIDOID);
	binds[2] = medsync_bind_argument(fcinfo, 1, TEXTOID);
	binds[3] = medsync_bind_argument(fcinfo, 2, BYTEAOID);
	binds[4] = medsync_bind(TIMESTAMPTZOID, TimestampTzGetDatum(now));
	binds[5] = medsync_bind_argument(fcinfo, 3, TIMESTAMPTZOID);
	if (medsync_people_execute("INSERT INTO medsync.person_key"
							   " (id, person, algorithm, public_key, valid_from, valid_until)"
							   " VALUES ($1, $2, $3, $4, $5, $6)"
							   " ON CONFLICT (public_key) DO NOTHING",
							   6, binds) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("public key is registered already"),
				 errdetail("A key belongs to one person for good, also when it is revoked.")));
	PG_RETURN_UUID_P(id);
}

/* medsync.revoke_key(key, reason) */
Datum
medsync_revoke_key(PG_FUNCTION_ARGS)
{
	medsync_revocation_begins();
	medsync_people_revoke(fcinfo, "person_key", "key");
	PG_RETURN_VOID();
}

/* medsync.verify_signature(key, message, signature) */
Datum
medsync_verify_signature(PG_FUNCTION_ARGS)
{
	const MedsyncPersonKey *key =
	medsync_person_key_find(PG_GETARG_UUID_P(0)->data);
	bytea	   *message = PG_GETARG_BYTEA_PP(1);
	bytea	   *signature = PG_GETARG_BYTEA_PP(2);
	const MedsyncPerson *person;

	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key does not exist")));
	person = medsync_person_find(key->person);
	PG_RETURN_BOOL(person != NULL && person->active &&
				   medsync_person_key_valid(key, medsync_identity_now()) &&
				   medsync_signature_verify(key->key,
											VARDATA_ANY(message),
											VARSIZE_ANY_EXHDR(message),
											(uint8 *) VARDATA_ANY(signature),
											VARSIZE_ANY_EXHDR(signature)));
}
