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
 * Where that manifest demands a signature the receipt proves who made it: it
 * opens the signer's row of person_key as well, in the version that was there
 * when the entry was made, and the signature over the row is checked with that
 * key.  The message has the ledger's id in it, which the entry's era is made
 * of, and column numbers of the root partitioned table, whose manifest is
 * proved by those of all that are between.
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
#include "ledger/signing.h"
#include "mb/pg_wchar.h"
#include "proofs/key_row.h"
#include "proofs/opening.h"

#define OPENING_VERSION		1
#define OPENING_HAS_ROW		1
#define OPENING_HAS_MANIFEST 2
#define OPENING_HAS_SIGNER	4
#define OPENING_ALL			7

#define SIGNED_COLUMNS_MAX	1600	/* PostgreSQL's own limit */

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
	MedsyncKeyRow key;			/* the signer's, where the row is signed */
	StringInfoData witnesses;	/* names of those that cosigned, as JSON */
	StringInfoData row;			/* the row as JSON */
} Check;

static bool parse_opening(const uint8 *data, size_t len, bool with_signer,
						  MedsyncOpening *opening);

/*
 * Writing
 */

static void
put_counted(StringInfo buf, const void *data, size_t len)
{
	medsync_wire_put_varint(buf, len);
	medsync_wire_put_bytes(buf, data, (int) len);
}

static void
put_hashes(StringInfo buf, const uint8 *hashes, int hash_count)
{
	uint8		count = (uint8) hash_count;

	medsync_wire_put_bytes(buf, &count, 1);
	medsync_wire_put_bytes(buf, hashes, count * MEDSYNC_HASH_SIZE);
}

static void
put_manifest(StringInfo buf, const MedsyncManifestOpening *manifest)
{
	put_counted(buf, manifest->content, manifest->content_len);
	medsync_wire_put_u64(buf, manifest->ddl_index);
	put_counted(buf, manifest->ddl_entry, manifest->ddl_entry_len);
	medsync_wire_put_bytes(buf, manifest->ddl_salt, MEDSYNC_HASH_SIZE);
	put_hashes(buf, manifest->ddl_hashes, manifest->ddl_hash_count);
}

