/*-------------------------------------------------------------------------
 *
 * receipt.c
 *		Mode receipt: one row version, or one entry, proved by a text.
 *
 * What a receipt must be is checked by src/proofs/opening.c, as the server
 * does it.  Here its checkpoint is compared with the remembered one as well,
 * where the two are of one size; a receipt is often older than that, which
 * is no rollback.  Nothing is remembered: a receipt's checkpoint is not the
 * newest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "medsync_verify.h"
#include "proofs/opening.h"

#define READ_STEP	65536

/* Read the whole file. */
static void
read_receipt(const char *path, StringInfo text)
{
	int64		size;
	FILE	   *file = medsync_open_input(path, "file", &size);

	do
	{
		enlargeStringInfo(text, READ_STEP);
		text->len += (int) fread(text->data + text->len, 1, READ_STEP, file);
		if (text->len > MEDSYNC_RECEIPT_MAX)
			medsync_cannot_check("\"%s\" is longer than %d bytes", path,
								 MEDSYNC_RECEIPT_MAX);
	} while (!feof(file) && !ferror(file));
	if (ferror(file))
		medsync_cannot_check("could not read file \"%s\": %s", path,
							 strerror(errno));
	fclose(file);

	/* "psql -At" ends every row with a line feed, also one that has its own */
	if (text->len >= 2 && text->data[text->len - 1] == '\n' &&
		text->data[text->len - 2] == '\n')
		text->data[--text->len] = '\0';
}

/*
 * Who signed the receipt's checkpoint, and does it contradict the one that
 * is remembered?  False where the receipt itself need not be looked at.
 */
static bool
check_signers(const MedsyncOptions *options, const StringInfo text)
{
	MedsyncProofText proof;
	MedsyncCheckpoint checkpoint;

	if (!medsync_proof_parse(text->data, text->len, &proof))
		return true;			/* medsync_receipt_check() says so */
	return medsync_checkpoint_check(options, MEDSYNC_OF_RECEIPT, proof.note,
									proof.note_len, &checkpoint);
}

/* Mode receipt. */
void
medsync_verify_receipt(const MedsyncOptions *options)
{
	MedsyncReceiptResult result;
	MedsyncPlace place = MEDSYNC_NO_PLACE;
	StringInfoData text;

	initStringInfo(&text);
	read_receipt(options->target, &text);
	if (!check_signers(options, &text))
		return;
	medsync_receipt_check(text.data, text.len, options->keys,
						  options->key_count, &result);
	if (strcmp(result.verdict, MEDSYNC_RECEIPT_VALID) == 0)
	{
		medsync_summary.entries = 1;
		medsync_report_receipt(result.detail.data);
		return;
	}
	if (result.size > 0)
		place.index = (int64) result.index;
	medsync_report_finding(MEDSYNC_ERROR, result.verdict, place, NULL, NULL,
						   "%s", result.detail.data);
}
