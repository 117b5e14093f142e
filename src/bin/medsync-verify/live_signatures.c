/*-------------------------------------------------------------------------
 *
 * live_signatures.c
 *		Mode live: the signatures of live rows.
 *
 * Where a table demands signatures every live row must have one that holds,
 * by a key in medsync.person_key.  Those keys are the live rows of that
 * table, which this run compares with the ledger like any other's: a forged
 * one is found there.  Entries with a signature must name the one that the row
 * has, if it is still there, and a key that was valid when they were made.
 *
 * Entries come before the rows that they made.  Both are written to temporary
 * files, split by commitment, and matched when all have come, so that memory
 * does not grow with the ledger; it does with the number of keys, about 250
 * bytes each and a few kilobytes for those that were used last.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/hashfn.h"
#include "ledger/signing.h"
#include "live.h"
#include "proofs/key_row.h"
#include "sort.h"

#define RECORDS_PER_PART	(256 * 1024)
#define MAX_PARTS			64	/* open files */
#define PARSED_KEYS_MAX		32768

/* What is wrong with a row's signature */
typedef enum Problem
{
	NO_PROBLEM,
	NOT_SIGNED,
	KEY_UNKNOWN,
	WRONG_SIGNATURE,
	OTHER_SIGNATURE,
	KEY_NOT_VALID
} Problem;

static const char *const problem_texts[] = {
	[NOT_SIGNED] = "The row is not signed, and its table demands it.",
	[KEY_UNKNOWN] = "The signer's key is not in medsync.person_key.",
	[WRONG_SIGNATURE] = "The row's signature is wrong.",
	[OTHER_SIGNATURE] = "The row's signature is not the one that its entry names.",
	[KEY_NOT_VALID] = "The signer's key was not valid when the row was entered."
};

/* A live row, or an entry that made one, in a temporary file */
typedef struct SignedRow
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint8		digest[MEDSYNC_HASH_SIZE];	/* of the signature */
	uint8		signer[MEDSYNC_ID_SIZE];
	uint32		table;
	bool		live;
	bool		must_be_valid;	/* of an entry: the key, at its time */
	uint8		problem;		/* of a row */
	MedsyncRowId row;
	int64		index;			/* of the entry; -1: unsealed or none */
	int64		block;
	int64		statement_time;
} SignedRow;

/* Only commitment and table of the key are looked at */
typedef struct LiveRow
{
	SignedRow	signed_row;
	char		status;
} LiveRow;

/* A key of a person, by its live row */
typedef struct LiveKey
{
	MedsyncKeyRow row;
	MedsyncPublicKey *parsed;	/* NULL: not yet */
} LiveKey;

struct LiveSignatures
{
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	LiveKey    *keys;			/* by id, once they are sorted */
	int			key_count;
	int			key_room;
	bool		sorted;
	int			parsed_count;

	FILE	  **files;			/* NULL: nothing was signed so far */
	int			parts;
	uint64		seed;			/* of the hash that chooses the part */
	StringInfoData message;
	SignedRow  *bad;			/* rows with a problem */
	int64		bad_count;
	int64		bad_room;
};

static uint64 hash_seed;

static uint64
hash_row(const SignedRow *row)
{
	return hash_bytes_extended(row->commitment, MEDSYNC_HASH_SIZE,
							   hash_seed ^ row->table);
}

/* what simplehash.h calls in programs when a table cannot grow */
#define pg_fatal(...) medsync_cannot_check(__VA_ARGS__)

#define SH_PREFIX liverows
#define SH_ELEMENT_TYPE LiveRow
#define SH_KEY_TYPE SignedRow
#define SH_KEY signed_row
#define SH_HASH_KEY(tb, key) ((uint32) hash_row(&(key)))
#define SH_EQUAL(tb, a, b) \
	(memcmp((a).commitment, (b).commitment, MEDSYNC_HASH_SIZE) == 0 && \
	 (a).table == (b).table)
#define SH_SCOPE static inline
#define SH_RAW_ALLOCATOR pg_malloc0
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Begin; a wrong expectation costs memory only. */
LiveSignatures *
medsync_live_signatures_create(uint64 expected_rows)
{
	LiveSignatures *signatures = pg_malloc0(sizeof(LiveSignatures));

	medsync_random(&hash_seed, sizeof(hash_seed));
	signatures->parts = (int) Min(expected_rows / RECORDS_PER_PART + 1,
								  MAX_PARTS);
	initStringInfo(&signatures->message);
	return signatures;
}

/* Signatures are over messages with the ledger's id. */
void
medsync_live_signatures_ledger(LiveSignatures *signatures,
							   const uint8 *ledger_id)
{
	memcpy(signatures->ledger_id, ledger_id, MEDSYNC_ID_SIZE);
}

static void
add(LiveSignatures *signatures, const SignedRow *row)
{
	int			i;

	if (signatures->files == NULL)
	{
		signatures->files = pg_malloc(sizeof(FILE *) * signatures->parts);
		for (i = 0; i < signatures->parts; i++)
			signatures->files[i] = medsync_open_temporary();
	}
	i = (int) ((hash_row(row) >> 32) % signatures->parts);
	if (fwrite(row, sizeof(*row), 1, signatures->files[i]) != 1)
		medsync_cannot_check("could not write a temporary file: %s",
							 strerror(errno));
}

