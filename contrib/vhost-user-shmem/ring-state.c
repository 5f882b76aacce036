/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring-state.h"

#define MAGIC UINT64_C(0x31676e6972737576)      /* "vusring1" */

typedef struct StoredRing {
    uint64_t desc_user_addr;
    uint64_t size;
    VringJournal journal;
} StoredRing;

/* The file.  Whoever wrote it had the same layout, or another magic. */
typedef struct Stored {
    uint64_t magic;
    uint64_t file_bytes;
    uint64_t peer_pid;
    uint64_t peer_started;      /* clock ticks since boot */
    StoredRing ring[];
} Stored;

struct RingState {
    char *path;
    Stored *at;
    size_t bytes;
    unsigned rings;
};

RingState *ring_state_open(const char *dir, const char *name, unsigned rings,
                           GError **error)
{
    size_t bytes = sizeof(Stored) + rings * sizeof(StoredRing);
    g_autofree char *file = g_strconcat(name, ".rings", NULL);
    g_autofree char *path = g_build_filename(dir, file, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    Stored *at = MAP_FAILED;
    struct stat st;
    RingState *s;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid != geteuid()) {
        /* Whoever owns it could write what we believe. */
        errno = EPERM;
    } else if (fd >= 0 && ftruncate(fd, bytes) == 0 &&
               /* With room for all of it: later there is nobody to tell. */
               (errno = posix_fallocate(fd, 0, bytes)) == 0) {
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (at == MAP_FAILED) {
        g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_HOST,
                    "cannot use %s: %s; state-dir has to be a directory that "
                    "this user, and best nobody else, can write to", path,
                    g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    close(fd);
    if (at->magic != MAGIC || at->file_bytes != bytes) {
        memset(at, 0, bytes);
        at->magic = MAGIC;
        at->file_bytes = bytes;
    }
    s = g_new0(RingState, 1);
    s->path = g_steal_pointer(&path);
    s->at = at;
    s->bytes = bytes;
    s->rings = rings;
    return s;
}

static bool is_needed(const RingState *s)
{
    for (unsigned i = 0; i < s->rings; i++) {
        if (s->at->ring[i].journal.burst != 0) {
            return true;
        }
    }
    return false;
}

void ring_state_close(RingState *s)
{
    if (!s) {
        return;
    }
    if (!is_needed(s)) {
        unlink(s->path);
    }
    munmap(s->at, s->bytes);
    g_free(s->path);
    g_free(s);
}

/* When a process started, or 0: field 22 of its stat, the name before may hold
 * anything (proc(5)). */
static uint64_t started(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    const char *at;
    uint64_t ticks;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return 0;
    }
    at = strrchr(text, ')');
    for (unsigned field = 2; at && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at && sscanf(at, " %" SCNu64, &ticks) == 1 ? ticks : 0;
}

void ring_state_set_peer(RingState *s, int fd)
{
    struct ucred peer = { 0 };
    socklen_t bytes = sizeof(peer);
    uint64_t ticks = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0) {
        ticks = started(peer.pid);
    }
    if (ticks == 0 || s->at->peer_pid != (uint64_t)peer.pid ||
        s->at->peer_started != ticks) {
        memset(s->at->ring, 0, s->rings * sizeof(StoredRing));
        s->at->peer_pid = peer.pid;
        s->at->peer_started = ticks;
    }
}

VringJournal *ring_state_journal(RingState *s, unsigned index,
                                 const VringSpec *spec)
{
    StoredRing *r = &s->at->ring[index];

    g_assert(index < s->rings);
    if (r->desc_user_addr != spec->desc_user_addr || r->size != spec->size) {
        r->journal.burst = 0;
        r->desc_user_addr = spec->desc_user_addr;
        r->size = spec->size;
    }
    return &r->journal;
}

void ring_state_forget(RingState *s, unsigned index)
{
    g_assert(index < s->rings);
    s->at->ring[index].journal.burst = 0;
}
