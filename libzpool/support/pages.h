/* SPDX-License-Identifier: MIT
 *
 * pages.h - the page-run allocator: what every driver but libc stores its objects in
 *
 * Pages are 4096 bytes and have numbers, which fit 30 bits and do not depend on where memory is mapped.  Address space
 * is reserved from the page source in chunks, each about as large as all before it and at most 1 GiB, cut into segments
 * of 1024 pages.  The first chunk is a quarter of a segment, so that a process has address space for many small pools.
 * A run is 1 to 1024 contiguous pages inside a segment.
 *
 * A page is in one of four states, told by two bitmaps of its segment:
 *
 *     used  committed
 *      no      no      clean: address space only
 *     yes     yes      handed out
 *      no     yes      in the reserve: given back to us, perhaps still resident, not yet given back to the source
 *     yes      no      inside a run that was handed out, but without memory: see zp_pages_get_lazy()
 *
 * Finding room: segments stand in buckets by an upper bound of their longest free run.  Taking a run leaves the bound
 * alone, and a search that fails corrects it, so each take costs at most one search in vain.  Runs that lie wholly in
 * the reserve are looked for first, in the segments that were given pages last.
 *
 * Opening: memory of the system's page source has to be made accessible, which is a system call and may split a mapping
 * in two.  So it is done in steps of 16 pages (a granule) to 2 MiB, about 1/32 of what is held, and is not undone when
 * pages go back; only a trim closes parts of a segment in which nothing is left.  Open pages that are not committed
 * have no memory.
 *
 * Giving back: the reserve may grow to a bound (64 pages or 1/128 of what is held, whichever is more, unless set);
 * past it, runs go back to the source in batches until half of the bound is left.  While a batch is with the source its
 * pages count as used and no lock that others need is held.
 *
 * The account (`held`) counts committed pages, metadata ranges as far as they were committed, and what drivers add for
 * records of their own.  It is charged before memory is taken and refunded after it went, with atomic operations: the
 * limit holds exactly, and reading it takes no lock.  A charge that does not fit first empties the reserve.
 *
 * Locks, in this order: slow_lock serialises what may call the source for long (growth, giving back, trim) and guards
 * the chunk table; lock guards bitmaps, buckets and the reserve and is held for some hundred nanoseconds, never across
 * a call of the source; open_lock comes last and is held across the system call that opens or closes granules.
 * ZPOOL_GFP_NOWAIT only tries lock, takes from the reserve alone, and calls nobody.
 *
 * Content: a run reads as whatever was last there; only pages that commit made usable are known to be zero.
 */
#ifndef ZP_SUPPORT_PAGES_H
#define ZP_SUPPORT_PAGES_H

#include <zpool-driver.h>

#include "account.h"
#include "bits.h"
#include "list.h"
#include "lock.h"

#define ZP_PAGE_SHIFT 12
#define ZP_PAGE_BYTES ((size_t)1 << ZP_PAGE_SHIFT)
#define ZP_SEGMENT_SHIFT 10
#define ZP_SEGMENT_PAGES (1u << ZP_SEGMENT_SHIFT)
#define ZP_SEGMENT_BYTES (ZP_SEGMENT_PAGES * ZP_PAGE_BYTES)
#define ZP_PGNO_BITS 30          /* 4 TiB a pool */
#define ZP_PGNO_NONE UINT32_C(0) /* segment 0 is never used */

/* Buckets: one for each length up to 64, then one for each power of two. */
enum { ZP_BUCKETS_EXACT = 64, ZP_BUCKETS = ZP_BUCKETS_EXACT + 6, ZP_RUN_PAGES_MAX = ZP_SEGMENT_PAGES };

/*
 * Records of segments come in blocks, so that a small pool reserves little address space: block 0 has 64 records,
 * block k the 2^(5+k) that follow.  The table of addresses is replaced by one that is 8 times as large when it is full.
 */
enum {
	ZP_BLOCK_SHIFT = 6,
	ZP_SEGMENT_BITS = ZP_PGNO_BITS - ZP_SEGMENT_SHIFT,
	ZP_SEGMENTS_MAX = 1 << ZP_SEGMENT_BITS,
	ZP_BLOCKS = ZP_SEGMENT_BITS - ZP_BLOCK_SHIFT + 1,
	ZP_BASES_FIRST = 512,
	ZP_BASES_TABLES = 5
};

/* What the first chunk has of its segment. */
enum { ZP_FIRST_CHUNK_PAGES = ZP_SEGMENT_PAGES / 4 };

#define ZP_RESERVE_DEFAULT UINT64_MAX

/* What a page table of the system spans (where it has other ones, less is given back). */
enum { ZP_TABLE_PAGES = 512 };

