/*-------------------------------------------------------------------------
 *
 * identity_internal.h
 *		What the files of this room share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_IDENTITY_INTERNAL_H
#define MEDSYNC_IDENTITY_INTERNAL_H

#include "fmgr.h"
#include "identity/identity.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define MEDSYNC_PERSON_TEXT_MAX	1024	/* bytes of a name, a reason ... */

/* A bind argument of a command of ours */
typedef struct MedsyncBind
{
	Oid			type;
	Datum		value;
	bool		isnull;
} MedsyncBind;

static inline MedsyncBind
medsync_bind(Oid type, Datum value)
{
	MedsyncBind bind = {.type = type,.value = value,.isnull = false};

	return bind;
}

/* An argument of the function, which may be null */
static inline MedsyncBind
medsync_bind_argument(FunctionCallInfo fcinfo, int n, Oid type)
{
	MedsyncBind bind = {.type = type,.isnull = PG_ARGISNULL(n)};

	if (!bind.isnull)
		bind.value = PG_GETARG_DATUM(n);
	return bind;
}

/* people.c */
extern uint64 medsync_people_execute(const char *command, int count,
									 const MedsyncBind *binds);
extern void medsync_people_new_id(pg_uuid_t *id);
extern void medsync_people_require(FunctionCallInfo fcinfo, int n,
								   const char *name);
extern void medsync_people_check_known(const pg_uuid_t *person);
extern void medsync_people_revoke(FunctionCallInfo fcinfo, const char *table,
								  const char *what);

/* keys.c */
extern uint64 medsync_identity_generation(void);
extern TimestampTz medsync_identity_now(void);
extern const MedsyncPerson *medsync_person_by_role(const char *role);

/* the room's parts, in medsync_identity_init's order */
extern void medsync_keys_init(void);
extern void medsync_actor_init(void);
extern void medsync_sign_in_init(void);
extern void medsync_revocation_init(void);

/* actor.c */
extern void medsync_actor_sign_in(const uint8 *person, const uint8 *key,
								  bool transaction);

/* revocation.c */
extern void medsync_revocation_begins(void);

#endif							/* MEDSYNC_IDENTITY_INTERNAL_H */
