/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * A file like /etc/hosts: addresses and the names that they have.
 */
#ifndef NH_MILTER_HOSTS_FILE_H
#define NH_MILTER_HOSTS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "milter/endpoint.h"
#include "policy/compiler.h"

#define HOSTS_FILE_NAMES_MAX 65536 /* what comes after is not read */

struct hosts_file;

/*
 * Reads path; lines that make no sense are passed over, and a missing file is
 * an empty one.
 * Owns: the caller, hosts_file_free. Returns: NULL when there is no memory.
 */
struct hosts_file *hosts_file_load(const char *path) NH_ALL_NONNULL;
void hosts_file_free(struct hosts_file **file) NH_ALL_NONNULL;

/*
 * The addresses of a lower-case name, at most max, in the order of the file,
 * with this port. family: AF_INET, AF_INET6, or AF_UNSPEC for both.
 * Returns: their number.
 */
size_t hosts_file_find(const struct hosts_file *file, const char *name,
    int family, uint16_t port, struct endpoint *list_r,
    size_t max) NH_ALL_NONNULL;

#endif
