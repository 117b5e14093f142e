/*-------------------------------------------------------------------------
 *
 * entries.c
 *		The private export: entries, salts, blocks, manifests and eras.
 *
 * What an auditor needs to recompute the public log, and nothing that opens
 * a row: no key, no image, no seed.  docs/formats.md gives the records.
 * export_entries() writes them to a file on the server, which takes its name
 * only when it is whole; _entries() hands the same records, and the entries
 * that are not sealed yet, to medsync-verify over a connection.
 *
 * Streaming: memory does not grow with the ledger.  Nothing is stored but
 * the note of a block that was not signed yet.  No locks; works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/order.h"
#include "proofs/checkpoint.h"
#include "proofs/file.h"

#define ENTRIES_MAGIC	"medsync-entries v1\n"
/* with the head of record L and the ledger's id */
#define HEAD_SIZE		(sizeof(ENTRIES_MAGIC) - 1 + 5 + MEDSYNC_ID_SIZE)
#define MISSING_MAX		65536	/* missing entries of a block to go past */

/* attributes of _manifest */
enum
{
	Anum_manifest_table_number = 1,
	Anum_manifest_version,
	Anum_manifest_content,
	Natts_manifest = 3
};

typedef struct EntriesExport EntriesExport;
typedef void (*RecordSink) (EntriesExport *export, char type,
							const void *payload, size_t len);

struct EntriesExport
{
	RecordSink	sink;
	MedsyncFile file;			/* export_entries() */
	MedsyncSha256 digest;
	ReturnSetInfo *result;		/* _entries() */
	Snapshot	snapshot;
	MedsyncWalk walk;
	StringInfoData scratch;
	StringInfoData record;
	uint64		count;			/* of sealed entries handed out */
};

PG_FUNCTION_INFO_V1(medsync_export_entries);
PG_FUNCTION_INFO_V1(medsync_entries);

static void
put_ledger(EntriesExport *export, uint64 from, uint64 size)
{
	uint8		id[MEDSYNC_ID_SIZE] = {0};
	TimestampTz created_at = 0;

	if (!medsync_ledger_read(id, &created_at))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger yet"),
				 errhint("Call medsync.track() to enter a first table.")));
	resetStringInfo(&export->record);
	medsync_wire_put_bytes(&export->record, id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u64(&export->record, (uint64) created_at);
	medsync_wire_put_u64(&export->record, from);
	medsync_wire_put_u64(&export->record, size);
	export->sink(export, 'L', export->record.data, export->record.len);
}

static void
put_eras(EntriesExport *export)
{
	ListCell   *cell;

	foreach(cell, export->walk.eras)
	{
		const MedsyncEra *era = lfirst(cell);
		uint8		known = era->known ? 1 : 0;

		resetStringInfo(&export->record);
		medsync_wire_put_u32(&export->record, (uint32) era->number);
		medsync_wire_put_bytes(&export->record, era->id, MEDSYNC_ID_SIZE);
		medsync_wire_put_bytes(&export->record, &known, 1);
		medsync_wire_put_u64(&export->record,
							 known ? era->system_identifier : 0);
		medsync_wire_put_u32(&export->record, known ? era->timeline : 0);
		medsync_wire_put_u32(&export->record, known ? era->database : 0);
		export->sink(export, 'A', export->record.data, export->record.len);
	}
}

static void
put_manifests(EntriesExport *export)
{
	Relation	heap = medsync_open("_manifest", AccessShareLock);
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, "_manifest_pkey", export->snapshot, 0,
					   NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		Datum		values[Natts_manifest];
		bool		isnull[Natts_manifest];
		text	   *content;

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		if (isnull[Anum_manifest_content - 1])
			continue;			/* its ddl entry says that it is missing */
		content = DatumGetTextPP(values[Anum_manifest_content - 1]);
		resetStringInfo(&export->record);
		medsync_wire_put_u32(&export->record,
							 DatumGetInt32(values[Anum_manifest_table_number - 1]));
		medsync_wire_put_u32(&export->record,
							 DatumGetInt32(values[Anum_manifest_version - 1]));
		medsync_wire_put_bytes(&export->record, VARDATA_ANY(content),
							   VARSIZE_ANY_EXHDR(content));
		export->sink(export, 'M', export->record.data, export->record.len);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

/* Salt and entry: what the leaf data is the hash of. */
static void
put_entry(EntriesExport *export, const MedsyncWalkEntry *item, char type)
{
	uint8		leaf[MEDSYNC_LEAF_SIZE];

	CHECK_FOR_INTERRUPTS();
	medsync_entry_leaf(&export->scratch, item->xact->era->id, item->header,
					   item->entry, leaf);
	export->sink(export, type, export->scratch.data, export->scratch.len);
}

static void
put_sealed_entry(void *arg, const MedsyncWalkEntry *item)
{
	EntriesExport *export = arg;

	put_entry(export, item, 'E');
	export->count++;
}

static void
put_unsealed_entry(void *arg, const MedsyncWalkEntry *item)
{
	put_entry(arg, item, 'U');
}

/*
 * The entries of a block.  An export is of a whole ledger or of none; over a
 * connection those that are missing are left out, so that medsync-verify,
 * which knows how many there must be, can name the block.
 */
static void
put_entries_of_block(EntriesExport *export, const MedsyncBlock *block)
{
	uint64		start = export->count;
	int64		missing;

	for (missing = 0; missing < MISSING_MAX; missing++)
	{
		int64		done = (int64) (export->count - start) + missing;

		CHECK_FOR_INTERRUPTS();
		if (medsync_order_read(&export->walk, block->first_index + done,
							   block->entry_count - done, put_sealed_entry,
							   export))
			return;
		if (export->result == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
					 errmsg("entries of block " INT64_FORMAT " are missing from the ledger",
							block->height),
					 errhint("Run medsync.verify() to see what was changed.")));
	}
}

