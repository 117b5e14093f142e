/*-------------------------------------------------------------------------
 *
 * wire.c
 *		Reading and writing the byte formats of docs/formats.md.
 *
 * Stores nothing and takes no locks; see wire.h for the contract.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/base64.h"
#include "common/wire.h"
#include "port/pg_bswap.h"

#define MAX_VARINT_SIZE 10

/* Base64 is made and read piece by piece; a piece is whole groups of 3 bytes */
#define BASE64_PIECE		3072
#define BASE64_PIECE_TEXT	(BASE64_PIECE / 3 * 4)

void
medsync_wire_store_u32(uint8 *dst, uint32 value)
{
	value = pg_hton32(value);
	memcpy(dst, &value, sizeof(value));
}

void
medsync_wire_store_u64(uint8 *dst, uint64 value)
{
	value = pg_hton64(value);
	memcpy(dst, &value, sizeof(value));
}

/* Encode a varint; dst has room for 10 bytes.  Returns the size used. */
int
medsync_wire_encode_varint(uint8 *dst, uint64 value)
{
	int			len = 0;

	while (value >= 0x80)
	{
		dst[len++] = (uint8) (value | 0x80);
		value >>= 7;
	}
	dst[len++] = (uint8) value;
	return len;
}

void
medsync_wire_put_u16(StringInfo buf, uint16 value)
{
	value = pg_hton16(value);
	appendBinaryStringInfo(buf, (const char *) &value, sizeof(value));
}

void
medsync_wire_put_u32(StringInfo buf, uint32 value)
{
	value = pg_hton32(value);
	appendBinaryStringInfo(buf, (const char *) &value, sizeof(value));
}

void
medsync_wire_put_u64(StringInfo buf, uint64 value)
{
	value = pg_hton64(value);
	appendBinaryStringInfo(buf, (const char *) &value, sizeof(value));
}

void
medsync_wire_put_varint(StringInfo buf, uint64 value)
{
	uint8		bytes[MAX_VARINT_SIZE];
	int			len = medsync_wire_encode_varint(bytes, value);

	appendBinaryStringInfo(buf, (const char *) bytes, len);
}

void
medsync_wire_put_zigzag(StringInfo buf, int64 value)
{
	medsync_wire_put_varint(buf, medsync_wire_zigzag(value));
}

void
medsync_wire_put_bytes(StringInfo buf, const void *data, int len)
{
	appendBinaryStringInfo(buf, data, len);
}

void
medsync_wire_open(MedsyncReader *reader, const void *data, size_t len)
{
	reader->next = data;
	reader->end = reader->next + len;
	reader->failed = false;
}

/* Return the next len bytes in place, or NULL when they are not there. */
const uint8 *
medsync_wire_get_bytes(MedsyncReader *reader, size_t len)
{
	const uint8 *result = reader->next;

	if (reader->failed || len > MEDSYNC_WIRE_LEFT(reader))
	{
		reader->failed = true;
		return NULL;
	}
	reader->next += len;
	return result;
}

uint8
medsync_wire_get_u8(MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, 1);

	return bytes ? *bytes : 0;
}

uint16
medsync_wire_get_u16(MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, sizeof(uint16));
	uint16		value = 0;

	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return pg_ntoh16(value);
}

uint32
medsync_wire_get_u32(MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, sizeof(uint32));
	uint32		value = 0;

	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return pg_ntoh32(value);
}

uint64
medsync_wire_get_u64(MedsyncReader *reader)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, sizeof(uint64));
	uint64		value = 0;

	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return pg_ntoh64(value);
}

/*
 * Read a varint.  A longer form than needed is malformed: one value has
 * one encoding.
 */
uint64
medsync_wire_get_varint(MedsyncReader *reader)
{
	uint64		value = 0;
	int			shift;

	for (shift = 0; shift < 64; shift += 7)
	{
		uint8		byte = medsync_wire_get_u8(reader);

		if (reader->failed)
			return 0;
		if (shift == 63 && byte > 1)
			break;
		value |= (uint64) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			if (byte == 0 && shift > 0)
				break;
			return value;
		}
	}
	reader->failed = true;
	return 0;
}

int64
medsync_wire_get_zigzag(MedsyncReader *reader)
{
	uint64		value = medsync_wire_get_varint(reader);

	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

void
medsync_wire_put_base64(StringInfo buf, const void *data, size_t len)
{
	const char *next = data;

	while (len > 0)
	{
		int			piece = (int) Min(len, BASE64_PIECE);
		int			room = pg_b64_enc_len(piece);

		enlargeStringInfo(buf, room);
		buf->len += pg_b64_encode(next, piece, buf->data + buf->len, room);
		buf->data[buf->len] = '\0';
		next += piece;
		len -= piece;
	}
}

/*
 * The same into a plain buffer, with a final zero, for up to BASE64_PIECE
 * bytes; false if it does not fit.  Raises no error.
 */
bool
medsync_wire_encode_base64(const void *data, size_t len, char *text,
						   size_t room)
{
	int			text_len;

	if (len > BASE64_PIECE || (len + 2) / 3 * 4 >= room)
		return false;
	text_len = pg_b64_encode(data, (int) len, text, (int) room - 1);
	if (text_len < 0)
		return false;
	text[text_len] = '\0';
	return true;
}

/* Decode one piece; its text must be what its bytes are written as. */
static bool
read_base64_piece(const char *text, int len, char *bytes, int size)
{
	char		again[BASE64_PIECE_TEXT];

	return pg_b64_decode(text, len, bytes, BASE64_PIECE) == size &&
		pg_b64_encode(bytes, size, again, sizeof(again)) == len &&
		memcmp(text, again, len) == 0;
}

/*
 * Decode base64 into "out", or only check it where that is NULL.  Returns how
 * many bytes it stands for; -1 if it is not base64 in its one canonical form
 * or does not fit.
 */
ssize_t
medsync_wire_get_base64(const char *text, size_t len, uint8 *out, size_t room)
{
	size_t		total = len / 4 * 3;
	size_t		done = 0;

	if (len % 4 != 0)
		return -1;
	if (len > 0 && text[len - 1] == '=')
		total -= text[len - 2] == '=' ? 2 : 1;
	if (out != NULL && total > room)
		return -1;
	while (done < total)
	{
		char		bytes[BASE64_PIECE];
		int			piece = (int) Min(total - done, BASE64_PIECE);
		int			piece_text = (piece + 2) / 3 * 4;

		if (!read_base64_piece(text, piece_text, bytes, piece))
			return -1;
		if (out != NULL)
			memcpy(out + done, bytes, piece);
		done += piece;
		text += piece_text;
	}
	return (ssize_t) total;
}
