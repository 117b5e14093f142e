/*-------------------------------------------------------------------------
 *
 * errors.h
 *		SQLSTATEs of medsync's own error class, "MS".
 *
 * A condition that PostgreSQL already names keeps PostgreSQL's SQLSTATE;
 * the class here is for what only a ledger can refuse.  docs/errors.md
 * lists them for users.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_ERRORS_H
#define MEDSYNC_ERRORS_H

/* a key, or the file that opens it, is missing or does not fit */
#define ERRCODE_MEDSYNC_KEY_UNAVAILABLE		MAKE_SQLSTATE('M', 'S', '0', '0', '1')
/* the relation is not tracked */
#define ERRCODE_MEDSYNC_NOT_TRACKED			MAKE_SQLSTATE('M', 'S', '0', '0', '2')
/* refused because the relation is tracked */
#define ERRCODE_MEDSYNC_TRACKED				MAKE_SQLSTATE('M', 'S', '0', '0', '3')
/* the ledger's own records are damaged or contradict the catalog */
#define ERRCODE_MEDSYNC_LEDGER_CORRUPTED	MAKE_SQLSTATE('M', 'S', '0', '0', '4')

/* a ciphertext does not open; never says why */
#define ERRCODE_MEDSYNC_DECRYPTION_FAILED	MAKE_SQLSTATE('M', 'S', '0', '0', '5')
/* a signature that is demanded is missing or does not hold */
#define ERRCODE_MEDSYNC_SIGNATURE_INVALID	MAKE_SQLSTATE('M', 'S', '0', '0', '6')

#endif							/* MEDSYNC_ERRORS_H */
