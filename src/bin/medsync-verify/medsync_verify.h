/*-------------------------------------------------------------------------
 *
 * medsync_verify.h
 *		What the parts of the offline verifier share.
 *
 *	main.c		options, keys, exit status
 *	input.c		files that the command line names
 *	report.c	findings, the summary, progress
 *	state.c		the checkpoint that is remembered between runs
 *	checkpoint.c	a signed checkpoint: signatures, witnesses, memory, age
 *	log.c		mode log: a public export, tile by tile
 *	entries.c	mode entries: the private export; the stream of records
 *	chain.c		blocks: their chain, and which entries they may hold
 *	rules.c		what entries, manifests and signer entries may say
 *	sort.c		sorting in an order that an outsider has chosen
 *	receipt.c	mode receipt
 *	live.c		mode live: the same stream from a server, and its tables
 *	live_signatures.c	the signatures of their rows
 *
 * What is read comes from whoever is being checked.  Whatever is wrong in
 * it is a finding; what cannot be read at all ends the program with status
 * 2, through medsync_cannot_check().
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_VERIFY_PROGRAM_H
#define MEDSYNC_VERIFY_PROGRAM_H

#include "compat.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"
#include "proofs/note.h"

#define MEDSYNC_EXIT_CLEAN			0
#define MEDSYNC_EXIT_FINDINGS		1
#define MEDSYNC_EXIT_NOT_CHECKED	2

typedef enum MedsyncMode
{
	MEDSYNC_MODE_NONE,			/* not known yet */
	MEDSYNC_MODE_LOG,
	MEDSYNC_MODE_ENTRIES,
	MEDSYNC_MODE_RECEIPT,
	MEDSYNC_MODE_LIVE
} MedsyncMode;

/* What the command line says */
typedef struct MedsyncOptions
{
	MedsyncMode mode;
	const char *target;			/* directory, file or connection string */
	const char *log_dir;		/* --log; in mode log the target */
	MedsyncVerifierKey *keys;	/* of the log and of witnesses */
	int			key_count;
	int			witnesses;		/* how many must have signed */
	const char *state_path;		/* NULL: remember nothing */
	int64		max_age;		/* seconds; 0: never stale */
	int			timeout;		/* seconds that a server may be silent; 0: any */
	bool		json;
	bool		quiet;			/* no words where nothing was found */
	bool		progress;
} MedsyncOptions;

/* ---- report.c ---- */

typedef enum MedsyncSeverity
{
	MEDSYNC_NOTICE,
	MEDSYNC_WARNING,
	MEDSYNC_ERROR
} MedsyncSeverity;

/* Where a finding is */
typedef struct MedsyncPlace
{
	const char *relation;		/* NULL: none */
	const char *row_key;		/* a JSON object; NULL: none */
	int64		block;			/* -1: none */
	int64		index;			/* -1: none */
} MedsyncPlace;

#define MEDSYNC_NO_PLACE	((MedsyncPlace) {NULL, NULL, -1, -1})

/* Sums of a run; the parts count into them */
typedef struct MedsyncSummary
{
	char		origin[MEDSYNC_KEY_NAME_MAX + 1];	/* of the checkpoint */
	bool		has_checkpoint;
	uint64		size;			/* of the checkpoint */
	uint8		root[MEDSYNC_HASH_SIZE];
	int			witnesses;		/* valid cosignatures by given witnesses */
	int64		entries;		/* sealed entries that were checked */
	int64		blocks;
	int64		tables;			/* live tables that were compared */
	int64		rows;			/* live rows that were compared */
	int64		unsealed;
	int64		errors;
	int64		warnings;
	int64		notices;
	bool		ledger_damaged; /* an error about the ledger, not a table */
} MedsyncSummary;

extern MedsyncSummary medsync_summary;

