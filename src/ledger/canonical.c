/*-------------------------------------------------------------------------
 *
 * canonical.c
 *		The canonical encoding of values.
 *
 * Turns one value of any type that can be tracked into the bytes that the
 * ledger commits to, and back.  The bytes are described one by one in
 * docs/formats.md ("Canonical encoding"); they hold no OID, no raw varlena
 * and no text that a setting could change, so that the same value has the
 * same bytes in every session, on every server version and after a dump and
 * restore.
 *
 * Stores nothing and takes no locks beyond what look-ups in the system
 * catalogs take.  Runs inside the row trigger, so the common types are
 * written by one switch without a function call through fmgr and without
 * an allocation.  Runs on a standby and in parallel workers too: settings are
 * only ever changed for the length of one output or input call.  On an error
 * the half-written sink is worthless; the transaction's abort restores the
 * settings.
 *
 * A codec remembers the shape of its type.  Domains and ranges cannot change
 * theirs, a composite type can: it is compared with the catalog at every use,
 * and a codec that no longer fits raises an error rather than writing bytes
 * that nobody can read.  Enum labels are read from the catalog at every use.
 *
 * The first part is compiled into frontend programs too.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/arrayaccess.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/multirangetypes.h"
#include "utils/numeric.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "common/errors.h"
#include "compat.h"
#endif

#include "catalog/pg_type_d.h"
#include "ledger/canonical_internal.h"

/* a sink with a digest is emptied into it at this size */
#define FRONT_BUFFER_SIZE	(32 * 1024)

/* digits before and after the point that numeric can hold */
#define NUMERIC_WHOLE_DIGITS	131072
#define NUMERIC_FRACTION_DIGITS 16383

