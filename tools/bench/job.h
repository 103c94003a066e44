/* SPDX-License-Identifier: MIT
 *
 * job.h - what the benchmark asks of a process that measures, and what that process answers
 *
 * Each run is a process of its own, started from the tool's own file, so that nothing of the parent or of another
 * allocator is in its memory.  It gets its job in a file without a name and answers with messages on a pipe.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H 1

#include <stdbool.h>
#include <stdint.h>

#define BENCH_THREADS_MAX 64
#define BENCH_OBJECT_BYTES_MAX (UINT32_C(1) << 20)
#define BENCH_SPEC_BYTES 1024

/* What is measured, in the order of the tables. */
enum measure {
	MEASURE_FILL,
	MEASURE_CHURN,
	MEASURE_LONG_CHURN,
	MEASURE_READ,
	MEASURE_DROP,
	MEASURE_COMPACT,
	MEASURE_PAIR_EMPTY,
	MEASURE_PAIR_FULL,
	MEASURE_PAIR_HOLES,
	MEASURE_PAIR_COMPACTED,
	MEASURE_PAIR_TRIMMED,
	MEASURE_PAIR_WORN,
	MEASURE_TRANSFER,
	MEASURE_EVICT,
	MEASURE_STALL,
	MEASURES
};

#define MEASURE_BIT(measure) (UINT32_C(1) << (measure))

/* Its name in JSON, CSV and messages. */
const char *measure_name(enum measure measure);

/* Workloads of one group share a process. */
enum group { GROUP_SET, GROUP_PAIR, GROUP_TRANSFER, GROUP_EVICT, GROUP_STALL, GROUPS };

/* The job; behind it in the file stands the size of each object, a uint32_t each. */
struct bench_job {
	uint64_t magic;
	char spec[BENCH_SPEC_BYTES]; /* of the driver; "": the malloc of this number */
	uint32_t malloc_number;
	uint32_t threads;
	uint32_t group;
	uint32_t measures; /* bits: those wanted */
	uint32_t watched;  /* time each operation and take samples of the memory, rather than time the whole */
	uint32_t size_max;
	uint64_t objects;
	uint64_t seed;
};

#define BENCH_JOB_MAGIC UINT64_C(0x7a706f6f6c62656e)

/* The times of one kind of call, in a watched run; count 0: there were none. */
struct latency {
	uint64_t count;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, largest_ns;
};

enum call { CALL_STORE, CALL_DROP, CALL_READ, CALLS };

struct measurement {
	uint32_t measure;
	uint32_t moves; /* the driver can move objects */
	uint64_t operations;
	uint64_t wall_ns;
	uint64_t live_bytes;       /* at the end */
	uint64_t rss_bytes;        /* that the process grew by since before the first object */
	uint64_t page_table_bytes; /* the same of page tables */
	uint64_t pool_bytes;
	uint64_t madvise_calls;
	uint64_t moved_bytes;
	uint64_t hits; /* of reads, that found the object */
	struct latency latency[CALLS];
};

/* A look at the memory while a measure of a watched run is under way. */
struct sample {
	uint32_t measure;
	uint64_t ns; /* since the run began */
	uint64_t rss_bytes, page_table_bytes, pool_bytes;
};

enum message_kind {
	MESSAGE_READY,       /* the allocator is there; text: its version */
	MESSAGE_ABSENT,      /* the malloc is not in this process */
	MESSAGE_MEASUREMENT, /* a measure is complete */
	MESSAGE_SAMPLE,
	MESSAGE_SKIPPED, /* a measure cannot be had from this allocator; text: why */
	MESSAGE_FAILED,  /* the run has ended; text: why */
	MESSAGE_DONE,    /* the run is complete; a process that ends without it was ended by the allocator's code */
};

/* Small enough for a pipe to take it whole, whichever thread writes. */
struct bench_message {
	uint32_t kind;
	uint32_t measure; /* of MESSAGE_SKIPPED */
	union {
		char text[2048];
		struct measurement measurement;
		struct sample sample;
	};
};

/* ---- In the process that measures ---- */

/* The job is read from one descriptor and answered on another, both of which are open.  Never returns. */
_Noreturn void job_serve(int job, int answers);

void job_tell(const struct bench_message *message);
void job_skip(enum measure measure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* End the run.  Safe in any thread. */
_Noreturn void job_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* BENCH_JOB_H */
