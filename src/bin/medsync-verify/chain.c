/*-------------------------------------------------------------------------
 *
 * chain.c
 *		Blocks of a stream: their chain, and which entries they may hold.
 *
 * docs/formats.md, "Block" and "Which entries, in which order".  The server
 * finds a block's entries by its snapshot; here they are given, and it is
 * checked that each belongs there and that they stand in the one order that
 * is possible:
 *
 *	- a block's transactions had ended in its snapshot, and had not in that of
 *	  the block before in the same line; or it is the sealer's own, the last;
 *	- transactions stand in the order of (last flush position, xid), none of
 *	  them twice;
 *	- a transaction's entries stand in the order of (command, ordinal);
 *	- the sealer's own is one era entry, at the end of its era's first block;
 *	- a call of the sealer makes one block of an era, its snapshot does not
 *	  go back, and its own transaction is not below it.  Only a block of a
 *	  line whose entries came with a dump ("closing") has a snapshot that the
 *	  sealer made up.
 *
 * What an entry says is judged in rules.c.  In one call the blocks of eras
 * that have a number already come first, so that what an earlier era left
 * over can stand behind a later era's entries.
 *
 * Memory: three snapshots a line, and 8 bytes for each
 * transaction of the block being read.  A stream that begins in the middle
 * says nothing about the blocks before, so that what depends on them is not
 * checked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "chain.h"
#include "sort.h"

#define CLOCK_TOLERANCE	(INT64CONST(5) * 60 * 1000000)	/* five minutes */

#define ERAS_MAX			16384
#define SNAPSHOT_TEXT_MAX	(8 * 1024 * 1024)
#define FIRST_XID			3	/* no transaction has a lower one */
#define UNIONS_MAX			1000	/* a line is closed once a restore */

/* bytes of a block record before its snapshot */
#define BLOCK_FIXED_SIZE	(8 + 4 + 32 + 8 + 8 + 32 + 8 + 8 + 32)

/* ---- eras ---- */

static bool
is_same_line(const MedsyncEra *a, const MedsyncEra *b)
{
	if (a->known && b->known)
		return a->system_identifier == b->system_identifier &&
			a->database == b->database;
	return memcmp(a->id, b->id, MEDSYNC_ID_SIZE) == 0;
}

