/*-------------------------------------------------------------------------
 *
 * witness.h
 *		Witnesses of the ledger, and what they have cosigned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_WITNESS_H
#define MEDSYNC_WITNESS_H

#include "nodes/pg_list.h"
#include "proofs/note.h"
#include "utils/snapshot.h"

/*
 * With the log's own signature a checkpoint of all of them has 16: every
 * verifier of notes must take that many.
 */
#define MEDSYNC_WITNESS_MAX			15
#define MEDSYNC_WITNESS_NAME_MAX	63	/* bytes */

/* A row of _witness */
typedef struct MedsyncWitness
{
	char	   *name;
	char	   *url;
	MedsyncVerifierKey key;
	bool		malformed;		/* the key cannot be read */
} MedsyncWitness;

/* Who of the registered witnesses has cosigned a checkpoint */
typedef struct MedsyncWitnessCount
{
	int			registered;
	int			needed;			/* by medsync.witness_policy */
	List	   *cosigned;		/* names, of char *, in their order */
	List	   *forged;			/* whose stored cosignature does not verify */
	bool		met;			/* as many as are needed have cosigned */
} MedsyncWitnessCount;

extern int	medsync_witness_timeout;

extern void medsync_witness_init(void); /* settings; from the room's init */

extern List *medsync_witnesses(Snapshot snapshot);
extern void medsync_witness_count(int64 height, const char *note, size_t len,
								  Snapshot snapshot,
								  MedsyncWitnessCount *count);

extern MedsyncNoteVerdict medsync_cosignature_check(const char *text,
													size_t text_len,
													const char *lines,
													size_t lines_len,
													const MedsyncVerifierKey *key,
													char **line,
													uint64 *cosigned_at);
extern int64 medsync_cosignature_newest(const char *witness, int64 below,
										Snapshot snapshot);
extern bool medsync_cosignature_store(int64 height, const char *witness,
									  const char *line);

#endif							/* MEDSYNC_WITNESS_H */
