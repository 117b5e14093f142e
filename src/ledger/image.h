/*-------------------------------------------------------------------------
 *
 * image.h
 *		Encrypted row images.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_IMAGE_H
#define MEDSYNC_IMAGE_H

#include "ledger/entry.h"
#include "utils/snapshot.h"
#include "vault/vault.h"

/* Room that sealing needs beside the entry, until the journal has it */
typedef union MedsyncImageRoom
{
	uint8		sealed[MEDSYNC_INLINE_IMAGE_MAX + MEDSYNC_TAG_SIZE];
	uint8		seed[MEDSYNC_IMAGE_SEED_SIZE];
} MedsyncImageRoom;

extern void medsync_image_seal(MedsyncEntry *entry,
							   const MedsyncSubjectKey *subject,
							   const char *row, uint64 len,
							   MedsyncImageRoom *room);
extern bool medsync_image_open(const MedsyncPackedHeader *header,
							   const MedsyncEntry *entry,
							   const MedsyncSubjectKey *subject,
							   Snapshot snapshot, StringInfo row,
							   int64 *chunks);

#endif							/* MEDSYNC_IMAGE_H */
