/*-------------------------------------------------------------------------
 *
 * balance.c
 *		The balance rule: what entries made, less what they ended, is what a
 *		table must hold.
 *
 * For each (table, commitment) the number of entries that made it, less the
 * number that ended it, must be the number of live rows that have it.  The
 * sum does not depend on order and works for tables without a key.
 *
 * Memory stays within maintenance_work_mem, and mostly within 8 MB: a ledger
 * too large for one hash table is split by commitment into temporary files
 * that are summed one after another.  The files belong to the resource owner of the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buffile.h"

#include "ledger/balance.h"

#define BYTES_PER_COUNT	128		/* in the hash table: half filled, two counts an item */
#define PART_MEMORY		8192	/* kB; what a processor's cache likes */
#define MAX_PARTS		1024

/* Commitments are hashes already: four of their bytes will do. */
static inline uint32
hash_commitment(const MedsyncBalanceItem *item)
{
	uint32		hash;

	memcpy(&hash, item->commitment + 4, sizeof(hash));
	return hash ^ item->table;
}

/* Only commitment and table of the key are looked at */
typedef struct BalanceEntry
{
	MedsyncBalanceItem item;
	char		status;
} BalanceEntry;

#define SH_PREFIX balancehash
#define SH_ELEMENT_TYPE BalanceEntry
#define SH_KEY_TYPE MedsyncBalanceItem
#define SH_KEY item
#define SH_HASH_KEY(tb, key) hash_commitment(&(key))
#define SH_EQUAL(tb, a, b) \
	(memcmp((a).commitment, (b).commitment, MEDSYNC_HASH_SIZE) == 0 && \
	 (a).table == (b).table)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct MedsyncBalance
{
	MemoryContext context;
	int			parts;
	BufFile   **files;			/* NULL with one part */
	balancehash_hash *sums;		/* of the only part, or the one being summed */
};

/* Begin, in the current memory context. */
MedsyncBalance *
medsync_balance_create(int64 expected_counts)
{
	MedsyncBalance *balance = palloc0(sizeof(MedsyncBalance));
	int64		parts = expected_counts * BYTES_PER_COUNT /
	((int64) Min(maintenance_work_mem, PART_MEMORY) * 1024) + 1;
	int			i;

	balance->context = CurrentMemoryContext;
	balance->parts = (int) Min(parts, MAX_PARTS);
	if (balance->parts == 1)
	{
		balance->sums = balancehash_create(balance->context, 1024, NULL);
		return balance;
	}
	balance->files = palloc(sizeof(BufFile *) * balance->parts);
	for (i = 0; i < balance->parts; i++)
		balance->files[i] = BufFileCreateTemp(false);
	return balance;
}

static void
add_to_sums(MedsyncBalance *balance, const MedsyncBalanceCount *count)
{
	MedsyncBalanceItem key = {0};
	MedsyncBalanceItem *item;
	BalanceEntry *entry;
	bool		found;

	memcpy(key.commitment, count->commitment, MEDSYNC_HASH_SIZE);
	key.table = count->table;
	key.index = -1;
	ItemPointerSetInvalid(&key.tid);
	entry = balancehash_insert(balance->sums, key, &found);
	item = &entry->item;
	if (count->entries == 0)
	{
		item->live++;
		item->live_tid = count->tid;
	}
	else
		item->entries += count->entries;
	if (count->entries > 0)
	{
		item->tid = count->tid;
		item->nth = count->nth;
		item->index = count->index;
	}
	if (item->entries == 0 && item->live == 0)
		balancehash_delete_item(balance->sums, entry);
}

/* Count one entry's or one live row's commitment. */
void
medsync_balance_add(MedsyncBalance *balance, const MedsyncBalanceCount *count)
{
	uint32		hash;

	if (balance->files == NULL)
	{
		add_to_sums(balance, count);
		return;
	}
	memcpy(&hash, count->commitment, sizeof(hash));
	BufFileWrite(balance->files[hash % balance->parts],
				 unconstify(MedsyncBalanceCount *, count), sizeof(*count));
}

static void
report_unbalanced(MedsyncBalance *balance, MedsyncBalanceReport report,
				  void *arg)
{
	balancehash_iterator iterator;
	BalanceEntry *entry;

	balancehash_start_iterate(balance->sums, &iterator);
	while ((entry = balancehash_iterate(balance->sums, &iterator)) != NULL)
		if (entry->item.entries != entry->item.live)
			report(arg, &entry->item);
}

/* Sum up, and report what does not agree. */
void
medsync_balance_finish(MedsyncBalance *balance, MedsyncBalanceReport report,
					   void *arg)
{
	int			i;

	if (balance->files == NULL)
	{
		report_unbalanced(balance, report, arg);
		balancehash_destroy(balance->sums);
		return;
	}
	for (i = 0; i < balance->parts; i++)
	{
		MedsyncBalanceCount count;

		balance->sums = balancehash_create(balance->context, 1024, NULL);
		if (BufFileSeek(balance->files[i], 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rewind temporary file of verify: %m")));
		while (BufFileRead(balance->files[i], &count, sizeof(count)) ==
			   sizeof(count))
		{
			CHECK_FOR_INTERRUPTS();
			add_to_sums(balance, &count);
		}
		BufFileClose(balance->files[i]);
		balance->files[i] = NULL;
		report_unbalanced(balance, report, arg);
		balancehash_destroy(balance->sums);
	}
}

/* Close what medsync_balance_finish() did not get to; memory goes with its context. */
void
medsync_balance_free(MedsyncBalance *balance)
{
	int			i;

	for (i = 0; balance->files != NULL && i < balance->parts; i++)
		if (balance->files[i] != NULL)
			BufFileClose(balance->files[i]);
}
