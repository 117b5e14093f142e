/*-------------------------------------------------------------------------
 *
 * note.c
 *		Signed notes, checkpoints and proofs as text (C2SP).
 *
 * Pure text work: stores nothing, takes no locks, and raises no error for
 * what it reads.  Anything that is not exactly what the specifications say
 * is refused: a lenient reader would let two texts that differ pass for one,
 * or mean one thing to us and another to a verifier written by others.
 *
 *	signed-note		https://c2sp.org/signed-note
 *	tlog-checkpoint	https://c2sp.org/tlog-checkpoint
 *	tlog-cosignature	https://c2sp.org/tlog-cosignature (Ed25519)
 *	tlog-proof		https://c2sp.org/tlog-proof
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/wire.h"
#include "mb/pg_wchar.h"
#include "proofs/note.h"

#define EM_DASH_SPACE		"\xe2\x80\x94 "	/* begins a signature line */
#define PROOF_FIRST_LINE	"c2sp.org/tlog-proof@v1"
#define COSIGNATURE_HEADER	"cosignature/v1\n"

/* characters of base64 for so many bytes */
#define BASE64_LEN(size)	(((size) + 2) / 3 * 4)

#define VKEY_ID_LEN			(2 * MEDSYNC_NOTE_KEY_ID_SIZE)
#define VKEY_KEY_SIZE		(1 + MEDSYNC_ED25519_KEY_SIZE)
#define TIME_SIZE			8	/* of a cosignature's time */

/* Text that is read line by line */
typedef struct LineReader
{
	const char *next;
	const char *end;
} LineReader;

/* One line, without its newline */
typedef struct Line
{
	const char *text;
	size_t		len;
} Line;

/* Take the next line; false at the end, or where a newline is missing. */
static bool
next_line(LineReader *reader, Line *line)
{
	const char *newline = NULL;

	if (reader->next < reader->end)
		newline = memchr(reader->next, '\n', reader->end - reader->next);
	if (newline == NULL)
		return false;
	line->text = reader->next;
	line->len = newline - reader->next;
	reader->next = newline + 1;
	return true;
}

/* Take a word off the beginning of a line, if it is there. */
static bool
skip_word(Line *line, const char *word)
{
	size_t		len = strlen(word);

	if (line->len < len || memcmp(line->text, word, len) != 0)
		return false;
	line->text += len;
	line->len -= len;
	return true;
}

/* UTF-8 without control characters but newline, as every note must be. */
static bool
text_valid(const char *text, size_t len)
{
	size_t		i;

	if (len > MEDSYNC_NOTE_MAX ||
		pg_encoding_verifymbstr(PG_UTF8, text, (int) len) != (int) len)
		return false;
	for (i = 0; i < len; i++)
		if ((unsigned char) text[i] < 0x20 && text[i] != '\n')
			return false;
	return true;
}

/* Decimal digits without leading zeros, at most 2^63 - 1. */
static bool
read_decimal(const Line *line, uint64 *value)
{
	uint64		result = 0;
	size_t		i;

	if (line->len == 0 || (line->text[0] == '0' && line->len > 1))
		return false;
	for (i = 0; i < line->len; i++)
	{
		char		c = line->text[i];

		if (c < '0' || c > '9' ||
			result > ((uint64) PG_INT64_MAX - (c - '0')) / 10)
			return false;
		result = result * 10 + (c - '0');
	}
	*value = result;
	return true;
}

/* A hash in base64, and nothing else, on a line. */
static bool
read_hash(const Line *line, uint8 *hash)
{
	return line->len == BASE64_LEN(MEDSYNC_HASH_SIZE) &&
		medsync_wire_get_base64(line->text, line->len, hash,
								MEDSYNC_HASH_SIZE) == MEDSYNC_HASH_SIZE;
}

/* Unicode's property White_Space. */
static bool
is_white_space(pg_wchar c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 ||
		c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
		c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Unicode's general category Cc. */
static bool
is_control(pg_wchar c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f);
}

bool
medsync_key_name_valid(const char *name, size_t len)
{
	const unsigned char *next = (const unsigned char *) name;
	const unsigned char *end = next + len;

	if (len == 0 || len > MEDSYNC_KEY_NAME_MAX ||
		pg_encoding_verifymbstr(PG_UTF8, name, (int) len) != (int) len)
		return false;
	while (next < end)
	{
		pg_wchar	c = utf8_to_unicode(next);

		if (c == '+' || is_white_space(c) || is_control(c))
			return false;
		next += pg_utf_mblen(next);
	}
	return true;
}

