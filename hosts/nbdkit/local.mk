# nbdkit-zpool-plugin: a disk in a store, for clients of the NBD protocol.  nbdkit loads it as a module.

nbdkit_plugin_sources = \
	hosts/nbdkit/backing.c hosts/nbdkit/backing.h \
	hosts/nbdkit/disk.c hosts/nbdkit/disk.h \
	hosts/nbdkit/nbdkit.h \
	hosts/nbdkit/plugin.c \
	hosts/nbdkit/remote.c hosts/nbdkit/remote.h \
	hosts/nbdkit/report.c hosts/nbdkit/report.h \
	hosts/nbdkit/settings.c hosts/nbdkit/settings.h \
	hosts/nbdkit/stripes.c hosts/nbdkit/stripes.h
if HAVE_LIBNBD
nbdkit_plugin_sources += hosts/nbdkit/remote_connect.c hosts/nbdkit/remote_internal.h
endif

if HAVE_NBDKIT
install_nbdkit = yes
nbdkitplugin_LTLIBRARIES += hosts/nbdkit/nbdkit-zpool-plugin.la

hosts_nbdkit_nbdkit_zpool_plugin_la_SOURCES = $(nbdkit_plugin_sources)
hosts_nbdkit_nbdkit_zpool_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/store
hosts_nbdkit_nbdkit_zpool_plugin_la_CFLAGS = $(AM_CFLAGS) $(NBDKIT_CFLAGS) $(LIBNBD_CFLAGS)
hosts_nbdkit_nbdkit_zpool_plugin_la_LIBADD = $(LINK_STORE) $(LINK_LIBZPOOL) $(LIBNBD_LIBS) $(PTHREAD_LIBS)
# The functions of nbdkit are undefined until it loads the module.
hosts_nbdkit_nbdkit_zpool_plugin_la_LDFLAGS = $(AM_LDFLAGS) $(RPATH_LIBDIR) -module -avoid-version -shared
EXTRA_hosts_nbdkit_nbdkit_zpool_plugin_la_DEPENDENCIES = store/libzpool-store.la libzpool/libzpool.la
else
install_nbdkit = no
endif
