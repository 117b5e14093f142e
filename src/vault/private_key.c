/*-------------------------------------------------------------------------
 *
 * private_key.c
 *		Private keys: made, read, signing, and opening what was wrapped.
 *
 * Stores nothing, takes no locks.  A private key is PKCS#8 (RFC 5208), DER,
 * and is taken only as OpenSSL itself would write it: version 0, without
 * attributes, with the parts of one RSA key that belong together (but their
 * primality is the maker's business), a point that belongs to its number.
 * The one choice left is that of RFC 5915: the public key may be left out.
 *
 * Key objects are OpenSSL's, which wipes them when they are freed; nothing
 * here raises an error while one is held, except where OpenSSL is unusable.
 * Nothing says why something does not open: a wrong key, a wrong label and
 * damage are the same false.  OpenSSL removes the padding of OAEP without
 * telling by its time how much of it was right.
 *
 * libsodium makes and opens the sealed boxes of X25519, and does nothing
 * else here.  The offline verifier, which has no private keys, does without
 * this file.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <limits.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <sodium.h>

#ifndef FRONTEND
#include "miscadmin.h"
#endif
#include "vault/key_internal.h"

#define X25519_KEY_SIZE		32
#define DER_SIGNATURE_MAX	80

struct MedsyncPrivateKey
{
	MedsyncKeyAlgorithm algorithm;
	EVP_PKEY   *pkey;
};

/* The numbers of an RSA key */
enum
{
	RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QINV, RSA_NUMBERS
};

static const char *const rsa_number_names[RSA_NUMBERS] = {
	OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
	OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
	OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
	OSSL_PKEY_PARAM_RSA_COEFFICIENT1
};

/* Are d and d mod (p - 1) what they should be?  t and u are scratch. */
static bool
rsa_exponents_fit(const BIGNUM *e, const BIGNUM *d, const BIGNUM *p,
				  const BIGNUM *dp, BIGNUM *t, BIGNUM *u, BN_CTX *ctx)
{
	/* u = p - 1; e d = 1 mod u */
	return BN_copy(u, p) && BN_sub_word(u, 1) &&
		BN_mod_mul(t, e, d, u, ctx) && BN_is_one(t) &&
		BN_mod(t, d, u, ctx) && BN_cmp(t, dp) == 0;
}

/* Do the parts of an RSA key belong together? */
static bool
rsa_numbers_fit(BIGNUM **v, BN_CTX *ctx)
{
	BIGNUM	   *t = BN_CTX_get(ctx);
	BIGNUM	   *u = BN_CTX_get(ctx);
	int			i;

	if (u == NULL)
		return false;
	for (i = 0; i < RSA_NUMBERS; i++)
	{
		if (BN_is_negative(v[i]) || BN_is_zero(v[i]))
			return false;
	}
	return BN_is_odd(v[RSA_P]) && BN_is_odd(v[RSA_Q]) &&
		BN_num_bits(v[RSA_P]) == BN_num_bits(v[RSA_Q]) &&
		BN_cmp(v[RSA_P], v[RSA_Q]) != 0 &&
		BN_mul(t, v[RSA_P], v[RSA_Q], ctx) &&
		BN_cmp(t, v[RSA_N]) == 0 &&
		BN_cmp(v[RSA_D], v[RSA_N]) < 0 &&
		rsa_exponents_fit(v[RSA_E], v[RSA_D], v[RSA_P], v[RSA_DP], t, u, ctx) &&
		rsa_exponents_fit(v[RSA_E], v[RSA_D], v[RSA_Q], v[RSA_DQ], t, u, ctx) &&
		BN_cmp(v[RSA_QINV], v[RSA_P]) < 0 &&
		BN_mod_mul(t, v[RSA_QINV], v[RSA_Q], v[RSA_P], ctx) && BN_is_one(t);
}

