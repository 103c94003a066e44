/* SPDX-License-Identifier: MIT
 *
 * pages.h - the page-run allocator, in which drivers store their objects
 *
 * Pages have 4096 bytes and are numbered; the numbers fit into 30 bits and do not depend on where memory is mapped.
 * Address space is reserved from the page source in chunks, each about as large as all before it and at most 1 GiB,
 * which are divided into segments of 1024 pages.  The first chunk is a quarter of a segment, so that a process has
 * address space for many small pools.  A run is 1 to 1024 contiguous pages inside a segment.
 *
 * A page is in one of four states, given by two bitmaps of its segment:
 *
 *     used  committed
 *      no      no      clean: address space only
 *     yes     yes      handed out
 *      no     yes      in the reserve: released by the driver, perhaps still resident, not yet released to the source
 *     yes      no      inside a run that was handed out, but without memory: see zp_pages_get_lazy()
 *
 * Finding a free run: segments are in buckets by an upper bound of their longest free run.  Taking a run does not
 * change the bound, and a search that fails corrects it, so each take costs at most one failed search.  Runs that lie
 * entirely in the reserve are searched first, in the segments that pages were returned to last.
 *
 * Opening: memory of the system's page source has to be made accessible, which is a system call and may split a mapping
 * in two.  So it is done in steps of 16 pages (a granule) to 2 MiB, about 1/32 of the bytes held, and is not undone
 * when pages are released; only a trim closes parts of a segment in which nothing is left.  Open pages that are not
 * committed have no memory.
 *
 * Release: the reserve may grow to its high watermark (64 pages or 1/128 of the bytes held, whichever is more, unless
 * set); beyond it, runs are released to the source in batches until half of that is left.  While the source is working
 * on a batch, its pages count as used, and no lock that others need is held.
 *
 * The account (`held`) counts committed pages, the committed parts of metadata ranges, and what drivers add for records
 * of their own.  It is charged before memory is taken and refunded after it was released, with atomic operations: the
 * limit is never exceeded, and reading the account takes no lock.  A charge that does not fit first empties the
 * reserve.
 *
 * Locks, in this order: slow_lock serialises operations that may call the source for long (growth, release, trim) and
 * guards the chunk table; lock guards bitmaps, buckets and the reserve, and is held for some hundred nanoseconds, never
 * during a call of the source; open_lock comes last, and is held during the system call that opens or closes granules.
 * ZPOOL_GFP_NOWAIT only tries to take lock, takes pages only from the reserve, and calls nothing outside.
 *
 * Content: a run contains whatever was last there; only pages that commit made usable are known to be zero.
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
#define ZP_PGNO_BITS 30          /* 4 TiB for each pool */
#define ZP_PGNO_NONE UINT32_C(0) /* segment 0 is never used */

/* Buckets: one for each length up to 64, then one for each power of two. */
enum { ZP_BUCKETS_EXACT = 64, ZP_BUCKETS = ZP_BUCKETS_EXACT + 6, ZP_RUN_PAGES_MAX = ZP_SEGMENT_PAGES };

/*
 * Records of segments are in blocks, so that a small pool reserves little address space: block 0 has 64 records, and
 * block k has the following 2^(5+k).  When the table of addresses is full, a table 8 times as large replaces it.
 */
enum {
	ZP_BLOCK_SHIFT = 6,
	ZP_SEGMENT_BITS = ZP_PGNO_BITS - ZP_SEGMENT_SHIFT,
	ZP_SEGMENTS_MAX = 1 << ZP_SEGMENT_BITS,
	ZP_BLOCKS = ZP_SEGMENT_BITS - ZP_BLOCK_SHIFT + 1,
	ZP_BASES_FIRST = 512,
	ZP_BASES_TABLES = 5
};

/* The part of its segment that the first chunk has. */
enum { ZP_FIRST_CHUNK_PAGES = ZP_SEGMENT_PAGES / 4 };

#define ZP_RESERVE_DEFAULT UINT64_MAX

/* The pages that one page table of the system covers (if it covers a different number, less is released). */
enum { ZP_TABLE_PAGES = 512 };

struct zp_segment {
	struct zp_list bucket;  /* link in pages->buckets */
	struct zp_list reserve; /* link in pages->reserve, while reserve_pages > 0 */
	struct zp_bits used;
	struct zp_bits committed;
	uint32_t number;
	uint32_t chunk_segments; /* in the first segment of a chunk: the chunk's number of segments; otherwise 0 */
	uint16_t bound;          /* upper bound of the longest free run */
	uint16_t used_pages;
	uint16_t reserve_pages; /* pages that are committed and not used */
	uint8_t tables; /* a bit for each part of ZP_TABLE_PAGES that had memory since its page table was released */
	_Atomic(uint64_t) open; /* a bit for each granule of the system's source that is accessible */
};

