/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "create.h"

#include <errno.h>

int zp_create_tables(struct zp_pages *pages, struct zp_handles *handles, size_t pool_bytes, size_t payload_bytes,
		     const struct zpool_create_args *args)
{
	int err = zp_pages_init(pages, args->page_source, args->node, args->limit_bytes);

	if (err)
		return err;
	err = zp_pages_charge(pages, pool_bytes, ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(handles, pages, payload_bytes, 0);
	if (err)
		zp_pages_fini(pages);
	return err;
}

void zp_destroy_tables(struct zp_pages *pages, struct zp_handles *handles)
{
	zp_handles_fini(handles);
	zp_pages_fini(pages);
}

void zp_create_reserve(struct zp_pages *pages, const struct zpool_create_args *args, uint32_t index)
{
	const struct zpool_value *value = index < args->value_count ? zp_create_value(args, index) : NULL;

	if (value && value->given)
		zp_pages_set_reserve(pages, value->number);
}

int zp_create_failed(const struct zpool_create_args *args, const char *type, int err)
{
	if (err == -ENOMEM && args->limit_bytes)
		args->host->error(args->core, "A limit of %llu byte%s is too low for a %s pool. Choose a higher one.",
				  (unsigned long long)args->limit_bytes, ZPOOL_PLURAL(args->limit_bytes), type);
	return err;
}
