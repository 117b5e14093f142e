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

#define BYTES_PER_ITEM	256		/* in the hash table, at its average filling */
#define PART_MEMORY		8192	/* kB; what a processor's cache likes */
#define MAX_PARTS		1024

typedef struct BalanceKey
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint32		table;
} BalanceKey;

/* Commitments are hashes already: four of their bytes will do. */
static inline uint32
hash_commitment(const BalanceKey *key)
{
	uint32		hash;

	memcpy(&hash, key->commitment + 4, sizeof(hash));
	return hash ^ key->table;
}

typedef struct BalanceEntry
{
	BalanceKey	key;
	char		status;
	MedsyncBalanceItem item;
} BalanceEntry;

#define SH_PREFIX balancehash
#define SH_ELEMENT_TYPE BalanceEntry
#define SH_KEY_TYPE BalanceKey
#define SH_KEY key
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
medsync_balance_create(int64 expected_items)
{
	MedsyncBalance *balance = palloc0(sizeof(MedsyncBalance));
	int64		parts = expected_items * BYTES_PER_ITEM /
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
add_to_sums(MedsyncBalance *balance, const MedsyncBalanceItem *item)
{
	BalanceKey	key;
	BalanceEntry *entry;
	bool		found;

	memcpy(key.commitment, item->commitment, MEDSYNC_HASH_SIZE);
	key.table = item->table;
	entry = balancehash_insert(balance->sums, key, &found);
	if (!found)
	{
		entry->item = *item;
		return;
	}
	entry->item.entries += item->entries;
	entry->item.live += item->live;
	if (item->live > 0)
		entry->item.live_tid = item->live_tid;
	else if (item->entries > 0)
	{
		entry->item.tid = item->tid;
		entry->item.nth = item->nth;
		entry->item.index = item->index;
		entry->item.block = item->block;
		entry->item.has_row_key = item->has_row_key;
		memcpy(entry->item.row_key, item->row_key, MEDSYNC_ID_SIZE);
	}
	if (entry->item.entries == 0 && entry->item.live == 0)
		balancehash_delete_item(balance->sums, entry);
}

/* Count one entry's or one live row's commitment. */
void
medsync_balance_add(MedsyncBalance *balance, const MedsyncBalanceItem *item)
{
	uint32		hash;

	if (balance->files == NULL)
	{
		add_to_sums(balance, item);
		return;
	}
	memcpy(&hash, item->commitment, sizeof(hash));
	BufFileWrite(balance->files[hash % balance->parts],
				 unconstify(MedsyncBalanceItem *, item), sizeof(*item));
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
		MedsyncBalanceItem item;

		balance->sums = balancehash_create(balance->context, 1024, NULL);
		if (BufFileSeek(balance->files[i], 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rewind temporary file of verify: %m")));
		while (BufFileRead(balance->files[i], &item, sizeof(item)) ==
			   sizeof(item))
		{
			CHECK_FOR_INTERRUPTS();
			add_to_sums(balance, &item);
		}
		BufFileClose(balance->files[i]);
		report_unbalanced(balance, report, arg);
		balancehash_destroy(balance->sums);
	}
}
