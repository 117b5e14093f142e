/*-------------------------------------------------------------------------
 *
 * vault_internal.h
 *		The master key, as the rest of the vault sees it.
 *
 * Not for other rooms: the master key opens everything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VAULT_INTERNAL_H
#define MEDSYNC_VAULT_INTERNAL_H

#include "vault/crypto.h"
#include "vault/key_command.h"
#include "vault/key_file.h"

#define MEDSYNC_MASTER_KEY_ID_SIZE	8

/* What the file holds, or rather the two things derived from it */
typedef struct MedsyncMasterKey
{
	uint8		id[MEDSYNC_MASTER_KEY_ID_SIZE]; /* names it; not secret */
	uint8		wrap[MEDSYNC_KEY_SIZE]; /* wraps key-encryption keys */
} MedsyncMasterKey;

/* Why a master key cannot be had; medsync_master_key_text() says it */
typedef struct MedsyncMasterKeyProblem
{
	bool		by_id;			/* one key was asked for, not the current one */
	uint8		id[MEDSYNC_MASTER_KEY_ID_SIZE];
	bool		by_command;
	MedsyncKeyCommandProblem command;
	MedsyncKeyFileProblem file; /* the current key's */
	MedsyncKeyFileProblem old_file; /* the one named by the id, if by_id */
} MedsyncMasterKeyProblem;

extern void medsync_master_key_init(void);
extern bool medsync_master_key_by_command(void);
extern bool medsync_master_key_read(const uint8 *id, MedsyncMasterKey *key,
									MedsyncMasterKeyProblem *problem);
extern void medsync_master_key_create(void);
extern char *medsync_master_key_text(const MedsyncMasterKeyProblem *problem);
extern void medsync_master_key_fail(const MedsyncMasterKeyProblem *problem,
									int kek_number) pg_attribute_noreturn();

/* The file itself, through symbolic links; the one of an older key (palloc'd) */
extern char *medsync_master_key_real_path(void);
extern char *medsync_master_key_old_path(const uint8 *id);
extern char *medsync_master_key_name(const uint8 *id);

/* For the rotation, under the lock */
extern void medsync_master_key_replace(const MedsyncMasterKey *current);
extern int	medsync_master_key_lock(void);
extern void medsync_master_key_unlock(int lock);

#endif							/* MEDSYNC_VAULT_INTERNAL_H */