/* signed-note: SHA-256(name || 0x0A || type || public key)[:4]. */
static void
make_key_id(const char *name, size_t name_len, uint8 type,
			const uint8 *public_key, uint8 *id)
{
	MedsyncSha256 sha;
	uint8		digest[MEDSYNC_HASH_SIZE];

	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, name, name_len);
	medsync_sha256_update(&sha, "\n", 1);
	medsync_sha256_update(&sha, &type, 1);
	medsync_sha256_update(&sha, public_key, MEDSYNC_ED25519_KEY_SIZE);
	medsync_sha256_finish(&sha, digest);
	memcpy(id, digest, MEDSYNC_NOTE_KEY_ID_SIZE);
}

/* Make a key from its parts; the name is valid. */
void
medsync_vkey_make(MedsyncVerifierKey *key, const char *name, uint8 type,
				  const uint8 *public_key)
{
	Assert(medsync_key_name_valid(name, strlen(name)));
	memset(key, 0, sizeof(*key));
	strlcpy(key->name, name, sizeof(key->name));
	key->type = type;
	memcpy(key->public_key, public_key, MEDSYNC_ED25519_KEY_SIZE);
	make_key_id(key->name, strlen(key->name), type, public_key, key->id);
}

/* A key id in hex: eight digits, lower case. */
static void
write_key_id(const uint8 *id, char *hex)
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	for (i = 0; i < MEDSYNC_NOTE_KEY_ID_SIZE; i++)
	{
		hex[2 * i] = digits[id[i] >> 4];
		hex[2 * i + 1] = digits[id[i] & 0x0f];
	}
}

/*
 * Read a verifier key, "name+id+key".  Base64 has a plus too, so the parts
 * are found from the front.
 */
bool
medsync_vkey_parse(const char *text, size_t len, MedsyncVerifierKey *key)
{
	const char *plus = len <= MEDSYNC_VKEY_MAX ? memchr(text, '+', len) : NULL;
	char		name[MEDSYNC_KEY_NAME_MAX + 1] = {0};
	char		id[VKEY_ID_LEN];
	uint8		bytes[VKEY_KEY_SIZE];
	size_t		name_len;

	if (plus == NULL)
		return false;
	name_len = plus - text;
	if (!medsync_key_name_valid(text, name_len) ||
		len != name_len + 1 + VKEY_ID_LEN + 1 + BASE64_LEN(VKEY_KEY_SIZE) ||
		plus[1 + VKEY_ID_LEN] != '+' ||
		medsync_wire_get_base64(plus + VKEY_ID_LEN + 2,
								BASE64_LEN(VKEY_KEY_SIZE),
								bytes, sizeof(bytes)) != sizeof(bytes))
		return false;
	if (bytes[0] != MEDSYNC_SIGNATURE_ED25519 &&
		bytes[0] != MEDSYNC_SIGNATURE_COSIGNATURE)
		return false;
	memcpy(name, text, name_len);
	medsync_vkey_make(key, name, bytes[0], bytes + 1);
	write_key_id(key->id, id);
	return memcmp(id, plus + 1, VKEY_ID_LEN) == 0;
}

void
medsync_vkey_write(StringInfo buf, const MedsyncVerifierKey *key)
{
	char		id[VKEY_ID_LEN];
	uint8		bytes[VKEY_KEY_SIZE];

	write_key_id(key->id, id);
	bytes[0] = key->type;
	memcpy(bytes + 1, key->public_key, MEDSYNC_ED25519_KEY_SIZE);
	appendStringInfo(buf, "%s+%.*s+", key->name, VKEY_ID_LEN, id);
	medsync_wire_put_base64(buf, bytes, sizeof(bytes));
}

/* Read "em dash, space, name, space, base64 of key id and signature". */
static bool
read_signature(const Line *line, MedsyncNoteSignature *signature)
{
	Line		rest = *line;
	uint8		bytes[MEDSYNC_NOTE_KEY_ID_SIZE + MEDSYNC_NOTE_SIGNATURE_MAX];
	const char *space;

	signature->line = line->text;
	signature->line_len = line->len;
	if (!skip_word(&rest, EM_DASH_SPACE) || rest.len == 0)
		return false;
	space = memchr(rest.text, ' ', rest.len);
	if (space == NULL)
		return false;
	signature->name = rest.text;
	signature->name_len = space - rest.text;
	signature->base64 = space + 1;
	signature->base64_len = rest.len - signature->name_len - 1;
	if (!medsync_key_name_valid(signature->name, signature->name_len) ||
		medsync_wire_get_base64(signature->base64, signature->base64_len,
								bytes, sizeof(bytes)) <= MEDSYNC_NOTE_KEY_ID_SIZE)
		return false;
	memcpy(signature->id, bytes, MEDSYNC_NOTE_KEY_ID_SIZE);
	return true;
}

