/*-------------------------------------------------------------------------
 *
 * actor.c
 *		Who acts in this session.
 *
 * Nothing is stored.  Who signed in is in the setting medsync.actor, "person
 * key", because settings follow transactions and savepoints, reach parallel
 * workers, and fall with RESET ALL and DISCARD ALL.  Only our own C code
 * gives it a value: everybody else may clear it, which signs out.  A person
 * who has signed in acts as long as person and key are good; else the person
 * acts whom the session's role stands for, whatever SET ROLE says.
 *
 * The ledger asks for every entry, so the answer is remembered until the
 * setting, the session's role, a person or a key changes, or the key expires.
 * No locks but those of the look-ups.  Works on a standby, and in parallel
 * workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "common/catalog.h"
#include "identity/identity_internal.h"
#include "ledger/journal.h"

#define UUID_TEXT_LEN		36

/* GUC variable */
static char *signed_in = NULL;

/* Is it our own code that gives the setting its value? */
static bool setting_actor = false;

/* The last answer */
static struct
{
	bool		valid;
	bool		somebody;
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	uint64		generation;		/* of people and keys */
	Oid			session_role;
	TimestampTz until;			/* when the key that signed in expires */
} answer;

PG_FUNCTION_INFO_V1(medsync_actor_function);
PG_FUNCTION_INFO_V1(medsync_sign_out);

/*
 * A parallel worker takes what its leader has, which was checked there.  That
 * comes as if it were set in the session; a default of a role or database
 * does not, should the worker load us before it has the leader's settings.
 */
static bool
check_actor(char **newval, void **extra, GucSource source)
{
	if (setting_actor || *newval == NULL || **newval == '\0' ||
		(InitializingParallelWorker && source == PGC_S_SESSION))
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("parameter \"medsync.actor\" cannot be set");
	GUC_check_errhint("Call medsync.sign_in().");
	return false;
}

static void
assign_actor(const char *newval, void *extra)
{
	answer.valid = false;
}

/* Syscache callback: a role may have got another name. */
static void
forget_answer(Datum arg, int cacheid, uint32 hashvalue)
{
	answer.valid = false;
}

void
medsync_actor_init(void)
{
	DefineCustomStringVariable("medsync.actor",
							   "Shows who has signed in: person and key.",
							   "Only medsync.sign_in() sets it; to clear it signs out.",
							   &signed_in,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_actor, assign_actor, NULL);
	CacheRegisterSyscacheCallback(AUTHOID, forget_answer, (Datum) 0);
	medsync_journal_set_actor_source(medsync_actor);
}

static void
set_actor(const char *value, GucAction action)
{
	setting_actor = true;
	PG_TRY();
	{
		(void) set_config_option("medsync.actor", value,
								 superuser() ? PGC_SUSET : PGC_USERSET,
								 PGC_S_SESSION, action, true, 0, false);
	}
	PG_FINALLY();
	{
		setting_actor = false;
	}
	PG_END_TRY();
}

/* Somebody has signed in with a key, for the transaction or the session. */
void
medsync_actor_sign_in(const uint8 *person, const uint8 *key, bool transaction)
{
	set_actor(psprintf("%s %s", medsync_id_text(person), medsync_id_text(key)),
			  transaction ? GUC_ACTION_LOCAL : GUC_ACTION_SET);
}

/* medsync.sign_out() */
Datum
medsync_sign_out(PG_FUNCTION_ARGS)
{
	PreventCommandIfParallelMode("medsync.sign_out()");
	set_actor("", GUC_ACTION_SET);
	PG_RETURN_VOID();
}

/* Read one of the two ids in the setting. */
static void
read_id(const char *text, uint8 *id)
{
	char	   *copy = pnstrdup(text, UUID_TEXT_LEN);

	memcpy(id,
		   DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(copy)))->data,
		   UUID_LEN);
	pfree(copy);
}

/* Is somebody signed in who may still act?  Fills in the answer. */
static bool
find_signed_in(TimestampTz now)
{
	uint8		person_id[MEDSYNC_PERSON_ID_SIZE];
	uint8		key_id[MEDSYNC_ID_SIZE];
	const MedsyncPerson *person;
	const MedsyncPersonKey *key;

	if (signed_in == NULL || *signed_in == '\0')
		return false;
	read_id(signed_in, person_id);
	read_id(signed_in + UUID_TEXT_LEN + 1, key_id);
	person = medsync_person_find(person_id);
	key = medsync_person_key_find(key_id);
	if (person == NULL || !person->active || key == NULL ||
		memcmp(key->person, person_id, MEDSYNC_PERSON_ID_SIZE) != 0 ||
		!medsync_person_key_valid(key, now))
		return false;
	memcpy(answer.person, person_id, MEDSYNC_PERSON_ID_SIZE);
	answer.until = Min(key->valid_until, key->revoked_at);
	return true;
}

/* Does the session's role stand for a person who may act? */
static bool
find_behind_role(void)
{
	char	   *role = GetUserNameFromId(GetSessionUserId(), true);
	const MedsyncPerson *person;

	if (role == NULL)
		return false;			/* dropped meanwhile */
	person = medsync_person_by_role(role);
	pfree(role);
	if (person == NULL || !person->active)
		return false;
	memcpy(answer.person, person->id, MEDSYNC_PERSON_ID_SIZE);
	answer.until = DT_NOEND;
	return true;
}

static void
find_answer(uint64 generation, TimestampTz now)
{
	answer.valid = true;		/* an invalidation meanwhile counts */
	answer.generation = generation;
	answer.session_role = GetSessionUserId();
	answer.until = DT_NOEND;
	PG_TRY();
	{
		answer.somebody = find_signed_in(now) || find_behind_role();
	}
	PG_CATCH();
	{
		answer.valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Who acts now?  False: nobody. */
bool
medsync_actor(uint8 *person)
{
	TimestampTz now = medsync_identity_now();
	uint64		generation = medsync_identity_generation();

	if (!answer.valid || answer.generation != generation ||
		answer.session_role != GetSessionUserId() || now >= answer.until)
		find_answer(generation, now);
	if (answer.somebody)
		memcpy(person, answer.person, MEDSYNC_PERSON_ID_SIZE);
	return answer.somebody;
}

/* medsync.actor() */
Datum
medsync_actor_function(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *person = palloc(sizeof(pg_uuid_t));

	if (!medsync_actor(person->data))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(person);
}
