/*-------------------------------------------------------------------------
 *
 * verify.c
 *		medsync.verify(): compare ledger, tables and guards with each other.
 *
 * Verify computes everything again from _journal, the recorded snapshots and
 * the tables themselves, and compares it with what is stored: block hashes,
 * the order of entries, leaves and tiles, look-ups, images, manifests, keys;
 * then live tables and guards (verify_live.c).  It writes nothing, takes
 * AccessShareLocks only and works on a standby.  It uses no cache of the
 * writers: keys, manifests and triggers are read from their tables.
 *
 * It sees what its caller's transaction sees, and the caller's own unflushed
 * entries.  Damage is a finding, never an error: where reading itself fails,
 * the failure is caught in a subtransaction and reported.
 *
 * Memory: what walk.c and balance.c need, 64 kB of tree, 2 MB of postings,
 * the reader's cache of keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/errors.h"
#include "ledger/image.h"
#include "ledger/status.h"
#include "ledger/verify.h"

#define ENTRIES_BETWEEN_REPORTS	100000

/*---- Local variables ----*/

static const MedsyncVerifyPart *later_parts[MEDSYNC_VERIFY_PARTS_MAX];
static int	later_part_count = 0;
static MedsyncVerifySignature check_row_signature = NULL;

PG_FUNCTION_INFO_V1(medsync_verify);
PG_FUNCTION_INFO_V1(medsync_verify_summary);

void
medsync_verify_register(const MedsyncVerifyPart *part)
{
	if (later_part_count == MEDSYNC_VERIFY_PARTS_MAX)
		elog(ERROR, "too many parts of medsync.verify()");
	later_parts[later_part_count++] = part;
}

void
medsync_verify_set_signature_check(MedsyncVerifySignature check)
{
	check_row_signature = check;
}

/* Lower-case hexadecimal of some bytes. */
char *
medsync_verify_hex(const void *bytes, int len)
{
	char	   *text = palloc(2 * len + 1);

	hex_encode(bytes, len, text);
	text[2 * len] = '\0';
	return text;
}

/* Put a finding into the result. */
void
medsync_verify_report(Verifier *verifier, const char *severity,
					  const char *verdict, FindingPlace place,
					  const char *expected, const char *found,
					  const char *detail)
{
	Datum		values[9] = {0};
	bool		isnull[9];

	if (strcmp(severity, "error") == 0)
		verifier->errors++;
	else if (strcmp(severity, "warning") == 0)
		verifier->warnings++;
	if (verifier->result == NULL)
		return;
	memset(isnull, true, sizeof(isnull));
#define PUT(i, present, value) \
	do { if (present) { values[i] = (value); isnull[i] = false; } } while (0)
	PUT(0, true, CStringGetTextDatum(severity));
	PUT(1, true, CStringGetTextDatum(verdict));
	PUT(2, place.relation != NULL, CStringGetTextDatum(place.relation));
	PUT(3, place.row_key != NULL, JsonbPGetDatum(place.row_key));
	PUT(4, place.block >= 0, Int64GetDatum(place.block));
	PUT(5, place.index >= 0, Int64GetDatum(place.index));
	PUT(6, expected != NULL, CStringGetTextDatum(expected));
	PUT(7, found != NULL, CStringGetTextDatum(found));
	PUT(8, detail != NULL, CStringGetTextDatum(detail));
#undef PUT
	tuplestore_putvalues(verifier->result->setResult,
						 verifier->result->setDesc, values, isnull);
}

/* The place of the block being read. */
static FindingPlace
block_place(const Verifier *verifier)
{
	FindingPlace place = NO_PLACE;

	if (verifier->block != NULL)
		place.block = verifier->block->height;
	return place;
}

static void
report_block(Verifier *verifier, const char *verdict, const char *expected,
			 const char *found, const char *detail)
{
	verifier->damaged = true;
	medsync_verify_report(verifier, "error", verdict, block_place(verifier),
						  expected, found, detail);
}

/* A finding about the ledger's own tables, at no block in particular. */
static void
report_ledger(Verifier *verifier, const char *verdict, const char *detail)
{
	medsync_verify_report(verifier, "error", verdict, NO_PLACE, NULL, NULL,
						  detail);
}

/* What is known of a table number; made at its first mention. */
VerifiedTable *
medsync_verify_table(Verifier *verifier, uint32 number)
{
	bool		found;
	VerifiedTable *table = hash_search(verifier->tables, &number, HASH_ENTER,
									   &found);

	if (!found)
	{
		memset((char *) table + sizeof(uint32), 0,
			   sizeof(VerifiedTable) - sizeof(uint32));
		table->name = psprintf("table number %u", number);
		table->in_scope = !verifier->scoped;
	}
	return table;
}

/* Report a key that is not there, once. */
void
medsync_verify_missing_key(Verifier *verifier, MedsyncKeyStatus status,
						   const uint8 *key_id, const char *relation)
{
	FindingPlace place = block_place(verifier);
	bool		found;

	place.relation = relation;
	(void) hash_search(verifier->missing_keys, key_id, HASH_ENTER, &found);
	if (!found)
		medsync_verify_report(verifier, "error", "key_missing", place,
							  medsync_verify_hex(key_id, MEDSYNC_ID_SIZE),
							  NULL, medsync_vault_status_text(status));
}

/* The height of the block that holds an index; -1: none. */
int64
medsync_verify_block_of(Verifier *verifier, int64 index)
{
	MedsyncBlock block;

	return index >= 0 &&
		medsync_block_of_index(&verifier->walk, index, &block) ?
		block.height : -1;
}

/* ---- entries ---- */

/* The place of the entry being read. */
static FindingPlace
entry_place(Verifier *verifier, const MedsyncEntry *entry)
{
	FindingPlace place = block_place(verifier);

	if (verifier->block != NULL)
		place.index = verifier->index;
	if (entry->table != 0)
		place.relation = medsync_verify_table(verifier, entry->table)->name;
	return place;
}

