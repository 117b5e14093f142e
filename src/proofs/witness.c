/*-------------------------------------------------------------------------
 *
 * witness.c
 *		Witnesses of the ledger, and what they have cosigned.
 *
 * A witness remembers the newest checkpoint of a log that it was shown, and
 * signs another one only if that extends it.  Stored are _witness, a row for
 * each one that add_witness() registered, and _cosignature, a row for each
 * signature line that one gave and that was verified before; submit.c asks
 * for them.  A name stands for one key for ever: what remove_witness() leaves
 * behind still says who signed.  How many must have signed is nowhere but in
 * the setting medsync.witness_policy.
 *
 * Members of medsync_admin write here.  Registering takes
 * ShareRowExclusiveLock on _witness to the end of the transaction; readers
 * do not wait for it.  Rows of _cosignature are written under a short lock
 * of their own, given back at once, so that two sessions that were given the
 * same cosignature never wait for each other's transaction.  Writers of
 * tracked tables and the sealer take neither.  Reading works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "common/catalog.h"
#include "common/wire.h"
#include "proofs/checkpoint.h"
#include "proofs/http.h"
#include "proofs/witness.h"

/* attributes of _witness */
enum
{
	Anum_witness_name = 1,
	Anum_witness_url,
	Anum_witness_verifier_key,
	Natts_witness = 3
};

#define POLICY_INVALID	(-1)

/*---- GUC variables ----*/

/* How long submit_checkpoint() waits for all witnesses together, in ms. */
int			medsync_witness_timeout = 10 * 1000;

/* How many witnesses must have cosigned a checkpoint. */
static char *witness_policy = "none";

PG_FUNCTION_INFO_V1(medsync_add_witness);
PG_FUNCTION_INFO_V1(medsync_remove_witness);
PG_FUNCTION_INFO_V1(medsync_set_witness_policy);
PG_FUNCTION_INFO_V1(medsync_witnessed);

/*---- Policy ----*/

/*
 * How many cosignatures a policy asks for where so many witnesses are
 * registered.  Without a witness "all" is one, not none: who removes the
 * last one has not met it.
 */
static int
policy_needs(const char *policy, int registered)
{
	char	   *end;
	long		number;

	if (pg_strcasecmp(policy, "none") == 0)
		return 0;
	if (pg_strcasecmp(policy, "any") == 0)
		return 1;
	if (pg_strcasecmp(policy, "all") == 0)
		return Max(registered, 1);
	if (policy[0] < '1' || policy[0] > '9')
		return POLICY_INVALID;
	errno = 0;
	number = strtol(policy, &end, 10);
	if (errno != 0 || *end != '\0' || number > MEDSYNC_WITNESS_MAX)
		return POLICY_INVALID;
	return (int) number;
}

static bool
check_policy(char **newval, void **extra, GucSource source)
{
	if (policy_needs(*newval, 0) != POLICY_INVALID)
		return true;
	GUC_check_errdetail("A policy is \"none\", \"any\", \"all\" or a number from 1 to %d.",
						MEDSYNC_WITNESS_MAX);
	return false;
}

void
medsync_witness_init(void)
{
	DefineCustomStringVariable("medsync.witness_policy",
							   "Sets how many of the registered witnesses must have cosigned a checkpoint.",
							   "\"none\", \"any\", \"all\" or a number.",
							   &witness_policy,
							   "none",
							   PGC_SUSET,
							   0,
							   check_policy, NULL, NULL);
	DefineCustomIntVariable("medsync.witness_timeout",
							"Sets how long submit_checkpoint() waits for the witnesses.",
							NULL,
							&medsync_witness_timeout,
							10 * 1000, 100, 10 * 60 * 1000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
}

/*---- Reading ----*/

/* A column of text that is never null, unless somebody altered the table. */
static char *
get_text(HeapTuple tuple, int attnum, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attnum, desc, &isnull);

	return isnull ? pstrdup("") : TextDatumGetCString(value);
}