static MedsyncEra *
find_era(const MedsyncChain *chain, uint32 number)
{
	int			low = 0;
	int			high = chain->era_count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (chain->eras[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < chain->era_count && chain->eras[low].number == number ?
		&chain->eras[low] : NULL;
}

/* The id that an era of a known cluster and database has. */
static void
compute_era_id(const uint8 *ledger_id, const MedsyncEra *era, uint8 *id)
{
	uint8		data[MEDSYNC_ID_SIZE + 16];
	uint8		digest[MEDSYNC_HASH_SIZE];

	memcpy(data, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_store_u64(data + MEDSYNC_ID_SIZE, era->system_identifier);
	medsync_wire_store_u32(data + MEDSYNC_ID_SIZE + 8, era->timeline);
	medsync_wire_store_u32(data + MEDSYNC_ID_SIZE + 12, era->database);
	medsync_sha256(data, sizeof(data), digest);
	memcpy(id, digest, MEDSYNC_ID_SIZE);
}

/* Add an era; they come by number.  False: they do not. */
bool
medsync_chain_add_era(MedsyncChain *chain, const MedsyncEra *era)
{
	uint8		id[MEDSYNC_ID_SIZE];
	MedsyncEra *added;
	int			i;

	if (chain->era_count == ERAS_MAX ||
		(chain->era_count > 0 &&
		 era->number <= chain->eras[chain->era_count - 1].number))
		return false;
	compute_era_id(chain->ledger_id, era, id);
	if (era->number != (uint32) chain->era_count + 1)
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_number(chain->era_count + 1),
							   medsync_number(era->number),
							   "Eras are not numbered from 1 without gaps.");
	if (era->known && memcmp(id, era->id, MEDSYNC_ID_SIZE) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_hex(id, MEDSYNC_ID_SIZE),
							   medsync_hex(era->id, MEDSYNC_ID_SIZE),
							   "Era %u is not what its id stands for.",
							   era->number);
	chain->eras = pg_realloc(chain->eras,
							 sizeof(MedsyncEra) * (chain->era_count + 1));
	added = &chain->eras[chain->era_count];
	*added = *era;
	added->line = chain->line_count;
	for (i = 0; i < chain->era_count; i++)
	{
		if (is_same_line(&chain->eras[i], era))
			added->line = chain->eras[i].line;
		if (memcmp(chain->eras[i].id, era->id, MEDSYNC_ID_SIZE) == 0)
			medsync_report_finding(MEDSYNC_ERROR, "block_altered",
								   MEDSYNC_NO_PLACE, NULL,
								   medsync_hex(era->id, MEDSYNC_ID_SIZE),
								   "Era %u is era %u once more.",
								   era->number, chain->eras[i].number);
	}
	chain->era_count++;
	if (added->line == chain->line_count)
	{
		chain->lines = pg_realloc(chain->lines,
								  sizeof(MedsyncLine) * (chain->line_count + 1));
		memset(&chain->lines[chain->line_count++], 0, sizeof(MedsyncLine));
	}
	return true;
}

/* ---- snapshots ---- */

/* Read a decimal number without sign and leading zeros. */
static bool
read_xid(const char **next, const char *end, uint64 *value)
{
	const char *start = *next;
	const char *p = start;

	*value = 0;
	while (p < end && *p >= '0' && *p <= '9')
	{
		uint64		digit = *p - '0';

		if (*value > (PG_UINT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
		p++;
	}
	*next = p;
	return p > start && (*start != '0' || p == start + 1);
}

static bool
skip_char(const char **next, const char *end, char c)
{
	if (*next == end || **next != c)
		return false;
	(*next)++;
	return true;
}

/* Parse "xmin:xmax:xid,xid,...", exactly as a pg_snapshot is printed. */
static bool
parse_snapshot(const char *text, size_t len, MedsyncXidSet *set)
{
	const char *next = text;
	const char *end = text + len;
	uint64		last = 0;
	int			members = 1;
	size_t		i;

	set->count = 0;
	set->in_progress = NULL;
	if (!read_xid(&next, end, &set->xmin) || !skip_char(&next, end, ':') ||
		!read_xid(&next, end, &set->xmax) || !skip_char(&next, end, ':') ||
		set->xmin > set->xmax)
		return false;
	for (i = 0; i < len; i++)
		if (text[i] == ',')
			members++;
	if (next < end)
		set->in_progress = pg_malloc(sizeof(uint64) * members);
	while (next < end)
	{
		uint64		xid;

		if ((set->count > 0 && !skip_char(&next, end, ',')) ||
			!read_xid(&next, end, &xid) || xid < set->xmin || xid >= set->xmax ||
			(set->count > 0 && xid <= last))
			return false;
		set->in_progress[set->count++] = last = xid;
	}
	return true;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

static bool
is_finished(const MedsyncXidSet *set, uint64 xid)
{
	return xid < set->xmax &&
		(set->count == 0 ||
		 bsearch(&xid, set->in_progress, set->count, sizeof(uint64),
				 compare_u64) == NULL);
}

static bool
is_same_set(const MedsyncXidSet *a, const MedsyncXidSet *b)
{
	return a->xmax == b->xmax && a->count == b->count &&
		(a->count == 0 ||
		 memcmp(a->in_progress, b->in_progress,
				sizeof(uint64) * a->count) == 0);
}

/* Is everything finished in b that is finished in a? */
static bool
is_subset(const MedsyncXidSet *a, const MedsyncXidSet *b)
{
	int			i;

	if (a->xmax > b->xmax)
		return false;
	for (i = 0; i < b->count && b->in_progress[i] < a->xmax; i++)
		if (is_finished(a, b->in_progress[i]))
			return false;
	return true;
}

/* What is finished in one of two sets. */
static MedsyncXidSet
unite(const MedsyncXidSet *a, const MedsyncXidSet *b)
{
	MedsyncXidSet result = {0};
	int			i;

	result.xmax = Max(a->xmax, b->xmax);
	if (a->count + b->count > 0)
		result.in_progress = pg_malloc(sizeof(uint64) *
									   (a->count + b->count));
	/* xids ascend: those of the set that ends first come first */
	for (i = 0; i < a->count; i++)
		if (!is_finished(b, a->in_progress[i]))
			result.in_progress[result.count++] = a->in_progress[i];
	for (i = 0; i < b->count; i++)
		if (b->in_progress[i] >= a->xmax)
			result.in_progress[result.count++] = b->in_progress[i];
	return result;
}

static MedsyncXidSet
copy_set(const MedsyncXidSet *set)
{
	MedsyncXidSet result = *set;

	if (set->count == 0)
		result.in_progress = NULL;
	else
	{
		result.in_progress = pg_malloc(sizeof(uint64) * set->count);
		memcpy(result.in_progress, set->in_progress,
			   sizeof(uint64) * set->count);
	}
	return result;
}

static void
free_set(MedsyncXidSet *set)
{
	pg_free(set->in_progress);
	memset(set, 0, sizeof(*set));
}

/* ---- findings ---- */

/* The place of an entry of the block being read; -1: of the block. */
MedsyncPlace
medsync_chain_place(const MedsyncChain *chain, int64 index)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	if (chain->in_block)
		place.block = chain->block.height;
	place.index = index;
	return place;
}

static void
report_block(const MedsyncChain *chain, const char *expected,
			 const char *found, const char *detail)
{
	medsync_report_finding(MEDSYNC_ERROR, "block_altered",
						   medsync_chain_place(chain, -1), expected, found,
						   "%s", detail);
}

static char *
hash_text(const uint8 *hash)
{
	return medsync_hex(hash, MEDSYNC_HASH_SIZE);
}

static char *
signed_text(int64 value)
{
	return psprintf(INT64_FORMAT, value);
}

/* ---- the chain ---- */

/* Read a block record; false where it is malformed. */
static bool
parse_block(const uint8 *payload, size_t len, MedsyncBlock *block)
{
	MedsyncReader reader;

	memset(block, 0, sizeof(*block));
	if (len < BLOCK_FIXED_SIZE || len - BLOCK_FIXED_SIZE > SNAPSHOT_TEXT_MAX)
		return false;
	medsync_wire_open(&reader, payload, len);
	block->height = (int64) medsync_wire_get_u64(&reader);
	block->era = medsync_wire_get_u32(&reader);
	memcpy(block->previous_hash,
		   medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE),
		   MEDSYNC_HASH_SIZE);
	block->first_index = (int64) medsync_wire_get_u64(&reader);
	block->entry_count = (int64) medsync_wire_get_u64(&reader);
	memcpy(block->root, medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE),
		   MEDSYNC_HASH_SIZE);
	block->sealer_xid = medsync_wire_get_u64(&reader);
	block->sealed_at = (int64) medsync_wire_get_u64(&reader);
	memcpy(block->hash, medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE),
		   MEDSYNC_HASH_SIZE);
	block->snapshot = (const char *) reader.next;
	block->snapshot_len = MEDSYNC_WIRE_LEFT(&reader);
	return block->height >= 0 && block->first_index >= 0 &&
		block->entry_count > 0 &&
		block->first_index <= PG_INT64_MAX - block->entry_count &&
		parse_snapshot(block->snapshot, block->snapshot_len, &block->xids);
}

static void
compute_block_hash(const MedsyncChain *chain, uint8 *hash)
{
	const MedsyncBlock *block = &chain->block;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "medsync block v1");
	medsync_wire_put_bytes(&buf, chain->ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u64(&buf, (uint64) chain->created_at);
	medsync_wire_put_u64(&buf, (uint64) block->height);
	medsync_wire_put_bytes(&buf, block->previous_hash, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(&buf, (uint64) block->first_index);
	medsync_wire_put_u64(&buf, (uint64) block->entry_count);
	medsync_wire_put_bytes(&buf, block->root, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(&buf, block->sealer_xid);
	medsync_wire_put_u64(&buf, (uint64) block->sealed_at);
	medsync_wire_put_u32(&buf, block->era);
	medsync_wire_put_bytes(&buf, chain->era->id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(&buf, (uint32) block->snapshot_len);
	medsync_wire_put_bytes(&buf, block->snapshot, (int) block->snapshot_len);
	medsync_sha256(buf.data, buf.len, hash);
	pfree(buf.data);
}

/* A block against its own hash. */
static void
check_hash(MedsyncChain *chain)
{
	const MedsyncBlock *block = &chain->block;
	uint8		hash[MEDSYNC_HASH_SIZE];

	chain->hash_holds = false;
	if (chain->era == NULL)
	{
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   medsync_chain_place(chain, -1), NULL, NULL,
							   "Its era %u is not in the list of eras.",
							   block->era);
		return;
	}
	compute_block_hash(chain, hash);
	chain->hash_holds = memcmp(hash, block->hash, MEDSYNC_HASH_SIZE) == 0;
	if (!chain->hash_holds)
		report_block(chain, hash_text(block->hash), hash_text(hash),
					 "The block's fields do not give its hash.");
}

/* A block against the one below it; "below" has been read. */
static void
check_below(const MedsyncChain *chain)
{
	const MedsyncBlock *block = &chain->block;

	if (block->height != chain->last_height + 1)
		report_block(chain, signed_text(chain->last_height + 1),
					 signed_text(block->height), "A block below is missing.");
	if (block->first_index != chain->last_end)
		report_block(chain, signed_text(chain->last_end),
					 signed_text(block->first_index),
					 "The block does not begin where the one below ends.");
	if (memcmp(block->previous_hash, chain->last_hash, MEDSYNC_HASH_SIZE) != 0)
		report_block(chain, hash_text(chain->last_hash),
					 hash_text(block->previous_hash),
					 "The block does not stand on the one below.");
	if (chain->blocks > 0 && block->sealed_at < chain->last_sealed_at)
		report_block(chain, NULL, NULL,
					 "The block is older than the one below.");
}

/*
 * A block against the one that an earlier run remembered.  A stream that
 * begins above it can have anything below, so that it does not count as going
 * on from there.
 */
static void
check_remembered(const MedsyncChain *chain)
{
	const MedsyncState *state = &medsync_state;
	const MedsyncBlock *block = &chain->block;
	const uint8 *found;

	if (!state->has_block)
		return;
	if ((uint64) block->height == state->block_height)
		found = block->hash;
	else if (chain->blocks == 0 &&
			 (uint64) block->height == state->block_height + 1)
		found = block->previous_hash;
	else
	{
		if (chain->blocks == 0 &&
			(uint64) block->height > state->block_height)
			medsync_report_finding(MEDSYNC_ERROR, "entry_missing",
								   medsync_chain_place(chain, -1),
								   medsync_number(state->block_height + 1),
								   signed_text(block->height),
								   "The blocks begin above the one that was remembered.");
		return;
	}
	if (memcmp(found, state->block_hash, MEDSYNC_HASH_SIZE) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "forked",
							   medsync_chain_place(chain, -1),
							   hash_text(state->block_hash), hash_text(found),
							   "Block " UINT64_FORMAT " is not the one that was remembered.",
							   state->block_height);
}

/* Which transactions are new to the block? */
static void
find_since(MedsyncChain *chain)
{
	const MedsyncBlock *block = &chain->block;
	const MedsyncLine *line;

	chain->since = NULL;
	chain->skip = 0;
	chain->of_last_call = false;
	if (chain->era == NULL)
		return;
	line = &chain->lines[chain->era->line];
	chain->of_last_call = line->calls > 0 &&
		line->last_sealer == block->sealer_xid &&
		is_same_set(&line->last, &block->xids);
	if (line->calls > 0 && !chain->of_last_call)
	{
		chain->since = &line->finished;
		chain->skip = line->last_sealer;
	}
	else if (line->calls > 1)
	{
		chain->since = &line->before;
		chain->skip = line->before_sealer;
	}
}

/* A snapshot that sees everything there was: no server need have taken it. */
static bool
is_closing(const MedsyncXidSet *set)
{
	return set->count == 0 && set->xmin == set->xmax;
}

/* Can no snapshot of the block's own line be like this? */
static bool
is_of_other_line(const MedsyncChain *chain)
{
	const MedsyncBlock *block = &chain->block;
	const MedsyncLine *line = &chain->lines[chain->era->line];

	return !chain->era->known || block->sealer_xid < block->xids.xmax ||
		(line->calls > 0 && !line->closing &&
		 !is_subset(&line->last, &block->xids));
}

/* Can a call of the sealer have made the block, after those below? */
static void
check_call(MedsyncChain *chain)
{
	const MedsyncBlock *block = &chain->block;
	const MedsyncXidSet *xids = &block->xids;
	const MedsyncLine *line;

	if (block->sealer_xid < FIRST_XID || xids->xmin < FIRST_XID)
		report_block(chain, NULL, NULL,
					 "The block was made by no transaction, or its snapshot begins before any.");
	if (xids->xmin != (xids->count > 0 ? xids->in_progress[0] : xids->xmax))
		report_block(chain, NULL, NULL,
					 "The block's snapshot does not begin with its first transaction in progress.");
	if (chain->era == NULL)
		return;
	line = &chain->lines[chain->era->line];
	if (chain->of_last_call ? chain->era->call == line->calls :
		!chain->era->known && line->calls > 0)
		report_block(chain, NULL, NULL,
					 "What the block holds belongs into an earlier block of its era.");
	else if (!chain->of_last_call && is_of_other_line(chain) &&
			 (!is_closing(xids) || line->unions == UNIONS_MAX))
		report_block(chain, NULL, NULL, block->sealer_xid < xids->xmax ?
					 "The transaction that made the block is older than its snapshot." :
					 "The block's snapshot is older than that of a block below.");
}

/*
 * No block of a line's newest call follows.  The snapshot that closes
 * another line ends behind the last transaction that was left over.
 */
static void
end_call(const MedsyncLine *line)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	if (line->calls == 0 || !line->closing || line->begins_before ||
		line->last.xmax == line->last_xid + 1)
		return;
	place.block = line->height;
	medsync_report_finding(MEDSYNC_ERROR, "block_altered", place,
						   medsync_number(line->last_xid + 1),
						   medsync_number(line->last.xmax),
						   "The block's snapshot does not end behind its last transaction.");
}

/* A block begins; false where its record is malformed. */
bool
medsync_chain_begin_block(MedsyncChain *chain, const uint8 *payload,
						  size_t len)
{
	if (!parse_block(payload, len, &chain->block))
		return false;
	chain->in_block = true;
	chain->era = find_era(chain, chain->block.era);
	check_hash(chain);
	if (chain->blocks == 0 && chain->whole)
	{
		chain->last_height = -1;	/* and no hash, no end, no time */
		check_below(chain);
	}
	else if (chain->blocks > 0)
		check_below(chain);
	check_remembered(chain);
	find_since(chain);
	check_call(chain);
	if (chain->blocks == 0)
		chain->first_sealer = chain->block.sealer_xid;
	chain->last_xid = 0;
	chain->rule_problem = NULL;
	chain->time_went_back = false;
	chain->have_group = false;
	chain->have_previous = false;
	chain->xid_count = 0;
	chain->xids_ascend = true;
	chain->order_problem = NULL;
	chain->foreign_problem = NULL;
	return true;
}

/* ---- entries ---- */

/* Remember what is wrong with the order; the first one counts. */
static void
note_order(MedsyncChain *chain, int64 index, const char *problem)
{
	if (chain->order_problem != NULL)
		return;
	chain->order_problem = problem;
	chain->order_index = index;
}

/* The same for an entry that the block cannot hold. */
static void
note_foreign(MedsyncChain *chain, int64 index, uint64 xid,
			 const char *problem)
{
	if (chain->foreign_problem != NULL)
		return;
	chain->foreign_problem = problem;
	chain->foreign_index = index;
	chain->foreign_xid = xid;
}

/* The same for an entry that says what none can say. */
static void
note_rule(MedsyncChain *chain, int64 index, const char *problem)
{
	if (chain->rule_problem != NULL || problem == NULL)
		return;
	chain->rule_problem = problem;
	chain->rule_index = index;
}

static void
report_problems(const MedsyncChain *chain)
{
	if (chain->rule_problem != NULL)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   medsync_chain_place(chain, chain->rule_index),
							   NULL, NULL,
							   "The ledger cannot hold such an entry: %s.",
							   chain->rule_problem);
	if (chain->foreign_problem != NULL)
		medsync_report_finding(MEDSYNC_ERROR, "entry_extra",
							   medsync_chain_place(chain, chain->foreign_index),
							   NULL, NULL,
							   "The block cannot hold entries of transaction " UINT64_FORMAT ": %s.",
							   chain->foreign_xid, chain->foreign_problem);
	if (chain->order_problem != NULL)
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   medsync_chain_place(chain, chain->order_index),
							   NULL, NULL,
							   "The block's entries do not stand in ledger order: %s.",
							   chain->order_problem);
}

