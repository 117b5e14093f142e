/*-------------------------------------------------------------------------
 *
 * fuzz_receipt.c
 *		Fuzz target: receipts, and what they open.
 *
 * An input is tried as the text of a receipt, which nobody has signed, and as
 * opening data.  From opening data a receipt is made that a log has signed,
 * as a log would that means harm: only so what lies behind the signature and
 * the proofs is reached, the manifest and the row.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "../unit/receipt_maker.h"
#include "common/json_text.h"
#include "compat.h"
#include "mb/pg_wchar.h"
#include "tracked.h"

/* What is shown of a valid receipt must be JSON. */
static void
check_detail(const MedsyncReceiptResult *result)
{
	const char *text = result->detail.data;
	JsonLexContext *lex = medsync_json_lexer(text, result->detail.len);

	promise(pg_encoding_verifymbstr(PG_UTF8, result->detail.data,
									result->detail.len) == result->detail.len);
	promise(pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS);
}

static bool
is_valid(const char *text, size_t size, MedsyncReceiptResult *result)
{
	MedsyncVerifierKey key;

	receipt_maker_key(&key);
	medsync_receipt_check(text, size, &key, 1, result);
	promise(result->verdict != NULL);
	return strcmp(result->verdict, MEDSYNC_RECEIPT_VALID) == 0;
}

/* Nobody but us can sign, and we have not. */
static void
try_receipt(const char *data, size_t size)
{
	MedsyncReceiptResult result;

	promise(!is_valid(data, size, &result));
}

static void
try_opening(const uint8 *data, size_t size)
{
	MedsyncOpening opening;
	MedsyncReceiptResult result;
	StringInfoData text;

	if (!medsync_opening_parse(data, size, &opening))
		return;
	initStringInfo(&text);
	medsync_opening_write(&text, &opening);
	promise((size_t) text.len == size && memcmp(text.data, data, size) == 0);
	resetStringInfo(&text);
	if (!receipt_maker_make(&text, &opening))
		return;
	if (is_valid(text.data, text.len, &result))
		check_detail(&result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	tracked_begin();
	try_receipt((const char *) data, size);
	try_opening(data, size);
	tracked_end();
	return 0;
}
