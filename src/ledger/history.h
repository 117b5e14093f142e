/*-------------------------------------------------------------------------
 *
 * history.h
 *		Finding a row's entries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_HISTORY_H
#define MEDSYNC_HISTORY_H

#include "utils/jsonb.h"

typedef struct MedsyncNewestEntry
{
	bool		found;			/* the row has an entry */
	int64		index;			/* -1: it is not sealed */
} MedsyncNewestEntry;

extern void medsync_history_newest(Oid relid, Jsonb *key,
								   MedsyncNewestEntry *newest);

#endif							/* MEDSYNC_HISTORY_H */
