/*-------------------------------------------------------------------------
 *
 * state.c
 *		The checkpoint that is remembered from one run to the next.
 *
 * A state file is text:
 *
 *		medsync-verify state v1
 *		first seen 1764000000
 *		block 17 <hash, hexadecimal>		or: block none
 *		log 1200 <root, hexadecimal> 1764000000		or: log none
 *		(an empty line)
 *		the signed checkpoint, to the end of the file
 *
 * "first seen" is the POSIX time at which a run first met a checkpoint of
 * this size and root.  The block is the last one of a stream of entries that
 * was whole; runs that see no blocks keep it.
 *
 * The checkpoint is the largest one that was met.  The line "log" is there
 * only where that was not the public export's: then it holds size, root and
 * "first seen" of the public export's, or says that none was met.
 *
 * The file is replaced, never written into: a new one is written beside it,
 * synced and renamed, with mode 0600.  It is replaced only after a run
 * without an error about the ledger, so that the last good checkpoint stays
 * until the ledger is good again.  A file that is not exactly as above, or
 * whose checkpoint no given key has signed, is no ground to compare with:
 * the program ends with status 2.
 *
 * One run at a time should use a state file.  Of two, the one that ends last
 * wins, unless the other has remembered a larger tree meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "medsync_verify.h"

#define STATE_MAGIC		"medsync-verify state v1\n"
#define STATE_FILE_MAX	(MEDSYNC_NOTE_MAX + 512)

MedsyncState medsync_state;

/* Where a state file is being read */
typedef struct StateReader
{
	const char *next;
	const char *end;
} StateReader;

/* Step over some text, if it comes next. */
static bool
take_text(StateReader *reader, const char *text)
{
	size_t		len = strlen(text);

	if ((size_t) (reader->end - reader->next) < len ||
		memcmp(reader->next, text, len) != 0)
		return false;
	reader->next += len;
	return true;
}

