/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Istio's regular expressions are RE2's; the C library has POSIX extended ones. The part that
 * people use is the same or is rewritten (\d, \w, \s, (?:...), (?i)); the rest is refused, never misread.
 */
#ifndef MESH_COMPILE_REGEX_H
#define MESH_COMPILE_REGEX_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * Compiles pattern so that regexec() succeeds only when the whole text matches. Returns 0, or -EINVAL with the
 * reason in why and *ret untouched.
 */
int mesh_regex_compile(const char *pattern, bool ignore_case, regex_t *ret, char *why, size_t why_size);

#endif
