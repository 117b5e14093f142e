/*-------------------------------------------------------------------------
 *
 * vault.h
 *		Subject secrets: what other rooms may ask of the vault.
 *
 * Each subject (a patient, a tracked table, the ledger itself) has a random
 * 32-byte secret, wrapped in _subject_key under a dated key-encryption key,
 * which the master key file opens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VAULT_H
#define MEDSYNC_VAULT_H

#include "vault/crypto.h"

#define MEDSYNC_KEY_ID_SIZE		16

/*
 * The keys derived from one secret: never one key for two uses.  K_commit is
 * needed for every row; the other two are derived when they are asked for.
 */
typedef struct MedsyncSubjectKey
{
	uint8		id[MEDSYNC_KEY_ID_SIZE];
	MedsyncHmacKey commit;		/* K_commit */

	/* the vault's own */
	uint8		secret[MEDSYNC_KEY_SIZE];
	bool		has_image;
	MedsyncHmacKey image;		/* K_image, if has_image */
} MedsyncSubjectKey;

/* For whom a secret is */
typedef enum MedsyncSubjectKind
{
	MEDSYNC_SUBJECT_PERSON = 's',	/* content: UTF-8 text of the subject column */
	MEDSYNC_SUBJECT_TABLE = 't'		/* content: table number, 4 bytes big-endian */
} MedsyncSubjectKind;

/*
 * Why a key could not be read.  The texts for people are in
 * medsync_vault_status_text().
 */
typedef enum MedsyncKeyStatus
{
	MEDSYNC_KEY_OK,
	MEDSYNC_KEY_ABSENT,			/* no row */
	MEDSYNC_KEY_DAMAGED,		/* a row, but its wrapping does not open */
	MEDSYNC_KEY_NO_KEK,			/* its key-encryption key is absent or damaged */
	MEDSYNC_KEY_NO_MASTER		/* the master key file is missing, unreadable or another */
} MedsyncKeyStatus;

extern void medsync_vault_init(void);	/* GUCs, callbacks; from _PG_init */

/*
 * Make the first key-encryption key and the root secret if there are none.
 * The caller keeps others out to the end of its transaction.
 */
extern void medsync_vault_create(void);

/*
 * Key for use by a writer, made at first touch.  Result valid until the next
 * call or the end of the subtransaction.  Errors if unavailable.
 */
extern const MedsyncSubjectKey *medsync_vault_subject_key(MedsyncSubjectKind kind, const void *content, size_t len);

/* K_image, kept with the key for as long as that is valid; K_label */
extern const MedsyncHmacKey *medsync_vault_image_key(const MedsyncSubjectKey *key);
extern void medsync_vault_label_key(const MedsyncSubjectKey *key, MedsyncHmacKey *label);

/* K_record: wraps the data keys of a patient's records */
extern void medsync_vault_record_key(const MedsyncSubjectKey *key, uint8 *record_key);

/* A key for a ledger-wide use, derived from the root secret: info "medsync <use> v1".  Errors if unavailable. */
extern void medsync_vault_root_key(const char *use, uint8 *key);

/*
 * Readers: no cache shared with writers, latest state of the tables, never
 * raise an error for what they read.  A reader remembers what it found, also
 * what it did not find, so make one for each run.  Results are valid until
 * the next call.  Deleting its context frees it as well.
 */
typedef struct MedsyncKeyReader MedsyncKeyReader;
extern MedsyncKeyReader *medsync_key_reader_create(MemoryContext context);
extern MedsyncKeyStatus medsync_key_reader_by_id(MedsyncKeyReader *reader, const uint8 *id, const MedsyncSubjectKey **key);
extern MedsyncKeyStatus medsync_key_reader_by_subject(MedsyncKeyReader *reader, MedsyncSubjectKind kind,
													  const void *content, size_t len, const MedsyncSubjectKey **key);
extern MedsyncKeyStatus medsync_key_reader_root_key(MedsyncKeyReader *reader, const char *use, uint8 *key);
/* Walk every row of both tables; call "report" for each that does not open, or for duplicates that differ */
typedef void (*MedsyncKeyReport) (void *arg, MedsyncKeyStatus status, const char *what);
extern void medsync_key_reader_check_all(MedsyncKeyReader *reader, MedsyncKeyReport report, void *arg);
extern void medsync_key_reader_free(MedsyncKeyReader *reader);
extern const char *medsync_vault_status_text(MedsyncKeyStatus status);

/*
 * Remove committed duplicates (see subject_key.c); called by the sealer in
 * its transaction, which gets an xid by it only if there are any.  Returns
 * how many went; never fails for keys that do not open.
 */
extern int	medsync_vault_remove_duplicates(void);

/*
 * For the status view: path, NULL where a command has the key; NULL or what is
 * wrong (a file may be missing until a key needs it); older keys, see rotate.c
 */
extern const char *medsync_vault_master_key_path(void);
extern const char *medsync_vault_master_key_problem(void);
extern void medsync_vault_old_master_keys(const char **needed, const char **spare);

#endif							/* MEDSYNC_VAULT_H */
