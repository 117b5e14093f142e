/*-------------------------------------------------------------------------
 *
 * row_balance.c
 *		The balance rule: what entries made, less what they ended, is what a
 *		table must hold.
 *
 * For each (table, commitment) the number of entries that made it, less the
 * number that ended it, must be the number of live rows that have it.  The
 * sum does not depend on order and works for tables without a key.
 *
 * Memory does not grow with the ledger: one too large for a hash table is
 * split by commitment into temporary files that are summed one after
 * another.  They are in the directory TMPDIR, have no name, and hold nothing
 * that opens a row.
 *
 * Commitments come from whoever is being checked, hence a hash that nobody
 * can foresee.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/hashfn.h"
#include "medsync_verify.h"
#include "row_balance.h"

#define COUNTS_PER_PART		(512 * 1024)
#define MAX_PARTS			128 /* open files */

static uint64 hash_seed;

/* Only commitment and table of the key are looked at */
typedef struct BalanceEntry
{
	MedsyncRowItem item;
	char		status;
} BalanceEntry;

static uint64
hash_item(const MedsyncRowItem *item)
{
	return hash_bytes_extended(item->commitment, MEDSYNC_HASH_SIZE,
							   hash_seed ^ item->table);
}

/* what simplehash.h calls in programs when a table cannot grow */
#define pg_fatal(...) medsync_cannot_check(__VA_ARGS__)

#define SH_PREFIX balancehash
#define SH_ELEMENT_TYPE BalanceEntry
#define SH_KEY_TYPE MedsyncRowItem
#define SH_KEY item
#define SH_HASH_KEY(tb, key) ((uint32) hash_item(&(key)))
#define SH_EQUAL(tb, a, b) \
	(memcmp((a).commitment, (b).commitment, MEDSYNC_HASH_SIZE) == 0 && \
	 (a).table == (b).table)
#define SH_SCOPE static inline
#define SH_RAW_ALLOCATOR pg_malloc0
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct MedsyncRowBalance
{
	int			parts;
	FILE	  **files;			/* NULL with one part */
	balancehash_hash *sums;		/* of the only part, or the one being summed */
};

/* Begin; a wrong expectation costs memory only. */
MedsyncRowBalance *
medsync_row_balance_create(uint64 expected_counts)
{
	MedsyncRowBalance *balance = pg_malloc0(sizeof(MedsyncRowBalance));
	int			i;

	medsync_random(&hash_seed, sizeof(hash_seed));
	balance->parts = (int) Min(expected_counts / COUNTS_PER_PART + 1,
							   MAX_PARTS);
	if (balance->parts == 1)
	{
		balance->sums = balancehash_create(1024, NULL);
		return balance;
	}
	balance->files = pg_malloc(sizeof(FILE *) * balance->parts);
	for (i = 0; i < balance->parts; i++)
		balance->files[i] = medsync_open_temporary();
	return balance;
}

/*
 * Add one count.  It has the form of an item: made is entries 1, ended is
 * entries -1, a live row is live 1.
 */
static void
add_to_sums(MedsyncRowBalance *balance, const MedsyncRowItem *count)
{
	BalanceEntry *entry;
	MedsyncRowItem *item;
	bool		found;

	entry = balancehash_insert(balance->sums, *count, &found);
	item = &entry->item;
	if (!found)
		*item = *count;
	else
	{
		item->entries += count->entries;
		item->live += count->live;
		if (count->entries > 0)
		{
			item->index = count->index;
			item->block = count->block;
		}
		if (count->live > 0)
			item->row = count->row;
		if (count->entries >= 0)
			memcpy(item->row_key, count->row_key, MEDSYNC_ID_SIZE);
	}
	if (item->entries == 0 && item->live == 0)
		balancehash_delete_item(balance->sums, entry);
}

static void
add(MedsyncRowBalance *balance, const MedsyncRowItem *count)
{
	FILE	   *file;

	if (balance->files == NULL)
	{
		add_to_sums(balance, count);
		return;
	}
	file = balance->files[(hash_item(count) >> 32) % balance->parts];
	if (fwrite(count, sizeof(*count), 1, file) != 1)
		medsync_cannot_check("could not write a temporary file: %s",
							 strerror(errno));
}

static void
begin_count(MedsyncRowItem *count, uint32 table, const uint8 *commitment,
			const uint8 *row_key)
{
	memset(count, 0, sizeof(*count));
	memcpy(count->commitment, commitment, MEDSYNC_HASH_SIZE);
	count->table = table;
	count->index = -1;
	count->block = -1;
	if (row_key != NULL)
		memcpy(count->row_key, row_key, MEDSYNC_ID_SIZE);
}

/* An entry made a row version. */
void
medsync_row_made(MedsyncRowBalance *balance, uint32 table,
				 const uint8 *commitment, int64 index, int64 block,
				 const uint8 *row_key)
{
	MedsyncRowItem count;

	begin_count(&count, table, commitment, row_key);
	count.entries = 1;
	count.index = index;
	count.block = block;
	add(balance, &count);
}

/* An entry ended one. */
void
medsync_row_ended(MedsyncRowBalance *balance, uint32 table,
				  const uint8 *commitment)
{
	MedsyncRowItem count;

	begin_count(&count, table, commitment, NULL);
	count.entries = -1;
	add(balance, &count);
}

/* A table holds one. */
void
medsync_row_live(MedsyncRowBalance *balance, uint32 table,
				 const uint8 *commitment, MedsyncRowId row,
				 const uint8 *row_key)
{
	MedsyncRowItem count;

	begin_count(&count, table, commitment, row_key);
	count.live = 1;
	count.row = row;
	add(balance, &count);
}

static void
report_unbalanced(MedsyncRowBalance *balance, MedsyncRowReport report,
				  void *arg)
{
	balancehash_iterator iterator;
	BalanceEntry *entry;

	balancehash_start_iterate(balance->sums, &iterator);
	while ((entry = balancehash_iterate(balance->sums, &iterator)) != NULL)
		if (entry->item.entries != entry->item.live)
			report(arg, &entry->item);
	balancehash_destroy(balance->sums);
}

static void
sum_file(MedsyncRowBalance *balance, FILE *file)
{
	MedsyncRowItem count;

	balance->sums = balancehash_create(1024, NULL);
	rewind(file);
	while (fread(&count, sizeof(count), 1, file) == 1)
		add_to_sums(balance, &count);
	if (ferror(file))
		medsync_cannot_check("could not read a temporary file: %s",
							 strerror(errno));
	fclose(file);
}

/* Sum up, report what does not agree, and free the balance. */
void
medsync_row_balance_finish(MedsyncRowBalance *balance,
						   MedsyncRowReport report, void *arg)
{
	int			i;

	if (balance->files == NULL)
		report_unbalanced(balance, report, arg);
	for (i = 0; balance->files != NULL && i < balance->parts; i++)
	{
		if (fflush(balance->files[i]) != 0)
			medsync_cannot_check("could not write a temporary file: %s",
								 strerror(errno));
		sum_file(balance, balance->files[i]);
		report_unbalanced(balance, report, arg);
	}
	pg_free(balance->files);
	pg_free(balance);
}
