/*-------------------------------------------------------------------------
 *
 * receipts.c
 *		Unit tests of receipts: what is right, and every way to damage one.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "receipt_maker.h"

#define MANIFEST \
	"{\"table\":2,\"version\":1,\"schema\":\"public\",\"name\":\"patient\",\"parent\":0," \
	"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":1," \
	"\"next_column\":4,\"key\":[1],\"columns\":[" \
	"{\"number\":1,\"name\":\"id\",\"type\":\"integer\",\"excluded\":false}," \
	"{\"number\":2,\"name\":\"name\",\"type\":\"pg_catalog.text\",\"excluded\":false}," \
	"{\"number\":3,\"name\":\"note\",\"type\":\"pg_catalog.text\",\"excluded\":false}]}"

/* id 7, name "Noé", no note */
static const uint8 row[] = "\x01i\0\0\0\0\0\0\0\x07\x02t\x04No\xc3\xa9";

/* An opening and the bytes that it points into */
typedef struct Example
{
	MedsyncOpening opening;
	StringInfoData entry;
	StringInfoData ddl;
	uint8		salt[MEDSYNC_HASH_SIZE];
	uint8		ddl_salt[MEDSYNC_HASH_SIZE];
	uint8		r[MEDSYNC_HASH_SIZE];
} Example;

static void
encode_entry(StringInfo buf, uint8 operation, uint32 fields, const char *role)
{
	MedsyncPackedHeader header = {0};
	MedsyncEntry entry = {0};

	random_fill(header.era_id, sizeof(header.era_id));
	header.session_role = role;
	header.session_role_len = strlen(role);
	entry.operation = operation;
	entry.table = 2;
	entry.manifest = 1;
	entry.fields = fields;
	entry.role = role;
	entry.role_len = strlen(role);
	random_fill(entry.key_id, sizeof(entry.key_id));
	random_fill(entry.row_key, sizeof(entry.row_key));
	initStringInfo(buf);
	medsync_entry_encode(buf, header.era_id, &header, &entry);
}

static void
make_example(Example *example, uint8 operation, const char *role)
{
	MedsyncOpening *opening = &example->opening;

	memset(example, 0, sizeof(*example));
	random_fill(example->salt, sizeof(example->salt));
	random_fill(example->ddl_salt, sizeof(example->ddl_salt));
	random_fill(example->r, sizeof(example->r));
	encode_entry(&example->entry, operation,
				 MEDSYNC_HAS_KEY_ID | MEDSYNC_HAS_ROW_KEY, role);
	encode_entry(&example->ddl, MEDSYNC_OP_DDL, MEDSYNC_HAS_KEY_ID, role);
	opening->entry = (uint8 *) example->entry.data;
	opening->entry_len = example->entry.len;
	opening->salt = example->salt;
	opening->has_row = true;
	opening->opening = example->r;
	opening->row = row;
	opening->row_len = sizeof(row) - 1;
	opening->has_manifest = true;
	opening->manifest.content = MANIFEST;
	opening->manifest.content_len = strlen(MANIFEST);
	opening->manifest.ddl_entry = (uint8 *) example->ddl.data;
	opening->manifest.ddl_entry_len = example->ddl.len;
	opening->manifest.ddl_salt = example->ddl_salt;
}

static void
free_example(Example *example)
{
	pfree(example->entry.data);
	pfree(example->ddl.data);
}

/* The verdict on a receipt that stands in memory of exactly its length. */
static const char *
verdict(const char *text, size_t len, const MedsyncVerifierKey *key,
		StringInfo detail)
{
	char	   *copy = exact_copy(text, len);
	MedsyncReceiptResult result;

	medsync_receipt_check(copy, len, key, key != NULL ? 1 : 0, &result);
	if (detail != NULL)
	{
		resetStringInfo(detail);
		appendStringInfoString(detail, result.detail.data);
	}
	pfree(result.detail.data);
	free(copy);
	return result.verdict;
}

static bool
is_valid(const char *text, size_t len, const MedsyncVerifierKey *key)
{
	return strcmp(verdict(text, len, key, NULL), MEDSYNC_RECEIPT_VALID) == 0;
}

static void
test_right(const StringInfo receipt, MedsyncVerifierKey key)
{
	StringInfoData detail;

	initStringInfo(&detail);
	ok(strcmp(verdict(receipt->data, receipt->len, &key, &detail),
			  MEDSYNC_RECEIPT_VALID) == 0, "receipt: valid");
	ok(strstr(detail.data, "\"row\": {\"id\": 7, \"name\": \"No\xc3\xa9\", \"note\": null}") != NULL &&
	   strstr(detail.data, "\"operation\": \"insert\"") != NULL &&
	   strstr(detail.data, "\"table\": \"patient\"") != NULL,
	   "receipt: says which row");
	ok(strcmp(verdict(receipt->data, receipt->len, NULL, NULL),
			  "bad_signature") == 0, "receipt: nobody is trusted");
	key.public_key[3] ^= 1;
	ok(strcmp(verdict(receipt->data, receipt->len, &key, NULL),
			  "bad_signature") == 0, "receipt: another key of that name and id");
	medsync_vkey_make(&key, "elsewhere.example/ledger", key.type, key.public_key);
	ok(strcmp(verdict(receipt->data, receipt->len, &key, NULL),
			  "bad_signature") == 0, "receipt: another log's key");
	pfree(detail.data);
}

