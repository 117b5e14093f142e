/*-------------------------------------------------------------------------
 *
 * checkpoint.c
 *		A signed checkpoint: who signed it, is it new, does it contradict
 *		the one that is remembered.
 *
 * A run may meet more than one: that of the public export and that of the
 * ledger itself, of which the export is a copy that may lag behind.  So two
 * are remembered: the largest good one, whose root every tree must have that
 * reaches its size, and below which the ledger must not fall; and that of the
 * public export, below which only a public export must not fall.  With them
 * the last block that was seen is remembered, all that at the end, unless an
 * error says that the ledger is damaged.
 *
 * Witnesses cosign some time after a checkpoint was signed.  So the newest one
 * may lack them, as long as an older one of the same tree has them that is no
 * older than --max-age.  Too few cosignatures say nothing against the ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "medsync_verify.h"

/* The largest good checkpoint of this run */
static bool have_best = false;
static MedsyncCheckpoint best;
static const char *best_note;
static size_t best_note_len;
static uint64 best_cosigned_at; /* newest time of a given witness; 0: none */

/* The good checkpoint of this run's public export */
static bool have_log = false;
static MedsyncCheckpoint log_checkpoint;

static bool told_truncated = false;

/* The last block of this run */
static bool have_block = false;
static uint64 last_block_height;
static uint8 last_block_hash[MEDSYNC_HASH_SIZE];

/* The newest time of a checkpoint of this run with enough cosignatures */
static bool have_enough = false;
static uint64 enough_at;

/* What the signatures of a note are worth */
typedef struct Signers
{
	bool		log;			/* the log of this origin signed */
	int			witnesses;		/* given witnesses that signed, by name */
	uint64		cosigned_at;	/* the newest of their times */
	const MedsyncVerifierKey *forged;	/* a given key whose line is wrong */
} Signers;

static bool
is_origin(const MedsyncVerifierKey *key, const MedsyncCheckpoint *checkpoint)
{
	return key->type == MEDSYNC_SIGNATURE_ED25519 &&
		strlen(key->name) == checkpoint->origin_len &&
		memcmp(key->name, checkpoint->origin, checkpoint->origin_len) == 0;
}

/* Did an earlier key of the same witness sign already? */
static bool
is_counted(const MedsyncOptions *options, const MedsyncNote *note, int nth)
{
	const MedsyncVerifierKey *key = &options->keys[nth];
	int			i;

	for (i = 0; i < nth; i++)
	{
		const MedsyncVerifierKey *other = &options->keys[i];

		if (other->type == key->type && strcmp(other->name, key->name) == 0 &&
			medsync_note_check(note, other, NULL) == MEDSYNC_NOTE_SIGNED)
			return true;
	}
	return false;
}

/* Look for the signature of each given key. */
static void
find_signers(const MedsyncOptions *options, const MedsyncNote *note,
			 const MedsyncCheckpoint *checkpoint, Signers *signers)
{
	int			i;

	memset(signers, 0, sizeof(*signers));
	for (i = 0; i < options->key_count; i++)
	{
		const MedsyncVerifierKey *key = &options->keys[i];
		uint64		cosigned_at = 0;
		MedsyncNoteVerdict verdict = medsync_note_check(note, key,
														&cosigned_at);

		if (verdict == MEDSYNC_NOTE_FORGED)
			signers->forged = key;
		if (verdict != MEDSYNC_NOTE_SIGNED)
			continue;
		if (is_origin(key, checkpoint))
			signers->log = true;
		if (key->type != MEDSYNC_SIGNATURE_COSIGNATURE)
			continue;
		if (!is_counted(options, note, i))
			signers->witnesses++;
		signers->cosigned_at = Max(signers->cosigned_at, cosigned_at);
	}
}

/* Did a given key of the log itself sign, and is none of the lines wrong? */
bool
medsync_signed_by_log(const MedsyncOptions *options, const MedsyncNote *note,
					  const MedsyncCheckpoint *checkpoint)
{
	Signers		signers;

	find_signers(options, note, checkpoint, &signers);
	return signers.log && signers.forged == NULL;
}

/* The names on the signature lines, for a finding. */
static char *
names_of_signers(const MedsyncNote *note)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < note->signature_count; i++)
	{
		const MedsyncNoteSignature *line = &note->signatures[i];

		appendStringInfo(&buf, "%s%.*s+%s", i ? ", " : "",
						 (int) line->name_len, line->name,
						 medsync_hex(line->id, MEDSYNC_NOTE_KEY_ID_SIZE));
	}
	return buf.data;
}

