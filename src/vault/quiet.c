/*-------------------------------------------------------------------------
 *
 * quiet.c
 *		Keeping statements with secrets out of the server's log.
 *
 * The functions that take or give keys and plaintexts hide their statement
 * in every error of their own.  But a statement that calls them can fail for
 * other reasons (a syntax error, a cast, a constraint, a cancel), and then
 * PostgreSQL logs all of its text, with whatever literals it has.
 *
 * So a log hook looks at each message that goes to the log.  If the statement
 * names one of those functions, or the context or the internal query of the
 * message does, or one of them has been called in this statement, then the
 * log gets neither statement nor context nor internal query, and no detail
 * and no quotation in classes of errors that repeat values.  A detail which
 * names such a function (the statement of another session in a deadlock, or
 * of one that crashed) is left out as well.
 *
 * A log hook may turn a message off, but not change what the client gets.
 * So the hook sends a changed version to the log alone, puts everything back
 * and turns the original off for the log; the client gets that unchanged.
 *
 * Names are looked for in the bare text: in any case, quoted or not, in
 * literals and comments too, of any schema, followed by a parenthesis.  That
 * hides some statement that has no secret, and costs nothing but a line in
 * the log.
 *
 * Utility statements get no query id if they name such a function, since
 * pg_stat_statements would keep them with their literals.
 *
 * What was logged before the library was loaded is out of reach: preload it.
 * Settings that log statements as such (log_statement, log_min_duration_...)
 * are obeyed: whoever sets them wants the text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/prepare.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

#include "vault/quiet.h"

#define HIDDEN_DETAIL	"It is not shown, since the statement has to do with secrets."

/* The functions; what follows their arguments is a parenthesis */
static const char *const secret_functions[] = {
	"encrypt", "decrypt", "rsa_encrypt", "rsa_decrypt", "sign", "sign_in",
	"check_signature", "verify_signature", "wrap_key", "unwrap_key",
	"public_key", "generate_key", "generate_key_pair", "put_record", "get_record"
};

/* What a message says, apart from who gets it */
typedef struct Words
{
	char	   *message;
	char	   *detail;
	char	   *detail_log;
	char	   *internalquery;
	bool		hide_stmt;
	bool		hide_ctx;
} Words;

/*---- Local variables ----*/

static emit_log_hook_type previous_log_hook = NULL;
static post_parse_analyze_hook_type previous_analyze_hook = NULL;

/* When the last statement began that called one of the functions */
static TimestampTz secret_statement = 0;

/* Was the library loaded while no statement ran? */
static bool from_start = false;

/* Is the changed version on its way? */
static bool emitting = false;

static bool names_secret(const char *text);

/*---- Looking for names ----*/

static inline bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

/* Step over a comment with those inside it; to the end if it has none. */
static const char *
skip_comment(const char *c)
{
	int			depth = 0;

	do
	{
		if (c[0] == '/' && c[1] == '*')
		{
			depth++;
			c += 2;
		}
		else if (c[0] == '*' && c[1] == '/')
		{
			depth--;
			c += 2;
		}
		else if (*c != '\0')
			c++;
	} while (depth > 0 && *c != '\0');
	return c;
}

/* Step over white space and comments. */
static const char *
skip_blank(const char *c)
{
	for (;;)
	{
		if (*c == ' ' || (*c >= '\t' && *c <= '\r'))
			c++;
		else if (c[0] == '-' && c[1] == '-')
			c += strcspn(c, "\r\n");
		else if (c[0] == '/' && c[1] == '*')
			c = skip_comment(c);
		else
			return c;
	}
}

static bool
is_word(const char *word, size_t len, const char *other)
{
	return strlen(other) == len && pg_strncasecmp(word, other, len) == 0;
}

/* Is this word one of the functions, and what follows it a call? */
static bool
is_secret_call(const char *word, const char *end)
{
	int			i;

	for (i = 0; i < (int) lengthof(secret_functions); i++)
	{
		if (is_word(word, end - word, secret_functions[i]))
			return *skip_blank(*end == '"' ? end + 1 : end) == '(';
	}
	return false;
}

/* Is this word the name of a prepared statement that names a function? */
static bool
is_secret_prepared(const char *word, const char *end)
{
	char		name[NAMEDATALEN];
	size_t		len = Min(end - word, NAMEDATALEN - 1);
	PreparedStatement *prepared;
	size_t		i;

	memcpy(name, word, len);
	name[len] = '\0';
	if (*end != '"')
	{
		for (i = 0; i < len; i++)
			name[i] = pg_ascii_tolower((unsigned char) name[i]);
	}
	prepared = FetchPreparedStatement(name, false);
	/* a PREPARE of an EXECUTE there is not, so that this goes one deep */
	return prepared != NULL &&
		names_secret(prepared->plansource->query_string);
}

/* Does a text name one of the functions, as far as can be seen? */
static bool
names_secret(const char *text)
{
	const char *c = text;
	bool		after_execute = false;

	if (text == NULL)
		return false;
	while (*c != '\0')
	{
		const char *word = c;

		if (!is_word_char(*c))
		{
			c++;
			continue;
		}
		while (is_word_char(*c))
			c++;
		if (is_secret_call(word, c) ||
			(after_execute && is_secret_prepared(word, c)))
			return true;
		/* an identifier with escapes could be any */
		if (c - word == 1 && (*word == 'U' || *word == 'u') &&
			c[0] == '&' && c[1] == '"')
			return true;
		after_execute = is_word(word, c - word, "execute");
	}
	return false;
}