/* The seed of a packed row is a MAC over it: was the row edited? */
static void
check_seed(Verifier *verifier, const MedsyncWalkEntry *item)
{
	uint8		seed[MEDSYNC_SEED_SIZE];

	if (!verifier->keys_open)
		return;
	if (item->nth != 0 && ItemPointerIsValid(&item->tid) &&
		memcmp(&verifier->seeded_tid, &item->tid, sizeof(item->tid)) == 0)
		return;
	verifier->seeded_tid = item->tid;
	medsync_packed_seed(&verifier->seed_key, verifier->ledger_id,
						item->header->xid, item->header->ordinal,
						item->body, item->body_len, seed);
	if (memcmp(seed, item->header->seed, MEDSYNC_SEED_SIZE) != 0)
	{
		verifier->damaged = true;
		medsync_verify_report(verifier, "error", "entry_altered",
							  entry_place(verifier, item->entry),
							  medsync_verify_hex(seed, MEDSYNC_SEED_SIZE),
							  medsync_verify_hex(item->header->seed,
												 MEDSYNC_SEED_SIZE),
							  "The packed row is not what its transaction wrote.");
	}
}

/* A ddl entry announces a manifest: is it there as announced? */
static void
check_manifest(Verifier *verifier, const MedsyncEntry *entry)
{
	VerifiedTable *table = medsync_verify_table(verifier, entry->table);
	Relation	heap = medsync_open("_manifest", AccessShareLock);
	char	   *content = NULL;
	uint8		digest[MEDSYNC_HASH_SIZE] = {0};
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(entry->table));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(entry->manifest));
	medsync_scan_begin(&scan, heap, "_manifest_pkey", verifier->snapshot, 2,
					   keys);
	scan.own_changes = true;
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		Datum		value = heap_getattr(tuple, 3, RelationGetDescr(heap),
										 &isnull);

		verifier->manifest_rows++;
		if (!isnull)
		{
			content = TextDatumGetCString(value);
			medsync_sha256(content, strlen(content), digest);
		}
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);

	if (entry->manifest != table->last_version + 1)
		medsync_verify_report(verifier, "error", "entry_missing",
							  entry_place(verifier, entry),
							  psprintf("%u", table->last_version + 1),
							  psprintf("%u", entry->manifest),
							  "A manifest version was skipped.");
	table->last_version = entry->manifest;
	if (content == NULL || memcmp(digest, entry->object, MEDSYNC_HASH_SIZE) != 0)
	{
		table->manifest = NULL;
		medsync_verify_report(verifier, "error", "entry_altered",
							  entry_place(verifier, entry),
							  medsync_verify_hex(entry->object, MEDSYNC_HASH_SIZE),
							  content ? medsync_verify_hex(digest, MEDSYNC_HASH_SIZE) : NULL,
							  psprintf("Manifest version %u of table number %u %s.",
									   entry->manifest, entry->table,
									   content ? "was changed" : "is missing"));
	}
	else
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(verifier->context);

		table->manifest = medsync_manifest_parse(content);
		table->name = quote_qualified_identifier(table->manifest->schema_name,
												 table->manifest->table_name);
		MemoryContextSwitchTo(oldcontext);
	}
}

/* An era entry must say what _era says. */
static void
check_era_entry(Verifier *verifier, const MedsyncEntry *entry)
{
	uint8		detail[MEDSYNC_ERA_DETAIL_SIZE];

	medsync_era_detail(verifier->era, detail);
	if (entry->detail_len != MEDSYNC_ERA_DETAIL_SIZE ||
		memcmp(entry->detail, detail, MEDSYNC_ERA_DETAIL_SIZE) != 0)
		medsync_verify_report(verifier, "error", "entry_altered",
							  entry_place(verifier, entry), NULL, NULL,
							  "The era entry and the ledger's list of eras differ.");
}

/*
 * Is the key that the entry names there?  Does the image, if it has one,
 * decrypt, and commit to what the entry says?  Then verifier->image is the
 * row, and the result is true.
 */
static bool
check_key_and_image(Verifier *verifier, const MedsyncWalkEntry *item)
{
	const MedsyncEntry *entry = item->entry;
	const MedsyncSubjectKey *subject;
	MedsyncRowDigest digest;
	MedsyncSha256 sha;
	MedsyncKeyStatus status;

	if ((entry->fields & MEDSYNC_HAS_KEY_ID) == 0)
		return false;
	status = medsync_key_reader_by_id(verifier->keys, entry->key_id, &subject);
	if (status != MEDSYNC_KEY_OK)
	{
		medsync_verify_missing_key(verifier, status, entry->key_id,
								   medsync_verify_table(verifier, entry->table)->name);
		return false;
	}
	if ((entry->fields & (MEDSYNC_HAS_IMAGE | MEDSYNC_HAS_LARGE_IMAGE)) == 0)
		return false;
	if (!medsync_image_open(item->header, entry, subject, verifier->snapshot,
							&verifier->image, &verifier->image_rows))
	{
		medsync_verify_report(verifier, "error", "image_altered",
							  entry_place(verifier, entry), NULL, NULL,
							  "The row image does not decrypt, or a part of it is missing.");
		return false;
	}
	medsync_row_hash_start(&sha, entry->table);
	medsync_sha256_update(&sha, verifier->image.data, verifier->image.len);
	medsync_sha256_finish(&sha, digest.hash);
	medsync_row_commit(&subject->commit, &digest);
	if (memcmp(digest.commitment, entry->new_commitment, MEDSYNC_HASH_SIZE) == 0)
		return true;
	medsync_verify_report(verifier, "error", "image_altered",
						  entry_place(verifier, entry),
						  medsync_verify_hex(entry->new_commitment, MEDSYNC_HASH_SIZE),
						  medsync_verify_hex(digest.commitment, MEDSYNC_HASH_SIZE),
						  "The row image is not what the entry commits to.");
	return false;
}

/*
 * The manifest of the root partitioned table, as announced so far; NULL: it
 * is not known.  A parent's number is below its partitions' numbers.
 */
static const MedsyncManifest *
root_manifest(Verifier *verifier, const MedsyncManifest *manifest)
{
	while (manifest != NULL && manifest->parent != 0)
	{
		if (manifest->parent >= manifest->table)
			return NULL;
		manifest = medsync_verify_table(verifier, manifest->parent)->manifest;
	}
	return manifest;
}