static char *
names_of_log_keys(const MedsyncOptions *options)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < options->key_count; i++)
	{
		const MedsyncVerifierKey *key = &options->keys[i];

		if (key->type == MEDSYNC_SIGNATURE_ED25519)
			appendStringInfo(&buf, "%s%s+%s", buf.len ? ", " : "", key->name,
							 medsync_hex(key->id, MEDSYNC_NOTE_KEY_ID_SIZE));
	}
	return buf.data;
}

/* Signatures; false where the checkpoint is not the log's. */
static bool
check_signers(const MedsyncOptions *options, const MedsyncNote *note,
			  const MedsyncCheckpoint *checkpoint, const Signers *signers)
{
	if (signers->forged != NULL)
	{
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature",
							   MEDSYNC_NO_PLACE, NULL, NULL,
							   "The signature of %s+%s on the checkpoint is wrong.",
							   signers->forged->name,
							   medsync_hex(signers->forged->id,
										   MEDSYNC_NOTE_KEY_ID_SIZE));
		return false;
	}
	if (!signers->log)
	{
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature",
							   MEDSYNC_NO_PLACE, names_of_log_keys(options),
							   names_of_signers(note),
							   "No given key of the log \"%.*s\" has signed its checkpoint.",
							   (int) checkpoint->origin_len,
							   checkpoint->origin);
		return false;
	}
	return true;
}

/* ---- witnesses ---- */

static void
report_too_few(const MedsyncOptions *options, uint64 size, int witnesses)
{
	medsync_report_finding(MEDSYNC_ERROR, "bad_signature", MEDSYNC_NO_PLACE,
						   medsync_number(options->witnesses),
						   medsync_number(witnesses),
						   "Too few of the given witnesses have cosigned the checkpoint of size " UINT64_FORMAT ".",
						   size);
}

/* A checkpoint of the log's tree has enough cosignatures, the last then. */
void
medsync_checkpoint_cosigned(uint64 newest_time)
{
	enough_at = have_enough ? Max(enough_at, newest_time) : newest_time;
	have_enough = true;
}

/* Must an older checkpoint be found that has enough cosignatures? */
bool
medsync_checkpoint_wants_older(const MedsyncOptions *options)
{
	return have_best && medsync_summary.witnesses < options->witnesses &&
		!have_enough;
}

/*
 * Is an older checkpoint signed by the log and enough witnesses?  Its root is
 * not looked at, and that it is not good is no finding.
 */
bool
medsync_checkpoint_is_older(const MedsyncOptions *options, const char *text,
							size_t len, MedsyncCheckpoint *checkpoint,
							uint64 *newest_time)
{
	MedsyncNote note;
	Signers		signers;

	if (len > MEDSYNC_NOTE_MAX || !medsync_note_parse(text, len, &note) ||
		!medsync_checkpoint_parse(note.text, note.text_len, checkpoint))
		return false;
	find_signers(options, &note, checkpoint, &signers);
	*newest_time = signers.cosigned_at;
	return signers.log && signers.forged == NULL &&
		signers.witnesses >= options->witnesses &&
		checkpoint->size < best.size;
}

/* Does the log have a checkpoint that enough witnesses have cosigned? */
static void
check_witnesses(const MedsyncOptions *options, int64 now)
{
	if (medsync_summary.witnesses >= options->witnesses)
		return;
	if (have_enough &&
		(options->max_age == 0 ||
		 enough_at >= (uint64) (now - options->max_age)))
		return;
	report_too_few(options, best.size, medsync_summary.witnesses);
}

/* ---- what is remembered ---- */

/* The remembered checkpoint of the public export; false: there is none. */
static bool
remembered_log(MedsyncRemembered *known)
{
	const MedsyncState *state = &medsync_state;

	if (!state->exists || (state->log_apart && !state->log_seen))
		return false;
	if (state->log_apart)
		*known = state->log;
	else
	{
		known->size = state->checkpoint.size;
		memcpy(known->root, state->checkpoint.root, MEDSYNC_HASH_SIZE);
		known->first_seen = state->first_seen;
	}
	return true;
}

/* All that is remembered, the largest first; the result is how many. */
int
medsync_checkpoint_remembered(MedsyncRemembered *known)
{
	const MedsyncState *state = &medsync_state;

	if (!state->exists)
		return 0;
	known[0].size = state->checkpoint.size;
	memcpy(known[0].root, state->checkpoint.root, MEDSYNC_HASH_SIZE);
	known[0].first_seen = state->first_seen;
	if (!state->log_apart || !state->log_seen)
		return 1;
	known[1] = state->log;
	return 2;
}

/* The end was cut off; said once. */
static void
report_truncated(uint64 expected, uint64 found)
{
	if (told_truncated)
		return;
	told_truncated = true;
	medsync_report_finding(MEDSYNC_ERROR, "truncated", MEDSYNC_NO_PLACE,
						   medsync_number(expected), medsync_number(found),
						   "The log is shorter than the remembered checkpoint.");
}

