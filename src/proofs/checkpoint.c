/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *		Signed checkpoints of the ledger's blocks.
 *
 * A checkpoint is a C2SP signed note over origin, size and root of a block's
 * tree.  Stored is _checkpoint, the note of each signed block, without
 * cosignatures; those are in _cosignature (witness.c), the keys that sign in
 * _signer_key (signer_key.c).
 *
 * A signature must not leave before its block's commit is on the disk.  So
 * seal() by hand leaves the signing to PRE_COMMIT, when no statement of the
 * transaction can look at the note any more, and everybody else signs only
 * blocks that are committed.  Nobody signs what contradicts the last
 * signature in <signer key>.last (signer.c): a block that may not be signed
 * stays unsigned, with a notice, until declare_era() gives a new origin.
 *
 * Notes of one block are equal, whoever makes them.  Rows are written under
 * the sign lock, taken last and given back at once; only a change of keys
 * keeps it to the end of its transaction, and then sealing goes on unsigned:
 * neither seal() nor the worker waits for it.  Lock order: seal lock, sign
 * lock.  An error or a crash
 * leaves the ledger as it was; the last file may then name a candidate that
 * never was.  On a standby stored notes can be read and nothing is signed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/journal.h"
#include "ledger/sealer.h"
#include "proofs/checkpoint.h"
#include "proofs/signer.h"
#include "proofs/tiles.h"
#include "proofs/witness.h"

/* Why a block cannot be signed, for people */
typedef struct SignProblem
{
	const char *detail;			/* NULL: there is none */
	const char *hint;
} SignProblem;

/* What signs: one key, or during a rotation the old and the new one */
typedef struct Signer
{
	List	   *known;			/* of MedsyncSignerKey: what _signer_key has */
	MedsyncVerifierKey keys[2];
	MedsyncSigningKey secrets[2];
	int			count;
} Signer;

/* What is left to do when this transaction ends */
static struct
{
	bool		wanted;			/* sign this block before the commit */
	int64		height;
	bool		locked;			/* the lock of the last file is ours ... */
	int			lock;			/* ... by this descriptor */
	bool		signed_now;		/* the last file has it as a candidate */
	MedsyncLastSignature signature;
	bool		promote;		/* the next key becomes the only one */
	uint8		old_key[MEDSYNC_ED25519_KEY_SIZE];
	uint8		new_key[MEDSYNC_ED25519_KEY_SIZE];
	bool		signer_changed; /* this transaction decides who signs */
} pending;

/*---- GUC variables ----*/

/*
 * At most how often the sealing worker signs.  A block that it passes over is
 * covered by the next one that is signed.
 */
static int	publish_interval = 60;

/*
 * Is this a note of ours: a checkpoint that one of the keys signed under its
 * own name, and that none of them contradicts?
 */
bool
medsync_checkpoint_note_ours(const char *note, size_t len, List *signers,
							 MedsyncCheckpoint *checkpoint)
{
	MedsyncNote parsed;
	bool		signed_by_us = false;
	ListCell   *cell;

	if (!medsync_note_parse(note, len, &parsed) ||
		!medsync_checkpoint_parse(parsed.text, parsed.text_len, checkpoint))
		return false;
	foreach(cell, signers)
	{
		const MedsyncSignerKey *signer = lfirst(cell);

		switch (medsync_note_check(&parsed, &signer->key, NULL))
		{
			case MEDSYNC_NOTE_FORGED:
				return false;
			case MEDSYNC_NOTE_SIGNED:
				if (strlen(signer->key.name) == checkpoint->origin_len &&
					memcmp(signer->key.name, checkpoint->origin,
						   checkpoint->origin_len) == 0)
					signed_by_us = true;
				break;
			case MEDSYNC_NOTE_NOT_SIGNED:
				break;
		}
	}
	return signed_by_us;
}

/* The stored note of a block, palloc'd, or NULL. */
char *
medsync_checkpoint_note(int64 height, Snapshot snapshot)
{
	Relation	heap = medsync_open("_checkpoint", AccessShareLock);
	char	   *note = NULL;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(height));
	medsync_scan_begin(&scan, heap, "_checkpoint_pkey", snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_checkpoint_note,
										 RelationGetDescr(heap), &isnull);

		if (!isnull)
			note = TextDatumGetCString(datum);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return note;
}

