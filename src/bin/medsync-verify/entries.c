/*-------------------------------------------------------------------------
 *
 * entries.c
 *		Mode entries: the private export; the stream of its records.
 *
 * A private export holds the entries themselves, with their salts, the
 * blocks and all else that recomputing them needs.  The same records come
 * from a server in mode live, which feeds them to the same functions.
 *
 * Each entry's leaf is computed.  With a public export that holds, the leaf
 * must be the one that stands there, and the tree goes on from that, so that
 * one altered entry is one finding.  Without one the leaves themselves make
 * the tree.  Tiles are read a second time for this, and need not be what they
 * were when the log was checked: the tree must have the log's signed root at
 * its size, whatever it was made of.  The root is compared at the end of each block, at the size of
 * each signed checkpoint and at that of the remembered one.
 *
 * Memory: 64 kB of tree, the largest record, what chain.c needs, about 150 bytes
 * a manifest, and 40 bytes for each of the last 4 million blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "chain.h"
#include "common/keywords.h"
#include "datatype/timestamp.h"
#include "ledger/manifest_text.h"

#define STREAM_MAGIC		"medsync-entries v1\n"
#define RECORD_HEADER_SIZE	5	/* u8 type, u32 length */
#define MANIFESTS_MAX		(4 * 1024 * 1024)
#define ROOTS_KEPT			(4 * 1024 * 1024)
#define READ_BUFFER_SIZE	(1024 * 1024)

/* seconds from 1970 to 2000, where the ledger's times begin */
#define EPOCH_OFFSET		INT64CONST(946684800)

/* A manifest as its record has it */
typedef struct Manifest
{
	uint32		table;
	uint32		version;
	uint8		digest[MEDSYNC_HASH_SIZE];
	bool		announced;		/* a ddl entry named it */
	char	   *name;			/* of the table; NULL: it cannot be read */
} Manifest;

/* A table number, as far as it is known */
typedef struct Table
{
	uint32		number;
	uint32		last_version;	/* announced by an entry; 0: none */
	const char *name;			/* by its newest manifest; NULL: not known */
} Table;

/* The root that the tree had at the end of a block */
typedef struct KeptRoot
{
	uint64		size;
	uint8		root[MEDSYNC_HASH_SIZE];
} KeptRoot;

/* What may come next */
typedef enum StreamPhase
{
	AT_START,					/* 'L' */
	IN_LISTS,					/* eras and manifests */
	IN_BLOCKS,
	IN_UNSEALED,
	AT_END						/* after 'Z' */
} StreamPhase;

struct MedsyncStream
{
	const MedsyncOptions *options;
	MedsyncLog *log;			/* NULL: none */
	bool		log_leaves;		/* the log holds: its leaves are right */
	MedsyncStreamCallbacks callbacks;
	StreamPhase phase;
	MedsyncChain chain;
	uint64		from;			/* index of the first entry */
	uint64		size;			/* index behind the last, as 'L' says */
	uint64		records;		/* 'E' records so far */

	Manifest   *manifests;		/* by table and version */
	int			manifest_count;
	int			manifest_capacity;
	Table	   *tables;			/* by number, once the lists end */
	int			table_count;

	MedsyncTree tree;
	bool		tree_lost;		/* leaves are missing: no roots any more */
	bool		root_differs;	/* the block before had another root */
	KeptRoot   *roots;			/* grows, and then is a ring */
	uint64		root_capacity;
	uint64		root_count;		/* kept so far, also those overwritten */
	MedsyncRemembered known[MEDSYNC_REMEMBERED_MAX];
	int			known_count;
	bool		known_differs[MEDSYNC_REMEMBERED_MAX];	/* another root there */
	uint8		known_found[MEDSYNC_REMEMBERED_MAX][MEDSYNC_HASH_SIZE];
	bool		log_compared;	/* the tree had the log's size */
	bool		log_differs;	/* and another root than was signed */
	bool		signed_root_holds;	/* that of the stream's own checkpoint */

	/* the block being read */
	int64		count;			/* entries so far */
	int64		differences;	/* entries that are not those of the log */
	int64		first_difference;
	uint8		expected_leaf[MEDSYNC_HASH_SIZE];	/* of the first */
	uint8		found_leaf[MEDSYNC_HASH_SIZE];

	uint8		leaves[MEDSYNC_TILE_SIZE];	/* a tile of the log */
	uint64		leaves_tile;
	int			leaves_width;	/* 0: none was read */

	bool		unsealed_reported;
	int64		oldest_unsealed;	/* flush time; PG_INT64_MAX: none */
	char	   *note;			/* of 'C'; NULL: none */
	size_t		note_len;
};

/* ---- findings ---- */

static bool
report_malformed(MedsyncStream *stream, const char *what)
{
	medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
						   medsync_chain_place(&stream->chain, -1), NULL, NULL,
						   "The stream is malformed after " UINT64_FORMAT " entries: %s.",
						   stream->records, what);
	return false;
}

