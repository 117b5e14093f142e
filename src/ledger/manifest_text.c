/*-------------------------------------------------------------------------
 *
 * manifest_text.c
 *		A manifest and its text.
 *
 * The text has one form only: a reader takes what the writer would have
 * written and nothing else, so that what two programs read from one digest
 * is the same.  Stores nothing, takes no locks and raises no error for what
 * it reads.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/json_text.h"
#include "ledger/manifest_text.h"

/* what a table may have, with room to spare: PostgreSQL allows 1600 and 32 */
#define MAX_COLUMNS		65536
#define MAX_TEXT		4096	/* bytes of a name or a type; the server's are far shorter */
#define MAX_CONTENT		(64 * 1024 * 1024)


/*
 * Writing
 */

static void
put_key(StringInfo buf, const char *name)
{
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoChar(buf, ',');
	medsync_json_put_string(buf, name, strlen(name));
	appendStringInfoChar(buf, ':');
}

static void
put_number(StringInfo buf, const char *name, int64 value)
{
	put_key(buf, name);
	appendStringInfo(buf, INT64_FORMAT, value);
}

static void
put_text(StringInfo buf, const char *name, const char *value)
{
	put_key(buf, name);
	medsync_json_put_string(buf, value, strlen(value));
}

static void
put_bool(StringInfo buf, const char *name, bool value)
{
	put_key(buf, name);
	appendStringInfoString(buf, value ? "true" : "false");
}

static void
put_column(StringInfo buf, const MedsyncColumn *column)
{
	appendStringInfoChar(buf, '{');
	put_number(buf, "number", column->number);
	put_text(buf, "name", column->name);
	put_text(buf, "type", column->type);
	put_bool(buf, "excluded", column->excluded);
	appendStringInfoChar(buf, '}');
}

/* The text of a manifest: JSON without white space, members in this order. */
char *
medsync_manifest_write(const MedsyncManifest *manifest)
{
	StringInfoData buf;
	int			i;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	put_number(&buf, "table", manifest->table);
	put_number(&buf, "version", manifest->version);
	put_text(&buf, "schema", manifest->schema_name);
	put_text(&buf, "name", manifest->table_name);
	put_number(&buf, "parent", manifest->parent);
	put_bool(&buf, "tracked", manifest->tracked);
	put_bool(&buf, "partitioned", manifest->partitioned);
	put_text(&buf, "payload", manifest->full ? "full" : "hash");
	put_number(&buf, "subject", manifest->subject);
	put_number(&buf, "next_column", manifest->next_column);
	put_key(&buf, "key");
	appendStringInfoChar(&buf, '[');
	for (i = 0; i < manifest->key_count; i++)
		appendStringInfo(&buf, "%s%d", i ? "," : "", manifest->key[i]);
	appendStringInfoChar(&buf, ']');
	if (manifest->signer != 0)
	{
		put_number(&buf, "signer", manifest->signer);
		put_number(&buf, "signature", manifest->signature);
	}
	if (manifest->on_behalf_of != 0)
		put_number(&buf, "on_behalf_of", manifest->on_behalf_of);
	put_key(&buf, "columns");
	appendStringInfoChar(&buf, '[');
	for (i = 0; i < manifest->column_count; i++)
	{
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		put_column(&buf, &manifest->columns[i]);
	}
	appendStringInfoString(&buf, "]}");
	return buf.data;
}


/*
 * Reading
 *
 * Once the reader has failed every function returns something empty.
 */

static void
expect(MedsyncJsonReader *reader, JsonTokenType token)
{
	if (medsync_json_next(reader) != token)
		reader->failed = true;
}

/* Is the member whose name the last token is this one?  Then read the colon. */
static bool
at_key(MedsyncJsonReader *reader, const char *name)
{
	if (reader->failed || strcmp(reader->lex->strval->data, name) != 0)
		return false;
	expect(reader, JSON_TOKEN_COLON);
	return true;
}

/* A member's name, with the comma before it. */
static void
next_key(MedsyncJsonReader *reader)
{
	expect(reader, JSON_TOKEN_COMMA);
	expect(reader, JSON_TOKEN_STRING);
}

/* A member's name and colon, with the comma before it unless it is the first. */
static void
get_key(MedsyncJsonReader *reader, const char *name, bool first)
{
	if (first)
		expect(reader, JSON_TOKEN_STRING);
	else
		next_key(reader);
	if (!at_key(reader, name))
		reader->failed = true;
}

