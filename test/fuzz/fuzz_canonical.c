/*-------------------------------------------------------------------------
 *
 * fuzz_canonical.c
 *		Fuzz target: canonical values and rows as JSON.
 *
 * The first byte says what follows: a value, or a row of the table below.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "common/json_text.h"
#include "ledger/canonical.h"
#include "ledger/canonical_json.h"

static const char manifest_text[] =
"{\"table\":1,\"version\":2,\"schema\":\"public\",\"name\":\"t\",\"parent\":0,"
"\"tracked\":true,\"partitioned\":false,\"payload\":\"full\",\"subject\":1,"
"\"next_column\":6,\"key\":[3,1],\"columns\":["
"{\"number\":1,\"name\":\"id\",\"type\":\"integer\",\"excluded\":false},"
"{\"number\":2,\"name\":\"a \\\"b\\\"\",\"type\":\"pg_catalog.text\",\"excluded\":false},"
"{\"number\":3,\"name\":\"c\",\"type\":\"pg_catalog.text\",\"excluded\":false},"
"{\"number\":5,\"name\":\"seen\",\"type\":\"pg_catalog.text\",\"excluded\":true}]}";

/* What was written must be JSON: here, that every token of it is one. */
static void
check_json(const StringInfo json)
{
	MedsyncJsonReader reader;
	JsonTokenType token;

	medsync_json_open(&reader, json->data, json->len);
	do
		token = medsync_json_next(&reader);
	while (token != JSON_TOKEN_END && token != JSON_TOKEN_INVALID);
	promise(!reader.failed);
	medsync_json_close(&reader);
}

/* Whatever can be printed can be stepped over, and ends at the same byte. */
static void
try_value(const uint8 *data, size_t size)
{
	MedsyncReader printer;
	MedsyncReader skipper;
	StringInfoData json;

	initStringInfo(&json);
	medsync_wire_open(&printer, data, size);
	medsync_wire_open(&skipper, data, size);
	if (medsync_canonical_json(&json, &printer))
	{
		promise(medsync_canonical_skip(&skipper));
		promise(skipper.next == printer.next);
		check_json(&json);
	}
	else
		promise(json.len == 0);
	pfree(json.data);
}

/* A row that can be printed has a key that can be. */
static void
try_row(const uint8 *data, size_t size)
{
	static MedsyncManifest *manifest = NULL;
	StringInfoData json;

	if (manifest == NULL)
		manifest = medsync_manifest_read(manifest_text, strlen(manifest_text));
	promise(manifest != NULL);
	initStringInfo(&json);
	if (medsync_canonical_row_json(&json, data, size, manifest))
	{
		check_json(&json);
		resetStringInfo(&json);
		promise(medsync_canonical_key_json(&json, data, size, manifest));
		check_json(&json);
	}
	pfree(json.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		try_row(data + 1, size - 1);
	else
		try_value(data + 1, size - 1);
	return 0;
}
