/*-------------------------------------------------------------------------
 *
 * signer.h
 *		The log's signing key, and what was signed last.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_SIGNER_H
#define MEDSYNC_SIGNER_H

#include "ledger/ledger.h"
#include "proofs/note.h"
#include "vault/key_file.h"

/* One Ed25519 key of ours; wiped by its user */
typedef struct MedsyncSigningKey
{
	uint8		seed[MEDSYNC_KEY_SIZE];
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
} MedsyncSigningKey;

/* The last signature of an origin */
typedef struct MedsyncLastSignature
{
	char		origin[MEDSYNC_KEY_NAME_MAX + 1];
	MedsyncEra	era;			/* number is not kept */
	uint64		size;
	uint8		root[MEDSYNC_HASH_SIZE];
} MedsyncLastSignature;

/* What <signer key>.last says of an origin */
typedef struct MedsyncLastState
{
	bool		has_signed;
	bool		has_candidate;	/* signed in a transaction that may have failed */
	bool		settled;		/* it did not: set by who looks at the log */
	MedsyncLastSignature last;
	MedsyncLastSignature candidate;
} MedsyncLastState;

extern const char *medsync_signer_path(void);
extern char *medsync_signer_text(bool next,
								 const MedsyncKeyFileProblem *problem);
extern bool medsync_signer_read(bool next, MedsyncSigningKey *key,
								MedsyncKeyFileProblem *problem);
extern bool medsync_signer_try_create(void);
extern bool medsync_signer_directory_writable(void);
extern void medsync_signer_create(bool next);
extern bool medsync_signer_promote(const uint8 *old_key,
								   const uint8 *new_key);

extern int	medsync_last_lock(void);
extern void medsync_last_unlock(int lock);
extern bool medsync_last_read(const char *origin, MedsyncLastState *state,
							  char **problem);
extern int	medsync_last_write(const MedsyncLastSignature *signature,
							   bool candidate);

#endif							/* MEDSYNC_SIGNER_H */