static bool
rsa_is_sound(const EVP_PKEY *pkey)
{
	BIGNUM	   *v[RSA_NUMBERS] = {NULL};
	BIGNUM	   *third = NULL;
	BN_CTX	   *ctx = BN_CTX_secure_new();
	bool		sound = ctx != NULL;
	int			i;

	for (i = 0; i < RSA_NUMBERS && sound; i++)
		sound = EVP_PKEY_get_bn_param(pkey, rsa_number_names[i], &v[i]) == 1;

	/* no more than two primes */
	if (sound && EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1)
		sound = false;
	if (sound)
	{
		BN_CTX_start(ctx);
		sound = rsa_numbers_fit(v, ctx);
		BN_CTX_end(ctx);
	}
	for (i = 0; i < RSA_NUMBERS; i++)
		BN_clear_free(v[i]);
	BN_clear_free(third);
	BN_CTX_free(ctx);
	return sound;
}

/* In range, and belonging to the point that came with it. */
static bool
p256_is_sound(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool		sound;

	sound = ctx != NULL &&
		EVP_PKEY_private_check(ctx) == 1 &&
		medsync_p256_is_sound(pkey) &&
		EVP_PKEY_pairwise_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	return sound;
}

/* Is the decoded key one that we take?  NONE if not. */
static MedsyncKeyAlgorithm
check_key(MedsyncKeyAlgorithm algorithm, EVP_PKEY *pkey)
{
	switch (algorithm)
	{
		case MEDSYNC_ED25519:
		case MEDSYNC_X25519:
			return algorithm;	/* every 32 bytes are a key */
		case MEDSYNC_P256:
			return p256_is_sound(pkey) ? algorithm : MEDSYNC_ALGORITHM_NONE;
		default:
			return rsa_is_sound(pkey) ? medsync_rsa_size(pkey) :
				MEDSYNC_ALGORITHM_NONE;
	}
}

/* PKCS#8 of a key; der has room for MEDSYNC_PRIVATE_KEY_MAX.  0: failed. */
static int
encode_private(const EVP_PKEY *pkey, uint8 *der)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
	int			len = 0;

	if (info != NULL)
	{
		len = i2d_PKCS8_PRIV_KEY_INFO(info, NULL);
		if (len <= 0 || len > MEDSYNC_PRIVATE_KEY_MAX ||
			i2d_PKCS8_PRIV_KEY_INFO(info, &der) != len)
			len = 0;
	}
	PKCS8_PRIV_KEY_INFO_free(info);
	return len;
}

/* Is this the encoding of the key? */
static bool
encodes_as(const EVP_PKEY *pkey, const void *der, size_t len)
{
	uint8		again[MEDSYNC_PRIVATE_KEY_MAX];
	bool		same;

	same = encode_private(pkey, again) == (int) len &&
		CRYPTO_memcmp(again, der, len) == 0;
	medsync_cleanse(again, sizeof(again));
	return same;
}

/* Decode, and say what kind of key it claims to be; NULL if it is none. */
static EVP_PKEY *
decode_private(const void *der, size_t len, MedsyncKeyAlgorithm *algorithm)
{
	const uint8 *at = der;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, len);
	const X509_ALGOR *identifier;
	EVP_PKEY   *pkey = NULL;

	*algorithm = MEDSYNC_ALGORITHM_NONE;
	if (info != NULL &&
		PKCS8_pkey_get0(NULL, NULL, NULL, &identifier, info) == 1)
		*algorithm = medsync_algorithm_identified(identifier);
	if (*algorithm != MEDSYNC_ALGORITHM_NONE)
		pkey = EVP_PKCS82PKEY(info);
	PKCS8_PRIV_KEY_INFO_free(info);
	return pkey;
}