static Table *
find_table(MedsyncStream *stream, uint32 number)
{
	int			low = 0;
	int			high = stream->table_count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (stream->tables[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < stream->table_count && stream->tables[low].number == number ?
		&stream->tables[low] : NULL;
}

/* How findings show a table. */
const char *
medsync_stream_table_name(MedsyncStream *stream, uint32 number)
{
	Table	   *table = find_table(stream, number);

	if (number == 0)
		return NULL;
	return table != NULL && table->name != NULL ? table->name :
		psprintf("table number %u", number);
}

const uint8 *
medsync_stream_ledger_id(const MedsyncStream *stream)
{
	return stream->chain.ledger_id;
}

static MedsyncPlace
entry_place(MedsyncStream *stream, const MedsyncStreamEntry *item)
{
	MedsyncPlace place = medsync_chain_place(&stream->chain, item->index);

	place.relation = medsync_stream_table_name(stream, item->entry->table);
	return place;
}

/* ---- the lists before the blocks ---- */

/* 'L' */
static bool
read_ledger(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	MedsyncChain *chain = &stream->chain;
	MedsyncReader reader;
	const uint8 *id;

	medsync_wire_open(&reader, payload, len);
	id = medsync_wire_get_bytes(&reader, MEDSYNC_ID_SIZE);
	chain->created_at = (int64) medsync_wire_get_u64(&reader);
	stream->from = medsync_wire_get_u64(&reader);
	stream->size = medsync_wire_get_u64(&reader);
	if (reader.failed || MEDSYNC_WIRE_LEFT(&reader) != 0 ||
		stream->from > stream->size || stream->size > (uint64) PG_INT64_MAX)
		return report_malformed(stream, "its ledger record makes no sense");
	if (stream->from > 0 &&
		(stream->log == NULL || stream->from > stream->log->checkpoint.size))
		medsync_cannot_check("the entries begin with number " UINT64_FORMAT ", and the log does not reach as far",
							 stream->from);
	memcpy(chain->ledger_id, id, MEDSYNC_ID_SIZE);
	chain->whole = stream->from == 0;
	chain->last_end = (int64) stream->from;
	stream->phase = IN_LISTS;
	return true;
}

/* 'A' */
static bool
read_era(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	MedsyncReader reader;
	MedsyncEra	era = {0};
	const uint8 *id;
	uint8		known;

	medsync_wire_open(&reader, payload, len);
	era.number = medsync_wire_get_u32(&reader);
	id = medsync_wire_get_bytes(&reader, MEDSYNC_ID_SIZE);
	known = medsync_wire_get_u8(&reader);
	era.system_identifier = medsync_wire_get_u64(&reader);
	era.timeline = medsync_wire_get_u32(&reader);
	era.database = medsync_wire_get_u32(&reader);
	if (reader.failed || MEDSYNC_WIRE_LEFT(&reader) != 0 || known > 1 ||
		(known == 0 && (era.system_identifier != 0 || era.timeline != 0 ||
						era.database != 0)))
		return report_malformed(stream, "a record of an era makes no sense");
	memcpy(era.id, id, MEDSYNC_ID_SIZE);
	era.known = known == 1;
	if (!medsync_chain_add_era(&stream->chain, &era))
		return report_malformed(stream, "eras do not ascend, or are too many");
	return true;
}

/* An identifier as SQL would write it. */
static void
append_identifier(StringInfo buf, const char *name)
{
	const char *p;
	bool		plain = (*name >= 'a' && *name <= 'z') || *name == '_';

	for (p = name; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
			  *p == '_'))
			plain = false;
	if (plain)
	{
		int			keyword = ScanKeywordLookup(name, &ScanKeywords);

		plain = keyword < 0 ||
			ScanKeywordCategories[keyword] == UNRESERVED_KEYWORD;
	}
	if (plain)
	{
		appendStringInfoString(buf, name);
		return;
	}
	appendStringInfoChar(buf, '"');
	for (p = name; *p; p++)
	{
		if (*p == '"')
			appendStringInfoChar(buf, '"');
		appendStringInfoChar(buf, *p);
	}
	appendStringInfoChar(buf, '"');
}

/* The table's name in a manifest; NULL where the text is not that manifest. */
static char *
name_in_manifest(const Manifest *manifest, const char *content, size_t len)
{
	MedsyncManifest *parsed = medsync_manifest_read(content, len);
	char	   *name = NULL;

	if (parsed == NULL)
		return NULL;
	if (parsed->table == manifest->table &&
		parsed->version == manifest->version)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		append_identifier(&buf, parsed->schema_name);
		appendStringInfoChar(&buf, '.');
		append_identifier(&buf, parsed->table_name);
		name = pg_strdup(buf.data);
		pfree(buf.data);
	}
	medsync_manifest_free(parsed);
	return name;
}

static int
compare_manifests(const void *a, const void *b)
{
	const Manifest *x = a;
	const Manifest *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	return x->version < y->version ? -1 : x->version > y->version ? 1 : 0;
}

/* 'M' */
static bool
read_manifest(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	MedsyncReader reader;
	Manifest   *manifest;
	const char *content;

	if (stream->manifest_count == MANIFESTS_MAX)
		return report_malformed(stream, "it has too many manifests");
	if (stream->manifest_count == stream->manifest_capacity)
	{
		stream->manifest_capacity = Max(64, stream->manifest_capacity * 2);
		stream->manifests = pg_realloc(stream->manifests, sizeof(Manifest) *
									   stream->manifest_capacity);
	}
	manifest = &stream->manifests[stream->manifest_count];
	memset(manifest, 0, sizeof(*manifest));
	medsync_wire_open(&reader, payload, len);
	manifest->table = medsync_wire_get_u32(&reader);
	manifest->version = medsync_wire_get_u32(&reader);
	if (reader.failed || manifest->table == 0 || manifest->version == 0)
		return report_malformed(stream, "a record of a manifest makes no sense");
	if (stream->manifest_count > 0 &&
		compare_manifests(manifest - 1, manifest) >= 0)
		return report_malformed(stream, "manifests do not ascend");
	content = (const char *) reader.next;
	medsync_sha256(content, MEDSYNC_WIRE_LEFT(&reader), manifest->digest);
	manifest->name = name_in_manifest(manifest, content,
									  MEDSYNC_WIRE_LEFT(&reader));
	stream->manifest_count++;
	medsync_rules_manifest(&stream->chain.rules, manifest->table,
						   manifest->version, content,
						   MEDSYNC_WIRE_LEFT(&reader));
	if (stream->callbacks.manifest != NULL)
		stream->callbacks.manifest(stream->callbacks.arg, manifest->table,
								   manifest->version, content,
								   MEDSYNC_WIRE_LEFT(&reader));
	return true;
}

