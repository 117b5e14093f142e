/*-------------------------------------------------------------------------
 *
 * audit.c
 *		What verify() and view status say of signatures.
 *
 * verify() checks that the keys which sign are those that the log announced,
 * that every stored note is signed by one of them and says what its block
 * says, that stored cosignatures are right, and that the log still contains
 * what <signer key>.last says was signed.  None of this convinces an
 * outsider, who has a checkpoint of his own and medsync-verify; it tells the
 * hospital early.
 *
 * Nothing is stored.  Damage is a finding or an item, never an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "ledger/status.h"
#include "ledger/verify.h"
#include "proofs/checkpoint.h"
#include "proofs/signer.h"
#include "proofs/witness.h"

/* ---- verify() ---- */

/* A key that a signer entry announced */
typedef struct Announcement
{
	uint64		xid;
	char	   *verifier_key;
} Announcement;

/* Called for each signer entry: its key must be in _signer_key. */
static void
note_announcement(Verifier *verifier, const MedsyncWalkEntry *item)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(verifier->context);
	Announcement *announcement = palloc(sizeof(Announcement));
	const char *text = (const char *) item->entry->detail;
	int			len = item->entry->detail_len;
	const char *end = memchr(text, '\n', len);

	announcement->xid = item->header->xid;
	announcement->verifier_key = pnstrdup(text, end ? end - text : len);
	verifier->later = lappend(verifier->later, announcement);
	MemoryContextSwitchTo(oldcontext);
}

static void
report_signer(Verifier *verifier, int number, const char *detail)
{
	medsync_verify_report(verifier, "error", "bad_signature", NO_PLACE, NULL,
						  psprintf("key %d", number), detail);
}

/* Is this the key that the entry announced? */
static bool
is_announced(const MedsyncSignerKey *signer, const Announcement *announcement)
{
	StringInfoData text;

	initStringInfo(&text);
	medsync_vkey_write(&text, &signer->key);
	return signer->announced_by == announcement->xid &&
		strcmp(text.data, announcement->verifier_key) == 0;
}

/* All keys but a first one are announced by entries, in their order. */
static List *
check_signer_keys(Verifier *verifier)
{
	List	   *announced = verifier->later;
	int			malformed = 0;
	List	   *signers = medsync_signer_keys(verifier->snapshot, &malformed);
	int			number = 0;
	int			seen = 0;
	ListCell   *cell;

	if (malformed > 0)
		report_signer(verifier, 0, "A stored verifier key is malformed.");
	foreach(cell, signers)
	{
		MedsyncSignerKey *signer = lfirst(cell);

		if (signer->number != ++number)
		{
			report_signer(verifier, number, "A stored verifier key is missing.");
			number = signer->number;
		}
		if (number == 1 && signer->announced_by == 0)
			continue;
		if (seen >= list_length(announced) ||
			!is_announced(signer, list_nth(announced, seen)))
			report_signer(verifier, number,
						  "The stored verifier key is not the one that a signer entry announced.");
		seen++;
	}
	if (seen < list_length(announced))
		report_signer(verifier, number + 1,
					  "A verifier key that a signer entry announced is missing.");
	return signers;
}

/* One stored note: is it ours, and does it say what its block says? */
static void
check_note(Verifier *verifier, List *signers, int64 height, const char *note)
{
	FindingPlace place = {NULL, NULL, height, -1};
	MedsyncCheckpoint checkpoint;
	MedsyncBlock block;

	if (!medsync_checkpoint_note_ours(note, strlen(note), signers,
									  &checkpoint))
		medsync_verify_report(verifier, "error", "bad_signature", place, NULL,
							  NULL,
							  "The stored checkpoint of the block is not signed by the ledger's key.");
	else if (!medsync_block_by_height(height, verifier->snapshot, &block))
		medsync_verify_report(verifier, "error", "truncated", place,
							  psprintf(UINT64_FORMAT, checkpoint.size), NULL,
							  "A block that was signed is missing.");
	else if (checkpoint.size != (uint64) (block.first_index + block.entry_count) ||
			 memcmp(checkpoint.root, block.root, MEDSYNC_HASH_SIZE) != 0)
		medsync_verify_report(verifier, "error", "forked", place,
							  medsync_verify_hex(checkpoint.root,
												 MEDSYNC_HASH_SIZE),
							  medsync_verify_hex(block.root, MEDSYNC_HASH_SIZE),
							  "The block is not the one that was signed.");
}

/* All stored notes above what was verified before; the last height. */
static int64
check_notes(Verifier *verifier, List *signers)
{
	Relation	heap = medsync_open("_checkpoint", AccessShareLock);
	int64		last = -1;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_checkpoint_pkey", verifier->snapshot, 0,
					   NULL);
	scan.direction = BackwardScanDirection;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_checkpoint];
		bool		isnull[Natts_checkpoint];
		int64		height;
		MedsyncBlock block;

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		/* no block has a negative height */
		height = isnull[Anum_checkpoint_height - 1] ? -1 :
			DatumGetInt64(values[Anum_checkpoint_height - 1]);
		last = Max(last, height);
		if (verifier->since > 0 && medsync_block_by_height(height, verifier->snapshot, &block) &&
			block.first_index + block.entry_count <= verifier->since)
			break;
		check_note(verifier, signers, height,
				   isnull[Anum_checkpoint_note - 1] ? "" :
				   TextDatumGetCString(values[Anum_checkpoint_note - 1]));
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return last;
}