static void
put_signer(StringInfo buf, const MedsyncSignerOpening *signer)
{
	uint8		count = (uint8) signer->parent_count;
	int			i;

	medsync_wire_put_bytes(buf, signer->ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u64(buf, signer->system_identifier);
	medsync_wire_put_u32(buf, signer->timeline);
	medsync_wire_put_u32(buf, signer->database);
	medsync_wire_put_bytes(buf, &count, 1);
	for (i = 0; i < signer->parent_count; i++)
		put_manifest(buf, &signer->parents[i]);
	medsync_wire_put_u64(buf, signer->index);
	put_hashes(buf, signer->hashes, signer->hash_count);
	put_counted(buf, signer->opening, signer->opening_len);
}

/* Append what a receipt opens. */
void
medsync_opening_write(StringInfo buf, const MedsyncOpening *opening)
{
	uint8		version = OPENING_VERSION;
	uint8		flags = (opening->has_row ? OPENING_HAS_ROW : 0) |
	(opening->has_manifest ? OPENING_HAS_MANIFEST : 0) |
	(opening->has_signer ? OPENING_HAS_SIGNER : 0);

	medsync_wire_put_bytes(buf, &version, 1);
	put_counted(buf, opening->entry, opening->entry_len);
	medsync_wire_put_bytes(buf, opening->salt, MEDSYNC_HASH_SIZE);
	medsync_wire_put_bytes(buf, &flags, 1);
	if (opening->has_row)
	{
		medsync_wire_put_bytes(buf, opening->opening, MEDSYNC_HASH_SIZE);
		put_counted(buf, opening->row, opening->row_len);
	}
	if (opening->has_manifest)
		put_manifest(buf, &opening->manifest);
	if (opening->has_signer)
		put_signer(buf, &opening->signer);
}


/*
 * Reading
 */

static const uint8 *
get_counted(MedsyncReader *reader, size_t *len)
{
	uint64		count = medsync_wire_get_varint(reader);

	if (count > MEDSYNC_WIRE_LEFT(reader))
		reader->failed = true;
	*len = reader->failed ? 0 : (size_t) count;
	return medsync_wire_get_bytes(reader, *len);
}

static const uint8 *
get_hashes(MedsyncReader *reader, int *count)
{
	*count = medsync_wire_get_u8(reader);
	if (*count > MEDSYNC_PROOF_MAX)
		reader->failed = true;
	return medsync_wire_get_bytes(reader, *count * MEDSYNC_HASH_SIZE);
}

static void
get_manifest(MedsyncReader *reader, MedsyncManifestOpening *manifest)
{
	manifest->content = (const char *) get_counted(reader,
												   &manifest->content_len);
	manifest->ddl_index = medsync_wire_get_u64(reader);
	manifest->ddl_entry = get_counted(reader, &manifest->ddl_entry_len);
	manifest->ddl_salt = medsync_wire_get_bytes(reader, MEDSYNC_HASH_SIZE);
	manifest->ddl_hashes = get_hashes(reader, &manifest->ddl_hash_count);
}

static void
get_signer(MedsyncReader *reader, MedsyncSignerOpening *signer)
{
	MedsyncOpening opening;
	int			i;

	signer->ledger_id = medsync_wire_get_bytes(reader, MEDSYNC_ID_SIZE);
	signer->system_identifier = medsync_wire_get_u64(reader);
	signer->timeline = medsync_wire_get_u32(reader);
	signer->database = medsync_wire_get_u32(reader);
	signer->parent_count = medsync_wire_get_u8(reader);
	if (signer->parent_count > MEDSYNC_RECEIPT_PARENTS)
		reader->failed = true;
	for (i = 0; i < signer->parent_count && !reader->failed; i++)
		get_manifest(reader, &signer->parents[i]);
	signer->index = medsync_wire_get_u64(reader);
	signer->hashes = get_hashes(reader, &signer->hash_count);
	signer->opening = get_counted(reader, &signer->opening_len);
	if (!reader->failed &&
		!(parse_opening(signer->opening, signer->opening_len, false,
						&opening) && opening.has_row))
		reader->failed = true;
}

/* Read opening data; that of a signer's key has no signer of its own. */
static bool
parse_opening(const uint8 *data, size_t len, bool with_signer,
			  MedsyncOpening *opening)
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
	opening->has_signer = (flags & OPENING_HAS_SIGNER) != 0;
	if (version != OPENING_VERSION || (flags & ~OPENING_ALL) != 0 ||
		(opening->has_row && !opening->has_manifest) ||
		(opening->has_signer && !(opening->has_row && with_signer)))
		return false;
	if (opening->has_row)
	{
		opening->opening = medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE);
		opening->row = get_counted(&reader, &opening->row_len);
	}
	if (opening->has_manifest)
		get_manifest(&reader, &opening->manifest);
	if (opening->has_signer)
		get_signer(&reader, &opening->signer);
	return !reader.failed && MEDSYNC_WIRE_LEFT(&reader) == 0 &&
		opening->row_len <= MEDSYNC_RECEIPT_ROW_MAX;
}

/* Read what a receipt opens; false for anything that is not as it is written. */
bool
medsync_opening_parse(const uint8 *data, size_t len, MedsyncOpening *opening)
{
	return parse_opening(data, len, true, opening);
}


/*
 * Checking
 */

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

/*
 * A manifest must be the one of a table that a ddl entry of the same log
 * announced, up to an index: what is announced later says nothing of an
 * entry.  version 0: any.  NULL, after refuse(), where it is not.
 */
