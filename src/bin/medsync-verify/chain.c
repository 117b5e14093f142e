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
 *	- a transaction's entries stand in the order of (command, ordinal).
 *
 * Memory: the snapshots of two blocks a line, and 8 bytes for each
 * transaction of the block being read.  A stream that begins in the middle
 * says nothing about the blocks before, so that what depends on them is not
 * checked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "chain.h"

#define ERAS_MAX			16384
#define SNAPSHOT_TEXT_MAX	(8 * 1024 * 1024)

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

static const MedsyncEra *
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
		if (is_same_line(&chain->eras[i], era))
			added->line = chain->eras[i].line;
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
	uint64		xmin;
	uint64		last = 0;
	int			members = 1;
	size_t		i;

	set->count = 0;
	set->in_progress = NULL;
	if (!read_xid(&next, end, &xmin) || !skip_char(&next, end, ':') ||
		!read_xid(&next, end, &set->xmax) || !skip_char(&next, end, ':') ||
		xmin > set->xmax)
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
			!read_xid(&next, end, &xid) || xid < xmin || xid >= set->xmax ||
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
	if (chain->era == NULL)
		return;
	line = &chain->lines[chain->era->line];
	if (line->blocks > 0 &&
		!(line->last_sealer == block->sealer_xid &&
		  is_same_set(&line->last, &block->xids)))
	{
		chain->since = &line->last;
		chain->skip = line->last_sealer;
	}
	else if (line->blocks == 2)
	{
		chain->since = &line->before;
		chain->skip = line->before_sealer;
	}
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

static void
report_problems(const MedsyncChain *chain)
{
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

/* All entries of a transaction have passed: does it stand where it should? */
static void
end_group(MedsyncChain *chain)
{
	const MedsyncGroup *group = &chain->group;
	const MedsyncGroup *previous = &chain->previous;

	if (!chain->have_group)
		return;
	chain->have_group = false;
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
	group->command = entry->command;
	group->ordinal = entry->ordinal;
	group->position = Max(group->position, header->flush_position);
}

/* Does a transaction stand in the block twice? */
static void
check_repeated(MedsyncChain *chain)
{
	int64		i;

	if (chain->xids_ascend)
		return;
	qsort(chain->xids, chain->xid_count, sizeof(uint64), compare_u64);
	for (i = 1; i < chain->xid_count; i++)
		if (chain->xids[i] == chain->xids[i - 1])
		{
			note_order(chain, -1,
					   "those of a transaction do not stand together");
			return;
		}
}

/* Make the block the newest of its line; the line takes its snapshot. */
static void
advance_line(MedsyncChain *chain)
{
	MedsyncBlock *block = &chain->block;
	MedsyncLine *line;

	if (chain->era == NULL)
	{
		free_set(&block->xids);
		return;
	}
	line = &chain->lines[chain->era->line];
	if (line->blocks > 0 && line->last_sealer == block->sealer_xid &&
		is_same_set(&line->last, &block->xids))
	{
		free_set(&block->xids);
		return;
	}
	free_set(&line->before);
	line->before = line->last;
	line->before_sealer = line->last_sealer;
	line->last = block->xids;
	line->last_sealer = block->sealer_xid;
	line->blocks = Min(line->blocks + 1, 2);
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
	advance_line(chain);
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
	if (line != NULL && line->blocks > 0 &&
		is_finished(&line->last, header->xid))
		medsync_report_finding(MEDSYNC_ERROR, "entry_extra",
							   medsync_chain_place(chain, -1), NULL, NULL,
							   "An entry of transaction " UINT64_FORMAT " is not sealed, though it had ended when the last block was made.",
							   header->xid);
}
