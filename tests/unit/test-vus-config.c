/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file: what is read, what is refused and where, and that
 * what is written reads back.
 *
 * Threads: single.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "config-file.h"
#include "parse.h"

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_error("'%s' lacks '%s'", text, part);
    }
}

/* NULL with @error set: it is wrong. */
static DaemonConfig *parse(const char *text, GError **error)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();

    return config_file_parse(c, "vus.conf", text, strlen(text), error) &&
           daemon_config_check(c, error) ? g_steal_pointer(&c) : NULL;
}

#define DAEMON_AND_PORT \
    "# what a site has\n" \
    "[daemon]\n" \
    "control=/run/a b.sock\n" \
    "state-dir=/var/lib/vus\n" \
    "workers=2\n" \
    "cpus=3,1\n" \
    "rt-priority=10\n" \
    "idle-us=50\n" \
    "fdb-age-s=60\n" \
    "fdb-max=100\n" \
    "\n" \
    "  [port vm1]  \n" \
    "socket = /run/vm1.sock\n" \
    "vlan=10\n" \
    "mac=52:54:00:00:00:01\n"

static void test_whole(void)
{
    g_autoptr(GError) error = NULL;
    static const char text[] =
        DAEMON_AND_PORT
        "[port up]\n"
        "type=tap\n"
        "ifname=tap0\n"
        "trunk=10,20-29\n"
        "[fdb]\n"
        "52:54:00:00:00:01/10=vm1\n"
        "52:54:00:00:00:02=up\n";
    g_autoptr(DaemonConfig) c = parse(text, &error);
    const ConfigPort *p;
    const ConfigAddress *a;

    g_assert_no_error(error);
    g_assert_cmpstr(c->control, ==, "/run/a b.sock");
    g_assert_cmpstr(c->sw.state_dir, ==, "/var/lib/vus");
    g_assert_cmpuint(c->sw.workers, ==, 2);
    g_assert_cmpuint(c->sw.cpus, ==, 2);
    g_assert_cmpuint(c->sw.cpu[0], ==, 3);
    g_assert_cmpuint(c->sw.cpu[1], ==, 1);
    g_assert_cmpuint(c->sw.rt_priority, ==, 10);
    g_assert_cmpuint(c->sw.idle_us, ==, 50);
    g_assert_cmpuint(c->sw.fdb_age_s, ==, 60);
    g_assert_cmpuint(c->sw.fdb_max, ==, 100);
    g_assert_cmpuint(c->ports->len, ==, 2);
    p = g_ptr_array_index(c->ports, 0);
    g_assert_cmpstr(p->name, ==, "vm1");
    g_assert_cmpstr(p->settings.socket, ==, "/run/vm1.sock");
    g_assert_cmpint(p->settings.vlan, ==, 10);
    g_assert_cmpuint(p->settings.macs, ==, 1);
    p = g_ptr_array_index(c->ports, 1);
    g_assert_cmpstr(p->settings.type, ==, "tap");
    g_assert_true(port_settings_in_trunk(&p->settings, 25));
    g_assert_cmpuint(c->addresses->len, ==, 2);
    a = g_ptr_array_index(c->addresses, 0);
    g_assert_cmpstr(a->port, ==, "vm1");
    g_assert_cmpuint(a->vlan, ==, 10);
    g_assert_cmpuint(a->mac[5], ==, 1);
    a = g_ptr_array_index(c->addresses, 1);
    g_assert_cmpuint(a->vlan, ==, 0);
}

/* Ports may be named before what they name. */
static void test_tenants(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DaemonConfig) c = parse(
        "[port vm1]\ntype=dummy\ntenant=red\nguarantee-bps=1M\n"
        "[tenant red]\ntx-limit-bps=2.5M\ntx-limit-pps=10k\n"
        "guarantee-bps=2M\nguarantee-pps=5\nrx-limit-bps=7M\n"
        "rx-limit-pps=8\n[tenant idle]\n"
        "[port up]\ntype=dummy\nrate-bps=10M\n", &error);
    g_autofree char *text = NULL;
    const ConfigTenant *t;

    g_assert_no_error(error);
    g_assert_cmpuint(c->tenants->len, ==, 2);
    t = g_ptr_array_index(c->tenants, 0);
    g_assert_cmpstr(t->name, ==, "red");
    g_assert_cmpuint(t->settings.tx_limit_bps, ==, 2500000);
    g_assert_cmpuint(t->settings.tx_limit_pps, ==, 10000);
    g_assert_cmpuint(t->settings.guarantee_bps, ==, 2000000);
    g_assert_cmpuint(t->settings.guarantee_pps, ==, 5);
    g_assert_cmpuint(t->settings.rx_limit_bps, ==, 7000000);
    g_assert_cmpuint(t->settings.rx_limit_pps, ==, 8);
    t = g_ptr_array_index(c->tenants, 1);
    g_assert_cmpstr(t->name, ==, "idle");
    g_assert_cmpuint(t->settings.guarantee_bps, ==, 0);
    text = config_file_text(c);
    assert_contains(text, "[tenant red]\nguarantee-bps=2M\ntx-limit-bps=2500k"
                    "\ntx-limit-pps=10k\nguarantee-pps=5\nrx-limit-bps=7M\n"
                    "rx-limit-pps=8\n\n[tenant idle]\n"
                    "guarantee-bps=0\n\n[port vm1]\n");
}

