/*-------------------------------------------------------------------------
 *
 * crypto.c
 *		SHA-256, HMAC, HKDF-Expand, AES-256-GCM and random bytes, by OpenSSL.
 *
 * Stores nothing.  Algorithms are fetched from OpenSSL's provider once per
 * process, at first use, and contexts are reused; both belong to the
 * process and survive any error.  A failure inside OpenSSL means that it is
 * unusable: the server raises an error, a frontend program exits with
 * status 2, and neither says anything of what was being processed.  The
 * one-shot functions share static contexts, so none of them may be called
 * from a signal handler.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <limits.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "vault/crypto.h"

#define MAX_INFO_SIZE	128

struct MedsyncSha256
{
	EVP_MD_CTX *evp;
};

struct MedsyncHmac
{
	EVP_MAC_CTX *evp;
};

struct MedsyncGcm
{
	EVP_CIPHER_CTX *evp;
};

/* Fetched at first use, kept for the life of the process */
static EVP_MD *sha256_algorithm = NULL;
static EVP_MAC *hmac_algorithm = NULL;
static EVP_CIPHER *gcm_algorithm = NULL;

/* Contexts of the one-shot functions */
static MedsyncSha256 *shared_sha256 = NULL;
static MedsyncHmac *shared_hmac = NULL;

/*
 * Report that OpenSSL failed.  Its error queue is emptied, because the
 * server's TLS code would take what is left there for its own.
 */
static void
crypto_fail(void)
{
	ERR_clear_error();
#ifdef FRONTEND
	fprintf(stderr, "cryptographic operation failed\n");
	exit(2);
#else
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("cryptographic operation failed")));
#endif
}

/* Check the result of an OpenSSL call that returns 1 for success. */
static inline void
crypto_check(int result)
{
	if (unlikely(result != 1))
		crypto_fail();
}

/* Allocate a zeroed context that lives until it is freed. */
static void *
context_alloc(size_t size)
{
	void	   *context = OPENSSL_zalloc(size);

	if (context == NULL)
		crypto_fail();
	return context;
}

/* Make a digest context. */
MedsyncSha256 *
medsync_sha256_create(void)
{
	MedsyncSha256 *ctx;

	if (sha256_algorithm == NULL)
		sha256_algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256_algorithm == NULL)
		crypto_fail();

	ctx = context_alloc(sizeof(MedsyncSha256));
	ctx->evp = EVP_MD_CTX_new();
	if (ctx->evp == NULL ||
		EVP_DigestInit_ex2(ctx->evp, sha256_algorithm, NULL) != 1)
	{
		EVP_MD_CTX_free(ctx->evp);
		OPENSSL_free(ctx);
		crypto_fail();
	}
	return ctx;
}

void
medsync_sha256_start(MedsyncSha256 *ctx)
{
	crypto_check(EVP_DigestInit_ex2(ctx->evp, NULL, NULL));
}

void
medsync_sha256_update(MedsyncSha256 *ctx, const void *data, size_t len)
{
	crypto_check(EVP_DigestUpdate(ctx->evp, data, len));
}

void
medsync_sha256_finish(MedsyncSha256 *ctx, uint8 *digest)
{
	crypto_check(EVP_DigestFinal_ex(ctx->evp, digest, NULL));
}

/* Hash one piece of data. */
void
medsync_sha256(const void *data, size_t len, uint8 *digest)
{
	if (shared_sha256 == NULL)
		shared_sha256 = medsync_sha256_create();
	medsync_sha256_start(shared_sha256);
	medsync_sha256_update(shared_sha256, data, len);
	medsync_sha256_finish(shared_sha256, digest);
}

/* Make an HMAC-SHA-256 context; it has no key yet. */
MedsyncHmac *
medsync_hmac_create(void)
{
	MedsyncHmac *ctx;
	OSSL_PARAM	params[2];

	if (hmac_algorithm == NULL)
		hmac_algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac_algorithm == NULL)
		crypto_fail();

	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
												 "SHA256", 0);
	params[1] = OSSL_PARAM_construct_end();

	ctx = context_alloc(sizeof(MedsyncHmac));
	ctx->evp = EVP_MAC_CTX_new(hmac_algorithm);
	if (ctx->evp == NULL || EVP_MAC_CTX_set_params(ctx->evp, params) != 1)
	{
		medsync_hmac_free(ctx);
		crypto_fail();
	}
	return ctx;
}

/* Free a context; OpenSSL wipes the key it holds. */
void
medsync_hmac_free(MedsyncHmac *ctx)
{
	if (ctx == NULL)
		return;
	EVP_MAC_CTX_free(ctx->evp);
	OPENSSL_free(ctx);
}

void
medsync_hmac_start(MedsyncHmac *ctx, const uint8 *key, size_t keylen)
{
	crypto_check(EVP_MAC_init(ctx->evp, key, key ? keylen : 0, NULL));
}

void
medsync_hmac_update(MedsyncHmac *ctx, const void *data, size_t len)
{
	crypto_check(EVP_MAC_update(ctx->evp, data, len));
}

void
medsync_hmac_finish(MedsyncHmac *ctx, uint8 *mac)
{
	size_t		len = 0;

	crypto_check(EVP_MAC_final(ctx->evp, mac, &len, MEDSYNC_HASH_SIZE));
	if (len != MEDSYNC_HASH_SIZE)
		crypto_fail();
}

