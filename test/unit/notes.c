/*-------------------------------------------------------------------------
 *
 * notes.c
 *		Unit tests of key names, verifier keys, signed notes and checkpoints.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "common/wire.h"
#include "proofs/note.h"

/* An em dash and a space: begins a signature line */
#define DASH	"\xe2\x80\x94 "

/* C2SP signed-note.md */
#define FOO_VKEY	"example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
#define FOO_TEXT	"This is an example message.\n"
#define FOO_BASE64	"Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
#define FOO_LINE	DASH "example.com/foo " FOO_BASE64 "\n"
#define FOO_NOTE	FOO_TEXT "\n" FOO_LINE

#define QUASIMODO_TEXT \
	"Ognuno sta solo sul cuor della terra\n" \
	"trafitto da un raggio di sole:\n\n" \
	"ed \xc3\xa8 subito sera.\n"
#define QUASIMODO_LINE \
	DASH "quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"

/* C2SP tlog-checkpoint.md and tlog-cosignature.md */
#define SOFA_ROOT	"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
#define SOFA_TEXT	"example.com/behind-the-sofa\n20852163\n" SOFA_ROOT "\n"
#define SOFA_LINE \
	DASH "example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
#define SOFA_WITNESS \
	DASH "witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"

/* golang.org/x/mod/sumdb/note; its private key is published too */
#define PETER_VKEY	"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SEED	"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define PETER_TEXT \
	"If you think cryptography is the answer to your problem,\n" \
	"then you don't know what your problem is.\n"
#define PETER_LINE \
	DASH "PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define ENOCH_VKEY	"EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
#define ENOCH_LINE \
	DASH "EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"

/* Text with its length, because it may hold zero bytes */
typedef struct Text
{
	const char *name;
	const char *text;
	size_t		len;
} Text;

#define TEXT(name, text) {name, text, sizeof(text) - 1}

static uint8 log_seed[MEDSYNC_ED25519_KEY_SIZE];
static uint8 witness_seed[MEDSYNC_ED25519_KEY_SIZE];
static MedsyncVerifierKey log_key;
static MedsyncVerifierKey witness_key;

/* The parsers, on memory of exactly the length */
static bool
note_parses(const char *text, size_t len)
{
	char	   *copy = exact_copy(text, len);
	MedsyncNote note;
	bool		result = medsync_note_parse(copy, len, &note);

	free(copy);
	return result;
}

static bool
checkpoint_parses(const char *text, size_t len)
{
	char	   *copy = exact_copy(text, len);
	MedsyncCheckpoint checkpoint;
	bool		result = medsync_checkpoint_parse(copy, len, &checkpoint);

	free(copy);
	return result;
}

static bool
vkey_parses(const char *text, size_t len)
{
	char	   *copy = exact_copy(text, len);
	MedsyncVerifierKey key;
	bool		result = medsync_vkey_parse(copy, len, &key);

	free(copy);
	return result;
}

static bool
name_valid(const char *name)
{
	char	   *copy = exact_copy(name, strlen(name));
	bool		result = medsync_key_name_valid(copy, strlen(name));

	free(copy);
	return result;
}

/* What a note says about a key; a note that is none says nothing. */
static MedsyncNoteVerdict
verdict(const char *text, size_t len, const MedsyncVerifierKey *key, uint64 *time)
{
	MedsyncNote note;

	if (!medsync_note_parse(text, len, &note))
		return MEDSYNC_NOTE_NOT_SIGNED;
	return medsync_note_check(&note, key, time);
}

/* The same about a published key. */
static MedsyncNoteVerdict
verdict_of(const char *text, const char *vkey)
{
	MedsyncVerifierKey key;

	if (!medsync_vkey_parse(vkey, strlen(vkey), &key))
		return MEDSYNC_NOTE_NOT_SIGNED;
	return verdict(text, strlen(text), &key, NULL);
}

static void
make_keys(void)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	random_fill(log_seed, sizeof(log_seed));
	medsync_ed25519_public_key(log_seed, public_key);
	medsync_vkey_make(&log_key, "hospital.example/ledger",
					  MEDSYNC_SIGNATURE_ED25519, public_key);
	random_fill(witness_seed, sizeof(witness_seed));
	medsync_ed25519_public_key(witness_seed, public_key);
	medsync_vkey_make(&witness_key, "witness.example/w\xc3\xa9",
					  MEDSYNC_SIGNATURE_COSIGNATURE, public_key);
}

