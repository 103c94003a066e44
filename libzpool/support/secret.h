/* SPDX-License-Identifier: MIT
 *
 * secret.h - numbers that an attacker cannot predict
 */
#ifndef ZP_SUPPORT_SECRET_H
#define ZP_SUPPORT_SECRET_H

#include <stdint.h>

/*
 * Returns 64 bits from the system's random source, or derived from the clock and addresses if there is none.  Never
 * fails or waits.
 */
uint64_t zp_secret(void);

/*
 * Mixes a number over all 64 bits: every bit of the result depends on every bit of the argument; the mapping is one to
 * one.
 */
static inline uint64_t zp_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}

#endif
