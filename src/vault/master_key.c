/*-------------------------------------------------------------------------
 *
 * master_key.c
 *		The file that holds the master key.
 *
 * The master key wraps the key-encryption keys and nothing else.  It is in
 * no table: it lives in the file that medsync.master_key_file names, so
 * that a dump or a copied tablespace opens nothing.  The file is one line,
 *
 *		medsync-master-key-v1:<64 lower-case hexadecimal digits>
 *
 * and must belong to the server's user or to root and be closed to everybody
 * else.  It is made once, when the first key-encryption key of a database
 * is made and no file is there; databases of one cluster share it.  While
 * key-encryption keys exist it is never made anew: a lost file must be
 * brought back from its backup, and until then every use of a key fails.
 *
 * Two backends, in different databases, may make it at the same moment.
 * Each writes a temporary file in the same directory and flushes it, then
 * links it to the final name; the link fails if the name is taken, so the
 * first one wins, the file is never seen half-written, and the loser reads
 * the winner's.  A crash in between can leave a temporary file, which holds
 * a key that was never used or the one of the real file; it may be removed.
 * Making the file is not transactional: after a rollback it stays, and the
 * next attempt uses it.
 *
 * The key stays in memory only while a key-encryption key is being wrapped
 * or opened.  The file is read each time; the opened key-encryption keys
 * are what is cached (see subject_key.c).  No message contains key bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "common/errors.h"
#include "vault/vault.h"
#include "vault/vault_internal.h"

#define FILE_PREFIX			"medsync-master-key-v1:"
#define FILE_PREFIX_SIZE	(sizeof(FILE_PREFIX) - 1)
#define FILE_SIZE			(FILE_PREFIX_SIZE + 2 * MEDSYNC_KEY_SIZE + 1)

#define INFO_ID				"medsync master key id v1"
#define INFO_WRAP			"medsync master key wrap v1"

/*---- GUC variables ----*/

/*
 * Where the master key is.  An administrator points it at a place that
 * backups of the data directory do not reach, and backs it up elsewhere.
 */
static char *master_key_file = "medsync_master.key";

/* Define the GUC variable. */
void
medsync_master_key_init(void)
{
	DefineCustomStringVariable("medsync.master_key_file",
							   "Sets the file that holds the master key.",
							   "A relative path starts at the data directory.  "
							   "The file must belong to the server's user and have mode 0600.",
							   &master_key_file,
							   "medsync_master.key",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL,
							   NULL,
							   NULL);
}

/* Absolute path of the master key file, palloc'd. */
const char *
medsync_vault_master_key_path(void)
{
	char	   *path;

	if (is_absolute_path(master_key_file))
		path = pstrdup(master_key_file);
	else
		path = psprintf("%s/%s", DataDir, master_key_file);
	canonicalize_path(path);
	return path;
}

