/*-------------------------------------------------------------------------
 *
 * receipt_maker.h
 *		Makes right receipts of any contents, for unit tests and fuzzing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_RECEIPT_MAKER_H
#define MEDSYNC_RECEIPT_MAKER_H

#include "proofs/opening.h"

/* The key that signs them */
extern void receipt_maker_key(MedsyncVerifierKey *key);

/*
 * Append the receipt of an opening, from a log that has the entries which it
 * shows and no others.  What binds them is corrected first: the entry's
 * commitment to the row, the ddl entry's table, version and digest of the
 * manifest; of a signed row also the same of the key's, the era that the
 * ledger's id is part of, and the signature that the entry names.  False
 * where an entry cannot be read.
 */
extern bool receipt_maker_make(StringInfo receipt,
							   const MedsyncOpening *opening);

/* The same, but the manifest is announced after the entry */
extern bool receipt_maker_make_late(StringInfo receipt,
									const MedsyncOpening *opening);

#endif							/* MEDSYNC_RECEIPT_MAKER_H */
