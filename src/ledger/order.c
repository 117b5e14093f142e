/*-------------------------------------------------------------------------
 *
 * order.c
 *		From an entry's index to the entry, and from a row or subject to
 *		its entries.
 *
 * Stored are _block_order, the entries of each block in ledger order as runs
 * of consecutive ordinals (transaction, first ordinal, count, time of the
 * transaction's last flush), and _lookup, for each full segment of 65,536
 * entries the sorted pairs (first half of the row key or key id, offset).
 * Both follow from the journal and the blocks; the sealer writes them off the writers' path, verify computes them again and compares.
 *
 * Entries past the last full segment have no postings: a look-up reads them
 * one by one.  No locks beyond those of the scans; works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "common/catalog.h"
#include "ledger/order.h"

#define ORDER_ROW_MAX		7900	/* bytes of runs in a row */
#define POSTINGS_PER_CHUNK	790

#define ST_SORT sort_postings
#define ST_ELEMENT_TYPE MedsyncPosting
#define ST_COMPARE(a, b) \
	((a)->key < (b)->key ? -1 : (a)->key > (b)->key ? 1 : \
	 (int) (a)->offset - (int) (b)->offset)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Begin the order of a block. */
void
medsync_order_begin(MedsyncOrderBuilder *builder, int64 first_index,
					MedsyncOrderSink sink, void *arg)
{
	memset(builder, 0, sizeof(*builder));
	builder->sink = sink;
	builder->arg = arg;
	builder->first_index = builder->next_index = first_index;
	initStringInfo(&builder->runs);
}

static void
finish_run(MedsyncOrderBuilder *builder)
{
	if (builder->run_count == 0)
		return;
	medsync_wire_put_zigzag(&builder->runs,
							(int64) (builder->run_xid - builder->last_xid));
	medsync_wire_put_varint(&builder->runs, builder->run_ordinal);
	medsync_wire_put_varint(&builder->runs, builder->run_count);
	if (builder->run_xid != builder->last_xid)
	{
		medsync_wire_put_zigzag(&builder->runs,
								(int64) ((uint64) builder->run_time -
										 (uint64) builder->last_time));
		builder->last_time = builder->run_time;
	}
	builder->last_xid = builder->run_xid;
	builder->run_count = 0;
	if (builder->runs.len > ORDER_ROW_MAX)
	{
		builder->sink(builder->arg, builder->first_index, &builder->runs);
		resetStringInfo(&builder->runs);
		builder->first_index = builder->next_index;
		builder->last_xid = 0;
		builder->last_time = 0;
	}
}

/* Add the next entry; time is that of its transaction's last flush. */
void
medsync_order_add(MedsyncOrderBuilder *builder, uint64 xid, int64 time,
				  uint64 ordinal)
{
	if (builder->run_count == 0 || xid != builder->run_xid ||
		ordinal != builder->run_ordinal + builder->run_count)
	{
		finish_run(builder);
		builder->run_xid = xid;
		builder->run_time = time;
		builder->run_ordinal = ordinal;
	}
	builder->run_count++;
	builder->next_index++;
}

void
medsync_order_end(MedsyncOrderBuilder *builder)
{
	finish_run(builder);
	if (builder->runs.len > 0)
		builder->sink(builder->arg, builder->first_index, &builder->runs);
	pfree(builder->runs.data);
}

/* Begin collecting postings; entries from first_index on will pass. */
void
medsync_lookup_begin(MedsyncLookupBuilder *builder, int64 first_index,
					 MedsyncLookupSink sink, void *arg)
{
	memset(builder, 0, sizeof(*builder));
	builder->sink = sink;
	builder->arg = arg;
	builder->covered_from = first_index;
	builder->rows = palloc(sizeof(MedsyncPosting) * MEDSYNC_SEGMENT);
	builder->subjects = palloc(sizeof(MedsyncPosting) * MEDSYNC_SEGMENT);
	builder->manifest_room = 16;
	builder->manifests = palloc(sizeof(MedsyncPosting) * builder->manifest_room);
}

static void
add_posting(MedsyncPosting *postings, int *count, const uint8 *key,
			int64 index)
{
	uint64		first_half;

	if (*count >= MEDSYNC_SEGMENT)
		return;					/* a damaged ledger; verify says where */
	memcpy(&first_half, key, sizeof(first_half));
	postings[*count].key = pg_ntoh64(first_half);
	postings[*count].offset = (uint16) (index % MEDSYNC_SEGMENT);
	(*count)++;
}