static const MedsyncWitness *
witness_named(List *witnesses, const char *name)
{
	ListCell   *cell;

	foreach(cell, witnesses)
	{
		const MedsyncWitness *witness = lfirst(cell);

		if (strcmp(witness->name, name) == 0)
			return witness;
	}
	return NULL;
}

/* One stored cosignature; that of a witness removed since has no key here. */
static void
check_cosignature(Verifier *verifier, List *witnesses, int64 height,
				  const char *name, const char *line)
{
	FindingPlace place = {NULL, NULL, height, -1};
	const MedsyncWitness *witness = witness_named(witnesses, name);
	char	   *note = medsync_checkpoint_note(height, verifier->snapshot);
	char	   *ended = psprintf("%s\n", line);
	MedsyncNote parsed;
	char	   *kept;
	uint64		cosigned_at;

	if (note == NULL || !medsync_note_parse(note, strlen(note), &parsed))
		medsync_verify_report(verifier, "error", "bad_signature", place, NULL,
							  name, "There is a cosignature of a checkpoint that is not there.");
	else if (witness != NULL && !witness->malformed &&
			 (medsync_cosignature_check(parsed.text, parsed.text_len, ended,
										strlen(ended), &witness->key, &kept,
										&cosigned_at) != MEDSYNC_NOTE_SIGNED ||
			  strcmp(kept, line) != 0))
		medsync_verify_report(verifier, "error", "bad_signature", place, NULL,
							  name, "A stored cosignature is not the witness's.");
}

