/* SPDX-License-Identifier: MIT
 *
 * trace_format.h - the format of trace files, shared by the filter that writes them and the tool that reads them
 *
 * A file is a header and blocks; the last block is the end.  Fixed-size numbers are little-endian.  A varint is a
 * number in groups of seven bits, the lowest first, each in a byte whose top bit says that another follows; at most ten
 * bytes.
 *
 * Header: TRACE_HEADER_BYTES, then the spec of what is below the filter (spec_bytes, no NUL).
 *
 *      0  8  "ZPTRACE\n"
 *      8  4  version, TRACE_VERSION: a reader refuses newer versions
 *     12  4  spec_bytes, at most TRACE_SPEC_BYTES_MAX
 *     16  8  when the recording began, nanoseconds since 1970
 *     24  8  the pool's limit then, in bytes; 0: none
 *     32  4  the check of bytes 0 to 31 and of the spec
 *
 * Block: a header of TRACE_BLOCK_BYTES, then its payload.
 *
 *      0  4  "DATA" or "END\n"
 *      4  4  payload bytes, at most TRACE_PAYLOAD_BYTES_MAX
 *      8  4  records in the payload
 *     12  4  the check of bytes 0 to 11 and of the payload
 *
 * The check is the 32-bit FNV-1a of the bytes.  It detects every change of a single byte, and other changes with high
 * probability.
 *
 * The payload of the end has TRACE_END_BYTES: four numbers of 8 bytes, which are the calls recorded, the calls not
 * recorded (for lack of memory, or of time to wait), the largest size of the pool after any recorded zpool_malloc, and
 * its size at the end.  A file without an end was cut off: its pool was never destroyed, or the file could not be
 * written.
 *
 * Record: a byte, whose low four bits are one of enum trace_op and whose other bits are flags, then varints:
 *
 *     the nanoseconds since the previous record (for the first one, since the beginning of the recording)
 *     with TRACE_THREAD, the number of the calling thread, from 1 in the order of their first calls; 0: one too many.
 *         Without it, the thread is that of the previous record, and thread 1 for the first one.
 *     with TRACE_FAILED, one of enum trace_error
 *     what the operation has, see enum trace_op
 *
 * Objects are numbered: the first that zpool_malloc stored has number 0, and so on.  A varint "object" is how far back
 * the object was stored: 1 is the most recent one, and 0 a handle of no live object.
 *
 * Records are in the order in which the calls ended, but TRACE_SHRINK and TRACE_EVICT mark beginnings; the calls of an
 * evict callback are between its TRACE_EVICT and TRACE_EVICTED of the same thread.
 */
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H 1

#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC "ZPTRACE\n"
#define TRACE_BLOCK_DATA "DATA"
#define TRACE_BLOCK_END "END\n"

enum {
	TRACE_VERSION = 1,
	TRACE_HEADER_BYTES = 36,
	TRACE_SPEC_BYTES_MAX = 4096,
	TRACE_BLOCK_BYTES = 16,
	TRACE_PAYLOAD_BYTES_MAX = 1 << 24,
	TRACE_END_BYTES = 32,
	TRACE_OBJECT_BYTES_MAX = 1 << 30, /* largest size of one object, and of one read or write */
	TRACE_THREADS_MAX = 1024,
	TRACE_VARINT_BYTES_MAX = 10,
	TRACE_RECORD_BYTES_MAX = 1 + 6 * TRACE_VARINT_BYTES_MAX
};

/* The comments say what follows in the record. */
enum trace_op {
	TRACE_MALLOC = 1,    /* size, flags; adds an object unless it failed */
	TRACE_FREE = 2,      /* object */
	TRACE_MAP = 3,       /* object, mode */
	TRACE_UNMAP = 4,     /* object */
	TRACE_READ = 5,      /* object, length, offset */
	TRACE_WRITE = 6,     /* object, length, offset */
	TRACE_SHRINK = 7,    /* pages; the call begins */
	TRACE_SHRUNK = 8,    /* pages reclaimed; the call ends */
	TRACE_EVICT = 9,     /* object; the callback begins */
	TRACE_EVICTED = 10,  /* object; the callback ends, TRACE_FAILED: it refused */
	TRACE_COMPACT = 11,  /* budget of bytes, budget of nanoseconds, bytes released */
	TRACE_TRIM = 12,     /* bytes released */
	TRACE_SET_LIMIT = 13 /* bytes */
};

enum { TRACE_OP_MASK = 0x0f, TRACE_THREAD = 0x10, TRACE_FAILED = 0x20, TRACE_FLAGS_UNKNOWN = 0xc0 };

/* The error of a call, independent of the system's errno values. */
enum trace_error {
	TRACE_EINVAL = 1,
	TRACE_ENOMEM = 2,
	TRACE_ENOSPC = 3,
	TRACE_EAGAIN = 4,
	TRACE_EBUSY = 5,
	TRACE_EOPNOTSUPP = 6,
	TRACE_EOTHER = 7
};

#define TRACE_CHECK_BEGIN UINT32_C(2166136261)

static inline uint32_t trace_check(uint32_t check, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check = (check ^ bytes[i]) * UINT32_C(16777619);
	return check;
}

static inline void trace_put(uint8_t *to, uint64_t number, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(number >> 8 * i);
}

static inline uint64_t trace_get(const uint8_t *from, unsigned int bytes)
{
	uint64_t number = 0;

	for (unsigned int i = 0; i < bytes; i++)
		number |= (uint64_t)from[i] << 8 * i;
	return number;
}

/* Returns the end of the written bytes. */
static inline uint8_t *trace_put_varint(uint8_t *to, uint64_t number)
{
	while (number >= 0x80) {
		*to++ = (uint8_t)(number | 0x80);
		number >>= 7;
	}
	*to++ = (uint8_t)number;
	return to;
}

/* Returns the end of the varint, or NULL if it is malformed or extends beyond `end`. */
static inline const uint8_t *trace_get_varint(const uint8_t *from, const uint8_t *end, uint64_t *number)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; from < end && shift < 64; shift += 7) {
		uint64_t bits = *from & 0x7f;

		if (shift == 63 && bits > 1)
			return NULL;
		value |= bits << shift;
		if (!(*from++ & 0x80)) {
			*number = value;
			return from;
		}
	}
	return NULL;
}

#endif
