/* SPDX-License-Identifier: MIT
 *
 * preload.h - drivers that are linked into the tool
 */
#ifndef PRELOAD_H
#define PRELOAD_H 1

/* Where libzpool is built without shared libraries, make the drivers known that zpoolctl was linked with. */
void preload_drivers(void);

#endif /* PRELOAD_H */