/* A witness's line: what tlog-cosignature says, written out here once more. */
static void
cosign(StringInfo buf, const char *text, size_t text_len, uint64 time)
{
	StringInfoData message;
	StringInfoData bytes;
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];

	initStringInfo(&message);
	initStringInfo(&bytes);
	appendStringInfo(&message, "cosignature/v1\ntime %llu\n",
					 (unsigned long long) time);
	appendBinaryStringInfo(&message, text, (int) text_len);
	medsync_ed25519_sign(witness_seed, message.data, message.len, signature);
	appendBinaryStringInfo(&bytes, (char *) witness_key.id, MEDSYNC_NOTE_KEY_ID_SIZE);
	medsync_wire_put_u64(&bytes, time);
	appendBinaryStringInfo(&bytes, (char *) signature, sizeof(signature));
	appendStringInfo(buf, DASH "%s ", witness_key.name);
	medsync_wire_put_base64(buf, bytes.data, bytes.len);
	appendStringInfoChar(buf, '\n');
	pfree(message.data);
	pfree(bytes.data);
}

/* A checkpoint of ours, signed; with a cosignature if time is not 0. */
static void
make_checkpoint(StringInfo note, uint64 time)
{
	uint8		root[MEDSYNC_HASH_SIZE];
	size_t		text_len;

	memset(root, 0xa5, sizeof(root));
	initStringInfo(note);
	medsync_checkpoint_write(note, log_key.name, 1234, root);
	text_len = note->len;
	appendStringInfoChar(note, '\n');
	enlargeStringInfo(note, 1000);	/* the text is read while lines are added */
	medsync_note_sign(note, note->data, text_len, &log_key, log_seed);
	if (time != 0)
		cosign(note, note->data, text_len, time);
}

/* Notes that others published, made again and checked. */
static void
test_published(void)
{
	MedsyncVerifierKey key;
	StringInfoData buf;
	uint8		seed[1 + MEDSYNC_ED25519_KEY_SIZE];
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	ok(verdict_of(FOO_NOTE, FOO_VKEY) == MEDSYNC_NOTE_SIGNED,
	   "note: the example of signed-note");
	ok(verdict_of(PETER_TEXT "\n" PETER_LINE ENOCH_LINE, PETER_VKEY) == MEDSYNC_NOTE_SIGNED &&
	   verdict_of(PETER_TEXT "\n" PETER_LINE ENOCH_LINE, ENOCH_VKEY) == MEDSYNC_NOTE_SIGNED,
	   "note: Go's example of two signatures");
	ok(verdict_of(PETER_TEXT "\n" PETER_LINE, ENOCH_VKEY) == MEDSYNC_NOTE_NOT_SIGNED,
	   "note: and of one");

	if (medsync_wire_get_base64(PETER_SEED, strlen(PETER_SEED), seed,
								sizeof(seed)) != sizeof(seed))
		exit(2);
	initStringInfo(&buf);
	medsync_ed25519_public_key(seed + 1, public_key);
	medsync_vkey_make(&key, "PeterNeumann", seed[0], public_key);
	medsync_vkey_write(&buf, &key);
	ok(strcmp(buf.data, PETER_VKEY) == 0,
	   "vkey: Go's published private key has its published vkey");
	resetStringInfo(&buf);
	appendStringInfoString(&buf, PETER_TEXT "\n");
	medsync_note_sign(&buf, PETER_TEXT, strlen(PETER_TEXT), &key, seed + 1);
	ok(strcmp(buf.data, PETER_TEXT "\n" PETER_LINE) == 0,
	   "note: the published note, made again byte for byte");
	pfree(buf.data);
}

/* Published notes without published keys: taken apart and put together. */
static void
test_structure(void)
{
	MedsyncNote note;
	MedsyncCheckpoint checkpoint;
	StringInfoData buf;
	const char *text = QUASIMODO_TEXT "\n" QUASIMODO_LINE;

	ok(medsync_note_parse(text, strlen(text), &note) &&
	   note.text == text && note.text_len == strlen(QUASIMODO_TEXT) &&
	   note.signature_count == 1,
	   "note: a text with an empty line ends at the last one");
	text = SOFA_TEXT "\n" SOFA_LINE SOFA_WITNESS;
	ok(medsync_note_parse(text, strlen(text), &note) &&
	   note.signature_count == 2 && note.text_len == strlen(SOFA_TEXT),
	   "note: the example of tlog-cosignature");
	ok(note.signatures[0].line_len == strlen(SOFA_LINE) - 1 &&
	   memcmp(note.signatures[0].line, SOFA_LINE, strlen(SOFA_LINE) - 1) == 0 &&
	   note.signatures[1].line_len == strlen(SOFA_WITNESS) - 1 &&
	   note.signatures[1].name_len == strlen("witness.example.com/w1") &&
	   memcmp(note.signatures[1].name, "witness.example.com/w1", note.signatures[1].name_len) == 0 &&
	   memcmp(note.signatures[1].id, "\x8d\x66\xcf\x3f", 4) == 0 &&
	   note.signatures[1].base64[note.signatures[1].base64_len] == '\n',
	   "note: its signature lines");
	ok(medsync_checkpoint_parse(note.text, note.text_len, &checkpoint) &&
	   checkpoint.size == 20852163 &&
	   checkpoint.origin_len == strlen("example.com/behind-the-sofa") &&
	   checkpoint.origin == text,
	   "checkpoint: its example");
	initStringInfo(&buf);
	medsync_checkpoint_write(&buf, "example.com/behind-the-sofa",
							 checkpoint.size, checkpoint.root);
	ok(strcmp(buf.data, SOFA_TEXT) == 0, "checkpoint: the example, made again");
	pfree(buf.data);
}

