/*-------------------------------------------------------------------------
 *
 * opening.c
 *		Receipts: what they hold and whether they are right.
 *
 * A receipt is a C2SP tlog-proof; docs/formats.md gives the bytes of its
 * extra line.  It proves, to whoever holds the log's verifier key and nothing
 * else, that an entry is in the log, and it opens one version of one row:
 * the commitment of another version needs another r, and r is a MAC under a
 * key that stays here.  Column names come from the manifest, which the
 * receipt proves to be in the same tree.
 *
 * Pure computation, frontend-safe: server and offline verifier share it.
 * Takes any bytes, within limits; everything odd is a verdict.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/json_text.h"
#include "ledger/canonical.h"
#include "ledger/canonical_json.h"
#include "ledger/commitment.h"
#include "ledger/manifest_text.h"
#include "mb/pg_wchar.h"
#include "proofs/opening.h"

#define OPENING_VERSION		1
#define OPENING_HAS_ROW		1
#define OPENING_HAS_MANIFEST 2

/* One check of a receipt */
typedef struct Check
{
	MedsyncReceiptResult *result;
	MedsyncProofText proof;
	MedsyncNote note;
	MedsyncCheckpoint checkpoint;
	MedsyncOpening opening;
	MedsyncPackedHeader header; /* of the entry */
	MedsyncEntry entry;
	MedsyncManifest *manifest;	/* NULL: the receipt has none */
	StringInfoData witnesses;	/* names of those that cosigned, as JSON */
	StringInfoData row;			/* the row as JSON */
} Check;

/* Append what a receipt opens. */
void
medsync_opening_write(StringInfo buf, const MedsyncOpening *opening)
{
	uint8		version = OPENING_VERSION;
	uint8		flags = (opening->has_row ? OPENING_HAS_ROW : 0) |
	(opening->has_manifest ? OPENING_HAS_MANIFEST : 0);
	uint8		count = (uint8) opening->ddl_hash_count;

	medsync_wire_put_bytes(buf, &version, 1);
	medsync_wire_put_varint(buf, opening->entry_len);
	medsync_wire_put_bytes(buf, opening->entry, (int) opening->entry_len);
	medsync_wire_put_bytes(buf, opening->salt, MEDSYNC_HASH_SIZE);
	medsync_wire_put_bytes(buf, &flags, 1);
	if (opening->has_row)
	{
		medsync_wire_put_bytes(buf, opening->opening, MEDSYNC_HASH_SIZE);
		medsync_wire_put_varint(buf, opening->row_len);
		medsync_wire_put_bytes(buf, opening->row, (int) opening->row_len);
	}
	if (opening->has_manifest)
	{
		medsync_wire_put_varint(buf, opening->manifest_len);
		medsync_wire_put_bytes(buf, opening->manifest,
							   (int) opening->manifest_len);
		medsync_wire_put_u64(buf, opening->ddl_index);
		medsync_wire_put_varint(buf, opening->ddl_entry_len);
		medsync_wire_put_bytes(buf, opening->ddl_entry,
							   (int) opening->ddl_entry_len);
		medsync_wire_put_bytes(buf, opening->ddl_salt, MEDSYNC_HASH_SIZE);
		medsync_wire_put_bytes(buf, &count, 1);
		medsync_wire_put_bytes(buf, opening->ddl_hashes,
							   count * MEDSYNC_HASH_SIZE);
	}
}

static const uint8 *
get_counted(MedsyncReader *reader, size_t *len)
{
	uint64		count = medsync_wire_get_varint(reader);

	if (count > MEDSYNC_WIRE_LEFT(reader))
		reader->failed = true;
	*len = reader->failed ? 0 : (size_t) count;
	return medsync_wire_get_bytes(reader, *len);
}

