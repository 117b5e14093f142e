/*-------------------------------------------------------------------------
 *
 * records.h
 *		Records: content that is encrypted for its patient and its holders.
 *
 * What the room's files share.  Formats are in docs/formats.md, "Records".
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_RECORDS_H
#define MEDSYNC_RECORDS_H

#include "access/htup.h"
#include "common/catalog.h"
#include "datatype/timestamp.h"
#include "identity/identity.h"
#include "ledger/entry.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"
#include "vault/public_key.h"
#include "vault/vault.h"

#define MEDSYNC_CONTENT_MAX			104857600	/* bytes of content */
#define MEDSYNC_RECORD_CHUNK		(1024 * 1024)	/* of it in a chunk */
#define MEDSYNC_RECORD_PATIENT_MAX	1024
#define MEDSYNC_RECORD_MEDIA_TYPE_MAX 255
#define MEDSYNC_RECORD_RECIPIENTS_MAX 1000
#define MEDSYNC_RECORD_HOLDERS_MAX	(MEDSYNC_RECORD_RECIPIENTS_MAX + 1)
#define MEDSYNC_SERVER_WRAP_SIZE \
	(MEDSYNC_NONCE_SIZE + MEDSYNC_KEY_SIZE + MEDSYNC_TAG_SIZE)

/* Statements hold content and private keys: in every error of this room */
#define hide_statement()	errhidestmt(true), errhidecontext(true)