static void
test_names(void)
{
	static const char *const valid[] = {
		"a", "example.com/log", "caf\xc3\xa9", "\xf0\x9f\x8f\xa5", "-", "a=b", "a-b_c~", "\xe2\x80\x8b"
	};
	static const char *const invalid[] = {
		"", " ", "a b", "a ", " a", "a+b", "+", "a\nb", "a\tb", "a\x01" "b",
		"a\x1f" "b", "a\x7f" "b", "a\xc2\x80" "b", "a\xc2\x9f", "\xff", "a\xc3",
		"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\xaf"
	};
	/* every other character of the property White_Space */
	static const char *const spaces[] = {
		"\t", "\n", "\v", "\f", "\r", " ", "\xc2\x85", "\xc2\xa0",
		"\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81", "\xe2\x80\x82",
		"\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
		"\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a",
		"\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
		"\xe3\x80\x80"
	};
	char		name[MEDSYNC_KEY_NAME_MAX + 2];
	int			i;

	for (i = 0; i < (int) lengthof(valid); i++)
		ok(name_valid(valid[i]), "key name: %s", valid[i]);
	for (i = 0; i < (int) lengthof(invalid); i++)
		ok(!name_valid(invalid[i]), "key name: refused, number %d", i);
	for (i = 0; i < (int) lengthof(spaces); i++)
	{
		snprintf(name, sizeof(name), "a%sb", spaces[i]);
		ok(!name_valid(name), "key name: space number %d", i);
	}
	ok(!medsync_key_name_valid("a\0b", 3), "key name: a zero byte");
	memset(name, 'n', sizeof(name));
	ok(medsync_key_name_valid(name, MEDSYNC_KEY_NAME_MAX) &&
	   !medsync_key_name_valid(name, MEDSYNC_KEY_NAME_MAX + 1),
	   "key name: the longest");
}

/* Append a vkey made of these parts, with the id that belongs to them. */
static void
put_vkey(StringInfo buf, const char *name, const uint8 *material, size_t len,
		 const char *id_format)
{
	MedsyncSha256 sha;
	uint8		digest[MEDSYNC_HASH_SIZE];

	resetStringInfo(buf);
	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, name, strlen(name));
	medsync_sha256_update(&sha, "\n", 1);
	medsync_sha256_update(&sha, material, len);
	medsync_sha256_finish(&sha, digest);
	appendStringInfo(buf, "%s+", name);
	appendStringInfo(buf, id_format, digest[0], digest[1], digest[2], digest[3]);
	appendStringInfoChar(buf, '+');
	medsync_wire_put_base64(buf, material, len);
}

static void
test_vkeys(void)
{
	static const char lower[] = "%02x%02x%02x%02x";
	StringInfoData buf;
	MedsyncVerifierKey key;
	uint8		material[64];
	int			accepted = 0;
	int			type;
	size_t		len;
	size_t		i;

	initStringInfo(&buf);
	medsync_vkey_write(&buf, &witness_key);
	ok(medsync_vkey_parse(buf.data, buf.len, &key) &&
	   memcmp(&key, &witness_key, sizeof(key)) == 0,
	   "vkey: what is written is read");
	for (len = 0; len < (size_t) buf.len; len++)
		accepted += vkey_parses(buf.data, len);
	ok(accepted == 0, "vkey: cut anywhere");
	for (i = 0; i < 8 * (size_t) buf.len; i++)
	{
		buf.data[i / 8] ^= 1 << (i % 8);
		accepted += vkey_parses(buf.data, buf.len);
		buf.data[i / 8] ^= 1 << (i % 8);
	}
	ok(accepted == 0, "vkey: any flipped bit");

	memset(material, 7, sizeof(material));
	for (type = 0; type < 256; type++)
	{
		material[0] = (uint8) type;
		put_vkey(&buf, "name", material, 33, lower);
		if (vkey_parses(buf.data, buf.len) != (type == 1 || type == 4))
			accepted++;
	}
	ok(accepted == 0, "vkey: types 1 and 4, and no other");
	material[0] = 1;
	for (len = 0; len <= sizeof(material); len++)
	{
		put_vkey(&buf, "name", material, len, lower);
		if (vkey_parses(buf.data, buf.len) != (len == 33))
			accepted++;
	}
	ok(accepted == 0, "vkey: keys of 32 bytes, and no others");

	/* this id has letters */
	put_vkey(&buf, "letters", material, 33, lower);
	ok(vkey_parses(buf.data, buf.len) && strpbrk(buf.data + 8, "abcdef") != NULL &&
	   strpbrk(buf.data + 8, "abcdef") < buf.data + 16, "vkey: lower-case hex");
	put_vkey(&buf, "letters", material, 33, "%02X%02X%02X%02X");
	ok(!vkey_parses(buf.data, buf.len), "vkey: upper-case hex");
	put_vkey(&buf, "name", material, 33, "0x%02x%02x%02x%02x");
	ok(!vkey_parses(buf.data, buf.len), "vkey: hex with a prefix");
	put_vkey(&buf, "name", material, 33, "%02x%02x%02x");
	ok(!vkey_parses(buf.data, buf.len), "vkey: a short id");
	put_vkey(&buf, "", material, 33, lower);
	ok(!vkey_parses(buf.data, buf.len), "vkey: no name");
	put_vkey(&buf, "a b", material, 33, lower);
	ok(!vkey_parses(buf.data, buf.len), "vkey: a space in the name");
	put_vkey(&buf, "a\xc2\xa0" "b", material, 33, lower);
	ok(!vkey_parses(buf.data, buf.len), "vkey: a no-break space in the name");
	put_vkey(&buf, "a+b", material, 33, lower);
	ok(!vkey_parses(buf.data, buf.len), "vkey: a plus in the name");
	put_vkey(&buf, "a\xff", material, 33, lower);
	ok(!vkey_parses(buf.data, buf.len), "vkey: a name that is no UTF-8");
	ok(!vkey_parses(FOO_VKEY "\n", strlen(FOO_VKEY) + 1) &&
	   !vkey_parses(" " FOO_VKEY, strlen(FOO_VKEY) + 1) &&
	   !vkey_parses(FOO_VKEY "=", strlen(FOO_VKEY) + 1) &&
	   !vkey_parses(FOO_VKEY "+", strlen(FOO_VKEY) + 1),
	   "vkey: with something more");
	pfree(buf.data);
}

