/*-------------------------------------------------------------------------
 *
 * entry.h
 *		One ledger entry, and the packed rows that carry entries.
 *
 * An entry has two encodings, both in docs/formats.md: the packed one,
 * short, as the journal stores it, and the full one, which is hashed into
 * the log's leaf.  Frontend-safe: the offline verifier reads the same bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_ENTRY_H
#define MEDSYNC_ENTRY_H

#include "common/wire.h"
#include "vault/crypto.h"

#define MEDSYNC_ID_SIZE			16	/* ledger, era, key and row-key ids */
#define MEDSYNC_SEED_SIZE		16	/* seed of a packed row's salts */
#define MEDSYNC_IMAGE_SEED_SIZE	32	/* seed of image keys */
#define MEDSYNC_PACKED_MAX		8000	/* bytes of a packed row */
#define MEDSYNC_PACKED_ENTRY_MAX 400	/* bytes of a packed entry, but for role, image and detail */
#define MEDSYNC_INLINE_IMAGE_MAX 6000	/* a longer image is a side object */
#define MEDSYNC_LEAF_VERSION	1
#define MEDSYNC_LEAF_SIZE		33	/* version byte and hash */
#define MEDSYNC_DETAIL_MAX		256

/* What an entry says happened.  Numbers are part of the format. */
typedef enum MedsyncOperation
{
	MEDSYNC_OP_INSERT = 1,
	MEDSYNC_OP_UPDATE = 2,
	MEDSYNC_OP_UPDATE_OUT = 3,
	MEDSYNC_OP_UPDATE_IN = 4,
	MEDSYNC_OP_DELETE = 5,
	MEDSYNC_OP_BASELINE = 6,
	MEDSYNC_OP_REBASELINE = 7,
	MEDSYNC_OP_TRUNCATE = 8,
	MEDSYNC_OP_DDL = 9,
	MEDSYNC_OP_READ = 10,
	MEDSYNC_OP_DENIED = 11,
	MEDSYNC_OP_ERASE = 12,
	MEDSYNC_OP_ERA = 13,
	MEDSYNC_OP_INDEX = 14,
	MEDSYNC_OP_SIGNER = 15
} MedsyncOperation;

/*
 * Which optional parts an entry has.  The same bits stand in the packed
 * flags and in the full encoding; those up to ROLE say, in packed form only,
 * "differs from the entry before".  SAME_PERSON stands there in place of
 * PERSON when the entry before has the same one; SAME_SIGNER in place of
 * SIGNATURE and DETAIL when it has the same signer's key and detail.  Neither
 * is ever in a decoded entry.
 */
#define MEDSYNC_HAS_OPERATION		(1 << 0)
#define MEDSYNC_HAS_TABLE			(1 << 1)
#define MEDSYNC_HAS_COMMAND			(1 << 2)
#define MEDSYNC_HAS_STATEMENT_TIME	(1 << 3)
#define MEDSYNC_HAS_ORDINAL_GAP		(1 << 4)
#define MEDSYNC_HAS_ROLE			(1 << 5)
#define MEDSYNC_HAS_KEY_ID			(1 << 6)
#define MEDSYNC_HAS_ROW_KEY			(1 << 7)
#define MEDSYNC_HAS_OLD				(1 << 8)
#define MEDSYNC_HAS_NEW				(1 << 9)
#define MEDSYNC_HAS_IMAGE			(1 << 10)	/* sealed image in line */
#define MEDSYNC_HAS_LARGE_IMAGE		(1 << 11)	/* image is a side object */
#define MEDSYNC_HAS_REPLICA			(1 << 12)	/* no content */
#define MEDSYNC_HAS_PERSON			(1 << 13)
#define MEDSYNC_HAS_SIGNATURE		(1 << 14)
#define MEDSYNC_HAS_OBJECT			(1 << 15)
#define MEDSYNC_HAS_DETAIL			(1 << 16)
#define MEDSYNC_HAS_SAME_PERSON		(1 << 17)	/* packed only, see above */
#define MEDSYNC_HAS_SAME_SIGNER		(1 << 18)	/* the same */
#define MEDSYNC_HAS_ALL				((1 << 19) - 1)

