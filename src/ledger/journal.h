/*-------------------------------------------------------------------------
 *
 * journal.h
 *		The transaction's buffer of entries, and the packed rows they become.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_JOURNAL_H
#define MEDSYNC_JOURNAL_H

#include "ledger/entry.h"
#include "nodes/pg_list.h"

/* attributes of _journal */
enum
{
	Anum_journal_xid = 1,
	Anum_journal_ordinal,
	Anum_journal_body,
	Natts_journal = 3
};

/* A packed row in memory: an unflushed part of our own transaction */
typedef struct MedsyncPackedRow
{
	uint64		xid;
	uint64		ordinal;
	uint8	   *body;
	int			len;
} MedsyncPackedRow;

/* Who acts: fills in the person's id, or returns false for nobody.  A later room's. */
typedef bool (*MedsyncActorSource) (uint8 *person);
extern void medsync_journal_set_actor_source(MedsyncActorSource source);

extern uint64 medsync_journal_next_ordinal(void);
extern void medsync_journal_add(MedsyncEntry *entry);
extern void medsync_journal_add_ddl(uint32 table, uint32 manifest,
									const uint8 *digest);
extern const uint8 *medsync_journal_image_seed(void);
extern List *medsync_journal_pending(void);
extern void medsync_journal_write_now(MedsyncEntry *entry,
									  MedsyncPackedHeader *header);

extern void medsync_journal_check_sealable(void);
extern void medsync_journal_note_seal(void);
extern bool medsync_journal_has_sealed(void);

#endif							/* MEDSYNC_JOURNAL_H */
