/*-------------------------------------------------------------------------
 *
 * public_key.h
 *		Asymmetric keys: signatures, and the wrapping of other keys.
 *
 * Public keys are SubjectPublicKeyInfo, private keys PKCS#8, both DER.  What
 * is offered is listed below and nothing else is.  Nothing here raises an
 * error for what it was given: NULL or false says that it is no good.  Keys
 * are allocated by OpenSSL; whoever reads one frees it.  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_PUBLIC_KEY_H
#define MEDSYNC_PUBLIC_KEY_H

#include "lib/stringinfo.h"
#include "vault/crypto.h"

/* Numbers are part of formats. */
typedef enum MedsyncKeyAlgorithm
{
	MEDSYNC_ALGORITHM_NONE = 0,
	MEDSYNC_ED25519 = 1,		/* signs */
	MEDSYNC_P256 = 2,			/* signs */
	MEDSYNC_RSA_2048 = 3,		/* RSA signs (PSS) and wraps (OAEP) */
	MEDSYNC_RSA_3072 = 4,
	MEDSYNC_RSA_4096 = 5,
	MEDSYNC_X25519 = 6			/* wraps */
} MedsyncKeyAlgorithm;

#define MEDSYNC_PUBLIC_KEY_MAX		1024	/* bytes of DER */
#define MEDSYNC_PRIVATE_KEY_MAX		4096
#define MEDSYNC_SIGNATURE_MAX		512
#define MEDSYNC_WRAP_MAX			512
#define MEDSYNC_WRAPPED_KEY_MAX		128		/* bytes of a key to be wrapped */

typedef struct MedsyncPublicKey MedsyncPublicKey;
typedef struct MedsyncPrivateKey MedsyncPrivateKey;

extern const char *medsync_algorithm_name(MedsyncKeyAlgorithm algorithm);
extern MedsyncKeyAlgorithm medsync_algorithm_by_name(const char *name);
extern bool medsync_algorithm_signs(MedsyncKeyAlgorithm algorithm);
extern bool medsync_algorithm_wraps(MedsyncKeyAlgorithm algorithm);
extern int	medsync_signature_size(MedsyncKeyAlgorithm algorithm);
extern int	medsync_oaep_max(MedsyncKeyAlgorithm algorithm);	/* bytes of plaintext */

/* NULL: malformed, not offered, too small, no point of the curve, not in its one encoding */
extern MedsyncPublicKey *medsync_public_key_read(const void *der, size_t len);
extern MedsyncKeyAlgorithm medsync_public_key_algorithm(const MedsyncPublicKey *key);
extern void medsync_public_key_free(MedsyncPublicKey *key);

/* The same key may be used again and again; contexts are kept in it. */
extern bool medsync_signature_verify(MedsyncPublicKey *key,
									 const void *message, size_t len,
									 const uint8 *signature,
									 size_t signature_len);

/* The 64 bytes of P-256 from the DER that other programs write; false: no such DER */
extern bool medsync_signature_from_der(const void *der, size_t len, uint8 *signature);

/* A public key of that algorithm to which nobody has the private one, for equal work */
extern MedsyncPublicKey *medsync_public_key_dummy(MedsyncKeyAlgorithm algorithm);

/*---- private_key.c, which the offline verifier does without ----*/

extern MedsyncPrivateKey *medsync_private_key_read(const void *der, size_t len);
extern MedsyncKeyAlgorithm medsync_private_key_algorithm(const MedsyncPrivateKey *key);
extern void medsync_private_key_free(MedsyncPrivateKey *key);

/* SubjectPublicKeyInfo of a private key, appended */
extern void medsync_private_key_public(const MedsyncPrivateKey *key, StringInfo der);

/* Make a pair; both DER, appended.  The caller wipes the private one. */
extern void medsync_key_pair_generate(MedsyncKeyAlgorithm algorithm,
									  StringInfo public_der,
									  StringInfo private_der);

/* signature has room for MEDSYNC_SIGNATURE_MAX; false: the key does not sign */
extern bool medsync_signature_make(MedsyncPrivateKey *key,
								   const void *message, size_t len,
								   uint8 *signature, int *signature_len);

/* OAEP block or sealed box of a short secret; out has room for MEDSYNC_WRAP_MAX */
extern bool medsync_key_wrap(MedsyncPublicKey *key, const void *secret,
							 size_t len, uint8 *out, int *out_len);
extern bool medsync_key_unwrap(MedsyncPrivateKey *key, const void *wrapped,
							   size_t len, uint8 *out /* MEDSYNC_WRAP_MAX */ ,
							   int *out_len);

/* RSAES-OAEP with a label; out has room for MEDSYNC_WRAP_MAX */
extern bool medsync_oaep_encrypt(MedsyncPublicKey *key,
								 const void *plain, size_t len,
								 const void *label, size_t label_len,
								 uint8 *out, int *out_len);
extern bool medsync_oaep_decrypt(MedsyncPrivateKey *key,
								 const void *sealed, size_t len,
								 const void *label, size_t label_len,
								 uint8 *out, int *out_len);

/* SubjectPublicKeyInfo of an Ed25519 public key of 32 bytes */
extern void medsync_ed25519_spki(const uint8 *public_key, StringInfo der);

#endif							/* MEDSYNC_PUBLIC_KEY_H */