/* Read PKCS#8.  NULL if it is malformed or not offered. */
MedsyncPrivateKey *
medsync_private_key_read(const void *der, size_t len)
{
	MedsyncPrivateKey *key = NULL;
	MedsyncKeyAlgorithm algorithm;
	EVP_PKEY   *pkey;

	if (len == 0 || len > MEDSYNC_PRIVATE_KEY_MAX)
		return NULL;
	pkey = decode_private(der, len, &algorithm);
	if (pkey != NULL && encodes_as(pkey, der, len))
		algorithm = check_key(algorithm, pkey);
	else
		algorithm = MEDSYNC_ALGORITHM_NONE;
	if (algorithm != MEDSYNC_ALGORITHM_NONE)
		key = OPENSSL_zalloc(sizeof(MedsyncPrivateKey));
	ERR_clear_error();
	if (key == NULL)
	{
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key->algorithm = algorithm;
	key->pkey = pkey;
	return key;
}

MedsyncKeyAlgorithm
medsync_private_key_algorithm(const MedsyncPrivateKey *key)
{
	return key->algorithm;
}

/* Free a key; OpenSSL wipes it. */
void
medsync_private_key_free(MedsyncPrivateKey *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey);
	OPENSSL_free(key);
}

/* SubjectPublicKeyInfo of a key; der has room.  0: failed. */
static int
encode_public(const EVP_PKEY *pkey, uint8 *der)
{
	int			len = i2d_PUBKEY(pkey, NULL);

	if (len <= 0 || len > MEDSYNC_PUBLIC_KEY_MAX ||
		i2d_PUBKEY(pkey, &der) != len)
		return 0;
	return len;
}

/* The public key that belongs to a private one, appended. */
void
medsync_private_key_public(const MedsyncPrivateKey *key, StringInfo der)
{
	enlargeStringInfo(der, MEDSYNC_PUBLIC_KEY_MAX);
	der->len += encode_public(key->pkey, (uint8 *) der->data + der->len);
	der->data[der->len] = '\0';
}

/* SubjectPublicKeyInfo of an Ed25519 public key of 32 bytes, appended. */
void
medsync_ed25519_spki(const uint8 *public_key, StringInfo der)
{
	EVP_PKEY   *pkey;
	int			len;

	enlargeStringInfo(der, MEDSYNC_PUBLIC_KEY_MAX);
	pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key,
									   MEDSYNC_ED25519_KEY_SIZE);
	len = pkey ? encode_public(pkey, (uint8 *) der->data + der->len) : 0;
	EVP_PKEY_free(pkey);
	if (len == 0)
		medsync_crypto_fail();
	der->len += len;
	der->data[der->len] = '\0';
}

/* OpenSSL asks now and then whether to go on looking for primes. */
static int
generation_goes_on(EVP_PKEY_CTX *ctx)
{
#ifndef FRONTEND
	if ((QueryCancelPending || ProcDiePending) && INTERRUPTS_CAN_BE_PROCESSED())
		return 0;
#endif
	return 1;
}

/* Make an RSA key; NULL if it failed or was interrupted. */
static EVP_PKEY *
generate_rsa(int bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY   *pkey = NULL;

	if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) == 1)
	{
		EVP_PKEY_CTX_set_cb(ctx, generation_goes_on);
		(void) EVP_PKEY_generate(ctx, &pkey);
	}
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *
generate(MedsyncKeyAlgorithm algorithm)
{
	switch (algorithm)
	{
		case MEDSYNC_ED25519:
			return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		case MEDSYNC_X25519:
			return EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
		case MEDSYNC_P256:
			return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
		default:
			return generate_rsa(8 * medsync_signature_size(algorithm));
	}
}