/*---- The log ----*/

void
medsync_quiet_statement(void)
{
	secret_statement = GetCurrentStatementStartTimestamp();
}

/* Is there anything in a message that could have to be hidden? */
static bool
has_more_than_message(const ErrorData *edata)
{
	return !edata->hide_stmt || (edata->context != NULL && !edata->hide_ctx) ||
		edata->internalquery != NULL || edata->detail != NULL ||
		edata->detail_log != NULL;
}

/* Does a message come from a statement with secrets? */
static bool
is_of_secret_statement(const ErrorData *edata)
{
	return (secret_statement != 0 &&
			secret_statement == GetCurrentStatementStartTimestamp()) ||
		names_secret(debug_query_string) || names_secret(edata->context) ||
		names_secret(edata->internalquery);
}

/* Does the primary message repeat what was put in? */
static bool
message_quotes(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
		sqlerrcode == ERRCODE_SYNTAX_ERROR ||
		sqlerrcode == ERRCODE_UNDEFINED_COLUMN;
}

/* Does the detail repeat what was put in, or is in rows? */
static bool
detail_quotes(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		category == ERRCODE_WITH_CHECK_OPTION_VIOLATION ||
		sqlerrcode == ERRCODE_SYNTAX_ERROR;
}

/*
 * The message without what is between its first and its last quotation mark.
 * In a language that quotes otherwise that is the untranslated format.
 */
static char *
without_quotation(const ErrorData *edata)
{
	const char *first = strchr(edata->message, '"');
	const char *last = strrchr(edata->message, '"');
	size_t		size;
	char	   *result;

	if (first == NULL)
		return edata->message_id != NULL && strchr(edata->message_id, '"') ?
			unconstify(char *, edata->message_id) : edata->message;
	size = (first + 1 - edata->message) + strlen("...") + strlen(last) + 1;
	result = MemoryContextAllocExtended(ErrorContext, size, MCXT_ALLOC_NO_OOM);
	if (result == NULL)
		return "statement with secrets failed";
	snprintf(result, size, "%.*s...%s", (int) (first + 1 - edata->message),
			 edata->message, last);
	return result;
}

static void
get_words(const ErrorData *edata, Words *words)
{
	words->message = edata->message;
	words->detail = edata->detail;
	words->detail_log = edata->detail_log;
	words->internalquery = edata->internalquery;
	words->hide_stmt = edata->hide_stmt;
	words->hide_ctx = edata->hide_ctx;
}

static void
put_words(ErrorData *edata, const Words *words)
{
	edata->message = words->message;
	edata->detail = words->detail;
	edata->detail_log = words->detail_log;
	edata->internalquery = words->internalquery;
	edata->hide_stmt = words->hide_stmt;
	edata->hide_ctx = words->hide_ctx;
}

/* Send these words to the log alone, and leave the message as it was. */
static void
emit_to_log(ErrorData *edata, const Words *words)
{
	Words		original;
	bool		output_to_client = edata->output_to_client;

	get_words(edata, &original);
	emitting = true;
	PG_TRY();
	{
		put_words(edata, words);
		edata->output_to_client = false;
		/* it is the topmost one still, so this is what is sent */
		EmitErrorReport();
	}
	PG_CATCH();
	{
		emitting = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	emitting = false;
	put_words(edata, &original);
	edata->output_to_client = output_to_client;
	edata->output_to_server = false;
}

/* Make the words that the log may have; false if those that are there may be. */
static bool
quiet_words(const ErrorData *edata, Words *words)
{
	bool		hide_detail;

	get_words(edata, words);
	hide_detail = names_secret(edata->detail_log != NULL ?
							   edata->detail_log : edata->detail);
	if (is_of_secret_statement(edata))
	{
		words->hide_stmt = true;
		words->hide_ctx = true;
		words->internalquery = NULL;
		if (edata->message != NULL && message_quotes(edata->sqlerrcode))
			words->message = without_quotation(edata);
		hide_detail |= detail_quotes(edata->sqlerrcode);
	}
	else if (!hide_detail)
		return false;
	if (hide_detail && (edata->detail != NULL || edata->detail_log != NULL))
	{
		words->detail = HIDDEN_DETAIL;
		words->detail_log = NULL;
	}
	return true;
}

/* emit_log_hook */
static void
quiet_emit_log(ErrorData *edata)
{
	Words		words;

	if (!emitting && has_more_than_message(edata) && quiet_words(edata, &words))
		emit_to_log(edata, &words);
	else if (previous_log_hook != NULL)
		previous_log_hook(edata);
}

/*---- pg_stat_statements ----*/

/* post_parse_analyze_hook */
static void
quiet_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	if (previous_analyze_hook != NULL)
		previous_analyze_hook(pstate, query, jstate);
	if (query->utilityStmt != NULL && query->queryId != UINT64CONST(0) &&
		names_secret(pstate->p_sourcetext))
		query->queryId = UINT64CONST(0);
}

bool
medsync_quiet_from_start(void)
{
	return from_start;
}

void
medsync_quiet_init(void)
{
	from_start = debug_query_string == NULL;
	previous_log_hook = emit_log_hook;
	emit_log_hook = quiet_emit_log;
	previous_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = quiet_post_parse_analyze;
}