/* Built-in types, and what their output and input functions look at. */
static const struct
{
	Oid			type;
	CodecKind	kind;
	SettingsUse settings;
}			builtin_types[] =
{
	{BOOLOID, KIND_BOOL, SETTINGS_NONE},
	{INT2OID, KIND_INT2, SETTINGS_NONE},
	{INT4OID, KIND_INT4, SETTINGS_NONE},
	{INT8OID, KIND_INT8, SETTINGS_NONE},
	{FLOAT4OID, KIND_FLOAT4, SETTINGS_FLOAT},
	{FLOAT8OID, KIND_FLOAT8, SETTINGS_FLOAT},
	{NUMERICOID, KIND_NUMERIC, SETTINGS_NONE},
	{TEXTOID, KIND_TEXT, SETTINGS_NONE},
	{VARCHAROID, KIND_TEXT, SETTINGS_NONE},
	{BPCHAROID, KIND_BPCHAR, SETTINGS_NONE},
	{NAMEOID, KIND_NAME, SETTINGS_NONE},
	{BYTEAOID, KIND_BYTEA, SETTINGS_ANY},
	{DATEOID, KIND_DATE, SETTINGS_ANY},
	{TIMEOID, KIND_TIME, SETTINGS_NONE},
	{TIMETZOID, KIND_TIMETZ, SETTINGS_NONE},
	{TIMESTAMPOID, KIND_TIMESTAMP, SETTINGS_ANY},
	{TIMESTAMPTZOID, KIND_TIMESTAMPTZ, SETTINGS_ANY},
	{INTERVALOID, KIND_INTERVAL, SETTINGS_ANY},
	{UUIDOID, KIND_UUID, SETTINGS_NONE},
	{JSONBOID, KIND_JSONB, SETTINGS_NONE},
	{CHAROID, KIND_CHAR, SETTINGS_NONE},
	{JSONOID, KIND_OUTPUT, SETTINGS_NONE},
	{JSONPATHOID, KIND_OUTPUT, SETTINGS_NONE},
	{XMLOID, KIND_OUTPUT, SETTINGS_XML},
	{OIDOID, KIND_OUTPUT, SETTINGS_NONE},
	{TIDOID, KIND_OUTPUT, SETTINGS_NONE},
	{XIDOID, KIND_OUTPUT, SETTINGS_NONE},
	{XID8OID, KIND_OUTPUT, SETTINGS_NONE},
	{CIDOID, KIND_OUTPUT, SETTINGS_NONE},
	{PG_LSNOID, KIND_OUTPUT, SETTINGS_NONE},
	{PG_SNAPSHOTOID, KIND_OUTPUT, SETTINGS_NONE},
	{TXID_SNAPSHOTOID, KIND_OUTPUT, SETTINGS_NONE},
	{REFCURSOROID, KIND_OUTPUT, SETTINGS_NONE},
	{INETOID, KIND_OUTPUT, SETTINGS_NONE},
	{CIDROID, KIND_OUTPUT, SETTINGS_NONE},
	{MACADDROID, KIND_OUTPUT, SETTINGS_NONE},
	{MACADDR8OID, KIND_OUTPUT, SETTINGS_NONE},
	{BITOID, KIND_OUTPUT, SETTINGS_NONE},
	{VARBITOID, KIND_OUTPUT, SETTINGS_NONE},
	{TSVECTOROID, KIND_OUTPUT, SETTINGS_NONE},
	{TSQUERYOID, KIND_OUTPUT, SETTINGS_NONE},
	{POINTOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{LSEGOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{PATHOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{BOXOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{POLYGONOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{LINEOID, KIND_OUTPUT, SETTINGS_FLOAT},
	{CIRCLEOID, KIND_OUTPUT, SETTINGS_FLOAT},
	/* arrays by catalog, but their empty value has one dimension */
	{INT2VECTOROID, KIND_OUTPUT, SETTINGS_NONE},
	{OIDVECTOROID, KIND_OUTPUT, SETTINGS_NONE},
};

/*
 * What output and input functions see.  Values are spelled as GetConfigOption
 * gives them, so that a setting that already has the value is left alone.
 */
const MedsyncPinnedSetting medsync_pinned_settings[] =
{
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
	{"xmloption", "content"},
	{"search_path", "pg_catalog, pg_temp"},
	{NULL, NULL}
};

static bool skip_value(MedsyncReader *reader, int depth);


/* How a built-in type is written; false for a type that is not listed. */
bool
medsync_builtin_kind(Oid type, CodecKind *kind, SettingsUse *settings)
{
	for (int i = 0; i < (int) lengthof(builtin_types); i++)
	{
		if (builtin_types[i].type == type)
		{
			*kind = builtin_types[i].kind;
			*settings = builtin_types[i].settings;
			return true;
		}
	}
	return false;
}


/*
 * Reading what needs no knowledge of the types
 */

/*
 * Read an array's header.  Sizes are limited by the bytes that are left,
 * every element taking at least one, so that nobody allocates gigabytes on
 * the word of a forged header.
 */
void
medsync_get_array_shape(MedsyncReader *reader, ArrayShape *shape)
{
	uint64		ndim = medsync_wire_get_varint(reader);
	uint64		nitems = ndim > 0 ? 1 : 0;

	if (ndim > MAX_DIMENSIONS)
		reader->failed = true;
	for (uint64 i = 0; i < ndim && !reader->failed; i++)
	{
		uint64		length = medsync_wire_get_varint(reader);
		int64		lower = medsync_wire_get_zigzag(reader);

		if (length < 1 || length > PG_INT32_MAX ||
			lower < PG_INT32_MIN ||
			lower > PG_INT32_MAX - (int64) length)
		{
			reader->failed = true;
			break;
		}
		nitems *= length;
		if (nitems > MEDSYNC_WIRE_LEFT(reader))
			reader->failed = true;
		shape->dims[i] = (int) length;
		shape->lower_bounds[i] = (int) lower;
	}
	shape->ndim = reader->failed ? 0 : (int) ndim;
	shape->nitems = reader->failed ? 0 : (size_t) nitems;
}

/* An empty or infinite side has no other flag: one range, one encoding. */
uint8
medsync_get_range_flags(MedsyncReader *reader)
{
	uint8		flags = medsync_wire_get_u8(reader);

	if ((flags & ~RANGE_ALL_FLAGS) != 0 ||
		((flags & RANGE_IS_EMPTY) && flags != RANGE_IS_EMPTY) ||
		((flags & RANGE_LOWER_INFINITE) && (flags & RANGE_LOWER_INCLUSIVE)) ||
		((flags & RANGE_UPPER_INFINITE) && (flags & RANGE_UPPER_INCLUSIVE)))
		reader->failed = true;
	return flags;
}

/* One container more is open; false when it is one too many. */
bool
medsync_jsonb_open(JsonbNesting *nesting, bool is_object)
{
	uint8		bit;

	if (nesting->depth >= MAX_JSONB_DEPTH)
		return false;
	nesting->depth++;
	bit = 1 << (nesting->depth % 8);
	if (is_object)
		nesting->objects[nesting->depth / 8] |= bit;
	else
		nesting->objects[nesting->depth / 8] &= ~bit;
	return true;
}

/*
 * Check the tokens of one jsonb and step over them.  Containers are kept in
 * a bitmap instead of on the stack, because documents nest deeper than types
 * do.
 */
static void
skip_jsonb(MedsyncReader *reader)
{
	JsonbNesting nesting;
	bool		after_key = false;	/* the last token was a key */

	nesting.depth = 0;
	do
	{
		bool		in_object = inside_object(&nesting);
		uint8		token = medsync_wire_get_u8(reader);
		bool		is_value = true;
		size_t		len;

		switch (token)
		{
			case JSONB_NULL:
			case JSONB_FALSE:
			case JSONB_TRUE:
				break;
			case JSONB_NUMBER:
			case JSONB_STRING:
				get_counted(reader, &len);
				break;
			case JSONB_BEGIN_ARRAY:
			case JSONB_BEGIN_OBJECT:
				if (!medsync_jsonb_open(&nesting,
										token == JSONB_BEGIN_OBJECT))
					reader->failed = true;
				break;
			case JSONB_KEY:
				is_value = false;
				if (!in_object || after_key)
					reader->failed = true;
				get_counted(reader, &len);
				break;
			case JSONB_END_ARRAY:
			case JSONB_END_OBJECT:
				is_value = false;
				if (nesting.depth == 0 || after_key ||
					in_object != (token == JSONB_END_OBJECT))
					reader->failed = true;
				else
					nesting.depth--;
				break;
			default:
				reader->failed = true;
		}
		/* values follow keys in an object, and only there */
		if (is_value && in_object != after_key)
			reader->failed = true;
		after_key = (token == JSONB_KEY);
	} while (!reader->failed && nesting.depth > 0);
}

static void
skip_array(MedsyncReader *reader, int depth)
{
	ArrayShape	shape;

	medsync_get_array_shape(reader, &shape);
	for (size_t i = 0; i < shape.nitems && !reader->failed; i++)
	{
		if (get_flag(reader))
			skip_value(reader, depth + 1);
	}
}

static void
skip_composite(MedsyncReader *reader, int depth)
{
	size_t		count = get_count(reader);

	for (size_t i = 0; i < count && !reader->failed; i++)
	{
		if (get_flag(reader))
			skip_value(reader, depth + 1);
	}
}

static void
skip_range(MedsyncReader *reader, int depth)
{
	uint8		flags = medsync_get_range_flags(reader);

	if (reader->failed)
		return;
	if (range_has_lower(flags))
		skip_value(reader, depth + 1);
	if (range_has_upper(flags))
		skip_value(reader, depth + 1);
}

static void
skip_multirange(MedsyncReader *reader, int depth)
{
	size_t		count = get_count(reader);

	for (size_t i = 0; i < count && !reader->failed; i++)
		skip_range(reader, depth);
}

static bool
skip_value(MedsyncReader *reader, int depth)
{
	size_t		len;

	if (depth > MAX_VALUE_DEPTH)
		reader->failed = true;
	if (reader->failed)
		return false;

	switch (medsync_wire_get_u8(reader))
	{
		case MEDSYNC_TAG_BOOL:
			get_flag(reader);
			break;
		case MEDSYNC_TAG_FLOAT4:
		case MEDSYNC_TAG_DATE:
			medsync_wire_get_bytes(reader, 4);
			break;
		case MEDSYNC_TAG_INTEGER:
		case MEDSYNC_TAG_FLOAT8:
		case MEDSYNC_TAG_TIME:
		case MEDSYNC_TAG_TIMESTAMP:
		case MEDSYNC_TAG_TIMESTAMPTZ:
			medsync_wire_get_bytes(reader, 8);
			break;
		case MEDSYNC_TAG_TIMETZ:
			medsync_wire_get_bytes(reader, 12);
			break;
		case MEDSYNC_TAG_INTERVAL:
		case MEDSYNC_TAG_UUID:
			medsync_wire_get_bytes(reader, 16);
			break;
		case MEDSYNC_TAG_NUMERIC:
		case MEDSYNC_TAG_TEXT:
		case MEDSYNC_TAG_BYTEA:
		case MEDSYNC_TAG_ENUM:
		case MEDSYNC_TAG_OUTPUT:
			get_counted(reader, &len);
			break;
		case MEDSYNC_TAG_JSONB:
			skip_jsonb(reader);
			break;
		case MEDSYNC_TAG_ARRAY:
			skip_array(reader, depth);
			break;
		case MEDSYNC_TAG_RANGE:
			skip_range(reader, depth);
			break;
		case MEDSYNC_TAG_MULTIRANGE:
			skip_multirange(reader, depth);
			break;
		case MEDSYNC_TAG_COMPOSITE:
			skip_composite(reader, depth);
			break;
		default:
			reader->failed = true;
	}
	return !reader->failed;
}

/*
 * Step over one value whatever its type.
 *
 * Checks all that can be checked without the type: tags, lengths, nesting,
 * flags; not the content of texts and numbers.
 */
bool
medsync_canonical_skip(MedsyncReader *reader)
{
	return skip_value(reader, 1);
}

/* How many decimal digits stand at the start of text? */
static size_t
count_digits(const char *text, size_t len)
{
	size_t		count = 0;

	while (count < len && text[count] >= '0' && text[count] <= '9')
		count++;
	return count;
}

/* Is every digit of a number a zero? */
static bool
is_zero(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] >= '1' && text[i] <= '9')
			return false;
	return true;
}

static bool
is_text(const char *text, size_t len, const char *expected)
{
	return len == strlen(expected) && memcmp(text, expected, len) == 0;
}

/*
 * Is this how numeric_out writes a number?  numeric_in takes more (blanks,
 * exponents, leading zeros), but one value has one encoding.
 */
bool
medsync_is_number(const char *text, size_t len, bool allow_special)
{
	bool		negative = len > 0 && *text == '-';
	const char *end = text + len;
	const char *whole = text + (negative ? 1 : 0);
	size_t		whole_len = count_digits(whole, end - whole);
	const char *fraction = whole + whole_len;
	size_t		fraction_len = 0;

	if (allow_special &&
		(is_text(text, len, "NaN") || is_text(text, len, "Infinity") ||
		 is_text(text, len, "-Infinity")))
		return true;
	if (whole_len == 0 || whole_len > NUMERIC_WHOLE_DIGITS ||
		(whole[0] == '0' && whole_len > 1))
		return false;
	if (fraction < end && *fraction == '.')
	{
		fraction++;
		fraction_len = count_digits(fraction, end - fraction);
		if (fraction_len == 0 || fraction_len > NUMERIC_FRACTION_DIGITS)
			return false;
	}
	if (fraction + fraction_len != end)
		return false;
	return !negative || !is_zero(whole, end - whole);
}


/*
 * The sink
 */

/*
 * Refuse what would not fit into one allocation.  A program that keeps all
 * bytes sees to it that they do.
 */
static void
check_sink_size(MedsyncSink *sink, size_t len)
{
#ifndef FRONTEND
	if (sink->hash == NULL &&
		len >= MaxAllocSize - (size_t) sink->buf.len)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too large for the ledger"),
				 errdetail("The canonical encoding of a row must be shorter than 1 GB.")));
#endif
}

void
medsync_sink_flush(MedsyncSink *sink)
{
	if (sink->hash == NULL || sink->buf.len == 0)
		return;
	medsync_sha256_update(sink->hash, sink->buf.data, sink->buf.len);
	resetStringInfo(&sink->buf);
}

/* Append bytes.  Long ones go past the front buffer, straight to the digest. */
void
medsync_sink_put(MedsyncSink *sink, const void *data, size_t len)
{
	check_sink_size(sink, len);
	if (sink->hash != NULL && len >= FRONT_BUFFER_SIZE)
	{
		medsync_sink_flush(sink);
		medsync_sha256_update(sink->hash, data, len);
		return;
	}
	appendBinaryStringInfo(&sink->buf, data, (int) len);
	if (sink->hash != NULL && sink->buf.len > FRONT_BUFFER_SIZE)
		medsync_sink_flush(sink);
}

/* Out of line for reserve(): there is no room for len bytes. */
pg_noinline void
medsync_sink_make_room(MedsyncSink *sink, int len)
{
	if (sink->hash != NULL && sink->buf.len + len > FRONT_BUFFER_SIZE)
		medsync_sink_flush(sink);
	check_sink_size(sink, len);
	enlargeStringInfo(&sink->buf, len);
}

#ifndef FRONTEND

/* a large value outside the row is read in pieces of this size */
#define STREAM_SIZE			(512 * 1024)

static const char kind_tags[] = {
	[KIND_BOOL] = MEDSYNC_TAG_BOOL,
	[KIND_INT2] = MEDSYNC_TAG_INTEGER,
	[KIND_INT4] = MEDSYNC_TAG_INTEGER,
	[KIND_INT8] = MEDSYNC_TAG_INTEGER,
	[KIND_FLOAT4] = MEDSYNC_TAG_FLOAT4,
	[KIND_FLOAT8] = MEDSYNC_TAG_FLOAT8,
	[KIND_NUMERIC] = MEDSYNC_TAG_NUMERIC,
	[KIND_TEXT] = MEDSYNC_TAG_TEXT,
	[KIND_BPCHAR] = MEDSYNC_TAG_TEXT,
	[KIND_NAME] = MEDSYNC_TAG_TEXT,
	[KIND_BYTEA] = MEDSYNC_TAG_BYTEA,
	[KIND_DATE] = MEDSYNC_TAG_DATE,
	[KIND_TIME] = MEDSYNC_TAG_TIME,
	[KIND_TIMETZ] = MEDSYNC_TAG_TIMETZ,
	[KIND_TIMESTAMP] = MEDSYNC_TAG_TIMESTAMP,
	[KIND_TIMESTAMPTZ] = MEDSYNC_TAG_TIMESTAMPTZ,
	[KIND_INTERVAL] = MEDSYNC_TAG_INTERVAL,
	[KIND_UUID] = MEDSYNC_TAG_UUID,
	[KIND_JSONB] = MEDSYNC_TAG_JSONB,
	[KIND_ENUM] = MEDSYNC_TAG_ENUM,
	[KIND_ARRAY] = MEDSYNC_TAG_ARRAY,
	[KIND_RANGE] = MEDSYNC_TAG_RANGE,
	[KIND_MULTIRANGE] = MEDSYNC_TAG_MULTIRANGE,
	[KIND_COMPOSITE] = MEDSYNC_TAG_COMPOSITE,
	[KIND_CHAR] = MEDSYNC_TAG_OUTPUT,
	[KIND_OUTPUT] = MEDSYNC_TAG_OUTPUT,
};

/* one live attribute of a composite type */
typedef struct CodecAttribute
{
	AttrNumber	number;
	Oid			type;
	MedsyncCodec *codec;
} CodecAttribute;

struct MedsyncCodec
{
	CodecKind	kind;
	SettingsUse settings;
	Oid			type;			/* as declared, perhaps a domain */
	Oid			base;			/* the same with domains resolved */
	List	   *domains;		/* OIDs of the domains between the two */
	const char *column;			/* for error messages */

	int16		typlen;
	bool		typbyval;
	char		typalign;

	MedsyncCodec *element;		/* of an array, range (its subtype) or
								 * multirange (its range) */
	TypeCacheEntry *typcache;	/* of a range; never freed by its owner */
	CodecAttribute *attributes; /* of a composite, dropped ones left out */
	int			nattributes;

	FmgrInfo	output;			/* fn_oid is 0 until first used */
	FmgrInfo	input;
	Oid			ioparam;
};

static MedsyncCodec *create_codec(Oid type, const char *column,
								  MemoryContext context, int depth);
static Datum get_value(MedsyncReader *reader, MedsyncCodec *codec);


static void
put_cstring(MedsyncSink *sink, char tag, const char *text)
{
	put_counted(sink, tag, text, strlen(text));
}


/*
 * Settings for output and input functions
 */

/*
 * Pin every setting that has another value.  GUC_ACTION_SAVE is the one way
 * that parallel workers allow.  Returns the nest level for unpin_settings().
 */
static int
pin_settings(void)
{
	int			level = NewGUCNestLevel();

	for (const MedsyncPinnedSetting *pin = medsync_pinned_settings;
		 pin->name != NULL; pin++)
	{
		const char *current = GetConfigOption(pin->name, false, false);

		if (current == NULL || strcmp(current, pin->value) != 0)
			(void) set_config_option(pin->name, pin->value,
									 PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
	}
	return level;
}

static void
unpin_settings(int level)
{
	AtEOXact_GUC(true, level);
}

/*
 * Must settings be pinned to call the output function?  Every positive
 * extra_float_digits gives the same shortest digits.
 */
static bool
output_needs_pins(const MedsyncCodec *codec)
{
	return codec->settings == SETTINGS_ANY ||
		(codec->settings == SETTINGS_FLOAT && extra_float_digits <= 0);
}

static bool
input_needs_pins(const MedsyncCodec *codec)
{
	return codec->settings == SETTINGS_ANY || codec->settings == SETTINGS_XML;
}

static void
load_output(MedsyncCodec *codec)
{
	Oid			function;
	bool		is_varlena;

	getTypeOutputInfo(codec->base, &function, &is_varlena);
	fmgr_info_cxt(function, &codec->output, GetMemoryChunkContext(codec));

	/* a type that prints as text does (citext) looks at no setting either */
	if (codec->output.fn_addr == textout)
		codec->settings = SETTINGS_NONE;
}

/*
 * "char" as version 16 and later print it; earlier ones gave bytes above 127
 * as they are, which is not even UTF-8.
 */
static char *
byte_text(char value)
{
	uint8		byte = (uint8) value;

	if (byte < 128)
		return psprintf("%.*s", byte == 0 ? 0 : 1, &value);
	return psprintf("\\%03o", byte);
}

/* The output function's text, the same under every setting; palloc'd. */
static char *
output_text(MedsyncCodec *codec, Datum value)
{
	char	   *text;
	int			level;

	if (codec->kind == KIND_CHAR)
		return byte_text(DatumGetChar(value));
	if (codec->output.fn_oid == InvalidOid)
		load_output(codec);
	if (!output_needs_pins(codec))
		return OutputFunctionCall(&codec->output, value);

	level = pin_settings();
	text = OutputFunctionCall(&codec->output, value);
	unpin_settings(level);
	return text;
}

/* The inverse.  Raises the input function's errors. */
static Datum
input_text(MedsyncCodec *codec, char *text)
{
	Datum		value;
	int			level;

	if (codec->input.fn_oid == InvalidOid)
	{
		Oid			function;

		getTypeInputInfo(codec->base, &function, &codec->ioparam);
		fmgr_info_cxt(function, &codec->input, GetMemoryChunkContext(codec));
	}
	if (!input_needs_pins(codec))
		return InputFunctionCall(&codec->input, text, codec->ioparam, -1);

	level = pin_settings();
	value = InputFunctionCall(&codec->input, text, codec->ioparam, -1);
	unpin_settings(level);
	return value;
}


/*
 * Building codecs
 */

static void
refuse_type(const char *column, Oid type, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" has type %s, which cannot be tracked",
					column, format_type_be(type)),
			 errdetail_internal("%s", why),
			 errhint("Give the column another type, or name it in exclude.")));
}

