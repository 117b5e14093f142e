/*-------------------------------------------------------------------------
 *
 * entry.c
 *		One ledger entry, and the packed rows that carry entries.
 *
 * Pure byte work: stores nothing, takes no locks, raises no error for what
 * it reads (a malformed row makes the readers return false).
 *
 * A packed row's body is
 *
 *	version (1) | seed (16) | era | flush position | flush time |
 *	session role | image seed (0 or 32) | entry count | entries
 *
 * The seed is a MAC over everything else in the row under a key of the
 * ledger, so that it serves twice: it is unpredictable to outsiders, as
 * the salts derived from it must be, and it shows a row that was edited
 * before it was sealed.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "ledger/entry.h"
#include "port/pg_bswap.h"

#define PACKED_VERSION		1
#define ENTRY_VERSION		1
#define ENTRY_ALGORITHM		1	/* SHA-256, HMAC-SHA-256, AES-256-GCM */

#define PACKED_WITH_IMAGES	0x01

/* bytes of a full entry without roles and detail, an upper bound */
#define ENTRY_FIXED_MAX		512

static const char *const operation_names[] = {
	[MEDSYNC_OP_INSERT] = "insert",
	[MEDSYNC_OP_UPDATE] = "update",
	[MEDSYNC_OP_UPDATE_OUT] = "update_out",
	[MEDSYNC_OP_UPDATE_IN] = "update_in",
	[MEDSYNC_OP_DELETE] = "delete",
	[MEDSYNC_OP_BASELINE] = "baseline",
	[MEDSYNC_OP_REBASELINE] = "rebaseline",
	[MEDSYNC_OP_TRUNCATE] = "truncate",
	[MEDSYNC_OP_DDL] = "ddl",
	[MEDSYNC_OP_READ] = "read",
	[MEDSYNC_OP_DENIED] = "denied",
	[MEDSYNC_OP_ERASE] = "erase",
	[MEDSYNC_OP_ERA] = "era",
	[MEDSYNC_OP_INDEX] = "index",
	[MEDSYNC_OP_SIGNER] = "signer"
};

/* The key id that means "none" */
static const uint8 no_key[MEDSYNC_ID_SIZE] = {0};

/* The operation's word, or NULL for a number that means nothing. */
const char *
medsync_operation_name(uint8 operation)
{
	return operation < lengthof(operation_names) ?
		operation_names[operation] : NULL;
}

/* Write len bytes and step over them. */
static inline uint8 *
poke(uint8 *p, const void *data, size_t len)
{
	memcpy(p, data, len);
	return p + len;
}

static inline uint8 *
poke_u16(uint8 *p, uint16 value)
{
	value = pg_hton16(value);
	return poke(p, &value, sizeof(value));
}

static inline uint8 *
poke_u32(uint8 *p, uint32 value)
{
	value = pg_hton32(value);
	return poke(p, &value, sizeof(value));
}

static inline uint8 *
poke_u64(uint8 *p, uint64 value)
{
	value = pg_hton64(value);
	return poke(p, &value, sizeof(value));
}

static inline uint8 *
poke_varint(uint8 *p, uint64 value)
{
	return p + medsync_wire_encode_varint(p, value);
}

