/*-------------------------------------------------------------------------
 *
 * identity.h
 *		People, their keys, and who acts: what later rooms may ask.
 *
 * Look-ups see the latest committed state and the caller's own changes,
 * take no predicate locks, and are cached for the session until identity's
 * tables change.  Results are valid until the next call.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_IDENTITY_H
#define MEDSYNC_IDENTITY_H

#include "datatype/timestamp.h"
#include "ledger/entry.h"
#include "utils/hsearch.h"
#include "vault/public_key.h"

#define MEDSYNC_PERSON_ID_SIZE	MEDSYNC_ID_SIZE

/* A row of person */
typedef struct MedsyncPerson
{
	uint8		id[MEDSYNC_PERSON_ID_SIZE];
	char	   *kind;
	char	   *role;			/* NULL: none */
	char	   *subject;		/* as tracked tables name this person */
	bool		active;			/* verified, not suspended */
} MedsyncPerson;

/* A row of person_key, parsed */
typedef struct MedsyncPersonKey
{
	uint8		id[MEDSYNC_ID_SIZE];
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	MedsyncKeyAlgorithm algorithm;
	MedsyncPublicKey *key;		/* NULL: the stored bytes are no key */
	bytea	   *unread;			/* those bytes, until the key is asked for */
	TimestampTz valid_from;
	TimestampTz valid_until;	/* DT_NOEND: none */
	TimestampTz revoked_at;		/* DT_NOEND: not revoked */
} MedsyncPersonKey;

extern void medsync_identity_init(void);

/* Who acts; false: nobody */
extern bool medsync_actor(uint8 *person);

/* NULL: no such row */
extern const MedsyncPerson *medsync_person_find(const uint8 *id);
extern const MedsyncPersonKey *medsync_person_key_find(const uint8 *id);
extern bool medsync_person_key_valid(const MedsyncPersonKey *key, TimestampTz at);

/* The newest key of a person that wraps and is valid now; NULL: none */
extern const MedsyncPersonKey *medsync_person_wrapping_key(const uint8 *person);

/* For verify: every key there is now, freed with the context; and one of them, NULL if it is not there */
extern HTAB *medsync_person_keys_load(MemoryContext context);
extern const MedsyncPersonKey *medsync_person_keys_find(HTAB *keys,
														const uint8 *id);

/* Tell a person: a row of notice, and NOTIFY.  As the extension's owner. */
extern bool medsync_notice_exists(const char *subject, const char *kind,
								  const uint8 *record, TimestampTz since);
extern void medsync_notice(const char *subject, const char *kind,
						   const uint8 *record, const char *detail);

#endif							/* MEDSYNC_IDENTITY_H */
