/*-------------------------------------------------------------------------
 *
 * verify_records.c
 *		The part of verify that reads the content of records.
 *
 * Chunks are not tracked, since their digest is in a row that is.  For each
 * version that the run's snapshot sees, the vault's signature on its
 * statement is checked, and the digest is computed again over the stored
 * chunks; chunks of no version are extra.  For each record the vault's
 * signature on its newest state is checked.  Nothing is decrypted, so that a
 * verifier learns nothing.  Versions whose row was written before the block
 * that since_size names are left out.
 *
 * AccessShareLocks only.  One chunk is in memory at a time.  What cannot be
 * read is a finding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "common/catalog.h"
#include "compat.h"
#include "ledger/verify.h"
#include "records/records.h"

#define VERSION_TABLE	"medsync._record_version"
#define HEAD_TABLE		"medsync._record_head"
#define CHUNK_TABLE		"medsync._record_chunk"

/* One run over all records */
typedef struct RecordCheck
{
	Verifier   *verifier;
	bool		has_key;
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	bool		has_block;		/* verified before: what this block saw */
	MedsyncBlock block;
	MemoryContext context;		/* reset for each version */
	uint8		id[MEDSYNC_ID_SIZE];	/* the version being read */
	int32		number;
} RecordCheck;

/* The place of the version being read. */
static FindingPlace
place_in(const RecordCheck *check, const char *relation)
{
	FindingPlace place = NO_PLACE;
	char	   *key = psprintf("{\"record\": \"%s\", \"version\": %d}",
							   medsync_id_text(check->id), check->number);

	place.relation = relation;
	place.row_key = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
													   CStringGetDatum(key)));
	return place;
}

static void
report(const RecordCheck *check, const char *relation, const char *verdict,
	   const char *detail)
{
	medsync_verify_report(check->verifier, "error", verdict,
						  place_in(check, relation), NULL, NULL, detail);
}

/*
 * Had the row's transaction ended when the block that was verified before
 * was made?  A frozen one had.
 */
static bool
verified_before(const RecordCheck *check, TransactionId xmin)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (!check->has_block)
		return false;
	if (!TransactionIdIsNormal(xmin))
		return true;
	if (xmin > XidFromFullTransactionId(next))
		epoch--;
	return medsync_xid_finished(&check->block.xids,
								U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xmin)));
}

/* ---- versions ---- */

static void
check_version(RecordCheck *check, const MedsyncRecord *record,
			  const MedsyncRecordVersion *version)
{
	MedsyncRecordReason reason;

	if (!version->intact)
	{
		report(check, VERSION_TABLE, "altered",
			   "A row of this version of the record is malformed, or names another patient.");
		return;
	}
	if (check->has_key &&
		!medsync_statement_holds(check->verifier->ledger_id,
								 check->public_key, record, version))
		report(check, VERSION_TABLE, "bad_signature",
			   "The vault did not sign this version of the record with these recipients.");
	reason = medsync_chunks_check(record, version, check->verifier->snapshot);
	if (reason == MEDSYNC_REASON_CHUNKS)
		report(check, CHUNK_TABLE, "altered",
			   "Chunks of the record are missing, extra or of a wrong size.");
	else if (reason == MEDSYNC_REASON_DIGEST)
		report(check, CHUNK_TABLE, "altered",
			   "The stored chunks are not those whose digest the vault signed.");
}

static void
check_one(void *arg)
{
	RecordCheck *check = arg;
	MedsyncRecord *record = medsync_record_find(check->id,
												check->verifier->snapshot);
	List	   *versions;

	if (record == NULL)
	{
		report(check, VERSION_TABLE, "extra",
			   "The version is of a record that does not exist.");
		return;
	}
	versions = medsync_record_versions(record, check->number,
									   check->verifier->snapshot);
	if (versions != NIL &&
		!verified_before(check, ((MedsyncRecordVersion *) linitial(versions))->xmin))
		check_version(check, record, linitial(versions));
}

/* Do some work on one version; what cannot be read is a finding. */
static void
try_one(RecordCheck *check, void (*work) (void *))
{
	MemoryContext oldcontext = MemoryContextSwitchTo(check->context);
	char	   *message;

	CHECK_FOR_INTERRUPTS();
	message = medsync_verify_try(work, check);
	if (message != NULL)
		report(check, CHUNK_TABLE, "altered",
			   psprintf("The record could not be read: %s", message));
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(check->context);
}

/* ---- heads ---- */

