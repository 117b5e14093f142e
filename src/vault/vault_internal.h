/*-------------------------------------------------------------------------
 *
 * vault_internal.h
 *		The master key file, as the rest of the vault sees it.
 *
 * Not for other rooms: the master key opens everything.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VAULT_INTERNAL_H
#define MEDSYNC_VAULT_INTERNAL_H

#include "vault/crypto.h"

#define MEDSYNC_MASTER_KEY_ID_SIZE	8

/* What can be wrong with the master key file */
typedef enum MedsyncMasterKeyFault
{
	MEDSYNC_MASTER_KEY_FINE,
	MEDSYNC_MASTER_KEY_MISSING,
	MEDSYNC_MASTER_KEY_UNREADABLE,	/* error_number says why */
	MEDSYNC_MASTER_KEY_NOT_A_FILE,	/* a directory, a device ... */
	MEDSYNC_MASTER_KEY_WRONG_OWNER,
	MEDSYNC_MASTER_KEY_TOO_OPEN,	/* group or others may read it */
	MEDSYNC_MASTER_KEY_MALFORMED,
	MEDSYNC_MASTER_KEY_ANOTHER	/* not the one that wrapped the key at hand */
} MedsyncMasterKeyFault;

typedef struct MedsyncMasterKeyProblem
{
	MedsyncMasterKeyFault fault;
	int			error_number;	/* errno of the failed system call */
} MedsyncMasterKeyProblem;

/* What the file holds, and the two keys derived from it */
typedef struct MedsyncMasterKey
{
	uint8		id[MEDSYNC_MASTER_KEY_ID_SIZE]; /* names it; not secret */
	uint8		wrap[MEDSYNC_KEY_SIZE]; /* wraps key-encryption keys */
} MedsyncMasterKey;

extern void medsync_master_key_init(void);
extern bool medsync_master_key_read(MedsyncMasterKey *key,
									MedsyncMasterKeyProblem *problem);
extern void medsync_master_key_create(void);
extern char *medsync_master_key_text(const MedsyncMasterKeyProblem *problem);
extern void medsync_master_key_fail(const MedsyncMasterKeyProblem *problem,
									int kek_number);

#endif							/* MEDSYNC_VAULT_INTERNAL_H */
