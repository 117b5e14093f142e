/*-------------------------------------------------------------------------
 *
 * signed_receipts.c
 *		Unit tests of receipts of signed rows: what is right, and what a log
 *		that means harm could put in its place.
 *
 * The log that receipt_maker.c makes up signs whatever it is told, so that
 * every forgery here stands behind proofs that hold.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "ledger/signing.h"
#include "receipt_maker.h"

#define COLUMNS \
	"{\"number\":1,\"name\":\"id\",\"type\":\"integer\",\"excluded\":false}," \
	"{\"number\":2,\"name\":\"what\",\"type\":\"pg_catalog.text\",\"excluded\":false}," \
	"{\"number\":3,\"name\":\"signer\",\"type\":\"uuid\",\"excluded\":false}," \
	"{\"number\":4,\"name\":\"signature\",\"type\":\"bytea\",\"excluded\":false}]}"
#define SIGNED_MANIFEST \
	"{\"table\":2,\"version\":1,\"schema\":\"public\",\"name\":\"prescription\",\"parent\":0," \
	"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":0," \
	"\"next_column\":5,\"key\":[1],\"signer\":3,\"signature\":4,\"columns\":[" COLUMNS
#define UNSIGNED_MANIFEST \
	"{\"table\":2,\"version\":1,\"schema\":\"public\",\"name\":\"prescription\",\"parent\":0," \
	"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":0," \
	"\"next_column\":5,\"key\":[1],\"columns\":[" COLUMNS
#define PARTITION_MANIFEST \
	"{\"table\":2,\"version\":1,\"schema\":\"public\",\"name\":\"part\",\"parent\":7," \
	"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":0," \
	"\"next_column\":5,\"key\":[1],\"signer\":3,\"signature\":4,\"columns\":[" COLUMNS
#define MIDDLE_MANIFEST \
	"{\"table\":7,\"version\":1,\"schema\":\"public\",\"name\":\"middle\",\"parent\":6," \
	"\"tracked\":true,\"partitioned\":true,\"payload\":\"full\",\"subject\":0," \
	"\"next_column\":5,\"key\":[1],\"signer\":3,\"signature\":4,\"columns\":[" COLUMNS

/* The same columns in another order */
#define ROOT_MANIFEST \
	"{\"table\":6,\"version\":1,\"schema\":\"public\",\"name\":\"root\",\"parent\":0," \
	"\"tracked\":true,\"partitioned\":true,\"payload\":\"full\",\"subject\":0," \
	"\"next_column\":6,\"key\":[2],\"signer\":3,\"signature\":5,\"columns\":[" \
	"{\"number\":1,\"name\":\"what\",\"type\":\"pg_catalog.text\",\"excluded\":false}," \
	"{\"number\":2,\"name\":\"id\",\"type\":\"integer\",\"excluded\":false}," \
	"{\"number\":3,\"name\":\"signer\",\"type\":\"uuid\",\"excluded\":false}," \
	"{\"number\":5,\"name\":\"signature\",\"type\":\"bytea\",\"excluded\":false}]}"
#define KEY_MANIFEST_OF(schema) \
	"{\"table\":3,\"version\":1,\"schema\":\"" schema "\",\"name\":\"person_key\",\"parent\":0," \
	"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":2," \
	"\"next_column\":9,\"key\":[1],\"columns\":[" \
	"{\"number\":1,\"name\":\"id\",\"type\":\"uuid\",\"excluded\":false}," \
	"{\"number\":2,\"name\":\"person\",\"type\":\"uuid\",\"excluded\":false}," \
	"{\"number\":3,\"name\":\"algorithm\",\"type\":\"pg_catalog.text\",\"excluded\":false}," \
	"{\"number\":4,\"name\":\"public_key\",\"type\":\"bytea\",\"excluded\":false}," \
	"{\"number\":5,\"name\":\"valid_from\",\"type\":\"timestamp with time zone\",\"excluded\":false}," \
	"{\"number\":6,\"name\":\"valid_until\",\"type\":\"timestamp with time zone\",\"excluded\":false}," \
	"{\"number\":7,\"name\":\"revoked_at\",\"type\":\"timestamp with time zone\",\"excluded\":false}," \
	"{\"number\":8,\"name\":\"revocation_reason\",\"type\":\"pg_catalog.text\",\"excluded\":false}]}"
