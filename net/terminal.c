/* SPDX-License-Identifier: MIT */
#include <coil/terminal.h>

#include <coil/kernel.h>

int coil_terminal_raw(coil_terminal *terminal, int fd)
{
    coil_terminal changed = {.fd = fd, .is_changed = true};
    int rc = coil_kernel_terminal_get(fd, &changed.before);
    if (rc < 0)
        return rc;
    struct termios raw = changed.before;
    /* As cfmakeraw(3), but for the output. */
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    rc = coil_kernel_terminal_set(fd, TCSADRAIN, &raw);
    if (rc < 0)
        return rc;
    *terminal = changed;
    return 0;
}

void coil_terminal_restore(coil_terminal *terminal)
{
    if (!terminal->is_changed)
        return;
    terminal->is_changed = false;
    (void)coil_kernel_terminal_set(terminal->fd, TCSADRAIN, &terminal->before);
}

int coil_terminal_size(int fd, coil_terminal_extent *out_extent)
{
    struct winsize size;
    const int rc = coil_kernel_terminal_size(fd, &size);
    if (rc < 0)
        return rc;
    *out_extent = (coil_terminal_extent){.rows = size.ws_row, .columns = size.ws_col};
    return 0;
}
