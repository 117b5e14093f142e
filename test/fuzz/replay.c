/*-------------------------------------------------------------------------
 *
 * replay.c
 *		Feeds files to a fuzz target, where there is no libFuzzer.
 *
 *	replay_<target> [-f FLIPS] FILE...
 *
 * A file of at most FLIP_MAX bytes is fed whole, cut at every byte and with
 * every bit flipped; a larger one whole, and cut and flipped in as many places
 * as a small one.  With -f only so many bits of a byte, for a target that is
 * slow: other bits in other bytes.  Every input stands in memory of exactly its size, so that
 * AddressSanitizer sees the first byte read past it.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#define FLIP_MAX	2048

static long inputs = 0;
static int	flips = 8;			/* bits of each byte */

/* Feed a copy, so that nothing can be learnt from the input before. */
static void
feed(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		exit(2);
	memcpy(copy, data, size);
	(void) LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	inputs++;
}

static void
feed_variants(uint8_t *data, size_t size)
{
	size_t		step = size / FLIP_MAX + 1;
	size_t		i;

	feed(data, size);
	for (i = 0; i < size; i += step)
	{
		int			bit;

		feed(data, i);
		for (bit = 0; bit < flips; bit++)
		{
			uint8_t		mask = 1 << ((i + bit) % 8);

			data[i] ^= mask;
			feed(data, size);
			data[i] ^= mask;
		}
	}
}

static void
replay(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *data;
	long		size = -1;

	if (file != NULL && fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size < 0 || fseek(file, 0, SEEK_SET) != 0 ||
		(data = malloc(size + 1)) == NULL ||
		fread(data, 1, size, file) != (size_t) size)
	{
		perror(path);
		exit(2);
	}
	fclose(file);
	feed_variants(data, size);
	free(data);
	printf("ok %s\n", path);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	int			files = 0;

	while (*++argv != NULL)
	{
		if (strcmp(*argv, "-f") == 0 && argv[1] != NULL)
			flips = atoi(*++argv);
		else
		{
			replay(*argv);
			files++;
		}
	}
	printf("# %d files, %ld inputs\n", files, inputs);
	return 0;
}