static void
malformed_block(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("a block of the ledger is malformed"),
			 errhint("Run medsync.verify() to see what was changed.")));
}

static void
put_block(EntriesExport *export, const MedsyncBlock *block)
{
	StringInfo	record = &export->record;

	resetStringInfo(record);
	medsync_wire_put_u64(record, (uint64) block->height);
	medsync_wire_put_u32(record, (uint32) block->era);
	medsync_wire_put_bytes(record, block->previous_hash, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(record, (uint64) block->first_index);
	medsync_wire_put_u64(record, (uint64) block->entry_count);
	medsync_wire_put_bytes(record, block->root, MEDSYNC_HASH_SIZE);
	medsync_wire_put_u64(record, block->sealer_xid);
	medsync_wire_put_u64(record, (uint64) block->sealed_at);
	medsync_wire_put_bytes(record, block->hash, MEDSYNC_HASH_SIZE);
	medsync_wire_put_bytes(record, block->snapshot, strlen(block->snapshot));
	export->sink(export, 'B', record->data, record->len);
	put_entries_of_block(export, block);
}

/* All blocks from a height on, with their entries. */
static void
put_blocks(EntriesExport *export, int64 height)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync block",
												  ALLOCSET_DEFAULT_SIZES);
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(height));
	medsync_scan_begin(&scan, heap, "_block_pkey", export->snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);
		MedsyncBlock block;

		if (!medsync_block_read(tuple, RelationGetDescr(heap), &block))
			malformed_block();
		put_block(export, &block);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(context);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	MemoryContextDelete(context);
}

static void
put_unsealed(EntriesExport *export)
{
	MedsyncEra *era = palloc(sizeof(MedsyncEra));
	MedsyncEra *known;
	uint8		id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	int64		i;

	if (!medsync_ledger_read(id, &created_at))
		return;
	medsync_era_current(id, era);
	known = medsync_era_find(export->walk.eras, era->id);
	medsync_walk_gather_unsealed(&export->walk,
								 medsync_lines(&export->walk, known ? known : era),
								 known ? known : era);
	medsync_walk_sort(&export->walk);
	for (i = 0; i < export->walk.xact_count; i++)
		medsync_walk_emit(&export->walk, &export->walk.xacts[i],
						  put_unsealed_entry, export);
}

static void
put_end(EntriesExport *export)
{
	uint8		digest[MEDSYNC_HASH_SIZE] = {0};

	if (export->result == NULL)
		medsync_sha256_finish(&export->digest, digest);
	resetStringInfo(&export->record);
	medsync_wire_put_u64(&export->record, export->count);
	medsync_wire_put_bytes(&export->record, digest, MEDSYNC_HASH_SIZE);
	export->sink(export, 'Z', export->record.data, export->record.len);
}

/* Everything from the block on that holds an index. */
static void
put_all(EntriesExport *export, int64 from_size, bool unsealed,
		const char *note)
{
	MedsyncBlock *last;
	MedsyncBlock first;
	int64		size;
	int64		height = 0;
	int64		from = 0;

	initStringInfo(&export->scratch);
	initStringInfo(&export->record);
	medsync_walk_open(&export->walk, export->snapshot);
	last = medsync_block_last(export->snapshot);
	size = last ? last->first_index + last->entry_count : 0;
	if (size < 0)
		malformed_block();
	if (from_size < 0 || from_size > size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size " INT64_FORMAT " is out of range", from_size),
				 errdetail("The ledger has " INT64_FORMAT " sealed entries.",
						   size)));
	if (from_size == size)
	{
		from = size;
		height = last ? last->height + 1 : 0;
	}
	else if (medsync_block_of_index(&export->walk, from_size, &first))
	{
		from = first.first_index;
		height = first.height;
	}
	put_ledger(export, from, size);
	put_eras(export);
	put_manifests(export);
	put_blocks(export, height);
	if (unsealed)
		put_unsealed(export);
	if (note != NULL)
		export->sink(export, 'C', note, strlen(note));
	put_end(export);
	medsync_walk_close(&export->walk);
}