/*
 * Is a row signed as its manifest demands?  "entry" made it, NULL for a live
 * row; "row" are its canonical bytes, NULL where the ledger has no image.
 * Returns NULL, or why not.
 */
const char *
medsync_verify_signed_row(Verifier *verifier, const MedsyncManifest *manifest,
						  const MedsyncEntry *entry, const StringInfo row)
{
	const MedsyncManifest *root = root_manifest(verifier, manifest);
	MedsyncVerifiedRow checked = {.entry = entry};
	MedsyncRowSignature signature;
	uint8		digest[MEDSYNC_HASH_SIZE];

	if (entry != NULL && (entry->fields & MEDSYNC_HAS_SIGNATURE) == 0)
		return "The table demands signatures, and the entry names none.";
	if (root == NULL || check_row_signature == NULL)
		return "The manifest of its partitioned table is not known.";
	if (row != NULL)
	{
		resetStringInfo(&verifier->message);
		if (!medsync_signing_message(&verifier->message, verifier->ledger_id,
									 manifest, root, row->data, row->len,
									 &signature))
			return "The row does not fit the table's manifest.";
		if (!signature.complete)
			return "The row has no signer or no signature.";
		medsync_sha256(signature.signature, signature.signature_len, digest);
		if (entry != NULL &&
			(memcmp(entry->signer, signature.signer, MEDSYNC_ID_SIZE) != 0 ||
			 memcmp(entry->signature_digest, digest, MEDSYNC_HASH_SIZE) != 0))
			return "The entry names another signature than the row has.";
		checked.signature = &signature;
		checked.message = verifier->message.data;
		checked.message_len = verifier->message.len;
	}
	return check_row_signature(verifier, &checked);
}

/* An entry with a new row version, of a table that demands signatures. */
static void
check_signed_entry(Verifier *verifier, const VerifiedTable *table,
				   const MedsyncEntry *entry, bool has_row)
{
	FindingPlace place;
	const char *problem;

	if ((entry->fields & MEDSYNC_HAS_NEW) == 0)
		return;
	problem = medsync_verify_signed_row(verifier, table->manifest, entry,
										has_row ? &verifier->image : NULL);
	if (problem == NULL)
		return;
	place = entry_place(verifier, entry);
	if (has_row)
		place.row_key = medsync_verify_image_key(verifier, table, entry);
	medsync_verify_report(verifier, "error", "bad_signature", place, NULL,
						  NULL, problem);
}


/* Count an entry's commitments for the balance of its table. */
static void
balance_entry(Verifier *verifier, const MedsyncWalkEntry *item)
{
	const MedsyncEntry *entry = item->entry;
	MedsyncBalanceCount count;

	if ((entry->fields & (MEDSYNC_HAS_OLD | MEDSYNC_HAS_NEW)) == 0)
		return;
	count.table = entry->table;
	count.tid = item->tid;
	count.nth = (uint16) item->nth;
	count.index = verifier->block ? verifier->index : -1;
	if (entry->fields & MEDSYNC_HAS_OLD)
	{
		memcpy(count.commitment, entry->old_commitment, MEDSYNC_HASH_SIZE);
		count.entries = -1;
		medsync_balance_add(verifier->balance, &count);
	}
	if (entry->fields & MEDSYNC_HAS_NEW)
	{
		memcpy(count.commitment, entry->new_commitment, MEDSYNC_HASH_SIZE);
		count.entries = 1;
		medsync_balance_add(verifier->balance, &count);
	}
}

/* An entry that later rooms check. */
static void
tell_later_parts(Verifier *verifier, const MedsyncWalkEntry *item)
{
	int			i;

	for (i = 0; i < later_part_count; i++)
		if (later_parts[i]->entry != NULL)
			later_parts[i]->entry(verifier, item);
}

/* What any entry, sealed or not, must stand. */
static void
check_entry(Verifier *verifier, const MedsyncWalkEntry *item)
{
	const MedsyncEntry *entry = item->entry;
	VerifiedTable *table = NULL;

	CHECK_FOR_INTERRUPTS();
	if ((verifier->sealed + verifier->unsealed) % ENTRIES_BETWEEN_REPORTS == 0 &&
		verifier->sealed + verifier->unsealed > 0)
	{
		char		text[80];

		snprintf(text, sizeof(text), "medsync.verify: " INT64_FORMAT " entries",
				 verifier->sealed + verifier->unsealed);
		pgstat_report_activity(STATE_RUNNING, text);
	}
	if (!verifier->light)
		check_seed(verifier, item);
	if (medsync_operation_name(entry->operation) == NULL)
		medsync_verify_report(verifier, "error", "entry_altered",
							  entry_place(verifier, entry), NULL, NULL,
							  "The entry's operation is unknown.");
	if (entry->operation == MEDSYNC_OP_DDL)
		check_manifest(verifier, entry);
	else if (entry->operation == MEDSYNC_OP_ERA)
		check_era_entry(verifier, entry);
	else if (entry->operation == MEDSYNC_OP_SIGNER)
		tell_later_parts(verifier, item);
	if (entry->table != 0)
	{
		table = medsync_verify_table(verifier, entry->table);
		if (!table->written_here)
			table->written_here = medsync_era_same_line(item->xact->era,
														&verifier->here);
	}
	if (table == NULL || !table->in_scope || !verifier->keys_open)
		return;
	if (!verifier->light)
	{
		bool		has_row = check_key_and_image(verifier, item);

		if (table->manifest != NULL && table->manifest->signer != 0)
			check_signed_entry(verifier, table, entry, has_row);
	}
	balance_entry(verifier, item);
}

/* ---- the tree ---- */

/* Read a tile as it is stored; returns how many bytes it has, -1: no row. */
static int
read_tile(Verifier *verifier, int level, int64 tile, uint8 *hashes)
{
	MedsyncScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;
	int			len = -1;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(level));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(tile));
	medsync_scan_begin(&scan, verifier->tile_table, "_tile_pkey",
					   verifier->snapshot, 2, keys);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_tile_hashes,
										 RelationGetDescr(verifier->tile_table),
										 &isnull);

		len = 0;
		if (!isnull)
		{
			bytea	   *stored = DatumGetByteaPP(value);

			len = VARSIZE_ANY_EXHDR(stored);
			memcpy(hashes, VARDATA_ANY(stored), Min(len, MEDSYNC_TILE_SIZE));
			if ((Pointer) stored != DatumGetPointer(value))
				pfree(stored);
		}
	}
	medsync_scan_end(&scan);
	return len;
}

