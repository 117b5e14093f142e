/*-------------------------------------------------------------------------
 *
 * crypto.c
 *		Unit tests of Ed25519 and of public keys.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include <openssl/err.h>

#include "vault/crypto.h"
#include "vault/public_key.h"

typedef struct Example
{
	const char *seed;
	const char *public_key;
	const char *message;
	const char *signature;
} Example;

/* RFC 8032, section 7.1 */
static const Example examples[] = {
	{
		"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
	},
	{
		"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		"72",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	},
	{
		"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
		"af82",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
	}
};

static void
test_examples(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(examples); i++)
	{
		const Example *example = &examples[i];
		size_t		len = strlen(example->message) / 2;
		uint8		seed[MEDSYNC_ED25519_KEY_SIZE];
		uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
		uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
		uint8		message[8];
		uint8		made[MEDSYNC_ED25519_SIGNATURE_SIZE];

		from_hex(example->seed, seed, sizeof(seed));
		from_hex(example->message, message, len);
		medsync_ed25519_public_key(seed, made);
		from_hex(example->public_key, public_key, sizeof(public_key));
		ok(memcmp(made, public_key, sizeof(public_key)) == 0,
		   "Ed25519: public key of example %d of RFC 8032", i + 1);
		medsync_ed25519_sign(seed, message, len, made);
		from_hex(example->signature, signature, sizeof(signature));
		ok(memcmp(made, signature, sizeof(signature)) == 0,
		   "Ed25519: signature of example %d", i + 1);
		ok(medsync_ed25519_verify(public_key, message, len, signature),
		   "Ed25519: example %d verifies", i + 1);
	}
}

/* s + L signs the same, unless the verifier keeps to s < L. */
static void
add_group_order(uint8 *s)
{
	uint8		order[32];
	int			carry = 0;
	int			i;

	/* L, lowest byte first */
	from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
			 order, sizeof(order));
	for (i = 0; i < 32; i++)
	{
		carry += s[i] + order[i];
		s[i] = (uint8) carry;
		carry >>= 8;
	}
}

static void
test_wrong(void)
{
	uint8		seed[MEDSYNC_ED25519_KEY_SIZE];
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
	uint8		message[100];
	int			accepted = 0;
	int			bit;

	random_fill(seed, sizeof(seed));
	random_fill(message, sizeof(message));
	medsync_ed25519_public_key(seed, public_key);
	medsync_ed25519_sign(seed, message, sizeof(message), signature);
	for (bit = 0; bit < 8 * (int) sizeof(message); bit++)
	{
		uint8		mask = 1 << (bit % 8);

		message[bit / 8] ^= mask;
		accepted += medsync_ed25519_verify(public_key, message, sizeof(message), signature);
		message[bit / 8] ^= mask;
		if (bit / 8 < (int) sizeof(signature))
		{
			signature[bit / 8] ^= mask;
			accepted += medsync_ed25519_verify(public_key, message, sizeof(message), signature);
			signature[bit / 8] ^= mask;
		}
		if (bit / 8 < (int) sizeof(public_key))
		{
			public_key[bit / 8] ^= mask;
			accepted += medsync_ed25519_verify(public_key, message, sizeof(message), signature);
			public_key[bit / 8] ^= mask;
		}
	}
	ok(accepted == 0, "Ed25519: every flipped bit is noticed");
	ok(!medsync_ed25519_verify(public_key, message, sizeof(message) - 1, signature),
	   "Ed25519: a shorter message is noticed");
	add_group_order(signature + 32);
	ok(!medsync_ed25519_verify(public_key, message, sizeof(message), signature),
	   "Ed25519: a second form of the same signature is refused");

	memset(public_key, 0xff, sizeof(public_key));
	ok(!medsync_ed25519_verify(public_key, message, sizeof(message), signature),
	   "Ed25519: a key that is no point signs nothing");
	ok(ERR_peek_error() == 0, "Ed25519: nothing is left in OpenSSL's error queue");
}

/* The examples once more, by a key that is kept from one to the next. */
static void
test_kept_key(void)
{
	const Example *example = &examples[1];
	uint8		der[12 + MEDSYNC_ED25519_KEY_SIZE];
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
	uint8		message[1];
	MedsyncPublicKey *key;
	int			right = 0;
	int			wrong = 0;
	int			i;

	from_hex("302a300506032b6570032100", der, 12);
	from_hex(example->public_key, der + 12, MEDSYNC_ED25519_KEY_SIZE);
	from_hex(example->signature, signature, sizeof(signature));
	from_hex(example->message, message, sizeof(message));
	key = medsync_public_key_read(der, sizeof(der));
	ok(key != NULL && medsync_public_key_algorithm(key) == MEDSYNC_ED25519,
	   "public key: SubjectPublicKeyInfo of Ed25519 is read");
	for (i = 0; i < 100; i++)
	{
		right += medsync_signature_verify(key, message, sizeof(message),
										  signature, sizeof(signature));
		signature[i % sizeof(signature)] ^= 1;
		wrong += medsync_signature_verify(key, message, sizeof(message),
										  signature, sizeof(signature));
		signature[i % sizeof(signature)] ^= 1;
	}
	ok(right == 100 && wrong == 0, "public key: one key, 200 verdicts");
	medsync_public_key_free(key);
}

/* Keys that take the place of ones that are not there. */
static void
test_dummies(void)
{
	static uint8 signature[MEDSYNC_SIGNATURE_MAX];
	int			algorithm;

	memset(signature, 0x11, sizeof(signature));
	for (algorithm = MEDSYNC_ED25519; algorithm <= MEDSYNC_X25519; algorithm++)
	{
		MedsyncPublicKey *key = medsync_public_key_dummy(algorithm);
		const char *name = medsync_algorithm_name(algorithm);

		ok((int) medsync_public_key_algorithm(key) == algorithm &&
		   (int) medsync_algorithm_by_name(name) == algorithm,
		   "public key: a dummy of %s", name);
		ok(!medsync_signature_verify(key, "m", 1, signature,
									 medsync_signature_size(algorithm)),
		   "public key: it verifies nothing");
		medsync_public_key_free(key);
	}
	ok(medsync_algorithm_name(MEDSYNC_ALGORITHM_NONE) == NULL &&
	   medsync_algorithm_by_name("rsa") == MEDSYNC_ALGORITHM_NONE &&
	   medsync_signature_size(MEDSYNC_X25519) == 0 &&
	   medsync_signature_size(7) == 0, "public key: no other algorithms");
	ok(ERR_peek_error() == 0, "public key: nothing is left in OpenSSL's error queue");
}

void
test_crypto(void)
{
	test_examples();
	test_wrong();
	test_kept_key();
	test_dummies();
}
