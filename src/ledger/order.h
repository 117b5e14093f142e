/*-------------------------------------------------------------------------
 *
 * order.h
 *		From an entry's index to the entry, and from a row or subject to
 *		its entries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_ORDER_H
#define MEDSYNC_ORDER_H

#include "ledger/walk.h"

#define MEDSYNC_SEGMENT			65536	/* entries that one look-up segment covers */
#define MEDSYNC_POSTING_SIZE	10	/* first 8 bytes of the key, offset (2) */
#define MEDSYNC_LOOKUP_ROW		'r'
#define MEDSYNC_LOOKUP_SUBJECT	's'
#define MEDSYNC_LOOKUP_MANIFEST	'm'

/* attributes of _block_order */
enum
{
	Anum_order_first_index = 1,
	Anum_order_runs,
	Natts_order = 2
};

/* attributes of _lookup */
enum
{
	Anum_lookup_kind = 1,
	Anum_lookup_segment,
	Anum_lookup_chunk,
	Anum_lookup_postings,
	Natts_lookup = 4
};

/* Called with each finished row of _block_order or _lookup */
typedef void (*MedsyncOrderSink) (void *arg, int64 first_index,
								  const StringInfo runs);
typedef void (*MedsyncLookupSink) (void *arg, char kind, int64 segment,
								   int32 chunk, const StringInfo postings);

/* Builds the runs of a block while its entries pass */
typedef struct MedsyncOrderBuilder
{
	MedsyncOrderSink sink;
	void	   *arg;
	StringInfoData runs;
	int64		first_index;	/* of the row being built */
	int64		next_index;
	uint64		last_xid;		/* of the last run in this row */
	int64		last_time;		/* of the last transaction in this row */
	uint64		run_xid;		/* the run being extended */
	int64		run_time;
	uint64		run_ordinal;
	uint64		run_count;
} MedsyncOrderBuilder;

/* Builds the postings of segments while entries pass */
typedef struct MedsyncPosting
{
	uint64		key;
	uint16		offset;
} MedsyncPosting;

typedef struct MedsyncLookupBuilder
{
	MedsyncLookupSink sink;
	void	   *arg;
	int64		covered_from;	/* index of the first entry seen */
	MedsyncPosting *rows;
	int			row_count;
	MedsyncPosting *subjects;
	int			subject_count;
	MedsyncPosting *manifests;
	int			manifest_count;
	int			manifest_room;
} MedsyncLookupBuilder;

extern void medsync_order_begin(MedsyncOrderBuilder *builder,
								int64 first_index, MedsyncOrderSink sink,
								void *arg);
extern void medsync_order_add(MedsyncOrderBuilder *builder, uint64 xid,
							  int64 time, uint64 ordinal);
extern void medsync_order_end(MedsyncOrderBuilder *builder);

extern void medsync_lookup_begin(MedsyncLookupBuilder *builder,
								 int64 first_index, MedsyncLookupSink sink,
								 void *arg);
extern void medsync_lookup_add(MedsyncLookupBuilder *builder, int64 index,
							   const MedsyncEntry *entry);
extern void medsync_lookup_manifest_key(uint32 table, uint32 version,
										uint8 *key);
extern void medsync_lookup_finish_segment(MedsyncLookupBuilder *builder,
										  int64 segment);

extern bool medsync_block_of_index(MedsyncWalk *walk, int64 index,
								   MedsyncBlock *block);
extern bool medsync_order_read(MedsyncWalk *walk, int64 index, int64 count,
							   MedsyncWalkCallback callback, void *arg);
extern int64 *medsync_lookup_find(Snapshot snapshot, char kind,
								  const uint8 *key, int64 size, int64 *count);

#endif							/* MEDSYNC_ORDER_H */
