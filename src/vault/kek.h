/*-------------------------------------------------------------------------
 *
 * kek.h
 *		Key-encryption keys, and how rows of the vault are read and written.
 *
 * The vault's own, as vault_internal.h is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_KEK_H
#define MEDSYNC_KEK_H

#include "access/htup.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

#include "vault/vault.h"
#include "vault/vault_internal.h"

#define MEDSYNC_KEK_TABLE		"_key_encryption_key"

/* Columns of _key_encryption_key */
enum
{
	Anum_kek_number = 1,
	Anum_kek_created_at,
	Anum_kek_master_key_id,
	Anum_kek_wrapped,
	Natts_kek = 4
};

/* Bytes of a wrapped secret: nonce, ciphertext, tag */
#define MEDSYNC_WRAPPED_SIZE \
	(MEDSYNC_NONCE_SIZE + MEDSYNC_KEY_SIZE + MEDSYNC_TAG_SIZE)

/* A row of _key_encryption_key */
typedef struct MedsyncKekRow
{
	int32		number;
	int64		created_at;
	uint8		master_key_id[MEDSYNC_MASTER_KEY_ID_SIZE];
	uint8		wrapped[MEDSYNC_WRAPPED_SIZE];
	bool		intact;			/* false: only "number" could be read */
	bool		own;			/* written by this transaction */
	ItemPointerData tid;
} MedsyncKekRow;

/* A bytea datum without a palloc */
typedef union MedsyncStackBytea
{
	int32		align;
	char		bytes[VARHDRSZ + MEDSYNC_WRAPPED_SIZE];
} MedsyncStackBytea;

/* Rows of both tables */
extern bool medsync_row_column(Relation heap, HeapTuple tuple, int attnum,
							   Oid type, Datum *value);
extern bool medsync_row_bytes(Relation heap, HeapTuple tuple, int attnum,
							  uint8 *dst, size_t len);
extern bool medsync_row_is_own(HeapTuple tuple);
extern Datum medsync_stack_bytea(MedsyncStackBytea *buf, const uint8 *data,
								 size_t len);
extern void medsync_check_columns(Relation heap, int natts, Oid last_type);

/* Wraps of 32 bytes; key NULL: the context's own */
extern void medsync_secret_wrap(MedsyncGcm *gcm, const uint8 *key,
								const uint8 *aad, size_t aadlen,
								const uint8 *secret, uint8 *wrapped);
extern bool medsync_secret_unwrap(MedsyncGcm *gcm, const uint8 *key,
								  const uint8 *aad, size_t aadlen,
								  const uint8 *wrapped, uint8 *secret);

extern bool medsync_kek_row_read(MedsyncKekRow *row, Relation heap,
								 HeapTuple tuple);
extern bool medsync_kek_find(const int32 *number, MedsyncKekRow *found,
							 Oid *relid);
extern List *medsync_kek_rows(Relation heap);
extern MedsyncKeyStatus medsync_kek_unwrap(const MedsyncKekRow *row,
										   uint8 *secret,
										   MedsyncMasterKeyProblem *problem);
extern void medsync_kek_wrap(MedsyncKekRow *row, const MedsyncMasterKey *master,
							 const uint8 *secret);
extern void medsync_kek_make_first(Relation heap);
extern void medsync_kek_update(Relation heap, const MedsyncKekRow *row);
extern void medsync_kek_fail(int32 number);

#endif							/* MEDSYNC_KEK_H */