static void test_too_many_tenants(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(DaemonConfig) fits = NULL;
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < SWITCH_MAX_TENANTS; i++) {
        g_string_append_printf(text, "[tenant t%u]\n", i);
    }
    fits = parse(text->str, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fits->tenants->len, ==, SWITCH_MAX_TENANTS);
    g_string_append(text, "[tenant u]\n");
    g_assert_null(parse(text->str, &error));
    assert_contains(error->message, "65 tenants are too many");
}

static void test_domains(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DaemonConfig) c = parse(
        "[port fw]\ntype=netvm\ndomain=chain\nsocket=/run/fw.sock\n"
        "outs=up\n"
        "[domain chain]\nbuffers=100\nbuffer-bytes=4096\nring=64\n"
        "members=3\ndirect=off\npages=huge\n[domain other]\n", &error);
    g_autofree char *text = NULL;
    const ConfigDomain *d;

    g_assert_no_error(error);
    g_assert_cmpuint(c->domains->len, ==, 2);
    d = g_ptr_array_index(c->domains, 0);
    g_assert_cmpstr(d->name, ==, "chain");
    g_assert_cmpuint(d->settings.buffers, ==, 100);
    g_assert_cmpuint(d->settings.buffer_bytes, ==, 4096);
    g_assert_cmpuint(d->settings.ring_descs, ==, 64);
    g_assert_cmpuint(d->settings.members, ==, 3);
    g_assert_false(d->settings.direct);
    g_assert_cmpuint(d->settings.pages, ==, DOMAIN_PAGES_HUGE);
    d = g_ptr_array_index(c->domains, 1);
    g_assert_cmpuint(d->settings.buffers, ==, 8192);
    g_assert_true(d->settings.direct);
    text = config_file_text(c);
    assert_contains(text, "[domain chain]\ndirect=off\nbuffers=100\n"
                    "buffer-bytes=4096\nring=64\nmembers=3\npages=huge\n\n"
                    "[domain other]\ndirect=on\n\n[port fw]\n");
}

static void test_empty(void)
{
    static const char *const text[] = { "", "\n", "# nothing\n", "[daemon]",
                                        "[fdb]\n[daemon]\n" };

    for (unsigned i = 0; i < G_N_ELEMENTS(text); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DaemonConfig) c = parse(text[i], &error);

        g_assert_no_error(error);
        g_assert_cmpuint(c->ports->len, ==, 0);
        g_assert_null(c->control);
    }
}

