/*-------------------------------------------------------------------------
 *
 * master_key.c
 *		The master key: from a file, or from a command.
 *
 * The master key wraps the key-encryption keys and nothing else.  It is in
 * no table, so that a dump or a copied tablespace opens nothing.  It has an
 * id, and each row of _key_encryption_key names the one that wraps it.
 *
 * By default it lives in the file that medsync.master_key_file names;
 * key_file.c reads and makes such files.  The file is made once, when the
 * first key-encryption key of a database is made and no file is there;
 * databases of one cluster share it.  While key-encryption keys exist it is
 * never made anew: a lost file must be brought back from its backup, and
 * until then every use of a key fails.  A rotation (rotate.c) puts another
 * key in its place; then an older one is in <file>.<id>, beside the file
 * itself and not beside a symbolic link to it.
 *
 * With medsync.master_key_command no file is read, made or rotated: the
 * command prints the line that the file would hold (key_command.c).
 *
 * The key stays in memory only while a key-encryption key is being wrapped
 * or opened.  It is read each time; the opened key-encryption keys are what
 * is cached (see subject_key.c).  No message contains key bytes, what a
 * command printed, or the command.
 *
 * Replacing the file is not transactional.  At each moment of it, and after
 * a crash at any of them, both keys can be found: the old one is linked to
 * its second name, and that made durable, before the new one takes its place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "common/errors.h"
#include "vault/vault.h"
#include "vault/vault_internal.h"

#define INFO_ID				"medsync master key id v1"
#define INFO_WRAP			"medsync master key wrap v1"

#define ID_TEXT_SIZE		(2 * MEDSYNC_MASTER_KEY_ID_SIZE + 1)
#define LOCK_WAIT_MS		10

#define RESTORE_HINT \
	"Bring the file back from its backup, or set medsync.master_key_file to its place and reload the configuration."
#define COMMAND_HINT \
	"Run the command of medsync.master_key_command by hand as the server's user; its standard error is in the server's log."

static const MedsyncKeyFile master_key_kind = {
	"master key file",
	"medsync-master-key-v1:",
	"Set medsync.master_key_file to a place where the server may create a file, and reload the configuration."
};

/*---- GUC variables ----*/

/*
 * Where the master key is.  An administrator points it at a place that
 * backups of the data directory do not reach, and backs it up elsewhere.
 */
static char *master_key_file = "medsync_master.key";

/*
 * What prints the master key; empty: the file has it.  For those who keep it
 * in a key store or a hardware module, so that it is on no disk here.
 */
static char *master_key_command = "";

/* Define the GUC variables. */
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
	DefineCustomStringVariable("medsync.master_key_command",
							   "Sets the command that prints the master key, in place of the file.",
							   "The first line of its output is what the file would hold; "
							   "%i is replaced by the id of the key that is wanted, or by \"current\".",
							   &master_key_command,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY,
							   NULL,
							   NULL,
							   NULL);
}

/* Does a command have the key, and not the file? */
bool
medsync_master_key_by_command(void)
{
	return master_key_command[0] != '\0';
}

/* Absolute path of the master key file, palloc'd; NULL where a command has the key. */
const char *
medsync_vault_master_key_path(void)
{
	if (medsync_master_key_by_command())
		return NULL;
	return medsync_key_file_path(master_key_file);
}

/* The path of the file itself, where the setting names a symbolic link. */
char *
medsync_master_key_real_path(void)
{
	const char *path = medsync_key_file_path(master_key_file);
	char		real_path[PATH_MAX];

	return pstrdup(realpath(path, real_path) != NULL ? real_path : path);
}

/* The id of a master key as names of files have it. */
static void
id_text(const uint8 *id, char *text)
{
	hex_encode((const char *) id, MEDSYNC_MASTER_KEY_ID_SIZE, text);
	text[ID_TEXT_SIZE - 1] = '\0';
}

/* Where the file of an older master key is. */
char *
medsync_master_key_old_path(const uint8 *id)
{
	char		text[ID_TEXT_SIZE];

	id_text(id, text);
	return psprintf("%s.%s", medsync_master_key_real_path(), text);
}

