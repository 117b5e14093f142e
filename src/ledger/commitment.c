/*-------------------------------------------------------------------------
 *
 * commitment.c
 *		What an entry says of a row: a hash that r and the row open.
 *
 * docs/formats.md, "Commitment and row key".  Pure computation,
 * frontend-safe: receipts and the offline verifier open commitments too.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/wire.h"
#include "ledger/commitment.h"

#define COMMITMENT_VERSION	1

/* Begin h = SHA-256(version || table number || canonical row). */
void
medsync_row_hash_start(MedsyncSha256 *sha, uint32 table)
{
	uint8		prefix[5];

	prefix[0] = COMMITMENT_VERSION;
	medsync_wire_store_u32(prefix + 1, table);
	medsync_sha256_start(sha);
	medsync_sha256_update(sha, prefix, sizeof(prefix));
}

/* commitment = SHA-256(r || h) */
void
medsync_commitment(const uint8 *opening, const uint8 *hash, uint8 *commitment)
{
	MedsyncSha256 sha;

	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, opening, MEDSYNC_HASH_SIZE);
	medsync_sha256_update(&sha, hash, MEDSYNC_HASH_SIZE);
	medsync_sha256_finish(&sha, commitment);
}

/* r = HMAC(K_commit, h), commitment = SHA-256(r || h), from digest->hash. */
void
medsync_row_commit(const MedsyncHmacKey *commit_key, MedsyncRowDigest *digest)
{
	MedsyncHmac hmac;

	medsync_hmac_start(&hmac, commit_key);
	medsync_hmac_update(&hmac, digest->hash, MEDSYNC_HASH_SIZE);
	medsync_hmac_finish(&hmac, digest->opening);
	medsync_commitment(digest->opening, digest->hash, digest->commitment);
}

/* The commitment that a canonical row and somebody's r give. */
void
medsync_commitment_of_row(uint32 table, const void *row, size_t len,
						  const uint8 *opening, uint8 *commitment)
{
	MedsyncSha256 sha;
	uint8		hash[MEDSYNC_HASH_SIZE];

	medsync_row_hash_start(&sha, table);
	medsync_sha256_update(&sha, row, len);
	medsync_sha256_finish(&sha, hash);
	medsync_commitment(opening, hash, commitment);
}
