/*-------------------------------------------------------------------------
 *
 * fuzz_manifest.c
 *		Fuzz target: the text of a manifest.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "ledger/manifest_text.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MedsyncManifest *manifest = medsync_manifest_read((const char *) data,
													  size);
	char	   *again;

	if (manifest == NULL)
		return 0;

	/* one manifest has one text */
	again = medsync_manifest_write(manifest);
	promise(strlen(again) == size && memcmp(again, data, size) == 0);
	pfree(again);
	medsync_manifest_free(manifest);
	return 0;
}
