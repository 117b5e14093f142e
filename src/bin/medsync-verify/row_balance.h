/*-------------------------------------------------------------------------
 *
 * row_balance.h
 *		The balance rule: what entries made, less what they ended, is what a
 *		table must hold.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_ROW_BALANCE_H
#define MEDSYNC_ROW_BALANCE_H

#include "ledger/entry.h"

/* Where a live row lies in its table */
typedef struct MedsyncRowId
{
	uint32		block;
	uint16		offset;			/* 0: no row */
} MedsyncRowId;

/* A commitment of a table whose counts do not agree */
typedef struct MedsyncRowItem
{
	uint8		commitment[MEDSYNC_HASH_SIZE];
	uint32		table;
	int32		entries;		/* times made less times ended */
	int32		live;			/* live rows that have it */
	int64		index;			/* of the last entry that made it; -1:
								 * unsealed or none */
	int64		block;			/* its block, likewise */
	MedsyncRowId row;			/* a live row that has it */
	uint8		row_key[MEDSYNC_ID_SIZE];	/* the entry's or the row's; zero:
											 * none */
} MedsyncRowItem;

typedef struct MedsyncRowBalance MedsyncRowBalance;

typedef void (*MedsyncRowReport) (void *arg, const MedsyncRowItem *item);

extern MedsyncRowBalance *medsync_row_balance_create(uint64 expected_counts);
extern void medsync_row_made(MedsyncRowBalance *balance, uint32 table,
							 const uint8 *commitment, int64 index,
							 int64 block, const uint8 *row_key);
extern void medsync_row_ended(MedsyncRowBalance *balance, uint32 table,
							  const uint8 *commitment);
extern void medsync_row_live(MedsyncRowBalance *balance, uint32 table,
							 const uint8 *commitment, MedsyncRowId row,
							 const uint8 *row_key);
extern void medsync_row_balance_finish(MedsyncRowBalance *balance,
									   MedsyncRowReport report, void *arg);

#endif							/* MEDSYNC_ROW_BALANCE_H */