/* The newest stored note and the height of its block, as a snapshot sees it. */
bool
medsync_checkpoint_stored(Snapshot snapshot, MedsyncSignedCheckpoint *result)
{
	Relation	heap = medsync_open("_checkpoint", AccessShareLock);
	bool		found = false;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_checkpoint_pkey", snapshot, 0, NULL);
	scan.direction = BackwardScanDirection;
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		Datum		values[Natts_checkpoint];
		bool		isnull[Natts_checkpoint];

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		found = !isnull[Anum_checkpoint_note - 1];
		if (found)
		{
			result->height =
				DatumGetInt64(values[Anum_checkpoint_height - 1]);
			result->note =
				TextDatumGetCString(values[Anum_checkpoint_note - 1]);
		}
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return found;
}

static void
wipe_signer(Signer *signer)
{
	medsync_cleanse(signer->secrets, sizeof(signer->secrets));
}

/*
 * Find the key or keys that sign now.  A ledger that never signed takes what
 * the file has, and makes one if there is none.
 */
static bool
load_signer(Signer *signer, bool create, SignProblem *problem)
{
	const MedsyncSignerKey *last;
	MedsyncKeyFileProblem fault;
	bool		usable;

	memset(signer, 0, sizeof(Signer));
	signer->known = medsync_signer_keys(SnapshotSelf, NULL);
	last = medsync_signer_last(signer->known);
	usable = medsync_signer_read(false, &signer->secrets[0], &fault);
	if (!usable && create && last == NULL &&
		fault.fault == MEDSYNC_KEY_FILE_MISSING)
	{
		if (!medsync_signer_try_create())
		{
			problem->detail = psprintf("Could not create signer key file \"%s\": %s.",
									   medsync_signer_path(), strerror(errno));
			problem->hint = "Set medsync.signer_key_file to a place where the server may create a file, and reload the configuration.";
			return false;
		}
		usable = medsync_signer_read(false, &signer->secrets[0], &fault);
	}
	if (!usable)
	{
		problem->detail = psprintf("The %s.", medsync_signer_text(false, &fault));
		problem->hint = "Bring the file back from its backup, or set medsync.signer_key_file to its place; if the key is lost, call medsync.declare_era().";
		return false;
	}
	signer->count = 1;
	medsync_vkey_make(&signer->keys[0],
					  last ? last->key.name : medsync_signer_default_origin(),
					  MEDSYNC_SIGNATURE_ED25519,
					  signer->secrets[0].public_key);
	if (last == NULL ||
		memcmp(last->key.public_key, signer->secrets[0].public_key,
			   MEDSYNC_ED25519_KEY_SIZE) == 0)
		return true;

	/* a rotation: the old key signs once more, together with the new one */
	if (medsync_signer_read(true, &signer->secrets[1], &fault) &&
		memcmp(last->key.public_key, signer->secrets[1].public_key,
			   MEDSYNC_ED25519_KEY_SIZE) == 0)
	{
		signer->keys[1] = last->key;
		signer->count = 2;
		return true;
	}
	fault.fault = MEDSYNC_KEY_FILE_ANOTHER;
	problem->detail = psprintf("The %s.", medsync_signer_text(false, &fault));
	problem->hint = "Bring the right file back, or call medsync.rotate_signer_key() to go on with the key that is there.";
	wipe_signer(signer);
	return false;
}

/* Was this signed of a log that ours, with so many entries, extends? */
static bool
log_extends(const MedsyncLastSignature *signature, int64 size)
{
	MedsyncStoredTree *tree;
	uint8		root[MEDSYNC_HASH_SIZE];
	bool		extends;

	if (signature->size > (uint64) size)
		return false;
	tree = medsync_stored_tree_open(size, SnapshotSelf);
	extends = medsync_tiles_root(&tree->tiles, signature->size, root) &&
		memcmp(root, signature->root, MEDSYNC_HASH_SIZE) == 0;
	medsync_stored_tree_close(tree);
	return extends;
}

/* How many entries the ledger has as a block; our own last one counts. */
static int64
ledger_size(void)
{
	MedsyncBlock *last = medsync_block_last(SnapshotSelf);

	return last ? last->first_index + last->entry_count : 0;
}