/* How long the text before a note's last empty line is; 0: there is none. */
static size_t
find_text_end(const char *data, size_t len)
{
	size_t		i;

	for (i = len; i >= 2; i--)
		if (data[i - 1] == '\n' && data[i - 2] == '\n')
			return i - 1;
	return 0;
}

/* Take a note apart.  Whoever uses its text checks a signature before. */
bool
medsync_note_parse(const char *data, size_t len, MedsyncNote *note)
{
	LineReader	reader;

	note->signature_count = 0;
	if (!text_valid(data, len))
		return false;
	note->text = data;
	note->text_len = find_text_end(data, len);
	if (note->text_len == 0)
		return false;
	reader.next = data + note->text_len + 1;
	reader.end = data + len;
	while (reader.next < reader.end)
	{
		Line		line;

		if (note->signature_count == MEDSYNC_NOTE_SIGNATURES ||
			!next_line(&reader, &line) ||
			!read_signature(&line, &note->signatures[note->signature_count]))
			return false;
		note->signature_count++;
	}
	return note->signature_count > 0;
}

/* Check a cosignature: u64 time || signature of a header and the text. */
static bool
check_cosignature(const MedsyncNote *note, const MedsyncVerifierKey *key,
				  const uint8 *bytes, uint64 *cosigned_at)
{
	MedsyncReader reader;
	StringInfoData message;
	bool		right;

	medsync_wire_open(&reader, bytes, TIME_SIZE);
	*cosigned_at = medsync_wire_get_u64(&reader);
	if (*cosigned_at > (uint64) PG_INT64_MAX)
		return false;
	initStringInfo(&message);
	appendStringInfo(&message, COSIGNATURE_HEADER "time " UINT64_FORMAT "\n",
					 *cosigned_at);
	appendBinaryStringInfo(&message, note->text, (int) note->text_len);
	right = medsync_ed25519_verify(key->public_key, message.data, message.len,
								   bytes + TIME_SIZE);
	pfree(message.data);
	return right;
}

/* Check one signature line against the key of its name and id. */
static bool
check_signature(const MedsyncNote *note, const MedsyncNoteSignature *signature,
				const MedsyncVerifierKey *key, uint64 *cosigned_at)
{
	uint8		bytes[MEDSYNC_NOTE_KEY_ID_SIZE + TIME_SIZE +
					  MEDSYNC_ED25519_SIGNATURE_SIZE];
	ssize_t		size = medsync_wire_get_base64(signature->base64,
											   signature->base64_len,
											   bytes, sizeof(bytes));

	*cosigned_at = 0;
	size -= MEDSYNC_NOTE_KEY_ID_SIZE;
	if (key->type == MEDSYNC_SIGNATURE_ED25519)
		return size == MEDSYNC_ED25519_SIGNATURE_SIZE &&
			medsync_ed25519_verify(key->public_key, note->text, note->text_len,
								   bytes + MEDSYNC_NOTE_KEY_ID_SIZE);
	if (key->type == MEDSYNC_SIGNATURE_COSIGNATURE)
		return size == TIME_SIZE + MEDSYNC_ED25519_SIGNATURE_SIZE &&
			check_cosignature(note, key, bytes + MEDSYNC_NOTE_KEY_ID_SIZE,
							  cosigned_at);
	return false;
}

/*
 * What a note says about a key.  Lines of other keys are none of its
 * business, even with its name or its id alone; of two right lines of one
 * witness the newer time counts.
 */
MedsyncNoteVerdict
medsync_note_check(const MedsyncNote *note, const MedsyncVerifierKey *key,
				   uint64 *cosigned_at)
{
	MedsyncNoteVerdict verdict = MEDSYNC_NOTE_NOT_SIGNED;
	size_t		name_len = strlen(key->name);
	uint64		newest = 0;
	int			i;

	for (i = 0; i < note->signature_count; i++)
	{
		const MedsyncNoteSignature *signature = &note->signatures[i];
		uint64		time;

		if (signature->name_len != name_len ||
			memcmp(signature->name, key->name, name_len) != 0 ||
			memcmp(signature->id, key->id, MEDSYNC_NOTE_KEY_ID_SIZE) != 0)
			continue;
		if (!check_signature(note, signature, key, &time))
			return MEDSYNC_NOTE_FORGED;
		verdict = MEDSYNC_NOTE_SIGNED;
		newest = Max(newest, time);
	}
	if (verdict == MEDSYNC_NOTE_SIGNED && cosigned_at != NULL)
		*cosigned_at = newest;
	return verdict;
}

