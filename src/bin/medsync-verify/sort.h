/*-------------------------------------------------------------------------
 *
 * sort.h
 *		Sorting what an outsider has chosen the order of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VERIFY_SORT_H
#define MEDSYNC_VERIFY_SORT_H

/* As qsort(), but stable, and n log n comparisons whatever the order */
extern void medsync_sort(void *items, size_t count, size_t size,
						 int (*compare) (const void *a, const void *b));

#endif							/* MEDSYNC_VERIFY_SORT_H */
