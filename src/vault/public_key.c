/*-------------------------------------------------------------------------
 *
 * public_key.c
 *		Public keys, and what they verify.
 *
 * Stores nothing, takes no locks.  Everything that is mathematics or ASN.1
 * is OpenSSL's, and libsodium's where a point of Edwards25519 is checked; here
 * is what is offered of it, and how strictly.
 *
 * A key is one of six kinds and is taken only in the one encoding that it
 * has: whole, as DER, with the parameters that its standard asks for (RFC
 * 3279, 5480 and 8410) and nothing else.  So two different byte strings are
 * never the same key, which whoever registers keys relies on.  What the key
 * is for is looked at before OpenSSL decodes it: its decoders of everything
 * that we do not offer never see an outsider's bytes.
 *
 * A key with which anybody could sign, or to which anybody could open what
 * is wrapped, is no key: points of small order on Edwards25519 and
 * Curve25519 are refused (in a frontend program, which has no libsodium and
 * meets only keys that a server took, those of Curve25519).  No modulus is factored and no primality tested:
 * a holder who wants a weak RSA key could as well publish a strong one.
 *
 * Verifying is a fast path: the contexts are made once for each key, and a
 * verification then costs what the mathematics cost.  Errors inside OpenSSL
 * that are no property of what was given (no memory, a broken installation)
 * are errors in the server and exit(2) in a frontend program.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#ifndef FRONTEND
#include <sodium.h>
#endif

#include "vault/key_internal.h"

/* Bytes of SubjectPublicKeyInfo where the algorithm leaves no choice */
#define ECX_SPKI_SIZE		44	/* Ed25519, X25519: RFC 8410 */
#define P256_SPKI_SIZE		91	/* RFC 5480, uncompressed point */

#define ECX_KEY_SIZE		32
#define P256_POINT_SIZE		65
#define P256_NUMBER_SIZE	32	/* of r and of s */
#define P256_SIGNATURE_SIZE (2 * P256_NUMBER_SIZE)
#define DER_SIGNATURE_MAX	80	/* two numbers of up to 33 bytes, and their headers */

#define RSA_SMALLEST_EXPONENT	65537
#define RSA_EXPONENT_BITS	64	/* OpenSSL takes no more with large moduli */

typedef struct AlgorithmName
{
	MedsyncKeyAlgorithm algorithm;
	const char *name;
	int			signature_size; /* 0: does not sign */
	bool		wraps;
} AlgorithmName;

static const AlgorithmName algorithm_names[] = {
	{MEDSYNC_ED25519, "ed25519", MEDSYNC_ED25519_SIGNATURE_SIZE, false},
	{MEDSYNC_P256, "p-256", P256_SIGNATURE_SIZE, false},
	{MEDSYNC_RSA_2048, "rsa-2048", 256, true},
	{MEDSYNC_RSA_3072, "rsa-3072", 384, true},
	{MEDSYNC_RSA_4096, "rsa-4096", 512, true},
	{MEDSYNC_X25519, "x25519", 0, true}
};

static const AlgorithmName *
find_algorithm(MedsyncKeyAlgorithm algorithm)
{
	int			i;

	for (i = 0; i < (int) lengthof(algorithm_names); i++)
	{
		if (algorithm_names[i].algorithm == algorithm)
			return &algorithm_names[i];
	}
	return NULL;
}

/* The name that SQL uses, or NULL. */
const char *
medsync_algorithm_name(MedsyncKeyAlgorithm algorithm)
{
	const AlgorithmName *found = find_algorithm(algorithm);

	return found ? found->name : NULL;
}

MedsyncKeyAlgorithm
medsync_algorithm_by_name(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(algorithm_names); i++)
	{
		if (strcmp(algorithm_names[i].name, name) == 0)
			return algorithm_names[i].algorithm;
	}
	return MEDSYNC_ALGORITHM_NONE;
}

