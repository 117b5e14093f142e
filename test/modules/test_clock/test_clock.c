/*-------------------------------------------------------------------------
 *
 * test_clock.c
 *		A clock that is wrong by TEST_CLOCK_OFFSET seconds, for LD_PRELOAD.
 *
 * PostgreSQL reads the time of day by these three functions.  Monotonic
 * clocks stay as they are, so that waiting takes as long as ever.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	const char *offset = getenv("TEST_CLOCK_OFFSET");
	int			result = (int) syscall(SYS_clock_gettime, clock, now);

	if (result == 0 && offset != NULL && clock == CLOCK_REALTIME)
		now->tv_sec += atol(offset);
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec precise;

	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return (time_t) -1;
	if (result != NULL)
		*result = precise.tv_sec;
	return precise.tv_sec;
}