/*
 * What the remembered checkpoints alone tell about this one.  Whether the
 * ledger itself is shorter shows at the end of the run.
 */
static void
compare_with_state(MedsyncSource source, const MedsyncCheckpoint *checkpoint)
{
	const MedsyncCheckpoint *old = &medsync_state.checkpoint;
	MedsyncRemembered known[MEDSYNC_REMEMBERED_MAX];
	MedsyncRemembered log;
	int			count = medsync_checkpoint_remembered(known);
	int			i;

	if (count == 0)
		return;
	if (checkpoint->origin_len != old->origin_len ||
		memcmp(checkpoint->origin, old->origin, old->origin_len) != 0)
	{
		medsync_report_finding(MEDSYNC_ERROR, "forked", MEDSYNC_NO_PLACE,
							   pnstrdup(old->origin, old->origin_len),
							   pnstrdup(checkpoint->origin,
										checkpoint->origin_len),
							   "The log has another origin than the remembered checkpoint. If it was changed on purpose, begin a new state file.");
		told_truncated = true;	/* sizes of two logs are not to be compared */
		return;
	}
	if (source == MEDSYNC_OF_LOG && remembered_log(&log) &&
		checkpoint->size < log.size)
		report_truncated(log.size, checkpoint->size);
	for (i = 0; i < count; i++)
		if (checkpoint->size == known[i].size &&
			memcmp(checkpoint->root, known[i].root, MEDSYNC_HASH_SIZE) != 0)
			medsync_checkpoint_forked(&known[i], checkpoint->root);
}

/* Is this the best one so far once more, perhaps with other cosignatures? */
static bool
is_best(const MedsyncCheckpoint *checkpoint)
{
	return have_best && best.size == checkpoint->size &&
		best.origin_len == checkpoint->origin_len &&
		memcmp(best.origin, checkpoint->origin, best.origin_len) == 0 &&
		memcmp(best.root, checkpoint->root, MEDSYNC_HASH_SIZE) == 0;
}

/* Two good checkpoints of one run must not contradict each other either. */
static void
compare_with_best(const MedsyncCheckpoint *checkpoint)
{
	if (have_best && best.size == checkpoint->size &&
		memcmp(best.root, checkpoint->root, MEDSYNC_HASH_SIZE) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "forked", MEDSYNC_NO_PLACE,
							   medsync_hex(best.root, MEDSYNC_HASH_SIZE),
							   medsync_hex(checkpoint->root, MEDSYNC_HASH_SIZE),
							   "Two signed checkpoints of size " UINT64_FORMAT " have different roots.",
							   checkpoint->size);
}

static void
keep_if_best(const char *text, size_t len,
			 const MedsyncCheckpoint *checkpoint, const Signers *signers)
{
	if (have_best && checkpoint->size < best.size)
		return;
	have_best = true;
	best = *checkpoint;
	best_note = text;
	best_note_len = len;
	best_cosigned_at = signers->cosigned_at;
	memcpy(medsync_summary.origin, checkpoint->origin, checkpoint->origin_len);
	medsync_summary.origin[checkpoint->origin_len] = '\0';
	medsync_summary.has_checkpoint = true;
	medsync_summary.size = checkpoint->size;
	memcpy(medsync_summary.root, checkpoint->root, MEDSYNC_HASH_SIZE);
	medsync_summary.witnesses = signers->witnesses;
}

/* C2SP allows further lines; a medsync checkpoint has none. */
static bool
has_more_lines(const MedsyncNote *note)
{
	int			lines = 0;
	size_t		i;

	for (i = 0; i < note->text_len; i++)
		if (note->text[i] == '\n')
			lines++;
	return lines > 3;
}

/* Check a signed checkpoint; see medsync_verify.h. */
bool
medsync_checkpoint_check(const MedsyncOptions *options, MedsyncSource source,
						 const char *text, size_t len,
						 MedsyncCheckpoint *checkpoint)
{
	MedsyncNote note;
	Signers		signers;

	if (len > MEDSYNC_NOTE_MAX || !medsync_note_parse(text, len, &note) ||
		!medsync_checkpoint_parse(note.text, note.text_len, checkpoint) ||
		has_more_lines(&note))
	{
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature",
							   MEDSYNC_NO_PLACE, NULL, NULL,
							   "The checkpoint is not a signed note of three lines.");
		return false;
	}
	find_signers(options, &note, checkpoint, &signers);
	if (!check_signers(options, &note, checkpoint, &signers))
		return false;
	if (!is_best(checkpoint))
	{
		compare_with_state(source, checkpoint);
		compare_with_best(checkpoint);
	}
	keep_if_best(text, len, checkpoint, &signers);
	if (source == MEDSYNC_OF_LOG)
	{
		have_log = true;
		log_checkpoint = *checkpoint;
	}
	if (signers.witnesses >= options->witnesses)
		medsync_checkpoint_cosigned(signers.cosigned_at);
	else if (options->mode == MEDSYNC_MODE_RECEIPT)
		report_too_few(options, checkpoint->size, signers.witnesses);
	return true;
}

