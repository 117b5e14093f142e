/*-------------------------------------------------------------------------
 *
 * canonical_json.c
 *		Canonical bytes as JSON, without the types they were made from.
 *
 * Prints a value as to_jsonb() would print it, as far as its tag tells: a
 * composite becomes an array, since its attributes' names are not in the
 * bytes, and a type that is written as its output (json, money, inet) stays
 * a string.  Times are those of time zone UTC.
 *
 * Two forms of a value are needed: its JSON, and for what lies inside a
 * range or is not a JSON number the text that its type's output function
 * gives under the settings that docs/formats.md pins.
 *
 * Reads what others wrote: every length is checked, nesting is bounded, and
 * so is the output, because each level of text inside text doubles its
 * quotes; what grows beyond what a few levels make is refused.  Frontend-safe;
 * stores nothing, takes no locks, raises no error.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/calendar.h"
#include "common/json_text.h"
#include "common/shortest_dec.h"
#include "ledger/canonical_internal.h"
#include "ledger/canonical_json.h"
#include "mb/pg_wchar.h"

#define MAX_OUTPUT			0x3ffffffe	/* bytes: what a StringInfo can hold */
#define QUOTED_LEAST		65536	/* text inside text may always be so long, */
#define QUOTED_GROWTH		64	/* or so many times as long as its value */
#define LONGEST_ESCAPE		6	/* of a character in JSON: \u001f */
#define UUID_SIZE			16
#define MICROSECONDS		INT64CONST(1000000)

/* how dates and times are joined */
typedef enum TimeStyle
{
	STYLE_TEXT,					/* 2024-06-01 10:00:00+00 */
	STYLE_JSON					/* 2024-06-01T10:00:00+00:00 */
} TimeStyle;

static void put_text_value(StringInfo out, MedsyncReader *reader, int depth);
static void put_json_value(StringInfo out, MedsyncReader *reader, int depth);


/*
 * Writing within the limit
 */

/* Is there room for so many bytes more?  If not, the reader fails. */
static bool
has_room(StringInfo out, MedsyncReader *reader, size_t len)
{
	if (!reader->failed && len <= MAX_OUTPUT - (size_t) out->len)
		return true;
	reader->failed = true;
	return false;
}

static void
put_bytes(StringInfo out, MedsyncReader *reader, const void *data, size_t len)
{
	if (has_room(out, reader, len))
		appendBinaryStringInfo(out, data, (int) len);
}

static void
put_string(StringInfo out, MedsyncReader *reader, const char *text)
{
	put_bytes(out, reader, text, strlen(text));
}

static void
put_json_string(StringInfo out, MedsyncReader *reader, const char *text,
				size_t len)
{
	if (len <= MAX_OUTPUT / LONGEST_ESCAPE &&
		has_room(out, reader, len * LONGEST_ESCAPE + 2))
		medsync_json_put_string(out, text, len);
	else
		reader->failed = true;
}

/* Counted UTF-8 text without NUL bytes, in place; NULL when failed. */
static const char *
get_text(MedsyncReader *reader, size_t *len)
{
	const uint8 *bytes = get_counted(reader, len);

	if (bytes == NULL || *len > MAX_OUTPUT ||
		pg_encoding_verifymbstr(PG_UTF8, (const char *) bytes,
								(int) *len) != (int) *len)
	{
		reader->failed = true;
		return NULL;
	}
	return (const char *) bytes;
}

static const char *
get_number(MedsyncReader *reader, size_t *len, bool allow_special)
{
	const char *text = get_text(reader, len);

	if (text == NULL || !medsync_is_number(text, *len, allow_special))
	{
		reader->failed = true;
		return NULL;
	}
	return text;
}


/*
 * Dates and times
 */

/* Year, month and day; the era of years before 1 comes last, after the time. */
static bool
put_date_part(StringInfo out, MedsyncReader *reader, int64 days)
{
	int64		year;
	int			month;
	int			day;
	char		buf[40];

	if (!IS_VALID_DATE(days))
	{
		reader->failed = true;
		return false;
	}
	medsync_calendar_date(days, &year, &month, &day);
	snprintf(buf, sizeof(buf), "%04" INT64_MODIFIER "d-%02d-%02d",
			 year > 0 ? year : 1 - year, month, day);
	put_string(out, reader, buf);
	return year <= 0;
}

