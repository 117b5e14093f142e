/*-------------------------------------------------------------------------
 *
 * rules.c
 *		What an entry, a manifest and a signer entry may say.
 *
 * docs/formats.md, "Entry", "Manifest" and "Signer entry".  Where an entry
 * may stand is told in chain.c.  A rule is here only if every ledger that a
 * server can have written keeps it: what depends on clocks, on the names of
 * roles or on a ledger's past that only its server knows is not.
 *
 * Functions that judge an entry return what is wrong with it, or NULL.  A
 * manifest is judged by the entry that announces it, and used as a rule for
 * other entries only from then on.
 *
 * Memory: about 90 bytes a manifest and 200 a signer entry.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "mb/pg_wchar.h"

#include "ledger/manifest_text.h"
#include "proofs/key_row.h"
#include "rules.h"
#include "sort.h"

#define ERA_DETAIL_SIZE		20
#define REASON_MAX			101
#define SIGNERS_MAX			65536

/* Of what an entry of an operation is */
typedef enum EntrySubject
{
	OF_NOTHING,					/* the operation is not used */
	OF_LEDGER,					/* table 0, manifest 0 */
	OF_TABLE,					/* a table that is announced */
	OF_ROW						/* a row of such a table */
} EntrySubject;

typedef struct OperationRule
{
	EntrySubject subject;
	uint32		required;		/* fields: these must be there */
	uint32		allowed;		/* these may be there as well */
} OperationRule;

#define KEY			MEDSYNC_HAS_KEY_ID
#define OLD			MEDSYNC_HAS_OLD
#define NEW			MEDSYNC_HAS_NEW
#define DETAIL		MEDSYNC_HAS_DETAIL
#define REPLICA		MEDSYNC_HAS_REPLICA
#define ROW_KEY		MEDSYNC_HAS_ROW_KEY
#define WRITER		(MEDSYNC_HAS_REPLICA | MEDSYNC_HAS_PERSON)
#define SIGNED		MEDSYNC_HAS_SIGNATURE

/*
 * The rule of each operation; one that is not named is not used.  A signature
 * is there exactly where the manifest demands it, which is checked apart.
 */
static const OperationRule rules_of[] = {
	[MEDSYNC_OP_INSERT] = {OF_ROW, KEY | NEW, ROW_KEY | WRITER | SIGNED | DETAIL},
	[MEDSYNC_OP_UPDATE] = {OF_ROW, KEY | OLD | NEW, ROW_KEY | WRITER | SIGNED | DETAIL},
	[MEDSYNC_OP_UPDATE_OUT] = {OF_ROW, KEY | OLD, ROW_KEY | WRITER},
	[MEDSYNC_OP_UPDATE_IN] = {OF_ROW, KEY | NEW, ROW_KEY | WRITER | SIGNED | DETAIL},
	[MEDSYNC_OP_DELETE] = {OF_ROW, KEY | OLD, ROW_KEY | WRITER},
	[MEDSYNC_OP_BASELINE] = {OF_ROW, KEY | NEW, ROW_KEY | WRITER | SIGNED},
	[MEDSYNC_OP_TRUNCATE] = {OF_TABLE, MEDSYNC_HAS_REPLICA, WRITER},
	[MEDSYNC_OP_DDL] = {OF_TABLE, KEY | MEDSYNC_HAS_OBJECT, WRITER},
	[MEDSYNC_OP_ERA] = {OF_LEDGER, DETAIL, 0},
	[MEDSYNC_OP_SIGNER] = {OF_LEDGER, DETAIL, WRITER}
};

