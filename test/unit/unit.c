/*-------------------------------------------------------------------------
 *
 * unit.c
 *		Runs the unit tests of the frontend-safe files; prints TAP.
 *
 * Test vectors come on standard input, one a line (see vectors.c); where
 * there are none the reason is the program's argument.  With --vectors they
 * are all that is run.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

static int	run = 0;
static int	failed = 0;
static uint64 random_state = UINT64CONST(0x9e3779b97f4a7c15);

/* One assertion. */
void
ok(bool good, const char *format,...)
{
	va_list		args;

	run++;
	if (!good)
		failed++;
	printf("%s %d - ", good ? "ok" : "not ok", run);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* A line for whoever reads the log. */
void
note(const char *format,...)
{
	va_list		args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* Print the plan; the exit status says whether all was well. */
int
finish(void)
{
	printf("1..%d\n", run);
	return failed == 0 ? 0 : 1;
}

/* splitmix64: good enough to choose what is tried. */
uint64
next_random(void)
{
	uint64		z;

	random_state += UINT64CONST(0x9e3779b97f4a7c15);
	z = random_state;
	z = (z ^ (z >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void
random_fill(void *data, size_t len)
{
	uint8	   *next = data;

	while (len-- > 0)
		*next++ = (uint8) next_random();
}

char *
exact_copy(const void *data, size_t len)
{
	char	   *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		exit(2);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

void
from_hex(const char *hex, uint8 *out, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			exit(2);
		out[i] = (uint8) byte;
	}
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--vectors") == 0)
	{
		test_vectors(stdin);
		return finish();
	}
	test_wire();
	test_crypto();
	test_entries();
	test_tree();
	test_notes();
	test_proof_text();
	test_receipts();
	test_signed_receipts();
	if (argc > 1)
		ok(true, "test vectors # skip %s", argv[1]);
	else
		test_vectors(stdin);
	return finish();
}
