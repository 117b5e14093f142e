/*-------------------------------------------------------------------------
 *
 * status.h
 *		How old an unsealed entry may become.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_STATUS_H
#define MEDSYNC_STATUS_H

#define MEDSYNC_STATUS_OK		"ok"
#define MEDSYNC_STATUS_NOTICE	"notice"
#define MEDSYNC_STATUS_WARNING	"warning"
#define MEDSYNC_STATUS_ERROR	"error"

typedef struct MedsyncStatusReport MedsyncStatusReport;

/* Later rooms' items come last */
extern void medsync_status_register(void (*part) (MedsyncStatusReport *report));
extern void medsync_status_add(MedsyncStatusReport *report, const char *item,
							   const char *value, const char *state,
							   const char *advice);
extern char *medsync_status_age(int64 seconds);

extern int	medsync_stale_after;	/* seconds */

extern void medsync_status_init(void);	/* GUC; from medsync_worker_init */

#endif							/* MEDSYNC_STATUS_H */
