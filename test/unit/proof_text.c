/*-------------------------------------------------------------------------
 *
 * proof_text.c
 *		Unit tests of proofs as text (tlog-proof).
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "common/wire.h"
#include "proofs/note.h"

#define FIRST	"c2sp.org/tlog-proof@v1\n"
#define HASH	"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

/* C2SP tlog-checkpoint.md */
#define NOTE \
	"example.com/behind-the-sofa\n20852163\n" HASH "\n" \
	"\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"

#define LEAVES	11
#define INDEX	6

typedef struct Text
{
	const char *name;
	const char *text;
	size_t		len;
} Text;

#define TEXT(name, text) {name, text, sizeof(text) - 1}

typedef uint8 Hash[MEDSYNC_HASH_SIZE];

static const Text malformed[] = {
	TEXT("nothing", ""),
	TEXT("a newline", "\n"),
	TEXT("the first line only", FIRST),
	TEXT("no index", FIRST "\n" NOTE),
	TEXT("no first line", "index 0\n\n" NOTE),
	TEXT("another version", "c2sp.org/tlog-proof@v2\nindex 0\n\n" NOTE),
	TEXT("more on the first line", "c2sp.org/tlog-proof@v1 \nindex 0\n\n" NOTE),
	TEXT("a carriage return", "c2sp.org/tlog-proof@v1\r\nindex 0\n\n" NOTE),
	TEXT("an empty line first", "\n" FIRST "index 0\n\n" NOTE),
	TEXT("a line between", FIRST "\nindex 0\n\n" NOTE),
	TEXT("an unknown line", FIRST "other x\nindex 0\n\n" NOTE),
	TEXT("no note", FIRST "index 0\n"),
	TEXT("an empty note", FIRST "index 0\n\n"),
	TEXT("no empty line before the note", FIRST "index 0\n" NOTE),
	TEXT("a note that is none", FIRST "index 0\n\ntext\n"),
	TEXT("a note that is no checkpoint", FIRST "index 0\n\ntext\n\n\xe2\x80\x94 a AAAAAAA=\n"),
	TEXT("two empty lines before the note", FIRST "index 0\n\n\n" NOTE),
	TEXT("text after the note", FIRST "index 0\n\n" NOTE "x"),
	TEXT("a line after the note", FIRST "index 0\n\n" NOTE "\n"),
	TEXT("an index without number", FIRST "index\n\n" NOTE),
	TEXT("an index with a blank", FIRST "index \n\n" NOTE),
	TEXT("an index with two blanks", FIRST "index  0\n\n" NOTE),
	TEXT("an index with a leading zero", FIRST "index 00\n\n" NOTE),
	TEXT("an index with a sign", FIRST "index -1\n\n" NOTE),
	TEXT("an index in hex", FIRST "index 0x1\n\n" NOTE),
	TEXT("an index with a blank behind", FIRST "index 1 \n\n" NOTE),
	TEXT("index 2^63", FIRST "index 9223372036854775808\n\n" NOTE),
	TEXT("index 2^64", FIRST "index 18446744073709551616\n\n" NOTE),
	TEXT("index in capitals", FIRST "Index 1\n\n" NOTE),
	TEXT("two indexes", FIRST "index 1\nindex 1\n\n" NOTE),
	TEXT("an empty extra line", FIRST "extra \nindex 0\n\n" NOTE),
	TEXT("an extra line without blank", FIRST "extra\nindex 0\n\n" NOTE),
	TEXT("an extra line with two blanks", FIRST "extra  AAAA\nindex 0\n\n" NOTE),
	TEXT("an extra line that is no base64", FIRST "extra AAA\nindex 0\n\n" NOTE),
	TEXT("an extra line that is not canonical", FIRST "extra AB==\nindex 0\n\n" NOTE),
	TEXT("an extra line of the other alphabet", FIRST "extra AA-_\nindex 0\n\n" NOTE),
	TEXT("an extra line with a blank behind", FIRST "extra AAAA \nindex 0\n\n" NOTE),
	TEXT("two extra lines", FIRST "extra AAAA\nextra AAAA\nindex 0\n\n" NOTE),
	TEXT("an extra line behind the index", FIRST "index 0\nextra AAAA\n\n" NOTE),
	TEXT("an extra line and nothing else", FIRST "extra AAAA"),
	TEXT("a hash of 31 bytes", FIRST "index 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n\n" NOTE),
	TEXT("a hash of 33 bytes", FIRST "index 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2IA\n\n" NOTE),
	TEXT("a hash that is not canonical", FIRST "index 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n\n" NOTE),
	TEXT("a hash with a blank behind", FIRST "index 0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I= \n\n" NOTE),
	TEXT("an empty line among hashes", FIRST "index 0\n" HASH "\n" HASH "\n" NOTE),
	TEXT("a zero byte", FIRST "index 0\0\n\n" NOTE)
};

static bool
parses(const char *text, size_t len)
{
	char	   *copy = exact_copy(text, len);
	MedsyncProofText *proof = palloc(sizeof(MedsyncProofText));
	bool		result = medsync_proof_parse(copy, len, proof);

	pfree(proof);
	free(copy);
	return result;
}

/* A log of eleven leaves, its signed checkpoint and one proof */
typedef struct Example
{
	uint8		seed[MEDSYNC_ED25519_KEY_SIZE];
	MedsyncVerifierKey key;
	Hash		leaf;
	Hash		extra;
	StringInfoData text;
} Example;

static bool
fetch_leaves(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	memcpy(hashes, arg, width * sizeof(Hash));
	return level == 0 && tile == 0;
}

