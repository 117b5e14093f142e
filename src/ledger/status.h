/*-------------------------------------------------------------------------
 *
 * status.h
 *		How old an unsealed entry may become.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_STATUS_H
#define MEDSYNC_STATUS_H

extern int	medsync_stale_after;	/* seconds */

extern void medsync_status_init(void);	/* GUC; from medsync_worker_init */

#endif							/* MEDSYNC_STATUS_H */
