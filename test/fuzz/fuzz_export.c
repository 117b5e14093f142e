/*-------------------------------------------------------------------------
 *
 * fuzz_export.c
 *		Fuzz target: the private export, and the same records in mode live.
 *
 * The code under test is the verifier's entries.c, chain.c and checkpoint.c.
 * Its report, its state and the public export beside it are here: findings
 * are counted and thrown away, there is no state, and the log has leaves of
 * zeros or does not hold.
 *
 * In mode live a checkpoint without signatures is signed first, so that what
 * lies behind the signature is reached.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

/* itself, to forget between inputs what it remembers for a run */
#include "../../src/bin/medsync-verify/checkpoint.c"
#include "tracked.h"

#define MAGIC			"medsync-entries v1\n"
#define HEADER_SIZE		5
#define LOG_SIZE		300
#define ORIGIN			"hospital.example/ledger"

extern FILE *__real_fopen(const char *path, const char *mode);
extern int	__real_fclose(FILE *file);
extern FILE *__wrap_fopen(const char *path, const char *mode);
extern int	__wrap_fclose(FILE *file);

MedsyncSummary medsync_summary;
MedsyncState medsync_state;

static const uint8 seed[MEDSYNC_ED25519_KEY_SIZE] = {'e', 'x', 'p', 'o', 'r', 't'};
static MedsyncVerifierKey key;
static MedsyncOptions options;
static bool log_holds;
static FILE *open_file = NULL;
static jmp_buf cannot_check;

/* ---- what the code under test calls ---- */

FILE *
__wrap_fopen(const char *path, const char *mode)
{
	promise(open_file == NULL);
	open_file = __real_fopen(path, mode);
	return open_file;
}

int
__wrap_fclose(FILE *file)
{
	promise(file == open_file);
	open_file = NULL;
	return __real_fclose(file);
}

FILE *
medsync_open_input(const char *path, const char *what, int64 *size)
{
	FILE	   *file = __wrap_fopen(path, "r");

	promise(file != NULL && fseeko(file, 0, SEEK_END) == 0);
	*size = ftello(file);
	rewind(file);
	return file;
}

void
medsync_report_finding(MedsyncSeverity severity, const char *verdict,
					   MedsyncPlace place, const char *expected,
					   const char *found, const char *detail,...)
{
	char		text[1024];
	va_list		args;

	va_start(args, detail);
	vsnprintf(text, sizeof(text), detail, args);
	va_end(args);
	promise(verdict[0] != '\0' && text[0] != '\0');
	if (place.relation != NULL)
		promise(strlen(place.relation) > 0);
	if (severity == MEDSYNC_ERROR)
		medsync_summary.errors++;
	else
		medsync_summary.warnings++;
}

void
medsync_report_signer(int64 index, const MedsyncVerifierKey *signer)
{
	promise(index >= 0);
	promise(medsync_key_name_valid(signer->name, strlen(signer->name)));
}

void
medsync_progress(const char *what, int64 done, int64 total)
{
}

void
medsync_cannot_check(const char *format,...)
{
	longjmp(cannot_check, 1);
}

char *
medsync_hex(const void *bytes, size_t len)
{
	const uint8 *next = bytes;
	StringInfoData buf;

	initStringInfo(&buf);
	while (len-- > 0)
		appendStringInfo(&buf, "%02x", *next++);
	return buf.data;
}

char *
medsync_number(uint64 value)
{
	return psprintf(UINT64_FORMAT, value);
}

void
medsync_state_save(const MedsyncOptions *given, const MedsyncState *state)
{
	promise(false);
}

static bool
fetch_zeros(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	/* of higher levels this is wrong, as a file can be */
	memset(hashes, 0, width * MEDSYNC_HASH_SIZE);
	return true;
}

void
medsync_log_verify(MedsyncLog *log)
{
}

static void
no_sink(void *arg, int level, uint64 tile, const uint8 *hashes)
{
}

bool
medsync_log_edges(MedsyncLog *log, uint64 size, MedsyncTree *tree)
{
	static const uint8 zeros[MEDSYNC_HASH_SIZE] = {0};

	promise(size <= log->checkpoint.size);
	tree->size = 0;
	while (tree->size < size)
		medsync_tree_append(tree, zeros, no_sink, NULL);
	return log->holds;
}

