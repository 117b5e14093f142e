/*-------------------------------------------------------------------------
 *
 * key_internal.h
 *		What public_key.c and private_key.c share.
 *
 * Not for other rooms, nor for the rest of the vault.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_KEY_INTERNAL_H
#define MEDSYNC_KEY_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "vault/public_key.h"

struct MedsyncPublicKey
{
	MedsyncKeyAlgorithm algorithm;
	EVP_PKEY   *pkey;

	/* made at the first verification */
	EVP_PKEY_CTX *verify;		/* P-256 and RSA: of a digest */
	EVP_MD_CTX *verify_message; /* Ed25519 */
};

/*
 * What an AlgorithmIdentifier names; MEDSYNC_RSA_2048 stands for RSA of any
 * size until medsync_rsa_size() has seen the key.
 */
extern MedsyncKeyAlgorithm medsync_algorithm_identified(const X509_ALGOR *identifier);

/* NONE: no RSA public key that is offered */
extern MedsyncKeyAlgorithm medsync_rsa_size(const EVP_PKEY *pkey);

/* A point of the curve, which is written uncompressed */
extern bool medsync_p256_is_sound(EVP_PKEY *pkey);

/* Signing and verifying are set up alike */
extern bool medsync_pss_parameters(EVP_PKEY_CTX *ctx);

#endif							/* MEDSYNC_KEY_INTERNAL_H */
