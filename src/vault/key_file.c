/*-------------------------------------------------------------------------
 *
 * key_file.c
 *		Files of one secret: the master key's and the log signer's.
 *
 * Such a file is one line, a prefix that names its kind and version and 64
 * lower-case hexadecimal digits.  It must belong to the server's user or to
 * root and be closed to everybody else.
 *
 * Two backends, in different databases, may make one at the same moment.
 * Each writes a temporary file in the same directory and flushes it, then
 * links it to the final name; the link fails if the name is taken, so the
 * first one wins, the file is never seen half-written, and the loser reads
 * the winner's.  A crash in between can leave a temporary file, which holds
 * a key that was never used or the one of the real file; it may be removed.
 * Making a file is not transactional: after a rollback it stays, and the
 * next attempt uses it.
 *
 * A secret stays in memory only while its caller uses it.  No message
 * contains key bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "common/errors.h"
#include "vault/key_file.h"

#define CONTENTS_MAX	MEDSYNC_KEY_FILE_MAX

/* Absolute path of the file that a setting names, palloc'd. */
const char *
medsync_key_file_path(const char *setting)
{
	char	   *path;

	if (is_absolute_path(setting))
		path = pstrdup(setting);
	else
		path = psprintf("%s/%s", DataDir, setting);
	canonicalize_path(path);
	return path;
}

/* Is a key file where a base backup would take it along? */
bool
medsync_key_file_in_data_directory(const char *path)
{
	char		real_path[PATH_MAX];
	char		real_data[PATH_MAX];

	if (realpath(path, real_path) == NULL)
		strlcpy(real_path, path, sizeof(real_path));
	if (realpath(DataDir, real_data) == NULL)
		strlcpy(real_data, DataDir, sizeof(real_data));
	return path_is_prefix_of_path(real_data, real_path);
}

/* How long a file of this kind is. */
static size_t
file_size(const MedsyncKeyFile *kind)
{
	return strlen(kind->prefix) + 2 * MEDSYNC_KEY_SIZE + 1;
}

