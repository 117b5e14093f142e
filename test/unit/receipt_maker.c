/*-------------------------------------------------------------------------
 *
 * receipt_maker.c
 *		Makes right receipts of any contents, for unit tests and fuzzing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "ledger/commitment.h"
#include "ledger/signing.h"
#include "receipt_maker.h"

static const uint8 seed[MEDSYNC_ED25519_KEY_SIZE] = {'r', 'e', 'c', 'e', 'i', 'p', 't'};

void
receipt_maker_key(MedsyncVerifierKey *key)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	medsync_ed25519_public_key(seed, public_key);
	medsync_vkey_make(key, "hospital.example/ledger",
					  MEDSYNC_SIGNATURE_ED25519, public_key);
}

/* The leaves of the log that is made up: the receipt's entries alone */
#define LEAVES_MAX	(MEDSYNC_RECEIPT_PARENTS + 4)

typedef struct Log
{
	int			count;
	uint8		leaves[LEAVES_MAX][MEDSYNC_HASH_SIZE];
} Log;

/* An entry of it, put right */
typedef struct LogEntry
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	StringInfoData bytes;
	int			index;
	int			hash_count;
	uint8		hashes[LEAVES_MAX][MEDSYNC_HASH_SIZE];
} LogEntry;

/* Everything that a receipt shows */
typedef struct Whole
{
	Log			log;
	LogEntry	own;
	LogEntry	ddl;
	LogEntry	key;
	LogEntry	key_ddl;
	LogEntry	parent_ddls[MEDSYNC_RECEIPT_PARENTS];
	MedsyncOpening opening;
	MedsyncOpening key_opening;
	StringInfoData key_bytes;
} Whole;

/* ---- the log ---- */

static void
add_leaf(Log *log, LogEntry *entry, const uint8 *salt)
{
	MedsyncSha256 sha;
	uint8		leaf[MEDSYNC_LEAF_SIZE];

	initStringInfo(&entry->bytes);
	medsync_entry_encode(&entry->bytes, entry->header.era_id, &entry->header,
						 &entry->entry);
	leaf[0] = 0x01;
	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, salt, MEDSYNC_HASH_SIZE);
	medsync_sha256_update(&sha, entry->bytes.data, entry->bytes.len);
	medsync_sha256_finish(&sha, leaf + 1);
	entry->index = log->count++;
	medsync_merkle_leaf_hash(leaf, sizeof(leaf), log->leaves[entry->index]);
}

/* Where RFC 6962 splits a tree. */
static int
split(int count)
{
	int			left = 1;

	while (left * 2 < count)
		left *= 2;
	return left;
}

static void
tree_root(const Log *log, int from, int count, uint8 *root)
{
	uint8		left[MEDSYNC_HASH_SIZE];
	uint8		right[MEDSYNC_HASH_SIZE];
	int			middle = split(count);

	if (count == 1)
	{
		memcpy(root, log->leaves[from], MEDSYNC_HASH_SIZE);
		return;
	}
	tree_root(log, from, middle, left);
	tree_root(log, from + middle, count - middle, right);
	medsync_merkle_node_hash(left, right, root);
}

static void
prove(const Log *log, int from, int count, LogEntry *entry)
{
	int			middle = split(count);
	bool		is_left = entry->index < from + middle;

	if (count == 1)
		return;
	if (is_left)
		prove(log, from, middle, entry);
	else
		prove(log, from + middle, count - middle, entry);
	tree_root(log, is_left ? from + middle : from,
			  is_left ? count - middle : middle,
			  entry->hashes[entry->hash_count++]);
}

/* ---- putting right what binds entries to what is opened ---- */

/* The entry, committing to the row that is opened. */
static bool
read_entry(const MedsyncOpening *opening, LogEntry *entry)
{
	if (!medsync_entry_decode(opening->entry, opening->entry_len,
							  &entry->header, &entry->entry))
		return false;
	if (opening->has_row)
	{
		entry->entry.fields |= MEDSYNC_HAS_NEW;
		medsync_commitment_of_row(entry->entry.table, opening->row,
								  opening->row_len, opening->opening,
								  entry->entry.new_commitment);
	}
	return true;
}

