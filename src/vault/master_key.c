/*-------------------------------------------------------------------------
 *
 * master_key.c
 *		The file that holds the master key.
 *
 * The master key wraps the key-encryption keys and nothing else.  It is in
 * no table: it lives in the file that medsync.master_key_file names, so
 * that a dump or a copied tablespace opens nothing.  key_file.c reads and
 * makes such files.  It is made once, when the first key-encryption key of a
 * database is made and no file is there; databases of one cluster share it.
 * While key-encryption keys exist it is never made anew: a lost file must be
 * brought back from its backup, and until then every use of a key fails.
 *
 * The key stays in memory only while a key-encryption key is being wrapped
 * or opened.  The file is read each time; the opened key-encryption keys
 * are what is cached (see subject_key.c).  No message contains key bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "common/errors.h"
#include "vault/vault.h"
#include "vault/vault_internal.h"

#define INFO_ID				"medsync master key id v1"
#define INFO_WRAP			"medsync master key wrap v1"

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
	return medsync_key_file_path(master_key_file);
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

/*
 * Read the master key.  Raises no error for what it finds: it returns false
 * and says in *problem what is wrong.  The caller wipes *key after use.
 */
bool
medsync_master_key_read(MedsyncMasterKey *key, MedsyncKeyFileProblem *problem)
{
	uint8		secret[MEDSYNC_KEY_SIZE];

	if (!medsync_key_file_read(&master_key_kind,
							   medsync_vault_master_key_path(), secret,
							   problem))
		return false;
	derive_keys(secret, key);
	medsync_cleanse(secret, sizeof(secret));
	return true;
}

/* Say what is wrong with the file, as an error message; palloc'd. */
char *
medsync_master_key_text(const MedsyncKeyFileProblem *problem)
{
	return medsync_key_file_text(&master_key_kind,
								 medsync_vault_master_key_path(), problem);
}

/*
 * Raise the error for a master key that a writer needs and cannot have, to
 * open the key-encryption key of that number (0: none in particular).
 */
void
medsync_master_key_fail(const MedsyncKeyFileProblem *problem, int kek_number)
{
	bool		too_open = problem->fault == MEDSYNC_KEY_FILE_TOO_OPEN;
	bool		another = problem->fault == MEDSYNC_KEY_FILE_ANOTHER;

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

/*
 * Make the master key file, unless there is one.  The caller has seen that
 * no key-encryption key depends on an older master key.
 */
void
medsync_master_key_create(void)
{
	medsync_key_file_create(&master_key_kind, medsync_vault_master_key_path());
}