/* The same without the blocks that our own transaction has made. */
static int64
committed_size(void)
{
	MedsyncBlock *last;

	PushCopiedSnapshot(GetLatestSnapshot());
	GetActiveSnapshot()->curcid = FirstCommandId;
	last = medsync_block_last(GetActiveSnapshot());
	PopActiveSnapshot();
	return last ? last->first_index + last->entry_count : 0;
}

/*
 * May this database sign under its origin?  What was signed last must be a
 * part of our log, and signed by this database or by the one that it was
 * promoted from.  "state" is what the last file says, with a candidate that
 * was committed as what it is.
 */
static bool
may_sign(const char *origin, const MedsyncEra *era, MedsyncLastState *state,
		 SignProblem *problem)
{
	static const char *const declare =
		"If this database is to go on alone, call medsync.declare_era().";
	MedsyncSignedCheckpoint stored;
	char	   *damage;
	int64		size;

	problem->hint = declare;
	if (!medsync_last_read(origin, state, &damage))
	{
		problem->detail = damage;
		problem->hint = "Bring the file back from its backup; if there is none, remove it and call medsync.declare_era().";
		return false;
	}
	size = ledger_size();
	if (state->has_candidate &&
		log_extends(&state->candidate, committed_size()) &&
		(!state->has_signed || state->candidate.size >= state->last.size))
	{
		/* its transaction committed, and could not say so */
		state->last = state->candidate;
		state->has_signed = true;
		state->settled = true;
	}
	if (!state->has_signed)
	{
		MedsyncNote note;
		MedsyncCheckpoint checkpoint;

		if (!medsync_checkpoint_stored(SnapshotSelf, &stored) ||
			!medsync_note_parse(stored.note, strlen(stored.note), &note) ||
			!medsync_checkpoint_parse(note.text, note.text_len, &checkpoint) ||
			checkpoint.origin_len != strlen(origin) ||
			memcmp(checkpoint.origin, origin, checkpoint.origin_len) != 0)
			return true;
		problem->detail = psprintf("Checkpoints of \"%s\" were signed, but file \"%s.last\", which says what was signed last, does not know of them.",
								   origin, medsync_signer_path());
		return false;
	}
	if (state->last.era.system_identifier != era->system_identifier ||
		state->last.era.database != era->database)
	{
		problem->detail = psprintf("The last checkpoint of \"%s\" was signed in another database.",
								   origin);
		return false;
	}
	if (!log_extends(&state->last, size))
	{
		problem->detail = psprintf("The last checkpoint of \"%s\" was signed at size " UINT64_FORMAT ", and the ledger here does not contain it.",
								   origin, state->last.size);
		return false;
	}
	return true;
}

/*
 * Decide whether a signature may be made, and have the last file say so
 * before there is one.  The caller holds its lock.
 */
static bool
announce_signature(const MedsyncLastSignature *signature, bool committed,
				   SignProblem *problem)
{
	MedsyncLastState state;
	int			error = 0;

	if (!may_sign(signature->origin, &signature->era, &state, problem))
		return false;
	problem->hint = NULL;
	/* what was committed is not forgotten for what may fail */
	if (state.settled && state.last.size < signature->size)
		error = medsync_last_write(&state.last, false);
	if (error == 0)
		error = medsync_last_write(signature, !committed);
	if (error == 0)
		return true;
	problem->detail = psprintf("Could not write file \"%s.last\": %s.",
							   medsync_signer_path(), strerror(error));
	problem->hint = "Call medsync.seal() again when it can be written.";
	return false;
}

/*
 * The same under the lock.  That of a block which is not committed is kept
 * until the outcome of our transaction is written, see finish_signature().
 */
