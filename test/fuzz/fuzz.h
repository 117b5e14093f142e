/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the fuzz targets share.
 *
 * A target is one function that takes any bytes.  Besides not crashing it
 * must keep promises, such as "what is read is written as the same bytes":
 * where one is broken it aborts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_FUZZ_H
#define MEDSYNC_FUZZ_H

#include "postgres_fe.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the code under test */
#define promise(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif							/* MEDSYNC_FUZZ_H */