static void
check_cosignatures(Verifier *verifier)
{
	Relation	heap = medsync_open("_cosignature", AccessShareLock);
	List	   *witnesses = medsync_witnesses(verifier->snapshot);
	MedsyncScan scan;
	HeapTuple	tuple;
	ListCell   *cell;

	foreach(cell, witnesses)
		if (((MedsyncWitness *) lfirst(cell))->malformed)
			medsync_verify_report(verifier, "error", "bad_signature", NO_PLACE,
								  NULL, ((MedsyncWitness *) lfirst(cell))->name,
								  "The stored verifier key of a witness is malformed.");
	medsync_scan_begin(&scan, heap, "_cosignature_pkey", verifier->snapshot, 0,
					   NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_cosignature];
		bool		isnull[Natts_cosignature];

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		check_cosignature(verifier, witnesses,
						  isnull[Anum_cosignature_height - 1] ? -1 :
						  DatumGetInt64(values[Anum_cosignature_height - 1]),
						  isnull[Anum_cosignature_witness - 1] ? "" :
						  TextDatumGetCString(values[Anum_cosignature_witness - 1]),
						  isnull[Anum_cosignature_line - 1] ? "" :
						  TextDatumGetCString(values[Anum_cosignature_line - 1]));
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

/* Has a sealed block waited too long for a signature? */
static void
check_staleness(Verifier *verifier, int64 signed_height)
{
	FindingPlace place = {NULL, NULL, signed_height + 1, -1};
	MedsyncBlock block;

	if (medsync_block_by_height(signed_height + 1, verifier->snapshot, &block) &&
		GetCurrentTimestamp() - block.sealed_at >
		(int64) medsync_stale_after * USECS_PER_SEC)
		medsync_verify_report(verifier, "warning", "stale", place, NULL,
							  timestamptz_to_str(block.sealed_at),
							  "A block has waited longer than medsync.stale_after for a signature.");
}

static void
check_last_signature(Verifier *verifier)
{
	uint64		size;
	const char *verdict = medsync_checkpoint_contradiction(&size);

	if (verdict != NULL)
		medsync_verify_report(verifier, "error", verdict, NO_PLACE,
							  psprintf(UINT64_FORMAT, size), NULL,
							  psprintf("File \"%s.last\" says that a log was signed which this one does not contain.",
									   medsync_signer_path()));
}

static void
verify_signatures(void *arg)
{
	Verifier   *verifier = arg;
	List	   *signers = check_signer_keys(verifier);
	int64		signed_height = check_notes(verifier, signers);

	check_cosignatures(verifier);
	check_staleness(verifier, signed_height);
	check_last_signature(verifier);
}

/* ---- status ---- */

/* The block of a height, if there is one: when was it sealed? */
static bool
block_sealed_at(int64 height, TimestampTz *sealed_at)
{
	MedsyncBlock block;

	if (!medsync_block_by_height(height, GetActiveSnapshot(), &block))
		return false;
	*sealed_at = block.sealed_at;
	return true;
}

static int64
age_of(TimestampTz then)
{
	TimestampTz now = GetCurrentTimestamp();

	return now > then ? (now - then) / USECS_PER_SEC : 0;
}

/* How far signatures reach, and how long what lies beyond has waited. */
static void
report_checkpoint(MedsyncStatusReport *report)
{
	MedsyncSignedCheckpoint checkpoint = {0};
	MedsyncNote note;
	MedsyncCheckpoint text = {0};
	bool		exists = medsync_checkpoint_stored(GetActiveSnapshot(),
												   &checkpoint);
	TimestampTz waits_since;
	TimestampTz signed_block;
	StringInfoData value;
	const char *state = MEDSYNC_STATUS_OK;
	const char *advice = NULL;

	initStringInfo(&value);
	if (!exists)
		checkpoint.height = -1;
	if (exists && medsync_note_parse(checkpoint.note,
									 strlen(checkpoint.note), &note) &&
		medsync_checkpoint_parse(note.text, note.text_len, &text))
	{
		appendStringInfo(&value, "size " UINT64_FORMAT ", origin %.*s",
						 text.size, (int) text.origin_len, text.origin);
		if (block_sealed_at(checkpoint.height, &signed_block))
			appendStringInfo(&value, ", of a block sealed %s ago",
							 medsync_status_age(age_of(signed_block)));
	}
	else
		appendStringInfoString(&value, "none yet");
	if (block_sealed_at(checkpoint.height + 1, &waits_since))
	{
		int64		age = age_of(waits_since);

		appendStringInfo(&value, "; unsigned blocks since %s",
						 medsync_status_age(age));
		if (age > medsync_stale_after)
		{
			appendStringInfoString(&value, ", stale");
			state = MEDSYNC_STATUS_WARNING;
			advice = RecoveryInProgress() ?
				"Find out why the primary does not sign, or does not send." :
				"Call medsync.seal(), and read what it says.";
		}
	}
	medsync_status_add(report, "checkpoint", value.data, state, advice);
}

static void
report_signer_key(MedsyncStatusReport *report)
{
	const char *path = medsync_signer_path();
	const char *detail = NULL;
	const char *hint = NULL;
	uint64		size;
	const char *verdict;

	if (RecoveryInProgress())
	{
		medsync_status_add(report, "signer_key_file", path,
						   MEDSYNC_STATUS_OK, NULL);
		return;
	}
	verdict = medsync_checkpoint_contradiction(&size);
	if (verdict != NULL)
		medsync_status_add(report, "signer_key_file",
						   psprintf("%s: size " UINT64_FORMAT " was signed, and this ledger does not contain it",
									verdict, size),
						   MEDSYNC_STATUS_ERROR,
						   "Find out what took entries away; if this database is to go on, call medsync.declare_era().");
	else if (!medsync_checkpoint_ready(&detail, &hint))
		medsync_status_add(report, "signer_key_file", detail,
						   MEDSYNC_STATUS_ERROR, hint);
	else if (medsync_key_file_in_data_directory(path))
		medsync_status_add(report, "signer_key_file", path,
						   MEDSYNC_STATUS_NOTICE,
						   "Move it out of the data directory and set medsync.signer_key_file, so that a restored backup knows what was signed after it.");
	else
		medsync_status_add(report, "signer_key_file", path,
						   MEDSYNC_STATUS_OK, NULL);
}

/* How many witnesses have cosigned the newest checkpoint. */
static void
report_witnesses(MedsyncStatusReport *report)
{
	MedsyncSignedCheckpoint checkpoint;
	MedsyncWitnessCount count = {0};
	StringInfoData value;
	bool		exists = medsync_checkpoint_stored(GetActiveSnapshot(),
												   &checkpoint);

	medsync_witness_count(exists ? checkpoint.height : -1,
						  exists ? checkpoint.note : "",
						  exists ? strlen(checkpoint.note) : 0,
						  GetActiveSnapshot(), &count);
	initStringInfo(&value);
	appendStringInfo(&value, "%d of %d have cosigned, %d needed",
					 list_length(count.cosigned), count.registered,
					 count.needed);
	if (count.forged != NIL)
		medsync_status_add(report, "witnesses", value.data,
						   MEDSYNC_STATUS_ERROR,
						   "A stored cosignature is wrong: run medsync.verify().");
	else if (!count.met)
		medsync_status_add(report, "witnesses", value.data,
						   MEDSYNC_STATUS_WARNING,
						   "Call medsync.submit_checkpoint(), and see which witness does not answer.");
	else
		medsync_status_add(report, "witnesses", value.data,
						   MEDSYNC_STATUS_OK, NULL);
}

static void
report_proofs(MedsyncStatusReport *report)
{
	report_checkpoint(report);
	report_signer_key(report);
	report_witnesses(report);
}

void
medsync_audit_init(void)
{
	static const MedsyncVerifyPart part = {
		"A checkpoint", note_announcement, verify_signatures
	};

	medsync_verify_register(&part);
	medsync_status_register(report_proofs);
}