/* The number that the last token is: whole, not negative, an int. */
static int
token_number(MedsyncJsonReader *reader)
{
	int64		value = 0;
	const char *p;

	if (reader->failed || reader->lex->token_type != JSON_TOKEN_NUMBER)
	{
		reader->failed = true;
		return 0;
	}
	for (p = reader->lex->token_start; p < reader->lex->token_terminator; p++)
	{
		if (*p < '0' || *p > '9')
			reader->failed = true;
		value = value * 10 + (*p - '0');
		if (reader->failed || value > PG_INT32_MAX)
		{
			reader->failed = true;
			return 0;
		}
	}
	return (int) value;
}

static int
get_number(MedsyncJsonReader *reader, const char *name, bool first)
{
	get_key(reader, name, first);
	medsync_json_next(reader);
	return token_number(reader);
}

static char *
get_text(MedsyncJsonReader *reader, const char *name)
{
	get_key(reader, name, false);
	expect(reader, JSON_TOKEN_STRING);
	if (!reader->failed && reader->lex->strval->len > MAX_TEXT)
		reader->failed = true;
	return pstrdup(reader->failed ? "" : reader->lex->strval->data);
}

static bool
get_bool(MedsyncJsonReader *reader, const char *name)
{
	JsonTokenType token;

	get_key(reader, name, false);
	token = medsync_json_next(reader);
	if (token != JSON_TOKEN_TRUE && token != JSON_TOKEN_FALSE)
		reader->failed = true;
	return token == JSON_TOKEN_TRUE;
}

static bool
get_payload(MedsyncJsonReader *reader)
{
	char	   *payload = get_text(reader, "payload");
	bool		full = strcmp(payload, "full") == 0;

	if (!full && strcmp(payload, "hash") != 0)
		reader->failed = true;
	pfree(payload);
	return full;
}

/*
 * Step to an array's next item; false at its end.  The token is the item's
 * first.
 */
static bool
next_item(MedsyncJsonReader *reader, int count)
{
	JsonTokenType token = medsync_json_next(reader);

	if (token == JSON_TOKEN_ARRAY_END)
		return false;
	if (count > 0)
	{
		if (token != JSON_TOKEN_COMMA)
			reader->failed = true;
		medsync_json_next(reader);
	}
	if (count >= MAX_COLUMNS)
		reader->failed = true;
	return !reader->failed;
}

static void
get_key_columns(MedsyncJsonReader *reader, MedsyncManifest *manifest)
{
	int			room = 4;

	get_key(reader, "key", false);
	expect(reader, JSON_TOKEN_ARRAY_START);
	manifest->key = palloc(sizeof(int) * room);
	while (next_item(reader, manifest->key_count))
	{
		if (manifest->key_count == room)
		{
			room *= 2;
			manifest->key = repalloc(manifest->key, sizeof(int) * room);
		}
		manifest->key[manifest->key_count++] = token_number(reader);
	}
}

static void
get_column(MedsyncJsonReader *reader, MedsyncColumn *column)
{
	column->number = get_number(reader, "number", true);
	column->name = get_text(reader, "name");
	column->type = get_text(reader, "type");
	column->excluded = get_bool(reader, "excluded");
	expect(reader, JSON_TOKEN_OBJECT_END);
}

/* A number that need not be there; 0: the member is another one. */
static int
get_optional_number(MedsyncJsonReader *reader, const char *name)
{
	int			value;

	if (!at_key(reader, name))
		return 0;
	medsync_json_next(reader);
	value = token_number(reader);
	next_key(reader);
	return value;
}

/* The members of a demanded signature, if they are there, and the columns. */
static void
get_columns(MedsyncJsonReader *reader, MedsyncManifest *manifest)
{
	int			room = 16;

	next_key(reader);
	manifest->signer = get_optional_number(reader, "signer");
	manifest->signature = get_optional_number(reader, "signature");
	manifest->on_behalf_of = get_optional_number(reader, "on_behalf_of");
	if (!at_key(reader, "columns"))
		reader->failed = true;
	expect(reader, JSON_TOKEN_ARRAY_START);
	manifest->columns = palloc(sizeof(MedsyncColumn) * room);
	while (next_item(reader, manifest->column_count))
	{
		if (reader->lex->token_type != JSON_TOKEN_OBJECT_START)
			reader->failed = true;
		if (manifest->column_count == room)
		{
			room *= 2;
			manifest->columns = repalloc(manifest->columns,
										 sizeof(MedsyncColumn) * room);
		}
		get_column(reader, &manifest->columns[manifest->column_count++]);
	}
}