/* An entry made a row that is signed. */
void
medsync_live_signed_entry(LiveSignatures *signatures,
						  const MedsyncStreamEntry *item)
{
	const MedsyncEntry *entry = item->entry;
	SignedRow	row;

	if ((entry->fields & MEDSYNC_HAS_NEW) == 0 ||
		(entry->fields & MEDSYNC_HAS_SIGNATURE) == 0)
		return;
	memset(&row, 0, sizeof(row));
	memcpy(row.commitment, entry->new_commitment, MEDSYNC_HASH_SIZE);
	memcpy(row.digest, entry->signature_digest, MEDSYNC_HASH_SIZE);
	memcpy(row.signer, entry->signer, MEDSYNC_ID_SIZE);
	row.table = entry->table;
	row.must_be_valid = medsync_key_row_must_be_valid(entry);
	row.index = item->index;
	row.block = item->block;
	row.statement_time = entry->statement_time;
	add(signatures, &row);
}

/* ---- keys ---- */

/* A live row of the table of keys, as canonical bytes. */
void
medsync_live_add_key(LiveSignatures *signatures, const LiveTable *table,
					 const void *row, size_t len)
{
	MedsyncKeyRow key;
	uint8	   *der;

	if (!medsync_key_row_read(row, len, table->manifest, &key))
		return;					/* then what it signed is by no key */
	if (signatures->key_count == signatures->key_room)
	{
		signatures->key_room = Max(64, signatures->key_room * 2);
		signatures->keys = pg_realloc(signatures->keys, sizeof(LiveKey) *
									  signatures->key_room);
	}
	der = pg_malloc(Max(key.public_key_len, 1));
	memcpy(der, key.public_key, key.public_key_len);
	key.public_key = der;
	signatures->keys[signatures->key_count].row = key;
	signatures->keys[signatures->key_count++].parsed = NULL;
}

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(((const LiveKey *) a)->row.id, ((const LiveKey *) b)->row.id,
				  MEDSYNC_ID_SIZE);
}

/* NULL: there is no such key. */
static LiveKey *
find_key(LiveSignatures *signatures, const uint8 *id)
{
	LiveKey		wanted;

	if (!signatures->sorted)
		medsync_sort(signatures->keys, signatures->key_count, sizeof(LiveKey),
					 compare_keys);
	signatures->sorted = true;
	memcpy(wanted.row.id, id, MEDSYNC_ID_SIZE);
	return signatures->key_count == 0 ? NULL :
		bsearch(&wanted, signatures->keys, signatures->key_count,
				sizeof(LiveKey), compare_keys);
}

static void
forget_parsed(LiveSignatures *signatures)
{
	int			i;

	for (i = 0; i < signatures->key_count; i++)
	{
		medsync_public_key_free(signatures->keys[i].parsed);
		signatures->keys[i].parsed = NULL;
	}
	signatures->parsed_count = 0;
}

/* The key itself; NULL: what the row holds is none of its algorithm. */
static MedsyncPublicKey *
parsed_key(LiveSignatures *signatures, LiveKey *key)
{
	if (key->parsed != NULL)
		return key->parsed;
	if (signatures->parsed_count == PARSED_KEYS_MAX)
		forget_parsed(signatures);
	key->parsed = medsync_public_key_read(key->row.public_key,
										  key->row.public_key_len);
	if (key->parsed == NULL)
		return NULL;
	signatures->parsed_count++;
	if (medsync_public_key_algorithm(key->parsed) == key->row.algorithm &&
		medsync_algorithm_signs(key->row.algorithm))
		return key->parsed;
	medsync_public_key_free(key->parsed);
	key->parsed = NULL;
	signatures->parsed_count--;
	return NULL;
}

/* ---- rows ---- */

static Problem
check_row(LiveSignatures *signatures, const LiveTable *table, const void *row,
		  size_t len, MedsyncRowSignature *signature)
{
	LiveKey    *key;
	MedsyncPublicKey *public_key;

	resetStringInfo(&signatures->message);
	if (!medsync_signing_message(&signatures->message, signatures->ledger_id,
								 table->manifest, table->root, row, len,
								 signature) ||
		!signature->complete)
		return NOT_SIGNED;
	key = find_key(signatures, signature->signer);
	if (key == NULL)
		return KEY_UNKNOWN;
	public_key = parsed_key(signatures, key);
	if (public_key == NULL ||
		!medsync_signature_verify(public_key, signatures->message.data,
								  signatures->message.len,
								  signature->signature,
								  signature->signature_len))
		return WRONG_SIGNATURE;
	return NO_PROBLEM;
}