/* What to call an older master key: by its file, or by its id. */
char *
medsync_master_key_name(const uint8 *id)
{
	char		text[ID_TEXT_SIZE];

	if (!medsync_master_key_by_command())
		return medsync_master_key_old_path(id);
	id_text(id, text);
	return pstrdup(text);
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

/* Has the key this id?  A key that has not is wiped. */
static bool
key_is(MedsyncMasterKey *key, const uint8 *id)
{
	if (memcmp(key->id, id, sizeof(key->id)) == 0)
		return true;
	medsync_cleanse(key, sizeof(MedsyncMasterKey));
	return false;
}

/*---- The file ----*/

static bool
read_file(const char *path, MedsyncMasterKey *key,
		  MedsyncKeyFileProblem *problem)
{
	uint8		secret[MEDSYNC_KEY_SIZE];

	if (!medsync_key_file_read(&master_key_kind, path, secret, problem))
		return false;
	derive_keys(secret, key);
	medsync_cleanse(secret, sizeof(secret));
	return true;
}

/*
 * Read a key by its id: the current one, if it is that, or an older one.  A
 * rotation does not get in between: it links the old file to its second name
 * before it replaces it.
 */
static bool
read_file_of(const uint8 *id, MedsyncMasterKey *key,
			 MedsyncMasterKeyProblem *problem)
{
	if (read_file(medsync_key_file_path(master_key_file), key, &problem->file))
	{
		if (key_is(key, id))
			return true;
		problem->file.fault = MEDSYNC_KEY_FILE_ANOTHER;
	}
	if (!read_file(medsync_master_key_old_path(id), key, &problem->old_file))
		return false;
	if (key_is(key, id))
		return true;
	problem->old_file.fault = MEDSYNC_KEY_FILE_ANOTHER;
	return false;
}

/*---- The command ----*/

/* The command with %i filled in; %% is a percent sign. */
static char *
command_for(const uint8 *id)
{
	char		text[ID_TEXT_SIZE] = "current";
	StringInfoData result;
	const char *c;

	StaticAssertStmt(sizeof("current") <= ID_TEXT_SIZE, "there is room");
	if (id != NULL)
		id_text(id, text);
	initStringInfo(&result);
	for (c = master_key_command; *c != '\0'; c++)
	{
		if (c[0] == '%' && c[1] == 'i')
		{
			appendStringInfoString(&result, text);
			c++;
		}
		else
		{
			appendStringInfoChar(&result, *c);
			if (c[0] == '%' && c[1] == '%')
				c++;
		}
	}
	return result.data;
}

/* Ask the command for a key; id NULL: for the current one. */
static bool
read_command(const uint8 *id, MedsyncMasterKey *key,
			 MedsyncKeyCommandProblem *problem)
{
	char		line[MEDSYNC_KEY_FILE_MAX + 1];
	uint8		secret[MEDSYNC_KEY_SIZE];
	size_t		len = 0;
	bool		sound = false;

	if (medsync_key_command_run(command_for(id), line,
								MEDSYNC_KEY_FILE_MAX, &len, problem))
	{
		line[len++] = '\n';
		sound = medsync_key_file_parse(&master_key_kind, line, len, secret);
		if (!sound)
			problem->fault = MEDSYNC_KEY_COMMAND_MALFORMED;
	}
	medsync_cleanse(line, sizeof(line));
	if (!sound)
		return false;
	derive_keys(secret, key);
	medsync_cleanse(secret, sizeof(secret));
	if (id == NULL || key_is(key, id))
		return true;
	problem->fault = MEDSYNC_KEY_COMMAND_ANOTHER;
	return false;
}

/*---- What others call ----*/

/*
 * Read the current master key (id NULL), or the one of an id.  Raises no
 * error for what it finds: it returns false and says in *problem what is
 * wrong; a command can be cancelled.  The caller wipes *key after use.
 */
bool
medsync_master_key_read(const uint8 *id, MedsyncMasterKey *key,
						MedsyncMasterKeyProblem *problem)
{
	memset(problem, 0, sizeof(MedsyncMasterKeyProblem));
	problem->by_id = id != NULL;
	if (id != NULL)
		memcpy(problem->id, id, sizeof(problem->id));
	problem->by_command = medsync_master_key_by_command();
	if (problem->by_command)
		return read_command(id, key, &problem->command);
	if (id != NULL)
		return read_file_of(id, key, problem);
	return read_file(medsync_key_file_path(master_key_file), key,
					 &problem->file);
}

/*
 * Is it the file of an older key that is to blame?  Yes where there is one;
 * where there is none only if the current file has nothing wrong but that it
 * holds another key, and then both are told.
 */
static bool
old_file_to_blame(const MedsyncMasterKeyProblem *problem)
{
	return problem->by_id &&
		problem->old_file.fault != MEDSYNC_KEY_FILE_MISSING &&
		problem->old_file.fault != MEDSYNC_KEY_FILE_FINE;
}

/* Say what is wrong with the command, as an error message; palloc'd. */
static char *
command_text(const MedsyncMasterKeyProblem *problem)
{
	char		id[ID_TEXT_SIZE];

	switch (problem->command.fault)
	{
		case MEDSYNC_KEY_COMMAND_FINE:
			break;
		case MEDSYNC_KEY_COMMAND_NOT_RUN:
			return psprintf("could not run the master key command: %s",
							strerror(problem->command.number));
		case MEDSYNC_KEY_COMMAND_FAILED:
			return psprintf("master key command failed: %s",
							wait_result_to_str(problem->command.number));
		case MEDSYNC_KEY_COMMAND_MALFORMED:
			return pstrdup("master key command did not print a master key");
		case MEDSYNC_KEY_COMMAND_ANOTHER:
			id_text(problem->id, id);
			return psprintf("master key command printed another key than %s",
							id);
	}
	return pstrdup("master key command is usable");
}

/* Say what is wrong, as an error message; palloc'd. */
char *
medsync_master_key_text(const MedsyncMasterKeyProblem *problem)
{
	const char *path = medsync_key_file_path(master_key_file);

	if (problem->by_command)
		return command_text(problem);
	if (old_file_to_blame(problem))
		return medsync_key_file_text(&master_key_kind,
									 medsync_master_key_old_path(problem->id),
									 &problem->old_file);
	if (problem->file.fault == MEDSYNC_KEY_FILE_ANOTHER)
		return psprintf("%s, and file \"%s\" is missing",
						medsync_key_file_text(&master_key_kind, path,
											  &problem->file),
						medsync_master_key_old_path(problem->id));
	return medsync_key_file_text(&master_key_kind, path, &problem->file);
}

/*
 * Raise the error for a master key that a writer needs and cannot have, to
 * open the key-encryption key of that number (0: none in particular).
 */
void
medsync_master_key_fail(const MedsyncMasterKeyProblem *problem, int kek_number)
{
	const MedsyncKeyFileProblem *file =
	old_file_to_blame(problem) ? &problem->old_file : &problem->file;
	bool		another = problem->by_command ?
	problem->command.fault == MEDSYNC_KEY_COMMAND_ANOTHER :
	file->fault == MEDSYNC_KEY_FILE_ANOTHER;
	const char *hint = RESTORE_HINT;

	if (problem->by_command)
		hint = COMMAND_HINT;
	else if (file->fault == MEDSYNC_KEY_FILE_TOO_OPEN)
		hint = "Run chmod 0600 on the file.";
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("%s", medsync_master_key_text(problem)),
			 another && kek_number > 0 ?
			 errdetail("It is not the master key that wrapped key-encryption key %d.",
					   kek_number) : 0,
			 errhint("%s", hint)));
	pg_unreachable();
}