/* Hours, minutes and seconds, with as many digits as there are. */
static void
put_clock(StringInfo out, MedsyncReader *reader, uint64 microseconds)
{
	uint64		seconds = microseconds / MICROSECONDS;
	unsigned	fraction = (unsigned) (microseconds % MICROSECONDS);
	char		buf[40];
	int			len;

	len = snprintf(buf, sizeof(buf), "%02" INT64_MODIFIER "u:%02u:%02u",
				   seconds / 3600, (unsigned) (seconds / 60 % 60),
				   (unsigned) (seconds % 60));
	if (fraction > 0)
	{
		len += snprintf(buf + len, sizeof(buf) - len, ".%06u", fraction);
		while (buf[len - 1] == '0')
			buf[--len] = '\0';
	}
	put_bytes(out, reader, buf, len);
}

static void
put_date(StringInfo out, MedsyncReader *reader)
{
	int32		days = (int32) medsync_wire_get_u32(reader);

	if (days == MEDSYNC_DATE_NOBEGIN)
		put_string(out, reader, "-infinity");
	else if (days == MEDSYNC_DATE_NOEND)
		put_string(out, reader, "infinity");
	else if (put_date_part(out, reader, days))
		put_string(out, reader, " BC");
}

static void
put_timestamp(StringInfo out, MedsyncReader *reader, TimeStyle style,
			  const char *zone)
{
	int64		value = (int64) medsync_wire_get_u64(reader);
	int64		days = value / USECS_PER_DAY;
	int64		time = value % USECS_PER_DAY;
	bool		is_bc;

	if (TIMESTAMP_IS_NOBEGIN(value) || TIMESTAMP_IS_NOEND(value))
	{
		put_string(out, reader,
				   TIMESTAMP_IS_NOEND(value) ? "infinity" : "-infinity");
		return;
	}
	if (!IS_VALID_TIMESTAMP(value))
	{
		reader->failed = true;
		return;
	}
	if (time < 0)
	{
		time += USECS_PER_DAY;
		days--;
	}
	is_bc = put_date_part(out, reader, days);
	put_string(out, reader, style == STYLE_JSON ? "T" : " ");
	put_clock(out, reader, (uint64) time);
	put_string(out, reader, zone);
	if (is_bc)
		put_string(out, reader, " BC");
}

static void
put_time(StringInfo out, MedsyncReader *reader)
{
	int64		value = (int64) medsync_wire_get_u64(reader);

	if (value < 0 || value > USECS_PER_DAY)
		reader->failed = true;
	else
		put_clock(out, reader, (uint64) value);
}

static void
put_timetz_text(StringInfo out, MedsyncReader *reader)
{
	int32		west;
	int32		zone;
	char		buf[20];
	int			len;

	put_time(out, reader);
	west = (int32) medsync_wire_get_u32(reader);
	if (west <= -TZDISP_LIMIT || west >= TZDISP_LIMIT)
	{
		reader->failed = true;
		return;
	}
	zone = Abs(west);
	len = snprintf(buf, sizeof(buf), "%c%02d", west <= 0 ? '+' : '-',
				   zone / SECS_PER_HOUR);
	if (zone % SECS_PER_HOUR != 0)
		len += snprintf(buf + len, sizeof(buf) - len, ":%02d",
						zone / SECS_PER_MINUTE % MINS_PER_HOUR);
	if (zone % SECS_PER_MINUTE != 0)
		len += snprintf(buf + len, sizeof(buf) - len, ":%02d",
						zone % SECS_PER_MINUTE);
	put_bytes(out, reader, buf, len);
}

/* One unit of an interval; "before": did a negative one stand before it? */
static void
put_interval_unit(StringInfo out, MedsyncReader *reader, int32 value,
				  const char *unit, int start, bool *before)
{
	char		buf[40];

	if (value == 0)
		return;
	snprintf(buf, sizeof(buf), "%s%s%d %s%s", out->len > start ? " " : "",
			 *before && value > 0 ? "+" : "", value, unit,
			 value == 1 ? "" : "s");
	put_string(out, reader, buf);
	*before = value < 0;
}