/* Refuse the types whose values would not survive, or could not be read. */
static void
check_type(const char *column, Oid type, char typtype)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case REGNAMESPACEOID:
		case REGROLEOID:
		case REGCOLLATIONOID:
		case ACLITEMOID:
			refuse_type(column, type,
						_("Its values hold the OID of an object, which means something else after a dump is restored or the object is renamed."));
			break;
		case PG_NODE_TREEOID:
		case PG_NDISTINCTOID:
		case PG_DEPENDENCIESOID:
		case PG_MCV_LISTOID:
		case PG_BRIN_BLOOM_SUMMARYOID:
		case PG_BRIN_MINMAX_MULTI_SUMMARYOID:
		case GTSVECTOROID:
			refuse_type(column, type,
						_("Values of this type can be printed but not read back."));
			break;
		default:
			if (typtype == TYPTYPE_PSEUDO)
				refuse_type(column, type,
							_("The type does not say what its values are made of."));
	}
}

/*
 * Find how a built-in type is written.  Types that are not listed are taken
 * to look at every setting, which costs microseconds a value but is always
 * right.
 */
static bool
load_builtin(MedsyncCodec *codec)
{
	codec->settings = SETTINGS_ANY;
	return medsync_builtin_kind(codec->base, &codec->kind, &codec->settings);
}

