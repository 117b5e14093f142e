/*-------------------------------------------------------------------------
 *
 * receipt_maker.c
 *		Makes right receipts of any contents, for unit tests and fuzzing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "ledger/commitment.h"
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

/* The entry, committing to the row that is opened. */
static bool
correct_entry(const MedsyncOpening *opening, MedsyncPackedHeader *header,
			  MedsyncEntry *entry)
{
	if (!medsync_entry_decode(opening->entry, opening->entry_len, header, entry))
		return false;
	if (opening->has_row)
	{
		entry->fields |= MEDSYNC_HAS_NEW;
		medsync_commitment_of_row(entry->table, opening->row, opening->row_len,
								  opening->opening, entry->new_commitment);
	}
	return true;
}

/* The ddl entry, announcing that entry's manifest. */
static bool
correct_ddl(const MedsyncOpening *opening, const MedsyncEntry *entry,
			MedsyncPackedHeader *header, MedsyncEntry *ddl)
{
	if (!medsync_entry_decode(opening->ddl_entry, opening->ddl_entry_len,
							  header, ddl))
		return false;
	ddl->operation = MEDSYNC_OP_DDL;
	ddl->table = entry->table;
	ddl->manifest = entry->manifest;
	ddl->fields |= MEDSYNC_HAS_OBJECT;
	medsync_sha256(opening->manifest, opening->manifest_len, ddl->object);
	return true;
}

static void
hash_leaf(const uint8 *salt, const StringInfo entry, uint8 *hash)
{
	MedsyncSha256 sha;
	uint8		leaf[MEDSYNC_LEAF_SIZE];

	leaf[0] = 0x01;
	medsync_sha256_start(&sha);
	medsync_sha256_update(&sha, salt, MEDSYNC_HASH_SIZE);
	medsync_sha256_update(&sha, entry->data, entry->len);
	medsync_sha256_finish(&sha, leaf + 1);
	medsync_merkle_leaf_hash(leaf, sizeof(leaf), hash);
}

/* Sign a tree of two leaves and prove the entry's. */
static void
put_receipt(StringInfo receipt, const MedsyncOpening *opening,
			const uint8 *announced, const uint8 *entry, bool late)
{
	MedsyncVerifierKey key;
	StringInfoData extra;
	StringInfoData text;
	StringInfoData note;
	uint8		root[MEDSYNC_HASH_SIZE];

	initStringInfo(&extra);
	initStringInfo(&text);
	initStringInfo(&note);
	medsync_opening_write(&extra, opening);
	medsync_merkle_node_hash(late ? entry : announced, late ? announced : entry,
							 root);
	receipt_maker_key(&key);
	medsync_checkpoint_write(&text, key.name, 2, root);
	appendStringInfo(&note, "%s\n", text.data);
	medsync_note_sign(&note, text.data, text.len, &key, seed);
	medsync_proof_write(receipt, extra.data, extra.len, late ? 0 : 1,
						(const uint8 (*)[MEDSYNC_HASH_SIZE]) announced, 1,
						note.data, note.len);
	pfree(extra.data);
	pfree(text.data);
	pfree(note.data);
}

static bool
make(StringInfo receipt, const MedsyncOpening *opening, bool late)
{
	MedsyncOpening corrected = *opening;
	MedsyncPackedHeader header;
	MedsyncPackedHeader ddl_header;
	MedsyncEntry entry;
	MedsyncEntry ddl;
	StringInfoData entry_bytes;
	StringInfoData ddl_bytes;
	uint8		announced[MEDSYNC_HASH_SIZE] = {0};
	uint8		proved[MEDSYNC_HASH_SIZE];

	if (!correct_entry(opening, &header, &entry) ||
		(opening->has_manifest &&
		 !correct_ddl(opening, &entry, &ddl_header, &ddl)))
		return false;
	initStringInfo(&entry_bytes);
	initStringInfo(&ddl_bytes);
	medsync_entry_encode(&entry_bytes, header.era_id, &header, &entry);
	hash_leaf(opening->salt, &entry_bytes, proved);
	corrected.entry = (uint8 *) entry_bytes.data;
	corrected.entry_len = entry_bytes.len;
	if (opening->has_manifest)
	{
		medsync_entry_encode(&ddl_bytes, ddl_header.era_id, &ddl_header, &ddl);
		hash_leaf(opening->ddl_salt, &ddl_bytes, announced);
		corrected.ddl_entry = (uint8 *) ddl_bytes.data;
		corrected.ddl_entry_len = ddl_bytes.len;
		corrected.ddl_index = late ? 1 : 0;
		corrected.ddl_hash_count = 1;
		corrected.ddl_hashes = proved;
	}
	put_receipt(receipt, &corrected, announced, proved, late);
	pfree(entry_bytes.data);
	pfree(ddl_bytes.data);
	return true;
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
