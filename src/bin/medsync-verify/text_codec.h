/*-------------------------------------------------------------------------
 *
 * text_codec.h
 *		Canonical bytes of a value from the text that a server prints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TEXT_CODEC_H
#define MEDSYNC_TEXT_CODEC_H

#include "ledger/canonical_internal.h"

/* How values of one type are printed, domains resolved */
typedef struct MedsyncTextCodec
{
	Oid			type;
	CodecKind	kind;
	char		delimiter;		/* of an array: what stands between elements */
	struct MedsyncTextCodec *element;	/* of an array, of a range (its
										 * subtype), of a multirange (its
										 * range) */
	int			attribute_count;
	struct MedsyncTextCodec **attributes;	/* of a composite; dropped ones
											 * are left out */
} MedsyncTextCodec;

/*
 * Append tag and content of one value that is not NULL.  False when the type
 * does not print such a text; the sink is worthless then.
 */
extern bool medsync_text_put(MedsyncSink *sink, const MedsyncTextCodec *codec,
							 const char *text, size_t len);

/* A bytea of just this length */
extern bool medsync_text_bytes(const char *text, size_t text_len,
							   uint8 *bytes, size_t len);

#endif							/* MEDSYNC_TEXT_CODEC_H */