/* The key under which a manifest's ddl entry is looked up; 8 bytes. */
void
medsync_lookup_manifest_key(uint32 table, uint32 version, uint8 *key)
{
	medsync_wire_store_u32(key, table);
	medsync_wire_store_u32(key + 4, version);
}

/* A ddl entry joins the postings; they are few, so room is made for them. */
static void
add_manifest(MedsyncLookupBuilder *builder, int64 index,
			 const MedsyncEntry *entry)
{
	uint8		key[8];

	if (builder->manifest_count == builder->manifest_room)
	{
		builder->manifest_room *= 2;
		builder->manifests = repalloc(builder->manifests,
									  sizeof(MedsyncPosting) *
									  builder->manifest_room);
	}
	medsync_lookup_manifest_key(entry->table, entry->manifest, key);
	add_posting(builder->manifests, &builder->manifest_count, key, index);
}

/* Note one entry under its row key and its subject. */
void
medsync_lookup_add(MedsyncLookupBuilder *builder, int64 index,
				   const MedsyncEntry *entry)
{
	if (entry->fields & MEDSYNC_HAS_ROW_KEY)
		add_posting(builder->rows, &builder->row_count, entry->row_key, index);
	if (entry->fields & MEDSYNC_HAS_KEY_ID)
		add_posting(builder->subjects, &builder->subject_count,
					entry->key_id, index);
	if (entry->operation == MEDSYNC_OP_DDL)
		add_manifest(builder, index, entry);
}

static void
write_postings(MedsyncLookupBuilder *builder, char kind, int64 segment,
			   MedsyncPosting *postings, int count)
{
	StringInfoData chunk;
	int32		number = 0;
	int			i;

	sort_postings(postings, count);
	initStringInfo(&chunk);
	for (i = 0; i < count; i++)
	{
		medsync_wire_put_u64(&chunk, postings[i].key);
		medsync_wire_put_u16(&chunk, postings[i].offset);
		if (chunk.len == POSTINGS_PER_CHUNK * MEDSYNC_POSTING_SIZE ||
			i == count - 1)
		{
			builder->sink(builder->arg, kind, segment, number++, &chunk);
			resetStringInfo(&chunk);
		}
	}
	pfree(chunk.data);
}

/* All entries of a segment have passed: write its postings. */
void
medsync_lookup_finish_segment(MedsyncLookupBuilder *builder, int64 segment)
{
	write_postings(builder, MEDSYNC_LOOKUP_ROW, segment, builder->rows,
				   builder->row_count);
	write_postings(builder, MEDSYNC_LOOKUP_SUBJECT, segment,
				   builder->subjects, builder->subject_count);
	write_postings(builder, MEDSYNC_LOOKUP_MANIFEST, segment,
				   builder->manifests, builder->manifest_count);
	builder->row_count = builder->subject_count = 0;
	builder->manifest_count = 0;
	builder->covered_from = (segment + 1) * MEDSYNC_SEGMENT;
}

/* The packed row of a transaction that holds an ordinal; false if none. */
static bool
find_packed_row(MedsyncWalk *walk, uint64 xid, uint64 ordinal,
				const MedsyncEra *era, StringInfo buf,
				MedsyncPackedReader *packed, ItemPointer tid)
{
	bool		found = false;
	int			pass;

	/*
	 * Pass 0 looks among the rows that have an ordinal, pass 1 for the
	 * transaction's first row, which has none.
	 */
	for (pass = ordinal == 0 ? 1 : 0; pass < 2 && !found; pass++)
	{
		MedsyncScan scan;
		ScanKeyData keys[2];
		HeapTuple	tuple;

		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_XID8EQ,
					FullTransactionIdGetDatum(FullTransactionIdFromU64(xid)));
		ScanKeyInit(&keys[1], 2, BTLessEqualStrategyNumber, F_INT8LE,
					Int64GetDatum((int64) ordinal));
		medsync_scan_begin(&scan, walk->journal,
						   pass == 0 ? "_journal_ordinal_idx" : "_journal_xid_idx",
						   walk->snapshot, pass == 0 ? 2 : 1, keys);
		scan.own_changes = true;
		if (pass == 0)
			scan.direction = BackwardScanDirection;
		while (!found && (tuple = medsync_scan_next(&scan)) != NULL)
		{
			Datum		values[Natts_journal];
			bool		isnull[Natts_journal];
			bytea	   *body;
			const MedsyncEra *row_era;
			uint64		first;

			heap_deform_tuple(tuple, RelationGetDescr(walk->journal), values,
							  isnull);
			if (isnull[Anum_journal_body - 1] ||
				(pass == 1 && !isnull[Anum_journal_ordinal - 1]))
				continue;
			first = pass == 1 ? 0 :
				(uint64) DatumGetInt64(values[Anum_journal_ordinal - 1]);
			body = DatumGetByteaPP(values[Anum_journal_body - 1]);
			resetStringInfo(buf);
			appendBinaryStringInfo(buf, VARDATA_ANY(body),
								   VARSIZE_ANY_EXHDR(body));
			if (!medsync_packed_open(packed, xid, first, (uint8 *) buf->data,
									 buf->len))
				continue;
			row_era = packed->header.era_number != 0 ?
				medsync_era_by_number(walk->eras, packed->header.era_number) :
				medsync_era_find(walk->eras, packed->header.era_id);
			if (row_era == NULL ||
				memcmp(row_era->id, era->id, MEDSYNC_ID_SIZE) != 0)
				continue;
			*tid = tuple->t_self;
			found = true;
		}
		medsync_scan_end(&scan);
	}
	return found;
}

