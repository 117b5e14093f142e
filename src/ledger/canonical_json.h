/*-------------------------------------------------------------------------
 *
 * canonical_json.h
 *		Canonical bytes as JSON, without the types they were made from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CANONICAL_JSON_H
#define MEDSYNC_CANONICAL_JSON_H

#include "common/wire.h"
#include "ledger/manifest_text.h"

/*
 * Append the JSON of one value, or of a row.  False when the bytes are
 * malformed, or their JSON would be larger than 1 GB: then nothing is
 * appended.
 */
extern bool medsync_canonical_json(StringInfo out, MedsyncReader *reader);
extern bool medsync_canonical_row_json(StringInfo out,
									   const void *row, size_t len,
									   const MedsyncManifest *manifest);

/* The same of the primary key's columns only; the row may hold others */
extern bool medsync_canonical_key_json(StringInfo out,
									   const void *row, size_t len,
									   const MedsyncManifest *manifest);

#endif							/* MEDSYNC_CANONICAL_JSON_H */
