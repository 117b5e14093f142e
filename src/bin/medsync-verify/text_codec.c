/*-------------------------------------------------------------------------
 *
 * text_codec.c
 *		Canonical bytes of a value from the text that a server prints.
 *
 * The bytes are those that canonical.c makes from the value itself; the
 * text is what the type's output function gives under the settings of
 * medsync_pinned_settings.  So whoever checks a ledger need not believe the
 * server's own encoder.
 *
 * Values that hold others are read twice where their encoding begins with a
 * count: first to count, then to write.  The text comes from whoever is
 * being checked: whatever is not as the type prints it is refused, nesting
 * is bounded, and no more is allocated than the text is long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "common/json_text.h"
#include "text_codec.h"
#include "text_time.h"

#define LONGEST_FLOAT	64		/* characters; the shortest form has 24 */
#define UUID_SIZE		16
#define LONGEST_TEXT	0x3ffffffe	/* bytes: what a StringInfo can hold */
#define HEX_BLOCK		4096	/* bytes decoded at a time */

/* What is left of the text of a value that holds others */
typedef struct TextCursor
{
	const char *next;
	const char *end;
	bool		failed;
} TextCursor;

/* One of the values in it, its quotes taken off */
typedef struct TextItem
{
	const char *text;
	size_t		len;
	bool		quoted;
} TextItem;

static bool put_value(MedsyncSink *sink, const MedsyncTextCodec *codec,
					  const char *text, size_t len, int depth);


/*
 * Scalars
 */

static bool
is_word(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(text, word, len) == 0;
}

static bool
put_bool(MedsyncSink *sink, const char *text, size_t len)
{
	if (len != 1 || (*text != 't' && *text != 'f'))
		return false;
	put_byte(sink, MEDSYNC_TAG_BOOL);
	put_byte(sink, *text == 't' ? 1 : 0);
	return true;
}

