/*-------------------------------------------------------------------------
 *
 * row.h
 *		From a row to its canonical bytes, commitment and row key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_ROW_H
#define MEDSYNC_ROW_H

#include "executor/tuptable.h"
#include "ledger/canonical.h"
#include "ledger/commitment.h"
#include "ledger/entry.h"
#include "ledger/manifest.h"
#include "vault/vault.h"

/* One column of a plan */
typedef struct MedsyncPlanColumn
{
	AttrNumber	attnum;			/* where the relation has it */
	int			number;			/* its ledger column number */
	int32		typmod;
	bool		is_key;
	MedsyncCodec *codec;
	uint8		prefix[5];		/* the number as a varint */
	int			prefix_len;
} MedsyncPlanColumn;

/* How to read one relation's rows, worked out once */
typedef struct MedsyncPlan
{
	MemoryContext context;		/* everything below lives here */
	uint32		table;			/* ledger table number */
	uint32		manifest;		/* newest manifest version */
	bool		full;
	AttrNumber	subject_attnum; /* 0: the table's own key */
	MedsyncCodec *subject_codec;
	int			column_count;
	MedsyncPlanColumn *columns; /* ascending number; excluded ones left out */
	int			key_count;		/* columns with is_key */
	int			max_attnum;
	char	   *problem;		/* relation and manifest disagree: why */
} MedsyncPlan;

extern MedsyncPlan *medsync_plan_build(Relation rel,
									   const MedsyncManifest *manifest,
									   MemoryContext context);

extern void medsync_row_encode(MedsyncSink *sink, const MedsyncPlan *plan,
							   const Datum *values, const bool *isnull);
extern void medsync_row_encode_key(MedsyncSink *sink, const MedsyncPlan *plan,
								   const Datum *values, const bool *isnull);
extern void medsync_row_key(const MedsyncHmacKey *label,
							const void *key_columns, size_t len,
							uint8 *row_key);
extern char *medsync_row_subject(const MedsyncPlan *plan, const Datum *values,
								 const bool *isnull);

#endif							/* MEDSYNC_ROW_H */
