/*-------------------------------------------------------------------------
 *
 * medsync.c
 *		The table of contents: each room's init, in the order in which one
 *		may call another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "common/catalog.h"
#include "identity/identity.h"
#include "ledger/ledger.h"
#include "proofs/checkpoint.h"
#include "records/records.h"
#include "vault/vault.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	medsync_catalog_init();
	medsync_vault_init();
	medsync_ledger_init();
	medsync_proofs_init();
	medsync_identity_init();
	medsync_records_init();
	MarkGUCPrefixReserved("medsync");
}
