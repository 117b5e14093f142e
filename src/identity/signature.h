/*-------------------------------------------------------------------------
 *
 * signature.h
 *		Is a row signed by a key that may sign it?
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_SIGNATURE_H
#define MEDSYNC_SIGNATURE_H

#include "identity/identity.h"
#include "ledger/signing.h"

extern void medsync_signature_init(void);

/*
 * Was an entry's key one that could sign it when its statement began?  And
 * is a signature that key's?  NULL: yes; else why not, as a sentence.
 */
extern const char *medsync_signature_judge_entry(HTAB *keys,
												 const MedsyncEntry *entry);
extern const char *medsync_signature_judge_row(HTAB *keys,
											   const MedsyncRowSignature *signature,
											   const void *message,
											   size_t message_len);

#endif							/* MEDSYNC_SIGNATURE_H */