bool
medsync_algorithm_signs(MedsyncKeyAlgorithm algorithm)
{
	return medsync_signature_size(algorithm) > 0;
}

bool
medsync_algorithm_wraps(MedsyncKeyAlgorithm algorithm)
{
	const AlgorithmName *found = find_algorithm(algorithm);

	return found && found->wraps;
}

/* Bytes of a signature; 0 if there are none. */
int
medsync_signature_size(MedsyncKeyAlgorithm algorithm)
{
	const AlgorithmName *found = find_algorithm(algorithm);

	return found ? found->signature_size : 0;
}

/* The longest plaintext of RSAES-OAEP with SHA-256; 0 if there is none. */
int
medsync_oaep_max(MedsyncKeyAlgorithm algorithm)
{
	if (!medsync_algorithm_wraps(algorithm) || algorithm == MEDSYNC_X25519)
		return 0;
	return medsync_signature_size(algorithm) - 2 * MEDSYNC_HASH_SIZE - 2;
}

/* Which algorithm is it, with exactly the parameters that it must have? */
MedsyncKeyAlgorithm
medsync_algorithm_identified(const X509_ALGOR *identifier)
{
	const ASN1_OBJECT *oid;
	const void *value;
	int			type;

	X509_ALGOR_get0(&oid, &type, &value, identifier);
	switch (OBJ_obj2nid(oid))
	{
		case NID_ED25519:
			return type == V_ASN1_UNDEF ? MEDSYNC_ED25519 : MEDSYNC_ALGORITHM_NONE;
		case NID_X25519:
			return type == V_ASN1_UNDEF ? MEDSYNC_X25519 : MEDSYNC_ALGORITHM_NONE;
		case NID_rsaEncryption:
			return type == V_ASN1_NULL ? MEDSYNC_RSA_2048 : MEDSYNC_ALGORITHM_NONE;
		case NID_X9_62_id_ecPublicKey:
			if (type == V_ASN1_OBJECT &&
				OBJ_obj2nid(value) == NID_X9_62_prime256v1)
				return MEDSYNC_P256;
			return MEDSYNC_ALGORITHM_NONE;
		default:
			return MEDSYNC_ALGORITHM_NONE;
	}
}

/*
 * Which algorithm do these bytes begin as a SubjectPublicKeyInfo of?  That
 * the rest is right too is for later.
 */
static MedsyncKeyAlgorithm
algorithm_of_spki(const uint8 *der, size_t len)
{
	const uint8 *at = der;
	X509_ALGOR *identifier;
	MedsyncKeyAlgorithm algorithm;
	long		content_len;
	int			tag;
	int			class;

	/* 0x80 is an error, 0x01 an indefinite length */
	if ((ASN1_get_object(&at, &content_len, &tag, &class, len) & 0x81) != 0 ||
		tag != V_ASN1_SEQUENCE || class != V_ASN1_UNIVERSAL ||
		at + content_len != der + len)
		return MEDSYNC_ALGORITHM_NONE;
	identifier = d2i_X509_ALGOR(NULL, &at, content_len);
	if (identifier == NULL)
		return MEDSYNC_ALGORITHM_NONE;
	algorithm = medsync_algorithm_identified(identifier);
	X509_ALGOR_free(identifier);
	return algorithm;
}

/* One of the three moduli, odd, with an exponent that we take. */
MedsyncKeyAlgorithm
medsync_rsa_size(const EVP_PKEY *pkey)
{
	MedsyncKeyAlgorithm algorithm = MEDSYNC_ALGORITHM_NONE;
	BIGNUM	   *n = NULL;
	BIGNUM	   *e = NULL;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
		EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
		BN_is_odd(n) && BN_is_odd(e) &&
		!BN_is_negative(n) && !BN_is_negative(e) &&
		BN_num_bits(e) <= RSA_EXPONENT_BITS &&
		(BN_num_bits(e) > 32 || BN_get_word(e) >= RSA_SMALLEST_EXPONENT))
	{
		switch (BN_num_bits(n))
		{
			case 2048:
				algorithm = MEDSYNC_RSA_2048;
				break;
			case 3072:
				algorithm = MEDSYNC_RSA_3072;
				break;
			case 4096:
				algorithm = MEDSYNC_RSA_4096;
				break;
		}
	}
	BN_free(n);
	BN_free(e);
	return algorithm;
}

