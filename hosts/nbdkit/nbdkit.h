/* SPDX-License-Identifier: MIT
 *
 * nbdkit.h - nbdkit's header, with the version of its interface that this plugin uses
 */
#ifndef HOSTS_NBDKIT_NBDKIT_H
#define HOSTS_NBDKIT_NBDKIT_H 1

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#endif