/*
 * Make the master key file, unless there is one.  The caller has seen that
 * no key-encryption key depends on an older master key.  A command makes its
 * keys itself.
 */
void
medsync_master_key_create(void)
{
	if (!medsync_master_key_by_command())
		medsync_key_file_create(&master_key_kind,
								medsync_key_file_path(master_key_file));
}

/*---- Rotation of the file ----*/

/* Raise the error for a step that failed, with errno; the key is the old one. */
static void
replace_fail(const char *step, const char *path, const char *new_path)
{
	int			save_errno = errno;

	(void) unlink(new_path);
	errno = save_errno;
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("could not %s master key file \"%s\": %m", step, path),
			 errhint("The server must be allowed to make and rename files beside the master key file.")));
}

/* Does a file hold exactly this key? */
static bool
holds_key(const char *path, const MedsyncMasterKey *key,
		  MedsyncKeyFileProblem *problem)
{
	MedsyncMasterKey found;
	bool		same;

	if (!read_file(path, &found, problem))
		return false;
	same = memcmp(found.wrap, key->wrap, sizeof(found.wrap)) == 0;
	medsync_cleanse(&found, sizeof(found));
	if (!same)
		problem->fault = MEDSYNC_KEY_FILE_ANOTHER;
	return same;
}

/* Copy the file to its second name, where a link cannot be made; sets errno. */
static bool
copy_old(const char *path, const char *old_path)
{
	char	   *temporary = psprintf("%s.tmp", old_path);
	MedsyncKeyFileProblem problem;
	uint8		secret[MEDSYNC_KEY_SIZE];
	bool		done;

	if (unlink(temporary) != 0 && errno != ENOENT)
		return false;
	if (!medsync_key_file_read(&master_key_kind, path, secret, &problem))
	{
		errno = problem.error_number ? problem.error_number : EIO;
		return false;
	}
	done = medsync_key_file_write(&master_key_kind, temporary, secret);
	medsync_cleanse(secret, sizeof(secret));
	return done && rename(temporary, old_path) == 0;
}

