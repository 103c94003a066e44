# Every driver and every filter is one plugin.  All of them are linked in this directory, so that tests can use it as
# the plugin path.  These two lists determine what is installed, linked into static programs and tested.

plugin_drivers = plugins/zsmalloc.la plugins/z3fold.la plugins/zbud.la plugins/zblock.la plugins/libc.la
plugin_filters = plugins/guard.la plugins/fault.la plugins/trace.la
plugin_LTLIBRARIES += $(plugin_drivers) $(plugin_filters)

# Links every plugin, or every driver, into a program.  The program also depends on plugins/shipped.h, so that it is
# linked again when a list has changed.
preload_plugins = $(plugin_LTLIBRARIES:%=-dlpreopen %)
preload_drivers = $(plugin_drivers:%=-dlpreopen %)

# Lists the drivers and filters for zpoolctl and for tests in C: SHIPPED_DRIVERS(X) is X("zsmalloc") X("z3fold") and so
# on.  The file is replaced only if a list has changed, so that a change of the Makefile compiles nothing again.
BUILT_SOURCES += plugins/shipped.h
CLEANFILES += plugins/shipped.h
plugins/shipped.h: Makefile
	$(AM_V_at)$(MKDIR_P) plugins && { \
	echo '/* Made from plugins/local.mk. */'; \
	printf '#define SHIPPED_DRIVERS(X)'; printf ' X("%s")' $(plugin_drivers:plugins/%.la=%); echo; \
	printf '#define SHIPPED_FILTERS(X)'; printf ' X("%s")' $(plugin_filters:plugins/%.la=%); echo; } >$@.tmp && \
	if cmp -s $@.tmp $@; then rm -f $@.tmp; else mv $@.tmp $@; fi

plugin_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/libzpool/support
plugin_cflags = $(AM_CFLAGS) $(STACK_CFLAGS)
plugin_ldflags = -module -avoid-version -no-undefined -Wl,-z,now $(PLUGIN_LDFLAGS) $(HARDEN_LDFLAGS)
plugin_libadd = libzpool/support/libzpsupport.la $(PTHREAD_LIBS)

# A plugin must not have a soname.  Libtool would use the plugin's file name, and while a plugin with the soname libc.so
# is loaded, dlopen("libc.so") would return it anywhere in the process.  Libtool has no option for this, so plugins are
# linked with a copy of libtool from which the option -soname is removed.
plugins/libtool: libtool
	$(AM_V_GEN)$(MKDIR_P) plugins && sed 's/ [$$\\]*wl-soname [$$\\]*wl[$$\\]*soname//' libtool > $@.tmp && mv $@.tmp $@
CLEANFILES += plugins/libtool
plugin_link = $(SHELL) plugins/libtool $(AM_V_lt) --tag=CC $(AM_LIBTOOLFLAGS) $(LIBTOOLFLAGS) --mode=link $(CCLD) \
	$(AM_CFLAGS) $(CFLAGS) $(plugin_ldflags) $(LDFLAGS) -o $@

plugins_zsmalloc_la_SOURCES = \
	plugins/zsmalloc/zsmalloc.c \
	plugins/zsmalloc/zsmalloc.h \
	plugins/zsmalloc/zsmalloc_auto.c \
	plugins/zsmalloc/zsmalloc_class.c \
	plugins/zsmalloc/zsmalloc_compact.c \
	plugins/zsmalloc/zsmalloc_compact.h \
	plugins/zsmalloc/zsmalloc_lists.c \
	plugins/zsmalloc/zsmalloc_objects.c \
	plugins/zsmalloc/zsmalloc_reclaim.c \
	plugins/zsmalloc/zsmalloc_records.c \
	plugins/zsmalloc/zsmalloc_round.c \
	plugins/zsmalloc/zsmalloc_settle.c \
	plugins/zsmalloc/zsmalloc_slots.c \
	plugins/zsmalloc/zsmalloc_stats.c \
	plugins/zsmalloc/zsmalloc_tuning.h \
	plugins/zsmalloc/zsmalloc_zspage.c \
	plugins/zsmalloc/zsmalloc_zspage.h
plugins_zsmalloc_la_CPPFLAGS = $(plugin_cppflags)
plugins_zsmalloc_la_CFLAGS = $(plugin_cflags)
plugins_zsmalloc_la_LDFLAGS = $(plugin_ldflags)
plugins_zsmalloc_la_LIBADD = $(plugin_libadd)
plugins_zsmalloc_la_LINK = $(plugin_link)
EXTRA_plugins_zsmalloc_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-zsmalloc.7

