/*-------------------------------------------------------------------------
 *
 * key_file.h
 *		Files of one secret: the master key's and the log signer's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_KEY_FILE_H
#define MEDSYNC_KEY_FILE_H

#include "vault/crypto.h"

/* Bytes of the longest such file: prefix, digits, newline */
#define MEDSYNC_KEY_FILE_MAX	(64 + 2 * MEDSYNC_KEY_SIZE + 1)

/* What sort of file; all texts are constants */
typedef struct MedsyncKeyFile
{
	const char *noun;			/* as messages call it: "master key file" */
	const char *prefix;			/* of its one line, with the colon */
	const char *hint;			/* what to do when it is not usable */
} MedsyncKeyFile;

/* What can be wrong with one */
typedef enum MedsyncKeyFileFault
{
	MEDSYNC_KEY_FILE_FINE,
	MEDSYNC_KEY_FILE_MISSING,
	MEDSYNC_KEY_FILE_UNREADABLE,	/* error_number says why */
	MEDSYNC_KEY_FILE_NOT_A_FILE,	/* a directory, a device ... */
	MEDSYNC_KEY_FILE_WRONG_OWNER,
	MEDSYNC_KEY_FILE_TOO_OPEN,	/* group or others may read it */
	MEDSYNC_KEY_FILE_MALFORMED,
	MEDSYNC_KEY_FILE_ANOTHER	/* not the key that is in use */
} MedsyncKeyFileFault;

typedef struct MedsyncKeyFileProblem
{
	MedsyncKeyFileFault fault;
	int			error_number;	/* errno of the failed system call */
} MedsyncKeyFileProblem;

extern const char *medsync_key_file_path(const char *setting);
extern bool medsync_key_file_read(const MedsyncKeyFile *kind, const char *path,
								  uint8 *secret, MedsyncKeyFileProblem *problem);
extern bool medsync_key_file_parse(const MedsyncKeyFile *kind,
								   const char *contents, size_t len,
								   uint8 *secret);
extern bool medsync_key_file_write(const MedsyncKeyFile *kind, const char *path,
								   const uint8 *secret);
extern bool medsync_key_file_write_new(const MedsyncKeyFile *kind,
									   const char *path);
extern bool medsync_key_file_flush_directory(const char *path);
extern bool medsync_key_file_try_create(const MedsyncKeyFile *kind,
										const char *path);
extern void medsync_key_file_create(const MedsyncKeyFile *kind,
									const char *path);
extern char *medsync_key_file_text(const MedsyncKeyFile *kind, const char *path,
								   const MedsyncKeyFileProblem *problem);
extern bool medsync_key_file_in_data_directory(const char *path);

#endif							/* MEDSYNC_KEY_FILE_H */
