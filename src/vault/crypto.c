/*-------------------------------------------------------------------------
 *
 * crypto.c
 *		SHA-256, HMAC, HKDF-Expand, AES-256-GCM, Ed25519 and random bytes, by
 *		OpenSSL.
 *
 * Stores nothing.  The cipher is fetched from OpenSSL's provider once per
 * process, at first use, and contexts are reused; both belong to the
 * process and survive any error.  A failure inside OpenSSL means that it is
 * unusable: the server raises an error, a frontend program exits with
 * status 2, and neither says anything of what was being processed.
 *
 * SHA-256 goes through OpenSSL's SHA256_CTX and not through EVP, and HMAC
 * keeps the two states after the key's block, as RFC 2104 (section 4)
 * proposes.  Every change of a row costs four to six short hashes, and on
 * so little data EVP is mostly allocating, copying and wiping contexts: a
 * MAC of 32 bytes takes it 200 ns and 600 with a new key, and here 100 and
 * 170; in a backend, whose caches hold other things, the difference is
 * twice that.  These functions are OpenSSL's API of 1.1, which PostgreSQL
 * asks for too (OPENSSL_API_COMPAT in pg_config.h); 3.x marks it as old
 * without having another that works on a context of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#ifndef FRONTEND
#include "miscadmin.h"
#endif
#include "vault/crypto.h"

#define MAX_INFO_SIZE	128

/* Tells a forked process from its parent; frontend programs do not fork */
#ifdef FRONTEND
#define PROCESS_ID		1
#else
#define PROCESS_ID		MyProcPid
#endif

struct MedsyncGcm
{
	EVP_CIPHER_CTX *evp;
};

/* Fetched at first use, kept for the life of the process */
static EVP_CIPHER *gcm_algorithm = NULL;

/*
 * Report that OpenSSL failed.  Its error queue is emptied, because the
 * server's TLS code would take what is left there for its own.
 */
void
medsync_crypto_fail(void)
{
	ERR_clear_error();
#ifdef FRONTEND
	fprintf(stderr, "cryptographic operation failed\n");
	exit(2);
#else
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("cryptographic operation failed"),
			 errhidestmt(true),
			 errhidecontext(true)));
#endif
}

/* Check the result of an OpenSSL call that returns 1 for success. */
static inline void
crypto_check(int result)
{
	if (unlikely(result != 1))
		medsync_crypto_fail();
}

/* Allocate a zeroed context that lives until it is freed. */
static void *
context_alloc(size_t size)
{
	void	   *context = OPENSSL_zalloc(size);

	if (context == NULL)
		medsync_crypto_fail();
	return context;
}

void
medsync_sha256_start(MedsyncSha256 *ctx)
{
	crypto_check(SHA256_Init(ctx));
}

void
medsync_sha256_update(MedsyncSha256 *ctx, const void *data, size_t len)
{
	crypto_check(SHA256_Update(ctx, data, len));
}

void
medsync_sha256_finish(MedsyncSha256 *ctx, uint8 *digest)
{
	crypto_check(SHA256_Final(digest, ctx));
}

/* Hash one piece of data. */
void
medsync_sha256(const void *data, size_t len, uint8 *digest)
{
	MedsyncSha256 ctx;

	medsync_sha256_start(&ctx);
	medsync_sha256_update(&ctx, data, len);
	medsync_sha256_finish(&ctx, digest);
}

/* The hash value after one block, which is all that there is of the state. */
static void
hash_block(const uint8 *block, uint32 *value)
{
	MedsyncSha256 ctx;

	StaticAssertStmt(sizeof(ctx.h) == 8 * sizeof(uint32),
					 "SHA256_CTX is OpenSSL's");
	crypto_check(SHA256_Init(&ctx));
	crypto_check(SHA256_Update(&ctx, block, SHA256_CBLOCK));
	memcpy(value, ctx.h, sizeof(ctx.h));
	medsync_cleanse(&ctx, sizeof(ctx));
}

/* Go on from hash_block(). */
static void
resume_after_block(MedsyncSha256 *ctx, const uint32 *value)
{
	crypto_check(SHA256_Init(ctx));
	memcpy(ctx->h, value, sizeof(ctx->h));
	ctx->Nl = SHA256_CBLOCK * 8;	/* bits so far */
}

/* Take in a key of at most one block. */
void
medsync_hmac_key(MedsyncHmacKey *hmac_key, const uint8 *key, size_t keylen)
{
	uint8		block[SHA256_CBLOCK] = {0};
	int			i;

	if (keylen > sizeof(block))
		medsync_crypto_fail();
	memcpy(block, key, keylen);
	for (i = 0; i < SHA256_CBLOCK; i++)
		block[i] ^= 0x36;		/* ipad */
	hash_block(block, hmac_key->inner);
	for (i = 0; i < SHA256_CBLOCK; i++)
		block[i] ^= 0x36 ^ 0x5c;	/* opad */
	hash_block(block, hmac_key->outer);
	medsync_cleanse(block, sizeof(block));
}

void
medsync_hmac_start(MedsyncHmac *ctx, const MedsyncHmacKey *key)
{
	ctx->key = key;
	resume_after_block(&ctx->sha, key->inner);
}

void
medsync_hmac_update(MedsyncHmac *ctx, const void *data, size_t len)
{
	crypto_check(SHA256_Update(&ctx->sha, data, len));
}

