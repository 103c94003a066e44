/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/read.h"

#include <errno.h>
#include <unistd.h>

ssize_t zp_read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	if (offset > (uint64_t)INT64_MAX - bytes)
		return 0;
	while (done < bytes) {
		ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
