/*-------------------------------------------------------------------------
 *
 * json_text.c
 *		JSON as text: tokens read, strings written.
 *
 * Stores nothing, takes no locks and raises no error for what it reads.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/json_text.h"
#include "compat.h"
#include "mb/pg_wchar.h"

#define MAX_TEXT	0x3ffffffe	/* bytes: what a StringInfo can hold */

/*
 * Begin to read a text.  It must stay where it is; what is not UTF-8, or
 * longer than any value of PostgreSQL's, fails at once.
 */
void
medsync_json_open(MedsyncJsonReader *reader, const char *text, size_t len)
{
	reader->failed = len > MAX_TEXT ||
		pg_encoding_verifymbstr(PG_UTF8, text, (int) len) != (int) len;
	reader->lex = medsync_json_lexer(text, reader->failed ? 0 : (int) len);
}

/*
 * The next token: of a string the text is in lex->strval, of a number
 * between token_start and token_terminator.  JSON_TOKEN_INVALID when there
 * is none that is well formed.
 */
JsonTokenType
medsync_json_next(MedsyncJsonReader *reader)
{
	if (!reader->failed && json_lex(reader->lex) != JSON_SUCCESS)
		reader->failed = true;
	return reader->failed ? JSON_TOKEN_INVALID : reader->lex->token_type;
}

void
medsync_json_close(MedsyncJsonReader *reader)
{
	medsync_json_free_lexer(reader->lex);
	reader->lex = NULL;
}

/* Escape what JSON does not take as it is: nothing else is escaped. */
static void
put_character(StringInfo buf, char c)
{
	switch (c)
	{
		case '"':
		case '\\':
			appendStringInfoChar(buf, '\\');
			appendStringInfoChar(buf, c);
			break;
		case '\b':
			appendStringInfoString(buf, "\\b");
			break;
		case '\f':
			appendStringInfoString(buf, "\\f");
			break;
		case '\n':
			appendStringInfoString(buf, "\\n");
			break;
		case '\r':
			appendStringInfoString(buf, "\\r");
			break;
		case '\t':
			appendStringInfoString(buf, "\\t");
			break;
		default:
			if ((unsigned char) c < ' ')
				appendStringInfo(buf, "\\u%04x", (unsigned char) c);
			else
				appendStringInfoChar(buf, c);
	}
}

/* Append a string as JSON.  The text is UTF-8; that is the caller's word. */
void
medsync_json_put_string(StringInfo buf, const char *text, size_t len)
{
	appendStringInfoChar(buf, '"');
	for (size_t i = 0; i < len; i++)
		put_character(buf, text[i]);
	appendStringInfoChar(buf, '"');
}