/* An interval as IntervalStyle postgres prints it. */
static void
put_interval_text(StringInfo out, MedsyncReader *reader)
{
	int32		months = (int32) medsync_wire_get_u32(reader);
	int32		days = (int32) medsync_wire_get_u32(reader);
	int64		time = (int64) medsync_wire_get_u64(reader);
	int			start = out->len;
	bool		before = false;

	if ((months == PG_INT32_MIN && days == PG_INT32_MIN && time == PG_INT64_MIN) ||
		(months == PG_INT32_MAX && days == PG_INT32_MAX && time == PG_INT64_MAX))
	{
		put_string(out, reader, time < 0 ? "-infinity" : "infinity");
		return;
	}
	put_interval_unit(out, reader, months / MONTHS_PER_YEAR, "year", start,
					  &before);
	put_interval_unit(out, reader, months % MONTHS_PER_YEAR, "mon", start,
					  &before);
	put_interval_unit(out, reader, days, "day", start, &before);
	if (time == 0 && out->len > start)
		return;
	if (out->len > start)
		put_string(out, reader, " ");
	if (time < 0)
		put_string(out, reader, "-");
	else if (before)
		put_string(out, reader, "+");
	put_clock(out, reader, time < 0 ? -(uint64) time : (uint64) time);
}


/*
 * Other scalars
 */

static void
put_hex(StringInfo out, MedsyncReader *reader, const uint8 *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	if (len > MAX_OUTPUT / 2 || !has_room(out, reader, len * 2))
	{
		reader->failed = true;
		return;
	}
	for (size_t i = 0; i < len; i++)
	{
		appendStringInfoChar(out, digits[bytes[i] >> 4]);
		appendStringInfoChar(out, digits[bytes[i] & 0xf]);
	}
}

static void
put_bytea(StringInfo out, MedsyncReader *reader)
{
	size_t		len;
	const uint8 *bytes = get_counted(reader, &len);

	put_string(out, reader, "\\x");
	if (!reader->failed)
		put_hex(out, reader, bytes, len);
}

static void
put_uuid(StringInfo out, MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, UUID_SIZE);

	for (int i = 0; bytes != NULL && i < UUID_SIZE; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			put_string(out, reader, "-");
		put_hex(out, reader, bytes + i, 1);
	}
}

static void
put_integer(StringInfo out, MedsyncReader *reader)
{
	char		buf[32];

	snprintf(buf, sizeof(buf), INT64_FORMAT,
			 (int64) medsync_wire_get_u64(reader));
	put_string(out, reader, buf);
}

/* Both kinds of floating point numbers; false for what JSON has no number. */
static bool
put_float(StringInfo out, MedsyncReader *reader, bool is_float4)
{
	char		buf[DOUBLE_SHORTEST_DECIMAL_LEN];
	double		value;

	if (is_float4)
	{
		uint32		bits = medsync_wire_get_u32(reader);
		float		single;

		memcpy(&single, &bits, sizeof(single));
		if (isnan(single) && bits != FLOAT4_NAN)
			reader->failed = true;
		value = single;
		if (isfinite(single))
			float_to_shortest_decimal_buf(single, buf);
	}
	else
	{
		uint64		bits = medsync_wire_get_u64(reader);

		memcpy(&value, &bits, sizeof(value));
		if (isnan(value) && bits != FLOAT8_NAN)
			reader->failed = true;
		if (isfinite(value))
			double_to_shortest_decimal_buf(value, buf);
	}
	if (isfinite(value))
		put_string(out, reader, buf);
	else
		put_string(out, reader, isnan(value) ? "NaN" :
				   value > 0 ? "Infinity" : "-Infinity");
	return isfinite(value);
}

static void
put_counted_text(StringInfo out, MedsyncReader *reader)
{
	size_t		len;
	const char *text = get_text(reader, &len);

	if (text != NULL)
		put_bytes(out, reader, text, len);
}


/*
 * jsonb
 */