static MedsyncManifest *
proved_manifest(Check *check, const MedsyncManifestOpening *opening,
				uint64 up_to, uint32 table, uint32 version)
{
	MedsyncPackedHeader header;
	MedsyncEntry ddl;
	MedsyncManifest *manifest;
	uint8		digest[MEDSYNC_HASH_SIZE];
	const char *problem = NULL;

	medsync_sha256(opening->content, opening->content_len, digest);
	if (opening->ddl_index > up_to)
		problem = "The table's manifest was announced after the entry.";
	else if (!is_included(check, opening->ddl_salt, opening->ddl_entry,
						  opening->ddl_entry_len, opening->ddl_index,
						  (const uint8 (*)[MEDSYNC_HASH_SIZE]) opening->ddl_hashes,
						  opening->ddl_hash_count))
		problem = "The entry that announces the table's manifest is not in the log that was signed.";
	else if (!medsync_entry_decode(opening->ddl_entry, opening->ddl_entry_len,
								   &header, &ddl) ||
			 ddl.operation != MEDSYNC_OP_DDL || ddl.table != table ||
			 (version != 0 && ddl.manifest != version) ||
			 (ddl.fields & MEDSYNC_HAS_OBJECT) == 0 ||
			 memcmp(ddl.object, digest, MEDSYNC_HASH_SIZE) != 0)
		problem = "The manifest is not the one of the entry's table.";
	if (problem != NULL)
	{
		refuse(check, "entry_altered", problem);
		return NULL;
	}
	manifest = medsync_manifest_read(opening->content, opening->content_len);
	if (manifest != NULL && manifest->table == table &&
		manifest->version == ddl.manifest)
		return manifest;
	medsync_manifest_free(manifest);
	refuse(check, "malformed", "The manifest is malformed.");
	return NULL;
}

static bool
check_manifest(Check *check)
{
	if (!check->opening.has_manifest)
		return true;			/* then it is of the entry alone */
	check->manifest = proved_manifest(check, &check->opening.manifest,
									  check->proof.index, check->entry.table,
									  check->entry.manifest);
	return check->manifest != NULL;
}

/* Does a row open an entry's new commitment? */
static bool
is_row_of(const MedsyncOpening *opening, const MedsyncEntry *entry)
{
	uint8		commitment[MEDSYNC_HASH_SIZE];

	medsync_commitment_of_row(entry->table, opening->row, opening->row_len,
							  opening->opening, commitment);
	return (entry->fields & MEDSYNC_HAS_NEW) != 0 &&
		memcmp(commitment, entry->new_commitment, MEDSYNC_HASH_SIZE) == 0;
}

/* The row must open the entry's new commitment, and that alone. */
static bool
check_row(Check *check)
{
	const MedsyncOpening *opening = &check->opening;

	if (!opening->has_row)
		return true;
	if (!is_row_of(opening, &check->entry))
		return refuse(check, "altered",
					  "The row is not the one that the entry commits to.");
	return medsync_canonical_row_json(&check->row, opening->row,
									  opening->row_len, check->manifest) ||
		refuse(check, "malformed", "The row is malformed.");
}


/*
 * Who signed the row
 */

/* The era that the entry names is made of the ledger's id. */
static bool
check_ledger_id(Check *check)
{
	const MedsyncSignerOpening *signer = &check->opening.signer;
	uint8		place[8 + 4 + 4];
	uint8		digest[MEDSYNC_HASH_SIZE];
	MedsyncSha256 sha;

	medsync_wire_store_u64(place, signer->system_identifier);
	medsync_wire_store_u32(place + 8, signer->timeline);
	medsync_wire_store_u32(place + 12, signer->database);
	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, signer->ledger_id, MEDSYNC_ID_SIZE);
	medsync_sha256_update(&sha, place, sizeof(place));
	medsync_sha256_finish(&sha, digest);
	return memcmp(digest, check->header.era_id, MEDSYNC_ID_SIZE) == 0 ||
		refuse(check, "bad_signature",
			   "The ledger's id is not the one that the entry's era is made of.");
}

/*
 * The manifest of the root partitioned table, by those of all that the row's
 * table is a partition of.  NULL, after refuse(), where one is not right.
 */