/* The lists are complete: make that of the tables. */
static void
end_lists(MedsyncStream *stream)
{
	int			i;

	stream->tables = pg_malloc0(sizeof(Table) * (stream->manifest_count + 1));
	for (i = 0; i < stream->manifest_count; i++)
	{
		const Manifest *manifest = &stream->manifests[i];

		if (i == 0 || manifest[-1].table != manifest->table)
			stream->tables[stream->table_count++].number = manifest->table;
	}
}

static Manifest *
find_manifest(MedsyncStream *stream, uint32 table, uint32 version)
{
	Manifest	key = {0};

	key.table = table;
	key.version = version;
	return stream->manifest_count == 0 ? NULL :
		bsearch(&key, stream->manifests, stream->manifest_count,
				sizeof(Manifest), compare_manifests);
}

/* ---- the tree ---- */

static void
no_sink(void *arg, int level, uint64 tile, const uint8 *hashes)
{
}

/* The tiles are not those any more that the log's root vouched for. */
static void
report_log_changed(MedsyncStream *stream)
{
	medsync_cannot_check("\"%s\" changed while it was read",
						 stream->log->directory);
}

/* The leaf hash that the log has at an index; NULL: it has none. */
static const uint8 *
log_leaf(MedsyncStream *stream, uint64 index)
{
	uint64		tile = index / MEDSYNC_TILE_WIDTH;
	int			place = (int) (index % MEDSYNC_TILE_WIDTH);
	uint64		size = stream->log->checkpoint.size;

	if (index >= size)
		return NULL;
	if (stream->leaves_width == 0 || stream->leaves_tile != tile)
	{
		stream->leaves_tile = tile;
		stream->leaves_width = (int) Min(size - tile * MEDSYNC_TILE_WIDTH,
										 MEDSYNC_TILE_WIDTH);
		if (!stream->log->tiles.fetch(stream->log, 0, tile,
									  stream->leaves_width, stream->leaves))
			report_log_changed(stream);
	}
	return stream->leaves + place * MEDSYNC_HASH_SIZE;
}

/* Compare the tree where its size is that of a checkpoint we know. */
static void
compare_known_root(MedsyncStream *stream)
{
	const MedsyncLog *log = stream->log;
	uint8		root[MEDSYNC_HASH_SIZE];
	int			i;

	for (i = 0; i < stream->known_count; i++)
	{
		const MedsyncRemembered *known = &stream->known[i];

		if (stream->tree.size != known->size)
			continue;
		medsync_tree_root(&stream->tree, stream->known_found[i]);
		stream->known_differs[i] = memcmp(stream->known_found[i], known->root,
										  MEDSYNC_HASH_SIZE) != 0;
	}
	if (log != NULL && stream->tree.size == log->checkpoint.size)
	{
		medsync_tree_root(&stream->tree, root);
		stream->log_compared = true;
		stream->log_differs = memcmp(root, log->checkpoint.root,
									 MEDSYNC_HASH_SIZE) != 0;
		if (stream->log_differs && stream->log_leaves)
			report_log_changed(stream);
	}
}

/* Go to where a block begins or ends, as far as the log reaches. */
static void
seek_tree(MedsyncStream *stream, uint64 size)
{
	if (stream->tree.size == size)
		return;
	stream->tree_lost = stream->log == NULL ||
		size > stream->log->checkpoint.size ||
		!medsync_log_edges(stream->log, size, &stream->tree);
	stream->tree.size = size;
	if (!stream->tree_lost)
		compare_known_root(stream);
}

static void
append_leaf(MedsyncStream *stream, const uint8 *leaf_hash)
{
	medsync_tree_append(&stream->tree, leaf_hash, no_sink, NULL);
	if (!stream->tree_lost)
		compare_known_root(stream);
}

static void
keep_root(MedsyncStream *stream, const uint8 *root)
{
	KeptRoot   *kept;

	if (stream->root_count == stream->root_capacity &&
		stream->root_capacity < ROOTS_KEPT)
	{
		stream->root_capacity = Max(1024, stream->root_capacity * 2);
		stream->roots = pg_realloc(stream->roots, sizeof(KeptRoot) *
								   stream->root_capacity);
	}
	kept = &stream->roots[stream->root_count++ % stream->root_capacity];
	kept->size = stream->tree.size;
	memcpy(kept->root, root, MEDSYNC_HASH_SIZE);
}

/* The root at a size where a block ended; NULL where it is not kept. */
static const uint8 *
kept_root(const MedsyncStream *stream, uint64 size)
{
	uint64		i;

	for (i = 0; i < Min(stream->root_count, ROOTS_KEPT); i++)
		if (stream->roots[i].size == size)
			return stream->roots[i].root;
	return NULL;
}

/* ---- entries ---- */