/* The registered witnesses, by name. */
List *
medsync_witnesses(Snapshot snapshot)
{
	Relation	heap = medsync_open("_witness", AccessShareLock);
	TupleDesc	desc = RelationGetDescr(heap);
	List	   *result = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_witness_pkey", snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncWitness *witness = palloc0(sizeof(MedsyncWitness));
		char	   *key = get_text(tuple, Anum_witness_verifier_key, desc);

		witness->name = get_text(tuple, Anum_witness_name, desc);
		witness->url = get_text(tuple, Anum_witness_url, desc);
		witness->malformed =
			!medsync_vkey_parse(key, strlen(key), &witness->key) ||
			witness->key.type != MEDSYNC_SIGNATURE_COSIGNATURE;
		result = lappend(result, witness);
		pfree(key);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return result;
}

/* Does a signature line name this key? */
static bool
line_is_by(const MedsyncNoteSignature *signature, const MedsyncVerifierKey *key)
{
	return signature->name_len == strlen(key->name) &&
		memcmp(signature->name, key->name, signature->name_len) == 0 &&
		memcmp(signature->id, key->id, MEDSYNC_NOTE_KEY_ID_SIZE) == 0;
}

/* The first right line of a key, and its time; NULL: none. */
static char *
find_right_line(MedsyncNote *note, const MedsyncVerifierKey *key,
				uint64 *cosigned_at)
{
	int			i;

	for (i = 0; i < note->signature_count; i++)
	{
		MedsyncNoteSignature *signature = &note->signatures[i];
		MedsyncNote one;

		if (!line_is_by(signature, key))
			continue;
		one.text = note->text;
		one.text_len = note->text_len;
		one.signature_count = 1;
		one.signatures[0] = *signature;
		if (medsync_note_check(&one, key, cosigned_at) == MEDSYNC_NOTE_SIGNED)
			return pnstrdup(signature->line, signature->line_len);
	}
	return NULL;
}

/*
 * What signature lines, each with its newline, say about the text of a
 * checkpoint.  SIGNED comes with the line that counts and its time.  Lines
 * that are none count as if they were not there; a time of 0, which says
 * nothing about when, is as bad as a wrong signature.
 */
MedsyncNoteVerdict
medsync_cosignature_check(const char *text, size_t text_len,
						  const char *lines, size_t lines_len,
						  const MedsyncVerifierKey *key, char **line,
						  uint64 *cosigned_at)
{
	MedsyncNoteVerdict verdict = MEDSYNC_NOTE_NOT_SIGNED;
	MedsyncNote *note = palloc(sizeof(MedsyncNote));
	StringInfoData buf;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, text, (int) text_len);
	appendStringInfoChar(&buf, '\n');
	appendBinaryStringInfo(&buf, lines, (int) lines_len);

	/* an empty line in the lines would make another text of it */
	if (medsync_note_parse(buf.data, buf.len, note) &&
		note->text_len == text_len)
		verdict = medsync_note_check(note, key, cosigned_at);
	if (verdict == MEDSYNC_NOTE_SIGNED)
	{
		*line = find_right_line(note, key, cosigned_at);
		if (*line == NULL || *cosigned_at == 0)
			verdict = MEDSYNC_NOTE_FORGED;
	}
	pfree(note);
	pfree(buf.data);
	return verdict;
}

/* Scan _cosignature for one height and witness. */
static void
begin_cosignature_scan(MedsyncScan *scan, Relation heap, int64 height,
					   const char *witness, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(height));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(witness));
	medsync_scan_begin(scan, heap, "_cosignature_pkey", snapshot, 2, keys);
}

/* The stored line of a height and witness, or NULL. */
static char *
read_cosignature(Relation heap, int64 height, const char *witness,
				 Snapshot snapshot)
{
	MedsyncScan scan;
	HeapTuple	tuple;
	char	   *line = NULL;

	begin_cosignature_scan(&scan, heap, height, witness, snapshot);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
		line = get_text(tuple, Anum_cosignature_line, RelationGetDescr(heap));
	medsync_scan_end(&scan);
	return line;
}

/*
 * Find the newest cosignature that a witness gave, below a height.  Gives
 * its height and, if asked for, its line; -1: there is none.
 */
