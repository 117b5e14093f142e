/*-------------------------------------------------------------------------
 *
 * tracked.h
 *		Memory of code that leaves it to the end of its process or context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TRACKED_H
#define MEDSYNC_TRACKED_H

extern void tracked_begin(void);
extern void tracked_end(void);

#endif							/* MEDSYNC_TRACKED_H */