/* The text of an entry's manifest must be what the entry announced. */
static void
check_manifest(MedsyncStream *stream, MedsyncStreamEntry *item)
{
	const MedsyncEntry *entry = item->entry;
	Manifest   *manifest = find_manifest(stream, entry->table,
										 entry->manifest);
	Table	   *table = find_table(stream, entry->table);

	item->manifest_holds = manifest != NULL &&
		memcmp(manifest->digest, entry->object, MEDSYNC_HASH_SIZE) == 0;
	if (manifest != NULL)
		manifest->announced = true;
	if (!item->manifest_holds)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item),
							   medsync_hex(entry->object, MEDSYNC_HASH_SIZE),
							   manifest ? medsync_hex(manifest->digest, MEDSYNC_HASH_SIZE) : NULL,
							   "Manifest version %u of table number %u %s.",
							   entry->manifest, entry->table,
							   manifest ? "was changed" : "is missing");
	else if (manifest->name == NULL)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item), NULL, NULL,
							   "Manifest version %u of table number %u cannot be read.",
							   entry->manifest, entry->table);
	if (table == NULL)
		return;
	if (item->manifest_holds && manifest->name != NULL)
		table->name = manifest->name;

	/* in a stream from the middle the first one can be any */
	if (entry->manifest != table->last_version + 1 &&
		(table->last_version != 0 || stream->from == 0))
		medsync_report_finding(MEDSYNC_ERROR, "entry_missing",
							   entry_place(stream, item),
							   medsync_number(table->last_version + 1),
							   medsync_number(entry->manifest),
							   "A manifest version was skipped.");
	table->last_version = entry->manifest;
}

/* An era entry must say what the list of eras says. */
static void
check_era_entry(MedsyncStream *stream, const MedsyncStreamEntry *item)
{
	const MedsyncEra *era = stream->chain.era;
	uint8		detail[20];

	if (era == NULL || item->index < 0)
		return;
	medsync_wire_store_u32(detail, era->number);
	medsync_wire_store_u64(detail + 4, era->system_identifier);
	medsync_wire_store_u32(detail + 12, era->timeline);
	medsync_wire_store_u32(detail + 16, era->database);
	if (item->entry->detail_len != (int) sizeof(detail) ||
		memcmp(item->entry->detail, detail, sizeof(detail)) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item), NULL, NULL,
							   "The era entry and the list of eras differ.");
}

/* A signer entry names a key that signs for the log. */
static void
check_signer(MedsyncStream *stream, const MedsyncStreamEntry *item)
{
	const char *detail = (const char *) item->entry->detail;
	int			len = item->entry->detail_len;
	const char *newline = len > 0 ? memchr(detail, '\n', len) : NULL;
	MedsyncVerifierKey key;

	if (newline != NULL)
		len = newline - detail; /* what follows is the reason */
	if (len == 0 || !medsync_vkey_parse(detail, len, &key))
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item), NULL, NULL,
							   "The signer entry names no verifier key.");
	else if (item->index >= 0)
		medsync_report_signer(item->index, &key);
}

/* What any entry, sealed or not, must stand. */
static void
check_entry(MedsyncStream *stream, MedsyncStreamEntry *item)
{
	const MedsyncEntry *entry = item->entry;

	if (item->index < 0)
		medsync_chain_check_unsealed(&stream->chain, item->header);
	if (medsync_operation_name(entry->operation) == NULL)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item), NULL, NULL,
							   "The entry's operation is unknown.");
	if (entry->operation == MEDSYNC_OP_DDL)
		check_manifest(stream, item);
	else if (entry->operation == MEDSYNC_OP_ERA)
		check_era_entry(stream, item);
	else if (entry->operation == MEDSYNC_OP_SIGNER)
		check_signer(stream, item);
	else if (medsync_rules_lacks_signature(&stream->chain.rules, entry))
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature",
							   entry_place(stream, item), NULL, NULL,
							   "The entry has no signature, and its table demands one.");
	if (stream->callbacks.entry != NULL)
		stream->callbacks.entry(stream->callbacks.arg, item);
}

/* What chain.c checks of a sealed entry; the first finding is enough. */
static void
check_unsealed(MedsyncStream *stream, const MedsyncStreamEntry *item)
{
	const char *problem = medsync_chain_unsealed(&stream->chain, item->header,
												 item->entry);

	if (problem != NULL && !stream->unsealed_reported)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(stream, item), NULL, NULL,
							   "The ledger cannot hold such an entry, which is not sealed: %s.",
							   problem);
	stream->unsealed_reported |= problem != NULL;
}

/* Decode an entry, check it, and pass it on; false where it is malformed. */
static bool
decode_entry(MedsyncStream *stream, const uint8 *payload, size_t len,
			 int64 index)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	MedsyncStreamEntry item = {0};

	if (len < MEDSYNC_HASH_SIZE ||
		!medsync_entry_decode(payload + MEDSYNC_HASH_SIZE,
							  len - MEDSYNC_HASH_SIZE, &header, &entry))
	{
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   medsync_chain_place(&stream->chain, index),
							   NULL, NULL, "The entry cannot be read.");
		return false;
	}
	item.header = &header;
	item.entry = &entry;
	item.index = index;
	item.block = index < 0 ? -1 : stream->chain.block.height;
	if (index >= 0)
		medsync_chain_entry(&stream->chain, index, &header, &entry);
	else
	{
		stream->oldest_unsealed = Min(stream->oldest_unsealed,
									  header.flush_time);
		check_unsealed(stream, &item);
	}
	check_entry(stream, &item);
	return true;
}

/* An entry against the leaf that the log has for it; returns what is right. */
static const uint8 *
check_leaf(MedsyncStream *stream, int64 index, const uint8 *found)
{
	const uint8 *expected = stream->log_leaves ?
		log_leaf(stream, (uint64) index) : NULL;

	if (expected == NULL)
		return found;
	if (memcmp(expected, found, MEDSYNC_HASH_SIZE) != 0 &&
		stream->differences++ == 0)
	{
		stream->first_difference = index;
		memcpy(stream->expected_leaf, expected, MEDSYNC_HASH_SIZE);
		memcpy(stream->found_leaf, found, MEDSYNC_HASH_SIZE);
	}
	return expected;
}

