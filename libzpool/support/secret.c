/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/random.h>
#endif

uint64_t zp_secret(void)
{
	static _Atomic(uint64_t) calls;
	struct timespec now = { 0, 0 };
	uint64_t secret;
#ifdef __linux__
	int saved_errno = errno;

	if (getrandom(&secret, sizeof(secret), GRND_NONBLOCK) == (ssize_t)sizeof(secret))
		return secret;
	errno = saved_errno;
#endif
	clock_gettime(CLOCK_REALTIME, &now);
	secret = zp_mix((uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec);
	secret = zp_mix(secret ^ (uintptr_t)&now);
	secret = zp_mix(secret ^ (uintptr_t)&calls);
	return zp_mix(secret + ((uint64_t)getpid() << 32) + atomic_fetch_add(&calls, 1));
}
