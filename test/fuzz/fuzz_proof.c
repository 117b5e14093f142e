/*-------------------------------------------------------------------------
 *
 * fuzz_proof.c
 *		Fuzz target: proofs as text (tlog-proof).
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "common/wire.h"
#include "proofs/note.h"

/* Decode the extra data, which has one text; NULL: there is none. */
static uint8 *
read_extra(const MedsyncProofText *proof, size_t *size)
{
	ssize_t		len;
	uint8	   *extra;

	*size = 0;
	if (proof->extra == NULL)
		return NULL;
	len = medsync_wire_get_base64(proof->extra, proof->extra_len, NULL, 0);
	promise(len > 0);
	extra = palloc(len);
	promise(medsync_wire_get_base64(proof->extra, proof->extra_len,
									extra, len) == len);
	*size = len;
	return extra;
}

/* Whether a leaf hash of zeros is proven; that of one corpus file is. */
static bool
inclusion_accepted(const MedsyncProofText *proof,
				   const MedsyncCheckpoint *checkpoint)
{
	static const uint8 leaf[MEDSYNC_HASH_SIZE] = {0};

	return medsync_merkle_verify_inclusion(leaf, proof->index, checkpoint->size,
										   (const uint8 (*)[MEDSYNC_HASH_SIZE]) proof->hashes,
										   proof->hash_count, checkpoint->root);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MedsyncProofText proof;
	MedsyncNote note;
	MedsyncCheckpoint checkpoint;
	StringInfoData text;
	uint8	   *extra;
	size_t		extra_size;

	if (!medsync_proof_parse((const char *) data, size, &proof))
		return 0;
	extra = read_extra(&proof, &extra_size);
	initStringInfo(&text);
	medsync_proof_write(&text, extra, extra_size, proof.index,
						(const uint8 (*)[MEDSYNC_HASH_SIZE]) proof.hashes,
						proof.hash_count, proof.note, proof.note_len);
	promise((size_t) text.len == size && memcmp(text.data, data, size) == 0);
	pfree(text.data);
	if (extra != NULL)
		pfree(extra);

	promise(medsync_note_parse(proof.note, proof.note_len, &note));
	promise(medsync_checkpoint_parse(note.text, note.text_len, &checkpoint));
	if (inclusion_accepted(&proof, &checkpoint))
	{
		checkpoint.root[0] ^= 1;
		promise(!inclusion_accepted(&proof, &checkpoint));
	}
	return 0;
}
