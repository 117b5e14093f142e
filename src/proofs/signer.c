/*-------------------------------------------------------------------------
 *
 * signer.c
 *		The log's signing key, and what was signed last.
 *
 * The Ed25519 key that signs checkpoints is in the file that
 * medsync.signer_key_file names, made and guarded like the master key's
 * (vault/key_file.c).  A rotation puts the new key beside it, as
 * <signer key>.next, until the first checkpoint is signed by both.
 *
 * <signer key>.last remembers, for each origin, the last checkpoint that was
 * signed, so that a database which was restored from an older backup, or
 * copied, does not contradict what it said before.  It is a text file:
 *
 *		medsync-signer-last-v1
 *		signed <origin> <era id> <system identifier> <timeline> <database> <size> <root>
 *		candidate <the same>
 *
 * with hexadecimal ids and base64 roots.  "candidate" is what a transaction
 * signed that had not committed yet.  If its block is in the log, it was
 * signed; if not, it was rolled back, and never left: a note is given out
 * only when the file says "signed", by the committing transaction itself or
 * by whoever is about to give the note out.  A size never goes down.
 *
 * All databases of the server, and clusters that share a key file, sign
 * under flock on <signer key>.lock, from before the file is read until the
 * outcome is written, which for seal() is after its commit.  So nobody ever
 * decides by a candidate that is still undecided.  The lock ends with its
 * process.  Whoever cannot get it within some seconds gives up: nothing here
 * may hang a commit.  The file is written anew, flushed, and renamed into
 * place.
 *
 * medsync_last_write() and medsync_signer_promote() raise no error, so that
 * they can be called after a commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/guc.h"

#include "proofs/checkpoint.h"
#include "proofs/signer.h"

#define LAST_HEADER		"medsync-signer-last-v1\n"
#define LAST_FILE_MAX	(16 * 1024 * 1024)
#define LINE_MAX_SIZE	512
#define LOCK_TRIES		300		/* of 10 ms each */
#define ROOT_TEXT_SIZE	44		/* base64 of 32 bytes */

static const MedsyncKeyFile signer_key_kind = {
	"signer key file",
	"medsync-signer-key-v1:",
	"Set medsync.signer_key_file to a place where the server may create a file, and reload the configuration."
};

/*---- GUC variables ----*/

/*
 * Where the signing key is.  An administrator points it at a place that
 * backups of the data directory do not reach: a restored cluster that finds
 * the newest <signer key>.last there knows what it must not contradict.
 */
static char *signer_key_file = "medsync_signer.key";

void
medsync_signer_init(void)
{
	DefineCustomStringVariable("medsync.signer_key_file",
							   "Sets the file that holds the key that signs checkpoints.",
							   "A relative path starts at the data directory.  "
							   "The file must belong to the server's user and have mode 0600.",
							   &signer_key_file,
							   "medsync_signer.key",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL,
							   NULL,
							   NULL);
}

/* Absolute path of the signer key file, palloc'd. */
const char *
medsync_signer_path(void)
{
	return medsync_key_file_path(signer_key_file);
}

static const char *
path_of(bool next)
{
	return next ? psprintf("%s.next", medsync_signer_path()) :
		medsync_signer_path();
}

/* Say what is wrong with a key file, as an error message; palloc'd. */
char *
medsync_signer_text(bool next, const MedsyncKeyFileProblem *problem)
{
	return medsync_key_file_text(&signer_key_kind, path_of(next), problem);
}

/* Read the key, or the one that a rotation has made.  Raises no error. */
bool
medsync_signer_read(bool next, MedsyncSigningKey *key,
					MedsyncKeyFileProblem *problem)
{
	if (!medsync_key_file_read(&signer_key_kind, path_of(next), key->seed,
							   problem))
		return false;
	medsync_ed25519_public_key(key->seed, key->public_key);
	return true;
}

/* Make the file unless it is there; false sets errno. */
bool
medsync_signer_try_create(void)
{
	return medsync_key_file_try_create(&signer_key_kind,
									   medsync_signer_path());
}

