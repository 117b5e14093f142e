/*-------------------------------------------------------------------------
 *
 * report.c
 *		Findings, the summary and progress of the offline verifier.
 *
 * As text a finding is written when it is found; with --json everything is
 * kept and written at the end as one object, also when the program could not
 * check.  Whatever is written may hold what the one who is checked has
 * chosen: control characters, those that turn the direction of writing, and
 * bytes that are no UTF-8 never reach the terminal or the JSON as they are.
 * What a finding can hold is limited, and what all of them can.
 *
 * However the program ends, it ends through at_exit(): without a finished
 * report the status is 2, so that want of memory or a failure inside a
 * library is never taken for a result.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "medsync_verify.h"
#include "portability/instr_time.h"

#define FINDINGS_SHOWN_MAX	10000	/* further ones are only counted */
#define SIGNERS_SHOWN_MAX	1000
#define SHOWN_TEXT_MAX		8192	/* bytes of one field */
#define FINDINGS_SIZE_MAX	(128 * 1024 * 1024) /* of those kept for JSON */

static const char *const severity_names[] = {
	[MEDSYNC_NOTICE] = "notice",
	[MEDSYNC_WARNING] = "warning",
	[MEDSYNC_ERROR] = "error"
};

static const char *const mode_names[] = {
	[MEDSYNC_MODE_NONE] = "none",
	[MEDSYNC_MODE_LOG] = "log",
	[MEDSYNC_MODE_ENTRIES] = "entries",
	[MEDSYNC_MODE_RECEIPT] = "receipt",
	[MEDSYNC_MODE_LIVE] = "live"
};

/* Verdicts about tables: the ledger itself may be whole */
static const char *const table_verdicts[] = {
	"altered", "extra", "missing", "image_altered", "key_missing",
	"guard_missing", "policy_missing"
};

MedsyncSummary medsync_summary;

static const MedsyncOptions *report_options;
static bool report_open = false;	/* begun, and not ended */
static StringInfoData json_findings;
static int64 findings_shown = 0;
static StringInfoData signers;	/* text or JSON, as the options say */
static int	signers_shown = 0;
static StringInfoData tables;	/* compared in mode live, in the same way */
static int	tables_shown = 0;
static const char *receipt = NULL;	/* what a valid one says, as JSON */
static char *failure = NULL;	/* why nothing could be checked */
static instr_time started;
static time_t progress_shown_at;
static bool progress_on_line = false;

/* Lower-case hexadecimal of some bytes. */
char *
medsync_hex(const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8 *p = bytes;
	char	   *text = palloc(2 * len + 1);
	size_t		i;

	for (i = 0; i < len; i++)
	{
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 0x0f];
	}
	text[2 * len] = '\0';
	return text;
}

char *
medsync_number(uint64 value)
{
	return psprintf(UINT64_FORMAT, value);
}

/* ---- text that others have chosen ---- */

/* How many bytes of valid UTF-8 the next character has; 0: none. */
static int
utf8_length(const char *text, size_t left)
{
	int			len = pg_utf_mblen((const unsigned char *) text);

	if (len < 1 || (size_t) len > left ||
		!pg_utf8_islegal((const unsigned char *) text, len))
		return 0;
	return len;
}

/*
 * A character above ASCII that a terminal or a reader would obey: of the
 * second range of control characters, or one that turns the direction of
 * writing or breaks the line (U+061C, U+200E, U+200F, U+2028 to U+202E,
 * U+2066 to U+2069).
 */