struct zp_segment {
	struct zp_list bucket;  /* in pages->buckets */
	struct zp_list reserve; /* in pages->reserve, while reserve_pages > 0 */
	struct zp_bits used;
	struct zp_bits committed;
	uint32_t number;
	uint32_t chunk_segments; /* in the first segment of a chunk: how many it has; else 0 */
	uint16_t bound;          /* no free run is longer */
	uint16_t used_pages;
	uint16_t reserve_pages; /* committed and not used */
	uint8_t tables; /* a bit for each part of ZP_TABLE_PAGES that had memory since its page table went back */
	_Atomic(uint64_t) open; /* a bit for each granule of the system's source that is accessible */
};

typedef _Atomic(char *) zp_base;

struct zp_pages {
	/*
	 * The address of each segment: written when a chunk comes or goes, and read without a lock.  A thread that has
	 * a page's number has synchronised with the thread that added its chunk, so it finds a table with that chunk.
	 */
	_Atomic(zp_base *) bases;
	const struct zpool_page_source *source;
	int node;
	char separate_readers[64];

	struct zp_account account;
	_Atomic(uint64_t) run_pages; /* handed out and committed */
	char separate_account[64];

	struct zp_lock lock;
	struct zp_list buckets[ZP_BUCKETS];
	uint64_t bucket_mask[2]; /* buckets that are not empty */
	struct zp_list reserve;  /* segments with reserve pages, the last given to first */
	uint32_t reserve_pages;
	uint32_t flush_retry_pages; /* the source refused: do not ask again below this many */
	uint32_t hoarders;          /* who want the reserve to be left alone */
	uint32_t growth;            /* counts chunks that came; written with both locks held */
	_Atomic(uint64_t) reserve_bound_bytes;

	/*
	 * Serialises the system calls that open and close granules: a thread that opens a segment from its front may
	 * open a granule that a trim is closing.
	 */
	struct zp_lock open_lock;

	struct zp_lock slow_lock;
	struct zp_segment *blocks[ZP_BLOCKS];
	uint32_t segments;        /* numbers in use, whether or not their chunk still lives; written with both locks */
	uint32_t segments_living; /* segments of chunks that live */
	uint32_t records_ready;   /* segments whose record is committed */
	uint32_t bases_capacity;  /* segments that fit the table of addresses */
	size_t bases_ready_bytes; /* how much of the table is committed */
	/* The tables, the smallest first.  A thread may still read from a replaced one, so all stay until the end. */
	zp_base *bases_tables[ZP_BASES_TABLES];
};

/*
 * source NULL: the system's.  0 or -ENOMEM, also where limit_bytes (0: none) is below what an empty allocator holds.
 * Neither the structure nor the source may move or go while it is in use.
 */
int zp_pages_init(struct zp_pages *pages, const struct zpool_page_source *source, int node, uint64_t limit_bytes);

/* Give everything back, runs included.  Metadata ranges are their owners' to release, before this. */
void zp_pages_fini(struct zp_pages *pages);

/*
 * Take a run.  0 and *pgno; -EINVAL: no such length; -ENOMEM: limit, address space or source, or (NOWAIT) not in the
 * reserve; -EAGAIN: (NOWAIT) the lock is taken; or what the source's commit gave.
 */
int zp_pages_get(struct zp_pages *pages, unsigned int npages, zpool_gfp_t gfp, uint32_t *pgno);

/*
 * Take a run of npages of which only the first ncommit have memory (and are held); zp_pages_commit() gives the others
 * theirs.  With NOWAIT, pages behind the first ncommit that happen to have memory keep it.
 */
int zp_pages_get_lazy(struct zp_pages *pages, unsigned int npages, unsigned int ncommit, zpool_gfp_t gfp,
		      uint32_t *pgno);

/*
 * For those who move what lies in a run: a run without memory, the lowest of all below a page.  0, or -ENOMEM: there is
 * none.  Looks at every segment below.
 */
int zp_pages_get_lowest(struct zp_pages *pages, unsigned int npages, uint32_t below, uint32_t *pgno);

/* Give a run back, just as it was taken, whatever part of it is committed. */
void zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages);

/*
 * Give pages inside a run that was handed out memory, those that have none yet; they read as zero.  0 or as
 * zp_pages_get(), and then nothing changed.  NOWAIT succeeds only where there is nothing to do.
 */
int zp_pages_commit(struct zp_pages *pages, uint32_t pgno, unsigned int npages, zpool_gfp_t gfp);

/*
 * Take it away again, now.  0, or the source's -errno: pages that it did not take stay committed.  Part of a run that
 * has lost pages this way goes on as if they were never committed.
 */
int zp_pages_decommit(struct zp_pages *pages, uint32_t pgno, unsigned int npages);

/* How many pages of those that share a page's page table have memory, in runs or in the reserve. */
unsigned int zp_pages_in_table(struct zp_pages *pages, uint32_t pgno);

/* Does a page inside a run that was handed out have memory? */
bool zp_pages_is_committed(struct zp_pages *pages, uint32_t pgno);

