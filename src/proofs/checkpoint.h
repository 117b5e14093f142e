/*-------------------------------------------------------------------------
 *
 * checkpoint.h
 *		Signed checkpoints of the ledger's blocks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CHECKPOINT_H
#define MEDSYNC_CHECKPOINT_H

#include "nodes/pg_list.h"
#include "proofs/note.h"
#include "utils/snapshot.h"

/* attributes of _checkpoint */
enum
{
	Anum_checkpoint_height = 1,
	Anum_checkpoint_note,
	Natts_checkpoint = 2
};

/* attributes of _cosignature */
enum
{
	Anum_cosignature_height = 1,
	Anum_cosignature_witness,
	Anum_cosignature_line,
	Natts_cosignature = 3
};

/* A row of _signer_key */
typedef struct MedsyncSignerKey
{
	int32		number;
	MedsyncVerifierKey key;
	uint64		announced_by;	/* xid of its signer entry; 0: it has none */
} MedsyncSignerKey;

/* A block and the note that signs it, without cosignatures */
typedef struct MedsyncSignedCheckpoint
{
	int64		height;
	int64		size;
	uint8		root[MEDSYNC_HASH_SIZE];
	char	   *note;
	char	   *origin;			/* of a stored one */
	bool		unstored;		/* signed just now: see medsync_checkpoint_store() */
} MedsyncSignedCheckpoint;

extern void medsync_proofs_init(void);	/* GUCs, callbacks; from _PG_init */
extern void medsync_signer_init(void);
extern void medsync_signer_key_init(void);
extern void medsync_checkpoint_init(void);
extern void medsync_audit_init(void);

extern List *medsync_signer_keys(Snapshot snapshot, int *malformed);
extern const MedsyncSignerKey *medsync_signer_last(List *signers);
extern const MedsyncSignerKey *medsync_signer_current(void);
extern char *medsync_signer_default_origin(void);
extern void medsync_signer_store(const MedsyncVerifierKey *key,
								 uint64 announced_by);

extern char *medsync_checkpoint_note(int64 height, Snapshot snapshot);
extern bool medsync_checkpoint_note_ours(const char *note, size_t len,
										 List *signers,
										 MedsyncCheckpoint *checkpoint);
extern bool medsync_checkpoint_stored(Snapshot snapshot,
									  MedsyncSignedCheckpoint *checkpoint);
extern void medsync_checkpoint_latest(MedsyncSignedCheckpoint *checkpoint);
extern bool medsync_checkpoint_ready(const char **detail, const char **hint);
extern const char *medsync_checkpoint_contradiction(uint64 *size);
extern void medsync_checkpoint_note_change(void);
extern void medsync_checkpoint_store(const MedsyncSignedCheckpoint *checkpoint);
extern char *medsync_checkpoint_full_note(const MedsyncSignedCheckpoint *checkpoint);

#endif							/* MEDSYNC_CHECKPOINT_H */