static bool
is_new(const MedsyncChain *chain, uint64 xid)
{
	return chain->since == NULL ||
		(!is_finished(chain->since, xid) && xid != chain->skip);
}

/* Remember that a transaction has been there. */
static void
add_xid(MedsyncChain *chain, uint64 xid)
{
	if (chain->xid_count == chain->xid_capacity)
	{
		chain->xid_capacity = Max(1024, chain->xid_capacity * 2);
		chain->xids = pg_realloc(chain->xids,
								 sizeof(uint64) * chain->xid_capacity);
	}
	if (chain->xid_count > 0 && xid <= chain->xids[chain->xid_count - 1])
		chain->xids_ascend = false;
	chain->xids[chain->xid_count++] = xid;
}

/* Does an entry go on with the update that the one before it began? */
static void
check_pair(MedsyncChain *chain, int64 index, const MedsyncEntry *entry)
{
	const char *problem = medsync_rules_pair(&chain->rules, &index, entry);

	note_rule(chain, index, problem);
}

/* Is the entry its era's, and where that stands? */
static void
check_era_place(MedsyncChain *chain, int64 index, const MedsyncEntry *entry)
{
	const MedsyncGroup *group = &chain->group;
	bool		is_era = entry->operation == MEDSYNC_OP_ERA;

	if (group->of_sealer && (!is_era || group->entries > 1))
		note_foreign(chain, index, group->xid,
					 "it made the block, and writes one era entry at most");
	else if (is_era && !group->of_sealer && !group->foreign)
		note_rule(chain, index, "the block's sealer did not write it");
	else if (is_era && chain->era != NULL && chain->era->call != 0)
		note_rule(chain, index, "it is not in the first block of its era");
}

