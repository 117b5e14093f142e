/*-------------------------------------------------------------------------
 *
 * calendar.c
 *		Days since 2000-01-01 and the Gregorian calendar.
 *
 * Counts in years that begin on 1 March, so that a leap day is a year's
 * last day, and in cycles of 400 years, which are 146,097 days each.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/calendar.h"

#define DAYS_OF_CYCLE	INT64CONST(146097)	/* 400 years */
#define DAYS_OF_CENTURY 36524	/* but for a cycle's last, one more */
#define DAYS_OF_FOUR	1461
#define DAYS_OF_YEAR	365

/* from 1 March of the year 0 to 2000-01-01 */
#define DAYS_TO_2000	INT64CONST(730425)

#define MAX_YEAR		INT64CONST(10000000)	/* more than any date has */

/* Days of a year of ours before its month-th month, March being 0. */
static int
days_before_month(int month)
{
	return (153 * month + 2) / 5;
}

/* The date of a day.  The caller has asked IS_VALID_DATE. */
void
medsync_calendar_date(int64 days, int64 *year, int *month, int *day)
{
	int64		cycle;
	int			rest;
	int			century;
	int			four;
	int			one;
	int			march_month;

	days += DAYS_TO_2000;
	cycle = days / DAYS_OF_CYCLE;
	if (days % DAYS_OF_CYCLE < 0)
		cycle--;
	rest = (int) (days - cycle * DAYS_OF_CYCLE);
	century = Min(rest / DAYS_OF_CENTURY, 3);
	rest -= century * DAYS_OF_CENTURY;
	four = rest / DAYS_OF_FOUR;
	rest -= four * DAYS_OF_FOUR;
	one = Min(rest / DAYS_OF_YEAR, 3);
	rest -= one * DAYS_OF_YEAR;

	march_month = (5 * rest + 2) / 153;
	*day = rest - days_before_month(march_month) + 1;
	*month = march_month < 10 ? march_month + 3 : march_month - 9;
	*year = cycle * 400 + century * 100 + four * 4 + one;
	if (*month <= 2)
		(*year)++;
}

/* The day of a date; false when there is no such date. */
bool
medsync_calendar_days(int64 year, int month, int day, int64 *days)
{
	int64		cycle;
	int			rest;
	int			march_month;
	int64		check_year;
	int			check_month;
	int			check_day;

	if (year < -MAX_YEAR || year > MAX_YEAR ||
		month < 1 || month > 12 || day < 1 || day > 31)
		return false;
	march_month = month > 2 ? month - 3 : month + 9;
	check_year = month > 2 ? year : year - 1;
	cycle = check_year / 400;
	if (check_year % 400 < 0)
		cycle--;
	rest = (int) (check_year - cycle * 400);
	*days = cycle * DAYS_OF_CYCLE + rest * DAYS_OF_YEAR + rest / 4 -
		rest / 100 + days_before_month(march_month) + day - 1 - DAYS_TO_2000;

	/* 30 February is no date: its day has another one */
	medsync_calendar_date(*days, &check_year, &check_month, &check_day);
	return check_day == day && check_month == month;
}