/* Sign a text with a log's own key; the seed is that of the key. */
void
medsync_note_sign(StringInfo buf, const char *text, size_t text_len,
				  const MedsyncVerifierKey *key, const uint8 *seed)
{
	uint8		bytes[MEDSYNC_NOTE_KEY_ID_SIZE +
					  MEDSYNC_ED25519_SIGNATURE_SIZE];

	Assert(key->type == MEDSYNC_SIGNATURE_ED25519);
	memcpy(bytes, key->id, MEDSYNC_NOTE_KEY_ID_SIZE);
	medsync_ed25519_sign(seed, text, text_len,
						 bytes + MEDSYNC_NOTE_KEY_ID_SIZE);
	appendStringInfo(buf, EM_DASH_SPACE "%s ", key->name);
	medsync_wire_put_base64(buf, bytes, sizeof(bytes));
	appendStringInfoChar(buf, '\n');
}

/* Read the text of a checkpoint: origin, size, root, perhaps extensions. */
bool
medsync_checkpoint_parse(const char *text, size_t len,
						 MedsyncCheckpoint *checkpoint)
{
	LineReader	reader;
	Line		line;

	if (!text_valid(text, len))
		return false;
	reader.next = text;
	reader.end = text + len;
	if (!next_line(&reader, &line) ||
		line.len == 0 || line.len > MEDSYNC_KEY_NAME_MAX)
		return false;
	checkpoint->origin = line.text;
	checkpoint->origin_len = line.len;
	if (!next_line(&reader, &line) || !read_decimal(&line, &checkpoint->size))
		return false;
	if (!next_line(&reader, &line) || !read_hash(&line, checkpoint->root))
		return false;
	while (reader.next < reader.end)
		if (!next_line(&reader, &line) || line.len == 0)
			return false;
	return true;
}

void
medsync_checkpoint_write(StringInfo buf, const char *origin, uint64 size,
						 const uint8 *root)
{
	appendStringInfo(buf, "%s\n" UINT64_FORMAT "\n", origin, size);
	medsync_wire_put_base64(buf, root, MEDSYNC_HASH_SIZE);
	appendStringInfoChar(buf, '\n');
}

/* Read hashes up to the empty line after them. */
static bool
read_hashes(LineReader *reader, MedsyncProofText *proof)
{
	Line		line;

	proof->hash_count = 0;
	while (next_line(reader, &line))
	{
		if (line.len == 0)
			return true;
		if (proof->hash_count == MEDSYNC_PROOF_MAX ||
			!read_hash(&line, proof->hashes[proof->hash_count]))
			return false;
		proof->hash_count++;
	}
	return false;
}

/* What a proof ends with: a note whose text is a checkpoint. */
static bool
is_signed_checkpoint(const char *data, size_t len)
{
	MedsyncNote note;
	MedsyncCheckpoint checkpoint;

	return medsync_note_parse(data, len, &note) &&
		medsync_checkpoint_parse(note.text, note.text_len, &checkpoint);
}

/* Take a proof apart.  What it proves, and who signed it, is not checked. */
bool
medsync_proof_parse(const char *data, size_t len, MedsyncProofText *proof)
{
	LineReader	reader = {data, data + len};
	Line		line;

	proof->extra = NULL;
	proof->extra_len = 0;
	if (len > MEDSYNC_RECEIPT_MAX || !next_line(&reader, &line) ||
		!skip_word(&line, PROOF_FIRST_LINE) || line.len != 0 ||
		!next_line(&reader, &line))
		return false;
	if (skip_word(&line, "extra "))
	{
		proof->extra = line.text;
		proof->extra_len = line.len;
		if (medsync_wire_get_base64(line.text, line.len, NULL, 0) <= 0 ||
			!next_line(&reader, &line))
			return false;
	}
	if (!skip_word(&line, "index ") || !read_decimal(&line, &proof->index) ||
		!read_hashes(&reader, proof))
		return false;
	proof->note = reader.next;
	proof->note_len = reader.end - reader.next;
	return is_signed_checkpoint(proof->note, proof->note_len);
}

/* Write a proof; without extra data its line is left out. */
void
medsync_proof_write(StringInfo buf, const void *extra, size_t extra_len,
					uint64 index, const uint8 (*hashes)[MEDSYNC_HASH_SIZE],
					int hash_count, const char *note, size_t note_len)
{
	int			i;

	appendStringInfoString(buf, PROOF_FIRST_LINE "\n");
	if (extra_len > 0)
	{
		appendStringInfoString(buf, "extra ");
		medsync_wire_put_base64(buf, extra, extra_len);
		appendStringInfoChar(buf, '\n');
	}
	appendStringInfo(buf, "index " UINT64_FORMAT "\n", index);
	for (i = 0; i < hash_count; i++)
	{
		medsync_wire_put_base64(buf, hashes[i], MEDSYNC_HASH_SIZE);
		appendStringInfoChar(buf, '\n');
	}
	appendStringInfoChar(buf, '\n');
	appendBinaryStringInfo(buf, note, (int) note_len);
}
