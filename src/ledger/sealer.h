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

extern MedsyncBlock *medsync_seal_now(void);
extern void medsync_era_detail(const MedsyncEra *era, uint8 *detail);

#endif							/* MEDSYNC_SEALER_H */
