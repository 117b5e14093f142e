/*-------------------------------------------------------------------------
 *
 * type_tree.h
 *		What a server's types are made of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TYPE_TREE_H
#define MEDSYNC_TYPE_TREE_H

#include "server.h"
#include "text_codec.h"

typedef struct MedsyncTypeTree MedsyncTypeTree;

extern MedsyncTypeTree *medsync_type_tree_create(MedsyncServer *server);
extern void medsync_type_tree_free(MedsyncTypeTree *tree);

/*
 * How values of a type are printed, domains resolved; lives as long as the
 * tree.  NULL when the catalog makes no sense of it.
 */
extern const MedsyncTextCodec *medsync_type_tree_codec(MedsyncTypeTree *tree,
													   Oid type);

#endif							/* MEDSYNC_TYPE_TREE_H */