static void test_wrong(void)
{
    static const struct {
        const char *text, *wrong;
    } wrong[] = {
        { DAEMON_AND_PORT "; no comment\n",
          "vus.conf:16: '; no comment' is neither" },
        { "workers=2\n", "vus.conf:1: 'workers=2' is in front of the first" },
        { "[daemon]\nworker=2\n", "vus.conf:2: the daemon has no setting "
          "'worker'; it has control, state-dir, workers" },
        { "[daemon]\nworkers=17\n", "vus.conf:2: workers=17: '17' is not a "
          "number from 1 to 16" },
        { "[daemon]\nworkers=\n", "vus.conf:2: workers=: nothing is given" },
        { "[daemon]\ncontrol=\n", "vus.conf:2: control=: a path is expected" },
        { "[daemon]\ncpus=0-2,1\n", "vus.conf:2: cpus=0-2,1: 1 is there" },
        { "[daemon]\nidle-us=10000001\n", "vus.conf:2: idle-us" },
        { "[daemon]\nfdb-max=0\n", "vus.conf:2: fdb-max=0" },
        { "[daemon]\nmetrics=65536\n", "vus.conf:2: metrics=65536" },
        { "[daemon]\nworkers=1\n\nworkers=2\n",
          "vus.conf:4: workers is in line 2 already" },
        { "[daemon]\nworkers[de]=1\n", "no setting 'workers[de]'" },
        { "[daemon]\n[fdb]\n[daemon]\n",
          "vus.conf:3: [daemon] is in line 1 already" },
        { "[deamon]\n", "vus.conf:1: there is no group [deamon]: the groups "
          "are [daemon], [tenant NAME], [domain NAME], [port NAME] and [fdb]" },
        { "[port]\n", "vus.conf:1: there is no group [port]" },
        { "[port a b]\ntype=dummy\n", "vus.conf:1: port a b: 'a b' cannot "
          "be the name" },
        { "[port a]\n", "vus.conf:1: port a: a port of type=vhost-user needs "
          "socket=PATH" },
        { "[port a]\ntype=dummy\nvlans=5\n",
          "vus.conf:3: a port has no setting 'vlans'" },
        { "[port a]\ntype=dummy\nvlan=x\n", "vus.conf:3: vlan=x: 'x' is" },
        { "[port a]\ntype=dummy\n[port a]\ntype=dummy\n",
          "vus.conf:3: [port a] is in line 1 already" },
        { "[port a]\nsocket=/s\n[port b]\nsocket=/s\n",
          "ports a and b have the same socket=/s" },
        { "[port a]\ntype=tap\nifname=t\n[port b]\ntype=tap\nifname=t\n",
          "ports a and b have the same ifname=t" },
        { "[daemon]\ncontrol=/s\n[port a]\nsocket=/s\n",
          "port a: socket=/s is the control socket" },
        { "[port a]\ntype=dummy\nmirror=x\n"
          "[port b]\ntype=dummy\nmirror=x\n"
          "[port c]\ntype=dummy\nmirror=x\n"
          "[port d]\ntype=dummy\nmirror=x\n"
          "[port e]\ntype=dummy\nmirror=y,x\n",
          "more than 4 ports would show" },
        { "[port a]\nsocket=/s\\q\n", "vus.conf:2: " },
        { "[tenant]\n", "vus.conf:1: there is no group [tenant]" },
        { "[tenant a b]\n", "vus.conf:1: tenant: 'a b' cannot be the name" },
        { "[tenant a]\nvlan=5\n", "vus.conf:2: a tenant has no setting "
          "'vlan'; it has tx-limit-bps, tx-limit-pps, guarantee-bps, "
          "guarantee-pps" },
        { "[tenant a]\n\ntx-limit-bps=fast\n",
          "vus.conf:3: tx-limit-bps=fast: 'fast' is not a rate" },
        { "[tenant a]\n[tenant a]\n",
          "vus.conf:2: [tenant a] is in line 1 already" },
        { "[port p]\ntype=dummy\ntenant=a\n[tenant b]\n",
          "port p: there is no tenant 'a': add [tenant a]" },
        { "[tenant a]\nguarantee-bps=1M\n"
          "[port p]\ntype=dummy\ntenant=a\nguarantee-bps=2M\n",
          "tenant a: the guarantee-bps= of its ports are 2M together, its own "
          "is 1M" },
        { "[port up]\ntype=dummy\nrate-bps=10M\n[tenant a]\n"
          "guarantee-bps=11M\n", "port up cannot give all guarantees" },
        { "[port up]\ntype=dummy\nrate-bps=1M\n[port r]\ntype=dummy\n"
          "rtvnic=on\ndeadline-us=5000\nperiod-us=5000\n",
          "port up cannot promise all contracts" },
        { "[port r]\ntype=dummy\nrtvnic=on\ndeadline-us=5\nperiod-us=5\n",
          "no other port has a link that could promise anything" },
        { "[domain]\n", "vus.conf:1: there is no group [domain]" },
        { "[domain a b]\n", "vus.conf:1: domain: 'a b' cannot be the name" },
        { "[domain a]\nvlan=5\n", "vus.conf:2: a domain has no setting "
          "'vlan'; it has buffers, buffer-bytes" },
        { "[domain a]\n\nring=65\n", "vus.conf:3: ring=65: it has to be a "
          "power of two, like 128" },
        { "[domain a]\nbuffers=63\n", "vus.conf:2: buffers=63: '63' is not" },
        { "[domain a]\nmembers=63\n", "vus.conf:2: members=63: '63' is not" },
        { "[domain a]\npages=small\n", "vus.conf:2: pages=small: " },
        { "[domain a]\n[domain a]\n",
          "vus.conf:2: [domain a] is in line 1 already" },
        { "[port p]\ntype=netvm\nsocket=/s\ndomain=a\n[domain b]\n",
          "port p: there is no domain 'a': add [domain a] (vusctl domain "
          "set), or name another one" },
        { "[port p]\ntype=netvm\nsocket=/s\n[domain b]\n",
          "port p: a port of type=netvm needs domain=NAME" },
        { "[port p]\ntype=dummy\ndomain=b\n[domain b]\n", "port p: " },
        { "[fdb]\n52:54:00:00:00:01=a\n",
          "52:54:00:00:00:01 is at port 'a', which does not exist" },
        { "[port a]\ntype=dummy\n[fdb]\n52:54:00:00:00:01/0=a\n",
          "vus.conf:4: MAC=PORT or MAC/VLAN=PORT is expected" },
        { "[port a]\ntype=dummy\n[fdb]\n01:54:00:00:00:01=a\n",
          "vus.conf:4: MAC=PORT" },
        { "[fdb]\n52:54:00:00:00:01=\n", "vus.conf:2: '' cannot be the name" },
        { "[daemon]\nfdb-max=1\n[port a]\ntype=dummy\n[fdb]\n"
          "52:54:00:00:00:01=a\n52:54:00:00:00:02=a\n",
          "2 fixed addresses are more than fdb-max=1" },
        { "[daemon]\nworkers=\xff\n", "vus.conf is no text in UTF-8" },
        { "[daemon\n", "vus.conf:1: '[daemon' is neither" },
        { "[daemon]\n=5\n", "vus.conf:2: '=5' is neither" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        if (parse(wrong[i].text, &error)) {
            g_error("'%s' was taken", wrong[i].text);
        }
        assert_contains(error->message, wrong[i].wrong);
    }
}

static void test_too_many_ports(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(DaemonConfig) fits = NULL;
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++) {
        g_string_append_printf(text, "[port p%u]\ntype=dummy\n", i);
    }
    fits = parse(text->str, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fits->ports->len, ==, SWITCH_MAX_PORTS);
    g_string_append(text, "[port q]\ntype=dummy\n");
    g_assert_null(parse(text->str, &error));
    assert_contains(error->message, "257 ports are too many");
}