static inline void *zp_pages_address(struct zp_pages *pages, uint32_t pgno)
{
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);
	char *base = atomic_load_explicit(&bases[pgno >> ZP_SEGMENT_SHIFT], memory_order_relaxed);

	return base + ((size_t)(pgno & (ZP_SEGMENT_PAGES - 1)) << ZP_PAGE_SHIFT);
}

/* The page that an address lies in, or ZP_PGNO_NONE.  Walks the chunks: for checks, not for hot paths. */
uint32_t zp_pages_number(struct zp_pages *pages, const void *address);

static inline uint64_t zp_pages_held_bytes(struct zp_pages *pages)
{
	return zp_account_held_bytes(&pages->account);
}

static inline uint64_t zp_pages_peak_bytes(struct zp_pages *pages)
{
	return atomic_load_explicit(&pages->account.peak_bytes, memory_order_relaxed);
}

/* Committed pages inside runs. */
static inline uint64_t zp_pages_handed_out(struct zp_pages *pages)
{
	return atomic_load_explicit(&pages->run_pages, memory_order_relaxed);
}

/*
 * How often the limit kept something from being committed or charged.  Who sees it risen after a malloc that failed
 * knows that the limit was the reason, and not the system; other threads' failures meanwhile count as well, but they
 * met the same limit.  Under NOWAIT nobody asks for more than is held, so the limit is never the reason.
 */
static inline uint64_t zp_pages_limit_refusals(struct zp_pages *pages)
{
	return atomic_load_explicit(&pages->account.refusals, memory_order_relaxed);
}

static inline void zp_pages_set_limit(struct zp_pages *pages, uint64_t limit_bytes)
{
	zp_account_set_limit(&pages->account, limit_bytes);
}

/* How much to keep for the next take: bytes, or ZP_RESERVE_DEFAULT.  What is kept beyond it goes back now. */
void zp_pages_set_reserve(struct zp_pages *pages, uint64_t bytes);

/*
 * Between begin and end the reserve grows without bound, save for the limit: for those who give many runs back one by
 * one, and end with zp_pages_trim(), which gives neighbours back in one call.
 */
void zp_pages_hoard(struct zp_pages *pages, bool begin);

/* Give back the whole reserve, and chunks (but the first) without a page in use.  *released in bytes. */
void zp_pages_trim(struct zp_pages *pages, uint64_t *released);

/*
 * The same in pieces, for callers that look at the clock between them.  trim_some gives a few runs of the reserve back;
 * returns how many pages went, and 0 where the reserve is empty or the source refuses.  trim_segments looks at a few
 * segments from number *segment on (0 to begin with) for page tables and chunks without a page in use; false: that was
 * the last one.
 */
uint32_t zp_pages_trim_some(struct zp_pages *pages);
bool zp_pages_trim_segments(struct zp_pages *pages, uint32_t *segment);

/* How many pages the reserve has. */
uint32_t zp_pages_reserved(struct zp_pages *pages);

/*
 * Count bytes of the driver's own among what is held; 0 or -ENOMEM.  Empties the reserve to make room (never with
 * NOWAIT, which also makes no system call).
 */
int zp_pages_charge(struct zp_pages *pages, uint64_t bytes, zpool_gfp_t gfp);

static inline void zp_pages_refund(struct zp_pages *pages, uint64_t bytes)
{
	zp_account_refund(&pages->account, bytes);
}

/*
 * Metadata: address ranges from the same source that are touched piece by piece.  Sizes and places are multiples of a
 * page.  Reserve counts nothing; what is committed is held.  Commit: 0, -ENOMEM, or what the source gave; with NOWAIT
 * always -ENOMEM.  Decommit: 0 or what the source gave, and then the piece stays.  Release refunds committed_bytes,
 * which is what is still committed inside the range.
 */
void *zp_pages_meta_reserve(struct zp_pages *pages, size_t bytes);
int zp_pages_meta_commit(struct zp_pages *pages, void *address, size_t bytes, zpool_gfp_t gfp);
int zp_pages_meta_decommit(struct zp_pages *pages, void *address, size_t bytes);
void zp_pages_meta_release(struct zp_pages *pages, void *address, size_t bytes, size_t committed_bytes);

/* May ranges that were decommitted be read, as zeroes?  True of the system's source alone. */
bool zp_pages_decommitted_readable(const struct zp_pages *pages);

/*
 * PREPARE takes the locks, PARENT and CHILD release them.  Runs that another thread was just taking or giving back at
 * that moment stay taken in the child.
 */
void zp_pages_fork(struct zp_pages *pages, enum zpool_fork_phase phase);

/* Check bitmaps, counts, buckets and lists against each other: NULL, or a sentence that names what is wrong. */
const char *zp_pages_verify(struct zp_pages *pages);

#endif
