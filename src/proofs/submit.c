/*-------------------------------------------------------------------------
 *
 * submit.c
 *		Showing the newest checkpoint to the witnesses (C2SP tlog-witness).
 *
 * Every registered witness is sent the newest checkpoint, with a proof that
 * it extends the one this witness cosigned last, and gives its cosignature
 * back; all are asked at the same time.  What a witness answers, or that it
 * does not, is a row of the result and never an error: one that is down or
 * hostile is in nobody's way.  A cosignature is verified before it is stored
 * (witness.c).
 *
 * Our record of what a witness cosigned last may be wrong: it was lost with
 * a restored dump, another session was faster, or the witness lost its own.
 * Then the witness answers 409 with the size that it knows, and is asked
 * again from there.  If it knows a larger one than we have, then the ledger
 * was cut back or a copy of it signs as well: what witnesses are there for.
 *
 * Nothing is written, and no lock on a table of ours is held, while the
 * network is waited for; a cancel or an error then leaves everything as it
 * was, and the next call gets the same cosignatures.  Not possible on a
 * standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "common/wire.h"
#include "ledger/walk.h"
#include "proofs/checkpoint.h"
#include "proofs/http.h"
#include "proofs/tiles.h"
#include "proofs/witness.h"

#define SENDS_MAX		3		/* of one checkpoint to one witness */
#define EXCERPT_SIZE	200		/* bytes of an answer that are shown */

/* States, as users read them */
#define STATE_COSIGNED		"cosigned"
#define STATE_ALREADY		"already"
#define STATE_UNREACHABLE	"unreachable"
#define STATE_REFUSED		"refused"
#define STATE_AHEAD			"ahead"
#define STATE_FORGED		"forged"

/* A checkpoint that witnesses are shown */
typedef struct Shown
{
	MedsyncSignedCheckpoint checkpoint;
	size_t		text_len;		/* of its note's text */
} Shown;

/* One witness's part of a call */
typedef struct Submission
{
	const MedsyncWitness *witness;
	const Shown *shown;
	char	   *url;
	StringInfoData body;
	int64		old_size;		/* what the proof begins with */
	int			sends;
	const char *state;			/* of the row */
	char	   *detail;
	bool		differs;		/* about the past: worth a warning */
	char	   *line;			/* cosignature to be stored, or NULL */
} Submission;

/* A call */
typedef struct Submissions
{
	List	   *shown;			/* of Shown, the newest last */
	MedsyncHttpRequest *requests;
	Submission *submissions;	/* one for each request */
	int			count;
} Submissions;

PG_FUNCTION_INFO_V1(medsync_submit_checkpoint);

/*---- What the ledger holds ----*/

/* The first block that an index scan finds; NULL: there is none. */
static MedsyncBlock *
find_block(const char *index, AttrNumber attribute, int64 value,
		   Snapshot snapshot)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	MedsyncBlock *block = NULL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, attribute, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(value));
	medsync_scan_begin(&scan, heap, index, snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		block = palloc0(sizeof(MedsyncBlock));
		if (!medsync_block_read(tuple, RelationGetDescr(heap), block))
		{
			pfree(block);
			block = NULL;
		}
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return block;
}

/*
 * How many entries the newest checkpoint had that a witness cosigned; 0 if
 * it cosigned none.  Cosignatures of blocks that are gone do not count.
 */
static int64
cosigned_size(const char *witness, Snapshot snapshot)
{
	int64		height = PG_INT64_MAX;

	while ((height = medsync_cosignature_newest(witness, height,
												snapshot)) >= 0)
	{
		MedsyncBlock *block = find_block("_block_pkey", 1, height, snapshot);

		if (block != NULL)
			return block->first_index + block->entry_count;
	}
	return 0;
}

/* How many entries are sealed by now, also by others since we began. */
static int64
sealed_size(void)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MedsyncBlock *last = medsync_block_last(snapshot);

	UnregisterSnapshot(snapshot);
	return last ? last->first_index + last->entry_count : 0;
}

