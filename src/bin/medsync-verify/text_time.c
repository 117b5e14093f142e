/*-------------------------------------------------------------------------
 *
 * text_time.c
 *		Dates, times and intervals from the text that a server prints.
 *
 * The reverse of the server's output functions, in whole numbers, so that
 * not a microsecond is lost.  The text comes from whoever is being checked:
 * what does not fit is refused, and nothing overflows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/calendar.h"
#include "text_time.h"

#define FRACTION_DIGITS		6
#define MAX_INTERVAL_HOURS	INT64CONST(2562047788)

/* What is left of a text */
typedef struct Cursor
{
	const char *next;
	const char *end;
	bool		failed;
} Cursor;

static void
open_text(Cursor *cursor, const char *text, size_t len)
{
	cursor->next = text;
	cursor->end = text + len;
	cursor->failed = false;
}

/* Did all of the text fit? */
static bool
fits(const Cursor *cursor)
{
	return !cursor->failed && cursor->next == cursor->end;
}

/* Step over a word if it stands here. */
static bool
take(Cursor *cursor, const char *word)
{
	size_t		len = strlen(word);

	if (cursor->failed || (size_t) (cursor->end - cursor->next) < len ||
		memcmp(cursor->next, word, len) != 0)
		return false;
	cursor->next += len;
	return true;
}

static void
expect(Cursor *cursor, const char *word)
{
	if (!take(cursor, word))
		cursor->failed = true;
}

/* A number of at least so many digits and at most so many. */
static int64
get_digits(Cursor *cursor, int least, int most)
{
	int64		value = 0;
	int			count = 0;

	while (count < most && cursor->next < cursor->end &&
		   *cursor->next >= '0' && *cursor->next <= '9')
	{
		value = value * 10 + (*cursor->next++ - '0');
		count++;
	}
	if (count < least)
		cursor->failed = true;
	return value;
}

/* The whole text is one of the two words for what is not finite. */
static bool
is_infinity(const char *text, size_t len, bool *positive)
{
	*positive = len > 0 && *text != '-';
	if (len > 0 && !*positive)
	{
		text++;
		len--;
	}
	return len == strlen("infinity") && memcmp(text, "infinity", len) == 0;
}

/* Year, month and day, without the era. */
static void
get_date(Cursor *cursor, int64 *year, int *month, int *day)
{
	*year = get_digits(cursor, 4, 7);
	expect(cursor, "-");
	*month = (int) get_digits(cursor, 2, 2);
	expect(cursor, "-");
	*day = (int) get_digits(cursor, 2, 2);
	if (*year < 1)
		cursor->failed = true;
}

/* What stands at the end of a date or timestamp; then the day is known. */
static int64
get_era(Cursor *cursor, int64 year, int month, int day)
{
	int64		days = 0;

	if (take(cursor, " BC"))
		year = 1 - year;
	if (cursor->failed || !medsync_calendar_days(year, month, day, &days))
		cursor->failed = true;
	return cursor->failed ? 0 : days;
}

/* Hours, minutes, seconds and a fraction, in microseconds. */
static uint64
get_clock(Cursor *cursor, int hour_digits, int64 most_hours)
{
	int64		hours = get_digits(cursor, 2, hour_digits);
	int64		minutes;
	int64		seconds;
	int64		fraction = 0;

	expect(cursor, ":");
	minutes = get_digits(cursor, 2, 2);
	expect(cursor, ":");
	seconds = get_digits(cursor, 2, 2);
	if (take(cursor, "."))
	{
		const char *start = cursor->next;
		int			count;

		fraction = get_digits(cursor, 1, FRACTION_DIGITS);
		for (count = (int) (cursor->next - start); count < FRACTION_DIGITS; count++)
			fraction *= 10;
	}
	if (hours > most_hours || minutes > 59 || seconds > 59)
		cursor->failed = true;
	if (cursor->failed)
		return 0;
	return (uint64) hours * USECS_PER_HOUR + minutes * USECS_PER_MINUTE +
		seconds * USECS_PER_SEC + fraction;
}

/* A time of day: up to 24:00. */
static int64
get_time(Cursor *cursor)
{
	uint64		value = get_clock(cursor, 2, 24);

	if (value > (uint64) USECS_PER_DAY)
		cursor->failed = true;
	return (int64) value;
}

/* A zone, as seconds west of UTC. */
static int32
get_zone(Cursor *cursor)
{
	bool		east = take(cursor, "+");
	int32		seconds;

	if (!east)
		expect(cursor, "-");
	seconds = (int32) get_digits(cursor, 2, 2) * SECS_PER_HOUR;
	if (take(cursor, ":"))
	{
		seconds += (int32) get_digits(cursor, 2, 2) * SECS_PER_MINUTE;
		if (take(cursor, ":"))
			seconds += (int32) get_digits(cursor, 2, 2);
	}
	if (seconds >= TZDISP_LIMIT)
		cursor->failed = true;
	return east ? -seconds : seconds;
}

