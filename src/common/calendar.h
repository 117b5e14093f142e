/*-------------------------------------------------------------------------
 *
 * calendar.h
 *		Days since 2000-01-01 and the Gregorian calendar.
 *
 * For programs, which do not have the server's date functions.  Years count
 * astronomically: year 0 is 1 BC.  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CALENDAR_H
#define MEDSYNC_CALENDAR_H

#include "datatype/timestamp.h"

/* What PostgreSQL's date can hold besides days */
#define MEDSYNC_DATE_NOBEGIN	PG_INT32_MIN
#define MEDSYNC_DATE_NOEND		PG_INT32_MAX

extern void medsync_calendar_date(int64 days, int64 *year, int *month,
								  int *day);
extern bool medsync_calendar_days(int64 year, int month, int day,
								  int64 *days);

#endif							/* MEDSYNC_CALENDAR_H */
