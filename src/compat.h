/*-------------------------------------------------------------------------
 *
 * compat.h
 *		The only place that asks PG_VERSION_NUM.
 *
 * Code elsewhere is written against the newest spelling; this header maps
 * it to what the server at hand has.  Base: PostgreSQL 15.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_COMPAT_H
#define MEDSYNC_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "medsync needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM < 160000
#define object_ownercheck(classid, objectid, roleid) \
	((classid) == RelationRelationId ? \
	 pg_class_ownercheck(objectid, roleid) : \
	 pg_namespace_ownercheck(objectid, roleid))
#endif

#if PG_VERSION_NUM >= 170000
#define medsync_lock_held(tag, mode)	LockHeldByMe(tag, mode, false)
#define MEDSYNC_LOCAL_XID				(MyProc->vxid.lxid)
#else
#define medsync_lock_held(tag, mode)	LockHeldByMe(tag, mode)
#define MEDSYNC_LOCAL_XID				(MyProc->lxid)
#endif

#if PG_VERSION_NUM < 180000
#define pg_noreturn						pg_attribute_noreturn()
#endif

/* PostgreSQL's JSON lexer; callers include common/jsonapi.h */
#if PG_VERSION_NUM >= 170000
#define medsync_json_lexer(text, len) \
	makeJsonLexContextCstringLen(NULL, text, len, PG_UTF8, true)
#define medsync_json_free_lexer(lex)	freeJsonLexContext(lex)
#else
#define medsync_json_lexer(text, len) \
	makeJsonLexContextCstringLen(unconstify(char *, text), len, PG_UTF8, true)
#define medsync_json_free_lexer(lex) \
	(pfree((lex)->strval->data), pfree((lex)->strval), pfree(lex))
#endif

#endif							/* MEDSYNC_COMPAT_H */