static MedsyncManifest *
find_root(Check *check)
{
	const MedsyncSignerOpening *signer = &check->opening.signer;
	MedsyncManifest *root = check->manifest;
	int			i;

	for (i = 0; i < signer->parent_count && root->parent != 0; i++)
	{
		MedsyncManifest *parent =
		proved_manifest(check, &signer->parents[i], check->proof.index,
						root->parent, 0);

		if (root != check->manifest)
			medsync_manifest_free(root);
		if (parent == NULL)
			return NULL;
		root = parent;
	}
	if (i == signer->parent_count && root->parent == 0 &&
		root->column_count <= SIGNED_COLUMNS_MAX)
		return root;
	if (root != check->manifest)
		medsync_manifest_free(root);
	refuse(check, "malformed",
		   "The manifests of the partitioned tables above the row's are not all there.");
	return NULL;
}

/*
 * Read the signer's key from its opened row, "opening": an entry before ours,
 * of the table of keys.
 */
static bool
read_key(Check *check, const MedsyncOpening *opening)
{
	const MedsyncSignerOpening *signer = &check->opening.signer;
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	MedsyncManifest *manifest;
	bool		is_key;

	if (signer->index >= check->proof.index)
		return refuse(check, "bad_signature",
					  "The signer's key was entered after the row.");
	if (!is_included(check, opening->salt, opening->entry, opening->entry_len,
					 signer->index,
					 (const uint8 (*)[MEDSYNC_HASH_SIZE]) signer->hashes,
					 signer->hash_count) ||
		!medsync_entry_decode(opening->entry, opening->entry_len, &header,
							  &entry))
		return refuse(check, "entry_altered",
					  "The entry of the signer's key is not in the log that was signed.");
	manifest = proved_manifest(check, &opening->manifest, signer->index,
							   entry.table, entry.manifest);
	if (manifest == NULL)
		return false;
	is_key = medsync_key_row_table(manifest) &&
		medsync_key_row_read(opening->row, opening->row_len, manifest,
							 &check->key);
	medsync_manifest_free(manifest);
	if (!is_row_of(opening, &entry))
		return refuse(check, "altered",
					  "The signer's key is not the one that its entry commits to.");
	return is_key ||
		refuse(check, "bad_signature",
			   "What is shown as the signer's key is no row of medsync.person_key.");
}

/* Is it the key's signature over this message? */
static bool
is_signature_of(const MedsyncKeyRow *key, const StringInfo message,
				const MedsyncRowSignature *signature)
{
	MedsyncPublicKey *public_key = medsync_public_key_read(key->public_key,
														   key->public_key_len);
	bool		holds = public_key != NULL &&
	medsync_public_key_algorithm(public_key) == key->algorithm &&
	medsync_algorithm_signs(key->algorithm) &&
	medsync_signature_verify(public_key, message->data, message->len,
							 signature->signature, signature->signature_len);

	medsync_public_key_free(public_key);
	return holds;
}

/* The row's signature: the entry's, the key's, and right. */
static bool
check_row_signature(Check *check, const MedsyncManifest *root)
{
	const MedsyncOpening *opening = &check->opening;
	const MedsyncEntry *entry = &check->entry;
	MedsyncRowSignature signature;
	StringInfoData message;
	uint8		digest[MEDSYNC_HASH_SIZE];
	bool		whole;
	bool		holds;

	initStringInfo(&message);
	whole = medsync_signing_message(&message, opening->signer.ledger_id,
									check->manifest, root, opening->row,
									opening->row_len, &signature) &&
		signature.complete;
	holds = whole && is_signature_of(&check->key, &message, &signature);
	pfree(message.data);
	if (!whole)
		return refuse(check, "bad_signature", "The row is not signed.");
	medsync_sha256(signature.signature, signature.signature_len, digest);
	if (memcmp(entry->signer, signature.signer, MEDSYNC_ID_SIZE) != 0 ||
		memcmp(entry->signature_digest, digest, MEDSYNC_HASH_SIZE) != 0)
		return refuse(check, "bad_signature",
					  "The row's signature is not the one that the entry names.");
	if (memcmp(check->key.id, signature.signer, MEDSYNC_ID_SIZE) != 0)
		return refuse(check, "bad_signature",
					  "The key is not the one that the row names as its signer.");
	if (!holds)
		return refuse(check, "bad_signature",
					  "The row's signature is wrong.");
	return !medsync_key_row_must_be_valid(entry) ||
		medsync_key_row_valid(&check->key, entry->statement_time) ||
		refuse(check, "bad_signature",
			   "The signer's key was not valid when the row was entered.");
}

