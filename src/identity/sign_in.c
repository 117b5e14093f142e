/*-------------------------------------------------------------------------
 *
 * sign_in.c
 *		Challenge and response: acting as the person who holds a key.
 *
 * A challenge is a text that nobody stores: it says for which database and
 * person it is, when it expires, 32 random bytes, and a MAC over all that
 * under a key of the ledger.  Database means the era (ledger.c): the same
 * ledger in another database, cluster or timeline takes no challenge of this
 * one.  Who signs the text with a key of the person, acts as that person.
 *
 * Whatever is wrong with a sign-in, the error is the same and so is the
 * work: look-ups of person, key and challenge, and the verifications that
 * the length of the signature allows, with a key to which nobody has the
 * private one where there is no real one.
 *
 * A challenge is good once.  Stored is _spent_challenge, a row for each one
 * that somebody signed in with.  The row is frozen when it is inserted and
 * its WAL is flushed before anybody is signed in, so that neither a rollback
 * nor a crash gives the challenge back.  A lock on the digest makes looking
 * and inserting one step, and is given back at once, so that the losers of a
 * race wait for an fsync and never for a transaction.  The index on digests
 * is not unique: a crash between row and index entry leaves a row that no
 * look-up finds, and the challenge, with which nobody was signed in, may
 * still be used.  Rows go an hour after their challenge expired, some at each
 * sign-in; a clock that is set back by less brings no challenge back.
 *
 * Giving challenges works on a standby; signing in does not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/crypto.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "common/catalog.h"
#include "identity/identity_internal.h"
#include "ledger/ledger.h"
#include "vault/quiet.h"
#include "vault/vault.h"

#define CHALLENGE_PREFIX	"medsync-challenge-v1:"
#define CHALLENGE_SECONDS	60
#define NONCE_SIZE			32
#define SPENT_SIZE			16	/* bytes of a digest in _spent_challenge */
#define SPENT_HOURS			1	/* how much longer a row stays */
#define MAX_REMOVED			100 /* rows at a sign-in */

/* Where the parts of a challenge are; the expiry ends before the MAC */
#define AT_DATABASE			((int) sizeof(CHALLENGE_PREFIX) - 1)
#define AT_PERSON			(AT_DATABASE + 2 * MEDSYNC_ID_SIZE + 1)
#define AT_NONCE			(AT_PERSON + 36 + 1)
#define AT_EXPIRY			(AT_NONCE + 2 * NONCE_SIZE + 1)
#define MAC_TEXT_SIZE		(2 * MEDSYNC_HASH_SIZE)
#define CHALLENGE_MAX		(AT_EXPIRY + 20 + 1 + MAC_TEXT_SIZE)

/* attributes of _spent_challenge */
enum
{
	Anum_spent_digest = 1,
	Anum_spent_expires_at,
	Natts_spent = 2
};

typedef struct Challenge
{
	uint8		database[MEDSYNC_ID_SIZE];	/* id of the era */
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	uint8		nonce[NONCE_SIZE];
	int64		expiry;			/* Unix time */
} Challenge;

/* Which scopes a sign-in may have */
typedef enum SignInScope
{
	SIGN_IN_SCOPE_ANY,
	SIGN_IN_SCOPE_TRANSACTION
} SignInScope;

static const struct config_enum_entry scope_options[] = {
	{"any", SIGN_IN_SCOPE_ANY, false},
	{"transaction", SIGN_IN_SCOPE_TRANSACTION, false},
	{NULL, 0, false}
};

/* GUC variable */
static int	sign_in_scope = SIGN_IN_SCOPE_ANY;

PG_FUNCTION_INFO_V1(medsync_challenge);
PG_FUNCTION_INFO_V1(medsync_sign_in);

void
medsync_sign_in_init(void)
{
	DefineCustomEnumVariable("medsync.sign_in_scope",
							 "Sets for how long people may sign in.",
							 "\"transaction\" is for roles behind a pooler that gives out server connections by transaction.",
							 &sign_in_scope,
							 SIGN_IN_SCOPE_ANY,
							 scope_options,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);
}

/*---- Challenges ----*/

static int64
unix_time(void)
{
	return GetCurrentTimestamp() / USECS_PER_SEC +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

/* What a challenge says of the database; false: there is no ledger. */
static bool
database_id(uint8 *id)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	MedsyncEra	era;

	if (!medsync_ledger_read(ledger_id, &created_at))
		return false;
	medsync_era_current(ledger_id, &era);
	memcpy(id, era.id, MEDSYNC_ID_SIZE);
	return true;
}

