/*-------------------------------------------------------------------------
 *
 * signer_key.c
 *		Who signs: table _signer_key, rotation and new eras.
 *
 * _signer_key has the verifier keys in the order of their use; a key's name
 * is the origin.  The first is written with the first note (checkpoint.c).
 * Any other comes with a "signer" entry in the same transaction, whose id it
 * keeps, so that the log itself tells of the change: rotate_signer_key() keeps the
 * name and takes another key, declare_era() keeps the key and takes another
 * name.  The new key's file stands beside the old one until a note that
 * covers the signer entry is signed by both (signer.c).
 *
 * Rows are written under the sign lock, held to the end of the transaction,
 * and never changed.  A rollback leaves at most a key file that the next
 * rotation uses.  Not possible on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/journal.h"
#include "proofs/checkpoint.h"
#include "proofs/signer.h"

#define ERA_SHOWN	4			/* bytes of an era's id in a name */
#define REASON_MAX	(MEDSYNC_DETAIL_MAX - 1 - MEDSYNC_ORIGIN_MAX - 54)

enum
{
	Anum_signer_number = 1,
	Anum_signer_verifier_key,
	Anum_signer_announced_by,
	Natts_signer = 3
};

/*---- GUC variables ----*/

/*
 * The name under which a ledger's first checkpoint is signed, for good.  An
 * administrator sets it before, to a name that nobody else uses.
 */
static char *origin_setting = "";

PG_FUNCTION_INFO_V1(medsync_verifier_key);
PG_FUNCTION_INFO_V1(medsync_rotate_signer_key);
PG_FUNCTION_INFO_V1(medsync_declare_era);

/* A name that fits an entry's detail with its key and a reason. */
static bool
origin_valid(const char *origin)
{
	return strlen(origin) <= MEDSYNC_ORIGIN_MAX &&
		medsync_key_name_valid(origin, strlen(origin));
}

static bool
check_origin(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || origin_valid(*newval))
		return true;
	GUC_check_errdetail("An origin has 1 to %d bytes, without spaces, control characters and plus signs.",
						MEDSYNC_ORIGIN_MAX);
	return false;
}

void
medsync_signer_key_init(void)
{
	DefineCustomStringVariable("medsync.origin",
							   "Sets the name under which a ledger signs its first checkpoint.",
							   "Empty: medsync/ and the ledger's id.  Later changes have no effect; see medsync.declare_era().",
							   &origin_setting,
							   "",
							   PGC_SUSET, 0,
							   check_origin, NULL, NULL);
}

/* All verifier keys, oldest first; malformed rows are counted and left out. */
List *
medsync_signer_keys(Snapshot snapshot, int *malformed)
{
	Relation	heap = medsync_open("_signer_key", AccessShareLock);
	List	   *result = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_signer_key_pkey", snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncSignerKey *signer = palloc0(sizeof(MedsyncSignerKey));
		Datum		values[Natts_signer];
		bool		isnull[Natts_signer];
		text	   *stored;

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		signer->number = DatumGetInt32(values[Anum_signer_number - 1]);
		if (!isnull[Anum_signer_announced_by - 1])
		{
			signer->announced_by =
				U64FromFullTransactionId(DatumGetFullTransactionId(values[Anum_signer_announced_by - 1]));
			/* no transaction has that id, so it is not what we wrote */
			if (signer->announced_by == 0)
				signer->announced_by = PG_UINT64_MAX;
		}
		stored = isnull[Anum_signer_verifier_key - 1] ? NULL :
			DatumGetTextPP(values[Anum_signer_verifier_key - 1]);
		if (stored != NULL &&
			medsync_vkey_parse(VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored),
							   &signer->key) &&
			signer->key.type == MEDSYNC_SIGNATURE_ED25519)
			result = lappend(result, signer);
		else if (malformed != NULL)
			(*malformed)++;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

const MedsyncSignerKey *
medsync_signer_last(List *signers)
{
	return signers == NIL ? NULL : llast(signers);
}

/* Who signs now, as it stands at this moment; NULL before the first note. */
const MedsyncSignerKey *
medsync_signer_current(void)
{
	return medsync_signer_last(medsync_signer_keys(SnapshotSelf, NULL));
}