static void
test_malformed_notes(void)
{
	static const Text malformed[] = {
		TEXT("nothing", ""),
		TEXT("a newline", "\n"),
		TEXT("two newlines", "\n\n"),
		TEXT("only newlines", "\n\n\n\n"),
		TEXT("text without signatures", FOO_TEXT),
		TEXT("text with an empty line and no signature", FOO_TEXT "\n"),
		TEXT("a signature line only", FOO_LINE),
		TEXT("no text before the empty line", "\n" FOO_LINE),
		TEXT("no empty line", FOO_TEXT FOO_LINE),
		TEXT("text without its newline", "text" FOO_LINE),
		TEXT("last newline missing", FOO_TEXT "\n" DASH "example.com/foo " FOO_BASE64),
		TEXT("two newlines at the end", FOO_NOTE "\n"),
		TEXT("an empty line among signatures", FOO_TEXT "\n" FOO_LINE "\n" FOO_LINE "x\n"),
		TEXT("text after the signatures", FOO_NOTE "text\n"),
		TEXT("carriage returns", "text\r\n\r\n" FOO_LINE),
		TEXT("a carriage return in the signature", FOO_TEXT "\n" DASH "example.com/foo " FOO_BASE64 "\r\n"),
		TEXT("a tab in the text", "a\tb\n\n" FOO_LINE),
		TEXT("a zero byte in the text", "a\0b\n\n" FOO_LINE),
		TEXT("a zero byte behind the text", FOO_NOTE "\0"),
		TEXT("control character 1f", "a\x1f\n\n" FOO_LINE),
		TEXT("escape", "\x1b[31m\n\n" FOO_LINE),
		TEXT("invalid UTF-8 in the text", "a\xff\n\n" FOO_LINE),
		TEXT("overlong UTF-8", "\xc0\xaf\n\n" FOO_LINE),
		TEXT("a surrogate in UTF-8", "\xed\xa0\x80\n\n" FOO_LINE),
		TEXT("beyond Unicode", "\xf4\x90\x80\x80\n\n" FOO_LINE),
		TEXT("a cut character at the end of the text", "\xe2\x80\n\n" FOO_LINE),
		TEXT("invalid UTF-8 in a signature line", FOO_TEXT "\n" DASH "a\xff " FOO_BASE64 "\n"),
		TEXT("a hyphen", FOO_TEXT "\n- example.com/foo " FOO_BASE64 "\n"),
		TEXT("an en dash", FOO_TEXT "\n\xe2\x80\x93 example.com/foo " FOO_BASE64 "\n"),
		TEXT("no space after the dash", FOO_TEXT "\n\xe2\x80\x94" "example.com/foo " FOO_BASE64 "\n"),
		TEXT("two spaces after the dash", FOO_TEXT "\n" DASH " example.com/foo " FOO_BASE64 "\n"),
		TEXT("a space before the dash", FOO_TEXT "\n " FOO_LINE),
		TEXT("a dash only", FOO_TEXT "\n" DASH "\n"),
		TEXT("a dash and two spaces", FOO_TEXT "\n" DASH " \n"),
		TEXT("no name", FOO_TEXT "\n" DASH FOO_BASE64 "\n"),
		TEXT("no signature", FOO_TEXT "\n" DASH "example.com/foo\n"),
		TEXT("an empty signature", FOO_TEXT "\n" DASH "example.com/foo \n"),
		TEXT("two spaces before the signature", FOO_TEXT "\n" DASH "example.com/foo  " FOO_BASE64 "\n"),
		TEXT("a space after the signature", FOO_TEXT "\n" DASH "example.com/foo " FOO_BASE64 " \n"),
		TEXT("a plus in the name", FOO_TEXT "\n" DASH "example.com+foo " FOO_BASE64 "\n"),
		TEXT("a space in the name", FOO_TEXT "\n" DASH "example.com foo " FOO_BASE64 "\n"),
		TEXT("a no-break space in the name", FOO_TEXT "\n" DASH "example.com\xc2\xa0" "foo " FOO_BASE64 "\n"),
		TEXT("an ideographic space in the name", FOO_TEXT "\n" DASH "\xe3\x80\x80" " " FOO_BASE64 "\n"),
		TEXT("a line separator in the name", FOO_TEXT "\n" DASH "a\xe2\x80\xa8" "b " FOO_BASE64 "\n"),
		TEXT("a delete character in the name", FOO_TEXT "\n" DASH "a\x7f " FOO_BASE64 "\n"),
		TEXT("base64 without padding", FOO_TEXT "\n" DASH "a AAAAAAA\n"),
		TEXT("base64 with bits that mean nothing", FOO_TEXT "\n" DASH "a AAAAAAB=\n"),
		TEXT("base64 of the other alphabet", FOO_TEXT "\n" DASH "a AAAA-_==\n"),
		TEXT("base64 with padding in the middle", FOO_TEXT "\n" DASH "a AA==AAAA\n"),
		TEXT("a signature of no byte", FOO_TEXT "\n" DASH "a AAAAAA==\n"),
		TEXT("a key id of three bytes", FOO_TEXT "\n" DASH "a AAAA\n"),
		TEXT("one line wrong after one right", FOO_NOTE DASH "a\n"),
		TEXT("one line wrong before one right", FOO_TEXT "\n" DASH "a\n" FOO_LINE),
		TEXT("a byte order mark before a dash", FOO_TEXT "\n\xef\xbb\xbf" FOO_LINE)
	};
	static const Text sound[] = {
		TEXT("the shortest signature", FOO_TEXT "\n" DASH "a AAAAAAA=\n"),
		TEXT("an empty line as text", "\n\n" FOO_LINE),
		TEXT("text with empty lines", "\n\na\n\n\n" FOO_LINE),
		TEXT("text that looks like signatures", FOO_NOTE "\n" FOO_LINE),
		TEXT("a delete character in the text", "a\x7f\n\n" FOO_LINE),
		TEXT("all of Unicode", "\xc2\x80\xe2\x80\xa8\xef\xbf\xbf\xf4\x8f\xbf\xbf\n\n" FOO_LINE),
		TEXT("the same line twice", FOO_NOTE FOO_LINE)
	};
	int			i;

	for (i = 0; i < (int) lengthof(malformed); i++)
		ok(!note_parses(malformed[i].text, malformed[i].len),
		   "note refused: %s", malformed[i].name);
	for (i = 0; i < (int) lengthof(sound); i++)
		ok(note_parses(sound[i].text, sound[i].len),
		   "note taken: %s", sound[i].name);
}