/* 'E' */
static bool
read_entry(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	const MedsyncBlock *block = &stream->chain.block;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
	uint8		hash[MEDSYNC_HASH_SIZE];
	int64		index;

	if (!stream->chain.in_block)
		return report_malformed(stream, "an entry is in no block");
	stream->records++;
	if (stream->count++ >= block->entry_count)
		return true;			/* too many: counted, and nothing else */
	index = block->first_index + stream->count - 1;
	leaf[0] = MEDSYNC_LEAF_VERSION;
	medsync_sha256(payload, len, leaf + 1);
	medsync_merkle_leaf_hash(leaf, sizeof(leaf), hash);
	append_leaf(stream, check_leaf(stream, index, hash));
	(void) decode_entry(stream, payload, len, index);
	medsync_summary.entries++;
	return true;
}

/* ---- blocks ---- */

/* Are the entries of a block as many as it says, and those of the log? */
static bool
check_block_entries(MedsyncStream *stream)
{
	const MedsyncChain *chain = &stream->chain;
	int64		expected = chain->block.entry_count;

	if (stream->count != expected)
		medsync_report_finding(MEDSYNC_ERROR, stream->count < expected ?
							   "entry_missing" : "entry_extra",
							   medsync_chain_place(chain, -1),
							   medsync_number(expected),
							   medsync_number(stream->count),
							   "The block's entries are not as many as it says.");
	if (stream->differences > 0)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   medsync_chain_place(chain,
												   stream->first_difference),
							   medsync_hex(stream->expected_leaf,
										   MEDSYNC_HASH_SIZE),
							   medsync_hex(stream->found_leaf,
										   MEDSYNC_HASH_SIZE),
							   "Entries of the block are not those of the log: " INT64_FORMAT ", this one the first.",
							   stream->differences);
	return stream->count == expected && stream->differences == 0;
}

/*
 * The root that the block says.  Where the one before differed already, and
 * the tree is made of the entries alone, nothing new is found out.  False
 * where that makes the entries doubtful.
 */
static bool
check_block_root(MedsyncStream *stream)
{
	const MedsyncChain *chain = &stream->chain;
	const MedsyncBlock *block = &chain->block;
	uint8		root[MEDSYNC_HASH_SIZE];
	bool		differs;
	bool		by_log;

	seek_tree(stream, (uint64) (block->first_index + block->entry_count));
	if (stream->tree_lost)
		return false;
	by_log = stream->log_leaves &&
		stream->tree.size <= stream->log->checkpoint.size;
	medsync_tree_root(&stream->tree, root);
	keep_root(stream, root);
	differs = memcmp(root, block->root, MEDSYNC_HASH_SIZE) != 0;
	if (differs && !stream->root_differs)
		medsync_report_finding(MEDSYNC_ERROR, by_log || !chain->hash_holds ?
							   "block_altered" : "entry_altered",
							   medsync_chain_place(chain, -1),
							   medsync_hex(block->root, MEDSYNC_HASH_SIZE),
							   medsync_hex(root, MEDSYNC_HASH_SIZE),
							   by_log || !chain->hash_holds ?
							   "The block's root is not that of its entries." :
							   "The block's entries do not give its root.");
	stream->root_differs = differs && !by_log;
	return !stream->root_differs;
}

static void
end_block(MedsyncStream *stream)
{
	bool		entries_hold;

	if (!stream->chain.in_block)
		return;
	entries_hold = check_block_entries(stream);
	if (!check_block_root(stream))
		entries_hold = false;
	medsync_chain_end_block(&stream->chain, entries_hold);
	medsync_summary.blocks++;
}

/* 'B' */
static bool
read_block(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	end_block(stream);
	if (stream->phase == IN_LISTS)
	{
		end_lists(stream);
		stream->phase = IN_BLOCKS;
	}
	if (!medsync_chain_begin_block(&stream->chain, payload, len))
		return report_malformed(stream, "a record of a block makes no sense");
	if (stream->from > 0 && stream->chain.blocks == 0 &&
		stream->chain.block.first_index != (int64) stream->from)
		return report_malformed(stream, "its first block is not the one that it says");
	seek_tree(stream, (uint64) stream->chain.block.first_index);
	stream->count = 0;
	stream->differences = 0;
	return true;
}

/* ---- after the blocks ---- */

/* 'U' */
static bool
read_unsealed(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	end_block(stream);
	if (stream->phase == IN_LISTS)
		end_lists(stream);
	stream->phase = IN_UNSEALED;
	(void) decode_entry(stream, payload, len, -1);
	medsync_summary.unsealed++;
	return true;
}

/* 'C' */
static bool
read_checkpoint(MedsyncStream *stream, const uint8 *payload, size_t len)
{
	if (stream->note != NULL)
		return report_malformed(stream, "it has two checkpoints");
	end_block(stream);
	stream->note = pg_malloc(len + 1);
	memcpy(stream->note, payload, len);
	stream->note_len = len;
	return true;
}

