/*-------------------------------------------------------------------------
 *
 * verify.h
 *		What the parts of verify share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VERIFY_H
#define MEDSYNC_VERIFY_H

#include "ledger/balance.h"
#include "ledger/manifest.h"
#include "ledger/order.h"
#include "ledger/row.h"
#include "ledger/sealer.h"
#include "ledger/signing.h"
#include "nodes/execnodes.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "vault/vault.h"

/* A table number as verify comes to know it */
typedef struct VerifiedTable
{
	uint32		number;			/* hash key */
	uint32		last_version;	/* newest manifest that an entry announced */
	bool		in_scope;
	bool		has_row;		/* _table has it */
	MedsyncTable row;
	char	   *name;			/* as findings show it */
	MedsyncManifest *manifest;	/* the newest announced, if its text holds */
	bool		live_read;		/* its live rows are in the balance */
	bool		written_here;	/* this database made an entry of it */
} VerifiedTable;

/* One run of verify */
typedef struct Verifier
{
	MemoryContext context;
	ReturnSetInfo *result;		/* NULL: only count */
	Snapshot	snapshot;
	MedsyncWalk walk;
	MedsyncKeyReader *keys;
	bool		keys_open;		/* the root secret can be read */
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz ledger_created_at;
	MedsyncEra	here;			/* this database's */
	MedsyncHmacKey seed_key;
	bool		scoped;			/* a relation was named */
	int64		since;			/* entries below were verified before */
	HTAB	   *tables;			/* of VerifiedTable */
	HTAB	   *missing_keys;	/* key ids reported already */
	MedsyncBalance *balance;
	StringInfoData scratch;
	StringInfoData image;
	StringInfoData message;		/* what the row being read must be signed over */

	/* the block being read */
	MedsyncBlock *block;		/* NULL: unsealed entries */
	MedsyncEra *era;
	bool		light;			/* hashes are taken from the tiles */
	int64		index;			/* of the next entry */
	bool		entry_differs;	/* a leaf is not the stored tile's */
	int64		first_difference;
	int64		differences;
	char	   *order_problem;	/* found while reading it */
	MedsyncTree tree;
	MedsyncOrderBuilder order;
	MedsyncLookupBuilder lookup;
	Relation	tile_table;
	Relation	order_table;
	Relation	lookup_table;
	uint8		stored_leaves[MEDSYNC_TILE_SIZE];
	int			stored_leaf_count;
	int64		stored_leaf_tile;	/* which tile that is, -1: none */
	ItemPointerData seeded_tid; /* packed row whose seed was checked last */

	/* sums */
	int64		sealed;
	int64		unsealed;
	int64		blocks;
	int64		tables_checked;
	int64		rows;
	int64		errors;
	int64		warnings;
	int64		journal_rows;	/* packed rows that entries were read from */
	int64		image_rows;		/* rows of _image that entries refer to */
	int64		tile_rows;		/* rows that the tree has */
	int64		order_rows;
	int64		lookup_rows;
	int64		manifest_rows;
	bool		damaged;		/* some block or entry is not what it was */
	TimestampTz oldest_unsealed;
	void	   *later;			/* a later room's, see below */
	void	   *signers;		/* of the room that knows the keys of persons */
	bool		signers_unreadable;
} Verifier;

/*
 * What a later room checks: "entry", if it is there, is called for each
 * signer entry, in ledger order and then the unsealed ones; "finish" after
 * the ledger.
 */
typedef struct MedsyncVerifyPart
{
	const char *what;			/* could not be read, if "finish" fails */
	void		(*entry) (Verifier *verifier, const MedsyncWalkEntry *item);
	void		(*finish) (void *verifier);
} MedsyncVerifyPart;

#define MEDSYNC_VERIFY_PARTS_MAX	8

/* A row that must be signed, for the room that knows the keys of persons */
typedef struct MedsyncVerifiedRow
{
	const MedsyncEntry *entry;	/* that made it; NULL: a live row */
	const MedsyncRowSignature *signature;	/* NULL: the row is not at hand */
	const void *message;
	size_t		message_len;
} MedsyncVerifiedRow;

/* NULL: it is signed, as far as can be told; else why not, as a sentence */
typedef const char *(*MedsyncVerifySignature) (Verifier *verifier,
											   const MedsyncVerifiedRow *row);

/* Where a finding is */
typedef struct FindingPlace
{
	const char *relation;
	Jsonb	   *row_key;
	int64		block;			/* -1: none */
	int64		index;			/* -1: none */
} FindingPlace;

#define NO_PLACE ((FindingPlace) {NULL, NULL, -1, -1})

extern void medsync_verify_register(const MedsyncVerifyPart *part);
extern void medsync_verify_set_signature_check(MedsyncVerifySignature check);
extern const char *medsync_verify_signed_row(Verifier *verifier,
											 const MedsyncManifest *manifest,
											 const MedsyncEntry *entry,
											 const StringInfo row);
extern void medsync_verify_report(Verifier *verifier, const char *severity,
								  const char *verdict, FindingPlace place,
								  const char *expected, const char *found,
								  const char *detail);
extern char *medsync_verify_hex(const void *bytes, int len);
extern int64 medsync_verify_block_of(Verifier *verifier, int64 index);
extern VerifiedTable *medsync_verify_table(Verifier *verifier, uint32 number);
extern Jsonb *medsync_verify_image_key(Verifier *verifier,
									   const VerifiedTable *table,
									   const MedsyncEntry *entry);
extern void medsync_verify_missing_key(Verifier *verifier,
									   MedsyncKeyStatus status,
									   const uint8 *key_id,
									   const char *relation);

extern char *medsync_verify_try(void (*work) (void *arg), void *arg);

/* the parts of a run; the argument is the Verifier */
extern void medsync_verify_live_tables(void *arg);
extern void medsync_verify_balance(void *arg);
extern void medsync_verify_guards(void *arg);

#endif							/* MEDSYNC_VERIFY_H */