/* Sizes that an outsider chooses */
static void
test_note_limits(void)
{
	StringInfoData buf;
	uint8	   *long_signature = palloc0(MEDSYNC_NOTE_SIGNATURE_MAX + 5);
	char		name[MEDSYNC_KEY_NAME_MAX + 2];
	int			len;
	int			i;

	initStringInfo(&buf);
	appendStringInfoString(&buf, FOO_TEXT "\n");
	for (i = 0; i < MEDSYNC_NOTE_SIGNATURES; i++)
		appendStringInfo(&buf, DASH "key%d AAAAAAA=\n", i);
	ok(note_parses(buf.data, buf.len), "note: %d signatures", i);
	appendStringInfoString(&buf, DASH "key AAAAAAA=\n");
	ok(!note_parses(buf.data, buf.len), "note: one more");

	for (len = MEDSYNC_NOTE_SIGNATURE_MAX + 4; len <= MEDSYNC_NOTE_SIGNATURE_MAX + 5; len++)
	{
		resetStringInfo(&buf);
		appendStringInfoString(&buf, FOO_NOTE DASH "long ");
		medsync_wire_put_base64(&buf, long_signature, len);
		appendStringInfoChar(&buf, '\n');
		ok(note_parses(buf.data, buf.len) == (len == MEDSYNC_NOTE_SIGNATURE_MAX + 4),
		   "note: a signature of %d bytes", len - 4);
		ok(verdict_of(buf.data, FOO_VKEY) ==
		   (len == MEDSYNC_NOTE_SIGNATURE_MAX + 4 ? MEDSYNC_NOTE_SIGNED : MEDSYNC_NOTE_NOT_SIGNED),
		   "note: and the short one beside it");
	}

	memset(name, 'n', sizeof(name));
	name[MEDSYNC_KEY_NAME_MAX + 1] = '\0';
	resetStringInfo(&buf);
	appendStringInfo(&buf, FOO_TEXT "\n" DASH "%s AAAAAAA=\n", name + 1);
	ok(note_parses(buf.data, buf.len), "note: the longest key name");
	resetStringInfo(&buf);
	appendStringInfo(&buf, FOO_TEXT "\n" DASH "%s AAAAAAA=\n", name);
	ok(!note_parses(buf.data, buf.len), "note: a longer one");

	for (len = MEDSYNC_NOTE_MAX; len <= MEDSYNC_NOTE_MAX + 1; len++)
	{
		resetStringInfo(&buf);
		appendStringInfoSpaces(&buf, len - 1 - (int) strlen("\n" FOO_LINE));
		appendStringInfoString(&buf, "\n\n" FOO_LINE);
		ok(note_parses(buf.data, buf.len) == (len == MEDSYNC_NOTE_MAX) &&
		   buf.len == len, "note: %d bytes", len);
	}
	pfree(buf.data);
	pfree(long_signature);
}