/* Make a pair of keys; both are appended, and the caller wipes the private one. */
void
medsync_key_pair_generate(MedsyncKeyAlgorithm algorithm,
						  StringInfo public_der, StringInfo private_der)
{
	EVP_PKEY   *pkey;
	int			public_len = 0;
	int			private_len = 0;

	/* nothing may fail while the key is held */
	enlargeStringInfo(public_der, MEDSYNC_PUBLIC_KEY_MAX);
	enlargeStringInfo(private_der, MEDSYNC_PRIVATE_KEY_MAX);
	pkey = generate(algorithm);
	if (pkey != NULL)
	{
		public_len = encode_public(pkey, (uint8 *) public_der->data + public_der->len);
		private_len = encode_private(pkey, (uint8 *) private_der->data + private_der->len);
		EVP_PKEY_free(pkey);
	}
	ERR_clear_error();
	if (public_len == 0 || private_len == 0)
	{
		medsync_cleanse(private_der->data + private_der->len, private_len);
#ifndef FRONTEND
		CHECK_FOR_INTERRUPTS();
#endif
		medsync_crypto_fail();
	}
	public_der->len += public_len;
	public_der->data[public_der->len] = '\0';
	private_der->len += private_len;
	private_der->data[private_der->len] = '\0';
}

/* Sign a digest with P-256 or RSA; 0 if it failed. */
static size_t
sign_digest(MedsyncPrivateKey *key, const uint8 *digest, uint8 *signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	size_t		len = MEDSYNC_SIGNATURE_MAX;
	bool		done;

	done = ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
		(key->algorithm == MEDSYNC_P256 || medsync_pss_parameters(ctx)) &&
		EVP_PKEY_sign(ctx, signature, &len, digest, MEDSYNC_HASH_SIZE) == 1;
	EVP_PKEY_CTX_free(ctx);
	return done ? len : 0;
}

static size_t
sign_message(MedsyncPrivateKey *key, const void *message, size_t len,
			 uint8 *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t		signature_len = MEDSYNC_SIGNATURE_MAX;
	bool		done;

	done = ctx != NULL &&
		EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
		EVP_DigestSign(ctx, signature, &signature_len, message, len) == 1;
	EVP_MD_CTX_free(ctx);
	return done ? signature_len : 0;
}

/*
 * Sign.  False if the key does not sign: either its algorithm does not, or
 * OpenSSL finds that it cannot, as with RSA primes that are none.
 */
bool
medsync_signature_make(MedsyncPrivateKey *key, const void *message, size_t len,
					   uint8 *signature, int *signature_len)
{
	int			size = medsync_signature_size(key->algorithm);
	uint8		made[MEDSYNC_SIGNATURE_MAX];
	uint8		digest[MEDSYNC_HASH_SIZE];
	size_t		made_len;

	if (size == 0)
		return false;
	if (key->algorithm == MEDSYNC_ED25519)
		made_len = sign_message(key, message, len, made);
	else
	{
		medsync_sha256(message, len, digest);
		made_len = sign_digest(key, digest, made);
	}
	ERR_clear_error();
	if (key->algorithm == MEDSYNC_P256)
	{
		if (!medsync_signature_from_der(made, made_len, signature))
			return false;
	}
	else
	{
		if (made_len != (size_t) size)
			return false;
		memcpy(signature, made, size);
	}
	*signature_len = size;
	return true;
}

/* OAEP with SHA-256, MGF1 with SHA-256, and a label (RFC 8017, section 7.1). */
static bool
oaep_parameters(EVP_PKEY_CTX *ctx, const void *label, size_t label_len)
{
	void	   *copy;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1 ||
		EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 ||
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1)
		return false;
	if (label_len == 0)
		return true;
	copy = label_len <= INT_MAX ? OPENSSL_memdup(label, label_len) : NULL;
	if (copy == NULL ||
		EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int) label_len) != 1)
	{
		OPENSSL_free(copy);
		return false;
	}
	return true;
}

/* Encrypt.  False: no RSA key, or more than it can encrypt. */
bool
medsync_oaep_encrypt(MedsyncPublicKey *key, const void *plain, size_t len,
					 const void *label, size_t label_len,
					 uint8 *out, int *out_len)
{
	EVP_PKEY_CTX *ctx;
	size_t		made = MEDSYNC_WRAP_MAX;
	int			max = medsync_oaep_max(key->algorithm);
	bool		done;

	if (max == 0 || len > (size_t) max)
		return false;
	ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	done = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
		oaep_parameters(ctx, label, label_len) &&
		EVP_PKEY_encrypt(ctx, out, &made, plain, len) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!done)
		medsync_crypto_fail();
	*out_len = (int) made;
	return true;
}