/* Under which name a ledger that never signed does so. */
char *
medsync_signer_default_origin(void)
{
	uint8		id[MEDSYNC_ID_SIZE];
	char		hex[2 * MEDSYNC_ID_SIZE + 1];
	TimestampTz created_at;

	if (origin_setting[0] != '\0')
		return pstrdup(origin_setting);
	if (!medsync_ledger_read(id, &created_at))
		return NULL;
	hex_encode((const char *) id, MEDSYNC_ID_SIZE, hex);
	hex[2 * MEDSYNC_ID_SIZE] = '\0';
	return psprintf("medsync/%s", hex);
}

/* Store a verifier key under the next number; the caller holds the sign lock. */
void
medsync_signer_store(const MedsyncVerifierKey *key, uint64 announced_by)
{
	Relation	heap = medsync_open("_signer_key", RowExclusiveLock);
	const MedsyncSignerKey *last = medsync_signer_current();
	Datum		values[Natts_signer];
	bool		isnull[Natts_signer] = {0};
	StringInfoData text;

	initStringInfo(&text);
	medsync_vkey_write(&text, key);
	values[Anum_signer_number - 1] =
		Int32GetDatum(last ? last->number + 1 : 1);
	values[Anum_signer_verifier_key - 1] = CStringGetTextDatum(text.data);
	isnull[Anum_signer_announced_by - 1] = announced_by == 0;
	values[Anum_signer_announced_by - 1] =
		FullTransactionIdGetDatum(FullTransactionIdFromU64(announced_by));
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap), values,
											 isnull));
	table_close(heap, RowExclusiveLock);
	CommandCounterIncrement();
}

/* medsync.verifier_key() */
Datum
medsync_verifier_key(PG_FUNCTION_ARGS)
{
	const MedsyncSignerKey *last = medsync_signer_current();
	StringInfoData text;

	if (last == NULL)
		PG_RETURN_NULL();
	initStringInfo(&text);
	medsync_vkey_write(&text, &last->key);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* Tell in the log itself that another key, or another name, signs from now. */
static void
announce_signer(const MedsyncVerifierKey *key, const char *reason)
{
	MedsyncEntry entry = {0};
	StringInfoData detail;

	initStringInfo(&detail);
	medsync_vkey_write(&detail, key);
	if (reason != NULL)
		appendStringInfo(&detail, "\n%s", reason);
	Assert(detail.len <= MEDSYNC_DETAIL_MAX);
	entry.operation = MEDSYNC_OP_SIGNER;
	entry.command = GetCurrentCommandId(true);
	entry.fields = MEDSYNC_HAS_DETAIL;
	entry.detail = (const uint8 *) detail.data;
	entry.detail_len = detail.len;
	medsync_journal_add(&entry);
	medsync_checkpoint_note_change();
	medsync_signer_store(key,
						 U64FromFullTransactionId(GetTopFullTransactionId()));
}

static void
check_can_change_signer(const char *function)
{
	uint8		id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;

	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	if (!medsync_ledger_read(id, &created_at))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger yet"),
				 errhint("Call medsync.track() to enter a first table.")));
	medsync_ledger_lock(MEDSYNC_LOCK_SIGN);
}

/* Read a key file that has to be usable. */
static void
read_signer_key(bool next, MedsyncSigningKey *secret)
{
	MedsyncKeyFileProblem fault;

	if (!medsync_signer_read(next, secret, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("%s", medsync_signer_text(next, &fault))));
}

/* Is this the key of a rotation that no note was signed by yet? */
static bool
next_key_is(const MedsyncVerifierKey *key)
{
	MedsyncSigningKey secret;
	MedsyncKeyFileProblem fault;
	bool		same;

	if (!medsync_signer_read(true, &secret, &fault))
		return false;
	same = memcmp(secret.public_key, key->public_key,
				  MEDSYNC_ED25519_KEY_SIZE) == 0;
	medsync_cleanse(&secret, sizeof(secret));
	return same;
}

/*
 * medsync.rotate_signer_key(): another key signs from the next checkpoint
 * on, which the old one signs as well.  If the file already holds another
 * key than the ledger knows, that is the one.
 */