/* Write a packed row's header; its seed is filled in when the row is full. */
void
medsync_packed_begin(StringInfo body, const MedsyncPackedHeader *header)
{
	appendStringInfoChar(body, PACKED_VERSION);
	medsync_wire_put_bytes(body, header->seed, MEDSYNC_SEED_SIZE);
	appendStringInfoChar(body, header->image_seed ? PACKED_WITH_IMAGES : 0);
	medsync_wire_put_varint(body, header->era_number);
	if (header->era_number == 0)
		medsync_wire_put_bytes(body, header->era_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_varint(body, header->flush_position);
	medsync_wire_put_u64(body, (uint64) header->flush_time);
	medsync_wire_put_varint(body, header->session_role_len);
	medsync_wire_put_bytes(body, header->session_role,
						   header->session_role_len);
	if (header->image_seed)
		medsync_wire_put_bytes(body, header->image_seed,
							   MEDSYNC_IMAGE_SEED_SIZE);
	medsync_wire_put_varint(body, header->entry_count);
}

/* What the first entry of a packed row is delta-coded against. */
void
medsync_packed_first(MedsyncEntry *previous, const MedsyncPackedHeader *header)
{
	memset(previous, 0, sizeof(*previous));
	previous->ordinal = header->ordinal - 1;
	previous->statement_time = header->flush_time;
	previous->role = header->session_role;
	previous->role_len = header->session_role_len;
}

/* Did the same key sign both rows, and is the same known of its holder? */
static bool
same_signer(const MedsyncEntry *previous, const MedsyncEntry *entry)
{
	const uint32 both = MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_DETAIL;

	return (entry->fields & previous->fields & both) == both &&
		memcmp(entry->signer, previous->signer, MEDSYNC_ID_SIZE) == 0 &&
		entry->detail_len == previous->detail_len &&
		memcmp(entry->detail, previous->detail, entry->detail_len) == 0;
}

/*
 * Append one entry in packed form, leaving out what equals the previous
 * one, and make it the previous one.  The statement time is written as its
 * distance from the previous entry's.
 */
void
medsync_packed_add(StringInfo body, MedsyncEntry *previous,
				   const MedsyncEntry *entry)
{
	uint32		flags = entry->fields & ~(MEDSYNC_HAS_KEY_ID);
	uint64		gap = entry->ordinal - previous->ordinal - 1;
	uint8	   *p;

	if (entry->operation != previous->operation)
		flags |= MEDSYNC_HAS_OPERATION;
	if (entry->table != previous->table ||
		entry->manifest != previous->manifest)
		flags |= MEDSYNC_HAS_TABLE;
	if (entry->command != previous->command)
		flags |= MEDSYNC_HAS_COMMAND;
	if (entry->statement_time != previous->statement_time)
		flags |= MEDSYNC_HAS_STATEMENT_TIME;
	if (gap != 0)
		flags |= MEDSYNC_HAS_ORDINAL_GAP;
	if (entry->role_len != previous->role_len ||
		memcmp(entry->role, previous->role, entry->role_len) != 0)
		flags |= MEDSYNC_HAS_ROLE;
	if (memcmp(entry->key_id, previous->key_id, MEDSYNC_ID_SIZE) != 0)
		flags |= MEDSYNC_HAS_KEY_ID;
	if ((entry->fields & previous->fields & MEDSYNC_HAS_PERSON) &&
		memcmp(entry->person, previous->person, MEDSYNC_ID_SIZE) == 0)
		flags ^= MEDSYNC_HAS_PERSON | MEDSYNC_HAS_SAME_PERSON;
	if (same_signer(previous, entry))
		flags ^= MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_DETAIL |
			MEDSYNC_HAS_SAME_SIGNER;

	enlargeStringInfo(body, MEDSYNC_PACKED_ENTRY_MAX + entry->role_len +
					  ((flags & MEDSYNC_HAS_IMAGE) ? (int) entry->image_len : 0) +
					  ((flags & MEDSYNC_HAS_DETAIL) ? entry->detail_len : 0));
	p = (uint8 *) body->data + body->len;
	p = poke_varint(p, flags);
	if (flags & MEDSYNC_HAS_OPERATION)
		*p++ = entry->operation;
	if (flags & MEDSYNC_HAS_TABLE)
	{
		p = poke_varint(p, entry->table);
		p = poke_varint(p, entry->manifest);
	}
	if (flags & MEDSYNC_HAS_COMMAND)
		p = poke_varint(p, entry->command);
	if (flags & MEDSYNC_HAS_STATEMENT_TIME)
		p = poke_varint(p, medsync_wire_zigzag(previous->statement_time -
											   entry->statement_time));
	if (flags & MEDSYNC_HAS_ORDINAL_GAP)
		p = poke_varint(p, gap);
	if (flags & MEDSYNC_HAS_ROLE)
	{
		p = poke_varint(p, entry->role_len);
		p = poke(p, entry->role, entry->role_len);
	}
	if (flags & MEDSYNC_HAS_KEY_ID)
		p = poke(p, entry->key_id, MEDSYNC_ID_SIZE);
	if (flags & MEDSYNC_HAS_ROW_KEY)
		p = poke(p, entry->row_key, MEDSYNC_ID_SIZE);
	if (flags & MEDSYNC_HAS_OLD)
		p = poke(p, entry->old_commitment, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_NEW)
		p = poke(p, entry->new_commitment, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_IMAGE)
	{
		p = poke_varint(p, entry->image_len);
		p = poke(p, entry->image, entry->image_len);
	}
	if (flags & MEDSYNC_HAS_LARGE_IMAGE)
	{
		p = poke(p, entry->image, MEDSYNC_IMAGE_SEED_SIZE);
		p = poke_varint(p, entry->image_len);
	}
	if (flags & MEDSYNC_HAS_PERSON)
		p = poke(p, entry->person, MEDSYNC_ID_SIZE);
	if (flags & MEDSYNC_HAS_SIGNATURE)
		p = poke(p, entry->signer, MEDSYNC_ID_SIZE);
	if (flags & (MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_SAME_SIGNER))
		p = poke(p, entry->signature_digest, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_OBJECT)
		p = poke(p, entry->object, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_DETAIL)
	{
		p = poke_varint(p, entry->detail_len);
		p = poke(p, entry->detail, entry->detail_len);
	}
	body->len = (int) (p - (uint8 *) body->data);
	*previous = *entry;
}

/* The seed that belongs to a packed row; its body's own seed is left out. */
void
medsync_packed_seed(const MedsyncHmacKey *seed_key, const uint8 *ledger_id,
					uint64 xid, uint64 ordinal,
					const uint8 *body, size_t len, uint8 *seed)
{
	MedsyncHmac hmac;
	uint8		mac[MEDSYNC_HASH_SIZE];
	uint8		place[16];

	medsync_wire_store_u64(place, xid);
	medsync_wire_store_u64(place + 8, ordinal);
	medsync_hmac_start(&hmac, seed_key);
	medsync_hmac_update(&hmac, ledger_id, MEDSYNC_ID_SIZE);
	medsync_hmac_update(&hmac, place, sizeof(place));
	medsync_hmac_update(&hmac, body, 1);
	medsync_hmac_update(&hmac, body + 1 + MEDSYNC_SEED_SIZE,
						len - 1 - MEDSYNC_SEED_SIZE);
	medsync_hmac_finish(&hmac, mac);
	memcpy(seed, mac, MEDSYNC_SEED_SIZE);
}

static void
read_fixed(MedsyncReader *reader, uint8 *dst, size_t len)
{
	const uint8 *bytes = medsync_wire_get_bytes(reader, len);

	if (bytes)
		memcpy(dst, bytes, len);
	else
		memset(dst, 0, len);
}

/* Read a u32 that is written as a varint. */
static uint32
read_u32(MedsyncReader *reader)
{
	uint64		value = medsync_wire_get_varint(reader);

	if (value > PG_UINT32_MAX)
		reader->failed = true;
	return (uint32) value;
}

/* Open a packed row and read its header; false if it is malformed. */
bool
medsync_packed_open(MedsyncPackedReader *packed, uint64 xid, uint64 ordinal,
					const uint8 *body, size_t len)
{
	MedsyncPackedHeader *header = &packed->header;
	MedsyncReader *reader = &packed->reader;
	uint8		flags;

	memset(header, 0, sizeof(*header));
	header->xid = xid;
	header->ordinal = ordinal;
	packed->entries_read = 0;
	medsync_wire_open(reader, body, len);
	if (medsync_wire_get_u8(reader) != PACKED_VERSION)
		return false;
	read_fixed(reader, header->seed, MEDSYNC_SEED_SIZE);
	flags = medsync_wire_get_u8(reader);
	if (flags & ~PACKED_WITH_IMAGES)
		return false;
	header->era_number = medsync_wire_get_varint(reader);
	if (header->era_number == 0)
		read_fixed(reader, header->era_id, MEDSYNC_ID_SIZE);
	header->flush_position = medsync_wire_get_varint(reader);
	header->flush_time = (int64) medsync_wire_get_u64(reader);
	header->session_role_len = (int) read_u32(reader);
	header->session_role = (const char *)
		medsync_wire_get_bytes(reader, header->session_role_len);
	if (flags & PACKED_WITH_IMAGES)
		header->image_seed = medsync_wire_get_bytes(reader,
													MEDSYNC_IMAGE_SEED_SIZE);
	header->entry_count = medsync_wire_get_varint(reader);
	if (header->entry_count == 0 || header->session_role_len > PG_UINT16_MAX)
		reader->failed = true;
	medsync_packed_first(&packed->entry, header);
	return !reader->failed;
}

/* Read the image part of an entry. */
static void
read_image(MedsyncReader *reader, MedsyncEntry *entry, uint32 flags)
{
	entry->image = NULL;
	entry->image_len = 0;
	if (flags & MEDSYNC_HAS_IMAGE)
	{
		entry->image_len = medsync_wire_get_varint(reader);
		entry->image = medsync_wire_get_bytes(reader, entry->image_len);
	}
	if (flags & MEDSYNC_HAS_LARGE_IMAGE)
	{
		entry->image = medsync_wire_get_bytes(reader, MEDSYNC_IMAGE_SEED_SIZE);
		entry->image_len = medsync_wire_get_varint(reader);
	}
	if ((flags & MEDSYNC_HAS_IMAGE) && (flags & MEDSYNC_HAS_LARGE_IMAGE))
		reader->failed = true;
}

/* Read the person of an entry; entry->fields are still those of the one before. */
static void
read_person(MedsyncReader *reader, MedsyncEntry *entry, uint32 flags)
{
	if (flags & MEDSYNC_HAS_PERSON)
		read_fixed(reader, entry->person, MEDSYNC_ID_SIZE);
	if ((flags & MEDSYNC_HAS_SAME_PERSON) &&
		((flags & MEDSYNC_HAS_PERSON) ||
		 (entry->fields & MEDSYNC_HAS_PERSON) == 0))
		reader->failed = true;
}

/* Read who signed, and the signature's digest; entry->fields as above. */
static void
read_signer(MedsyncReader *reader, MedsyncEntry *entry, uint32 flags)
{
	const uint32 both = MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_DETAIL;

	if (flags & MEDSYNC_HAS_SIGNATURE)
		read_fixed(reader, entry->signer, MEDSYNC_ID_SIZE);
	if ((flags & MEDSYNC_HAS_SAME_SIGNER) &&
		((flags & both) != 0 || (entry->fields & both) != both))
		reader->failed = true;
	if (flags & (MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_SAME_SIGNER))
		read_fixed(reader, entry->signature_digest, MEDSYNC_HASH_SIZE);
}

/*
 * Read the next entry into reader->entry.  False at the end of the row and
 * when it is malformed; packed->reader.failed tells which.
 */
bool
medsync_packed_next(MedsyncPackedReader *packed)
{
	MedsyncReader *reader = &packed->reader;
	MedsyncEntry *entry = &packed->entry;
	uint64		flags;

	if (packed->entries_read == packed->header.entry_count)
	{
		if (MEDSYNC_WIRE_LEFT(reader) != 0)
			reader->failed = true;
		return false;
	}
	flags = medsync_wire_get_varint(reader);
	if (flags & ~(uint64) MEDSYNC_HAS_ALL)
		reader->failed = true;
	if (flags & MEDSYNC_HAS_OPERATION)
		entry->operation = medsync_wire_get_u8(reader);
	if (flags & MEDSYNC_HAS_TABLE)
	{
		entry->table = read_u32(reader);
		entry->manifest = read_u32(reader);
	}
	if (flags & MEDSYNC_HAS_COMMAND)
		entry->command = read_u32(reader);
	if (flags & MEDSYNC_HAS_STATEMENT_TIME)
		entry->statement_time = (int64) ((uint64) entry->statement_time -
										 (uint64) medsync_wire_get_zigzag(reader));
	entry->ordinal++;
	if (flags & MEDSYNC_HAS_ORDINAL_GAP)
		entry->ordinal += medsync_wire_get_varint(reader);
	if (flags & MEDSYNC_HAS_ROLE)
	{
		entry->role_len = (int) read_u32(reader);
		entry->role = (const char *)
			medsync_wire_get_bytes(reader, entry->role_len);
		if (entry->role_len > PG_UINT16_MAX)
			reader->failed = true;
	}
	if (flags & MEDSYNC_HAS_KEY_ID)
		read_fixed(reader, entry->key_id, MEDSYNC_ID_SIZE);
	if (flags & MEDSYNC_HAS_ROW_KEY)
		read_fixed(reader, entry->row_key, MEDSYNC_ID_SIZE);
	if (flags & MEDSYNC_HAS_OLD)
		read_fixed(reader, entry->old_commitment, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_NEW)
		read_fixed(reader, entry->new_commitment, MEDSYNC_HASH_SIZE);
	read_image(reader, entry, flags);
	read_person(reader, entry, flags);
	read_signer(reader, entry, flags);
	if (flags & MEDSYNC_HAS_OBJECT)
		read_fixed(reader, entry->object, MEDSYNC_HASH_SIZE);
	if (flags & MEDSYNC_HAS_DETAIL)
	{
		entry->detail_len = (int) read_u32(reader);
		entry->detail = medsync_wire_get_bytes(reader, entry->detail_len);
		if (entry->detail_len > MEDSYNC_DETAIL_MAX)
			reader->failed = true;
	}
	if (flags & MEDSYNC_HAS_SAME_PERSON)
		flags ^= MEDSYNC_HAS_SAME_PERSON | MEDSYNC_HAS_PERSON;
	if (flags & MEDSYNC_HAS_SAME_SIGNER)
		flags ^= MEDSYNC_HAS_SAME_SIGNER | MEDSYNC_HAS_SIGNATURE |
			MEDSYNC_HAS_DETAIL;
	entry->fields = (uint32) flags & ~(MEDSYNC_HAS_KEY_ID);
	if (memcmp(entry->key_id, no_key, MEDSYNC_ID_SIZE) != 0)
		entry->fields |= MEDSYNC_HAS_KEY_ID;
	packed->entries_read++;
	return !reader->failed;
}

/*
 * Append the full encoding of an entry: what its leaf commits to.  Sealing
 * and verifying do this for every entry, so room is made once and then
 * written without further checks.
 */
void
medsync_entry_encode(StringInfo buf, const uint8 *era_id,
					 const MedsyncPackedHeader *header,
					 const MedsyncEntry *entry)
{
	uint32		fields = entry->fields & MEDSYNC_ENTRY_FIELDS;
	uint8	   *p;

	enlargeStringInfo(buf, ENTRY_FIXED_MAX + header->session_role_len +
					  entry->role_len + MEDSYNC_DETAIL_MAX);
	p = (uint8 *) buf->data + buf->len;
	*p++ = ENTRY_VERSION;
	*p++ = ENTRY_ALGORITHM;
	p = poke(p, era_id, MEDSYNC_ID_SIZE);
	p = poke_u64(p, header->xid);
	p = poke_u64(p, entry->ordinal);
	p = poke_u64(p, header->flush_position);
	p = poke_u64(p, (uint64) header->flush_time);
	p = poke_u64(p, (uint64) entry->statement_time);
	*p++ = entry->operation;
	p = poke_u32(p, entry->table);
	p = poke_u32(p, entry->manifest);
	p = poke_u32(p, entry->command);
	p = poke_u32(p, fields);
	p = poke_u16(p, (uint16) header->session_role_len);
	p = poke(p, header->session_role, header->session_role_len);
	p = poke_u16(p, (uint16) entry->role_len);
	p = poke(p, entry->role, entry->role_len);
	if (fields & MEDSYNC_HAS_KEY_ID)
		p = poke(p, entry->key_id, MEDSYNC_ID_SIZE);
	if (fields & MEDSYNC_HAS_ROW_KEY)
		p = poke(p, entry->row_key, MEDSYNC_ID_SIZE);
	if (fields & MEDSYNC_HAS_OLD)
		p = poke(p, entry->old_commitment, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_NEW)
		p = poke(p, entry->new_commitment, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_PERSON)
		p = poke(p, entry->person, MEDSYNC_ID_SIZE);
	if (fields & MEDSYNC_HAS_SIGNATURE)
	{
		p = poke(p, entry->signer, MEDSYNC_ID_SIZE);
		p = poke(p, entry->signature_digest, MEDSYNC_HASH_SIZE);
	}
	if (fields & MEDSYNC_HAS_OBJECT)
		p = poke(p, entry->object, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_DETAIL)
	{
		p = poke_u16(p, (uint16) entry->detail_len);
		p = poke(p, entry->detail, entry->detail_len);
	}
	buf->len = (int) (p - (uint8 *) buf->data);
}

/* Read text with a u16 length before it. */
static const char *
read_text(MedsyncReader *reader, int *len)
{
	*len = medsync_wire_get_u16(reader);
	return (const char *) medsync_wire_get_bytes(reader, *len);
}

/* Read the optional parts of a full encoding, as "fields" says. */
static void
read_fields(MedsyncReader *reader, MedsyncEntry *entry, uint32 fields)
{
	if (fields & MEDSYNC_HAS_KEY_ID)
	{
		read_fixed(reader, entry->key_id, MEDSYNC_ID_SIZE);
		if (memcmp(entry->key_id, no_key, MEDSYNC_ID_SIZE) == 0)
			reader->failed = true;
	}
	if (fields & MEDSYNC_HAS_ROW_KEY)
		read_fixed(reader, entry->row_key, MEDSYNC_ID_SIZE);
	if (fields & MEDSYNC_HAS_OLD)
		read_fixed(reader, entry->old_commitment, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_NEW)
		read_fixed(reader, entry->new_commitment, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_PERSON)
		read_fixed(reader, entry->person, MEDSYNC_ID_SIZE);
	if (fields & MEDSYNC_HAS_SIGNATURE)
	{
		read_fixed(reader, entry->signer, MEDSYNC_ID_SIZE);
		read_fixed(reader, entry->signature_digest, MEDSYNC_HASH_SIZE);
	}
	if (fields & MEDSYNC_HAS_OBJECT)
		read_fixed(reader, entry->object, MEDSYNC_HASH_SIZE);
	if (fields & MEDSYNC_HAS_DETAIL)
	{
		entry->detail = (const uint8 *) read_text(reader, &entry->detail_len);
		if (entry->detail_len > MEDSYNC_DETAIL_MAX)
			reader->failed = true;
	}
}

/*
 * Read a full encoding, the inverse of medsync_entry_encode(): what it takes
 * encodes to the same bytes again, and anything else is false.  Of the header
 * it fills in what the encoding holds; the rest is zero.
 */
bool
medsync_entry_decode(const uint8 *data, size_t len,
					 MedsyncPackedHeader *header, MedsyncEntry *entry)
{
	MedsyncReader reader;

	memset(header, 0, sizeof(*header));
	memset(entry, 0, sizeof(*entry));
	medsync_wire_open(&reader, data, len);
	if (medsync_wire_get_u8(&reader) != ENTRY_VERSION ||
		medsync_wire_get_u8(&reader) != ENTRY_ALGORITHM)
		return false;
	read_fixed(&reader, header->era_id, MEDSYNC_ID_SIZE);
	header->xid = medsync_wire_get_u64(&reader);
	entry->ordinal = medsync_wire_get_u64(&reader);
	header->flush_position = medsync_wire_get_u64(&reader);
	header->flush_time = (int64) medsync_wire_get_u64(&reader);
	entry->statement_time = (int64) medsync_wire_get_u64(&reader);
	entry->operation = medsync_wire_get_u8(&reader);
	entry->table = medsync_wire_get_u32(&reader);
	entry->manifest = medsync_wire_get_u32(&reader);
	entry->command = medsync_wire_get_u32(&reader);
	entry->fields = medsync_wire_get_u32(&reader);
	if (entry->fields & ~(uint32) MEDSYNC_ENTRY_FIELDS)
		return false;
	header->session_role = read_text(&reader, &header->session_role_len);
	entry->role = read_text(&reader, &entry->role_len);
	read_fields(&reader, entry, entry->fields);
	return !reader.failed && MEDSYNC_WIRE_LEFT(&reader) == 0;
}

/*
 * The leaf data of an entry: version byte and SHA-256(salt || entry), with
 * salt = HMAC-SHA-256(seed of its packed row, ordinal).  scratch is reused.
 */
void
medsync_entry_leaf(StringInfo scratch, const uint8 *era_id,
				   const MedsyncPackedHeader *header,
				   const MedsyncEntry *entry, uint8 *leaf)
{
	static MedsyncHmacKey hmac_key;
	static uint8 seed[MEDSYNC_SEED_SIZE];
	static bool keyed = false;
	MedsyncHmac hmac;
	uint8		salt[MEDSYNC_HASH_SIZE];
	uint8		ordinal[8];

	/* entries of one packed row follow each other */
	if (!keyed || memcmp(seed, header->seed, MEDSYNC_SEED_SIZE) != 0)
	{
		medsync_hmac_key(&hmac_key, header->seed, MEDSYNC_SEED_SIZE);
		memcpy(seed, header->seed, MEDSYNC_SEED_SIZE);
		keyed = true;
	}
	medsync_hmac_start(&hmac, &hmac_key);
	medsync_wire_store_u64(ordinal, entry->ordinal);
	medsync_hmac_update(&hmac, ordinal, sizeof(ordinal));
	medsync_hmac_finish(&hmac, salt);

	resetStringInfo(scratch);
	medsync_wire_put_bytes(scratch, salt, sizeof(salt));
	medsync_entry_encode(scratch, era_id, header, entry);
	leaf[0] = MEDSYNC_LEAF_VERSION;
	medsync_sha256(scratch->data, scratch->len, leaf + 1);
}