/* A scalar's token, or a key's. */
static void
put_jsonb_token(StringInfo out, MedsyncReader *reader, uint8 token)
{
	size_t		len;
	const char *text;

	switch (token)
	{
		case JSONB_NULL:
			put_string(out, reader, "null");
			break;
		case JSONB_FALSE:
			put_string(out, reader, "false");
			break;
		case JSONB_TRUE:
			put_string(out, reader, "true");
			break;
		case JSONB_NUMBER:
			text = get_number(reader, &len, false);
			if (text != NULL)
				put_bytes(out, reader, text, len);
			break;
		default:
			text = get_text(reader, &len);
			if (text != NULL)
				put_json_string(out, reader, text, len);
			if (token == JSONB_KEY)
				put_string(out, reader, ": ");
	}
}

/*
 * A document whose nesting is known to be right, with the blanks that jsonb
 * prints.  "separate": the next token follows a value in its container.
 */
static void
put_jsonb_document(StringInfo out, MedsyncReader *reader, const uint8 *end)
{
	bool		separate = false;

	while (reader->next < end && !reader->failed)
	{
		uint8		token = medsync_wire_get_u8(reader);
		bool		ends = token == JSONB_END_ARRAY ||
		token == JSONB_END_OBJECT;

		if (separate && !ends)
			put_string(out, reader, ", ");
		if (ends || token == JSONB_BEGIN_ARRAY || token == JSONB_BEGIN_OBJECT)
			put_bytes(out, reader, &token, 1);
		else
			put_jsonb_token(out, reader, token);
		separate = token != JSONB_BEGIN_ARRAY &&
			token != JSONB_BEGIN_OBJECT && token != JSONB_KEY;
	}
}

/* The tag has been read.  Nesting is checked by the code that skips values. */
static void
put_jsonb(StringInfo out, MedsyncReader *reader)
{
	MedsyncReader checker = *reader;

	checker.next--;
	if (medsync_canonical_skip(&checker))
		put_jsonb_document(out, reader, checker.next);
	else
		reader->failed = true;
}


/*
 * Text inside text: how ranges, composites and arrays quote what they hold
 */

/* Does array_out, record_out or range_out quote such a text? */
static bool
needs_quotes(const char *text, int len, const char *special)
{
	for (int i = 0; i < len; i++)
		if (strchr(special, text[i]) != NULL || strchr(" \t\n\v\f\r", text[i]) != NULL)
			return true;
	return len == 0;
}

/* Append a text in quotes if it needs them; "escape" goes before \ and ". */
static void
put_quoted(StringInfo out, MedsyncReader *reader, const StringInfo text,
		   const char *special, bool force, bool by_doubling)
{
	if (reader->failed)
		return;
	if (!force && !needs_quotes(text->data, text->len, special))
	{
		put_bytes(out, reader, text->data, text->len);
		return;
	}
	put_string(out, reader, "\"");
	for (int i = 0; i < text->len && !reader->failed; i++)
	{
		char		c = text->data[i];

		if (c == '"' || c == '\\')
			put_bytes(out, reader, by_doubling ? &c : "\\", 1);
		put_bytes(out, reader, &c, 1);
	}
	put_string(out, reader, "\"");
}

/* A value's text, quoted as its container wants it. */
static void
put_quoted_value(StringInfo out, MedsyncReader *reader, int depth,
				 const char *special, bool by_doubling)
{
	const uint8 *start = reader->next;
	StringInfoData text;

	if (reader->failed)
		return;
	initStringInfo(&text);
	put_text_value(&text, reader, depth);
	if ((size_t) text.len >
		QUOTED_LEAST + (size_t) (reader->next - start) * QUOTED_GROWTH)
		reader->failed = true;
	put_quoted(out, reader, &text, special,
			   !by_doubling && pg_strcasecmp(text.data, "null") == 0,
			   by_doubling);
	pfree(text.data);
}

