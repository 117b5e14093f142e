/*-------------------------------------------------------------------------
 *
 * balance.h
 *		The balance rule: what entries made, less what they ended, is what a
 *		table must hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_BALANCE_H
#define MEDSYNC_BALANCE_H

#include "ledger/entry.h"
#include "storage/itemptr.h"

/* A commitment whose counts do not agree, or one side of it on the way in */
typedef struct MedsyncBalanceItem
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint32		table;
	int32		entries;		/* times made less times ended */
	int32		live;			/* live rows that have it */
	bool		has_row_key;
	uint16		nth;			/* the last entry that made it: its place in ... */
	ItemPointerData tid;		/* ... this packed row (invalid: not written yet) */
	ItemPointerData live_tid;	/* a live row that has it */
	uint8		row_key[MEDSYNC_ID_SIZE];
	int64		index;			/* of that entry; -1: unsealed or none */
	int64		block;			/* its height; -1 */
} MedsyncBalanceItem;

typedef struct MedsyncBalance MedsyncBalance;

typedef void (*MedsyncBalanceReport) (void *arg,
									  const MedsyncBalanceItem *item);

extern MedsyncBalance *medsync_balance_create(int64 expected_items);
extern void medsync_balance_add(MedsyncBalance *balance,
								const MedsyncBalanceItem *item);
extern void medsync_balance_finish(MedsyncBalance *balance,
								   MedsyncBalanceReport report, void *arg);

#endif							/* MEDSYNC_BALANCE_H */