static int64
find_newest(const char *witness, int64 below, Snapshot snapshot, char **line)
{
	Relation	heap = medsync_open("_cosignature", AccessShareLock);
	TupleDesc	desc = RelationGetDescr(heap);
	int64		height = -1;
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(witness));
	ScanKeyInit(&keys[1], 2, BTLessStrategyNumber, F_INT8LT,
				Int64GetDatum(below));
	medsync_scan_begin(&scan, heap, "_cosignature_witness_idx", snapshot, 2,
					   keys);
	scan.direction = BackwardScanDirection;
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;

		height = DatumGetInt64(heap_getattr(tuple, Anum_cosignature_height,
											desc, &isnull));
		if (line != NULL)
			*line = get_text(tuple, Anum_cosignature_line, desc);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return height;
}

/* The height of the newest cosignature of a witness below one; -1: none. */
int64
medsync_cosignature_newest(const char *witness, int64 below,
						   Snapshot snapshot)
{
	return find_newest(witness, below, snapshot, NULL);
}

/* Note in a count what one witness has done. */
static void
count_witness(MedsyncWitnessCount *count, Relation heap, int64 height,
			  const char *text, size_t text_len,
			  const MedsyncWitness *witness, Snapshot snapshot)
{
	char	   *stored = read_cosignature(heap, height, witness->name,
										  snapshot);
	char	   *lines;
	char	   *line;
	uint64		cosigned_at;

	if (stored == NULL || witness->malformed)
		return;
	lines = psprintf("%s\n", stored);
	if (medsync_cosignature_check(text, text_len, lines, strlen(lines),
								  &witness->key, &line,
								  &cosigned_at) == MEDSYNC_NOTE_SIGNED)
		count->cosigned = lappend(count->cosigned, witness->name);
	else
		count->forged = lappend(count->forged, witness->name);
}

/*
 * Who has cosigned the checkpoint of a block, whose signed note this is, and
 * whether that is enough.  Every stored cosignature is verified anew; of the
 * note only the text is looked at.
 */
void
medsync_witness_count(int64 height, const char *note, size_t len,
					  Snapshot snapshot, MedsyncWitnessCount *count)
{
	List	   *witnesses = medsync_witnesses(snapshot);
	const char *text_end = memmem(note, len, "\n\n", 2);
	size_t		text_len = text_end ? (size_t) (text_end + 1 - note) : len;
	Relation	heap = medsync_open("_cosignature", AccessShareLock);
	ListCell   *cell;

	memset(count, 0, sizeof(*count));
	count->registered = list_length(witnesses);
	count->needed = policy_needs(witness_policy, count->registered);
	foreach(cell, witnesses)
		count_witness(count, heap, height, note, text_len, lfirst(cell),
					  snapshot);
	count->met = list_length(count->cosigned) >= count->needed;
	table_close(heap, AccessShareLock);
}

/* Names as an array. */
static Datum
name_array(List *names)
{
	Datum	   *elements = palloc(Max(list_length(names), 1) * sizeof(Datum));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, names)
		elements[count++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(elements, count, TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/* medsync._witnessed(height int8, note text) */
Datum
medsync_witnessed(PG_FUNCTION_ARGS)
{
	text	   *note = PG_GETARG_TEXT_PP(1);
	MedsyncWitnessCount count;
	TupleDesc	desc;
	Datum		values[5];
	bool		isnull[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	medsync_witness_count(PG_GETARG_INT64(0), VARDATA_ANY(note),
						  VARSIZE_ANY_EXHDR(note), GetActiveSnapshot(),
						  &count);
	values[0] = Int32GetDatum(count.registered);
	values[1] = Int32GetDatum(count.needed);
	values[2] = name_array(count.cosigned);
	values[3] = name_array(count.forged);
	values[4] = BoolGetDatum(count.met);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, isnull)));
}

/*---- Storing cosignatures ----*/

/* The lock under which rows of _cosignature are made; see above. */
static void
cosignature_lock_tag(LOCKTAG *tag, Relation heap)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, RelationRelationId,
					   RelationGetRelid(heap), 0);
}

