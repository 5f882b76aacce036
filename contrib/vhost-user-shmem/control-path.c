/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control-path.h"

char *control_path_default(GError **error)
{
    const char *dir = geteuid() == 0 ? "/run" : g_getenv("XDG_RUNTIME_DIR");

    if (!dir || !g_path_is_absolute(dir)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "XDG_RUNTIME_DIR is not set, so there is no usual place "
                    "for the control socket: name one with --control SOCKET");
        return NULL;
    }
    return g_build_filename(dir, "vhost-user-shmem", "control.sock", NULL);
}

bool control_path_make_dir(const char *path, GError **error)
{
    g_autofree char *usual = control_path_default(NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    if (!g_strcmp0(path, usual) && mkdir(dir, 0700) < 0 && errno != EEXIST) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "the directory %s cannot be made: %s; make it, or name "
                    "another socket with --control", dir, g_strerror(errno));
        return false;
    }
    return true;
}