extern void medsync_report_begin(const MedsyncOptions *options);
extern void medsync_report_finding(MedsyncSeverity severity,
								   const char *verdict, MedsyncPlace place,
								   const char *expected, const char *found,
								   const char *detail,...) pg_attribute_printf(6, 7);
extern void medsync_report_signer(int64 index,
								  const MedsyncVerifierKey *key);
extern void medsync_report_table(const char *name, int64 rows);
extern void medsync_report_receipt(const char *json);	/* what a valid one says */
extern int	medsync_report_end(void);	/* the exit status */
pg_noreturn extern void medsync_cannot_check(const char *format,...) pg_attribute_printf(1, 2);
extern void medsync_progress(const char *what, int64 done, int64 total);	/* total 0: unknown */
extern char *medsync_hex(const void *bytes, size_t len);
extern char *medsync_number(uint64 value);

/* ---- input.c ---- */
extern FILE *medsync_open_input(const char *path, const char *what,
								int64 *size);
extern FILE *medsync_open_temporary(void);

/* ---- state.c ---- */

/* A tree that was signed */
typedef struct MedsyncRemembered
{
	uint64		size;
	uint8		root[MEDSYNC_HASH_SIZE];
	int64		first_seen;		/* POSIX seconds, of this size */
} MedsyncRemembered;

/* What was remembered of good runs */
typedef struct MedsyncState
{
	bool		exists;
	const char *note;			/* the largest signed checkpoint, verbatim */
	size_t		note_len;
	MedsyncCheckpoint checkpoint;	/* points into it */
	int64		first_seen;		/* POSIX seconds, of this size */
	bool		log_apart;		/* the public export's is another */
	bool		log_seen;		/* there is one: */
	MedsyncRemembered log;
	bool		has_block;
	uint64		block_height;	/* the last block known, and its hash */
	uint8		block_hash[MEDSYNC_HASH_SIZE];
} MedsyncState;

extern MedsyncState medsync_state;

extern void medsync_state_load(const MedsyncOptions *options);
extern void medsync_state_save(const MedsyncOptions *options,
							   const MedsyncState *state);

/* ---- checkpoint.c ---- */

/* Where a checkpoint comes from */
typedef enum MedsyncSource
{
	MEDSYNC_OF_LOG,				/* the public export */
	MEDSYNC_OF_ENTRIES,			/* the ledger itself: a stream's 'C' record */
	MEDSYNC_OF_RECEIPT
} MedsyncSource;

/* the most that is remembered: the largest, and the public export's */
#define MEDSYNC_REMEMBERED_MAX	2

/*
 * Checks a signed checkpoint: signatures, origin, witnesses, age, and what
 * can be told from the remembered ones without the tree (a smaller size, the
 * same size with another root, another origin).  False where its root cannot
 * be relied on.  A good one is what medsync_state_save() writes, unless a
 * finding says that the ledger is damaged.  The note must stay where it is.
 */
extern bool medsync_checkpoint_check(const MedsyncOptions *options,
									 MedsyncSource source, const char *note, size_t len,
									 MedsyncCheckpoint *checkpoint);
/* what the tree must go on from; how many */
extern int	medsync_checkpoint_remembered(MedsyncRemembered *known);
/* reports that the tree has another root at a remembered size */
extern void medsync_checkpoint_forked(const MedsyncRemembered *known,
									  const uint8 *found);
/* a block of a whole chain; the last one is remembered */
extern void medsync_checkpoint_block(uint64 height, const uint8 *hash);
/* where the newest one lacks cosignatures, an older one of the tree will do */
extern bool medsync_checkpoint_wants_older(const MedsyncOptions *options);
extern bool medsync_checkpoint_is_older(const MedsyncOptions *options,
										const char *note, size_t len,
										MedsyncCheckpoint *checkpoint,
										uint64 *newest_time);