/* 'Z' */
static bool
read_end(MedsyncStream *stream, const uint8 *payload, size_t len,
		 const uint8 *digest)
{
	MedsyncReader reader;
	uint64		count;
	const uint8 *stored;

	end_block(stream);
	if (stream->phase == IN_LISTS)
		end_lists(stream);
	stream->phase = AT_END;
	medsync_wire_open(&reader, payload, len);
	count = medsync_wire_get_u64(&reader);
	stored = medsync_wire_get_bytes(&reader, MEDSYNC_HASH_SIZE);
	if (reader.failed || MEDSYNC_WIRE_LEFT(&reader) != 0)
		return report_malformed(stream, "its last record makes no sense");
	if (count != stream->records)
		medsync_report_finding(MEDSYNC_ERROR, count > stream->records ?
							   "entry_missing" : "entry_extra",
							   MEDSYNC_NO_PLACE, medsync_number(count),
							   medsync_number(stream->records),
							   "The last record counts other entries than there are.");
	if (digest != NULL && memcmp(digest, stored, MEDSYNC_HASH_SIZE) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_hex(stored, MEDSYNC_HASH_SIZE),
							   medsync_hex(digest, MEDSYNC_HASH_SIZE),
							   "The digest in the last record is not that of the file.");
	return true;
}

/* ---- the stream ---- */

/* Begin to read records; see medsync_verify.h. */
MedsyncStream *
medsync_stream_begin(const MedsyncOptions *options, MedsyncLog *log,
					 const MedsyncStreamCallbacks *callbacks)
{
	MedsyncStream *stream = pg_malloc0(sizeof(MedsyncStream));

	stream->options = options;
	stream->log = log;
	stream->log_leaves = log != NULL && log->holds;
	if (callbacks != NULL)
		stream->callbacks = *callbacks;
	stream->oldest_unsealed = PG_INT64_MAX;
	medsync_tree_init(&stream->tree);
	stream->known_count = medsync_checkpoint_remembered(stream->known);
	compare_known_root(stream);
	medsync_summary.entries = 0;
	return stream;
}

/* May a record of this type come now? */
static bool
is_in_place(const MedsyncStream *stream, char type)
{
	switch (type)
	{
		case 'L':
			return stream->phase == AT_START;
		case 'A':
			return stream->phase == IN_LISTS && stream->manifest_count == 0;
		case 'M':
			return stream->phase == IN_LISTS;
		case 'B':
		case 'E':
			return (stream->phase == IN_LISTS || stream->phase == IN_BLOCKS) &&
				stream->note == NULL;
		case 'U':
			if (stream->options->mode != MEDSYNC_MODE_LIVE)
				return false;
			/* FALLTHROUGH */
		case 'C':
		case 'Z':
			return stream->phase != AT_START && stream->phase != AT_END;
		default:
			return false;
	}
}

/* Take the next record; false where the stream is malformed. */
bool
medsync_stream_record(MedsyncStream *stream, char type, const uint8 *payload,
					  size_t len, const uint8 *digest)
{
	if (len > MEDSYNC_RECORD_MAX)
		return report_malformed(stream, "a record is too long");
	if (!is_in_place(stream, type))
		return report_malformed(stream, "a record is unknown or out of place");
	switch (type)
	{
		case 'L':
			return read_ledger(stream, payload, len);
		case 'A':
			return read_era(stream, payload, len);
		case 'M':
			return read_manifest(stream, payload, len);
		case 'B':
			return read_block(stream, payload, len);
		case 'E':
			return read_entry(stream, payload, len);
		case 'U':
			return read_unsealed(stream, payload, len);
		case 'C':
			return read_checkpoint(stream, payload, len);
		default:
			return read_end(stream, payload, len, digest);
	}
}

/* The size up to which blocks were there. */
static uint64
end_of_blocks(const MedsyncStream *stream)
{
	return (uint64) stream->chain.last_end;
}

/*
 * Is this the log's checkpoint, or does the log go on from it?  A proof tells,
 * so that it does not matter whether the tiles are still the ones they were.
 */
static bool
is_older_log(MedsyncLog *log, const MedsyncCheckpoint *checkpoint)
{
	uint8		proof[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	int			count;

	count = medsync_tiles_consistency(&log->tiles, checkpoint->size,
									  log->checkpoint.size, proof);
	return count >= 0 &&
		medsync_merkle_verify_consistency(checkpoint->size, checkpoint->root,
										  log->checkpoint.size,
										  log->checkpoint.root,
										  (const uint8 (*)[MEDSYNC_HASH_SIZE]) proof,
										  count);
}

/* A signed checkpoint below the entries that are there, against the log. */
static void
check_older_log(MedsyncStream *stream, const MedsyncCheckpoint *checkpoint)
{
	stream->signed_root_holds = is_older_log(stream->log, checkpoint);
	if (!stream->signed_root_holds)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_hex(checkpoint->root, MEDSYNC_HASH_SIZE),
							   NULL,
							   "The log has another root than was signed for size " UINT64_FORMAT ".",
							   checkpoint->size);
}

/* A signed checkpoint against the tree of the entries. */
static void
check_signed_root(MedsyncStream *stream, const MedsyncCheckpoint *checkpoint)
{
	const uint8 *root = kept_root(stream, checkpoint->size);
	uint8		empty_root[MEDSYNC_HASH_SIZE];

	if (checkpoint->size > end_of_blocks(stream))
	{
		medsync_report_finding(MEDSYNC_ERROR, "truncated", MEDSYNC_NO_PLACE,
							   medsync_number(checkpoint->size),
							   medsync_number(end_of_blocks(stream)),
							   "The blocks end before the signed checkpoint.");
		return;
	}
	if (root == NULL && checkpoint->size == 0)
	{
		medsync_sha256("", 0, empty_root);
		root = empty_root;
	}
	if (root == NULL && stream->log_leaves &&
		checkpoint->size <= stream->log->checkpoint.size)
	{
		check_older_log(stream, checkpoint);
		return;
	}
	if (root == NULL && stream->root_count > ROOTS_KEPT)
		medsync_cannot_check("more than %d blocks follow the signed checkpoint",
							 ROOTS_KEPT);
	if (root == NULL)
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   MEDSYNC_NO_PLACE, NULL,
							   medsync_number(checkpoint->size),
							   "The signed checkpoint could not be compared with the entries: no block that was whole ends at its size.");
	else if (memcmp(root, checkpoint->root, MEDSYNC_HASH_SIZE) != 0)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_hex(checkpoint->root, MEDSYNC_HASH_SIZE),
							   medsync_hex(root, MEDSYNC_HASH_SIZE),
							   "The entries do not give the root that was signed for size " UINT64_FORMAT ".",
							   checkpoint->size);
	else
		stream->signed_root_holds = true;
}