static void
test_damage(const StringInfo receipt, const MedsyncVerifierKey *key)
{
	int			accepted = 0;
	int			i;

	for (i = 0; i < receipt->len; i++)
		accepted += is_valid(receipt->data, i, key);
	ok(accepted == 0, "receipt: cut anywhere");
	for (i = 0; i < 8 * receipt->len; i++)
	{
		receipt->data[i / 8] ^= 1 << (i % 8);
		accepted += is_valid(receipt->data, receipt->len, key);
		receipt->data[i / 8] ^= 1 << (i % 8);
	}
	ok(accepted == 0, "receipt: any flipped bit");
	ok(is_valid(receipt->data, receipt->len, key), "receipt: as it was");
}

/*
 * Another opening under the same signature: it opens the version that the
 * entry is about and no other.
 */
static void
test_other_opening(const StringInfo receipt, const MedsyncVerifierKey *key,
				   const Example *example)
{
	uint8		other_row[sizeof(row) - 1];
	MedsyncProofText proof;
	MedsyncOpening opening;
	StringInfoData extra;
	StringInfoData other;
	uint8	   *bytes;
	ssize_t		len;

	medsync_proof_parse(receipt->data, receipt->len, &proof);
	bytes = palloc(proof.extra_len);
	len = medsync_wire_get_base64(proof.extra, proof.extra_len, bytes, proof.extra_len);
	ok(len > 0 && medsync_opening_parse(bytes, len, &opening) &&
	   opening.row_len == sizeof(row) - 1 &&
	   memcmp(opening.opening, example->r, sizeof(example->r)) == 0,
	   "receipt: what it opens");
	memcpy(other_row, row, sizeof(other_row));
	other_row[9]++;
	opening.row = other_row;
	initStringInfo(&extra);
	initStringInfo(&other);
	medsync_opening_write(&extra, &opening);
	medsync_proof_write(&other, extra.data, extra.len, proof.index,
						(const uint8 (*)[MEDSYNC_HASH_SIZE]) proof.hashes,
						proof.hash_count, proof.note, proof.note_len);
	ok(strcmp(verdict(other.data, other.len, key, NULL), "altered") == 0,
	   "receipt: it opens no other version");
	pfree(extra.data);
	pfree(other.data);
	pfree(bytes);
}

/* A log may sign anything: what is odd is a verdict, and no crash. */
static void
test_hostile_log(const MedsyncVerifierKey *key)
{
	Example		example;
	StringInfoData receipt;
	StringInfoData detail;

	initStringInfo(&receipt);
	initStringInfo(&detail);
	make_example(&example, 200, "app");
	receipt_maker_make(&receipt, &example.opening);
	ok(strcmp(verdict(receipt.data, receipt.len, key, NULL), "malformed") == 0,
	   "receipt: an operation that there is not");
	free_example(&example);

	make_example(&example, MEDSYNC_OP_INSERT, "l\xe9on");
	resetStringInfo(&receipt);
	receipt_maker_make(&receipt, &example.opening);
	ok(strcmp(verdict(receipt.data, receipt.len, key, &detail), MEDSYNC_RECEIPT_VALID) == 0 &&
	   strstr(detail.data, "\"role\": null") != NULL,
	   "receipt: a role that is not UTF-8");
	free_example(&example);

	make_example(&example, MEDSYNC_OP_INSERT, "app");
	example.opening.row_len--;
	resetStringInfo(&receipt);
	receipt_maker_make(&receipt, &example.opening);
	ok(strcmp(verdict(receipt.data, receipt.len, key, NULL), "malformed") == 0,
	   "receipt: a row that is none");
	example.opening.row_len++;
	example.opening.manifest.content = "{}";
	example.opening.manifest.content_len = 2;
	resetStringInfo(&receipt);
	receipt_maker_make(&receipt, &example.opening);
	ok(strcmp(verdict(receipt.data, receipt.len, key, NULL), "malformed") == 0,
	   "receipt: a manifest that is none");
	free_example(&example);

	make_example(&example, MEDSYNC_OP_INSERT, "app");
	resetStringInfo(&receipt);
	receipt_maker_make_late(&receipt, &example.opening);
	ok(strcmp(verdict(receipt.data, receipt.len, key, NULL), "entry_altered") == 0,
	   "receipt: a manifest that was announced later");
	free_example(&example);
	pfree(receipt.data);
	pfree(detail.data);
}

void
test_receipts(void)
{
	MedsyncVerifierKey key;
	Example		example;
	StringInfoData receipt;

	receipt_maker_key(&key);
	make_example(&example, MEDSYNC_OP_INSERT, "app");
	initStringInfo(&receipt);
	receipt_maker_make(&receipt, &example.opening);
	test_right(&receipt, key);
	test_damage(&receipt, &key);
	test_other_opening(&receipt, &key, &example);
	test_hostile_log(&key);
	free_example(&example);
	pfree(receipt.data);
}