/* -- Back and forth -------------------------------------------------------- */

static const char *pick(const char *const *from, unsigned n)
{
    return from[g_test_rand_int_range(0, n)];
}

#define PICK(...) \
    pick((const char *const []) { __VA_ARGS__ }, \
         G_N_ELEMENTS(((const char *const []) { __VA_ARGS__ })))

static void set_any(PortSettings *s, const char *key, const char *value)
{
    if (g_test_rand_bit()) {
        g_autoptr(GError) error = NULL;

        port_settings_set(s, key, value, &error);
        g_assert_no_error(error);
    }
}

/* What fits whatever else there is: nothing is promised or guaranteed. */
static void set_any_qos(const DaemonConfig *c, PortSettings *s)
{
    if (g_test_rand_bit()) {
        port_settings_set(s, "rate-bps", PICK("1", "2.5M", "10T"), NULL);
        set_any(s, "policy", PICK("edf", "fifo", "strict"));
        set_any(s, "host-jitter-us", PICK("0", "1000000"));
        set_any(s, "promises", "off");
    }
    if (g_test_rand_bit()) {
        port_settings_set(s, "rtvnic", "on", NULL);
        port_settings_set(s, "deadline-us", PICK("1", "4294967"), NULL);
        set_any(s, "late", "drop");
        set_any(s, "dscp", PICK("0", "63"));
        set_any(s, "pcp", PICK("0", "7"));
        set_any(s, "trailer", "off");
        set_any(s, "source-id", PICK("1", "4294967295"));
        set_any(s, "max-skew-us", PICK("0", "4294967"));
    }
    set_any(s, "rate-pps", PICK("1", "10G"));
    set_any(s, "queue-pkts", PICK("16", "65536"));
    set_any(s, "link-mtu", PICK("576", "65535"));
    set_any(s, "uplink", "on");
    set_any(s, "trust", "rtvnic");
    set_any(s, "tx-limit-bps", PICK("1", "10T"));
    set_any(s, "tx-limit-pps", PICK("7", "10G"));
    if (c->tenants->len > 0) {
        set_any(s, "tenant", "tenant-0");
    }
}

