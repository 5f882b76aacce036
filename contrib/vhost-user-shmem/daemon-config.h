/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that the daemon is told when it starts, or would have to be told to
 * become what it is now: its own settings, tenants, domains, ports, fixed
 * addresses.
 *
 * One table has each of the daemon's own words with reader, writer and help;
 * the command line and the configuration file are made of it.
 *
 * Threads: the control thread.
 */
#ifndef VUS_DAEMON_CONFIG_H
#define VUS_DAEMON_CONFIG_H

#include "switch.h"

typedef struct ConfigPort {
    char *name;
    PortSettings settings;
} ConfigPort;

typedef struct ConfigTenant {
    char *name;
    TenantSettings settings;
} ConfigTenant;

typedef struct ConfigDomain {
    char *name;
    DomainSettings settings;
} ConfigDomain;

typedef struct ConfigAddress {
    uint8_t mac[6];
    uint16_t vlan;              /* 0: untagged */
    char *port;
} ConfigAddress;

typedef struct DaemonConfig {
    SwitchConfig sw;
    char *control;              /* path of the control socket, or NULL */
    unsigned metrics_port;      /* TCP, of the loopback; 0: nothing listens */
    GPtrArray *ports;           /* of ConfigPort, in the order to be added */
    GPtrArray *tenants;         /* of ConfigTenant, in the order to be added */
    GPtrArray *domains;         /* of ConfigDomain, in the order to be added */
    GPtrArray *addresses;       /* of ConfigAddress */
} DaemonConfig;

#define DAEMON_CONFIG_ERROR daemon_config_error_quark()
GQuark daemon_config_error_quark(void);

DaemonConfig *daemon_config_new(void);
void daemon_config_free(DaemonConfig *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DaemonConfig, daemon_config_free)

/* -- The daemon's own words ------------------------------------------------ */

/* False with @error set: @c is as it was. */
bool daemon_config_set(DaemonConfig *c, const char *key, const char *value,
                       GError **error);

/* As it would be set, or NULL if it is not; the caller frees it. */
char *daemon_config_get(const DaemonConfig *c, const char *key);

typedef struct DaemonWord {
    const char *key;
    const char *value;          /* what it is, in a line of help: "N" */
    const char *help;
} DaemonWord;

/* All of them; ends with a NULL key. */
const DaemonWord *daemon_config_words(void);

/* -- Tenants --------------------------------------------------------------- */

ConfigTenant *daemon_config_find_tenant(const DaemonConfig *c,
                                        const char *name);

/* One that is there takes the new settings. */
void daemon_config_set_tenant(DaemonConfig *c, const char *name,
                              const TenantSettings *settings);

/* -- Domains --------------------------------------------------------------- */

ConfigDomain *daemon_config_find_domain(const DaemonConfig *c,
                                        const char *name);

/* One that is there takes the new settings. */
void daemon_config_set_domain(DaemonConfig *c, const char *name,
                              const DomainSettings *settings);

/* -- Ports and addresses --------------------------------------------------- */

ConfigPort *daemon_config_find_port(const DaemonConfig *c, const char *name);

/* A port of that name must not be there yet; a copy is taken. */
void daemon_config_add_port(DaemonConfig *c, const char *name,
                            const PortSettings *settings);
void daemon_config_remove_port(DaemonConfig *c, const char *name);

void daemon_config_add_address(DaemonConfig *c, const uint8_t mac[6],
                               uint16_t vlan, const char *port);

/* -- All together ---------------------------------------------------------- */

/* Does all of it go together?  Nothing is opened to find out. */
bool daemon_config_check(const DaemonConfig *c, GError **error);

/*
 * Call @each for every port that another one names (peer=, mirror=, outs=) and
 * that does not exist.  That is no error: it takes effect when it comes.
 */
void daemon_config_foreach_missing(const DaemonConfig *c,
                                   void (*each)(const char *port,
                                                const char *key,
                                                const char *missing,
                                                void *opaque),
                                   void *opaque);

#endif