static bool
announce_locked(const MedsyncLastSignature *signature, bool committed,
				SignProblem *problem)
{
	volatile bool announced = false;
	int			lock = medsync_last_lock();

	if (lock < 0)
	{
		problem->detail = psprintf("Could not lock file \"%s.lock\": %s.",
								   medsync_signer_path(), strerror(errno));
		problem->hint = "Somebody else is signing: call medsync.seal() again.";
		return false;
	}
	PG_TRY();
	{
		announced = announce_signature(signature, committed, problem);
	}
	PG_CATCH();
	{
		medsync_last_unlock(lock);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (announced && !committed)
	{
		pending.lock = lock;
		pending.locked = true;
		pending.signature = *signature;
		pending.signed_now = true;
	}
	else
		medsync_last_unlock(lock);
	return announced;
}

/*
 * Sign a block.  "committed" says that the block is; otherwise the signature
 * is remembered as a candidate until our transaction has committed.
 */
static bool
sign_block(const MedsyncBlock *block, bool committed,
		   MedsyncSignedCheckpoint *result, SignProblem *problem)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	Signer		signer;
	MedsyncLastSignature signature = {0};
	StringInfoData text;
	StringInfoData note;
	int			i;

	problem->hint = NULL;
	if (!medsync_ledger_read(ledger_id, &created_at))
	{
		problem->detail = "The ledger has no identity.";
		return false;
	}
	if (!load_signer(&signer, true, problem))
		return false;
	medsync_era_current(ledger_id, &signature.era);
	strlcpy(signature.origin, signer.keys[0].name, sizeof(signature.origin));
	signature.size = block->first_index + block->entry_count;
	memcpy(signature.root, block->root, MEDSYNC_HASH_SIZE);
	if (!announce_locked(&signature, committed, problem))
	{
		wipe_signer(&signer);
		return false;
	}

	initStringInfo(&text);
	initStringInfo(&note);
	medsync_checkpoint_write(&text, signature.origin, signature.size,
							 block->root);
	appendBinaryStringInfo(&note, text.data, text.len);
	appendStringInfoChar(&note, '\n');
	for (i = signer.count - 1; i >= 0; i--)
		medsync_note_sign(&note, text.data, text.len, &signer.keys[i],
						  signer.secrets[i].seed);
	wipe_signer(&signer);

	result->height = block->height;
	result->size = block->first_index + block->entry_count;
	memcpy(result->root, block->root, MEDSYNC_HASH_SIZE);
	result->note = note.data;
	result->unstored = true;

	/* not before a note that both have signed tells of the new one */
	pending.promote = signer.count == 2 &&
		medsync_xid_finished(&block->xids,
							 medsync_signer_last(signer.known)->announced_by);
	memcpy(pending.old_key, signer.keys[0].public_key,
		   MEDSYNC_ED25519_KEY_SIZE);
	memcpy(pending.new_key, signer.keys[1].public_key,
		   MEDSYNC_ED25519_KEY_SIZE);
	return true;
}

/*
 * A stored note is about to be given out.  If the last file has it, or a
 * newer one that our log contains, as a candidate only, because its
 * transaction could not say that it had committed, the file says so from
 * now on.  False if the file tells of another past than ours.
 */
static bool
confirm_signed(const char *origin)
{
	MedsyncLastState state;
	char	   *damage;
	int64		size;
	int			lock;

	if (RecoveryInProgress() || !medsync_last_read(origin, &state, &damage))
		return true;
	size = ledger_size();
	if (state.has_signed && state.last.size <= (uint64) size &&
		!log_extends(&state.last, size))
		return false;
	if (!state.has_candidate || !log_extends(&state.candidate, size) ||
		(state.has_signed && state.last.size >= state.candidate.size))
		return true;
	lock = medsync_last_lock();
	if (lock < 0)
		return false;			/* not decided: it may be in its commit */
	/* what is in our log is what it is, whoever else has signed meanwhile */
	if (medsync_last_read(origin, &state, &damage) && state.has_candidate &&
		(!state.has_signed || state.last.size < state.candidate.size))
		(void) medsync_last_write(&state.candidate, false);
	medsync_last_unlock(lock);
	return medsync_last_read(origin, &state, &damage) &&
		state.has_signed &&
		(state.last.size > (uint64) size || log_extends(&state.last, size));
}

/*
 * Could the last block be signed?  If not, why, for people.  A ledger that
 * never signed and has no key file yet would be given one.
 */
bool
medsync_checkpoint_ready(const char **detail, const char **hint)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	SignProblem problem = {NULL, NULL};
	MedsyncKeyFileProblem fault;
	MedsyncEra	era;
	Signer		signer;
	MedsyncLastState state;
	bool		ready;

	if (!medsync_ledger_read(ledger_id, &created_at))
		return true;
	ready = load_signer(&signer, false, &problem);
	if (ready)
	{
		wipe_signer(&signer);
		medsync_era_current(ledger_id, &era);
		ready = may_sign(signer.keys[0].name, &era, &state, &problem);
	}
	else if (signer.known == NIL &&
			 !medsync_signer_read(false, &signer.secrets[0], &fault) &&
			 fault.fault == MEDSYNC_KEY_FILE_MISSING &&
			 medsync_signer_directory_writable())
		ready = true;
	*detail = problem.detail;
	*hint = problem.hint;
	return ready;
}

