/*-------------------------------------------------------------------------
 *
 * json_text.h
 *		JSON as text: tokens read, strings written.
 *
 * Tokens are those of PostgreSQL's own lexer, which needs no stack for
 * nesting and is the same in the server and in frontend programs.  Grammar
 * is the caller's business.  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_JSON_TEXT_H
#define MEDSYNC_JSON_TEXT_H

#include "common/jsonapi.h"
#include "lib/stringinfo.h"

/* Reads a text token by token; what goes wrong sets "failed" for good */
typedef struct MedsyncJsonReader
{
	JsonLexContext *lex;		/* for readers: token_type, strval, ... */
	bool		failed;
} MedsyncJsonReader;

extern void medsync_json_open(MedsyncJsonReader *reader, const char *text,
							  size_t len);
extern JsonTokenType medsync_json_next(MedsyncJsonReader *reader);
extern void medsync_json_close(MedsyncJsonReader *reader);

extern void medsync_json_put_string(StringInfo buf, const char *text,
									size_t len);

/* Bytes of the last token as they stand in the text */
#define MEDSYNC_JSON_TOKEN_LEN(r) \
	((size_t) ((r)->lex->token_terminator - (r)->lex->token_start))

#endif							/* MEDSYNC_JSON_TEXT_H */
