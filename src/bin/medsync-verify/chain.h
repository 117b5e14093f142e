/*-------------------------------------------------------------------------
 *
 * chain.h
 *		Blocks of a stream: their chain, and which entries they may hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VERIFY_CHAIN_H
#define MEDSYNC_VERIFY_CHAIN_H

#include "medsync_verify.h"
#include "rules.h"

/* Which transactions had ended; as pg_snapshot */
typedef struct MedsyncXidSet
{
	uint64		xmax;			/* none at or above it */
	uint64		xmin;			/* the text says it as well */
	int			count;
	uint64	   *in_progress;	/* none of these; ascending */
} MedsyncXidSet;

typedef struct MedsyncEra
{
	uint32		number;
	uint8		id[MEDSYNC_ID_SIZE];
	bool		known;			/* the three below are known */
	uint64		system_identifier;
	uint32		timeline;
	uint32		database;
	int			line;			/* number of its line */
	uint64		call;			/* its last block's call in the line; 0: none */
} MedsyncEra;

typedef struct MedsyncBlock
{
	int64		height;
	uint32		era;			/* number */
	uint8		previous_hash[MEDSYNC_HASH_SIZE];
	int64		first_index;
	int64		entry_count;
	uint8		root[MEDSYNC_HASH_SIZE];
	uint64		sealer_xid;
	int64		sealed_at;
	uint8		hash[MEDSYNC_HASH_SIZE];
	const char *snapshot;		/* as text, not terminated */
	size_t		snapshot_len;
	MedsyncXidSet xids;			/* the same, parsed */
} MedsyncBlock;

/*
 * The newest blocks of eras whose transactions are numbered together.  What
 * one call of the sealer made in a line counts once.
 */
typedef struct MedsyncLine
{
	uint64		calls;			/* of the sealer, which made blocks in it */
	MedsyncXidSet last;			/* snapshot of the newest call */
	uint64		last_sealer;
	int64		last_sealed_at;
	int64		before_sealed_at;	/* of the call before it */
	uint64		before_sealer;	/* of the call before it */
	MedsyncXidSet finished;		/* in the snapshot of any call so far */
	MedsyncXidSet before;		/* in that of any but the newest */
	uint32		timeline;		/* the highest of its eras with blocks */

	int			unions;			/* snapshots that were older in part */

	/* the newest call */
	bool		closing;		/* made in another line; nothing follows */
	bool		begins_before;	/* it may have made blocks before the stream */
	uint64		last_xid;		/* the highest in its blocks */
	int64		height;			/* of its first block */
} MedsyncLine;

/* The transaction whose entries are being read */
typedef struct MedsyncGroup
{
	uint64		xid;
	uint64		position;		/* the greatest flush position so far */
	uint32		command;		/* of the entry before */
	uint64		ordinal;
	int64		first_index;
	int			entries;
	bool		of_sealer;		/* it is the sealer's own, which comes last */
	bool		foreign;		/* it has no place in the block at all */
} MedsyncGroup;

typedef struct MedsyncChain
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	int64		created_at;
	bool		whole;			/* from the first block on */

	MedsyncEra *eras;			/* by number */
	int			era_count;
	MedsyncLine *lines;
	int			line_count;

	int64		blocks;			/* read so far */
	int64		last_height;
	int64		last_end;		/* index behind its entries */
	int64		last_sealed_at;
	uint64		first_sealer;	/* of the first block read */
	uint8		last_hash[MEDSYNC_HASH_SIZE];

	/* the block being read */
	bool		in_block;
	MedsyncBlock block;
	MedsyncEra *era;			/* NULL: not in the list */
	bool		of_last_call;	/* the call that the line's last is of */
	bool		hash_holds;
	const MedsyncXidSet *since; /* NULL: everything is new */
	uint64		skip;			/* sealer of the block that "since" is of */
	bool		have_group;
	MedsyncGroup group;
	bool		have_previous;	/* a transaction before it, of the same rule */
	MedsyncGroup previous;
	uint64		last_xid;		/* the highest of the block */
	uint64	   *xids;			/* of all transactions of the block */
	int64		xid_count;
	int64		xid_capacity;
	bool		xids_ascend;
	const char *order_problem;	/* the first; NULL: none */
	int64		order_index;
	const char *rule_problem;
	int64		rule_index;
	bool		time_went_back;
	int64		time_index;		/* the first entry that says so */
	const char *foreign_problem;
	int64		foreign_index;
	uint64		foreign_xid;
	MedsyncRules rules;
} MedsyncChain;

extern bool medsync_chain_add_era(MedsyncChain *chain, const MedsyncEra *era);
extern bool medsync_chain_begin_block(MedsyncChain *chain,
									  const uint8 *payload, size_t len);
extern void medsync_chain_entry(MedsyncChain *chain, int64 index,
								const MedsyncPackedHeader *header,
								const MedsyncEntry *entry);
extern const char *medsync_chain_unsealed(MedsyncChain *chain,
										  const MedsyncPackedHeader *header,
										  const MedsyncEntry *entry);
extern void medsync_chain_end_block(MedsyncChain *chain,
									bool entries_hold);
extern void medsync_chain_end(MedsyncChain *chain);
extern void medsync_chain_check_unsealed(const MedsyncChain *chain,
										 const MedsyncPackedHeader *header);
extern MedsyncPlace medsync_chain_place(const MedsyncChain *chain,
										int64 index);

#endif							/* MEDSYNC_VERIFY_CHAIN_H */