/* Is there such a row, or is another transaction just making it? */
static bool
cosignature_exists(Relation heap, int64 height, const char *witness)
{
	SnapshotData dirty;
	MedsyncScan scan;
	bool		found;

	InitDirtySnapshot(dirty);
	begin_cosignature_scan(&scan, heap, height, witness, &dirty);
	found = medsync_scan_next(&scan) != NULL;
	medsync_scan_end(&scan);
	return found;
}

/*
 * Store a verified cosignature.  False: there is one already.  Should the
 * transaction that is making it fail, the next submission gets another.
 */
bool
medsync_cosignature_store(int64 height, const char *witness, const char *line)
{
	Relation	heap = medsync_open("_cosignature", RowExclusiveLock);
	Datum		values[Natts_cosignature];
	bool		isnull[Natts_cosignature] = {0};
	LOCKTAG		tag;
	bool		exists;

	cosignature_lock_tag(&tag, heap);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	exists = cosignature_exists(heap, height, witness);
	if (!exists)
	{
		HeapTuple	tuple;

		values[Anum_cosignature_height - 1] = Int64GetDatum(height);
		values[Anum_cosignature_witness - 1] = CStringGetTextDatum(witness);
		values[Anum_cosignature_line - 1] = CStringGetTextDatum(line);
		tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
		medsync_insert_quietly(heap, tuple, false);
		heap_freetuple(tuple);
	}
	(void) LockRelease(&tag, ExclusiveLock, false);
	table_close(heap, RowExclusiveLock);
	return !exists;
}

/*---- Registering ----*/

/* A text argument that must be there. */
static char *
get_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static void
check_name(const char *name)
{
	if (strlen(name) > MEDSYNC_WITNESS_NAME_MAX ||
		!medsync_key_name_valid(name, strlen(name)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid name for a witness"),
				 errdetail("A name has 1 to %d bytes and no blanks, control characters or plus signs.",
						   MEDSYNC_WITNESS_NAME_MAX)));
}

static void
check_url(const char *name, const char *url)
{
	const char *problem = medsync_http_url_problem(url);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid URL for witness \"%s\"", name),
				 errdetail("%s", problem),
				 errhint("Give the submission prefix of the witness, such as https://witness.example.org; add-checkpoint is asked for below it.")));
}

/* Read the verifier key of a witness, and see that it is one. */
static void
parse_key(const char *name, const char *text, MedsyncVerifierKey *key)
{
	if (!medsync_vkey_parse(text, strlen(text), key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid verifier key for witness \"%s\"", name),
				 errdetail("It is not of the form name+id+key, or its id does not belong to its name and key, or its type is not known."),
				 errhint("Copy the whole key as the witness's operator publishes it; only keys for Ed25519 cosignatures are supported.")));
	if (key->type != MEDSYNC_SIGNATURE_COSIGNATURE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("verifier key for witness \"%s\" is not that of a witness",
						name),
				 errdetail("It has type %d, for signatures of a log; cosignatures have type %d.",
						   key->type, MEDSYNC_SIGNATURE_COSIGNATURE)));
}

/* One key under two names would count twice. */
static void
check_not_registered(const char *name, const MedsyncVerifierKey *key)
{
	List	   *witnesses = medsync_witnesses(SnapshotSelf);
	ListCell   *cell;

	foreach(cell, witnesses)
	{
		MedsyncWitness *other = lfirst(cell);

		if (strcmp(other->name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("witness \"%s\" is registered already", name),
					 errhint("Remove it first with medsync.remove_witness() to give it another URL.")));
		if (!other->malformed &&
			memcmp(other->key.public_key, key->public_key,
				   MEDSYNC_ED25519_KEY_SIZE) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("witness \"%s\" has the same key", other->name),
					 errdetail("One key under two names would count as two witnesses.")));
	}
	if (list_length(witnesses) >= MEDSYNC_WITNESS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("no more than %d witnesses can be registered",
						MEDSYNC_WITNESS_MAX)));
}

