/*-------------------------------------------------------------------------
 *
 * worker.h
 *		What others may know of the workers that seal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_WORKER_H
#define MEDSYNC_WORKER_H

/* backend_type of the launcher and of the sealers in pg_stat_activity */
#define MEDSYNC_WORKER_TYPE		"medsync"

/* what a sealer shows as its activity between a failure and its next try ... */
#define MEDSYNC_SEALING_FAILED	"medsync: sealing failed, will try again"

/* ... and while the ledger is not all there; see worker.c about restores */
#define MEDSYNC_SEALER_WAITS	"medsync: waiting for a trigger of a tracked table"

/*
 * What a later room looks after: called by the sealer at each turn, in a
 * transaction of its own, which must not write.
 */
extern void medsync_worker_on_turn(void (*turn) (void));

extern bool medsync_worker_preloaded(void);
extern bool medsync_worker_wanted(const char *database);

#endif							/* MEDSYNC_WORKER_H */