/*
 * Is it a point of the group that keys are of?  With one of the eight of
 * small order every message has signatures that anybody can make.  A program
 * meets only keys that a server has taken, and does without libsodium.
 */
static bool
ed25519_is_sound(const EVP_PKEY *pkey)
{
#ifdef FRONTEND
	return true;
#else
	uint8		point[ECX_KEY_SIZE];
	size_t		len = sizeof(point);

	return EVP_PKEY_get_raw_public_key(pkey, point, &len) == 1 &&
		len == sizeof(point) && crypto_core_ed25519_is_valid_point(point) == 1;
#endif
}

/*
 * A point of small order gives the same secret to everybody, and OpenSSL
 * refuses to derive it, whatever the private key.
 */
static bool
x25519_is_sound(EVP_PKEY *pkey)
{
	static const uint8 scalar[ECX_KEY_SIZE] = {0x08};
	uint8		secret[ECX_KEY_SIZE];
	size_t		len = sizeof(secret);
	EVP_PKEY   *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
												   scalar, sizeof(scalar));
	EVP_PKEY_CTX *ctx = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
	bool		sound;

	sound = ctx != NULL &&
		EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer(ctx, pkey) == 1 &&
		EVP_PKEY_derive(ctx, secret, &len) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
	return sound;
}

/*
 * A point of P-256 can be written in three ways, and OpenSSL remembers which.
 * We take the uncompressed one, that of the other programs.
 */
bool
medsync_p256_is_sound(EVP_PKEY *pkey)
{
	uint8		der[MEDSYNC_PUBLIC_KEY_MAX];
	uint8	   *end = der;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool		sound;

	sound = ctx != NULL &&
		i2d_PUBKEY(pkey, NULL) == P256_SPKI_SIZE &&
		i2d_PUBKEY(pkey, &end) == P256_SPKI_SIZE &&
		der[P256_SPKI_SIZE - P256_POINT_SIZE] == POINT_CONVERSION_UNCOMPRESSED &&
		EVP_PKEY_public_check_quick(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	return sound;
}

/* Is the decoded key one that we take?  NONE if not. */
static MedsyncKeyAlgorithm
check_key(MedsyncKeyAlgorithm algorithm, EVP_PKEY *pkey, size_t len)
{
	bool		sound = false;

	switch (algorithm)
	{
		case MEDSYNC_ED25519:
			sound = len == ECX_SPKI_SIZE && ed25519_is_sound(pkey);
			break;
		case MEDSYNC_X25519:
			sound = len == ECX_SPKI_SIZE && x25519_is_sound(pkey);
			break;
		case MEDSYNC_P256:
			sound = medsync_p256_is_sound(pkey);
			break;
		default:
			return medsync_rsa_size(pkey);
	}
	return sound ? algorithm : MEDSYNC_ALGORITHM_NONE;
}

/* Is this the encoding of the key? */
static bool
encodes_as(const EVP_PKEY *pkey, const uint8 *der, size_t len)
{
	uint8	   *again = NULL;
	int			again_len = i2d_PUBKEY(pkey, &again);
	bool		same;

	same = again_len == (int) len && memcmp(again, der, len) == 0;
	OPENSSL_free(again);
	return same;
}

/*
 * Read a SubjectPublicKeyInfo.  NULL if it is malformed, not offered, or not
 * in its one encoding.
 */
MedsyncPublicKey *
medsync_public_key_read(const void *der, size_t len)
{
	const uint8 *at = der;
	MedsyncPublicKey *key = NULL;
	MedsyncKeyAlgorithm algorithm;
	EVP_PKEY   *pkey = NULL;

	if (len == 0 || len > MEDSYNC_PUBLIC_KEY_MAX)
		return NULL;
	algorithm = algorithm_of_spki(der, len);
	if (algorithm != MEDSYNC_ALGORITHM_NONE)
		pkey = d2i_PUBKEY(NULL, &at, len);
	if (pkey != NULL && encodes_as(pkey, der, len))
		algorithm = check_key(algorithm, pkey, len);
	else
		algorithm = MEDSYNC_ALGORITHM_NONE;
	if (algorithm != MEDSYNC_ALGORITHM_NONE)
		key = OPENSSL_zalloc(sizeof(MedsyncPublicKey));
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
medsync_public_key_algorithm(const MedsyncPublicKey *key)
{
	return key->algorithm;
}

void
medsync_public_key_free(MedsyncPublicKey *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_CTX_free(key->verify);
	EVP_MD_CTX_free(key->verify_message);
	EVP_PKEY_free(key->pkey);
	OPENSSL_free(key);
}

/* PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes. */
bool
medsync_pss_parameters(EVP_PKEY_CTX *ctx)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, MEDSYNC_HASH_SIZE) == 1;
}