static void
put_range_text(StringInfo out, MedsyncReader *reader, int depth)
{
	static const char special[] = "\"\\()[],";
	uint8		flags = medsync_get_range_flags(reader);

	if (flags & RANGE_IS_EMPTY)
	{
		put_string(out, reader, "empty");
		return;
	}
	put_string(out, reader, flags & RANGE_LOWER_INCLUSIVE ? "[" : "(");
	if (range_has_lower(flags))
		put_quoted_value(out, reader, depth + 1, special, true);
	put_string(out, reader, ",");
	if (range_has_upper(flags))
		put_quoted_value(out, reader, depth + 1, special, true);
	put_string(out, reader, flags & RANGE_UPPER_INCLUSIVE ? "]" : ")");
}

static void
put_multirange_text(StringInfo out, MedsyncReader *reader, int depth)
{
	size_t		count = get_count(reader);

	put_string(out, reader, "{");
	for (size_t i = 0; i < count && !reader->failed; i++)
	{
		if (i > 0)
			put_string(out, reader, ",");
		put_range_text(out, reader, depth);
	}
	put_string(out, reader, "}");
}

static void
put_composite_text(StringInfo out, MedsyncReader *reader, int depth)
{
	size_t		count = get_count(reader);

	put_string(out, reader, "(");
	for (size_t i = 0; i < count && !reader->failed; i++)
	{
		if (i > 0)
			put_string(out, reader, ",");
		if (get_flag(reader))
			put_quoted_value(out, reader, depth + 1, "\"\\(),", true);
	}
	put_string(out, reader, ")");
}

/* Lower bounds stand before an array's text if any of them is not 1. */
static void
put_array_bounds(StringInfo out, MedsyncReader *reader,
				 const ArrayShape *shape)
{
	bool		needed = false;
	char		buf[40];

	for (int i = 0; i < shape->ndim; i++)
		needed = needed || shape->lower_bounds[i] != 1;
	for (int i = 0; needed && i < shape->ndim; i++)
	{
		snprintf(buf, sizeof(buf), "[%d:%d]", shape->lower_bounds[i],
				 shape->lower_bounds[i] + shape->dims[i] - 1);
		put_string(out, reader, buf);
	}
	if (needed)
		put_string(out, reader, "=");
}

/* How many dimensions begin (or, counted from the end, end) at an element? */
static int
dimensions_at(const ArrayShape *shape, size_t item)
{
	int			count = 0;

	for (int i = shape->ndim - 1; i >= 0 && item % shape->dims[i] == 0; i--)
	{
		item /= shape->dims[i];
		count++;
	}
	return count;
}

/*
 * An array's elements between brackets, a pair for each dimension, by
 * whichever function puts one element (NULL elements are put here).
 */
static void
put_array_items(StringInfo out, MedsyncReader *reader,
				const ArrayShape *shape, int depth, bool as_json)
{
	const char *comma = as_json ? ", " : ",";

	if (shape->nitems == 0)
		put_string(out, reader, as_json ? "[]" : "{}");
	for (size_t i = 0; i < shape->nitems && !reader->failed; i++)
	{
		int			brackets = dimensions_at(shape, i);

		if (i > 0)
			put_string(out, reader, comma);
		while (brackets-- > 0)
			put_string(out, reader, as_json ? "[" : "{");
		if (!get_flag(reader))
			put_string(out, reader, as_json ? "null" : "NULL");
		else if (as_json)
			put_json_value(out, reader, depth + 1);
		else
			put_quoted_value(out, reader, depth + 1, "\"\\{},", false);
		brackets = dimensions_at(shape, i + 1);
		while (brackets-- > 0)
			put_string(out, reader, as_json ? "]" : "}");
	}
}

static void
put_array(StringInfo out, MedsyncReader *reader, int depth, bool as_json)
{
	ArrayShape	shape;

	medsync_get_array_shape(reader, &shape);
	if (!as_json)
		put_array_bounds(out, reader, &shape);
	put_array_items(out, reader, &shape, depth, as_json);
}


/*
 * Values
 */

