/*-------------------------------------------------------------------------
 *
 * key_row.h
 *		A row of person_key, read from its canonical bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_KEY_ROW_H
#define MEDSYNC_KEY_ROW_H

#include "ledger/entry.h"
#include "ledger/manifest_text.h"
#include "vault/public_key.h"

/* A statement that runs while its key is being revoked may still use it. */
#define MEDSYNC_REVOCATION_GRACE	INT64CONST(60000000)	/* microseconds */

typedef struct MedsyncKeyRow
{
	uint8		id[MEDSYNC_ID_SIZE];
	uint8		person[MEDSYNC_ID_SIZE];
	MedsyncKeyAlgorithm algorithm;
	const uint8 *public_key;	/* DER; into the row */
	size_t		public_key_len;
	int64		valid_from;		/* times of the ledger */
	int64		valid_until;	/* PG_INT64_MAX: no end */
	int64		revoked_at;		/* PG_INT64_MAX: not revoked */
} MedsyncKeyRow;

/* Is it the table that holds the keys? */
extern bool medsync_key_row_table(const MedsyncManifest *manifest);

/* False: the bytes are no row of that table, or columns are missing */
extern bool medsync_key_row_read(const void *row, size_t len,
								 const MedsyncManifest *manifest,
								 MedsyncKeyRow *key);

/* Was the key valid when a statement began? */
extern bool medsync_key_row_valid(const MedsyncKeyRow *key, int64 at);

/* An entry that makes this row: must the key have been valid at its time? */
extern bool medsync_key_row_must_be_valid(const MedsyncEntry *entry);

#endif							/* MEDSYNC_KEY_ROW_H */