typedef _Atomic(char *) zp_base;

struct zp_pages {
	/*
	 * The address of each segment: written when a chunk is added or released, and read without a lock.  A thread
	 * that has a page's number has synchronised with the thread that added its chunk, so it finds a table with that
	 * chunk.
	 */
	_Atomic(zp_base *) bases;
	const struct zpool_page_source *source;
	int node;
	char separate_readers[64];

	struct zp_account account;
	_Atomic(uint64_t) run_pages; /* pages handed out and committed */
	char separate_account[64];

	struct zp_lock lock;
	struct zp_list buckets[ZP_BUCKETS];
	uint64_t bucket_mask[2]; /* bits of the buckets that are not empty */
	struct zp_list reserve;  /* segments with reserve pages; the one that pages were returned to last comes first */
	uint32_t reserve_pages;
	uint32_t flush_retry_pages; /* after the source refused: do not call it again below this many */
	uint32_t deferrals;         /* number of threads that defer release; see zp_pages_defer_release() */
	uint32_t growth;            /* counts the chunks added; written with both locks held */
	_Atomic(uint64_t) reserve_bound_bytes;

	/*
	 * Serialises the system calls that open and close granules: a thread that opens a segment from its front may
	 * open a granule that a trim is closing.
	 */
	struct zp_lock open_lock;

	struct zp_lock slow_lock;
	struct zp_segment *blocks[ZP_BLOCKS];
	/* Segment numbers in use, whether or not their chunk still exists; written with both locks held. */
	uint32_t segments;
	uint32_t segments_living; /* segments of existing chunks */
	uint32_t records_ready;   /* number of segments whose record is committed */
	uint32_t bases_capacity;  /* number of segments that fit into the table of addresses */
	size_t bases_ready_bytes; /* committed part of the table */
	/* The tables, the smallest first.  A thread may still read from a replaced one, so all stay until the end. */
	zp_base *bases_tables[ZP_BASES_TABLES];
};

/*
 * source NULL: the system's.  Returns 0 or -ENOMEM, also if limit_bytes (0: none) is below the size of an empty
 * allocator.  Neither the structure nor the source may move or disappear while it is in use.
 */
int zp_pages_init(struct zp_pages *pages, const struct zpool_page_source *source, int node, uint64_t limit_bytes);

/* Releases everything, including runs.  The owners of metadata ranges must have released them before. */
void zp_pages_fini(struct zp_pages *pages);

/*
 * Takes a run.  Returns 0 with *pgno; -EINVAL: no such length; -ENOMEM: limit, address space or source are exhausted,
 * or (NOWAIT) the reserve has no such run; -EAGAIN: (NOWAIT) the lock is held; or the error of the source's commit.
 */
int zp_pages_get(struct zp_pages *pages, unsigned int npages, zpool_gfp_t gfp, uint32_t *pgno);

/*
 * Takes a run of npages of which only the first ncommit have memory (and are held); zp_pages_commit() commits the
 * others.  With NOWAIT, pages after the first ncommit that happen to have memory keep it.
 */
int zp_pages_get_lazy(struct zp_pages *pages, unsigned int npages, unsigned int ncommit, zpool_gfp_t gfp,
		      uint32_t *pgno);

/*
 * Takes the lowest free run below a page, without memory, for a caller that moves the contents of a run there.  Returns
 * 0, or -ENOMEM if there is none.  Checks every segment below the page.
 */
int zp_pages_get_lowest(struct zp_pages *pages, unsigned int npages, uint32_t below, uint32_t *pgno);

/* Releases a run exactly as it was taken, whatever part of it is committed. */
void zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages);

/*
 * Commits those pages inside a run that have no memory yet; they read as zero.  Returns 0, or an error like
 * zp_pages_get(), in which case nothing has changed.  NOWAIT succeeds only if there is nothing to do.
 */
int zp_pages_commit(struct zp_pages *pages, uint32_t pgno, unsigned int npages, zpool_gfp_t gfp);

/*
 * Decommits pages inside a run immediately.  Returns 0, or the source's -errno; pages that it did not take stay
 * committed.  If only some pages were decommitted, these count as if they were never committed.
 */
int zp_pages_decommit(struct zp_pages *pages, uint32_t pgno, unsigned int npages);

/* Returns how many pages that share a page's page table have memory, in runs or in the reserve. */
unsigned int zp_pages_in_table(struct zp_pages *pages, uint32_t pgno);

/* Returns true if a page inside a run has memory. */
bool zp_pages_is_committed(struct zp_pages *pages, uint32_t pgno);