/* A key with another's name or id is another key. */
static void
test_other_keys(void)
{
	MedsyncVerifierKey key = log_key;
	StringInfoData note;

	make_checkpoint(&note, 0);
	ok(verdict(note.data, note.len, &log_key, NULL) == MEDSYNC_NOTE_SIGNED,
	   "note: signed");
	ok(verdict(note.data, note.len, &witness_key, NULL) == MEDSYNC_NOTE_NOT_SIGNED,
	   "note: not by a stranger");
	key.id[3] ^= 1;
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_NOT_SIGNED,
	   "note: the same name with another id");
	key = log_key;
	key.name[strlen(key.name) - 1] = '\0';
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_NOT_SIGNED,
	   "note: the same id with another name");
	key = log_key;
	key.public_key[0] ^= 1;
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_FORGED,
	   "note: the same name and id with another key");
	key = log_key;
	key.type = MEDSYNC_SIGNATURE_COSIGNATURE;
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_FORGED,
	   "note: a log's signature where a cosignature is expected");
	key.type = 2;
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_FORGED,
	   "note: a type that we do not know");
	pfree(note.data);
}

/* Cut or changed anywhere, nobody has signed it. */
static void
test_note_damage(void)
{
	StringInfoData note;
	size_t		i;
	int			accepted = 0;
	int			forged = 0;

	make_checkpoint(&note, 0);
	for (i = 0; i < (size_t) note.len; i++)
	{
		char	   *copy = exact_copy(note.data, i);

		accepted += verdict(copy, i, &log_key, NULL) == MEDSYNC_NOTE_SIGNED;
		free(copy);
	}
	ok(accepted == 0, "note: cut anywhere");
	for (i = 0; i < 8 * (size_t) note.len; i++)
	{
		MedsyncNoteVerdict said;

		note.data[i / 8] ^= 1 << (i % 8);
		said = verdict(note.data, note.len, &log_key, NULL);
		accepted += said == MEDSYNC_NOTE_SIGNED;
		forged += said == MEDSYNC_NOTE_FORGED;
		note.data[i / 8] ^= 1 << (i % 8);
	}
	ok(accepted == 0 && forged > 100, "note: any flipped bit (%d forged)", forged);
	pfree(note.data);
}

static void
test_repeated(void)
{
	StringInfoData note;
	MedsyncNote parsed;
	StringInfoData wrong;

	make_checkpoint(&note, 0);
	medsync_note_parse(note.data, note.len, &parsed);
	initStringInfo(&wrong);
	appendBinaryStringInfo(&wrong, note.data, note.len);
	appendBinaryStringInfo(&wrong, parsed.signatures[0].line,
						   (int) parsed.signatures[0].line_len + 1);
	ok(verdict(wrong.data, wrong.len, &log_key, NULL) == MEDSYNC_NOTE_SIGNED,
	   "note: the same right line twice");
	wrong.data[wrong.len - 20] ^= 1;	/* still base64: a letter for another */
	ok(verdict(wrong.data, wrong.len, &log_key, NULL) == MEDSYNC_NOTE_FORGED,
	   "note: a right line and a wrong one of one key");
	pfree(wrong.data);

	/* a signature of the right key that is too short or too long */
	initStringInfo(&wrong);
	appendBinaryStringInfo(&wrong, parsed.text, (int) parsed.text_len + 1);
	appendStringInfo(&wrong, DASH "%s ", log_key.name);
	medsync_wire_put_base64(&wrong, log_key.id, sizeof(log_key.id));
	ok(verdict(wrong.data, wrong.len, &log_key, NULL) == MEDSYNC_NOTE_NOT_SIGNED,
	   "note: a line that is cut");
	pfree(wrong.data);
	pfree(note.data);
}