/* What a row's table demands of its signature, and nothing where it does not. */
static bool
check_signer(Check *check)
{
	const MedsyncOpening *opening = &check->opening;
	bool		demanded = check->manifest != NULL &&
	check->manifest->signer != 0 &&
	(check->entry.fields & MEDSYNC_HAS_NEW) != 0;
	MedsyncOpening key;
	MedsyncManifest *root;
	bool		holds;

	if (!demanded)
		return !opening->has_signer ||
			refuse(check, "malformed",
				   "The receipt names a signer, and the row's table demands none.");
	if ((check->entry.fields & MEDSYNC_HAS_SIGNATURE) == 0)
		return refuse(check, "bad_signature",
					  "The entry has no signature, and its table demands one.");
	if (!opening->has_row)
		return true;			/* then it is of the entry alone */
	if (!opening->has_signer)
		return refuse(check, "bad_signature",
					  "The row's table demands a signature, and the receipt does not show whose it is.");
	if (check->manifest->column_count > SIGNED_COLUMNS_MAX ||
		!parse_opening(opening->signer.opening, opening->signer.opening_len,
					   false, &key))
		return refuse(check, "malformed", "The signer's key is malformed.");
	if (!check_ledger_id(check) || !read_key(check, &key))
		return false;
	root = find_root(check);
	if (root == NULL)
		return false;
	holds = check_row_signature(check, root);
	if (root != check->manifest)
		medsync_manifest_free(root);
	return holds;
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
	return check_entry(check) && check_manifest(check) && check_row(check) &&
		check_signer(check);
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

/* A uuid as it stands in the ledger's rows, as a member of the object. */
static void
put_id(StringInfo out, const char *name, const uint8 *id)
{
	uint8		value[1 + MEDSYNC_ID_SIZE];
	MedsyncReader reader;

	value[0] = MEDSYNC_TAG_UUID;
	memcpy(value + 1, id, MEDSYNC_ID_SIZE);
	medsync_wire_open(&reader, value, sizeof(value));
	appendStringInfo(out, ", \"%s\": ", name);
	medsync_canonical_json(out, &reader);
}

/* What the entry says that held of the signer; it must be JSON to be shown. */
static void
put_held(StringInfo out, const MedsyncEntry *entry)
{
	MedsyncJsonReader reader;

	if ((entry->fields & MEDSYNC_HAS_DETAIL) == 0)
		return;
	medsync_json_open(&reader, (const char *) entry->detail,
					  entry->detail_len);
	if (pg_parse_json(reader.lex, &nullSemAction) == JSON_SUCCESS)
		appendStringInfo(out, ", \"held\": %.*s", entry->detail_len,
						 (const char *) entry->detail);
	medsync_json_close(&reader);
}

/* Who signed the row, and who entered it. */
static void
put_persons(Check *check)
{
	StringInfo	out = &check->result->detail;

	if (check->opening.has_signer)
	{
		put_id(out, "signer", check->key.id);
		put_id(out, "author", check->key.person);
		appendStringInfo(out, ", \"algorithm\": \"%s\"",
						 medsync_algorithm_name(check->key.algorithm));
		put_held(out, &check->entry);
	}
	if (check->entry.fields & MEDSYNC_HAS_PERSON)
		put_id(out, "entered_by", check->entry.person);
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
	put_persons(check);
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