/* Authenticate one piece of data. */
void
medsync_hmac(const uint8 *key, size_t keylen, const void *data, size_t len,
			 uint8 *mac)
{
	if (shared_hmac == NULL)
		shared_hmac = medsync_hmac_create();
	medsync_hmac_start(shared_hmac, key, keylen);
	medsync_hmac_update(shared_hmac, data, len);
	medsync_hmac_finish(shared_hmac, mac);
}

/*
 * HKDF-Expand (RFC 5869, section 2.3) with SHA-256, for one block of output.
 *
 * The first block is T(1) = HMAC(PRK, info || 0x01), so one HMAC gives it;
 * going through OpenSSL's EVP_KDF costs more than twice as much.  The
 * Extract step is left out, as the RFC allows (section 3.3), because every
 * PRK of ours is 32 uniformly random bytes.
 */
void
medsync_hkdf_expand(const uint8 *prk, const void *info, size_t infolen,
					uint8 *out)
{
	uint8		block[MAX_INFO_SIZE + 1];

	if (infolen > MAX_INFO_SIZE)
		crypto_fail();
	memcpy(block, info, infolen);
	block[infolen] = 0x01;
	medsync_hmac(prk, MEDSYNC_KEY_SIZE, block, infolen + 1, out);
}

/* Make an AES-256-GCM context; it has no key yet. */
MedsyncGcm *
medsync_gcm_create(void)
{
	MedsyncGcm *ctx;

	if (gcm_algorithm == NULL)
		gcm_algorithm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (gcm_algorithm == NULL)
		crypto_fail();

	ctx = context_alloc(sizeof(MedsyncGcm));
	ctx->evp = EVP_CIPHER_CTX_new();
	if (ctx->evp == NULL ||
		EVP_EncryptInit_ex2(ctx->evp, gcm_algorithm, NULL, NULL, NULL) != 1)
	{
		medsync_gcm_free(ctx);
		crypto_fail();
	}
	return ctx;
}

/* Free a context; OpenSSL wipes the key it holds. */
void
medsync_gcm_free(MedsyncGcm *ctx)
{
	if (ctx == NULL)
		return;
	EVP_CIPHER_CTX_free(ctx->evp);
	OPENSSL_free(ctx);
}

void
medsync_gcm_seal(MedsyncGcm *ctx, const uint8 *key, const uint8 *nonce,
				 const void *aad, size_t aadlen,
				 const void *plain, size_t len, uint8 *sealed)
{
	int			outlen = 0;
	int			taillen = 0;

	if (len > INT_MAX - MEDSYNC_TAG_SIZE || aadlen > INT_MAX)
		crypto_fail();
	crypto_check(EVP_EncryptInit_ex2(ctx->evp, NULL, key, nonce, NULL));
	if (aadlen > 0)
		crypto_check(EVP_EncryptUpdate(ctx->evp, NULL, &outlen,
									   aad, (int) aadlen));
	outlen = 0;
	if (len > 0)
		crypto_check(EVP_EncryptUpdate(ctx->evp, sealed, &outlen,
									   plain, (int) len));
	crypto_check(EVP_EncryptFinal_ex(ctx->evp, sealed + outlen, &taillen));
	if ((size_t) outlen + taillen != len)
		crypto_fail();
	crypto_check(EVP_CIPHER_CTX_ctrl(ctx->evp, EVP_CTRL_AEAD_GET_TAG,
									 MEDSYNC_TAG_SIZE, sealed + len));
}

/*
 * Open what medsync_gcm_seal() made.  Returns false, with "plain" wiped, if
 * key, nonce, associated data or any byte is not the one it was made with.
 */
bool
medsync_gcm_open(MedsyncGcm *ctx, const uint8 *key, const uint8 *nonce,
				 const void *aad, size_t aadlen,
				 const void *sealed, size_t len, uint8 *plain)
{
	uint8		tag[MEDSYNC_TAG_SIZE];
	size_t		plainlen;
	int			outlen = 0;
	int			taillen = 0;

	if (len < MEDSYNC_TAG_SIZE || len > INT_MAX || aadlen > INT_MAX)
		return false;
	plainlen = len - MEDSYNC_TAG_SIZE;
	memcpy(tag, (const uint8 *) sealed + plainlen, MEDSYNC_TAG_SIZE);

	crypto_check(EVP_DecryptInit_ex2(ctx->evp, NULL, key, nonce, NULL));
	if (aadlen > 0)
		crypto_check(EVP_DecryptUpdate(ctx->evp, NULL, &outlen,
									   aad, (int) aadlen));
	outlen = 0;
	if (plainlen > 0)
		crypto_check(EVP_DecryptUpdate(ctx->evp, plain, &outlen,
									   sealed, (int) plainlen));
	crypto_check(EVP_CIPHER_CTX_ctrl(ctx->evp, EVP_CTRL_AEAD_SET_TAG,
									 MEDSYNC_TAG_SIZE, tag));
	if (EVP_DecryptFinal_ex(ctx->evp, plain + outlen, &taillen) != 1)
	{
		ERR_clear_error();
		medsync_cleanse(plain, plainlen);
		return false;
	}
	return true;
}

/* Fill with bytes fit for keys and nonces. */
void
medsync_random(void *out, size_t len)
{
#ifdef FRONTEND
	if (len > INT_MAX)
		crypto_fail();
	crypto_check(RAND_bytes(out, (int) len));
#else
	if (!pg_strong_random(out, len))
		crypto_fail();
#endif
}

/* Overwrite a secret in a way that the compiler does not remove. */
void
medsync_cleanse(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}