/* A right signature without its last byte, or with one more */
static void
test_almost_right(const MedsyncVerifierKey *key)
{
	StringInfoData whole;
	StringInfoData text;
	MedsyncNote note;
	uint8		bytes[128] = {0};
	int			wrong = 0;
	int			more;

	make_checkpoint(&whole, 1679315147);
	initStringInfo(&text);
	medsync_note_parse(whole.data, whole.len, &note);
	for (more = -1; more <= 1; more++)
	{
		const MedsyncNoteSignature *signature =
			&note.signatures[key == &witness_key ? 1 : 0];
		ssize_t		size = medsync_wire_get_base64(signature->base64,
												   signature->base64_len,
												   bytes, sizeof(bytes));

		/* the right one just before, and its bytes may lie about somewhere */
		wrong += medsync_note_check(&note, key, NULL) != MEDSYNC_NOTE_SIGNED;
		resetStringInfo(&text);
		appendBinaryStringInfo(&text, note.text, (int) note.text_len + 1);
		appendStringInfo(&text, DASH "%s ", key->name);
		medsync_wire_put_base64(&text, bytes, size + more);
		appendStringInfoChar(&text, '\n');
		wrong += verdict(text.data, text.len, key, NULL) !=
			(more == 0 ? MEDSYNC_NOTE_SIGNED : MEDSYNC_NOTE_FORGED);
	}
	ok(wrong == 0, "note: a byte less or more of a right signature, type %d", key->type);
	pfree(whole.data);
	pfree(text.data);
}

/* Signatures of the right key and any other length */
static void
test_signature_length(void)
{
	uint8		bytes[128] = {0};
	StringInfoData note;
	int			len;
	int			wrong = 0;

	test_almost_right(&log_key);
	test_almost_right(&witness_key);

	initStringInfo(&note);
	for (len = 1; len <= 120; len++)
	{
		const MedsyncVerifierKey *key = len % 2 ? &log_key : &witness_key;

		resetStringInfo(&note);
		memcpy(bytes, key->id, sizeof(key->id));
		appendStringInfo(&note, "text\n\n" DASH "%s ", key->name);
		medsync_wire_put_base64(&note, bytes, 4 + len);
		appendStringInfoChar(&note, '\n');
		wrong += verdict(note.data, note.len, key, NULL) != MEDSYNC_NOTE_FORGED;
	}
	ok(wrong == 0, "note: a signature of any length is wrong if it is wrong");
	pfree(note.data);
}

static void
test_cosignatures(void)
{
	StringInfoData note;
	MedsyncVerifierKey key = witness_key;
	uint64		time = 7;

	make_checkpoint(&note, 1679315147);
	ok(verdict(note.data, note.len, &witness_key, &time) == MEDSYNC_NOTE_SIGNED &&
	   time == 1679315147, "cosignature: right, and its time");
	ok(verdict(note.data, note.len, &log_key, &time) == MEDSYNC_NOTE_SIGNED &&
	   time == 0, "cosignature: the log's own line has none");
	key.type = MEDSYNC_SIGNATURE_ED25519;
	ok(verdict(note.data, note.len, &key, NULL) == MEDSYNC_NOTE_FORGED,
	   "cosignature: it is no signature of the note");
	cosign(&note, note.data, strchr(note.data, '\xe2') - 1 - note.data, 1679315148);
	ok(verdict(note.data, note.len, &witness_key, &time) == MEDSYNC_NOTE_SIGNED &&
	   time == 1679315148, "cosignature: the newer of two");
	cosign(&note, note.data, strchr(note.data, '\xe2') - 1 - note.data, 1679315146);
	ok(verdict(note.data, note.len, &witness_key, &time) == MEDSYNC_NOTE_SIGNED &&
	   time == 1679315148, "cosignature: wherever it stands");
	note.data[0] = 'H';
	ok(verdict(note.data, note.len, &witness_key, NULL) == MEDSYNC_NOTE_FORGED,
	   "cosignature: of another text");
	pfree(note.data);

	make_checkpoint(&note, (uint64) PG_INT64_MAX);
	ok(verdict(note.data, note.len, &witness_key, &time) == MEDSYNC_NOTE_SIGNED &&
	   time == (uint64) PG_INT64_MAX, "cosignature: the last time there is");
	pfree(note.data);
	make_checkpoint(&note, (uint64) PG_INT64_MAX + 1);
	ok(verdict(note.data, note.len, &witness_key, &time) == MEDSYNC_NOTE_FORGED,
	   "cosignature: a later time");
	pfree(note.data);
}