/* Could the file be made? */
bool
medsync_signer_directory_writable(void)
{
	char	   *directory = pstrdup(medsync_signer_path());

	get_parent_directory(directory);
	return access(directory, W_OK | X_OK) == 0;
}

/* Make the file, or the one of a rotation, unless it is there. */
void
medsync_signer_create(bool next)
{
	medsync_key_file_create(&signer_key_kind, path_of(next));
}

/* Make a path in a plain buffer: no memory context is needed. */
static bool
plain_path(char *path, const char *suffix)
{
	int			len;

	if (is_absolute_path(signer_key_file))
		len = snprintf(path, MAXPGPATH, "%s%s", signer_key_file, suffix);
	else
		len = snprintf(path, MAXPGPATH, "%s/%s%s", DataDir, signer_key_file,
					   suffix);
	return len > 0 && len < MAXPGPATH;
}

/* Make a rename durable. */
static void
flush_directory(const char *path)
{
	char		directory[MAXPGPATH];
	int			fd;

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	fd = BasicOpenFile(directory[0] ? directory : ".", O_RDONLY);
	if (fd >= 0)
	{
		(void) pg_fsync(fd);
		close(fd);
	}
}

/*
 * Read a whole file, if there is one, into malloc'd memory with a final
 * zero; *contents is NULL where there is none.  The result is an errno.
 */
static int
read_plain_file(const char *path, char **contents)
{
	struct stat st;
	size_t		done = 0;
	char	   *buf;
	int			save_errno = 0;
	int			fd;

	*contents = NULL;
	fd = BasicOpenFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
		return errno == ENOENT ? 0 : errno;
	if (fstat(fd, &st) != 0)
		save_errno = errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > LAST_FILE_MAX)
		save_errno = EFBIG;
	if (save_errno != 0 || (buf = malloc(st.st_size + 1)) == NULL)
	{
		close(fd);
		return save_errno ? save_errno : ENOMEM;
	}
	while (done < (size_t) st.st_size)
	{
		ssize_t		n = read(fd, buf + done, st.st_size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			save_errno = n < 0 ? errno : EIO;
			break;
		}
		done += n;
	}
	close(fd);
	buf[done] = '\0';
	if (save_errno != 0)
		free(buf);
	else
		*contents = buf;
	return save_errno;
}

/* Write a whole file, flush it, and rename it into place; an errno. */
static int
write_plain_file(const char *path, const char *temporary,
				 const char *contents, size_t len)
{
	size_t		done = 0;
	int			save_errno = 0;
	int			fd;

	fd = BasicOpenFilePerm(temporary,
						   O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY,
						   S_IRUSR | S_IWUSR);
	if (fd < 0)
		return errno;
	while (done < len && save_errno == 0)
	{
		ssize_t		n = write(fd, contents + done, len - done);

		if (n > 0)
			done += n;
		else if (n == 0 || errno != EINTR)
			save_errno = n == 0 ? ENOSPC : errno;
	}
	if (save_errno == 0 && pg_fsync(fd) != 0)
		save_errno = errno;
	if (close(fd) != 0 && save_errno == 0)
		save_errno = errno;
	if (save_errno == 0 && rename(temporary, path) != 0)
		save_errno = errno;
	if (save_errno == 0)
		flush_directory(path);
	return save_errno;
}