/* Is the record in the state that the vault signed last? */
static void
check_head(void *arg)
{
	RecordCheck *check = arg;
	Verifier   *verifier = check->verifier;
	MedsyncRecord *record = medsync_record_find(check->id, verifier->snapshot);
	MedsyncRecordHead *head;

	if (record == NULL)
	{
		report(check, HEAD_TABLE, "extra",
			   "The head is of a record that does not exist.");
		return;
	}
	head = medsync_head_find(record, verifier->snapshot);
	if (head == NULL || verified_before(check, head->xmin) || !check->has_key)
		return;
	if (!medsync_head_holds(verifier->ledger_id, check->public_key, record,
							head, verifier->snapshot))
		report(check, HEAD_TABLE, "bad_signature",
			   "The vault did not sign this state of the record last: a version is missing, or is an older one.");
}

/* ---- chunks ---- */

/* Is there the version of which a chunk is? */
static void
check_owner(void *arg)
{
	RecordCheck *check = arg;
	MedsyncRecord *record = medsync_record_find(check->id,
												check->verifier->snapshot);

	if (record == NULL || check->number <= 0 ||
		medsync_record_versions(record, check->number,
								check->verifier->snapshot) == NIL)
		report(check, CHUNK_TABLE, "extra",
			   "There are chunks of a version that does not exist.");
}

/*
 * Call "work" for each record and version that rows of a table name; rows
 * come in the order of an index that begins with both.
 */
static void
for_each_version(RecordCheck *check, const char *table, const char *index,
				 void (*work) (void *))
{
	Relation	heap = medsync_open(table, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(heap);
	bool		first = true;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, index, check->verifier->snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		bool		no_id;
		bool		no_number;
		Datum		id = heap_getattr(tuple, 1, desc, &no_id);
		Datum		number = heap_getattr(tuple, 2, desc, &no_number);

		if (no_id || no_number)
		{
			medsync_verify_report(check->verifier, "error", "altered",
								  NO_PLACE, NULL, NULL,
								  psprintf("Table %s.%s has a malformed row.",
										   MEDSYNC_SCHEMA, table));
			continue;
		}
		if (!first && check->number == DatumGetInt32(number) &&
			memcmp(check->id, DatumGetUUIDP(id)->data, MEDSYNC_ID_SIZE) == 0)
			continue;
		first = false;
		memcpy(check->id, DatumGetUUIDP(id)->data, MEDSYNC_ID_SIZE);
		check->number = DatumGetInt32(number);
		try_one(check, work);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

/* ---- the run ---- */

/*
 * The block that was verified before, if transaction numbers in it mean what
 * they mean here: not after a restore into another cluster.
 */
static bool
find_block(RecordCheck *check)
{
	Verifier   *verifier = check->verifier;
	MedsyncEra	current;
	MedsyncEra *era;

	if (verifier->since == 0 ||
		!medsync_block_of_index(&verifier->walk, verifier->since - 1,
								&check->block))
		return false;
	era = medsync_era_by_number(verifier->walk.eras, check->block.era);
	medsync_era_current(verifier->ledger_id, &current);
	return era != NULL && medsync_era_same_line(era, &current);
}

/* Is the records' content asked for? */
static bool
in_scope(Verifier *verifier)
{
	MedsyncTable *table;

	if (!verifier->scoped)
		return true;
	table = medsync_table_by_name(MEDSYNC_SCHEMA, "_record_version", false);
	return table != NULL &&
		medsync_verify_table(verifier, table->number)->in_scope;
}

/* Called after the ledger was read. */
static void
check_records(void *arg)
{
	Verifier   *verifier = arg;
	RecordCheck check = {.verifier = verifier};

	if (!in_scope(verifier))
		return;
	check.context = AllocSetContextCreate(verifier->context,
										  "medsync verified record",
										  ALLOCSET_DEFAULT_SIZES);
	check.has_key = medsync_statement_key_read(verifier->keys,
											   check.public_key) == MEDSYNC_KEY_OK;
	check.has_block = find_block(&check);
	for_each_version(&check, "_record_version", "_record_version_pkey",
					 check_one);
	for_each_version(&check, "_record_head", "_record_head_pkey", check_head);
	for_each_version(&check, "_record_chunk", "_record_chunk_pkey",
					 check_owner);
	MemoryContextDelete(check.context);
}

void
medsync_verify_records_init(void)
{
	static const MedsyncVerifyPart part = {
		.what = "A record",
		.finish = check_records
	};

	medsync_verify_register(&part);
}