/* Follow domains down to their base type, noting each. */
static void
resolve_domains(MedsyncCodec *codec)
{
	codec->base = codec->type;
	for (;;)
	{
		HeapTuple	tuple;
		Form_pg_type form;
		Oid			next;

		tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(codec->base));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", codec->base);
		form = (Form_pg_type) GETSTRUCT(tuple);
		next = form->typtype == TYPTYPE_DOMAIN ? form->typbasetype : InvalidOid;
		ReleaseSysCache(tuple);
		if (next == InvalidOid)
			return;
		codec->domains = lappend_oid(codec->domains, codec->base);
		codec->base = next;
	}
}

static void
load_attributes(MedsyncCodec *codec, MemoryContext context, int depth)
{
	TupleDesc	tupdesc = lookup_rowtype_tupdesc_copy(codec->base, -1);

	codec->attributes = palloc(sizeof(CodecAttribute) * (tupdesc->natts + 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);
		CodecAttribute *attribute;

		if (attr->attisdropped)
			continue;
		attribute = &codec->attributes[codec->nattributes++];
		attribute->number = attr->attnum;
		attribute->type = attr->atttypid;
		attribute->codec = create_codec(attr->atttypid, codec->column,
										context, depth + 1);
	}
	FreeTupleDesc(tupdesc);
}

/* Find out how values of codec->base are written. */
static void
load_kind(MedsyncCodec *codec, MemoryContext context, int depth)
{
	char		typtype = get_typtype(codec->base);
	Oid			element = InvalidOid;

	check_type(codec->column, codec->base, typtype);
	if (load_builtin(codec))
		return;

	switch (typtype)
	{
		case TYPTYPE_ENUM:
			codec->kind = KIND_ENUM;
			codec->settings = SETTINGS_NONE;
			break;
		case TYPTYPE_RANGE:
			codec->kind = KIND_RANGE;
			codec->typcache = lookup_type_cache(codec->base,
												TYPECACHE_RANGE_INFO);
			element = codec->typcache->rngelemtype->type_id;
			break;
		case TYPTYPE_MULTIRANGE:
			codec->kind = KIND_MULTIRANGE;
			element = get_multirange_range(codec->base);
			break;
		case TYPTYPE_COMPOSITE:
			codec->kind = KIND_COMPOSITE;
			load_attributes(codec, context, depth);
			break;
		default:
			element = get_element_type(codec->base);
			codec->kind = OidIsValid(element) ? KIND_ARRAY : KIND_OUTPUT;
	}
	if (OidIsValid(element))
		codec->element = create_codec(element, codec->column, context,
									  depth + 1);
}

/* CurrentMemoryContext is the given context. */
static MedsyncCodec *
create_codec(Oid type, const char *column, MemoryContext context, int depth)
{
	MedsyncCodec *codec = palloc0(sizeof(MedsyncCodec));

	check_stack_depth();
	if (depth > MAX_VALUE_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("type of column \"%s\" is nested too deeply", column)));

	codec->type = type;
	codec->column = column;
	resolve_domains(codec);
	get_typlenbyvalalign(codec->base, &codec->typlen, &codec->typbyval,
						 &codec->typalign);
	load_kind(codec, context, depth);
	return codec;
}

/*
 * Build the codec of a type, with all the types inside it, in the given
 * context.  The column's name is for error messages, now and later.
 */
MedsyncCodec *
medsync_codec_create(Oid type, const char *column, MemoryContext context)
{
	MemoryContext old_context = MemoryContextSwitchTo(context);
	MedsyncCodec *codec;

	codec = create_codec(type, pstrdup(column), context, 1);
	MemoryContextSwitchTo(old_context);
	return codec;
}

bool
medsync_codec_uses_type(const MedsyncCodec *codec, Oid type)
{
	check_stack_depth();
	if (codec->type == type || codec->base == type ||
		list_member_oid(codec->domains, type))
		return true;
	if (codec->element != NULL && medsync_codec_uses_type(codec->element, type))
		return true;
	for (int i = 0; i < codec->nattributes; i++)
	{
		if (medsync_codec_uses_type(codec->attributes[i].codec, type))
			return true;
	}
	return false;
}


/*
 * Writing
 */

/*
 * A large value that lies uncompressed outside the row: read and pass on
 * piece by piece, so that it is never in memory as a whole.
 */
static void
put_external(MedsyncSink *sink, char tag, struct varlena *pointer)
{
	Size		size = toast_raw_datum_size(PointerGetDatum(pointer));
	size_t		len = size - VARHDRSZ;

	check_sink_size(sink, len);
	put_byte(sink, tag);
	put_varint(sink, len);
	for (size_t done = 0; done < len;)
	{
		struct varlena *piece = detoast_attr_slice(pointer, (int32) done,
												   STREAM_SIZE);
		size_t		piece_len = VARSIZE_ANY_EXHDR(piece);

		if (piece_len != Min(len - done, STREAM_SIZE))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("value stored outside its row is incomplete")));
		medsync_sink_put(sink, VARDATA_ANY(piece), piece_len);
		done += piece_len;
		pfree(piece);
	}
}

/* A value whose bytes count as they are; read in place where possible. */
static void
put_varlena(MedsyncSink *sink, char tag, Datum value)
{
	struct varlena *pointer = (struct varlena *) DatumGetPointer(value);
	struct varlena *plain = pointer;

	if (VARATT_IS_EXTERNAL_ONDISK(pointer))
	{
		struct varatt_external toast;

		VARATT_EXTERNAL_GET_POINTER(toast, pointer);
		if (!VARATT_EXTERNAL_IS_COMPRESSED(toast) &&
			toast.va_rawsize > STREAM_SIZE)
		{
			put_external(sink, tag, pointer);
			return;
		}
	}
	if (VARATT_IS_COMPRESSED(pointer) || VARATT_IS_EXTERNAL(pointer))
		plain = detoast_attr(pointer);
	put_counted(sink, tag, VARDATA_ANY(plain), VARSIZE_ANY_EXHDR(plain));
	if (plain != pointer)
		pfree(plain);
}

