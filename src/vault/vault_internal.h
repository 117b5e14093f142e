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
#include "vault/key_file.h"

#define MEDSYNC_MASTER_KEY_ID_SIZE	8

/* What the file holds, and the two keys derived from it */
typedef struct MedsyncMasterKey
{
	uint8		id[MEDSYNC_MASTER_KEY_ID_SIZE]; /* names it; not secret */
	uint8		wrap[MEDSYNC_KEY_SIZE]; /* wraps key-encryption keys */
} MedsyncMasterKey;

extern void medsync_master_key_init(void);
extern bool medsync_master_key_read(MedsyncMasterKey *key,
									MedsyncKeyFileProblem *problem);
extern void medsync_master_key_create(void);
extern char *medsync_master_key_text(const MedsyncKeyFileProblem *problem);
extern void medsync_master_key_fail(const MedsyncKeyFileProblem *problem,
									int kek_number);

#endif							/* MEDSYNC_VAULT_INTERNAL_H */
