/*-------------------------------------------------------------------------
 *
 * entries.c
 *		Unit tests of an entry's two encodings.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "ledger/entry.h"

/* Where the fields of fixed place begin */
#define AT_VERSION		0
#define AT_ALGORITHM	1
#define AT_FIELDS		71
#define AT_SESSION_ROLE	75

static const char session_role[] = "app";
static const char role[] = "dr. \xc3\xa9lise";
static const uint8 detail[MEDSYNC_DETAIL_MAX + 1] = "any bytes\0at all";

/* An entry with every field that "fields" names, and every other one too. */
static void
make_entry(uint32 fields, MedsyncPackedHeader *header, MedsyncEntry *entry)
{
	memset(header, 0, sizeof(*header));
	random_fill(header->era_id, sizeof(header->era_id));
	header->xid = next_random();
	header->flush_position = next_random();
	header->flush_time = (int64) next_random();
	header->session_role = session_role;
	header->session_role_len = strlen(session_role);

	memset(entry, 0, sizeof(*entry));
	entry->ordinal = next_random();
	entry->fields = fields;
	entry->operation = (uint8) next_random();
	entry->table = (uint32) next_random();
	entry->manifest = (uint32) next_random();
	entry->command = (uint32) next_random();
	entry->statement_time = (int64) next_random();
	entry->role = role;
	entry->role_len = strlen(role);
	random_fill(entry->key_id, sizeof(entry->key_id));
	random_fill(entry->row_key, sizeof(entry->row_key));
	random_fill(entry->old_commitment, sizeof(entry->old_commitment));
	random_fill(entry->new_commitment, sizeof(entry->new_commitment));
	random_fill(entry->person, sizeof(entry->person));
	random_fill(entry->signer, sizeof(entry->signer));
	random_fill(entry->signature_digest, sizeof(entry->signature_digest));
	random_fill(entry->object, sizeof(entry->object));
	entry->detail = detail;
	entry->detail_len = (int) (next_random() % (MEDSYNC_DETAIL_MAX + 1));
}

/* Decode bytes that stand in memory of exactly their length. */
static bool
decodes(const void *data, size_t len)
{
	char	   *copy = exact_copy(data, len);
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	bool		result;

	result = medsync_entry_decode((uint8 *) copy, len, &header, &entry);
	free(copy);
	return result;
}

/* Whether bytes that decode are written as the same bytes again. */
static bool
comes_again(const uint8 *data, size_t len)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	StringInfoData again;
	bool		same;

	if (!medsync_entry_decode(data, len, &header, &entry))
		return false;
	initStringInfo(&again);
	medsync_entry_encode(&again, header.era_id, &header, &entry);
	same = (size_t) again.len == len && memcmp(again.data, data, len) == 0;
	pfree(again.data);
	return same;
}

static bool
same_text(const void *a, int a_len, const void *b, int b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static void
test_fields(void)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	MedsyncPackedHeader read_header;
	MedsyncEntry read;
	StringInfoData buf;

	initStringInfo(&buf);
	make_entry(MEDSYNC_ENTRY_FIELDS, &header, &entry);
	medsync_entry_encode(&buf, header.era_id, &header, &entry);
	ok(medsync_entry_decode((uint8 *) buf.data, buf.len, &read_header, &read),
	   "entry: a full one is read");
	ok(memcmp(read_header.era_id, header.era_id, MEDSYNC_ID_SIZE) == 0 &&
	   read_header.xid == header.xid &&
	   read_header.flush_position == header.flush_position &&
	   read_header.flush_time == header.flush_time &&
	   same_text(read_header.session_role, read_header.session_role_len,
				 session_role, header.session_role_len),
	   "entry: what its packed row says");
	ok(read.ordinal == entry.ordinal && read.fields == entry.fields &&
	   read.operation == entry.operation && read.table == entry.table &&
	   read.manifest == entry.manifest && read.command == entry.command &&
	   read.statement_time == entry.statement_time &&
	   same_text(read.role, read.role_len, role, entry.role_len) &&
	   same_text(read.detail, read.detail_len, detail, entry.detail_len),
	   "entry: numbers and texts");
	ok(memcmp(read.key_id, entry.key_id, MEDSYNC_ID_SIZE) == 0 &&
	   memcmp(read.row_key, entry.row_key, MEDSYNC_ID_SIZE) == 0 &&
	   memcmp(read.old_commitment, entry.old_commitment, MEDSYNC_HASH_SIZE) == 0 &&
	   memcmp(read.new_commitment, entry.new_commitment, MEDSYNC_HASH_SIZE) == 0 &&
	   memcmp(read.person, entry.person, MEDSYNC_ID_SIZE) == 0 &&
	   memcmp(read.signer, entry.signer, MEDSYNC_ID_SIZE) == 0 &&
	   memcmp(read.signature_digest, entry.signature_digest, MEDSYNC_HASH_SIZE) == 0 &&
	   memcmp(read.object, entry.object, MEDSYNC_HASH_SIZE) == 0,
	   "entry: ids and hashes");
	pfree(buf.data);
}