/* Read the block that holds an index; false when there is none. */
bool
medsync_block_of_index(MedsyncWalk *walk, int64 index, MedsyncBlock *block)
{
	Relation	heap = medsync_open("_block", AccessShareLock);
	bool		found;
	MedsyncScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, 1, BTLessEqualStrategyNumber, F_INT8LE,
				Int64GetDatum(index));
	medsync_scan_begin(&scan, heap, "_block_first_index_idx", walk->snapshot,
					   1, &key);
	scan.direction = BackwardScanDirection;
	tuple = medsync_scan_next(&scan);
	found = tuple != NULL &&
		medsync_block_read(tuple, RelationGetDescr(heap), block);
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
	return found;
}

/* Hand out the count entries of a transaction from an ordinal on. */
static bool
read_run(MedsyncWalk *walk, const MedsyncXact *xact, uint64 ordinal,
		 int64 count, StringInfo buf, MedsyncWalkCallback callback, void *arg)
{
	MedsyncPackedReader packed;
	MedsyncWalkEntry item = {0};
	uint64		end = ordinal + count;

	item.xact = xact;
	item.header = &packed.header;
	item.entry = &packed.entry;
	while (ordinal < end)
	{
		uint64		start = ordinal;

		if (!find_packed_row(walk, xact->xid, ordinal, xact->era, buf, &packed,
							 &item.tid))
			return false;
		item.body = (uint8 *) buf->data;
		item.body_len = buf->len;
		item.nth = -1;
		while (ordinal < end && medsync_packed_next(&packed))
		{
			item.nth++;
			if (packed.entry.ordinal < ordinal)
				continue;
			if (packed.entry.ordinal > ordinal)
				return false;
			ordinal++;
			callback(arg, &item);
		}
		if (ordinal == start)
			return false;
	}
	return true;
}

/* Hand out count sealed entries from an index on; false: not all are there. */
bool
medsync_order_read(MedsyncWalk *walk, int64 index, int64 count,
				   MedsyncWalkCallback callback, void *arg)
{
	Relation	heap = medsync_open("_block_order", AccessShareLock);
	int64		end = index + count;

	while (index < end)
	{
		MedsyncScan scan;
		ScanKeyData key;
		HeapTuple	tuple;
		StringInfoData runs;
		MedsyncReader reader;
		MedsyncBlock block;
		bool		isnull;
		int64		position;
		MedsyncXact xact = {0};
		StringInfoData buf;
		int64		start = index;

		ScanKeyInit(&key, 1, BTLessEqualStrategyNumber, F_INT8LE,
					Int64GetDatum(index));
		medsync_scan_begin(&scan, heap, "_block_order_pkey", walk->snapshot, 1,
						   &key);
		scan.direction = BackwardScanDirection;
		tuple = medsync_scan_next(&scan);
		initStringInfo(&runs);
		initStringInfo(&buf);
		position = 0;
		if (tuple != NULL)
		{
			bytea	   *stored;

			position = DatumGetInt64(heap_getattr(tuple, Anum_order_first_index,
												  RelationGetDescr(heap),
												  &isnull));
			stored = DatumGetByteaPP(heap_getattr(tuple, Anum_order_runs,
												  RelationGetDescr(heap),
												  &isnull));
			appendBinaryStringInfo(&runs, VARDATA_ANY(stored),
								   VARSIZE_ANY_EXHDR(stored));
		}
		medsync_scan_end(&scan);
		xact.era = medsync_block_of_index(walk, index, &block) ?
			medsync_era_by_number(walk->eras, block.era) : NULL;
		medsync_wire_open(&reader, runs.data, runs.len);
		while (xact.era != NULL && index < end && MEDSYNC_WIRE_LEFT(&reader) > 0)
		{
			int64		xid_step = medsync_wire_get_zigzag(&reader);
			uint64		ordinal = medsync_wire_get_varint(&reader);
			int64		run = (int64) medsync_wire_get_varint(&reader);

			xact.xid += (uint64) xid_step;
			if (xid_step != 0)
				xact.time = (int64) ((uint64) xact.time +
									 (uint64) medsync_wire_get_zigzag(&reader));
			if (reader.failed || run <= 0)
				break;
			if (position + run > index)
			{
				int64		wanted = Min(position + run, end) - index;

				if (!read_run(walk, &xact, ordinal + (index - position),
							  wanted, &buf, callback, arg))
					break;
				index += wanted;
			}
			position += run;
		}
		pfree(runs.data);
		pfree(buf.data);
		if (index == start)
			break;
	}
	table_close(heap, AccessShareLock);
	return index >= end;
}