/* Read what a receipt opens; false for anything that is not as it is written. */
bool
medsync_opening_parse(const uint8 *data, size_t len, MedsyncOpening *opening)
{
	MedsyncReader reader;
	uint8		version;
	uint8		flags;

	memset(opening, 0, sizeof(MedsyncOpening));
	medsync_wire_open(&reader, data, len);
	version = medsync_wire_get_u8(&reader);
	opening->entry = get_counted(&reader, &opening->entry_len);
	opening->salt = medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE);
	flags = medsync_wire_get_u8(&reader);
	opening->has_row = (flags & OPENING_HAS_ROW) != 0;
	opening->has_manifest = (flags & OPENING_HAS_MANIFEST) != 0;
	if (opening->has_row)
	{
		opening->opening = medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE);
		opening->row = get_counted(&reader, &opening->row_len);
	}
	if (opening->has_manifest)
	{
		opening->manifest = (const char *) get_counted(&reader,
													   &opening->manifest_len);
		opening->ddl_index = medsync_wire_get_u64(&reader);
		opening->ddl_entry = get_counted(&reader, &opening->ddl_entry_len);
		opening->ddl_salt = medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE);
		opening->ddl_hash_count = medsync_wire_get_u8(&reader);
		opening->ddl_hashes =
			medsync_wire_get_bytes(&reader,
								   opening->ddl_hash_count * MEDSYNC_HASH_SIZE);
	}
	return !reader.failed && MEDSYNC_WIRE_LEFT(&reader) == 0 &&
		version == OPENING_VERSION &&
		(flags & ~(OPENING_HAS_ROW | OPENING_HAS_MANIFEST)) == 0 &&
		opening->ddl_hash_count <= MEDSYNC_PROOF_MAX &&
		opening->row_len <= MEDSYNC_RECEIPT_ROW_MAX &&
		(opening->has_manifest || !opening->has_row);
}

/* Say what is wrong; for use as a condition's result. */
static bool
refuse(Check *check, const char *verdict, const char *detail)
{
	check->result->verdict = verdict;
	resetStringInfo(&check->result->detail);
	appendStringInfoString(&check->result->detail, detail);
	return false;
}

/* Who signed the checkpoint: the log itself, and which of the witnesses. */
static bool
check_signatures(Check *check, const MedsyncVerifierKey *keys, int key_count)
{
	bool		signed_by_log = false;
	int			i;

	if (!medsync_note_parse(check->proof.note, check->proof.note_len,
							&check->note) ||
		!medsync_checkpoint_parse(check->note.text, check->note.text_len,
								  &check->checkpoint))
		return refuse(check, "malformed", "The receipt's checkpoint is malformed.");
	for (i = 0; i < key_count; i++)
	{
		const MedsyncVerifierKey *key = &keys[i];

		switch (medsync_note_check(&check->note, key, NULL))
		{
			case MEDSYNC_NOTE_FORGED:
				return refuse(check, "bad_signature",
							  "A signature on the checkpoint is not by the key it names.");
			case MEDSYNC_NOTE_NOT_SIGNED:
				break;
			case MEDSYNC_NOTE_SIGNED:
				if (key->type == MEDSYNC_SIGNATURE_COSIGNATURE)
				{
					if (check->witnesses.len > 0)
						appendStringInfoChar(&check->witnesses, ',');
					medsync_json_put_string(&check->witnesses, key->name,
										strlen(key->name));
				}
				else if (strlen(key->name) == check->checkpoint.origin_len &&
						 memcmp(key->name, check->checkpoint.origin,
								check->checkpoint.origin_len) == 0)
					signed_by_log = true;
				break;
		}
	}
	return signed_by_log ||
		refuse(check, "bad_signature",
			   "The checkpoint is not signed by the given key under its own name.");
}