/* An older checkpoint that witnesses cosigned, if the tree has its root. */
void
medsync_stream_older_checkpoint(MedsyncStream *stream, const char *note,
								size_t len)
{
	MedsyncCheckpoint checkpoint;
	uint64		cosigned_at;
	const uint8 *root;

	if (!medsync_checkpoint_is_older(stream->options, note, len, &checkpoint,
									 &cosigned_at))
		return;
	root = kept_root(stream, checkpoint.size);
	if (root == NULL)
		return;
	check_signed_root(stream, &checkpoint);
	if (memcmp(root, checkpoint.root, MEDSYNC_HASH_SIZE) == 0)
		medsync_checkpoint_cosigned(cosigned_at);
}

/* The stream's own checkpoint, if it has one. */
static void
check_note(MedsyncStream *stream)
{
	MedsyncCheckpoint checkpoint;

	if (stream->note != NULL)
	{
		if (medsync_checkpoint_check(stream->options, MEDSYNC_OF_ENTRIES,
									 stream->note, stream->note_len,
									 &checkpoint) &&
			!(stream->log_differs &&
			  checkpoint.size == stream->log->checkpoint.size))
			check_signed_root(stream, &checkpoint);
		if (!medsync_summary.ledger_damaged)
			medsync_rules_checkpoint(&stream->chain.rules, stream->note,
									 stream->note_len, &checkpoint);
	}
	else if (stream->log == NULL)
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature",
							   MEDSYNC_NO_PLACE, NULL, NULL,
							   "The ledger has no signed checkpoint.");
}

/* The blocks against the log, and against what the stream says itself. */
static void
check_sizes(MedsyncStream *stream)
{
	uint64		end = end_of_blocks(stream);

	if (end != stream->size)
		medsync_report_finding(MEDSYNC_ERROR, end < stream->size ?
							   "truncated" : "entry_extra", MEDSYNC_NO_PLACE,
							   medsync_number(stream->size),
							   medsync_number(end),
							   "The blocks do not end where the stream says.");
	if (stream->log != NULL && end < stream->log->checkpoint.size)
	{
		MedsyncPlace place = MEDSYNC_NO_PLACE;

		place.index = (int64) end;
		medsync_report_finding(MEDSYNC_ERROR, "entry_missing", place,
							   medsync_number(stream->log->checkpoint.size),
							   medsync_number(end),
							   "The blocks end before the log does.");
	}
	else if (stream->log_leaves && !stream->log_compared &&
			 stream->chain.blocks > 0 && !medsync_summary.ledger_damaged)
		report_log_changed(stream);
	if (stream->log_differs)
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   MEDSYNC_NO_PLACE, NULL, NULL,
							   "The entries do not give the root that was signed for size " UINT64_FORMAT ".",
							   stream->log->checkpoint.size);
}

/* What is before the first entry of the stream is not part of the check. */
static void
note_beginning(const MedsyncStream *stream)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	if (stream->from == 0)
		return;
	place.index = (int64) stream->from;
	medsync_report_finding(MEDSYNC_NOTICE, "partial", place, NULL, NULL,
						   "The entries begin here%s: what is before them was not checked.",
						   stream->chain.blocks == 0 ?
						   ", and there are none" : "");
}

/* What no good checkpoint covers can still be changed without a trace. */
static void
note_unsigned(const MedsyncStream *stream)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;
	uint64		end = end_of_blocks(stream);

	if (!medsync_summary.has_checkpoint || end <= medsync_summary.size)
		return;
	place.index = (int64) medsync_summary.size;
	medsync_report_finding(MEDSYNC_NOTICE, "unsigned", place, NULL,
						   medsync_number(end - medsync_summary.size),
						   "Entries that are sealed, from this one on, and that no checkpoint covers yet.");
}

/* Is there a manifest that no entry announced? */
static void
check_unannounced(MedsyncStream *stream)
{
	int			i;

	if (stream->from > 0)
		return;					/* the entry can be one before */
	for (i = 0; i < stream->manifest_count; i++)
	{
		const Manifest *manifest = &stream->manifests[i];
		MedsyncPlace place = MEDSYNC_NO_PLACE;

		if (manifest->announced)
			continue;
		place.relation = medsync_stream_table_name(stream, manifest->table);
		if (stream->options->mode == MEDSYNC_MODE_LIVE)
			medsync_report_finding(MEDSYNC_ERROR, "entry_extra", place, NULL,
								   NULL,
								   "No entry announces manifest version %u of table number %u.",
								   manifest->version, manifest->table);
		else
			medsync_report_finding(MEDSYNC_NOTICE, "unsealed", place, NULL,
								   NULL,
								   "No sealed entry announces manifest version %u of table number %u.",
								   manifest->version, manifest->table);
	}
}

/*
 * The remembered checkpoints against the tree that was built from entries.
 * Where these are not what was signed they differ for that reason alone.
 */
