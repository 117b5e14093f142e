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

/* One count: an entry made or ended a commitment, or a live row has it */
typedef struct MedsyncBalanceCount
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint32		table;
	int16		entries;		/* 1 made, -1 ended, 0: a live row */
	uint16		nth;			/* the entry's place in its packed row */
	ItemPointerData tid;		/* of the packed row (invalid: not written yet), or of the live row */
	int64		index;			/* of the entry; -1: unsealed */
} MedsyncBalanceCount;

/* A commitment whose counts do not agree */
typedef struct MedsyncBalanceItem
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint32		table;
	int32		entries;		/* times made less times ended */
	int32		live;			/* live rows that have it */
	uint16		nth;			/* of the last entry that made it */
	ItemPointerData tid;		/* ... its packed row */
	ItemPointerData live_tid;	/* a live row that has it */
	int64		index;			/* of that entry; -1: unsealed or none */
} MedsyncBalanceItem;

typedef struct MedsyncBalance MedsyncBalance;

typedef void (*MedsyncBalanceReport) (void *arg,
									  const MedsyncBalanceItem *item);

extern MedsyncBalance *medsync_balance_create(int64 expected_counts);
extern void medsync_balance_add(MedsyncBalance *balance,
								const MedsyncBalanceCount *count);
extern void medsync_balance_finish(MedsyncBalance *balance,
								   MedsyncBalanceReport report, void *arg);

extern void medsync_balance_free(MedsyncBalance *balance);

#endif							/* MEDSYNC_BALANCE_H */