extern void medsync_checkpoint_cosigned(uint64 newest_time);
/* at the end of a run: is the newest good one too old?  Remember it. */
extern void medsync_checkpoint_finish(const MedsyncOptions *options);
extern bool medsync_signed_by_log(const MedsyncOptions *options,
								  const MedsyncNote *note,
								  const MedsyncCheckpoint *checkpoint);

/* ---- log.c ---- */

/* The public export in a directory */
typedef struct MedsyncLog
{
	const char *directory;
	int			fd;				/* of the directory */
	MedsyncCheckpoint checkpoint;
	bool		holds;			/* every file is what the checkpoint's root says */
	MedsyncTileReader tiles;

	/* log.c alone */
	MedsyncTree remembered[MEDSYNC_REMEMBERED_MAX]; /* edges at those sizes */
	bool		gave_up;		/* too much is missing to go on looking */
	uint64		missing_from;	/* a stretch of missing entries */
	uint64		missing_count;	/* 0: there is none */
	char		missing_problem[128];	/* of its first file */
	char		problem[128];	/* of the file read last */
} MedsyncLog;

extern bool medsync_log_open(const MedsyncOptions *options, MedsyncLog *log);
extern void medsync_log_verify(MedsyncLog *log);
/* the tree as it was at a size */
extern bool medsync_log_edges(MedsyncLog *log, uint64 size, MedsyncTree *tree);

/* ---- entries.c: records of a private export, or of a server ---- */

/* An entry as the stream has it; pointers are valid during the call */
typedef struct MedsyncStreamEntry
{
	const MedsyncPackedHeader *header;
	const MedsyncEntry *entry;
	int64		index;			/* -1: unsealed */
	int64		block;			/* -1: unsealed */
	bool		manifest_holds; /* of a ddl entry: its manifest is what it announced */
} MedsyncStreamEntry;

typedef struct MedsyncStream MedsyncStream;

typedef struct MedsyncStreamCallbacks
{
	void	   *arg;
	/* each manifest, before any entry; may be NULL */
	void		(*manifest) (void *arg, uint32 table, uint32 version,
							 const char *content, size_t len);
	/* each entry, after it was checked; may be NULL */
	void		(*entry) (void *arg, const MedsyncStreamEntry *entry);
} MedsyncStreamCallbacks;

/*
 * With a log the leaves are compared with its tiles one by one, and the
 * stream may begin at any block.  Without one (mode live) the stream begins
 * at entry 0, the tree is built from the leaves alone and compared with the
 * checkpoint of the stream's 'C' record.  Both compare it with the roots of
 * the blocks and with the remembered checkpoint.
 *
 * medsync_stream_record() is given the records in order, each without its
 * length; false: the stream is malformed, which was reported, and no further
 * record may follow.  "type" 'Z' must be the last; "digest" is SHA-256 of
 * what came before it in the file, or NULL where its digest is not used.
 * medsync_stream_end() reports what is only known at the end.
 */
extern MedsyncStream *medsync_stream_begin(const MedsyncOptions *options,
										   MedsyncLog *log,
										   const MedsyncStreamCallbacks *callbacks);
extern bool medsync_stream_record(MedsyncStream *stream, char type,
								  const uint8 *payload, size_t len,
								  const uint8 *digest);
extern void medsync_stream_end(MedsyncStream *stream);
/* another signed checkpoint of the ledger, after the stream has ended */
extern void medsync_stream_older_checkpoint(MedsyncStream *stream,
											const char *note, size_t len);
extern const char *medsync_stream_table_name(MedsyncStream *stream,
											 uint32 table);	/* as findings show it */
extern const uint8 *medsync_stream_ledger_id(const MedsyncStream *stream);

/* ---- the modes; findings go to the report ---- */
extern void medsync_verify_log(const MedsyncOptions *options);
extern void medsync_verify_entries(const MedsyncOptions *options);
extern void medsync_verify_receipt(const MedsyncOptions *options);
extern void medsync_verify_live(const MedsyncOptions *options);

#endif							/* MEDSYNC_VERIFY_PROGRAM_H */