/* The MAC of a challenge, over its text up to the colon before the MAC. */
static void
challenge_mac(const char *text, size_t len, uint8 *mac)
{
	uint8		key[MEDSYNC_KEY_SIZE];
	MedsyncHmacKey hmac_key;
	MedsyncHmac hmac;

	medsync_vault_root_key("challenge", key);
	medsync_hmac_key(&hmac_key, key, sizeof(key));
	medsync_hmac_start(&hmac, &hmac_key);
	medsync_hmac_update(&hmac, text, len);
	medsync_hmac_finish(&hmac, mac);
	medsync_cleanse(key, sizeof(key));
	medsync_cleanse(&hmac_key, sizeof(hmac_key));
	medsync_cleanse(&hmac, sizeof(hmac));
}

static void
put_hex(StringInfo buf, const uint8 *bytes, int len)
{
	enlargeStringInfo(buf, 2 * len);
	buf->len += (int) hex_encode((const char *) bytes, len,
								 buf->data + buf->len);
	buf->data[buf->len] = '\0';
}

/* medsync.challenge(person): the same for people who are not registered. */
Datum
medsync_challenge(PG_FUNCTION_ARGS)
{
	uint8		database[MEDSYNC_ID_SIZE];
	uint8		nonce[NONCE_SIZE];
	uint8		mac[MEDSYNC_HASH_SIZE];
	StringInfoData buf;

	if (!database_id(database))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger yet"),
				 errhint("medsync.register_person() makes it.")));
	medsync_random(nonce, sizeof(nonce));
	initStringInfo(&buf);
	appendStringInfoString(&buf, CHALLENGE_PREFIX);
	put_hex(&buf, database, sizeof(database));
	appendStringInfo(&buf, ":%s:",
					 medsync_id_text(PG_GETARG_UUID_P(0)->data));
	put_hex(&buf, nonce, sizeof(nonce));
	appendStringInfo(&buf, ":" INT64_FORMAT,
					 unix_time() + CHALLENGE_SECONDS);
	challenge_mac(buf.data, buf.len, mac);
	appendStringInfoChar(&buf, ':');
	put_hex(&buf, mac, sizeof(mac));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}

/* Did we write this text?  In constant time, given its length. */
static bool
challenge_is_ours(const char *text, size_t len)
{
	uint8		mac[MEDSYNC_HASH_SIZE];
	char		hex[MAC_TEXT_SIZE];

	if (len <= AT_EXPIRY + 1 + MAC_TEXT_SIZE || len > CHALLENGE_MAX)
		return false;
	challenge_mac(text, len - MAC_TEXT_SIZE - 1, mac);
	(void) hex_encode((const char *) mac, sizeof(mac), hex);
	return text[len - MAC_TEXT_SIZE - 1] == ':' &&
		CRYPTO_memcmp(hex, text + len - MAC_TEXT_SIZE, MAC_TEXT_SIZE) == 0;
}

/* Take a challenge apart; all zeros, which expired long ago, if it is not ours. */
static bool
read_challenge(const char *text, size_t len, Challenge *challenge)
{
	char	   *copy;

	memset(challenge, 0, sizeof(*challenge));
	if (!challenge_is_ours(text, len))
		return false;
	copy = pnstrdup(text, len);
	copy[AT_NONCE - 1] = '\0';
	(void) hex_decode(copy + AT_DATABASE, 2 * MEDSYNC_ID_SIZE,
					  (char *) challenge->database);
	memcpy(challenge->person,
		   DatumGetUUIDP(DirectFunctionCall1(uuid_in,
											 CStringGetDatum(copy + AT_PERSON)))->data,
		   MEDSYNC_PERSON_ID_SIZE);
	(void) hex_decode(copy + AT_NONCE, 2 * NONCE_SIZE,
					  (char *) challenge->nonce);
	challenge->expiry = strtoi64(copy + AT_EXPIRY, NULL, 10);
	return true;
}

/*---- Challenges that were used ----*/

/* Is there a row? */
static bool
is_spent(Relation heap, const uint8 *digest)
{
	bytea	   *value = medsync_make_bytea(digest, SPENT_SIZE);
	MedsyncScan scan;
	ScanKeyData key;
	bool		found;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BYTEAEQ,
				PointerGetDatum(value));
	medsync_scan_begin(&scan, heap, "_spent_challenge_digest_idx",
					   SnapshotSelf, 1, &key);
	found = medsync_scan_next(&scan) != NULL;
	medsync_scan_end(&scan);
	pfree(value);
	return found;
}

