/* SPDX-License-Identifier: MIT
 *
 * job.h - the job that the benchmark gives to a measuring process, and the answers of that process
 *
 * Each run is a separate process that executes the tool's own file again, so its memory contains nothing of the parent
 * or of another allocator. It receives its job in a file without a name, and answers with messages on a pipe.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H 1

#include <stdbool.h>
#include <stdint.h>

#define BENCH_THREADS_MAX 64
#define BENCH_OBJECT_BYTES_MAX (UINT32_C(1) << 20)
#define BENCH_SPEC_BYTES 1024

/* The measures, in the order of the tables. */
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

/* Returns the name of a measure in JSON, CSV and messages. */
const char *measure_name(enum measure measure);

/* Workloads of the same group run in the same process. */
enum group { GROUP_SET, GROUP_PAIR, GROUP_TRANSFER, GROUP_EVICT, GROUP_STALL, GROUPS };

/* The job. In the file it is followed by the size of each object as a uint32_t. */
struct bench_job {
	uint64_t magic;
	char spec[BENCH_SPEC_BYTES]; /* spec of the driver, or "" to measure the malloc with this number */
	uint32_t malloc_number;
	uint32_t threads;
	uint32_t group;
	uint32_t measures; /* a set of MEASURE_BIT(): the wanted measures */
	uint32_t watched;  /* time each operation and sample the memory, instead of timing the whole measure */
	uint32_t size_max;
	uint64_t objects;
	uint64_t seed;
};

#define BENCH_JOB_MAGIC UINT64_C(0x7a706f6f6c62656e)

/* The times of one kind of call in a watched run; count is 0 if there was no such call. */
struct latency {
	uint64_t count;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, largest_ns;
};

enum call { CALL_STORE, CALL_DROP, CALL_READ, CALLS };

struct measurement {
	uint32_t measure;
	uint32_t moves; /* the driver can move objects */
	uint64_t threads;
	uint64_t operations; /* of all threads together */
	uint64_t wall_ns;
	uint64_t live_bytes;       /* at the end of the measure */
	uint64_t rss_bytes;        /* growth of the process since before its first object */
	uint64_t page_table_bytes; /* growth of its page tables */
	uint64_t pool_bytes;
	uint64_t madvise_calls;
	uint64_t moved_bytes;
	uint64_t hits; /* reads that found their object */
	struct latency latency[CALLS];
};

/* A sample of the memory, taken during a measure of a watched run. */
struct sample {
	uint32_t measure;
	uint64_t ns; /* since the run began */
	uint64_t rss_bytes, page_table_bytes, pool_bytes;
};

enum message_kind {
	MESSAGE_READY,       /* the allocator works; the text is its version */
	MESSAGE_ABSENT,      /* the malloc is not in this process */
	MESSAGE_MEASUREMENT, /* a measure is complete */
	MESSAGE_SAMPLE,
	MESSAGE_SKIPPED, /* this allocator does not support a measure; the text is the reason */
	MESSAGE_FAILED,  /* the run has ended early; the text is the reason */
	/* the run is complete; if a process ends without this message, the allocator's code ended it */
	MESSAGE_DONE,
};

/* A message is small enough that a pipe accepts it as a whole, so several threads can send messages. */
struct bench_message {
	uint32_t kind;
	uint32_t measure; /* of MESSAGE_SKIPPED */
	union {
		char text[2048];
		struct measurement measurement;
		struct sample sample;
	};
};

/* ---- For the measuring process ---- */

/* Reads the job from one descriptor and writes the answers to another; both must be open. Never returns. */
_Noreturn void job_serve(int job, int answers);

void job_report(const struct bench_message *message);
void job_skip(enum measure measure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the run with a message. Any thread may call it. */
_Noreturn void job_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* BENCH_JOB_H */