/* The leaf hash that the stored tiles have at an index, or NULL. */
static const uint8 *
stored_leaf(Verifier *verifier, int64 index)
{
	int64		tile = index / MEDSYNC_TILE_WIDTH;
	int			place = (int) (index % MEDSYNC_TILE_WIDTH);

	if (verifier->stored_leaf_tile != tile)
	{
		verifier->stored_leaf_tile = tile;
		verifier->stored_leaf_count =
			read_tile(verifier, 0, tile, verifier->stored_leaves) /
			MEDSYNC_HASH_SIZE;
	}
	return place < verifier->stored_leaf_count ?
		verifier->stored_leaves + place * MEDSYNC_HASH_SIZE : NULL;
}

/* A tile became full: it must be stored like this. */
static void
compare_tile(void *arg, int level, uint64 tile, const uint8 *hashes)
{
	Verifier   *verifier = arg;
	uint8		stored[MEDSYNC_TILE_SIZE];

	verifier->tile_rows++;
	if (verifier->damaged || verifier->entry_differs)
		return;					/* the entries are to blame */
	if (read_tile(verifier, level, (int64) tile, stored) != MEDSYNC_TILE_SIZE ||
		memcmp(stored, hashes, MEDSYNC_TILE_SIZE) != 0)
		verifier->order_problem =
			MemoryContextStrdup(verifier->context,
								psprintf("Tile " UINT64_FORMAT " of level %d is not the tree's.",
										 tile, level));
}

/* Take the tree's edge at a size from the stored tiles. */
static bool
load_stored_tree(Verifier *verifier, int64 size)
{
	int			level;

	verifier->tree.size = (uint64) size;
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		int			width = medsync_tree_edge_width(size, level);
		uint8		stored[MEDSYNC_TILE_SIZE];

		if (width == 0)
			continue;
		if (read_tile(verifier, level,
					  (int64) medsync_tree_edge_tile(size, level), stored) <
			width * MEDSYNC_HASH_SIZE)
			return false;
		memcpy(verifier->tree.edge[level], stored, width * MEDSYNC_HASH_SIZE);
	}
	return true;
}

/* How many tiles, full and partial, a tree of this size has. */
static int64
tiles_of_size(int64 size)
{
	int64		count = 0;
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		count += (int64) medsync_tree_edge_tile(size, level);
		if (medsync_tree_edge_width(size, level) > 0)
			count++;
	}
	return count;
}

/* ---- blocks ---- */

/* An order row must be stored like this. */
static void
compare_order(void *arg, int64 first_index, const StringInfo runs)
{
	Verifier   *verifier = arg;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		same = false;

	verifier->order_rows++;
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(first_index));
	medsync_scan_begin(&scan, verifier->order_table, "_block_order_pkey",
					   verifier->snapshot, 1, &key);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_order_runs,
										 RelationGetDescr(verifier->order_table),
										 &isnull);
		bytea	   *stored = isnull ? NULL : DatumGetByteaPP(value);

		same = stored != NULL &&
			VARSIZE_ANY_EXHDR(stored) == (size_t) runs->len &&
			memcmp(VARDATA_ANY(stored), runs->data, runs->len) == 0;
	}
	medsync_scan_end(&scan);
	if (!same)
		verifier->order_problem =
			MemoryContextStrdup(verifier->context,
								"The stored order of its entries is not the computed one.");
}

/* A chunk of postings must be stored like this. */
static void
compare_postings(void *arg, char kind, int64 segment, int32 chunk,
				 const StringInfo postings)
{
	Verifier   *verifier = arg;
	MedsyncScan scan;
	ScanKeyData keys[3];
	HeapTuple	tuple;
	bool		same = false;

	verifier->lookup_rows++;
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(kind));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(segment));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(chunk));
	medsync_scan_begin(&scan, verifier->lookup_table, "_lookup_pkey",
					   verifier->snapshot, 3, keys);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_lookup_postings,
										 RelationGetDescr(verifier->lookup_table),
										 &isnull);
		bytea	   *stored = isnull ? NULL : DatumGetByteaPP(value);

		same = stored != NULL &&
			VARSIZE_ANY_EXHDR(stored) == (size_t) postings->len &&
			memcmp(VARDATA_ANY(stored), postings->data, postings->len) == 0;
	}
	medsync_scan_end(&scan);
	if (!same && !verifier->damaged && !verifier->entry_differs)
		report_block(verifier, "block_altered", NULL, NULL,
					 psprintf("The look-ups of segment " INT64_FORMAT " are not the entries'.",
							  segment));
}

/* Remember that an entry is not the one whose hash the tiles have. */
static void
note_difference(Verifier *verifier)
{
	if (!verifier->entry_differs)
		verifier->first_difference = verifier->index;
	verifier->entry_differs = true;
	verifier->differences++;
}

static void
verify_sealed_entry(void *arg, const MedsyncWalkEntry *item)
{
	Verifier   *verifier = arg;
	const MedsyncBlock *block = verifier->block;

	check_entry(verifier, item);
	medsync_order_add(&verifier->order, item->header->xid, item->xact->time,
					  item->entry->ordinal);
	medsync_lookup_add(&verifier->lookup, verifier->index, item->entry);
	if (!verifier->light)
	{
		uint8		leaf[MEDSYNC_LEAF_SIZE];
		uint8		hash[MEDSYNC_HASH_SIZE];
		const uint8 *stored;

		medsync_entry_leaf(&verifier->scratch, verifier->era->id, item->header,
						   item->entry, leaf);
		medsync_merkle_leaf_hash(leaf, sizeof(leaf), hash);
		stored = stored_leaf(verifier, verifier->index);
		if (stored == NULL || memcmp(stored, hash, MEDSYNC_HASH_SIZE) != 0)
			note_difference(verifier);
		if (verifier->index < block->first_index + block->entry_count)
			medsync_tree_append(&verifier->tree, hash, compare_tile, verifier);
	}
	verifier->index++;
	verifier->sealed++;
	if (verifier->index % MEDSYNC_SEGMENT == 0)
		medsync_lookup_finish_segment(&verifier->lookup,
									  verifier->index / MEDSYNC_SEGMENT - 1);
}

