/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What links are asked to promise and to guarantee together, and how the daemon
 * says that it is too much.
 *
 * Threads: single.
 */
#include <string.h>

#include "admission.h"
#include "config-file.h"
#include "rtnet/rt-endpoint.h"

static DaemonConfig *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    DaemonConfig *c = daemon_config_new();

    config_file_parse(c, "file", text, strlen(text), &error);
    g_assert_no_error(error);
    return c;
}

#define UPLINK(more) "[port up]\ntype=dummy\nuplink=on\n" more
#define RT(name, more) "[port " name "]\ntype=dummy\nrtvnic=on\n" more
#define BULK(name, more) "[port " name "]\ntype=dummy\n" more

static void good(const char *text)
{
    g_autoptr(DaemonConfig) c = parse(text);
    g_autoptr(GError) error = NULL;

    daemon_config_check(c, &error);
    g_assert_no_error(error);
}

/* The error says all of @says, which are separated by '|'. */
static void bad(const char *text, const char *says)
{
    g_autoptr(DaemonConfig) c = parse(text);
    g_auto(GStrv) part = g_strsplit(says, "|", -1);
    g_autoptr(GError) error = NULL;

    g_assert_false(daemon_config_check(c, &error));
    for (unsigned i = 0; part[i]; i++) {
        if (!strstr(error->message, part[i])) {
            g_error("'%s' does not say '%s'", error->message, part[i]);
        }
    }
}

/* -- Contracts ------------------------------------------------------------- */

