/*-------------------------------------------------------------------------
 *
 * vectors.c
 *		Runs published test vectors: Merkle proofs, Ed25519 signatures, HMAC
 *		and HKDF with SHA-256.
 *
 * A line is fields with a tab between them, bytes in base64:
 *
 *	inclusion name want index size leaf root proof...
 *	consistency name want old_size new_size old_root new_root proof...
 *	ed25519 name want public_key message signature
 *	hmac name want key message tag
 *	hkdf name want secret salt info key
 *
 * A tag or key shorter than 32 bytes is compared with the beginning of ours.
 *
 * "want" is 1 where it is to be accepted, else 0.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "common/wire.h"
#include "ledger/merkle.h"

#define MAX_LINE		65536
#define MAX_FIELDS		(8 + MEDSYNC_PROOF_MAX)

typedef uint8 Hash[MEDSYNC_HASH_SIZE];

/* Split a line at its tabs; an empty field counts. */
static int
split_line(char *line, char **fields)
{
	int			count = 0;

	line[strcspn(line, "\n")] = '\0';
	while (line != NULL && count < MAX_FIELDS)
		fields[count++] = strsep(&line, "\t");
	return count;
}

/*
 * A hash of a vector.  Some have other lengths than a hash can have, to see
 * that they are compared as a whole: with zeros behind them those that are
 * equal stay equal.  None at all is nothing that can be asked about: false.
 */
static bool
read_hash(const char *text, uint8 *hash)
{
	memset(hash, 0, sizeof(Hash));
	return medsync_wire_get_base64(text, strlen(text), hash, sizeof(Hash)) > 0;
}

static bool
run_tree_vector(char **fields, int count)
{
	Hash		first;
	Hash		root;
	Hash		proof[MEDSYNC_PROOF_MAX];
	uint64		a = strtoull(fields[3], NULL, 10);
	uint64		b = strtoull(fields[4], NULL, 10);
	int			i;

	if (!read_hash(fields[5], first) || !read_hash(fields[6], root))
		return false;
	for (i = 7; i < count; i++)
		(void) read_hash(fields[i], proof[i - 7]);
	if (strcmp(fields[0], "inclusion") == 0)
		return medsync_merkle_verify_inclusion(first, a, b, (const Hash *) proof,
											   count - 7, root);
	return medsync_merkle_verify_consistency(a, first, b, root,
											 (const Hash *) proof, count - 7);
}

/* A signature that has not its length cannot be asked about: false. */
static bool
run_ed25519_vector(char **fields)
{
	uint8		key[MEDSYNC_ED25519_KEY_SIZE];
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
	uint8		message[MAX_LINE];
	ssize_t		len = medsync_wire_get_base64(fields[4], strlen(fields[4]),
											  message, sizeof(message));

	return len >= 0 &&
		medsync_wire_get_base64(fields[3], strlen(fields[3]),
								key, sizeof(key)) == sizeof(key) &&
		medsync_wire_get_base64(fields[5], strlen(fields[5]), signature,
								sizeof(signature)) == sizeof(signature) &&
		medsync_ed25519_verify(key, message, len, signature);
}

/* Bytes of a field of at most MAX_LINE; -1 if it is no base64. */
static ssize_t
read_bytes(const char *text, uint8 *bytes)
{
	return medsync_wire_get_base64(text, strlen(text), bytes, MAX_LINE);
}

static void
hmac(const uint8 *key, size_t keylen, const uint8 *message, size_t len,
	 uint8 *mac)
{
	MedsyncHmacKey hmac_key;
	MedsyncHmac ctx;

	medsync_hmac_key(&hmac_key, key, keylen);
	medsync_hmac_start(&ctx, &hmac_key);
	medsync_hmac_update(&ctx, message, len);
	medsync_hmac_finish(&ctx, mac);
}

static bool
run_hmac_vector(char **fields)
{
	static uint8 key[MAX_LINE];
	static uint8 message[MAX_LINE];
	static uint8 tag[MAX_LINE];
	ssize_t		key_len = read_bytes(fields[3], key);
	ssize_t		len = read_bytes(fields[4], message);
	ssize_t		tag_len = read_bytes(fields[5], tag);
	Hash		mac;

	if (key_len < 0 || len < 0 || tag_len <= 0 || tag_len > (ssize_t) sizeof(mac))
		return false;
	hmac(key, key_len, message, len, mac);
	return memcmp(mac, tag, tag_len) == 0;
}

/* HKDF-Extract is an HMAC; the expansion is the function that is tested. */
static bool
run_hkdf_vector(char **fields)
{
	static uint8 secret[MAX_LINE];
	static uint8 salt[MAX_LINE];
	static uint8 info[MAX_LINE];
	static uint8 want[MAX_LINE];
	ssize_t		secret_len = read_bytes(fields[3], secret);
	ssize_t		salt_len = read_bytes(fields[4], salt);
	ssize_t		info_len = read_bytes(fields[5], info);
	ssize_t		want_len = read_bytes(fields[6], want);
	MedsyncHmacKey prk;
	Hash		extracted;
	Hash		key;

	if (secret_len < 0 || salt_len < 0 || info_len < 0 || want_len <= 0 ||
		want_len > (ssize_t) sizeof(key))
		return false;
	hmac(salt, salt_len, secret, secret_len, extracted);
	medsync_hmac_key(&prk, extracted, sizeof(extracted));
	medsync_hkdf_expand(&prk, info, info_len, key);
	return memcmp(key, want, want_len) == 0;
}

void
test_vectors(FILE *file)
{
	static char line[MAX_LINE];
	char	   *fields[MAX_FIELDS];

	while (fgets(line, sizeof(line), file) != NULL)
	{
		int			count = split_line(line, fields);
		bool		want = count > 2 && strcmp(fields[2], "1") == 0;

		if (count >= 7 && (strcmp(fields[0], "inclusion") == 0 ||
						   strcmp(fields[0], "consistency") == 0))
			ok(run_tree_vector(fields, count) == want, "%s", fields[1]);
		else if (count == 6 && strcmp(fields[0], "ed25519") == 0)
			ok(run_ed25519_vector(fields) == want, "%s", fields[1]);
		else if (count == 6 && strcmp(fields[0], "hmac") == 0)
			ok(run_hmac_vector(fields) == want, "%s", fields[1]);
		else if (count == 7 && strcmp(fields[0], "hkdf") == 0)
			ok(run_hkdf_vector(fields) == want, "%s", fields[1]);
		else
			ok(false, "a vector that is none: %s", fields[0]);
	}
}