static bool
is_obeyed(const char *text, int width)
{
	const unsigned char *p = (const unsigned char *) text;

	if (width == 2)
		return (p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xd8 && p[1] == 0x9c);
	if (width != 3 || p[0] != 0xe2)
		return false;
	return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f ||
							 (p[2] >= 0xa8 && p[2] <= 0xae))) ||
		(p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

static void
append_escaped(StringInfo buf, const char *text)
{
	appendStringInfo(buf, "\\u%04x",
					 (unsigned int) utf8_to_unicode((const unsigned char *) text));
}

/* Append JSON that is valid, but for what must not reach the reader. */
static void
append_json(StringInfo buf, const char *json)
{
	size_t		len = strlen(json);
	size_t		i = 0;

	/* above ASCII, characters stand in strings only */
	while (i < len)
	{
		int			width = Max(utf8_length(json + i, len - i), 1);

		if (is_obeyed(json + i, width))
			append_escaped(buf, json + i);
		else
			appendBinaryStringInfo(buf, json + i, width);
		i += width;
	}
}

/* Append a JSON string; bytes that are no UTF-8 become U+FFFD. */
static void
json_string(StringInfo buf, const char *text, size_t len)
{
	size_t		i = 0;

	appendStringInfoChar(buf, '"');
	while (i < len)
	{
		unsigned char c = (unsigned char) text[i];
		int			width = utf8_length(text + i, len - i);

		if (width == 0)
		{
			appendStringInfoString(buf, "\\ufffd");
			width = 1;
		}
		else if (c == '"' || c == '\\')
			appendStringInfo(buf, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || is_obeyed(text + i, width))
			append_escaped(buf, text + i);
		else
			appendBinaryStringInfo(buf, text + i, width);
		i += width;
	}
	appendStringInfoChar(buf, '"');
}

/* Append text for a terminal, without what a terminal would obey. */
static void
append_text(StringInfo buf, const char *text, size_t shown)
{
	size_t		len = strlen(text);
	size_t		i = 0;

	while (i < shown)
	{
		unsigned char c = (unsigned char) text[i];
		int			width = utf8_length(text + i, len - i);

		/* of these each byte is shown by its number */
		if (is_obeyed(text + i, width))
			width = 0;
		if (width == 0 || c < 0x20 || c == 0x7f)
		{
			appendStringInfo(buf, "\\x%02x", c);
			width = 1;
		}
		else
			appendBinaryStringInfo(buf, text + i, width);
		i += width;
	}
}

/* The same, cut off where it is too long. */
static void
append_plain(StringInfo buf, const char *text)
{
	append_text(buf, text, Min(strlen(text), SHOWN_TEXT_MAX));
	if (strlen(text) > SHOWN_TEXT_MAX)
		appendStringInfoString(buf, "...");
}

/* ---- progress ---- */

/* Leave the progress line, before something else is written. */
static void
end_progress_line(void)
{
	if (!progress_on_line)
		return;
	fprintf(stderr, "\n");
	progress_on_line = false;
}

/* Say how far the work is, at most once a second. */
void
medsync_progress(const char *what, int64 done, int64 total)
{
	bool		terminal;
	time_t		now;

	if (!report_options->progress)
		return;
	now = time(NULL);
	if (now == progress_shown_at)
		return;
	progress_shown_at = now;
	terminal = isatty(fileno(stderr)) != 0;
	if (total > 0)
		fprintf(stderr, "%s%s: " INT64_FORMAT " of " INT64_FORMAT " (%d %%)%s",
				terminal ? "\r" : "", what, done, total,
				(int) ((double) done * 100 / (double) total),
				terminal ? "" : "\n");
	else
		fprintf(stderr, "%s%s: " INT64_FORMAT "%s", terminal ? "\r" : "", what,
				done, terminal ? "" : "\n");
	fflush(stderr);
	progress_on_line = terminal;
}

/* ---- findings ---- */

/* Text as it is, or as much of it as is shown, with dots behind. */
static char *
cut_text(const char *text)
{
	int			len = SHOWN_TEXT_MAX;

	if (strlen(text) <= SHOWN_TEXT_MAX)
		return pstrdup(text);
	/* not in the middle of a character */
	while (len > SHOWN_TEXT_MAX - 4 && ((unsigned char) text[len] & 0xc0) == 0x80)
		len--;
	return psprintf("%.*s...", len, text);
}

static void
json_member(StringInfo buf, const char *name, const char *text)
{
	char	   *cut;

	appendStringInfo(buf, ", \"%s\": ", name);
	if (text == NULL)
	{
		appendStringInfoString(buf, "null");
		return;
	}
	cut = cut_text(text);
	json_string(buf, cut, strlen(cut));
	pfree(cut);
}

static void
json_member_number(StringInfo buf, const char *name, int64 value)
{
	if (value >= 0)
		appendStringInfo(buf, ", \"%s\": " INT64_FORMAT, name, value);
	else
		appendStringInfo(buf, ", \"%s\": null", name);
}

static void
add_json_finding(MedsyncSeverity severity, const char *verdict,
				 const MedsyncPlace *place, const char *expected,
				 const char *found, const char *detail)
{
	StringInfo	buf = &json_findings;

	appendStringInfo(buf, "%s\n    {\"severity\": \"%s\", \"verdict\": \"%s\"",
					 findings_shown > 0 ? "," : "", severity_names[severity],
					 verdict);
	json_member(buf, "relation", place->relation);
	appendStringInfoString(buf, ", \"row_key\": ");
	append_json(buf, place->row_key && strlen(place->row_key) <= SHOWN_TEXT_MAX ?
				place->row_key : "null");
	json_member_number(buf, "block", place->block);
	json_member_number(buf, "entry_index", place->index);
	json_member(buf, "expected", expected);
	json_member(buf, "found", found);
	json_member(buf, "detail", detail);
	appendStringInfoChar(buf, '}');
}

static void
print_finding(MedsyncSeverity severity, const char *verdict,
			  const MedsyncPlace *place, const char *expected,
			  const char *found, const char *detail)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s: %s", severity_names[severity], verdict);
	if (place->relation != NULL)
	{
		appendStringInfoString(&buf, ", table ");
		append_plain(&buf, place->relation);
	}
	if (place->row_key != NULL)
	{
		appendStringInfoString(&buf, ", row ");
		append_plain(&buf, place->row_key);
	}
	if (place->block >= 0)
		appendStringInfo(&buf, ", block " INT64_FORMAT, place->block);
	if (place->index >= 0)
		appendStringInfo(&buf, ", entry " INT64_FORMAT, place->index);
	appendStringInfoString(&buf, "\n    ");
	append_plain(&buf, detail);
	if (expected != NULL)
	{
		appendStringInfoString(&buf, "\n    expected: ");
		append_plain(&buf, expected);
	}
	if (found != NULL)
	{
		appendStringInfoString(&buf, "\n    found:    ");
		append_plain(&buf, found);
	}
	printf("%s\n", buf.data);
	pfree(buf.data);
}