static void
test_checkpoints(void)
{
	static const Text malformed[] = {
		TEXT("nothing", ""),
		TEXT("a newline", "\n"),
		TEXT("three newlines", "\n\n\n"),
		TEXT("one line", "origin\n"),
		TEXT("two lines", "origin\n1\n"),
		TEXT("no newline at the end", "origin\n1\n" "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="),
		TEXT("an empty origin", "\n1\n" SOFA_ROOT "\n"),
		TEXT("an empty size", "origin\n\n" SOFA_ROOT "\n"),
		TEXT("an empty root", "origin\n1\n\n"),
		TEXT("a leading zero", "origin\n01\n" SOFA_ROOT "\n"),
		TEXT("two zeros", "origin\n00\n" SOFA_ROOT "\n"),
		TEXT("a sign", "origin\n+1\n" SOFA_ROOT "\n"),
		TEXT("a negative size", "origin\n-1\n" SOFA_ROOT "\n"),
		TEXT("a hexadecimal size", "origin\n0x1\n" SOFA_ROOT "\n"),
		TEXT("a size with a fraction", "origin\n1.0\n" SOFA_ROOT "\n"),
		TEXT("a size with an exponent", "origin\n1e3\n" SOFA_ROOT "\n"),
		TEXT("a blank before the size", "origin\n 1\n" SOFA_ROOT "\n"),
		TEXT("a blank behind the size", "origin\n1 \n" SOFA_ROOT "\n"),
		TEXT("digits that are not ASCII", "origin\n\xd9\xa1\n" SOFA_ROOT "\n"),
		TEXT("a zero byte in the size", "origin\n1\0\n" SOFA_ROOT "\n"),
		TEXT("size 2^63", "origin\n9223372036854775808\n" SOFA_ROOT "\n"),
		TEXT("size 2^64", "origin\n18446744073709551616\n" SOFA_ROOT "\n"),
		TEXT("size 2^64 + 1", "origin\n18446744073709551617\n" SOFA_ROOT "\n"),
		TEXT("a size of thirty digits", "origin\n100000000000000000000000000000\n" SOFA_ROOT "\n"),
		TEXT("a root of 31 bytes", "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n"),
		TEXT("a root of 33 bytes", "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2IA\n"),
		TEXT("a root that is not canonical", "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n"),
		TEXT("a root without padding", "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n"),
		TEXT("a root of the other alphabet", "origin\n1\nCsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=\n"),
		TEXT("a root in hex", "origin\n1\n0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62\n"),
		TEXT("a blank behind the root", "origin\n1\n" SOFA_ROOT " \n"),
		TEXT("an empty extension line", "origin\n1\n" SOFA_ROOT "\n\n"),
		TEXT("an empty line among extensions", "origin\n1\n" SOFA_ROOT "\na\n\nb\n"),
		TEXT("an extension without newline", "origin\n1\n" SOFA_ROOT "\na"),
		TEXT("a carriage return", "origin\r\n1\n" SOFA_ROOT "\n"),
		TEXT("a control character in an extension", "origin\n1\n" SOFA_ROOT "\n\x01\n"),
		TEXT("an origin that is no UTF-8", "\xff\n1\n" SOFA_ROOT "\n")
	};
	static const Text sound[] = {
		TEXT("size 0", "origin\n0\n" SOFA_ROOT "\n"),
		TEXT("size 2^63 - 1", "origin\n9223372036854775807\n" SOFA_ROOT "\n"),
		TEXT("extensions", "origin\n1\n" SOFA_ROOT "\nany thing\n+\n"),
		TEXT("an origin with blanks", "go.sum database tree\n3\n" SOFA_ROOT "\n")
	};
	MedsyncCheckpoint checkpoint;
	char		origin[MEDSYNC_KEY_NAME_MAX + 2];
	StringInfoData buf;
	int			i;

	for (i = 0; i < (int) lengthof(malformed); i++)
		ok(!checkpoint_parses(malformed[i].text, malformed[i].len),
		   "checkpoint refused: %s", malformed[i].name);
	for (i = 0; i < (int) lengthof(sound); i++)
		ok(checkpoint_parses(sound[i].text, sound[i].len),
		   "checkpoint taken: %s", sound[i].name);
	ok(medsync_checkpoint_parse(sound[1].text, sound[1].len, &checkpoint) &&
	   checkpoint.size == (uint64) PG_INT64_MAX, "checkpoint: the largest size");

	initStringInfo(&buf);
	memset(origin, 'o', sizeof(origin));
	origin[sizeof(origin) - 1] = '\0';
	medsync_checkpoint_write(&buf, origin + 1, 5, checkpoint.root);
	ok(checkpoint_parses(buf.data, buf.len), "checkpoint: the longest origin");
	resetStringInfo(&buf);
	medsync_checkpoint_write(&buf, origin, 5, checkpoint.root);
	ok(!checkpoint_parses(buf.data, buf.len), "checkpoint: a longer one");
	pfree(buf.data);
}

void
test_notes(void)
{
	make_keys();
	test_published();
	test_structure();
	test_names();
	test_vkeys();
	test_malformed_notes();
	test_note_limits();
	test_other_keys();
	test_note_damage();
	test_repeated();
	test_signature_length();
	test_cosignatures();
	test_checkpoints();
}