static void add_any_tenant(DaemonConfig *c, unsigned number)
{
    g_autofree char *name = g_strdup_printf("tenant-%u", number);
    TenantSettings s = { 0 };

    if (g_test_rand_bit()) {
        g_assert_true(tenant_settings_set(&s, "tx-limit-bps",
                                          PICK("1", "2.5M", "10T"), NULL));
        g_assert_true(tenant_settings_set(&s, "tx-limit-pps",
                                          PICK("0", "9999"), NULL));
    }
    daemon_config_set_tenant(c, name, &s);
}

static void add_any_domain(DaemonConfig *c, unsigned number)
{
    g_autofree char *name = g_strdup_printf("domain-%u", number);
    DomainSettings s;

    domain_settings_init(&s);
    s.buffers = g_test_rand_int_range(64, 1 << 26);
    s.ring_descs = 64 << g_test_rand_int_range(0, 10);
    s.direct = g_test_rand_bit();
    s.pages = g_test_rand_int_range(DOMAIN_PAGES_AUTO,
                                    DOMAIN_PAGES_ORDINARY + 1);
    daemon_config_set_domain(c, name, &s);
}

static void add_any_port(DaemonConfig *c, unsigned number)
{
    g_autofree char *name = g_strdup_printf("port-%u", number);
    g_autofree char *socket = g_strdup_printf(" /run/%s/\xc3\xa4;#\\%u ",
                                              PICK("a", "b\tc", "d\ne"),
                                              number);
    PortSettings s;

    port_settings_init(&s);
    if (g_test_rand_bit()) {
        g_assert_true(port_settings_set(&s, "type", "dummy", NULL));
    } else {
        g_assert_true(port_settings_set(&s, "socket", socket, NULL));
        set_any(&s, "client", "on");
    }
    if (s.socket && c->domains->len > 0 && g_test_rand_bit()) {
        g_assert_true(port_settings_set(&s, "type", "netvm", NULL));
        g_assert_true(port_settings_set(&s, "domain", "domain-0", NULL));
        set_any(&s, "outs", PICK("x", "x,port-0"));
    } else if (s.socket) {
        set_any(&s, "queues", PICK("1", "2", "16"));
        set_any(&s, "mtu", PICK("1500", "9216", "65535"));
    }
    if (g_test_rand_bit()) {
        set_any(&s, "vlan", PICK("1", "4094"));
    } else {
        set_any(&s, "trunk", PICK("all", "7,9-12", "0-4094"));
        set_any(&s, "native", s.all_vlans ? "5" : "9");
    }
    set_any(&s, "link", "down");
    set_any(&s, "mac", PICK("52:54:00:00:00:01", "52:54:00:00:00:01,"
                            "52:54:00:00:00:02"));
    set_any(&s, "ip", PICK("10.0.0.1", "10.0.0.1,2001:db8::1"));
    /* Few enough mirrors of either. */
    set_any(&s, g_test_rand_bit() ? "peer" : "mirror", number % 2 ? "x" : "y");
    set_any(&s, "storm-pps", PICK("0", "1", "1000000000"));
    set_any(&s, "max-macs", PICK("0", "1024", "1000000"));
    set_any_qos(c, &s);
    daemon_config_add_port(c, name, &s);
    port_settings_clear(&s);
}

static void add_any_address(DaemonConfig *c, unsigned number)
{
    const ConfigPort *p = g_ptr_array_index(
        c->ports, g_test_rand_int_range(0, c->ports->len));
    uint8_t mac[6] = { 0x52, 0x54, 0, 0, 1, number };

    daemon_config_add_address(c, mac, g_test_rand_int_range(0, 4095),
                              p->name);
}

static void set_daemon(DaemonConfig *c, const char *key, const char *value)
{
    if (g_test_rand_bit()) {
        g_assert_true(daemon_config_set(c, key, value, NULL));
    }
}