/* Is an entry, with its salt, in the tree that was signed? */
static bool
is_included(const Check *check, const uint8 *salt, const uint8 *entry,
			size_t entry_len, uint64 index,
			const uint8 (*hashes)[MEDSYNC_HASH_SIZE], int hash_count)
{
	MedsyncSha256 sha;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
	uint8		hash[MEDSYNC_HASH_SIZE];

	leaf[0] = MEDSYNC_LEAF_VERSION;
	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, salt, MEDSYNC_HASH_SIZE);
	medsync_sha256_update(&sha, entry, entry_len);
	medsync_sha256_finish(&sha, leaf + 1);
	medsync_merkle_leaf_hash(leaf, sizeof(leaf), hash);
	return medsync_merkle_verify_inclusion(hash, index,
										   check->checkpoint.size, hashes,
										   hash_count, check->checkpoint.root);
}

static bool
check_entry(Check *check)
{
	const MedsyncOpening *opening = &check->opening;

	if (!is_included(check, opening->salt, opening->entry, opening->entry_len,
					 check->proof.index,
					 (const uint8 (*)[MEDSYNC_HASH_SIZE]) check->proof.hashes,
					 check->proof.hash_count))
		return refuse(check, "entry_altered",
					  "The entry is not in the log that was signed.");
	if (!medsync_entry_decode(opening->entry, opening->entry_len,
							  &check->header, &check->entry) ||
		medsync_operation_name(check->entry.operation) == NULL)
		return refuse(check, "malformed", "The entry is malformed.");
	return true;
}

/* The manifest must be the one that a ddl entry of the same log announced. */
static bool
check_manifest(Check *check)
{
	const MedsyncOpening *opening = &check->opening;
	MedsyncPackedHeader header;
	MedsyncEntry ddl;
	uint8		digest[MEDSYNC_HASH_SIZE];

	if (!opening->has_manifest)
		return true;			/* then it is of the entry alone */
	/* what is announced later says nothing of this entry */
	if (opening->ddl_index > check->proof.index)
		return refuse(check, "entry_altered",
					  "The table's manifest was announced after the entry.");
	if (!is_included(check, opening->ddl_salt, opening->ddl_entry,
					 opening->ddl_entry_len, opening->ddl_index,
					 (const uint8 (*)[MEDSYNC_HASH_SIZE]) opening->ddl_hashes,
					 opening->ddl_hash_count))
		return refuse(check, "entry_altered",
					  "The entry that announces the table's manifest is not in the log that was signed.");
	medsync_sha256(opening->manifest, opening->manifest_len, digest);
	if (!medsync_entry_decode(opening->ddl_entry, opening->ddl_entry_len,
							  &header, &ddl) ||
		ddl.operation != MEDSYNC_OP_DDL ||
		ddl.table != check->entry.table ||
		ddl.manifest != check->entry.manifest ||
		(ddl.fields & MEDSYNC_HAS_OBJECT) == 0 ||
		memcmp(ddl.object, digest, MEDSYNC_HASH_SIZE) != 0)
		return refuse(check, "entry_altered",
					  "The manifest is not the one of the entry's table.");
	check->manifest = medsync_manifest_read(opening->manifest,
											opening->manifest_len);
	return check->manifest != NULL ||
		refuse(check, "malformed", "The manifest is malformed.");
}

/* The row must open the entry's new commitment, and that alone. */
static bool
check_row(Check *check)
{
	const MedsyncOpening *opening = &check->opening;
	uint8		commitment[MEDSYNC_HASH_SIZE];

	if (!opening->has_row)
		return true;
	medsync_commitment_of_row(check->entry.table, opening->row,
							  opening->row_len, opening->opening, commitment);
	if ((check->entry.fields & MEDSYNC_HAS_NEW) == 0 ||
		memcmp(commitment, check->entry.new_commitment,
			   MEDSYNC_HASH_SIZE) != 0)
		return refuse(check, "altered",
					  "The row is not the one that the entry commits to.");
	return medsync_canonical_row_json(&check->row, opening->row,
									  opening->row_len, check->manifest) ||
		refuse(check, "malformed", "The row is malformed.");
}

