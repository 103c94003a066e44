# libzpool-store: compressed units by key, on top of the library's public interface.

store_sources = \
	store/backing.c store/backing.h \
	store/backing-file.c \
	store/checksum.c store/checksum.h \
	store/compressor.c store/compressor.h \
	store/context.c store/context.h \
	store/dictionary.c store/dictionary.h \
	store/evict.c \
	store/index.c store/index.h \
	store/limit.c \
	store/load.c \
	store/lz4.c \
	store/object.c \
	store/open.c \
	store/pressure.c \
	store/recompress.c \
	store/range.c store/range.h \
	store/store.h \
	store/through.c \
	store/train.c \
	store/unit.c \
	store/writeback.c \
	store/zstd.c
store_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/store
store_libadd = $(LINK_LIBZPOOL) $(STORE_LIBS) $(XXHASH_LIBS) $(PTHREAD_LIBS)

if ENABLE_STORE
install_store = yes
include_HEADERS += store/zpool-store.h
pkgconfig_DATA += store/libzpool-store.pc
lib_LTLIBRARIES += store/libzpool-store.la

store_libzpool_store_la_SOURCES = $(store_sources)
store_libzpool_store_la_CPPFLAGS = $(store_cppflags)
store_libzpool_store_la_CFLAGS = $(AM_CFLAGS) $(STORE_CFLAGS) $(XXHASH_CFLAGS)
store_libzpool_store_la_LIBADD = $(store_libadd)
store_libzpool_store_la_LDFLAGS = $(AM_LDFLAGS) $(LIB_LDFLAGS) $(RPATH_LIBDIR) -version-info $(ZPOOL_LT_VERSION) -no-undefined
EXTRA_store_libzpool_store_la_DEPENDENCIES = store/libzpool-store.map libzpool/libzpool.la
if HAVE_VERSION_SCRIPT
store_libzpool_store_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/store/libzpool-store.map
endif
else
install_store = no
endif

EXTRA_DIST += store/libzpool-store.map
