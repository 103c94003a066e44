/* SPDX-License-Identifier: MIT
 *
 * preload.h - drivers that are linked into the tool
 */
#ifndef PRELOAD_H
#define PRELOAD_H 1

/* If libzpool is built without shared libraries, registers the drivers that zpoolctl was linked with. */
void preload_drivers(void);

#endif /* PRELOAD_H */
