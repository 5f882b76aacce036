/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: what can be mapped and found, what cannot, and files that
 * shrink.
 *
 * Threads: single.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-mem.h"

#define MIB (1ull << 20)
#define PAGE GUEST_LOG_PAGE_BYTES
#define LOOKUPS 200000

static int make_file(uint64_t bytes)
{
    int fd = memfd_create("guest", 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    return fd;
}

static void add(GuestMem *m, int fd, GuestRegionSpec spec)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(guest_mem_add(m, &spec, fd, &error));
    g_assert_no_error(error);
}

static void expect_refused(GuestMem *m, int fd, GuestRegionSpec spec,
                           const char *message)
{
    g_autoptr(GError) error = NULL;
    unsigned n = m->n;

    g_assert_false(guest_mem_add(m, &spec, fd, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER);
    if (!strstr(error->message, message)) {
        g_error("'%s' lacks '%s'", error->message, message);
    }
    g_assert_cmpuint(m->n, ==, n);
}

/* -- Found and not found --------------------------------------------------- */

typedef struct Model {
    GuestRegionSpec spec[32];
    unsigned n;
} Model;

/* Every byte of file says where it is, in units of 8. */
static int make_numbered_file(uint64_t bytes)
{
    int fd = make_file(bytes);
    uint64_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    g_assert_true(at != MAP_FAILED);
    for (uint64_t i = 0; i < bytes / 8; i++) {
        at[i] = i;
    }
    munmap(at, bytes);
    return fd;
}

static void check_lookup(const GuestMem *m, const Model *model, unsigned *hint,
                         uint64_t addr, uint64_t bytes)
{
    uint8_t *at = guest_mem_at(m, hint, addr, bytes);
    uint64_t user, guest_addr, number;

    for (unsigned i = 0; i < model->n; i++) {
        const GuestRegionSpec *s = &model->spec[i];

        if (addr < s->guest_addr || addr - s->guest_addr >= s->bytes) {
            continue;
        }
        user = addr - s->guest_addr + s->user_addr;
        g_assert_true(guest_mem_at_user(m, user, bytes, &guest_addr) == at);
        if (bytes > s->bytes - (addr - s->guest_addr)) {
            break;
        }
        g_assert_cmpuint(guest_addr, ==, addr);
        g_assert_nonnull(at);
        memcpy(&number, at - addr % 8, 8);
        g_assert_cmpuint(number, ==,
                         (addr - s->guest_addr + s->file_offset) / 8);
        return;
    }
    g_assert_null(at);
}

static void test_lookup(void)
{
    GuestMem *m = g_new0(GuestMem, 1);
    int fd = make_numbered_file(64 * MIB);
    Model model = { .n = 0 };
    unsigned hint = 0;

    g_assert_null(guest_mem_at(m, &hint, 0, 0));
    for (int i = 0; i < LOOKUPS; i++) {
        int what = i % 1000 ? 9 : g_test_rand_int_range(0, 3);

        if (what < 2 && model.n < G_N_ELEMENTS(model.spec)) {
            uint64_t slot = g_test_rand_int_range(0, 64);
            GuestRegionSpec s = {
                .guest_addr = slot * 2 * MIB,
                .bytes = g_test_rand_int_range(1, 257) * 8192 - 8,
                .user_addr = 0x7f0000000000 + (63 - slot) * 2 * MIB,
                /* Need not begin with a page. */
                .file_offset = g_test_rand_int_range(0, 60 * MIB / 8) * 8,
            };
            bool taken = false;

            for (unsigned k = 0; k < model.n; k++) {
                taken |= model.spec[k].guest_addr == s.guest_addr;
            }
            if (taken) {
                expect_refused(m, fd, s, "overlaps");
            } else {
                add(m, fd, s);
                model.spec[model.n++] = s;
            }
        } else if (what == 2 && model.n > 0) {
            unsigned k = g_test_rand_int_range(0, model.n);

            g_assert_true(guest_mem_remove(m, &model.spec[k], NULL));
            model.spec[k] = model.spec[--model.n];
        }
        check_lookup(m, &model, &hint,
                     g_test_rand_int_range(0, 128 * MIB),
                     g_test_rand_int_range(0, 10000));
    }
    guest_mem_clear(m);
    g_assert_null(guest_mem_at(m, &hint, 0, 0));
    close(fd);
    g_free(m);
}

/* -- Refused --------------------------------------------------------------- */

static void test_refused(void)
{
    GuestMem *m = g_new0(GuestMem, 1);
    int fd = make_file(MIB), pipes[2], served_fd;
    GuestRegionSpec spec = { 0, MIB, 1ull << 40, 0 };
    GuestRegionSpec other = { 4 * MIB, MIB, 2ull << 40, 0 };
    g_autoptr(GError) error = NULL;

    add(m, fd, spec);
    spec = (GuestRegionSpec) { 2 * MIB, MIB, (1ull << 40) + MIB - 1, 0 };
    expect_refused(m, fd, spec, "overlaps");
    spec = (GuestRegionSpec) { MIB - 1, MIB, 3ull << 40, 0 };
    expect_refused(m, fd, spec, "overlaps");

    expect_refused(m, fd, (GuestRegionSpec) { 4 * MIB, 0, 2ull << 40, 0 },
                   "cannot be");
    expect_refused(m, fd, (GuestRegionSpec) { UINT64_MAX, 2, 2ull << 40, 0 },
                   "cannot be");
    expect_refused(m, fd, (GuestRegionSpec) { 4 * MIB, 2, UINT64_MAX, 0 },
                   "cannot be");
    other.bytes = MIB + 1;
    expect_refused(m, fd, other, "are not in a file");
    other.bytes = 1ull << 60;
    expect_refused(m, fd, other, "are not in a file");
    other.bytes = 2;
    other.file_offset = UINT64_MAX;
    expect_refused(m, fd, other, "are not in a file");
    other.file_offset = MIB - 1;
    expect_refused(m, fd, other, "are not in a file");

    other = (GuestRegionSpec) { 4 * MIB, MIB, 2ull << 40, 0 };
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    expect_refused(m, pipes[0], other, "share=on");
    close(pipes[0]);
    close(pipes[1]);
    /* A file system may serve it as it likes. */
    served_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(served_fd, >=, 0);
    expect_refused(m, served_fd, other, "shared memory");
    close(served_fd);
    g_assert_false(guest_mem_add(m, &other, -1, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_HOST);

    g_clear_error(&error);
    g_assert_false(guest_mem_remove(m, &other, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER);
    g_assert_cmpuint(m->n, ==, 1);
    guest_mem_clear(m);
    close(fd);
    g_free(m);
}

static void test_too_many(void)
{
    GuestMem *m = g_new0(GuestMem, 1);
    int fd = make_file(PAGE);
    GuestRegionSpec spec = { .bytes = PAGE };

    for (unsigned i = 0; i < GUEST_MEM_MAX_REGIONS; i++) {
        spec.guest_addr = spec.user_addr = (uint64_t)i * PAGE;
        add(m, fd, spec);
    }
    spec.guest_addr = spec.user_addr = 1ull << 40;
    expect_refused(m, fd, spec, "which is all that can be");
    guest_mem_clear(m);
    close(fd);
    g_free(m);
}

/* -- Files that shrink ----------------------------------------------------- */

static void test_sigbus(void)
{
    GuestMem *m = g_new0(GuestMem, 1), *other = g_new0(GuestMem, 1);
    int fd = make_file(MIB), other_fd = make_file(MIB);
    GuestRegionSpec spec = { 0, MIB, 0, 0 };
    unsigned hint = 0;
    uint8_t *at;

    guest_mem_catch_sigbus();
    add(m, fd, spec);
    add(other, other_fd, spec);
    at = guest_mem_at(m, &hint, 0, MIB);
    memset(at, 7, MIB);
    memset(guest_mem_at(other, &hint, 0, MIB), 8, MIB);

    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    g_assert_false(guest_mem_is_lost(m));
    g_assert_cmpint(*(volatile uint8_t *)(at + MIB / 2), ==, 0);
    g_assert_true(guest_mem_is_lost(m));
    memset(at, 9, MIB);

    g_assert_false(guest_mem_is_lost(other));
    g_assert_cmpint(*guest_mem_at(other, &hint, MIB - 1, 1), ==, 8);
    guest_mem_clear(m);
    g_assert_false(guest_mem_is_lost(m));
    guest_mem_clear(other);
    close(fd);
    close(other_fd);
    g_free(m);
    g_free(other);
}

/* The process dies of a SIGBUS that no peer has caused. */
static void test_sigbus_of_ours(void)
{
    if (g_test_subprocess()) {
        int fd = make_file(PAGE);
        volatile uint8_t *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

        guest_mem_catch_sigbus();
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        exit(*at);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

/* -- Dirty pages ----------------------------------------------------------- */

static void test_log(void)
{
    GuestMem *m = g_new0(GuestMem, 1);
    int fd = make_file(4 * MIB), log_fd = make_file(PAGE);
    GuestRegionSpec spec = { 0, 4 * MIB, 0, 0 };
    uint8_t *bits = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, log_fd, 0);
    uint64_t bytes = 4 * MIB / PAGE / 8;
    g_autoptr(GError) error = NULL;

    add(m, fd, spec);
    guest_mem_dirty(m, m->region[0].host, MIB);     /* to nobody */
    g_assert_false(guest_mem_set_log(m, log_fd, 0, bytes - 1, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER);
    g_clear_error(&error);
    g_assert_false(guest_mem_set_log(m, log_fd, PAGE, bytes, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER);
    g_assert_false(guest_mem_set_log(m, log_fd, UINT64_MAX, bytes, NULL));
    g_assert_false(guest_mem_set_log(m, log_fd, 0, UINT64_MAX, NULL));
    g_assert_true(guest_mem_set_log(m, log_fd, 64, bytes, NULL));

    guest_mem_dirty(m, m->region[0].host + PAGE - 1, 2);
    g_assert_cmphex(bits[64], ==, 3);
    guest_mem_dirty(m, m->region[0].host + 9 * PAGE, PAGE);
    g_assert_cmphex(bits[65], ==, 2);
    guest_mem_log(m, 4 * MIB - 1, 1);
    g_assert_cmphex(bits[64 + bytes - 1], ==, 0x80);
    guest_mem_log(m, 17 * PAGE, 0);
    g_assert_cmphex(bits[66], ==, 0);
    guest_mem_log(m, 4 * MIB, MIB);                 /* behind the bitmap */
    g_assert_cmphex(bits[64 + bytes], ==, 0);

    g_assert_true(guest_mem_set_log(m, -1, 0, 0, NULL));
    guest_mem_dirty(m, m->region[0].host + 20 * PAGE, 1);
    g_assert_cmphex(bits[66], ==, 0);
    munmap(bits, PAGE);
    guest_mem_clear(m);
    close(fd);
    close(log_fd);
    g_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-guest-mem/lookup", test_lookup);
    g_test_add_func("/vus-guest-mem/refused", test_refused);
    g_test_add_func("/vus-guest-mem/too-many", test_too_many);
    g_test_add_func("/vus-guest-mem/sigbus", test_sigbus);
    g_test_add_func("/vus-guest-mem/sigbus-of-ours", test_sigbus_of_ours);
    g_test_add_func("/vus-guest-mem/log", test_log);
    return g_test_run();
}
