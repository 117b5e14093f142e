/*-------------------------------------------------------------------------
 *
 * fuzz_note.c
 *		Fuzz target: signed notes, checkpoints and verifier keys.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "proofs/note.h"

/* Keys that signed notes of the corpus; the last one cosigned */
static const char *const published[] = {
	"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	"EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
};

/* A vkey has one text. */
static void
try_vkey(const char *data, size_t size)
{
	MedsyncVerifierKey key;
	StringInfoData text;

	if (!medsync_vkey_parse(data, size, &key))
		return;
	promise(medsync_key_name_valid(key.name, strlen(key.name)));
	initStringInfo(&text);
	medsync_vkey_write(&text, &key);
	promise((size_t) text.len == size && memcmp(text.data, data, size) == 0);
	pfree(text.data);
}

/* The first three lines of a checkpoint have one text. */
static void
try_checkpoint(const char *data, size_t size)
{
	MedsyncCheckpoint checkpoint;
	StringInfoData text;
	char	   *origin;

	if (!medsync_checkpoint_parse(data, size, &checkpoint))
		return;
	promise(checkpoint.size <= (uint64) PG_INT64_MAX);
	origin = pnstrdup(checkpoint.origin, checkpoint.origin_len);
	initStringInfo(&text);
	medsync_checkpoint_write(&text, origin, checkpoint.size, checkpoint.root);
	promise((size_t) text.len <= size && memcmp(text.data, data, text.len) == 0);
	pfree(text.data);
	pfree(origin);
}

/* A note is its text, an empty line and its signature lines. */
static void
check_parts(const MedsyncNote *note, const char *data, size_t size)
{
	const char *next = data + note->text_len;
	int			i;

	promise(note->text == data && note->text_len > 0 && next[-1] == '\n' &&
			next[0] == '\n');
	promise(note->signature_count >= 1 &&
			note->signature_count <= MEDSYNC_NOTE_SIGNATURES);
	next++;
	for (i = 0; i < note->signature_count; i++)
	{
		const MedsyncNoteSignature *signature = &note->signatures[i];

		promise(signature->line == next);
		promise(signature->name > signature->line);
		promise(signature->base64 == signature->name + signature->name_len + 1);
		next += signature->line_len;
		promise(signature->base64 + signature->base64_len == next);
		promise(*next++ == '\n');
	}
	promise(next == data + size);
}

/* A wrong key of a signer's name and id is told from no key at all. */
static void
check_strangers(const MedsyncNote *note)
{
	MedsyncVerifierKey key;
	uint64		time;

	memset(&key, 0, sizeof(key));
	memcpy(key.name, note->signatures[0].name, note->signatures[0].name_len);
	memcpy(key.id, note->signatures[0].id, sizeof(key.id));
	memset(key.public_key, 0xff, sizeof(key.public_key));	/* no point */
	key.type = MEDSYNC_SIGNATURE_ED25519;
	promise(medsync_note_check(note, &key, NULL) == MEDSYNC_NOTE_FORGED);
	key.type = MEDSYNC_SIGNATURE_COSIGNATURE;
	promise(medsync_note_check(note, &key, &time) == MEDSYNC_NOTE_FORGED);
}

/* Signed once more, by us, it is a note that we have signed. */
static void
check_signing(const MedsyncNote *note, const char *data, size_t size)
{
	const uint8 seed[MEDSYNC_ED25519_KEY_SIZE] = {1, 2, 3};
	MedsyncVerifierKey key;
	MedsyncNote again;
	StringInfoData text;
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	if (note->signature_count == MEDSYNC_NOTE_SIGNATURES ||
		size + 200 > MEDSYNC_NOTE_MAX)
		return;
	medsync_ed25519_public_key(seed, public_key);
	medsync_vkey_make(&key, "fuzz.example/us", MEDSYNC_SIGNATURE_ED25519, public_key);
	initStringInfo(&text);
	appendBinaryStringInfo(&text, data, (int) size);
	medsync_note_sign(&text, note->text, note->text_len, &key, seed);
	promise(medsync_note_parse(text.data, text.len, &again));
	promise(again.signature_count == note->signature_count + 1);
	promise(again.text_len == note->text_len);
	promise(medsync_note_check(&again, &key, NULL) == MEDSYNC_NOTE_SIGNED);
	pfree(text.data);
}

static void
try_note(const char *data, size_t size)
{
	MedsyncNote note;
	int			i;

	if (!medsync_note_parse(data, size, &note))
		return;
	check_parts(&note, data, size);
	for (i = 0; i < (int) lengthof(published); i++)
	{
		MedsyncVerifierKey key;

		promise(medsync_vkey_parse(published[i], strlen(published[i]), &key));
		(void) medsync_note_check(&note, &key, NULL);
	}
	check_strangers(&note);
	check_signing(&note, data, size);
	try_checkpoint(note.text, note.text_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_vkey((const char *) data, size);
	try_checkpoint((const char *) data, size);
	try_note((const char *) data, size);
	return 0;
}
