/* SPDX-License-Identifier: MIT
 *
 * account.h - the account of a pool: how many bytes it holds, and its limit
 *
 * Bytes are charged before the memory is taken, and refunded after it was released.  So the pool never exceeds its
 * limit, and reading total_size is one load.
 */
#ifndef ZP_SUPPORT_ACCOUNT_H
#define ZP_SUPPORT_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct zp_account {
	_Atomic(uint64_t) held_bytes;
	_Atomic(uint64_t) peak_bytes;
	_Atomic(uint64_t) limit_bytes; /* UINT64_MAX: no limit */
	_Atomic(uint64_t) refusals;    /* charges that the limit refused even after all spare memory was released */
};

/* limit_bytes 0: no limit.  A limit below the bytes held only stops growth. */
static inline void zp_account_set_limit(struct zp_account *account, uint64_t limit_bytes)
{
	atomic_store_explicit(&account->limit_bytes, limit_bytes ? limit_bytes : UINT64_MAX, memory_order_relaxed);
}

static inline void zp_account_init(struct zp_account *account, uint64_t limit_bytes)
{
	atomic_store_explicit(&account->held_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&account->peak_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&account->refusals, 0, memory_order_relaxed);
	zp_account_set_limit(account, limit_bytes);
}

static inline uint64_t zp_account_held_bytes(struct zp_account *account)
{
	return atomic_load_explicit(&account->held_bytes, memory_order_relaxed);
}

static inline bool zp_account_fits(struct zp_account *account, uint64_t bytes)
{
	uint64_t limit = atomic_load_explicit(&account->limit_bytes, memory_order_relaxed);
	uint64_t held = zp_account_held_bytes(account);

	return held <= limit && bytes <= limit - held;
}

static inline void zp_account_raise_peak(struct zp_account *account, uint64_t bytes)
{
	uint64_t peak = atomic_load_explicit(&account->peak_bytes, memory_order_relaxed);

	while (peak < bytes && !atomic_compare_exchange_weak_explicit(&account->peak_bytes, &peak, bytes,
								      memory_order_relaxed, memory_order_relaxed))
		continue;
}

/*
 * Returns the peak, which never falls from one call to the next.  A thread that has charged memory and not yet noted
 * the peak may do so after the memory was refunded, so this notes what is held now.
 */
static inline uint64_t zp_account_peak_bytes(struct zp_account *account)
{
	zp_account_raise_peak(account, zp_account_held_bytes(account));
	return atomic_load_explicit(&account->peak_bytes, memory_order_relaxed);
}

static inline bool zp_account_charge(struct zp_account *account, uint64_t bytes)
{
	uint64_t limit = atomic_load_explicit(&account->limit_bytes, memory_order_relaxed);
	uint64_t held = zp_account_held_bytes(account);

	if (bytes == 0)
		return true;
	do {
		if (held > limit || bytes > limit - held)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&account->held_bytes, &held, held + bytes, memory_order_relaxed,
							memory_order_relaxed));
	zp_account_raise_peak(account, held + bytes);
	return true;
}

static inline void zp_account_refund(struct zp_account *account, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&account->held_bytes, bytes, memory_order_relaxed);
}

#endif