/* Make what verifies with a key of P-256 or RSA, unless it is there. */
static void
prepare_verify(MedsyncPublicKey *key)
{
	if (key->verify != NULL)
		return;
	key->verify = EVP_PKEY_CTX_new(key->pkey, NULL);
	if (key->verify != NULL && EVP_PKEY_verify_init(key->verify) == 1 &&
		(key->algorithm == MEDSYNC_P256 || medsync_pss_parameters(key->verify)))
		return;
	EVP_PKEY_CTX_free(key->verify);
	key->verify = NULL;
	medsync_crypto_fail();
}

/* OpenSSL has ECDSA signatures as DER; 0 means that there was no memory. */
static int
signature_to_der(const uint8 *signature, uint8 *der)
{
	ECDSA_SIG  *numbers = ECDSA_SIG_new();
	BIGNUM	   *r = BN_bin2bn(signature, P256_NUMBER_SIZE, NULL);
	BIGNUM	   *s = BN_bin2bn(signature + P256_NUMBER_SIZE, P256_NUMBER_SIZE, NULL);
	int			len = 0;

	if (numbers != NULL && r != NULL && s != NULL)
	{
		(void) ECDSA_SIG_set0(numbers, r, s);
		r = s = NULL;
		len = i2d_ECDSA_SIG(numbers, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(numbers);
	return len > 0 ? len : 0;
}

/*
 * The 64 bytes r || s of a signature in DER.  False if it is no DER of two
 * numbers of up to 256 bits; whether they are in range is for verification.
 */
bool
medsync_signature_from_der(const void *der, size_t len, uint8 *signature)
{
	const uint8 *at = der;
	uint8		again[DER_SIGNATURE_MAX];
	uint8	   *end = again;
	ECDSA_SIG  *numbers;
	const BIGNUM *r;
	const BIGNUM *s;
	bool		sound;

	if (len == 0 || len > DER_SIGNATURE_MAX)
		return false;
	numbers = d2i_ECDSA_SIG(NULL, &at, len);
	sound = numbers != NULL;
	if (sound)
	{
		ECDSA_SIG_get0(numbers, &r, &s);
		sound = !BN_is_negative(r) && !BN_is_negative(s) &&
			BN_bn2binpad(r, signature, P256_NUMBER_SIZE) == P256_NUMBER_SIZE &&
			BN_bn2binpad(s, signature + P256_NUMBER_SIZE, P256_NUMBER_SIZE) == P256_NUMBER_SIZE &&
			i2d_ECDSA_SIG(numbers, &end) == (int) len &&
			memcmp(again, der, len) == 0;
	}
	ECDSA_SIG_free(numbers);
	ERR_clear_error();
	return sound;
}

static bool
verify_digest(MedsyncPublicKey *key, const void *message, size_t len,
			  const uint8 *signature, size_t signature_len)
{
	uint8		digest[MEDSYNC_HASH_SIZE];
	uint8		der[DER_SIGNATURE_MAX];

	prepare_verify(key);
	medsync_sha256(message, len, digest);
	if (key->algorithm == MEDSYNC_P256)
	{
		signature_len = signature_to_der(signature, der);
		if (signature_len == 0)
			medsync_crypto_fail();
		signature = der;
	}
	return EVP_PKEY_verify(key->verify, signature, signature_len,
						   digest, sizeof(digest)) == 1;
}

/* Ed25519 takes the message itself, which it hashes twice. */
static bool
verify_message(MedsyncPublicKey *key, const void *message, size_t len,
			   const uint8 *signature, size_t signature_len)
{
	EVP_PKEY   *pkey = NULL;

	if (key->verify_message == NULL)
	{
		key->verify_message = EVP_MD_CTX_new();
		pkey = key->pkey;
	}
	/* without a key: once more with the same one */
	if (key->verify_message == NULL ||
		EVP_DigestVerifyInit(key->verify_message, NULL, NULL, NULL, pkey) != 1)
	{
		EVP_MD_CTX_free(key->verify_message);
		key->verify_message = NULL;
		medsync_crypto_fail();
	}
	return EVP_DigestVerify(key->verify_message, signature, signature_len,
							message, len) == 1;
}

/* Whether a signature is right.  False also for keys that do not sign. */
bool
medsync_signature_verify(MedsyncPublicKey *key, const void *message,
						 size_t len, const uint8 *signature,
						 size_t signature_len)
{
	int			size = medsync_signature_size(key->algorithm);
	bool		right;

	if (size == 0 || signature_len != (size_t) size)
		return false;
	if (key->algorithm == MEDSYNC_ED25519)
		right = verify_message(key, message, len, signature, signature_len);
	else
		right = verify_digest(key, message, len, signature, signature_len);
	if (!right)
		ERR_clear_error();
	return right;
}

/* A random odd modulus: who could factor it could factor anybody's. */
static EVP_PKEY *
dummy_rsa(int size)
{
	uint8		modulus[MEDSYNC_SIGNATURE_MAX];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	OSSL_PARAM *parameters = NULL;
	EVP_PKEY   *pkey = NULL;
	BIGNUM	   *n;

	medsync_random(modulus, size);
	modulus[0] |= 0x80;
	modulus[size - 1] |= 0x01;
	n = BN_bin2bn(modulus, size, NULL);
	if (ctx != NULL && builder != NULL && n != NULL &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E,
								 RSA_SMALLEST_EXPONENT) == 1 &&
		(parameters = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
		EVP_PKEY_fromdata_init(ctx) == 1)
		(void) EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, parameters);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	return pkey;
}

/*
 * Make a public key to which nobody has the private one: verifying with it
 * takes as long as with another's, and never succeeds.
 */
MedsyncPublicKey *
medsync_public_key_dummy(MedsyncKeyAlgorithm algorithm)
{
	MedsyncPublicKey *key = NULL;
	EVP_PKEY   *pkey = NULL;
	uint8	   *der = NULL;
	int			len;

	if (algorithm == MEDSYNC_ED25519)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (algorithm == MEDSYNC_X25519)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	else if (algorithm == MEDSYNC_P256)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	else if (medsync_signature_size(algorithm) > 0)
		pkey = dummy_rsa(medsync_signature_size(algorithm));

	/* the private part is forgotten */
	len = pkey ? i2d_PUBKEY(pkey, &der) : 0;
	if (len > 0)
		key = medsync_public_key_read(der, len);
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	if (key == NULL)
		medsync_crypto_fail();
	return key;
}