static void test_contracts(void)
{
    good(UPLINK("rate-bps=100M\n")
         RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n")
         RT("b", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n"));
    /* 558 bytes on the link every 100 us, from two. */
    bad(UPLINK("rate-bps=80M\n")
        RT("a", "deadline-us=2000\nperiod-us=100\nmax-frame-bytes=500\n")
        RT("b", "deadline-us=2000\nperiod-us=100\nmax-frame-bytes=500\n"),
        "port up|need 111.20 %|rate-bps=80M|95 %|promises=off");
    /* One frame of others takes 1236.8 us already. */
    bad(UPLINK("rate-bps=10M\n")
        RT("a", "deadline-us=1200\nperiod-us=100000\nmax-frame-bytes=500\n"),
        "port up|first 1200 us|too much|host-jitter-us");
    good(UPLINK("rate-bps=10M\npromises=off\n")
         BULK("other", "rate-bps=1G\n")
         RT("a", "deadline-us=1200\nperiod-us=100000\nmax-frame-bytes=500\n"));
    good(UPLINK("rate-bps=10M\nhost-jitter-us=0\n")
         RT("a", "deadline-us=1700\nperiod-us=100000\nmax-frame-bytes=500\n"));
}

/* A link promises what others send, not what its own port does. */
static void test_own(void)
{
    good(RT("a", "rate-bps=1M\ndeadline-us=900\nperiod-us=1000\n"
            "max-frame-bytes=1500\n")
         UPLINK("rate-bps=1G\n"));
    bad(RT("a", "rate-bps=1M\ndeadline-us=900\nperiod-us=1000\n")
        RT("b", "deadline-us=900\nperiod-us=1000\n")
        UPLINK("rate-bps=1G\n"), "port a cannot promise");
}

static void test_nobody_promises(void)
{
    static const char contract[] =
        RT("a", "deadline-us=900\nperiod-us=1000\n");
    static const char *const links[] = {
        "", UPLINK(""), UPLINK("rate-pps=5k\n"),
        UPLINK("rate-bps=1G\npolicy=fifo\n"),
        UPLINK("rate-bps=1G\npromises=off\n"),
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *text = g_strconcat(contract, links[i], NULL);

        bad(text, "port a declares period-us|give the uplink its rate-bps");
    }
    good(RT("a", "deadline-us=900\n"));
}

/* With so many frames per second a short frame takes as long as a long one. */
static void test_frames_per_second(void)
{
    good(UPLINK("rate-bps=1G\nrate-pps=10k\n")
         RT("a", "deadline-us=1000\nperiod-us=200\nmax-frame-bytes=100\n"));
    bad(UPLINK("rate-bps=1G\nrate-pps=10k\n")
        RT("a", "deadline-us=1000\nperiod-us=100\nmax-frame-bytes=100\n"),
        "port up cannot promise");
}

/* Of port @port by link @link. */
static uint64_t bound_ns(const DaemonConfig *c, const char *link,
                         const char *port)
{
    return admission_delay_bound_ns(c, daemon_config_find_port(c, link),
                                    daemon_config_find_port(c, port));
}

static void test_bound(void)
{
    g_autoptr(DaemonConfig) c = parse(
        UPLINK("rate-bps=100M\nhost-jitter-us=50\n")
        BULK("slow", "rate-bps=100M\npromises=off\n")
        BULK("plain", "")
        RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n"));
    uint64_t a_ns = bound_ns(c, "up", "a");

    /* Somebody's longest frame, and how late we may run. */
    g_assert_cmpuint(a_ns, >=, 123680 + 50000);
    g_assert_cmpuint(a_ns, <=, 123680 + 50000 + SWITCH_AHEAD_NS + 10);
    g_assert_cmpuint(bound_ns(c, "slow", "a"), ==, UINT64_MAX);
    g_assert_cmpuint(bound_ns(c, "up", "plain"), ==, UINT64_MAX);
    g_assert_cmpuint(bound_ns(c, "plain", "a"), ==, UINT64_MAX);
    g_assert_cmpuint(bound_ns(c, "a", "a"), ==, UINT64_MAX);
}

/* What is shown is what was promised: with the tag that is put in. */
static void test_shown(void)
{
    g_autoptr(DaemonConfig) plain = parse(
        UPLINK("rate-bps=100M\n")
        RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n"));
    g_autoptr(DaemonConfig) tagged = parse(
        UPLINK("rate-bps=100M\n")
        RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n"
           "vlan=7\n"));
    const ConfigPort *up = daemon_config_find_port(plain, "up");
    uint32_t ppm = admission_promised_ppm(plain, up);

    /* 4 bytes in 1 ms of 100 Mbit/s. */
    g_assert_cmpuint(ppm, >, 0);
    g_assert_cmpuint(admission_promised_ppm(
                         tagged, daemon_config_find_port(tagged, "up")), ==,
                     ppm + 320);
    g_assert_true(admission_promises(plain, up,
                                     daemon_config_find_port(plain, "a")));
    g_assert_false(admission_promises(plain, up, up));
    g_assert_cmpuint(admission_guarantees(plain, up).bps, ==, 0);
}

/* -- Guarantees ------------------------------------------------------------ */

static void test_guarantees(void)
{
    good(UPLINK("rate-bps=100M\n") BULK("a", "guarantee-bps=60M\n")
         BULK("b", "guarantee-bps=40M\n"));
    bad(UPLINK("rate-bps=100M\n") BULK("a", "guarantee-bps=60M\n")
        BULK("b", "guarantee-bps=40001k\n"),
        "port up cannot give all guarantees|100001k bit/s|100M|rate-bps");
    /* Of frames per second. */
    bad(UPLINK("rate-bps=100M\nrate-pps=1000\n")
        BULK("a", "guarantee-pps=1001\n"),
        "1001 frames/s|guarantee-pps");
    /* What its own port sends does not leave there. */
    good("[port a]\ntype=dummy\nrate-bps=10M\nguarantee-bps=20M\n");
    /* Contracts come first: 558 bytes each ms are 4.464 Mbit/s. */
    bad(UPLINK("rate-bps=100M\n")
        RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n")
        BULK("b", "guarantee-bps=95600k\n"),
        "beside its contracts");
    good(UPLINK("rate-bps=100M\n")
         RT("a", "deadline-us=2000\nperiod-us=1000\nmax-frame-bytes=500\n")
         BULK("b", "guarantee-bps=95500k\n"));
    /* Nothing is guaranteed by a link that knows no shares. */
    good(UPLINK("rate-bps=100M\npolicy=fifo\n")
         BULK("a", "guarantee-bps=200M\n"));
}

static void test_tenants(void)
{
    good("[tenant t]\nguarantee-bps=50M\n" UPLINK("rate-bps=100M\n")
         BULK("a", "tenant=t\nguarantee-bps=30M\n")
         BULK("b", "tenant=t\nguarantee-bps=20M\n")
         BULK("c", "guarantee-bps=50M\n"));
    bad("[tenant t]\nguarantee-bps=50M\n" UPLINK("rate-bps=100M\n")
        BULK("a", "tenant=t\nguarantee-bps=30M\n")
        BULK("b", "tenant=t\nguarantee-bps=21M\n"),
        "tenant t|guarantee-bps|51M|50M");
    bad("[tenant t]\nguarantee-pps=5\n" BULK("a", "tenant=t\n"
                                             "guarantee-pps=6\n"),
        "tenant t|guarantee-pps");
    /* One without a guarantee has those of its ports. */
    bad("[tenant t]\ntx-limit-bps=1G\n" UPLINK("rate-bps=100M\n")
        BULK("a", "tenant=t\nguarantee-bps=60M\n")
        BULK("b", "tenant=t\nguarantee-bps=60M\n"),
        "port up cannot give all guarantees|120M");
    bad("[tenant t]\nguarantee-bps=60M\n[tenant u]\nguarantee-bps=60M\n"
        UPLINK("rate-bps=100M\n"), "120M");
    bad(BULK("a", "tenant=t\n"), "port a|no tenant 't'|[tenant t]");
}

/* What a tenant may be sent is shared by its ports alone, and what comes behind
 * a port's link takes its promises. */
static void test_received(void)
{
    good("[tenant t]\nrx-limit-bps=50M\n"
         BULK("a", "tenant=t\nrx-guarantee-bps=30M\n")
         BULK("b", "tenant=t\nrx-guarantee-bps=20M\n"));
    bad("[tenant t]\nrx-limit-bps=50M\n"
        BULK("a", "tenant=t\nrx-guarantee-bps=30M\n")
        BULK("b", "tenant=t\nrx-guarantee-bps=21M\n"),
        "tenant t|rx-guarantee-bps|51M|rx-limit-bps|50M");
    bad("[tenant t]\nrx-limit-pps=5\n"
        BULK("a", "tenant=t\nrx-guarantee-pps=6\n"), "rx-limit-pps");
    bad("[tenant t]\nrx-limit-bps=50M\n"
        RT("a", "deadline-us=900\nperiod-us=1000\n")
        BULK("b", "tenant=t\nrate-bps=1G\n"), "no other port has a link");
}

/* -- Words ----------------------------------------------------------------- */

static void test_words(void)
{
    g_autoptr(DaemonConfig) c = daemon_config_new(), d = NULL;
    static const char *const texts[] = {
        "[tenant t]\nsilly=1\n", "[tenant t]\nguarantee-bps=x\n",
        "[tenant t]\nguarantee-bps=1.0001k\n", "[tenant -t]\n", "[tenant ]\n",
        "[tenant t]\ntx-limit-bps=11T\n",
    };
    g_autofree char *text = NULL, *again = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(config_file_parse(c, "file", texts[i],
                                         strlen(texts[i]), &error));
        g_assert_nonnull(strstr(error->message, "file:"));
    }
    d = parse("[tenant empty]\n[tenant t]\ntx-limit-bps=2.5G\n"
              "guarantee-pps=12k\n" BULK("a", "tenant=t\n"));
    text = config_file_text(d);
    {
        g_autoptr(DaemonConfig) e = parse(text);

        g_assert_cmpuint(e->tenants->len, ==, 2);
        g_assert_cmpuint(daemon_config_find_tenant(e, "t")->
                         settings.tx_limit_bps, ==, UINT64_C(2500000000));
        again = config_file_text(e);
        g_assert_cmpstr(text, ==, again);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-admission/contracts", test_contracts);
    g_test_add_func("/vus-admission/own", test_own);
    g_test_add_func("/vus-admission/nobody-promises", test_nobody_promises);
    g_test_add_func("/vus-admission/frames-per-second",
                    test_frames_per_second);
    g_test_add_func("/vus-admission/bound", test_bound);
    g_test_add_func("/vus-admission/shown", test_shown);
    g_test_add_func("/vus-admission/guarantees", test_guarantees);
    g_test_add_func("/vus-admission/tenants", test_tenants);
    g_test_add_func("/vus-admission/received", test_received);
    g_test_add_func("/vus-admission/words", test_words);
    return g_test_run();
}