/* Take the newest checkpoint there is now. */
static const Shown *
show_newest(Submissions *all)
{
	Shown	   *shown = palloc0(sizeof(Shown));
	MedsyncNote *note = palloc(sizeof(MedsyncNote));

	medsync_checkpoint_latest(&shown->checkpoint);
	if (!medsync_note_parse(shown->checkpoint.note,
							strlen(shown->checkpoint.note), note))
		elog(ERROR, "checkpoint of block " INT64_FORMAT " is not a note",
			 shown->checkpoint.height);
	shown->text_len = note->text_len;
	pfree(note);
	all->shown = lappend(all->shown, shown);
	return shown;
}

/* Append the lines that prove the checkpoint to extend a smaller tree. */
static void
append_proof(StringInfo body, int64 old_size, int64 size)
{
	uint8		(*proof)[MEDSYNC_HASH_SIZE] =
		palloc(MEDSYNC_PROOF_MAX * MEDSYNC_HASH_SIZE);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MedsyncStoredTree *tree = medsync_stored_tree_open(size, snapshot);
	int			count = medsync_tiles_consistency(&tree->tiles, old_size,
												  size, proof);
	int			i;

	if (count < 0)
		medsync_stored_tree_damaged();
	medsync_stored_tree_close(tree);
	UnregisterSnapshot(snapshot);
	for (i = 0; i < count; i++)
	{
		medsync_wire_put_base64(body, proof[i], MEDSYNC_HASH_SIZE);
		appendStringInfoChar(body, '\n');
	}
	pfree(proof);
}

/* Write what is sent: old size, proof, an empty line, the signed note. */
static void
write_request(Submission *submission, MedsyncHttpRequest *request)
{
	StringInfo	body = &submission->body;
	int64		old_size = submission->old_size;
	int64		size = submission->shown->checkpoint.size;

	resetStringInfo(body);
	appendStringInfo(body, "old " INT64_FORMAT "\n", old_size);
	if (old_size > 0 && old_size < size)
		append_proof(body, old_size, size);
	appendStringInfoChar(body, '\n');
	appendStringInfoString(body, submission->shown->checkpoint.note);
	request->body = body->data;
	request->body_len = body->len;
	submission->sends++;
}

/*---- What a witness answers ----*/

/* A stranger's text for people: printable ASCII, one line, not too long. */
static char *
excerpt(const char *text, size_t len)
{
	StringInfoData buf;
	size_t		i;

	while (len > 0 && isspace((unsigned char) text[len - 1]))
		len--;
	initStringInfo(&buf);
	for (i = 0; i < Min(len, EXCERPT_SIZE); i++)
		appendStringInfoChar(&buf, text[i] >= ' ' && text[i] < 0x7f ?
							 text[i] : '?');
	if (len > EXCERPT_SIZE)
		appendStringInfoString(&buf, "...");
	return buf.data;
}

/* Decide on a row. */
static bool
finish(Submission *submission, const char *state, char *detail)
{
	submission->state = state;
	submission->detail = detail;
	return false;				/* nothing more to send */
}

/* The time that a witness gave, which may be any number. */
static char *
time_text(uint64 seconds)
{
	const uint64 last = UINT64CONST(253402300799);	/* of year 9999 */

	if (seconds > last)
		return psprintf(UINT64_FORMAT " seconds after 1970", seconds);
	return pstrdup(timestamptz_to_str(time_t_to_timestamptz((pg_time_t) seconds)));
}

/* 200: its cosignature should be among the lines. */
static bool
take_cosignature(Submission *submission, const MedsyncHttpRequest *request)
{
	const MedsyncVerifierKey *key = &submission->witness->key;
	const Shown *shown = submission->shown;
	uint64		cosigned_at;

	if (submission->witness->malformed)
		return finish(submission, STATE_REFUSED,
					  pstrdup("its verifier key in table medsync._witness is malformed"));
	switch (medsync_cosignature_check(shown->checkpoint.note, shown->text_len,
									  request->answer, request->answer_len,
									  key, &submission->line, &cosigned_at))
	{
		case MEDSYNC_NOTE_SIGNED:
			return finish(submission, STATE_COSIGNED,
						  psprintf("at %s", time_text(cosigned_at)));
		case MEDSYNC_NOTE_FORGED:
			submission->line = NULL;
			return finish(submission, STATE_FORGED,
						  psprintf("the cosignature by key %s does not verify",
								   key->name));
		case MEDSYNC_NOTE_NOT_SIGNED:
			break;
	}
	return finish(submission, STATE_REFUSED,
				  psprintf("its answer holds no cosignature by key %s: \"%s\"",
						   key->name,
						   excerpt(request->answer, request->answer_len)));
}