/*
 * Do entries of the era stand where they were made?  What was left over of
 * an earlier timeline, or came with a dump, can come later.
 */
static bool
is_in_order(const MedsyncChain *chain, const MedsyncEra *era)
{
	return era != NULL && era->known &&
		era->timeline >= chain->lines[era->line].timeline;
}

/* All entries of a transaction have passed: does it stand where it should? */
static void
end_group(MedsyncChain *chain)
{
	const MedsyncGroup *group = &chain->group;
	const MedsyncGroup *previous = &chain->previous;

	if (!chain->have_group)
		return;
	chain->have_group = false;
	check_pair(chain, -1, NULL);
	if (group->foreign)
		return;
	if (chain->have_previous && previous->of_sealer)
		note_order(chain, group->first_index,
				   "those of the sealer are not the last");
	else if (chain->have_previous && !group->of_sealer &&
			 (group->position < previous->position ||
			  (group->position == previous->position &&
			   group->xid <= previous->xid)))
		note_order(chain, group->first_index,
				   "the transaction had flushed before the one that it follows");
	chain->previous = *group;
	chain->have_previous = true;
}

/* A transaction's first entry: may the block hold it? */
static void
begin_group(MedsyncChain *chain, int64 index, uint64 xid)
{
	MedsyncGroup *group = &chain->group;

	memset(group, 0, sizeof(*group));
	group->xid = xid;
	group->first_index = index;
	chain->have_group = true;
	add_xid(chain, xid);
	chain->last_xid = Max(chain->last_xid, xid);
	if (xid < FIRST_XID)
		note_rule(chain, index, "no transaction has its xid");
	if (is_new(chain, xid) && is_finished(&chain->block.xids, xid))
		return;
	if (is_new(chain, xid) && xid == chain->block.sealer_xid)
	{
		group->of_sealer = true;
		return;
	}
	group->foreign = true;
	note_foreign(chain, index, xid, is_new(chain, xid) ?
				 "it had not ended when the block was made" :
				 "it had ended before the block below was made");
}