/* ---- manifests ---- */

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool
has_equal_names(const MedsyncManifest *manifest)
{
	const char **names = pg_malloc(sizeof(char *) *
								   (manifest->column_count + 1));
	bool		found = false;
	int			i;

	for (i = 0; i < manifest->column_count; i++)
		names[i] = manifest->columns[i].name;
	medsync_sort(names, manifest->column_count, sizeof(char *), compare_names);
	for (i = 1; i < manifest->column_count; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			found = true;
	pg_free(names);
	return found;
}

/* The column of a number, which ascend; NULL: there is none. */
static const MedsyncColumn *
find_column(const MedsyncManifest *manifest, int number)
{
	int			low = 0;
	int			high = manifest->column_count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (manifest->columns[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < manifest->column_count &&
		manifest->columns[low].number == number ?
		&manifest->columns[low] : NULL;
}

/* Do rows have a key?  An excluded column is no part of one. */
static bool
has_row_key(const MedsyncManifest *manifest)
{
	int			i;

	for (i = 0; i < manifest->key_count; i++)
	{
		const MedsyncColumn *column = find_column(manifest, manifest->key[i]);

		if (column != NULL && !column->excluded)
			return true;
	}
	return false;
}

static int
compare_numbers(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Is the primary key of columns that are there, each once?  Sorts it. */
static bool
is_key_of_columns(MedsyncManifest *manifest)
{
	int			i;

	medsync_sort(manifest->key, manifest->key_count, sizeof(int),
				 compare_numbers);
	for (i = 0; i < manifest->key_count; i++)
		if (find_column(manifest, manifest->key[i]) == NULL ||
			(i > 0 && manifest->key[i - 1] == manifest->key[i]))
			return false;
	return true;
}

/* A manifest of the list; they ascend by table and version. */
void
medsync_rules_manifest(MedsyncRules *rules, uint32 table, uint32 version,
					   const char *content, size_t len)
{
	MedsyncManifest *parsed = medsync_manifest_read(content, len);
	MedsyncRuleManifest *manifest;

	if (rules->manifest_count == rules->manifest_capacity)
	{
		rules->manifest_capacity = Max(64, rules->manifest_capacity * 2);
		rules->manifests = pg_realloc(rules->manifests,
									  sizeof(MedsyncRuleManifest) *
									  rules->manifest_capacity);
	}
	manifest = &rules->manifests[rules->manifest_count++];
	memset(manifest, 0, sizeof(*manifest));
	manifest->table = table;
	manifest->version = version;
	manifest->used_by = -1;
	medsync_sha256(content, len, manifest->digest);
	if (rules->manifest_count > 1 &&
		(manifest[-1].table > table ||
		 (manifest[-1].table == table && manifest[-1].version >= version)))
		rules->manifests_lost = true;
	if (parsed == NULL)
		return;
	manifest->readable = true;
	manifest->parent = parsed->parent;
	manifest->has_rows = parsed->tracked && !parsed->partitioned;
	manifest->partitioned = parsed->partitioned;
	manifest->has_row_key = has_row_key(parsed);
	manifest->signer = parsed->signer;
	manifest->signature = parsed->signature;
	manifest->on_behalf_of = parsed->on_behalf_of;
	if (has_equal_names(parsed))
		manifest->problem = "two columns of its manifest have one name";
	else if (!is_key_of_columns(parsed))
		manifest->problem = "the primary key in its manifest is not of columns, each once";
	medsync_manifest_free(parsed);
}

/* NULL: there is none. */
static MedsyncRuleManifest *
find_manifest(const MedsyncRules *rules, uint32 table, uint32 version)
{
	int			low = 0;
	int			high = rules->manifest_count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const MedsyncRuleManifest *manifest = &rules->manifests[middle];

		if (manifest->table < table ||
			(manifest->table == table && manifest->version < version))
			low = middle + 1;
		else
			high = middle;
	}
	return low < rules->manifest_count &&
		rules->manifests[low].table == table &&
		rules->manifests[low].version == version ?
		&rules->manifests[low] : NULL;
}

/* What demands a signature goes on demanding it, in the same columns. */
static bool
keeps_signature(const MedsyncRules *rules, const MedsyncRuleManifest *manifest)
{
	const MedsyncRuleManifest *before = find_manifest(rules, manifest->table,
													  manifest->version - 1);

	return before == NULL || !before->holds || before->signer == 0 ||
		(before->signer == manifest->signer &&
		 before->signature == manifest->signature &&
		 before->on_behalf_of == manifest->on_behalf_of);
}

/* An entry announces its manifest. */
static const char *
check_announced(MedsyncRules *rules, const MedsyncEntry *entry)
{
	MedsyncRuleManifest *manifest = find_manifest(rules, entry->table,
												  entry->manifest);
	const MedsyncRuleManifest *parent;

	if (manifest == NULL)
	{
		rules->manifests_lost = true;	/* entries.c has said so */
		return NULL;
	}
	manifest->announced = true;
	manifest->holds = manifest->readable &&
		memcmp(manifest->digest, entry->object, MEDSYNC_HASH_SIZE) == 0;
	if (!manifest->holds)
		return NULL;
	if (!keeps_signature(rules, manifest))
		return "its manifest does not demand the signature any more that the one before did";
	if (manifest->parent == 0 || manifest->problem != NULL)
		return manifest->problem;
	parent = find_manifest(rules, manifest->parent, 1);
	if (manifest->parent == manifest->table || parent == NULL ||
		(parent->readable && !parent->partitioned))
		return "its manifest is of a partition of no partitioned table";
	return NULL;
}

/* What held of the signer goes with a signature that is made now. */
static const char *
check_detail(const MedsyncEntry *entry)
{
	bool		has_detail = (entry->fields & MEDSYNC_HAS_DETAIL) != 0;

	if ((entry->fields & MEDSYNC_HAS_SIGNATURE) == 0)
		return NULL;			/* see medsync_rules_lacks_signature() */
	if (has_detail == medsync_key_row_must_be_valid(entry))
		return NULL;
	return has_detail ? "it has a field too many: what held of its signer" :
		"a field is missing: what held of its signer";
}

/* An entry is of a table: does its manifest fit? */
static const char *
check_table(MedsyncRules *rules, int64 index, const MedsyncEntry *entry,
			bool of_row)
{
	MedsyncRuleManifest *manifest = find_manifest(rules, entry->table,
												  entry->manifest);

	if (manifest == NULL)
		return "no manifest has its table and version";
	if (manifest->used_by < 0 && index >= 0)
		manifest->used_by = index;
	if (!manifest->holds)
		return NULL;
	if (!manifest->has_rows)
		return "its manifest is of a table without tracked rows";
	if (of_row &&
		((entry->fields & MEDSYNC_HAS_ROW_KEY) != 0) != manifest->has_row_key)
		return manifest->has_row_key ? "it has no row key" :
			"it has a row key, and the table no primary key";
	if (manifest->signer == 0 &&
		(entry->fields & (MEDSYNC_HAS_SIGNATURE | MEDSYNC_HAS_DETAIL)) != 0)
		return "it has a field too many: its table demands no signature";
	return check_detail(entry);
}

/* Has an entry no signature, although its table demands one? */
bool
medsync_rules_lacks_signature(const MedsyncRules *rules,
							  const MedsyncEntry *entry)
{
	const MedsyncRuleManifest *manifest;

	if ((entry->fields & MEDSYNC_HAS_NEW) == 0 ||
		(entry->fields & MEDSYNC_HAS_SIGNATURE) != 0)
		return false;
	manifest = find_manifest(rules, entry->table, entry->manifest);
	return manifest != NULL && manifest->holds && manifest->signer != 0;
}

/* ---- signers ---- */

/* What stands behind the key in the detail of a declared era. */
static bool
is_reason(const char *reason, int len)
{
	return len >= 1 && len <= REASON_MAX &&
		memchr(reason, '\0', len) == NULL &&
		memchr(reason, '\n', len) == NULL &&
		pg_encoding_verifymbstr(PG_UTF8, reason, len) == len;
}

static void
add_signer(MedsyncRules *rules, int64 index, const MedsyncVerifierKey *key)
{
	MedsyncRuleSigner *signer;

	if (rules->signer_count == SIGNERS_MAX)
		return;
	rules->signers = pg_realloc(rules->signers, sizeof(MedsyncRuleSigner) *
								(rules->signer_count + 1));
	signer = &rules->signers[rules->signer_count++];
	signer->index = index < 0 ? PG_INT64_MAX : index;
	signer->key = *key;
}

/*
 * A signer entry.  One of an earlier era can stand behind one that was made
 * later (see chain.c): from there on their order says nothing.
 */
static const char *
check_signer(MedsyncRules *rules, int64 index, const MedsyncEntry *entry,
			 bool in_order)
{
	const char *detail = (const char *) entry->detail;
	const char *end = detail + entry->detail_len;
	const char *newline = memchr(detail, '\n', entry->detail_len);
	MedsyncVerifierKey key;
	bool		same_name;
	bool		first = rules->signer_count == 0;

	if (!medsync_vkey_parse(detail, (newline ? newline : end) - detail, &key))
		return NULL;			/* entries.c says so */
	if (key.type != MEDSYNC_SIGNATURE_ED25519)
		return "its key is not one that a log signs with";
	if (newline != NULL && !is_reason(newline + 1, end - newline - 1))
		return "its reason is not one line of 1 to 101 bytes";
	if (!in_order)
		rules->signers_lost = true;
	if (rules->signers_lost)
		return NULL;
	same_name = !first &&
		strcmp(rules->signers[rules->signer_count - 1].key.name, key.name) == 0;
	add_signer(rules, index, &key);
	if (first || same_name == (newline == NULL))
		return NULL;
	return newline ? "it has a reason, and the origin stays" :
		"it has another origin, and no reason";
}

/* The last key announced below a size; NULL: none. */
static const MedsyncRuleSigner *
newest_signer(const MedsyncRules *rules, uint64 size)
{
	int			i;

	for (i = rules->signer_count - 1; i >= 0; i--)
		if ((uint64) rules->signers[i].index < size)
			return &rules->signers[i];
	return NULL;
}

/*
 * Who signed a checkpoint, against who is to sign by the entries below its
 * size.  Until its own entry is sealed and covered another key can sign that
 * nothing here announces, so that its absence alone is no damage.
 */
void
medsync_rules_checkpoint(const MedsyncRules *rules, const char *text,
						 size_t len, const MedsyncCheckpoint *checkpoint)
{
	const MedsyncRuleSigner *newest = newest_signer(rules, checkpoint->size);
	MedsyncPlace place = MEDSYNC_NO_PLACE;
	MedsyncNote note;
	MedsyncNoteVerdict verdict;
	int			i;

	if (newest == NULL || rules->signers_lost ||
		!medsync_note_parse(text, len, &note))
		return;
	place.index = newest->index;
	verdict = medsync_note_check(&note, &newest->key, NULL);
	if (verdict == MEDSYNC_NOTE_FORGED)
		medsync_report_finding(MEDSYNC_ERROR, "bad_signature", place, NULL,
							   NULL, "The signature on the checkpoint of the key that this entry announces is wrong.");
	if (verdict != MEDSYNC_NOTE_NOT_SIGNED)
		return;
	for (i = 0; i < rules->signer_count; i++)
		if ((uint64) rules->signers[i].index >= checkpoint->size &&
			medsync_note_check(&note, &rules->signers[i].key,
							   NULL) == MEDSYNC_NOTE_SIGNED)
			return;
	medsync_report_finding(MEDSYNC_NOTICE, "bad_signature", place, NULL, NULL,
						   "The checkpoint of size " UINT64_FORMAT " is not signed by the newest key that the log announces, %s. That is right only until the next change of keys is sealed and signed.",
						   checkpoint->size, newest->key.name);
}

/* ---- entries ---- */

/* Roles have a name, and no server's names have a NUL. */
static bool
is_role(const char *role, int len)
{
	return len > 0 && memchr(role, '\0', len) == NULL;
}

/*
 * An entry by itself; index -1: it is not sealed.  "in_order": no entry that
 * was made after its era stands before it.
 */
const char *
medsync_rules_entry(MedsyncRules *rules, int64 index,
					const MedsyncPackedHeader *header,
					const MedsyncEntry *entry, bool in_order)
{
	const OperationRule *rule;

	if (medsync_operation_name(entry->operation) == NULL)
		return NULL;			/* entries.c says so */
	rule = &rules_of[entry->operation];
	if (rule->subject == OF_NOTHING)
		return "no version writes its operation";
	if ((entry->fields & rule->required) != rule->required)
		return "a field is missing";
	if ((entry->fields & ~(rule->required | rule->allowed)) != 0)
		return "it has a field too many";
	if (!is_role(header->session_role, header->session_role_len) ||
		!is_role(entry->role, entry->role_len))
		return "its role has no name";
	if (rule->subject == OF_LEDGER &&
		(entry->table != 0 || entry->manifest != 0))
		return "it names a table";
	if (entry->operation == MEDSYNC_OP_DDL)
		return check_announced(rules, entry);
	if (entry->operation == MEDSYNC_OP_SIGNER)
		return check_signer(rules, index, entry, in_order);
	if (rule->subject == OF_LEDGER || rules->manifests_lost)
		return NULL;
	return check_table(rules, index, entry, rule->subject == OF_ROW);
}

/*
 * Halves of an update stand together: the first one's entry before "entry",
 * which is of the same transaction; NULL: none follows there.  Sets *index
 * where the first half is to blame.
 */
const char *
medsync_rules_pair(MedsyncRules *rules, int64 *index,
				   const MedsyncEntry *entry)
{
	bool		after_out = rules->after_out;
	const MedsyncEntry *out = &rules->out;
	int64		out_index = rules->out_index;
	bool		is_in = entry != NULL &&
		entry->operation == MEDSYNC_OP_UPDATE_IN;
	bool		fits = is_in && after_out && entry->table == out->table &&
		entry->manifest == out->manifest &&
		entry->command == out->command && entry->ordinal == out->ordinal + 1;

	if (entry != NULL && entry->operation == MEDSYNC_OP_UPDATE_OUT)
	{
		rules->out = *entry;
		rules->out_index = *index;
		rules->after_out = true;
	}
	else
		rules->after_out = false;
	if (after_out && !fits)
	{
		*index = out_index;
		return "the second half of the update does not follow";
	}
	return is_in && !fits ? "the first half of the update is missing" : NULL;
}

/* No entry follows, and the stream had all there are. */
void
medsync_rules_end(const MedsyncRules *rules)
{
	int			i;

	if (rules->manifests_lost || medsync_summary.ledger_damaged)
		return;
	for (i = 0; i < rules->manifest_count; i++)
	{
		const MedsyncRuleManifest *manifest = &rules->manifests[i];
		MedsyncPlace place = MEDSYNC_NO_PLACE;

		if (manifest->announced || manifest->used_by < 0)
			continue;
		place.index = manifest->used_by;
		medsync_report_finding(MEDSYNC_ERROR, "entry_missing", place, NULL,
							   NULL,
							   "No entry announces manifest version %u of table number %u, which this entry names.",
							   manifest->version, manifest->table);
	}
}
