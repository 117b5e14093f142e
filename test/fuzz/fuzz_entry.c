/*-------------------------------------------------------------------------
 *
 * fuzz_entry.c
 *		Fuzz target: entries, in their full encoding and in packed rows.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "ledger/entry.h"

/* The full encoding of an entry has one form. */
static void
try_entry(const uint8 *data, size_t size)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	StringInfoData again;

	if (!medsync_entry_decode(data, size, &header, &entry))
		return;
	initStringInfo(&again);
	medsync_entry_encode(&again, header.era_id, &header, &entry);
	promise((size_t) again.len == size && memcmp(again.data, data, size) == 0);
	pfree(again.data);
}

/* Whatever a packed row holds can be encoded in full and read back. */
static void
try_packed(const uint8 *data, size_t size)
{
	MedsyncPackedReader packed;
	StringInfoData full;
	StringInfoData again;

	if (!medsync_packed_open(&packed, 7, 3, data, size))
		return;
	initStringInfo(&full);
	initStringInfo(&again);
	while (medsync_packed_next(&packed))
	{
		MedsyncPackedHeader header;
		MedsyncEntry entry;

		resetStringInfo(&full);
		medsync_entry_encode(&full, packed.header.era_id, &packed.header,
							 &packed.entry);
		promise(medsync_entry_decode((uint8 *) full.data, full.len,
									 &header, &entry));
		resetStringInfo(&again);
		medsync_entry_encode(&again, header.era_id, &header, &entry);
		promise(again.len == full.len &&
				memcmp(again.data, full.data, full.len) == 0);
	}
	pfree(full.data);
	pfree(again.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_entry(data, size);
	try_packed(data, size);
	return 0;
}