/* A whole number as the server prints it: no plus, no leading zero. */
static bool
parse_integer(const char *text, size_t len, int64 *value)
{
	bool		negative = len > 0 && *text == '-';
	uint64		limit = (uint64) PG_INT64_MAX + (negative ? 1 : 0);
	uint64		sum = 0;
	size_t		i = negative ? 1 : 0;

	if (i == len || (text[i] == '0' && len > 1))
		return false;
	for (; i < len; i++)
	{
		unsigned	digit = (unsigned char) text[i] - '0';

		if (digit > 9 || sum > (limit - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = negative ? (int64) -sum : (int64) sum;
	return true;
}

static bool
put_integer(MedsyncSink *sink, const char *text, size_t len)
{
	int64		value;

	if (!parse_integer(text, len, &value))
		return false;
	put_tagged_u64(sink, MEDSYNC_TAG_INTEGER, (uint64) value);
	return true;
}

/* A floating point number's text, terminated; false for what is no such. */
static bool
copy_float(char *copy, const char *text, size_t len)
{
	if (len == 0 || len >= LONGEST_FLOAT)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return is_word(text, len, "NaN") || is_word(text, len, "Infinity") ||
		is_word(text, len, "-Infinity") ||
		strspn(copy, "0123456789+-.e") == len;
}

/*
 * The shortest digits that give the same number back are what is printed.
 * strtof() and strtod() round right; the program leaves LC_NUMERIC as C.
 */
static bool
put_float(MedsyncSink *sink, const char *text, size_t len, bool is_float4)
{
	char		copy[LONGEST_FLOAT];
	char	   *end;

	if (!copy_float(copy, text, len))
		return false;
	if (is_float4)
		put_float4(sink, strtof(copy, &end));
	else
		put_float8(sink, strtod(copy, &end));
	return *end == '\0';
}

static bool
put_numeric(MedsyncSink *sink, const char *text, size_t len)
{
	if (!medsync_is_number(text, len, true))
		return false;
	put_counted(sink, MEDSYNC_TAG_NUMERIC, text, len);
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Decode len bytes from twice as many digits. */
static bool
decode_hex(uint8 *dst, const char *digits, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		int			high = hex_digit(digits[2 * i]);
		int			low = hex_digit(digits[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		dst[i] = (uint8) (high << 4 | low);
	}
	return true;
}

bool
medsync_text_bytes(const char *text, size_t text_len, uint8 *bytes, size_t len)
{
	return text_len == 2 * len + 2 && memcmp(text, "\\x", 2) == 0 &&
		decode_hex(bytes, text + 2, len);
}

static bool
put_bytea(MedsyncSink *sink, const char *text, size_t len)
{
	uint8		block[HEX_BLOCK];
	size_t		left = len / 2 - 1;

	if (len < 2 || len % 2 != 0 || memcmp(text, "\\x", 2) != 0)
		return false;
	put_byte(sink, MEDSYNC_TAG_BYTEA);
	put_varint(sink, left);
	text += 2;
	while (left > 0)
	{
		size_t		count = Min(left, HEX_BLOCK);

		if (!decode_hex(block, text, count))
			return false;
		medsync_sink_put(sink, block, count);
		text += 2 * count;
		left -= count;
	}
	return true;
}

static bool
put_uuid(MedsyncSink *sink, const char *text, size_t len)
{
	static const int groups[] = {4, 2, 2, 2, 6};
	uint8		bytes[UUID_SIZE];
	uint8	   *dst = bytes;

	if (len != 2 * UUID_SIZE + lengthof(groups) - 1)
		return false;
	for (int i = 0; i < (int) lengthof(groups); i++)
	{
		if (i > 0 && *text++ != '-')
			return false;
		if (!decode_hex(dst, text, groups[i]))
			return false;
		dst += groups[i];
		text += 2 * groups[i];
	}
	put_byte(sink, MEDSYNC_TAG_UUID);
	medsync_sink_put(sink, bytes, UUID_SIZE);
	return true;
}

/*
 * "char", which servers before version 16 print as the byte it is, whatever
 * that means in UTF-8; later ones as an octal escape from 80 up.
 */
static bool
put_char(MedsyncSink *sink, const char *text, size_t len)
{
	char		escape[8];

	if (len == 1 && IS_HIGHBIT_SET(*text))
	{
		snprintf(escape, sizeof(escape), "\\%03o", (unsigned char) *text);
		text = escape;
		len = strlen(escape);
	}
	if (len > 1 && (len != 4 || *text != '\\'))
		return false;
	put_counted(sink, MEDSYNC_TAG_OUTPUT, text, len);
	return true;
}

static bool
put_date(MedsyncSink *sink, const char *text, size_t len)
{
	int32		days;

	if (!medsync_text_date(text, len, &days))
		return false;
	put_tagged_u32(sink, MEDSYNC_TAG_DATE, (uint32) days);
	return true;
}

static bool
put_time(MedsyncSink *sink, const char *text, size_t len)
{
	int64		value;

	if (!medsync_text_time(text, len, &value))
		return false;
	put_tagged_u64(sink, MEDSYNC_TAG_TIME, (uint64) value);
	return true;
}

static bool
put_timetz_text(MedsyncSink *sink, const char *text, size_t len)
{
	int64		value;
	int32		seconds_west;

	if (!medsync_text_timetz(text, len, &value, &seconds_west))
		return false;
	put_timetz(sink, value, seconds_west);
	return true;
}

static bool
put_timestamp(MedsyncSink *sink, char tag, const char *text, size_t len)
{
	int64		value;

	if (!medsync_text_timestamp(text, len, tag == MEDSYNC_TAG_TIMESTAMPTZ,
								&value))
		return false;
	put_tagged_u64(sink, tag, (uint64) value);
	return true;
}

static bool
put_interval_text(MedsyncSink *sink, const char *text, size_t len)
{
	int32		months;
	int32		days;
	int64		microseconds;

	if (!medsync_text_interval(text, len, &months, &days, &microseconds))
		return false;
	put_interval(sink, months, days, microseconds);
	return true;
}


/*
 * jsonb
 */

/* Where in a document the next token stands */
typedef enum JsonPlace
{
	JSON_AT_VALUE,				/* a value must follow */
	JSON_AT_FIRST_VALUE,		/* after [: or its end */
	JSON_AT_KEY,				/* after a comma in an object */
	JSON_AT_FIRST_KEY,			/* after {: or its end */
	JSON_AT_COLON,
	JSON_AFTER_VALUE			/* comma or the container's end; of the whole
								 * document: its end */
} JsonPlace;

static void
put_json_text(MedsyncSink *sink, char token, const MedsyncJsonReader *reader)
{
	put_counted(sink, token, reader->lex->strval->data,
				reader->lex->strval->len);
}

static bool
put_json_number(MedsyncSink *sink, const MedsyncJsonReader *reader)
{
	size_t		len = MEDSYNC_JSON_TOKEN_LEN(reader);

	if (!medsync_is_number(reader->lex->token_start, len, false))
		return false;
	put_counted(sink, JSONB_NUMBER, reader->lex->token_start, len);
	return true;
}

/* A token where a value may begin; false where it does not. */
static bool
put_json_value(MedsyncSink *sink, const MedsyncJsonReader *reader,
			   JsonbNesting *nesting, JsonPlace *place)
{
	JsonTokenType token = reader->lex->token_type;

	*place = JSON_AFTER_VALUE;
	switch (token)
	{
		case JSON_TOKEN_NULL:
			put_byte(sink, JSONB_NULL);
			return true;
		case JSON_TOKEN_FALSE:
			put_byte(sink, JSONB_FALSE);
			return true;
		case JSON_TOKEN_TRUE:
			put_byte(sink, JSONB_TRUE);
			return true;
		case JSON_TOKEN_NUMBER:
			return put_json_number(sink, reader);
		case JSON_TOKEN_STRING:
			put_json_text(sink, JSONB_STRING, reader);
			return true;
		case JSON_TOKEN_ARRAY_START:
			*place = JSON_AT_FIRST_VALUE;
			put_byte(sink, JSONB_BEGIN_ARRAY);
			return medsync_jsonb_open(nesting, false);
		case JSON_TOKEN_OBJECT_START:
			*place = JSON_AT_FIRST_KEY;
			put_byte(sink, JSONB_BEGIN_OBJECT);
			return medsync_jsonb_open(nesting, true);
		default:
			return false;
	}
}

/* The container that is open ends here, if this is its end. */
static bool
put_json_end(MedsyncSink *sink, const MedsyncJsonReader *reader,
			 JsonbNesting *nesting, JsonPlace *place)
{
	bool		in_object = inside_object(nesting);

	if (nesting->depth == 0 ||
		reader->lex->token_type !=
		(in_object ? JSON_TOKEN_OBJECT_END : JSON_TOKEN_ARRAY_END))
		return false;
	put_byte(sink, in_object ? JSONB_END_OBJECT : JSONB_END_ARRAY);
	nesting->depth--;
	*place = JSON_AFTER_VALUE;
	return true;
}

/* One token, wherever it stands. */
static bool
put_json_token(MedsyncSink *sink, const MedsyncJsonReader *reader,
			   JsonbNesting *nesting, JsonPlace *place)
{
	JsonTokenType token = reader->lex->token_type;
	bool		is_first = *place == JSON_AT_FIRST_VALUE ||
	*place == JSON_AT_FIRST_KEY;

	if ((is_first || *place == JSON_AFTER_VALUE) &&
		put_json_end(sink, reader, nesting, place))
		return true;
	switch (*place)
	{
		case JSON_AT_VALUE:
		case JSON_AT_FIRST_VALUE:
			return put_json_value(sink, reader, nesting, place);
		case JSON_AT_KEY:
		case JSON_AT_FIRST_KEY:
			*place = JSON_AT_COLON;
			if (token != JSON_TOKEN_STRING)
				return false;
			put_json_text(sink, JSONB_KEY, reader);
			return true;
		case JSON_AT_COLON:
			*place = JSON_AT_VALUE;
			return token == JSON_TOKEN_COLON;
		case JSON_AFTER_VALUE:
			*place = inside_object(nesting) ? JSON_AT_KEY : JSON_AT_VALUE;
			return token == JSON_TOKEN_COMMA && nesting->depth > 0;
	}
	return false;
}

/* Keys are printed in the order in which jsonb keeps them. */
static bool
put_jsonb(MedsyncSink *sink, const char *text, size_t len)
{
	JsonbNesting nesting;
	JsonPlace	place = JSON_AT_VALUE;
	MedsyncJsonReader reader;
	JsonTokenType token;
	bool		fits = true;

	nesting.depth = 0;
	put_byte(sink, MEDSYNC_TAG_JSONB);
	medsync_json_open(&reader, text, len);
	while (fits &&
		   (token = medsync_json_next(&reader)) != JSON_TOKEN_END)
		fits = token != JSON_TOKEN_INVALID &&
			put_json_token(sink, &reader, &nesting, &place);
	medsync_json_close(&reader);
	return fits && nesting.depth == 0 && place == JSON_AFTER_VALUE;
}


/*
 * Reading what lies inside arrays, ranges and composites
 */

static void
open_text(TextCursor *cursor, const char *text, size_t len)
{
	cursor->next = text;
	cursor->end = text + len;
	cursor->failed = false;
}

static bool
at_end(const TextCursor *cursor)
{
	return !cursor->failed && cursor->next == cursor->end;
}

/* Does this character stand here? */
static bool
is_next(const TextCursor *cursor, char c)
{
	return !cursor->failed && cursor->next < cursor->end && *cursor->next == c;
}

/* Step over a character if it stands here. */
static bool
take(TextCursor *cursor, char c)
{
	if (!is_next(cursor, c))
		return false;
	cursor->next++;
	return true;
}

static void
expect(TextCursor *cursor, char c)
{
	if (!take(cursor, c))
		cursor->failed = true;
}

/*
 * What is in quotes, after the first one.  A backslash stands before a
 * backslash or, in arrays, a quote; elsewhere a quote is doubled.
 */
static void
get_quoted(TextCursor *cursor, StringInfo buf, bool doubled)
{
	resetStringInfo(buf);
	while (cursor->next < cursor->end)
	{
		char		c = *cursor->next++;

		if (c == '"')
		{
			if (!doubled || !take(cursor, '"'))
				return;
		}
		else if (c == '\\')
		{
			if (cursor->next == cursor->end)
				break;
			c = *cursor->next++;
			if (c != '\\' && (c != '"' || doubled))
				break;
		}
		appendStringInfoCharMacro(buf, c);
	}
	cursor->failed = true;
}

/*
 * The next item: up to the first character that would have been quoted in
 * it.  The text is in place or in buf, and good until buf is used again.
 */
static void
get_item(TextCursor *cursor, StringInfo buf, const char *special,
		 size_t special_len, bool doubled, TextItem *item)
{
	const char *start = cursor->next;

	item->quoted = take(cursor, '"');
	if (item->quoted)
	{
		get_quoted(cursor, buf, doubled);
		item->text = buf->data;
		item->len = buf->len;
		return;
	}
	while (cursor->next < cursor->end &&
		   memchr(special, *cursor->next, special_len) == NULL)
		cursor->next++;
	item->text = start;
	item->len = cursor->next - start;
}

/* An element, bound or attribute that is not NULL. */
static void
put_item(MedsyncSink *sink, const MedsyncTextCodec *codec, TextCursor *cursor,
		 const TextItem *item, int depth)
{
	if (cursor->failed ||
		!put_value(sink, codec, item->text, item->len, depth + 1))
		cursor->failed = true;
}


/*
 * Arrays
 */

/* What is known of an array while its text is read */
typedef struct ArrayText
{
	const MedsyncTextCodec *codec;
	MedsyncSink *sink;			/* NULL: only count */
	StringInfoData buf;
	ArrayShape	shape;
	int			depth;
} ArrayText;

/* An integer that ends at a character, which is stepped over. */
static int
get_bound(TextCursor *cursor, char end)
{
	const char *start = cursor->next;
	int64		value = 0;

	while (cursor->next < cursor->end && *cursor->next != end)
		cursor->next++;
	if (!parse_integer(start, cursor->next - start, &value) ||
		value < PG_INT32_MIN || value > PG_INT32_MAX)
		cursor->failed = true;
	expect(cursor, end);
	return (int) value;
}

/* Bounds that stand before an array; the lengths are compared later. */
static int
get_bounds(TextCursor *cursor, ArrayShape *shape, int *lengths)
{
	int			count = 0;

	while (count < MAX_DIMENSIONS && take(cursor, '['))
	{
		int64		lower = get_bound(cursor, ':');
		int64		length = (int64) get_bound(cursor, ']') - lower + 1;

		if (cursor->failed || length < 1 || length > PG_INT32_MAX ||
			lower > PG_INT32_MAX - length)
		{
			cursor->failed = true;
			return 0;
		}
		shape->lower_bounds[count] = (int) lower;
		lengths[count++] = (int) length;
	}
	if (count > 0)
		expect(cursor, '=');
	return count;
}

static void
read_element(ArrayText *array, TextCursor *cursor)
{
	char		special[] = {'"', '\\', '{', '}', array->codec->delimiter};
	TextItem	item;

	get_item(cursor, &array->buf, special, sizeof(special), false, &item);
	if (cursor->failed)
		return;
	if (!item.quoted && item.len == 0)
		cursor->failed = true;
	if (array->sink == NULL)
		return;
	if (!item.quoted && is_word(item.text, item.len, "NULL"))
	{
		put_byte(array->sink, 0);
		return;
	}
	put_byte(array->sink, 1);
	put_item(array->sink, array->codec->element, cursor, &item, array->depth);
}

/*
 * One pair of braces and what is in it.  The first time a dimension is met
 * gives its length, and every other time must agree.
 */
static void
read_dimension(ArrayText *array, TextCursor *cursor, int dimension)
{
	ArrayShape *shape = &array->shape;
	int			count = 0;

	expect(cursor, '{');
	do
	{
		if (dimension + 1 < shape->ndim)
			read_dimension(array, cursor, dimension + 1);
		else
			read_element(array, cursor);
		if (++count == PG_INT32_MAX)
			cursor->failed = true;
	} while (take(cursor, array->codec->delimiter));
	expect(cursor, '}');
	if (shape->dims[dimension] == 0)
		shape->dims[dimension] = count;
	else if (shape->dims[dimension] != count)
		cursor->failed = true;
}

/* How many dimensions there are is seen from the first element. */
static int
count_braces(const TextCursor *cursor)
{
	int			count = 0;

	while (count <= MAX_DIMENSIONS && cursor->next + count < cursor->end &&
		   cursor->next[count] == '{')
		count++;
	return count;
}

/* Find the dimensions of an array's text; the cursor is left before them. */
static void
measure_array(ArrayText *array, TextCursor *cursor)
{
	ArrayShape *shape = &array->shape;
	int			lengths[MAX_DIMENSIONS];
	int			bounds;
	TextCursor	ahead;

	for (int i = 0; i < MAX_DIMENSIONS; i++)
		shape->lower_bounds[i] = 1;
	memset(shape->dims, 0, sizeof(shape->dims));
	bounds = get_bounds(cursor, shape, lengths);
	shape->ndim = count_braces(cursor);
	if (shape->ndim < 1 || shape->ndim > MAX_DIMENSIONS ||
		(bounds > 0 && bounds != shape->ndim))
	{
		cursor->failed = true;
		return;
	}
	ahead = *cursor;
	read_dimension(array, &ahead, 0);
	if (!at_end(&ahead))
		cursor->failed = true;
	for (int i = 0; i < bounds; i++)
		if (lengths[i] != shape->dims[i])
			cursor->failed = true;
}

static bool
put_array(MedsyncSink *sink, const MedsyncTextCodec *codec, const char *text,
		  size_t len, int depth)
{
	ArrayText	array = {.codec = codec,.depth = depth};
	TextCursor	cursor;

	put_byte(sink, MEDSYNC_TAG_ARRAY);
	if (is_word(text, len, "{}"))
	{
		put_varint(sink, 0);
		return true;
	}
	open_text(&cursor, text, len);
	initStringInfo(&array.buf);
	measure_array(&array, &cursor);
	if (!cursor.failed)
	{
		put_varint(sink, array.shape.ndim);
		for (int i = 0; i < array.shape.ndim; i++)
		{
			put_varint(sink, array.shape.dims[i]);
			put_zigzag(sink, array.shape.lower_bounds[i]);
		}
		array.sink = sink;
		read_dimension(&array, &cursor, 0);
	}
	pfree(array.buf.data);
	return at_end(&cursor);
}


/*
 * Ranges
 */

static const char range_special[] = {'"', '\\', '(', ')', '[', ']', ','};

/*
 * A range's text, up to its end: flags and bounds.  With a NULL sink it is
 * only stepped over.
 */
static void
put_range_content(MedsyncSink *sink, const MedsyncTextCodec *codec,
				  TextCursor *cursor, int depth)
{
	uint8		flags = 0;
	TextItem	lower;
	TextItem	upper;
	StringInfoData lower_buf;
	StringInfoData upper_buf;

	if (cursor->end - cursor->next >= 5 &&
		memcmp(cursor->next, "empty", 5) == 0)
	{
		cursor->next += 5;
		if (sink != NULL)
			put_byte(sink, RANGE_IS_EMPTY);
		return;
	}
	initStringInfo(&lower_buf);
	initStringInfo(&upper_buf);
	if (take(cursor, '['))
		flags |= RANGE_LOWER_INCLUSIVE;
	else
		expect(cursor, '(');
	get_item(cursor, &lower_buf, range_special, sizeof(range_special), true,
			 &lower);
	expect(cursor, ',');
	get_item(cursor, &upper_buf, range_special, sizeof(range_special), true,
			 &upper);
	if (take(cursor, ']'))
		flags |= RANGE_UPPER_INCLUSIVE;
	else
		expect(cursor, ')');

	/* nothing at all is no bound; quotes with nothing inside are one */
	if (!lower.quoted && lower.len == 0)
		flags |= RANGE_LOWER_INFINITE;
	if (!upper.quoted && upper.len == 0)
		flags |= RANGE_UPPER_INFINITE;
	if (((flags & RANGE_LOWER_INFINITE) && (flags & RANGE_LOWER_INCLUSIVE)) ||
		((flags & RANGE_UPPER_INFINITE) && (flags & RANGE_UPPER_INCLUSIVE)))
		cursor->failed = true;
	if (sink != NULL && !cursor->failed)
	{
		put_byte(sink, flags);
		if (range_has_lower(flags))
			put_item(sink, codec->element, cursor, &lower, depth);
		if (range_has_upper(flags))
			put_item(sink, codec->element, cursor, &upper, depth);
	}
	pfree(lower_buf.data);
	pfree(upper_buf.data);
}

static bool
put_range(MedsyncSink *sink, const MedsyncTextCodec *codec, const char *text,
		  size_t len, int depth)
{
	TextCursor	cursor;

	open_text(&cursor, text, len);
	put_byte(sink, MEDSYNC_TAG_RANGE);
	put_range_content(sink, codec, &cursor, depth);
	return at_end(&cursor);
}

/* The ranges of a multirange; returns how many there are. */
static uint64
put_ranges(MedsyncSink *sink, const MedsyncTextCodec *codec,
		   TextCursor *cursor, int depth)
{
	uint64		count = 0;

	expect(cursor, '{');
	if (take(cursor, '}'))
		return 0;
	do
	{
		put_range_content(sink, codec->element, cursor, depth);
		count++;
	} while (take(cursor, ','));
	expect(cursor, '}');
	return count;
}

static bool
put_multirange(MedsyncSink *sink, const MedsyncTextCodec *codec,
			   const char *text, size_t len, int depth)
{
	TextCursor	cursor;
	uint64		count;

	open_text(&cursor, text, len);
	count = put_ranges(NULL, codec, &cursor, depth);
	if (!at_end(&cursor))
		return false;
	put_byte(sink, MEDSYNC_TAG_MULTIRANGE);
	put_varint(sink, count);
	open_text(&cursor, text, len);
	put_ranges(sink, codec, &cursor, depth);
	return at_end(&cursor);
}


/*
 * Composites
 */

static void
put_attribute(MedsyncSink *sink, const MedsyncTextCodec *codec,
			  TextCursor *cursor, StringInfo buf, int depth)
{
	static const char special[] = {'"', '\\', '(', ')', ','};
	TextItem	item;

	get_item(cursor, buf, special, sizeof(special), true, &item);
	if (!item.quoted && item.len == 0)
	{
		put_byte(sink, 0);
		return;
	}
	put_byte(sink, 1);
	put_item(sink, codec, cursor, &item, depth);
}

static bool
put_composite(MedsyncSink *sink, const MedsyncTextCodec *codec,
			  const char *text, size_t len, int depth)
{
	TextCursor	cursor;
	StringInfoData buf;

	put_byte(sink, MEDSYNC_TAG_COMPOSITE);
	put_varint(sink, codec->attribute_count);
	open_text(&cursor, text, len);
	initStringInfo(&buf);
	expect(&cursor, '(');
	for (int i = 0; i < codec->attribute_count && !cursor.failed; i++)
	{
		if (i > 0)
			expect(&cursor, ',');
		put_attribute(sink, codec->attributes[i], &cursor, &buf, depth);
	}
	expect(&cursor, ')');
	pfree(buf.data);
	return at_end(&cursor);
}


/*
 * Values
 */

static bool
put_counted_text(MedsyncSink *sink, char tag, const char *text, size_t len)
{
	put_counted(sink, tag, text, len);
	return true;
}

static bool
put_value(MedsyncSink *sink, const MedsyncTextCodec *codec, const char *text,
		  size_t len, int depth)
{
	if (depth > MAX_VALUE_DEPTH)
		return false;
	switch (codec->kind)
	{
		case KIND_BOOL:
			return put_bool(sink, text, len);
		case KIND_INT2:
		case KIND_INT4:
		case KIND_INT8:
			return put_integer(sink, text, len);
		case KIND_FLOAT4:
			return put_float(sink, text, len, true);
		case KIND_FLOAT8:
			return put_float(sink, text, len, false);
		case KIND_NUMERIC:
			return put_numeric(sink, text, len);
		case KIND_TEXT:
		case KIND_BPCHAR:
		case KIND_NAME:
			return put_counted_text(sink, MEDSYNC_TAG_TEXT, text, len);
		case KIND_BYTEA:
			return put_bytea(sink, text, len);
		case KIND_DATE:
			return put_date(sink, text, len);
		case KIND_TIME:
			return put_time(sink, text, len);
		case KIND_TIMETZ:
			return put_timetz_text(sink, text, len);
		case KIND_TIMESTAMP:
			return put_timestamp(sink, MEDSYNC_TAG_TIMESTAMP, text, len);
		case KIND_TIMESTAMPTZ:
			return put_timestamp(sink, MEDSYNC_TAG_TIMESTAMPTZ, text, len);
		case KIND_INTERVAL:
			return put_interval_text(sink, text, len);
		case KIND_UUID:
			return put_uuid(sink, text, len);
		case KIND_JSONB:
			return put_jsonb(sink, text, len);
		case KIND_ENUM:
			return put_counted_text(sink, MEDSYNC_TAG_ENUM, text, len);
		case KIND_ARRAY:
			return put_array(sink, codec, text, len, depth);
		case KIND_RANGE:
			return put_range(sink, codec, text, len, depth);
		case KIND_MULTIRANGE:
			return put_multirange(sink, codec, text, len, depth);
		case KIND_COMPOSITE:
			return put_composite(sink, codec, text, len, depth);
		case KIND_CHAR:
			return put_char(sink, text, len);
		case KIND_OUTPUT:
			return put_counted_text(sink, MEDSYNC_TAG_OUTPUT, text, len);
	}
	return false;
}

bool
medsync_text_put(MedsyncSink *sink, const MedsyncTextCodec *codec,
				 const char *text, size_t len)
{
	return len <= LONGEST_TEXT && put_value(sink, codec, text, len, 1);
}