Datum
medsync_rotate_signer_key(PG_FUNCTION_ARGS)
{
	const MedsyncSignerKey *last;
	MedsyncSigningKey secret;
	MedsyncVerifierKey key;
	StringInfoData text;

	check_can_change_signer("medsync.rotate_signer_key()");
	last = medsync_signer_current();
	if (last == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing was signed yet"),
				 errhint("Call medsync.seal(), which signs with the key that is there.")));
	if (next_key_is(&last->key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the last rotation has not signed yet"),
				 errhint("Call medsync.seal(), which signs with both keys.")));
	read_signer_key(false, &secret);
	if (memcmp(secret.public_key, last->key.public_key,
			   MEDSYNC_ED25519_KEY_SIZE) == 0)
	{
		medsync_signer_create(true);
		read_signer_key(true, &secret);
	}
	medsync_vkey_make(&key, last->key.name, MEDSYNC_SIGNATURE_ED25519,
					  secret.public_key);
	medsync_cleanse(&secret, sizeof(secret));
	announce_signer(&key, NULL);
	initStringInfo(&text);
	medsync_vkey_write(&text, &key);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* Did this ledger ever sign under a name? */
static bool
origin_used(List *signers, const char *origin)
{
	ListCell   *cell;

	foreach(cell, signers)
		if (strcmp(((MedsyncSignerKey *) lfirst(cell))->key.name, origin) == 0)
			return true;
	return false;
}

/* Was anything ever signed under a name, here or by another database? */
static bool
origin_taken(List *signers, const char *origin)
{
	MedsyncLastState state;
	char	   *problem;

	return origin_used(signers, origin) ||
		(medsync_last_read(origin, &state, &problem) &&
		 (state.has_signed || state.has_candidate));
}

/* A name that nobody else should take: the first one's, and the era's id. */
static char *
next_origin(List *signers)
{
	const MedsyncSignerKey *first = signers ? linitial(signers) : NULL;
	char	   *base = pstrdup(first ? first->key.name :
							   medsync_signer_default_origin());
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	MedsyncEra	era;
	char		hex[2 * ERA_SHOWN + 1];
	char	   *origin;
	int			i;

	if (!medsync_ledger_read(ledger_id, &created_at))
		return base;
	/* with room for what follows */
	base[pg_encoding_mbcliplen(PG_UTF8, base, strlen(base),
							   MEDSYNC_ORIGIN_MAX - 16)] = '\0';
	medsync_era_current(ledger_id, &era);
	hex_encode((const char *) era.id, ERA_SHOWN, hex);
	hex[2 * ERA_SHOWN] = '\0';
	origin = psprintf("%s/%s", base, hex);
	for (i = 2; origin_taken(signers, origin); i++)
		origin = psprintf("%s/%s-%d", base, hex, i);
	return origin;
}

/* medsync.declare_era(reason, origin) */
Datum
medsync_declare_era(PG_FUNCTION_ARGS)
{
	char	   *reason;
	char	   *origin;
	List	   *signers;
	MedsyncLastState state;
	char	   *problem;
	MedsyncSigningKey secret;
	MedsyncVerifierKey key;
	MedsyncKeyFileProblem fault;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("reason must not be null")));
	reason = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (reason[0] == '\0' || strlen(reason) > REASON_MAX ||
		strchr(reason, '\n') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must be one line of 1 to %d bytes",
						(int) REASON_MAX)));
	check_can_change_signer("medsync.declare_era()");
	signers = medsync_signer_keys(SnapshotSelf, NULL);
	if (!medsync_last_read("", &state, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing could be signed under a new name"),
				 errdetail("%s", problem),
				 errhint("Bring the file back from its backup; if there is none, remove it.")));
	origin = PG_ARGISNULL(1) ? next_origin(signers) :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!origin_valid(origin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid origin \"%s\"", origin),
				 errdetail("An origin has 1 to %d bytes, without spaces, control characters and plus signs.",
						   MEDSYNC_ORIGIN_MAX)));
	if (origin_taken(signers, origin))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("origin \"%s\" has been used", origin),
				 errhint("Give another one.")));
	if (!medsync_signer_read(false, &secret, &fault) &&
		fault.fault == MEDSYNC_KEY_FILE_MISSING)
		medsync_signer_create(false);
	read_signer_key(false, &secret);
	medsync_vkey_make(&key, origin, MEDSYNC_SIGNATURE_ED25519,
					  secret.public_key);
	medsync_cleanse(&secret, sizeof(secret));
	announce_signer(&key, reason);
	PG_RETURN_TEXT_P(cstring_to_text(origin));
}