/* Read a decimal number below 2^63, without sign and leading zeros. */
static bool
take_number(StateReader *reader, int64 *value)
{
	const char *start = reader->next;

	*value = 0;
	while (reader->next < reader->end && *reader->next >= '0' &&
		   *reader->next <= '9')
	{
		int			digit = *reader->next - '0';

		if (*value > (PG_INT64_MAX - digit) / 10)
			return false;
		*value = *value * 10 + digit;
		reader->next++;
	}
	return reader->next > start && (*start != '0' || reader->next == start + 1);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
take_hash(StateReader *reader, uint8 *hash)
{
	int			i;

	if (reader->end - reader->next < 2 * MEDSYNC_HASH_SIZE)
		return false;
	for (i = 0; i < MEDSYNC_HASH_SIZE; i++)
	{
		int			high = hex_digit(reader->next[2 * i]);
		int			low = hex_digit(reader->next[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		hash[i] = (uint8) (high << 4 | low);
	}
	reader->next += 2 * MEDSYNC_HASH_SIZE;
	return true;
}

static bool
take_block(StateReader *reader, MedsyncState *state)
{
	int64		height;

	if (take_text(reader, "block none\n"))
		return true;
	if (!take_text(reader, "block ") || !take_number(reader, &height) ||
		!take_text(reader, " ") || !take_hash(reader, state->block_hash) ||
		!take_text(reader, "\n"))
		return false;
	state->block_height = (uint64) height;
	state->has_block = true;
	return true;
}

/* What is known of the public export, if it is not at the checkpoint. */
static bool
take_log(StateReader *reader, MedsyncState *state)
{
	int64		size;

	if (!take_text(reader, "log "))
		return true;
	state->log_apart = true;
	if (take_text(reader, "none\n"))
		return true;
	if (!take_number(reader, &size) || !take_text(reader, " ") ||
		!take_hash(reader, state->log.root) || !take_text(reader, " ") ||
		!take_number(reader, &state->log.first_seen) ||
		!take_text(reader, "\n"))
		return false;
	state->log.size = (uint64) size;
	state->log_seen = true;
	return true;
}

/* Understand a state file; state keeps pointers into the text. */
static bool
parse_state(const char *text, size_t len, MedsyncState *state,
			MedsyncNote *note)
{
	StateReader reader = {text, text + len};

	memset(state, 0, sizeof(*state));
	if (!take_text(&reader, STATE_MAGIC) ||
		!take_text(&reader, "first seen ") ||
		!take_number(&reader, &state->first_seen) ||
		!take_text(&reader, "\n") ||
		!take_block(&reader, state) ||
		!take_log(&reader, state) ||
		!take_text(&reader, "\n"))
		return false;
	state->note = reader.next;
	state->note_len = reader.end - reader.next;
	if (!medsync_note_parse(state->note, state->note_len, note) ||
		!medsync_checkpoint_parse(note->text, note->text_len,
								  &state->checkpoint) ||
		(state->log_seen && state->log.size >= state->checkpoint.size))
		return false;
	state->exists = true;
	return true;
}

/* Read the file into memory; NULL where there is none. */
static char *
read_state_file(const char *path, size_t *len)
{
	char	   *text;
	ssize_t		got;
	struct stat status;
	int			fd = open(path, O_RDONLY | O_NONBLOCK | PG_BINARY, 0);

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || fstat(fd, &status) != 0)
		medsync_cannot_check("could not open state file \"%s\": %s", path,
							 strerror(errno));
	if (!S_ISREG(status.st_mode) || status.st_size > STATE_FILE_MAX)
		medsync_cannot_check("\"%s\" is not a state file of medsync-verify",
							 path);
	text = palloc(STATE_FILE_MAX + 1);
	*len = 0;
	while ((got = read(fd, text + *len, STATE_FILE_MAX + 1 - *len)) > 0)
		*len += got;
	if (got < 0)
		medsync_cannot_check("could not read state file \"%s\": %s", path,
							 strerror(errno));
	close(fd);
	return text;
}

/* Read what was remembered, if something was. */
void
medsync_state_load(const MedsyncOptions *options)
{
	MedsyncNote note;
	size_t		len;
	char	   *text;

	if (options->state_path == NULL)
		return;
	text = read_state_file(options->state_path, &len);
	if (text == NULL)
		return;
	if (!parse_state(text, len, &medsync_state, &note))
		medsync_cannot_check("state file \"%s\" is damaged",
							 options->state_path);
	if (!medsync_signed_by_log(options, &note, &medsync_state.checkpoint))
		medsync_cannot_check("no given key has signed the checkpoint in state file \"%s\"; after a key rotation give the old key too",
							 options->state_path);
}

/* Has another run remembered a larger tree since we read the file? */
static bool
is_overtaken(const MedsyncOptions *options, const MedsyncState *state)
{
	MedsyncState stored;
	MedsyncNote note;
	size_t		len;
	char	   *text = read_state_file(options->state_path, &len);

	return text != NULL && parse_state(text, len, &stored, &note) &&
		stored.checkpoint.size > state->checkpoint.size &&
		(!medsync_state.exists ||
		 stored.checkpoint.size > medsync_state.checkpoint.size);
}

static void
format_state(StringInfo buf, const MedsyncState *state)
{
	appendStringInfo(buf, STATE_MAGIC "first seen " INT64_FORMAT "\n",
					 state->first_seen);
	if (state->has_block)
		appendStringInfo(buf, "block " UINT64_FORMAT " %s\n",
						 state->block_height,
						 medsync_hex(state->block_hash, MEDSYNC_HASH_SIZE));
	else
		appendStringInfoString(buf, "block none\n");
	if (state->log_apart && state->log_seen)
		appendStringInfo(buf, "log " UINT64_FORMAT " %s " INT64_FORMAT "\n",
						 state->log.size,
						 medsync_hex(state->log.root, MEDSYNC_HASH_SIZE),
						 state->log.first_seen);
	else if (state->log_apart)
		appendStringInfoString(buf, "log none\n");
	appendStringInfoChar(buf, '\n');
	appendBinaryStringInfo(buf, state->note, (int) state->note_len);
}

static bool
write_all(int fd, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		written = write(fd, data, len);

		if (written < 0)
			return false;
		data += written;
		len -= written;
	}
	return true;
}

/* Make a rename last. */
static bool
sync_directory_of(const char *path)
{
	char	   *directory = pg_strdup(path);
	char	   *slash = strrchr(directory, '/');
	bool		done;
	int			fd;

	if (slash == NULL)
		strcpy(directory, ".");
	else
		slash[slash == directory ? 1 : 0] = '\0';
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	done = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return done;
}

/* Remember a state in place of the one before. */
void
medsync_state_save(const MedsyncOptions *options, const MedsyncState *state)
{
	char	   *path = psprintf("%s.XXXXXX", options->state_path);
	StringInfoData buf;
	int			fd;

	if (is_overtaken(options, state))
		return;
	initStringInfo(&buf);
	format_state(&buf, state);
	fd = mkstemp(path);			/* mode 0600 */
	if (fd < 0)
		medsync_cannot_check("could not create file \"%s\": %s", path,
							 strerror(errno));
	if (!write_all(fd, buf.data, buf.len) || fsync(fd) != 0 ||
		close(fd) != 0 || rename(path, options->state_path) != 0)
	{
		int			save_errno = errno;

		unlink(path);
		medsync_cannot_check("could not write state file \"%s\": %s",
							 options->state_path, strerror(save_errno));
	}
	if (!sync_directory_of(options->state_path))
		medsync_cannot_check("could not sync the directory of state file \"%s\": %s",
							 options->state_path, strerror(errno));
}