static void
put_numeric(MedsyncSink *sink, char tag, Datum value)
{
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out,
															  value));

	put_cstring(sink, tag, digits);
	pfree(digits);
}

static void
put_uuid(MedsyncSink *sink, const pg_uuid_t *value)
{
	uint8	   *dst = reserve(sink, 1 + UUID_LEN);

	dst[0] = MEDSYNC_TAG_UUID;
	memcpy(dst + 1, value->data, UUID_LEN);
}

static char *
enum_label(Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	char	   *label;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	label = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	return label;
}

static void
put_enum(MedsyncSink *sink, Oid value)
{
	char	   *label = enum_label(value);

	put_cstring(sink, MEDSYNC_TAG_ENUM, label);
	pfree(label);
}

static void
put_output(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	char	   *text = output_text(codec, value);

	put_cstring(sink, MEDSYNC_TAG_OUTPUT, text);
	pfree(text);
}

static void
put_jsonb_scalar(MedsyncSink *sink, const JsonbValue *scalar)
{
	switch (scalar->type)
	{
		case jbvNull:
			put_byte(sink, JSONB_NULL);
			break;
		case jbvBool:
			put_byte(sink, scalar->val.boolean ? JSONB_TRUE : JSONB_FALSE);
			break;
		case jbvNumeric:
			put_numeric(sink, JSONB_NUMBER,
						NumericGetDatum(scalar->val.numeric));
			break;
		case jbvString:
			put_counted(sink, JSONB_STRING, scalar->val.string.val,
						scalar->val.string.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb value of type %d", scalar->type);
	}
}

/* Returns the depth after the token. */
static int
put_jsonb_token(MedsyncSink *sink, JsonbIteratorToken token,
				const JsonbValue *value, int depth)
{
	switch (token)
	{
		case WJB_KEY:
			put_counted(sink, JSONB_KEY, value->val.string.val,
						value->val.string.len);
			return depth;
		case WJB_BEGIN_ARRAY:
			put_byte(sink, JSONB_BEGIN_ARRAY);
			return depth + 1;
		case WJB_BEGIN_OBJECT:
			put_byte(sink, JSONB_BEGIN_OBJECT);
			return depth + 1;
		case WJB_END_ARRAY:
			put_byte(sink, JSONB_END_ARRAY);
			return depth - 1;
		case WJB_END_OBJECT:
			put_byte(sink, JSONB_END_OBJECT);
			return depth - 1;
		default:
			put_jsonb_scalar(sink, value);
			return depth;
	}
}

/*
 * A scalar document is stored as an array of one; it is written as the
 * scalar alone, which no array begins like.
 */
static void
put_jsonb(MedsyncSink *sink, Datum value)
{
	Jsonb	   *jsonb = DatumGetJsonbP(value);
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	bool		is_scalar = JB_ROOT_IS_SCALAR(jsonb);
	JsonbIteratorToken token;
	JsonbValue	item;
	int			depth = 0;

	put_byte(sink, MEDSYNC_TAG_JSONB);
	while ((token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
	{
		if (is_scalar && token != WJB_ELEM)
			continue;
		depth = put_jsonb_token(sink, token, &item, depth);
		if (depth > MAX_JSONB_DEPTH)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("jsonb value is nested too deeply for the ledger"),
					 errdetail("At most %d levels can be recorded.",
							   MAX_JSONB_DEPTH)));
	}
	if ((Pointer) jsonb != DatumGetPointer(value))
		pfree(jsonb);
}

/* An element or attribute: 0 for NULL, or 1 and the value. */
static void
put_nullable(MedsyncSink *sink, MedsyncCodec *codec, Datum value, bool isnull)
{
	put_byte(sink, isnull ? 0 : 1);
	if (!isnull)
		medsync_canonical_put(sink, codec, value);
}

/*
 * An array without elements is written without dimensions, which is how it
 * comes back from a dump.
 */
static void
put_array(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	AnyArrayType *array = DatumGetAnyArrayP(value);
	MedsyncCodec *element = codec->element;
	int			nitems = ArrayGetNItems(AARR_NDIM(array), AARR_DIMS(array));
	int			ndim = nitems > 0 ? AARR_NDIM(array) : 0;
	array_iter	iterator;

	put_byte(sink, MEDSYNC_TAG_ARRAY);
	put_varint(sink, ndim);
	for (int i = 0; i < ndim; i++)
	{
		put_varint(sink, AARR_DIMS(array)[i]);
		put_zigzag(sink, AARR_LBOUND(array)[i]);
	}
	array_iter_setup(&iterator, array);
	for (int i = 0; i < nitems; i++)
	{
		bool		isnull;
		Datum		item = array_iter_next(&iterator, &isnull, i,
										   element->typlen, element->typbyval,
										   element->typalign);

		CHECK_FOR_INTERRUPTS();
		put_nullable(sink, element, item, isnull);
	}
	if (!VARATT_IS_EXPANDED_HEADER(array) &&
		(Pointer) array != DatumGetPointer(value))
		pfree(array);
}

static void
put_range_content(MedsyncSink *sink, MedsyncCodec *codec,
				  const RangeType *range)
{
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;
	uint8		flags = 0;

	range_deserialize(codec->typcache, range, &lower, &upper, &empty);
	if (empty)
		flags = RANGE_IS_EMPTY;
	else
	{
		if (lower.infinite)
			flags |= RANGE_LOWER_INFINITE;
		else if (lower.inclusive)
			flags |= RANGE_LOWER_INCLUSIVE;
		if (upper.infinite)
			flags |= RANGE_UPPER_INFINITE;
		else if (upper.inclusive)
			flags |= RANGE_UPPER_INCLUSIVE;
	}
	put_byte(sink, flags);
	if (range_has_lower(flags))
		medsync_canonical_put(sink, codec->element, lower.val);
	if (range_has_upper(flags))
		medsync_canonical_put(sink, codec->element, upper.val);
}

static void
put_range(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	RangeType  *range = DatumGetRangeTypeP(value);

	put_byte(sink, MEDSYNC_TAG_RANGE);
	put_range_content(sink, codec, range);
	if ((Pointer) range != DatumGetPointer(value))
		pfree(range);
}

static void
put_multirange(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	MultirangeType *multirange = DatumGetMultirangeTypeP(value);
	RangeType **ranges;
	int32		count;

	multirange_deserialize(codec->element->typcache, multirange, &count,
						   &ranges);
	put_byte(sink, MEDSYNC_TAG_MULTIRANGE);
	put_varint(sink, count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_range_content(sink, codec->element, ranges[i]);
	}
}

/*
 * Raise an error unless the composite type still has the attributes that the
 * codec was built for.
 */
static void
check_attributes(const MedsyncCodec *codec, TupleDesc tupdesc)
{
	int			live = 0;
	bool		same = true;

	for (int i = 0; i < tupdesc->natts && same; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		if (attr->attisdropped)
			continue;
		same = live < codec->nattributes &&
			codec->attributes[live].number == attr->attnum &&
			codec->attributes[live].type == attr->atttypid;
		live++;
	}
	if (!same || live != codec->nattributes)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("type %s of column \"%s\" was altered while it was being recorded",
						format_type_be(codec->base), codec->column),
				 errdetail("Its attributes are no longer those that the ledger records.")));
}

static void
put_composite(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc	tupdesc = lookup_rowtype_tupdesc(codec->base, -1);
	HeapTupleData tuple;
	Datum	   *values;
	bool	   *nulls;

	check_attributes(codec, tupdesc);
	if (HeapTupleHeaderGetTypeId(header) != codec->base)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("value of column \"%s\" is not of type %s",
						codec->column, format_type_be(codec->base))));

	memset(&tuple, 0, sizeof(tuple));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	values = palloc(sizeof(Datum) * (tupdesc->natts + 1));
	nulls = palloc(sizeof(bool) * (tupdesc->natts + 1));
	heap_deform_tuple(&tuple, tupdesc, values, nulls);

	put_byte(sink, MEDSYNC_TAG_COMPOSITE);
	put_varint(sink, codec->nattributes);
	for (int i = 0; i < codec->nattributes; i++)
	{
		CodecAttribute *attribute = &codec->attributes[i];

		put_nullable(sink, attribute->codec, values[attribute->number - 1],
					 nulls[attribute->number - 1]);
	}
	ReleaseTupleDesc(tupdesc);
	pfree(values);
	pfree(nulls);
	if ((Pointer) header != DatumGetPointer(value))
		pfree(header);
}

