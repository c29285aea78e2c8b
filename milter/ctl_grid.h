/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Rows of cells, printed with aligned columns. Knows nothing of what is in
 * them.
 */
#ifndef NH_MILTER_CTL_GRID_H
#define NH_MILTER_CTL_GRID_H

#include <stddef.h>
#include <stdio.h>

#include "policy/compiler.h"

#define CTL_GRID_COLUMNS_MAX 12

struct ctl_grid;

/* Owns: the caller, ctl_grid_free. n_columns: 1..CTL_GRID_COLUMNS_MAX. */
struct ctl_grid *ctl_grid_create(size_t n_columns);
void ctl_grid_free(struct ctl_grid **grid) NH_ALL_NONNULL;

/* Adds a row: n_columns texts, which are copied. */
void ctl_grid_add(
    struct ctl_grid *grid, const char *const *cells) NH_ALL_NONNULL;

/* Prints all rows, without blanks at the ends of lines. */
void ctl_grid_print(const struct ctl_grid *grid, FILE *out) NH_ALL_NONNULL;

#endif
