/*-------------------------------------------------------------------------
 *
 * apart.h
 *		A transaction of its own, which the caller's rollback does not take
 *		away.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_APART_H
#define MEDSYNC_APART_H

#define MEDSYNC_APART_MAX		100 /* bytes that can be handed over */

/* What is to be done there; numbers are only within one server version */
typedef enum MedsyncApart
{
	MEDSYNC_APART_RECORD_EVENT = 1,
	MEDSYNC_APART_RECORD_TABLES = 2,
	MEDSYNC_APART_RECORD_PENDING = 3
} MedsyncApart;

/* Runs in the worker, inside a transaction, as the extension's owner */
typedef void (*MedsyncApartRun) (const uint8 *payload, size_t len);

extern void medsync_apart_register(MedsyncApart kind, MedsyncApartRun run);

/*
 * Run it and wait until it has ended; false: it was not seen to commit (and
 * the server log says why), and it is not running any more.  The caller must
 * hold no lock that the work needs; see apart.c.
 */
extern bool medsync_apart(MedsyncApart kind, const void *payload, size_t len);

#endif							/* MEDSYNC_APART_H */
