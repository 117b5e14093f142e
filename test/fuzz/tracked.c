/*-------------------------------------------------------------------------
 *
 * tracked.c
 *		Memory of code that leaves it to the end of its process or context.
 *
 * What the server allocates in a memory context and the verifier until it
 * exits would be a leak in a program that calls it a million times.  The
 * linker (--wrap) sends malloc and its like here; what was allocated between
 * tracked_begin() and tracked_end() is freed there, and no sooner, so that
 * AddressSanitizer still sees whatever the code frees itself.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "tracked.h"

#define FIRST_CAPACITY	4096

extern void *__real_malloc(size_t size);
extern void *__real_calloc(size_t count, size_t size);
extern void *__real_realloc(void *pointer, size_t size);
extern void __real_free(void *pointer);
extern char *__real_strdup(const char *text);

extern void *__wrap_malloc(size_t size);
extern void *__wrap_calloc(size_t count, size_t size);
extern void *__wrap_realloc(void *pointer, size_t size);
extern void __wrap_free(void *pointer);
extern char *__wrap_strdup(const char *text);

/* What is allocated: a hash table with open addressing, a power of two large */
static void **table = NULL;
static size_t capacity = 0;
static size_t used = 0;
static bool tracking = false;

static size_t
home_of(const void *pointer)
{
	return ((uintptr_t) pointer >> 4) * UINT64CONST(0x9e3779b97f4a7c15) >> 32 &
		(capacity - 1);
}

static void
insert(void *pointer)
{
	size_t		i = home_of(pointer);

	while (table[i] != NULL)
		i = (i + 1) & (capacity - 1);
	table[i] = pointer;
	used++;
}

static void
grow(void)
{
	void	  **old = table;
	size_t		old_capacity = capacity;
	size_t		i;

	capacity = Max(FIRST_CAPACITY, capacity * 2);
	table = __real_calloc(capacity, sizeof(void *));
	used = 0;
	if (table == NULL)
		abort();
	for (i = 0; i < old_capacity; i++)
		if (old[i] != NULL)
			insert(old[i]);
	__real_free(old);
}

static void *
remember(void *pointer)
{
	if (!tracking || pointer == NULL)
		return pointer;
	if (used * 2 >= capacity)
		grow();
	insert(pointer);
	return pointer;
}

/* Forget a pointer, if it is known, and close the gap that it leaves. */
static void
forget(const void *pointer)
{
	size_t		i;
	size_t		gap;

	if (capacity == 0 || pointer == NULL)
		return;
	for (i = home_of(pointer); table[i] != pointer; i = (i + 1) & (capacity - 1))
		if (table[i] == NULL)
			return;
	used--;
	for (gap = i;; table[gap] = table[i], gap = i)
	{
		do
		{
			i = (i + 1) & (capacity - 1);
			if (table[i] == NULL)
			{
				table[gap] = NULL;
				return;
			}
		} while (((i - home_of(table[i])) & (capacity - 1)) <
				 ((i - gap) & (capacity - 1)));
	}
}

void *
__wrap_malloc(size_t size)
{
	return remember(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return remember(__real_calloc(count, size));
}

void *
__wrap_realloc(void *pointer, size_t size)
{
	forget(pointer);
	return remember(__real_realloc(pointer, size));
}

void
__wrap_free(void *pointer)
{
	forget(pointer);
	__real_free(pointer);
}

char *
__wrap_strdup(const char *text)
{
	return remember(__real_strdup(text));
}

void
tracked_begin(void)
{
	tracking = true;
}

/* Free what is left of the input before. */
void
tracked_end(void)
{
	size_t		i;

	tracking = false;
	for (i = 0; used > 0 && i < capacity; i++)
	{
		if (table[i] == NULL)
			continue;
		__real_free(table[i]);
		table[i] = NULL;
		used--;
	}
}