/*
 * A transaction whose id comes after the last snapshot of its line began
 * after that was taken, and so after the call before it had sealed.  An entry
 * with an earlier time was made by a clock that was set back, or its time is
 * not true.  Clocks are corrected by a little now and then.
 */
static void
check_time(MedsyncChain *chain, int64 index, const MedsyncPackedHeader *header)
{
	const MedsyncLine *line;

	if (chain->era == NULL || chain->time_went_back || chain->of_last_call)
		return;
	line = &chain->lines[chain->era->line];
	if (line->calls < 2 || header->xid < line->last.xmax ||
		header->flush_time >= line->before_sealed_at - CLOCK_TOLERANCE)
		return;
	chain->time_went_back = true;
	chain->time_index = index;
}

static void
report_time(const MedsyncChain *chain)
{
	if (chain->time_went_back)
		medsync_report_finding(MEDSYNC_WARNING, "block_altered",
							   medsync_chain_place(chain, chain->time_index),
							   NULL, NULL,
							   "An entry says a time before that of blocks which were made before it: the clock was set back, or the time is not true.");
}

/* The next entry of the block being read. */
void
medsync_chain_entry(MedsyncChain *chain, int64 index,
					const MedsyncPackedHeader *header,
					const MedsyncEntry *entry)
{
	MedsyncGroup *group = &chain->group;

	if (chain->era != NULL &&
		memcmp(header->era_id, chain->era->id, MEDSYNC_ID_SIZE) != 0)
		note_foreign(chain, index, header->xid, "they are of another era");
	if (!chain->have_group || group->xid != header->xid)
	{
		end_group(chain);
		begin_group(chain, index, header->xid);
	}
	else if (entry->command < group->command ||
			 (entry->command == group->command &&
			  entry->ordinal <= group->ordinal))
		note_order(chain, index,
				   "the entry comes before the one that it follows");
	group->entries++;
	check_time(chain, index, header);
	check_era_place(chain, index, entry);
	check_pair(chain, index, entry);
	note_rule(chain, index,
			  medsync_rules_entry(&chain->rules, index, header, entry,
								  is_in_order(chain, chain->era)));
	group->command = entry->command;
	group->ordinal = entry->ordinal;
	group->position = Max(group->position, header->flush_position);
}

