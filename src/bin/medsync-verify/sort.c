/*-------------------------------------------------------------------------
 *
 * sort.c
 *		Sorting what an outsider has chosen the order of.
 *
 * PostgreSQL's qsort() takes quadratic time for orders that are made for it.
 * This is a merge sort, from runs of one item upwards, between the array and
 * a copy of the same size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "sort.h"

/* Merge two sorted runs, which stand one behind the other. */
static void
merge_runs(char *target, const char *left, const char *middle,
		   const char *end, size_t size,
		   int (*compare) (const void *a, const void *b))
{
	const char *right = middle;

	for (; left < middle || right < end; target += size)
	{
		if (right == end || (left < middle && compare(left, right) <= 0))
		{
			memcpy(target, left, size);
			left += size;
		}
		else
		{
			memcpy(target, right, size);
			right += size;
		}
	}
}

void
medsync_sort(void *items, size_t count, size_t size,
			 int (*compare) (const void *a, const void *b))
{
	char	   *source = items;
	char	   *target;
	char	   *copy;
	size_t		run;

	if (count < 2)
		return;
	copy = target = pg_malloc_extended(size * count, MCXT_ALLOC_HUGE);
	for (run = 1; run < count; run *= 2)
	{
		char	   *swap = source;
		size_t		i;

		for (i = 0; i < count; i += 2 * run)
			merge_runs(target + i * size, source + i * size,
					   source + Min(i + run, count) * size,
					   source + Min(i + 2 * run, count) * size,
					   size, compare);
		source = target;
		target = swap;
	}
	if (source != items)
		memcpy(items, source, size * count);
	pg_free(copy);
}
