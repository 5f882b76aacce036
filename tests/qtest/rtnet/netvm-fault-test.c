/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm and a daemon that says what it must not say.
 */
#include "qemu/osdep.h"
#include "netvm-bed.h"

typedef struct Fault {
    const char *name;
    const char *reason;         /* that QEMU gives */
    void (*say)(NetvmBed *bed);
    bool after_ready;           /* so it is told anew each time */
} Fault;

static void say_unknown(NetvmBed *bed)
{
    nd_send(bed, 99, NULL, 0, -1);
}

static void say_unknown_huge(NetvmBed *bed)
{
    struct netvm_header header = { UINT32_MAX, UINT32_MAX };

    nd_send_raw(bed, &header, sizeof(header), NULL, 0);
}

static void say_our_own(NetvmBed *bed)
{
    nd_send(bed, NETVM_MSG_RESET, NULL, 0, -1);
}

static void say_short(NetvmBed *bed)
{
    nd_send(bed, NETVM_MSG_WELCOME, "1234567", 8, -1);
}

static void say_huge(NetvmBed *bed)
{
    struct netvm_header header = { NETVM_MSG_WELCOME, UINT32_MAX };

    nd_send_raw(bed, &header, sizeof(header), NULL, 0);
}

static void say_with_file(NetvmBed *bed)
{
    struct netvm_welcome welcome = { 0 };
    int file = nb_eventfd();

    nd_send(bed, NETVM_MSG_WELCOME, &welcome, sizeof(welcome), file);
    close(file);
}

static void say_early_segment(NetvmBed *bed)
{
    int memory = nb_memfd(4096, true);

    nd_segment(bed, 0, 0, 4096, memory);
    close(memory);
}

static void say_early_ready(NetvmBed *bed)
{
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
}

static void refuse(NetvmBed *bed, const char *text, size_t bytes)
{
    struct netvm_text body;

    memset(&body, 'x', sizeof(body));
    memcpy(&body, text, bytes);
    nd_send(bed, NETVM_MSG_REFUSED, &body, sizeof(body), -1);
}

static void say_refused(NetvmBed *bed)
{
    refuse(bed, "port nf1 is taken", sizeof("port nf1 is taken"));
}

static void say_refused_endless(NetvmBed *bed)
{
    refuse(bed, "", 0);
}

static void say_refused_lines(NetvmBed *bed)
{
    refuse(bed, "a\nb", sizeof("a\nb"));
}

static void say_refused_escape(NetvmBed *bed)
{
    refuse(bed, "\33[2J", sizeof("\33[2J"));
}

static void say_refused_no_utf8(NetvmBed *bed)
{
    refuse(bed, "\xff\xfe", 3);
}

/* The same with WELCOME before. */

static void say_welcome(NetvmBed *bed)
{
    nd_welcome(bed, 4096);
}

static void say_late_refused(NetvmBed *bed)
{
    say_refused(bed);
}

static void say_no_file(NetvmBed *bed)
{
    nd_segment(bed, 0, 0, 4096, -1);
}

static void say_file_behind(NetvmBed *bed)
{
    struct netvm_header header = { NETVM_MSG_READY,
                                   sizeof(struct netvm_ready) };
    struct netvm_ready ready = { 0 };
    int file = nb_eventfd();

    nd_send_raw(bed, &header, sizeof(header), NULL, 0);
    nd_send_raw(bed, &ready, sizeof(ready), &file, 1);
    close(file);
}

static void say_many_files(NetvmBed *bed)
{
    struct netvm_header header = { NETVM_MSG_SEGMENT,
                                   sizeof(struct netvm_segment_place) };
    int files[16];

    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        files[i] = nb_memfd(4096, true);
    }
    nd_send_raw(bed, &header, sizeof(header), files, ARRAY_SIZE(files));
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        close(files[i]);
    }
}

typedef struct Place {
    uint32_t segment;
    uint64_t offset, bytes, file_bytes;
    bool sealed;
} Place;

static void say_segment(NetvmBed *bed, Place place)
{
    int memory = nb_memfd(place.file_bytes, place.sealed);

    nd_segment(bed, place.segment, place.offset, place.bytes, memory);
    close(memory);
}

