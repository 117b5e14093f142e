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
#define MEDSYNC_RECEIPT_PARENTS		16	/* partitioned tables above a partition */

/*
 * A manifest, and the entry of the log that announced it.  Here and below
 * pointers point into the decoded bytes.
 */
typedef struct MedsyncManifestOpening
{
	const char *content;		/* not terminated */
	size_t		content_len;
	uint64		ddl_index;
	const uint8 *ddl_entry;
	size_t		ddl_entry_len;
	const uint8 *ddl_salt;		/* MEDSYNC_HASH_SIZE bytes, as all salts */
	int			ddl_hash_count;
	const uint8 *ddl_hashes;
} MedsyncManifestOpening;

/*
 * Who signed the row: what its era's id is made of, so that the ledger's id
 * is known; the manifests of the partitioned tables that it is in, the
 * nearest first; and the version of the signer's row of person_key that was
 * there when the entry was made, opened like the receipt's own row.
 */
typedef struct MedsyncSignerOpening
{
	const uint8 *ledger_id;		/* MEDSYNC_ID_SIZE */
	uint64		system_identifier;
	uint32		timeline;
	uint32		database;
	int			parent_count;
	MedsyncManifestOpening parents[MEDSYNC_RECEIPT_PARENTS];
	uint64		index;			/* of the key's entry */
	int			hash_count;
	const uint8 *hashes;		/* its inclusion proof */
	const uint8 *opening;		/* a MedsyncOpening, with row, without signer */
	size_t		opening_len;
} MedsyncSignerOpening;

/*
 * The opening data in the extra line of a receipt: the entry and its salt;
 * where the entry brought a row version, that row and r; where there is a
 * row, the manifest that names its columns, with the ddl entry that binds it
 * and that entry's inclusion proof; and where that manifest demands a
 * signature, who made it.
 */
typedef struct MedsyncOpening
{
	const uint8 *entry;
	size_t		entry_len;
	const uint8 *salt;

	bool		has_row;
	const uint8 *opening;		/* r */
	const uint8 *row;			/* canonical */
	size_t		row_len;

	bool		has_manifest;
	MedsyncManifestOpening manifest;

	bool		has_signer;
	MedsyncSignerOpening signer;
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