/* The ddl entry, announcing a manifest. */
static bool
read_ddl(const MedsyncManifestOpening *manifest, uint32 table, uint32 version,
		 LogEntry *ddl)
{
	if (!medsync_entry_decode(manifest->ddl_entry, manifest->ddl_entry_len,
							  &ddl->header, &ddl->entry))
		return false;
	ddl->entry.operation = MEDSYNC_OP_DDL;
	ddl->entry.table = table;
	ddl->entry.manifest = version;
	ddl->entry.fields |= MEDSYNC_HAS_OBJECT;
	medsync_sha256(manifest->content, manifest->content_len,
				   ddl->entry.object);
	return true;
}

/* The entry's era, made of the ledger's id. */
static void
correct_era(const MedsyncSignerOpening *signer, uint8 *era_id)
{
	uint8		bytes[MEDSYNC_ID_SIZE + 8 + 4 + 4];
	uint8		digest[MEDSYNC_HASH_SIZE];

	memcpy(bytes, signer->ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_store_u64(bytes + MEDSYNC_ID_SIZE, signer->system_identifier);
	medsync_wire_store_u32(bytes + MEDSYNC_ID_SIZE + 8, signer->timeline);
	medsync_wire_store_u32(bytes + MEDSYNC_ID_SIZE + 12, signer->database);
	medsync_sha256(bytes, sizeof(bytes), digest);
	memcpy(era_id, digest, MEDSYNC_ID_SIZE);
}

/* The entry, naming the signature that the row has. */
static void
correct_signature(const MedsyncOpening *opening, LogEntry *entry)
{
	MedsyncManifest *manifest =
	medsync_manifest_read(opening->manifest.content,
						  opening->manifest.content_len);
	MedsyncRowSignature signature;
	StringInfoData message;

	if (manifest == NULL)
		return;
	initStringInfo(&message);
	if (medsync_signing_message(&message, opening->signer.ledger_id, manifest,
								manifest, opening->row, opening->row_len,
								&signature) && signature.complete)
	{
		entry->entry.fields |= MEDSYNC_HAS_SIGNATURE;
		memcpy(entry->entry.signer, signature.signer, MEDSYNC_ID_SIZE);
		medsync_sha256(signature.signature, signature.signature_len,
					   entry->entry.signature_digest);
	}
	pfree(message.data);
	medsync_manifest_free(manifest);
}

static bool
read_parents(const MedsyncOpening *opening, Whole *whole)
{
	const MedsyncManifestOpening *below = &opening->manifest;
	int			i;

	for (i = 0; i < opening->signer.parent_count; i++)
	{
		MedsyncManifest *manifest = medsync_manifest_read(below->content,
														  below->content_len);
		uint32		number = manifest ? manifest->parent : 0;

		medsync_manifest_free(manifest);
		below = &opening->signer.parents[i];
		if (!read_ddl(below, number, 1, &whole->parent_ddls[i]))
			return false;
	}
	return true;
}

static bool
read_signer(const MedsyncOpening *opening, Whole *whole)
{
	const MedsyncSignerOpening *signer = &opening->signer;

	correct_era(signer, whole->own.header.era_id);
	correct_signature(opening, &whole->own);
	return medsync_opening_parse(signer->opening, signer->opening_len,
								 &whole->key_opening) &&
		read_entry(&whole->key_opening, &whole->key) &&
		read_ddl(&whole->key_opening.manifest, whole->key.entry.table,
				 whole->key.entry.manifest, &whole->key_ddl) &&
		read_parents(opening, whole);
}

/* ---- putting it together ---- */

/* What the receipt is to show of an entry that was put right. */
static void
show_entry(MedsyncOpening *opening, const LogEntry *entry)
{
	opening->entry = (uint8 *) entry->bytes.data;
	opening->entry_len = entry->bytes.len;
}

static void
show_ddl(const Log *log, MedsyncManifestOpening *manifest, LogEntry *ddl)
{
	prove(log, 0, log->count, ddl);
	manifest->ddl_entry = (uint8 *) ddl->bytes.data;
	manifest->ddl_entry_len = ddl->bytes.len;
	manifest->ddl_index = ddl->index;
	manifest->ddl_hash_count = ddl->hash_count;
	manifest->ddl_hashes = ddl->hashes[0];
}

static void
add_leaves(Whole *whole, const MedsyncOpening *opening, bool late)
{
	Log		   *log = &whole->log;
	int			i;

	for (i = 0; opening->has_signer && i < opening->signer.parent_count; i++)
		add_leaf(log, &whole->parent_ddls[i],
				 opening->signer.parents[i].ddl_salt);
	if (opening->has_signer)
	{
		add_leaf(log, &whole->key_ddl, whole->key_opening.manifest.ddl_salt);
		add_leaf(log, &whole->key, whole->key_opening.salt);
	}
	if (opening->has_manifest && !late)
		add_leaf(log, &whole->ddl, opening->manifest.ddl_salt);
	add_leaf(log, &whole->own, opening->salt);
	if (opening->has_manifest && late)
		add_leaf(log, &whole->ddl, opening->manifest.ddl_salt);
}

static void
show_signer(Whole *whole)
{
	MedsyncSignerOpening *signer = &whole->opening.signer;
	const Log  *log = &whole->log;
	int			i;

	for (i = 0; i < signer->parent_count; i++)
		show_ddl(log, &signer->parents[i], &whole->parent_ddls[i]);
	show_entry(&whole->key_opening, &whole->key);
	show_ddl(log, &whole->key_opening.manifest, &whole->key_ddl);
	prove(log, 0, log->count, &whole->key);
	signer->index = whole->key.index;
	signer->hash_count = whole->key.hash_count;
	signer->hashes = whole->key.hashes[0];
	initStringInfo(&whole->key_bytes);
	medsync_opening_write(&whole->key_bytes, &whole->key_opening);
	signer->opening = (uint8 *) whole->key_bytes.data;
	signer->opening_len = whole->key_bytes.len;
}

/* Sign the tree, and prove the entry's place in it. */
static void
put_receipt(StringInfo receipt, Whole *whole)
{
	const Log  *log = &whole->log;
	MedsyncVerifierKey key;
	StringInfoData extra;
	StringInfoData text;
	StringInfoData note;
	uint8		root[MEDSYNC_HASH_SIZE];

	initStringInfo(&extra);
	initStringInfo(&text);
	initStringInfo(&note);
	medsync_opening_write(&extra, &whole->opening);
	tree_root(log, 0, log->count, root);
	prove(log, 0, log->count, &whole->own);
	receipt_maker_key(&key);
	medsync_checkpoint_write(&text, key.name, log->count, root);
	appendStringInfo(&note, "%s\n", text.data);
	medsync_note_sign(&note, text.data, text.len, &key, seed);
	medsync_proof_write(receipt, extra.data, extra.len, whole->own.index,
						(const uint8 (*)[MEDSYNC_HASH_SIZE]) whole->own.hashes,
						whole->own.hash_count, note.data, note.len);
	pfree(extra.data);
	pfree(text.data);
	pfree(note.data);
}

static void
free_whole(Whole *whole)
{
	LogEntry   *entries[] = {&whole->own, &whole->ddl, &whole->key,
	&whole->key_ddl};
	int			i;

	for (i = 0; i < (int) lengthof(entries); i++)
		if (entries[i]->bytes.data != NULL)
			pfree(entries[i]->bytes.data);
	for (i = 0; i < MEDSYNC_RECEIPT_PARENTS; i++)
		if (whole->parent_ddls[i].bytes.data != NULL)
			pfree(whole->parent_ddls[i].bytes.data);
	if (whole->key_bytes.data != NULL)
		pfree(whole->key_bytes.data);
	pfree(whole);
}

static bool
make(StringInfo receipt, const MedsyncOpening *opening, bool late)
{
	Whole	   *whole = palloc0(sizeof(Whole));
	bool		made;

	whole->opening = *opening;
	made = read_entry(opening, &whole->own) &&
		(!opening->has_manifest ||
		 read_ddl(&opening->manifest, whole->own.entry.table,
				  whole->own.entry.manifest, &whole->ddl)) &&
		(!opening->has_signer || read_signer(opening, whole));
	if (made)
	{
		add_leaves(whole, opening, late);
		show_entry(&whole->opening, &whole->own);
		if (opening->has_manifest)
			show_ddl(&whole->log, &whole->opening.manifest, &whole->ddl);
		if (opening->has_signer)
			show_signer(whole);
		put_receipt(receipt, whole);
	}
	free_whole(whole);
	return made;
}

bool
receipt_maker_make(StringInfo receipt, const MedsyncOpening *opening)
{
	return make(receipt, opening, false);
}

bool
receipt_maker_make_late(StringInfo receipt, const MedsyncOpening *opening)
{
	return make(receipt, opening, true);
}
