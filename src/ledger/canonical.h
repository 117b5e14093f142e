/*-------------------------------------------------------------------------
 *
 * canonical.h
 *		The canonical encoding of rows and values.
 *
 * One row, one byte string, on every server version and under every
 * setting; docs/formats.md gives it byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CANONICAL_H
#define MEDSYNC_CANONICAL_H

#include "common/wire.h"
#include "vault/crypto.h"

/* Value tags.  A later version may add tags, never change one. */
#define MEDSYNC_TAG_BOOL		'b' /* 1 byte, 0 or 1 */
#define MEDSYNC_TAG_INTEGER		'i' /* int2, int4, int8: 8 bytes, two's complement */
#define MEDSYNC_TAG_FLOAT4		'e' /* 4 bytes IEEE 754; every NaN is 7fc00000 */
#define MEDSYNC_TAG_FLOAT8		'f' /* 8 bytes; every NaN is 7ff8000000000000 */
#define MEDSYNC_TAG_NUMERIC		'n' /* varint length, decimal digits as numeric_out gives them (scale kept) */
#define MEDSYNC_TAG_TEXT		't' /* text, varchar, bpchar, name: varint length, UTF-8 */
#define MEDSYNC_TAG_BYTEA		'y' /* varint length, bytes */
#define MEDSYNC_TAG_DATE		'd' /* 4 bytes, days since 2000-01-01; infinities as int4 extremes */
#define MEDSYNC_TAG_TIME		'h' /* 8 bytes, microseconds since midnight */
#define MEDSYNC_TAG_TIMETZ		'H' /* 8 bytes, then 4 bytes zone in seconds west of UTC */
#define MEDSYNC_TAG_TIMESTAMP	'S' /* 8 bytes, microseconds since 2000-01-01; infinities as int8 extremes */
#define MEDSYNC_TAG_TIMESTAMPTZ 'T' /* the same, UTC */
#define MEDSYNC_TAG_INTERVAL	'v' /* int4 months, int4 days, int8 microseconds */
#define MEDSYNC_TAG_UUID		'u' /* 16 bytes */
#define MEDSYNC_TAG_JSONB		'j' /* walked in jsonb's own order */
#define MEDSYNC_TAG_ENUM		'E' /* varint length, label */
#define MEDSYNC_TAG_ARRAY		'a'
#define MEDSYNC_TAG_RANGE		'r'
#define MEDSYNC_TAG_MULTIRANGE	'm'
#define MEDSYNC_TAG_COMPOSITE	'c'
#define MEDSYNC_TAG_OUTPUT		'x' /* any other type: varint length, text output under pinned settings */

/*
 * Where canonical bytes go: into buf, or, when hash is set, into a running
 * digest with buf as a small front buffer, so that a value of hundreds of
 * megabytes is hashed without a copy.
 */
typedef struct MedsyncSink
{
	StringInfoData buf;
	MedsyncSha256 *hash;		/* NULL: keep all bytes in buf */
} MedsyncSink;

extern void medsync_sink_put(MedsyncSink *sink, const void *data, size_t len);
extern void medsync_sink_flush(MedsyncSink *sink);	/* hash set: digest what buf still holds */

#ifndef FRONTEND

/* How one type is encoded; opaque, lives in the context given at creation */
typedef struct MedsyncCodec MedsyncCodec;

/* Build the codec of a type (domains: of their base type).  Refuses reg* types anywhere inside (0A000, names the column). */
extern MedsyncCodec *medsync_codec_create(Oid type, const char *column, MemoryContext context);

/* Is this type, or a type it is built of, the given one?  (A guard asks before an enum label is renamed.) */
extern bool medsync_codec_uses_type(const MedsyncCodec *codec, Oid type);

/* Append tag and content of one non-NULL value.  Detoasts; leaves nothing behind but in CurrentMemoryContext. */
extern void medsync_canonical_put(MedsyncSink *sink, MedsyncCodec *codec, Datum value);

/* Read one value back as a Datum of the codec's type, palloc'd.  Malformed bytes set reader->failed (return 0). */
extern Datum medsync_canonical_get(MedsyncReader *reader, MedsyncCodec *codec, int32 typmod);

/* The type's output text under pinned settings, for subjects: int 7 and text '7' are one person */
extern char *medsync_canonical_text(MedsyncCodec *codec, Datum value);

#endif							/* !FRONTEND */

/* Skip one value whatever its type; false when malformed.  Frontend-safe. */
extern bool medsync_canonical_skip(MedsyncReader *reader);

#endif							/* MEDSYNC_CANONICAL_H */
