/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A control socket and its clients, in one thread: it turns the main loop until
 * what it waits for has come.
 *
 * Threads: single.
 */
#ifndef CONTROL_BED_H
#define CONTROL_BED_H

#include "control.h"

#define LONG_BYTES 100000

/* More turns than anything here takes. */
#define MAX_TURNS 100000

typedef struct Bed {
    char *dir, *path;
    Control *control;
    unsigned calls;
    ControlClient *kept;        /* the last one, while it is there */
    unsigned gone;
} Bed;

/* Its methods: "count" (calls), "long" (an answer), "keep" (the client). */
#define COUNT "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\"}"
#define COUNTED "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%u}\n"
#define KEEP "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"keep\"}"
#define LONG "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"long\"}"

Bed *bed_new(void);
void bed_free(Bed *bed);

/* Clients are sockets. */
int client_new(const Bed *bed);
void client_send(int fd, const char *data, size_t bytes);
void client_say(int fd, const char *text);

/* A line; NULL: the server has closed the connection. */
char *client_line(int fd);

void turn(void);

void expect_counted(int fd, unsigned number);
void expect_error(int fd, int code, const char *part);
void expect_closed(int fd);

#endif