void
medsync_hmac_finish(MedsyncHmac *ctx, uint8 *mac)
{
	uint8		digest[MEDSYNC_HASH_SIZE];

	crypto_check(SHA256_Final(digest, &ctx->sha));
	resume_after_block(&ctx->sha, ctx->key->outer);
	crypto_check(SHA256_Update(&ctx->sha, digest, sizeof(digest)));
	crypto_check(SHA256_Final(mac, &ctx->sha));
}

/*
 * HKDF-Expand (RFC 5869, section 2.3) with SHA-256, for one block of output.
 *
 * The first block is T(1) = HMAC(PRK, info || 0x01), so one HMAC gives it,
 * at a sixth of the cost of OpenSSL's EVP_KDF.  The Extract step is left out, as the RFC allows (section 3.3), because every
 * PRK of ours is 32 uniformly random bytes.
 */
void
medsync_hkdf_expand(const MedsyncHmacKey *prk, const void *info,
					size_t infolen, uint8 *out)
{
	const uint8 counter = 0x01;
	MedsyncHmac hmac;

	if (infolen > MAX_INFO_SIZE)
		medsync_crypto_fail();
	medsync_hmac_start(&hmac, prk);
	medsync_hmac_update(&hmac, info, infolen);
	medsync_hmac_update(&hmac, &counter, sizeof(counter));
	medsync_hmac_finish(&hmac, out);
}

/* Make an AES-256-GCM context; it has no key yet. */
MedsyncGcm *
medsync_gcm_create(void)
{
	MedsyncGcm *ctx;

	if (gcm_algorithm == NULL)
		gcm_algorithm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (gcm_algorithm == NULL)
		medsync_crypto_fail();

	ctx = context_alloc(sizeof(MedsyncGcm));
	ctx->evp = EVP_CIPHER_CTX_new();
	if (ctx->evp == NULL ||
		EVP_EncryptInit_ex2(ctx->evp, gcm_algorithm, NULL, NULL, NULL) != 1)
	{
		medsync_gcm_free(ctx);
		medsync_crypto_fail();
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
		medsync_crypto_fail();
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
		medsync_crypto_fail();
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

/* Put a key in the place of the one that the context holds. */
void
medsync_gcm_forget(MedsyncGcm *ctx)
{
	static const uint8 nothing[MEDSYNC_KEY_SIZE] = {0};

	crypto_check(EVP_EncryptInit_ex2(ctx->evp, NULL, nothing, NULL, NULL));
}

/*
 * The key object of a seed.  OpenSSL wipes its copy when the object is freed;
 * the seed is the caller's to wipe.
 */
static EVP_PKEY *
ed25519_private(const uint8 *seed)
{
	EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
												   seed,
												   MEDSYNC_ED25519_KEY_SIZE);

	if (key == NULL)
		medsync_crypto_fail();
	return key;
}

void
medsync_ed25519_public_key(const uint8 *seed, uint8 *public_key)
{
	EVP_PKEY   *key = ed25519_private(seed);
	size_t		len = MEDSYNC_ED25519_KEY_SIZE;
	int			result;

	result = EVP_PKEY_get_raw_public_key(key, public_key, &len);
	EVP_PKEY_free(key);
	crypto_check(result);
	if (len != MEDSYNC_ED25519_KEY_SIZE)
		medsync_crypto_fail();
}

void
medsync_ed25519_sign(const uint8 *seed, const void *message, size_t len,
					 uint8 *signature)
{
	EVP_PKEY   *key = ed25519_private(seed);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t		signature_len = MEDSYNC_ED25519_SIGNATURE_SIZE;
	bool		done;

	done = ctx != NULL &&
		EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(ctx, signature, &signature_len, message, len) == 1 &&
		signature_len == MEDSYNC_ED25519_SIGNATURE_SIZE;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	if (!done)
		medsync_crypto_fail();
}

/*
 * Whether a signature is right.  A public key that is no point of the curve
 * signs nothing: that is false too, and no error.
 */
bool
medsync_ed25519_verify(const uint8 *public_key, const void *message,
					   size_t len, const uint8 *signature)
{
	EVP_PKEY   *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
												  public_key,
												  MEDSYNC_ED25519_KEY_SIZE);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool		ready;
	bool		right;

	ready = key != NULL && ctx != NULL &&
		EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1;
	right = ready &&
		EVP_DigestVerify(ctx, signature, MEDSYNC_ED25519_SIGNATURE_SIZE,
						 message, len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	if (!ready)
		medsync_crypto_fail();
	if (!right)
		ERR_clear_error();
	return right;
}

/* Bytes from OpenSSL's generator, or an error. */
static void
random_bytes(void *out, size_t len)
{
	if (len > INT_MAX)
		medsync_crypto_fail();
	crypto_check(RAND_bytes(out, (int) len));
}

/*
 * Fill with bytes fit for keys and nonces.
 *
 * A call of OpenSSL's generator costs as much as the rest of making a key,
 * so it is asked for many bytes at a time.  What is taken is wiped, and a
 * process that was forked never uses what its parent has left.
 */
void
medsync_random(void *out, size_t len)
{
	static uint8 pool[512];
	static size_t left = 0;
	static int	owner = 0;

	if (len > sizeof(pool) / 4)
	{
		random_bytes(out, len);
		return;
	}
	if (left < len || owner != PROCESS_ID)
	{
		left = 0;
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
		owner = PROCESS_ID;
	}
	left -= len;
	memcpy(out, pool + left, len);
	medsync_cleanse(pool + left, len);
}

/* Overwrite a secret in a way that the compiler does not remove. */
void
medsync_cleanse(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}