static bool
check_all(Check *check, const char *text, size_t len,
		  const MedsyncVerifierKey *keys, int key_count)
{
	uint8	   *extra;
	ssize_t		extra_len;

	if (!medsync_proof_parse(text, len, &check->proof))
		return refuse(check, "malformed", "The receipt is not a tlog-proof.");
	if (!check_signatures(check, keys, key_count))
		return false;
	if (check->proof.index >= check->checkpoint.size)
		return refuse(check, "malformed",
					  "The entry's index is past the end of the log.");
	if (check->proof.extra == NULL)
		return refuse(check, "malformed", "The receipt opens nothing.");
	extra = palloc(check->proof.extra_len + 1);
	extra_len = medsync_wire_get_base64(check->proof.extra,
										check->proof.extra_len, extra,
										check->proof.extra_len);
	if (extra_len < 0 ||
		!medsync_opening_parse(extra, extra_len, &check->opening))
		return refuse(check, "malformed", "The receipt's opening data is malformed.");
	return check_entry(check) && check_manifest(check) && check_row(check);
}

/* A time as it stands in the ledger's rows. */
static void
put_time(StringInfo out, int64 time)
{
	uint8		value[9];
	MedsyncReader reader;

	value[0] = MEDSYNC_TAG_TIMESTAMPTZ;
	medsync_wire_store_u64(value + 1, (uint64) time);
	medsync_wire_open(&reader, value, sizeof(value));
	if (!medsync_canonical_json(out, &reader))
		appendStringInfoString(out, "null");
}

/* A role's name; another database of the cluster can have made it no UTF-8. */
static void
put_role(StringInfo out, const char *role, int len)
{
	if (pg_encoding_verifymbstr(PG_UTF8, role, len) == len)
		medsync_json_put_string(out, role, len);
	else
		appendStringInfoString(out, "null");
}

/* Which table, unless nothing says so. */
static void
put_relation(StringInfo out, const MedsyncManifest *manifest)
{
	if (manifest == NULL)
		return;
	appendStringInfoString(out, ", \"schema\": ");
	medsync_json_put_string(out, manifest->schema_name,
							strlen(manifest->schema_name));
	appendStringInfoString(out, ", \"table\": ");
	medsync_json_put_string(out, manifest->table_name,
							strlen(manifest->table_name));
}

/* What a valid receipt says, for people and programs. */
static void
describe(Check *check)
{
	StringInfo	out = &check->result->detail;
	const MedsyncEntry *entry = &check->entry;
	const char *operation = medsync_operation_name(entry->operation);

	appendStringInfoString(out, "{\"origin\": ");
	medsync_json_put_string(out, check->checkpoint.origin,
							check->checkpoint.origin_len);
	appendStringInfo(out, ", \"size\": " UINT64_FORMAT ", \"entry_index\": " UINT64_FORMAT ", \"operation\": ",
					 check->checkpoint.size, check->proof.index);
	medsync_json_put_string(out, operation, strlen(operation));
	appendStringInfoString(out, ", \"at\": ");
	put_time(out, check->header.flush_time);
	appendStringInfoString(out, ", \"role\": ");
	put_role(out, entry->role, entry->role_len);
	put_relation(out, check->manifest);
	if (check->opening.has_row)
		appendStringInfo(out, ", \"row\": %s", check->row.data);
	appendStringInfo(out, ", \"witnesses\": [%s]}", check->witnesses.data);
}

/*
 * Check a receipt against the keys that the caller trusts: the log's, and
 * those of witnesses if there are any.  Allocates in the current context.
 */
void
medsync_receipt_check(const char *text, size_t len,
					  const MedsyncVerifierKey *keys, int key_count,
					  MedsyncReceiptResult *result)
{
	Check	   *check = palloc0(sizeof(Check));

	memset(result, 0, sizeof(MedsyncReceiptResult));
	initStringInfo(&result->detail);
	initStringInfo(&check->witnesses);
	initStringInfo(&check->row);
	check->result = result;
	if (check_all(check, text, len, keys, key_count))
	{
		result->verdict = MEDSYNC_RECEIPT_VALID;
		describe(check);
	}
	result->index = check->proof.index;
	result->size = check->checkpoint.size;
	pfree(check);
}