/* Block fields against the block before. */
static void
check_block_chain(Verifier *verifier, const MedsyncBlock *previous)
{
	const MedsyncBlock *block = verifier->block;
	static const uint8 no_hash[MEDSYNC_HASH_SIZE] = {0};
	const uint8 *expected = previous ? previous->hash : no_hash;
	int64		height = previous ? previous->height + 1 : 0;
	int64		first = previous ?
		previous->first_index + previous->entry_count : 0;
	uint8		hash[MEDSYNC_HASH_SIZE];

	if (block->height != height)
		report_block(verifier, "block_altered",
					 psprintf(INT64_FORMAT, height),
					 psprintf(INT64_FORMAT, block->height),
					 "A block below is missing.");
	if (block->first_index != first)
		report_block(verifier, "block_altered", psprintf(INT64_FORMAT, first),
					 psprintf(INT64_FORMAT, block->first_index),
					 "The block does not begin where the one below ends.");
	if (memcmp(block->previous_hash, expected, MEDSYNC_HASH_SIZE) != 0)
		report_block(verifier, "block_altered",
					 medsync_verify_hex(expected, MEDSYNC_HASH_SIZE),
					 medsync_verify_hex(block->previous_hash, MEDSYNC_HASH_SIZE),
					 "The block does not stand on the one below.");
	if (previous != NULL && block->sealed_at < previous->sealed_at)
		report_block(verifier, "block_altered", NULL, NULL,
					 "The block is older than the one below.");
	medsync_block_hash(verifier->ledger_id, verifier->ledger_created_at,
					   verifier->era->id, block, hash);
	if (memcmp(block->hash, hash, MEDSYNC_HASH_SIZE) != 0)
		report_block(verifier, "block_altered",
					 medsync_verify_hex(block->hash, MEDSYNC_HASH_SIZE),
					 medsync_verify_hex(hash, MEDSYNC_HASH_SIZE),
					 "The block's fields do not give its hash.");
}

/*
 * After the entries of a block: are they as many, and the same, as when it
 * was made?  Where they are not, the tree goes on from the stored tiles, so
 * that one altered entry is one finding.
 */
static void
check_block_entries(Verifier *verifier)
{
	const MedsyncBlock *block = verifier->block;
	int64		count = verifier->index - block->first_index;
	int64		end = block->first_index + block->entry_count;
	uint8		root[MEDSYNC_HASH_SIZE];
	bool		root_holds = true;
	FindingPlace place = block_place(verifier);

	if (!verifier->light)
	{
		medsync_tree_root(&verifier->tree, root);
		root_holds = verifier->tree.size == (uint64) end &&
			memcmp(root, block->root, MEDSYNC_HASH_SIZE) == 0;
	}
	place.index = verifier->entry_differs ? verifier->first_difference : -1;
	if (count != block->entry_count)
	{
		verifier->damaged = true;
		medsync_verify_report(verifier, "error",
							  count < block->entry_count ? "entry_missing" : "entry_extra",
							  place, psprintf(INT64_FORMAT, block->entry_count),
							  psprintf(INT64_FORMAT, count),
							  "The block's entries are not as many as it says.");
	}
	else if (!root_holds && verifier->entry_differs)
	{
		verifier->damaged = true;
		medsync_verify_report(verifier, "error", "entry_altered", place,
							  medsync_verify_hex(block->root, MEDSYNC_HASH_SIZE),
							  medsync_verify_hex(root, MEDSYNC_HASH_SIZE),
							  psprintf(INT64_FORMAT " entries of the block, from this one on, are not those that were sealed.",
									   verifier->differences));
	}
	else if (!root_holds)
		report_block(verifier, "block_altered",
					 medsync_verify_hex(block->root, MEDSYNC_HASH_SIZE),
					 medsync_verify_hex(root, MEDSYNC_HASH_SIZE),
					 "The block's root is not that of its entries.");
	else if (verifier->entry_differs)
	{
		verifier->order_problem = NULL;
		report_block(verifier, "block_altered", NULL, NULL,
					 "A tile of the tree was changed.");
	}
	if (verifier->order_problem != NULL && root_holds &&
		count == block->entry_count)
		report_block(verifier, "block_altered", NULL, NULL,
					 verifier->order_problem);
	if (!root_holds || count != block->entry_count)
		(void) load_stored_tree(verifier, end);
	verifier->index = end;
}

/* Read and check one block. */
static void
verify_block(Verifier *verifier, const MedsyncBlock *previous, List **lines)
{
	MedsyncBlock *block = verifier->block;
	MedsyncWalk *walk = &verifier->walk;
	MedsyncLine *line;
	MedsyncXact *own;
	const MedsyncXidSet *since = NULL;
	uint64		skip = 0;
	int64		i;

	verifier->blocks++;
	verifier->era = medsync_era_by_number(walk->eras, block->era);
	if (verifier->era == NULL)
	{
		report_block(verifier, "block_altered", NULL, NULL,
					 psprintf("Its era %d is not in the list of eras.",
							  block->era));
		return;
	}
	check_block_chain(verifier, previous);
	verifier->light = block->first_index + block->entry_count <= verifier->since;
	verifier->index = block->first_index;
	verifier->entry_differs = false;
	verifier->differences = 0;
	verifier->order_problem = NULL;
	if (!verifier->light && verifier->tree.size != (uint64) block->first_index &&
		!load_stored_tree(verifier, block->first_index))
		report_block(verifier, "block_altered", NULL, NULL,
					 "A tile below the block is missing.");

	line = medsync_line_of(*lines, verifier->era);
	if (line != NULL && !medsync_line_same_call(line, block))
	{
		since = &line->last;
		skip = line->last_sealer;
	}
	else if (line != NULL && line->has_before)
	{
		since = &line->before;
		skip = line->before_sealer;
	}
	walk->xact_count = 0;
	medsync_walk_gather(walk, verifier->era, since, &block->xids, skip);
	medsync_walk_sort(walk);
	medsync_order_begin(&verifier->order, block->first_index, compare_order,
						verifier);
	for (i = 0; i < walk->xact_count; i++)
	{
		if (walk->xacts[i].era != verifier->era)
			continue;
		verifier->journal_rows += walk->xacts[i].rows;
		medsync_walk_emit(walk, &walk->xacts[i], verify_sealed_entry, verifier);
	}
	/* what is finished is another line's transaction of that number */
	own = NULL;
	if (!medsync_xid_finished(&block->xids, block->sealer_xid) &&
		(since == NULL || !medsync_xid_finished(since, block->sealer_xid)))
		own = medsync_walk_find_xact(walk, block->sealer_xid, verifier->era);
	if (own != NULL)
	{
		verifier->journal_rows += own->rows;
		medsync_walk_emit(walk, own, verify_sealed_entry, verifier);
	}
	medsync_order_end(&verifier->order);
	check_block_entries(verifier);
	*lines = medsync_line_advance(*lines, verifier->era, block);
}