/* Read one chunk of postings; NULL when it is not there. */
static bytea *
read_chunk(Relation heap, Snapshot snapshot, char kind, int64 segment,
		   int32 chunk)
{
	MedsyncScan scan;
	ScanKeyData keys[3];
	HeapTuple	tuple;
	bytea	   *result = NULL;
	bool		isnull;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(kind));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(segment));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(chunk));
	medsync_scan_begin(&scan, heap, "_lookup_pkey", snapshot, 3, keys);
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
		result = DatumGetByteaPCopy(heap_getattr(tuple, Anum_lookup_postings,
												 RelationGetDescr(heap),
												 &isnull));
	medsync_scan_end(&scan);
	return result;
}

/* Compare the posting at a place of a chunk with a key. */
static uint64
posting_key(bytea *chunk, int i)
{
	uint64		key;

	memcpy(&key, VARDATA_ANY(chunk) + i * MEDSYNC_POSTING_SIZE, sizeof(key));
	return pg_ntoh64(key);
}

/*
 * The indexes below size, ascending, of entries that carry a row key or key
 * id (by its first half), as far as full segments go.
 */
int64 *
medsync_lookup_find(Snapshot snapshot, char kind, const uint8 *key,
					int64 size, int64 *count)
{
	Relation	heap = medsync_open("_lookup", AccessShareLock);
	int64		capacity = 64;
	int64	   *found = palloc(sizeof(int64) * capacity);
	uint64		wanted;
	int64		segment;

	memcpy(&wanted, key, sizeof(wanted));
	wanted = pg_ntoh64(wanted);
	*count = 0;
	for (segment = 0; segment < size / MEDSYNC_SEGMENT; segment++)
	{
		int32		low = 0;
		int32		high = MEDSYNC_SEGMENT / POSTINGS_PER_CHUNK + 1;
		bytea	   *chunk;

		/* the last chunk that begins below the key, or the first */
		while (low < high)
		{
			int32		middle = (low + high + 1) / 2;

			chunk = read_chunk(heap, snapshot, kind, segment, middle);
			if (chunk != NULL &&
				VARSIZE_ANY_EXHDR(chunk) >= MEDSYNC_POSTING_SIZE &&
				posting_key(chunk, 0) < wanted)
				low = middle;
			else
				high = middle - 1;
		}
		for (;; low++)
		{
			int			postings;
			int			i;
			bool		past = false;

			chunk = read_chunk(heap, snapshot, kind, segment, low);
			if (chunk == NULL)
				break;
			postings = VARSIZE_ANY_EXHDR(chunk) / MEDSYNC_POSTING_SIZE;
			for (i = 0; i < postings; i++)
			{
				uint64		this_key = posting_key(chunk, i);
				uint16		offset;

				if (this_key < wanted)
					continue;
				if (this_key > wanted)
				{
					past = true;
					break;
				}
				memcpy(&offset, VARDATA_ANY(chunk) + i * MEDSYNC_POSTING_SIZE + 8,
					   sizeof(offset));
				if (*count == capacity)
				{
					capacity *= 2;
					found = repalloc_huge(found, sizeof(int64) * capacity);
				}
				found[(*count)++] = segment * MEDSYNC_SEGMENT + pg_ntoh16(offset);
			}
			if (past)
				break;
		}
	}
	table_close(heap, AccessShareLock);
	return found;
}
