/* SPDX-License-Identifier: MIT
 *
 * template.h - the files that `zpoolctl new' writes, line by line; embed.awk generates them from the files in this
 * directory
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H 1

#include <stddef.h>

extern const char *const template_Makefile_am[];
extern const char *const template_LICENSE[];
extern const char *const template_README_md[];
extern const char *const template_check_sh[];
extern const char *const template_configure_ac[];
extern const char *const template_driver_c[];
extern const char *const template_filter_c[];
extern const char *const template_gitignore[];
extern const char *const template_gitignore_autotools[];
extern const char *const template_project_mk[];
extern const char *const template_roundtrip_c[];

#endif /* TEMPLATE_H */