/* An entry that no block holds yet; NULL, or what is wrong with it. */
const char *
medsync_chain_unsealed(MedsyncChain *chain, const MedsyncPackedHeader *header,
					   const MedsyncEntry *entry)
{
	const MedsyncEra *era = NULL;
	int			i;

	if (entry->operation == MEDSYNC_OP_ERA)
		return "an era entry is sealed when it is made";
	if (entry->operation == MEDSYNC_OP_SIGNER && !chain->rules.signers_lost)
		for (i = 0; i < chain->era_count; i++)
			if (memcmp(chain->eras[i].id, header->era_id,
					   MEDSYNC_ID_SIZE) == 0)
				era = &chain->eras[i];
	return medsync_rules_entry(&chain->rules, -1, header, entry,
							   is_in_order(chain, era));
}

/* Does a transaction stand in the block twice? */
static void
check_repeated(MedsyncChain *chain)
{
	int64		i;

	if (chain->xids_ascend)
		return;
	medsync_sort(chain->xids, chain->xid_count, sizeof(uint64), compare_u64);
	for (i = 1; i < chain->xid_count; i++)
		if (chain->xids[i] == chain->xids[i - 1])
		{
			note_order(chain, -1,
					   "those of a transaction do not stand together");
			return;
		}
}

/* Add what is finished in a call's snapshot to what was before. */
static void
add_finished(MedsyncLine *line, const MedsyncXidSet *xids)
{
	MedsyncXidSet finished;

	if (is_subset(&line->finished, xids))
		finished = copy_set(xids);
	else if (line->unions < UNIONS_MAX)
	{
		finished = unite(&line->finished, xids);
		line->unions++;
	}
	else
		return;					/* that was reported */
	free_set(&line->before);
	line->before = line->finished;
	line->finished = finished;
}

