/*-------------------------------------------------------------------------
 *
 * quiet.h
 *		Keeping statements with secrets out of the server's log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_QUIET_H
#define MEDSYNC_QUIET_H

extern void medsync_quiet_init(void);	/* hooks; from medsync_vault_init */

/* Was the library loaded before the session's first statement? */
extern bool medsync_quiet_from_start(void);

/*
 * Called first by each function that takes or gives a key or a plaintext:
 * the statement that runs is one with secrets, whatever its text says.
 */
extern void medsync_quiet_statement(void);

#endif							/* MEDSYNC_QUIET_H */
