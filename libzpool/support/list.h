/* SPDX-License-Identifier: MIT
 *
 * list.h - circular doubly linked lists whose links are inside the records
 *
 * The head of a list is a struct zp_list too.  An empty list's head, and a record that is on no list, point at
 * themselves.
 */
#ifndef ZP_SUPPORT_LIST_H
#define ZP_SUPPORT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct zp_list {
	struct zp_list *next;
	struct zp_list *prev;
};

/* Returns the record of the given type that contains the link as the given member. */
#define zp_list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#define zp_list_for_each(link, head) for ((link) = (head)->next; (link) != (head); (link) = (link)->next)

/*
 * Like zp_list_for_each, but the body may remove `link` from the list; `following` is another struct zp_list pointer.
 */
#define zp_list_for_each_safe(link, following, head)                                                                   \
	for ((link) = (head)->next, (following) = (link)->next; (link) != (head);                                      \
	     (link) = (following), (following) = (link)->next)

static inline void zp_list_init(struct zp_list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool zp_list_empty(const struct zp_list *list)
{
	return list->next == list;
}

static inline void zp_list_insert_between(struct zp_list *link, struct zp_list *prev, struct zp_list *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

/* Adds a link that is on no list at the front. */
static inline void zp_list_add(struct zp_list *link, struct zp_list *head)
{
	zp_list_insert_between(link, head, head->next);
}

/* Adds a link that is on no list at the back. */
static inline void zp_list_add_tail(struct zp_list *link, struct zp_list *head)
{
	zp_list_insert_between(link, head->prev, head);
}

/* Removes a link from its list.  Does nothing if it is on none. */
static inline void zp_list_del(struct zp_list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	zp_list_init(link);
}

static inline void zp_list_move(struct zp_list *link, struct zp_list *head)
{
	zp_list_del(link);
	zp_list_add(link, head);
}

#endif