/* The body of a 409: a size in decimal and a newline. */
static bool
read_size(const MedsyncHttpRequest *request, int64 *size)
{
	const char *c = request->answer;
	uint64		value = 0;

	if (*c == '0' && c[1] != '\n')
		return false;
	for (; *c >= '0' && *c <= '9'; c++)
	{
		if (value > (PG_INT64_MAX - (uint64) (*c - '0')) / 10)
			return false;
		value = value * 10 + (*c - '0');
	}
	*size = (int64) value;
	return c > request->answer && *c == '\n' &&
		request->answer_len == (size_t) (c + 1 - request->answer);
}

/*
 * The witness knows a larger tree than that of the checkpoint it was shown.
 * Another session may have been faster: then there is a newer checkpoint,
 * and whether it extends what the witness knows, the witness can tell.
 */
static bool
meet_larger_tree(Submissions *all, Submission *submission,
				 MedsyncHttpRequest *request, int64 known)
{
	const Shown *newest = llast(all->shown);

	if (newest->checkpoint.size < known && sealed_size() >= known)
		newest = show_newest(all);
	if (newest->checkpoint.size >= known && submission->sends < SENDS_MAX)
	{
		submission->shown = newest;
		submission->old_size = known;
		write_request(submission, request);
		return true;
	}
	submission->differs = true;
	return finish(submission, STATE_AHEAD,
				  psprintf("it cosigned a checkpoint of " INT64_FORMAT " entries, the newest here has " INT64_FORMAT,
						   known, newest->checkpoint.size));
}

/* 409: the last checkpoint it knows is not the one that we began with. */
static bool
begin_elsewhere(Submissions *all, Submission *submission,
				MedsyncHttpRequest *request)
{
	int64		known;

	if (!read_size(request, &known))
		return finish(submission, STATE_REFUSED,
					  psprintf("HTTP 409 without a size: \"%s\"",
							   excerpt(request->answer, request->answer_len)));
	if (known > submission->shown->checkpoint.size)
		return meet_larger_tree(all, submission, request, known);
	if (known == submission->old_size)
		return finish(submission, STATE_REFUSED,
					  psprintf("HTTP 409: it asks for a proof from size " INT64_FORMAT " and had one",
							   known));
	if (submission->sends == SENDS_MAX)
		return finish(submission, STATE_REFUSED,
					  psprintf("HTTP 409: it named another size each time, last " INT64_FORMAT,
							   known));
	submission->old_size = known;
	write_request(submission, request);
	return true;
}

/* Does one of our blocks end at this size? */
static bool
is_block_end(int64 size)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	MedsyncBlock *last = medsync_block_last(snapshot);
	bool		found = size == 0 ||
		(last != NULL && size == last->first_index + last->entry_count) ||
		find_block("_block_first_index_idx", 1, size, snapshot) != NULL;

	UnregisterSnapshot(snapshot);
	return found;
}

/*
 * 422: the proof does not fit the tree that the witness knows.  Ours comes
 * from the tiles, so that either they were altered or the trees differ.
 */
static bool
meet_other_tree(Submission *submission, const char *answer)
{
	const char *no_block = is_block_end(submission->old_size) ? "" :
		", where no block of this ledger ends";

	submission->differs = submission->old_size > 0;
	if (!submission->differs)
		return finish(submission, STATE_REFUSED,
					  psprintf("HTTP 422: \"%s\"", answer));
	return finish(submission, STATE_REFUSED,
				  psprintf("HTTP 422: the tree of " INT64_FORMAT " entries that it knows is not the beginning of this ledger%s: \"%s\"",
						   submission->old_size, no_block, answer));
}

/* What it means where a witness does not say. */
static const char *
status_meaning(long status)
{
	switch (status)
	{
		case 400:
			return "it takes the request for malformed";
		case 403:
			return "it does not know the key that signed, or may not be asked";
		case 404:
			return "it does not know this ledger's origin, or the URL is wrong";
		case 429:
			return "it was asked too often";
	}
	if (status >= 300 && status <= 399)
		return "redirects are not followed";
	if (status >= 500)
		return "it has a problem of its own";
	return "not an answer of a witness";
}

