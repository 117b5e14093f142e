/*-------------------------------------------------------------------------
 *
 * ledger.h
 *		The ledger's identity and its eras; the room's init.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_LEDGER_H
#define MEDSYNC_LEDGER_H

#include "ledger/entry.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "utils/snapshot.h"

/* Which cluster, database and timeline wrote; a row of _era */
typedef struct MedsyncEra
{
	int32		number;			/* 0: not in _era yet */
	uint8		id[MEDSYNC_ID_SIZE];
	bool		known;			/* the three below are known */
	uint64		system_identifier;
	uint32		timeline;
	Oid			database;
} MedsyncEra;

/* What only one transaction at a time may do; see ledger.c */
typedef enum MedsyncLock
{
	MEDSYNC_LOCK_SEAL = 1,
	MEDSYNC_LOCK_REGISTER = 2,
	MEDSYNC_LOCK_SIGN = 3
} MedsyncLock;

extern void medsync_ledger_init(void);

extern void medsync_ledger_lock(MedsyncLock what);
extern bool medsync_ledger_try_lock(MedsyncLock what);
extern void medsync_ledger_unlock(MedsyncLock what);
extern bool medsync_ledger_lock_held(MedsyncLock what);
extern bool medsync_ledger_read(uint8 *id, TimestampTz *created_at);
extern void medsync_ledger_create(void);
extern const uint8 *medsync_ledger_id(void);
extern const MedsyncHmacKey *medsync_ledger_seed_key(void);

extern void medsync_era_current(const uint8 *ledger_id, MedsyncEra *era);
extern void medsync_era_identify(MedsyncEra *era);
extern void medsync_era_compute_id(const uint8 *ledger_id, MedsyncEra *era);
extern List *medsync_eras(void);
extern MedsyncEra *medsync_era_find(List *eras, const uint8 *id);
extern MedsyncEra *medsync_era_by_number(List *eras, uint64 number);
extern bool medsync_era_same_line(const MedsyncEra *a, const MedsyncEra *b);
extern void medsync_era_store(MedsyncEra *era);
extern void medsync_era_announce(void);
extern void medsync_era_for_writer(MedsyncPackedHeader *header);

/* the room's parts, in medsync_ledger_init's order */
extern void medsync_journal_init(void);
extern void medsync_capture_init(void);
extern void medsync_track_init(void);
extern void medsync_worker_init(void);

#endif							/* MEDSYNC_LEDGER_H */