static void say_segment_64(NetvmBed *bed)
{
    say_segment(bed, (Place) { NETVM_SEGMENTS_MAX, 0, 4096, 4096, true });
}

static void say_empty(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 0, 4096, true });
}

static void say_odd_bytes(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 4097, 8192, true });
}

static void say_odd_offset(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 512, 4096, 4096, true });
}

static void say_wrap(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, -UINT64_C(4096), 8192, 8192, true });
}

static void say_unsealed(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 4096, 4096, false });
}

static void say_short_file(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 8192, 4096, true });
}

static void say_no_memfd(NetvmBed *bed)
{
    int file = open("/dev/zero", O_RDWR | O_CLOEXEC);

    nd_segment(bed, 0, 0, 4096, file);
    close(file);
}

static void say_twice(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 4096, 4096, true });
    say_segment(bed, (Place) { 0, 4096, 4096, 4096, true });
}

static void say_overlap(NetvmBed *bed)
{
    say_segment(bed, (Place) { 0, 0, 8192, 8192, true });
    say_segment(bed, (Place) { 1, 4096, 8192, 8192, true });
}

static void say_doorbell_63(NetvmBed *bed)
{
    int file = nb_eventfd();

    nd_doorbell(bed, NETVM_MEMBERS_MAX + 1, file);
    close(file);
}

static void say_no_doorbell_63(NetvmBed *bed)
{
    nd_no_doorbell(bed, UINT32_MAX);
}

static void say_doorbell_memory(NetvmBed *bed)
{
    int file = nb_memfd(4096, true);

    nd_doorbell(bed, 0, file);
    close(file);
}

static void say_vector_2(NetvmBed *bed)
{
    int file = nb_eventfd();

    nd_interrupt(bed, NETVM_VECTORS, file);
    close(file);
}

static void say_vector_memory(NetvmBed *bed)
{
    int file = nb_memfd(4096, true);

    nd_interrupt(bed, 0, file);
    close(file);
}

/* The same with all that READY needs before. */

static void say_member_0(NetvmBed *bed)
{
    nd_ready(bed, 0, NB_SERIAL, 0);
}

static void say_member_63(NetvmBed *bed)
{
    nd_ready(bed, NETVM_MEMBERS_MAX + 1, NB_SERIAL, 0);
}

static void say_serial_0(NetvmBed *bed)
{
    nd_ready(bed, NB_MEMBER, 0, 0);
}

static void say_future_ready(NetvmBed *bed)
{
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 1);
}

static void say_ready_twice(NetvmBed *bed)
{
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
}

static void say_late_vector(NetvmBed *bed)
{
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
    nd_interrupt(bed, 0, bed->vector[0]);
}

static const Fault faults_at_first[] = {
    { "unknown", "unknown message 99: is that the socket of a netvm port",
      say_unknown },
    { "unknown-huge", "unknown message 4294967295", say_unknown_huge },
    { "our-own", "unknown message 2", say_our_own },
    { "short", "WELCOME of 8 bytes, it has 16", say_short },
    { "huge", "WELCOME of 4294967295 bytes", say_huge },
    { "with-file", "WELCOME with 1 files, it has 0", say_with_file },
    { "early-segment", "SEGMENT at a time when it must not",
      say_early_segment },
    { "early-ready", "READY at a time when it must not", say_early_ready },
    { "refused", "it refuses: port nf1 is taken", say_refused },
    { "refused-endless", "its reason is no line of text",
      say_refused_endless },
    { "refused-lines", "its reason is no line of text", say_refused_lines },
    { "refused-escape", "its reason is no line of text", say_refused_escape },
    { "refused-no-utf8", "its reason is no line of text",
      say_refused_no_utf8 },
};