/*
 * Does our log still contain what it signed last?  Returns a verdict, NULL
 * if all is well or nothing is known, and the size that was signed.
 */
const char *
medsync_checkpoint_contradiction(uint64 *size)
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	const MedsyncSignerKey *last = medsync_signer_current();
	MedsyncLastState state;
	MedsyncEra	era;
	char	   *problem;
	int64		sealed;

	if (last == NULL || RecoveryInProgress() ||
		!medsync_ledger_read(ledger_id, &created_at) ||
		!medsync_last_read(last->key.name, &state, &problem) ||
		!state.has_signed)
		return NULL;
	medsync_era_current(ledger_id, &era);
	/* what another database signs is not our past */
	if (state.last.era.system_identifier != era.system_identifier ||
		state.last.era.database != era.database)
		return NULL;
	*size = state.last.size;
	sealed = ledger_size();
	if (state.last.size > (uint64) sealed)
		return "truncated";
	return log_extends(&state.last, sealed) ? NULL : "forked";
}

/* The key that a ledger's first note was signed with becomes its first key. */
static void
store_first_key(const MedsyncSignedCheckpoint *checkpoint)
{
	MedsyncNote note;
	MedsyncCheckpoint text;
	MedsyncVerifierKey key;
	MedsyncSigningKey secret;
	MedsyncKeyFileProblem fault;

	if (!medsync_note_parse(checkpoint->note, strlen(checkpoint->note),
							&note) ||
		!medsync_checkpoint_parse(note.text, note.text_len, &text) ||
		!medsync_signer_read(false, &secret, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("the signer key went away while it was in use")));
	medsync_vkey_make(&key, pnstrdup(text.origin, text.origin_len),
					  MEDSYNC_SIGNATURE_ED25519, secret.public_key);
	medsync_cleanse(&secret, sizeof(secret));
	medsync_signer_store(&key, 0);
}

static void
insert_note(const MedsyncSignedCheckpoint *checkpoint)
{
	Relation	heap = medsync_open("_checkpoint", RowExclusiveLock);
	Datum		values[Natts_checkpoint];
	bool		isnull[Natts_checkpoint] = {0};

	values[Anum_checkpoint_height - 1] = Int64GetDatum(checkpoint->height);
	values[Anum_checkpoint_note - 1] = CStringGetTextDatum(checkpoint->note);
	CatalogTupleInsert(heap, heap_form_tuple(RelationGetDescr(heap), values,
											 isnull));
	table_close(heap, RowExclusiveLock);
}

/*
 * Store a note that was made in this transaction, unless somebody else has,
 * or is about to: if that one fails, the next signature covers the block as
 * well.  The sign lock is given back at once, except with the first key.
 * False: somebody has the lock, and the caller did not want to wait.
 */
static bool
store_note(const MedsyncSignedCheckpoint *checkpoint, bool wait)
{
	SnapshotData dirty;

	if (wait)
		medsync_ledger_lock(MEDSYNC_LOCK_SIGN);
	else if (!medsync_ledger_try_lock(MEDSYNC_LOCK_SIGN))
		return false;
	if (medsync_signer_keys(SnapshotSelf, NULL) == NIL)
	{
		store_first_key(checkpoint);
		insert_note(checkpoint);
		return true;
	}
	InitDirtySnapshot(dirty);
	if (medsync_checkpoint_note(checkpoint->height, &dirty) == NULL)
		insert_note(checkpoint);
	else
		pending.promote = false;	/* the note may never be */
	medsync_ledger_unlock(MEDSYNC_LOCK_SIGN);
	return true;
}

/* Store what medsync_checkpoint_latest() has signed; called last. */
void
medsync_checkpoint_store(const MedsyncSignedCheckpoint *checkpoint)
{
	if (checkpoint->unstored)
		(void) store_note(checkpoint, true);
}

