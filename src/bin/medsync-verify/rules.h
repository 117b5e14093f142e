/*-------------------------------------------------------------------------
 *
 * rules.h
 *		What an entry, a manifest and a signer entry may say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VERIFY_RULES_H
#define MEDSYNC_VERIFY_RULES_H

#include "medsync_verify.h"

/* What the rules need of a manifest */
typedef struct MedsyncRuleManifest
{
	uint32		table;
	uint32		version;
	uint32		parent;
	uint8		digest[MEDSYNC_HASH_SIZE];
	bool		readable;
	bool		has_rows;		/* tracked, and not partitioned */
	bool		partitioned;
	bool		has_row_key;
	int			signer;			/* column numbers of a demanded signature; 0: */
	int			signature;		/* none is */
	int			on_behalf_of;
	bool		announced;
	bool		holds;			/* its text is the one that was announced */
	int64		used_by;		/* index of an entry; -1: none */
	const char *problem;		/* NULL: none */
} MedsyncRuleManifest;

/* A key that a signer entry announced */
typedef struct MedsyncRuleSigner
{
	int64		index;			/* PG_INT64_MAX: not sealed yet */
	MedsyncVerifierKey key;
} MedsyncRuleSigner;

typedef struct MedsyncRules
{
	MedsyncRuleManifest *manifests; /* ascending */
	int			manifest_count;
	int			manifest_capacity;
	bool		manifests_lost; /* out of order, or one is missing */
	MedsyncRuleSigner *signers; /* in ledger order */
	int			signer_count;
	bool		signers_lost;	/* their order is not that of their making */

	/* the entry before, in the same transaction */
	bool		after_out;		/* it was the first half of an update */
	MedsyncEntry out;			/* without what it points to */
	int64		out_index;
} MedsyncRules;

extern void medsync_rules_manifest(MedsyncRules *rules, uint32 table,
								   uint32 version, const char *content,
								   size_t len);
extern const char *medsync_rules_entry(MedsyncRules *rules, int64 index,
									   const MedsyncPackedHeader *header,
									   const MedsyncEntry *entry,
									   bool in_order);
extern bool medsync_rules_lacks_signature(const MedsyncRules *rules,
										  const MedsyncEntry *entry);
extern const char *medsync_rules_pair(MedsyncRules *rules, int64 *index,
									  const MedsyncEntry *entry);
extern void medsync_rules_checkpoint(const MedsyncRules *rules,
									 const char *text, size_t len,
									 const MedsyncCheckpoint *checkpoint);
extern void medsync_rules_end(const MedsyncRules *rules);

#endif							/* MEDSYNC_VERIFY_RULES_H */