/* A call of the sealer begins in the line; the line takes its snapshot. */
static void
begin_call(MedsyncChain *chain, MedsyncLine *line)
{
	MedsyncBlock *block = &chain->block;

	end_call(line);
	line->closing = is_of_other_line(chain);
	line->begins_before = !chain->whole &&
		block->sealer_xid == chain->first_sealer;
	line->height = block->height;
	line->last_xid = 0;
	add_finished(line, &block->xids);
	line->before_sealer = line->last_sealer;
	free_set(&line->last);
	line->last = block->xids;
	line->last_sealer = block->sealer_xid;
	line->before_sealed_at = line->last_sealed_at;
	line->last_sealed_at = block->sealed_at;
	line->calls++;
}

/* Make the block the newest of its line. */
static void
advance_line(MedsyncChain *chain, bool entries_hold)
{
	MedsyncLine *line;

	if (chain->era == NULL)
	{
		free_set(&chain->block.xids);
		return;
	}
	line = &chain->lines[chain->era->line];
	if (chain->of_last_call)
		free_set(&chain->block.xids);
	else
		begin_call(chain, line);
	if (!entries_hold)
		line->begins_before = true; /* which xids it had is not known */
	line->last_xid = Max(line->last_xid, chain->last_xid);
	line->timeline = Max(line->timeline, chain->era->timeline);
	chain->era->call = line->calls;
}

