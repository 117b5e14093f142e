/*-------------------------------------------------------------------------
 *
 * commitment.h
 *		What an entry says of a row: a hash that r and the row open.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_COMMITMENT_H
#define MEDSYNC_COMMITMENT_H

#include "vault/crypto.h"

/* What a row's bytes give */
typedef struct MedsyncRowDigest
{
	uint8		hash[MEDSYNC_HASH_SIZE];	/* h */
	uint8		opening[MEDSYNC_HASH_SIZE]; /* r */
	uint8		commitment[MEDSYNC_HASH_SIZE];	/* SHA-256(r || h) */
} MedsyncRowDigest;

extern void medsync_row_hash_start(MedsyncSha256 *sha, uint32 table);
extern void medsync_row_commit(const MedsyncHmacKey *commit_key,
							   MedsyncRowDigest *digest);
extern void medsync_commitment(const uint8 *opening, const uint8 *hash,
							   uint8 *commitment);
extern void medsync_commitment_of_row(uint32 table, const void *row,
									  size_t len, const uint8 *opening,
									  uint8 *commitment);

#endif							/* MEDSYNC_COMMITMENT_H */