/* Take the lock under which everybody signs; -1 with errno set. */
int
medsync_last_lock(void)
{
	char		path[MAXPGPATH];
	int			fd;
	int			i;

	if (!plain_path(path, ".lock"))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = BasicOpenFilePerm(path, O_CREAT | O_RDWR | PG_BINARY,
						   S_IRUSR | S_IWUSR);
	if (fd < 0)
		return -1;
	for (i = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
	{
		int			save_errno = errno;

		if ((save_errno == EWOULDBLOCK || save_errno == EINTR) &&
			i < LOCK_TRIES)
		{
			pg_usleep(10 * 1000L);
			continue;
		}
		close(fd);
		errno = save_errno;
		return -1;
	}
	return fd;
}

/* Does a key file hold this key? */
static bool
holds_key(bool next, const uint8 *public_key)
{
	MedsyncSigningKey key;
	MedsyncKeyFileProblem fault;
	bool		same;

	if (!medsync_signer_read(next, &key, &fault))
		return false;
	same = memcmp(key.public_key, public_key, MEDSYNC_ED25519_KEY_SIZE) == 0;
	medsync_cleanse(&key, sizeof(key));
	return same;
}

/*
 * The key of a rotation takes the place of the old one, which is gone; if
 * the files still hold the two that signed.  The caller holds the lock.
 */
bool
medsync_signer_promote(const uint8 *old_key, const uint8 *new_key)
{
	char		path[MAXPGPATH];
	char		next[MAXPGPATH];

	if (!holds_key(false, old_key) || !holds_key(true, new_key) ||
		!plain_path(path, "") || !plain_path(next, ".next") ||
		rename(next, path) != 0)
		return false;
	flush_directory(path);
	return true;
}

void
medsync_last_unlock(int lock)
{
	close(lock);
}

/* One line of the file, with its newline; 0 if it would not fit. */
static int
write_line(char *line, const MedsyncLastSignature *signature, bool candidate)
{
	static const char digits[] = "0123456789abcdef";
	char		era[2 * MEDSYNC_ID_SIZE + 1];
	char		root[ROOT_TEXT_SIZE + 1];
	int			len;
	int			i;

	for (i = 0; i < MEDSYNC_ID_SIZE; i++)
	{
		era[2 * i] = digits[signature->era.id[i] >> 4];
		era[2 * i + 1] = digits[signature->era.id[i] & 15];
	}
	era[2 * MEDSYNC_ID_SIZE] = '\0';
	if (!medsync_wire_encode_base64(signature->root, MEDSYNC_HASH_SIZE, root,
									sizeof(root)))
		return 0;
	len = snprintf(line, LINE_MAX_SIZE,
				   "%s %s %s " UINT64_FORMAT " %u %u " UINT64_FORMAT " %s\n",
				   candidate ? "candidate" : "signed", signature->origin, era,
				   signature->era.system_identifier, signature->era.timeline,
				   signature->era.database, signature->size, root);
	return len > 0 && len < LINE_MAX_SIZE ? len : 0;
}

/* Read one line without its newline. */
static bool
parse_line(const char *line, size_t len, bool *candidate,
		   MedsyncLastSignature *signature)
{
	char		copy[LINE_MAX_SIZE];
	char		again[LINE_MAX_SIZE];
	char		word[10];
	char		era[2 * MEDSYNC_ID_SIZE + 1];
	char		root[ROOT_TEXT_SIZE + 1];
	unsigned long long system_identifier;
	unsigned long long size;
	unsigned int timeline;
	unsigned int database;
	int			i;

	if (len + 2 > sizeof(copy))
		return false;
	memcpy(copy, line, len);
	copy[len] = '\0';
	if (sscanf(copy, "%9s %128s %32s %20llu %10u %10u %20llu %44s",
			   word, signature->origin, era, &system_identifier, &timeline,
			   &database, &size, root) != 8)
		return false;
	for (i = 0; i < MEDSYNC_ID_SIZE; i++)
	{
		unsigned int byte;

		if (sscanf(era + 2 * i, "%2x", &byte) != 1)
			return false;
		signature->era.id[i] = (uint8) byte;
	}
	if (medsync_wire_get_base64(root, strlen(root), signature->root,
								MEDSYNC_HASH_SIZE) != MEDSYNC_HASH_SIZE)
		return false;
	signature->era.number = 0;
	signature->era.known = true;
	signature->era.system_identifier = system_identifier;
	signature->era.timeline = timeline;
	signature->era.database = database;
	signature->size = size;
	*candidate = strcmp(word, "candidate") == 0;

	/* whatever is not as we write it is damage */
	return write_line(again, signature, *candidate) == (int) len + 1 &&
		memcmp(again, line, len) == 0;
}

/* Is this line about the origin? */
static bool
line_is_of(const char *line, size_t len, const char *origin)
{
	size_t		origin_len = strlen(origin);
	const char *space = memchr(line, ' ', len);
	size_t		left;

	if (space == NULL)
		return false;
	space++;
	left = len - (space - line);
	return left > origin_len && memcmp(space, origin, origin_len) == 0 &&
		space[origin_len] == ' ';
}

/*
 * What the file says of an origin.  False, with a sentence, if it cannot be
 * read or makes no sense; a file that is not there says nothing.
 */
bool
medsync_last_read(const char *origin, MedsyncLastState *state, char **problem)
{
	char		path[MAXPGPATH];
	char	   *contents;
	const char *line;
	int			error = 0;
	bool		sound = true;

	memset(state, 0, sizeof(MedsyncLastState));
	if (!plain_path(path, ".last"))
		error = ENAMETOOLONG;
	else
		error = read_plain_file(path, &contents);
	if (error != 0)
	{
		*problem = psprintf("Could not read file \"%s\": %s.", path,
							strerror(error));
		return false;
	}
	if (contents == NULL)
		return true;
	sound = strncmp(contents, LAST_HEADER, strlen(LAST_HEADER)) == 0;
	line = contents + (sound ? strlen(LAST_HEADER) : 0);
	while (sound && *line != '\0')
	{
		const char *end = strchr(line, '\n');
		MedsyncLastSignature signature;
		bool		candidate;

		sound = end != NULL &&
			parse_line(line, end - line, &candidate, &signature);
		if (!sound)
			break;
		if (strcmp(signature.origin, origin) == 0)
		{
			if (candidate)
			{
				state->has_candidate = true;
				state->candidate = signature;
			}
			else
			{
				state->has_signed = true;
				state->last = signature;
			}
		}
		line = end + 1;
	}
	free(contents);
	if (!sound)
		*problem = psprintf("File \"%s\" has a wrong format.", path);
	return sound;
}

/*
 * Remember a signature: as a candidate beside what was signed, or as signed,
 * which takes a candidate of no larger size away.  The caller holds the lock.
 * Raises no error; the result is an errno.
 */
int
medsync_last_write(const MedsyncLastSignature *signature, bool candidate)
{
	char		path[MAXPGPATH];
	char		temporary[MAXPGPATH];
	char		new_line[LINE_MAX_SIZE];
	int			new_len = write_line(new_line, signature, candidate);
	char	   *contents = NULL;
	char	   *result;
	const char *line;
	size_t		old_len;
	size_t		len;
	int			error;

	if (new_len == 0 || !plain_path(path, ".last") ||
		!plain_path(temporary, ".last.tmp"))
		return ENAMETOOLONG;
	error = read_plain_file(path, &contents);
	old_len = contents ? strlen(contents) : 0;
	if (error != 0 ||
		(result = malloc(old_len + sizeof(LAST_HEADER) + new_len)) == NULL)
	{
		free(contents);
		return error ? error : ENOMEM;
	}
	memcpy(result, LAST_HEADER, len = strlen(LAST_HEADER));
	line = contents;
	if (line && strncmp(line, LAST_HEADER, len) == 0)
		line += len;
	else if (line)
		error = EINVAL;			/* damaged: do not make it look sound */
	while (line && error == 0 && *line != '\0')
	{
		const char *end = strchr(line, '\n');
		size_t		line_len = end ? (size_t) (end - line) : strlen(line);
		bool		keep = true;

		if (line_is_of(line, line_len, signature->origin))
		{
			MedsyncLastSignature old;
			bool		old_candidate;

			if (!parse_line(line, line_len, &old_candidate, &old))
				error = EINVAL;
			else if (old_candidate)
				keep = !candidate && old.size > signature->size;
			else if (!candidate)
			{
				/* what was signed stays signed: a size never goes down */
				keep = old.size > signature->size;
				if (keep)
					new_len = 0;
			}
		}
		if (keep)
		{
			memcpy(result + len, line, line_len);
			len += line_len;
			result[len++] = '\n';
		}
		line = end ? end + 1 : NULL;
	}
	memcpy(result + len, new_line, new_len);
	len += new_len;
	if (error == 0)
		error = write_plain_file(path, temporary, result, len);
	free(contents);
	free(result);
	return error;
}
