/*-------------------------------------------------------------------------
 *
 * text_time.h
 *		Dates, times and intervals from the text that a server prints.
 *
 * The text is that of DateStyle ISO, IntervalStyle postgres; anything else
 * gives false.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TEXT_TIME_H
#define MEDSYNC_TEXT_TIME_H

extern bool medsync_text_date(const char *text, size_t len, int32 *days);
extern bool medsync_text_time(const char *text, size_t len,
							  int64 *microseconds);
extern bool medsync_text_timetz(const char *text, size_t len,
								int64 *microseconds, int32 *seconds_west);
extern bool medsync_text_timestamp(const char *text, size_t len,
								   bool with_zone, int64 *microseconds);
extern bool medsync_text_interval(const char *text, size_t len,
								  int32 *months, int32 *days,
								  int64 *microseconds);

#endif							/* MEDSYNC_TEXT_TIME_H */
