/*-------------------------------------------------------------------------
 *
 * fuzz_key.c
 *		Fuzz target: public and private keys, signatures, wrapped keys.
 *
 * The first byte chooses: 'p' a public key, its length before it in two bytes
 * and a signature behind it; 's' a private key; 'e' an ECDSA signature in
 * DER; 'w' what was wrapped for a fixed X25519 key.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "vault/public_key.h"

#define MESSAGE		"message"
#define MESSAGE_LEN	7

/* PKCS#8 of an X25519 key */
static const uint8 wrap_key[48] = {
	0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e,
	0x04, 0x22, 0x04, 0x20, 0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d,
	0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87,
	0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a
};

/* A key has one name and one size; verifying twice says the same. */
static void
try_public(const uint8 *der, size_t len, const uint8 *signature,
		   size_t signature_len)
{
	MedsyncPublicKey *key = medsync_public_key_read(der, len);
	MedsyncKeyAlgorithm algorithm;
	const char *name;
	bool		right;

	if (key == NULL)
		return;
	algorithm = medsync_public_key_algorithm(key);
	name = medsync_algorithm_name(algorithm);
	promise(name != NULL && medsync_algorithm_by_name(name) == algorithm);
	promise(medsync_algorithm_signs(algorithm) || medsync_algorithm_wraps(algorithm));
	promise(len <= MEDSYNC_PUBLIC_KEY_MAX);
	right = medsync_signature_verify(key, MESSAGE, MESSAGE_LEN,
									 signature, signature_len);
	promise(!right || signature_len == (size_t) medsync_signature_size(algorithm));
	promise(right == medsync_signature_verify(key, MESSAGE, MESSAGE_LEN,
											  signature, signature_len));
	medsync_public_key_free(key);
}

/* What signs is verified by its public key, which is one that we read. */
static void
try_private(const uint8 *der, size_t len)
{
	MedsyncPrivateKey *key = medsync_private_key_read(der, len);
	MedsyncPublicKey *public_key;
	MedsyncKeyAlgorithm algorithm;
	StringInfoData public_der;
	uint8		signature[MEDSYNC_SIGNATURE_MAX];
	int			signature_len;

	if (key == NULL)
		return;
	algorithm = medsync_private_key_algorithm(key);
	initStringInfo(&public_der);
	medsync_private_key_public(key, &public_der);
	public_key = medsync_public_key_read(public_der.data, public_der.len);
	promise(public_key != NULL);
	promise(medsync_public_key_algorithm(public_key) == algorithm);
	if (medsync_signature_make(key, MESSAGE, MESSAGE_LEN, signature, &signature_len))
		promise(medsync_signature_verify(public_key, MESSAGE, MESSAGE_LEN,
										 signature, signature_len));
	else
		promise(algorithm != MEDSYNC_ED25519 && algorithm != MEDSYNC_P256);
	medsync_public_key_free(public_key);
	medsync_private_key_free(key);
	pfree(public_der.data);
}

static void
try_wrapped(const uint8 *data, size_t len)
{
	MedsyncPrivateKey *key = medsync_private_key_read(wrap_key, sizeof(wrap_key));
	uint8		out[MEDSYNC_WRAP_MAX];
	int			out_len;

	promise(key != NULL);
	if (medsync_key_unwrap(key, data, len, out, &out_len))
		promise(out_len >= 0 && out_len <= MEDSYNC_WRAPPED_KEY_MAX);
	medsync_private_key_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8		signature[MEDSYNC_SIGNATURE_MAX];
	size_t		len;

	if (size < 1)
		return 0;
	switch (data[0])
	{
		case 'p':
			if (size < 3)
				return 0;
			len = data[1] << 8 | data[2];
			if (len <= size - 3)
				try_public(data + 3, len, data + 3 + len, size - 3 - len);
			break;
		case 's':
			try_private(data + 1, size - 1);
			break;
		case 'e':
			(void) medsync_signature_from_der(data + 1, size - 1, signature);
			break;
		case 'w':
			try_wrapped(data + 1, size - 1);
			break;
	}
	return 0;
}