/* Whatever can be set is written, and reads back as the same. */
static void test_round_trip(void)
{
    for (unsigned round = 0; round < 300; round++) {
        g_autoptr(DaemonConfig) c = daemon_config_new();
        g_autoptr(DaemonConfig) back = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL, *again = NULL;
        unsigned ports = g_test_rand_int_range(0, 6);
        unsigned tenants = g_test_rand_int_range(0, 3);
        unsigned domains = g_test_rand_int_range(0, 3);

        set_daemon(c, "control", PICK("/run/c.sock", " a \\ b "));
        set_daemon(c, "state-dir", "/x");
        set_daemon(c, "workers", PICK("1", "16"));
        set_daemon(c, "cpus", PICK("0", "7,3-5,1"));
        set_daemon(c, "rt-priority", PICK("0", "99"));
        set_daemon(c, "idle-us", PICK("0", "100"));
        set_daemon(c, "fdb-age-s", PICK("1", "1000000"));
        set_daemon(c, "fdb-max", PICK("10", "1000000"));
        set_daemon(c, "metrics", PICK("0", "65535"));
        for (unsigned i = 0; i < tenants; i++) {
            add_any_tenant(c, i);
        }
        for (unsigned i = 0; i < domains; i++) {
            add_any_domain(c, i);
        }
        for (unsigned i = 0; i < ports; i++) {
            add_any_port(c, i);
        }
        for (unsigned i = 0; i < 2 * ports && i < 10; i++) {
            add_any_address(c, i);
        }
        daemon_config_check(c, &error);
        g_assert_no_error(error);
        text = config_file_text(c);
        back = parse(text, &error);
        g_assert_no_error(error);
        again = config_file_text(back);
        g_assert_cmpstr(text, ==, again);
        g_assert_cmpuint(back->ports->len, ==, c->ports->len);
        g_assert_cmpuint(back->addresses->len, ==, c->addresses->len);
        g_assert_cmpuint(back->tenants->len, ==, tenants);
        for (unsigned i = 0; i < tenants; i++) {
            const ConfigTenant *t = g_ptr_array_index(c->tenants, i);
            const ConfigTenant *u = g_ptr_array_index(back->tenants, i);

            g_assert_cmpstr(t->name, ==, u->name);
            g_assert_cmpmem(&t->settings, sizeof(t->settings), &u->settings,
                            sizeof(u->settings));
        }
        g_assert_cmpuint(back->domains->len, ==, domains);
        for (unsigned i = 0; i < ports; i++) {
            const ConfigPort *p = g_ptr_array_index(c->ports, i);
            const ConfigPort *q = g_ptr_array_index(back->ports, i);

            g_assert_cmpstr(p->name, ==, q->name);
            for (const char *const *key = port_settings_keys(); *key; key++) {
                g_autofree char *one = port_settings_get(&p->settings, *key);
                g_autofree char *other = port_settings_get(&q->settings,
                                                           *key);

                g_assert_cmpstr(one, ==, other);
            }
        }
    }
}

/* -- Ports that are named and do not exist --------------------------------- */

static void note_missing(const char *port, const char *key,
                         const char *missing, void *opaque)
{
    g_string_append_printf(opaque, "%s.%s=%s;", port, key, missing);
}

static void test_missing(void)
{
    g_autoptr(GString) found = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DaemonConfig) c = parse(
        "[port a]\ntype=dummy\npeer=b\n"
        "[port b]\ntype=dummy\npeer=c\n"
        "[port m]\ntype=dummy\nmirror=x,a,y\n[domain d]\n"
        "[port n]\ntype=netvm\nsocket=/n\ndomain=d\nouts=m,z\n", &error);

    g_assert_no_error(error);
    daemon_config_foreach_missing(c, note_missing, found);
    g_assert_cmpstr(found->str, ==, "b.peer=c;m.mirror=x;m.mirror=y;"
                    "n.outs=z;");
}

/* -- Files ----------------------------------------------------------------- */

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-config-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "vus.conf", NULL);
    g_autoptr(DaemonConfig) c = daemon_config_new();
    g_autoptr(GError) error = NULL;

    g_assert_false(config_file_load(c, path, &error));
    assert_contains(error->message, "vus.conf");
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "[port a]\ntype=dummy\n", -1,
                                      NULL));
    g_assert_true(config_file_load(c, path, &error));
    g_assert_no_error(error);
    g_assert_nonnull(daemon_config_find_port(c, "a"));
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-config/whole", test_whole);
    g_test_add_func("/vus-config/tenants", test_tenants);
    g_test_add_func("/vus-config/too-many-tenants", test_too_many_tenants);
    g_test_add_func("/vus-config/domains", test_domains);
    g_test_add_func("/vus-config/empty", test_empty);
    g_test_add_func("/vus-config/wrong", test_wrong);
    g_test_add_func("/vus-config/too-many-ports", test_too_many_ports);
    g_test_add_func("/vus-config/round-trip", test_round_trip);
    g_test_add_func("/vus-config/missing", test_missing);
    g_test_add_func("/vus-config/file", test_file);
    return g_test_run();
}