static inline void *zp_pages_address(struct zp_pages *pages, uint32_t pgno)
{
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);
	char *base = atomic_load_explicit(&bases[pgno >> ZP_SEGMENT_SHIFT], memory_order_relaxed);

	return base + ((size_t)(pgno & (ZP_SEGMENT_PAGES - 1)) << ZP_PAGE_SHIFT);
}

/* Returns the page that contains an address, or ZP_PGNO_NONE.  Walks the chunks: for checks, not for hot paths. */
uint32_t zp_pages_number(struct zp_pages *pages, const void *address);

static inline uint64_t zp_pages_held_bytes(struct zp_pages *pages)
{
	return zp_account_held_bytes(&pages->account);
}

static inline uint64_t zp_pages_peak_bytes(struct zp_pages *pages)
{
	return zp_account_peak_bytes(&pages->account);
}

/* Returns the number of committed pages inside runs. */
static inline uint64_t zp_pages_handed_out(struct zp_pages *pages)
{
	return atomic_load_explicit(&pages->run_pages, memory_order_relaxed);
}

/*
 * Returns how often the limit prevented a commit or a charge.  If the number has grown after a malloc that failed, the
 * reason was the limit and not the system; other threads' failures in the meantime count too, but they met the same
 * limit.  With NOWAIT, no call asks for more than is held, so the limit is never the reason.
 */
static inline uint64_t zp_pages_limit_refusals(struct zp_pages *pages)
{
	return atomic_load_explicit(&pages->account.refusals, memory_order_relaxed);
}

static inline void zp_pages_set_limit(struct zp_pages *pages, uint64_t limit_bytes)
{
	zp_account_set_limit(&pages->account, limit_bytes);
}

/* Sets how many bytes the reserve may keep, or ZP_RESERVE_DEFAULT.  Pages beyond that are released now. */
void zp_pages_set_reserve(struct zp_pages *pages, uint64_t bytes);

/*
 * While a thread defers release, between begin and end, the reserve grows without a bound except for the limit.  This
 * is for callers that release many runs one by one and then call zp_pages_trim(), which releases neighbours in one
 * call.
 */
void zp_pages_defer_release(struct zp_pages *pages, bool begin);

/* Releases the whole reserve, and chunks (except the first) without a page in use.  *released is in bytes. */
void zp_pages_trim(struct zp_pages *pages, uint64_t *released);

/*
 * The same in steps, for callers that check the clock in between.  trim_some releases a few runs of the reserve, and
 * returns how many pages it released; 0 means that the reserve is empty or the source refused.  trim_segments checks a
 * few segments from number *segment on (0 at the start) for page tables and chunks without a page in use, and returns
 * false after the last segment.
 */
uint32_t zp_pages_trim_some(struct zp_pages *pages);
bool zp_pages_trim_segments(struct zp_pages *pages, uint32_t *segment);

/* Returns the number of pages in the reserve. */
uint32_t zp_pages_reserved(struct zp_pages *pages);

/*
 * Charges bytes of the driver's own to the account.  Returns 0 or -ENOMEM.  Empties the reserve to make room (never
 * with NOWAIT, which also makes no system call).
 */
int zp_pages_charge(struct zp_pages *pages, uint64_t bytes, zpool_gfp_t gfp);

static inline void zp_pages_refund(struct zp_pages *pages, uint64_t bytes)
{
	zp_account_refund(&pages->account, bytes);
}

/*
 * Metadata: address ranges of the same source that are committed piece by piece.  Sizes and offsets are multiples of a
 * page.  reserve charges nothing; committed bytes are held.  commit returns 0, -ENOMEM, or the error of the source;
 * with NOWAIT always -ENOMEM.  decommit returns 0 or the error of the source, and then the piece stays committed.
 * release refunds committed_bytes, which must be what is still committed inside the range.
 */
void *zp_pages_meta_reserve(struct zp_pages *pages, size_t bytes);
int zp_pages_meta_commit(struct zp_pages *pages, void *address, size_t bytes, zpool_gfp_t gfp);
int zp_pages_meta_decommit(struct zp_pages *pages, void *address, size_t bytes);
void zp_pages_meta_release(struct zp_pages *pages, void *address, size_t bytes, size_t committed_bytes);

/* Returns true if decommitted ranges may be read, as zeroes.  This is so for the system's source only. */
bool zp_pages_decommitted_readable(const struct zp_pages *pages);

/*
 * PREPARE takes the locks; PARENT and CHILD release them.  Runs that another thread was just taking or releasing at
 * that moment stay taken in the child.
 */
void zp_pages_fork(struct zp_pages *pages, enum zpool_fork_phase phase);

/* Checks bitmaps, counts, buckets and lists against each other.  Returns NULL, or a sentence that names the error. */
const char *zp_pages_verify(struct zp_pages *pages);

#endif