static void
verify_unsealed_entry(void *arg, const MedsyncWalkEntry *item)
{
	Verifier   *verifier = arg;

	verifier->unsealed++;
	verifier->oldest_unsealed = Min(verifier->oldest_unsealed,
									item->xact->time);
	check_entry(verifier, item);
}

/* Check what no block holds yet. */
static void
verify_unsealed(Verifier *verifier, List *lines)
{
	MedsyncWalk *walk = &verifier->walk;
	int64		i;

	verifier->block = NULL;
	verifier->light = false;
	walk->xact_count = 0;
	medsync_walk_gather_unsealed(walk, lines, &verifier->here);
	medsync_walk_sort(walk);
	medsync_walk_gather_own(walk);
	for (i = 0; i < walk->xact_count; i++)
	{
		verifier->journal_rows += walk->xacts[i].rows;
		verifier->era = walk->xacts[i].era;
		medsync_walk_emit(walk, &walk->xacts[i], verify_unsealed_entry,
						  verifier);
	}
}

/* How many rows of one of our tables the caller sees. */
static int64
count_rows(Verifier *verifier, const char *name)
{
	Relation	heap = medsync_open(name, AccessShareLock);
	MedsyncScan scan;
	int64		count = 0;

	medsync_scan_begin(&scan, heap, NULL, verifier->snapshot, 0, NULL);
	scan.own_changes = true;
	while (medsync_scan_next(&scan) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		count++;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return count;
}

static void
compare_count(Verifier *verifier, const char *name, int64 expected,
			  const char *verdict_more, const char *verdict_less)
{
	int64		found = count_rows(verifier, name);

	if (found != expected)
		medsync_verify_report(verifier, "error",
							  found > expected ? verdict_more : verdict_less,
							  NO_PLACE, psprintf(INT64_FORMAT, expected),
							  psprintf(INT64_FORMAT, found),
							  psprintf("Table %s.%s has rows that the ledger does not account for, or lacks some.",
									   MEDSYNC_SCHEMA, name));
}

/* Nothing may stand in our tables that no block and no entry accounts for. */
static void
check_counts(Verifier *verifier)
{
	int64		size = verifier->sealed;
	uint8		stored[MEDSYNC_TILE_SIZE];
	int			level;

	compare_count(verifier, "_journal", verifier->journal_rows,
				  "entry_extra", "entry_missing");
	if (verifier->damaged)
		return;
	compare_count(verifier, "_block_order", verifier->order_rows,
				  "truncated", "block_altered");
	compare_count(verifier, "_lookup", verifier->lookup_rows,
				  "truncated", "block_altered");
	compare_count(verifier, "_tile", tiles_of_size(size), "truncated",
				  "block_altered");
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		int			width = medsync_tree_edge_width(size, level);
		int			len;

		if (width == 0)
			continue;
		len = read_tile(verifier, level,
						(int64) medsync_tree_edge_tile(size, level), stored);
		if (len > width * MEDSYNC_HASH_SIZE)
			report_ledger(verifier, "truncated",
						  "The tree has more leaves than the last block.");
		else if (len < width * MEDSYNC_HASH_SIZE ||
				 (verifier->tree.size == (uint64) size &&
				  memcmp(stored, verifier->tree.edge[level], len) != 0))
			report_ledger(verifier, "block_altered",
						  psprintf("The last tile of level %d is not the tree's.",
								   level));
	}
	if (verifier->keys_open && !verifier->scoped && verifier->since == 0)
		compare_count(verifier, "_image", verifier->image_rows,
					  "entry_extra", "image_altered");
	compare_count(verifier, "_manifest", verifier->manifest_rows,
				  "entry_extra", "entry_missing");
}

/* The list of eras must follow from what each stands for. */
static void
check_eras(Verifier *verifier)
{
	Relation	heap = medsync_open("_era", AccessShareLock);
	int			stored = 0;
	int			readable = 0;
	MedsyncScan scan;
	HeapTuple	tuple;
	ListCell   *cell;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		int			nulls = 0;
		int			i;

		for (i = 3; i <= 5; i++)
			if (heap_attisnull(tuple, i, RelationGetDescr(heap)))
				nulls++;
		if (nulls != 0 && nulls != 3)
			report_ledger(verifier, "block_altered",
						  "An era is described in part only.");
		stored++;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);

	foreach(cell, verifier->walk.eras)
	{
		MedsyncEra	era = *(MedsyncEra *) lfirst(cell);

		readable++;
		if (!era.known)
			continue;
		medsync_era_compute_id(verifier->ledger_id, &era);
		if (memcmp(era.id, ((MedsyncEra *) lfirst(cell))->id, MEDSYNC_ID_SIZE) != 0)
			report_ledger(verifier, "block_altered",
						  psprintf("Era %d is not what its id stands for.",
								   era.number));
	}
	if (readable < stored)
		report_ledger(verifier, "block_altered", "An era cannot be read.");
}

/* ---- the run ---- */

static void
report_damage(void *arg, uint64 xid, const char *what)
{
	Verifier   *verifier = arg;

	verifier->damaged = true;
	medsync_verify_report(verifier, "error", "entry_altered",
						  block_place(verifier), NULL, NULL,
						  psprintf("A packed row of transaction " UINT64_FORMAT " cannot be read. %s",
								   xid, what));
}