#define KEY_MANIFEST	KEY_MANIFEST_OF("medsync")

#define SECOND		INT64CONST(1000000)
#define NOW			(INT64CONST(800000000) * SECOND)

static const uint8 ed25519_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const uint8 seeds[2][MEDSYNC_ED25519_KEY_SIZE] = {"doctor", "somebody else"};

/* What makes an example, to be changed by each forgery */
typedef struct Setting
{
	const char *manifest;
	const char *key_manifest;
	int			parent_count;
	const char *parents[2];
	uint8		operation;
	const char *detail;
	bool		with_signer;
	bool		unsigned_row;
	int			signed_by;		/* which of the seeds */
	int			key_of;
	uint32		message_table;	/* the table that the signature is for */
	const char *algorithm;
	uint8		key_id;			/* last byte of the id in the row of the key */
	int64		valid_from;
	int64		valid_until;	/* 0: none */
	int64		revoked_at;
} Setting;

static const Setting honest = {
	.manifest = SIGNED_MANIFEST,
	.key_manifest = KEY_MANIFEST,
	.operation = MEDSYNC_OP_INSERT,
	.with_signer = true,
	.message_table = 2,
	.algorithm = "ed25519",
	.key_id = 1,
	.valid_from = NOW - 100 * SECOND
};

/* An opening and the bytes that it points into */
typedef struct Example
{
	MedsyncOpening opening;
	StringInfoData row;
	StringInfoData entry;
	StringInfoData ddl;
	StringInfoData key_row;
	StringInfoData key_entry;
	StringInfoData key;
	uint8		salt[MEDSYNC_HASH_SIZE];
	uint8		ledger_id[MEDSYNC_ID_SIZE];
} Example;

static void
put_column(StringInfo row, int number, char tag)
{
	medsync_wire_put_varint(row, number);
	appendStringInfoChar(row, tag);
}

static void
put_id(StringInfo row, int number, uint8 last)
{
	uint8		id[MEDSYNC_ID_SIZE] = {0xaa, 0xbb};

	id[MEDSYNC_ID_SIZE - 1] = last;
	put_column(row, number, 'u');
	medsync_wire_put_bytes(row, id, sizeof(id));
}

static void
put_counted(StringInfo row, int number, char tag, const void *data, int len)
{
	put_column(row, number, tag);
	medsync_wire_put_varint(row, len);
	medsync_wire_put_bytes(row, data, len);
}

static void
put_time(StringInfo row, int number, int64 time)
{
	if (time == 0)
		return;
	put_column(row, number, 'T');
	medsync_wire_put_u64(row, (uint64) time);
}

static void
encode_entry(StringInfo buf, uint8 operation, uint32 table, uint32 fields,
			 const char *detail)
{
	MedsyncPackedHeader header = {0};
	MedsyncEntry entry = {0};

	header.session_role = "app";
	header.session_role_len = 3;
	entry.operation = operation;
	entry.table = table;
	entry.manifest = 1;
	entry.statement_time = NOW;
	entry.fields = fields | MEDSYNC_HAS_KEY_ID;
	entry.role = "app";
	entry.role_len = 3;
	random_fill(entry.key_id, sizeof(entry.key_id));
	random_fill(entry.person, sizeof(entry.person));
	if (detail != NULL)
		entry.fields |= MEDSYNC_HAS_DETAIL;
	entry.detail = (const uint8 *) detail;
	entry.detail_len = detail ? (int) strlen(detail) : 0;
	initStringInfo(buf);
	medsync_entry_encode(buf, header.era_id, &header, &entry);
}

