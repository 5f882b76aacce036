/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The programs as their users meet them, in a directory of their own.
 *
 * Threads: single; programs are other processes.
 */
#ifndef DAEMON_BED_H
#define DAEMON_BED_H

#include <glib.h>
#include <stdbool.h>

typedef struct Bed {
    char *dir;                  /* the daemon's working directory */
    char *control, *shmem, *vusctl;
    GPid daemon;                /* 0: none runs */
    int said;                   /* its stdout */
} Bed;

Bed *bed_new(void);
void bed_free(Bed *bed);                /* ends the daemon */

/* A file beside vusctl in the build; the caller frees it. */
char *bed_program(const char *name);

/* Words up to NULL behind --control PATH; the caller frees them. */
char **words_of(const char *program, const Bed *bed, const char *const *word);

/* A daemon, until it has said "ready". */
void start(Bed *bed, const char *const *word);
int end(Bed *bed, int signal);

/* A file in its directory; bed_unlink() removes it. */
void bed_write(const Bed *bed, const char *name, const char *text);
void bed_unlink(const Bed *bed, const char *name);

/* Run a program that ends: with that status, and those parts of what it
 * prints. */
void run(const Bed *bed, const char *path, const char *const *word,
         int status, const char *out, const char *err);

/* What it prints, with status 0; the caller frees it. */
char *output_of(const Bed *bed, const char *path, const char *const *word);

#define WORDS(...) ((const char *const []) { __VA_ARGS__, NULL })

#define VUSCTL(bed, status, out, err, ...) \
    run(bed, (bed)->vusctl, WORDS(__VA_ARGS__), status, out, err)
#define SHMEM(bed, status, out, err, ...) \
    run(bed, (bed)->shmem, WORDS(__VA_ARGS__), status, out, err)

#endif