/* A row of _record */
typedef struct MedsyncRecord
{
	uint8		id[MEDSYNC_ID_SIZE];
	char	   *patient;
	uint8		author[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	ItemPointerData tid;
	bool		intact;			/* false: the row is malformed */
} MedsyncRecord;

/* A row of _record_wrap */
typedef struct MedsyncHolder
{
	uint8		person[MEDSYNC_ID_SIZE];
	MedsyncKeyAlgorithm algorithm;	/* NONE: the next three are empty */
	uint8		key[MEDSYNC_ID_SIZE];
	uint8		wrapped[MEDSYNC_WRAP_MAX];
	int			wrapped_len;
	TimestampTz granted_at;
	uint8		granted_by[MEDSYNC_ID_SIZE];
	ItemPointerData tid;		/* of a row that was read */
} MedsyncHolder;

/* A row of _record_version, with its rows of _record_wrap */
typedef struct MedsyncRecordVersion
{
	int32		number;
	char	   *media_type;
	int64		length;
	int32		chunks;
	uint8		key_id[MEDSYNC_KEY_ID_SIZE];
	uint8		digest[MEDSYNC_HASH_SIZE];
	uint8		server_wrap[MEDSYNC_SERVER_WRAP_SIZE];
	uint8		author[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
	List	   *holders;		/* of MedsyncHolder, by ascending person */
	ItemPointerData tid;		/* of a row that was read */
	TransactionId xmin;			/* of the row */
	bool		intact;			/* false: some of it is malformed */
} MedsyncRecordVersion;

/* A row of _record_head: the record's newest state */
typedef struct MedsyncRecordHead
{
	int32		version;		/* the newest */
	int64		revision;		/* changes so far */
	uint8		signature[MEDSYNC_ED25519_SIGNATURE_SIZE];
	ItemPointerData tid;		/* of a row that was read */
	TransactionId xmin;			/* of the row */
	bool		intact;			/* false: the row is malformed */
} MedsyncRecordHead;

/* What is asked of a record */
typedef enum MedsyncRecordRight
{
	MEDSYNC_RECORD_READ,		/* patient and holders */
	MEDSYNC_RECORD_GRANT,		/* the same */
	MEDSYNC_RECORD_CHANGE,		/* patient, and the author while a holder */
	MEDSYNC_RECORD_REWRAP		/* who may CHANGE, and a holder for itself */
} MedsyncRecordRight;

/* What is written down; see event.c for the texts */
typedef enum MedsyncRecordEvent
{
	MEDSYNC_EVENT_PUT,
	MEDSYNC_EVENT_VERSION,
	MEDSYNC_EVENT_GET,
	MEDSYNC_EVENT_GRANT,
	MEDSYNC_EVENT_REVOKE,
	MEDSYNC_EVENT_REWRAP,
	MEDSYNC_EVENT_DENIED,
	MEDSYNC_EVENT_DAMAGED
} MedsyncRecordEvent;

/* Why it was refused, or what is damaged (from REASON_ROWS on) */
typedef enum MedsyncRecordReason
{
	MEDSYNC_REASON_NONE,
	MEDSYNC_REASON_NOBODY,
	MEDSYNC_REASON_NO_RECORD,
	MEDSYNC_REASON_NOT_ENTITLED,
	MEDSYNC_REASON_PRIVATE_KEY,
	MEDSYNC_REASON_ROWS,
	MEDSYNC_REASON_STATEMENT,
	MEDSYNC_REASON_HEAD,
	MEDSYNC_REASON_CHUNKS,
	MEDSYNC_REASON_DIGEST,
	MEDSYNC_REASON_WRAP,
	MEDSYNC_REASON_CONTENT,
	MEDSYNC_REASON_UNREADABLE
} MedsyncRecordReason;

/* A row of record_event or _pending_event; NULL: the column is */
typedef struct MedsyncEventRow
{
	const uint8 *id;
	TimestampTz at;
	const uint8 *record;
	int32		version;		/* 0: NULL */
	const char *event;
	const uint8 *person;
	const uint8 *recipient;
	const char *role;			/* the session's */
	const char *reason;
} MedsyncEventRow;

/* One call of a function: who acts, on which record, and its secrets */
typedef struct MedsyncRecordCall
{
	MemoryContext context;		/* holds all this; wiped with it */
	MemoryContext caller;		/* the one before */
	uint8		actor[MEDSYNC_PERSON_ID_SIZE];
	uint8		id[MEDSYNC_ID_SIZE];	/* as asked for */
	MedsyncRecord *record;
	bool		is_new;			/* the record is being made */
	Snapshot	snapshot;		/* what the record is read by */
	MedsyncGcm *gcm;
	bool		has_record_key;
	uint8		record_key[MEDSYNC_KEY_SIZE];	/* K_record of the patient */
	uint8		data_key[MEDSYNC_KEY_SIZE];
	uint8		old_key[MEDSYNC_KEY_SIZE];	/* the one it replaces */
	StringInfoData aad;			/* of the version whose data key that is */
	uint8	   *plain;			/* a chunk of content, or NULL */
	MemoryContextCallback wipe;
} MedsyncRecordCall;

/* A stored chunk, as the walk below tells it */
typedef struct MedsyncStoredChunk
{
	ItemPointerData tid;
	int32		number;
	const uint8 *body;
	size_t		len;
} MedsyncStoredChunk;

/* False ends the walk */
typedef bool (*MedsyncChunkCallback) (void *arg, const MedsyncStoredChunk *chunk);

extern void medsync_records_init(void);

/* store.c: rows */
extern const MedsyncShape medsync_record_shapes[];
extern MedsyncRecord *medsync_record_find(const uint8 *id, Snapshot snapshot);
extern void medsync_record_lock(const MedsyncRecord *record);
extern List *medsync_record_versions(const MedsyncRecord *record,
									 int32 number, Snapshot snapshot);
extern MedsyncRecordVersion *medsync_record_newest(const MedsyncRecord *record,
												   Snapshot snapshot);
extern MedsyncRecordHead *medsync_head_find(const MedsyncRecord *record,
											Snapshot snapshot);
extern int32 medsync_versions_digest(const MedsyncRecord *record,
									 Snapshot snapshot, uint8 *digest);
extern void medsync_head_insert(const MedsyncRecord *record,
								const MedsyncRecordHead *head);
extern void medsync_head_update(const MedsyncRecordHead *head);
extern bool medsync_chunks_walk(const MedsyncRecord *record, int32 version,
								Snapshot snapshot,
								MedsyncChunkCallback callback, void *arg);
extern void medsync_record_insert(const MedsyncRecord *record);
extern void medsync_version_insert(const MedsyncRecord *record,
								   const MedsyncRecordVersion *version);
extern void medsync_version_update(const MedsyncRecordVersion *version);
extern void medsync_version_void(const MedsyncRecordVersion *version);
extern void medsync_holder_insert(const MedsyncRecord *record, int32 version,
								  const MedsyncHolder *holder);
extern void medsync_holder_update(const MedsyncHolder *holder);
extern List *medsync_holder_places(const MedsyncRecord *record,
								   const uint8 *person, Snapshot snapshot);
extern void medsync_holder_delete(const ItemPointerData *place);
extern void medsync_chunk_insert(const MedsyncRecord *record, int32 version,
								 int32 chunk, bytea *body);
extern void medsync_chunk_delete(const ItemPointerData *tid);
extern void medsync_event_insert(Datum *values, const char *nulls);
extern bool medsync_event_exists(const uint8 *id);
extern List *medsync_record_ids(const char *patient, const uint8 *holder,
								Snapshot snapshot);
extern List *medsync_record_subjects(const uint8 *id, Snapshot snapshot);

/* envelope.c: keys, wraps, statements, chunks */
extern void medsync_record_call_init(MedsyncRecordCall *call);
extern int32 medsync_record_chunk_count(int64 length);
extern MedsyncKeyStatus medsync_statement_key_read(MedsyncKeyReader *reader,
												   uint8 *public_key);
extern void medsync_statement_key(uint8 *public_key);
extern bool medsync_statement_holds(const uint8 *ledger_id,
									const uint8 *public_key,
									const MedsyncRecord *record,
									const MedsyncRecordVersion *version);
extern void medsync_statement_sign(const MedsyncRecord *record,
								   MedsyncRecordVersion *version);
extern bool medsync_head_holds(const uint8 *ledger_id,
							   const uint8 *public_key,
							   const MedsyncRecord *record,
							   const MedsyncRecordHead *head,
							   Snapshot snapshot);
extern void medsync_head_sign(const MedsyncRecord *record,
							  MedsyncRecordHead *head, Snapshot snapshot);
extern MedsyncRecordReason medsync_chunks_check(const MedsyncRecord *record,
												const MedsyncRecordVersion *version,
												Snapshot snapshot);
extern void medsync_data_key_make(MedsyncRecordCall *call,
								  MedsyncRecordVersion *version);
extern bool medsync_data_key_open(MedsyncRecordCall *call,
								  const MedsyncRecordVersion *version);
extern bool medsync_data_key_unwrap(MedsyncRecordCall *call,
									const MedsyncRecordVersion *version,
									bytea *private_key);
extern void medsync_holder_wrap(MedsyncRecordCall *call,
								MedsyncHolder *holder);
extern void medsync_content_seal(MedsyncRecordCall *call,
								 MedsyncRecordVersion *version,
								 const uint8 *content);
extern MedsyncRecordReason medsync_content_open(MedsyncRecordCall *call,
												const MedsyncRecordVersion *version,
												uint8 *content);
extern MedsyncRecordReason medsync_content_reseal(MedsyncRecordCall *call,
												  MedsyncRecordVersion *version);

/* access.c: who may */
extern MedsyncHolder *medsync_holder_find(const MedsyncRecordVersion *version,
										  const uint8 *person);
extern bool medsync_record_may(const uint8 *actor, const MedsyncRecord *record,
							   const MedsyncRecordVersion *version,
							   MedsyncRecordRight right, const uint8 *person);
extern void medsync_require_key(const uint8 *person);

/* event.c: what was done and what was not */
extern void medsync_event_init(void);
extern Datum medsync_id_value(const uint8 *id);
extern void medsync_records_track(void);
extern void medsync_records_prepare(void);
extern bool medsync_event_is_damage(const MedsyncEventRow *row);
extern bool medsync_event_is_get(const char *event);
extern void medsync_event_write(const MedsyncEventRow *row);
extern void medsync_record_event(const MedsyncRecordCall *call,
								 MedsyncRecordEvent event, int32 version,
								 const uint8 *recipient);
extern void medsync_record_refuse(const uint8 *record, const uint8 *actor,
								  MedsyncRecordReason reason,
								  const uint8 *recipient) pg_attribute_noreturn();
extern void medsync_record_note_damage(const MedsyncRecordCall *call,
									   int32 version,
									   MedsyncRecordReason reason);
extern void medsync_record_damaged(const MedsyncRecordCall *call,
								   int32 version,
								   MedsyncRecordReason reason) pg_attribute_noreturn();

/* pending.c: events that are not in record_event yet */
extern void medsync_pending_init(void);
extern bool medsync_pending_insert(const MedsyncEventRow *row);
extern void medsync_pending_keep(const MedsyncEventRow *row);
extern void medsync_pending_take_over(bool by_worker);

/* verify_records.c */
extern void medsync_verify_records_init(void);

#endif							/* MEDSYNC_RECORDS_H */