/* Decrypt.  False for whatever is wrong. */
bool
medsync_oaep_decrypt(MedsyncPrivateKey *key, const void *sealed, size_t len,
					 const void *label, size_t label_len,
					 uint8 *out, int *out_len)
{
	EVP_PKEY_CTX *ctx;
	size_t		made = MEDSYNC_WRAP_MAX;
	bool		done;

	if (medsync_oaep_max(key->algorithm) == 0 ||
		len != (size_t) medsync_signature_size(key->algorithm))
		return false;
	ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	done = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
		oaep_parameters(ctx, label, label_len) &&
		EVP_PKEY_decrypt(ctx, out, &made, sealed, len) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	if (!done)
		medsync_cleanse(out, MEDSYNC_WRAP_MAX);
	else
		*out_len = (int) made;
	return done;
}

/* libsodium wants to be asked once. */
static void
prepare_sodium(void)
{
	static bool ready = false;

	if (!ready && sodium_init() < 0)
		medsync_crypto_fail();
	ready = true;
}

static bool
seal_box(const MedsyncPublicKey *key, const void *secret, size_t len,
		 uint8 *out, int *out_len)
{
	uint8		point[X25519_KEY_SIZE];
	size_t		point_len = sizeof(point);

	prepare_sodium();
	if (EVP_PKEY_get_raw_public_key(key->pkey, point, &point_len) != 1 ||
		crypto_box_seal(out, secret, len, point) != 0)
		return false;
	*out_len = (int) (len + crypto_box_SEALBYTES);
	return true;
}

static bool
open_box(const MedsyncPrivateKey *key, const void *wrapped, size_t len,
		 uint8 *out, int *out_len)
{
	uint8		point[X25519_KEY_SIZE];
	uint8		scalar[X25519_KEY_SIZE];
	size_t		point_len = sizeof(point);
	size_t		scalar_len = sizeof(scalar);
	bool		done;

	prepare_sodium();
	done = len >= crypto_box_SEALBYTES && len <= MEDSYNC_WRAP_MAX &&
		EVP_PKEY_get_raw_public_key(key->pkey, point, &point_len) == 1 &&
		EVP_PKEY_get_raw_private_key(key->pkey, scalar, &scalar_len) == 1 &&
		crypto_box_seal_open(out, wrapped, len, point, scalar) == 0;
	medsync_cleanse(scalar, sizeof(scalar));
	if (done)
		*out_len = (int) (len - crypto_box_SEALBYTES);
	return done;
}

/* Wrap a short secret.  False: the key does not wrap, or the secret is too long. */
bool
medsync_key_wrap(MedsyncPublicKey *key, const void *secret, size_t len,
				 uint8 *out, int *out_len)
{
	if (len > MEDSYNC_WRAPPED_KEY_MAX)
		return false;
	if (key->algorithm == MEDSYNC_X25519)
		return seal_box(key, secret, len, out, out_len);
	return medsync_oaep_encrypt(key, secret, len, NULL, 0, out, out_len);
}

/* Open what medsync_key_wrap() made.  False for whatever is wrong. */
bool
medsync_key_unwrap(MedsyncPrivateKey *key, const void *wrapped, size_t len,
				   uint8 *out, int *out_len)
{
	bool		done;

	if (key->algorithm == MEDSYNC_X25519)
		done = open_box(key, wrapped, len, out, out_len);
	else
		done = medsync_oaep_decrypt(key, wrapped, len, NULL, 0, out, out_len);
	if (done && *out_len > MEDSYNC_WRAPPED_KEY_MAX)
	{
		medsync_cleanse(out, MEDSYNC_WRAP_MAX);
		done = false;
	}
	return done;
}