/* A value as its type's output function prints it. */
static void
put_text_value(StringInfo out, MedsyncReader *reader, int depth)
{
	size_t		len;
	const char *text;

	if (depth > MAX_VALUE_DEPTH)
		reader->failed = true;
	switch (medsync_wire_get_u8(reader))
	{
		case MEDSYNC_TAG_BOOL:
			put_string(out, reader, get_flag(reader) ? "t" : "f");
			break;
		case MEDSYNC_TAG_INTEGER:
			put_integer(out, reader);
			break;
		case MEDSYNC_TAG_FLOAT4:
			put_float(out, reader, true);
			break;
		case MEDSYNC_TAG_FLOAT8:
			put_float(out, reader, false);
			break;
		case MEDSYNC_TAG_NUMERIC:
			text = get_number(reader, &len, true);
			if (text != NULL)
				put_bytes(out, reader, text, len);
			break;
		case MEDSYNC_TAG_TEXT:
		case MEDSYNC_TAG_ENUM:
		case MEDSYNC_TAG_OUTPUT:
			put_counted_text(out, reader);
			break;
		case MEDSYNC_TAG_BYTEA:
			put_bytea(out, reader);
			break;
		case MEDSYNC_TAG_DATE:
			put_date(out, reader);
			break;
		case MEDSYNC_TAG_TIME:
			put_time(out, reader);
			break;
		case MEDSYNC_TAG_TIMETZ:
			put_timetz_text(out, reader);
			break;
		case MEDSYNC_TAG_TIMESTAMP:
			put_timestamp(out, reader, STYLE_TEXT, "");
			break;
		case MEDSYNC_TAG_TIMESTAMPTZ:
			put_timestamp(out, reader, STYLE_TEXT, "+00");
			break;
		case MEDSYNC_TAG_INTERVAL:
			put_interval_text(out, reader);
			break;
		case MEDSYNC_TAG_UUID:
			put_uuid(out, reader);
			break;
		case MEDSYNC_TAG_JSONB:
			put_jsonb(out, reader);
			break;
		case MEDSYNC_TAG_ARRAY:
			put_array(out, reader, depth, false);
			break;
		case MEDSYNC_TAG_RANGE:
			put_range_text(out, reader, depth);
			break;
		case MEDSYNC_TAG_MULTIRANGE:
			put_multirange_text(out, reader, depth);
			break;
		case MEDSYNC_TAG_COMPOSITE:
			put_composite_text(out, reader, depth);
			break;
		default:
			reader->failed = true;
	}
}

/* A value's text as a JSON string. */
static void
put_as_string(StringInfo out, MedsyncReader *reader, int depth)
{
	StringInfoData text;

	initStringInfo(&text);
	put_text_value(&text, reader, depth);
	put_json_string(out, reader, text.data, text.len);
	pfree(text.data);
}

/* Numbers are JSON numbers, but what JSON has no number for is a string. */
static void
put_json_float(StringInfo out, MedsyncReader *reader, bool is_float4)
{
	StringInfoData text;

	initStringInfo(&text);
	if (put_float(&text, reader, is_float4))
		put_bytes(out, reader, text.data, text.len);
	else
		put_json_string(out, reader, text.data, text.len);
	pfree(text.data);
}

static void
put_json_numeric(StringInfo out, MedsyncReader *reader)
{
	size_t		len;
	const char *text = get_number(reader, &len, true);

	if (text == NULL)
		return;
	if (medsync_is_number(text, len, false))
		put_bytes(out, reader, text, len);
	else
		put_json_string(out, reader, text, len);
}

static void
put_json_composite(StringInfo out, MedsyncReader *reader, int depth)
{
	size_t		count = get_count(reader);

	put_string(out, reader, "[");
	for (size_t i = 0; i < count && !reader->failed; i++)
	{
		if (i > 0)
			put_string(out, reader, ", ");
		if (get_flag(reader))
			put_json_value(out, reader, depth + 1);
		else
			put_string(out, reader, "null");
	}
	put_string(out, reader, "]");
}

static void
put_json_timestamp(StringInfo out, MedsyncReader *reader, const char *zone)
{
	put_string(out, reader, "\"");
	put_timestamp(out, reader, STYLE_JSON, zone);
	put_string(out, reader, "\"");
}

