/* SPDX-License-Identifier: MIT
 *
 * record.h - the structure by which a driver under test shows itself to the core
 */
#ifndef CT_RECORD_H
#define CT_RECORD_H 1

#include "case.h"

#include <zpool-driver.h>

/* The structure in the driver's file; NULL where it is part of the program.  The driver is loaded. */
const struct zpool_driver *ct_record_of(const char *type);

/* Has every part of the spec set_limit?  If not, the core keeps the limit, and total_size may pass it for a moment. */
bool ct_keeps_limit_itself(void);

#endif /* CT_RECORD_H */