/* A request has ended; true: send it again as it is now. */
static bool
take_answer(void *arg, MedsyncHttpRequest *request)
{
	Submissions *all = arg;
	Submission *submission = &all->submissions[request - all->requests];
	char	   *answer = excerpt(request->answer, request->answer_len);

	if (request->status == 0)
		return finish(submission, STATE_UNREACHABLE,
					  excerpt(request->problem, strlen(request->problem)));
	if (request->problem[0] != '\0')
		return finish(submission, STATE_REFUSED,
					  psprintf("HTTP %ld: %s", request->status,
							   request->problem));
	if (request->status == 200)
		return take_cosignature(submission, request);
	if (request->status == 409)
		return begin_elsewhere(all, submission, request);
	if (request->status == 422)
		return meet_other_tree(submission, answer);
	return finish(submission, STATE_REFUSED,
				  psprintf("HTTP %ld: %s: \"%s\"", request->status,
						   status_meaning(request->status), answer));
}

/*---- The call ----*/

/* Make the first request to a witness. */
static void
prepare(Submissions *all, MedsyncWitness *witness, Snapshot snapshot)
{
	Submission *submission = &all->submissions[all->count];
	MedsyncHttpRequest *request = &all->requests[all->count];
	size_t		len = strlen(witness->url);

	while (len > 0 && witness->url[len - 1] == '/')
		len--;
	submission->witness = witness;
	submission->shown = llast(all->shown);
	submission->url = psprintf("%.*s/add-checkpoint", (int) len, witness->url);
	initStringInfo(&submission->body);
	submission->old_size = Min(cosigned_size(witness->name, snapshot),
							   submission->shown->checkpoint.size);
	request->url = submission->url;
	write_request(submission, request);
	all->count++;
}

/* Read what is needed, and let go of all locks on the way. */
static Submissions *
prepare_all(void)
{
	Submissions *all = palloc0(sizeof(Submissions));
	Snapshot	snapshot;
	List	   *witnesses;
	ListCell   *cell;

	(void) show_newest(all);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	witnesses = medsync_witnesses(snapshot);
	all->submissions = palloc0(Max(list_length(witnesses), 1) *
							   sizeof(Submission));
	all->requests = palloc0(Max(list_length(witnesses), 1) *
							sizeof(MedsyncHttpRequest));
	foreach(cell, witnesses)
		prepare(all, lfirst(cell), snapshot);
	UnregisterSnapshot(snapshot);
	return all;
}

/* A witness that differs from us about the past is for people to look at. */
static void
warn(const Submission *submission)
{
	if (submission->differs)
		ereport(WARNING,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("witness \"%s\" knows another past of this ledger",
						submission->witness->name),
				 errdetail("State \"%s\": %s.", submission->state,
						   submission->detail),
				 errhint("If the witness tells the truth, the ledger was altered or cut back, by a restore or on purpose, or a copy of it signs as well. Run medsync.verify() and compare with kept checkpoints.")));
}

/* Store what one witness gave, and give its row. */
static void
report(Submission *submission, ReturnSetInfo *result)
{
	Datum		values[3];
	bool		isnull[3] = {false, false, false};

	if (submission->line != NULL &&
		!medsync_cosignature_store(submission->shown->checkpoint.height,
								   submission->witness->name,
								   submission->line))
		submission->state = STATE_ALREADY;
	warn(submission);
	values[0] = CStringGetTextDatum(submission->witness->name);
	values[1] = CStringGetTextDatum(submission->state);
	values[2] = CStringGetTextDatum(submission->detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
}

/* medsync.submit_checkpoint() */
Datum
medsync_submit_checkpoint(PG_FUNCTION_ARGS)
{
	Submissions *all;
	ListCell   *cell;
	int			i;

	PreventCommandIfReadOnly("medsync.submit_checkpoint()");
	PreventCommandIfParallelMode("medsync.submit_checkpoint()");
	InitMaterializedSRF(fcinfo, 0);
	all = prepare_all();
	medsync_http_post(all->requests, all->count, medsync_witness_timeout,
					  take_answer, all);
	for (i = 0; i < all->count; i++)
		report(&all->submissions[i], (ReturnSetInfo *) fcinfo->resultinfo);
	foreach(cell, all->shown)
		medsync_checkpoint_store(&((Shown *) lfirst(cell))->checkpoint);
	return (Datum) 0;
}