bool
medsync_log_open(const MedsyncOptions *given, MedsyncLog *log)
{
	MedsyncTree tree;

	memset(log, 0, sizeof(*log));
	log->directory = "log";
	log->checkpoint.origin = ORIGIN;
	log->checkpoint.origin_len = strlen(ORIGIN);
	log->checkpoint.size = LOG_SIZE;
	log->holds = log_holds;
	medsync_tiles_open(&log->tiles, LOG_SIZE, fetch_zeros, log);
	medsync_tree_init(&tree);
	(void) medsync_log_edges(log, LOG_SIZE, &tree);
	medsync_tree_root(&tree, log->checkpoint.root);
	return true;
}

/* ---- the target ---- */

static void
reset(MedsyncMode mode)
{
	have_best = false;
	have_log = false;
	have_enough = false;
	told_truncated = false;
	have_block = false;
	memset(&medsync_summary, 0, sizeof(medsync_summary));
	memset(&options, 0, sizeof(options));
	options.mode = mode;
	options.keys = &key;
	options.key_count = 1;
	options.max_age = 3600;
}

/* As a file, beside a public export. */
static void
try_file(const uint8_t *data, size_t size)
{
	static int	fd = -1;
	static char path[64];

	if (fd < 0)
	{
		fd = memfd_create("export", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	promise(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t) size);
	reset(MEDSYNC_MODE_ENTRIES);
	options.target = path;
	log_holds = size % 2 == 0;
	if (setjmp(cannot_check) == 0)
		medsync_verify_entries(&options);
	if (open_file != NULL)
		__wrap_fclose(open_file);
}

/* The signed note of a checkpoint; NULL where the text is none. */
static char *
sign_checkpoint(const uint8 *text, size_t len)
{
	MedsyncCheckpoint checkpoint;
	StringInfoData note;

	if (!medsync_checkpoint_parse((const char *) text, len, &checkpoint))
		return NULL;
	initStringInfo(&note);
	appendBinaryStringInfo(&note, (const char *) text, (int) len);
	appendStringInfoChar(&note, '\n');
	medsync_note_sign(&note, (const char *) text, len, &key, seed);
	return note.data;
}

static bool
feed_record(MedsyncStream *stream, char type, const uint8 *payload, size_t len)
{
	char	   *signed_note = type == 'C' ? sign_checkpoint(payload, len) : NULL;

	if (signed_note != NULL)
		return medsync_stream_record(stream, type, (uint8 *) signed_note,
									 strlen(signed_note), NULL);
	return medsync_stream_record(stream, type, payload, len, NULL);
}

static void
see_manifest(void *arg, uint32 table, uint32 version, const char *content,
			 size_t len)
{
	promise(table > 0 && version > 0);
}

static void
see_entry(void *arg, const MedsyncStreamEntry *item)
{
	promise((item->index < 0) == (item->block < 0));
	promise(item->entry->role_len >= 0 && item->header->session_role_len >= 0);
}

/* Record by record, as from a server; false where the stream is malformed. */
static bool
feed_records(MedsyncStream *stream, const uint8_t *data, size_t size)
{
	size_t		place = strlen(MAGIC);

	while (size >= HEADER_SIZE && place <= size - HEADER_SIZE)
	{
		MedsyncReader reader;
		size_t		len;

		medsync_wire_open(&reader, data + place + 1, 4);
		len = medsync_wire_get_u32(&reader);
		place += HEADER_SIZE;
		if (len > size - place)
			break;
		if (!feed_record(stream, (char) data[place - HEADER_SIZE], data + place, len))
			return false;
		place += len;
	}
	return true;
}

static void
try_live(const uint8_t *data, size_t size)
{
	MedsyncStreamCallbacks callbacks = {NULL, see_manifest, see_entry};
	MedsyncStream *stream;

	reset(MEDSYNC_MODE_LIVE);
	if (setjmp(cannot_check) != 0)
		return;
	stream = medsync_stream_begin(&options, NULL, &callbacks);
	if (feed_records(stream, data, size))
		medsync_stream_end(stream);
	else
		promise(medsync_summary.errors > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];

	if (key.type == 0)
	{
		medsync_ed25519_public_key(seed, public_key);
		medsync_vkey_make(&key, ORIGIN, MEDSYNC_SIGNATURE_ED25519, public_key);
	}
	tracked_begin();
	try_file(data, size);
	tracked_end();
	tracked_begin();
	try_live(data, size);
	tracked_end();
	return 0;
}
