/*-------------------------------------------------------------------------
 *
 * signing.h
 *		What a signature on a row is made over.
 *
 * The message is put together from the canonical row and the manifest, so
 * that capture, verify and the offline verifier have one way to it; its
 * bytes are in docs/formats.md, "Signed row".  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_SIGNING_H
#define MEDSYNC_SIGNING_H

#include "ledger/entry.h"
#include "ledger/manifest_text.h"

/* What a signed row says of its signature.  Pointers into the row. */
typedef struct MedsyncRowSignature
{
	bool		complete;		/* signer and signature are there, and of their types */
	uint8		signer[MEDSYNC_ID_SIZE];	/* id of the key */
	const uint8 *signature;
	size_t		signature_len;
	bool		has_on_behalf_of;
	uint8		on_behalf_of[MEDSYNC_ID_SIZE];
} MedsyncRowSignature;

/*
 * Read the signature of a canonical row under its manifest, and append the
 * message that it is over.  "root" is the manifest of the root partitioned
 * table, or the same one; which column is what, "manifest" says.  False: the
 * row is malformed, or a column is not in "root".
 */
extern bool medsync_signing_message(StringInfo message, const uint8 *ledger_id,
									const MedsyncManifest *manifest,
									const MedsyncManifest *root,
									const void *row, size_t len,
									MedsyncRowSignature *signature);

#endif							/* MEDSYNC_SIGNING_H */
