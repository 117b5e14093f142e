/*-------------------------------------------------------------------------
 *
 * unit.h
 *		What the unit tests share: assertions as TAP, a few helpers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_UNIT_H
#define MEDSYNC_UNIT_H

#include "postgres_fe.h"

#include "lib/stringinfo.h"

extern void ok(bool good, const char *format,...) pg_attribute_printf(2, 3);
extern void note(const char *format,...) pg_attribute_printf(1, 2);
extern int	finish(void);

/* The same sequence in every run */
extern uint64 next_random(void);
extern void random_fill(void *data, size_t len);

/* A copy of its own, so that a sanitizer sees what is read past the end */
extern char *exact_copy(const void *data, size_t len);

extern void from_hex(const char *hex, uint8 *out, size_t len);

/* The tests */
extern void test_wire(void);
extern void test_crypto(void);
extern void test_entries(void);
extern void test_tree(void);
extern void test_notes(void);
extern void test_proof_text(void);
extern void test_receipts(void);
extern void test_signed_receipts(void);
extern void test_vectors(FILE *file);

#endif							/* MEDSYNC_UNIT_H */