bool
medsync_text_date(const char *text, size_t len, int32 *days)
{
	Cursor		cursor;
	int64		year;
	int64		value;
	int			month;
	int			day;
	bool		positive;

	if (is_infinity(text, len, &positive))
	{
		*days = positive ? MEDSYNC_DATE_NOEND : MEDSYNC_DATE_NOBEGIN;
		return true;
	}
	open_text(&cursor, text, len);
	get_date(&cursor, &year, &month, &day);
	value = get_era(&cursor, year, month, day);
	*days = (int32) value;
	return fits(&cursor) && IS_VALID_DATE(value);
}

bool
medsync_text_time(const char *text, size_t len, int64 *microseconds)
{
	Cursor		cursor;

	open_text(&cursor, text, len);
	*microseconds = get_time(&cursor);
	return fits(&cursor);
}

bool
medsync_text_timetz(const char *text, size_t len, int64 *microseconds,
					int32 *seconds_west)
{
	Cursor		cursor;

	open_text(&cursor, text, len);
	*microseconds = get_time(&cursor);
	*seconds_west = get_zone(&cursor);
	return fits(&cursor);
}

bool
medsync_text_timestamp(const char *text, size_t len, bool with_zone,
					   int64 *microseconds)
{
	Cursor		cursor;
	int64		year;
	int64		days;
	int64		time;
	int32		west = 0;
	int			month;
	int			day;
	bool		positive;

	if (is_infinity(text, len, &positive))
	{
		*microseconds = positive ? PG_INT64_MAX : PG_INT64_MIN;
		return true;
	}
	open_text(&cursor, text, len);
	get_date(&cursor, &year, &month, &day);
	expect(&cursor, " ");
	time = get_time(&cursor);
	if (with_zone)
		west = get_zone(&cursor);
	days = get_era(&cursor, year, month, day);
	if (!fits(&cursor) || time >= USECS_PER_DAY || !IS_VALID_DATE(days) ||
		days >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return false;
	*microseconds = days * USECS_PER_DAY + time + west * USECS_PER_SEC;
	return IS_VALID_TIMESTAMP(*microseconds);
}

/* Step over a unit's name, one or many. */
static bool
take_unit(Cursor *cursor, const char *unit)
{
	if (!take(cursor, unit))
		return false;
	(void) take(cursor, "s");
	return true;
}

/*
 * One part of an interval: a number and its unit, or the time, which is the
 * last.
 */
static void
get_interval_part(Cursor *cursor, int64 *months, int64 *days,
				  int64 *microseconds)
{
	bool		negative = take(cursor, "-");
	const char *start;
	int64		value;
	uint64		time;

	if (!negative)
		(void) take(cursor, "+");
	start = cursor->next;
	value = get_digits(cursor, 1, 10);
	if (negative)
		value = -value;
	if (take(cursor, " "))
	{
		if (take_unit(cursor, "year"))
			*months += value * MONTHS_PER_YEAR;
		else if (take_unit(cursor, "mon"))
			*months += value;
		else if (take_unit(cursor, "day"))
			*days += value;
		else
			cursor->failed = true;
		return;
	}
	cursor->next = start;
	time = get_clock(cursor, 10, MAX_INTERVAL_HOURS);
	if (time > (uint64) PG_INT64_MAX + (negative ? 1 : 0) ||
		cursor->next != cursor->end)
		cursor->failed = true;
	else
		*microseconds = negative ? (int64) -time : (int64) time;
}

static bool
is_int32(int64 value)
{
	return value >= PG_INT32_MIN && value <= PG_INT32_MAX;
}

bool
medsync_text_interval(const char *text, size_t len, int32 *months,
					  int32 *days, int64 *microseconds)
{
	Cursor		cursor;
	int64		month_sum = 0;
	int64		day_sum = 0;
	bool		positive;

	if (is_infinity(text, len, &positive))
	{
		*months = positive ? PG_INT32_MAX : PG_INT32_MIN;
		*days = positive ? PG_INT32_MAX : PG_INT32_MIN;
		*microseconds = positive ? PG_INT64_MAX : PG_INT64_MIN;
		return true;
	}
	*microseconds = 0;
	open_text(&cursor, text, len);
	get_interval_part(&cursor, &month_sum, &day_sum, microseconds);
	while (!cursor.failed && cursor.next < cursor.end)
	{
		expect(&cursor, " ");
		get_interval_part(&cursor, &month_sum, &day_sum, microseconds);
		if (!is_int32(month_sum) || !is_int32(day_sum))
			cursor.failed = true;
	}
	*months = (int32) month_sum;
	*days = (int32) day_sum;
	return fits(&cursor) && is_int32(month_sum) && is_int32(day_sum);
}
