/*-------------------------------------------------------------------------
 *
 * history.h
 *		Finding a row's entries, for other rooms.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_HISTORY_H
#define MEDSYNC_HISTORY_H

#include "datatype/timestamp.h"
#include "ledger/entry.h"
#include "ledger/manifest.h"
#include "utils/jsonb.h"

typedef struct MedsyncNewestEntry
{
	bool		found;			/* the row has an entry */
	int64		index;			/* -1: it is not sealed */
} MedsyncNewestEntry;

extern void medsync_history_newest(Oid relid, Jsonb *key,
								   MedsyncNewestEntry *newest);

/* An entry that names a signature */
typedef struct MedsyncSignedEntry
{
	int64		index;			/* -1: it is not sealed, nor in a block */
	int64		block;
	TimestampTz at;
	const MedsyncEntry *entry;
	MedsyncManifest *manifest;	/* the newest of its table */
	const void *row;			/* canonical row; NULL: there is no image */
	size_t		row_len;
	Jsonb	   *row_key;		/* NULL without the row */
} MedsyncSignedEntry;

typedef void (*MedsyncSignedEntryCallback) (void *arg,
											const MedsyncSignedEntry *item);

extern void medsync_history_signed(Oid relid, Jsonb *key,
								   MedsyncSignedEntryCallback callback,
								   void *arg);

#endif							/* MEDSYNC_HISTORY_H */