/* Is a challenge spent already?  Only a look: it may be a moment later. */
static bool
seems_spent(const uint8 *digest)
{
	Relation	heap = medsync_open("_spent_challenge", AccessShareLock);
	bool		spent = is_spent(heap, digest);

	table_close(heap, AccessShareLock);
	return spent;
}

/* The row that says it, for good: see above. */
static void
insert_spent(Relation heap, const uint8 *digest, TimestampTz expires_at)
{
	Datum		values[Natts_spent];
	bool		isnull[Natts_spent] = {0};
	HeapTuple	tuple;

	values[Anum_spent_digest - 1] =
		PointerGetDatum(medsync_make_bytea(digest, SPENT_SIZE));
	values[Anum_spent_expires_at - 1] = TimestampTzGetDatum(expires_at);
	tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
	medsync_insert_for_good(heap, tuple);
	heap_freetuple(tuple);
	XLogFlush(XactLastRecEnd);
}

/*
 * Remove some rows that nobody needs, unless another session is about it.
 * Should we roll back, the next one does it.
 */
static void
remove_expired(Relation heap)
{
	TimestampTz limit = GetCurrentTimestamp() - SPENT_HOURS * USECS_PER_HOUR;
	LOCKTAG		tag;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	int			removed = 0;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   RelationGetRelid(heap), 0);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return;
	ScanKeyInit(&key, 1, BTLessStrategyNumber, F_TIMESTAMPTZ_LT,
				TimestampTzGetDatum(limit));
	medsync_scan_begin(&scan, heap, "_spent_challenge_expires_at_idx",
					   SnapshotSelf, 1, &key);
	while (removed++ < MAX_REMOVED &&
		   (tuple = medsync_scan_next(&scan)) != NULL)
		simple_heap_delete(heap, &tuple->t_self);
	medsync_scan_end(&scan);
}

/* Spend a challenge.  False: somebody has. */
static bool
spend(const uint8 *digest, TimestampTz expires_at)
{
	Relation	heap = medsync_open("_spent_challenge", RowExclusiveLock);
	LOCKTAG		tag;
	uint32		place;
	bool		spent;

	remove_expired(heap);
	memcpy(&place, digest, sizeof(place));
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationGetRelid(heap), place, 0);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	spent = is_spent(heap, digest);
	if (!spent)
		insert_spent(heap, digest, expires_at);
	(void) LockRelease(&tag, ExclusiveLock, false);
	table_close(heap, NoLock);
	return !spent;
}

/*---- Signing in ----*/

/* A key to which nobody has the private one; made once a session. */
static MedsyncPublicKey *
nobodys_key(MedsyncKeyAlgorithm algorithm)
{
	static MedsyncPublicKey *made[MEDSYNC_X25519 + 1];

	if (made[algorithm] == NULL)
		made[algorithm] = medsync_public_key_dummy(algorithm);
	return made[algorithm];
}

/*
 * Does a signature over a text hold under a key of this algorithm?  If the
 * key is none of it, nobody's key is tried, in vain.
 */
static bool
try_algorithm(MedsyncKeyAlgorithm algorithm, const MedsyncPersonKey *key,
			  const char *text, size_t len,
			  const uint8 *signature, size_t signature_len)
{
	MedsyncPublicKey *nobodys = nobodys_key(algorithm);
	bool		real = key != NULL && key->key != NULL &&
		key->algorithm == algorithm;
	bool		holds;

	holds = medsync_signature_verify(real ? key->key : nobodys, text, len,
									 signature, signature_len);
	return real && holds;
}

/* The length of a signature says which algorithms it can be of. */
static bool
signature_holds(const MedsyncPersonKey *key, const char *text, size_t len,
				const bytea *signature)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(signature);
	size_t		signature_len = VARSIZE_ANY_EXHDR(signature);
	uint8		other[MEDSYNC_ED25519_SIGNATURE_SIZE];
	bool		fits = true;
	bool		ed25519;
	bool		p256;
	int			i;

	for (i = MEDSYNC_RSA_2048; i <= MEDSYNC_RSA_4096; i++)
		if (signature_len == (size_t) medsync_signature_size(i))
			return try_algorithm(i, key, text, len, bytes, signature_len);
	if (signature_len != sizeof(other))
	{
		memset(other, 1, sizeof(other));
		bytes = other;
		fits = false;
	}
	ed25519 = try_algorithm(MEDSYNC_ED25519, key, text, len, bytes,
							sizeof(other));
	p256 = try_algorithm(MEDSYNC_P256, key, text, len, bytes, sizeof(other));
	return fits && (ed25519 || p256);
}

