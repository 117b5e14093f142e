/*-------------------------------------------------------------------------
 *
 * key_command.h
 *		A secret from the output of a command.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_KEY_COMMAND_H
#define MEDSYNC_KEY_COMMAND_H

/* What can go wrong with one */
typedef enum MedsyncKeyCommandFault
{
	MEDSYNC_KEY_COMMAND_FINE,
	MEDSYNC_KEY_COMMAND_NOT_RUN,	/* number: errno */
	MEDSYNC_KEY_COMMAND_FAILED, /* number: wait status */
	MEDSYNC_KEY_COMMAND_MALFORMED,
	MEDSYNC_KEY_COMMAND_ANOTHER /* a key, but not the one asked for */
} MedsyncKeyCommandFault;

typedef struct MedsyncKeyCommandProblem
{
	MedsyncKeyCommandFault fault;
	int			number;
} MedsyncKeyCommandProblem;

extern bool medsync_key_command_run(const char *command, char *line,
									size_t size, size_t *len,
									MedsyncKeyCommandProblem *problem);

#endif							/* MEDSYNC_KEY_COMMAND_H */
