# If a page of section 3 describes several functions, each of them except the first has a link page, `.so man3/<page>'.
# make generates the link pages from the NAME line of that page.

zpool_man3_pages = \
	doc/man/zpool.3 \
	doc/man/zpool_compact.3 \
	doc/man/zpool_dump.3 \
	doc/man/zpool_create_pool.3 \
	doc/man/zpool_each_driver.3 \
	doc/man/zpool_each_object.3 \
	doc/man/zpool_evictable.3 \
	doc/man/zpool_get_stats.3 \
	doc/man/zpool_get_total_size.3 \
	doc/man/zpool_last_error.3 \
	doc/man/zpool_malloc.3 \
	doc/man/zpool_map_handle.3 \
	doc/man/zpool_register_driver.3 \
	doc/man/zpool_set_limit.3 \
	doc/man/zpool_set_plugin_path.3 \
	doc/man/zpool_shrink.3 \
	doc/man/zpool_unload_driver.3

zpool_man_links = \
	doc/man/zpool_alignment.3 \
	doc/man/zpool_can_sleep_mapped.3 \
	doc/man/zpool_destroy_pool.3 \
	doc/man/zpool_each_class.3 \
	doc/man/zpool_each_param.3 \
	doc/man/zpool_escape.3 \
	doc/man/zpool_evict.3 \
	doc/man/zpool_free.3 \
	doc/man/zpool_get_name.3 \
	doc/man/zpool_get_plugin_path.3 \
	doc/man/zpool_get_spec.3 \
	doc/man/zpool_get_type.3 \
	doc/man/zpool_has_pool.3 \
	doc/man/zpool_loading_disable.3 \
	doc/man/zpool_malloc_support_movable.3 \
	doc/man/zpool_max_object_size.3 \
	doc/man/zpool_obj_read.3 \
	doc/man/zpool_obj_size.3 \
	doc/man/zpool_obj_write.3 \
	doc/man/zpool_open.3 \
	doc/man/zpool_rescan.3 \
	doc/man/zpool_set_error.3 \
	doc/man/zpool_set_log_handler.3 \
	doc/man/zpool_set_param.3 \
	doc/man/zpool_stats_member.3 \
	doc/man/zpool_trim.3 \
	doc/man/zpool_unmap_handle.3 \
	doc/man/zpool_unregister_driver.3 \
	doc/man/zpool_version.3

zpool_store_man_links = \
	doc/man/zpool_store_add_compressor.3 \
	doc/man/zpool_store_close.3 \
	doc/man/zpool_store_compact.3 \
	doc/man/zpool_store_drop.3 \
	doc/man/zpool_store_drop_range.3 \
	doc/man/zpool_store_find_compressor.3 \
	doc/man/zpool_store_flush.3 \
	doc/man/zpool_store_get.3 \
	doc/man/zpool_store_get_dictionary.3 \
	doc/man/zpool_store_get_pool.3 \
	doc/man/zpool_store_get_stats.3 \
	doc/man/zpool_store_get_total_size.3 \
	doc/man/zpool_store_next_extent.3 \
	doc/man/zpool_store_prefetch.3 \
	doc/man/zpool_store_put.3 \
	doc/man/zpool_store_read.3 \
	doc/man/zpool_store_recompress.3 \
	doc/man/zpool_store_set_limit.3 \
	doc/man/zpool_store_shrink.3 \
	doc/man/zpool_store_sync.3 \
	doc/man/zpool_store_train.3 \
	doc/man/zpool_store_unwatch_pressure.3 \
	doc/man/zpool_store_watch_pressure.3 \
	doc/man/zpool_store_zero_range.3

dist_man_MANS += $(zpool_man3_pages) doc/man/zpool-driver.7
man_MANS = $(zpool_man_links)
# This page is in every tarball, but is installed only with the tool.
EXTRA_DIST += doc/man/zpoolctl.1
if ENABLE_TOOLS
man_MANS += doc/man/zpoolctl.1
endif

# The same is true for the page of the store.
EXTRA_DIST += doc/man/zpool_store_open.3
if ENABLE_STORE
man_MANS += doc/man/zpool_store_open.3 $(zpool_store_man_links)
endif

EXTRA_DIST += doc/man/nbdkit-zpool-plugin.1
if HAVE_NBDKIT
man_MANS += doc/man/nbdkit-zpool-plugin.1
endif

$(zpool_man_links) $(zpool_store_man_links): $(zpool_man3_pages) doc/man/zpool_store_open.3
	$(AM_V_GEN)$(MKDIR_P) doc/man && \
	name=`basename $@ .3` && \
	page=`cd $(srcdir)/doc/man && grep -lE '^zpool.*, '"$$name"'[, ].*\\-' *.3` && \
	echo ".so man3/$$page" >$@

CLEANFILES += $(zpool_man_links) $(zpool_store_man_links)

EXTRA_DIST += \
	doc/README.md doc/adding.md doc/known-limits.md \
	doc/architecture.md doc/architecture.dot doc/architecture.svg doc/check-svg.sh \
	doc/benchmarks.md doc/benchmarks.svg doc/benchmarks-zstd.svg doc/soak.svg \
	doc/check-docs.sh \
	doc/design.md doc/store.md \
	doc/hacking.md \
	doc/locking.md \
	doc/writing-a-driver.md \
	doc/writing-a-driver/abi.md \
	doc/writing-a-driver/filters.md \
	doc/writing-a-driver/first-driver.md \
	doc/writing-a-driver/porting.md

TESTS += doc/check-docs.sh doc/check-svg.sh

# Draws the picture of doc/architecture.md and puts it into the source tree.
DOT = dot

.PHONY: doc-svg
doc-svg:
	@$(call need,$(DOT),graphviz)
	$(AM_V_GEN)$(DOT) -Tsvg '$(srcdir)/doc/architecture.dot' -o architecture.svg.tmp && \
	mv architecture.svg.tmp '$(srcdir)/doc/architecture.svg'