/* Types made of values. */
static void
put_nested(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	check_stack_depth();
	switch (codec->kind)
	{
		case KIND_ARRAY:
			put_array(sink, codec, value);
			break;
		case KIND_RANGE:
			put_range(sink, codec, value);
			break;
		case KIND_MULTIRANGE:
			put_multirange(sink, codec, value);
			break;
		default:
			put_composite(sink, codec, value);
	}
}

void
medsync_canonical_put(MedsyncSink *sink, MedsyncCodec *codec, Datum value)
{
	uint8	   *dst;

	switch (codec->kind)
	{
		case KIND_BOOL:
			dst = reserve(sink, 2);
			dst[0] = MEDSYNC_TAG_BOOL;
			dst[1] = DatumGetBool(value) ? 1 : 0;
			break;
		case KIND_INT2:
			put_tagged_u64(sink, MEDSYNC_TAG_INTEGER,
						   (uint64) (int64) DatumGetInt16(value));
			break;
		case KIND_INT4:
			put_tagged_u64(sink, MEDSYNC_TAG_INTEGER,
						   (uint64) (int64) DatumGetInt32(value));
			break;
		case KIND_INT8:
			put_tagged_u64(sink, MEDSYNC_TAG_INTEGER,
						   (uint64) DatumGetInt64(value));
			break;
		case KIND_FLOAT4:
			put_float4(sink, DatumGetFloat4(value));
			break;
		case KIND_FLOAT8:
			put_float8(sink, DatumGetFloat8(value));
			break;
		case KIND_NUMERIC:
			put_numeric(sink, MEDSYNC_TAG_NUMERIC, value);
			break;
		case KIND_TEXT:
		case KIND_BPCHAR:
			put_varlena(sink, MEDSYNC_TAG_TEXT, value);
			break;
		case KIND_NAME:
			put_cstring(sink, MEDSYNC_TAG_TEXT, NameStr(*DatumGetName(value)));
			break;
		case KIND_BYTEA:
			put_varlena(sink, MEDSYNC_TAG_BYTEA, value);
			break;
		case KIND_DATE:
			put_tagged_u32(sink, MEDSYNC_TAG_DATE,
						   (uint32) DatumGetDateADT(value));
			break;
		case KIND_TIME:
			put_tagged_u64(sink, MEDSYNC_TAG_TIME,
						   (uint64) DatumGetTimeADT(value));
			break;
		case KIND_TIMETZ:
			put_timetz(sink, DatumGetTimeTzADTP(value)->time,
					   DatumGetTimeTzADTP(value)->zone);
			break;
		case KIND_TIMESTAMP:
			put_tagged_u64(sink, MEDSYNC_TAG_TIMESTAMP,
						   (uint64) DatumGetTimestamp(value));
			break;
		case KIND_TIMESTAMPTZ:
			put_tagged_u64(sink, MEDSYNC_TAG_TIMESTAMPTZ,
						   (uint64) DatumGetTimestampTz(value));
			break;
		case KIND_INTERVAL:
			put_interval(sink, DatumGetIntervalP(value)->month,
						 DatumGetIntervalP(value)->day,
						 DatumGetIntervalP(value)->time);
			break;
		case KIND_UUID:
			put_uuid(sink, DatumGetUUIDP(value));
			break;
		case KIND_JSONB:
			put_jsonb(sink, value);
			break;
		case KIND_ENUM:
			put_enum(sink, DatumGetObjectId(value));
			break;
		case KIND_ARRAY:
		case KIND_RANGE:
		case KIND_MULTIRANGE:
		case KIND_COMPOSITE:
			put_nested(sink, codec, value);
			break;
		case KIND_CHAR:
		case KIND_OUTPUT:
			put_output(sink, codec, value);
			break;
	}
}

/* Subjects are numbers more often than not, and psprintf() is slow. */
static char *
integer_text(int64 value)
{
	char	   *text = palloc(MAXINT8LEN + 1);

	pg_lltoa(value, text);
	return text;
}

/*
 * The value as text, palloc'd.
 *
 * Trailing blanks of char(n) are left out, as a cast to text does: they are
 * no part of the value, and a person does not change with n.
 */
char *
medsync_canonical_text(MedsyncCodec *codec, Datum value)
{
	char	   *result;

	switch (codec->kind)
	{
		case KIND_INT2:
			return integer_text(DatumGetInt16(value));
		case KIND_INT4:
			return integer_text(DatumGetInt32(value));
		case KIND_INT8:
			return integer_text(DatumGetInt64(value));
		case KIND_TEXT:
			return TextDatumGetCString(value);
		case KIND_BPCHAR:
			result = TextDatumGetCString(value);
			result[bpchartruelen(result, strlen(result))] = '\0';
			return result;
		case KIND_UUID:
			return DatumGetCString(DirectFunctionCall1(uuid_out, value));
		case KIND_NUMERIC:
			return DatumGetCString(DirectFunctionCall1(numeric_out, value));
		case KIND_ENUM:
			return enum_label(DatumGetObjectId(value));
		default:
			return output_text(codec, value);
	}
}


/*
 * Reading
 *
 * Every function returns 0 once the reader has failed.
 */

static Datum
fail(MedsyncReader *reader)
{
	reader->failed = true;
	return (Datum) 0;
}

/* Length and UTF-8 text without NUL bytes, as a C string; NULL when failed. */
static char *
get_cstring(MedsyncReader *reader)
{
	size_t		len;
	const uint8 *bytes = get_counted(reader, &len);

	if (bytes == NULL || len >= MaxAllocSize ||
		!pg_verify_mbstr(PG_UTF8, (const char *) bytes, (int) len, true))
	{
		reader->failed = true;
		return NULL;
	}
	return pnstrdup((const char *) bytes, len);
}

static Datum
get_varlena(MedsyncReader *reader, bool is_text)
{
	size_t		len;
	const uint8 *bytes = get_counted(reader, &len);
	struct varlena *result;

	if (bytes == NULL || len > MaxAllocSize - VARHDRSZ)
		return fail(reader);
	if (is_text &&
		!pg_verify_mbstr(PG_UTF8, (const char *) bytes, (int) len, true))
		return fail(reader);
	result = palloc(len + VARHDRSZ);
	SET_VARSIZE(result, len + VARHDRSZ);
	memcpy(VARDATA(result), bytes, len);
	return PointerGetDatum(result);
}

static Datum
get_name(MedsyncReader *reader)
{
	char	   *text = get_cstring(reader);
	Name		name;

	if (text == NULL || strlen(text) >= NAMEDATALEN)
		return fail(reader);
	name = palloc0(NAMEDATALEN);
	namestrcpy(name, text);
	return NameGetDatum(name);
}

static Datum
get_integer(MedsyncReader *reader, CodecKind kind)
{
	int64		value = (int64) medsync_wire_get_u64(reader);

	if (kind == KIND_INT2)
	{
		if (value < PG_INT16_MIN || value > PG_INT16_MAX)
			return fail(reader);
		return Int16GetDatum((int16) value);
	}
	if (kind == KIND_INT4)
	{
		if (value < PG_INT32_MIN || value > PG_INT32_MAX)
			return fail(reader);
		return Int32GetDatum((int32) value);
	}
	return Int64GetDatum(value);
}