plugins_z3fold_la_SOURCES = \
	plugins/z3fold/z3fold.c \
	plugins/z3fold/z3fold.h \
	plugins/z3fold/z3fold_compact.c \
	plugins/z3fold/z3fold_move.c \
	plugins/z3fold/z3fold_page.c \
	plugins/z3fold/z3fold_reclaim.c \
	plugins/z3fold/z3fold_record.c \
	plugins/z3fold/z3fold_stats.c
plugins_z3fold_la_CPPFLAGS = $(plugin_cppflags)
plugins_z3fold_la_CFLAGS = $(plugin_cflags)
plugins_z3fold_la_LDFLAGS = $(plugin_ldflags)
plugins_z3fold_la_LIBADD = $(plugin_libadd)
plugins_z3fold_la_LINK = $(plugin_link)
EXTRA_plugins_z3fold_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-z3fold.7

plugins_zbud_la_SOURCES = \
	plugins/zbud/zbud.c \
	plugins/zbud/zbud.h \
	plugins/zbud/zbud_objects.c \
	plugins/zbud/zbud_page.c \
	plugins/zbud/zbud_reclaim.c \
	plugins/zbud/zbud_slots.c \
	plugins/zbud/zbud_verify.c
plugins_zbud_la_CPPFLAGS = $(plugin_cppflags)
plugins_zbud_la_CFLAGS = $(plugin_cflags)
plugins_zbud_la_LDFLAGS = $(plugin_ldflags)
plugins_zbud_la_LIBADD = $(plugin_libadd)
plugins_zbud_la_LINK = $(plugin_link)
EXTRA_plugins_zbud_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-zbud.7

plugins_zblock_la_SOURCES = \
	plugins/zblock/zblock.c \
	plugins/zblock/zblock.h \
	plugins/zblock/zblock_block.c \
	plugins/zblock/zblock_objects.c \
	plugins/zblock/zblock_records.c \
	plugins/zblock/zblock_slots.c \
	plugins/zblock/zblock_stats.c \
	plugins/zblock/zblock_type.c \
	plugins/zblock/zblock_verify.c
plugins_zblock_la_CPPFLAGS = $(plugin_cppflags)
plugins_zblock_la_CFLAGS = $(plugin_cflags)
plugins_zblock_la_LDFLAGS = $(plugin_ldflags)
plugins_zblock_la_LIBADD = $(plugin_libadd)
plugins_zblock_la_LINK = $(plugin_link)
EXTRA_plugins_zblock_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-zblock.7

plugins_fault_la_SOURCES = plugins/fault/fault.c
plugins_fault_la_CPPFLAGS = $(plugin_cppflags)
plugins_fault_la_CFLAGS = $(plugin_cflags)
plugins_fault_la_LDFLAGS = $(plugin_ldflags)
plugins_fault_la_LIBADD = $(plugin_libadd)
plugins_fault_la_LINK = $(plugin_link)
EXTRA_plugins_fault_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-fault.7

plugins_guard_la_SOURCES = \
	plugins/guard/guard.c \
	plugins/guard/guard.h \
	plugins/guard/guard_check.c \
	plugins/guard/guard_evict.c \
	plugins/guard/guard_leaks.c \
	plugins/guard/guard_slots.c \
	plugins/guard/guard_store.c
plugins_guard_la_CPPFLAGS = $(plugin_cppflags)
plugins_guard_la_CFLAGS = $(plugin_cflags)
plugins_guard_la_LDFLAGS = $(plugin_ldflags)
plugins_guard_la_LIBADD = $(plugin_libadd)
plugins_guard_la_LINK = $(plugin_link)
EXTRA_plugins_guard_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-guard.7

plugins_libc_la_SOURCES = plugins/libc/libc.c
plugins_libc_la_CPPFLAGS = $(plugin_cppflags)
plugins_libc_la_CFLAGS = $(plugin_cflags)
plugins_libc_la_LDFLAGS = $(plugin_ldflags)
plugins_libc_la_LIBADD = $(plugin_libadd)
plugins_libc_la_LINK = $(plugin_link)
EXTRA_plugins_libc_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-libc.7

plugins_trace_la_SOURCES = \
	plugins/trace/trace.c \
	plugins/trace/trace.h \
	plugins/trace/trace_file.c \
	plugins/trace/trace_objects.c \
	plugins/trace/trace_writer.c
plugins_trace_la_CPPFLAGS = $(plugin_cppflags)
plugins_trace_la_CFLAGS = $(plugin_cflags)
plugins_trace_la_LDFLAGS = $(plugin_ldflags)
plugins_trace_la_LIBADD = $(plugin_libadd)
plugins_trace_la_LINK = $(plugin_link)
EXTRA_plugins_trace_la_DEPENDENCIES = plugins/libtool
dist_man_MANS += doc/man/zpool-trace.7