/* ---- to a file ---- */

static void
put_to_file(EntriesExport *export, char type, const void *payload, size_t len)
{
	uint8		head[5];

	if (len > MEDSYNC_RECORD_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a record of the export would be too large")));
	head[0] = (uint8) type;
	medsync_wire_store_u32(head + 1, (uint32) len);
	medsync_file_put(&export->file, head, sizeof(head));
	medsync_file_put(&export->file, payload, len);
	if (type == 'Z')
		return;
	medsync_sha256_update(&export->digest, head, sizeof(head));
	medsync_sha256_update(&export->digest, payload, len);
}

/* What stands at the path must be an earlier export of this ledger, or nothing. */
static void
check_existing(const char *path)
{
	char		head[HEAD_SIZE];
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	struct stat st;
	bool		ours;
	int			fd;

	fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0)
	{
		medsync_file_refuse_link(path);
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	}
	ours = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		read(fd, head, HEAD_SIZE) == (ssize_t) HEAD_SIZE &&
		memcmp(head, ENTRIES_MAGIC, strlen(ENTRIES_MAGIC)) == 0 &&
		medsync_ledger_read(ledger_id, &created_at) &&
		memcmp(head + HEAD_SIZE - MEDSYNC_ID_SIZE, ledger_id,
			   MEDSYNC_ID_SIZE) == 0;
	CloseTransientFile(fd);
	if (!ours)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("file \"%s\" exists and is no export of this ledger's entries",
						path)));
}

/* medsync.export_entries(path, from_size) */
Datum
medsync_export_entries(PG_FUNCTION_ARGS)
{
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	EntriesExport *export = palloc0(sizeof(EntriesExport));
	MedsyncSignedCheckpoint checkpoint;

	medsync_file_check_caller();
	canonicalize_path(path);
	medsync_file_check_path(path, "an export of entries");
	check_existing(path);
	medsync_checkpoint_latest(&checkpoint);
	if (PG_GETARG_INT64(1) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size must not be negative")));
	export->sink = put_to_file;
	export->snapshot = RegisterSnapshot(GetLatestSnapshot());
	medsync_file_begin(&export->file, path);
	medsync_sha256_start(&export->digest);
	medsync_sha256_update(&export->digest, ENTRIES_MAGIC,
						  strlen(ENTRIES_MAGIC));
	medsync_file_put(&export->file, ENTRIES_MAGIC, strlen(ENTRIES_MAGIC));
	put_all(export, PG_GETARG_INT64(1), false,
			medsync_checkpoint_full_note(&checkpoint));
	medsync_file_finish(&export->file, true);
	UnregisterSnapshot(export->snapshot);
	medsync_checkpoint_store(&checkpoint);
	PG_RETURN_INT64((int64) export->count);
}

/* ---- over a connection ---- */

static void
put_to_row(EntriesExport *export, char type, const void *payload, size_t len)
{
	bytea	   *record = palloc(VARHDRSZ + 1 + len);
	Datum		values[1];
	bool		isnull[1] = {false};

	SET_VARSIZE(record, VARHDRSZ + 1 + len);
	VARDATA(record)[0] = type;
	memcpy(VARDATA(record) + 1, payload, len);
	values[0] = PointerGetDatum(record);
	tuplestore_putvalues(export->result->setResult, export->result->setDesc,
						 values, isnull);
	pfree(record);
}

/* medsync._entries(from_size) */
Datum
medsync_entries(PG_FUNCTION_ARGS)
{
	EntriesExport *export = palloc0(sizeof(EntriesExport));
	MedsyncSignedCheckpoint checkpoint;
	bool		has_note;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	export->result = (ReturnSetInfo *) fcinfo->resultinfo;
	export->sink = put_to_row;
	export->snapshot = RegisterSnapshot(medsync_walk_snapshot());
	has_note = medsync_checkpoint_stored(export->snapshot, &checkpoint);
	put_all(export, PG_GETARG_INT64(0), true,
			has_note ? medsync_checkpoint_full_note(&checkpoint) : NULL);
	UnregisterSnapshot(export->snapshot);
	return (Datum) 0;
}