static void
report_key(void *arg, MedsyncKeyStatus status, const char *what)
{
	Verifier   *verifier = arg;

	medsync_verify_report(verifier, "error", "key_missing", NO_PLACE, NULL,
						  NULL, psprintf("%s: %s", what,
										 medsync_vault_status_text(status)));
}

/* All blocks in order, then what is unsealed. */
static void
verify_entries(void *arg)
{
	Verifier   *verifier = arg;
	Relation	heap = medsync_open("_block", AccessShareLock);
	MedsyncBlock *previous = NULL;
	List	   *lines = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;
	int64		size = 0;

	medsync_scan_begin(&scan, heap, "_block_pkey", verifier->snapshot, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncBlock *block = palloc(sizeof(MedsyncBlock));

		verifier->block = block;
		if (!medsync_block_read(tuple, RelationGetDescr(heap), block))
		{
			report_block(verifier, "block_altered", NULL, NULL,
						 "The block is malformed.");
			continue;
		}
		verify_block(verifier, previous, &lines);
		/* the line keeps the parsed snapshot; its text is not needed again */
		pfree(block->snapshot);
		if (previous != NULL)
			pfree(previous);
		previous = block;
		size = block->first_index + block->entry_count;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	if (verifier->since > size)
		medsync_verify_report(verifier, "error", "truncated", NO_PLACE,
							  psprintf(INT64_FORMAT, verifier->since),
							  psprintf(INT64_FORMAT, size),
							  "The ledger is shorter than it was.");
	verify_unsealed(verifier, lines);
	check_counts(verifier);
	check_eras(verifier);
}

/*
 * Is this error no finding?  A cancel is none, nor is want of memory or
 * space.  A cancel is known by where it was raised: a function that a
 * table's owner brought can imitate its SQLSTATE.
 */
static bool
is_no_finding(const ErrorData *error)
{
	const char *funcname = error->funcname ? error->funcname : "";

	return strcmp(funcname, "ProcessInterrupts") == 0 ||
		(ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES &&
		 strcmp(funcname, "exec_stmt_raise") != 0);
}

/*
 * Do some work in a subtransaction.  Returns NULL, or the message of the
 * error that ended it, so that reading damage is a finding.
 */
char *
medsync_verify_try(void (*work) (void *arg), void *arg)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	char	   *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		if (is_no_finding(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
		message = error->message ? error->message : "unknown error";
	}
	PG_END_TRY();
	return message;
}

/* Run a part; an error while reading becomes a finding. */
static void
run_part(Verifier *verifier, void (*part) (void *), const char *what)
{
	char	   *message = medsync_verify_try(part, verifier);

	if (message == NULL)
		return;
	verifier->damaged = true;
	report_ledger(verifier, "block_altered",
				  psprintf("%s could not be read: %s", what, message));
}

/* Which table numbers a named relation and its partitions have. */
static void
set_scope(Verifier *verifier, Oid relid)
{
	ListCell   *cell;

	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	verifier->scoped = true;
	foreach(cell, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(cell), NoLock);
		MedsyncTable *table =
			medsync_table_by_name(get_namespace_name(RelationGetNamespace(rel)),
								  RelationGetRelationName(rel), false);

		if (table == NULL && lfirst_oid(cell) == relid)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_NOT_TRACKED),
					 errmsg("table \"%s\" is not tracked",
							RelationGetRelationName(rel)),
					 errhint("Call medsync.track() to enter it into the ledger.")));
		if (table != NULL)
			medsync_verify_table(verifier, table->number)->in_scope = true;
		table_close(rel, NoLock);
	}
}

static void
load_tables(Verifier *verifier)
{
	int			malformed = 0;
	ListCell   *cell;

	foreach(cell, medsync_tables(SnapshotSelf, &malformed))
	{
		MedsyncTable *row = lfirst(cell);
		VerifiedTable *table = medsync_verify_table(verifier, row->number);

		table->has_row = true;
		table->row = *row;
		table->name = quote_qualified_identifier(row->schema_name,
												 row->table_name);
	}
	if (malformed > 0)
		report_ledger(verifier, "entry_altered",
					  "The ledger's list of tables has a malformed row.");
}

/* Can the ledger's own secret be read?  Without it only hashes are checked. */
static void
open_keys(Verifier *verifier)
{
	MedsyncKeyStatus status;
	uint8		seed_key[MEDSYNC_KEY_SIZE];

	verifier->keys = medsync_key_reader_create(verifier->context);
	status = medsync_key_reader_root_key(verifier->keys, "seal", seed_key);
	verifier->keys_open = status == MEDSYNC_KEY_OK;
	if (!verifier->keys_open)
	{
		medsync_verify_report(verifier, "error", "key_missing", NO_PLACE, NULL,
							  NULL, medsync_vault_status_text(status));
		return;
	}
	medsync_hmac_key(&verifier->seed_key, seed_key, sizeof(seed_key));
	medsync_cleanse(seed_key, sizeof(seed_key));
	if (!verifier->scoped)
		medsync_key_reader_check_all(verifier->keys, report_key, verifier);
}