/* A name that was used stays that of its key. */
static void
check_name_unused(const char *name, const MedsyncVerifierKey *key)
{
	MedsyncNote *note = palloc(sizeof(MedsyncNote));
	char	   *line;
	char	   *text;

	if (find_newest(name, PG_INT64_MAX, SnapshotSelf, &line) < 0)
		return;
	text = psprintf("\n\n%s\n", line);	/* a note needs a text */
	if (!medsync_note_parse(text, strlen(text), note) ||
		!line_is_by(&note->signatures[0], key))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("name \"%s\" was that of a witness with another key",
						name),
				 errdetail("Its cosignatures are kept under the name."),
				 errhint("Choose another name.")));
	pfree(note);
}

static void
store_witness(Relation heap, const char *name, const char *url,
			  const char *key)
{
	Datum		values[Natts_witness];
	bool		isnull[Natts_witness] = {0};

	values[Anum_witness_name - 1] = CStringGetTextDatum(name);
	values[Anum_witness_url - 1] = CStringGetTextDatum(url);
	values[Anum_witness_verifier_key - 1] = CStringGetTextDatum(key);
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap), values,
											 isnull));
	CommandCounterIncrement();
}

/* medsync.add_witness(name text, url text, verifier_key text) */
Datum
medsync_add_witness(PG_FUNCTION_ARGS)
{
	char	   *name = get_argument(fcinfo, 0, "name");
	char	   *url = get_argument(fcinfo, 1, "url");
	char	   *key_text = get_argument(fcinfo, 2, "verifier_key");
	MedsyncVerifierKey key;
	Relation	heap;

	PreventCommandIfReadOnly("medsync.add_witness()");
	PreventCommandIfParallelMode("medsync.add_witness()");
	check_name(name);
	check_url(name, url);
	parse_key(name, key_text, &key);
	heap = medsync_open("_witness", ShareRowExclusiveLock);
	check_not_registered(name, &key);
	check_name_unused(name, &key);
	store_witness(heap, name, url, key_text);
	table_close(heap, NoLock);
	PG_RETURN_VOID();
}

/* medsync.remove_witness(name text) */
Datum
medsync_remove_witness(PG_FUNCTION_ARGS)
{
	char	   *name = get_argument(fcinfo, 0, "name");
	Relation	heap;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	PreventCommandIfReadOnly("medsync.remove_witness()");
	PreventCommandIfParallelMode("medsync.remove_witness()");
	heap = medsync_open("_witness", ShareRowExclusiveLock);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(name));
	medsync_scan_begin(&scan, heap, "_witness_pkey", SnapshotSelf, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("witness \"%s\" is not registered", name)));
	simple_heap_delete(heap, &tuple->t_self);
	medsync_scan_end(&scan);
	table_close(heap, NoLock);
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

/* Keep a policy for the database's later sessions, and for this one. */
static void
store_policy(const char *policy)
{
	Oid			save_userid;
	int			save_sec_context;

	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	medsync_spi_execute(psprintf("ALTER DATABASE %s SET medsync.witness_policy = %s",
								 quote_identifier(get_database_name(MyDatabaseId)),
								 quote_literal_cstr(policy)));
	SetUserIdAndSecContext(save_userid, save_sec_context);
	(void) set_config_option("medsync.witness_policy", policy, PGC_SUSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}

/* medsync.set_witness_policy(policy text) */
Datum
medsync_set_witness_policy(PG_FUNCTION_ARGS)
{
	char	   *policy = get_argument(fcinfo, 0, "policy");
	int			registered;
	int			needed;

	PreventCommandIfReadOnly("medsync.set_witness_policy()");
	PreventCommandIfParallelMode("medsync.set_witness_policy()");
	registered = list_length(medsync_witnesses(SnapshotSelf));
	needed = policy_needs(policy, registered);
	if (needed == POLICY_INVALID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid witness policy \"%s\"", policy),
				 errdetail("A policy is \"none\", \"any\", \"all\" or a number from 1 to %d.",
						   MEDSYNC_WITNESS_MAX)));
	store_policy(policy);
	if (needed > registered)
		ereport(NOTICE,
				(errmsg("the policy needs more witnesses than are registered"),
				 errdetail("Needed are %d, registered are %d.",
						   needed, registered),
				 errhint("Register witnesses with medsync.add_witness().")));
	PG_RETURN_VOID();
}
