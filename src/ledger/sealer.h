/*-------------------------------------------------------------------------
 *
 * sealer.h
 *		Making blocks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_SEALER_H
#define MEDSYNC_SEALER_H

#include "ledger/merkle.h"
#include "ledger/walk.h"

/* attributes of _tile */
enum
{
	Anum_tile_level = 1,
	Anum_tile_tile,
	Anum_tile_hashes,
	Natts_tile = 3
};

#define MEDSYNC_ERA_DETAIL_SIZE 20

/*
 * What a later room does about blocks: "by_hand" is called when seal() has a
 * last block, new or not, still in its transaction; "by_worker" by the
 * sealing worker, in a transaction of its own, with the milliseconds since it
 * last returned false; true asks to be called again.
 */
typedef void (*MedsyncSealByHand) (const MedsyncBlock *last);
typedef bool (*MedsyncSealByWorker) (int64 since_last);
extern void medsync_seal_register(MedsyncSealByHand by_hand,
								  MedsyncSealByWorker by_worker);
extern bool medsync_seal_publish(int64 since_last);

extern MedsyncBlock *medsync_seal_now(void);
extern void medsync_era_detail(const MedsyncEra *era, uint8 *detail);

#endif							/* MEDSYNC_SEALER_H */