static Datum
get_float4(MedsyncReader *reader)
{
	uint32		bits = medsync_wire_get_u32(reader);
	float4		value;

	memcpy(&value, &bits, sizeof(value));
	if (isnan(value) && bits != FLOAT4_NAN)
		return fail(reader);
	return Float4GetDatum(value);
}

static Datum
get_float8(MedsyncReader *reader)
{
	uint64		bits = medsync_wire_get_u64(reader);
	float8		value;

	memcpy(&value, &bits, sizeof(value));
	if (isnan(value) && bits != FLOAT8_NAN)
		return fail(reader);
	return Float8GetDatum(value);
}

/* jsonb's numbers are always finite */
static Datum
get_numeric(MedsyncReader *reader, bool allow_special)
{
	char	   *text = get_cstring(reader);

	if (text == NULL ||
		!medsync_is_number(text, strlen(text), allow_special))
		return fail(reader);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

static Datum
get_date(MedsyncReader *reader)
{
	DateADT		value = (DateADT) medsync_wire_get_u32(reader);

	if (!DATE_NOT_FINITE(value) && !IS_VALID_DATE(value))
		return fail(reader);
	return DateADTGetDatum(value);
}

static TimeADT
get_time(MedsyncReader *reader)
{
	TimeADT		value = (TimeADT) medsync_wire_get_u64(reader);

	if (value < 0 || value > USECS_PER_DAY)
		reader->failed = true;
	return value;
}

static Datum
get_timetz(MedsyncReader *reader)
{
	TimeTzADT  *value = palloc(sizeof(TimeTzADT));

	value->time = get_time(reader);
	value->zone = (int32) medsync_wire_get_u32(reader);
	if (value->zone <= -TZDISP_LIMIT || value->zone >= TZDISP_LIMIT)
		return fail(reader);
	return TimeTzADTPGetDatum(value);
}

static Datum
get_timestamp(MedsyncReader *reader)
{
	Timestamp	value = (Timestamp) medsync_wire_get_u64(reader);

	if (!TIMESTAMP_NOT_FINITE(value) && !IS_VALID_TIMESTAMP(value))
		return fail(reader);
	return TimestampGetDatum(value);
}

static Datum
get_interval(MedsyncReader *reader)
{
	Interval   *value = palloc(sizeof(Interval));

	value->month = (int32) medsync_wire_get_u32(reader);
	value->day = (int32) medsync_wire_get_u32(reader);
	value->time = (TimeOffset) medsync_wire_get_u64(reader);
	return IntervalPGetDatum(value);
}

static Datum
get_uuid(MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, UUID_LEN);
	pg_uuid_t  *value;

	if (bytes == NULL)
		return (Datum) 0;
	value = palloc(sizeof(pg_uuid_t));
	memcpy(value->data, bytes, UUID_LEN);
	return UUIDPGetDatum(value);
}

/*
 * The label's OID.  Not enum_in, which refuses a label that was added by the
 * transaction that is running.
 */
static Datum
get_enum(MedsyncReader *reader, const MedsyncCodec *codec)
{
	char	   *label = get_cstring(reader);
	Oid			value;

	if (label == NULL || strlen(label) >= NAMEDATALEN)
		return fail(reader);
	value = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
							ObjectIdGetDatum(codec->base),
							CStringGetDatum(label));
	if (!OidIsValid(value))
		return fail(reader);
	return ObjectIdGetDatum(value);
}

static bool
is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The inverse of byte_text(). */
static Datum
get_char(MedsyncReader *reader)
{
	char	   *text = get_cstring(reader);

	if (text == NULL)
		return (Datum) 0;
	if (strlen(text) <= 1 && (uint8) text[0] < 128)
		return CharGetDatum(text[0]);
	if (strlen(text) == 4 && text[0] == '\\' &&
		(text[1] == '2' || text[1] == '3') &&
		is_octal(text[2]) && is_octal(text[3]))
		return CharGetDatum((char) ((text[1] - '0') << 6 |
									(text[2] - '0') << 3 |
									(text[3] - '0')));
	return fail(reader);
}

static Datum
get_output(MedsyncReader *reader, MedsyncCodec *codec)
{
	char	   *text = get_cstring(reader);

	if (text == NULL)
		return (Datum) 0;
	return input_text(codec, text);
}

/* Keys come in jsonb's order, shorter ones first, and once. */
static bool
key_in_order(const JsonbParseState *state, const JsonbValue *key)
{
	const JsonbValue *object = &state->contVal;
	const JsonbValue *last;

	if (object->val.object.nPairs == 0)
		return true;
	last = &object->val.object.pairs[object->val.object.nPairs - 1].key;
	if (last->val.string.len != key->val.string.len)
		return last->val.string.len < key->val.string.len;
	return memcmp(last->val.string.val, key->val.string.val,
				  key->val.string.len) < 0;
}

static void
get_jsonb_string(MedsyncReader *reader, JsonbValue *value)
{
	size_t		len;
	const uint8 *bytes = get_counted(reader, &len);

	if (bytes == NULL || len > JENTRY_OFFLENMASK ||
		!pg_verify_mbstr(PG_UTF8, (const char *) bytes, (int) len, true))
	{
		reader->failed = true;
		len = 0;
	}
	value->type = jbvString;
	value->val.string.val = (char *) bytes;
	value->val.string.len = (int) len;
}

static void
get_jsonb_scalar(MedsyncReader *reader, uint8 token, JsonbValue *value)
{
	switch (token)
	{
		case JSONB_NULL:
			value->type = jbvNull;
			break;
		case JSONB_FALSE:
		case JSONB_TRUE:
			value->type = jbvBool;
			value->val.boolean = (token == JSONB_TRUE);
			break;
		case JSONB_NUMBER:
			value->type = jbvNumeric;
			value->val.numeric =
				(Numeric) DatumGetPointer(get_numeric(reader, false));
			break;
		default:
			get_jsonb_string(reader, value);
	}
}

/* Add one token to a document whose nesting is known to be right. */
static JsonbValue *
push_jsonb_token(MedsyncReader *reader, JsonbParseState **state)
{
	uint8		token = medsync_wire_get_u8(reader);
	JsonbValue	value;

	switch (token)
	{
		case JSONB_BEGIN_ARRAY:
			return pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		case JSONB_BEGIN_OBJECT:
			return pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		case JSONB_END_ARRAY:
			return pushJsonbValue(state, WJB_END_ARRAY, NULL);
		case JSONB_END_OBJECT:
			return pushJsonbValue(state, WJB_END_OBJECT, NULL);
		case JSONB_KEY:
			get_jsonb_string(reader, &value);
			if (!reader->failed && !key_in_order(*state, &value))
				reader->failed = true;
			return reader->failed ? NULL :
				pushJsonbValue(state, WJB_KEY, &value);
		default:
			get_jsonb_scalar(reader, token, &value);
			if (reader->failed)
				return NULL;
			return pushJsonbValue(state,
								  (*state)->contVal.type == jbvObject ?
								  WJB_VALUE : WJB_ELEM, &value);
	}
}

static JsonbValue *
push_jsonb_document(MedsyncReader *reader, const uint8 *end)
{
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	array;

	if (*reader->next != JSONB_BEGIN_ARRAY &&
		*reader->next != JSONB_BEGIN_OBJECT)
	{
		/* a scalar alone is stored as an array of one, and marked */
		array.type = jbvArray;
		array.val.array.rawScalar = true;
		array.val.array.nElems = 1;
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, &array);
		push_jsonb_token(reader, &state);
		return reader->failed ? NULL :
			pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	while (reader->next < end && !reader->failed)
		result = push_jsonb_token(reader, &state);
	return reader->failed ? NULL : result;
}

/*
 * Build a jsonb.  Its nesting is checked first, by the same code that skips,
 * so that building follows well-formed tokens only.
 */
