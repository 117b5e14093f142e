/*-------------------------------------------------------------------------
 *
 * note.h
 *		Signed notes, checkpoints and proofs as text (C2SP).
 *
 * signed-note, tlog-checkpoint, tlog-cosignature and tlog-proof of
 * https://c2sp.org.  Parsers take any bytes, never read past them, refuse
 * whatever is not exactly what the specification says, and keep pointers
 * into their input.  Frontend-safe.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_NOTE_H
#define MEDSYNC_NOTE_H

#include "lib/stringinfo.h"
#include "ledger/merkle.h"

#define MEDSYNC_NOTE_MAX			(64 * 1024) /* bytes of a note */
#define MEDSYNC_NOTE_SIGNATURES		64	/* signature lines of a note */
#define MEDSYNC_NOTE_KEY_ID_SIZE	4
#define MEDSYNC_KEY_NAME_MAX		128 /* bytes of a key name or origin */
#define MEDSYNC_ORIGIN_MAX			100 /* bytes of an origin of ours */
#define MEDSYNC_NOTE_SIGNATURE_MAX	5000	/* bytes after the key id; post-quantum ones are long */
#define MEDSYNC_VKEY_MAX			(MEDSYNC_KEY_NAME_MAX + 64)
#define MEDSYNC_RECORD_MAX			(64 * 1024 * 1024)	/* bytes of a record of the private export */
#define MEDSYNC_RECEIPT_MAX			(64 * 1024 * 1024)

/* Signature types of signed-note that we know */
#define MEDSYNC_SIGNATURE_ED25519		0x01	/* a log's own */
#define MEDSYNC_SIGNATURE_COSIGNATURE	0x04	/* a witness's, with its time */

typedef struct MedsyncVerifierKey
{
	char		name[MEDSYNC_KEY_NAME_MAX + 1];
	uint8		id[MEDSYNC_NOTE_KEY_ID_SIZE];
	uint8		type;			/* MEDSYNC_SIGNATURE_... */
	uint8		public_key[MEDSYNC_ED25519_KEY_SIZE];
} MedsyncVerifierKey;

/* One signature line; pointers into the note */
typedef struct MedsyncNoteSignature
{
	const char *line;			/* from the em dash on */
	size_t		line_len;		/* without its newline */
	const char *name;
	size_t		name_len;
	uint8		id[MEDSYNC_NOTE_KEY_ID_SIZE];
	const char *base64;			/* of key id and signature */
	size_t		base64_len;
} MedsyncNoteSignature;

typedef struct MedsyncNote
{
	const char *text;			/* what was signed, with its last newline */
	size_t		text_len;
	int			signature_count;
	MedsyncNoteSignature signatures[MEDSYNC_NOTE_SIGNATURES];
} MedsyncNote;

/* What a note says about one key */
typedef enum MedsyncNoteVerdict
{
	MEDSYNC_NOTE_NOT_SIGNED,	/* no line of this name and id */
	MEDSYNC_NOTE_SIGNED,		/* one, and it is right */
	MEDSYNC_NOTE_FORGED			/* one that is wrong: refuse the whole note */
} MedsyncNoteVerdict;

/* The text of a checkpoint; origin points into it */
typedef struct MedsyncCheckpoint
{
	const char *origin;
	size_t		origin_len;
	uint64		size;
	uint8		root[MEDSYNC_HASH_SIZE];
} MedsyncCheckpoint;

/* A tlog-proof; pointers into its text */
typedef struct MedsyncProofText
{
	const char *extra;			/* base64; NULL: none */
	size_t		extra_len;
	uint64		index;
	int			hash_count;
	uint8		hashes[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	const char *note;			/* the signed checkpoint */
	size_t		note_len;
} MedsyncProofText;

/* Keys.  Names: 1 to MEDSYNC_KEY_NAME_MAX bytes of UTF-8 without spaces (Unicode's too), control characters and plus. */
extern bool medsync_key_name_valid(const char *name, size_t len);
extern void medsync_vkey_make(MedsyncVerifierKey *key, const char *name,
							  uint8 type, const uint8 *public_key);
extern bool medsync_vkey_parse(const char *text, size_t len,
							   MedsyncVerifierKey *key);
extern void medsync_vkey_write(StringInfo buf, const MedsyncVerifierKey *key);

/* Notes */
extern bool medsync_note_parse(const char *data, size_t len,
							   MedsyncNote *note);
extern MedsyncNoteVerdict medsync_note_check(const MedsyncNote *note,
											 const MedsyncVerifierKey *key,
											 uint64 *cosigned_at);	/* may be NULL; POSIX seconds, 0 for type 1 */
extern void medsync_note_sign(StringInfo buf, const char *text,
							  size_t text_len,
							  const MedsyncVerifierKey *key,
							  const uint8 *seed);	/* appends one signature line, with newline */

/* Checkpoints: text is three lines or more, each ended by a newline */
extern bool medsync_checkpoint_parse(const char *text, size_t len,
									 MedsyncCheckpoint *checkpoint);
extern void medsync_checkpoint_write(StringInfo buf, const char *origin,
									 uint64 size, const uint8 *root);

/* Proofs */
extern bool medsync_proof_parse(const char *data, size_t len,
								MedsyncProofText *proof);
extern void medsync_proof_write(StringInfo buf, const void *extra,
								size_t extra_len, uint64 index,
								const uint8 (*hashes)[MEDSYNC_HASH_SIZE],
								int hash_count, const char *note,
								size_t note_len);

#endif							/* MEDSYNC_NOTE_H */