/* Fill in size and root of a stored checkpoint from its own text. */
static void
complete_stored(MedsyncSignedCheckpoint *checkpoint)
{
	MedsyncNote note;
	MedsyncCheckpoint text;

	if (!medsync_note_parse(checkpoint->note, strlen(checkpoint->note),
							&note) ||
		!medsync_checkpoint_parse(note.text, note.text_len, &text) ||
		text.size > PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the stored checkpoint of block " INT64_FORMAT " is damaged",
						checkpoint->height),
				 errhint("Run medsync.verify() to see what was changed.")));
	checkpoint->size = (int64) text.size;
	checkpoint->origin = pnstrdup(text.origin, text.origin_len);
	memcpy(checkpoint->root, text.root, MEDSYNC_HASH_SIZE);
}

/*
 * The newest signed checkpoint.  The last block is signed if it is not yet;
 * the caller then hands the result to medsync_checkpoint_store() when its
 * own work is done.  Where the block may not be signed the one before it
 * that was is taken, with a notice.  Errors if there is none.
 */
void
medsync_checkpoint_latest(MedsyncSignedCheckpoint *checkpoint)
{
	MedsyncBlock *last;
	SignProblem problem = {NULL, NULL};

	if (medsync_journal_has_sealed())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot give out a checkpoint in a transaction that has sealed"),
				 errdetail("The block is not on the disk before the transaction has committed."),
				 errhint("Commit after medsync.seal(), then go on.")));
	if (pending.signer_changed)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot give out a checkpoint in a transaction that has changed who signs"),
				 errhint("Commit first.")));
	memset(checkpoint, 0, sizeof(MedsyncSignedCheckpoint));
	last = medsync_block_last(SnapshotSelf);
	if (last == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the ledger has no block yet"),
				 errhint("Call medsync.seal() first.")));
	checkpoint->height = last->height;
	checkpoint->note = medsync_checkpoint_note(last->height, SnapshotSelf);
	if (checkpoint->note == NULL && !RecoveryInProgress() &&
		!XactReadOnly && sign_block(last, true, checkpoint, &problem))
		return;
	if (checkpoint->note == NULL && !medsync_checkpoint_stored(SnapshotSelf, checkpoint))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the ledger has no signed checkpoint"),
				 problem.detail ? errdetail("%s", problem.detail) :
				 errdetail("Nothing can be signed in a read-only transaction."),
				 problem.hint ? errhint("%s", problem.hint) : 0));
	if (problem.detail != NULL)
		ereport(NOTICE,
				(errmsg("the last block cannot be signed, an earlier checkpoint is used"),
				 errdetail("%s", problem.detail),
				 problem.hint ? errhint("%s", problem.hint) : 0));
	complete_stored(checkpoint);
	if (!confirm_signed(checkpoint->origin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the stored checkpoint cannot be given out"),
				 errdetail("File \"%s.last\" does not say that it was signed, or tells of another past of \"%s\".",
						   medsync_signer_path(), checkpoint->origin)));
}

static bool
is_named(List *names, const char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/*
 * The note with the lines of those who cosigned it, as view checkpoint shows
 * it: a stored line that does not verify would spoil the whole note.
 */
char *
medsync_checkpoint_full_note(const MedsyncSignedCheckpoint *checkpoint)
{
	Relation	heap = medsync_open("_cosignature", AccessShareLock);
	MedsyncWitnessCount count;
	StringInfoData note;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	medsync_witness_count(checkpoint->height, checkpoint->note,
						  strlen(checkpoint->note), SnapshotSelf, &count);
	initStringInfo(&note);
	appendStringInfoString(&note, checkpoint->note);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(checkpoint->height));
	medsync_scan_begin(&scan, heap, "_cosignature_pkey", SnapshotSelf, 1,
					   &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_cosignature];
		bool		isnull[Natts_cosignature];

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		if (!isnull[Anum_cosignature_witness - 1] &&
			!isnull[Anum_cosignature_line - 1] &&
			is_named(count.cosigned,
					 TextDatumGetCString(values[Anum_cosignature_witness - 1])))
			appendStringInfo(&note, "%s\n",
							 TextDatumGetCString(values[Anum_cosignature_line - 1]));
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return note.data;
}