/* Give the current file its second name, unless it has it from before. */
static void
keep_old(const char *path, const char *old_path, const char *new_path,
		 const MedsyncMasterKey *current)
{
	MedsyncKeyFileProblem problem;

	if (link(path, old_path) != 0 && errno != EEXIST &&
		!copy_old(path, old_path))
		replace_fail("keep the old one as", old_path, new_path);
	if (!holds_key(old_path, current, &problem))
	{
		(void) unlink(new_path);
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("%s", medsync_key_file_text(&master_key_kind, old_path,
													&problem)),
				 errdetail("It is to hold the key that is in use, which another one is about to replace."),
				 errhint("Move it away.")));
	}
	if (!medsync_key_file_flush_directory(old_path))
		replace_fail("keep the old one as", old_path, new_path);
}

/*
 * Put a new key into the place of the current one, which stays under its
 * second name.  The caller holds the lock.  A <file>.new of an earlier
 * attempt never became the current key, and goes.
 */
void
medsync_master_key_replace(const MedsyncMasterKey *current)
{
	char	   *path = medsync_master_key_real_path();
	char	   *old_path = medsync_master_key_old_path(current->id);
	char	   *new_path = psprintf("%s.new", path);

	if (unlink(new_path) != 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("could not remove file \"%s\": %m", new_path),
				 errhint("It is left over from a rotation that did not come to its end: remove it.")));
	if (!medsync_key_file_write_new(&master_key_kind, new_path))
		replace_fail("create", new_path, new_path);
	keep_old(path, old_path, new_path, current);
	if (rename(new_path, path) != 0)
		replace_fail("replace", path, new_path);
	if (!medsync_key_file_flush_directory(path))
		replace_fail("replace", path, new_path);
	ereport(LOG,
			(errmsg("master key file \"%s\" holds a new key", path),
			 errdetail("The one before is in \"%s\".", old_path)));
}

/*
 * Take the lock under which the file is replaced: databases of one server
 * share it.  It ends with the transaction at the latest.
 */
int
medsync_master_key_lock(void)
{
	char	   *path = psprintf("%s.lock", medsync_master_key_real_path());
	int			fd;

	fd = OpenTransientFilePerm(path, O_CREAT | O_RDWR | PG_BINARY,
							   S_IRUSR | S_IWUSR);
	if (fd < 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
				 errmsg("could not create lock of master key file \"%s\": %m", path),
				 errhint("The server must be allowed to make and rename files beside the master key file.")));
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
					 errmsg("could not take lock of master key file \"%s\": %m", path)));
		CHECK_FOR_INTERRUPTS();
		pg_usleep(LOCK_WAIT_MS * 1000L);
	}
	return fd;
}

void
medsync_master_key_unlock(int lock)
{
	(void) CloseTransientFile(lock);
}