static Datum
get_jsonb(MedsyncReader *reader)
{
	MedsyncReader checker = *reader;
	JsonbValue *document;

	skip_jsonb(&checker);
	if (checker.failed)
		return fail(reader);
	document = push_jsonb_document(reader, checker.next);
	if (document == NULL)
		return fail(reader);
	return JsonbPGetDatum(JsonbValueToJsonb(document));
}

static Datum
get_nullable(MedsyncReader *reader, MedsyncCodec *codec, bool *isnull)
{
	*isnull = !get_flag(reader);
	if (*isnull || reader->failed)
		return (Datum) 0;
	return get_value(reader, codec);
}

static Datum
get_array(MedsyncReader *reader, MedsyncCodec *codec)
{
	MedsyncCodec *element = codec->element;
	ArrayShape	shape;
	Datum	   *items;
	bool	   *nulls;

	medsync_get_array_shape(reader, &shape);
	if (reader->failed || shape.nitems > MaxArraySize)
		return fail(reader);
	items = palloc(sizeof(Datum) * (shape.nitems + 1));
	nulls = palloc(sizeof(bool) * (shape.nitems + 1));
	for (size_t i = 0; i < shape.nitems && !reader->failed; i++)
	{
		CHECK_FOR_INTERRUPTS();
		items[i] = get_nullable(reader, element, &nulls[i]);
	}
	if (reader->failed)
		return (Datum) 0;
	if (shape.nitems == 0)
		return PointerGetDatum(construct_empty_array(element->type));
	return PointerGetDatum(construct_md_array(items, nulls, shape.ndim,
											  shape.dims, shape.lower_bounds,
											  element->type, element->typlen,
											  element->typbyval,
											  element->typalign));
}

/*
 * Build a range without calling the type's canonical function: what was
 * written is what comes back.  NULL when failed.
 */
static RangeType *
get_range_content(MedsyncReader *reader, MedsyncCodec *codec)
{
	uint8		flags = medsync_get_range_flags(reader);
	RangeBound	lower = {.lower = true};
	RangeBound	upper = {.lower = false};

	lower.infinite = (flags & RANGE_LOWER_INFINITE) != 0;
	lower.inclusive = (flags & RANGE_LOWER_INCLUSIVE) != 0;
	upper.infinite = (flags & RANGE_UPPER_INFINITE) != 0;
	upper.inclusive = (flags & RANGE_UPPER_INCLUSIVE) != 0;
	if (!reader->failed && range_has_lower(flags))
		lower.val = get_value(reader, codec->element);
	if (!reader->failed && range_has_upper(flags))
		upper.val = get_value(reader, codec->element);
	if (reader->failed)
		return NULL;
	if (flags == RANGE_IS_EMPTY)
		return make_empty_range(codec->typcache);

	if (range_has_lower(flags) && range_has_upper(flags))
	{
		int			order = range_cmp_bound_values(codec->typcache,
												   &lower, &upper);

		if (order > 0 ||
			(order == 0 && !(lower.inclusive && upper.inclusive)))
		{
			reader->failed = true;
			return NULL;
		}
	}
	return range_serialize(codec->typcache, &lower, &upper, false);
}

/* A multirange has its ranges in order, and neighbours joined. */
static bool
range_follows(TypeCacheEntry *typcache, const RangeType *previous,
			  const RangeType *next)
{
	return range_before_internal(typcache, previous, next) &&
		!range_adjacent_internal(typcache, previous, next);
}

static Datum
get_multirange(MedsyncReader *reader, MedsyncCodec *codec)
{
	size_t		count = get_count(reader);
	RangeType **ranges;

	if (reader->failed || count > MaxAllocSize / sizeof(RangeType *) - 1)
		return fail(reader);
	ranges = palloc(sizeof(RangeType *) * (count + 1));
	for (size_t i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ranges[i] = get_range_content(reader, codec->element);
		if (reader->failed)
			return (Datum) 0;
		if (RangeIsEmpty(ranges[i]) ||
			(i > 0 && !range_follows(codec->element->typcache,
									 ranges[i - 1], ranges[i])))
			return fail(reader);
	}
	return MultirangeTypePGetDatum(make_multirange(codec->base,
												   codec->element->typcache,
												   (int32) count, ranges));
}

static Datum
get_composite(MedsyncReader *reader, MedsyncCodec *codec)
{
	uint64		count = medsync_wire_get_varint(reader);
	TupleDesc	tupdesc;
	HeapTuple	tuple = NULL;
	Datum	   *values;
	bool	   *nulls;

	if (reader->failed || count != (uint64) codec->nattributes)
		return fail(reader);
	tupdesc = lookup_rowtype_tupdesc(codec->base, -1);
	check_attributes(codec, tupdesc);
	values = palloc0(sizeof(Datum) * (tupdesc->natts + 1));
	nulls = palloc(sizeof(bool) * (tupdesc->natts + 1));
	memset(nulls, true, tupdesc->natts);
	for (int i = 0; i < codec->nattributes && !reader->failed; i++)
	{
		CodecAttribute *attribute = &codec->attributes[i];

		values[attribute->number - 1] =
			get_nullable(reader, attribute->codec,
						 &nulls[attribute->number - 1]);
	}
	if (!reader->failed)
		tuple = heap_form_tuple(tupdesc, values, nulls);
	ReleaseTupleDesc(tupdesc);
	return tuple != NULL ? HeapTupleGetDatum(tuple) : (Datum) 0;
}

/* Read the tag, which must be the codec's, and the content. */
static Datum
get_value(MedsyncReader *reader, MedsyncCodec *codec)
{
	if (medsync_wire_get_u8(reader) != kind_tags[codec->kind])
		return fail(reader);
	check_stack_depth();

	switch (codec->kind)
	{
		case KIND_BOOL:
			return BoolGetDatum(get_flag(reader));
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
			return get_integer(reader, codec->kind);
		case KIND_FLOAT4:
			return get_float4(reader);
		case KIND_FLOAT8:
			return get_float8(reader);
		case KIND_NUMERIC:
			return get_numeric(reader, true);
		case KIND_TEXT:
		case KIND_BPCHAR:
			return get_varlena(reader, true);
		case KIND_NAME:
			return get_name(reader);
		case KIND_BYTEA:
			return get_varlena(reader, false);
		case KIND_DATE:
			return get_date(reader);
		case KIND_TIME:
			return TimeADTGetDatum(get_time(reader));
		case KIND_TIMETZ:
			return get_timetz(reader);
		case KIND_TIMESTAMP:
		case KIND_TIMESTAMPTZ:
			return get_timestamp(reader);
		case KIND_INTERVAL:
			return get_interval(reader);
		case KIND_UUID:
			return get_uuid(reader);
		case KIND_JSONB:
			return get_jsonb(reader);
		case KIND_ENUM:
			return get_enum(reader, codec);
		case KIND_ARRAY:
			return get_array(reader, codec);
		case KIND_RANGE:
			return RangeTypePGetDatum(get_range_content(reader, codec));
		case KIND_MULTIRANGE:
			return get_multirange(reader, codec);
		case KIND_COMPOSITE:
			return get_composite(reader, codec);
		case KIND_CHAR:
			return get_char(reader);
		case KIND_OUTPUT:
			return get_output(reader, codec);
	}
	return fail(reader);
}

/*
 * Read one value back as a Datum of the codec's type, palloc'd.
 *
 * Malformed bytes set reader->failed and give 0, wherever this file can
 * tell.  What only a type's own functions can tell (the text of a type
 * tagged 'x', a comparison of range bounds) raises their error, and so do
 * values beyond 1 GB; a caller that must not fail wraps the call in a
 * subtransaction.
 *
 * A domain's constraints are not checked and typmod is not applied: an old
 * row comes back as it was, even if its column has been narrowed since.
 */
Datum
medsync_canonical_get(MedsyncReader *reader, MedsyncCodec *codec,
					  int32 typmod)
{
	Datum		value;

	(void) typmod;
	value = get_value(reader, codec);
	return reader->failed ? (Datum) 0 : value;
}

#endif							/* !FRONTEND */
