/*-------------------------------------------------------------------------
 *
 * render.h
 *		From canonical bytes back to values, and from values to JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_RENDER_H
#define MEDSYNC_RENDER_H

#include "access/tupdesc.h"
#include "ledger/canonical.h"
#include "ledger/manifest.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"

/* One column of the rows that a reader decodes */
typedef struct MedsyncReaderColumn
{
	int			number;			/* ledger column number */
	int			place;			/* in the reader's desc, from 0 */
	AttrNumber	attnum;			/* where the relation has it now; 0: nowhere */
	MedsyncCodec *codec;		/* NULL: its type is gone, values are skipped */
} MedsyncReaderColumn;

/* Decodes the canonical rows of one table under one manifest version */
typedef struct MedsyncRowReader
{
	TupleDesc	desc;			/* the columns; excluded ones left out */
	TupleDesc	key_desc;		/* of the primary key; NULL: it has none */
	int		   *key_places;		/* where desc has the attributes of key_desc */
	int			column_count;
	MedsyncReaderColumn *columns;	/* ascending number */
} MedsyncRowReader;

extern MedsyncRowReader *medsync_row_reader_create(const MedsyncManifest *version,
												   const MedsyncManifest *latest,
												   Relation rel);
extern bool medsync_row_decode(const MedsyncRowReader *reader,
							   const void *bytes, size_t len,
							   Datum *values, bool *isnull);
extern Jsonb *medsync_row_to_jsonb(TupleDesc desc, const Datum *values,
								   const bool *isnull);
extern Jsonb *medsync_row_key_to_jsonb(const MedsyncRowReader *reader,
									   const Datum *values,
									   const bool *isnull);

#endif							/* MEDSYNC_RENDER_H */