/* seal() by hand has a last block, new or not: see to it that it is signed. */
static void
sealed_by_hand(const MedsyncBlock *last)
{
	if (medsync_checkpoint_note(last->height, SnapshotSelf) != NULL)
	{
		const MedsyncSignerKey *signer = medsync_signer_current();

		if (signer != NULL)
			(void) confirm_signed(signer->key.name);
		return;
	}
	pending.wanted = true;
	pending.height = last->height;
}

/* Sign the block that this transaction has made, or found unsigned. */
static void
sign_before_commit(void)
{
	MedsyncSignedCheckpoint checkpoint = {0};
	SignProblem problem = {NULL, NULL};
	MedsyncBlock *last;

	pending.wanted = false;
	PushActiveSnapshot(GetTransactionSnapshot());
	/* a savepoint that was taken back may have taken the block along */
	last = medsync_block_last(SnapshotSelf);
	if (last != NULL && last->height == pending.height &&
		medsync_checkpoint_note(last->height, SnapshotSelf) == NULL)
	{
		if (sign_block(last, false, &checkpoint, &problem) &&
			!store_note(&checkpoint, false))
		{
			pending.promote = false;
			problem.detail = "Another transaction is changing who signs.";
			problem.hint = "Call medsync.seal() again when it has ended.";
		}
		if (problem.detail != NULL)
			ereport(NOTICE,
					(errmsg("block " INT64_FORMAT " is sealed, but not signed",
							last->height),
					 errdetail("%s", problem.detail),
					 problem.hint ? errhint("%s", problem.hint) : 0));
	}
	PopActiveSnapshot();
}

/* The key of a rotation becomes the only one, under the lock of the file. */
static void
promote_key(void)
{
	int			lock = pending.locked ? pending.lock : medsync_last_lock();

	if (lock < 0)
		return;					/* the next note is by both keys again */
	(void) medsync_signer_promote(pending.old_key, pending.new_key);
	if (!pending.locked)
		medsync_last_unlock(lock);
}

/* The transaction has committed: say so in the last file. */
static void
finish_signature(void)
{
	if (pending.signed_now)
	{
		int			error = medsync_last_write(&pending.signature, false);

		if (error != 0)
			ereport(WARNING,
					(errmsg("could not write file \"%s.last\": %s",
							medsync_signer_path(), strerror(error))));
	}
	if (pending.promote)
		promote_key();
}

/* Forget what was to be done, and let others sign. */
static void
reset_pending(void)
{
	if (pending.locked)
		medsync_last_unlock(pending.lock);
	memset(&pending, 0, sizeof(pending));
}

/* A key or name is being announced: nothing is signed by it before the commit. */
void
medsync_checkpoint_note_change(void)
{
	pending.signer_changed = true;
}

static void
checkpoint_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (pending.wanted)
				sign_before_commit();
			break;
		case XACT_EVENT_COMMIT:
			finish_signature();
			reset_pending();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			reset_pending();
			break;
		default:
			break;
	}
}

/*
 * The sealing worker asks, in a transaction of its own, after it has sealed.
 * Signs the last block if it is time; the result says whether to ask again.
 */
static bool
publish_by_worker(int64 since_last)
{
	MedsyncBlock *last;
	MedsyncSignedCheckpoint checkpoint = {0};
	SignProblem problem = {NULL, NULL};

	last = medsync_block_last(SnapshotSelf);
	if (last == NULL || medsync_checkpoint_note(last->height, SnapshotSelf) != NULL)
		return false;
	if (since_last < (int64) publish_interval * 1000)
		return true;
	if (sign_block(last, true, &checkpoint, &problem) &&
		!store_note(&checkpoint, false))
	{
		pending.promote = false;
		return true;
	}
	if (problem.detail != NULL)
		ereport(LOG,
				(errmsg("block " INT64_FORMAT " is sealed, but not signed",
						last->height),
				 errdetail("%s", problem.detail),
				 problem.hint ? errhint("%s", problem.hint) : 0));
	return false;
}

void
medsync_checkpoint_init(void)
{
	DefineCustomIntVariable("medsync.publish_interval",
							"Sets how often, at most, the sealing worker signs a checkpoint.",
							NULL,
							&publish_interval,
							60, 0, 7 * 24 * 60 * 60,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	RegisterXactCallback(checkpoint_xact_callback, NULL);
	medsync_seal_register(sealed_by_hand, publish_by_worker);
}
