/*-------------------------------------------------------------------------
 *
 * manifest_text.h
 *		A manifest and its text.
 *
 * A manifest says what a table number of the ledger stands for; its text is
 * in docs/formats.md, "Manifest".  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_MANIFEST_TEXT_H
#define MEDSYNC_MANIFEST_TEXT_H

typedef struct MedsyncColumn
{
	int			number;			/* never reused within a table number */
	char	   *name;
	char	   *type;			/* qualified, with modifier */
	bool		excluded;
} MedsyncColumn;

typedef struct MedsyncManifest
{
	uint32		table;			/* ledger table number */
	uint32		version;		/* from 1 */
	uint32		parent;			/* number of the partitioned parent, or 0 */
	char	   *schema_name;
	char	   *table_name;
	bool		tracked;		/* false in the last one, after untrack */
	bool		partitioned;	/* holds no rows of its own */
	bool		full;			/* row images are stored */
	int			subject;		/* column number, 0: the table's own key */
	int			next_column;	/* the number that a new column gets */
	int			key_count;
	int		   *key;			/* column numbers of the primary key */
	int			signer;			/* column numbers; 0: no signature is demanded */
	int			signature;
	int			on_behalf_of;	/* 0: there is none */
	int			column_count;
	MedsyncColumn *columns;		/* ascending number; dropped ones are gone */
} MedsyncManifest;

extern char *medsync_manifest_write(const MedsyncManifest *manifest);
extern MedsyncManifest *medsync_manifest_read(const char *content, size_t len);
extern void medsync_manifest_free(MedsyncManifest *manifest);

extern const MedsyncColumn *medsync_manifest_column(const MedsyncManifest *manifest,
													const char *name);
extern const MedsyncColumn *medsync_manifest_column_number(const MedsyncManifest *manifest,
														   int number);
extern bool medsync_manifest_demand_holds(const MedsyncManifest *manifest);
extern bool medsync_manifest_is_key(const MedsyncManifest *manifest,
									int number);

#endif							/* MEDSYNC_MANIFEST_TEXT_H */