/* A value as to_jsonb() prints it. */
static void
put_json_value(StringInfo out, MedsyncReader *reader, int depth)
{
	MedsyncReader start = *reader;

	if (depth > MAX_VALUE_DEPTH)
		reader->failed = true;
	switch (medsync_wire_get_u8(reader))
	{
		case MEDSYNC_TAG_BOOL:
			put_string(out, reader, get_flag(reader) ? "true" : "false");
			break;
		case MEDSYNC_TAG_INTEGER:
			put_integer(out, reader);
			break;
		case MEDSYNC_TAG_FLOAT4:
			put_json_float(out, reader, true);
			break;
		case MEDSYNC_TAG_FLOAT8:
			put_json_float(out, reader, false);
			break;
		case MEDSYNC_TAG_NUMERIC:
			put_json_numeric(out, reader);
			break;
		case MEDSYNC_TAG_TIMESTAMP:
			put_json_timestamp(out, reader, "");
			break;
		case MEDSYNC_TAG_TIMESTAMPTZ:
			put_json_timestamp(out, reader, "+00:00");
			break;
		case MEDSYNC_TAG_JSONB:
			put_jsonb(out, reader);
			break;
		case MEDSYNC_TAG_ARRAY:
			put_array(out, reader, depth, true);
			break;
		case MEDSYNC_TAG_COMPOSITE:
			put_json_composite(out, reader, depth);
			break;
		default:
			if (reader->failed)
				return;
			*reader = start;
			put_as_string(out, reader, depth);
	}
}

/* Append the JSON of the value that the reader stands before. */
bool
medsync_canonical_json(StringInfo out, MedsyncReader *reader)
{
	int			start = out->len;

	put_json_value(out, reader, 1);
	if (reader->failed)
	{
		out->len = start;
		out->data[start] = '\0';
	}
	return !reader->failed;
}


/*
 * Rows
 */

static void
put_member(StringInfo out, MedsyncReader *reader, const MedsyncColumn *column)
{
	if (out->data[out->len - 1] != '{')
		put_string(out, reader, ", ");
	put_json_string(out, reader, column->name, strlen(column->name));
	put_string(out, reader, ": ");
}

/*
 * A row as an object, in column-number order: null where the row has no
 * value.  Its columns must be columns of the manifest that are not excluded.
 */
static void
put_row(StringInfo out, MedsyncReader *reader,
		const MedsyncManifest *manifest, bool only_key)
{
	uint64		number = 0;		/* of the row's next value; 0: read it */

	put_string(out, reader, "{");
	for (int i = 0; i < manifest->column_count && !reader->failed; i++)
	{
		const MedsyncColumn *column = &manifest->columns[i];
		bool		shown = !only_key ||
		medsync_manifest_is_key(manifest, column->number);
		bool		is_null;

		if (number == 0 && MEDSYNC_WIRE_LEFT(reader) > 0)
		{
			number = medsync_wire_get_varint(reader);
			if (number < (uint64) column->number)
				reader->failed = true;
		}
		if (column->excluded)
			continue;
		is_null = number != (uint64) column->number;
		if (shown)
			put_member(out, reader, column);
		if (!is_null)
		{
			if (shown)
				put_json_value(out, reader, 1);
			else
				medsync_canonical_skip(reader);
			number = 0;
		}
		else if (shown)
			put_string(out, reader, "null");
	}
	put_string(out, reader, "}");
	if (number != 0 || MEDSYNC_WIRE_LEFT(reader) > 0)
		reader->failed = true;
}

static bool
append_row(StringInfo out, const void *row, size_t len,
		   const MedsyncManifest *manifest, bool only_key)
{
	int			start = out->len;
	MedsyncReader reader;

	medsync_wire_open(&reader, row, len);
	put_row(out, &reader, manifest, only_key);
	if (reader.failed)
	{
		out->len = start;
		out->data[start] = '\0';
	}
	return !reader.failed;
}

bool
medsync_canonical_row_json(StringInfo out, const void *row, size_t len,
						   const MedsyncManifest *manifest)
{
	return append_row(out, row, len, manifest, false);
}

bool
medsync_canonical_key_json(StringInfo out, const void *row, size_t len,
						   const MedsyncManifest *manifest)
{
	return append_row(out, row, len, manifest, true);
}
