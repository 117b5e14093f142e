/*-------------------------------------------------------------------------
 *
 * crypto.h
 *		The few primitives medsync builds on, all of them OpenSSL's.
 *
 * Usable in the server and in frontend programs: a failure inside OpenSSL
 * means that it is unusable, and is an error in the one and exit(2) in the
 * other.  Hash contexts are plain structs, on the stack or in a struct of
 * the caller's; a key is wiped with medsync_cleanse().
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CRYPTO_H
#define MEDSYNC_CRYPTO_H

#include <openssl/sha.h>

#define MEDSYNC_HASH_SIZE		32
#define MEDSYNC_KEY_SIZE		32
#define MEDSYNC_NONCE_SIZE		12
#define MEDSYNC_TAG_SIZE		16
#define MEDSYNC_ED25519_KEY_SIZE	32	/* of a public key, and of the seed of a private one */
#define MEDSYNC_ED25519_SIGNATURE_SIZE	64

/* SHA-256; "start" on a used context restarts it */
typedef SHA256_CTX MedsyncSha256;
extern void medsync_sha256_start(MedsyncSha256 *ctx);
extern void medsync_sha256_update(MedsyncSha256 *ctx, const void *data, size_t len);
extern void medsync_sha256_finish(MedsyncSha256 *ctx, uint8 *digest);
extern void medsync_sha256(const void *data, size_t len, uint8 *digest);

/* HMAC-SHA-256: a key of up to 64 bytes, taken in once, and a running MAC */
typedef struct MedsyncHmacKey
{
	uint32		inner[8];		/* hash values after the key's block */
	uint32		outer[8];
} MedsyncHmacKey;
typedef struct MedsyncHmac
{
	const MedsyncHmacKey *key;
	MedsyncSha256 sha;
} MedsyncHmac;
extern void medsync_hmac_key(MedsyncHmacKey *hmac_key, const uint8 *key, size_t keylen);
extern void medsync_hmac_start(MedsyncHmac *ctx, const MedsyncHmacKey *key);
extern void medsync_hmac_update(MedsyncHmac *ctx, const void *data, size_t len);
extern void medsync_hmac_finish(MedsyncHmac *ctx, uint8 *mac);

/* HKDF-Expand (RFC 5869) of a uniformly random 32-byte key, one block; info up to 128 bytes */
extern void medsync_hkdf_expand(const MedsyncHmacKey *prk, const void *info, size_t infolen, uint8 *out);

/* AES-256-GCM, 12-byte nonce, 16-byte tag appended.  key NULL: same key as the last call on this context */
typedef struct MedsyncGcm MedsyncGcm;
extern MedsyncGcm *medsync_gcm_create(void);
extern void medsync_gcm_free(MedsyncGcm *ctx);
extern void medsync_gcm_seal(MedsyncGcm *ctx, const uint8 *key, const uint8 *nonce,
							 const void *aad, size_t aadlen,
							 const void *plain, size_t len, uint8 *sealed /* len + 16 */);
extern bool medsync_gcm_open(MedsyncGcm *ctx, const uint8 *key, const uint8 *nonce,
							 const void *aad, size_t aadlen,
							 const void *sealed, size_t len, uint8 *plain /* len - 16 */);

extern void medsync_gcm_forget(MedsyncGcm *ctx);	/* overwrites the key it holds */

/* Ed25519 (RFC 8032); the seed is the private key */
extern void medsync_ed25519_public_key(const uint8 *seed, uint8 *public_key);
extern void medsync_ed25519_sign(const uint8 *seed, const void *message, size_t len,
								 uint8 *signature);
extern bool medsync_ed25519_verify(const uint8 *public_key, const void *message,
								   size_t len, const uint8 *signature);

extern void medsync_random(void *out, size_t len);
extern void medsync_cleanse(void *data, size_t len);

/* OpenSSL is unusable */
extern void medsync_crypto_fail(void) pg_attribute_noreturn();

#endif							/* MEDSYNC_CRYPTO_H */