/* Is this verdict about the ledger, and not about a table or a key? */
static bool
is_about_ledger(const char *verdict)
{
	int			i;

	for (i = 0; i < (int) lengthof(table_verdicts); i++)
		if (strcmp(verdict, table_verdicts[i]) == 0)
			return false;
	return true;
}

static void
count_finding(MedsyncSeverity severity, const char *verdict)
{
	if (severity == MEDSYNC_ERROR)
	{
		medsync_summary.errors++;
		if (is_about_ledger(verdict))
			medsync_summary.ledger_damaged = true;
	}
	else if (severity == MEDSYNC_WARNING)
		medsync_summary.warnings++;
	else
		medsync_summary.notices++;
}

/*
 * Report a finding; the verdicts are those of medsync.verify().  The detail
 * is a format in printf's style.
 */
void
medsync_report_finding(MedsyncSeverity severity, const char *verdict,
					   MedsyncPlace place, const char *expected,
					   const char *found, const char *detail,...)
{
	char		text[4096];
	va_list		args;

	count_finding(severity, verdict);
	if (findings_shown == FINDINGS_SHOWN_MAX ||
		json_findings.len > FINDINGS_SIZE_MAX)
		return;
	va_start(args, detail);
	vsnprintf(text, sizeof(text), detail, args);
	va_end(args);
	end_progress_line();
	if (report_options->json)
		add_json_finding(severity, verdict, &place, expected, found, text);
	else if (!report_options->quiet || severity != MEDSYNC_NOTICE)
		print_finding(severity, verdict, &place, expected, found, text);
	findings_shown++;
}