/* Every set of fields: it comes again, and neither more nor less is taken. */
static void
test_every_set(void)
{
	StringInfoData buf;
	uint32		fields;
	int			sets = 0;
	int			wrong = 0;
	int			cut = 0;
	int			longer = 0;

	initStringInfo(&buf);
	for (fields = 0; fields <= MEDSYNC_HAS_ALL; fields += MEDSYNC_HAS_KEY_ID)
	{
		MedsyncPackedHeader header;
		MedsyncEntry entry;
		int			len;

		if (fields & ~MEDSYNC_ENTRY_FIELDS)
			continue;
		sets++;
		make_entry(fields, &header, &entry);
		resetStringInfo(&buf);
		medsync_entry_encode(&buf, header.era_id, &header, &entry);
		wrong += !comes_again((uint8 *) buf.data, buf.len);
		for (len = 0; len < buf.len; len++)
			cut += decodes(buf.data, len);
		appendStringInfoChar(&buf, '\0');
		longer += decodes(buf.data, buf.len);
	}
	ok(sets == 512 && wrong == 0, "entry: every set of fields comes again");
	ok(cut == 0, "entry: cut anywhere, it is refused");
	ok(longer == 0, "entry: with a byte more, it is refused");
	pfree(buf.data);
}

/* A flipped bit is refused or means another entry with those very bytes. */
static void
test_flips(void)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	StringInfoData buf;
	int			ambiguous = 0;
	int			bit;

	initStringInfo(&buf);
	make_entry(MEDSYNC_ENTRY_FIELDS, &header, &entry);
	medsync_entry_encode(&buf, header.era_id, &header, &entry);
	for (bit = 0; bit < 8 * buf.len; bit++)
	{
		buf.data[bit / 8] ^= 1 << (bit % 8);
		if (decodes(buf.data, buf.len) &&
			!comes_again((uint8 *) buf.data, buf.len))
			ambiguous++;
		buf.data[bit / 8] ^= 1 << (bit % 8);
	}
	ok(ambiguous == 0, "entry: no flipped bit makes a second form of one");
	pfree(buf.data);
}

static void
test_malformed(void)
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;
	StringInfoData buf;
	uint8	   *bytes;
	uint32		field;

	initStringInfo(&buf);
	make_entry(MEDSYNC_HAS_KEY_ID, &header, &entry);
	medsync_entry_encode(&buf, header.era_id, &header, &entry);
	bytes = (uint8 *) buf.data;

	bytes[AT_VERSION]++;
	ok(!decodes(bytes, buf.len), "entry: another version");
	bytes[AT_VERSION]--;
	bytes[AT_ALGORITHM]++;
	ok(!decodes(bytes, buf.len), "entry: other algorithms");
	bytes[AT_ALGORITHM]--;
	for (field = 1; field != 0; field <<= 1)
	{
		if (field & MEDSYNC_ENTRY_FIELDS)
			continue;
		medsync_wire_store_u32(bytes + AT_FIELDS, MEDSYNC_HAS_KEY_ID | field);
		ok(!decodes(bytes, buf.len), "entry: a field it cannot have, %08x", field);
	}
	medsync_wire_store_u32(bytes + AT_FIELDS, MEDSYNC_HAS_KEY_ID);
	ok(decodes(bytes, buf.len), "entry: as it was");
	memset(bytes + buf.len - MEDSYNC_ID_SIZE, 0, MEDSYNC_ID_SIZE);
	ok(!decodes(bytes, buf.len), "entry: a key id of zeros");
	bytes[AT_SESSION_ROLE] = 0xff;
	ok(!decodes(bytes, buf.len), "entry: a session role longer than the rest");

	make_entry(MEDSYNC_HAS_DETAIL, &header, &entry);
	entry.detail_len = MEDSYNC_DETAIL_MAX;
	resetStringInfo(&buf);
	medsync_entry_encode(&buf, header.era_id, &header, &entry);
	ok(decodes(buf.data, buf.len), "entry: the longest detail");
	entry.detail_len++;
	resetStringInfo(&buf);
	medsync_entry_encode(&buf, header.era_id, &header, &entry);
	ok(!decodes(buf.data, buf.len), "entry: a longer one");
	pfree(buf.data);
}

/* Open a packed row of entries that were written with medsync_packed_add(). */
static void
open_packed(MedsyncPackedReader *reader, MedsyncPackedHeader *header,
			const StringInfo entries, int count, StringInfo body)
{
	resetStringInfo(body);
	header->entry_count = count;
	medsync_packed_begin(body, header);
	appendBinaryStringInfo(body, entries->data, entries->len);
	ok(medsync_packed_open(reader, header->xid, header->ordinal,
						   (uint8 *) body->data, body->len),
	   "packed: the header is read");
}