static void
make_example(Example *example)
{
	MedsyncTileReader reader;
	Hash		leaves[LEAVES];
	Hash		proof[MEDSYNC_PROOF_MAX];
	Hash		root;
	StringInfoData note;
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
	int			text_len;
	int			count;

	random_fill(example->seed, sizeof(example->seed));
	random_fill(example->extra, sizeof(example->extra));
	random_fill(leaves, sizeof(leaves));
	memcpy(example->leaf, leaves[INDEX], sizeof(Hash));
	medsync_ed25519_public_key(example->seed, public_key);
	medsync_vkey_make(&example->key, "hospital.example/ledger",
					  MEDSYNC_SIGNATURE_ED25519, public_key);
	medsync_tiles_open(&reader, LEAVES, fetch_leaves, leaves);
	medsync_tiles_root(&reader, LEAVES, root);
	count = medsync_tiles_inclusion(&reader, INDEX, LEAVES, proof);

	initStringInfo(&note);
	medsync_checkpoint_write(&note, example->key.name, LEAVES, root);
	text_len = note.len;
	appendStringInfoChar(&note, '\n');
	enlargeStringInfo(&note, 1000); /* the text is read while a line is added */
	medsync_note_sign(&note, note.data, text_len, &example->key, example->seed);
	initStringInfo(&example->text);
	medsync_proof_write(&example->text, example->extra, sizeof(example->extra),
						INDEX, (const Hash *) proof, count, note.data, note.len);
	pfree(note.data);
}

/* Whether a proof is right in every respect, extra data too. */
static bool
proves(const Example *example, const char *text, size_t len)
{
	MedsyncProofText proof;
	MedsyncNote note;
	MedsyncCheckpoint checkpoint;
	Hash		extra;

	return medsync_proof_parse(text, len, &proof) &&
		medsync_wire_get_base64(proof.extra, proof.extra_len, extra,
								sizeof(extra)) == sizeof(extra) &&
		memcmp(extra, example->extra, sizeof(extra)) == 0 &&
		medsync_note_parse(proof.note, proof.note_len, &note) &&
		medsync_note_check(&note, &example->key, NULL) == MEDSYNC_NOTE_SIGNED &&
		medsync_checkpoint_parse(note.text, note.text_len, &checkpoint) &&
		medsync_merkle_verify_inclusion(example->leaf, proof.index,
										checkpoint.size,
										(const Hash *) proof.hashes,
										proof.hash_count, checkpoint.root);
}

static void
test_damage(void)
{
	Example		example;
	char	   *text;
	int			accepted = 0;
	size_t		len;
	size_t		i;

	make_example(&example);
	text = example.text.data;
	len = example.text.len;
	ok(proves(&example, text, len), "proof: right");
	for (i = 0; i < len; i++)
		accepted += parses(text, i);
	ok(accepted == 0, "proof: cut anywhere");
	for (i = 0; i < 8 * len; i++)
	{
		text[i / 8] ^= 1 << (i % 8);
		if (proves(&example, text, len))
			accepted++;
		text[i / 8] ^= 1 << (i % 8);
	}
	ok(accepted == 0, "proof: any flipped bit");
	pfree(text);
}

/* What is written is read, with as many hashes as there may be. */
static void
test_round_trip(void)
{
	static MedsyncProofText proof;
	Hash		hashes[MEDSYNC_PROOF_MAX + 1];
	StringInfoData text;
	int			count;
	int			wrong = 0;

	random_fill(hashes, sizeof(hashes));
	initStringInfo(&text);
	for (count = 0; count <= MEDSYNC_PROOF_MAX; count++)
	{
		resetStringInfo(&text);
		medsync_proof_write(&text, hashes, count, PG_INT64_MAX,
							(const Hash *) hashes, count, NOTE, strlen(NOTE));
		if (!medsync_proof_parse(text.data, text.len, &proof) ||
			proof.index != (uint64) PG_INT64_MAX || proof.hash_count != count ||
			memcmp(proof.hashes, hashes, count * sizeof(Hash)) != 0 ||
			(proof.extra == NULL) != (count == 0) ||
			proof.extra_len != (size_t) (count + 2) / 3 * 4 ||
			proof.note_len != strlen(NOTE) ||
			memcmp(proof.note, NOTE, strlen(NOTE)) != 0)
			wrong++;
	}
	ok(wrong == 0, "proof: what is written is read");
	resetStringInfo(&text);
	medsync_proof_write(&text, NULL, 0, 5, (const Hash *) hashes,
						MEDSYNC_PROOF_MAX + 1, NOTE, strlen(NOTE));
	ok(!parses(text.data, text.len), "proof: a hash too many");
	pfree(text.data);
}

static void
test_size_limit(void)
{
	/* the extra line that makes a proof of the largest size */
	const size_t rest = strlen(FIRST "extra \nindex 0\n\n" NOTE);
	size_t		extra = (MEDSYNC_RECEIPT_MAX - rest) / 4 * 3;
	char	   *zeros = palloc0(extra + 3);
	StringInfoData text;

	initStringInfo(&text);
	medsync_proof_write(&text, zeros, extra, 0, NULL, 0, NOTE, strlen(NOTE));
	ok(text.len > MEDSYNC_RECEIPT_MAX - 4 && parses(text.data, text.len),
	   "proof: the largest");
	resetStringInfo(&text);
	medsync_proof_write(&text, zeros, extra + 3, 0, NULL, 0, NOTE, strlen(NOTE));
	ok(!parses(text.data, text.len), "proof: a larger one");
	pfree(text.data);
	pfree(zeros);
}

void
test_proof_text(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(malformed); i++)
		ok(!parses(malformed[i].text, malformed[i].len),
		   "proof refused: %s", malformed[i].name);
	ok(parses(FIRST "index 0\n\n" NOTE, strlen(FIRST "index 0\n\n" NOTE)),
	   "proof taken: the shortest");
	test_round_trip();
	test_damage();
	test_size_limit();
}