static const Fault faults_after_welcome[] = {
    { "welcome-again", "WELCOME at a time when it must not", say_welcome },
    { "late-refused", "REFUSED at a time when it must not", say_late_refused },
    { "no-file", "SEGMENT with 0 files, it has 1", say_no_file },
    { "file-behind", "READY with a file behind its header", say_file_behind },
    { "many-files", "SEGMENT with 16 files, it has 1", say_many_files },
    { "segment-64", "segment 64 is beyond the last, 63", say_segment_64 },
    { "empty", "is not made of whole pages", say_empty },
    { "odd-bytes", "is not made of whole pages", say_odd_bytes },
    { "odd-offset", "is not made of whole pages", say_odd_offset },
    { "wrap", "segment 0 ends beyond all addresses", say_wrap },
    { "unsealed", "has to be a memfd sealed with F_SEAL_SHRINK",
      say_unsealed },
    { "no-memfd", "has to be a memfd sealed with F_SEAL_SHRINK",
      say_no_memfd },
    { "short-file", "is shorter than the segment", say_short_file },
    { "twice", "segment 0 came twice", say_twice },
    { "overlap", "segments 1 and 0 overlap", say_overlap },
    { "doorbell-63", "DOORBELL of number 63; there are 0 to 62",
      say_doorbell_63 },
    { "no-doorbell-63", "NO_DOORBELL of number 4294967295",
      say_no_doorbell_63 },
    { "doorbell-memory", "DOORBELL brought a file that is no eventfd",
      say_doorbell_memory },
    { "vector-2", "INTERRUPT of number 2; there are 0 to 1", say_vector_2 },
    { "vector-memory", "INTERRUPT brought a file that is no eventfd",
      say_vector_memory },
    { "incomplete-ready", "READY before a segment", say_early_ready },
};

static const Fault faults_at_last[] = {
    { "member-0", "READY as member 0; there are 1 to 62", say_member_0 },
    { "member-63", "READY as member 63", say_member_63 },
    { "serial-0", "READY with serial number 0x0", say_serial_0 },
    { "future-ready", "READY after 1 RESETs, of 0", say_future_ready },
    { "ready-twice", "READY after 0 RESETs, of 0", say_ready_twice, true },
    { "late-vector", "INTERRUPT 0 after READY", say_late_vector, true },
};

static unsigned open_files(NetvmBed *bed)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            qtest_pid(bed->qts));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned count = 0;

    while (g_dir_read_name(dir)) {
        count++;
    }
    return count;
}

/*
 * Each ends the connection, with its reason, said once as long as nothing else
 * happens; no file stays open; and the next daemon that behaves is welcome.
 */
static void expect_fault(const Fault *fault, void (*before)(NetvmBed *))
{
    NetvmBed *bed = bed_start("");
    unsigned files;

    g_test_message("%s", fault->name);
    nd_serve(bed);
    files = open_files(bed);
    nd_close(bed);
    for (int round = 0; round < 3; round++) {
        nd_accept(bed);
        if (before) {
            before(bed);
        }
        fault->say(bed);
        nd_expect_end(bed);
    }
    bed_expect_log(bed, fault->reason);
    g_assert_cmpuint(bed_count_log(bed, "disconnected from the daemon"), ==,
                     fault->after_ready ? 3 : 1);
    nd_serve(bed);
    g_assert_cmpuint(open_files(bed), ==, files);
    bed_stop(bed);
}

static void test_fault_at_first(const void *opaque)
{
    expect_fault(opaque, NULL);
}

static void test_fault_after_welcome(const void *opaque)
{
    expect_fault(opaque, say_welcome);
}

static void test_fault_at_last(const void *opaque)
{
    expect_fault(opaque, nd_hand_out);
}

static void add_faults(const char *when, const Fault *faults, unsigned count,
                       void (*test)(const void *))
{
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("netvm/fault/%s/%s", when,
                                                faults[i].name);

        qtest_add_data_func(path, &faults[i], test);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_faults("at-first", faults_at_first, ARRAY_SIZE(faults_at_first),
               test_fault_at_first);
    add_faults("after-welcome", faults_after_welcome,
               ARRAY_SIZE(faults_after_welcome), test_fault_after_welcome);
    add_faults("at-last", faults_at_last, ARRAY_SIZE(faults_at_last),
               test_fault_at_last);
    return g_test_run();
}