static void
get_manifest(MedsyncJsonReader *reader, MedsyncManifest *manifest)
{
	expect(reader, JSON_TOKEN_OBJECT_START);
	manifest->table = get_number(reader, "table", true);
	manifest->version = get_number(reader, "version", false);
	manifest->schema_name = get_text(reader, "schema");
	manifest->table_name = get_text(reader, "name");
	manifest->parent = get_number(reader, "parent", false);
	manifest->tracked = get_bool(reader, "tracked");
	manifest->partitioned = get_bool(reader, "partitioned");
	manifest->full = get_payload(reader);
	manifest->subject = get_number(reader, "subject", false);
	manifest->next_column = get_number(reader, "next_column", false);
	get_key_columns(reader, manifest);
	get_columns(reader, manifest);
	expect(reader, JSON_TOKEN_OBJECT_END);
	expect(reader, JSON_TOKEN_END);
}

/* Is it a column that rows of the ledger have? */
static bool
is_recorded(const MedsyncManifest *manifest, int number)
{
	const MedsyncColumn *column = medsync_manifest_column_number(manifest,
																 number);

	return column != NULL && !column->excluded;
}

/*
 * A demanded signature is in columns of its own, which are recorded.  What is
 * signed names one row: there is a key, and the signature, which is left out
 * of what is signed, is no part of it.
 */
bool
medsync_manifest_demand_holds(const MedsyncManifest *manifest)
{
	if (manifest->signer == 0)
		return manifest->signature == 0 && manifest->on_behalf_of == 0;
	return is_recorded(manifest, manifest->signer) &&
		is_recorded(manifest, manifest->signature) &&
		(manifest->on_behalf_of == 0 ||
		 is_recorded(manifest, manifest->on_behalf_of)) &&
		manifest->signer != manifest->signature &&
		manifest->signer != manifest->on_behalf_of &&
		manifest->signature != manifest->on_behalf_of &&
		manifest->key_count > 0 &&
		!medsync_manifest_is_key(manifest, manifest->signature);
}

/* Columns ascend; all numbers are those of columns that have been. */
static bool
numbers_hold(const MedsyncManifest *manifest)
{
	int			last = 0;
	int			i;

	if (manifest->table < 1 || manifest->version < 1 ||
		manifest->next_column < 1 ||
		manifest->subject >= manifest->next_column)
		return false;
	for (i = 0; i < manifest->column_count; i++)
	{
		int			number = manifest->columns[i].number;

		if (number <= last || number >= manifest->next_column)
			return false;
		last = number;
	}
	for (i = 0; i < manifest->key_count; i++)
		if (manifest->key[i] < 1 || manifest->key[i] >= manifest->next_column)
			return false;
	return medsync_manifest_demand_holds(manifest);
}

/* Is the text just what the writer makes of the manifest? */
static bool
is_text_of(const MedsyncManifest *manifest, const char *content, size_t len)
{
	char	   *written = medsync_manifest_write(manifest);
	bool		same = strlen(written) == len &&
	memcmp(written, content, len) == 0;

	pfree(written);
	return same;
}

/* Read a manifest's text, palloc'd; NULL when it is malformed. */
MedsyncManifest *
medsync_manifest_read(const char *content, size_t len)
{
	MedsyncManifest *manifest;
	MedsyncJsonReader reader;
	bool		holds;

	if (len > MAX_CONTENT)
		return NULL;
	manifest = palloc0(sizeof(MedsyncManifest));
	medsync_json_open(&reader, content, len);
	get_manifest(&reader, manifest);
	holds = !reader.failed && numbers_hold(manifest) &&
		is_text_of(manifest, content, len);
	medsync_json_close(&reader);
	if (holds)
		return manifest;
	medsync_manifest_free(manifest);
	return NULL;
}

void
medsync_manifest_free(MedsyncManifest *manifest)
{
	int			i;

	if (manifest == NULL)
		return;
	for (i = 0; i < manifest->column_count; i++)
	{
		pfree(manifest->columns[i].name);
		pfree(manifest->columns[i].type);
	}
	pfree(manifest->columns);
	pfree(manifest->key);
	pfree(manifest->schema_name);
	pfree(manifest->table_name);
	pfree(manifest);
}


/*
 * Looking things up
 */

const MedsyncColumn *
medsync_manifest_column(const MedsyncManifest *manifest, const char *name)
{
	int			i;

	for (i = 0; i < manifest->column_count; i++)
		if (strcmp(manifest->columns[i].name, name) == 0)
			return &manifest->columns[i];
	return NULL;
}

const MedsyncColumn *
medsync_manifest_column_number(const MedsyncManifest *manifest, int number)
{
	int			i;

	for (i = 0; i < manifest->column_count; i++)
		if (manifest->columns[i].number == number)
			return &manifest->columns[i];
	return NULL;
}

bool
medsync_manifest_is_key(const MedsyncManifest *manifest, int number)
{
	int			i;

	for (i = 0; i < manifest->key_count; i++)
		if (manifest->key[i] == number)
			return true;
	return false;
}
