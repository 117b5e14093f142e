/*-------------------------------------------------------------------------
 *
 * opening.h
 *		Receipts: what they hold and whether they are right.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_OPENING_H
#define MEDSYNC_OPENING_H

#include "ledger/entry.h"
#include "proofs/note.h"

#define MEDSYNC_RECEIPT_ROW_MAX		(16 * 1024 * 1024)	/* bytes of a canonical row */

/*
 * The opening data in the extra line of a receipt: the entry and its salt;
 * where the entry brought a row version, that row and r; and where there is
 * a row, the manifest that names its columns, with the ddl entry that binds
 * it and that entry's inclusion proof.  Pointers into the decoded bytes.
 */
typedef struct MedsyncOpening
{
	const uint8 *entry;
	size_t		entry_len;
	const uint8 *salt;			/* MEDSYNC_HASH_SIZE bytes, as all salts */

	bool		has_row;
	const uint8 *opening;		/* r */
	const uint8 *row;			/* canonical */
	size_t		row_len;

	bool		has_manifest;
	const char *manifest;		/* not terminated */
	size_t		manifest_len;
	uint64		ddl_index;
	const uint8 *ddl_entry;
	size_t		ddl_entry_len;
	const uint8 *ddl_salt;
	int			ddl_hash_count;
	const uint8 *ddl_hashes;
} MedsyncOpening;

/* What checking a receipt found */
typedef struct MedsyncReceiptResult
{
	const char *verdict;		/* "valid", or what is wrong */
	StringInfoData detail;		/* of a valid one: JSON; else a sentence */
	uint64		index;
	uint64		size;			/* 0: it did not come to that */
} MedsyncReceiptResult;

#define MEDSYNC_RECEIPT_VALID	"valid"

extern bool medsync_opening_parse(const uint8 *data, size_t len,
								  MedsyncOpening *opening);
extern void medsync_opening_write(StringInfo buf,
								  const MedsyncOpening *opening);
extern void medsync_receipt_check(const char *text, size_t len,
								  const MedsyncVerifierKey *keys,
								  int key_count,
								  MedsyncReceiptResult *result);

#endif							/* MEDSYNC_OPENING_H */