/* Value of a lower-case hexadecimal digit, or -1. */
static int
digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Parse the contents of a file, which must be exactly as documented. */
bool
medsync_key_file_parse(const MedsyncKeyFile *kind, const char *contents,
					   size_t len, uint8 *secret)
{
	size_t		prefix_len = strlen(kind->prefix);
	const char *digits = contents + prefix_len;
	int			i;

	if (len != file_size(kind) ||
		memcmp(contents, kind->prefix, prefix_len) != 0 ||
		contents[len - 1] != '\n')
		return false;
	for (i = 0; i < MEDSYNC_KEY_SIZE; i++)
	{
		int			high = digit_value(digits[2 * i]);
		int			low = digit_value(digits[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		secret[i] = (uint8) (high << 4 | low);
	}
	return true;
}

/* Check the open file's type, owner and mode. */
static MedsyncKeyFileFault
check_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return MEDSYNC_KEY_FILE_NOT_A_FILE;
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return MEDSYNC_KEY_FILE_WRONG_OWNER;
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return MEDSYNC_KEY_FILE_TOO_OPEN;
	return MEDSYNC_KEY_FILE_FINE;
}

/* Read at most "size" bytes, over short reads.  Returns -1 with errno set. */
static ssize_t
read_fully(int fd, char *buf, size_t size)
{
	size_t		done = 0;

	while (done < size)
	{
		ssize_t		n = read(fd, buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

/*
 * Read a secret.  Raises no error for what it finds: it returns false and
 * says in *problem what is wrong.  The caller wipes *secret after use.
 *
 * A symbolic link is followed, since administrators mount keys that way;
 * what counts is the file it leads to, and that is checked through the open
 * descriptor.  Opening does not block, even on a named pipe.
 */
bool
medsync_key_file_read(const MedsyncKeyFile *kind, const char *path,
					  uint8 *secret, MedsyncKeyFileProblem *problem)
{
	char		contents[CONTENTS_MAX + 1]; /* one more, to notice a longer one */
	struct stat st;
	ssize_t		len;
	int			fd;

	problem->fault = MEDSYNC_KEY_FILE_FINE;
	problem->error_number = 0;

	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		problem->error_number = errno;
		problem->fault = (errno == ENOENT || errno == ENOTDIR) ?
			MEDSYNC_KEY_FILE_MISSING : MEDSYNC_KEY_FILE_UNREADABLE;
		return false;
	}
	if (fstat(fd, &st) != 0)
	{
		problem->error_number = errno;
		problem->fault = MEDSYNC_KEY_FILE_UNREADABLE;
	}
	else
		problem->fault = check_file(&st);
	if (problem->fault == MEDSYNC_KEY_FILE_FINE)
	{
		len = read_fully(fd, contents, file_size(kind) + 1);
		if (len < 0)
		{
			problem->error_number = errno;
			problem->fault = MEDSYNC_KEY_FILE_UNREADABLE;
		}
		else if (!medsync_key_file_parse(kind, contents, len, secret))
			problem->fault = MEDSYNC_KEY_FILE_MALFORMED;
		medsync_cleanse(contents, sizeof(contents));
	}
	CloseTransientFile(fd);
	return problem->fault == MEDSYNC_KEY_FILE_FINE;
}

/* Say what is wrong with a file, as an error message; palloc'd. */
char *
medsync_key_file_text(const MedsyncKeyFile *kind, const char *path,
					  const MedsyncKeyFileProblem *problem)
{
	const char *noun = kind->noun;

	switch (problem->fault)
	{
		case MEDSYNC_KEY_FILE_FINE:
			break;
		case MEDSYNC_KEY_FILE_MISSING:
			return psprintf("%s \"%s\" is missing", noun, path);
		case MEDSYNC_KEY_FILE_UNREADABLE:
			return psprintf("could not read %s \"%s\": %s", noun, path,
							strerror(problem->error_number));
		case MEDSYNC_KEY_FILE_NOT_A_FILE:
			return psprintf("%s \"%s\" is not a regular file", noun, path);
		case MEDSYNC_KEY_FILE_WRONG_OWNER:
			return psprintf("%s \"%s\" must be owned by the server's user or root",
							noun, path);
		case MEDSYNC_KEY_FILE_TOO_OPEN:
			return psprintf("%s \"%s\" has group or world access", noun, path);
		case MEDSYNC_KEY_FILE_MALFORMED:
			return psprintf("%s \"%s\" has a wrong format", noun, path);
		case MEDSYNC_KEY_FILE_ANOTHER:
			return psprintf("%s \"%s\" holds another key than the one in use",
							noun, path);
	}
	return psprintf("%s \"%s\" is usable", noun, path);
}

/* Write all of the buffer to a new file and flush it.  False sets errno. */
static bool
write_file(const char *path, const char *contents, size_t len)
{
	int			fd;
	ssize_t		written;
	bool		done = false;
	int			save_errno;

	fd = OpenTransientFilePerm(path, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		return false;
	errno = 0;
	written = write(fd, contents, len);
	if (written == (ssize_t) len)
		done = pg_fsync(fd) == 0;
	else if (errno == 0)
		errno = ENOSPC;			/* a short write means that the disk is full */
	save_errno = errno;
	if (CloseTransientFile(fd) != 0 && done)
	{
		save_errno = errno;
		done = false;
	}
	errno = save_errno;
	return done;
}

/*
 * Write a secret to a new file with mode 0600, and flush it; what went wrong
 * leaves no file.  False sets errno.
 */
bool
medsync_key_file_write(const MedsyncKeyFile *kind, const char *path,
					   const uint8 *secret)
{
	size_t		prefix_len = strlen(kind->prefix);
	size_t		size = file_size(kind);
	char		contents[CONTENTS_MAX];
	bool		done;
	int			save_errno;

	memcpy(contents, kind->prefix, prefix_len);
	hex_encode((const char *) secret, MEDSYNC_KEY_SIZE, contents + prefix_len);
	contents[size - 1] = '\n';
	done = write_file(path, contents, size);
	save_errno = errno;
	medsync_cleanse(contents, sizeof(contents));
	if (!done && save_errno != EEXIST)
		(void) unlink(path);
	errno = save_errno;
	return done;
}

/* The same with a new secret. */
bool
medsync_key_file_write_new(const MedsyncKeyFile *kind, const char *path)
{
	uint8		secret[MEDSYNC_KEY_SIZE];
	bool		done;

	medsync_random(secret, sizeof(secret));
	done = medsync_key_file_write(kind, path, secret);
	medsync_cleanse(secret, sizeof(secret));
	return done;
}

/* Make what was done to a file's name durable.  False sets errno. */
bool
medsync_key_file_flush_directory(const char *path)
{
	char	   *directory = pstrdup(path);

	get_parent_directory(directory);
	return fsync_fname_ext(directory, true, true, LOG) == 0;
}

/*
 * Make a file of this kind with a new secret, unless there is one.  On
 * success the file is durable, whoever made it, but was not checked; else
 * errno says why it could not be made.
 */
bool
medsync_key_file_try_create(const MedsyncKeyFile *kind, const char *path)
{
	uint8		suffix[8];
	char		suffix_text[2 * sizeof(suffix) + 1];
	char	   *temporary;
	struct stat st;
	bool		done;
	int			save_errno;

	if (lstat(path, &st) != 0 && errno == ENOENT)
	{
		medsync_random(suffix, sizeof(suffix));
		hex_encode((char *) suffix, sizeof(suffix), suffix_text);
		suffix_text[2 * sizeof(suffix)] = '\0';
		temporary = psprintf("%s.%s.tmp", path, suffix_text);

		if (!medsync_key_file_write_new(kind, temporary))
			return false;
		done = link(temporary, path) == 0 || errno == EEXIST;
		save_errno = errno;
		(void) unlink(temporary);
		errno = save_errno;
		if (!done)
			return false;
	}

	/*
	 * The link must be durable before anything that needs the key can
	 * commit, also when another backend made it a moment ago.
	 */
	return medsync_key_file_flush_directory(path);
}

/* The same; what goes wrong is an error. */
void
medsync_key_file_create(const MedsyncKeyFile *kind, const char *path)
{
	if (!medsync_key_file_try_create(kind, path))
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("could not create %s \"%s\": %m", kind->noun, path),
				 errhint("%s", kind->hint)));
}