/* The tree has another root at a remembered size; said once. */
void
medsync_checkpoint_forked(const MedsyncRemembered *known, const uint8 *found)
{
	static bool reported = false;

	if (reported)
		return;
	reported = true;
	medsync_report_finding(MEDSYNC_ERROR, "forked", MEDSYNC_NO_PLACE,
						   medsync_hex(known->root, MEDSYNC_HASH_SIZE),
						   medsync_hex(found, MEDSYNC_HASH_SIZE),
						   "The log does not continue the remembered checkpoint: at size " UINT64_FORMAT " it has another root.",
						   known->size);
}

/* A block of the ledger, each higher than the one before. */
void
medsync_checkpoint_block(uint64 height, const uint8 *hash)
{
	have_block = true;
	last_block_height = height;
	memcpy(last_block_hash, hash, MEDSYNC_HASH_SIZE);
}

/* Since when is a checkpoint known? */
static int64
first_seen_of(const MedsyncCheckpoint *checkpoint, int64 now)
{
	MedsyncRemembered known[MEDSYNC_REMEMBERED_MAX];
	int			count = medsync_checkpoint_remembered(known);
	int			i;

	for (i = 0; i < count; i++)
		if (known[i].size == checkpoint->size &&
			memcmp(known[i].root, checkpoint->root, MEDSYNC_HASH_SIZE) == 0)
			return known[i].first_seen;
	return now;
}

/* Has there been nothing new for too long? */
static void
check_age(const MedsyncOptions *options, int64 first_seen, int64 now)
{
	if (options->max_age == 0)
		return;
	if (now - first_seen > options->max_age)
		medsync_report_finding(MEDSYNC_WARNING, "stale", MEDSYNC_NO_PLACE,
							   NULL, NULL,
							   "The checkpoint has not changed for " INT64_FORMAT " seconds.",
							   now - first_seen);
	else if (best_cosigned_at != 0 &&
			 best_cosigned_at < (uint64) (now - options->max_age))
		medsync_report_finding(MEDSYNC_WARNING, "stale", MEDSYNC_NO_PLACE,
							   NULL, NULL,
							   "The newest cosignature of a witness on the checkpoint is " INT64_FORMAT " seconds old.",
							   now - (int64) best_cosigned_at);
}

/* Put what is remembered of the public export into a state. */
static void
remember_log(MedsyncState *state, int64 now)
{
	state->log_seen = remembered_log(&state->log);
	if (have_log)
	{
		state->log_seen = true;
		state->log.size = log_checkpoint.size;
		memcpy(state->log.root, log_checkpoint.root, MEDSYNC_HASH_SIZE);
		state->log.first_seen = first_seen_of(&log_checkpoint, now);
	}
	state->log_apart = !state->log_seen ||
		state->log.size != state->checkpoint.size;
}

/* Remember what this run has found to be good. */
static void
remember(const MedsyncOptions *options, int64 now)
{
	MedsyncState state = medsync_state;

	if (!state.exists || best.size >= state.checkpoint.size)
	{
		state.exists = true;
		state.note = best_note;
		state.note_len = best_note_len;
		state.checkpoint = best;
		state.first_seen = first_seen_of(&best, now);
	}
	remember_log(&state, now);
	if (have_block &&
		(!state.has_block || last_block_height >= state.block_height))
	{
		state.has_block = true;
		state.block_height = last_block_height;
		memcpy(state.block_hash, last_block_hash, MEDSYNC_HASH_SIZE);
	}
	medsync_state_save(options, &state);
}

/* The end of a run: look at size and age of the checkpoint, and remember it. */
void
medsync_checkpoint_finish(const MedsyncOptions *options)
{
	int64		now = (int64) time(NULL);

	/* a receipt's checkpoint need not be the newest */
	if (!have_best || options->mode == MEDSYNC_MODE_RECEIPT)
		return;
	if (options->mode != MEDSYNC_MODE_LOG && medsync_state.exists &&
		best.size < medsync_state.checkpoint.size)
		report_truncated(medsync_state.checkpoint.size, best.size);
	check_age(options, first_seen_of(&best, now), now);
	if (options->state_path != NULL && !medsync_summary.ledger_damaged)
		remember(options, now);
	check_witnesses(options, now);
}
