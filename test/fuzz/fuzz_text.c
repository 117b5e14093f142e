/*-------------------------------------------------------------------------
 *
 * fuzz_text.c
 *		Fuzz target: values as a server prints them, to canonical bytes.
 *
 * The first byte chooses the type.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "bin/medsync-verify/text_codec.h"
#include "ledger/canonical_json.h"
#include "mb/pg_wchar.h"

static MedsyncTextCodec scalars[] = {
	{.kind = KIND_BOOL},
	{.kind = KIND_INT8},
	{.kind = KIND_FLOAT4},
	{.kind = KIND_FLOAT8},
	{.kind = KIND_NUMERIC},
	{.kind = KIND_TEXT},
	{.kind = KIND_BYTEA},
	{.kind = KIND_DATE},
	{.kind = KIND_TIME},
	{.kind = KIND_TIMETZ},
	{.kind = KIND_TIMESTAMP},
	{.kind = KIND_TIMESTAMPTZ},
	{.kind = KIND_INTERVAL},
	{.kind = KIND_UUID},
	{.kind = KIND_JSONB},
	{.kind = KIND_ENUM},
	{.kind = KIND_CHAR},
	{.kind = KIND_OUTPUT}
};

#define SCALARS		((int) lengthof(scalars))

static MedsyncTextCodec *
find_scalar(CodecKind kind)
{
	for (int i = 0; i < SCALARS; i++)
		if (scalars[i].kind == kind)
			return &scalars[i];
	abort();
}

/*
 * Types that hold others: arrays, a range, a multirange, a composite and one
 * that holds all of these.
 */
enum
{
	INTEGERS,
	TEXTS,
	BOXES,
	TEXT_RANGE,
	TIME_RANGE,
	TIME_MULTIRANGE,
	PAIR,
	NESTED,
	NESTED_ARRAY,
	EMPTY,
	NESTED_TYPES
};

static MedsyncTextCodec nested[NESTED_TYPES];
static MedsyncTextCodec *pair_attributes[2];
static MedsyncTextCodec *nested_attributes[4];

static void
hold(int type, CodecKind kind, MedsyncTextCodec *element, char delimiter)
{
	nested[type].kind = kind;
	nested[type].element = element;
	nested[type].delimiter = delimiter;
}

static void
make_types(void)
{
	hold(INTEGERS, KIND_ARRAY, find_scalar(KIND_INT8), ',');
	hold(TEXTS, KIND_ARRAY, find_scalar(KIND_TEXT), ',');
	hold(BOXES, KIND_ARRAY, find_scalar(KIND_OUTPUT), ';');
	hold(TEXT_RANGE, KIND_RANGE, find_scalar(KIND_TEXT), 0);
	hold(TIME_RANGE, KIND_RANGE, find_scalar(KIND_TIMESTAMPTZ), 0);
	hold(TIME_MULTIRANGE, KIND_MULTIRANGE, &nested[TIME_RANGE], 0);
	hold(PAIR, KIND_COMPOSITE, NULL, 0);
	nested[PAIR].attribute_count = 2;
	nested[PAIR].attributes = pair_attributes;
	pair_attributes[0] = find_scalar(KIND_INT8);
	pair_attributes[1] = find_scalar(KIND_TEXT);
	hold(NESTED, KIND_COMPOSITE, NULL, 0);
	nested[NESTED].attribute_count = 4;
	nested[NESTED].attributes = nested_attributes;
	nested_attributes[0] = &nested[TEXTS];
	nested_attributes[1] = &nested[TEXT_RANGE];
	nested_attributes[2] = &nested[PAIR];
	nested_attributes[3] = find_scalar(KIND_JSONB);
	hold(NESTED_ARRAY, KIND_ARRAY, &nested[NESTED], ',');
	hold(EMPTY, KIND_COMPOSITE, NULL, 0);
}

/*
 * Bytes that were made are one canonical value, and UTF-8 stays printable.
 * (Bytes of "char" are escaped, so that they become UTF-8.)
 */
static void
check_bytes(const StringInfo bytes, bool is_utf8)
{
	MedsyncReader reader;
	StringInfoData json;

	medsync_wire_open(&reader, bytes->data, bytes->len);
	promise(medsync_canonical_skip(&reader));
	promise(MEDSYNC_WIRE_LEFT(&reader) == 0);
	if (!is_utf8)
		return;
	initStringInfo(&json);
	medsync_wire_open(&reader, bytes->data, bytes->len);
	promise(medsync_canonical_json(&json, &reader));
	pfree(json.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data + 1;
	const MedsyncTextCodec *codec;
	MedsyncSink sink = {.hash = NULL};
	int			choice;
	bool		is_utf8;

	if (size == 0)
		return 0;
	if (nested[INTEGERS].element == NULL)
		make_types();
	size--;
	choice = data[0] % (SCALARS + NESTED_TYPES);
	codec = choice < SCALARS ? &scalars[choice] : &nested[choice - SCALARS];
	is_utf8 = pg_encoding_verifymbstr(PG_UTF8, text, (int) size) == (int) size;
	initStringInfo(&sink.buf);
	if (medsync_text_put(&sink, codec, text, size))
		check_bytes(&sink.buf, is_utf8);
	pfree(sink.buf.data);
	return 0;
}
