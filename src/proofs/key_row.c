/*-------------------------------------------------------------------------
 *
 * key_row.c
 *		A row of person_key, read from its canonical bytes.
 *
 * Outsiders have the keys of signers as rows only: one that a receipt opens,
 * or live ones that the same run compares with the ledger.  Columns are found
 * by the names that the row's manifest gives them.
 *
 * Takes any bytes; pure computation, frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "ledger/canonical.h"
#include "proofs/key_row.h"

#define KEY_SCHEMA			"medsync"
#define KEY_TABLE			"person_key"
#define ALGORITHM_NAME_MAX	32

/* The columns that must not be NULL, as bits */
#define SEEN_ID				1
#define SEEN_PERSON			2
#define SEEN_ALGORITHM		4
#define SEEN_PUBLIC_KEY		8
#define SEEN_VALID_FROM		16
#define SEEN_ALL			31

bool
medsync_key_row_table(const MedsyncManifest *manifest)
{
	return manifest->parent == 0 && manifest->tracked &&
		!manifest->partitioned &&
		strcmp(manifest->schema_name, KEY_SCHEMA) == 0 &&
		strcmp(manifest->table_name, KEY_TABLE) == 0;
}

static bool
get_tag(MedsyncReader *reader, uint8 tag)
{
	if (medsync_wire_get_u8(reader) != tag)
		reader->failed = true;
	return !reader->failed;
}

static void
get_id(MedsyncReader *reader, uint8 *id)
{
	const uint8 *bytes = get_tag(reader, MEDSYNC_TAG_UUID) ?
		medsync_wire_get_bytes(reader, MEDSYNC_ID_SIZE) : NULL;

	if (bytes != NULL)
		memcpy(id, bytes, MEDSYNC_ID_SIZE);
}

static int64
get_time(MedsyncReader *reader)
{
	return get_tag(reader, MEDSYNC_TAG_TIMESTAMPTZ) ?
		(int64) medsync_wire_get_u64(reader) : 0;
}

static const uint8 *
get_counted(MedsyncReader *reader, uint8 tag, size_t limit, size_t *len)
{
	uint64		count = get_tag(reader, tag) ?
		medsync_wire_get_varint(reader) : 0;

	if (count > limit)
		reader->failed = true;
	*len = reader->failed ? 0 : (size_t) count;
	return medsync_wire_get_bytes(reader, *len);
}

static MedsyncKeyAlgorithm
get_algorithm(MedsyncReader *reader)
{
	char		name[ALGORITHM_NAME_MAX + 1] = "";
	size_t		len;
	const uint8 *text = get_counted(reader, MEDSYNC_TAG_TEXT,
									ALGORITHM_NAME_MAX, &len);

	if (text != NULL && memchr(text, '\0', len) == NULL)
		memcpy(name, text, len);
	return medsync_algorithm_by_name(name);
}

/* One column's value; returns its bit, or 0. */
static int
get_column(MedsyncReader *reader, const char *name, MedsyncKeyRow *key)
{
	if (strcmp(name, "id") == 0)
	{
		get_id(reader, key->id);
		return SEEN_ID;
	}
	if (strcmp(name, "person") == 0)
	{
		get_id(reader, key->person);
		return SEEN_PERSON;
	}
	if (strcmp(name, "algorithm") == 0)
	{
		key->algorithm = get_algorithm(reader);
		return SEEN_ALGORITHM;
	}
	if (strcmp(name, "public_key") == 0)
	{
		key->public_key = get_counted(reader, MEDSYNC_TAG_BYTEA,
									  MEDSYNC_PUBLIC_KEY_MAX,
									  &key->public_key_len);
		return SEEN_PUBLIC_KEY;
	}
	if (strcmp(name, "valid_from") == 0)
	{
		key->valid_from = get_time(reader);
		return SEEN_VALID_FROM;
	}
	if (strcmp(name, "valid_until") == 0)
		key->valid_until = get_time(reader);
	else if (strcmp(name, "revoked_at") == 0)
		key->revoked_at = get_time(reader);
	else if (!medsync_canonical_skip(reader))
		reader->failed = true;
	return 0;
}

bool
medsync_key_row_read(const void *row, size_t len,
					 const MedsyncManifest *manifest, MedsyncKeyRow *key)
{
	MedsyncReader reader;
	int			place = 0;
	int			seen = 0;

	memset(key, 0, sizeof(*key));
	key->valid_until = PG_INT64_MAX;
	key->revoked_at = PG_INT64_MAX;
	medsync_wire_open(&reader, row, len);
	while (!reader.failed && MEDSYNC_WIRE_LEFT(&reader) > 0)
	{
		uint64		number = medsync_wire_get_varint(&reader);

		/* numbers ascend, and none comes twice */
		while (place < manifest->column_count &&
			   (uint64) manifest->columns[place].number < number)
			place++;
		if (place == manifest->column_count ||
			(uint64) manifest->columns[place].number != number ||
			manifest->columns[place].excluded)
			return false;
		seen |= get_column(&reader, manifest->columns[place++].name, key);
	}
	return !reader.failed && seen == SEEN_ALL &&
		key->algorithm != MEDSYNC_ALGORITHM_NONE;
}

bool
medsync_key_row_valid(const MedsyncKeyRow *key, int64 at)
{
	if (at < key->valid_from || at >= key->valid_until)
		return false;
	return key->revoked_at >= PG_INT64_MAX - MEDSYNC_REVOCATION_GRACE ||
		at < key->revoked_at + MEDSYNC_REVOCATION_GRACE;
}

/*
 * Rows that were there when tracking began were signed before, and an update
 * that leaves the row as it was signs nothing.
 */
bool
medsync_key_row_must_be_valid(const MedsyncEntry *entry)
{
	switch (entry->operation)
	{
		case MEDSYNC_OP_INSERT:
		case MEDSYNC_OP_UPDATE_IN:
			return true;
		case MEDSYNC_OP_UPDATE:
			return memcmp(entry->old_commitment, entry->new_commitment,
						  MEDSYNC_HASH_SIZE) != 0;
		default:
			return false;
	}
}