/* Of the table that the message is to be for: its own numbers, or the root's */
static void
sign_row(StringInfo row, const Setting *setting, const uint8 *ledger_id)
{
	bool		of_root = setting->parent_count > 0;
	StringInfoData message;
	uint8		signature[64];

	initStringInfo(row);
	put_column(row, 1, 'i');
	medsync_wire_put_u64(row, 7);
	put_counted(row, 2, 't', "No\xc3\xa9", 4);
	put_id(row, 3, 1);
	initStringInfo(&message);
	appendStringInfoString(&message, "medsync row signature v1\n");
	medsync_wire_put_bytes(&message, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(&message, setting->message_table);
	medsync_wire_put_bytes(&message, row->data + row->len - MEDSYNC_ID_SIZE,
						   MEDSYNC_ID_SIZE);
	if (of_root)
	{
		put_counted(&message, 1, 't', "No\xc3\xa9", 4);
		put_column(&message, 2, 'i');
		medsync_wire_put_u64(&message, 7);
		put_id(&message, 3, 1);
	}
	else
		medsync_wire_put_bytes(&message, row->data, row->len);
	medsync_ed25519_sign(seeds[setting->signed_by], message.data, message.len,
						 signature);
	if (!setting->unsigned_row)
		put_counted(row, 4, 'y', signature, sizeof(signature));
	pfree(message.data);
}

static void
make_key_row(StringInfo row, const Setting *setting)
{
	uint8		der[sizeof(ed25519_prefix) + MEDSYNC_ED25519_KEY_SIZE];

	memcpy(der, ed25519_prefix, sizeof(ed25519_prefix));
	medsync_ed25519_public_key(seeds[setting->key_of],
							   der + sizeof(ed25519_prefix));
	initStringInfo(row);
	put_id(row, 1, setting->key_id);
	put_id(row, 2, 99);
	put_counted(row, 3, 't', setting->algorithm, strlen(setting->algorithm));
	put_counted(row, 4, 'y', der, sizeof(der));
	put_time(row, 5, setting->valid_from);
	put_time(row, 6, setting->valid_until);
	put_time(row, 7, setting->revoked_at);
}

static void
set_manifest(MedsyncManifestOpening *opening, const char *content,
			 const Example *example)
{
	opening->content = content;
	opening->content_len = strlen(content);
	opening->ddl_entry = (uint8 *) example->ddl.data;
	opening->ddl_entry_len = example->ddl.len;
	opening->ddl_salt = example->salt;
}

static void
make_key(Example *example, const Setting *setting)
{
	MedsyncOpening key = {0};

	make_key_row(&example->key_row, setting);
	encode_entry(&example->key_entry, MEDSYNC_OP_INSERT, 3, 0, NULL);
	key.entry = (uint8 *) example->key_entry.data;
	key.entry_len = example->key_entry.len;
	key.salt = example->salt;
	key.has_row = key.has_manifest = true;
	key.opening = example->salt;
	key.row = (uint8 *) example->key_row.data;
	key.row_len = example->key_row.len;
	set_manifest(&key.manifest, setting->key_manifest, example);
	initStringInfo(&example->key);
	medsync_opening_write(&example->key, &key);
}

static void
make_example(Example *example, const Setting *setting)
{
	MedsyncOpening *opening = &example->opening;
	MedsyncSignerOpening *signer = &opening->signer;
	int			i;

	memset(example, 0, sizeof(*example));
	random_fill(example->salt, sizeof(example->salt));
	random_fill(example->ledger_id, sizeof(example->ledger_id));
	sign_row(&example->row, setting, example->ledger_id);
	encode_entry(&example->entry, setting->operation, 2,
				 MEDSYNC_HAS_PERSON |
				 (setting->with_signer ? 0 : MEDSYNC_HAS_SIGNATURE),
				 setting->detail);
	encode_entry(&example->ddl, MEDSYNC_OP_DDL, 2, 0, NULL);
	make_key(example, setting);
	opening->entry = (uint8 *) example->entry.data;
	opening->entry_len = example->entry.len;
	opening->salt = example->salt;
	opening->has_row = opening->has_manifest = true;
	opening->opening = example->salt;
	opening->row = (uint8 *) example->row.data;
	opening->row_len = example->row.len;
	set_manifest(&opening->manifest, setting->manifest, example);
	opening->has_signer = setting->with_signer;
	signer->ledger_id = example->ledger_id;
	signer->opening = (uint8 *) example->key.data;
	signer->opening_len = example->key.len;
	signer->parent_count = setting->parent_count;
	for (i = 0; i < setting->parent_count; i++)
		set_manifest(&signer->parents[i], setting->parents[i], example);
}

static void
free_example(Example *example)
{
	pfree(example->row.data);
	pfree(example->entry.data);
	pfree(example->ddl.data);
	pfree(example->key_row.data);
	pfree(example->key_entry.data);
	pfree(example->key.data);
}

static const char *
verdict_of(const char *text, size_t len, StringInfo detail)
{
	char	   *copy = exact_copy(text, len);
	MedsyncVerifierKey key;
	MedsyncReceiptResult result;

	receipt_maker_key(&key);
	medsync_receipt_check(copy, len, &key, 1, &result);
	resetStringInfo(detail);
	appendStringInfoString(detail, result.detail.data);
	pfree(result.detail.data);
	free(copy);
	return result.verdict;
}

/* A receipt made of this setting has this verdict, and its text holds "text". */
static void
gives(const char *name, const Setting *setting, const char *verdict,
	  const char *text)
{
	Example		example;
	StringInfoData receipt;
	StringInfoData detail;
	const char *found;

	initStringInfo(&receipt);
	initStringInfo(&detail);
	make_example(&example, setting);
	found = receipt_maker_make(&receipt, &example.opening) ?
		verdict_of(receipt.data, receipt.len, &detail) : "none";
	ok(strcmp(found, verdict) == 0 && strstr(detail.data, text) != NULL,
	   "signed receipt: %s", name);
	if (strcmp(found, verdict) != 0 || strstr(detail.data, text) == NULL)
		note("%s: %s", found, detail.data);
	free_example(&example);
	pfree(receipt.data);
	pfree(detail.data);
}

static void
test_right(void)
{
	Setting		setting = honest;

	gives("right", &setting, MEDSYNC_RECEIPT_VALID,
		  "\"signer\": \"aabb0000-0000-0000-0000-000000000001\", "
		  "\"author\": \"aabb0000-0000-0000-0000-000000000063\", \"algorithm\": \"ed25519\", \"entered_by\": \"");
	setting.detail = "{\"kind\":\"practitioner\"}";
	gives("what held", &setting, MEDSYNC_RECEIPT_VALID,
		  "\"held\": {\"kind\":\"practitioner\"}");
	setting.detail = "{\"kind\":";
	gives("a detail that is not JSON", &setting, MEDSYNC_RECEIPT_VALID,
		  "\"algorithm\": \"ed25519\", \"entered_by\"");
	setting = honest;
	setting.valid_until = NOW + 1;
	gives("a key that ends later", &setting, MEDSYNC_RECEIPT_VALID, "");
	setting.revoked_at = NOW - 59 * SECOND;
	gives("a key that was being revoked", &setting, MEDSYNC_RECEIPT_VALID, "");
	setting = honest;
	setting.operation = MEDSYNC_OP_BASELINE;
	setting.valid_from = NOW + SECOND;
	gives("a row that was there before", &setting, MEDSYNC_RECEIPT_VALID, "");
	setting = honest;
	setting.manifest = UNSIGNED_MANIFEST;
	setting.with_signer = false;
	gives("a table that demands nothing", &setting, MEDSYNC_RECEIPT_VALID,
		  "\"row\"");
	setting = honest;
	setting.manifest = PARTITION_MANIFEST;
	setting.parent_count = 2;
	setting.parents[0] = MIDDLE_MANIFEST;
	setting.parents[1] = ROOT_MANIFEST;
	setting.message_table = 6;
	gives("of a partition of a partition", &setting, MEDSYNC_RECEIPT_VALID,
		  "\"table\": \"part\"");
}

static void
test_forged(void)
{
	Setting		setting = honest;

	setting.signed_by = 1;
	gives("signed by another key", &setting, "bad_signature", "wrong");
	setting.key_of = 1;
	setting.key_id = 2;
	gives("with that key, which is not the row's signer", &setting,
		  "bad_signature", "not the one that the row names");
	setting = honest;
	setting.message_table = 9;
	gives("signed for another table", &setting, "bad_signature", "wrong");
	setting = honest;
	setting.unsigned_row = true;
	gives("not signed", &setting, "bad_signature", "no signature");
	setting = honest;
	setting.with_signer = false;
	gives("without its signer", &setting, "bad_signature", "does not show");
	setting = honest;
	setting.manifest = UNSIGNED_MANIFEST;
	gives("a signer that nobody demands", &setting, "malformed", "demands none");
	setting = honest;
	setting.algorithm = "p-256";
	gives("a key of another algorithm", &setting, "bad_signature", "wrong");
	setting.algorithm = "rot13";
	gives("a key of no algorithm", &setting, "bad_signature", "no row");
	setting = honest;
	setting.key_manifest = KEY_MANIFEST_OF("public");
	gives("a key from another table", &setting, "bad_signature", "no row");
	setting = honest;
	setting.valid_until = NOW;
	gives("an expired key", &setting, "bad_signature", "not valid");
	setting = honest;
	setting.valid_from = NOW + 1;
	gives("a key that was not valid yet", &setting, "bad_signature", "not valid");
	setting = honest;
	setting.revoked_at = NOW - 60 * SECOND;
	gives("a revoked key", &setting, "bad_signature", "not valid");
}

static void
test_partitions(void)
{
	Setting		setting = honest;

	setting.manifest = PARTITION_MANIFEST;
	setting.message_table = 6;
	gives("a partition without its root", &setting, "malformed", "not all there");
	setting.parent_count = 1;
	setting.parents[0] = MIDDLE_MANIFEST;
	gives("with a part of it", &setting, "malformed", "not all there");
	setting.parents[0] = ROOT_MANIFEST;
	gives("with a root that is not its parent", &setting, "malformed", "The manifest");
	setting.manifest = SIGNED_MANIFEST;
	gives("a table that is no partition", &setting, "malformed", "not all there");
}

/* Every other byte is another receipt, and none of them is right. */
static void
test_damage(void)
{
	Example		example;
	StringInfoData receipt;
	StringInfoData detail;
	int			accepted = 0;
	int			i;

	initStringInfo(&receipt);
	initStringInfo(&detail);
	make_example(&example, &honest);
	receipt_maker_make(&receipt, &example.opening);
	for (i = 0; i < receipt.len; i++)
		accepted += strcmp(verdict_of(receipt.data, i, &detail),
						   MEDSYNC_RECEIPT_VALID) == 0;
	ok(accepted == 0, "signed receipt: cut anywhere");
	for (i = 0; i < 8 * receipt.len; i++)
	{
		receipt.data[i / 8] ^= 1 << (i % 8);
		accepted += strcmp(verdict_of(receipt.data, receipt.len, &detail),
						   MEDSYNC_RECEIPT_VALID) == 0;
		receipt.data[i / 8] ^= 1 << (i % 8);
	}
	ok(accepted == 0, "signed receipt: any flipped bit");
	free_example(&example);
	pfree(receipt.data);
	pfree(detail.data);
}

/* Openings in openings in openings are no way to use up the stack. */
static void
test_nested(void)
{
	Example		example;
	MedsyncOpening opening;
	StringInfoData bytes;
	uint8	   *copy;

	make_example(&example, &honest);
	initStringInfo(&bytes);
	medsync_opening_write(&bytes, &example.opening);
	ok(medsync_opening_parse((uint8 *) bytes.data, bytes.len, &opening) &&
	   opening.has_signer, "signed receipt: opening data");
	copy = (uint8 *) exact_copy(bytes.data, bytes.len);
	example.opening.signer.opening = copy;
	example.opening.signer.opening_len = bytes.len;
	resetStringInfo(&bytes);
	medsync_opening_write(&bytes, &example.opening);
	ok(!medsync_opening_parse((uint8 *) bytes.data, bytes.len, &opening),
	   "signed receipt: a key that is signed itself");
	free(copy);
	pfree(bytes.data);
	free_example(&example);
}

void
test_signed_receipts(void)
{
	test_right();
	test_forged();
	test_partitions();
	test_damage();
	test_nested();
}
