/*-------------------------------------------------------------------------
 *
 * canonical_internal.h
 *		How the canonical encoding is read and written, field by field.
 *
 * Shared by what makes canonical bytes (canonical.c from the server's
 * values, medsync-verify from their text) and what reads them without the
 * types (canonical_json.c).  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CANONICAL_INTERNAL_H
#define MEDSYNC_CANONICAL_INTERNAL_H

#include <math.h>

#include "ledger/canonical.h"

/*
 * How deep values may lie inside values (an array of composites that hold
 * ranges is three deep), and containers inside one jsonb.  The first bounds
 * the recursion of a frontend program that reads hostile bytes, the second
 * the size of its bitmap.
 */
#define MAX_VALUE_DEPTH		250
#define MAX_JSONB_DEPTH		65535

/* array dimensions, PostgreSQL's MAXDIM */
#define MAX_DIMENSIONS		6

/* jsonb tokens */
#define JSONB_NULL			'z'
#define JSONB_FALSE			'f'
#define JSONB_TRUE			't'
#define JSONB_NUMBER		'n'
#define JSONB_STRING		's'
#define JSONB_KEY			'k'
#define JSONB_BEGIN_ARRAY	'['
#define JSONB_END_ARRAY		']'
#define JSONB_BEGIN_OBJECT	'{'
#define JSONB_END_OBJECT	'}'

/* flags of a range */
#define RANGE_IS_EMPTY			0x01
#define RANGE_LOWER_INCLUSIVE	0x02
#define RANGE_UPPER_INCLUSIVE	0x04
#define RANGE_LOWER_INFINITE	0x08
#define RANGE_UPPER_INFINITE	0x10
#define RANGE_ALL_FLAGS			0x1f

#define FLOAT4_NAN			0x7fc00000U
#define FLOAT8_NAN			UINT64CONST(0x7ff8000000000000)

/* how a codec's values are written; several kinds may share a tag */
typedef enum CodecKind
{
	KIND_BOOL,
	KIND_INT2,
	KIND_INT4,
	KIND_INT8,
	KIND_FLOAT4,
	KIND_FLOAT8,
	KIND_NUMERIC,
	KIND_TEXT,
	KIND_BPCHAR,
	KIND_NAME,
	KIND_BYTEA,
	KIND_DATE,
	KIND_TIME,
	KIND_TIMETZ,
	KIND_TIMESTAMP,
	KIND_TIMESTAMPTZ,
	KIND_INTERVAL,
	KIND_UUID,
	KIND_JSONB,
	KIND_ENUM,
	KIND_ARRAY,
	KIND_RANGE,
	KIND_MULTIRANGE,
	KIND_COMPOSITE,
	KIND_CHAR,
	KIND_OUTPUT
} CodecKind;

/* which settings a type's output and input functions look at */
typedef enum SettingsUse
{
	SETTINGS_NONE,
	SETTINGS_FLOAT,				/* output: extra_float_digits */
	SETTINGS_XML,				/* input: xmloption */
	SETTINGS_ANY				/* pin them all */
} SettingsUse;

/* an array's dimensions, checked as PostgreSQL checks them */
typedef struct ArrayShape
{
	int			ndim;
	int			dims[MAX_DIMENSIONS];
	int			lower_bounds[MAX_DIMENSIONS];
	size_t		nitems;			/* no more than there are bytes left */
} ArrayShape;

/* which containers of a jsonb are open: a bit each, 1 = object */
typedef struct JsonbNesting
{
	int			depth;
	uint8		objects[(MAX_JSONB_DEPTH + 8) / 8];
} JsonbNesting;

/*
 * What output functions must see: the names and values of settings, for
 * whoever sets them; ends with a NULL name.
 */
typedef struct MedsyncPinnedSetting
{
	const char *name;
	const char *value;
} MedsyncPinnedSetting;

extern const MedsyncPinnedSetting medsync_pinned_settings[];

extern bool medsync_builtin_kind(Oid type, CodecKind *kind,
								 SettingsUse *settings);
extern bool medsync_is_number(const char *text, size_t len,
							  bool allow_special);

extern void medsync_get_array_shape(MedsyncReader *reader, ArrayShape *shape);
extern uint8 medsync_get_range_flags(MedsyncReader *reader);
extern bool medsync_jsonb_open(JsonbNesting *nesting, bool is_object);
extern void medsync_sink_make_room(MedsyncSink *sink, int len);


/*
 * Reading
 */