/* Do two entries say the same, in their full encoding? */
static bool
same_entry(const MedsyncPackedHeader *header, const MedsyncEntry *a,
		   const MedsyncEntry *b)
{
	StringInfoData one;
	StringInfoData two;
	bool		same;

	initStringInfo(&one);
	initStringInfo(&two);
	medsync_entry_encode(&one, header->era_id, header, a);
	medsync_entry_encode(&two, header->era_id, header, b);
	same = one.len == two.len && memcmp(one.data, two.data, one.len) == 0;
	pfree(one.data);
	pfree(two.data);
	return same;
}

/* Entries that share persons, signers and details, or not, come again. */
static void
test_packed(void)
{
	static const uint32 choices[] = {
		0, MEDSYNC_HAS_PERSON, MEDSYNC_HAS_DETAIL, MEDSYNC_HAS_SIGNATURE,
		MEDSYNC_HAS_PERSON | MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_DETAIL
	};
	MedsyncEntry written[500];
	MedsyncPackedHeader header;
	MedsyncPackedHeader unused;
	MedsyncEntry previous;
	MedsyncPackedReader reader;
	StringInfoData entries;
	StringInfoData body;
	int			wrong = 0;
	int			i;

	initStringInfo(&entries);
	initStringInfo(&body);
	for (i = 0; i < (int) lengthof(written); i++)
	{
		MedsyncEntry *entry = &written[i];

		make_entry(choices[next_random() % lengthof(choices)] |
				   MEDSYNC_HAS_KEY_ID, i == 0 ? &header : &unused, entry);
		entry->ordinal = i;
		entry->detail_len = (int) (next_random() % 2);
		memset(entry->person, (int) (next_random() % 2), MEDSYNC_ID_SIZE);
		memset(entry->signer, (int) (next_random() % 2), MEDSYNC_ID_SIZE);
		if (i == 0)
		{
			header.ordinal = 0;
			medsync_packed_first(&previous, &header);
		}
		medsync_packed_add(&entries, &previous, entry);
	}
	open_packed(&reader, &header, &entries, i, &body);
	for (i = 0; i < (int) lengthof(written); i++)
		if (!medsync_packed_next(&reader) ||
			!same_entry(&header, &written[i], &reader.entry))
			wrong++;
	ok(wrong == 0, "packed: every entry comes again");
	ok(!medsync_packed_next(&reader) && !reader.reader.failed,
	   "packed: and then there is none");
	pfree(entries.data);
	pfree(body.data);
}

/* Two entries: the flags of the second, which has nothing but these. */
static bool
takes_flags(uint32 first, uint32 second, int more)
{
	MedsyncPackedHeader header;
	MedsyncPackedReader reader;
	MedsyncEntry entry;
	MedsyncEntry previous;
	StringInfoData entries;
	StringInfoData body;
	bool		taken;

	make_entry(first, &header, &entry);
	header.ordinal = entry.ordinal;
	initStringInfo(&entries);
	initStringInfo(&body);
	medsync_packed_first(&previous, &header);
	medsync_packed_add(&entries, &previous, &entry);
	medsync_wire_put_varint(&entries, second);
	while (more-- > 0)
		appendStringInfoChar(&entries, 'x');
	open_packed(&reader, &header, &entries, 2, &body);
	taken = medsync_packed_next(&reader) && medsync_packed_next(&reader) &&
		!medsync_packed_next(&reader) && !reader.reader.failed;
	pfree(entries.data);
	pfree(body.data);
	return taken;
}

/* "The same person" says nothing where there was none, or beside another. */
static void
test_same_person(void)
{
	ok(takes_flags(MEDSYNC_HAS_PERSON, MEDSYNC_HAS_SAME_PERSON, 0),
	   "packed: the same person");
	ok(takes_flags(MEDSYNC_HAS_PERSON, MEDSYNC_HAS_PERSON, MEDSYNC_ID_SIZE),
	   "packed: another person");
	ok(!takes_flags(0, MEDSYNC_HAS_SAME_PERSON, 0),
	   "packed: the same as nobody");
	ok(!takes_flags(MEDSYNC_HAS_PERSON,
					MEDSYNC_HAS_PERSON | MEDSYNC_HAS_SAME_PERSON,
					MEDSYNC_ID_SIZE),
	   "packed: another person who is the same");
	ok(!takes_flags(MEDSYNC_HAS_PERSON, MEDSYNC_HAS_ALL + 1, 0),
	   "packed: a bit that means nothing");
}

void
test_entries(void)
{
	ok(strcmp(medsync_operation_name(MEDSYNC_OP_SIGNER), "signer") == 0 &&
	   medsync_operation_name(0) == NULL &&
	   medsync_operation_name(MEDSYNC_OP_SIGNER + 1) == NULL &&
	   medsync_operation_name(255) == NULL,
	   "entry: operations have names");
	test_fields();
	test_every_set();
	test_flips();
	test_malformed();
	test_packed();
	test_same_person();
}