static HTAB *
create_hash(Verifier *verifier, const char *name, Size key, Size entry)
{
	HASHCTL		ctl = {.keysize = key,.entrysize = entry};

	ctl.hcxt = verifier->context;
	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* An upper guess of how many commitments there are to sum. */
static int64
guess_size(Verifier *verifier)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	int64		size = 0;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_block_pkey", verifier->snapshot, 0, NULL);
	scan.direction = BackwardScanDirection;
	while (size == 0 && (tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncBlock block;

		if (medsync_block_read(tuple, RelationGetDescr(heap), &block))
			size = block.first_index + block.entry_count;
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return 2 * Max(size, 0);
}

static void
prepare_run(Verifier *verifier)
{
	verifier->tile_table = medsync_open("_tile", AccessShareLock);
	verifier->order_table = medsync_open("_block_order", AccessShareLock);
	verifier->lookup_table = medsync_open("_lookup", AccessShareLock);
	initStringInfo(&verifier->scratch);
	initStringInfo(&verifier->image);
	initStringInfo(&verifier->message);
	medsync_tree_init(&verifier->tree);
	verifier->stored_leaf_tile = -1;
	verifier->oldest_unsealed = DT_NOEND;
	medsync_walk_open(&verifier->walk, verifier->snapshot);
	verifier->walk.damage = report_damage;
	verifier->walk.damage_arg = verifier;
	medsync_lookup_begin(&verifier->lookup, 0, compare_postings, verifier);
	verifier->balance = medsync_balance_create(guess_size(verifier));
}

/* Say what waits for the sealer, and whether it has waited too long. */
static void
report_unsealed(Verifier *verifier)
{
	if (verifier->unsealed == 0)
		return;
	medsync_verify_report(verifier, "notice", "unsealed", NO_PLACE, NULL,
						  psprintf(INT64_FORMAT, verifier->unsealed),
						  "Entries that no block holds yet.");
	if (GetCurrentTimestamp() - verifier->oldest_unsealed >
		(int64) medsync_stale_after * USECS_PER_SEC)
		medsync_verify_report(verifier, "warning", "stale", NO_PLACE, NULL,
							  timestamptz_to_str(verifier->oldest_unsealed),
							  "Entries have waited longer than medsync.stale_after for a block.");
}

static void
check_not_in_trigger(void)
{
	if (DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot verify inside a trigger"),
				 errdetail("The statement's changes are not all recorded yet.")));
}

/*
 * Have our tables the columns that they must have?  One that has not is never
 * read, but told here; false if nothing can be read without it.
 */
static bool
check_shapes(Verifier *verifier)
{
	bool		holds = true;
	const MedsyncShape *shape;
	int			i;

	for (i = 0; (shape = medsync_shape(i)) != NULL; i++)
	{
		Oid			relid = medsync_relation_oid(shape->table);
		Relation	heap = OidIsValid(relid) ?
			try_table_open(relid, AccessShareLock) : NULL;

		if (heap == NULL)
			continue;
		if (!medsync_shape_holds(shape, heap))
		{
			FindingPlace place = NO_PLACE;

			place.relation = quote_qualified_identifier(MEDSYNC_SCHEMA,
														shape->table);
			medsync_verify_report(verifier, "error", "altered", place, NULL,
								  NULL, "The table does not have its original columns.");
			if (shape->needed)
				holds = false;
		}
		table_close(heap, AccessShareLock);
	}
	return holds;
}

/* The whole of verify; a NULL result only counts. */
static Verifier *
run_verify(FunctionCallInfo fcinfo, ReturnSetInfo *result)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync verify",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Verifier   *verifier = palloc0(sizeof(Verifier));
	bool		readable;
	bool		exists;
	int			malformed = 0;
	int			i;

	check_not_in_trigger();
	verifier->context = context;
	verifier->result = result;
	verifier->tables = create_hash(verifier, "medsync verified tables",
								   sizeof(uint32), sizeof(VerifiedTable));
	verifier->missing_keys = create_hash(verifier, "medsync missing keys",
										 MEDSYNC_ID_SIZE, MEDSYNC_ID_SIZE);
	verifier->snapshot = RegisterSnapshot(medsync_walk_snapshot());
	if (!PG_ARGISNULL(1))
		verifier->since = PG_GETARG_INT64(1);
	if (verifier->since < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since_size must not be negative")));
	readable = check_shapes(verifier);
	if (readable && !PG_ARGISNULL(0))
		set_scope(verifier, PG_GETARG_OID(0));
	exists = readable && medsync_ledger_read(verifier->ledger_id,
											 &verifier->ledger_created_at);
	medsync_era_current(verifier->ledger_id, &verifier->here);
	if (readable &&
		(exists || count_rows(verifier, "_block") > 0 ||
		 medsync_tables(SnapshotSelf, &malformed) != NIL ||
		 count_rows(verifier, "_journal") > 0))
	{
		if (!exists)
			report_ledger(verifier, "block_altered",
						  "The ledger's identity is missing.");
		else if (count_rows(verifier, "_ledger") > 1)
			report_ledger(verifier, "block_altered",
						  "The ledger has more than one identity.");
		load_tables(verifier);
		open_keys(verifier);
		prepare_run(verifier);
		run_part(verifier, verify_entries, "The ledger");
		if (verifier->keys_open)
		{
			run_part(verifier, medsync_verify_live_tables, "A table");
			run_part(verifier, medsync_verify_balance, "A table");
		}
		report_unsealed(verifier);
		for (i = 0; i < later_part_count; i++)
			run_part(verifier, later_parts[i]->finish, later_parts[i]->what);
		medsync_balance_free(verifier->balance);
		medsync_walk_close(&verifier->walk);
		table_close(verifier->tile_table, AccessShareLock);
		table_close(verifier->order_table, AccessShareLock);
		table_close(verifier->lookup_table, AccessShareLock);
		pgstat_report_activity(STATE_RUNNING, debug_query_string);
	}
	run_part(verifier, medsync_verify_guards, "The catalog");
	UnregisterSnapshot(verifier->snapshot);
	MemoryContextSwitchTo(oldcontext);
	return verifier;
}

/* medsync.verify() */
Datum
medsync_verify(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	MemoryContextDelete(run_verify(fcinfo,
								   (ReturnSetInfo *) fcinfo->resultinfo)->context);
	return (Datum) 0;
}

/* medsync.verify_summary() */
Datum
medsync_verify_summary(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[8];
	bool		isnull[8] = {0};
	Verifier   *verifier;
	instr_time	start;
	instr_time	duration;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	INSTR_TIME_SET_CURRENT(start);
	verifier = run_verify(fcinfo, NULL);
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	values[0] = Int64GetDatum(verifier->sealed + verifier->unsealed);
	values[1] = Int64GetDatum(verifier->blocks);
	values[2] = Int64GetDatum(verifier->tables_checked);
	values[3] = Int64GetDatum(verifier->rows);
	values[4] = Int64GetDatum(verifier->unsealed);
	values[5] = Int64GetDatum(verifier->errors);
	values[6] = Int64GetDatum(verifier->warnings);
	values[7] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(duration));
	MemoryContextDelete(verifier->context);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, isnull)));
}