static void
check_state(MedsyncStream *stream)
{
	int			i;

	if (!stream->signed_root_holds && medsync_summary.ledger_damaged)
		return;
	for (i = 0; i < stream->known_count; i++)
	{
		/* what the log covers was compared there */
		if (stream->log_leaves &&
			stream->known[i].size <= stream->log->checkpoint.size)
			continue;
		if (stream->known_differs[i])
			medsync_checkpoint_forked(&stream->known[i],
									  stream->known_found[i]);
	}
}

static void
check_waiting(MedsyncStream *stream)
{
	int64		now = (int64) time(NULL) - EPOCH_OFFSET;
	int64		waited;

	if (medsync_summary.unsealed == 0)
		return;
	medsync_report_finding(MEDSYNC_NOTICE, "unsealed", MEDSYNC_NO_PLACE, NULL,
						   medsync_number(medsync_summary.unsealed),
						   "Entries that no block holds yet.");
	if (stream->oldest_unsealed == PG_INT64_MAX)
		return;
	waited = now - stream->oldest_unsealed / USECS_PER_SEC;
	if (stream->options->max_age > 0 && waited > stream->options->max_age)
		medsync_report_finding(MEDSYNC_WARNING, "stale", MEDSYNC_NO_PLACE,
							   NULL, NULL,
							   "An entry has waited " INT64_FORMAT " seconds for a block.",
							   waited);
}

/* No record follows: report what only the whole stream tells. */
void
medsync_stream_end(MedsyncStream *stream)
{
	end_block(stream);
	if (stream->phase != AT_END)
	{
		medsync_report_finding(MEDSYNC_ERROR, "truncated", MEDSYNC_NO_PLACE,
							   NULL, NULL,
							   "The stream ends before its last record, after " UINT64_FORMAT " entries.",
							   stream->records);
		return;
	}
	medsync_chain_end(&stream->chain);
	check_sizes(stream);
	check_note(stream);
	check_state(stream);
	note_beginning(stream);
	note_unsigned(stream);
	check_unannounced(stream);
	check_waiting(stream);
}

/* ---- the file ---- */

/* A private export being read */
typedef struct ExportFile
{
	const char *path;
	FILE	   *file;
	int64		size;			/* when it was opened; no more is read */
	int64		done;
	MedsyncSha256 sha;			/* over all before the record being read */
	uint8	   *payload;
	size_t		capacity;
} ExportFile;

/* Read len bytes; false at the end of the file. */
static bool
read_bytes(ExportFile *export, uint8 *data, size_t len)
{
	size_t		got;

	if (len > (uint64) (export->size - export->done))
		return false;
	got = fread(data, 1, len, export->file);
	export->done += got;
	if (got < len && ferror(export->file))
		medsync_cannot_check("could not read file \"%s\": %s", export->path,
							 strerror(errno));
	return got == len;
}

static void
open_export(ExportFile *export, const char *path)
{
	uint8		magic[sizeof(STREAM_MAGIC) - 1];

	memset(export, 0, sizeof(*export));
	export->path = path;
	export->file = medsync_open_input(path, "file", &export->size);
	setvbuf(export->file, NULL, _IOFBF, READ_BUFFER_SIZE);
	medsync_sha256_start(&export->sha);
	if (!read_bytes(export, magic, sizeof(magic)) ||
		memcmp(magic, STREAM_MAGIC, sizeof(magic)) != 0)
		medsync_cannot_check("\"%s\" is not a private export", path);
	medsync_sha256_update(&export->sha, magic, sizeof(magic));
}

/* Read a record's payload; false where the file is too short for it. */
static bool
read_payload(ExportFile *export, size_t len)
{
	if (export->capacity < len)
	{
		pg_free(export->payload);
		export->capacity = Max(len, 65536);
		export->payload = pg_malloc(export->capacity);
	}
	return read_bytes(export, export->payload, len);
}

/* Feed a file's records to the stream, up to its end or to damage. */
static bool
feed_records(ExportFile *export, MedsyncStream *stream)
{
	uint8		header[RECORD_HEADER_SIZE];

	while (read_bytes(export, header, sizeof(header)))
	{
		uint8		digest[MEDSYNC_HASH_SIZE];
		MedsyncReader reader;
		size_t		len;

		medsync_wire_open(&reader, header + 1, sizeof(header) - 1);
		len = medsync_wire_get_u32(&reader);
		if (len > MEDSYNC_RECORD_MAX)
			return report_malformed(stream, "a record is too long");
		if (!read_payload(export, len))
			return true;		/* cut off: the stream has no end */
		if (header[0] == 'Z')
			medsync_sha256_finish(&export->sha, digest);
		else
		{
			medsync_sha256_update(&export->sha, header, sizeof(header));
			medsync_sha256_update(&export->sha, export->payload, len);
		}
		if (!medsync_stream_record(stream, (char) header[0], export->payload,
								   len, digest))
			return false;
		medsync_progress("bytes of the export", export->done, export->size);
		if (header[0] == 'Z' && export->done < export->size)
			return report_malformed(stream, "bytes follow its last record");
	}
	return true;
}

/* Mode entries. */
void
medsync_verify_entries(const MedsyncOptions *options)
{
	static MedsyncLog log;
	ExportFile	export;
	MedsyncStream *stream;

	open_export(&export, options->target);
	if (!medsync_log_open(options, &log))
		return;
	medsync_log_verify(&log);
	stream = medsync_stream_begin(options, &log, NULL);
	if (feed_records(&export, stream))
		medsync_stream_end(stream);
	fclose(export.file);
}