/* An entry names a key that signs for the log. */
void
medsync_report_signer(int64 index, const MedsyncVerifierKey *key)
{
	StringInfoData text;

	if (signers_shown == SIGNERS_SHOWN_MAX)
		return;
	initStringInfo(&text);
	medsync_vkey_write(&text, key);
	if (report_options->json)
	{
		appendStringInfo(&signers, "%s{\"entry_index\": " INT64_FORMAT ", \"key\": ",
						 signers_shown > 0 ? ", " : "", index);
		json_string(&signers, text.data, text.len);
		appendStringInfoChar(&signers, '}');
	}
	else
		appendStringInfo(&signers, "signer: entry " INT64_FORMAT ", %s\n",
						 index, text.data);
	pfree(text.data);
	signers_shown++;
}

/* A table was compared: how many rows it holds. */
void
medsync_report_table(const char *name, int64 rows)
{
	medsync_summary.tables++;
	if (report_options->json)
	{
		appendStringInfo(&tables, "%s\n    {\"relation\": ",
						 tables_shown > 0 ? "," : "");
		json_string(&tables, name, strlen(name));
		appendStringInfo(&tables, ", \"rows\": " INT64_FORMAT "}", rows);
	}
	else
	{
		appendStringInfoString(&tables, "compared: ");
		append_plain(&tables, name);
		appendStringInfo(&tables, ", " INT64_FORMAT " row%s\n", rows,
						 rows == 1 ? "" : "s");
	}
	tables_shown++;
}

/* What a valid receipt says; the text stays where it is. */
void
medsync_report_receipt(const char *json)
{
	receipt = json;
}

/* ---- the end ---- */

static double
seconds_taken(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, started);
	return INSTR_TIME_GET_DOUBLE(now);
}

static const char *
status_word(void)
{
	if (failure != NULL)
		return "not_checked";
	return medsync_summary.errors + medsync_summary.warnings > 0 ?
		"findings" : "clean";
}

/* How many findings were counted and not shown. */
static int64
findings_left_out(void)
{
	return medsync_summary.errors + medsync_summary.warnings +
		medsync_summary.notices - findings_shown;
}

static void
print_json(void)
{
	const MedsyncSummary *sum = &medsync_summary;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\n  \"medsync_verify\": \"%s\", \"mode\": \"%s\", \"status\": \"%s\"",
					 MEDSYNC_VERSION, mode_names[report_options->mode],
					 status_word());
	json_member(&buf, "error", failure);
	json_member(&buf, "origin", sum->has_checkpoint ? sum->origin : NULL);
	json_member_number(&buf, "size", sum->has_checkpoint ? (int64) sum->size : -1);
	json_member(&buf, "root", sum->has_checkpoint ?
				medsync_hex(sum->root, MEDSYNC_HASH_SIZE) : NULL);
	json_member_number(&buf, "witnesses", sum->witnesses);
	appendStringInfoString(&buf, ",\n  \"summary\": {\"seconds\": ");
	appendStringInfo(&buf, "%.3f", seconds_taken());
	json_member_number(&buf, "entries", sum->entries);
	json_member_number(&buf, "blocks", sum->blocks);
	json_member_number(&buf, "tables", sum->tables);
	json_member_number(&buf, "rows", sum->rows);
	json_member_number(&buf, "unsealed", sum->unsealed);
	json_member_number(&buf, "errors", sum->errors);
	json_member_number(&buf, "warnings", sum->warnings);
	json_member_number(&buf, "notices", sum->notices);
	json_member_number(&buf, "findings_left_out", findings_left_out());
	appendStringInfoString(&buf, "},\n  \"receipt\": ");
	append_json(&buf, receipt ? receipt : "null");
	printf("%s,\n  \"signers\": [%s],\n  \"tables\": [%s%s],\n  \"findings\": [%s%s]\n}\n",
		   buf.data, signers.data, tables.data, tables_shown > 0 ? "\n  " : "",
		   json_findings.data, findings_shown > 0 ? "\n  " : "");
}