/* Derive what the vault uses from the 32 bytes of the file. */
static void
derive_keys(const uint8 *secret, MedsyncMasterKey *key)
{
	MedsyncHmacKey prk;
	uint8		id[MEDSYNC_KEY_SIZE];

	medsync_hmac_key(&prk, secret, MEDSYNC_KEY_SIZE);
	medsync_hkdf_expand(&prk, INFO_ID, strlen(INFO_ID), id);
	memcpy(key->id, id, sizeof(key->id));
	medsync_hkdf_expand(&prk, INFO_WRAP, strlen(INFO_WRAP), key->wrap);
	medsync_cleanse(&prk, sizeof(prk));
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

/* Parse the contents of the file, which must be exactly as documented. */
static bool
parse_file(const char *contents, size_t len, uint8 *secret)
{
	const char *digits = contents + FILE_PREFIX_SIZE;
	int			i;

	if (len != FILE_SIZE ||
		memcmp(contents, FILE_PREFIX, FILE_PREFIX_SIZE) != 0 ||
		contents[FILE_SIZE - 1] != '\n')
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
static MedsyncMasterKeyFault
check_file(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return MEDSYNC_MASTER_KEY_NOT_A_FILE;
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return MEDSYNC_MASTER_KEY_WRONG_OWNER;
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return MEDSYNC_MASTER_KEY_TOO_OPEN;
	return MEDSYNC_MASTER_KEY_FINE;
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
 * Read the master key.  Raises no error for what it finds: it returns false
 * and says in *problem what is wrong.  The caller wipes *key after use.
 *
 * A symbolic link is followed, since administrators mount keys that way;
 * what counts is the file it leads to, and that is checked through the open
 * descriptor.  Opening does not block, even on a named pipe.
 */
bool
medsync_master_key_read(MedsyncMasterKey *key,
						MedsyncMasterKeyProblem *problem)
{
	const char *path = medsync_vault_master_key_path();
	char		contents[FILE_SIZE + 1];	/* one more, to notice a longer one */
	uint8		secret[MEDSYNC_KEY_SIZE];
	struct stat st;
	ssize_t		len;
	int			fd;

	problem->fault = MEDSYNC_MASTER_KEY_FINE;
	problem->error_number = 0;

	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		problem->error_number = errno;
		problem->fault = (errno == ENOENT || errno == ENOTDIR) ?
			MEDSYNC_MASTER_KEY_MISSING : MEDSYNC_MASTER_KEY_UNREADABLE;
		return false;
	}
	if (fstat(fd, &st) != 0)
	{
		problem->error_number = errno;
		problem->fault = MEDSYNC_MASTER_KEY_UNREADABLE;
	}
	else
		problem->fault = check_file(&st);
	if (problem->fault == MEDSYNC_MASTER_KEY_FINE)
	{
		len = read_fully(fd, contents, sizeof(contents));
		if (len < 0)
		{
			problem->error_number = errno;
			problem->fault = MEDSYNC_MASTER_KEY_UNREADABLE;
		}
		else if (!parse_file(contents, len, secret))
			problem->fault = MEDSYNC_MASTER_KEY_MALFORMED;
		else
			derive_keys(secret, key);
		medsync_cleanse(contents, sizeof(contents));
		medsync_cleanse(secret, sizeof(secret));
	}
	CloseTransientFile(fd);
	return problem->fault == MEDSYNC_MASTER_KEY_FINE;
}

/* Say what is wrong with the file, as an error message; palloc'd. */
char *
medsync_master_key_text(const MedsyncMasterKeyProblem *problem)
{
	const char *path = medsync_vault_master_key_path();

	switch (problem->fault)
	{
		case MEDSYNC_MASTER_KEY_FINE:
			break;
		case MEDSYNC_MASTER_KEY_MISSING:
			return psprintf("master key file \"%s\" is missing", path);
		case MEDSYNC_MASTER_KEY_UNREADABLE:
			return psprintf("could not read master key file \"%s\": %s",
							path, strerror(problem->error_number));
		case MEDSYNC_MASTER_KEY_NOT_A_FILE:
			return psprintf("master key file \"%s\" is not a regular file",
							path);
		case MEDSYNC_MASTER_KEY_WRONG_OWNER:
			return psprintf("master key file \"%s\" must be owned by the server's user or root",
							path);
		case MEDSYNC_MASTER_KEY_TOO_OPEN:
			return psprintf("master key file \"%s\" has group or world access",
							path);
		case MEDSYNC_MASTER_KEY_MALFORMED:
			return psprintf("master key file \"%s\" has a wrong format", path);
		case MEDSYNC_MASTER_KEY_ANOTHER:
			return psprintf("master key file \"%s\" holds another key than the one in use",
							path);
	}
	return psprintf("master key file \"%s\" is usable", path);
}

/*
 * Raise the error for a master key that a writer needs and cannot have, to
 * open the key-encryption key of that number (0: none in particular).
 */
void
medsync_master_key_fail(const MedsyncMasterKeyProblem *problem, int kek_number)
{
	bool		too_open = problem->fault == MEDSYNC_MASTER_KEY_TOO_OPEN;
	bool		another = problem->fault == MEDSYNC_MASTER_KEY_ANOTHER;

	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("%s", medsync_master_key_text(problem)),
			 another && kek_number > 0 ?
			 errdetail("It is not the master key that wrapped key-encryption key %d.",
					   kek_number) : 0,
			 too_open ?
			 errhint("Run chmod 0600 on the file.") :
			 errhint("Bring the file back from its backup, or set medsync.master_key_file to its place and reload the configuration.")));
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
 * Make the master key file, unless there is one.  The caller has seen that
 * no key-encryption key depends on an older master key.  On return the file
 * is durable, whoever made it, but was not checked.
 */
void
medsync_master_key_create(void)
{
	const char *path = medsync_vault_master_key_path();
	char	   *directory = pstrdup(path);
	uint8		secret[MEDSYNC_KEY_SIZE];
	uint8		suffix[8];
	char		contents[FILE_SIZE];
	char		suffix_text[2 * sizeof(suffix) + 1];
	char	   *temporary;
	struct stat st;
	bool		done;
	int			save_errno;

	get_parent_directory(directory);
	if (lstat(path, &st) != 0 && errno == ENOENT)
	{
		medsync_random(suffix, sizeof(suffix));
		hex_encode((char *) suffix, sizeof(suffix), suffix_text);
		suffix_text[2 * sizeof(suffix)] = '\0';
		temporary = psprintf("%s.%s.tmp", path, suffix_text);

		medsync_random(secret, sizeof(secret));
		memcpy(contents, FILE_PREFIX, FILE_PREFIX_SIZE);
		hex_encode((char *) secret, sizeof(secret),
				   contents + FILE_PREFIX_SIZE);
		contents[FILE_SIZE - 1] = '\n';

		done = write_file(temporary, contents, FILE_SIZE);
		medsync_cleanse(secret, sizeof(secret));
		medsync_cleanse(contents, sizeof(contents));
		if (done)
			done = link(temporary, path) == 0 || errno == EEXIST;
		save_errno = errno;
		(void) unlink(temporary);
		if (!done)
		{
			errno = save_errno;
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
					 errmsg("could not create master key file \"%s\": %m", path),
					 errhint("Set medsync.master_key_file to a place where the server may create a file, and reload the configuration.")));
		}
	}

	/*
	 * The link must be durable before anything wrapped by the key can
	 * commit, also when another backend made it a moment ago.
	 */
	(void) fsync_fname_ext(directory, true, true, ERROR);
}