/* A varint that counts bytes or things that are at least one byte long. */
static inline size_t
get_count(MedsyncReader *reader)
{
	uint64		count = medsync_wire_get_varint(reader);

	if (count > MEDSYNC_WIRE_LEFT(reader))
	{
		reader->failed = true;
		return 0;
	}
	return (size_t) count;
}

/* Varint length, then that many bytes, returned in place. */
static inline const uint8 *
get_counted(MedsyncReader *reader, size_t *len)
{
	*len = get_count(reader);
	return medsync_wire_get_bytes(reader, *len);
}

/* A byte that must be 0 or 1. */
static inline bool
get_flag(MedsyncReader *reader)
{
	uint8		byte = medsync_wire_get_u8(reader);

	if (byte > 1)
		reader->failed = true;
	return byte == 1;
}

static inline bool
range_has_lower(uint8 flags)
{
	return (flags & (RANGE_IS_EMPTY | RANGE_LOWER_INFINITE)) == 0;
}

static inline bool
range_has_upper(uint8 flags)
{
	return (flags & (RANGE_IS_EMPTY | RANGE_UPPER_INFINITE)) == 0;
}

static inline bool
inside_object(const JsonbNesting *nesting)
{
	return nesting->depth > 0 &&
		(nesting->objects[nesting->depth / 8] >> (nesting->depth % 8) & 1);
}


/*
 * Writing
 */

/*
 * Append a few bytes that the caller fills in.  This is every column's path,
 * hence no call when there is room.
 */
static inline uint8 *
reserve(MedsyncSink *sink, int len)
{
	uint8	   *result;

	if (unlikely(sink->buf.len + len >= sink->buf.maxlen))
		medsync_sink_make_room(sink, len);
	result = (uint8 *) sink->buf.data + sink->buf.len;
	sink->buf.len += len;
	return result;
}

static inline void
put_byte(MedsyncSink *sink, uint8 byte)
{
	*reserve(sink, 1) = byte;
}

static inline void
put_varint(MedsyncSink *sink, uint64 value)
{
	const int	room = 10;
	uint8	   *dst = reserve(sink, room);

	sink->buf.len -= room - medsync_wire_encode_varint(dst, value);
}

static inline void
put_zigzag(MedsyncSink *sink, int64 value)
{
	put_varint(sink, medsync_wire_zigzag(value));
}

static inline void
put_tagged_u32(MedsyncSink *sink, char tag, uint32 value)
{
	uint8	   *dst = reserve(sink, 5);

	dst[0] = tag;
	medsync_wire_store_u32(dst + 1, value);
}

static inline void
put_tagged_u64(MedsyncSink *sink, char tag, uint64 value)
{
	uint8	   *dst = reserve(sink, 9);

	dst[0] = tag;
	medsync_wire_store_u64(dst + 1, value);
}

/* Tag or token, length, bytes. */
static inline void
put_counted(MedsyncSink *sink, char tag, const void *data, size_t len)
{
	if (len < 0x80)
	{
		uint8	   *dst = reserve(sink, 2 + (int) len);

		dst[0] = tag;
		dst[1] = (uint8) len;
		memcpy(dst + 2, data, len);
		return;
	}
	put_byte(sink, tag);
	put_varint(sink, len);
	medsync_sink_put(sink, data, len);
}

static inline void
put_interval(MedsyncSink *sink, int32 months, int32 days, int64 microseconds)
{
	put_tagged_u32(sink, MEDSYNC_TAG_INTERVAL, (uint32) months);
	medsync_wire_store_u32(reserve(sink, 4), (uint32) days);
	medsync_wire_store_u64(reserve(sink, 8), (uint64) microseconds);
}

static inline void
put_timetz(MedsyncSink *sink, int64 microseconds, int32 seconds_west)
{
	put_tagged_u64(sink, MEDSYNC_TAG_TIMETZ, (uint64) microseconds);
	medsync_wire_store_u32(reserve(sink, 4), (uint32) seconds_west);
}

static inline void
put_float4(MedsyncSink *sink, float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	put_tagged_u32(sink, MEDSYNC_TAG_FLOAT4, isnan(value) ? FLOAT4_NAN : bits);
}

static inline void
put_float8(MedsyncSink *sink, double value)
{
	uint64		bits;

	memcpy(&bits, &value, sizeof(bits));
	put_tagged_u64(sink, MEDSYNC_TAG_FLOAT8, isnan(value) ? FLOAT8_NAN : bits);
}

#endif							/* MEDSYNC_CANONICAL_INTERNAL_H */