/* The bits that the full encoding keeps: what the log commits to */
#define MEDSYNC_ENTRY_FIELDS \
	(MEDSYNC_HAS_KEY_ID | MEDSYNC_HAS_ROW_KEY | MEDSYNC_HAS_OLD | \
	 MEDSYNC_HAS_NEW | MEDSYNC_HAS_REPLICA | MEDSYNC_HAS_PERSON | \
	 MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_OBJECT | MEDSYNC_HAS_DETAIL)

/* Decoded entry.  Pointers point into the packed row it was read from. */
typedef struct MedsyncEntry
{
	uint64		ordinal;		/* place in the transaction; never reused */
	uint32		fields;			/* MEDSYNC_HAS_..., what is there */
	uint8		operation;		/* MedsyncOperation */
	uint32		table;			/* ledger table number, 0: none */
	uint32		manifest;		/* manifest version of that table */
	uint32		command;		/* command id in the transaction */
	int64		statement_time;
	const char *role;			/* not terminated */
	int			role_len;
	uint8		key_id[MEDSYNC_ID_SIZE];	/* subject key; zero: none */
	uint8		row_key[MEDSYNC_ID_SIZE];
	uint8		old_commitment[MEDSYNC_HASH_SIZE];
	uint8		new_commitment[MEDSYNC_HASH_SIZE];
	uint8		person[MEDSYNC_ID_SIZE];
	uint8		signer[MEDSYNC_ID_SIZE];
	uint8		signature_digest[MEDSYNC_HASH_SIZE];
	uint8		object[MEDSYNC_HASH_SIZE];
	const uint8 *detail;
	int			detail_len;
	const uint8 *image;			/* sealed; or the side object's seed */
	uint64		image_len;		/* sealed bytes; or the plain length */
} MedsyncEntry;

/* What a packed row says once for all its entries */
typedef struct MedsyncPackedHeader
{
	uint64		xid;			/* from the journal row, not the body */
	uint64		ordinal;		/* the same: its first entry's ordinal */
	uint8		seed[MEDSYNC_SEED_SIZE];
	uint64		era_number;		/* 0: era_id is written out */
	uint8		era_id[MEDSYNC_ID_SIZE];
	uint64		flush_position; /* WAL insert position at the flush */
	int64		flush_time;
	const char *session_role;	/* not terminated */
	int			session_role_len;
	const uint8 *image_seed;	/* NULL: no image in line */
	uint64		entry_count;
} MedsyncPackedHeader;

/* Reads a packed row entry by entry */
typedef struct MedsyncPackedReader
{
	MedsyncPackedHeader header;
	MedsyncEntry entry;			/* the last one read */
	uint64		entries_read;
	MedsyncReader reader;
} MedsyncPackedReader;

extern const char *medsync_operation_name(uint8 operation);

extern void medsync_packed_begin(StringInfo body,
								 const MedsyncPackedHeader *header);
extern void medsync_packed_add(StringInfo body, MedsyncEntry *previous,
							   const MedsyncEntry *entry);
extern void medsync_packed_first(MedsyncEntry *previous,
								 const MedsyncPackedHeader *header);
extern void medsync_packed_seed(const MedsyncHmacKey *seed_key,
								const uint8 *ledger_id,
								uint64 xid, uint64 ordinal,
								const uint8 *body, size_t len, uint8 *seed);

extern bool medsync_packed_open(MedsyncPackedReader *reader, uint64 xid,
								uint64 ordinal, const uint8 *body, size_t len);
extern bool medsync_packed_next(MedsyncPackedReader *reader);

extern void medsync_entry_encode(StringInfo buf, const uint8 *era_id,
								 const MedsyncPackedHeader *header,
								 const MedsyncEntry *entry);
extern bool medsync_entry_decode(const uint8 *data, size_t len,
								 MedsyncPackedHeader *header,
								 MedsyncEntry *entry);
extern void medsync_entry_leaf(StringInfo scratch, const uint8 *era_id,
							   const MedsyncPackedHeader *header,
							   const MedsyncEntry *entry, uint8 *leaf);

#endif							/* MEDSYNC_ENTRY_H */
