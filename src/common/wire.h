/*-------------------------------------------------------------------------
 *
 * wire.h
 *		Reading and writing the byte formats of docs/formats.md.
 *
 * Integers are big-endian; a varint is unsigned LEB128 in its shortest
 * form.  The reader never reads past its end: the first short or
 * malformed field sets "failed", and every later read returns zero.  It
 * knows nothing about health care, nor about the server: the offline
 * verifier compiles the same file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_WIRE_H
#define MEDSYNC_WIRE_H

#include "lib/stringinfo.h"

typedef struct MedsyncReader
{
	const uint8 *next;			/* next unread byte */
	const uint8 *end;			/* one past the last byte */
	bool		failed;			/* a read went wrong */
} MedsyncReader;

extern void medsync_wire_put_u16(StringInfo buf, uint16 value);
extern void medsync_wire_put_u32(StringInfo buf, uint32 value);
extern void medsync_wire_put_u64(StringInfo buf, uint64 value);
extern void medsync_wire_put_varint(StringInfo buf, uint64 value);
extern void medsync_wire_put_zigzag(StringInfo buf, int64 value);
extern void medsync_wire_put_bytes(StringInfo buf, const void *data, int len);

extern int	medsync_wire_encode_varint(uint8 *dst, uint64 value);

/* Signed numbers as unsigned ones: 0, -1, 1, -2 ... become 0, 1, 2, 3 ... */
static inline uint64
medsync_wire_zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (uint64) (value >> 63);
}

extern void medsync_wire_store_u32(uint8 *dst, uint32 value);
extern void medsync_wire_store_u64(uint8 *dst, uint64 value);

extern void medsync_wire_open(MedsyncReader *reader, const void *data,
							  size_t len);
extern uint8 medsync_wire_get_u8(MedsyncReader *reader);
extern uint16 medsync_wire_get_u16(MedsyncReader *reader);
extern uint32 medsync_wire_get_u32(MedsyncReader *reader);
extern uint64 medsync_wire_get_u64(MedsyncReader *reader);
extern uint64 medsync_wire_get_varint(MedsyncReader *reader);
extern int64 medsync_wire_get_zigzag(MedsyncReader *reader);
extern const uint8 *medsync_wire_get_bytes(MedsyncReader *reader, size_t len);

/*
 * Base64 of RFC 4648, section 4, with padding.  A reader takes only what the
 * writer writes: no blanks, no bits that mean nothing.  The decoder gives the
 * length, or -1; with "out" NULL it only checks.
 */
extern void medsync_wire_put_base64(StringInfo buf, const void *data,
									size_t len);
extern bool medsync_wire_encode_base64(const void *data, size_t len,
									   char *text, size_t room);
extern ssize_t medsync_wire_get_base64(const char *text, size_t len,
									   uint8 *out, size_t room);

#define MEDSYNC_WIRE_LEFT(r)	((size_t) ((r)->end - (r)->next))

#endif							/* MEDSYNC_WIRE_H */