/* A live row of a table that demands signatures, as canonical bytes. */
void
medsync_live_signed_row(LiveSignatures *signatures, const LiveTable *table,
						MedsyncRowId row_id, const uint8 *commitment,
						const void *row, size_t len)
{
	MedsyncRowSignature signature;
	SignedRow	live;

	memset(&live, 0, sizeof(live));
	live.problem = check_row(signatures, table, row, len, &signature);
	memcpy(live.commitment, commitment, MEDSYNC_HASH_SIZE);
	if (live.problem != NOT_SIGNED)
	{
		memcpy(live.signer, signature.signer, MEDSYNC_ID_SIZE);
		medsync_sha256(signature.signature, signature.signature_len,
					   live.digest);
	}
	live.table = table->number;
	live.live = true;
	live.row = row_id;
	live.index = -1;
	live.block = -1;
	add(signatures, &live);
}

/* ---- rows and the entries that made them ---- */

/* Keep a row with a problem, to be reported in the order of rows. */
static void
keep_bad(LiveSignatures *signatures, const SignedRow *row)
{
	if (signatures->bad_count == signatures->bad_room)
	{
		signatures->bad_room = Max(64, signatures->bad_room * 2);
		signatures->bad = pg_realloc(signatures->bad, sizeof(SignedRow) *
									 signatures->bad_room);
	}
	signatures->bad[signatures->bad_count++] = *row;
}

/* What an entry says of its signer, and of the row that it made if that lives. */
static Problem
check_entry(LiveSignatures *signatures, const SignedRow *entry,
			const SignedRow *live)
{
	const LiveKey *key = find_key(signatures, entry->signer);

	if (key == NULL)
		return KEY_UNKNOWN;
	if (live != NULL &&
		(memcmp(entry->signer, live->signer, MEDSYNC_ID_SIZE) != 0 ||
		 memcmp(entry->digest, live->digest, MEDSYNC_HASH_SIZE) != 0))
		return OTHER_SIGNATURE;
	return entry->must_be_valid &&
		!medsync_key_row_valid(&key->row, entry->statement_time) ?
		KEY_NOT_VALID : NO_PROBLEM;
}

/* Match an entry with the live row that it made, if there is one. */
static void
match_entry(LiveSignatures *signatures, SignedRow *entry, liverows_hash *rows)
{
	LiveRow    *found = liverows_lookup(rows, *entry);
	SignedRow  *live = found ? &found->signed_row : NULL;

	entry->problem = check_entry(signatures, entry, live);
	if (live == NULL)
	{
		if (entry->problem != NO_PROBLEM)
			keep_bad(signatures, entry);
		return;
	}
	if (live->problem == NO_PROBLEM)
		live->problem = entry->problem;
	live->index = entry->index;
	live->block = entry->block;
}

/* Read the live rows of a file, or its entries. */
static void
read_file(LiveSignatures *signatures, FILE *file, bool live,
		  liverows_hash *rows)
{
	SignedRow	row;
	bool		is_old;

	rewind(file);
	while (fread(&row, sizeof(row), 1, file) == 1)
	{
		if (row.live != live)
			continue;
		if (live)
			liverows_insert(rows, row, &is_old)->signed_row = row;
		else
			match_entry(signatures, &row, rows);
	}
	if (ferror(file))
		medsync_cannot_check("could not read a temporary file: %s",
							 strerror(errno));
}

static void
match_file(LiveSignatures *signatures, FILE *file)
{
	liverows_hash *rows = liverows_create(1024, NULL);
	liverows_iterator iterator;
	LiveRow    *row;

	if (fflush(file) != 0)
		medsync_cannot_check("could not write a temporary file: %s",
							 strerror(errno));
	read_file(signatures, file, true, rows);
	read_file(signatures, file, false, rows);
	fclose(file);
	liverows_start_iterate(rows, &iterator);
	while ((row = liverows_iterate(rows, &iterator)) != NULL)
		if (row->signed_row.problem != NO_PROBLEM)
			keep_bad(signatures, &row->signed_row);
	liverows_destroy(rows);
}

static int
compare_bad(const void *a, const void *b)
{
	const SignedRow *x = a;
	const SignedRow *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->row.block != y->row.block)
		return x->row.block < y->row.block ? -1 : 1;
	if (x->row.offset != y->row.offset)
		return (int) x->row.offset - (int) y->row.offset;
	return x->index < y->index ? -1 : x->index > y->index ? 1 : 0;
}

/* All rows have come: report what is wrong with their signatures, and free. */
void
medsync_live_signatures_finish(LiveSignatures *signatures,
							   LiveBadSignature report, void *arg)
{
	int64		i;

	for (i = 0; signatures->files != NULL && i < signatures->parts; i++)
		match_file(signatures, signatures->files[i]);
	medsync_sort(signatures->bad, signatures->bad_count, sizeof(SignedRow),
				 compare_bad);
	for (i = 0; i < signatures->bad_count; i++)
	{
		const SignedRow *bad = &signatures->bad[i];

		report(arg, bad->table, bad->row, bad->index, bad->block,
			   problem_texts[bad->problem]);
	}
	forget_parsed(signatures);
	for (i = 0; i < signatures->key_count; i++)
		pg_free(unconstify(uint8 *, signatures->keys[i].row.public_key));
	pg_free(signatures->keys);
	pg_free(signatures->files);
	pg_free(signatures->bad);
	pfree(signatures->message.data);
	pg_free(signatures);
}