/* Is it a challenge of this database that has not expired? */
static bool
challenge_is_current(const Challenge *challenge)
{
	uint8		here[MEDSYNC_ID_SIZE];
	int64		now = unix_time();

	return database_id(here) &&
		memcmp(challenge->database, here, MEDSYNC_ID_SIZE) == 0 &&
		now < challenge->expiry &&
		challenge->expiry <= now + CHALLENGE_SECONDS;
}

/* May this person act, and is this a good key of the person? */
static bool
key_is_good(const MedsyncPersonKey *key, const MedsyncPerson *person)
{
	return person != NULL && person->active && key != NULL &&
		memcmp(key->person, person->id, MEDSYNC_PERSON_ID_SIZE) == 0 &&
		medsync_person_key_valid(key, GetCurrentTimestamp());
}

/*
 * Check everything, whatever is found wrong first, and spend the challenge if
 * all is right.  Gives the person.
 */
static bool
check_credentials(const text *challenge_text, const uint8 *key_id,
				  const bytea *signature, uint8 *person_id)
{
	const char *text = VARDATA_ANY(challenge_text);
	size_t		len = VARSIZE_ANY_EXHDR(challenge_text);
	uint8		digest[MEDSYNC_HASH_SIZE];
	uint8		here[MEDSYNC_ID_SIZE];
	Challenge	challenge;
	const MedsyncPersonKey *key;
	const MedsyncPerson *person;
	bool		good;

	/* without a ledger there are no keys either */
	if (!database_id(here))
		return false;
	AcceptInvalidationMessages();
	good = read_challenge(text, len, &challenge);
	key = medsync_person_key_find(key_id);
	person = medsync_person_find(challenge.person);
	good &= signature_holds(key, text, Min(len, CHALLENGE_MAX), signature);
	good &= challenge_is_current(&challenge);
	good &= key_is_good(key, person);
	medsync_sha256(challenge.nonce, NONCE_SIZE, digest);
	good &= !seems_spent(digest);
	memcpy(person_id, challenge.person, MEDSYNC_PERSON_ID_SIZE);
	return good &&
		spend(digest,
			  (challenge.expiry -
			   (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) *
			  USECS_PER_SEC);
}

/* For the transaction?  Statements are not logged: they may hold what still signs in. */
static bool
scope_is_transaction(const text *scope)
{
	char	   *name = text_to_cstring(scope);

	if (strcmp(name, "transaction") == 0)
		return true;
	if (strcmp(name, "session") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scope must be \"session\" or \"transaction\""),
				 errhidestmt(true), errhidecontext(true)));
	if (sign_in_scope == SIGN_IN_SCOPE_TRANSACTION)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("people can sign in for a transaction only"),
				 errhint("Begin a transaction and call medsync.sign_in() with scope \"transaction\"."),
				 errhidestmt(true), errhidecontext(true)));
	return false;
}

/* What keeps anybody from signing in here. */
static void
check_possible(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"challenge", "key", "signature", "scope"};
	int			i;

	for (i = 0; i < (int) lengthof(names); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", names[i]),
					 errhidestmt(true), errhidecontext(true)));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery",
						"medsync.sign_in()"),
				 errhint("A challenge of this server is good on its primary."),
				 errhidestmt(true), errhidecontext(true)));
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s in a read-only transaction",
						"medsync.sign_in()"),
				 errdetail("It is written down that the challenge was used."),
				 errhidestmt(true), errhidecontext(true)));
	PreventCommandIfParallelMode("medsync.sign_in()");
}

/* medsync.sign_in(challenge, key, signature, scope) */
Datum
medsync_sign_in(PG_FUNCTION_ARGS)
{
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	bool		transaction;

	medsync_quiet_statement();
	check_possible(fcinfo);
	transaction = scope_is_transaction(PG_GETARG_TEXT_PP(3));
	if (!check_credentials(PG_GETARG_TEXT_PP(0), PG_GETARG_UUID_P(1)->data,
						   PG_GETARG_BYTEA_PP(2), person))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("sign-in refused"),
				 errhidestmt(true), errhidecontext(true)));
	medsync_actor_sign_in(person, PG_GETARG_UUID_P(1)->data, transaction);
	PG_RETURN_VOID();
}