/*
 * The entries of a block have passed.  Where they are known not to be the
 * ones that were sealed, where they stand says nothing.
 */
void
medsync_chain_end_block(MedsyncChain *chain, bool entries_hold)
{
	const MedsyncBlock *block = &chain->block;

	end_group(chain);
	check_repeated(chain);
	if (entries_hold)
		report_problems(chain);
	report_time(chain);
	advance_line(chain, entries_hold);
	chain->blocks++;
	chain->last_height = block->height;
	chain->last_end = block->first_index + block->entry_count;
	chain->last_sealed_at = block->sealed_at;
	memcpy(chain->last_hash, block->hash, MEDSYNC_HASH_SIZE);
	medsync_checkpoint_block((uint64) block->height, block->hash);
	chain->in_block = false;
}

/* No block follows. */
void
medsync_chain_end(MedsyncChain *chain)
{
	int			i;

	for (i = 0; i < chain->line_count; i++)
		end_call(&chain->lines[i]);
	if (chain->whole)
		medsync_rules_end(&chain->rules);
	if (medsync_state.has_block && chain->blocks > 0 &&
		(uint64) chain->last_height < medsync_state.block_height)
		medsync_report_finding(MEDSYNC_ERROR, "truncated", MEDSYNC_NO_PLACE,
							   medsync_number(medsync_state.block_height),
							   signed_text(chain->last_height),
							   "The chain of blocks ends below the one that was remembered.");
}

/*
 * An entry that is in no block: its transaction must not have ended when the
 * last block of its line was made, or that block would hold it.
 */
void
medsync_chain_check_unsealed(const MedsyncChain *chain,
							 const MedsyncPackedHeader *header)
{
	const MedsyncLine *line = NULL;
	int			i;

	for (i = 0; i < chain->era_count; i++)
		if (memcmp(chain->eras[i].id, header->era_id, MEDSYNC_ID_SIZE) == 0)
			line = &chain->lines[chain->eras[i].line];
	if (line != NULL && line->calls > 0 &&
		is_finished(&line->last, header->xid))
		medsync_report_finding(MEDSYNC_ERROR, "entry_extra",
							   medsync_chain_place(chain, -1), NULL, NULL,
							   "An entry of transaction " UINT64_FORMAT " is not sealed, though it had ended when the last block was made.",
							   header->xid);
}