/* "3 errors", "1 error" */
static char *
count_of(int64 count, const char *what)
{
	return psprintf(INT64_FORMAT " %s%s", count, what, count == 1 ? "" : "s");
}

static void
print_summary(void)
{
	const MedsyncSummary *sum = &medsync_summary;

	if (findings_left_out() > 0)
		printf("%s more: counted, not shown\n",
			   count_of(findings_left_out(), "finding"));
	printf("%s%s", signers.data, tables.data);
	if (receipt != NULL)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		append_text(&buf, receipt, strlen(receipt));
		printf("receipt: %s\n", buf.data);
	}
	printf("%s: %s, %s, %s\n", status_word(),
		   count_of(sum->errors, "error"), count_of(sum->warnings, "warning"),
		   count_of(sum->notices, "notice"));
	if (sum->has_checkpoint)
		printf("checkpoint: " UINT64_FORMAT " entries of %s, root %s, witnesses %d\n",
			   sum->size, sum->origin,
			   medsync_hex(sum->root, MEDSYNC_HASH_SIZE), sum->witnesses);
	printf("checked: " INT64_FORMAT " entries, " INT64_FORMAT " blocks",
		   sum->entries, sum->blocks);
	if (report_options->mode == MEDSYNC_MODE_LIVE)
		printf(", " INT64_FORMAT " unsealed, " INT64_FORMAT " tables, " INT64_FORMAT " rows",
			   sum->unsealed, sum->tables, sum->rows);
	printf("; %.3f s\n", seconds_taken());
}

/* Runs when the program ends, however it does. */
static void
at_exit(void)
{
	if (!report_open)
		return;
	report_open = false;
	end_progress_line();
	if (failure == NULL)
		failure = "the program ended before its time";
	if (report_options->json)
		print_json();
	fflush(stdout);
	_exit(MEDSYNC_EXIT_NOT_CHECKED);
}

void
medsync_report_begin(const MedsyncOptions *options)
{
	report_options = options;
	INSTR_TIME_SET_CURRENT(started);
	initStringInfo(&json_findings);
	initStringInfo(&signers);
	initStringInfo(&tables);
	report_open = true;
	atexit(at_exit);
}

/* Write what is left to say; the result is the program's exit status. */
int
medsync_report_end(void)
{
	end_progress_line();
	if (report_options->json)
		print_json();
	else if (!report_options->quiet ||
			 medsync_summary.errors + medsync_summary.warnings > 0)
		print_summary();
	report_open = false;
	if (fflush(stdout) != 0 || ferror(stdout))
	{
		fprintf(stderr, "medsync-verify: could not write the report: %s\n",
				strerror(errno));
		return MEDSYNC_EXIT_NOT_CHECKED;
	}
	return medsync_summary.errors + medsync_summary.warnings > 0 ?
		MEDSYNC_EXIT_FINDINGS : MEDSYNC_EXIT_CLEAN;
}

/* Nothing can be said: why, and exit status 2. */
void
medsync_cannot_check(const char *format,...)
{
	StringInfoData shown;
	char		text[4096];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	end_progress_line();
	initStringInfo(&shown);
	append_plain(&shown, text);
	fprintf(stderr, "medsync-verify: %s\n", shown.data);
	failure = pg_strdup(text);
	exit(MEDSYNC_EXIT_NOT_CHECKED);
}
