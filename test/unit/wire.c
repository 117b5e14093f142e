/*-------------------------------------------------------------------------
 *
 * wire.c
 *		Unit tests of base64.
 *
 *-------------------------------------------------------------------------
 */
#include "unit.h"

#include "common/wire.h"

/* Longer than the pieces in which it is made and read */
#define LONG_SIZE	10000

/* Decode text that stands in memory of exactly its length. */
static ssize_t
decode(const char *text, size_t len, uint8 *out, size_t room)
{
	char	   *copy = exact_copy(text, len);
	ssize_t		result = medsync_wire_get_base64(copy, len, out, room);

	free(copy);
	return result;
}

/* RFC 4648, section 10. */
static void
test_published(void)
{
	static const char *const pairs[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}
	};
	StringInfoData buf;
	uint8		out[16];
	bool		good = true;
	int			i;

	initStringInfo(&buf);
	for (i = 0; i < (int) lengthof(pairs); i++)
	{
		size_t		len = strlen(pairs[i][0]);

		resetStringInfo(&buf);
		medsync_wire_put_base64(&buf, pairs[i][0], len);
		if (strcmp(buf.data, pairs[i][1]) != 0 ||
			decode(buf.data, buf.len, out, len) != (ssize_t) len ||
			memcmp(out, pairs[i][0], len) != 0)
			good = false;
	}
	ok(good, "base64: the examples of RFC 4648");
	pfree(buf.data);
}

static void
test_round_trip(void)
{
	StringInfoData buf;
	uint8	   *data = palloc(LONG_SIZE);
	uint8	   *out = palloc(LONG_SIZE);
	bool		good = true;
	bool		room_kept = true;
	size_t		len;

	initStringInfo(&buf);
	random_fill(data, LONG_SIZE);
	for (len = 0; len <= LONG_SIZE; len += len < 4000 ? 1 : 97)
	{
		resetStringInfo(&buf);
		appendStringInfoString(&buf, "x");
		medsync_wire_put_base64(&buf, data, len);
		if ((size_t) buf.len != 1 + (len + 2) / 3 * 4 ||
			buf.data[buf.len] != '\0' ||
			decode(buf.data + 1, buf.len - 1, out, len) != (ssize_t) len ||
			memcmp(out, data, len) != 0 ||
			decode(buf.data + 1, buf.len - 1, NULL, 0) != (ssize_t) len)
			good = false;
		if (len > 0 && decode(buf.data + 1, buf.len - 1, out, len - 1) != -1)
			room_kept = false;
	}
	ok(good, "base64: what is written is read, whatever the length");
	ok(room_kept, "base64: what does not fit is refused");
	pfree(buf.data);
	pfree(data);
	pfree(out);
}

/* Every character in every place of a text with one, two and no padding. */
static void
test_canonical(void)
{
	static const char *const texts[] = {"Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	int			accepted = 0;
	int			twice = 0;
	int			i;

	for (i = 0; i < (int) lengthof(texts); i++)
	{
		int			place;
		int			c;

		for (place = 0; place < 8; place++)
			for (c = 0; c < 256; c++)
			{
				char		text[8];
				uint8		out[6];
				ssize_t		size;
				StringInfoData again;

				memcpy(text, texts[i], 8);
				text[place] = (char) c;
				size = decode(text, 8, out, sizeof(out));
				if (size < 0)
					continue;
				initStringInfo(&again);
				medsync_wire_put_base64(&again, out, size);
				accepted++;
				if (again.len != 8 || memcmp(again.data, text, 8) != 0)
					twice++;
				pfree(again.data);
			}
	}
	ok(accepted > 24 && twice == 0,
	   "base64: no bytes have two texts (%d texts tried that are some)", accepted);
}

static void
test_refused(void)
{
	static const char *const refused[] = {
		"Z", "Zg", "Zm8", "Zg=", "Zm9vY", "Zg==\n", "\nZg==", "Zm9v Zg==",
		"Zm9v\n", "Zm 9v", "Zm9vZg= =", "Zh==", "Zm9=", "Zm9/Zn==", "====",
		"Z===", "=Zg=", "Zg==Zg==", "Zg==Zm9v", "Zm8=Zm9v", "Zm-_", "Zm9v====",
		"Zm\xc3\xa9", "A=A=", "AA=A", "    "
	};
	StringInfoData text;
	uint8	   *data = palloc0(LONG_SIZE);
	uint8	   *out = palloc(LONG_SIZE);
	int			place;
	bool		all = true;
	int			i;

	for (i = 0; i < (int) lengthof(refused); i++)
		ok(decode(refused[i], strlen(refused[i]), out, 64) == -1 &&
		   decode(refused[i], strlen(refused[i]), NULL, 0) == -1,
		   "base64: refused, number %d", i);

	/* padding or a blank anywhere in a long text, where it is read in pieces */
	initStringInfo(&text);
	medsync_wire_put_base64(&text, data, LONG_SIZE);
	for (place = 0; place < text.len - 2; place += place < 4080 ? 16 : 1)
	{
		static const char wrong[] = "= \n\r\t-\0";
		char		kept = text.data[place];

		text.data[place] = wrong[place % (sizeof(wrong) - 1)];
		if (decode(text.data, text.len, out, LONG_SIZE) != -1)
			all = false;
		text.data[place] = kept;
	}
	ok(all, "base64: padding and blanks refused all over a long text");
	pfree(text.data);
	pfree(data);
	pfree(out);
}

void
test_wire(void)
{
	test_published();
	test_round_trip();
	test_canonical();
	test_refused();
}
