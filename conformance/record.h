/* SPDX-License-Identifier: MIT
 *
 * record.h - the structure with which a driver under test registers
 */
#ifndef CT_RECORD_H
#define CT_RECORD_H 1

#include "case.h"

#include <zpool-driver.h>

/* Returns the structure in the driver's file, or NULL if the driver is part of the program.  The driver is loaded. */
const struct zpool_driver *ct_record_of(const char *type);

/*
 * Returns true if every part of the spec has set_limit.  Otherwise the core enforces the limit, and total_size may
 * exceed it for a moment.
 */
bool ct_keeps_limit_itself(void);

#endif /* CT_RECORD_H */
